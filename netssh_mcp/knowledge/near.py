"""The nearest allowed word, for every error that refuses one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, words: Iterable[str], n: int = 3) -> list[str]:
    """At most `n` of `words` that look like `word`, best first; letter case does not count."""
    wanted = word.casefold()
    by_fold: dict[str, str] = {}
    for candidate in words:
        by_fold.setdefault(candidate.casefold(), candidate)
    found = difflib.get_close_matches(wanted, by_fold, n=n, cutoff=0.6)
    if (
        len(wanted) >= 2
    ):  # `prof` for `profiles`, `ber` for `leaf1.ber`: difflib's ratio misses short parts of long words
        parts = [
            fold for fold in by_fold if fold not in found and (wanted in fold or (len(fold) >= 3 and fold in wanted))
        ]
        found += sorted(parts, key=lambda fold: (not fold.startswith(wanted), len(fold)))
    return [by_fold[fold] for fold in found[:n]]


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The part of a sentence that follows "there is no such ...;": the nearest words, else some that exist."""
    known = list(words)
    if nearest := near(word, known):
        return f"did you mean {' or '.join(nearest)}?"
    if not known:
        return "there are none"
    shown = ", ".join(known[:12])
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return f"known: {shown}{more}"
