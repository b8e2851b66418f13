"""Port forwards at the seam: opened by a Grant only, closed without blocking the loop.

The wire, with Paramiko, is imported by the first one: the server's start goes through here.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from netssh_mcp.guard.policy import Grant, required
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.sessions.session import in_thread
from netssh_mcp.wire.forward_plan import Judge, Plan
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.forwarding import Forward


async def opened(
    grant: Grant,
    pool: Pool,
    hops: tuple[Device, ...],
    *,
    plan: Plan,
    judge: Judge,
    ended: Callable[[Forward], None],
) -> Forward:
    """A forward that serves, on the host's shared connection. `judge` and `ended` are called in its thread.

    Raises as a login does, and as `wire.forwards.opened`.
    """
    required(grant)
    turn = Turn()
    shared = await pool.share(hops, turn)

    def work() -> Forward:
        from netssh_mcp.wire import forwards

        return forwards.opened(plan, shared, judge, ended, turn)

    turn.unbind()  # the login is over: the work looks at the turn by itself
    try:
        return await in_thread(work, turn, pool.threads, orphaned=lambda forward: forward.end("the call was cancelled"))
    except BaseException:
        shared.close()  # it may not have begun
        raise


async def resolved(host: str, port: int, pool: Pool) -> tuple[tuple[str, int], ...]:
    """The addresses of a name, asked for on this side. () when it has none."""

    def work() -> tuple[tuple[str, int], ...]:
        from netssh_mcp.wire.forwards import addresses_of

        return addresses_of(host, port)

    return await in_thread(work, Turn(), pool.threads)


async def closed(forwards: Sequence[Forward], reason: str) -> None:
    """End them, at the same time; each is given two seconds."""
    limiter = anyio.CapacityLimiter(max(1, len(forwards)))

    async def close(forward: Forward) -> None:
        await in_thread(lambda: forward.close(reason), Turn(), limiter)

    async with anyio.create_task_group() as tasks:
        for forward in forwards:
            tasks.start_soon(close, forward)
