"""One command in a kept shell: its frame, what it reads, and what is typed for it."""

from __future__ import annotations

from typing import Final

from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.answering import Answering
from netssh_mcp.wire.fifo import Fifo
from netssh_mcp.wire.framing import new_nonce
from netssh_mcp.wire.markers import Framed
from netssh_mcp.wire.order import Order
from netssh_mcp.wire.questions import question
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.superuser import Superuser
from netssh_mcp.wire.turn import Turn

_SILENCE: Final = 0.15  # seconds after which a line without an end may be a question


class Command:
    """Blocking where it types; one thread at a time."""

    def __init__(self, framed: Framed, line: str, order: Order, sudo: Superuser | None = None) -> None:
        self.framed, self.line, self.order, self.sudo = framed, line, order, sudo
        self.fifo: Fifo | None = None
        self.events: list[str] = []
        self.given_up = False
        self._answering = Answering(order.answers)
        self._looked_at = -1  # bytes that had come when the last line was looked at

    @classmethod
    def of(cls, shared: Shared, line: str, order: Order) -> Command:
        """InputError for an order that is none."""
        if not order.sudo:
            return cls(Framed(new_nonce()), line, order)
        sudo = Superuser(shared.device, order, shared.sudo)
        command = cls(Framed(new_nonce(), lambda data: sudo.heard(data, command.type)), line, order, sudo)
        return command

    @property
    def needs_input(self) -> bool:
        """Whether something may be typed for it."""
        return bool(self.order.answers) or (self.sudo is not None and self.sudo.needs_input)

    @property
    def path(self) -> str:
        """What it reads."""
        return self.fifo.path if self.fifo is not None and self.order.answers else "/dev/null"

    @property
    def text(self) -> str:
        """For the shell's `eval`."""
        fifo = self.fifo.path if self.fifo is not None else "/dev/null"
        return self.line if self.sudo is None else self.sudo.text(self.line, self.path, fifo)

    def type(self, data: bytes) -> None:
        """Into what it reads."""
        if self.fifo is not None:
            self.fifo.write(data)
            if not self.order.answers:  # that was the password, and nothing else is said
                self.fifo.end()

    def end_input(self) -> None:
        """Nothing more is typed."""
        if self.fifo is not None:
            self.fifo.end()

    def converse(self, turn: Turn, profile: Profile, quiet: float) -> float:
        """Type what was asked for beforehand or left to type; seconds until there is something to look at again."""
        sudo = self.sudo
        if sudo is not None and self.framed.spoke:
            sudo.spoke()
        if self.fifo is None or not self.order.answers:
            return 60.0
        if sudo is not None and not sudo.listens:
            return _SILENCE
        if text := turn.take_input():
            self.type(text.encode())
        if self.framed.size == self._looked_at:
            return 60.0
        if quiet < _SILENCE:
            turn.ask("", "")
            return _SILENCE - quiet
        self._looked_at = self.framed.size
        line = self.framed.last_line()
        if line and (answer := self._answering.to(line)) is not None:
            self.type(answer)
            return 60.0
        reason = question(profile, line) if line else ""
        turn.ask(reason, line if reason else "")
        return 60.0
