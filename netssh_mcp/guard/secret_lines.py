"""Secrets that are known by the command they stand in: rules and keywords of knowledge/redaction.yaml on one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from netssh_mcp.guard.secret_formats import (
    ADDRESS,
    MARK,
    NO_COMMUNITY,
    Span,
    is_public,
    is_secret,
    is_weak_name,
    kind_of,
)
from netssh_mcp.knowledge.redaction_rules import Rule, is_encoding, words

Ancestors = Callable[[], Iterable[str]]  # the lines of the sections that a line stands in, asked only when needed

_LEAD: Final = re.compile(
    r"[\s+!<>|'\"-]*(?:\d{1,7}[:-]\s*)?(?:\[[~*]?[\w./-]{1,80}\](?=[a-z]))?"
)  # a diff's sign, grep's number, VRP's prompt
_VERB: Final = re.compile(
    r"(?:(?:no|set|undo|default|do|delete|add|activate|deactivate|edit|rename|protect|unprotect|replace"
    r"|(?:inactive|active|protect|replace|delete):)\s+)?/?\s*(?=[A-Za-z])"
)
_LOGGED: Final = re.compile(
    r"\b[Cc]ommand\s?[:=]?\s?['\"]|\bexecuted (?:the )?'|\bCOMMAND=|\bCMD \(|\s\|\s+!?(?=[a-z])|\bcli command \""
    r"|\bCommand is "
)
_LOG_SIGNS: Final = ("ommand", "executed ", "COMMAND=", "CMD (", " | ", "  |")
_INNER: Final = re.compile(
    r"(?:(?<=\S)|(?<=\) ))[#>$]\s*/?(?=[a-z])(?![\w-]{1,40}[>#])"
    r"|(?<=\\n)(?=[a-z])|:\s+(?=[a-z])|(?<=command:)|(?<=cmd=)"
)  # behind a prompt, in a log of commands
_MOST_PASSED: Final = 8  # words between a keyword and its secret
_MOST_STARTS: Final = 8  # places of one line where a command may begin
_WORD: Final = re.compile(r"[A-Za-z][\w.-]*")
_NEXT: Final = re.compile(r"\s+(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S+)")
_GLUED: Final = re.compile(r"(?:=|\s+=\s+|\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&]+)")
_WITH_ARGUMENT: Final = frozenset({"level", "role"})
_COMMAND: Final = re.compile(
    r"(?!description|remark|banner|comment|alias|name )[:/a-z0-9]"
)  # unlike a heading or a sentence
_PASSED: Final = frozenset({"fallback", "peer", "accept", "send"})
_FIELD: Final = re.compile(r"\.?[a-z][a-z-]*=[^=]")  # `name=env1`
_TYPED: Final = re.compile(
    r"\s+(?:[0678]|8a|encrypted|cipher|ciphertext|simple|plain|plaintext|clear)\s+(?=[^\s:=-])(?!md5\b|hmac|sha|is\b|and\b)"
)  # how the key behind it is written
_LAST: Final = re.compile(
    r"\s+(?:\"[^\"]+\"|'[^']+'|(?!\d{1,4};?\s*$)(?!(?:exchange|chain|size|length|type|id|name|rotation|lifetime|index|pair|file)\b)[^\s{}]+)\s*;?\s*$"
)  # the end of a command
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,64}")
_WEAK: Final = re.compile(
    r"(?:^|[-_.])(?:\w*(?:secret|token|passwo?r?d|pwd|passphrase|psk)|key|cipher|ciphertext|encrypted)$"
)


class CommandRules:
    """Rules by the first word of the commands they are for."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_head: dict[str, list[Rule]] = {}
        self._anywhere: list[tuple[Rule, tuple[str, ...]]] = []
        for rule in rules:
            for head in rule.heads:
                self._by_head.setdefault(head, []).append(rule)
            if not rule.heads:  # it has a literal then, or it would match anything
                self._anywhere.append((rule, rule.literals[0]))

    def spans(self, line: str, ancestors: Ancestors) -> Iterator[Span]:
        """Every secret that a rule or a keyword points at."""
        starts, lowered = _starts(line), line.lower()
        anywhere = [rule for rule, literals in self._anywhere if any(map(lowered.__contains__, literals))]
        ruled = [span for at in starts for span in self._ruled(line, at, anywhere, ancestors)]
        yield from ruled
        first = min((start for start, _, _ in ruled), default=0)
        yield from _keyworded(line, starts, first)

    def _ruled(self, line: str, at: int, anywhere: Iterable[Rule], ancestors: Ancestors) -> Iterator[Span]:
        head = _WORD.match(line, at)
        for rule in self._by_head.get(head[0], ()) if head else ():
            yield from _ruled(rule, line, at, ancestors)
        for rule in anywhere:
            yield from _ruled(rule, line, at, ancestors)


