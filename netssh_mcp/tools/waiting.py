"""Signs of life while a call waits: clients drop a call after 60 s of silence (anthropics/claude-code#22542)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
Progress = Callable[[int, int, str], Awaitable[None]]  # done, total, message
Report = Callable[[float, float | None, str | None], Awaitable[None]]  # the SDK's Context.report_progress

HEARTBEAT = 8.0  # seconds; the promise is 10


class _Meter:
    """Turns row counts and heartbeats into a progress that only grows, as the protocol asks.

    A heartbeat after n others stands at `done + n/(n+1)`, below the next row.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._done = 0
        self._total = 0
        self._beats = 0
        self._last = 0.0

    async def row(self, done: int, total: int, message: str) -> None:
        self._done, self._total, self._beats = done, total, 0
        await self._send(done, message)

    async def beat(self, seconds: float) -> None:
        self._beats += 1
        counts = f"{self._done} of {self._total} done, " if self._total else ""
        await self._send(self._done + self._beats / (self._beats + 1), f"{counts}still waiting after {seconds:.0f} s")

    async def _send(self, progress: float, message: str) -> None:
        if progress > self._last:
            self._last = progress
            await self._report(progress, self._total or None, message)


async def alive(report: Report, work: Callable[[Progress], Awaitable[T]], *, every: float = HEARTBEAT) -> T:
    """`work`'s result; its rows and, in between, heartbeats go to `report`. Cancelling reaches `work` as it is.

    A timer of the loop starts the heartbeats: nearly every call ends before the first, and pays nothing for them.
    """
    meter = _Meter(report)
    loop = asyncio.get_running_loop()
    start = loop.time()
    beating: list[asyncio.Task[None]] = []

    async def beats() -> None:
        while True:
            await meter.beat(loop.time() - start)
            await asyncio.sleep(every)

    timer = loop.call_later(every, lambda: beating.append(loop.create_task(beats())))
    try:
        return await work(meter.row)
    finally:
        timer.cancel()
        for task in beating:
            task.cancel()
