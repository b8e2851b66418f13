"""Terminals across the seam: opened, typed into and closed with a Grant; what came is read by anybody who has one."""
# ruff: noqa: PLC0415  (the wire is imported by the first one: the start budget)

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

from netssh_mcp.errors import SessionLost
from netssh_mcp.guard.policy import Grant, required
from netssh_mcp.sessions.session import Session, in_thread
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared
    from netssh_mcp.wire.terminal import Note, Terminal

T = TypeVar("T")

_HANG_UP = 1.0  # seconds that the far side gets to confirm


async def on_host(
    grant: Grant,
    shared: Shared,
    *,
    size: tuple[int, int],
    note: Note,
    turn: Turn,
    limiter: anyio.CapacityLimiter,
) -> Terminal:
    """A shell with a terminal on a Linux host; it closes `shared` at its end. Raises Unreachable, SessionLost."""
    required(grant)

    def work() -> Terminal:
        from netssh_mcp.wire.terminal import Terminal

        deadline = time.monotonic() + grant.device.connect_timeout
        return Terminal.on_host(shared, width=size[0], height=size[1], deadline=deadline, note=note)

    return await in_thread(work, turn, limiter, orphaned=_drop)


async def on_device(
    grant: Grant,
    session: Session,
    *,
    size: tuple[int, int],
    note: Note,
    turn: Turn,
    limiter: anyio.CapacityLimiter,
) -> Terminal:
    """The terminal of a network device's login, which runs no command any more. Raises SessionLost."""
    required(grant)

    def work() -> Terminal:
        from netssh_mcp.wire.network import NetworkConnection
        from netssh_mcp.wire.terminal import Terminal

        connection = session.connection
        if not isinstance(connection, NetworkConnection):
            raise SessionLost("this session has no terminal", device=session.device.name, effect="none")
        session.spent = True  # nobody after us knows what mode it is in
        prompt = connection.prompt.line
        return Terminal.on_device(
            connection.hand_over(), prompt, width=size[0], height=size[1], leave=connection.close, note=note
        )

    return await in_thread(work, turn, limiter, orphaned=_drop)


async def press(
    grant: Grant, terminal: Terminal, data: bytes, *, hidden: bool, turn: Turn, limiter: anyio.CapacityLimiter
) -> int:
    """Type; the count of bytes that had come before. `hidden`: a secret, which no recorder gets. Raises SessionLost."""
    required(grant)
    return await in_thread(lambda: terminal.press(data, hidden=hidden), turn, limiter)


async def hang_up(
    grant: Grant, terminal: Terminal, limiter: anyio.CapacityLimiter, *, patience: float = _HANG_UP
) -> bool:
    """Close it; whether the far side has confirmed that it ended."""
    required(grant)
    return await in_thread(lambda: terminal.hang_up(patience), Turn(), limiter)


async def until(
    terminal: Terminal,
    look: Callable[[], tuple[T | None, float]],
    seconds: float,
    limiter: anyio.CapacityLimiter,
) -> T | None:
    """What `look` finds, which is asked after all that comes, in a thread; None after `seconds`."""
    turn = Turn()
    return await in_thread(lambda: terminal.until(look, seconds, turn), turn, limiter)


def _drop(terminal: Terminal) -> None:
    """Nobody waits for it any more."""
    terminal.hang_up(0.0)
