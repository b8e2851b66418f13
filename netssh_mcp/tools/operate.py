"""The toolset for working on devices: off unless the operator names it. What may be done is the policy's word."""

from __future__ import annotations

from netssh_mcp.tools import schemas
from netssh_mcp.tools.files import get_file, put_file
from netssh_mcp.tools.forwards import forward
from netssh_mcp.tools.hosts import host
from netssh_mcp.tools.run import run
from netssh_mcp.tools.shells import session, shell
from netssh_mcp.tools.strict import StrictTool, hints, strict


def tools() -> tuple[StrictTool, ...]:
    """In the order in which `tools/list` gives them; fresh objects, so that servers do not share state."""
    return (
        strict(run, output=schemas.RUN, **hints("Run commands")),
        strict(session, output=schemas.DOCUMENT, **hints("Kept sessions", destroys=False)),
        strict(shell, output=schemas.DOCUMENT, **hints("Terminal")),
        strict(get_file, output=schemas.DOCUMENT, **hints("Read files", destroys=False)),
        strict(put_file, output=schemas.DOCUMENT, **hints("Write files")),
        strict(forward, output=schemas.DOCUMENT, **hints("Port forwards", destroys=False)),
        strict(host, output=schemas.DOCUMENT, **hints("Add or edit hosts", destroys=False)),
    )
