"""What a device asks instead of ending a command: a page prompt, a password, a confirmation. Named, never answered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import WaitReason

_QUESTIONS: tuple[tuple[WaitReason, re.Pattern[str]], ...] = (
    ("passphrase", re.compile(r"(?i)passphrase[^\n]{0,80}:\s*$")),
    ("password", re.compile(r"(?i)(?:password|passcode|secret|pin)[^\n]{0,80}:\s*$")),
    ("host_key", re.compile(r"(?i)continue connecting[^\n]{0,60}\?\s*$")),
    ("confirm", re.compile(r"(?i)\[confirm\]\s*$")),
    ("yes_no", re.compile(r"(?i)[\[(](?:y(?:es)?)\s?/\s?(?:n(?:o)?)(?:\s?/[^\])\n]{1,20})?[\])][\s:?]*$")),
    ("filename", re.compile(r"(?i)file ?name[^\n]{0,80}\?\s*$")),
    ("other", re.compile(r"[?]\s*$")),
)


def question(profile: Profile, line: str) -> WaitReason | Literal[""]:
    """What the last line asks for, or ""."""
    if _pager(profile.pager.pattern).fullmatch(line):
        return "pager"
    return next((reason for reason, pattern in _QUESTIONS if pattern.search(line)), "")


def paged(profile: Profile, raw: bytearray, parts: Iterable[tuple[int, int]]) -> bool:
    """A page prompt stood on a line of its own; it may be erased again, so what was erased is searched too."""
    pattern = _pager_line(profile.pager.pattern)
    return any(pattern.search("\n" + raw[slice(*part)].decode("utf-8", "replace")) for part in parts)


@lru_cache(maxsize=256)
def _pager(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\W*(?:{pattern})\W*")


@lru_cache(maxsize=256)
def _pager_line(pattern: str) -> re.Pattern[str]:
    return re.compile(
        # Beginning with a set and not with ^, which the text's own newline in front stands for: three times as fast.
        rf"[\r\n][ \x08]*(?:\x1b\[[0-9;?]*[A-Za-z])*(?:{pattern}) ?(?:\x1b\[[0-9;?]*[A-Za-z])*(?=[\r\x08])"
    )
