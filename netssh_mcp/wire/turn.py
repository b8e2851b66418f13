"""The outside's handle on what a worker thread does, and what a session needs of a driver. No Paramiko in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from netssh_mcp.errors import CommandInterrupted
from netssh_mcp.model import Reply, WaitReason
from netssh_mcp.wire.framing import Prompt


class Turn:
    """The outside's handle on one command: cancel it, give it input, look at what came. Safe from any thread."""

    def __init__(self) -> None:
        self.cancelled = False
        self.waiting: WaitReason | Literal[""] = ""
        self.question = ""
        self.partial: Callable[[], str] = str
        self._inputs: deque[str] = deque()
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

    def send(self, text: str) -> None:
        """Leave text for the thread that owns the connection to type, as it is."""
        self._inputs.append(text)
        self._wake()

    def next_input(self) -> str:
        """The oldest text left to type, or ""."""
        return self._inputs.popleft() if self._inputs else ""


def _nothing() -> None:
    """Nobody to wake yet."""


def not_sent(device: str, what: str) -> CommandInterrupted:
    """The error of a command that was cancelled while it waited for its session."""
    return CommandInterrupted(
        f"{what} was cancelled before it was sent", device=device, effect="none", hint="Run it again."
    )


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

    def open(self, deadline: float, turn: Turn) -> None:
        """Make it ready for commands."""

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False) -> Reply:
        """One line and all of its output, its end proven."""

    def close(self) -> None:
        """Close it; never waits for the device."""
