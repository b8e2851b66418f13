"""All services of one process, opened together and closed together. Usable without MCP: the CLI does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from netssh_mcp.errors import NetsshError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.importing import ONE_AT_A_TIME
from netssh_mcp.knowledge.inventory import Device, InventorySource
from netssh_mcp.knowledge.log_scrubbing import scrubbed_logs
from netssh_mcp.knowledge.parsing import Parsers
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services.commands import Commands
from netssh_mcp.services.desk import Desk
from netssh_mcp.services.devices import Devices
from netssh_mcp.services.job_actions import JobActions
from netssh_mcp.services.jobs import Jobs
from netssh_mcp.services.listing import Listing
from netssh_mcp.services.outputs import Outputs
from netssh_mcp.services.policy_view import fitting
from netssh_mcp.services.shown import Shown
from netssh_mcp.services.transcripts import Transcripts
from netssh_mcp.services.ways import BYTE_LIMIT
from netssh_mcp.sessions.pool import Closeable, Pool
from netssh_mcp.wire.turn import Connection, Turn

if TYPE_CHECKING:  # what `_Late` and `_Open` import when it is needed
    from netssh_mcp.services.files import Files
    from netssh_mcp.services.forwards import Forwards
    from netssh_mcp.services.harvest import Harvester
    from netssh_mcp.services.hosts import Hosts
    from netssh_mcp.services.named import Sessions
    from netssh_mcp.services.operate import Operate
    from netssh_mcp.services.runs import Runs
    from netssh_mcp.services.shells import Shells
    from netssh_mcp.wire.bastions import Standing
    from netssh_mcp.wire.opener import Opener
    from netssh_mcp.wire.shared import Shared


class _Late:
    """Services that most starts do without: imported and made when first asked for, by the event loop's thread."""

    def __init__(self, desk: Desk, tasks: TaskGroup) -> None:
        self._desk = desk
        self._tasks = tasks
        self._operate: Operate | None = None

    def operate(self) -> Operate:
        if self._operate is None:
            from netssh_mcp.services.operate import Operate  # noqa: PLC0415  (the start budget)

            self._operate = Operate.at(self._desk)
            self._tasks.start_soon(self._operate.shells.sweep)
        return self._operate

    def harvester(self) -> Harvester:
        from netssh_mcp.services.harvest import Harvester  # noqa: PLC0415  (the start budget)

        desk = self._desk
        return Harvester(inventory=desk.inventory, profiles=desk.profiles, pool=desk.pool, audit=desk.audit)

    def listing(self) -> Listing:
        """Of sessions; no terminal, forward or recording is there before `operate` is."""
        return self._operate.sessions.listing if self._operate else Listing(self._desk.pool, self._desk.shown)

    async def aclose(self) -> None:
        if self._operate is not None:
            await self._operate.aclose()


