"""The shapes of `show`'s answers: what every row has, and what a call gives of its rows."""

from __future__ import annotations

from typing import Any

from netssh_mcp.errors import NetsshError
from netssh_mcp.services.jobs import Job, Row, running_answer


def shape(row: Row, *, ok: bool) -> dict[str, Any]:
    """The fields that every row has, whatever became of it; and of a kept session its name, and what it has lost."""
    kept: dict[str, Any] = {"session": row.facts["session"]} if row.facts.get("session") else {}
    if row.facts.get("lost"):
        kept["lost"] = list(row.facts["lost"])
    return {
        **row.head(),
        "ok": ok,
        "state": "done",
        "parsed_by": "",
        "parse_note": "",
        "framing": "",
        "truncated": False,
        "output_id": "",
        "events": [],
        "redacted": row.facts.get("redacted", 0),
        "warnings": list(row.device.warnings),
        "reconnected": row.facts.get("reconnected", False),
        "retried": row.facts.get("retried", False),
        "ms": {"queue": 0.0, "connect": 0.0, "exec": 0.0, "parse": 0.0, **row.facts.get("ms", {})},
        **kept,
    }


def ours(row: Row, bug: Exception) -> NetsshError:
    """What the reader is told of a bug of ours; the traceback is in the log."""
    return NetsshError(
        f"netssh-mcp failed ({type(bug).__name__}); this is a bug of the server, not of the device",
        device=row.device.name,
        effect="possible",
        hint="The server's log has the traceback. A read command may be run again.",
    )


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def result_of(job: Job, problem: str) -> dict[str, Any]:
    rows = [row.answer if row.answer is not None else running_answer(row) for row in job.rows]
    ok = sum(bool(row["ok"]) for row in rows)
    open_rows = [row for row in rows if row["state"] != "done"]
    failed = len(rows) - ok - len(open_rows)
    result: dict[str, Any] = {
        "requested": len(rows),
        "ok": ok,
        "failed": failed,
        "rows": rows,
        "job_id": "",
        "next": "",
    }
    if open_rows:
        result["job_id"], result["cursor"] = job.job_id, len(job.pieces)
        result["next"] = (
            f"job(action='wait', job_id='{job.job_id}', cursor={len(job.pieces)}) follows the {len(open_rows)} rows "
            "that are not done."
        )
        if any(row.any_input and row.state == "waiting" for row in job.rows):
            call = f"job(action='input', job_id='{job.job_id}', cursor={len(job.pieces)}, text=...)"
            result["next"] = f"The device asks: {call} answers, action='cancel' interrupts. {result['next']}"
    elif any(row.get("truncated") for row in rows):
        result["next"] = "read_output(output_id=...) reads on in what was cut."
    if problem:
        result["problem"] = problem
    return result
