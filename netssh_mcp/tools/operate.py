"""The toolset for working on devices: off unless the operator names it. What may be done is the policy's word."""

from __future__ import annotations

from netssh_mcp.tools import schemas
from netssh_mcp.tools.files import get_file, put_file
from netssh_mcp.tools.forwards import forward
from netssh_mcp.tools.hosts import host
from netssh_mcp.tools.run import run
from netssh_mcp.tools.shells import session, shell
from netssh_mcp.tools.strict import StrictTool, acts, strict


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