@dataclass(frozen=True, slots=True)
class App:
    """What the tools and the command line call."""

    settings: Settings
    commands: Commands
    devices: Devices
    outputs: Outputs
    jobs: JobActions
    pool: Pool
    late: _Late

    @property
    def harvester(self) -> Harvester:
        return self.late.harvester()

    @property
    def runs(self) -> Runs:
        return self.late.operate().runs

    @property
    def sessions(self) -> Sessions:
        return self.late.operate().sessions

    @property
    def shells(self) -> Shells:
        return self.late.operate().shells

    @property
    def files(self) -> Files:
        return self.late.operate().files

    @property
    def forwards(self) -> Forwards:
        return self.late.operate().forwards

    @property
    def hosts(self) -> Hosts:
        return self.late.operate().hosts

    async def aclose(self) -> None:
        """End the jobs and close every session, in bounded time."""
        async with anyio.create_task_group() as ending:
            ending.start_soon(self.jobs.stop)
            ending.start_soon(self.late.aclose)
        await self.pool.aclose()
        await self.jobs.closed()


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open the audit file and the services; on leaving, end the jobs and close every session, in bounded time."""
    failure: NetsshError | None = None
    with contextlib.ExitStack() as stack:
        desk_with = _prepared(settings, stack)
        async with anyio.create_task_group() as tasks:
            desk = desk_with(Jobs(tasks))
            tasks.start_soon(desk.pool.sweep)
            late = _Late(desk, tasks)
            if "operate" in settings.toolsets:
                late.operate()  # now, so that no call waits for it
            app = App(
                settings,
                Commands(desk, Parsers(settings.templates)),
                Devices(desk.inventory, desk.profiles, desk.pool, desk.wall, late.listing),
                desk.outputs,
                JobActions(desk.jobs, desk.audit, desk.inventory.vault),
                desk.pool,
                late,
            )
            try:
                yield app
            except NetsshError as error:
                failure = error  # raised outside: a task group would wrap it
            finally:
                with anyio.CancelScope(shield=True):
                    await app.aclose()
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _prepared(settings: Settings, stack: contextlib.ExitStack) -> Callable[[Jobs], Desk]:
    """All of a Desk but its jobs, outside their task group, which would wrap errors; `stack` closes what is opened."""
    profiles = Profiles.load(settings.profiles)
    vault = Vault()  # what is redacted everywhere: each secret from its first use on
    inventory = InventorySource.of(settings, profiles.platforms, vault)
    redactor = Redactor(inventory.vault)
    outputs = Outputs(cap=settings.output_cap, spill_dir=settings.spill)
    stack.enter_context(scrubbed_logs(vault))
    stack.callback(outputs.close)
    audit = Audit(settings.audit) if settings.audit else None
    assert audit is not None
    stack.callback(audit.close)
    wall = Wall(
        PolicySource(settings.policy, tell=audit.record_event, doubts=fitting(inventory, profiles)),
        inventory=inventory.current,
    )
    wall.source.current()  # a bad rule ends the start
    pool = Pool(_Open(settings, wall, audit), byte_limit=BYTE_LIMIT)
    shown, kept = Shown(redactor, pool.threads), Transcripts(redactor)
    return lambda jobs: Desk(settings, inventory, profiles, pool, wall, audit, redactor, shown, outputs, jobs, kept)


class _Open:
    """Opens connections; the wire, with Netmiko and Paramiko behind it, is imported by the first one."""

    def __init__(self, settings: Settings, wall: Wall, audit: Audit) -> None:
        self._settings = settings
        self._wall = wall
        self._audit = audit
        self._lock = threading.Lock()  # the first connections come from several threads
        self._opener: Opener | None = None

    def _made(self) -> Opener:
        with self._lock:
            if self._opener is None:
                with ONE_AT_A_TIME:
                    from netssh_mcp.wire.hostkeys import HostKeys  # noqa: PLC0415  (the start budget)
                    from netssh_mcp.wire.opener import Opener  # noqa: PLC0415

                files = self._settings.known_hosts
                keys = HostKeys(self._settings.host_keys, files[:-1], files[-1], self._learned)
                self._opener = Opener(keys, allowed=self._wall.may_connect)
            return self._opener

    def _learned(self, device: str, key: str) -> None:
        """`tofu`: on record before it is trusted."""
        self._audit.record_event("host_key_learned", device=device, key=key)

    def __call__(self, hops: Sequence[Device], profile: Profile, *, turn: Turn, byte_limit: int) -> Connection:
        return self._made()(hops, profile, turn=turn, byte_limit=byte_limit)

    def reach(self, hops: Sequence[Device], *, turn: Turn) -> Closeable:
        return self._made().reach(hops, turn=turn)

    def share(self, hops: Sequence[Device], *, turn: Turn) -> Shared:
        return self._made().share(hops, turn=turn)

    def expire(self, now: float) -> None:
        if self._opener is not None:
            self._opener.expire(now)

    def standing(self) -> list[Standing]:
        return self._opener.standing() if self._opener is not None else []

    def look(self, name: str) -> None:
        if self._opener is not None:
            self._opener.look(name)

    def retire(self, name: str = "") -> tuple[int, int]:
        return self._opener.retire(name) if self._opener is not None else (0, 0)

    def close(self) -> None:
        if self._opener is not None:
            self._opener.close()
