"""A pattern over a long text, block by block: one call of `re` holds the interpreter lock until it returns.

Between two blocks other threads have their turn, so that megabytes which are searched for secrets keep nobody waiting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

BLOCK: Final = 1 << 17  # characters: some milliseconds of most patterns
REACH: Final = 1 << 15  # characters behind a block that a match may need; patterns are bounded to fewer


def finds(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """As `pattern.finditer(text)`; of a long text no match that needs more than REACH characters to be one."""
    return pattern.finditer(text) if len(text) <= BLOCK + REACH else _finds(pattern, text)


def replaced(pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], text: str) -> str:
    """As `pattern.sub(change, text)`."""
    if len(text) <= BLOCK + REACH:
        return pattern.sub(change, text)
    parts, done = [], 0
    for match in _finds(pattern, text):
        parts += [text[done : match.start()], change(match)]
        done = match.end()
    return "".join([*parts, text[done:]]) if parts else text


def _finds(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    at, size = 0, len(text)
    while at < size:
        end = at + BLOCK
        limit = _limit(text, end + REACH)
        for match in pattern.finditer(text, at, limit):
            if match.start() >= end and limit < size:
                break
            if match.end() >= limit - 1 and limit < size:  # what is longer than that is taken whole
                match = pattern.match(text, match.start()) or match  # noqa: PLW2901
                yield match
                end = max(end, match.end())
                break
            yield match
            end = max(end, match.end())
        at = end if limit < size else size


def _limit(text: str, at: int) -> int:
    """Where to stop: at the end of a line, if one is near, since `$` would match there."""
    if at >= len(text):
        return len(text)
    newline = text.find("\n", at, at + REACH)
    return at if newline < 0 else newline


def lines(text: str, start: int, end: int) -> Iterator[str]:
    """As `text[start:end].splitlines()`."""
    while start < end:
        newline = text.find("\n", min(start + BLOCK, end), end)
        stop = end if newline < 0 else newline + 1
        yield from text[start:stop].splitlines()
        start = stop


def rows(text: str, start: int, end: int) -> Iterator[str]:
    """As `text[start:end].split("\\n")`."""
    while (newline := text.find("\n", start, end)) >= 0:
        yield text[start:newline]
        start = newline + 1
    yield text[start:end]
