"""Parts of what is too long: head and tail, windows, greps. Pure functions on text, tables and data.

A budget is characters as they cost in JSON: an escaped line break counts two, as it does for whoever pays for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, takewhile

from netssh_mcp.guard.pieces import finds
from netssh_mcp.model import Table
from netssh_mcp.services.linear import searcher


def json_size(value: object) -> int:
    """Characters of the value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class Part:
    """Units `offset` to `offset + shown` of `total`; `next_offset` is where to read on, None at the end."""

    unit: str
    total: int
    offset: int
    shown: int
    next_offset: int | None
    body: dict[str, object] = field(default_factory=dict)

    def answer(self) -> dict[str, object]:
        """As a tool gives it: what it is, then the content."""
        named = {"unit": self.unit, "total": self.total, "offset": self.offset, "shown": self.shown}
        return {**named, "next_offset": self.next_offset, **self.body}


@dataclass(frozen=True, slots=True)
class Span:
    """Which units are wanted: skip `offset` (negative: from the end), then `limit` (0: all), within the budget."""

    offset: int
    limit: int
    budget: int

    def bounds(self, total: int) -> tuple[int, int]:
        """First unit, and the one after the last wanted."""
        start = max(0, total + self.offset) if self.offset < 0 else min(self.offset, total)
        return start, min(total, start + self.limit) if self.limit else total


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a text as `fold` gives them, with their ends."""

    parts: list[str]


def fold(text: str, cap: int) -> list[str]:
    """The lines with their ends; a line longer than an eighth of the cap as several. Joined they are the text."""
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    width = max(1, cap // 8)  # of one character \x01 JSON makes six: even then a part fits
    if all(len(line) <= width for line in ended):
        return ended
    return [line[at : at + width] for line in ended for at in range(0, len(line), width)]


@dataclass(frozen=True, slots=True)
class Ends:
    """What `fold` gives of both ends of a text, as far as an answer can show, and how many parts it has in all."""

    first: list[str]
    last: list[str]
    total: int


def ends(text: str, cap: int) -> Ends:
    """Without as many strings as a text of 64 MB has lines, where that is long."""
    if len(text) <= 8 * cap:
        parts = fold(text, cap)
        return Ends(parts, parts, len(parts))
    width, size = max(1, cap // 8), len(text)
    near = size - 2 * cap
    line = text.rfind("\n", 0, near) + 1
    last = text.rfind("\n") + 1
    more = sum(1 for _ in finds(re.compile(f"[^\n]{{{width}}}"), text))  # a line's parts but one
    total = text.count("\n") + more + (last < size) - (last < size and (size - last) % width == 0)
    return Ends(fold(text[: 2 * cap], cap)[:-1], fold(text[line + (near - line) // width * width :], cap), total)


def cut_text(text: str, parts: Ends, cap: int, read_on: str) -> str:
    """Head (60 %) and tail of the text around a notice; `read_on` is the end of it and has {offset} to fill in.

    `parts` are as `fold` gives them to who reads on, so that the numbers in the notice are theirs.
    """
    room = cap - 120 - len(read_on)
    head = _fitting([len(part) for part in parts.first], int(room * 0.6))
    before = "".join(parts.first[:head]) or text[: int(room * 0.6)]  # a first line longer than that is shown in part
    rest = parts.last[-(parts.total - head) :] if head < parts.total else []
    tail = _fitting([len(part) for part in reversed(rest)], room - len(before))
    after = "".join(parts.last[len(parts.last) - tail :])
    missing = len(text) - len(before) - len(after)
    said = read_on.format(offset=head)
    where = f"lines {head + 1}-{parts.total - tail} of {parts.total} ({missing} characters)"
    return f"{before}{'' if before.endswith(chr(10)) else chr(10)}[... {where} are left out here; {said} ...]\n{after}"


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first sizes fit."""
    return sum(1 for _ in takewhile(lambda used: used <= room, accumulate(sizes)))


def cut_rows(table: Table, cap: int) -> Table:
    """As many first rows as the cap allows, columns included."""
    room = cap - json_size(table.columns) - 40
    return Table(table.columns, table.rows[: _fitting_rows(table.rows, room)])


def _fitting_rows(rows: Sequence[object], room: int) -> int:
    used = 0
    for count, row in enumerate(rows):
        used += json_size(row) + 1
        if used > room:
            return count
    return len(rows)


