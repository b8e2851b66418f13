"""What every reader does alike: it notes hosts, their lines, and what of the file is left out and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import yaml_lines
from netssh_mcp.knowledge.foreign import platforms
from netssh_mcp.knowledge.foreign.forms import PLAIN, Form
from netssh_mcp.knowledge.secret_sources import NETMIKO_PREFIX
from netssh_mcp.knowledge.yaml_lines import Document, Tagged

MOST_HOSTS: Final = 20_000
MOST_FILES: Final = 5_000
_MOST_FACTS: Final = 500_000  # aliases of aliases are walked as often as they stand there
_MOST_TEXT: Final = 200  # a fact to select by is short; certificates and configurations are long
_DEEPEST: Final = 4
# Who wrote another tool's file may not choose a program to run or a file to send: as for added hosts.
_REFERENCES: Final = ("env:", "stored:", "keyring:")
_ENV: Final = re.compile(r"""\{\{\s*lookup\(\s*(["'])(?:ansible\.builtin\.)?env\1\s*,\s*(["'])(\w+)\2\s*\)\s*\}\}""")
_SECRET_KEY: Final = re.compile(
    r"pass|secret|token|credential|communit|psk|api_?key|private|auth|vault|hash|crypt|cert|(?:^|[_.-])(?:key|pw|pwd)s?(?:$|[_.-])",
    re.IGNORECASE,
)

Place = int | tuple[str, ...]  # a line, or the keys that lead there in the other tool's own document


@dataclass(frozen=True, slots=True)
class Translated(Document):
    """A file of another tool as one of ours; a key's line is where the other tool's file has the host."""

    source: Document
    places: Mapping[str, Place] = field(default_factory=dict, repr=False)

    def line(self, *where: object) -> int:
        place = self.places.get(str(where[1]), ()) if len(where) > 1 and where[0] == "hosts" else ()
        return place if isinstance(place, int) else self.source.line(*place)


@dataclass(frozen=True, slots=True)
class Foreign:
    """An inventory of another tool: as our own kind of document, what was left out, and every path looked at."""

    document: Document
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(slots=True)
class Draft:
    """Gathers what a reader finds in one inventory of another tool."""

    form: Form
    path: Path
    known: Mapping[str, str]  # every name that a platform may have -> its own
    hosts: dict[str, dict[str, object]] = field(default_factory=dict, repr=False)
    groups: dict[str, dict[str, object]] = field(default_factory=dict)
    files: dict[Path, None] = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)
    _notes: dict[str, dict[str, None]] = field(default_factory=dict)
    _doubled: list[yaml_lines.Problem] = field(default_factory=list)
    _main: Document | None = None
    _facts: int = 0

    def read(self, path: Path, parse: Callable[[Path], Document] | None = None) -> Document:
        """A file of the inventory. InputError: not there, not YAML, too large, or one too many."""
        self.files[path] = None
        if len(self.files) > MOST_FILES:
            raise self.wrong(f"it has more than {MOST_FILES} files")
        document = parse(path) if parse else yaml_lines.read(path, tags=True)
        self._doubled += document.doubled
        if self._main is None or path == self.path:
            self._main = document
        return document

    def look(self, *paths: Path) -> None:
        """These decide too: when they come, change or go, the inventory is read again."""
        self.files.update(dict.fromkeys(paths))

    def wrong(self, text: str, line: int = 0) -> InputError:
        """An error that names the file."""
        place = f"{self.path}:{line}" if line else str(self.path)
        hint = f"It is read as {self.form.name}; docs/inventory.md says what is read of it."
        return InputError(f"{place}: {text}", hint=hint)

    def note(self, text: str, name: str = "") -> None:
        """Something is left out; said once for all that share it."""
        self._notes.setdefault(text, {})[name] = None

    def host(self, name: str, values: Mapping[str, object], place: Place = 1) -> None:
        """A host, or a note of why it is none. Values that are None are not there."""
        from netssh_mcp.knowledge.inventory_schema import misnamed  # noqa: PLC0415 - pydantic, see inventory.py

        if misnamed(name):
            self.note("left out: not a name that a host can have here", repr(name[:60]))
            return
        if len(self.hosts) >= MOST_HOSTS:
            raise self.wrong(f"it has more than {MOST_HOSTS} hosts")
        self.hosts[name] = {key: value for key, value in values.items() if value is not None and value != {}}
        self._places[name] = place

    def group(self, name: str, parents: Iterable[str] = ()) -> bool:
        """A group; whether it can have this name here."""
        from netssh_mcp.knowledge.inventory_schema import misnamed  # noqa: PLC0415

        if misnamed(name):
            self.note("group left out: not a name that a group can have here", repr(name[:60]))
            return False
        mine = self.groups.setdefault(name, {"groups": []})["groups"]
        assert isinstance(mine, list)
        mine += [parent for parent in parents if parent not in mine and self.group(parent)]
        return True

    def platform(self, written: object, name: str, *, dotted: bool = False) -> str:
        """Our platform for theirs; "" with a note when there is none, so that the host has to be left out."""
        if not isinstance(written, str) or not written.strip():
            self.note("left out: the file has no platform for it", name)
            return ""
        if found := platforms.found(written, self.known, dotted=dotted):
            return found
        telnet = written.endswith(("_telnet", "_serial"))
        why = "only SSH is taken over from here" if telnet else "`netssh-mcp platforms` lists those that there are"
        self.note(f"left out: there is no platform {written[:60]!r}; {why}", name)
        return ""

    def secret(self, value: object, key: str, name: str, document: Document | None) -> str | None:
        """What our own file would say for this secret, or None with a note. `document` None: not from a file.

        InputError where passwords in clear text are taken and the file is open to others.
        """
        if isinstance(value, Mapping) and "__ansible_vault" in value:
            value = Tagged("!vault")
        if isinstance(value, Tagged):
            why = "encrypted" if value.tag == "!vault" else "under a tag"
            self.note(f"{key} not taken: it is {why} ({value.tag}), {_INSTEAD}", name)
        elif isinstance(value, str) and (looked := _ENV.fullmatch(value.strip())):
            return f"env:{looked[3]}"
        elif isinstance(value, str) and ("{{" in value or "{%" in value):
            self.note(f"{key} not taken: of Jinja only {{{{ lookup('env', 'NAME') }}}} is read, {_INSTEAD}", name)
        elif isinstance(value, str) and value.startswith((*_REFERENCES, NETMIKO_PREFIX)):
            return value
        elif isinstance(value, str) and value.startswith(("cmd:", "file:")):
            self.note(f"{key} not taken: references here are env:, stored: and keyring:, {_INSTEAD}", name)
        elif not isinstance(value, str) and value is not None:
            self.note(f"{key} not taken: it is no text, put it in quotes", name)
        elif value and not self.form.plaintext:
            self.note(
                f"{key} not taken: it is in clear text; read it as {self.form.name}{PLAIN}:... or {_INSTEAD}", name
            )
        elif value:
            if document is not None and not document.private:
                path = document.path
                raise InputError(
                    f"{path} has passwords in clear text and must be a file of your own with mode 0600; it is "
                    f"{document.mode:04o}",
                    hint=f"chmod 600 {path}, or read it without {PLAIN}.",
                )
            return f"plain:{value}"
        return None

    def facts(self, written: object, depth: int = 0) -> dict[str, object]:
        """What selectors may use of somebody's data: short values, no templates, nothing that is called a secret."""
        if not isinstance(written, Mapping) or depth > _DEEPEST:
            return {}
        found: dict[str, object] = {}
        for key, value in written.items():
            self._facts += 1
            if self._facts > _MOST_FACTS:
                raise self.wrong(f"its data has more than {_MOST_FACTS} values")
            if isinstance(key, str) and not _SECRET_KEY.search(key):
                fine = self._fact(value, depth)
                if fine is not None:
                    found[key] = fine
        return found

    def _fact(self, value: object, depth: int) -> object:
        if isinstance(value, Mapping):
            return self.facts(value, depth + 1) or None
        if isinstance(value, list):
            self._facts += len(value)
            return [each for each in value[:_MOST_TEXT] if _plain(each)]
        return value if _plain(value) else None

    def done(self) -> Foreign:
        """All of it, as a document of ours."""
        main = self._main
        assert main is not None
        content: dict[str, object] = {
            "hosts": self.hosts,
            "groups": self.groups,
            "allow_plaintext": self.form.plaintext,
        }
        doubled = tuple(self._doubled)
        document = Translated(main.path, content, None, main.mode, True, doubled, main, self._places)
        notes = [f"{self.path}: {text}{_of(names)}" for text, names in self._notes.items()]
        return Foreign(document, tuple(notes), tuple(self.files))


_INSTEAD: Final = "give a reference in an inventory file of your own (docs/secrets.md)"


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return (
            len(value) <= _MOST_TEXT and "{{" not in value and not value.startswith((NETMIKO_PREFIX, "$ANSIBLE_VAULT"))
        )
    return isinstance(value, (bool, int))


def _of(names: Mapping[str, None]) -> str:
    shown = [name for name in names if name]
    if not shown:
        return ""
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return f" ({', '.join(shown[:3])}{more})"


def mapping(value: object) -> Mapping[str, object]:
    """A mapping with text keys, or an empty one."""
    return {key: each for key, each in value.items() if isinstance(key, str)} if isinstance(value, Mapping) else {}


def text(value: object) -> str | None:
    """A value that is meant as text, None when it is none or empty."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value) or None
    return None


def port(value: object) -> object:
    """A port as a number where it is one; the inventory's own checks refuse the rest."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6 else value
