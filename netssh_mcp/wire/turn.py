"""The outside's handle on what a worker thread does, and what a session needs of a driver. No Paramiko in here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from netssh_mcp.errors import NotSent
from netssh_mcp.model import Reply, WaitReason
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.order import PLAIN, Order

if TYPE_CHECKING:
    from netssh_mcp.wire.seen import Seen


class Turn:
    """The outside's handle on one command: cancel it, give it input, look at what came. Safe from any thread."""

    def __init__(self) -> None:
        self.cancelled = False
        self.waiting: WaitReason | Literal[""] = ""
        self.question = ""
        self.queued = False  # the device's sessions are all in use, and this waits for one
        self.answered: tuple[WaitReason | Literal[""], str] = ("", "")  # the question that the input is for
        self.partial: Callable[[], str] = str
        self.errors: Callable[[], str] = str  # of the second stream, where `partial` is only the first
        self.pid = 0  # at the far side, once it is known: of the command, or of the kept shell that runs it
        self.login: Seen | None = None  # what a login of its own has shown, where it took one
        self._signal = ""
        self._input = ""  # one at most: a second one would be an answer to a question nobody has seen
        self._asking = threading.Lock()
        self._wake: Callable[[], None] = _nothing

    def bind(self, wake: Callable[[], None]) -> None:
        """Say how to wake the thread that owns the connection, or how to break off a login."""
        self._wake = wake
        if self.cancelled:
            wake()

    def unbind(self) -> None:
        """There is nobody to wake any more."""
        self._wake = _nothing

    def cancel(self) -> None:
        """Ask the thread that owns the connection to stop the command."""
        self.cancelled = True
        self._wake()

    def ask(self, waiting: WaitReason | Literal[""], question: str) -> None:
        """What the command waits for. An answer that is on its way to be typed keeps it from being asked again."""
        with self._asking:
            self.waiting, self.question = ("" if self._input else waiting), question

    def send(self, text: str) -> bool:
        """Leave text for the thread that owns the connection to type, as it is. False while another is left there."""
        with self._asking:
            if self._input:
                return False
            self._input, self.waiting, self.answered = text, "", (self.waiting, self.question)
        self._wake()
        return True

    def take_input(self) -> str:
        """The text left to type, or ""; it is not left there any longer."""
        with self._asking:
            text, self._input = self._input, ""
            return text

    def signal(self, name: str) -> None:
        """Ask the thread that owns the connection to send the command a signal ("INT", "TERM") and to go on waiting."""
        with self._asking:
            self._signal = name
        self._wake()

    def take_signal(self) -> str:
        """The signal left to send, or ""; it is not left there any longer."""
        with self._asking:
            name, self._signal = self._signal, ""
            return name

    def forget_input(self) -> None:
        """The command that asked has ended, or begins anew: nothing waits, and no answer to it is typed any more."""
        with self._asking:
            self._input = self._signal = ""
            self.waiting = ""


def _nothing() -> None:
    """Nobody to wake yet."""


def not_sent(device: str, what: str) -> NotSent:
    """The error of a command that was cancelled while it waited for its session."""
    return NotSent(f"{what} was cancelled before it was sent", device=device, hint="Run it again.")


class Connection(Protocol):
    """An open connection to one device. Blocking; one thread at a time owns it."""

    prompt: Prompt
    events: list[str]

    @property
    def mode(self) -> str:
        """The mode that the device is in: exec, enable, config, shell, ... or "" when it is not known."""

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""

    def answers(self) -> bool:
        """Whether the other side still answers, asked while nothing runs; within seconds."""

    def open(self, deadline: float, turn: Turn) -> None:
        """Make it ready for commands."""

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False, order: Order = PLAIN) -> Reply:
        """One line and all of its output, its end proven."""

    def help(self, typed: str, *, deadline: float, turn: Turn) -> str:
        """The device's own help behind `typed`; nothing is executed."""

    def close(self) -> None:
        """Close it; never waits for the device."""
