"""Sessions that are kept by name: what the caller left in them is there the next time, or its loss is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio

from netssh_mcp.errors import CommandInterrupted, InputError, SessionError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.sessions.lease import Lease, waited
from netssh_mcp.sessions.session import Session
from netssh_mcp.wire.turn import Turn

PER_HOST: Final = 8  # named sessions on one Linux host: its sshd allows 10 channels, and files and signals need some
_REMEMBERED: Final = 500  # names of sessions that have ended, so that their next caller is told
_SURE: Final = 5.0  # seconds after its last sign of life for which a session is used without being asked
_LINUX: Final = ("cwd", "env", "mode")
_NETWORK: Final = ("mode",)

Ended = str  # why a kept session is not open: "", "lost", "expired"


class Openings(Protocol):
    """How the pool opens and closes a session that is kept."""

    async def open_kept(self, hops: tuple[Device, ...], profile: Profile, holder: str, turn: Turn) -> Session:
        """A session of its own. Raises as a login does; InputError where the cap is reached."""

    def release(self, session: Session) -> None:
        """It is not kept any longer: close it."""

    async def answers(self, session: Session) -> bool:
        """Whether the other side still answers, within seconds."""


@dataclass(slots=True, eq=False)
class Named:
    """One name on one device. `session` is None before the first use, and after it ended (`ended` says how)."""

    hops: tuple[Device, ...]
    profile: Profile
    name: str
    session: Session | None = None
    ended: Ended = ""
    busy: bool = False
    closed: bool = False  # by name: who waits for it gets an error
    opening: bool = False
    cwd: str = ""  # as of the last command
    mode: str = ""
    last_command: str = ""
    room: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(1, fast_acquire=True))

    @property
    def device(self) -> Device:
        """Whose it is."""
        return self.hops[-1]

    @property
    def away(self) -> str:
        """The directory that it is in, if that is not where it began; "" too when it is not open."""
        return self.session.cwd if self.session is not None and self.session.cwd != self.session.began_in else ""

    def note(self) -> None:
        """Remember of its session what is told when it is gone."""
        if self.session is not None:
            self.cwd = self.session.cwd
            self.mode = self.session.connection.mode
            self.last_command = self.session.last_command


class NamedSessions:
    """All named sessions of one pool, by device and name."""

    def __init__(self, pool: Openings) -> None:
        self._pool = pool
        self._kept: dict[tuple[str, str], Named] = {}

    def rows(self) -> list[Named]:
        """Every one that is open, or was lost and not closed since; in the order in which they were made."""
        return list(self._kept.values())

    def find(self, device: str, name: str) -> Named | None:
        """The one of this name on this device."""
        return self._kept.get((device, name))

    @asynccontextmanager
    async def lease(self, hops: tuple[Device, ...], profile: Profile, name: str, turn: Turn) -> AsyncIterator[Lease]:
        """The session called `name`, held alone until the block ends; opened on first use and after it was lost."""
        kept = self._named(hops, profile, name)
        asked = time.monotonic()
        await waited(kept.room.acquire, hops[-1], turn, queued=True)
        try:
            if kept.closed:
                raise _closed(kept)
            kept.busy = True
            queued = time.monotonic() - asked
            session, lost, connecting = await self._session(kept, hops, profile, turn)
            try:
                yield Lease(session, queued, connecting, bool(lost), lost)
            finally:
                self._give_back(kept, session)
        finally:
            kept.busy = False
            kept.room.release()
            self._forget_unopened(kept)

    def _named(self, hops: tuple[Device, ...], profile: Profile, name: str) -> Named:
        key = (hops[-1].name, name)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = Named(hops, profile, name)
            ended = [other for other, item in self._kept.items() if item.session is None and item.ended]
            for other in ended[:-_REMEMBERED]:
                del self._kept[other]
        return kept

    async def _session(
        self, kept: Named, hops: tuple[Device, ...], profile: Profile, turn: Turn
    ) -> tuple[Session, tuple[str, ...], float]:
        """The session, what of an earlier one is not there any more, and the seconds it took to connect."""
        session = kept.session
        if session is not None and (hops != kept.hops or not await self._sound(session)):
            self._end(kept, "lost")  # or: it is another host's now, or another user's
            session = None
        kept.hops, kept.profile = hops, profile
        if session is not None:
            return session, (), 0.0
        self._check_room(kept)
        lost = (_LINUX if profile.driver == "linux" else _NETWORK) if kept.ended else ()
        began = time.monotonic()
        kept.opening = True
        try:
            session = await self._pool.open_kept(hops, profile, kept.name, turn)
        finally:
            kept.opening = False
        if kept.closed:
            self._pool.release(session)
            raise _closed(kept)
        kept.session, kept.ended = session, ""
        return session, lost, time.monotonic() - began

    async def _sound(self, session: Session) -> bool:
        if not session.usable:
            return False
        return time.monotonic() - session.used_at < _SURE or await self._pool.answers(session)

    def _check_room(self, kept: Named) -> None:
        """Network devices have a cap of their own, which the pool keeps."""
        if kept.profile.driver != "linux":
            return
        others = [
            item
            for item in self._kept.values()
            if item.device.name == kept.device.name and item is not kept and (item.session is not None or item.opening)
        ]
        if len(others) >= PER_HOST:
            names = ", ".join(repr(item.name) for item in others)
            raise InputError(
                f"this host has {len(others)} named sessions open, which is the most: {names}",
                device=kept.device.name,
                hint="Use one of them, or close one: session(action='close', device=..., name=...).",
            )

    def _give_back(self, kept: Named, session: Session) -> None:
        kept.note()
        if kept.session is not session:  # closed meanwhile
            return
        if not session.usable or session.spent:
            self._end(kept, "lost")

    def _end(self, kept: Named, why: Ended) -> None:
        kept.note()
        session, kept.session, kept.ended = kept.session, None, why
        if session is not None:
            self._pool.release(session)

    def _forget_unopened(self, kept: Named) -> None:
        """A name that has never had a session is none."""
        key = (kept.device.name, kept.name)
        unused = kept.session is None and not kept.ended and not kept.busy and not kept.room.statistics().tasks_waiting
        if unused and self._kept.get(key) is kept:
            del self._kept[key]

    def close(self, kept: Named) -> None:
        """Close it; a command that runs in it ends with an error, and who waits for it gets one."""
        kept.closed = True
        if self._kept.get((kept.device.name, kept.name)) is kept:
            del self._kept[kept.device.name, kept.name]
        self._end(kept, kept.ended)

    def expire(self, now: float) -> None:
        """Close what was not used for its device's `idle_timeout` at `now` (monotonic), and what has ended."""
        for kept in self._kept.values():
            session = kept.session
            if session is None or kept.busy:
                continue
            if not session.usable:
                self._end(kept, "lost")
            elif now - session.used_at > session.device.idle_timeout:
                self._end(kept, "expired")

    def close_all(self) -> int:
        """Close every one; how many were open."""
        kept = list(self._kept.values())
        for item in kept:
            self.close(item)
        return sum(item.session is not None or not item.ended for item in kept)


def _closed(kept: Named) -> SessionError:
    return CommandInterrupted(
        f"the session {kept.name!r} was closed meanwhile",
        device=kept.device.name,
        effect="none",
        hint="Run it again to open a new one of that name; cwd, variables and mode are as after a login.",
    )
