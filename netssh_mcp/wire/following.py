"""The host's own SHA-256 of a file, made there while its contents pass: at their end it is nearly done.

A script on a channel of its own is told how far a transfer is and hashes no further, so that it reads what is in memory
anyway, and ends with us. Where no command may run there is no checksum, and nothing else fails for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from netssh_mcp.errors import SessionLost, TransferBroken, Unreachable
from netssh_mcp.wire.piped import Piped
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn

_BLOCK: Final = 1 << 20
_STEP: Final = 4  # blocks, at least, that the script is told of at once
# What comes faster than 1 Gbit/s is limited by processors, and a checksum at the same time would take its share of
# them: it is made behind it, but for so much that the host does not stay silent for long.
_FAST: Final = 120e6  # bytes per second
_BEHIND: Final = 1 << 30  # bytes
# $1 path, $2 size. Lines: `b N`, so many blocks are there now; `e N`, so many bytes behind them, and that is all. `dd`
# takes no byte more than it was told (`head` may). openssl takes a quarter of sha256sum's time where the processor
# knows SHA-2, and some milliseconds to start.
_PROGRAM: Final = (
    'h=sha256sum; command -v sha256sum >/dev/null || h="shasum -a 256"; '
    f'if [ "$2" -gt {8 * _BLOCK} ]; then case $(openssl dgst -sha256 -r </dev/null 2>/dev/null) in '
    'e3b0c44298*) h="openssl dgst -sha256 -r";; esac; fi; '
)
_FOLLOWED: Final = (
    f'exec 3< "$1" || exit 1; {_PROGRAM}read -r w n || exit 1; '
    'if [ "$w$n" = "e$(wc -c < "$1")" ]; then exec $h <&3 2>/dev/null; fi; '
    '{ while case $w in b) dd bs=1048576 count="$n" <&3;; e) head -c "$n" <&3; false;; esac; do '
    "read -r w n || exit 1; done; } 2>/dev/null | $h 2>/dev/null"
)
SHA256: Final = f'{_PROGRAM}head -c "$2" -- "$1" | $h 2>/dev/null'  # of a file that is whole


Asked = Callable[[int], str]


class Follower(Protocol):
    """A checksum that is being made. Blocking; one thread at a time."""

    def upto(self, offset: int) -> None:
        """The file is there to this offset."""

    def end(self, size: int) -> None:
        """The file is there, and has so many bytes that count."""

    def digest(self) -> str:
        """Of these, in hex; "" where the host does not tell it."""

    def close(self) -> None:
        """It is not wanted any more; never waits."""


class Following:
    """See `Follower`. The file must be there already; `otherwise` is asked where the host tells nothing."""

    def __init__(self, shared: Shared, turn: Turn, path: str, size: int, *, otherwise: Asked, patience: float) -> None:
        self._otherwise = otherwise
        self._said = self._size = 0  # bytes
        self._began = time.monotonic()
        self._works = True
        self._shared = shared
        self._piped = Piped(shared, turn, patience=patience)
        try:
            self._piped.begin(_FOLLOWED, (path, str(size)))
        except (SessionLost, Unreachable):
            self._works = False  # no room for a channel; a lost link is for the transfer to find

    def upto(self, offset: int) -> None:
        """See `Follower`."""
        blocks = (offset - self._said) // _BLOCK
        fast = offset > _FAST * (time.monotonic() - self._began)
        if self._works and blocks >= (_BEHIND // _BLOCK if fast else _STEP):
            self._works = self._piped.say(b"b %d\n" % blocks)
            self._said += blocks * _BLOCK

    def end(self, size: int) -> None:
        """See `Follower`."""
        self._size = size
        self._works = self._works and self._piped.say(b"e %d\n" % (size - self._said))

    def digest(self) -> str:
        """See `Follower`."""
        return self._told() or self._otherwise(self._size)

    def _told(self) -> str:
        if not self._works:
            return ""
        out = bytearray()
        try:
            ran = self._piped.finish(sink=out.extend)
        except TransferBroken:  # what reads so slowly, or hangs, is left alone
            return ""
        except SessionLost:
            if not self._shared.alive:
                raise
            return ""
        return spelled(out) if ran.status == 0 else ""

    def close(self) -> None:
        """See `Follower`."""
        if self._works:
            self._piped.drop()


class Afterwards:
    """See `Follower`: a checksum that is asked for at the end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._size = 0

    def upto(self, offset: int) -> None:
        """Nothing to do."""

    def end(self, size: int) -> None:
        """See `Follower`."""
        self._size = size

    def digest(self) -> str:
        """See `Follower`."""
        return self._asked(self._size)

    def close(self) -> None:
        """Nothing to do."""


def spelled(out: bytes | bytearray) -> str:
    """The checksum at the start of what the program printed, or ""."""
    told = bytes(out[:64]).decode("ascii", "replace")
    return told if len(out) > 64 and set(told) <= set("0123456789abcdef") else ""
