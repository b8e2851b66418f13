"""Secrets in the columns of a table: `show snmp community`, `show crypto isakmp key`, `/ppp secret print`.

A column is told by its heading and reaches to where the next one begins. The table ends at an empty line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from netssh_mcp.guard.secret_formats import NO_COMMUNITY, Span, is_secret

_KINDS: Final = {"community": "community", "password": "password", "secret": "key"}
_HEADING: Final = re.compile(
    r"(?<![^\s|])(?:(?:snmp |auth |ppp )?(community|password|secret)(?: (?:string|name))?"
    r"|pre-?shared[ -]key|key[ -]string|md5 string|passphrase|psk|auth(?:entication)? key string)"
    r"(?=[ \t]{2,}|[ \t]*\||[ \t]*$)",
    re.IGNORECASE,
)
_COLUMNS: Final = re.compile(r"\S+(?: \S+)*")
_RULE: Final = re.compile(r"[\s|+=-]*[=-]{3,}[\s|+=-]*")
_CELL: Final = re.compile(r"[^\s|]+")
_MOST: Final = 100_000  # rows of one table
_MOST_COLUMNS: Final = 8  # of secrets
_NEEDLES: Final = (
    "ommunity",
    "OMMUNITY",
    "assword",
    "ASSWORD",
    "ecret",
    "ECRET",
    "hared",
    "HARED",
    " string",
    " String",
)


def cells(text: str) -> Iterator[Span]:
    """What stands below such a heading. Only where a rule of dashes or another heading shows that it is one."""
    if not any(needle in text for needle in _NEEDLES):
        return
    lines = text.splitlines(keepends=True)
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    done = 0  # what looks like a heading among a table's rows is a row: each line is looked at once
    for number, line in enumerate(lines[:-1]):
        if number < done or len(line) > 400 or ":" in line or "=" in line:
            continue
        headings = list(_HEADING.finditer(line))[:_MOST_COLUMNS]
        if headings and (_RULE.fullmatch(lines[number + 1].rstrip("\r\n")) or _is_head(line)):
            done = _end(lines, number)
            for heading in headings:
                yield from _below(lines, starts, range(number, done), heading)


def begins(text: str, at: int) -> int:
    """Where the table begins that is open at `at`; `at` itself when none is."""
    start = max(text.rfind("\n\n", 0, at), text.rfind("\n\r\n", 0, at))
    head = text[max(start, 0) : at][:2_000]
    return max(start, 0) if any(_HEADING.search(line) for line in head.splitlines()[:6]) else at


def _end(lines: list[str], number: int) -> int:
    """The number of the empty line that ends the table, or of the first line that is too far away."""
    most = min(len(lines), number + _MOST)
    return next((at for at in range(number + 1, most) if not lines[at].strip()), most)


def _is_head(line: str) -> bool:
    """Whether the line holds headings only: two columns or more, all in capitals or each beginning with one."""
    columns = [column for column in re.split(r"\s{2,}|\s*\|\s*", line.strip()) if column]
    return len(columns) > 1 and all(column[0].isupper() or column[0] == "#" for column in columns)


def _below(lines: list[str], starts: list[int], rows: range, heading: re.Match[str]) -> Iterator[Span]:
    kind = _KINDS.get((heading[1] or "").lower(), "key")
    following = _COLUMNS.search(lines[rows[0]].replace("|", " "), heading.end())
    until = following.start() if following else 400
    for below in rows[1:]:
        line = lines[below]
        if _RULE.fullmatch(line.rstrip("\r\n")):
            continue
        for cell in _CELL.finditer(line[:1000]):
            if cell.start() >= until or cell.end() <= heading.start():
                continue
            if cell.start() < heading.start() and cell.end() < heading.end():  # the column before runs over
                continue
            if kind == "community" and NO_COMMUNITY.fullmatch(cell[0]):
                break
            if is_secret(cell[0], strong=True):
                yield starts[below] + cell.start(), starts[below] + cell.end(), kind
            break
