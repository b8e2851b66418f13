"""A profile's tables of commands, compiled for looking up: the tree of phrases, prefixes, patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from netssh_mcp.guard.spelling import Place, places
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import CLASSES, CommandClass


@dataclass(slots=True)
class Word:
    """A word of the command tree. `kind` is "" where it is only the way to a longer phrase."""

    kind: CommandClass | Literal[""] = ""
    next: dict[str, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Grammar:
    """A profile's tables, made ready for look-ups by prefix."""

    profile: Profile
    tree: Word
    words: Mapping[str, tuple[str, ...]]  # prefix -> first words
    pipes: Mapping[str, tuple[str, ...]]  # prefix -> pipe words
    unsafe_pipes: frozenset[str]  # every abbreviation of a pipe that is not safe
    refused: frozenset[str]
    denied: re.Pattern[str] | None
    refuse: re.Pattern[str] | None
    raised: tuple[tuple[CommandClass, re.Pattern[str]], ...]  # longer lines of a higher class than their first words
    native: re.Pattern[str] | None
    json: re.Pattern[str] | None
    json_on_request: re.Pattern[str] | None
    whole: tuple[tuple[CommandClass, re.Pattern[str]], ...]  # argv or lines
    forms: Mapping[str, re.Pattern[str]]
    pipe_args: Mapping[str, re.Pattern[str]]
    places: Place  # full argument words


@lru_cache(maxsize=256)
def tables(profile: Profile) -> Grammar:
    """Compiled once per profile."""
    tree, raised = _tree(profile)
    unsafe = set(profile.pipes.all) - set(profile.pipes.safe)
    return Grammar(
        profile=profile,
        tree=tree,
        words=_by_prefix(tree.next) if profile.complete else {word: (word,) for word in tree.next},
        pipes=_by_prefix(profile.pipes.all),
        unsafe_pipes=frozenset(word[:end] for word in unsafe for end in range(1, len(word) + 1)),
        refused=frozenset(profile.refused_chars),
        denied=_either(profile.denied),
        refuse=_either(abbreviated(line) for line in profile.refuse),
        raised=raised,
        native=_either(profile.json_output.native),
        json=_either(profile.json_output.commands),
        json_on_request=_either(profile.json_output.on_request),
        whole=_whole(profile),
        forms={verb: re.compile(form) for known, form in profile.forms.items() for verb in _in_menus(profile, known)},
        pipe_args={word: re.compile(pattern) for word, pattern in profile.pipes.args.items()},
        places=places(profile),
    )


def _tree(profile: Profile) -> tuple[Word, tuple[tuple[CommandClass, re.Pattern[str]], ...]]:
    """The phrases as a tree, and apart from it those that are riskier than the phrase they begin with.

    A riskier phrase is recognised by any abbreviation of its words; a less risky one must be meant beyond doubt.
    """
    root = Word()
    raised: dict[CommandClass, list[str]] = {"secret-read": [abbreviated(line) for line in profile.secret_read]}
    phrases = sorted(
        (phrase.split(), kind)
        for kind, known in profile.commands.items()
        for listed in known
        for phrase in _in_menus(profile, listed)
    )
    for words, kind in sorted(phrases, key=lambda entry: len(entry[0])):
        above = _above(root, words)
        if above and risk(kind) > risk(above):  # not in the tree, which would take `show de` for a longer word in it
            raised.setdefault(kind, []).append(abbreviated(" ".join(words)))
            continue
        node = root
        for word in words:
            node = node.next.setdefault(word, Word())
        node.kind = kind
    riskiest_first = sorted(raised.items(), key=lambda item: -risk(item[0]))
    return root, tuple((kind, either) for kind, lines in riskiest_first if (either := _either(lines)) is not None)


def _in_menus(profile: Profile, phrase: str) -> tuple[str, ...]:
    """`... print` is the phrase of every menu; any other one is itself."""
    if not phrase.startswith("... "):
        return (phrase,)
    return tuple(f"{menu} {phrase[4:]}" for menu in profile.menus)


def _above(root: Word, words: list[str]) -> CommandClass | Literal[""]:
    """The class of the longest phrase that `words` goes on from."""
    node, kind = root, root.kind
    for word in words[:-1]:
        found = node.next.get(word)
        if found is None:
            break
        node, kind = found, found.kind or kind
    return kind


def risk(kind: CommandClass) -> int:
    """How much a command of this class may do; more is riskier."""
    return CLASSES.index(kind)


def _whole(profile: Profile) -> tuple[tuple[CommandClass, re.Pattern[str]], ...]:
    if profile.argv:
        return (("read", re.compile("|".join(f"(?:{pattern})" for pattern in profile.argv))),)
    return tuple((kind, re.compile(pattern)) for kind, patterns in profile.lines.items() for pattern in patterns)


def abbreviated(line: str) -> str:
    """A regex for `line` with every word abbreviated at will and anything after it; `*` a word, `...` any number."""
    if line.startswith("... "):
        return r"(?:\S+ )*" + abbreviated(line[4:])
    parts: list[str] = []
    for word in line.split():
        if word == "...":
            parts.append(r"(?: \S+)*")
        elif word == "*":
            parts.append(r" \S+")
        else:
            parts.append(" (?:" + "|".join(re.escape(word[:end]) for end in range(len(word), 0, -1)) + ")")
    return "".join(parts).removeprefix(" ") + "(?: .*)?"


def _either(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One case-insensitive pattern for all: devices do not mind the case of their words."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined, re.IGNORECASE) if joined else None


def _by_prefix(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Every abbreviation -> the words it may stand for; the word itself, when full, comes first."""
    found: dict[str, list[str]] = {}
    for word in sorted(words, key=len):
        for end in range(1, len(word) + 1):
            found.setdefault(word[:end], []).append(word)
    return {prefix: tuple(candidates) for prefix, candidates in found.items()}
