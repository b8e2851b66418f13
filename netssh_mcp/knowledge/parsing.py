"""Text of a device into a table, or the device's own JSON into data; never an error, always with how it was done.

Order of templates: the user's folder, ours (`templates/`), ntc-templates. What each result says: docs/parsing.md.
jmespath and ntc-templates are found inside functions: no tool needs them before the first command (start budget).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.growth import growth, weight
from netssh_mcp.knowledge.near import did_you_mean, near
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.shipped import shipped
from netssh_mcp.knowledge.textfsm_index import IndexRow, Rows, TemplateFailed, TemplateFolder
from netssh_mcp.knowledge.untrusted import visible, visible_all
from netssh_mcp.model import Parse, Table

_FILTER = re.compile(r"\|\s*(?!no-more\b|display\b|json\b)(\S.*)")  # a pipe that takes lines away


@dataclass(frozen=True, slots=True)
class Parsed:
    """At most one of `table` and `data`; both None is raw text. `parsed_by`: "json", "textfsm:<file>" or "raw".

    `note` says why there is no table, or why the table may be less than the text.
    """

    table: Table | None
    data: object | None
    parsed_by: str
    note: str = ""


def _raw(note: str) -> Parsed:
    return Parsed(None, None, "raw", note)


class Parsers:
    """All templates at hand, for all threads. A user's folder is checked at once, the others are read at first use."""

    def __init__(self, user_templates: Path | None = None) -> None:
        self._user = TemplateFolder(user_templates) if user_templates else None
        if self._user:
            self._user.check()
        self._shipped: TemplateFolder | None = None
        self._ntc: TemplateFolder | None = None

    def parse(
        self, profile: Profile, command: str, text: str, mode: Parse = "auto", *, native_json: bool = False
    ) -> Parsed:
        """`command` is the canonical one that was sent. `native_json`: the device was asked for JSON.

        auto takes JSON for JSON when it was asked for or when the whole text is one; then a template; then raw.
        Templates see the text as it came; hidden characters in what they found are then made visible.
        """
        parsed = self._parse(profile, command, text, mode, native_json=native_json)
        if text.isascii() or parsed.table is None:
            return replace(parsed, note=visible(parsed.note))
        rows = tuple(tuple(visible_all(cell) for cell in row) for row in parsed.table.rows)
        return replace(parsed, table=Table(parsed.table.columns, rows), note=visible(parsed.note))

    def _parse(self, profile: Profile, command: str, text: str, mode: Parse, *, native_json: bool) -> Parsed:
        if mode == "raw":
            return _raw("")
        if mode == "json" or (mode == "auto" and native_json):
            return _json(text)
        if mode == "auto" and text.lstrip()[:1] in ("{", "["):
            parsed = _json(text)
            if parsed.parsed_by == "json":
                return parsed
        return self._textfsm(profile, _template_name(profile, command), text)

    def _textfsm(self, profile: Profile, command: str, text: str) -> Parsed:
        failures = []
        for folder, row in self._candidates(profile, command):
            try:
                rows = folder.parse(row, text)
            except TemplateFailed as exc:
                failures.append(str(exc))
                continue
            notes = [*failures, *_doubts(rows, row, command, text)]
            return Parsed(_table(rows), None, f"textfsm:{row.templates}", "; ".join(notes))
        return _raw("; ".join(failures) or self._no_template(_ntc_name(profile), command))

    def _candidates(self, profile: Profile, command: str) -> Iterable[tuple[TemplateFolder, IndexRow]]:
        ntc_name = _ntc_name(profile)
        for folder in self._folders():
            names = [ntc_name] if folder is self._ntc else dict.fromkeys([profile.name, ntc_name])
            found = (folder.find(name, command) for name in names)
            row = next((row for row in found if row), None)
            if row:
                yield folder, row

    def _folders(self) -> list[TemplateFolder]:
        if self._shipped is None or self._ntc is None:
            self._shipped, self._ntc = TemplateFolder(shipped("templates")), TemplateFolder(_ntc_folder())
        return [folder for folder in (self._user, self._shipped, self._ntc) if folder]

    def commands(self, platform: str) -> list[str]:
        """The commands that have a template on this platform (its ntc-templates name), sorted."""
        rows = (row for folder in self._folders() for _, row in folder.matchers(platform))
        return sorted({row.says(platform) for row in rows})

    def nearest(self, platform: str, command: str) -> list[str]:
        """Up to three commands with a template whose words are like these; best first."""
        return near(command, self.commands(platform))

    def _no_template(self, platform: str, command: str) -> str:
        nearest = ", ".join(f"'{name}'" for name in self.nearest(platform, command))
        return f"no template for '{command}' on {platform}" + (f"; nearest: {nearest}" if nearest else "")


def _ntc_name(profile: Profile) -> str:
    return profile.ntc_templates_platform or profile.name


def _template_name(profile: Profile, command: str) -> str:
    """The name under which templates know the command, where the profile says that it is another spelling."""
    return next((name for name, same in profile.parsed_as.items() if re.fullmatch(same, command)), command)


