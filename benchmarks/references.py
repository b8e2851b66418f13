"""The others: Paramiko alone, Netmiko as its documentation shows it, Scrapli likewise."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any

import paramiko
from typing_extensions import Self

from benchmarks.devices import Target

_CHUNK = 65536


class Raw:
    """Paramiko and a prompt: the least that reads a command's output. It believes the first prompt that stands last."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection((target.host, target.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = paramiko.Transport(self.socket)
        self.transport.connect(username=target.username, password=target.password)
        self.channel = self.transport.open_session(timeout=30)
        self.channel.get_pty("vt100", 511, 1000)
        self.channel.invoke_shell()
        self.channel.settimeout(60)
        self.prompt = target.prompt
        self._until_prompt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, line: str) -> bytes:
        """What came up to the prompt, echo included."""
        self.channel.sendall(line.encode() + b"\n")
        return bytes(self._until_prompt())

    def _until_prompt(self) -> bytearray:
        got = bytearray()
        while not got.endswith(self.prompt):
            chunk = self.channel.recv(_CHUNK)
            if not chunk:
                raise EOFError(f"closed after {bytes(got[-200:])!r}")
            got += chunk
        return got

    def close(self) -> None:
        """At once."""
        self.transport.close()
        self.socket.close()


def netmiko(target: Target) -> Any:  # noqa: ANN401  (Netmiko's factory)
    """Netmiko's ConnectHandler with its defaults."""
    from netmiko import ConnectHandler

    return ConnectHandler(
        device_type=target.device_type,
        host=target.host,
        port=target.port,
        username=target.username,
        password=target.password,
    )


def no_scrapli() -> str:
    """Why Scrapli cannot be measured here, or ""."""
    try:
        import scrapli  # noqa: F401
    except ImportError as error:
        return f"Scrapli is not installed ({error}); the dependency group `bench` has it"
    except OSError as error:  # its native library does not load on this machine
        return f"Scrapli's library does not load: {error}"
    return ""


def scrapli(target: Target) -> Any:  # noqa: ANN401  (not typed for us)
    """An open Scrapli connection over its own libssh2, which needs no ssh program."""
    from scrapli import AuthOptions, Cli, SessionOptions, TransportSsh2Options

    cli = Cli(
        target.host,
        port=target.port,
        definition_file_or_name="cisco_iosxe",
        auth_options=AuthOptions(username=target.username, password=target.password),
        session_options=SessionOptions(operation_timeout_s=10),
        transport_options=TransportSsh2Options(),
    )
    cli.open()
    return cli
