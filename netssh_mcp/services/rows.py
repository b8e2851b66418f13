"""What `show` and `run` share: rows from targets and commands, a job around them, records, and a failed row's answer.

One row per device and command, in inventory order: requested == returned. Devices are worked on in parallel, the
commands of one device in order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import anyio.to_thread

from netssh_mcp.errors import CommandFailed, InputError, NetsshError, SessionError
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Inventory
from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.model import Reply
from netssh_mcp.services.answers import milliseconds, result_of, shape
from netssh_mcp.services.desk import Desk
from netssh_mcp.services.jobs import Job, Progress, Row

DEFAULT_TIMEOUT: Final = 60.0  # the tools' default: then the device's own `timeout` counts
_SIGNAL = re.compile(r"[A-Z0-9]{1,16}")  # it is shown among our own words, and comes from the host
LONG: Final = 200_000  # characters of output from which an answer is made in a thread: others wait for milliseconds
_AT_ONCE = 100  # devices worked on at once by one call
_MOST_ROWS = 10_000  # devices times commands in one call
_BATCH = 4  # an answer of many rows may be this many times as long as the cap of one
_STOPPING = 3.0  # seconds that a cancelled call waits for its commands to be stopped

Send = Callable[[], Awaitable[Reply]]


def seconds_for(asked: float, grant: Grant) -> float:
    """Seconds the command may take: what was asked for or is the device's own, within the operator's limit."""
    wanted = grant.device.timeout if asked == DEFAULT_TIMEOUT else asked
    return min(wanted, grant.terms.max_seconds)


async def each_device(job: Job, work: Callable[[list[Row]], Awaitable[None]]) -> None:
    """`work` with the rows of each device, a hundred devices at once."""
    by_device: dict[str, list[Row]] = {}
    for row in job.rows:
        by_device.setdefault(row.device.name, []).append(row)
    if len(by_device) == 1:
        await work(job.rows)
        return
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def one(rows: list[Row]) -> None:
        async with limiter:
            await work(rows)

    async with anyio.create_task_group() as tasks:
        for rows in by_device.values():
            tasks.start_soon(one, rows)


class Rows:
    """The rows of both services, on one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def made(self, inventory: Inventory, targets: str, commands: Sequence[str]) -> list[Row]:
        """One row per device and command. InputError, PolicyError when the call as a whole is not to be."""
        if not commands:
            raise InputError("no command was given", hint="Give at least one, for example 'show version'.")
        devices = inventory.select(targets)
        if len(devices) * len(commands) > _MOST_ROWS:
            raise InputError(
                f"{len(devices)} devices times {len(commands)} commands are more than {_MOST_ROWS} rows",
                hint="Narrow `targets`, or ask in several calls.",
            )
        desk = self._desk
        try:
            desk.wall.check_call(inventory, devices, len(commands))
        except NetsshError as error:
            desk.refused(f"{len(devices)} devices", "; ".join(commands), error)
            raise
        profiles = {device.platform: desk.profiles.get(device.platform) for device in devices}
        return [
            Row(device, profiles[device.platform], command, desk.redactor) for device in devices for command in commands
        ]

    def cap(self, rows: Sequence[Row]) -> int:
        """Characters that one row of this answer may show."""
        cap = self._desk.outputs.cap
        return min(cap, max(1000, _BATCH * cap // len(rows)))

    async def answered(
        self,
        inventory: Inventory,
        title: str,
        rows: list[Row],
        work: Callable[[Job], Awaitable[None]],
        *,
        wait: float,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """What is done within `wait`, the rest as a job. A cancel until then interrupts what runs."""
        desk = self._desk
        job = desk.jobs.start(title[:200], rows, work, progress)
        try:
            done = await job.settled(wait)
        except anyio.get_cancelled_exc_class():
            job.cancel()
            with anyio.CancelScope(shield=True):
                await job.settled(_STOPPING)
            raise
        if not done:
            desk.jobs.give_out(job)
        return result_of(job, "\n".join(text for text in (inventory.problem, desk.wall.problem) if text))

    async def sent(self, decision: str, row: Row, send: Send) -> Reply:
        """Send what is on record as allowed, and put its outcome there. The reply is without secrets."""
        desk = self._desk
        began = time.monotonic()
        ms = row.facts.setdefault("ms", {})
        try:
            reply = await send()
        except NetsshError as error:
            seconds = time.monotonic() - began
            ms["exec"] = milliseconds(seconds)
            desk.audit.record_outcome(
                decision, outcome="error", received=len(error.partial), seconds=seconds, error=error.kind
            )
            raise
        ms["exec"] = milliseconds(reply.seconds)
        desk.audit.record_outcome(decision, outcome="ok", received=len(reply.output), seconds=reply.seconds)
        if not row.revealed:
            reply, row.facts["redacted"] = await desk.shown.reply(reply, row.profile)
        return reply

    def text(self, text: str, row: Row, cap: int) -> dict[str, Any]:
        """The output as an answer shows it: cut, the whole kept."""
        kept = self._desk.outputs.keep(text, cap=cap, device=row.device.name, command=row.command)
        return {"output": kept.shown, "truncated": kept.truncated, "output_id": kept.output_id}

    async def failed(self, row: Row, unredacted: NetsshError, cap: int) -> dict[str, Any]:
        """The answer of a row that ended with an error, with what had come until then."""
        error = unredacted
        if not row.revealed:
            error, row.facts["redacted"] = await self._desk.shown.error(unredacted, row.profile)
        if len(error.partial) + len(getattr(error, "stderr", "")) > LONG:
            return await anyio.to_thread.run_sync(self._failed, error, row, cap, limiter=self._desk.pool.threads)
        return self._failed(error, row, cap)

    def _failed(self, error: NetsshError, row: Row, cap: int) -> dict[str, Any]:
        answer = {**shape(row, ok=False), "error": error.facts()}
        answer["events"] = [visible(event) for event in error.events]
        if error.partial:
            answer |= self.text(error.partial, row, cap)
            answer |= {"partial": isinstance(error, SessionError), "parsed_by": "raw"}
        if isinstance(error, CommandFailed):
            answer |= {"framing": "proven", "stderr": ""}
            answer |= self.ending(row, error.exit_status, error.signal, error.stderr, cap)
        return answer

    def ending(self, row: Row, exit_status: int | None, signal: str, stderr: str, cap: int) -> dict[str, Any]:
        """How a program ended, and its second stream, cut as the first one is; nothing of what there is not."""
        ended: dict[str, Any] = {"exit_status": exit_status} if exit_status is not None else {}
        if signal:
            ended["signal"] = signal if _SIGNAL.fullmatch(signal) else "unknown"
        if stderr:
            kept = self._desk.outputs.keep(stderr, cap=cap, device=row.device.name, command=row.command)
            ended["stderr"] = kept.shown
            if kept.truncated:
                ended |= {"stderr_truncated": True, "stderr_id": kept.output_id}
        return ended
