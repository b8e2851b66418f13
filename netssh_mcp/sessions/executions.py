"""One command on a Linux host, outside of any session: a channel of the host's shared connection, and nothing kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from netssh_mcp.errors import CommandFailed
from netssh_mcp.guard import policy
from netssh_mcp.guard.policy import Grant
from netssh_mcp.model import READS, Reply
from netssh_mcp.sessions.session import checked, in_thread
from netssh_mcp.wire.order import Order
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared


async def execute(
    shared: Shared,
    grant: Grant,
    order: Order,
    *,
    timeout: float,
    turn: Turn,
    limiter: anyio.CapacityLimiter,
    byte_limit: int,
) -> Reply:
    """Run what was granted; its two streams, exit status 0 and events. `timeout` in seconds, `byte_limit` of both.

    A grant of class `shell` is text for /bin/sh, any other an argv. Raises CommandFailed for another exit status and
    for a signal; CommandTimeout, CommandInterrupted and OutputTooLarge, which say what has become of it; SessionLost.
    InputError, FileRefused (`cwd`), AuthenticationFailed (sudo) and PromptNotFound: it was not started.
    """
    policy.required(grant)
    from netssh_mcp.wire.exec import Execution  # noqa: PLC0415 - Paramiko, which the server starts without

    deadline = time.monotonic() + timeout
    execution = Execution(
        shared,
        grant.profile,
        grant.line,
        order,
        shell=grant.command_class == "shell",
        reads=grant.command_class in READS,
        byte_limit=byte_limit,
    )
    reply = await in_thread(lambda: execution.run(deadline, turn), turn, limiter)
    try:
        return checked(grant, reply)
    except CommandFailed as failed:
        failed.events = reply.events
        raise
