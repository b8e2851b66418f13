"""Simulated devices behind real SSH servers: a network in this event loop, or in a thread of its own."""

from __future__ import annotations

import asyncio
import functools
import hmac
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import cast

import asyncssh
from asyncssh.auth import KbdIntChallenge, KbdIntResponse
from asyncssh.stream import SSHServerStreamSession
from typing_extensions import Self

from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import BreakKind
from netssh_mcp.lab.model import LabError, fill
from netssh_mcp.lab.outlet import Timer
from netssh_mcp.lab.scp import Scp
from netssh_mcp.lab.shell import Shell
from netssh_mcp.lab.telnet import TelnetListener

_Channel = asyncssh.SSHServerChannel[bytes]

_HIGH_WATER = 256 * 1024  # bytes waiting for the client's window before a device stops writing
_SETTLE = 0.02  # seconds that sent bytes get to leave before the link is broken


def new_host_key(algorithm: str = "ssh-ed25519") -> str:
    """A private key in OpenSSH's format, for `DeviceSpec.host_key`."""
    return asyncssh.generate_private_key(algorithm).export_private_key("openssh").decode()


@functools.cache
def shared_host_key() -> str:
    return new_host_key()


class _Terminal(asyncssh.SSHServerSession[bytes]):
    """One channel: a shell, one command, or SFTP. It is the shell's `Link`."""

    def __init__(self, lab: _Server) -> None:
        self._lab = lab
        self._chan: _Channel | None = None
        self._shell: Shell | None = None
        self._sftp: SSHServerStreamSession[bytes] | None = None
        self._scp: Scp | None = None
        self._command: str | None = None

    # ---- asyncssh's side

    def connection_made(self, chan: _Channel) -> None:
        self._chan = chan
        chan.set_write_buffer_limits(high=_HIGH_WATER)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        del term_type, term_size, term_modes
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        if subsystem != "sftp" or not self._lab.device.spec.sftp or self._chan is None:
            return False
        root = self._lab.sftp_root().encode()
        self._sftp = SSHServerStreamSession(
            None, lambda chan: asyncssh.SFTPServer(cast("_Channel", chan), chroot=root), 3
        )
        self._sftp.connection_made(self._chan)
        return True

    def session_started(self) -> None:
        if self._sftp:
            self._sftp.session_started()
            return
        if self._chan is None:
            return
        if self._command and self._command.startswith("scp "):
            self._scp = Scp(self._lab.device.flash, self, self._command)
            self._scp.start()
            return
        width, rows, _, _ = self._chan.get_terminal_size()
        later = asyncio.get_running_loop().call_later
        user = str(self._chan.get_extra_info("username", ""))

        def call_later(seconds: float, work: Callable[[], None]) -> Timer:
            return later(seconds, work)

        self._shell = Shell(self._lab.device, self, call_later, user=user, rows=rows or 24, width=width or 80)
        if self._command is None:
            self._shell.start()
        else:
            self._shell.run_once(self._command)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._sftp:
            self._sftp.data_received(data, datatype)
        elif self._scp:
            self._scp.feed(data)
        elif self._shell:
            self._shell.feed(data)

    def eof_received(self) -> bool:
        if self._sftp:
            return bool(self._sftp.eof_received())
        if self._scp:
            self._scp.eof()
        return self._command is not None  # a shell ends when its input does

    def connection_lost(self, exc: Exception | None) -> None:
        self._lab.sessions -= 1
        if self._sftp:
            self._sftp.connection_lost(exc)
        if self._shell:
            self._shell.closed()

    def pause_writing(self) -> None:
        if self._sftp:
            self._sftp.pause_writing()
        elif self._shell:
            self._shell.hold()

    def resume_writing(self) -> None:
        if self._sftp:
            self._sftp.resume_writing()
        elif self._shell:
            self._shell.release()

    # ---- the shell's side

    def send(self, data: bytes) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.write(data)

    def end(self, status: int) -> None:
        if self._chan is not None and not self._chan.is_closing():
            self._chan.exit(status)
            if self._command is None:
                # a device's vty is the whole connection: leaving it hangs up
                asyncio.get_running_loop().call_later(_SETTLE, self._lab.hang_up)

    def break_off(self, kind: BreakKind) -> None:
        if kind == "channel" and self._chan is not None:
            self._chan.close()
        else:
            self._lab.break_off(kind)


