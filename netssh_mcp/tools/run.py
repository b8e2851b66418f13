"""Any command that the operator's policy allows, on one or many devices."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.types import CallToolResult
from pydantic import Field

from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, answers
from netssh_mcp.tools.observe import Ctx, Targets, app, nothing_came
from netssh_mcp.tools.strict import Strings
from netssh_mcp.tools.waiting import Progress, alive


@answers
async def run(
    ctx: Ctx,
    *,
    targets: Targets,
    commands: Annotated[Strings, Field(min_length=1, description="In order; one line each unless `shell`.")],
    sudo: Annotated[bool, Field(description="Linux: under sudo; the password comes from the inventory.")] = False,
    sudo_user: Annotated[str, Field(description="Who instead of root.")] = "",
    cwd: Annotated[str, Field(description="Linux: absolute working directory.")] = "",
    env: Annotated[dict[str, str], Field(description="Linux: variables; no secrets.")] = {},  # noqa: B006
    shell: Annotated[bool, Field(description="Linux: shell text: pipes, redirects, several lines.")] = False,
    answers: Annotated[  # noqa: A002, RUF100
        list[dict[str, str]],
        Field(description="What to type when the last line matches: [{expect: regex, send: text}]; each once."),
    ] = [],  # noqa: B006
    stop_on_error: Annotated[bool, Field(description="Send none of the rest to a device where one failed.")] = True,
    timeout: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False, description="Seconds per command.")] = 60,
    wait: Annotated[
        float, Field(ge=0, le=300, allow_inf_nan=False, description="As in `show`; 0: a job at once.")
    ] = 25,
    session: Annotated[str, Field(description="Name of a kept session: cwd, variables and mode stay.")] = "",
) -> CallToolResult:
    """Run any command that the operator's policy allows; one row per device and command, as in `show`.

    Linux: each command by itself, with output, stderr, exit_status and signal; with `session`, in a shell that is kept.
    Network devices: exec or config mode (`configure terminal` first, in the same call or session). The server never
    answers a question: the row is `waiting`, and `answers` or job(action='input') answers it.
    """
    services = app(ctx)

    async def work(progress: Progress) -> dict[str, Any]:
        return await services.runs.run(
            targets,
            commands,
            sudo=sudo,
            sudo_user=sudo_user,
            cwd=cwd,
            env=env,
            shell=shell,
            answers=answers,
            stop_on_error=stop_on_error,
            timeout=timeout,
            wait=wait,
            session=session,
            progress=progress,
        )

    result = await alive(ctx.report_progress, work)
    return answer(result, render.show, failed=nothing_came(result))
