"""Jump hosts for tests: SSH servers on 127.0.0.1 that only forward, count what they are asked, and can be held up."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import asyncssh
from typing_extensions import Self

from netssh_mcp.lab.server import shared_host_key

PASSWORD = "let me through"


class Gate:
    """One jump host in a thread of its own. The counters and controls may be used from any thread."""

    def __init__(self) -> None:
        self.connections = 0  # TCP connections ever accepted
        self.logins = 0
        self.auth_failures = 0
        self.asked = 0  # passwords that came
        self.tunnels = 0  # ever asked for
        self.tunnels_open = 0
        self.open: set[asyncssh.SSHServerConnection] = set()
        self.refuses: tuple[int, str] | None = None  # code and text for each tunnel
        self.let_in = threading.Event()  # logins wait for it
        self.let_in.set()
        self.let_through = threading.Event()  # tunnels wait for it
        self.let_through.set()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="gate", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        for event in (self.let_in, self.let_through):
            event.set()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def cut(self) -> None:
        """Every connection ends at once."""
        for conn in tuple(self.open):
            self._loop.call_soon_threadsafe(conn.abort)

    def freeze(self) -> None:
        """Every connection of now stays, and nothing that comes is read any more."""

        def stop_reading() -> None:
            for conn in self.open:
                conn._transport.pause_reading()  # type: ignore[union-attr]

        self._loop.call_soon_threadsafe(stop_reading)

    def thaw(self) -> None:
        """What was frozen is read again."""

        def resume() -> None:
            for conn in self.open:
                conn._transport.resume_reading()  # type: ignore[union-attr]

        self._loop.call_soon_threadsafe(resume)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        key = asyncssh.import_private_key(shared_host_key())
        acceptor = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=lambda: _Server(self), server_host_keys=[key], compression_algs=["none"]
        )
        self.port = acceptor.get_port()
        self._up.set()
        await self._stop.wait()
        acceptor.close()
        for conn in tuple(self.open):
            conn.abort()
            await conn.wait_closed()


async def _set(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  (another thread sets it)
        await asyncio.sleep(0.002)


class _Server(asyncssh.SSHServer):
    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.conn: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.conn = conn
        self.gate.connections += 1
        self.gate.open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        assert self.conn is not None
        self.gate.open.discard(self.conn)

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
        self.gate.asked += 1
        await _set(self.gate.let_in)
        right = password == PASSWORD
        self.gate.logins += right
        self.gate.auth_failures += not right
        return right

    async def _connect(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        self.gate.tunnels += 1
        await _set(self.gate.let_through)
        if self.gate.refuses:
            raise asyncssh.ChannelOpenError(*self.gate.refuses)
        assert self.conn is not None
        forwarder: Any = await self.conn.forward_connection(host, port)
        self.gate.tunnels_open += 1
        lost = forwarder.connection_lost

        def connection_lost(exc: Exception | None) -> None:
            self.gate.tunnels_open -= 1
            lost(exc)

        forwarder.connection_lost = connection_lost
        return forwarder  # type: ignore[no-any-return]

    def connection_requested(self, dest_host: str, dest_port: int, *_: object) -> Any:
        return self._connect(dest_host, dest_port)
