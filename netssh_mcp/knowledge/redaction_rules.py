"""Where secrets stand in device text, as data: the words and rules of redaction.yaml, read on first use.

The notation of a rule is that of a command with the secret marked: docs/profiles.md, `redact`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).parent / "redaction.yaml"
_VALUE: Final = r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|\S+"  # quoted or not
_MOST: Final = "{0,16}"  # words that `...` stands for: with a limit, no line makes a rule slow
_NO_LITERAL: Final = ("...", "$")
_MARK: Final = re.compile(r"@([a-z]+)$")


@dataclass(frozen=True, slots=True)
class Rule:
    """`line` is a pattern matched where a command begins, `heads` are the first words that it may have (none: any).

    Group n of a match is the n-th secret, of the kind `kinds[n - 1]`. `under` must match an enclosing section's line.
    One of each of `literals` stands in every line that matches.
    """

    line: str
    kinds: tuple[str, ...]
    heads: tuple[str, ...]
    literals: tuple[tuple[str, ...], ...]
    under: str = ""

    def match(self, line: str, at: int) -> re.Match[str] | None:
        """Compiled when a line may match for the first time: a process needs few of the rules."""
        return _compiled(self.line).match(line, at)

    def holds(self, ancestors: Iterable[str]) -> bool:
        """Whether these sections are where the rule is for."""
        return not self.under or any(_compiled(self.under).match(line) for line in ancestors)


@dataclass(frozen=True, slots=True)
class Words:
    """What redaction.yaml says. `keywords` gives each word's kind of secret."""

    encodings: frozenset[str]
    keywords: Mapping[str, str]
    heads: frozenset[str]
    never: frozenset[str]
    rules: tuple[Rule, ...]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@lru_cache(maxsize=4096)
def is_encoding(word: str) -> bool:
    """Whether the word says how the secret behind it is written (`7`, `encrypted`, `sha512`)."""
    return _encoding_pattern().fullmatch(word) is not None


_TYPES: Final = frozenset({"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "8a"})


@cache
def words() -> Words:
    """The shipped data. Reading takes some milliseconds, once."""
    said = _said()
    keywords = {
        word: "password" if kind == "password_or_hash" else kind
        for kind, listed in said["keywords"].items()
        for word in listed.split()
    }
    rules = compile_rules(line for line in said["rules"].splitlines() if not line.lstrip().startswith("#"))
    return Words(
        _words_of("encodings"), keywords, frozenset(said["heads"].split()), frozenset(said["never"].split()), rules
    )


@cache
def _words_of(name: str) -> frozenset[str]:
    return frozenset(_said()[name].split())


@cache
def _said() -> dict[str, Any]:
    import yaml  # noqa: PLC0415  (the start budget)

    said: dict[str, Any] = yaml.safe_load(_DATA.read_text("utf-8"))
    return said


def compile_rules(rules: Iterable[str]) -> tuple[Rule, ...]:
    """Raises ValueError for a rule that marks no secret or whose brackets do not fit."""
    return tuple(compile_rule(rule.strip()) for rule in rules if rule.strip())


def compile_rule(rule: str) -> Rule:
    """`PARENT > LINE` or `LINE`; see docs/profiles.md."""
    parent, _, line = rule.rpartition(" > ")
    kinds: list[str] = []
    pattern = _pattern(line.split(), kinds)
    if not kinds:
        raise ValueError(
            f"{rule!r} marks no secret; one of @password, @key, @hash, @community, @token must stand in it"
        )
    under = _pattern(parent.split(), []) if parent else ""
    first = line.split()[0]
    if first.startswith("["):
        raise ValueError(f"{rule!r} begins with a word that may be left out; write two rules")
    heads = () if re.search(r"[*@]|^\.\.\.$", first) else tuple(first.split("|"))
    return Rule(pattern, tuple(kinds), heads, _literals(line.split()), under)


def _literals(tokens: list[str]) -> tuple[tuple[str, ...], ...]:
    """Words, and words in a row, that a matching line cannot lack, in lower case."""
    found: list[tuple[str, ...]] = []
    run: list[str] = []
    optional = False
    for word in [*tokens, "..."]:
        optional = optional or word.startswith("[")
        fixed = "" if optional or word in _NO_LITERAL else word.split("@")[0]
        optional = optional and not word.endswith("]")
        if fixed and not re.search(r"[*|]", fixed) and "@" not in word:
            run.append(fixed)
            continue
        found += [(" ".join(run).lower(),)] if run else []
        run = []
        parts = [max(part.split("*"), key=len).lower() for part in fixed.split("|")]
        found += [tuple(parts)] if all(parts) else []
    return tuple(found)


def _pattern(tokens: list[str], kinds: list[str]) -> str:
    """The words in turn, blanks between them; the first one begins where the pattern does."""
    pattern, blank, open_groups = "", "", 0
    for token in tokens:
        word = token
        if word.startswith("["):
            pattern, word, open_groups = pattern + "(?:", word[1:], open_groups + 1
        closes = word.endswith("]")
        word = word.removesuffix("]")
        if word == "$":
            pattern += r"\s*;?\s*\Z"
        elif word == "...":
            pattern += rf"(?:\s+\S+){_MOST}?" if blank else rf"(?:\S+\s+){_MOST}?"
        else:
            pattern += blank + _word(word, kinds)
            blank = r"\s+"
        if closes:
            pattern, open_groups = pattern + ")?", open_groups - 1
    if open_groups:
        raise ValueError(f"{' '.join(tokens)!r} has a bracket that is not closed")
    return pattern


def _word(word: str, kinds: list[str]) -> str:
    if mark := _MARK.search(word):
        kinds.append(mark[1])
        glued = _literal(word[: mark.start()])
        skipped = "" if glued else rf"(?:(?:{_encodings()})\s+(?=\S))*"
        return rf"{glued}{skipped}({_VALUE})"
    if word == "*":
        return r"(?:\"[^\"]*\"(?!\S)|\S+)"
    return rf"(?:{'|'.join(_literal(part) for part in word.split('|'))})(?!\S)"


def _literal(word: str) -> str:
    return r"[^\s\"]*".join(re.escape(part) for part in word.split("*"))


@cache
def _encodings() -> str:
    return "|".join(_literal(word) for word in sorted({*_words_of("encodings"), *_TYPES}, key=len, reverse=True))


@cache
def _encoding_pattern() -> re.Pattern[str]:
    return re.compile(_encodings())
