"""While a call waits: progress that only grows, heartbeats, and a cancel that reaches the service as it is."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from netssh_mcp.errors import SessionLost
from netssh_mcp.tools import waiting
from tests.conformance import fake_app
from tests.conformance.fake_app import SHOW, FakeApp

pytestmark = pytest.mark.anyio
Note = tuple[float, float | None, str | None]


async def test_each_finished_row_is_reported_to_the_client(mode: str) -> None:
    seen: list[Note] = []
    heard = anyio.Event()

    async def work(**asked: Any) -> dict[str, Any]:
        await asked["progress"](1, 2, "r1: show version")
        await asked["progress"](2, 2, "r2: show version")
        return SHOW

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        if len(seen) == 2:
            heard.set()

    async with fake_app.client(mode, FakeApp(show=work)) as client:
        with anyio.fail_after(5):
            await client.call_tool("show", {"targets": "*", "commands": ["x"]}, progress_callback=note)
            await heard.wait()
    assert seen == [(1, 2, "r1: show version"), (2, 2, "r2: show version")]


async def test_a_silent_wait_gives_heartbeats_that_stay_below_the_next_row_and_only_grow() -> None:
    seen: list[Note] = []
    enough = {4: anyio.Event(), 9: anyio.Event()}

    async def report(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        if len(seen) in enough:
            enough[len(seen)].set()

    async def work(progress: waiting.Progress) -> str:
        await enough[4].wait()
        await progress(1, 2, "row")
        await enough[9].wait()
        return "done"

    with anyio.fail_after(5):
        assert await waiting.alive(report, work, every=0.001) == "done"
    values = [note[0] for note in seen]
    assert values == sorted(set(values))
    row = next(i for i, note in enumerate(seen) if note[2] == "row")
    assert all(value < 1 for value in values[:row])
    assert all(1 < value < 2 for value in values[row + 1 :])
    assert seen[-1][2] is not None
    assert seen[-1][2].startswith("1 of 2 done, still waiting after")


def test_heartbeats_come_often_enough_for_clients() -> None:
    assert waiting.HEARTBEAT <= 10


async def test_an_error_comes_out_of_the_wait_as_itself() -> None:
    async def report(*_note: object) -> None: ...

    async def work(_progress: waiting.Progress) -> str:
        raise SessionLost("gone")

    with pytest.raises(SessionLost, match="gone"):
        await waiting.alive(report, work)


async def test_a_cancelled_call_cancels_the_service_and_the_server_goes_on(mode: str) -> None:
    started, cancelled = anyio.Event(), anyio.Event()

    async def work(**_asked: object) -> dict[str, Any]:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise
        raise AssertionError("unreachable")

    async with fake_app.client(mode, FakeApp(show=work)) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as calls:
                calls.start_soon(client.call_tool, "show", {"targets": "*", "commands": ["x"]})
                await started.wait()
                calls.cancel_scope.cancel()
            await cancelled.wait()
            assert not (await client.call_tool("list_devices", {})).is_error