def _ntc_folder() -> Path:
    """Where ntc-templates keeps its templates, found without importing it; its environment variable is honoured."""
    named = os.environ.get("NTC_TEMPLATES_DIR")
    if named:
        return Path(named)
    spec = find_spec("ntc_templates")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("the package ntc-templates is not installed", hint="Install netssh-mcp's dependencies again.")
    return Path(spec.submodule_search_locations[0]) / "templates"


def _table(rows: Rows) -> Table:
    return Table(tuple(name.lower() for name in rows.columns), tuple(tuple(row) for row in rows.rows))


def _doubts(rows: Rows, row: IndexRow, command: str, text: str) -> Iterable[str]:
    """What a reader of the table should know: it may be empty, or made of a text with lines taken away."""
    lines = sum(1 for line in text.splitlines() if line.strip())
    if lines and not rows.rows:
        yield f"the template found no rows in {lines} lines of text; parse='raw' shows them"
    cut = _FILTER.search(command)
    if cut and r"\|" not in row.command:
        yield f"the device filtered the text ('| {cut.group(1)}'), the template expects all of it"


def _json(text: str) -> Parsed:
    """Strict: one JSON value with white space around it, and no NaN, which no client could read."""
    try:
        data = json.loads(text, parse_constant=_no_constant)
        if "\\" in text or not text.isascii():  # only so can a string have a hidden character in it
            data = visible_all(data)
    except json.JSONDecodeError as exc:  # its text may quote a character of the device's
        empty = "" if text.strip() else ": no text at all"
        return _raw(f"not JSON: {exc.msg.split(':')[0]} at line {exc.lineno}, column {exc.colno}{empty}")
    except (ValueError, RecursionError) as exc:  # NaN; an integer of thousands of digits; nesting without end
        return _raw(f"not JSON: {exc}")
    return Parsed(None, data, "json")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


def objects(table: Table) -> list[dict[str, object]]:
    """The table as a list of objects, as a query sees it."""
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


_NOTHING: Final = object()
_LONGEST_QUERY = 500  # characters
_MOST_GROWTH = 1000  # times the data
_MOST_BYTES = 200_000_000  # the data times its growth; a query that only selects has no limit


def check_query(query: str) -> None:
    """Raises InputError for what is no JMESPath at all; whether it suits an output is seen when that is there."""
    query_rows(_NOTHING, query)


def query_rows(table_or_data: object, query: str) -> object:
    """The JMESPath `query` on a table (as a list of objects) or on a device's data. Raises InputError with position.

    A query whose result could be too large for the memory is refused before it is evaluated (`growth`). It may still
    take seconds on a long output: not for an event loop.
    """
    import jmespath  # noqa: PLC0415
    from jmespath.exceptions import JMESPathError, JMESPathTypeError  # noqa: PLC0415

    if len(query) > _LONGEST_QUERY:
        raise InputError(
            f"the query has {len(query)} characters, {_LONGEST_QUERY} are allowed", hint=_hint(table_or_data)
        )
    rows = objects(table_or_data) if isinstance(table_or_data, Table) else table_or_data
    try:
        meaning = jmespath.compile(query)
        _check_growth(growth(meaning.parsed).peak, None if table_or_data is _NOTHING else rows)
        return None if table_or_data is _NOTHING else meaning.search(rows)
    except JMESPathTypeError as exc:  # its text quotes the data
        types = " or ".join(exc.expected_types)
        raise InputError(
            f"query {query!r}: {exc.function_name}() takes {types} and was given {exc.actual_type}",
            hint=_hint(table_or_data),
        ) from exc
    except (JMESPathError, ValueError, RecursionError) as exc:
        at = getattr(exc, "lex_position", None)
        where = f" at position {at}" if at is not None else ""
        raise InputError(
            f"query {query!r} is not valid JMESPath{where}: {str(exc).splitlines()[0]}",
            hint=_hint(table_or_data),
        ) from exc


def _check_growth(factor: float, rows: object) -> None:
    if factor > _MOST_GROWTH or (factor > 1 and factor * weight(rows) > _MOST_BYTES):
        raise InputError(
            f"the query could make its data {factor:.0f} times as large, which is more than fits in memory",
            hint="Select first ([?...]), and take the same data fewer times into [...], {...} or to_string().",
        )


def _hint(table_or_data: object) -> str:
    columns = f" Columns: {', '.join(table_or_data.columns)}." if isinstance(table_or_data, Table) else ""
    return f"A table is a list of objects, e.g. \"[?status=='up'].interface\".{columns}"


def select_fields(table: Table, fields: Sequence[str]) -> Table:
    """The table with these columns, in this order. Raises InputError for a column it does not have."""
    unknown = [name for name in fields if name not in table.columns]
    if unknown:
        raise InputError(
            f"there is no column {unknown[0]!r}; {did_you_mean(unknown[0], table.columns)}",
            hint=f"Columns: {', '.join(table.columns)}.",
        )
    at = [table.columns.index(name) for name in fields]
    return Table(tuple(fields), tuple(tuple(row[i] for i in at) for row in table.rows))
