"""`[[xyz]]` in a regular expression: any beginning of these letters. As in ntc-templates' index."""

from __future__ import annotations

import re

_OPTIONAL = re.compile(r"\[\[(.+?)\]\]")


def completed(pattern: str) -> str:
    """The regular expression that is meant: `ro[[ute]]` -> `ro(u(t(e)?)?)?`."""
    return _OPTIONAL.sub(_nested, pattern)


def _nested(match: re.Match[str]) -> str:
    return "(" + "(".join(match[1]) + ")?" * len(match[1])
