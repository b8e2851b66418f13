"""Redaction: what may be shown of device text. Secrets become `<redacted:kind:tag>`, everything else stays.

The tag is a keyed hash of the secret, the key random per process: the same secret has the same tag wherever it stands,
so that two configurations can still be compared, and nobody can test guesses without the key. Four layers: values that
this process used itself (the vault), what looks like a secret, what stands where a secret stands, and what looks random
behind a word that says key, secret, token or password. docs/security.md, "Redaction", says what is not found.
"""

from __future__ import annotations

import bisect
import functools
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netssh_mcp.guard.pieces import lines, replaced
from netssh_mcp.guard.secret_documents import apart
from netssh_mcp.guard.secret_files import documents
from netssh_mcp.guard.secret_formats import MARK, NEEDLES, Span, blocks, decoded, formats, pairs, strings
from netssh_mcp.guard.secret_lines import Ancestors, CommandRules
from netssh_mcp.guard.secret_tables import cells
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.redaction_rules import compile_rules, words
from netssh_mcp.knowledge.vault import Vault


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text as it may be shown, and how many secrets were taken out of it."""

    text: str
    count: int


class Redactor:
    """For all threads. `key` is for tests; a server's is random and dies with it."""

    def __init__(self, vault: Vault, key: bytes | None = None) -> None:
        self._vault = vault
        self._key = key or secrets.token_bytes(32)
        self._known = _Known(0, {})

    def __repr__(self) -> str:
        return "Redactor()"

    def text(self, text: str, profile: Profile | None = None) -> str:
        """The text without its secrets. Idempotent."""
        return self.redact(text, profile).text

    command = text  # a command line is a text of one line

    def value(self, value: object, profile: Profile | None = None) -> object:
        """Parsed JSON: as its text would be redacted."""
        return json.loads(self.text(json.dumps(value), profile))

    def redact(self, text: str, profile: Profile | None = None) -> Redacted:
        """The text without its secrets, and how many there were."""
        marks = text.count("redacted:")
        text = self._without_known(text)
        text = self._without_documents(self._without_blocks(text), linux=profile is None or profile.driver == "linux")
        text = self._without_lines(text, _rules(() if profile is None else profile.redact))
        return Redacted(text, text.count("redacted:") - marks)

    def mark(self, kind: str, value: str, *, xml: bool = False) -> str:
        """What stands for a secret."""
        raw = value.encode("utf-8", "surrogatepass")
        tag = hmac.new(self._key, raw, "sha256").hexdigest()[:8]
        return f"&lt;redacted:{kind}:{tag}&gt;" if xml else f"<redacted:{kind}:{tag}>"

    # -- values that this process used

    def _without_known(self, text: str) -> str:
        if self._known.version != self._vault.version:
            version, values = self._vault.version, self._vault.values()
            spelled = {spelling: value for value in reversed(values) for spelling in self._vault.spellings(value)}
            self._known = _Known(version, spelled)
        return self._replaced(self._known.anywhere, text)

    def _replaced(self, pattern: re.Pattern[str] | None, text: str) -> str:
        if pattern is None:
            return text
        spelled, xml = self._known.spelled, text.lstrip()[:1] == "<" and "</" in text
        return replaced(
            pattern,
            lambda found: self.mark("known", spelled[found[0]], xml=xml) if found[0] in spelled else found[0],
            text,
        )

    # -- blocks of several lines

    def _without_blocks(self, text: str) -> str:
        parts, done = [], 0
        for start, end in blocks(text):
            parts += [text[done:start], self._block_mark(text[start:end])]
            done = end
        return "".join([*parts, text[done:]]) if parts else text

    def _without_documents(self, text: str, *, linux: bool) -> str:
        spans = [*documents(text, linux=linux), *cells(text), *apart(text)]
        return self._marked(text, _merged(text, spans), xml="</" in text) if spans else text

    def _block_mark(self, block: str) -> str:
        lines = [line.strip() for line in block.splitlines() if not line.lstrip().startswith("----")]
        return self.mark("private-key", "".join(lines))

    # -- lines

    def _without_lines(self, text: str, rules: _Rules) -> str:
        lowered = (text if text.isascii() else text.replace("\u0130", "I")).lower()
        lowered = lowered if len(lowered) == len(text) else text
        sections = _Sections(text)
        xml = "</" in text
        parts, done = [], 0
        for start, end in _lines_with(lowered, rules.needles):
            line, above = text[start:end], functools.partial(sections.above, start)
            shown = line
            for _ in range(_ROUNDS):  # a second secret may show only when the first one is marked
                before, shown = shown, self._line(shown, rules, above, xml=xml)
                if shown == before:
                    break
            if shown != line:
                parts += [text[done:start], shown]
                done = end
        return "".join([*parts, text[done:]]) if parts else text

    def _line(self, line: str, rules: _Rules, above: Ancestors, *, xml: bool) -> str:
        line = self._replaced(self._known.in_context, line)
        if '"' in line:
            line = self._without_strings(line, rules)
        spans = [*formats(line), *pairs(line, xml=xml), *rules.commands.spans(line, above)]
        return self._marked(line, _merged(line, spans), xml=xml) if spans else line

    def _without_strings(self, line: str, rules: _Rules) -> str:
        """Strings of a JSON document that hold commands or whole outputs, redacted as what they are."""
        parts, done = [], 0
        for found in strings(line):
            inner = decoded(found[0])
            if inner is None:
                continue
            shown = self._without_lines(self._without_blocks(inner), rules)
            if shown != inner:
                literal = json.dumps(shown, ensure_ascii=found[0].isascii())
                parts += [line[done : found.start()], literal]
                done = found.end()
        return "".join([*parts, line[done:]]) if parts else line

    def _marked(self, line: str, spans: Iterable[Span], *, xml: bool) -> str:
        parts, done = [], 0
        for start, end, kind in spans:
            value = line[start:end]
            before, after = line[max(0, start - 8) : start], line[end : end + 1]
            mark = self.mark(kind, value, xml=xml and before[-1:] in (">", '"', "'") and after in ("<", '"', "'"))
            if _NUMBER_IN_JSON.search(before):
                mark = f'"{mark}"'
            parts += [line[done:start], mark]
            done = end
        return "".join([*parts, line[done:]])


