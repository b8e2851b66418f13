"""What the borrower of a session holds, and waiting for one in a way that a cancel reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.sessions.session import Session
from netssh_mcp.wire.turn import Turn, not_sent


@dataclass(frozen=True, slots=True)
class Lease:
    """A session held for one command, and what had to be done to get it (seconds).

    `lost` is what the caller had left in an earlier session of the same name and does not find any more: "cwd",
    "env", "mode".
    """

    session: Session
    queued: float
    connecting: float
    reconnected: bool
    lost: tuple[str, ...] = ()


async def waited(acquire: Callable[[], Awaitable[object]], device: Device, turn: Turn, *, queued: bool = False) -> None:
    """Acquire, or raise CommandInterrupted as soon as the turn is cancelled (which the event loop's thread does).

    `queued`: it is a session that others use, so the command stands in a queue meanwhile.
    """
    turn.queued = queued
    try:
        with anyio.CancelScope() as scope:
            turn.bind(scope.cancel)
            await acquire()
    finally:
        turn.queued = False
    turn.unbind()
    if scope.cancelled_caught:
        raise not_sent(device.name, "the command")
