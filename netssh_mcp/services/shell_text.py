"""What may be shown of a terminal: new text by cursor, and the screen, both without secrets. For worker threads."""
# ruff: noqa: PLC0415  (the wire is imported by the first shell: the start budget)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import InputError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services.shown import Partial

if TYPE_CHECKING:
    from netssh_mcp.wire.terminal import Terminal
    from netssh_mcp.wire.terminal_screen import Picture

MOST: Final = 20_000  # bytes of a terminal's output in one answer
SETTLED: Final = 0.2  # seconds of silence after which a line that has not ended is shown
ANSWERED: Final = 0.4  # seconds that the far side gets to ask for a secret before the next thing is typed
_BEFORE: Final = 65_536  # bytes in front of the cursor in which a key or a table may have begun
_TORN: Final = 16_384  # bytes of a line whose beginning is not kept any more, and which is passed over
_PREFIX: Final = 4  # characters of a known secret that hold a line back
_HELD: Final = 2.0  # seconds for which they do


@dataclass(frozen=True, slots=True)
class Piece:
    """Text behind a cursor. `cursor` is where to read on, `more` says that there is more already."""

    text: str
    cursor: int
    more: bool
    dropped: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One terminal as its readers see it."""

    terminal: Terminal
    redactor: Redactor
    profile: Profile
    vault: Vault

    def piece(self, cursor: int, *, half: bool, most: int = MOST) -> Piece:
        """What came behind `cursor`. InputError when it is beyond what has come.

        Whole lines; with `half`, the line that has not ended, too: half a line may hold half a secret.
        """
        from netssh_mcp.wire.terminal_text import complete

        start, total = self.terminal.span
        if cursor > total:
            raise InputError(
                f"the cursor {cursor} is beyond what this shell has sent ({total} bytes)",
                hint="Give the cursor of this shell's last answer; 0 is the beginning.",
            )
        base = max(start, cursor - _BEFORE)
        raw = self.terminal.raw(base, total)
        asked, at = cursor, max(0, cursor - base)
        if cursor < start:
            at = raw.find(b"\n", 0, _TORN) + 1
        elif base > start:
            cut = raw.find(b"\n", 0, at) + 1
            raw, base, at = raw[cut:], base + cut, at - cut
        limit = min(len(raw), at + most)
        end = max(at, raw.rfind(b"\n", at, limit) + 1)
        if limit < len(raw):
            end = end if end > at else self._cut(raw, at, limit)
        elif half:
            end = self._held_back(raw, max(end, complete(raw)))
        text = self._text(raw[:end], at)
        return Piece(text, base + end, more=limit < len(raw), dropped=max(0, base + at - asked) if asked < start else 0)

    def screen(self, picture: Picture) -> str:
        """The screen's rows. A row that is full may go on in the next one, and a secret with it."""
        rows = list(picture.rows)
        while rows and not rows[-1]:
            rows.pop()
        joined = "".join(row if len(row) >= picture.width else f"{row}\n" for row in rows)
        shown = self.redactor.text(joined, self.profile)
        return "\n".join(rows) if shown == joined else shown.rstrip("\n")

    def line(self, text: str) -> str:
        """A prompt, a title: short."""
        return self.redactor.text(text, self.profile)

    def _text(self, raw: bytes, at: int) -> str:
        """The text of `raw[at:]` behind that of `raw[:at]`; a line that was shown and then rewritten is shown anew."""
        from netssh_mcp.wire.terminal_text import lines

        width = self.terminal.width
        begin = raw.rfind(b"\n", 0, at) + 1
        before, given = lines(raw[:begin], width), lines(raw[begin:at], width)
        rest = lines(raw[begin:], width)
        if not rest.startswith(given):
            rest = f"{given}\n{rest}"
        shown = len(before) + len(given)
        text = before + rest
        return Partial(self.redactor, self.profile).new(text, shown, len(text), len(text))[0]

    def _cut(self, raw: bytes, at: int, limit: int) -> int:
        """Where a line that is longer than an answer is cut: not within an escape sequence, nor within a secret."""
        from netssh_mcp.wire.terminal_text import complete, lines

        end = at + max(1, complete(raw[at:limit]))
        for _ in range(4):
            before = lines(raw[at:end], self.terminal.width)
            behind = lines(raw[at : end + 2048], self.terminal.width)
            if self.line(behind).startswith(self.line(before)):
                break
            end = max(at + 1, raw.rfind(b" ", at, end - 1), end - 512)
        return at + max(1, complete(raw[at:end]))

    def _held_back(self, raw: bytes, end: int) -> int:
        """Less, for a while, where the end of the text may be the beginning of a known secret."""
        if self.terminal.quiet() > _HELD or self.terminal.ended is not None:
            return end
        tail = raw[max(0, end - 512) : end].decode("latin-1")
        for value in self.vault.spelled():
            if value[:_PREFIX] in tail:
                for long in range(min(len(value) - 1, len(tail)), _PREFIX - 1, -1):
                    if tail.endswith(value[:long]):
                        return end - long
        return end


class Watch:
    """What `wait` looks for behind a cursor: a line with the pattern, silence, the end."""

    def __init__(self, reading: Reading, cursor: int, found: Callable[[str], bool] | None, quiet: float) -> None:
        self._reading = reading
        self._at = cursor
        self._found = found
        self._quiet = quiet
        self.line = ""

    def look(self) -> tuple[str | None, float]:
        """Why the waiting is over, or None; and when to look again though nothing comes."""
        terminal = self._reading.terminal
        over, silent = terminal.ended is not None, terminal.quiet()
        if self._found is not None and self._has(self._found, half=over or silent >= SETTLED / 4):
            return "pattern", 0.0
        if over:
            return "ended", 0.0
        if self._quiet and silent >= self._quiet:
            return "quiet", 0.0
        waits = [each - silent for each in (SETTLED / 4, self._quiet) if each > silent]
        return None, min(waits, default=3600.0)

    def _has(self, found: Callable[[str], bool], *, half: bool) -> bool:
        more = True
        while more:
            piece = self._reading.piece(self._at, half=False)
            self._at, more = piece.cursor, piece.more
            if self._matches(piece.text, found):
                return True
        return half and self._matches(self._reading.piece(self._at, half=True).text, found)

    def _matches(self, text: str, found: Callable[[str], bool]) -> bool:
        self.line = next((line for line in text.split("\n") if found(line)), "")
        return bool(self.line) or (bool(text) and found(""))


class Answered:
    """Whether the far side has had its time to answer what was typed last, so that a question is seen."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def look(self) -> tuple[str | None, float]:
        """As `Watch.look`."""
        terminal = self._terminal
        silent = terminal.quiet()
        if silent >= ANSWERED or (terminal.last_data > terminal.last_press and silent >= SETTLED / 4):
            return "answered", 0.0
        return None, SETTLED / 4