@dataclass(frozen=True, slots=True)
class _Rules:
    commands: CommandRules
    needles: tuple[str, ...]


_PLAIN: Final = re.compile(r"[A-Za-z]?[a-z]{1,8}|[0-9]{1,6}")
_ROUNDS: Final = 4
_NUMBER_IN_JSON: Final = re.compile(r'"\s*:\s*\Z')


@functools.lru_cache(maxsize=64)
def _rules(own: tuple[str, ...]) -> _Rules:
    """Those of every platform and a profile's own, with what must stand in a lower-cased line for one to match."""
    rules = (*compile_rules(own), *words().rules)
    needles = dict.fromkeys((*NEEDLES, *(word for word in words().keywords if not _has_needle(word))))
    for rule in rules:
        if not any(all(_has_needle(word) for word in literal) for literal in rule.literals):
            needles |= dict.fromkeys(max(rule.literals, key=lambda literal: min(map(len, literal)), default=()))
    fewest = tuple(needle for needle in needles if not any(other in needle for other in needles if other != needle))
    return _Rules(CommandRules(rules), fewest)


def _has_needle(word: str) -> bool:
    return any(needle in word for needle in NEEDLES)


def _lines_with(lowered: str, needles: Iterable[str]) -> list[tuple[int, int]]:
    """The lines, from and to, in which a needle stands, in order: a search per needle, and no look at other lines."""
    found: dict[int, int] = {}
    for needle in needles:
        at = lowered.find(needle)
        while at >= 0:
            end = _end_of_line(lowered, at)
            if lowered[end - 1] == "\\":  # RouterOS breaks a line behind `password=`
                end = _end_of_line(lowered, end + 1)
            found[lowered.rfind("\n", 0, at) + 1] = end
            at = lowered.find(needle, end)
    return sorted(found.items())


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


