"""The services of the toolset `operate`, made and closed together.

Only `app` imports this module, when the first of them is asked for: a start without that toolset does not pay for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from netssh_mcp.services.desk import Desk
from netssh_mcp.services.files import Files
from netssh_mcp.services.forwards import Forwards
from netssh_mcp.services.hosts import Hosts
from netssh_mcp.services.named import Sessions
from netssh_mcp.services.runs import Runs
from netssh_mcp.services.shells import Shells


@dataclass(frozen=True, slots=True)
class Operate:
    """What the tools of the toolset and the command line's twins of them call."""

    runs: Runs
    sessions: Sessions
    shells: Shells
    files: Files
    forwards: Forwards
    hosts: Hosts

    @classmethod
    def at(cls, desk: Desk) -> Operate:
        """All of them, for one App; `shells.sweep` is to run beside them."""
        shells, forwards = Shells(desk), Forwards(desk)
        return cls(Runs(desk), Sessions(desk, shells, forwards), shells, Files(desk), forwards, Hosts(desk))

    async def aclose(self) -> None:
        """End the terminals and the forwards, side by side, in bounded time."""
        async with anyio.create_task_group() as ending:
            ending.start_soon(self.shells.aclose)
            ending.start_soon(self.forwards.aclose)
