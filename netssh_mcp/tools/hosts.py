"""Hosts that an agent may add, where the operator lets it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, answers
from netssh_mcp.tools.observe import Ctx, app
from netssh_mcp.tools.waiting import Progress, alive


@answers
async def host(
    ctx: Ctx,
    *,
    action: Annotated[Literal["add", "edit", "remove", "test"], Field(description="What to do.")],
    name: Annotated[str, Field(description="The host's name in the inventory.")],
    values: Annotated[
        dict[str, Any],
        Field(
            description="Keys of an inventory entry: hostname, port, platform, username, groups ...; secrets only as "
            "references (env:NAME, stored:NAME). edit: null takes a key away."
        ),
    ] = {},  # noqa: B006
) -> CallToolResult:
    """Add, edit or remove a host in the overlay beside the inventory, or test one: reach it, log in, leave."""
    hosts = app(ctx).hosts

    async def work(_progress: Progress) -> dict[str, Any]:
        return await hosts.act(action, name, values)

    return answer(await alive(ctx.report_progress, work), render.document)