class _Sections:
    """The sections that a line stands in, by indentation; a RouterOS path (`/snmp community`) holds what follows."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[int, str]] = []

    def above(self, start: int) -> list[str]:
        """The lines that open the sections around the line at `start`; asked in ascending order."""
        for line in lines(self._text, self._at, start):
            self._enter(line)
        self._at = max(start, self._at)
        depth = _depth(self._text[start : _end_of_line(self._text, start)])
        return [opener for indent, opener in self._open if indent < depth]

    def _enter(self, line: str) -> None:
        stripped = line.strip()
        if not stripped:
            return
        if stripped.startswith("[edit ") and stripped.endswith("]"):  # Junos compares configurations by section
            stripped, depth = stripped[6:-1], -1
        else:
            depth = _depth(line)
        while self._open and self._open[-1][0] >= depth:
            self._open.pop()
        self._open.append((depth, stripped))


def _depth(line: str) -> int:
    if line[:1] in "+-":
        line = f" {line[1:]}"
    return -1 if line.startswith("/") else len(line) - len(line.lstrip())


def _merged(line: str, spans: Iterable[Span]) -> list[Span]:
    """In order, without quotes and ends of statements; what overlaps is one secret, what is marked already is none."""
    marks = [found.span() for found in MARK.finditer(line)] if "redacted:" in line else []
    begins = [first for first, _ in marks]
    merged: list[Span] = []
    for start, end, kind in sorted(_trimmed(line, span) for span in spans):
        nearest = bisect.bisect_right(begins, start) - 1
        if start >= end or (nearest >= 0 and start < marks[nearest][1]):
            continue
        if merged and start < merged[-1][1]:
            first, last, earlier = merged[-1]
            merged[-1] = (first, max(last, end), earlier)
        else:
            merged.append((start, end, kind))
    return merged


def _trimmed(line: str, span: Span) -> Span:
    start, end, kind = span
    if line[start] in "\"'":
        closed = end - start > 1 and line[end - 1] == line[start]
        return start + 1, end - closed, kind
    while end > start + 1 and line[end - 1] == ";":
        end -= 1
    if end > start + 1 and line[end - 1] in "\"'" and line.count(line[end - 1], 0, start) % 2:
        end -= 1  # the command stands in quotes, not the secret
    return start, end, kind


class _Known:
    """Patterns for the values that this process used, in every spelling; a mark is matched too, to be passed over.

    A value that is a plain word, such as "admin", is looked for only `in_context`: on lines that may hold a secret.
    Hidden everywhere it would be told by its absence ("<redacted> down"), and no template would parse a table.
    """

    def __init__(self, version: int, spelled: dict[str, str]) -> None:
        self.version, self.spelled = version, spelled
        plain = [spelling for spelling, value in spelled.items() if spelling == value and _PLAIN.fullmatch(value)]
        others = [spelling for spelling in spelled if spelling not in plain]
        words_alone = rf"(?:(?<![\w-])|(?<=\\[nrt])){_trie(plain)}(?![\w-])"
        self.in_context = re.compile(f"{MARK.pattern}|{words_alone}") if plain else None
        self.anywhere = re.compile(f"{MARK.pattern}|{_trie(others)}") if others else None


def _trie(spellings: Iterable[str]) -> str:
    """A pattern for any of them, the longest first; what they share is tried once."""
    groups: dict[str, list[str]] = {}
    for spelling in sorted(set(spellings)):
        groups.setdefault(spelling[:1], []).append(spelling)
    ends = groups.pop("", None) is not None
    branches = []
    for group in groups.values():
        first, last = min(group), max(group)
        shared = first[: next((at for at, char in enumerate(first) if char != last[at : at + 1]), len(first))]
        rest = [spelling[len(shared) :] for spelling in group]
        branches.append(re.escape(shared) + (_trie(rest) if len(rest) > 1 else ""))
    pattern = f"(?:{'|'.join(branches)})"
    return f"{pattern}?" if ends else pattern
