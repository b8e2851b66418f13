"""Tunnels through a host."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, answers
from netssh_mcp.tools.observe import Ctx, app
from netssh_mcp.tools.shells import Device
from netssh_mcp.tools.waiting import Progress, alive

Port = Annotated[int, Field(ge=0, le=65_535)]


@answers
async def forward(
    ctx: Ctx,
    *,
    action: Annotated[Literal["open", "list", "close"], Field(description="What to do.")],
    device: Device = "",
    kind: Annotated[
        Literal["local", "remote", "dynamic"],
        Field(description="local: a port here leads to host:port there; remote: the reverse; dynamic: SOCKS here."),
    ] = "local",
    host: Annotated[str, Field(description="Where to, as seen from the far end (remote: from here).")] = "",
    port: Annotated[Port, Field(description="Where to.")] = 0,
    listen: Annotated[Port, Field(description="Port to listen on; 0: a free one.")] = 0,
    bind: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1",
    lifetime: Annotated[float, Field(gt=0, le=86_400, description="Seconds until it closes by itself.")] = 3600,
    forward_id: Annotated[str, Field(description="close: from open or list.")] = "",
) -> CallToolResult:
    """Open, list (with counters) or close TCP forwards through a Linux host; they end with its connection."""
    forwards = app(ctx).forwards

    async def work(_progress: Progress) -> dict[str, Any]:
        return await forwards.act(
            action,
            device=device,
            kind=kind,
            host=host,
            port=port,
            listen=listen,
            bind=bind,
            lifetime=lifetime,
            forward_id=forward_id,
        )

    return answer(await alive(ctx.report_progress, work), render.document)
