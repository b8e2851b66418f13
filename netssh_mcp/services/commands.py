"""Run read commands on one or many devices: requested == returned, one answer per device and command."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread

from netssh_mcp.errors import (
    CommandRejected,
    ConnectError,
    InputError,
    NetsshError,
    PolicyError,
    PromptNotFound,
    SessionLost,
)
from netssh_mcp.guard import policy
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.parsing import Parsed, Parsers, check_query, query_rows, select_fields
from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.model import Parse, Reply
from netssh_mcp.services.answers import milliseconds, ours, shape
from netssh_mcp.services.desk import Desk
from netssh_mcp.services.jobs import Job, Progress, Row, not_sent
from netssh_mcp.services.rows import DEFAULT_TIMEOUT, LONG, Rows, each_device, seconds_for
from netssh_mcp.sessions.lease import Lease

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """How the outputs of one call are wanted."""

    parse: Parse
    query: str
    fields: tuple[str, ...]
    timeout: float
    cap: int


class Commands:
    """The `show` service."""

    def __init__(self, desk: Desk, parsers: Parsers) -> None:
        self._desk = desk
        self._parsers = parsers
        self._pool = desk.pool
        self._rows = Rows(desk)

    async def show(
        self,
        targets: str,
        commands: Sequence[str],
        *,
        parse: Parse = "auto",
        query: str = "",
        fields: Sequence[str] = (),
        timeout: float = DEFAULT_TIMEOUT,
        wait: float = 25.0,
        progress: Progress | None = None,
        reveal: bool = False,
    ) -> dict[str, Any]:
        """One row per device and command, in inventory order. Raises InputError only for what no device can answer.

        `reveal`: secrets stay in the answer. For a person at the command line, who was asked; no tool has it.
        """
        inventory = self._desk.inventory.current()
        rows = self._rows.made(inventory, targets, commands)
        if reveal:
            self.check_reveal(targets)
            self._desk.audit.record_event("secrets_revealed", device=rows[0].device.name)
            for row in rows:
                row.revealed = True
        if query:
            check_query(query)  # what cannot be read is refused before anything is sent
        ask = Ask(parse, query, tuple(fields), timeout, self._rows.cap(rows))
        work = partial(self._work, inventory, ask)
        return await self._rows.answered(inventory, "; ".join(commands), rows, work, wait=wait, progress=progress)

    def check_reveal(self, targets: str) -> str:
        """The one device that `targets` selects, whose secrets the operator's policy lets a person see."""
        inventory = self._desk.inventory.current()
        devices = inventory.select(targets)
        if len(devices) != 1:
            raise InputError(f"revealing is for one device at a time, and this selects {len(devices)}")
        if not self._desk.wall.terms(inventory, devices[0]).reveal:
            raise PolicyError(
                "the policy does not allow secrets to be revealed on this device",
                device=devices[0].name,
                hint="The operator's policy file would have to say `reveal: true` for it.",
            )
        return devices[0].name

    # -- the work of a job ---------------------------------------------------------------------------------------

    async def _work(self, inventory: Inventory, ask: Ask, job: Job) -> None:
        await each_device(job, lambda rows: self._device(inventory, ask, job, rows))

    async def _device(self, inventory: Inventory, ask: Ask, job: Job, rows: list[Row]) -> None:
        """All commands of one device, in order. What fails costs the others nothing; a dead device is asked once."""
        broken: NetsshError | None = None
        for row in rows:
            if job.cancelled:
                answer = await self._rows.failed(row, not_sent(row), ask.cap)
            elif broken is not None:
                answer = await self._rows.failed(row, broken, ask.cap)
            else:
                row.running = True
                try:
                    answer = await self._row(inventory, ask, row)
                except NetsshError as error:
                    answer = await self._rows.failed(row, error, ask.cap)
                    if error.kind in ("connect", "auth", "hostkey", "algorithm"):
                        broken = error
                except Exception as bug:  # the end of a job: our own bug costs one row, not the server
                    log.exception("%s: %r failed", row.device.name, row.command[:200])
                    answer = await self._rows.failed(row, ours(row, bug), ask.cap)
            await job.finish(row, answer)

    async def _row(self, inventory: Inventory, ask: Ask, row: Row) -> dict[str, Any]:
        grant = self._granted(inventory, row, ask)
        hops = inventory.way(row.device)
        row.facts["retried"] = False
        try:
            return await self._sent(hops, grant, ask, row)
        except SessionLost as lost:
            if row.turn.cancelled or grant.command_class not in ("read", "secret-read"):
                raise
            row.facts["retried"] = True
            try:
                return await self._sent(hops, grant, ask, row)
            except (ConnectError, PromptNotFound) as again:
                # What the first session gave is all there is, and why it ended is what the reader needs.
                lost.message += f"; the retry on a new session failed too: {again.message}"
                lost.hint, lost.line = again.hint or lost.hint, again.line or lost.line
                raise lost from again

    def _granted(self, inventory: Inventory, row: Row, ask: Ask) -> Grant:
        try:
            grant = self._desk.wall.decide(inventory, row.device, row.profile, row.command)
            self._desk.wall.count(grant)
        except NetsshError as error:
            self._desk.refused(row.device.name, row.command, error)
            raise
        row.command = grant.command
        return policy.with_json(grant, by_name=ask.parse == "json") if ask.parse in ("auto", "json") else grant

    async def _sent(self, hops: tuple[Device, ...], grant: Grant, ask: Ask, row: Row) -> dict[str, Any]:
        decision = self._desk.allowed(grant)
        try:
            async with self._pool.lease(hops, row.profile, row.turn, fresh=row.facts["retried"]) as lease:
                row.facts["reconnected"] = lease.reconnected
                row.facts["ms"] = {"queue": milliseconds(lease.queued), "connect": milliseconds(lease.connecting)}
                sent, decision = decision, ""
                reply, parsed, grant = await self._answered(lease, grant, sent, ask, row)
        except NetsshError as error:
            if decision:  # it never came to a session
                self._desk.audit.record_outcome(decision, outcome="error", error=error.kind)
            raise
        if ask.query or len(reply.output) + len(reply.stderr) > LONG:  # in a thread: it takes long
            return await anyio.to_thread.run_sync(
                lambda: self._content(grant, reply, parsed, ask, row), limiter=self._pool.threads
            )
        return self._content(grant, reply, parsed, ask, row)

    async def _answered(
        self, lease: Lease, grant: Grant, decision: str, ask: Ask, row: Row
    ) -> tuple[Reply, Parsed, Grant]:
        """The command's output, parsed. Where the device's JSON was asked for and there is none, the text instead."""
        text = policy.as_text(grant) if grant.json and ask.parse == "auto" else None
        try:
            reply = await self._run(lease, grant, decision, ask, row)
        except CommandRejected:
            if text is None:
                raise
            # An older release without the JSON form. It is a read, so nothing is lost by asking again.
            grant, text = text, None
            reply = await self._run(lease, grant, self._desk.allowed(grant), ask, row)
        parsed = await self._parsed(grant, reply, ask, row)
        if text is not None and parsed.parsed_by != "json":
            grant = text
            reply = await self._run(lease, grant, self._desk.allowed(grant), ask, row)
            parsed = await self._parsed(grant, reply, ask, row)
        return reply, parsed, grant

    async def _run(self, lease: Lease, grant: Grant, decision: str, ask: Ask, row: Row) -> Reply:
        seconds = seconds_for(ask.timeout, grant)
        return await self._rows.sent(
            decision,
            row,
            lambda: lease.session.run(grant, timeout=seconds, turn=row.turn, limiter=self._pool.threads),
        )

    # -- answers -------------------------------------------------------------------------------------------------

    async def _parsed(self, grant: Grant, reply: Reply, ask: Ask, row: Row) -> Parsed:
        if ask.parse == "raw":
            return Parsed(None, None, "raw")
        began = time.monotonic()
        # In a thread: the first call imports the parsers, and a long table takes long.
        parsed = await anyio.to_thread.run_sync(
            lambda: self._parsers.parse(row.profile, grant.command, reply.output, ask.parse, native_json=grant.json),
            limiter=self._pool.threads,
        )
        row.facts["ms"]["parse"] = milliseconds(time.monotonic() - began)
        return parsed

    def _content(self, grant: Grant, reply: Reply, parsed: Parsed, ask: Ask, row: Row) -> dict[str, Any]:
        answer = shape(row, ok=True)
        answer |= self._body(reply.output, parsed, ask, row)
        answer["parsed_by"] = parsed.parsed_by
        notes = [parsed.note] if parsed.note else []
        if parsed.parsed_by == "raw" and (ask.query or ask.fields):
            notes.append("query and fields need a table or JSON, so they were not applied")
        elif parsed.table is None and ask.fields:
            notes.append(
                "fields name a table's columns and this is JSON, so they were not applied; `query` selects from it"
            )
        if notes:
            answer["parse_note"] = "; ".join(notes + ([answer["parse_note"]] if answer["parse_note"] else []))
        answer["framing"] = reply.framing
        answer["events"] = [visible(event) for event in reply.events]
        answer |= self._rows.ending(row, reply.exit_status, reply.signal, reply.stderr, ask.cap)
        if grant.line != grant.command:
            answer["sent"] = grant.line
        return answer

    def _body(self, text: str, parsed: Parsed, ask: Ask, row: Row) -> dict[str, Any]:
        device, command = row.device.name, row.command
        table, data = parsed.table, parsed.data
        wrong = ""
        if table is not None and ask.fields:
            try:
                table = select_fields(table, ask.fields)
            except InputError as error:  # the output is here already: a misspelt column must not cost it
                wrong = f"{error.message}, so all columns are given"
        if ask.query and (table is not None or data is not None):
            data, table = query_rows(table if table is not None else data, ask.query), None
        elif table is None and data is None:
            return self._rows.text(text, row, ask.cap)
        if table is not None:
            rows = self._desk.outputs.keep_rows(table, text=text, cap=ask.cap, device=device, command=command)
        else:
            rows = self._desk.outputs.keep_data(data, text=text, cap=ask.cap, device=device, command=command)
        body: dict[str, Any] = {"truncated": rows.truncated, "output_id": rows.output_id}
        if rows.table is not None:
            body["table"] = {"columns": list(rows.table.columns), "rows": [list(item) for item in rows.table.rows]}
        else:
            body["data"] = rows.data
        body["parse_note"] = "; ".join(note for note in (wrong, rows.notice) if note)
        return body