def _ruled(rule: Rule, line: str, at: int, ancestors: Ancestors) -> Iterator[Span]:
    found = rule.match(line, at)
    if not found or (rule.under and not rule.holds(ancestors())):
        return
    for number, kind in enumerate(rule.kinds, 1):
        if found[number] is None:
            continue
        value = found[number].rstrip(";{").strip("\"'")
        if kind == "community" and NO_COMMUNITY.fullmatch(value):
            continue
        if _names(value) and line[found.end(number) :].strip():  # `authentication md5 key-string X`: it comes later
            continue
        if kind == "key" and value.isdigit() and len(value) < 4 and not rule.under:
            continue
        if is_secret(value, strong=True) or MARK.match(value):  # a mark says where the secret of this command is
            yield found.start(number), found.end(number), kind


def _starts(line: str) -> list[int]:
    """Where a command may begin: the line's first word, the one behind `set` or `no`, the one behind a prompt."""
    lead = _LEAD.match(line)
    starts = [lead.end() if lead else 0]
    if any(sign in line for sign in _LOG_SIGNS):
        starts += [found.end() for found in _LOGGED.finditer(line, 0, 400)][:2]
    starts += [found.end() for found in _INNER.finditer(line, starts[0], 400)][:3]
    for at in list(starts):
        if (verb := _VERB.match(line, at)) and verb.end() > at:
            starts.append(verb.end())
    return starts[:_MOST_STARTS]


def _keyworded(line: str, starts: list[int], ruled: int) -> Iterator[Span]:
    """What follows a keyword, an encryption type passed over; how sure that is depends on where the keyword stands.

    What stands in front of the first secret that a rule found (at `ruled`) belongs to that rule's command.
    """
    known, heads = words().keywords, words().heads
    known_head = any((head := _WORD.match(line, at)) and head[0] in heads for at in starts)
    commanded = known_head or _COMMAND.match(line, starts[0]) is not None
    done = 0
    for word in _WORD.finditer(line):
        if word.start() < done:  # inside a value
            continue
        name = word[0].lower()
        kind = known.get(name) or (kind_of(name) if commanded and "community" not in name else "")
        if not kind and name == "key" and (_TYPED.match(line, word.end()) or (commanded and _ends(line, word, starts))):
            kind = "key"
        if not kind and not (_WEAK.search(name) and is_weak_name(name)):
            continue
        if line[max(0, word.start() - 2) : word.start()] == "//" or is_public(line, word.start()):  # a URL's user
            continue
        value = _value(line, word.end())
        if value is None or (value[1] <= ruled and not kind):
            continue
        start, end, quoted = value
        done = end if line[word.end() : start].strip() in ("=", ":") else 0
        text = line[start:end].rstrip(";").strip("\"'")
        first = word.start() in starts or line[word.start() - 1 : word.start()] == "-"
        named = word[0].islower() or (word[0].isupper() and "_" in word[0])
        strong = bool(kind) and named and (commanded or first or quoted) and end > ruled
        if is_secret(text, strong=strong):
            yield start, end, kind or "key"


def _ends(line: str, word: re.Match[str], starts: list[int]) -> bool:
    """Whether the command ends with the value behind this `key`; one that begins with it may name a key (`key 0a1`)."""
    found = _LAST.match(line, word.end())
    return found is not None and (word.start() not in starts or not _HEX.fullmatch(found[0].strip()))


def _value(line: str, at: int) -> tuple[int, int, bool] | None:
    """The first word that is no encryption type; what only names a type or a number has no secret behind it."""
    if glued := _GLUED.match(line, at):
        return glued.start(1), glued.end(1), glued[1][0] in "\"'"
    found = _NEXT.match(line, at)
    typed = False
    for _ in range(_MOST_PASSED):
        if found is None:
            return None
        word = found[1].rstrip(";")
        following = _NEXT.match(line, found.end())
        if word in _WITH_ARGUMENT and following:
            following = _NEXT.match(line, following.end())
        elif not _passed(word, more=following is not None):
            break
        if following is None:
            return None
        typed, found = is_encoding(word), following
    if found is None or _FIELD.match(found[1]) or _passed(found[1], more=False):
        return None
    following = _NEXT.match(line, found.end())
    if not typed and following and (following[1] == "{" or _names(following[1])):  # `psk HQ secret X`: the name of one
        return None
    return found.start(1), found.end(1), found[1][0] in "\"'"


def _passed(word: str, *, more: bool) -> bool:
    """Whether the word stands between a keyword and its secret, when there is `more` to come."""
    if is_encoding(word) or (word.isdigit() and len(word) <= 2):
        return True
    return more and (_names(word) or word in _PASSED or ADDRESS.fullmatch(word) is not None)


def _names(word: str) -> bool:
    """Whether the word is itself a keyword, so that the secret is what follows it (`md5 key-string X`)."""
    return word in words().keywords or (word.endswith("-key") and bool(kind_of(word)))
