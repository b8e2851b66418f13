"""The way out to the client: bytes gathered, fragmented, counted, broken off."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from netssh_mcp.lab.faults import NO_FAULTS, BreakKind, Faults


class Link(Protocol):
    """One channel of an SSH connection, seen from the device."""

    def send(self, data: bytes) -> None: ...

    def end(self, status: int) -> None:
        """Close the channel with an exit status."""
        ...

    def break_off(self, kind: BreakKind) -> None: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]


class Outlet:
    """Gathers what one turn of the device writes and sends it at `flush`, with the faults that act on bytes."""

    def __init__(self, link: Link, later: Later, seed: str) -> None:
        self._link = link
        self._later = later
        self._random = random.Random(seed)  # noqa: S311 - repeatable faults, no secret
        self._faults = NO_FAULTS
        self._gathered: list[bytes] = []
        self._pieces: deque[tuple[bytes, float]] = deque()  # fragments, each with the pause after it
        self._timer: Timer | None = None
        self._armed: tuple[BreakKind, int] | None = None
        self._held = False
        self._dead = False
        self.when_ready: Callable[[], None] | None = None

    @property
    def ready(self) -> bool:
        return not (self._pieces or self._held or self._dead)

    def shape(self, faults: Faults) -> None:
        """From the next byte on; what was written before goes out as it was meant."""
        self.flush()
        self._faults = faults

    def arm(self, kind: BreakKind, after: int) -> None:
        """Break off after that many more bytes; 0 = now."""
        self.flush()
        if after <= 0:
            self._break(kind)
        else:
            self._armed = (kind, after)

    def disarm(self) -> None:
        self._armed = None

    def write(self, data: bytes) -> None:
        self._gathered.append(data)

    def flush(self) -> None:
        if not self._gathered or self._dead:
            self._gathered.clear()
            return
        data = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered.clear()
        if self._faults.fragment or self._faults.split_utf8 or self._pieces:
            self._pieces.extend(self._cut(data))
            self._pump()
        else:
            self._send(data)

    def drop(self) -> None:
        """Forget what has not gone out (Ctrl-C)."""
        self._pieces.clear()
        self._gathered.clear()

    def hold(self) -> None:
        self._held = True

    def release(self) -> None:
        self._held = False
        self._announce()

    def stop(self) -> None:
        self._dead = True
        self.drop()
        if self._timer:
            self._timer.cancel()

    def _cut(self, data: bytes) -> list[tuple[bytes, float]]:
        faults = self._faults
        if faults.split_utf8:
            cuts = [n for n, byte in enumerate(data) if byte & 0xC0 == 0x80]  # before each continuation byte
            edges = [0, *cuts, len(data)]
            return [(data[a:b], faults.split_utf8) for a, b in itertools.pairwise(edges) if b > a]
        if not faults.fragment:
            return [(data, 0.0)]
        pieces: list[tuple[bytes, float]] = []
        start = 0
        while start < len(data):
            size = self._random.randint(1, faults.fragment)
            pieces.append((data[start : start + size], faults.fragment_gap))
            start += size
        return pieces

    def _pump(self) -> None:
        if self._timer is not None or self._dead:
            return
        if not self._pieces:
            self._announce()
            return
        piece, gap = self._pieces.popleft()
        self._send(piece)
        self._timer = self._later(gap, self._pump_again)

    def _pump_again(self) -> None:
        self._timer = None
        self._pump()

    def _announce(self) -> None:
        if self.ready and (ready := self.when_ready):
            self.when_ready = None
            ready()

    def _send(self, data: bytes) -> None:
        if self._armed is None:
            self._link.send(data)
            return
        kind, left = self._armed
        self._link.send(data[:left])
        self._armed = (kind, left - len(data))
        if left <= len(data):
            self._break(kind)

    def _break(self, kind: BreakKind) -> None:
        self._armed = None
        self.stop()
        self._link.break_off(kind)
