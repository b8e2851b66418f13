"""What is typed while a command runs: answers given beforehand, and input. Never anything of our own.

Each goes to the question it was meant for, once: what was typed at stands on the screen until the device goes on, so a
question counts as asked again only when it came behind what was typed.
"""

from __future__ import annotations

import re

from netssh_mcp.errors import InputError
from netssh_mcp.wire.answering import Answering
from netssh_mcp.wire.framing import WAITING, Exchange
from netssh_mcp.wire.login import INTERRUPT
from netssh_mcp.wire.order import Answer
from netssh_mcp.wire.questions import ONE_KEY, is_choice, one_line, question, standing
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.turn import Turn

_MOVED_ON = 0.6  # seconds of silence after which a question that does not stand last is gone
_NEAR = 400  # characters: some log lines
_TAIL = 2048  # bytes: page prompts are far shorter
_ASKS = tuple(":?]>")  # how a line ends that may ask; what is typed into an output is the next command


def one_line_each(answers: tuple[Answer, ...]) -> None:
    """A second line would be typed at whatever comes behind the question, a prompt too. InputError."""
    for number, answer in enumerate(answers, 1):
        if not one_line(answer.send):
            raise InputError(
                f"answer {number} is more than one line",
                hint="Give one answer per question; a key such as <ctrl-c> stands alone or last.",
            )


class Dialogue:
    """One command's."""

    def __init__(self, reader: Reader, exchange: Exchange, turn: Turn, answers: tuple[Answer, ...]) -> None:
        self.typed = 0  # how many times something was typed
        self.events: list[str] = []
        self._reader = reader
        self._exchange = exchange
        self._turn = turn
        self._answering = Answering(answers)
        self._answers_left = len(answers)
        self._typed_at = 0  # bytes that had come when the last input was typed
        self._held = ""  # input for a question behind which something has come

    def take(self) -> None:
        """Type what the outside has left, at once if no byte has come since its question."""
        if self._turn.take_signal() == "INT":
            self._type(INTERRUPT)
            self.events.append("Ctrl-C was typed because the caller asked for it")
            return
        if text := self._turn.take_input():
            self._held = text
            if self._exchange.waiting or self._turn.answered[0] in ("", "pager"):
                self._release()

    def ended(self) -> list[str]:
        """What the row's events say of it."""
        if self._held:
            self._exchange.waiting = ""
            self._release()
        return self.events

    def look(self) -> float | None:
        """See what is asked now, and answer it if the caller said how. Seconds until another look is due, if any."""
        exchange = self._exchange
        if exchange.waiting and self._typed_at and not self._asked_anew():
            exchange.waiting = ""
        due = self._settle() if self._held else None
        if due is None and self._answers_left:
            due = self._answer()
        if not self._undecided():
            self._turn.ask(exchange.waiting, exchange.question)
        return due

    def _undecided(self) -> bool:
        """Something has just come close behind the question that the outside sees: a log line, as a rule."""
        asked, line = self._turn.waiting, self._turn.question
        if self._exchange.waiting or asked in ("", "pager") or self._reader.quiet() >= WAITING:
            return False
        return line in self._exchange.tail()[-_NEAR - len(line) :]

    def _settle(self) -> float | None:
        """A log line may have come behind the question, and be coming still: a silence decides."""
        left = _MOVED_ON - self._reader.quiet()
        if self._exchange.waiting or left <= 0:
            self._release()
            return None
        return left

    def _release(self) -> None:
        """Type the input if its question stands."""
        text, self._held = self._held, ""
        exchange = self._exchange
        if exchange.waiting and (exchange.waiting, exchange.question) == self._turn.answered:
            self._type(text.encode())
        else:
            self.events.append("the input was not typed: the device had moved on from its question")

    def _answer(self) -> float | None:
        exchange = self._exchange
        line = exchange.question if exchange.waiting else last_line(self._new())
        if not exchange.waiting and not self._may_ask(line):
            return None
        if (left := WAITING - self._reader.quiet()) > 0:
            return left
        send = self._answering.to(line)
        if send is None:
            return None
        self._answers_left -= 1
        if exchange.waiting in ONE_KEY:
            send = send.rstrip(b"\n")[:1] or b"\n"  # IOS reads "y" of "yes", and would run the rest as a command
        if exchange.waiting == "yes_no" and not is_choice(exchange.question, send.decode("utf-8", "replace").strip()):
            self.events.append("an answer was not typed: the question offers other words")
        else:
            self._type(send)
        return None

    def _may_ask(self, line: str) -> bool:
        """Not a prompt: that takes commands, and those are the policy's to allow. Nor the command's own echo."""
        exchange = self._exchange
        prompt = line.endswith(exchange.prompt.line) or re.search(rf"(?:{exchange.profile.prompts.pattern})\Z", line)
        return not prompt and line not in exchange.line and line.rstrip().endswith(_ASKS)

    def _type(self, data: bytes) -> None:
        self._reader.write(data)
        self.typed += 1
        self._typed_at, self._exchange.waiting = len(self._exchange.raw), ""
        self._turn.ask("", "")

    def _new(self) -> str:
        raw = self._exchange.raw
        return clean(memoryview(raw)[max(self._typed_at, len(raw) - _TAIL) :])

    def _asked_anew(self) -> bool:
        """A page prompt has to be there whole, as the echo of a blank behind the old one looks like a new one."""
        new = self._new()
        if self._exchange.waiting == "pager":
            return question(self._exchange.profile, last_line(new)) == "pager"
        return standing(self._exchange.profile, new)[0] != ""
