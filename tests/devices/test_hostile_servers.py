"""Servers that are not what they say: another key in the middle of a session, noise before it, numbers without end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from netssh_mcp.errors import NetsshError, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.bastions import Bastions
from netssh_mcp.wire.handshake import Handshake, agree, handshake
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.transport import Link, connect
from tests.devices.direct import no_threads_left

R1 = Device("r1", "r1.example", 22, "linux", "nobody")
KEY, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()


class Listening(paramiko.ServerInterface):
    """Takes nobody in, and keeps what was tried."""

    def __init__(self) -> None:
        self.passwords: list[str] = []

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002
        self.passwords.append(password)
        return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]


class Server(paramiko.Transport):
    """A server whose host key can be another one at the next key exchange."""

    def now_with(self, key: paramiko.PKey) -> None:
        self.server_key_dict: dict[str, Any]
        self.server_key_dict.clear()
        self.add_server_key(key)


@contextmanager
def connected(folder: Path) -> Iterator[tuple[Handshake, Server, Listening]]:
    """Keys are exchanged, and the host's is the one on record."""
    (folder / "known_hosts").write_text(f"r1.example {KEY.get_name()} {KEY.get_base64()}\n")
    keys = HostKeys("strict", (), folder / "known_hosts")
    ours, theirs = socket.socketpair()
    who = Listening()
    server = Server(theirs)
    server.add_server_key(KEY)
    ready = threading.Event()
    server.start_server(event=ready, server=who)
    client = handshake(R1, ours, keys)
    try:
        agree(R1, client, keys, 20)
        assert ready.wait(10)
        yield client, server, who
    finally:
        for transport in (client, server):
            transport.close()
            transport.join(5)
        ours.close()
        theirs.close()


def test_a_server_may_exchange_keys_again_with_the_same_host_key(tmp_path: Path) -> None:
    with connected(tmp_path) as (client, server, who):
        for _ in range(2):
            server.renegotiate_keys()
        with pytest.raises(paramiko.AuthenticationException):
            client.auth_password("admin", "pw")
        assert who.passwords == ["pw"]


def test_another_host_key_in_the_middle_of_a_session_ends_it(tmp_path: Path) -> None:
    with connected(tmp_path) as (client, server, who):
        server.now_with(OTHER)
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):  # the connection is gone
            server.renegotiate_keys()
        client.join(5)
        assert not client.is_active()
        assert "another key in the middle of the session" in str(client.saved_exception)
        with pytest.raises(paramiko.SSHException):
            client.auth_password("admin", "pw")
        assert who.passwords == []
        assert client.host_key_blob == KEY.asbytes()


def test_our_own_new_key_exchange_meets_another_host_key_and_ends_the_session(tmp_path: Path) -> None:
    with connected(tmp_path) as (client, server, _):
        server.now_with(OTHER)
        with pytest.raises(paramiko.SSHException, match="another key in the middle"):
            client.renegotiate_keys()
        client.join(5)
        assert not client.is_active()


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n\0\0\1"])
@pytest.mark.parametrize("mode", ["strict", "tofu"])
def test_a_server_that_says_no_more_gave_no_answer_and_showed_no_wrong_key(
    said: bytes, mode: Any, tmp_path: Path
) -> None:
    keys = HostKeys(mode, (), tmp_path / "known_hosts")
    with socket.create_server(("127.0.0.1", 0)) as listener, no_threads_left():
        listener.settimeout(10)
        taken: list[socket.socket] = []

        def serve() -> None:
            taken.append(listener.accept()[0])
            taken[0].sendall(said)

        serving = threading.Thread(target=serve)
        serving.start()
        device = Device("r1", "127.0.0.1", listener.getsockname()[1], "linux", "nobody")
        link = Link()
        try:
            with pytest.raises(NetsshError) as caught:
                connect([device], keys, time.monotonic() + 0.5, link, Bastions(keys))
        finally:
            link.close()
            serving.join(10)
            taken[0].close()
    assert isinstance(caught.value, Unreachable)
    assert "no answer in time" in str(caught.value)
    assert not (tmp_path / "known_hosts").exists()


class Garbling(Server):
    """A server whose message of one kind is another one than it meant."""

    instead: tuple[int, bytes] = (0, b"")

    def _send_message(self, m: paramiko.Message) -> None:
        kind, data = self.instead
        send = super()._send_message  # type: ignore[misc]  # not in the stubs
        send(paramiko.Message(bytes([kind]) + data) if m.asbytes()[0] == kind else m)


@pytest.mark.parametrize(
    "instead",
    [
        (20, bytes(16) + b"\0\0\0\2\xff\xfe"),
        (31, b"\0\0\0\1k\0\0\0\1q\0\0\0\1s"),
    ],
    ids=["no-text", "no-point"],
)
def test_a_packet_that_is_not_what_it_says_is_an_error_of_ours_and_leaves_nothing_open(
    instead: tuple[int, bytes], tmp_path: Path
) -> None:
    keys = HostKeys("tofu", (), tmp_path / "known_hosts")
    with socket.create_server(("127.0.0.1", 0)) as listener, no_threads_left():
        listener.settimeout(10)
        servers: list[Server] = []

        def serve() -> None:
            server = Garbling(listener.accept()[0])
            server.instead = instead
            server.get_security_options().kex = ("curve25519-sha256@libssh.org",)
            server.add_server_key(KEY)
            server.start_server(event=threading.Event(), server=Listening())
            servers.append(server)

        serving = threading.Thread(target=serve)
        serving.start()
        link = Link()
        device = Device("r1", "127.0.0.1", listener.getsockname()[1], "linux", "nobody")
        with pytest.raises(Unreachable, match="cannot be read"):
            connect([device], keys, time.monotonic() + 20, link, Bastions(keys))
        assert link.closed
        serving.join(10)
        servers[0].close()
    assert not (tmp_path / "known_hosts").exists()
