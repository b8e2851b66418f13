"""The toolset for working on devices: off unless the operator names it. What may be done is the policy's word."""

from __future__ import annotations

from typing import Any

from mcp.types import ToolAnnotations

from netssh_mcp.tools import schemas
from netssh_mcp.tools.files import get_file, put_file
from netssh_mcp.tools.forwards import forward
from netssh_mcp.tools.hosts import host
from netssh_mcp.tools.run import run
from netssh_mcp.tools.shells import session, shell
from netssh_mcp.tools.strict import StrictTool, strict


def acts(title: str, *, destroys: bool = True, devices: bool = True) -> dict[str, Any]:
    """Title and hints of a tool that changes something."""
    return {
        "title": title,
        "annotations": ToolAnnotations(
            title=title,
            read_only_hint=False,
            destructive_hint=destroys,
            idempotent_hint=False,
            open_world_hint=devices,
        ),
    }


def tools() -> tuple[StrictTool, ...]:
    """In the order in which `tools/list` gives them; fresh objects, so that servers do not share state."""

    return (
        strict(run, output=schemas.RUN, **acts("Run commands")),
        strict(session, output=schemas.DOCUMENT, **acts("Kept sessions", destroys=False)),
        strict(shell, output=schemas.DOCUMENT, **acts("Terminal")),
        strict(get_file, output=schemas.DOCUMENT, **acts("Read files", destroys=False)),
        strict(put_file, output=schemas.DOCUMENT, **acts("Write files")),
        strict(forward, output=schemas.DOCUMENT, **acts("Port forwards", destroys=False)),
        strict(host, output=schemas.DOCUMENT, **acts("Add or edit hosts", destroys=False)),
    )
