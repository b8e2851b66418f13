"""Sessions that are kept by name, and shells that a program may draw on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, answers
from netssh_mcp.tools.observe import Ctx, app
from netssh_mcp.tools.strict import Strings
from netssh_mcp.tools.waiting import Progress, alive

Device = Annotated[str, Field(description="Name of one device.")]


@answers
async def session(
    ctx: Ctx,
    *,
    action: Annotated[
        Literal["open", "list", "close", "close_all", "record", "stop", "transcript"],
        Field(description="record, stop, transcript: keep and fetch what is typed and shown."),
    ],
    device: Device = "",
    name: Annotated[str, Field(description="Empty on open: one is chosen.")] = "",
    format: Annotated[  # noqa: A002
        Literal["text", "jsonl", "asciicast"], Field(description="Of a transcript.")
    ] = "text",
) -> CallToolResult:
    """Sessions kept by name for run(session=...): cwd, variables, mode and history stay between calls.

    list: every open session and shell with device, user, mode, uptime, idle, last command, forwards, state.
    """
    result = await app(ctx).sessions.act(action, device, name, format)
    return answer(result, render.document)


@answers
async def shell(
    ctx: Ctx,
    *,
    action: Annotated[
        Literal["open", "send", "key", "read", "screen", "wait", "close"], Field(description="What to do.")
    ],
    device: Device = "",
    shell_id: Annotated[str, Field(description="From open.")] = "",
    text: Annotated[str, Field(description="send: what to type.")] = "",
    enter: Annotated[bool, Field(description="send: and Enter.")] = True,
    keys: Annotated[
        Strings, Field(description="key: enter, tab, esc, space, backspace, up, pgdn, home, f1, ctrl-c, alt-x ...")
    ] = [],  # noqa: B006
    cursor: Annotated[int, Field(ge=-1, description="read, wait: from here; -1: where the last answer ended.")] = -1,
    pattern: Annotated[str, Field(description="wait: until this regex comes behind `cursor`.")] = "",
    quiet: Annotated[float, Field(ge=0, le=60, description="wait: or until silent for so many seconds.")] = 0,
    wait: Annotated[float, Field(ge=0, le=300, description="At most so many seconds.")] = 10,
) -> CallToolResult:
    """A terminal on a host or network device, for programs that need one; for commands use `run`.

    read gives new text by cursor, without escape codes; screen what a person would see (80x24 or more).
    """
    shells = app(ctx).shells

    async def work(_progress: Progress) -> dict[str, Any]:
        return await shells.act(
            action,
            device=device,
            shell_id=shell_id,
            text=text,
            enter=enter,
            keys=keys,
            cursor=cursor,
            pattern=pattern,
            quiet=quiet,
            wait=wait,
        )

    return answer(await alive(ctx.report_progress, work), render.document)
