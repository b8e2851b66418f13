"""Commands that outlive the call that started them. A job is a list of rows, one per device and command.

Every command runs as a job; only those not done within `wait` are ever heard of by their id. While a job has not been
given out, cancelling the call interrupts its commands; afterwards only `cancel` does.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, Literal

import anyio
from anyio.abc import TaskGroup

from netssh_mcp.errors import NetsshError, NotSent
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.history import History
from netssh_mcp.services.shown import Partial
from netssh_mcp.wire.turn import Turn

Progress = Callable[[int, int, str], Awaitable[None]]
RowState = Literal["queued", "running", "waiting", "done"]

_KEPT = 500  # ended jobs whose rows can be read
_KEPT_FOR = 3600.0  # seconds for which they can
_KEPT_SIZE = 64 << 20  # characters of all of them together; the oldest go first
_LOOK = 0.2  # seconds between looks whether a command waits for an answer; its end is an event
_PIECE = 8_000  # characters of new text of one running command in one answer
_PIECES = 64  # such texts of one running command that can be read again by an earlier cursor
_HELD_BY = 3  # commands that are named to somebody who waits for their session


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
    given: list[int] = field(default_factory=lambda: [0, 0])  # characters of its two streams given out while it ran
    told: list[int] = field(default_factory=list)  # which pieces of its job are text of it
    holders: Callable[[Row], str] | None = None  # who has the session that it waits for
    counted: bool = False  # against the policy's rates
    any_input: bool = False  # of `run`: any question may be answered, not only a page prompt

    @property
    def state(self) -> RowState:
        """queued (for its turn or a free session), running, waiting (for an answer only the caller gives), done."""
        if self.answer is not None:
            return "done"
        if not self.running or self.turn.queued:
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

    @property
    def note(self) -> str:
        """What a row that is not sent waits for; "" when that is clear."""
        return self.holders(self) if self.turn.queued and self.holders is not None else ""

    @property
    def kept(self) -> str:
        """The name of the kept session that it goes into, or ""."""
        return str(self.facts.get("session", ""))

    @property
    def pooled(self) -> bool:
        """Whether it takes one of `max_sessions` though no session is kept for it: of a host only `show` does."""
        return not self.kept and not (self.profile.driver == "linux" and "session" in self.facts)

    def head(self) -> dict[str, Any]:
        """What names this row in every answer."""
        return {"device": self.device.name, "platform": self.profile.name, "command": self.command}

    def texts(self) -> tuple[str, str]:
        """What came so far on its two streams, unredacted. Decodes all of it: for a long one in a thread."""
        return (self.turn.partial(), self.turn.errors()) if self.answer is None and self.running else ("", "")

    def new(self, texts: tuple[str, str]) -> dict[str, Any]:
        """What came since the last time, as it may be shown. Whole lines: a question has its own field."""
        found: dict[str, Any] = {}
        for number, (name, text) in enumerate(zip(("text", "stderr"), texts, strict=True)):
            waits = self.state == "waiting"
            end = text.rfind("\n") + 1 if waits else self.partial.end(text, waiting=False)
            end = max(end, self.given[number])
            new, left_out = self.partial.new(text, self.given[number], end, _PIECE)
            self.given[number] = end
            if left_out:
                new = f"[... {left_out} characters left out; the end will be whole ...]\n{new}"
            if new:
                found[name] = new
        return found


@dataclass(slots=True)
class Job:
    """Rows under way, and what was given out of them. `pieces` is what `cursor` counts."""

    job_id: str
    title: str
    rows: list[Row]
    started: float = field(default_factory=time.monotonic)
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    ended: float = 0.0
    cancelled: bool = False
    given_out: bool = False
    size: int = 0  # characters of its rows, once it has ended
    done: anyio.Event = field(default_factory=anyio.Event)
    pieces: list[dict[str, Any]] = field(default_factory=list)
    progress: Progress | None = None

    @property
    def state(self) -> str:
        """running, waiting (nothing goes on until a question is answered), done or cancelled."""
        if self.done.is_set():
            return "cancelled" if self.cancelled else "done"
        states = [(row.state, row.device.name) for row in self.rows if row.answer is None]
        asking = {device for state, device in states if state == "waiting"}
        # A device's rows go one after the other, so those behind the one that asks do not go on either.
        still = asking and all(state == "waiting" or (state == "queued" and name in asking) for state, name in states)
        return "waiting" if still else "running"

    @property
    def seconds(self) -> float:
        """How long it took, or takes."""
        return (self.ended or time.monotonic()) - self.started

    async def settled(self, wait: float) -> bool:
        """Wait until all is done or waits for an answer, `wait` seconds at most; whether all is done."""
        deadline = time.monotonic() + wait
        while not self.done.is_set() and self.state != "waiting" and (left := deadline - time.monotonic()) > 0:
            with anyio.move_on_after(min(_LOOK, left)):
                await self.done.wait()
        return self.done.is_set()

    async def finish(self, row: Row, answer: dict[str, Any]) -> None:
        """A row has its answer, which holds all of its text: the pieces that were given of it are let go."""
        row.answer = answer
        for number in row.told:
            self.pieces[number] = {}
        row.told.clear()
        self.pieces.append({"row": answer})
        if self.progress is not None and not self.given_out:
            done = sum(item.answer is not None for item in self.rows)
            await self.progress(done, len(self.rows), f"{row.device.name}: {row.command}")

    def cancel(self) -> None:
        """Interrupt what runs; what has not begun is not sent."""
        if self.done.is_set():
            return
        self.cancelled = True
        for row in self.rows:
            row.turn.cancel()

    def collect(self, texts: list[tuple[str, str]] | None = None) -> None:
        """Add the text that running commands have sent since the last look; `texts` as `Row.texts` gave them."""
        for row, text in zip(self.rows, texts or [row.texts() for row in self.rows], strict=True):
            if row.answer is None and row.running and (new := row.new(text)):
                row.told.append(len(self.pieces))
                self.pieces.append({**row.head(), **new})
                if len(row.told) > _PIECES:
                    self.pieces[row.told.pop(0)] = {"left_out": True}


def running_answer(row: Row) -> dict[str, Any]:
    """A row that is not done yet: the text that its job has given out so far, and why it waits if it does."""
    answer: dict[str, Any] = {**row.head(), "ok": False, "state": row.state, "warnings": list(row.device.warnings)}
    for name, text, given in zip(("output", "stderr"), row.texts(), row.given, strict=True):
        if given:
            answer[name], left_out = row.partial.new(text, 0, given, _PIECE)
            answer["truncated"] = left_out > 0 or answer.get("truncated", False)
    if row.state == "waiting":
        answer["waiting_for"] = row.turn.waiting
        answer["question"] = row.question
    if note := row.note:
        answer["note"] = note
    return answer


class Jobs:
    """All jobs of this process; their tasks live in the lifespan's task group."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._under_way: dict[int, Job] = {}
        self._given_out: OrderedDict[str, Job] = OrderedDict()
        self.history: Final = History()
        self.calls: Final[dict[anyio.Event, tuple[str, str]]] = {}  # device and command of what is under way and no job

    def start(
        self, title: str, rows: list[Row], work: Callable[[Job], Awaitable[None]], progress: Progress | None
    ) -> Job:
        """Run `work` in the background; it gives every row its answer."""
        job = Job(secrets.token_urlsafe(16), title, rows, progress=progress)
        for row in rows:
            row.holders = self._holders
        self._under_way[id(job)] = job
        self._tasks.start_soon(self._run, job, work)
        return job

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[None]]) -> None:
        try:
            await work(job)
        finally:
            del self._under_way[id(job)]
            job.ended = time.monotonic()
            job.done.set()
            self._remember(job)

    def _remember(self, job: Job) -> None:
        answers = [row.answer for row in job.rows if row.answer is not None]
        self.history.add(
            job.job_id if job.given_out else "",
            job.title,
            job.rows[0].partial,
            devices=[row.device.name for row in job.rows],
            state=job.state,
            answers=answers,
            started=job.began,
            seconds=job.seconds,
        )
        if job.given_out:
            job.size = sum(len(repr(answer)) for answer in answers)
            self._trim()

    def _trim(self) -> None:
        ended = [job for job in self._given_out.values() if job.done.is_set()]
        size = sum(job.size for job in ended)
        for number, job in enumerate(ended[:-1]):  # the last one is what somebody asks for next
            if len(ended) - number <= _KEPT and size <= _KEPT_SIZE and time.monotonic() - job.ended <= _KEPT_FOR:
                break
            size -= job.size
            del self._given_out[job.job_id]

    def give_out(self, job: Job) -> None:
        """From now on the job is known by its id, and outlives its call."""
        job.given_out = True
        self._given_out[job.job_id] = job
        job.collect()

    def find(self, job_id: str) -> Job | None:
        """A job that was given out and can still be read."""
        job = self._given_out.get(job_id)
        return None if job is None or (job.ended and time.monotonic() - job.ended > _KEPT_FOR) else job

    def open(self) -> list[Job]:
        """Those that were given out and have not ended, the newest first."""
        return [job for job in reversed(self._given_out.values()) if not job.done.is_set()]

    def under_way(self) -> list[Job]:
        """All that have not ended, whether they were given out or not."""
        return list(self._under_way.values())

    @contextlib.contextmanager
    def call(self, device: str, command: str) -> Iterator[None]:
        """Something that is no job and goes on at a device: a transfer, a terminal that opens."""
        ended = anyio.Event()
        self.calls[ended] = device, command
        try:
            yield
        finally:
            del self.calls[ended]
            ended.set()

    async def quiet(self) -> None:
        """Wait until nothing of all that is under way by now is any more."""
        for event in [*(job.done for job in self._under_way.values()), *self.calls]:
            await event.wait()

    def _holders(self, row: Row) -> str:
        """Who has the session that this row waits for: the kept one of that name, or else one of `max_sessions`."""
        there = [
            (job, other)
            for job in self._under_way.values()
            for other in job.rows
            if other.device.name == row.device.name and other is not row and other.state in ("running", "waiting")
        ]
        name = row.kept
        same = [pair for pair in there if name and pair[1].kept == name]
        if row.profile.driver == "linux" or same:
            # A host's kept sessions and single commands are channels of one connection: none takes another's place.
            there = same if name else [pair for pair in there if pair[1].pooled]
        held = [
            f"{other.partial.line(other.command)[:80]!r} ({_of(job)}, {other.turn.waiting or other.state})"
            for job, other in there[:_HELD_BY]
        ]
        by = ", ".join(held) or "a kept session or a terminal (session(action='list'))"
        if name and (same or row.profile.driver == "linux"):
            return f"not sent yet: the kept session {name!r} is in use, by {by}; it is sent when that is free"
        return (
            f"not sent yet: the session that it needs is in use (max_sessions {row.device.max_sessions}), by {by}; "
            "it is sent when one is free"
        )


def _of(job: Job) -> str:
    return f"job {job.job_id}" if job.given_out else "another call"


def not_sent(row: Row) -> NetsshError:
    """The error of a row that was cancelled before its turn came."""
    return NotSent(f"{row.command!r} was cancelled before it was sent", device=row.device.name, hint="Run it again.")
