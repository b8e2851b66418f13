"""A login for its own sake: is the device there, is it the right one, does it let us in, is it of that platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netssh_mcp.guard import policy
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.wire.turn import Turn


@dataclass(frozen=True, slots=True)
class Trial:
    """What a login has shown; `prompt` is the device's own text. `seconds` by phase, "connect" with the way to it."""

    address: str
    host_key: str
    verdict: str
    method: str
    mode: str
    prompt: str
    seconds: Mapping[str, float]


async def log_in(pool: Pool, hops: tuple[Device, ...], grant: Grant, turn: Turn) -> Trial:
    """Log in to the last of `hops` anew, and out. Raises as `Pool.lease` does."""
    policy.required(grant)
    async with pool.lease(hops, grant.profile, turn, fresh=True) as lease:
        lease.session.spent = True  # closed when the block ends
        connection, seen = lease.session.connection, turn.login
        assert seen is not None
        connect = max(0.0, lease.connecting - sum(seen.seconds.values()))
        return Trial(
            address=seen.address,
            host_key=seen.host_key,
            verdict=seen.verdict,
            method=seen.method,
            mode=connection.mode,
            prompt=connection.prompt.line,
            seconds={"connect": connect, **seen.seconds},
        )
