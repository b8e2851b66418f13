"""What one call of a file tool asks, how risky that is on a path, and what no call may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from netssh_mcp.errors import InputError
from netssh_mcp.guard.protected_paths import protected
from netssh_mcp.model import CommandClass
from netssh_mcp.services.desk import Place
from netssh_mcp.services.file_text import checked_encoding
from netssh_mcp.services.given import was_given
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


def needed(action: str, content: str) -> None:
    """InputError where there is nothing to write."""
    if action == "write" and not was_given(content):
        raise InputError(
            "`content` is missing; nothing was written",
            hint="Give the text; to send a local file use action='upload' with `local_path`; content='' makes the "
            "file empty.",
        )


def read_as(encoding: str, offset: int) -> str:
    """The encoding by its usual name; InputError where none is known, or an offset means nothing in it."""
    usual = checked_encoding(encoding)
    if offset and not usual.startswith(("utf-8", "ascii", "latin", "iso8859", "cp")):
        raise InputError(f"{encoding} is read from the start only", hint="Leave `offset` out.")
    return usual


def only_linux(**asked: object) -> None:
    """Files of network devices have no owner, mode or sudo, and SCP can only replace them."""
    if given := [name for name, value in asked.items() if value]:
        raise InputError(f"`{given[0]}` means nothing on a network device", hint="Leave it out there.")
