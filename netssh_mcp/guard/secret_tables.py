"""Secrets in the columns of a table: `show snmp community`, `show crypto isakmp key`, `/ppp secret print`.

A column is told by its heading and reaches to where the next one begins. The table ends at an empty line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from netssh_mcp.guard.pieces import rows
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
_LONGEST: Final = 400  # characters of a line of headings
_MOST_COLUMNS: Final = 8  # of secrets
_NEEDLES: Final = (
    *("community", "password", "secret", "shared key", "shared-key", "key string", "key-string", "md5 string"),
    *("passphrase", "psk"),
)


def cells(text: str) -> Iterator[Span]:
    """What stands below such a heading. Only where a rule of dashes or another heading shows that it is one."""
    done = 0  # what looks like a heading among a table's rows is a row: each line is looked at once
    for start in _candidates(text):
        end = _line_end(text, start)
        line = text[start:end]
        if start < done or len(line) > _LONGEST or ":" in line or "=" in line:
            continue
        headings = list(_HEADING.finditer(line))[:_MOST_COLUMNS]
        following = text[end + 1 : _line_end(text, end + 1)]
        if headings and end < len(text) and (_RULE.fullmatch(following.rstrip("\r")) or _is_head(line)):
            done = _end(text, end)
            for heading in headings:
                yield from _below(line, rows(text, end + 1, done), end + 1, heading)


def _candidates(text: str) -> list[int]:
    """Where the lines begin that hold a word of a heading, in order."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = text
    found = set()
    for needle in _NEEDLES:
        at = lowered.find(needle)
        while at >= 0:
            found.add(lowered.rfind("\n", 0, at) + 1)
            at = lowered.find(needle, _line_end(lowered, at))
    return sorted(found)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def begins(text: str, at: int, far: int = 0) -> int:
    """Where the table begins that is open at `at`, not before `far`; `at` itself when none is."""
    start = max(text.rfind("\n\n", far, at), text.rfind("\n\r\n", far, at))
    if start < 0 < far:
        return at
    start = max(start, 0)
    head = text[start : min(at, start + 2_000)]
    return start if any(_HEADING.search(line) for line in head.splitlines()[:6]) else at


def _end(text: str, at: int) -> int:
    """Where the empty line is that ends the table."""
    ends = [end for end in (text.find("\n\n", at), text.find("\n\r\n", at)) if end >= 0]
    return min(ends, default=len(text))


def _is_head(line: str) -> bool:
    """Whether the line holds headings only: two columns or more, all in capitals or each beginning with one."""
    columns = [column for column in re.split(r"\s{2,}|\s*\|\s*", line.strip()) if column]
    return len(columns) > 1 and all(column[0].isupper() or column[0] == "#" for column in columns)


def _below(head: str, rows: Iterable[str], at: int, heading: re.Match[str]) -> Iterator[Span]:
    """`at` is where the first row begins."""
    kind = _KINDS.get((heading[1] or "").lower(), "key")
    following = _COLUMNS.search(head.replace("|", " "), heading.end())
    until = following.start() if following else _LONGEST
    for row in rows:
        cell = None if _RULE.fullmatch(row.rstrip("\r")) else _cell(row, heading, until)
        public = cell is not None and kind == "community" and NO_COMMUNITY.fullmatch(cell[0])
        if cell and not public and is_secret(cell[0], strong=True):
            yield at + cell.start(), at + cell.end(), kind
        at += len(row) + 1


def _cell(row: str, heading: re.Match[str], until: int) -> re.Match[str] | None:
    """What stands below the heading; what begins before it and does not reach beyond it is the column before."""
    for cell in _CELL.finditer(row[:1000]):
        below = heading.start() < cell.end() and cell.start() < until
        if below and (cell.start() >= heading.start() or cell.end() >= heading.end()):
            return cell
    return None
