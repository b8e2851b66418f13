"""How the commands of one device get there in one call of `run`: channels, a login, or a session with a name.

Opened by the first command that is allowed, closed with the call. Blocking work is the pool's and the sessions'.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import CommandDenied, NetsshError, NothingSent, SessionLost, Skipped
from netssh_mcp.guard.actions import Form
from netssh_mcp.guard.policy import Grant
from netssh_mcp.model import READS, Reply
from netssh_mcp.services.answers import milliseconds
from netssh_mcp.services.desk import Desk, Place
from netssh_mcp.services.jobs import Row
from netssh_mcp.services.listing import transcript_key
from netssh_mcp.sessions.lease import Lease
from netssh_mcp.wire.order import Order

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared

BYTE_LIMIT: Final = 64 << 20  # of one command's output held in memory; what is longer is interrupted
# Built-ins of POSIX shells, bash and zsh whose effect stays, other than a directory's, and assignments.
_STAYS: Final = re.compile(
    r"(?:\.|alias|autoload|bind|builtin|command|compdef|complete|coproc|declare|enable|eval|exec|export|function|getopts"
    r"|hash|integer|let|local|mapfile|readarray|printf\s+-v|read|readonly|set|setopt|shopt|source|trap|typeset|unalias"
    r"|unset|unsetopt|vared|zmodload)(?:\s|$)|\\|\S*=|\S*\(\)"
)


class Way(ABC):
    """Subclasses say what is opened. `forms` are what the next command may be, the likeliest first."""

    def __init__(self, desk: Desk, place: Place) -> None:
        self.desk = desk
        self.place = place
        self._held = AsyncExitStack()

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether a command could be sent now."""

    @abstractmethod
    async def _opened(self, row: Row) -> None:
        """Open it; what that took goes into the row's facts. ConnectError."""

    @abstractmethod
    async def _sent(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        """Send one command into what is open."""

    async def open(self, row: Row) -> None:
        """Ready for a command; what it took is in the row's facts. Nothing when it is open. ConnectError."""
        if not self.is_open:
            await self.aclose()
            await self._opened(row)

    @property
    def forms(self) -> tuple[Form, ...]:
        return ("command",)

    def forms_of(self, text: str) -> tuple[Form, ...]:
        """What this command may be."""
        del text
        return self.forms

    @property
    def cwd(self) -> str:
        """Where commands run, if not where a login is."""
        return ""

    @abstractmethod
    def fits(self, grant: Grant) -> None:
        """Raises when this command is not to be sent into what was opened."""

    async def send(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        """One command, never a second time."""
        return await self._sent(grant, row, seconds, order)

    @property
    def left(self) -> str:
        """What the reader should know of how the device was left; "" when there is nothing."""
        return ""

    async def aclose(self) -> None:
        """Give back what was opened."""
        held, self._held = self._held, AsyncExitStack()
        await held.aclose()


class Channels(Way):
    """A Linux host: each command by itself, on the connection that all share."""

    _shared: Shared | None = None

    @property
    def is_open(self) -> bool:
        return self._shared is not None and self._shared.alive

    async def _opened(self, row: Row) -> None:
        again = self._shared is not None  # it was lost between two commands of this call
        self._shared = await self.desk.pool.share(self.place.hops, row.turn)
        self._held.callback(self._shared.close)
        row.facts["reconnected"] = self._shared.tell_loss() or again

    def fits(self, grant: Grant) -> None:
        """Always: no command leaves anything behind for the next one."""

    async def send(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        try:
            return await self._sent(grant, row, seconds, order)
        except NothingSent:
            if self.is_open or row.turn.cancelled:
                raise
        await self.open(row)  # it had ended while nobody used it, and was found out only now
        return await self._sent(grant, row, seconds, order)

    async def _sent(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        from netssh_mcp.sessions.executions import execute  # noqa: PLC0415  (it imports the wire: the start budget)

        assert self._shared is not None
        return await execute(
            self._shared,
            grant,
            order,
            timeout=seconds,
            turn=row.turn,
            limiter=self.desk.pool.threads,
            byte_limit=BYTE_LIMIT,
        )


class Login(Way):
    """A network device: one session for all commands of the call, so that a mode lasts from one to the next."""

    _lease: Lease | None = None
    _gone = False

    @property
    def is_open(self) -> bool:
        return self._lease is not None and self._lease.session.usable

    async def _leased(self, row: Row) -> Lease:
        return await self._held.enter_async_context(self.desk.pool.lease(self.place.hops, self.place.profile, row.turn))

    async def _opened(self, row: Row) -> None:
        if self._gone:
            raise Skipped(
                "not sent: the session of this call has ended, and what the commands before had entered with it",
                device=self.place.device.name,
                hint="Look at the device, then run the rest from the start.",
            )
        again = self._lease is not None
        self._lease = lease = await self._leased(row)
        row.facts["reconnected"] = lease.reconnected or again
        row.facts["ms"] = {"queue": milliseconds(lease.queued), "connect": milliseconds(lease.connecting)}

    @property
    def _at(self) -> tuple[str, str]:
        assert self._lease is not None
        connection = self._lease.session.connection
        return connection.mode, connection.prompt.line

    @property
    def _away(self) -> bool:
        """In another mode than at login; where the profile knows no modes, at another prompt."""
        assert self._lease is not None
        (mode, prompt), home = self._at, self._lease.session.home
        return mode != home[0] or (not mode and prompt != home[1])

    @property
    def forms(self) -> tuple[Form, ...]:
        if self._lease is None or not self.is_open:
            return ("command",)
        mode = self._at[0]
        return ("config",) if mode.startswith("config") or (not mode and self._away) else ("command",)

    def fits(self, grant: Grant) -> None:
        if self._at[0] == "shell":  # `start shell`, `tclsh`: no grammar of ours reads what is typed there
            raise CommandDenied(
                f"{grant.command[:80]!r} is not sent: the device is in a shell of its own",
                device=grant.device.name,
                hint="Use the `shell` tool there; session(action='close') ends a kept session.",
            )

    async def send(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        assert self._lease is not None
        session = self._lease.session
        stateless = grant.command_class in READS and not self._away
        try:
            return await self._sent(grant, row, seconds, order)
        finally:
            # The mode, and what no prompt shows: `terminal length 24` would page the next user's output.
            self._leave(spent=not stateless)
            self._gone = not (stateless or session.usable)

    def _leave(self, *, spent: bool) -> None:
        """Nobody else gets a session that is not as it was at login."""
        assert self._lease is not None
        self._lease.session.spent = self._lease.session.spent or spent

    async def _sent(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        assert self._lease is not None
        return await self._lease.session.run(
            grant, timeout=seconds, turn=row.turn, limiter=self.desk.pool.threads, order=order
        )

    @property
    def left(self) -> str:
        if self._lease is None or not self.is_open or not self._away:
            return ""
        mode, home = self._at[0] or "another", self._lease.session.home[0] or "the first"
        return f"the device was left in {mode} mode, not {home}; the session is closed, and what it had open with it"


class Named(Login):
    """A session that is kept under a name, of a network device or a Linux host."""

    def __init__(self, desk: Desk, place: Place, name: str) -> None:
        super().__init__(desk, place)
        self.name = name
        self._lost: tuple[str, ...] = ()

    async def _leased(self, row: Row) -> Lease:
        pool = self.desk.pool
        return await self._held.enter_async_context(
            pool.lease_named(self.place.hops, self.place.profile, self.name, row.turn)
        )

    async def _opened(self, row: Row) -> None:
        self._gone = False
        await super()._opened(row)
        assert self._lease is not None
        if lost := self._lease.lost:
            self._lost = row.facts["lost"] = lost

    async def _sent(self, grant: Grant, row: Row, seconds: float, order: Order) -> Reply:
        key = transcript_key(self.place.device.name, self.name)
        self.desk.transcripts.note(key, "in", f"{grant.line}\n".encode())
        try:
            reply = await super()._sent(grant, row, seconds, order)
        except NetsshError as error:
            self.desk.transcripts.note(key, "out", _as_lines(error.partial, getattr(error, "stderr", "")))
            raise
        self.desk.transcripts.note(key, "out", _as_lines(reply.output, reply.stderr))
        return reply

    @property
    def forms(self) -> tuple[Form, ...]:
        if self.place.linux:
            return ("command",)
        if self._lease is None or not self.is_open:
            # It may be in either, and in which is seen when it is ours; first what it was when it was last used.
            kept = self.desk.pool.named.find(self.place.device.name, self.name)
            inside = kept is not None and kept.session is not None and kept.mode.startswith("config")
            return ("config", "command") if inside else ("command", "config")
        return super().forms

    def forms_of(self, text: str) -> tuple[Form, ...]:
        """On a host, what changes the meaning of later commands is shell text: `alias ls=rm`, `export PATH=...`."""
        return ("shell",) if self.place.linux and _STAYS.match(text.lstrip()) else self.forms

    @property
    def cwd(self) -> str:
        kept = self.desk.pool.named.find(self.place.device.name, self.name) if self.place.linux else None
        return kept.away if kept is not None else ""

    def fits(self, grant: Grant) -> None:
        if not self.place.linux:
            super().fits(grant)
        if self._lost and grant.command_class not in READS:
            # Meant for a directory, a mode, an environment that are no more: `rm -r build` in another place.
            raise SessionLost(
                f"not sent: session {self.name!r} is a new one, its {', '.join(self._lost)} are lost",
                device=grant.device.name,
                effect="none",
                hint="Set up again what it needs, in a new call; reads are answered.",
            )

    def _leave(self, *, spent: bool) -> None:
        """It is its owner's: modes are what it is kept for."""

    @property
    def left(self) -> str:
        return ""


def _as_lines(*texts: str) -> bytes:
    """Each stream's text, ended by a newline."""
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts if text).encode("utf-8", "replace")


def way_to(desk: Desk, place: Place, session: str) -> Way:
    """The way that fits the device and the call."""
    if session:
        return Named(desk, place, session)
    return Channels(desk, place) if place.linux else Login(desk, place)
