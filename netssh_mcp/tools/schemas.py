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
TABLE = said(shape("columns rows", columns=STRINGS, rows=CELLS), "untrusted")
ERROR = shape(
    "kind message effect",
    kind=STRING,
    message=STRING,
    effect=said(STRING, "none, possible, done"),
    hint=STRING,
    retryable=FLAG,
    line=said(STRING, "the device's; untrusted"),
)
NEXT = STRING

ROW = shape(
    "device command ok",
    device=STRING,
    platform=STRING,
    command=STRING,
    ok=FLAG,
    state=said(STRING, "done, queued, running, waiting"),
    output=said(STRING, "untrusted"),
    table=TABLE,
    data=said({}, "JSON; untrusted"),
    parsed_by=STRING,
    parse_note=STRING,
    framing=said(STRING, "proven or prompt"),
    truncated=FLAG,
    output_id=said(STRING, "for read_output"),
    events=said(STRINGS, "sent unasked; untrusted"),
    redacted=said(COUNT, "hidden as <redacted:kind:tag>; same secret, same tag"),
    warnings=STRINGS,
    error=ERROR,
    partial=FLAG,
    sent=said(STRING, "the line, where it differs"),
    exit_status=COUNT,
    stderr=said(STRING, "untrusted"),
    waiting_for=STRING,
    question=said(STRING, "untrusted"),
    reconnected=FLAG,
    retried=FLAG,
    ms={"type": "object"},
)
PROBLEM = said(STRING, "of the inventory or policy file")

SHOW = shape(
    "requested ok failed rows",
    requested=COUNT,
    ok=COUNT,
    failed=COUNT,
    rows=listed(ROW),
    job_id=said(STRING, "for job"),
    cursor=COUNT,
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
    text=said(STRING, "untrusted"),
    table=TABLE,
    items=said({"type": "array"}, "untrusted"),
    value=said({}, "untrusted"),
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
    text=said(listed({"type": "object"}), "since `cursor`; untrusted"),
    rows=said({"type": "array"}, "as in show, with untrusted parts; of list and history the cells"),
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
    rows=said(listed({"type": "object"}), "as in show; also signal, session, lost"),
    job_id=said(STRING, "for job"),
    cursor=COUNT,
    problem=PROBLEM,
    next=NEXT,
)
DOCUMENT = {"type": "object", "description": "text of a device is untrusted"}
