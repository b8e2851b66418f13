"""What the `job` tool does: look at jobs, answer what their commands ask, stop them."""

from __future__ import annotations

import logging
import time
from typing import Any, Final, get_args

import anyio
import anyio.to_thread

from netssh_mcp.errors import AuditError, InputError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.model import JobAction
from netssh_mcp.services import typed
from netssh_mcp.services.history import named, short, stamp
from netssh_mcp.services.jobs import Job, Jobs, Row

log = logging.getLogger(__name__)

_SETTLES: Final = 2.0  # seconds that an input or a signal may take to show what it did
_LEAVING: Final = 2.3  # seconds for stopping all at the end: the wire's own bound is 2, and the runner gives 3
_LAST: Final = 0.2  # seconds that commands get to tell that their connection was closed
_STOPS: Final = 5.0  # seconds that a cancel may take; the wire needs under one, a login may not
_NOTES: Final = 3
_LISTED: Final = 50
_NAMES: Final = 3
_UNSURE: Final = ("still run", "is not confirmed", "was not confirmed")  # the wires' own words


class JobActions:
    """`audit` gets who was answered, interrupted and signalled, and never what was typed."""

    def __init__(self, jobs: Jobs, audit: Audit, vault: Vault) -> None:
        self._jobs = jobs
        self._audit = audit
        self._vault = vault

    async def act(
        self, action: str, job_id: str = "", cursor: int = 0, text: str = "", device: str = "", *, wait: float = 25.0
    ) -> dict[str, Any]:
        """One action of the tool. InputError for an unknown one and for what does not fit, PolicyError for input that
        would be more than reading, AuditError."""
        if action == "history":
            return self._jobs.history.page(cursor)
        if action == "list":
            return self._listing()
        if action == "cancel_all":
            return await self._cancel_all()
        if action not in get_args(JobAction):
            raise InputError(f"no action {action!r}; {did_you_mean(action, get_args(JobAction))}")
        job = self._find(job_id)
        if action == "wait":
            await job.settled(wait)
        elif action == "cancel":
            job.cancel()
            await job.settled(_STOPS)
        elif action != "get":
            self._reach(action, job, text, device)
            await job.settled(_SETTLES)
        return await self._report(job, cursor)

    def _find(self, job_id: str) -> Job:
        job = self._jobs.find(job_id)
        if job is None:
            raise InputError(
                f"there is no job {job_id[:60]!r}, or it ended more than an hour ago",
                hint="job(action='list') shows what runs, job(action='history') what has ended.",
            )
        return job

    # -- to the command ------------------------------------------------------------------------------------------

    def _reach(self, action: str, job: Job, text: str, device: str) -> None:
        """Leave it for the threads that own the connections; on record first, all of it or nothing."""
        if action == "input":
            rows = typed.asked(job.rows, device)
            keys = [typed.keys(row, text) for row in rows]
            for row, key in zip(rows, keys, strict=True):
                if row.turn.waiting in typed.SECRET:
                    self._vault.learn(key.rstrip("\n"))  # should the device echo it all the same
                self._record(action, job, row, waiting_for=row.turn.waiting, question=row.question)
            left = [row.turn.send(key) for row, key in zip(rows, keys, strict=True)]
            if not all(left):
                raise InputError("the last input has not been read yet", hint="Look with job(action='get') first.")
            return
        rows = typed.running(job.rows, device)
        names = [typed.signal_name(row, text) for row in rows] if action == "signal" else ["INT"] * len(rows)
        for row, name in zip(rows, names, strict=True):
            self._record(action, job, row, signal=name)
        for row, name in zip(rows, names, strict=True):
            row.turn.signal(name)

    def _record(self, action: str, job: Job, row: Row, **facts: str) -> None:
        command = row.partial.line(row.command)[:500]
        self._audit.record_event(f"job_{action}", device=row.device.name, command=command, job=job.job_id, **facts)

    async def _cancel_all(self) -> dict[str, Any]:
        jobs = self._jobs.open()
        for job in jobs:
            job.cancel()
        deadline = time.monotonic() + _STOPS
        for job in jobs:
            await job.settled(max(0.0, deadline - time.monotonic()))
        return {
            "columns": ["job_id", "command", "state", "rows", "stopped", "may still run", "not ended"],
            "rows": [[job.job_id, _title(job), job.state, len(job.rows), *_stopped(job)] for job in jobs],
            "next": "job(action='get', job_id=...) has the rows, with an error that says how each was stopped."
            if jobs
            else "",
        }

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """At the App's end, while connections are open: stop what is under way at the far side, in bounded time.

        Each command's outcome goes on record as ever. What is not known to have stopped is an event, `left_running`.
        """
        jobs = self._jobs.under_way()
        for job in jobs:
            job.cancel()
        with anyio.move_on_after(_LEAVING):
            await self._jobs.quiet()
        for job in jobs:
            for row in job.rows:
                if row.running and (why := _unsure(row)):
                    self._left(row.device.name, row.partial.line(row.command), why, row.turn.pid)
        for device, command in self._jobs.calls.values():
            self._left(device, command, "it had not stopped when the server ended")

    async def closed(self) -> None:
        """Behind the connections: what did not stop has lost its own, and puts that on record."""
        with anyio.move_on_after(_LAST):
            await self._jobs.quiet()

    def _left(self, device: str, command: str, why: str, pid: int = 0) -> None:
        number = {"pid": str(pid)} if pid else {}
        try:
            self._audit.record_event("left_running", device=device, command=command[:500], reason=why, **number)
        except AuditError as error:  # the rest is to be closed all the same
            log.error("%s: %s may still run (%s): %s", device, command[:200], why, error)  # noqa: TRY400 - said whole

    # -- answers -------------------------------------------------------------------------------------------------

    def _listing(self) -> dict[str, Any]:
        jobs = self._jobs.open()
        more = len(jobs) - _LISTED
        return {
            "columns": ["job_id", "command", "devices", "state", "rows", "done", "asks", "started", "seconds"],
            "rows": [_open(job) for job in jobs[:_LISTED]],
            "next": f"{more} older ones run too." if more > 0 else "",
        }

    async def _report(self, job: Job, cursor: int) -> dict[str, Any]:
        if not job.done.is_set():
            rows = list(job.rows)
            # In a thread: a long text is decoded as a whole, and every other call would wait for it.
            job.collect(await anyio.to_thread.run_sync(lambda: [row.texts() for row in rows]))
        new = job.pieces[cursor:]
        waiting = [row for row in job.rows if row.state == "waiting"]
        report: dict[str, Any] = {
            "job_id": job.job_id,
            "command": _title(job),
            "state": job.state,
            "requested": len(job.rows),
            "done": sum(row.answer is not None for row in job.rows),
            "seconds": round(job.seconds, 3),
            "text": [piece for piece in new if "device" in piece],
            "rows": [piece["row"] for piece in new if "row" in piece],
            "waiting": [{**row.head(), "waiting_for": row.turn.waiting, "question": row.question} for row in waiting],
            "cursor": len(job.pieces),
            "next": "",
        }
        if any("left_out" in piece for piece in new):
            report["truncated"] = True
        if notes := [note for row in job.rows if (note := row.note)][:_NOTES]:
            report["note"] = "\n".join(notes)
        if not job.done.is_set():
            report["next"] = _next(job, waiting)
        return report


