"""Where a command's output ends, on pipes: markers that a shell prints on both streams, which no command can know."""

from __future__ import annotations

import re

from netssh_mcp.errors import SessionLost
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean

_MARK = 64  # bytes at the end of a stream in which its end marker stands


class Streams:
    """What a command has printed so far."""

    def __init__(self) -> None:
        self.out, self.err = bytearray(), bytearray()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return len(self.out) + len(self.err)

    def take(self, reader: Reader) -> bool:
        """Read what is there; whether anything was. Raises SessionLost when the stream has ended."""
        before = self.size
        self.err += reader.take_stderr()
        try:
            self.out += reader.take()
        except SessionLost:
            while more := reader.take_stderr():
                self.err += more
            raise
        return self.size > before

    def partial(self) -> str:
        """The text so far. May be called from another thread."""
        return clean(bytes(self.out)) + clean(bytes(self.err))


class Marked(Streams):
    """One command's output and the marker that stands last on each stream."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self._marker = marker
        self._out_end = re.compile(rb"\n%s (\d+)\n\Z" % marker.encode())
        self._err_end = b"\n%s\n" % marker.encode()

    def marks(self, status: str) -> str:
        """The shell line that prints the markers; on stdout with `status`."""
        return f"printf '\\n%s %s\\n' {self._marker} {status}; printf '\\n%s\\n' {self._marker} >&2\n"

    def ended(self) -> bool:
        """Both markers stand last."""
        return self.err.endswith(self._err_end) and self._out_end.search(self.out, self._tail()) is not None

    def forget(self) -> None:
        """Keep only what an end marker may stand in."""
        del self.out[:-_MARK], self.err[:-_MARK]

    def _tail(self) -> int:
        return max(0, len(self.out) - _MARK)

    def cut(self) -> int:
        """Take the markers off; the exit status."""
        match = self._out_end.search(self.out, self._tail())
        assert match is not None
        status, start = int(match[1]), match.start()
        del self.out[start:], self.err[-len(self._err_end) :]
        return status


class Framed(Streams):
    """One command's output between a start and an end marker on each stream; what stands outside is nobody's.

    Processes that an earlier command left in the background write whenever they want, so an end need not stand last.
    The end marker on stdout carries the exit status, the processes in the background, and the directory.
    """

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.before = bytearray()  # what came before the start, of both streams
        self.status = 0
        self.cwd = ""
        self.background: frozenset[int] = frozenset()
        self.begun = False  # the shell has come to this command
        self._start, self._end = f"{nonce}+", f"{nonce}-"
        self._seen = [0, 0]  # bytes of each stream that were searched already
        self._open = [False, False]
        self._ends = [-1, -1]

    def feed(self, before: str, command: str, word: str, own: tuple[int, int]) -> bytes:
        """The shell's line: marker, `before`, the command, marker. What is ours is not traced by `set -x`.

        `word` is what makes the next word a built-in, whatever functions and aliases there are; `own` are the
        descriptors that nothing redirects.
        """
        out, err = own
        start = f"{word} printf '\\n%s\\n' {self._start}"
        end = f"{word} printf '\\n%s\\n' {self._end}"
        told = f"{word} printf '\\n%s %s\\n' {self._end} \"$?\" >&{out}; {word} jobs -p >&{out}; {word} pwd >&{out}"
        first = f"{{ {start} >&{out}; {start} >&{err}; {before}}} 2>/dev/null"
        last = f"{{ {told}; {end} >&{out}; {end} >&{err}; }} 2>/dev/null"
        return f"{{ {first}; {command}; {last}; }}\n".encode()

    def ended(self) -> bool:
        """Both ends have come."""
        out, err = self._found(0, self.out), self._found(1, self.err)  # both are looked at, each time
        return out and err

    def forget(self) -> None:
        """Keep nothing of what came before the start but what a marker may stand in."""
        for number, stream in enumerate((self.out, self.err)):
            if not self._open[number]:
                del stream[:-_MARK]
                self._seen[number] = len(stream)

    def _found(self, number: int, stream: bytearray) -> bool:
        if self._ends[number] >= 0:
            return True
        if not self._open[number]:
            mark = f"\n{self._start}\n".encode()
            at = stream.find(mark, max(0, self._seen[number] - _MARK))
            self._seen[number] = len(stream)
            if at < 0:
                return False
            self.before += stream[:at]
            del stream[: at + len(mark)]
            self.begun = self._open[number] = True
            self._seen[number] = 0
        self._ends[number] = stream.find(f"\n{self._end}\n".encode(), max(0, self._seen[number] - _MARK))
        self._seen[number] = len(stream)
        return self._ends[number] >= 0

    def cut(self) -> None:
        """Keep what stands between the markers, and read what the end says."""
        at = self.out.rfind(f"\n{self._end} ".encode(), 0, self._ends[0])
        status, *told = self.out[at + 1 : self._ends[0]].decode("utf-8", "replace").split("\n")
        del self.out[at:], self.err[self._ends[1] :]
        self.status = int(status.rpartition(" ")[2])
        jobs = next((number for number, line in enumerate(told) if not line.isdigit()), len(told))
        self.background = frozenset(map(int, told[:jobs]))
        self.cwd = "\n".join(told[jobs:])

    def unsolicited(self) -> list[str]:
        """Lines that came before the start: of processes in the background, or what the shell says of them."""
        lines = clean(bytes(self.before)).split("\n")
        return [line for line in lines if line.strip() and self._start[:-1] not in line]
