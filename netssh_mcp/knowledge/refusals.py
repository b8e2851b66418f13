"""The device says no: a refusal is a failed result, never a success with odd text."""

from __future__ import annotations

import re
from functools import lru_cache

from netssh_mcp.knowledge.profiles import Profile

_SHORT = 12  # lines: a refusal is a short answer; in longer ones only the first and last lines can be one


def refusal(profile: Profile, output: str) -> str:
    """The line by which the device refused the command, or ""."""
    patterns = profile.rejected_when
    if not patterns or not output or output.isspace():
        return ""
    lines = output.splitlines() if len(output) < 4096 else [*output[:1024].splitlines(), *output[-1024:].splitlines()]
    lines = [line for line in lines if line.strip()]
    if len(lines) > _SHORT:
        lines = lines[:3] + lines[-2:]
    refuses, forgives = _compiled(patterns), _compiled(profile.not_rejected)
    lines = [
        line for line in lines if line.strip() != "^"
    ]  # it marks the place in the echo; the reason is another line
    for line in (*lines[:1], *lines[-1:]):  # a refusal begins the answer or ends it; inside, it is quoted text
        if refuses.match(line.strip()) and not (profile.not_rejected and forgives.match(line.strip())):
            return line.strip()
    return ""


@lru_cache(maxsize=512)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
