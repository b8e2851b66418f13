"""Paramiko's transport: user authentication without its two waits, garbage known for what it is, and two things more:
who asks is told of its end (`on_end`), and why a channel was not opened (`said`), which Paramiko only logs.

`ServiceRequestingTransport` asks for the userauth service once, which strict servers need, but then sleeps 0.1 s at
each login; and its handler makes the event it waits for only after the request is on its way, so that a quick answer
is lost and the login hangs until the timeout (1 of 250 logins on loopback, Paramiko 5.1.0). Both are mended here.
Pinned by tests/unit/test_userauth.py: the private names used are Paramiko 5.1's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST
from paramiko.packet import Packetizer

from netssh_mcp.wire.exec_channel import HANDLERS

_KEY_EXCHANGE = range(30, 50)  # RFC 4253, 12: numbers of messages
_LONGEST = 256 * 1024 + 64  # bytes; OpenSSH sends and takes no longer packets (its PACKET_MAX_SIZE)
_LONGEST_BANNER = 64 * 1024  # bytes of all lines before the protocol; RFC 4253 knows none above 255
_LOOK = 0.1  # seconds between looks whether the connection died; the answer itself is an event


class _Handler(AuthOnlyHandler):
    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[paramiko.Message], None] | None = None
    ) -> list[str]:
        """Send one userauth request and wait for the answer; the event is there before the request is sent."""
        self.auth_method, self.username = method, username
        message = paramiko.Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        for part in (username, "ssh-connection", method):
            message.add_string(part)
        if finish_message is not None:
            finish_message(message)
        event = self.auth_event = threading.Event()
        with self.transport.lock:
            self.transport._send_message(message)  # type: ignore[attr-defined]  # noqa: SLF001
        remaining: list[str] = self.wait_for_response(event)
        return remaining


class _Message(paramiko.Message):
    """A message of a key exchange. Paramiko pads a cut number to a megabyte and then takes 45 s to read it."""

    def get_mpint(self) -> int:
        """Read a number; in linear time."""
        return int.from_bytes(self.get_binary(), "big", signed=True)


class _Packetizer(Packetizer):
    """Knows a packet length that no peer sends: Paramiko waits for 4 GB where the length itself is garbage."""

    _before = 0

    def _read_timeout(self, timeout: float) -> bytes:
        """Read a piece of the lines that come before the protocol: Paramiko searches all of them at each piece."""
        piece: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # not in the stubs
        self._before += len(piece)
        if self._before > _LONGEST_BANNER:
            raise paramiko.SSHException("a line without an end")
        return piece

    def read_message(self) -> tuple[int, paramiko.Message]:
        """Read a message, and what belongs to a key exchange as ours."""
        kind, message = super().read_message()
        if kind in _KEY_EXCHANGE:
            ours = _Message(message.asbytes())
            ours.seqno = message.seqno
            message = ours
        return kind, message

    def close(self) -> None:
        """Close, and end the handshake's timer: Paramiko's is a thread that no exit of the process goes without."""
        super().close()
        self.complete_handshake()

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read `n` bytes; SSHException where no packet has so many."""
        if not 0 <= n <= _LONGEST:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        read: bytes = super().read_all(n, check_rekey)
        return read


class Transport(paramiko.ServiceRequestingTransport):  # type: ignore[name-defined,misc]  # newer than the stubs
    """A client's connection whose login waits for nothing but the other side."""

    _channel_handler_table = HANDLERS

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (Paramiko's signature)
        self._userauth_accepted = threading.Event()
        self.hop_lost: Callable[[], str] = str  # the name of the jump host that took this connection along, or ""
        self.far_ports: Any = None  # wire/tunnels.py: the listeners that the other side has for this connection
        self.on_end: list[Callable[[], None]] = []  # called in this thread when it ends, whatever ends it
        self.said = ""  # the peer's words about the channel that was refused last; read in `channel_events[...].set()`
        super().__init__(*args, packetizer_class=_Packetizer, **kwargs)

    def run(self) -> None:
        """As Paramiko's."""
        try:
            super().run()
        finally:
            for told in tuple(self.on_end):
                told()

    def _parse_channel_open_failure(self, message: paramiko.Message) -> None:
        _, _, self.said = message.get_int(), message.get_int(), message.get_text()
        message.rewind()
        super()._parse_channel_open_failure(message)

    def get_auth_handler(self) -> _Handler:
        """Ours, in which no answer is lost."""
        return _Handler(self)

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        super()._parse_service_accept(message)
        self._userauth_accepted.set()

    def ensure_session(self) -> None:
        """Ask for the userauth service once, and go on as soon as it is granted."""
        if not self.is_active() or not self.initial_kex_done:
            raise paramiko.SSHException("No existing session")
        if self._userauth_accepted.is_set():
            return
        message = paramiko.Message()
        message.add_byte(cMSG_SERVICE_REQUEST)
        message.add_string("ssh-userauth")
        self._send_message(message)
        until = time.monotonic() + (self.auth_timeout or 30.0)
        while not self._userauth_accepted.wait(_LOOK):
            if not self.is_active():
                raise self.get_exception() or EOFError("the connection was closed before the login")
            if time.monotonic() >= until:
                raise TimeoutError("no answer to the request for user authentication")
        self.auth_handler = self.get_auth_handler()
