"""Files of hosts and network devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from netssh_mcp.services.given import NOT_GIVEN
from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, answers
from netssh_mcp.tools.observe import Count, Ctx, app
from netssh_mcp.tools.shells import Device
from netssh_mcp.tools.waiting import Progress, alive

RemotePath = Annotated[str, Field(description="On the device: absolute, or flash:name and the like.")]
LocalPath = Annotated[str, Field(description="On this side, below a folder that the operator has opened.")]
Encoding = Annotated[str, Field(description="Of text.")]
Sudo = Annotated[bool, Field(description="Linux: where SFTP may not, through sudo.")]


@answers
async def get_file(
    ctx: Ctx,
    *,
    device: Device,
    path: RemotePath,
    action: Annotated[Literal["read", "download", "list", "stat"], Field(description="What to do.")] = "read",
    local_path: LocalPath = "",
    sudo: Sudo = False,
    encoding: Encoding = "utf-8",
    offset: Annotated[Count, Field(description="read: from this byte; list: from this entry.")] = 0,
    hidden: Annotated[bool, Field(description="list: names with a leading dot, too.")] = False,
    overwrite: Annotated[bool, Field(description="download: replace a local file.")] = False,
) -> CallToolResult:
    """Read, download, list or stat a file of a device. Text up to 2 MB (more is cut, with `next_offset`)."""
    files = app(ctx).files

    async def work(progress: Progress) -> dict[str, Any]:
        return await files.get(
            device,
            path,
            action=action,
            local_path=local_path,
            sudo=sudo,
            encoding=encoding,
            offset=offset,
            hidden=hidden,
            overwrite=overwrite,
            progress=progress,
        )

    return answer(await alive(ctx.report_progress, work), render.document)


@answers
async def put_file(
    ctx: Ctx,
    *,
    device: Device,
    path: RemotePath,
    action: Annotated[Literal["write", "upload", "mkdir", "delete"], Field(description="What to do.")] = "write",
    content: Annotated[str, Field(description="write: the text, 2 MB at most.")] = NOT_GIVEN,
    local_path: LocalPath = "",
    mode: Annotated[str, Field(description="Permissions in octal, such as 0644; empty keeps or 0644.")] = "",
    sudo: Sudo = False,
    encoding: Encoding = "utf-8",
    append: Annotated[bool, Field(description="write: to the end; not atomic.")] = False,
    overwrite: Annotated[bool, Field(description="false: refuse where the file exists.")] = True,
    make_dirs: Annotated[bool, Field(description="Make missing parents.")] = False,
) -> CallToolResult:
    """Write or upload a file (atomically, owner and mode kept), make a folder, or delete a file or empty folder.

    The answer has size and checksum as found on the device afterwards.
    """
    files = app(ctx).files

    async def work(progress: Progress) -> dict[str, Any]:
        return await files.put(
            device,
            path,
            action=action,
            content=content,
            local_path=local_path,
            mode=mode,
            sudo=sudo,
            encoding=encoding,
            append=append,
            overwrite=overwrite,
            make_dirs=make_dirs,
            progress=progress,
        )

    return answer(await alive(ctx.report_progress, work), render.document)
