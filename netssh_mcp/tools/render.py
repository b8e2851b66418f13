"""The facts of a structured answer as text for people; `tests/conformance/test_parity.py` holds both equal.

Whatever a device sent stands between fences longer than any run of backticks inside them, so that it cannot end its
own fence and speak for us.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDEST = 40  # characters; a longer cell shifts its own line instead of padding every other

_QUOTED = ("command", "canonical")
_EFFECTS = {
    "none": "nothing on the device changed",
    "possible": "the device may have acted on it",
    "done": "the change is on the device",
}
_OURS = {  # strings that we or the operator write; `command` is the caller's; any other is a device's
    *("view", "state", "action", "status", "device", "platform", "job_id", "output_id", "next", "problem", "note"),
    *(
        "parsed_by",
        "parse_note",
        "framing",
        "hint",
        "message",
        "kind",
        "effect",
        "created",
        "started",
        "expires",
        "format",
    ),
    *("unit", "cut", "waiting_for", "command", "verdict", "rule", "canonical", "class", "why", "shell_id", "reason"),
    *("hostname", "username", "file", "address", "host_key", "host_key_verdict", "login_by", "mode"),
    *("forward_id", "listen", "destination", "last_error"),
}


def error(facts: Mapping[str, Any]) -> str:
    """kind, message, effect, retryable, the device's line, and last what to do next."""
    effect = str(facts.get("effect", "none"))
    lines = [
        f"ERROR {facts.get('kind', 'error')}: {facts.get('message', '')}",
        f"effect: {effect} ({_EFFECTS.get(effect, 'unknown')})",
    ]
    if facts.get("retryable"):
        lines.append("retryable: the same call may succeed later")
    if facts.get("line"):
        lines.append(fence(str(facts["line"]), "the device's own line"))
    if facts.get("hint"):
        lines.append(f"next: {facts['hint']}")
    return "\n".join(lines)


def show(result: Mapping[str, Any]) -> str:
    """One block per device and command, under one line of counts."""
    counts = f"{result['requested']} requested, {result['ok']} ok, {result['failed']} failed"
    going = result["requested"] - result["ok"] - result["failed"]
    head = [counts + (f", {going} not done yet" if going > 0 else "")]
    if result.get("job_id"):
        head.append(f"job_id: {result['job_id']}")
    if result.get("next"):
        head.append(f"next: {result['next']}")
    known = {"requested", "ok", "failed", "rows", "job_id", "next"}
    head += _fields({key: value for key, value in result.items() if key not in known})
    return "\n\n".join(["\n".join(head), *(_row(row) for row in result["rows"])])


