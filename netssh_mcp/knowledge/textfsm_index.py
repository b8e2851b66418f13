"""Template folders in ntc-templates' layout: which template a command is parsed with, and the parse itself.

Results equal those of textfsm's own `clitable` (what ntc-templates' `parse_output` runs on); the tests compare the two
on every index row and every recording. It is done again here because `clitable` compiles all of its 970 rows at first
use and every template at every use, 0.15 s and 1-10 ms; here a platform's rows and a template are compiled once.

textfsm is imported inside functions: no tool needs it before the first command is parsed (start budget).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.abbreviations import completed

if TYPE_CHECKING:
    from textfsm import TextFSM

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One line of the index: `templates` is a file name, or several joined by ":" whose tables are merged."""

    templates: str
    platform: str
    command: str
    line: int

    def says(self, platform: str) -> str:
        """The command as words, from the file name: `<vendor>_<os>_<command words>.textfsm` by convention."""
        stem = self.templates.split(":", 1)[0].removesuffix(".textfsm")
        if stem.startswith(f"{platform}_"):
            return stem[len(platform) + 1 :].replace("_", " ")
        return " ".join(stem.split("_")[2:])  # rows whose platform is a regex: cisco_(asa|ftd), .*vyos.*


@dataclass(frozen=True, slots=True)
class Rows:
    """A parsed text before it becomes a table: `columns` as the template spells them."""

    columns: list[str]
    rows: list[list[object]]
    keys: frozenset[str]


class TemplateFailed(Exception):
    """The template refused the text, or is itself broken."""


@dataclass(slots=True)
class TemplateFolder:
    """One folder with an `index` file. Read at first use; safe to use from several threads."""

    path: Path
    _rows: list[IndexRow] | None = None
    _matchers: dict[str, list[tuple[re.Pattern[str], IndexRow]]] = field(default_factory=dict)
    _idle: dict[str, list[TextFSM]] = field(default_factory=dict)

    def rows(self) -> list[IndexRow]:
        """All rows of the index, in its order. Raises InputError when there is no index, or a broken one."""
        if self._rows is None:
            try:
                text = (self.path / "index").read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
                raise InputError(
                    f"no template index: {self.path / 'index'}: {reason}",
                    hint="A templates folder holds *.textfsm files and a file `index`; see docs/parsing.md.",
                ) from exc
            self._rows = list(self._read(text))
        return self._rows

    def _read(self, text: str) -> Iterator[IndexRow]:
        """As clitable reads it: first line of content is the header, "#" starts a comment only at a line's start."""
        header: list[str] = []
        for number, line in enumerate(text.split("\n"), start=1):
            if not header:
                named = line.split("#")[0].strip()
                header = [name.strip() for name in named.split(",")] if named else []
                if header and "Template" not in header:
                    raise InputError(f"{self.path / 'index'}, line {number}: the header has no column 'Template'")
                continue
            cells = [cell.strip() for cell in line.split(",")]
            if line.startswith("#") or not line.strip():
                continue
            if len(cells) != len(header):  # clitable drops these without a word
                log.warning(
                    "%s, line %d: ignored, %d columns not %d", self.path / "index", number, len(cells), len(header)
                )
                continue
            row = dict(zip(header, cells, strict=True))
            command = completed(row.get("Command", ""))
            yield IndexRow(row["Template"], row.get("Platform", ""), command, number)

    def check(self) -> None:
        """Raises InputError if a row of the index does not compile; for folders that people write themselves."""
        for row in self.rows():
            self._compiled(row.platform, row)
            self._compiled(row.command, row)

    def _compiled(self, pattern: str, row: IndexRow) -> re.Pattern[str]:
        try:
            return re.compile(pattern)
        except re.error as exc:
            raise InputError(f"{self.path / 'index'}, line {row.line}: {pattern!r} is not a regex: {exc}") from exc

    def matchers(self, platform: str) -> list[tuple[re.Pattern[str], IndexRow]]:
        """The rows whose platform regex matches the start of `platform`, with their command regex compiled."""
        known = self._matchers.get(platform)
        if known is None:
            known = [
                (self._compiled(row.command, row), row)
                for row in self.rows()
                if not row.platform or self._compiled(row.platform, row).match(platform)
            ]
            self._matchers[platform] = known
        return known

    def find(self, platform: str, command: str) -> IndexRow | None:
        """The first row that matches the start of the command: clitable's choice."""
        return next((row for pattern, row in self.matchers(platform) if pattern.match(command)), None)

    def parse(self, row: IndexRow, text: str) -> Rows:
        """The text as rows; several templates of a row are merged on their key columns. Raises TemplateFailed."""
        names = row.templates.split(":")
        merged = self._run(names[0], text)
        for name in names[1:]:
            merged = _merge(merged, self._run(name, text))
        return merged

    def _run(self, name: str, text: str) -> Rows:
        from textfsm import Error  # noqa: PLC0415

        with self._template(name) as fsm:
            try:
                records = fsm.ParseText(text)
            except Error as exc:
                said, _, line = str(exc).partition(" Input Line: ")  # what follows is the device's, and not repeated
                at = next((n for n, each in enumerate(text.splitlines(), 1) if line in (each, f"{each}.")), 0)
                where = f" at line {at} of the text" if at else ""
                raise TemplateFailed(f"template {name} did not accept the text: {said.rstrip('.')}{where}") from exc
            columns = list(fsm.header)
            return Rows(columns, [[_text(v) for v in r] for r in records], frozenset(fsm.GetValuesByAttrib("Key")))

    @contextmanager
    def _template(self, name: str) -> Iterator[TextFSM]:
        """A compiled template for this use alone: a TextFSM holds the state of its parse, so it is lent, not shared.

        list.pop and list.append are atomic: two threads never get the same one.
        """
        idle = self._idle.setdefault(name, [])
        try:
            fsm = idle.pop()
        except IndexError:
            fsm = self._compile(name)
        try:
            yield fsm
        finally:
            fsm.Reset()
            idle.append(fsm)

    def _compile(self, name: str) -> TextFSM:
        from textfsm import Error, TextFSM  # noqa: PLC0415

        try:
            with (self.path / name).open(encoding="utf-8") as template:
                return TextFSM(template)
        except OSError as exc:
            raise TemplateFailed(f"template {name} cannot be read: {exc.strerror}") from exc
        except (Error, ValueError, IndexError) as exc:  # textfsm indexes into an empty regex; ValueError: not UTF-8
            raise TemplateFailed(f"template {name} is broken: {exc}") from exc


def _text(value: object) -> object:
    """As clitable's table keeps a value: text, or a list of texts (a nested group's dict becomes its text too)."""
    return [str(item) for item in value] if isinstance(value, list) else str(value)


def _merge(left: Rows, right: Rows) -> Rows:
    """New columns of `right` go to the rows of `left` with equal keys (first match), by position without keys."""
    keys = left.keys or right.keys
    new = [i for i, name in enumerate(right.columns) if name not in left.columns]
    missing = [key for key in keys if key not in left.columns or key not in right.columns]
    if new and missing:
        raise TemplateFailed(f"templates cannot be merged: {missing[0]}, a key, is not in both")
    at = [(left.columns.index(key), right.columns.index(key)) for key in sorted(keys)] if new else []
    rows = []
    for number, row in enumerate(left.rows):
        if keys:
            other = next((r for r in right.rows if all(row[a] == r[b] for a, b in at)), None)
        else:
            other = right.rows[number] if number < len(right.rows) else None
        rows.append([*row, *(other[i] if other else "" for i in new)])
    return Rows([*left.columns, *(right.columns[i] for i in new)], rows, frozenset(keys))
