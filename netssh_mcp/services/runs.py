"""Any command that the operator's policy allows, on one or many devices. Nothing is ever sent a second time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread

from netssh_mcp.errors import CommandInterrupted, NetsshError, NotSent, OutputTooLarge, Skipped
from netssh_mcp.guard.actions import Form
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Inventory
from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.model import READS, Reply
from netssh_mcp.services.answers import ours, shape
from netssh_mcp.services.desk import Desk
from netssh_mcp.services.jobs import Job, Progress, Row, not_sent
from netssh_mcp.services.orders import Wish
from netssh_mcp.services.rows import DEFAULT_TIMEOUT, LONG, Rows, each_device, seconds_for
from netssh_mcp.services.ways import Way, way_to
from netssh_mcp.wire.order import PLAIN

log = logging.getLogger(__name__)

_NOBODY = ("connect", "auth", "hostkey", "algorithm")  # kinds of errors that every other command would meet too


class Runs:
    """The `run` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rows = Rows(desk)

    async def run(
        self,
        targets: str,
        commands: Sequence[str],
        *,
        sudo: bool = False,
        sudo_user: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        answers: Sequence[Mapping[str, str]] = (),
        stop_on_error: bool = True,
        timeout: float = DEFAULT_TIMEOUT,
        wait: float = 25.0,
        session: str = "",
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """One row per device and command, in inventory order. Raises InputError for what no device could do."""
        inventory = self._desk.inventory.current()
        wish = Wish.of(
            sudo=sudo, sudo_user=sudo_user, cwd=cwd, env=env or {}, shell=shell, answers=answers, session=session
        )
        rows = self._rows.made(inventory, targets, commands)
        for row in rows:
            row.any_input = True
        call = _Call(self._desk, self._rows, inventory, wish, stop_on_error, timeout, self._rows.cap(rows))
        return await self._rows.answered(inventory, "; ".join(commands), rows, call.work, wait=wait, progress=progress)


@dataclass(frozen=True, slots=True)
class _Call:
    """What holds for all rows of one call."""

    _desk: Desk
    _rows: Rows
    _inventory: Inventory
    _wish: Wish
    _stop_on_error: bool
    _timeout: float
    _cap: int

    async def work(self, job: Job) -> None:
        """Give every row its answer."""
        await each_device(job, partial(self.device, job))

    async def device(self, job: Job, rows: list[Row]) -> None:
        """All commands of one device, in order."""
        way = way_to(self._desk, self._desk.placed(self._inventory, rows[0].device), self._wish.session)
        broken: NetsshError | None = None
        async with AsyncExitStack() as held:
            held.push_async_callback(way.aclose)
            for row in rows:
                error = not_sent(row) if job.cancelled else broken
                if error is None:
                    answer, error = await self._answer(way, row)
                    broken = self._after(row, error)
                else:
                    answer = await self._rows.failed(row, error, self._cap)
                if way.left and (row is rows[-1] or broken is not None):
                    answer["note"] = way.left
                    await way.aclose()  # now, so that only the last row that was sent has the note
                await job.finish(row, answer)

    def _after(self, row: Row, error: NetsshError | None) -> NetsshError | None:
        """The error of all commands behind this one, where they are not to be sent."""
        if error is None or error.kind in _NOBODY:
            return error
        if not self._stop_on_error:
            return None
        return Skipped(
            f"not sent: {row.command[:80]!r} failed before it",
            device=row.device.name,
            hint="Correct that first, or give stop_on_error=false to send the rest all the same.",
        )

    async def _answer(self, way: Way, row: Row) -> tuple[dict[str, Any], NetsshError | None]:
        row.running = True
        row.facts["session"] = self._wish.session
        try:
            return await self._told(await self._row(way, row), row), None
        except NetsshError as error:
            failed = error
        except Exception as bug:  # the end of a job: our own bug costs one row, not the server
            log.exception("%s: %r failed", row.device.name, row.command[:200])
            failed = ours(row, bug)
        return await self._rows.failed(row, failed, self._cap), failed

    async def _row(self, way: Way, row: Row) -> Reply:
        order = self._wish.order(way.place)
        grant, decision = await self._ready(way, row)
        seconds = seconds_for(self._timeout, grant)
        if not way.place.linux and grant.command_class in READS:
            # A read asks for its next page only; a line that comes too late would be a command that nobody judged.
            row.any_input, order = False, PLAIN
        try:
            return await self._rows.sent(decision, row, lambda: way.send(grant, row, seconds, order))
        except (CommandInterrupted, OutputTooLarge) as error:
            if not isinstance(error, NotSent) and grant.command_class not in READS:
                error.effect = "possible"  # the wire knows that it has stopped, and not what it had done by then
            raise

    async def _ready(self, way: Way, row: Row) -> tuple[Grant, str]:
        """Leave to send the row's command into an open session, and the id of that decision on record.

        Decided before a login, and once more where the session turns out to be in another mode, or another directory,
        than was thought.
        """
        audit, text, device = self._desk.audit, row.command, row.device.name
        self._wish.check_secrets(self._desk.inventory.vault, device)
        form, grant = self._granted(way, row, text)
        cwd = self._wish.cwd or way.cwd
        decision = self._desk.allowed(grant, **self._wish.on_record())
        try:
            await way.open(row)
            self._wish.check_secrets(self._desk.inventory.vault, device)  # the login has used some for the first time
            if form not in self._forms(way, text) or cwd != (self._wish.cwd or way.cwd):
                audit.record_outcome(decision, outcome="error", error="mode")
                decision = ""
                form, grant = self._granted(way, row, text)
                decision = self._desk.allowed(grant, **self._wish.on_record())
            way.fits(grant)
        except NetsshError as error:
            if decision:
                audit.record_outcome(decision, outcome="error", error=error.kind)
            raise
        return grant, decision

    def _forms(self, way: Way, text: str) -> tuple[Form, ...]:
        return ("shell",) if self._wish.shell else way.forms_of(text)

    def _granted(self, way: Way, row: Row, text: str) -> tuple[Form, Grant]:
        """In the first form in which it is allowed; a refusal of the likeliest is on record. CommandDenied."""
        wish, wall = self._wish, self._desk.wall
        refused: NetsshError | None = None
        for form in self._forms(way, text):
            try:
                grant = wall.decide_any(
                    self._inventory,
                    row.device,
                    row.profile,
                    text,
                    form=form,
                    sudo=wish.sudo,
                    sudo_user=wish.sudo_user,
                    cwd=wish.cwd or way.cwd,
                    env=tuple(wish.env),
                )
                if not row.counted:
                    wall.count(grant)
            except NetsshError as error:
                refused = refused or error
                continue
            row.counted, row.command = True, grant.command
            return form, grant
        assert refused is not None
        self._desk.refused(row.device.name, text, refused)
        raise refused

    async def _told(self, reply: Reply, row: Row) -> dict[str, Any]:
        if len(reply.output) + len(reply.stderr) > LONG:
            return await anyio.to_thread.run_sync(self._shape, reply, row, limiter=self._desk.pool.threads)
        return self._shape(reply, row)

    def _shape(self, reply: Reply, row: Row) -> dict[str, Any]:
        answer = shape(row, ok=True) | self._rows.text(reply.output, row, self._cap)
        answer |= {"parsed_by": "raw", "framing": reply.framing, "events": [visible(event) for event in reply.events]}
        if reply.cwd:
            answer["cwd"] = visible(self._desk.shown.line(reply.cwd, row.profile))
        return answer | self._rows.ending(row, reply.exit_status, reply.signal, reply.stderr, self._cap)
