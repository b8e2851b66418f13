"""Paramiko and nothing else: what a device says byte for byte, before any of our code has touched it."""

from __future__ import annotations

import re
import socket
import time
from types import TracebackType

import paramiko
from typing_extensions import Self

from tests.lab.reallab import RealLab
from tests.lab.reallab.users import User


class Raw:
    """One SSH connection. `address` None means 127.0.0.1 and the node's port."""

    def __init__(
        self, lab: RealLab, node: str, user: User, *, with_key: bool = False, address: tuple[str, int] | None = None
    ) -> None:
        self.socket = socket.create_connection(address or ("127.0.0.1", lab.port(node)), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = self.socket.getsockname()
        self.transport = paramiko.Transport(self.socket)
        key = paramiko.Ed25519Key.from_private_key_file(str(lab.client_key)) if with_key else None
        self.transport.connect(username=user.name, password=None if with_key else user.password, pkey=key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()
        self.socket.close()

    def run(self, command: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit status, stdout and stderr of an exec request."""
        channel = self.transport.open_session(timeout=5)
        channel.settimeout(15)
        channel.exec_command(command)
        channel.sendall(stdin.encode())
        channel.shutdown_write()
        out, err = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
        return channel.recv_exit_status(), out.decode(), err.decode()

    def sftp(self) -> paramiko.SFTPClient:
        client = self.transport.open_sftp_client()
        assert client is not None
        return client

    def shell(self, *, width: int = 511, height: int = 1000, term: str = "vt100") -> Shell:
        channel = self.transport.open_session(timeout=5)
        channel.get_pty(term, width, height)
        channel.invoke_shell()
        return Shell(channel)


class Shell:
    """An interactive channel; every read has a deadline."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.channel = channel
        self.unread = b""

    def send(self, data: bytes) -> None:
        self.channel.sendall(data)

    def until(self, pattern: bytes, timeout: float = 20.0) -> bytes:
        """All bytes up to the end of the match; EOFError when the device closes, TimeoutError when it hangs."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.unread)):
            self.channel.settimeout(max(0.0, deadline - time.monotonic()))
            try:
                chunk = self.channel.recv(65536)
            except TimeoutError:
                raise TimeoutError(f"no {pattern!r} in {self.unread[-300:]!r}") from None
            if not chunk:
                raise EOFError(repr(self.unread[-300:]))
            self.unread += chunk
        found, self.unread = self.unread[: match.end()], self.unread[match.end() :]
        return found

    def ask(self, command: str, prompt: bytes = rb"\r\n(r\d[^\r\n]*[#>] )") -> str:
        """Sends a line and returns what stands between its echo and the next prompt."""
        self.send(command.encode() + b"\n")
        text = self.until(prompt).decode().replace("\x00", "")
        return text.partition("\r\n")[2].rpartition("\r\n")[0]
