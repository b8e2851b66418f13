"""One client's socket and its tunnel: two streams, each with an end of its own, and no more in memory than a window."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Final

import paramiko

from netssh_mcp.wire.tunnels import ENDED, drop

_CHUNK: Final = 256 << 10  # bytes from the tunnel at once; Paramiko moves what stays behind
_PACKETS: Final = 8  # from the client before others have their turn
_OVERHEAD: Final = 64  # bytes of a packet that Paramiko keeps for the message around the data
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: the end is a reset, which nobody takes for a regular end


@dataclass(slots=True)
class Counters:
    """Of one forward. `sent` and `received` are bytes as its clients see it; times are monotonic."""

    open: int = 0
    total: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0
    used_at: float = field(default_factory=time.monotonic)
    last_error: str = ""

    def refuse(self, why: str) -> None:
        """One client more that got no connection."""
        self.refused += 1
        self.last_error = why


class Relay:
    """Never blocks on the socket, nor on the channel's window. `early` goes to the tunnel first, `greeting` back."""

    def __init__(
        self,
        sock: socket.socket,
        channel: paramiko.Channel,
        counters: Counters,
        *,
        early: bytes = b"",
        greeting: bytes = b"",
    ) -> None:
        self._sock = sock
        self._channel = channel
        self._counters = counters
        self._early = early
        self._greeting = len(greeting)  # ours, so they are not counted
        self._pending = memoryview(greeting)
        self._up = self._down = True  # the client may send, the tunnel may send

    @property
    def finished(self) -> bool:
        """Whether both streams have ended, or the tunnel has and all of it is with the client."""
        return not self._down and (not self._up or self._channel.closed)

    @property
    def mask(self) -> int:
        """What to wait for on the socket; the tunnel says by itself when it has something, or room."""
        reads = (
            selectors.EVENT_READ
            if self._up and not self._early and not self._channel.closed and self._room() > 0
            else 0
        )
        return reads | (selectors.EVENT_WRITE if self._pending else 0)

    def turn(self, *, readable: bool) -> bool:
        """Move what can be moved now; True when more is there already. OSError where the client has gone."""
        self._counters.used_at = time.monotonic()
        if self._up and (readable or self._early):
            self._to_tunnel()
        return self._to_client() if self._down else False

    def _room(self) -> int:
        channel = self._channel
        return min(channel.out_window_size, channel.out_max_packet_size - _OVERHEAD)

    def _to_tunnel(self) -> None:
        for _ in range(_PACKETS):
            if self._channel.closed:
                self._up = False
                return
            if (room := self._room()) <= 0:
                return
            if self._early:
                data, self._early = self._early[:room], self._early[room:]
            else:
                try:
                    data = self._sock.recv(room)
                except BlockingIOError:
                    return
            if not data:
                self._up = False
                with contextlib.suppress(*ENDED):
                    self._channel.shutdown_write()
                return
            try:
                self._channel.sendall(data)  # there is room for it, and nobody else sends here
            except ENDED:  # what came of the tunnel before is the client's still
                self._up = False
                return
            self._counters.sent += len(data)

    def _to_client(self) -> bool:
        if not self._pending:
            ended = self._channel.eof_received or self._channel.closed  # before the look, or the last bytes are lost
            if not self._channel.recv_ready():
                if ended:
                    self._down = False
                    if self._channel.eof_received:
                        with contextlib.suppress(OSError):
                            self._sock.shutdown(socket.SHUT_WR)
                return False
            self._pending = memoryview(self._channel.recv(_CHUNK))
        try:
            sent = self._sock.send(self._pending)
        except BlockingIOError:
            return False
        self._pending = self._pending[sent:]
        ours = min(sent, self._greeting)
        self._greeting -= ours
        self._counters.received += sent - ours
        return not self._pending

    def end(self) -> None:
        """Close both. A tunnel that ended without saying so (the connection was lost) is a reset for the client."""
        if self.finished and self._channel.eof_received:
            self._sock.close()
        else:
            reset(self._sock)
        drop(self._channel)


def reset(sock: socket.socket) -> None:
    """Close it so that its client cannot take what it has for all there is."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
