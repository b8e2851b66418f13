"""The shipped list of full argument words, by platform; its head says how it is written and made."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("argument_words.txt")


@cache
def argument_words() -> dict[str, tuple[str, ...]]:
    """Platform -> its lines. A shipped file, not ntc-templates' index: reading 970 rows takes ten times as long."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in _FILE.read_text("ascii").splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return {platform: tuple(known) for platform, known in found.items()}