class _Server(asyncssh.SSHServer):
    """One connection to one device: authentication and the ways it can break."""

    def __init__(self, listener: _Listener) -> None:
        self.device = listener.device
        self.sftp_root = listener.sftp_root
        self._listener = listener
        self.sessions = 0
        self._conn: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._listener.connections.add(conn)
        self.device.connections += 1
        self.device.links += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.device.links -= 1
        if self._conn is not None:
            self._listener.connections.discard(self._conn)

    def begin_auth(self, username: str) -> bool:
        banner = self.device.platform.banner if self.device.spec.banner is None else self.device.spec.banner
        if banner and self._conn is not None:
            self._conn.send_auth_banner(fill(banner, {**self.device.values, "user": username}).replace("\n", "\r\n"))
        return True

    def auth_completed(self) -> None:
        self.device.logins += 1

    def password_auth_supported(self) -> bool:
        return "password" in self.device.spec.auth

    def validate_password(self, username: str, password: str) -> bool:
        spec = self.device.spec
        right = hmac.compare_digest(password.encode(), spec.password.encode())
        return self._counted(username == spec.username and right)

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self.device.spec.auth

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> KbdIntChallenge:
        del username, lang, submethods
        return "", "", "en", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: KbdIntResponse) -> bool:
        return len(responses) == 1 and self.validate_password(username, responses[0])

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self.device.spec.auth and bool(self.device.spec.authorized_keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = (asyncssh.import_public_key(line) for line in self.device.spec.authorized_keys)
        return username == self.device.spec.username and any(one.public_data == key.public_data for one in known)

    def _counted(self, right: bool) -> bool:
        self.device.auth_failures += not right
        return right

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        limit = self.device.spec.max_sessions
        if limit and self.device.sessions_open >= limit:
            return False
        self.sessions += 1
        return _Terminal(self)

    def hang_up(self) -> None:
        if self._conn is not None and self.sessions <= 0:
            self._conn.close()

    def break_off(self, kind: BreakKind) -> None:
        conn = self._conn
        if conn is None:
            return
        sock: socket.socket = conn.get_extra_info("socket")
        if kind == "disconnect":
            conn.close()
        elif kind == "freeze":
            # asyncssh has no public way to stop reading the socket; a frozen device must not answer keepalives either
            conn._transport.pause_reading()  # type: ignore[union-attr]  # noqa: SLF001
        elif kind == "garbage":
            # Straight past the cipher: a packet whose length and MAC are nonsense. The loop still owns the socket.
            conn._transport.write(b"\xff\x00garbage\x00" * 8)  # type: ignore[union-attr]  # noqa: SLF001
        else:
            if kind == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asyncio.get_running_loop().call_later(_SETTLE, conn.abort)


class _Listener:
    """A device with its open port."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._root = ""

    async def open(self, host: str, port: int) -> int:
        spec = self.device.spec
        key = asyncssh.import_private_key(spec.host_key or shared_host_key())
        pair = asyncssh.load_keypairs([key])[0]
        if spec.algorithms.host_key:
            pair.host_key_algorithms = [name.encode() for name in spec.algorithms.host_key]
        self._acceptor = await asyncssh.listen(
            host,
            port,
            server_factory=lambda: _Server(self),
            server_host_keys=[pair],
            encoding=None,
            line_editor=False,
            kex_algs=list(spec.algorithms.kex) or (),
            encryption_algs=list(spec.algorithms.ciphers) or (),
            mac_algs=list(spec.algorithms.macs) or (),
            compression_algs=["none"],
            # asyncssh waits for its peer's goodbye at most this long
            login_timeout=30,
        )
        return self._acceptor.get_port()

    def sftp_root(self) -> str:
        """The folder that SFTP shows, made and filled at first use."""
        if not self._root:
            self._root = tempfile.mkdtemp(prefix="netssh-lab-")
            for name, content in self.device.spec.files.items():
                path = Path(self._root, name.lstrip("/"))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return self._root

    async def close(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
        for conn in tuple(self.connections):
            conn.abort()
            await conn.wait_closed()
        if self._acceptor is not None:
            await self._acceptor.wait_closed()
        if self._root:
            await asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, self._root, True)


class Network:
    """`async with Network(specs) as net`: every device listens; `net.ports` and `net.device(name)` while it lasts."""

    def __init__(self, specs: Iterable[DeviceSpec], *, host: str = "127.0.0.1", base_port: int = 0) -> None:
        self._specs = tuple(specs)
        self._host = host
        self._base_port = base_port
        self._listeners: dict[str, _Listener | TelnetListener] = {}
        self.ports: dict[str, int] = {}
        names = [spec.name for spec in self._specs]
        if twice := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
            raise LabError(f"device names used twice: {', '.join(twice)}")

    def device(self, name: str) -> Device:
        if name not in self._listeners:
            raise LabError(f"no device {name!r}; there are {', '.join(self._listeners)}")
        return self._listeners[name].device

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number, spec in enumerate(self._specs):
            device = Device(spec, loop.call_soon_threadsafe)
            listener = TelnetListener(device) if spec.telnet else _Listener(device)
            port = spec.port or (self._base_port + number if self._base_port else 0)
            self._listeners[spec.name] = listener
            self.ports[spec.name] = await listener.open(self._host, port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners.values():
            await listener.close()


class RunningNetwork:
    """A network in a thread of its own, for code that blocks. `close()` ends it; so does leaving a `with`."""

    def __init__(self, specs: Iterable[DeviceSpec], *, host: str = "127.0.0.1", base_port: int = 0) -> None:
        self._network = Network(specs, host=host, base_port=base_port)
        self._up: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="netssh-lab", daemon=True)
        self._thread.start()
        self._loop = self._up.result()

    @property
    def ports(self) -> dict[str, int]:
        return self._network.ports

    def device(self, name: str) -> Device:
        return self._network.device(name)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, LabError, asyncssh.Error) as exc:
            if self._up.done():
                raise
            self._up.set_exception(exc)  # the caller's thread says it

    async def _serve(self) -> None:
        async with self._network:
            self._up.set_result(asyncio.get_running_loop())
            await self._stop.wait()


def start_network(specs: Iterable[DeviceSpec], *, host: str = "127.0.0.1", base_port: int = 0) -> RunningNetwork:
    """The devices listen when this returns."""
    return RunningNetwork(specs, host=host, base_port=base_port)
