"""The words of the house: the few types that cross floors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Parse = Literal["auto", "raw", "textfsm", "json"]
Framing = Literal["proven", "prompt", ""]
CommandClass = Literal["read", "diagnose", "secret-read", "change", "config", "shell"]  # in order of risk
CLASSES: Final[tuple[CommandClass, ...]] = get_args(CommandClass)
READS: Final[frozenset[CommandClass]] = frozenset({"read", "diagnose", "secret-read"})  # nothing on the device changes
WaitReason = Literal["pager", "password", "passphrase", "yes_no", "confirm", "host_key", "filename", "other"]
JobAction = Literal["list", "get", "wait", "input", "interrupt", "signal", "cancel", "cancel_all", "history"]
SessionState = Literal["clean", "running", "dirty", "dead"]


@dataclass(frozen=True, slots=True)
class Table:
    """A parsed output in column form: `rows` are as wide as `columns`; no rows is a legal, empty table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a device sent for one command, with everything that is not the command's own kept apart.

    `framing` is "proven" when the end was shown by a nonce, "prompt" when only the prompt was seen. `events` are the
    lines the device sent unasked (syslog). `exit_status`, `stderr` and `signal` (what ended it: "TERM") exist on Linux
    only. `seconds` is from the first byte written to the proven end. `cwd` is where a kept Linux session is after it.
    """

    output: str
    framing: Framing
    events: tuple[str, ...] = ()
    exit_status: int | None = None
    stderr: str = ""
    seconds: float = 0.0
    signal: str = ""
    cwd: str = ""
