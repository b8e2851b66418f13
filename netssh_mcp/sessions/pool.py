"""Sessions that stay open: per device a cap, one login at a time, and no second try with a refused credential."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from netssh_mcp.errors import AuthenticationFailed
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.sessions.session import Session, in_thread
from netssh_mcp.wire.turn import Connection, Turn

log = logging.getLogger(__name__)

_THREADS = 1024  # commands under way at once in one server; each has a worker thread while it runs
_LOGINS = 64  # logins under way at once: key exchange is CPU work on both sides
_REFUSED_FOR = 900.0  # seconds a refused credential is not tried again on the same device
_SWEEP = 30.0


class OpenConnection(Protocol):
    """How the wire is asked for a connection; blocking."""

    def __call__(self, hops: Sequence[Device], profile: Profile, *, turn: Turn, byte_limit: int) -> Connection: ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A session held for one command, and what had to be done to get it (seconds)."""

    session: Session
    queued: float
    connecting: float
    reconnected: bool


@dataclass(slots=True)
class _Slot:
    """One device's sessions."""

    room: anyio.Semaphore
    login: anyio.Lock = field(default_factory=anyio.Lock)
    idle: list[Session] = field(default_factory=list)
    busy: set[Session] = field(default_factory=set)
    lost: bool = False  # a session of this device ended unasked since the last login
    refused: tuple[Device, float, AuthenticationFailed] | None = None


class Pool:
    """All open sessions of this process. Lives in the server's lifespan; `aclose` ends it."""

    def __init__(
        self,
        open_connection: OpenConnection,
        *,
        byte_limit: int,
    ) -> None:
        self._open_connection = open_connection
        self._byte_limit = byte_limit
        self._slots: dict[str, _Slot] = {}
        self._numbers = 0
        self.threads = anyio.CapacityLimiter(_THREADS)
        self._logins = anyio.CapacityLimiter(_LOGINS)

    def sessions(self) -> list[tuple[Session, bool]]:
        """Every open session and whether it is busy."""
        found = []
        for slot in self._slots.values():
            found += [(session, True) for session in slot.busy]
            found += [(session, False) for session in slot.idle]
        return sorted(found, key=lambda item: item[0].number)

    @asynccontextmanager
    async def lease(
        self, hops: tuple[Device, ...], profile: Profile, turn: Turn, *, fresh: bool = False
    ) -> AsyncIterator[Lease]:
        """A session of the last of `hops`, held alone until the block ends; waits for one where the cap is reached.

        `fresh` asks for a new login in place of an idle session. Raises ConnectError.
        """
        device = hops[-1]
        slot = self._slots.setdefault(device.name, _Slot(anyio.Semaphore(device.max_sessions)))
        asked = time.monotonic()
        async with slot.room:
            queued = time.monotonic() - asked
            session = None if fresh else self._idle(slot, device)
            reconnected, connecting = False, 0.0
            if session is None:
                reconnected, began = slot.lost, time.monotonic()
                session = await self._login(slot, hops, profile, turn)
                connecting = time.monotonic() - began
            slot.busy.add(session)
            try:
                yield Lease(session, queued, connecting, reconnected)
            finally:
                slot.busy.discard(session)
                self._give_back(slot, session)

    def _idle(self, slot: _Slot, device: Device) -> Session | None:
        while slot.idle:
            session = slot.idle.pop()
            if session.device != device:
                session.close()  # the inventory entry changed: its sessions are another host's, or another user's
            elif session.usable:
                return session
            else:
                slot.lost = True
                session.close()
        return None

    def _give_back(self, slot: _Slot, session: Session) -> None:
        if session.usable:
            slot.idle.append(session)
        else:
            slot.lost = True
            session.close()

    async def _login(self, slot: _Slot, hops: tuple[Device, ...], profile: Profile, turn: Turn) -> Session:
        device = hops[-1]
        async with slot.login:
            self._refuse_again(slot, device)
            try:
                connection = await in_thread(
                    lambda: self._open_connection(hops, profile, turn=turn, byte_limit=self._byte_limit),
                    turn,
                    self._logins,
                )
            except AuthenticationFailed as error:
                slot.refused = (device, time.monotonic(), error)
                raise
        slot.lost, slot.refused = False, None
        self._numbers += 1
        return Session(self._numbers, device, connection)

    def _refuse_again(self, slot: _Slot, device: Device) -> None:
        if slot.refused is None:
            return
        entry, since, error = slot.refused
        left = _REFUSED_FOR - (time.monotonic() - since)
        if entry != device or left <= 0:
            slot.refused = None
            return
        raise AuthenticationFailed(
            f"not tried again: {error.message}",
            device=device.name,
            hint="The device refused these credentials once. Correct them in the inventory (that lifts this at once), "
            f"or wait {left / 60:.0f} min; trying on would lock the account.",
        )

    async def sweep(self) -> None:
        """Close sessions that were idle for longer than their device's `idle_timeout`; runs until cancelled."""
        while True:
            await anyio.sleep(_SWEEP)
            now = time.monotonic()
            for slot in self._slots.values():
                for session in list(slot.idle):
                    if not session.usable or now - session.used_at > session.device.idle_timeout:
                        slot.idle.remove(session)
                        slot.lost = slot.lost or not session.usable
                        session.close()

    async def aclose(self) -> None:
        """Close everything; bounded, and safe to call while commands run (they end with SessionLost)."""
        everything = [session for session, _ in self.sessions()]
        self._slots.clear()
        for session in everything:
            session.close()
