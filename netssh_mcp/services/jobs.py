"""Commands that outlive the call that started them. A job is a list of rows, one per device and command.

Every command runs as a job; only those not done within `wait` are ever heard of by their id. While a job has not been
given out, cancelling the call interrupts its commands; afterwards only `cancel` does.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup

from netssh_mcp.errors import InputError, NetsshError, NotSent, PolicyError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.shown import Partial
from netssh_mcp.wire.turn import Turn

Progress = Callable[[int, int, str], Awaitable[None]]
RowState = Literal["queued", "running", "waiting", "done"]

_KEPT = 500  # ended jobs that are remembered
_KEPT_FOR = 3600.0  # seconds an ended job's rows stay readable
_LOOK = 0.2  # seconds between looks whether a command waits for an answer; its end is an event
_PIECE = 8_000  # characters of new text of one running command in one answer
_ACTIONS = ("list", "get", "wait", "cancel", "input", "history")


@dataclass(slots=True)
class Row:
    """One command on one device, from asked to answered."""

    device: Device
    profile: Profile
    command: str
    redactor: Redactor
    turn: Turn = field(default_factory=Turn)
    running: bool = False
    answer: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # how its session came about: reconnected, retried, ms
    revealed: bool = False  # a person asked for the secrets too, and the operator allows it
    given: int = 0  # characters of its text that were given out while it ran
    counted: bool = False  # against the policy's rates
    any_input: bool = False  # of `run`: any question may be answered, not only a page prompt

    @property
    def state(self) -> RowState:
        """queued, running, waiting (for an answer nobody but the caller gives), done."""
        if self.answer is not None:
            return "done"
        if not self.running:
            return "queued"
        return "waiting" if self.turn.waiting and not self.turn.cancelled else "running"

    @property
    def question(self) -> str:
        """What the device asks, as it may be shown."""
        return self.partial.line(self.turn.question)[-200:]  # cut last: half a secret would be no known one

    @property
    def partial(self) -> Partial:
        """What may be shown while it runs."""
        return Partial(self.redactor, self.profile)

    def head(self) -> dict[str, Any]:
        """What names this row in every answer."""
        return {"device": self.device.name, "platform": self.profile.name, "command": self.command}


@dataclass(slots=True)
class Job:
    """Rows under way, and what was given out of them. `pieces` is what `cursor` counts."""

    job_id: str
    title: str
    rows: list[Row]
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    cancelled: bool = False
    given_out: bool = False
    done: anyio.Event = field(default_factory=anyio.Event)
    pieces: list[dict[str, Any]] = field(default_factory=list)
    progress: Progress | None = None

    @property
    def state(self) -> str:
        """running, waiting (all that is not done waits for an answer), done or cancelled."""
        if self.done.is_set():
            return "cancelled" if self.cancelled else "done"
        open_rows = [row.state for row in self.rows if row.state != "done"]
        return "waiting" if open_rows and all(state == "waiting" for state in open_rows) else "running"

    async def settled(self, wait: float) -> bool:
        """Wait until all is done or waits for an answer, `wait` seconds at most; whether all is done."""
        deadline = time.monotonic() + wait
        while not self.done.is_set() and self.state != "waiting" and (left := deadline - time.monotonic()) > 0:
            with anyio.move_on_after(min(_LOOK, left)):
                await self.done.wait()
        return self.done.is_set()

    async def finish(self, row: Row, answer: dict[str, Any]) -> None:
        """A row has its answer."""
        row.answer = answer
        self.pieces.append({"row": answer})
        if self.progress is not None and not self.given_out:
            done = sum(item.answer is not None for item in self.rows)
            await self.progress(done, len(self.rows), f"{row.device.name}: {row.command}")

    def cancel(self) -> None:
        """Interrupt what runs; what has not begun is not sent."""
        self.cancelled = True
        for row in self.rows:
            row.turn.cancel()

    def collect(self) -> None:
        """Add the text that running commands have sent since the last look."""
        for row in self.rows:
            if row.answer is None and row.running:
                text = row.turn.partial()
                end = row.partial.end(text, waiting=row.state == "waiting")
                new, left_out = row.partial.new(text, row.given, end, _PIECE)
                row.given = end
                if left_out:
                    new = f"[... {left_out} characters left out; the end will be whole ...]\n{new}"
                if new:
                    self.pieces.append({**row.head(), "text": new})


def running_answer(row: Row) -> dict[str, Any]:
    """A row that is not done yet: the text so far, and why it waits if it does."""
    answer: dict[str, Any] = {**row.head(), "ok": False, "state": row.state, "warnings": list(row.device.warnings)}
    if row.running and (text := row.turn.partial()):
        end = row.partial.end(text, waiting=row.state == "waiting")
        answer["output"], left_out = row.partial.new(text, 0, end, _PIECE)
        answer["truncated"] = left_out > 0
    if row.state == "waiting":
        answer["waiting_for"] = row.turn.waiting
        answer["question"] = row.question
    return answer


class Jobs:
    """All jobs of this process; their tasks live in the lifespan's task group."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def start(
        self, title: str, rows: list[Row], work: Callable[[Job], Awaitable[None]], progress: Progress | None
    ) -> Job:
        """Run `work` in the background; it gives every row its answer."""
        job = Job(secrets.token_urlsafe(16), title, rows, progress=progress)
        self._tasks.start_soon(self._run, job, work)
        return job

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[None]]) -> None:
        try:
            await work(job)
        finally:
            job.ended = time.monotonic()
            job.done.set()

    def give_out(self, job: Job) -> None:
        """From now on the job is known by its id, and outlives its call."""
        job.given_out = True
        self._jobs[job.job_id] = job
        for old in [key for key, item in self._jobs.items() if item.done.is_set()][:-_KEPT]:
            del self._jobs[old]

    async def act(
        self, action: str, job_id: str = "", cursor: int = 0, text: str = "", wait: float = 25.0
    ) -> dict[str, Any]:
        """What the `job` tool does. InputError for an unknown action or id, PolicyError for input not allowed."""
        if action in ("list", "history"):
            return self._listing(ended=action == "history")
        if action not in _ACTIONS:
            raise InputError(f"no action {action!r}; {did_you_mean(action, _ACTIONS)}")
        job = self._find(job_id)
        if action == "cancel":
            job.cancel()
            await job.settled(5.0)
        elif action == "input":
            self._input(job, text)
            await job.settled(2.0)
        elif action == "wait":
            await job.settled(wait)
        return self._report(job, cursor)

    def _find(self, job_id: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None or (job.ended and time.monotonic() - job.ended > _KEPT_FOR):
            raise InputError(
                f"there is no job {job_id[:60]!r}, or it ended more than an hour ago",
                hint="job(action='list') shows what runs, job(action='history') what has ended.",
            )
        return job

    def _listing(self, *, ended: bool) -> dict[str, Any]:
        jobs = [job for job in self._jobs.values() if job.done.is_set() == ended]
        now = time.monotonic()
        rows = [
            [job.job_id, job.title, job.state, len(job.rows), round((job.ended or now) - job.started, 1)]
            for job in reversed(jobs[-50:])
        ]
        return {"columns": ["job_id", "command", "state", "rows", "seconds"], "rows": rows, "next": ""}

    def _report(self, job: Job, cursor: int) -> dict[str, Any]:
        job.collect()
        new = job.pieces[cursor:]
        waiting = [
            {**row.head(), "waiting_for": row.turn.waiting, "question": row.question}
            for row in job.rows
            if row.state == "waiting"
        ]
        report: dict[str, Any] = {
            "job_id": job.job_id,
            "command": job.title,
            "state": job.state,
            "requested": len(job.rows),
            "done": sum(row.answer is not None for row in job.rows),
            "seconds": round((job.ended or time.monotonic()) - job.started, 3),
            "text": [piece for piece in new if "text" in piece],
            "rows": [piece["row"] for piece in new if "row" in piece],
            "waiting": waiting,
            "cursor": len(job.pieces),
            "next": "",
        }
        if not job.done.is_set():
            call = f"job(action='{{}}', job_id='{job.job_id}', cursor={len(job.pieces)})"
            report["next"] = (
                "The device asks: " + call.format("input") + " with a pager key as text (space, enter, q), or cancel."
                if waiting
                else call.format("wait") + " for more."
            )
        return report

    def _input(self, job: Job, text: str) -> None:
        waiting = [row for row in job.rows if row.state == "waiting"]
        if not waiting:
            raise InputError(
                "nothing of this job waits for input", hint="Input is taken only while the state is waiting."
            )
        keys = [_pager_key(row, text) for row in waiting]  # all of them are asked for a key, or none is sent
        for row, key in zip(waiting, keys, strict=True):
            row.turn.send(key)


def _pager_key(row: Row, text: str) -> str:
    """In this read-only toolset a page prompt may be answered, and nothing else."""
    if row.turn.waiting != "pager":
        raise PolicyError(
            f"the device asks for something else than a page ({row.turn.waiting}); answering that is not reading",
            device=row.device.name,
            line=row.question.strip(),
            hint="job(action='cancel') interrupts the command.",
        )
    keys = {"": "\n", "\n": "\n", "enter": "\n", " ": row.profile.pager.next, "space": row.profile.pager.next}
    keys |= {"q": row.profile.pager.quit, "quit": row.profile.pager.quit}
    key = keys.get(text if text in keys else text.strip().lower())
    if key is None:
        raise InputError(f"{text[:20]!r} is not a pager key", device=row.device.name, hint="One of: space, enter, q.")
    return key


def not_sent(row: Row) -> NetsshError:
    """The error of a row that was cancelled before its turn came."""
    return NotSent(f"{row.command!r} was cancelled before it was sent", device=row.device.name, hint="Run it again.")