def cut_data(data: object, cap: int, where: str = "the top") -> tuple[object, str]:
    """The data within the cap, and where it was cut: entries in order, then a part of the first that does not fit."""
    if json_size(data) <= cap:
        return data, ""
    if isinstance(data, str):
        return data[: max(0, cap // 6 - 4)] + "...", where
    if isinstance(data, dict):
        kept: dict[str, object] = {}
        for count, (key, value) in enumerate(data.items()):
            room = cap - json_size(kept) - len(json.dumps(key)) - 2
            if json_size(value) > room:
                below = f"{where}, entry {count + 1} of {len(data)}"  # its key is the device's word
                return _with_part(kept, key, value, room, below)
            kept[key] = value
    if isinstance(data, (list, tuple)):
        count = _fitting_rows(data, cap - 2)
        whole = list(data[:count])
        below = f"{where}, item {count + 1} of {len(data)}"
        part, below = _part_of(data[count], cap - json_size(whole) - 1, below)
        return ([*whole, part] if part is not None else whole), below
    return None, where


def _with_part(kept: dict[str, object], key: str, value: object, room: int, below: str) -> tuple[object, str]:
    part, below = _part_of(value, room, below)
    return ({**kept, key: part} if part is not None else kept), below


def _part_of(value: object, room: int, below: str) -> tuple[object | None, str]:
    """A cut value is worth showing when it is a collection or a text with some room left; else nothing."""
    if room < 100 or not isinstance(value, (dict, list, tuple, str)):
        return None, below
    return cut_data(value, room, below)


def window(whole: object, span: Span) -> Part:
    """A part of lines (joined as `text`), of a table, of a list (`items`), or a single value (`value`)."""
    if isinstance(whole, Table):
        columns = whole.columns
        narrower = replace(span, budget=span.budget - json_size(columns) - 40)
        return _window(whole.rows, narrower, "row", lambda rows: {"table": _object(columns, rows)})
    if isinstance(whole, Lines):
        return _window(whole.parts, span, "line", lambda some: {"text": "".join(map(str, some))})
    if isinstance(whole, list):
        return _window(whole, span, "item", lambda some: {"items": list(some)})
    shown, where = cut_data(whole, span.budget)
    return Part("value", 1, 0, 1, None, {"value": shown, **({"cut": where} if where else {})})


def _object(columns: tuple[str, ...], rows: Sequence[object]) -> dict[str, object]:
    return {"columns": list(columns), "rows": [list(row) for row in rows if isinstance(row, tuple)]}


def _window(
    units: Sequence[object], span: Span, name: str, body: Callable[[Sequence[object]], dict[str, object]]
) -> Part:
    """At least one unit, cut if it must be, so that whoever follows `next_offset` arrives at the end."""
    total = len(units)
    start, stop = span.bounds(total)
    wanted = units[start:stop]
    count = _fitting_rows(wanted, span.budget)
    after = start + max(count, 1)
    following = after if after < total else None
    if wanted and not count:
        cut, where = _cut_unit(wanted[0], span.budget)
        return Part(name, total, start, 1, following, {**body([cut]), "cut": where})
    return Part(name, total, start, count, following, body(wanted[:count]))


def _cut_unit(unit: object, room: int) -> tuple[object, str]:
    """A row keeps its width: each of its cells gets an equal share."""
    if not isinstance(unit, tuple):
        return cut_data(unit, room, "the first item")
    share = room // max(1, len(unit)) - 1
    return tuple(cut_data(cell, share)[0] for cell in unit), "cells of the row"


def grep_lines(parts: list[str], pattern: str, context: int, span: Span) -> Part:
    """Matching lines as `grep -n -C` prints them: "12:" a match, "11-" its context, "--" between groups of lines.

    The numbers count from 1: line 12 is what `offset=11` begins with. Counted, skipped and limited are matches.
    """
    matches = _matching(parts, searcher(pattern))
    total = len(matches)
    start, stop = span.bounds(total)
    hits = set(matches)
    shown: list[str] = []
    last, used, done = -1, 0, start
    for at in matches[start:stop]:
        first, end = max(last + 1, at - context), min(len(parts), at + context + 1)
        block = _numbered(parts, range(first, end), hits)
        if context and last >= 0 and first > last + 1 and block:
            block.insert(0, "--")
        cost = sum(json_size(line) for line in block)
        if used + cost > span.budget and done == start:  # a match with a wide context: at least the line itself
            block, end = _numbered(parts, range(at, at + 1), hits), at + 1
            cost = sum(json_size(line) for line in block)
        elif used + cost > span.budget:
            break
        shown += block
        last, used, done = max(last, end - 1), used + cost, done + 1
    return Part("match", total, start, done - start, done if done < total else None, {"text": "\n".join(shown)})


def _matching(parts: list[str], matches: Callable[[str], bool]) -> list[int]:
    return [index for index, line in enumerate(parts) if matches(line.removesuffix("\n"))]


def _numbered(parts: list[str], numbers: range, hits: set[int]) -> list[str]:
    return [f"{i + 1}{':' if i in hits else '-'}{parts[i].removesuffix(chr(10))}" for i in numbers]
