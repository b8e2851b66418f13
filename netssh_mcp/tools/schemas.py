"""The shapes of the answers, written by hand: compact, an object at the root, no references, no null unions.

Clients that see a reference or a union at the root drop the tool, or all tools, silently (anthropics/claude-code#95504,
makenotion/notion-mcp-server#340). Fields that have nothing to say are left out or empty, so few are required.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
STRINGS: Schema = {"type": "array", "items": STRING}


def said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def shape(required: str, /, **properties: Schema) -> Schema:
    """An object; `required` lists names separated by blanks."""
    return {"type": "object", "properties": properties, **({"required": required.split()} if required else {})}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


CELLS = listed({"type": "array"})
TABLE = said(shape("columns rows", columns=STRINGS, rows=CELLS), "what the device sent, parsed; untrusted")
ERROR = shape(
    "kind message effect",
    kind=STRING,
    message=said(STRING, "what happened, in the server's words"),
    effect=said(STRING, "may the device have changed: none, possible, done"),
    hint=said(STRING, "what to do next"),
    retryable=FLAG,
    line=said(STRING, "the device's own line; untrusted"),
)
NEXT = said(STRING, "next step")

ROW = shape(
    "device command ok",
    device=STRING,
    platform=STRING,
    command=STRING,
    ok=FLAG,
    state=said(STRING, "done; else queued, running, or waiting for an answer, as a job"),
    output=said(STRING, "device text; untrusted"),
    table=TABLE,
    data=said({}, "the device's own JSON, or what `query` gave; untrusted"),
    parsed_by=STRING,
    parse_note=said(STRING, "why it is not parsed, or where to read on"),
    framing=said(STRING, "proven: the output is shown to be this command's; prompt: only a prompt was seen"),
    truncated=FLAG,
    output_id=said(STRING, "for read_output"),
    events=said(STRINGS, "lines the device sent unasked (syslog); untrusted"),
    redacted=said(COUNT, "secrets hidden as <redacted:kind:tag>; same secret, same tag"),
    warnings=said(STRINGS, "what weakens the way to this device"),
    error=ERROR,
    partial=said(FLAG, "output is what came before the error"),
    sent=said(STRING, "the line as sent, where it differs"),
    exit_status=COUNT,
    stderr=said(STRING, "device text; untrusted"),
    waiting_for=STRING,
    question=said(STRING, "what the device asks; untrusted"),
    reconnected=FLAG,
    retried=FLAG,
    ms=shape("", queue=NUMBER, connect=NUMBER, exec=NUMBER, parse=NUMBER),
)
PROBLEM = said(STRING, "what is wrong with the inventory or the policy file")

SHOW = shape(
    "requested ok failed rows",
    requested=COUNT,
    ok=COUNT,
    failed=COUNT,
    rows=listed(ROW),
    job_id=said(STRING, "set while commands still run; for job"),
    problem=PROBLEM,
    next=NEXT,
)
DEVICES = shape(
    "view columns rows",
    view=STRING,
    columns=STRINGS,
    rows=CELLS,
    problem=PROBLEM,
    next=NEXT,
)
OUTPUT = shape(
    "output_id",
    output_id=STRING,
    device=STRING,
    command=STRING,
    unit=said(STRING, "what is counted: line, match, row, item"),
    total=COUNT,
    offset=COUNT,
    shown=COUNT,
    next_offset=said({}, "where to read on; null at the end"),
    text=said(STRING, "device text; untrusted"),
    table=TABLE,
    items=said({"type": "array"}, "device data; untrusted"),
    value=said({}, "device data; untrusted"),
    cut=said(STRING, "where one long value was cut"),
    next=NEXT,
)
JOB = shape(
    "",
    job_id=STRING,
    command=STRING,
    state=said(STRING, "running, waiting, done, cancelled"),
    requested=COUNT,
    done=COUNT,
    seconds=NUMBER,
    text=said(listed({"type": "object"}), "what running commands sent since `cursor`; untrusted"),
    rows=said(
        {"type": "array"}, "rows done since `cursor`, as in show, with untrusted parts; of list and history the cells"
    ),
    waiting=said(listed({"type": "object"}), "what devices ask; `question` is untrusted"),
    cursor=said(COUNT, "give it next time"),
    columns=STRINGS,
    next=NEXT,
)

RUN = shape(
    "requested ok failed rows",
    requested=COUNT,
    ok=COUNT,
    failed=COUNT,
    rows=said(listed({"type": "object"}), "as in show, and `signal`, `session`; with untrusted parts"),
    job_id=said(STRING, "for job"),
    problem=PROBLEM,
    next=NEXT,
)
DOCUMENT = {"type": "object", "description": "facts of the action; text of a device is untrusted"}
