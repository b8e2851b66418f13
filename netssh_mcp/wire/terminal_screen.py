"""The screen of a terminal: what an xterm would show after all that a program has sent.

pyte keeps the cells. Its parser is not used, since it prints what it does not know (DCS, `CSI ! p`, `CSI > 1 u`), and
what xterm's terminfo says that a terminal can do and pyte cannot is added: the alternate screen, scrolling by SU and
SD, REP, back tab. Colours are left out. Imported by the first shell: pyte has to stay out of the server's start.
"""

from __future__ import annotations

import codecs
import copy
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import pyte
from pyte.screens import Char, StaticDefaultDict, wcwidth

from netssh_mcp.wire.terminal_text import SEQUENCE, UNFINISHED

_TOKEN: Final = re.compile(rf"{SEQUENCE}|(?P<control>[\x00-\x1f\x7f-\x9f])|(?P<plain>[^\x00-\x1f\x7f-\x9f]+)")
_LONG_STRING: Final = re.compile(r"\x1b[\]PX^_]")
_STRING_END: Final = re.compile(r"[\x07\x9c]|\x1b\\")
_HELD: Final = 4096  # characters of a sequence that has no end yet
_ANSWERS: Final = 16  # reports per piece of text: a file that asks a thousand times is not a program
_MARKS: Final = 4  # combining characters in one cell
_TITLE: Final = 200
_BLANK: Final = Char(" ")
_ALTERNATE: Final = {47, 1047, 1049}
_SIMPLE: Final = {  # one number at most: pyte's name for what the final character means
    final: name for final, name in pyte.Stream.csi.items() if name.startswith(("cursor_", "insert_", "delete_"))
} | {"X": "erase_characters", "g": "clear_tab_stop"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen as it stands: `rows` without blanks at their ends, the cursor counted from 0."""

    rows: tuple[str, ...]
    column: int
    row: int
    hidden: bool
    title: str
    width: int
    height: int

    @property
    def before(self) -> str:
        """What stands in front of the cursor."""
        return self.rows[self.row][: self.column].rstrip()


class _Cells(pyte.Screen):
    """pyte's model, with a second screen, faster drawing, and nothing that grows without end."""

    def __init__(self, columns: int, lines: int) -> None:
        self.main: tuple[Any, Any] | None = None
        self.last = ""
        self._single: dict[str, Any] = {}
        super().__init__(columns, lines)

    def reset(self) -> None:
        self.main = None
        super().reset()

    def draw(self, data: str) -> None:
        """Text without control characters."""
        data = data.translate(self.g1_charset if self.charset else self.g0_charset)
        self.last = data[-1:]
        if data.isascii() and 4 not in self.mode:
            while data:
                room = self.columns - self._in_line(1)
                self._put(data[:room])
                data = data[room:]
            return
        for char in data:
            width = wcwidth(char)
            if width > 0:
                self._in_line(width)
                if 4 in self.mode:  # IRM
                    self.insert_characters(width)
                self._put(char, width)
            elif width == 0 and unicodedata.combining(char):
                self._combine(char)

    def _in_line(self, width: int) -> int:
        """The column to draw at, in the next row if there is no room in this one."""
        if self.cursor.x + width > self.columns:
            if 7 << 5 in self.mode:  # DECAWM
                self.carriage_return()
                self.linefeed()
            else:
                self.cursor.x = max(0, self.columns - width)
        return int(self.cursor.x)

    def _put(self, text: str, width: int = 1) -> None:
        known, line, x = self._single, self.buffer[self.cursor.y], self.cursor.x
        for char in set(text) - known.keys():
            if len(known) > 4096:
                known.clear()
            known[char] = Char(char)
        if any(char not in known for char in text):  # cleared meanwhile
            known.update((char, Char(char)) for char in text)
        line.update(zip(range(x, x + len(text)), map(known.__getitem__, text), strict=False))
        if width == 2:
            line[x + 1] = Char("")
        self.cursor.x = min(x + len(text) * width, self.columns)

    def _combine(self, mark: str) -> None:
        line, x = self.buffer[self.cursor.y], self.cursor.x - 1
        if x > 0 and not line[x].data:
            x -= 1  # the second half of a wide one
        if x >= 0 and len(line[x].data) <= _MARKS:
            line[x] = Char(unicodedata.normalize("NFC", line[x].data + mark))

    def save_cursor(self) -> None:
        self.savepoints.clear()  # a terminal has one
        super().save_cursor()

    def restore_cursor(self) -> None:
        saved = list(self.savepoints)
        super().restore_cursor()
        self.savepoints = saved
        self.cursor = copy.copy(self.cursor)

    def delete_lines(self, count: int | None = None) -> None:
        """pyte leaves a row as it was where the one that takes its place was never written."""
        top, bottom = self.margins or (0, self.lines - 1)
        if top <= self.cursor.y <= bottom:
            for y in range(self.cursor.y, bottom + 1):
                below = self.buffer.pop(y + (count or 1), None) if y + (count or 1) <= bottom else None
                self.buffer.pop(y, None)
                if below is not None:
                    self.buffer[y] = below
            self.carriage_return()

    def alternate(self, *, on: bool) -> None:
        """Swap to the other screen, which begins empty, or back."""
        if on and self.main is None:
            self.main = (self.buffer, copy.copy(self.cursor))
            self.buffer = defaultdict(lambda: StaticDefaultDict(_BLANK))
        elif not on and self.main is not None:
            (self.buffer, cursor), self.main = self.main, None
            self.cursor = cursor
            self.margins = None

    def scroll(self, count: int, *, up: bool) -> None:
        """Within the margins, the cursor staying where it is."""
        top, bottom = self.margins or (0, self.lines - 1)
        x, y = self.cursor.x, self.cursor.y
        for _ in range(min(count, self.lines)):
            self.cursor.y = bottom if up else top
            self.index() if up else self.reverse_index()
        self.cursor.x, self.cursor.y = x, y

    def keep_within(self, top: int, bottom: int) -> None:
        """Scroll between these rows, counted from 1; 0 is the screen's own edge."""
        self.set_margins(top or 1, bottom or self.lines)
        if self.margins == (0, self.lines - 1):
            self.margins = None

    def back_tab(self) -> None:
        """To the tab stop before."""
        self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)


