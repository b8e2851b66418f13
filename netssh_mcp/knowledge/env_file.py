"""The environment that references and overrides are looked up in: a private file of NAME=VALUE lines, then our own.

The file's values stay in this process: they never get into `os.environ`, so no child sees them. Each is a secret that
redaction finds, but for addresses, ports, user names and paths of overrides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.secret_sources import Missing, open_private
from netssh_mcp.knowledge.settings import variables
from netssh_mcp.knowledge.vault import Vault

MOST_BYTES: Final = 1_000_000
_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")
_SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE: Final = re.compile(r"\\(.)")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}
_OPEN: Final = re.compile(r"NETSSH_.+_(?:HOST|PORT|USER|KEY)")  # overrides that are no secrets

_Stamp = tuple[int, ...]


class Environment:
    """Variables by name: those of `path`, read again when it changes, before those of this process."""

    def __init__(self, path: Path | None = None, vault: Vault | None = None) -> None:
        self.path = path
        self.vault = vault or Vault()
        self._read: tuple[_Stamp, Mapping[str, str]] | None = None

    def file(self) -> Mapping[str, str]:
        """What the file has now. InputError: it is not private, not ours, or not NAME=VALUE lines."""
        if self.path is None:
            return {}
        stamp = self._stamp()
        read = self._read
        if read is not None and stamp and read[0] == stamp:
            return read[1]
        found = MappingProxyType(self._parsed(self.path))
        for name, value in found.items():
            if not _OPEN.fullmatch(name) and name not in variables():
                self.vault.learn(value)
        self._read = (stamp, found)
        return found

    def get(self, name: str) -> str | None:
        """The value of a variable; "" and None are kept apart. InputError as `file`."""
        found = self.file().get(name)
        return os.environ.get(name) if found is None else found

    def names(self) -> Iterator[str]:
        """Every variable that is not empty, each once. InputError as `file`."""
        mine = self.file()
        yield from (name for name, value in mine.items() if value)
        yield from (name for name, value in os.environ.items() if value and name not in mine)

    def folder(self, name: str) -> Path:
        """What a relative path in this variable starts from."""
        return self.path.parent if self.path is not None and name in self.file() else Path.cwd()

    def _stamp(self) -> _Stamp:
        assert self.path is not None
        try:
            found = os.stat(self.path)  # noqa: PTH116 - on every look-up: half the time of Path.stat
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid

    def _parsed(self, path: Path) -> dict[str, str]:
        descriptor = open_private(path, str(path))
        if isinstance(descriptor, Missing):
            raise InputError(descriptor.message, hint=descriptor.hint)
        with os.fdopen(descriptor, "rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        text = _decoded(raw)
        del raw  # no frame of an error below holds more than the line's number
        found = _pairs(text) if text is not None else "the file is not UTF-8 text, or too large"
        del text
        if isinstance(found, str):
            raise InputError(f"{path}: {found}", hint="Write NAME=VALUE lines; # begins a comment, quotes keep spaces.")
        return found

    def __repr__(self) -> str:
        return f"Environment({self.path})"


def _decoded(raw: bytes) -> str | None:
    if len(raw) > MOST_BYTES:
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _pairs(text: str) -> dict[str, str] | str:
    """The pairs, or what is wrong and in which line; never a part of one."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            return f"line {number} is not NAME=VALUE"
        if match["name"] in found:
            return f"line {number}: {match['name']} is there already"
        value = _value(match["value"])
        if value is None:
            return f"line {number}: the quotes of {match['name']} are not closed, or something follows them"
        found[match["name"]] = value
    return found


def _value(written: str) -> str | None:
    """Single quotes: as it is. Double: with \\n \\t \\r \\" \\\\. None: up to a ` #`. No variable is put in."""
    if written.startswith("'"):
        single = _SINGLE.fullmatch(written)
        return single[1] if single else None
    if written.startswith('"'):
        double = _DOUBLE.fullmatch(written)
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), double[1]) if double else None
    return _COMMENT.sub("", written).strip()
