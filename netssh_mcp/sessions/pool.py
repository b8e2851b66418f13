"""Sessions that stay open: per device a cap, one login at a time; which logins may be tried is the accounts' say."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread

from netssh_mcp.errors import AuthenticationFailed, ConnectError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.sessions.accounts import Accounts
from netssh_mcp.sessions.lease import Lease, waited
from netssh_mcp.sessions.named import NamedSessions
from netssh_mcp.sessions.session import Session, in_thread
from netssh_mcp.sessions.slots import Held, Slot, all_held, too_many_held
from netssh_mcp.wire.turn import Connection, Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.bastions import Standing
    from netssh_mcp.wire.shared import Shared

_THREADS = 1024  # commands under way at once in one server; each has a worker thread while it runs
_LOGINS = 64  # logins under way at once: key exchange is CPU work on both sides
_SWEEP = 30.0
_SURE = 5.0  # seconds after its last command for which an idle session is not asked


class Closeable(Protocol):
    """What is held until it is closed."""

    def close(self) -> None:
        """End it, without waiting."""


class OpenConnection(Protocol):
    """How the wire is asked for connections; blocking, but for `close` and `expire`."""

    def __call__(self, hops: Sequence[Device], profile: Profile, *, turn: Turn, byte_limit: int) -> Connection:
        """A session of the last of `hops`, through those before it."""

    def reach(self, hops: Sequence[Device], *, turn: Turn) -> Closeable:
        """Be logged in to the last of `hops`, a jump host; others may share it."""

    def share(self, hops: Sequence[Device], *, turn: Turn) -> Shared:
        """A place on the one connection to the last of `hops`, a host that files, shells and forwards use together."""

    def expire(self, now: float) -> None:
        """Close shared connections that were not used for long enough."""

    def standing(self) -> list[Standing]:
        """The connections that hosts' commands, files, shells and forwards share."""

    def look(self, name: str) -> None:
        """Ask those of a host that nobody uses whether they are still there."""

    def retire(self, name: str = "") -> tuple[int, int]:
        """Close those of a host, or all; how many now, and how many behind their last user."""

    def close(self) -> None:
        """Close all shared connections."""


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
        self._slots: dict[str, Slot] = {}
        self._numbers = 0
        self._closed = False
        self.threads = anyio.CapacityLimiter(_THREADS)
        self._logins = anyio.CapacityLimiter(_LOGINS)
        self._accounts = Accounts(open_connection, logins=self._logins, threads=self.threads)
        self._held: dict[Session, tuple[Slot, Held]] = {}
        self.named = NamedSessions(self)

    def sessions(self) -> list[tuple[Session, bool]]:
        """Every open session that anybody may borrow, and whether it is busy."""
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

        `fresh` asks for a new login in place of an idle session. `turn.cancel()` ends the waiting, too.
        Raises ConnectError (also where all sessions of the device are held), CommandInterrupted.
        """
        slot = self._slot(hops)
        if len(slot.held) >= hops[-1].max_sessions:
            raise all_held(slot)
        asked = time.monotonic()
        await waited(slot.room.acquire, hops[-1], turn, queued=True)
        try:
            queued = time.monotonic() - asked
            session = None if fresh else self._idle(slot)
            reconnected, connecting = False, 0.0
            if session is None:
                reconnected, began = slot.lost, time.monotonic()
                session = await self._login(slot, profile, turn)
                connecting = time.monotonic() - began
            slot.busy.add(session)
            try:
                yield Lease(session, queued, connecting, reconnected)
            finally:
                slot.busy.discard(session)
                self._give_back(slot, session)
        finally:
            slot.room.release()

    def _slot(self, hops: tuple[Device, ...]) -> Slot:
        """The device's slot; a new one when its entry, or that of a jump host, has changed."""
        name = hops[-1].name
        slot = self._slots.get(name)
        if slot is None or slot.hops != hops:
            if slot is not None:
                slot.retire()  # its sessions are another host's, or another user's
            slot = self._slots[name] = Slot(hops, anyio.Semaphore(hops[-1].max_sessions, fast_acquire=True))
        return slot

    def forget(self, name: str) -> int:
        """Use none of a device's sessions again: idle ones close now, busy ones behind their command.

        How many are still open: busy ones, and those that somebody keeps.
        """
        slot = self._slots.pop(name, None)
        if slot is not None:
            slot.retire()
        kept = sum(1 for kept in self.named.rows() if kept.device.name == name)
        return kept + (len(slot.busy) + len(slot.held) if slot is not None else 0)

    def _idle(self, slot: Slot) -> Session | None:
        while slot.idle:
            session = slot.idle.pop()
            if session.usable:
                return session
            slot.lost = True
            session.close()
        return None

    def _give_back(self, slot: Slot, session: Session) -> None:
        if session.usable and not session.spent and not slot.retired and not self._closed:
            slot.idle.append(session)
            return
        slot.lost = slot.lost or not session.usable
        session.close()

    # -- sessions that are kept ----------------------------------------------------------------------------------

    def lease_named(
        self, hops: tuple[Device, ...], profile: Profile, name: str, turn: Turn
    ) -> AbstractAsyncContextManager[Lease]:
        """The session called `name` on the last of `hops`, held alone until the block ends; others wait.

        Opened on first use and kept until it is closed, expires or is lost; then the next lease has a new one and says
        so: `reconnected`, and `lost`. Raises as `lease` does, and InputError over the cap.
        """
        return self.named.lease(hops, profile, name, turn)

    async def hold(
        self, hops: tuple[Device, ...], profile: Profile, turn: Turn, *, holder: str = "a terminal"
    ) -> Session:
        """A login of its own on a network device, for more than one command, until `release`.

        It counts against `max_sessions`, of which one is left for everybody else (none where it is 1). InputError over
        the cap; raises else as `lease` does.
        """
        device, slot = hops[-1], self._slot(hops)
        if len(slot.held) >= max(1, device.max_sessions - 1):
            raise too_many_held(slot, holder)
        held = Held(holder)
        slot.held.append(held)  # from here on nobody waits for what will not come back
        async with AsyncExitStack() as undo:
            undo.callback(slot.held.remove, held)
            await waited(slot.room.acquire, device, turn, queued=True)
            undo.callback(slot.room.release)
            held.session = await self._login(slot, profile, turn)
            undo.pop_all()
        self._held[held.session] = (slot, held)
        return held.session

    def release(self, session: Session) -> None:
        """Close what `hold` or `open_kept` gave."""
        session.close()
        slot, held = self._held.pop(session, (None, None))
        if slot is not None and held is not None:
            slot.held.remove(held)
            slot.room.release()

    @asynccontextmanager
    async def visit(self, hops: tuple[Device, ...], turn: Turn) -> AsyncIterator[Shared]:
        """A login without a shell on a network device, for the block only: it counts against `max_sessions`.

        Waits and raises as `lease` does.
        """
        slot = self._slot(hops)
        if len(slot.held) >= hops[-1].max_sessions:
            raise all_held(slot)
        await waited(slot.room.acquire, hops[-1], turn, queued=True)
        slot.visits += 1
        try:
            while slot.idle and slot.logins > hops[-1].max_sessions:
                slot.idle.pop(0).close()  # it takes an idle one's place
            shared = await self.share(hops, turn)
            try:
                yield shared
            finally:
                shared.close(keep=False)
        finally:
            slot.visits -= 1
            slot.room.release()

    async def open_kept(self, hops: tuple[Device, ...], profile: Profile, holder: str, turn: Turn) -> Session:
        """What is behind a name: a login of its own, or on a Linux host a shell on the shared connection."""
        if profile.driver != "linux":
            return await self.hold(hops, profile, turn, holder=f"the session {holder!r}")
        shared = await self.share(hops, turn)

        def opened() -> Connection:
            from netssh_mcp.wire.login_shell import LoginShell  # noqa: PLC0415  (Paramiko: the start budget)

            shell = LoginShell(shared, profile, byte_limit=self._byte_limit)
            shell.open(time.monotonic() + hops[-1].connect_timeout, turn)
            return shell

        try:
            connection = await in_thread(opened, turn, self._logins, orphaned=lambda shell: shell.close())
        except BaseException:
            shared.close()
            raise
        kept = self.named.find(hops[-1].name, holder)
        if kept is not None and kept.ended:
            shared.tell_loss()  # its own answer says so, and the next one over this connection need not
        self._numbers += 1
        return Session(self._numbers, hops[-1], connection)

    async def answers(self, session: Session) -> bool:
        """Whether the other side of an idle session still answers; within seconds."""
        session.silent = not await anyio.to_thread.run_sync(session.connection.answers, limiter=self.threads)
        return not session.silent

    async def look(self) -> None:
        """Ask all idle sessions whether they are still there; a few seconds at most. None is closed for its answer."""
        before = time.monotonic() - _SURE
        idle = [session for session, busy in self.sessions() if not busy]
        idle += [kept.session for kept in self.named.rows() if kept.session is not None and not kept.busy]
        async with anyio.create_task_group() as tasks:
            for session in idle:
                if session.connection.alive and session.used_at < before:
                    tasks.start_soon(self.answers, session)

    def connections(self) -> list[Standing]:
        """The connections that hosts' commands, files, shells and forwards share."""
        return self._open_connection.standing()

    async def look_at_connections(self) -> None:
        """As `look`, of those connections."""
        async with anyio.create_task_group() as tasks:
            for name in {each.device.name for each in self.connections() if not each.users}:
                asked = partial(anyio.to_thread.run_sync, self._open_connection.look, name, limiter=self.threads)
                tasks.start_soon(asked)

    def close_connections(self, name: str = "") -> tuple[int, int]:
        """Close those of a host, or all, once nobody uses them; how many closed now, and how many are in use."""
        return self._open_connection.retire(name)

    def close_idle(self, name: str = "") -> int:
        """Close the idle sessions of a device, or of all, that nobody keeps; how many there were."""
        slots = [slot for slot in self._slots.values() if name in ("", slot.hops[-1].name)]
        idle = [session for slot in slots for session in slot.idle]
        for slot in slots:
            while slot.idle:
                slot.idle.pop().close()
        return len(idle)

    # -- login ---------------------------------------------------------------------------------------------------

    async def share(self, hops: tuple[Device, ...], turn: Turn) -> Shared:
        """A place on the one connection to the last of `hops`, which the caller closes. Raises ConnectError,
        CommandInterrupted."""
        if self._closed:
            raise ConnectError("the server is closing", device=hops[-1].name)
        async with self._accounts.admitted(hops, turn):
            try:
                return await in_thread(
                    lambda: self._open_connection.share(hops, turn=turn),
                    turn,
                    self._logins,
                    orphaned=lambda shared: shared.close(),
                )
            except AuthenticationFailed as error:
                await self._accounts.note(error, hops)
                raise

    async def _login(self, slot: Slot, profile: Profile, turn: Turn) -> Session:
        device = slot.hops[-1]
        async with AsyncExitStack() as held:
            await waited(slot.login.acquire, device, turn)
            held.callback(slot.login.release)
            await held.enter_async_context(self._accounts.admitted(slot.hops, turn))
            connection = await self._connected(slot, profile, turn)
        slot.lost = False
        self._numbers += 1
        return Session(self._numbers, device, connection)

    async def _connected(self, slot: Slot, profile: Profile, turn: Turn) -> Connection:
        while slot.idle and slot.logins >= slot.hops[-1].max_sessions:
            slot.idle.pop(0).close()  # a fresh session takes an idle one's place
        began = time.monotonic()

        def opened() -> Connection:
            self._accounts.not_refused_since(began, slot.hops)  # while this waited for its thread
            return self._open_connection(slot.hops, profile, turn=turn, byte_limit=self._byte_limit)

        try:
            return await in_thread(opened, turn, self._logins, orphaned=lambda connection: connection.close())
        except AuthenticationFailed as error:
            await self._accounts.note(error, slot.hops)
            raise

    # -- the end -------------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Close sessions that were idle for longer than their device's `idle_timeout`; runs until cancelled."""
        while True:
            await anyio.sleep(_SWEEP)
            self.expire(time.monotonic())
            await self.look()

    def expire(self, now: float) -> None:
        """Close what is idle for too long at `now` (monotonic), and what has ended by itself."""
        for slot in self._slots.values():
            for session in list(slot.idle):
                if not session.usable or now - session.used_at > session.device.idle_timeout:
                    slot.idle.remove(session)
                    slot.lost = slot.lost or not session.usable
                    session.close()
        self.named.expire(now)
        self._open_connection.expire(now)

    async def aclose(self) -> None:
        """Close everything; waits for nothing, and safe to call while commands run (they end with SessionLost)."""
        self._closed = True
        self.named.close_all()
        for session in [*self._held, *(session for session, _ in self.sessions())]:
            session.close()
        self._open_connection.close()
        self._slots.clear()