def _next(job: Job, waiting: list[Row]) -> str:
    call = f"job(action='{{}}', job_id='{job.job_id}', cursor={len(job.pieces)})"
    if not waiting:
        return call.format("wait") + " for more."
    if all(row.any_input and row.turn.waiting != "pager" for row in waiting):
        what = "your answer as text ('' or <enter> for Enter alone)"
    else:
        what = "a pager key as text (space, enter, q)"
    return f"The device asks: {call.format('input')} with {what}, or cancel."


def _title(job: Job) -> str:
    return short(job.rows[0].partial, job.title)


def _open(job: Job) -> list[object]:
    names = tuple(dict.fromkeys(row.device.name for row in job.rows))
    asks = [f"{row.turn.waiting} ({row.device.name})" for row in job.rows if row.state == "waiting"]
    done = sum(row.answer is not None for row in job.rows)
    return [
        job.job_id,
        _title(job),
        named(names[:_NAMES], len(names)),
        job.state,
        len(job.rows),
        done,
        named(tuple(asks[:_NAMES]), len(asks)),
        stamp(job.began),
        round(job.seconds, 1),
    ]


def _unsure(row: Row) -> str:
    """Why a command that was to be stopped may still run; "" when it does not."""
    if row.answer is None:
        return "it had not stopped when the server ended"
    message = str(row.answer["error"]["message"]) if row.answer.get("error") else ""
    return row.partial.line(message)[:300] if any(words in message for words in _UNSURE) else ""


def _stopped(job: Job) -> tuple[int, int, int]:
    """Rows that were stopped or not sent, that may still run there, and that have not answered the cancel yet."""
    cut = [row.answer["error"] for row in job.rows if row.answer and row.answer.get("error")]
    cut = [error for error in cut if error["kind"] == "interrupted"]
    running = sum(any(words in error["message"] for words in _UNSURE) for error in cut)
    return len(cut) - running, running, sum(row.answer is None for row in job.rows)
