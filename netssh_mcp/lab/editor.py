"""The device's line editor: what has been typed, and what of it goes back to the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from netssh_mcp.lab.model import Wrap

NEWLINE = "\n"  # what goes out is the device's own line end


@dataclass(slots=True)
class LineEditor:
    """One line being typed behind a prompt. Every method returns what the terminal shows for it."""

    width: int = 80  # 0 = endless
    wrap: Wrap = "crlf"
    text: str = ""
    _column: int = 0

    def start(self, prompt: str) -> None:
        self.text = ""
        self._column = len(prompt)

    def insert(self, typed: str) -> str:
        self.text += typed
        if not self.width or self.wrap == "none" or self._column + len(typed) < self.width:
            self._column += len(typed)
            return typed
        return self._wrapped(typed)

    def _wrapped(self, typed: str) -> str:
        # A terminal line editor moves on itself when the last column is filled: CR LF, or a space and CR (readline).
        brk = NEWLINE if self.wrap == "crlf" else " \r"
        shown: list[str] = []
        for char in typed:
            shown.append(char)
            self._column += 1
            if self._column >= self.width:
                shown.append(brk)
                self._column = 0
        return "".join(shown)

    def erase(self, count: int = 1) -> str:
        count = min(count, len(self.text))
        if count == 0:
            return ""
        self.text = self.text[:-count]
        self._column = max(self._column - count, 0)
        return "\b \b" * count

    def erase_word(self) -> str:
        kept = self.text.rstrip().rpartition(" ")
        return self.erase(len(self.text) - len(kept[0] + kept[1]))


def tty_echo(typed: str) -> str:
    """What a tty driver shows at once, before any program has read it."""
    ends = typed.replace("\r\n", NEWLINE).replace("\r", NEWLINE)
    return "".join(char for char in ends if char.isprintable() or char in NEWLINE)


def noisy(echo: str, kind: str) -> str:
    """The echo as devices with restless terminals draw it: the visible text is the same."""
    if kind == "backspace":
        return "".join(char if n % 5 != 4 else f"{char} \b" for n, char in enumerate(echo))
    if kind == "ansi":
        return "".join(char if n % 5 != 4 else f"\x1b[m{char}\x1b[K" for n, char in enumerate(echo))
    return echo
