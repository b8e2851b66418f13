"""Which arguments mean something to which action of a tool. What would be ignored is an error: it was meant to do
something, and an answer that says `ok` would say that it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from netssh_mcp.errors import InputError


class _NotGiven(str):
    """The empty text as a default: schemas show it as "", and what a caller gives is never of this class."""

    __slots__ = ()


NOT_GIVEN: Final[str] = _NotGiven()


def was_given(text: str) -> bool:
    """Whether a caller said it, be it empty. By class: pydantic copies defaults."""
    return not isinstance(text, _NotGiven)


_TYPED: Final = ("pattern", "quiet", "wait")

# tool: {action: the arguments that it looks at}; `device` of files and `path` are always looked at.
TAKES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "get_file": {
        "read": ("sudo", "encoding", "offset"),
        "download": ("local_path", "sudo", "overwrite"),
        "list": ("sudo", "offset", "hidden"),
        "stat": ("sudo",),
    },
    "put_file": {
        "write": ("content", "mode", "sudo", "encoding", "append", "overwrite", "make_dirs"),
        "upload": ("local_path", "mode", "sudo", "append", "overwrite", "make_dirs"),
        "mkdir": ("mode", "sudo", "make_dirs"),
        "delete": ("sudo",),
    },
    "session": {
        "open": ("device", "name"),
        "list": ("device",),
        "close": ("device", "name"),
        "close_all": ("device",),
        "record": ("device", "name"),
        "stop": ("device", "name"),
        "transcript": ("device", "name", "format"),
    },
    "shell": {
        "open": ("device", "wait"),
        "send": ("shell_id", "text", "enter", *_TYPED),
        "key": ("shell_id", "keys", *_TYPED),
        "read": ("shell_id", "cursor", "wait"),
        "wait": ("shell_id", "cursor", *_TYPED),
        "screen": ("shell_id",),
        "close": ("shell_id",),
    },
    "forward": {
        "open": ("device", "kind", "host", "port", "listen", "bind", "lifetime"),
        "list": ("device",),
        "close": ("forward_id",),
    },
}

# What an argument is when nobody gave it: some clients send every key with its default.
USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "get_file": {
        "local_path": "",
        "sudo": False,
        "encoding": "utf-8",
        "offset": 0,
        "hidden": False,
        "overwrite": False,
    },
    "put_file": {
        "content": "",
        "local_path": "",
        "mode": "",
        "sudo": False,
        "encoding": "utf-8",
        "append": False,
        "overwrite": True,
        "make_dirs": False,
    },
    "session": {"device": "", "name": "", "format": "text"},
    "shell": {
        "device": "",
        "shell_id": "",
        "text": "",
        "enter": True,
        "keys": [],
        "cursor": -1,
        "pattern": "",
        "quiet": 0,
        "wait": 10,
    },
    "forward": {
        "device": "",
        "kind": "local",
        "host": "",
        "port": 0,
        "listen": 0,
        "bind": "127.0.0.1",
        "lifetime": 3600,
        "forward_id": "",
    },
}


def fitting(tool: str, action: str, /, **values: object) -> None:
    """InputError for an argument that `action` would ignore. Unknown actions are their service's to refuse."""
    taken = TAKES[tool].get(action)
    if taken is None:
        return
    for name, value in values.items():
        if name in taken or value == USUAL[tool][name]:
            continue
        owners = " or ".join(f"action='{each}'" for each, names in TAKES[tool].items() if name in names)
        raise InputError(
            f"`{name}` means nothing to {tool}(action='{action}'); nothing was done",
            hint=f"It belongs to {owners}. Leave it out, or choose that action.",
        )
