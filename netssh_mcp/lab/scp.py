"""The device's side of SCP (`scp -t`, `scp -f` as an exec request), with everything that can go wrong there."""

from __future__ import annotations

import enum
from collections.abc import Callable

from netssh_mcp.lab.files import Flash
from netssh_mcp.lab.outlet import Link

_PIECE = 16_384
_OFF = b"Administratively disabled.\n"


class _State(enum.Enum):
    HEADER = enum.auto()  # scp -t waits for one
    DATA = enum.auto()
    START = enum.auto()  # scp -f waits for the other side's word
    READY = enum.auto()
    LAST = enum.auto()
    DONE = enum.auto()


class Scp:
    """One transfer. `feed` takes the client's bytes."""

    def __init__(self, flash: Flash, link: Link, command: str) -> None:
        self._flash, self._link = flash, link
        words = command.split()
        self._stores = "-t" in words
        self._name = flash.name(words[-1])
        self._state = _State.HEADER if self._stores else _State.START
        self._came = b""
        self._size = 0
        self._data = b""
        self._wrote: Callable[[], None] | None = None
        self._left = b""

    def start(self) -> None:
        """Speak first, where that is the device's part."""
        if self._flash.scp == "off":
            self._link.send(_OFF)
            self._end(1)
        elif self._stores:
            self._link.send(b"\0")

    def feed(self, data: bytes) -> None:
        """From the client."""
        if self._state is _State.DONE or self._flash.scp == "off":
            return
        self._came += data
        (self._store if self._stores else self._give)()

    def eof(self) -> None:
        """Nothing more comes from the client: `scp -t` ends then, as OpenSSH's does; one that is frozen does not."""
        if self._state is _State.LAST:
            self._end(0)

    def _no(self, why: str) -> None:
        self._link.send(b"\x01" + f"{self._name}: {why}\n".encode())
        self._end(1)

    def _end(self, status: int) -> None:
        self._state = _State.DONE
        self._link.end(status)

    # ---- scp -t

    def _store(self) -> None:
        if self._state is _State.HEADER:
            line, newline, rest = self._came.partition(b"\n")
            if not newline:
                return
            if self._flash.scp == "refuse":
                self._no("Permission denied")
                return
            self._size = int(line.split()[1])
            self._came, self._state = rest, _State.DATA
            self._link.send(b"\0")
        if self._state is _State.DATA:
            self._take()

    def _take(self) -> None:
        half = len(self._came) > self._size // 2
        if half and self._flash.scp in ("cut", "full", "freeze"):
            self._stored(self._came[: self._size // 2])
            if self._flash.scp == "full":
                self._no("No space left on device")
            elif self._flash.scp == "cut":
                self._state = _State.DONE
                self._link.break_off("reset")
            else:
                self._state = _State.DONE
            return
        if len(self._came) > self._size:
            data = self._came[: self._size]
            self._stored(data[:-1] + b"?" if self._flash.scp == "corrupt" and data else data)
            self._state = _State.LAST
            self._link.send(b"\0")

    def _stored(self, data: bytes) -> None:
        self._flash.contents[self._name] = data
        self._flash.kept += len(data)

    # ---- scp -f

    def _give(self) -> None:
        while self._came and self._state is not _State.DONE:
            self._came = self._came[1:]
            if self._state is _State.START:
                self._header()
            elif self._state is _State.READY:
                self._contents()
            elif self._state is _State.LAST:
                self._after()

    def _header(self) -> None:
        data = self._flash.contents.get(self._name)
        if data is None or self._flash.scp == "refuse":
            self._no("No such file or directory" if data is None else "Permission denied")
            return
        size = len(data) + (1000 if self._flash.scp == "size" else 0)
        name = "../../etc/passwd" if self._flash.scp == "name" else self._name.rpartition("/")[2]
        self._link.send(f"C0644 {size} {name}\n".encode())
        self._data, self._state = data, _State.READY

    def _contents(self) -> None:
        data = self._data
        if self._flash.scp == "corrupt" and data:
            data = data[:-1] + b"?"
        if self._flash.scp in ("cut", "freeze"):
            data = data[: len(data) // 2]
        for at in range(0, len(data), _PIECE):
            self._link.send(data[at : at + _PIECE])
        if self._flash.scp == "cut":
            self._state = _State.DONE
            self._link.break_off("disconnect")
        elif self._flash.scp == "freeze":
            self._state = _State.DONE
        else:
            self._link.send(b"more than was said" if self._flash.scp == "more" else b"\0")
            self._state = _State.LAST

    def _after(self) -> None:
        if self._flash.scp == "second":
            self._link.send(b"C0644 6 authorized_keys\nsecond\0")
        self._end(0)
