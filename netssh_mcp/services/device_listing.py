"""What devices print about files, read by the profile's patterns: one form of row for all platforms.

ntc-templates has templates for some platforms' `dir`, each with columns of its own, and they give up at a line they do
not know; a size is compared here before and after a transfer, so one pattern per platform reads both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from netssh_mcp.knowledge.profiles import Files
from netssh_mcp.knowledge.untrusted import visible

COLUMNS: Final = ("type", "size", "mode", "mtime", "name")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing. `mode` and `mtime` are as the device writes them, "" where it does not."""

    type: str
    size: int
    mode: str
    mtime: str
    name: str

    def row(self) -> list[Any]:
        """As wide as COLUMNS."""
        return [self.type, self.size, self.mode or None, self.mtime or None, visible(self.name)]


def entries(files: Files, text: str) -> list[Entry]:
    """What is listed, in the device's order."""
    pattern = re.compile(files.entry)
    return [_entry(match.groupdict("")) for line in text.splitlines() if (match := pattern.fullmatch(line.rstrip()))]


def _entry(found: dict[str, str]) -> Entry:
    mode, name = found.get("mode", ""), found["name"]
    kinds = {"d": "folder", "l": "link"}
    kind = "folder" if name.endswith("/") else kinds.get(mode[:1], "file")
    mtime = " ".join(found.get("mtime", "").split())
    return Entry(kind, int(found["size"]), mode, mtime, name.rstrip("/"))


def missing(files: Files, text: str) -> bool:
    """Whether the device says that there is no such file."""
    return re.search(files.missing, text) is not None


def free_bytes(files: Files, text: str) -> int | None:
    """What is free, None where the text does not say."""
    for pattern in files.free_bytes:
        if match := re.search(pattern, text):
            return int(match[1]) * files.unit
    return None


def md5_sum(files: Files, text: str) -> str:
    """In lower case; "" where the text has none."""
    match = re.search(files.md5_sum, text)
    return match[1].lower() if match else ""