class Screen:
    """Feed it what the program sends; not safe to share between threads without a lock."""

    def __init__(self, width: int, height: int) -> None:
        self._cells = _Cells(width, height)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._in_string = False  # inside a string so long that it is not held
        self._answers: list[str] = []

    @property
    def application_cursor(self) -> bool:
        """The program wants the other form of the cursor keys (DECCKM)."""
        return 1 << 5 in self._cells.mode

    @property
    def alternate(self) -> bool:
        """The alternate screen is shown."""
        return self._cells.main is not None

    def picture(self) -> Picture:
        """The screen now."""
        cells = self._cells
        return Picture(
            rows=tuple(self._row(y) for y in range(cells.lines)),
            column=min(cells.cursor.x, cells.columns - 1),
            row=cells.cursor.y,
            hidden=cells.cursor.hidden,
            title=cells.title,
            width=cells.columns,
            height=cells.lines,
        )

    def _row(self, y: int) -> str:
        line, shown, wide = self._cells.buffer[y], [], False
        for x in range(self._cells.columns):
            data = line[x].data
            shown.append(data or ("" if wide else " "))
            wide = bool(data) and wcwidth(data[0]) == 2
        return "".join(shown).rstrip()

    def feed(self, data: bytes) -> bytes:
        """Show it. What the terminal answers to questions about itself: state, cursor, kind."""
        text = self._held + self._decoder.decode(data)
        self._held, self._answers = "", []
        if self._in_string:
            end = _STRING_END.search(text)
            if end is None:
                self._held = text[-1:] if text.endswith("\x1b") else ""
                return b""
            text, self._in_string = text[end.end() :], False
        if unfinished := self._unfinished(text):
            text = text[: -len(unfinished)]
            self._in_string = len(unfinished) > _HELD and _LONG_STRING.match(unfinished) is not None
            self._held = unfinished if len(unfinished) <= _HELD else ""
        at = 0
        for escape in re.finditer(rf"{SEQUENCE}", text):
            self._show(text[at : escape.start()])
            self._sequence(escape)
            at = escape.end()
        self._show(text[at:])
        return "".join(self._answers[:_ANSWERS]).encode()

    @staticmethod
    def _unfinished(text: str) -> str:
        last = text.rfind("\x1b")
        for at in (text.rfind("\x1b", 0, max(0, last)), last):  # the last ESC may begin the end of a string
            if at >= 0 and UNFINISHED.match(text, at):
                return text[at:]
        return ""

    def _show(self, text: str) -> None:
        cells = self._cells
        for token in _TOKEN.finditer(self._end_of_flood(text)):
            if plain := token["plain"]:
                cells.draw(plain)
                continue
            match token["control"]:
                case "\r":
                    cells.carriage_return()
                case "\n" | "\x0b" | "\x0c":
                    cells.linefeed()
                case "\b":
                    cells.backspace()
                case "\t":
                    cells.tab()
                case "\x0e":
                    cells.shift_out()
                case "\x0f":
                    cells.shift_in()

    def _end_of_flood(self, text: str) -> str:
        """The end of a text that scrolls all before it away. Twice the height: the cursor may be at the top."""
        keep = 2 * self._cells.lines + 1
        if len(text) < 4096 or self._cells.margins is not None or text.count("\n") <= keep:
            return text
        at = len(text)
        for _ in range(keep):
            at = text.rfind("\n", 0, at)
        return text[at + 1 :] if text[at - 1] == "\r" else text

    def _sequence(self, escape: re.Match[str]) -> None:
        cells = self._cells
        if escape["final"]:
            numbers = [min(int(number), 9999) if number else 0 for number in re.split("[;:]", escape["numbers"])]
            if escape["between"]:
                if (escape["between"], escape["final"]) == ("!", "p"):  # DECSTR
                    cells.margins, cells.cursor.hidden = None, False
            elif escape["marker"]:
                self._private(escape["marker"], numbers, escape["final"])
            else:
                self._control(numbers, escape["final"])
        elif escape["osc"] is not None:
            number, _, value = escape["osc"].partition(";")
            if number in ("0", "2"):
                cells.title = value[:_TITLE]
        elif escape["designator"] in ("(", ")"):
            cells.define_charset(escape["set"], mode=escape["designator"])
        elif escape["escape"]:
            self._escape(escape["escape"])

    def _escape(self, char: str) -> None:
        cells = self._cells
        match char:
            case "c":
                cells.reset()
            case "D":
                cells.index()
            case "E":
                cells.carriage_return()
                cells.linefeed()
            case "M":
                cells.reverse_index()
            case "H":
                cells.set_tab_stop()
            case "7":
                cells.save_cursor()
            case "8":
                cells.restore_cursor()

    def _control(self, numbers: list[int], final: str) -> None:
        cells, first = self._cells, numbers[0]
        match final:
            case "H" | "f":
                cells.cursor_position(*numbers[:2])
            case "J" | "K" if first <= (3 if final == "J" else 2):
                cells.erase_in_display(first) if final == "J" else cells.erase_in_line(first)
            case "r":
                cells.keep_within(*(*numbers, 0)[:2])
            case "S" | "T":
                cells.scroll(first or 1, up=final == "S")
            case "Z" | "I" | "b":
                self._again(min(first or 1, cells.columns * cells.lines), final)
            case "h" | "l" if 4 in numbers:
                (cells.set_mode if final == "h" else cells.reset_mode)(4)
            case "s" | "u":
                cells.save_cursor() if final == "s" else cells.restore_cursor()
            case "n" | "c":
                self._report(first, final)
            case _ if final in _SIMPLE:
                getattr(cells, _SIMPLE[final])(first)

    def _again(self, count: int, final: str) -> None:
        cells = self._cells
        if final == "b":  # REP
            cells.draw(cells.last * count)
            return
        for _ in range(min(count, cells.columns)):
            cells.tab() if final == "I" else cells.back_tab()

    def _private(self, marker: str, numbers: list[int], final: str) -> None:
        cells = self._cells
        if marker == ">" and final == "c":
            self._answers.append("\x1b[>41;354;0c")  # xterm
        if marker != "?":
            return
        if final == "n" and numbers[0] == 6:
            self._answers.append(f"\x1b[?{cells.cursor.y + 1};{self._column()}R")
        elif final in "hl":
            for mode in numbers:
                self._mode(mode, on=final == "h")

    def _mode(self, mode: int, *, on: bool) -> None:
        cells = self._cells
        if mode in _ALTERNATE:
            cells.alternate(on=on)
        elif mode == 1048:
            cells.save_cursor() if on else cells.restore_cursor()
        elif mode in (1, 7, 25):  # cursor keys, wrapping, cursor shown
            (cells.set_mode if on else cells.reset_mode)(mode, private=True)

    def _report(self, first: int, final: str) -> None:
        if final == "c" and first == 0:
            self._answers.append("\x1b[?1;2c")  # a VT100 with advanced video, as xterm says by default
        elif final == "n" and first == 5:
            self._answers.append("\x1b[0n")
        elif final == "n" and first == 6:
            self._answers.append(f"\x1b[{self._cells.cursor.y + 1};{self._column()}R")

    def _column(self) -> int:
        return min(int(self._cells.cursor.x), int(self._cells.columns) - 1) + 1
