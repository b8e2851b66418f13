"""What one call of a file tool asks, and how risky that is on a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from netssh_mcp.guard.protected_paths import protected
from netssh_mcp.model import CommandClass
from netssh_mcp.services.desk import Place
from netssh_mcp.services.jobs import Progress
from netssh_mcp.wire.turn import Turn

Tool = Literal["get_file", "put_file"]
_READS: Final = {"list": "read", "stat": "read", "read": "secret-read", "download": "secret-read"}


@dataclass(slots=True)
class Ask:
    """One call: what is asked of which place, and what it became."""

    place: Place
    tool: Tool
    action: str
    path: str
    sudo: bool
    progress: Progress | None
    mode: int | None = None
    turn: Turn = field(default_factory=Turn)
    said: str = ""  # the path as it was asked for; `path` may have the host's word for the login folder in it

    def __post_init__(self) -> None:
        self.said = self.path

    @property
    def writing(self) -> bool:
        """Whether it is `put_file`."""
        return self.tool == "put_file"

    def kind(self, path: str) -> CommandClass:
        """How risky it is on this path."""
        if self.action not in ("list", "stat") and protected(path, writing=self.writing):
            return "shell"
        if self.action in ("write", "upload") and (self.mode or 0) & 0o6000:
            return "shell"  # set-user-ID: whoever runs it is the file's owner
        if self.writing or self.sudo:
            return "change"
        return "read" if _READS[self.action] == "read" else "secret-read"

    @property
    def head(self) -> dict[str, Any]:
        """What every answer begins with."""
        return {"device": self.place.device.name, "action": self.action}
