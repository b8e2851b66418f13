"""Words to commands, as a device's parser does it: abbreviations, ambiguity, what is missing and where it failed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Leaf = TypeVar("Leaf")
_WORDS = re.compile(r'"[^"]*"|\S+')
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class _Node(Generic[Leaf]):
    words: dict[str, _Node[Leaf]] = field(default_factory=dict)
    argument: _Node[Leaf] | None = None
    numeric: bool = False
    rest: Leaf | None = None
    leaf: Leaf | None = None

    def takes(self, word: str) -> bool:
        return self.argument is not None and (not self.numeric or _NUMBER.fullmatch(word) is not None)

    def starting(self, word: str) -> list[str]:
        """The keywords that `word` may stand for; a whole word stands for itself alone."""
        lower = word.lower()
        if lower in self.words:
            return [lower]
        return [known for known in self.words if known.startswith(lower)]


@dataclass(frozen=True, slots=True)
class Resolved(Generic[Leaf]):
    leaf: Leaf
    canonical: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why the line is no command; `at` is the offset of the first character that fits nothing."""

    why: Literal["unknown", "incomplete", "ambiguous"]
    at: int
    word: str
    first: bool  # the first word already failed
    candidates: tuple[str, ...] = ()


class Grammar(Generic[Leaf]):
    """A tree of keywords; `vocabulary` are first words that exist although nothing is known of what follows them."""

    def __init__(self, vocabulary: Iterable[str] = ()) -> None:
        self._root: _Node[Leaf] = _Node()
        for word in vocabulary:
            self._root.words.setdefault(word.lower(), _Node())

    def add(self, syntax: str, leaf: Leaf) -> None:
        node = self._root
        for word in syntax.split():
            if word == "<rest>":
                node.rest = leaf
                return
            if word in ("<word>", "<number>"):
                node.numeric = word == "<number>"
                node.argument = node.argument or _Node()
                node = node.argument
            else:
                node = node.words.setdefault(word.lower(), _Node())
        node.leaf = leaf

    def resolve(self, line: str) -> Resolved[Leaf] | Unresolved:
        node = self._root
        canonical: list[str] = []
        arguments: list[str] = []
        for number, match in enumerate(_WORDS.finditer(line)):
            word = match[0]
            known = node.starting(word)
            if len(known) == 1:
                node = node.words[known[0]]
                canonical.append(known[0])
            elif known:
                return Unresolved("ambiguous", match.start(), word, number == 0, tuple(known))
            elif node.takes(word) and node.argument is not None:
                node = node.argument
                canonical.append(word)
                arguments.append(word)
            elif node.rest is not None:
                tail = line[match.start() :].strip()
                return Resolved(node.rest, " ".join([*canonical, tail]), (*arguments, tail))
            else:
                at = match.start() + _fitting(word, node.words)
                return Unresolved("unknown", at, word, number == 0)
        if node.leaf is None:
            return Unresolved("incomplete", len(line), "", not canonical)
        return Resolved(node.leaf, " ".join(canonical), tuple(arguments))

    def completions(self, line: str) -> tuple[str, ...]:
        """What `?` lists: words that may stand where the line ends, or that the last word may be short for."""
        words = line.split()
        partial = words.pop() if words and not line.endswith(" ") else ""
        node = self._root
        for word in words:
            known = node.starting(word)
            if len(known) == 1:
                node = node.words[known[0]]
            elif not known and node.argument is not None and node.takes(word):
                node = node.argument
            else:
                return ()
        found = tuple(sorted(known for known in node.words if known.startswith(partial.lower())))
        return found if partial or node.leaf is None else (*found, "<cr>")


def _fitting(word: str, known: Iterable[str]) -> int:
    """How many characters of `word` still fit some keyword: devices put their caret behind them."""
    lower = word.lower()
    longest = 0
    for other in known:
        length = next((i for i, (a, b) in enumerate(zip(lower, other, strict=False)) if a != b), None)
        longest = max(longest, min(len(lower), len(other)) if length is None else length)
    return min(longest, max(len(word) - 1, 0))
