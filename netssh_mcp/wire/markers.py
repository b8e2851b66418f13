"""Where a command's output ends, on pipes: markers that a shell prints on both streams, which no command can know."""

from __future__ import annotations

import re
from collections.abc import Callable

from netssh_mcp.errors import SessionLost
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean

_TAIL = 8192  # bytes at the end of a stream that hold its last line
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
        """The text so far. May be called from another thread, as the next two."""
        return self.first() + self.second()

    def first(self) -> str:
        """The first stream's text so far."""
        return clean(bytes(self.out))

    def second(self) -> str:
        """The second stream's text so far."""
        return clean(bytes(self.err))


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
    The end marker on stdout carries the exit status, the processes in the background, and the directory. Where the
    command is ended by a signal, another marker (`instead`) stands for it, and there is no status.
    """

    def __init__(self, nonce: str, heard: Callable[[bytes], bytes] = bytes) -> None:
        """`heard` gets all of stderr and gives back what is to be kept."""
        super().__init__()
        self.before, self.after = bytearray(), bytearray()  # what stands outside, of both streams
        self.status: int | None = None  # None: ended by another marker
        self.cwd = ""
        self.background: frozenset[int] = frozenset()
        self._heard = heard
        self._start, self._end = f"{nonce}+", f"{nonce}-"
        self._others: list[str] = []
        self._open = [False, False]
        self._seen = [0, 0]  # bytes of each stream that were searched already
        self._ends: list[tuple[int, int] | None] = [None, None]  # where the last part of an end stands

    def feed(self, command: str, word: str, own: tuple[int, int], *, before: str = "", behind: str = "") -> bytes:
        """The shell's line: marker, `before`, the command, marker. What is ours is not traced by `set -x`.

        `word` is what makes the next word a built-in, whatever functions and aliases there are; `own` are the
        descriptors that nothing redirects.
        """
        out, err = own
        end = f"{word} printf '\\n%s\\n' {self._end}"
        told = f"{word} printf '\\n%s %s\\n' {self._end} \"$?\" >&{out}; {word} jobs -p >&{out}; {word} pwd >&{out}"
        first = f"{{ {mark(self._start, word, own)}; {before}}} 2>/dev/null"
        last = f"{{ {told}; {end} >&{out}; {end} >&{err}{behind}; }} 2>/dev/null"
        # The line break: bash takes the first word behind an unfinished quote in `eval` for no keyword.
        return f"\n{{ {first}; {command}; {last}; }}\n".encode()

    def instead(self, nonce: str, word: str, own: tuple[int, int]) -> bytes:
        """A line that ends the command, too, once the shell comes to it: behind an interrupt."""
        self._others.append(f"{nonce}+")
        return f"\n{{ {mark(self._others[-1], word, own)}; }} 2>/dev/null\n".encode()

    def take(self, reader: Reader) -> bool:
        """Read what is there; whether anything was. Raises SessionLost when the stream has ended."""
        if err := reader.take_stderr():
            self.err += self._heard(err)
        try:
            out = reader.take()
        except SessionLost:
            while more := reader.take_stderr():
                self.err += self._heard(more)
            raise
        self.out += out
        return bool(out or err)

    def partial(self) -> str:
        """The command's own text so far. May be called from another thread."""
        out, err = (
            bytes(stream) if begun else b"" for stream, begun in zip((self.out, self.err), self._open, strict=True)
        )
        return clean(out) + clean(err)

    def last_line(self) -> str:
        """What stands behind the last newline, of stderr where there is something: questions mostly stand there."""
        tails = (bytes(stream[-_TAIL:]).rpartition(b"\n")[2] for stream in (self.err, self.out))
        return next((clean(tail) for tail in tails if tail), "")

    @property
    def spoke(self) -> bool:
        """Whether the command has printed anything on stdout."""
        return self._open[0] and len(self.out) > 0

    def ended(self) -> bool:
        """Both ends have come."""
        out, err = self._found(0, self.out), self._found(1, self.err)  # both are looked at, each time
        return out and err

    def _found(self, number: int, stream: bytearray) -> bool:
        if self._ends[number] is None and (self._open[number] or self._begun(number, stream)):
            since = max(0, self._seen[number] - _MARK)
            for mark in (self._end, *self._others):
                at = stream.find(f"\n{mark}\n".encode(), since)
                if at >= 0:
                    self._ends[number] = at, at + len(mark) + 2
                    break
            self._seen[number] = len(stream)
        return self._ends[number] is not None

    def _begun(self, number: int, stream: bytearray) -> bool:
        start = f"\n{self._start}\n".encode()
        at = stream.find(start, max(0, self._seen[number] - _MARK))
        self._seen[number] = len(stream)
        if at >= 0:
            self.before += stream[:at]
            del stream[: at + len(start)]
            self._open[number], self._seen[number] = True, 0
        return at >= 0

    def forget(self) -> None:
        """Keep nothing of what came before the start but what a marker may stand in."""
        for number, stream in enumerate((self.out, self.err)):
            if not self._open[number]:
                del stream[:-_MARK]
                self._seen[number] = len(stream)

    def cut(self) -> None:
        """Keep what stands between the markers, and read what the end says."""
        for number, stream in enumerate((self.out, self.err)):
            end = self._ends[number]
            assert end is not None
            self.after += stream[end[1] :]
            del stream[end[0] :]
        at = self.out.rfind(f"\n{self._end} ".encode())
        if at < 0:
            return
        status, *told = self.out[at + 1 :].decode("utf-8", "replace").removesuffix("\n").split("\n")
        del self.out[at:]
        self.status = int(status.rpartition(" ")[2])
        jobs = next((number for number, line in enumerate(told) if not line.isdigit()), len(told))
        self.background = frozenset(map(int, told[:jobs]))
        self.cwd = "\n".join(told[jobs:])


def mark(text: str, word: str, own: tuple[int, int]) -> str:
    """Commands that print a marker on both streams."""
    return "; ".join(f"{word} printf '\\n%s\\n' {text} >&{descriptor}" for descriptor in own)
