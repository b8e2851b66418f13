"""One channel, read by sleeping until something happens: bytes, the end of the link, a cancel, or input to send."""

from __future__ import annotations

import threading
import time

import paramiko

from netssh_mcp.errors import SessionLost
from netssh_mcp.wire.telnet import TelnetChannel, TelnetError
from netssh_mcp.wire.userauth import Transport

_CHUNK = 1 << 20
WIDTH, HEIGHT = 511, 1000  # of a screen that nobody sees: as wide as IOS takes; Netmiko's own choice
_TYPING = 0.5  # seconds that a device may refuse to take what we type; lines are short, so it is stuck then


class Reader:
    """Event-driven reads on a channel, with the reason when the link is gone."""

    def __init__(self, channel: paramiko.Channel | TelnetChannel, device: str) -> None:
        self.channel = channel
        self.device = device
        self.wake = threading.Event()
        self.last_data = time.monotonic()
        self.writes = 0
        self._ahead = b""  # given back: it is read again
        self.ended = "the device closed the session"  # what it means here when the other side ends the channel
        channel.settimeout(_TYPING)  # for `write` only: reads ask first whether there is something
        # The pipes set the event on data and on close; cancels and inputs set it too. `wait` clears it, so whoever
        # waits looks at all of them again before waiting anew.
        channel.in_stderr_buffer.set_event(self.wake)  # first: an empty pipe clears it
        channel.in_buffer.set_event(self.wake)

    def take(self) -> bytes:
        """What is there now, at once; b"" when nothing is. Raises SessionLost at the end of the stream."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self.channel.recv_ready():
            data = self.channel.recv(_CHUNK)
            if data:
                self.last_data = time.monotonic()
                return data
        if self.channel.closed or self.channel.eof_received or not self._active():
            # A last read: data may have come between the two looks.
            if self.channel.recv_ready() and (data := self.channel.recv(_CHUNK)):
                return data
            raise self.lost()
        return b""

    def unread(self, data: bytes) -> None:
        """Give back what was read last."""
        self._ahead = data + self._ahead
        self.wake.set()

    def take_stderr(self) -> bytes:
        """What is there of the second stream (exec channels only)."""
        if self.channel.recv_stderr_ready():
            self.last_data = time.monotonic()
            return self.channel.recv_stderr(_CHUNK)
        return b""

    def wait(self, seconds: float) -> None:
        """Sleep until something happens, `seconds` at most."""
        if seconds > 0 and self.wake.wait(seconds):
            self.wake.clear()

    def quiet(self) -> float:
        """Seconds since the last byte."""
        return time.monotonic() - self.last_data

    def write(self, data: bytes) -> None:
        """Write all of it, or raise SessionLost."""
        self.writes += 1
        try:
            self.channel.sendall(data)
        except TimeoutError as exc:
            raise self._named("the device stopped reading what is typed") from exc
        except (OSError, EOFError) as exc:
            raise self.lost() from exc
        self.last_data = time.monotonic()  # silence counts from here

    def _active(self) -> bool:
        transport = self.channel.get_transport()
        return transport.is_active()

    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return not (self.channel.closed or self.channel.eof_received) and self._active()

    def lost(self) -> SessionLost:
        """The error that names how the link ended."""
        transport = self.channel.get_transport()
        saved = transport.saved_exception
        hop = transport.hop_lost() if isinstance(transport, (Transport, TelnetChannel)) else ""
        if hop:
            reason = f"the connection to the jump host {hop} ended"
        elif saved is None:
            reason = self.ended
        elif isinstance(saved, ConnectionResetError):
            reason = "the connection was reset by the device or a firewall"
        elif isinstance(saved, (TimeoutError, OSError)) and not isinstance(saved, EOFError):
            reason = f"the connection broke ({saved.strerror or type(saved).__name__})"
        elif isinstance(saved, TelnetError):
            reason = str(saved)
        elif isinstance(saved, EOFError):
            reason = "the connection was closed by the device"
        else:
            reason = f"the device sent garbage that is not SSH ({type(saved).__name__})"
        return self._named(reason)

    def _named(self, reason: str) -> SessionLost:
        return SessionLost(
            f"the link was lost: {reason}",
            device=self.device,
            hint="Run it again: a new session is opened. Check first whether a command that changes something did run.",
        )