def document(result: Mapping[str, Any]) -> str:
    """Any other answer: fields first, then tables and device text, the next step last."""
    lines = _fields({key: value for key, value in result.items() if key != "next"})
    if result.get("next"):
        lines.append(f"next: {result['next']}")
    return "\n".join(lines) or "nothing to show"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns, one line per row."""
    cells = [[str(column) for column in columns], *([_cell(value) for value in row] for row in rows)]
    widths = [min(WIDEST, max(len(line[i]) for line in cells if i < len(line))) for i in range(len(columns))]
    lines = [
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=False)).rstrip() for line in cells
    ]
    return "\n".join(lines if rows else [*lines, "(no rows)"])


def fence(text: str, what: str) -> str:
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{what} (untrusted device text):\n{ticks}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{ticks}"


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _row(row: Mapping[str, Any]) -> str:
    state = str(row.get("state") or "done")
    failed = "FAILED" if state == "done" or row.get("error") else "not done"
    facts = ["ok" if row["ok"] else failed] if "ok" in row else []  # a piece of a running one is neither
    facts += [f"state {state}"] if state != "done" else []
    facts += [f"{word} {row[key]}" for key, word in _ROW_WORDS.items() if row.get(key)]
    facts += [word for word in _ROW_FLAGS if row.get(word)]
    if row.get("ms"):
        facts.append("ms " + ", ".join(f"{phase} {value}" for phase, value in row["ms"].items()))
    if row.get("lost"):
        facts.append("lost " + ", ".join(row["lost"]))
    platform = f" ({row['platform']})" if row.get("platform") else ""
    lines = [f"# {row['device']}{platform}: {compact(row['command'])[1:-1]}", *(["; ".join(facts)] if facts else [])]
    if row.get("parse_note"):
        lines.append(f"note: {row['parse_note']}")
    lines += [f"warning: {warning}" for warning in row.get("warnings", ())]
    if row.get("error"):
        lines.append(error(row["error"]))
    lines += _content(row)
    lines += _fields({key: value for key, value in row.items() if key not in _ROW_KNOWN})
    return "\n".join(lines)


_ROW_WORDS = {
    "parsed_by": "parsed by",
    "framing": "framing",
    "redacted": "secrets hidden",
    "output_id": "output_id",
    "stderr_id": "output_id of stderr",
    "signal": "ended by signal",
    "session": "session",
    "waiting_for": "waiting for",
}
_ROW_FLAGS = ("reconnected", "retried", "truncated", "stderr_truncated", "partial")
_ROW_TEXTS = {  # device text, in this order
    "output": "output",
    "text": "output so far",
    "stderr": "stderr",
    "question": "the device asks",
    "sent": "sent as",
}
_ROW_KNOWN = {
    *("device", "platform", "command", "ok", "state", "parse_note", "error", "ms", "table", "data", "events"),
    *("warnings", "lost"),
    *(*_ROW_WORDS, *_ROW_FLAGS, *_ROW_TEXTS),
}


def _content(row: Mapping[str, Any]) -> Iterable[str]:
    if row.get("table") is not None:
        yield fence(table(row["table"]["columns"], row["table"]["rows"]), "table")
    if row.get("data") is not None:
        yield fence(compact(row["data"]), "data")
    yield from (fence(row[key], what) for key, what in _ROW_TEXTS.items() if row.get(key))
    if row.get("events"):
        yield fence("\n".join(row["events"]), "events, sent unasked")


def _fields(result: Mapping[str, Any]) -> list[str]:
    """Scalars as `name: value`, then the long things and all that is a device's; what is empty says nothing."""
    columns, rows = result.get("columns"), result.get("rows")
    is_table = isinstance(columns, list) and isinstance(rows, list)
    rest = {key: value for key, value in result.items() if not (is_table and key in {"columns", "rows"})}
    short = [f"{key}: {_scalar(key, value)}" for key, value in rest.items() if _is_short(key, value)]
    long = [part for key, value in rest.items() if not _is_short(key, value) for part in _long(key, value)]
    if columns is not None and rows is not None and is_table:  # ours: the inventory, platforms, sessions, jobs
        long.append(table(columns, rows))
    return short + long


def _is_short(key: str, value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and bool(value) and key in _OURS)


def _scalar(key: str, value: object) -> str:
    """Lines of ours stand indented, so that none can be taken for another field; commands are quoted."""
    return value.replace("\n", "\n  ") if isinstance(value, str) and key not in _QUOTED else compact(value)


def _long(key: str, value: Any) -> Iterable[str]:  # noqa: ANN401  # JSON
    """A value that needs lines of its own: an error, a table, rows of `show`, records, text."""
    match value:
        case None | "" | []:
            return
        case dict() if not value:  # the pattern {} is any mapping
            return
        case {"kind": _, "message": _}:
            yield error(value)
        case {"columns": [*columns], "rows": [*rows]}:
            yield fence(table(columns, rows), key)
        case [{"device": _, "command": _}, *_]:
            yield from (_row(row) for row in value)
        case [str(), *_]:
            yield fence("\n".join(map(str, value)), key)
        case str():
            yield fence(value, key)
        case _:
            yield fence(compact(value), key)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value if value.isprintable() else " ".join(value.split())
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return ", ".join(_cell(item) for item in value)
        case _:
            return compact(value)
