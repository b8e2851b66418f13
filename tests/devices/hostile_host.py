"""A Linux host that means ill: an SSH server whose answers to exec, shell and SFTP a test writes byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import asyncssh

from netssh_mcp.lab.server import shared_host_key

PASSWORD = "hostile-pw"
Process = asyncssh.SSHServerProcess[bytes]
Act = Callable[[Process], Awaitable[None]]


@dataclass(frozen=True)
class HostileHost:
    """What it does with each kind of channel; None closes it."""

    sftp: Act | None = None
    command: Act | None = None
    shell: Act | None = None


class _Channel(asyncssh.SSHServerProcess[bytes]):
    """As asyncssh's, but that SFTP is ours to answer, too."""

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        assert self._chan is not None
        assert self._conn is not None
        stdin: asyncssh.SSHReader[bytes] = asyncssh.SSHReader(self, self._chan)
        stdout: asyncssh.SSHWriter[bytes] = asyncssh.SSHWriter(self, self._chan)
        stderr: asyncssh.SSHWriter[bytes] = asyncssh.SSHWriter(self, self._chan, asyncssh.EXTENDED_DATA_STDERR)
        work = self._start_process(stdin, stdout, stderr)
        assert work is not None
        self._conn.create_task(work)


class _Login(asyncssh.SSHServer):
    def __init__(self, handle: Callable[[Process], Awaitable[None]], passwords: Mapping[str, str]) -> None:
        self._handle, self._passwords = handle, passwords

    def session_requested(self) -> _Channel:
        return _Channel(self._handle, None, 0, False)

    def begin_auth(self, username: str) -> bool:
        return bool(username)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == self._passwords.get(username, PASSWORD)


@contextmanager
def running(host: HostileHost, passwords: Mapping[str, str] = MappingProxyType({})) -> Iterator[int]:
    """Its port, while it runs in a thread of its own. `passwords` are those of users, if not all the same."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()
    stop = asyncio.Event()

    async def handle(process: Process) -> None:
        kind = host.sftp if process.subsystem == "sftp" else host.command if process.command else host.shell
        with contextlib.suppress(OSError, asyncssh.Error, asyncio.IncompleteReadError):
            if kind is not None:
                await kind(process)
            process.exit(0)

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Login(handle, passwords),
            server_host_keys=[asyncssh.import_private_key(shared_host_key())],
            encoding=None,
        )
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def entry(port: int, **more: Any) -> dict[str, Any]:
    """Its place in an inventory."""
    return {"hostname": "127.0.0.1", "port": port, "platform": "linux", "username": "ops", **more}


# -- SFTP by hand ------------------------------------------------------------------------------------------------------


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def message(kind: int, number: int, *body: bytes) -> bytes:
    inner = bytes([kind]) + struct.pack(">I", number) + b"".join(body)
    return struct.pack(">I", len(inner)) + inner


def attributes(mode: int = 0o100644, size: int = 5) -> bytes:
    return struct.pack(">IQI", 1 | 4, size, mode)


def named(*names: bytes, mode: int = 0o100644) -> bytes:
    return struct.pack(">I", len(names)) + b"".join(string(name) + string(b"") + attributes(mode) for name in names)


async def requests(process: Process) -> AsyncIterator[tuple[int, int, bytes]]:
    """Kind, number and body of each request; the greeting has been said."""
    stdin = process.stdin
    while True:
        size = struct.unpack(">I", await stdin.readexactly(4))[0]
        body = await stdin.readexactly(size)
        if body[0] == 1:
            process.stdout.write(struct.pack(">IBI", 5, 2, 3))
            continue
        yield body[0], struct.unpack(">I", body[1:5])[0], body[5:]
