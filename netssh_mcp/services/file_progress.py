"""How far a transfer is, told while it runs."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

import anyio

from netssh_mcp.errors import NetsshError
from netssh_mcp.services.jobs import Progress

if TYPE_CHECKING:
    from netssh_mcp.wire.sftp import Meter

_EVERY: Final = 0.5  # seconds between reports of progress


async def reporting(progress: Progress | None, meter: Meter, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, while `progress` is told of its bytes."""
    if progress is None:
        return await work
    failure: NetsshError | None = None
    result: dict[str, Any] = {}

    told = 0

    async def report(tell: Progress) -> None:
        nonlocal told
        if meter.done > told:
            told = meter.done
            await tell(told, meter.total, f"{told} of {meter.total or '?'} bytes")

    async def go_on(tell: Progress) -> None:
        while True:
            await anyio.sleep(_EVERY)
            await report(tell)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on, progress)
        try:
            result = await work
        except NetsshError as error:  # a task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await report(progress)  # the last of it, and of what was quicker than that
    return result
