"""What a terminal was sent, as lines to read: escape sequences applied within their line, or left out.

For programs that move all over the screen there is `terminal_screen`; here each move to another row begins a new line.
"""

from __future__ import annotations

import re
from typing import Final

# ECMA-48, 5.3 to 5.6: CSI; OSC, DCS, SOS, PM, APC up to their end; designations; two-byte escapes.
SEQUENCE: Final = (
    r"\x1b(?:\[(?P<marker>[<=>?]?)(?P<numbers>[0-9;:]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|[PX^_][^\x1b]*\x1b\\"
    r"|(?P<designator>[ -/])(?P<set>[0-~])"
    r"|(?P<escape>[0-OQ-WYZ\\`-~]))"
)
UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/])?\Z")
_TOKEN: Final = re.compile(rf"{SEQUENCE}|(?P<control>[\x00-\x1f\x7f-\x9f])|(?P<plain>[^\x00-\x1f\x7f-\x9f]+)")
_PLAIN_ONLY: Final = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*")
_LONGEST: Final = 4096  # bytes of a sequence; what is longer is none that is waited for


def complete(raw: bytes) -> int:
    """How many bytes of `raw` end with a whole character and a whole escape sequence."""
    end = len(raw)
    for back in range(1, min(4, end) + 1):  # a UTF-8 character cut in two
        byte = raw[end - back]
        if byte & 0xC0 != 0x80:
            long = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            end -= back if long > back else 0
            break
    escape = raw.rfind(b"\x1b", max(0, end - _LONGEST), end)
    if escape > 0 and raw[escape - 1 : escape + 1] != b"\x1b\x1b":  # the ESC may begin the end of a string
        begin = raw.rfind(b"\x1b", max(0, end - _LONGEST), escape)
        if begin >= 0 and UNFINISHED.match(raw[begin:end].decode("latin-1")):
            return begin
    if escape >= 0 and UNFINISHED.match(raw[escape:end].decode("latin-1")):
        return escape
    return end


def lines(raw: bytes, width: int) -> str:
    """The text: backspaces, carriage returns, erasing and moves in a line applied, on rows `width` columns wide."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
    if _PLAIN_ONLY.fullmatch(text):
        return text
    paper = _Paper(width)
    for token in _TOKEN.finditer(text):
        if plain := token["plain"]:
            paper.write(plain)
        elif token["control"]:
            paper.control(token["control"])
        elif token["final"] and not token["between"]:
            paper.sequence(token["marker"], token["numbers"], token["final"])
        elif token["escape"] in ("M", "D", "E"):
            paper.turn()
    return paper.text()


class _Paper:
    """Lines that are done, and the one that is being written, as cells."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._done: list[str] = []
        self._cells: list[str] = []
        self._column = 0

    def text(self) -> str:
        return "\n".join([*self._done, self._line()])

    def _line(self) -> str:
        """What is behind the cursor and blank was erased."""
        at = self._column
        return "".join(self._cells[:at]) + "".join(self._cells[at:]).rstrip(" ")

    @property
    def _row(self) -> int:
        """The column where the cursor's row begins; a line that is too long goes on in the next row."""
        return max(0, self._column - 1) // self._width * self._width

    def turn(self) -> None:
        """Another row: a new line, unless nothing stands in this one."""
        if self._cells:
            self._feed()

    def _feed(self) -> None:
        self._done.append(self._line())
        self._cells, self._column = [], 0

    def write(self, text: str) -> None:
        if (gap := self._column - len(self._cells)) > 0:
            self._cells += " " * gap
        self._cells[self._column : self._column + len(text)] = text
        self._column += len(text)

    def control(self, char: str) -> None:
        if char in "\n\x0b\x0c":
            self._feed()
        elif char == "\r":
            self._column = self._row
        elif char == "\b":
            self._column = max(0, self._column - 1)
        elif char == "\t":
            self.write(char)

    def sequence(self, marker: str, numbers: str, final: str) -> None:
        if marker:
            if marker == "?" and final in "hl" and numbers in ("47", "1047", "1049"):
                self.turn()
            return
        values = [min(int(number), self._width) if number else 0 for number in re.split("[;:]", numbers)]
        first, column = values[0], self._column
        if final in "KPX@":
            self._edit(final, first)
        elif final == "J":
            self.turn() if first else self._edit("K", 0)
        elif final in "Ca":
            self._column = min(column + max(1, first), self._row + self._width - 1)
        elif final == "D":
            self._column = max(self._row, column - max(1, first))
        elif final in "G`":
            self._column = self._row + max(1, first) - 1
        elif final in "Hf":
            self.turn()
            self._column = max(1, values[1] if len(values) > 1 else 1) - 1
        elif final in "ABEFd":
            self.turn()

    def _edit(self, final: str, count: int) -> None:
        cells, at = self._cells, self._column
        if final == "K":
            if count == 0:
                del cells[at:]
            else:
                cells[: at + 1 if count == 1 else len(cells)] = " " * min(at + 1, len(cells))
        elif final == "P":
            del cells[at : at + max(1, count)]
        elif final == "X":
            end = min(len(cells), at + max(1, count))
            cells[at:end] = " " * max(0, end - at)
        elif at < len(cells):
            cells[at:at] = " " * max(1, count)
