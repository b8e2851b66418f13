"""A regex search whose time grows with the text only: for patterns that come from outside.

Python's `re` backtracks: `(a+)+$` on a line of 40 letters takes hours, and no other thread runs meanwhile, since `re`
does not let go of the interpreter. Here a pattern becomes an automaton that reads each character once (Thompson's
construction, states made as they are met; Russ Cox, "Regular Expression Matching Can Be Simple And Fast"). Single
characters and classes are still decided by `re`, so `\\d`, `[^a-z]` and `(?i)` mean what they mean there. Not known:
back-references and lookarounds, which no automaton can do. The tests compare with `re` on generated patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from netssh_mcp.errors import InputError

_MAX_PATTERN = 500  # characters
_MAX_NODES = 500  # of the automaton: as many as characters in the longest pattern; `\d{1,3}(\.\d{1,3}){3}` has 60
_MAX_WORK = 5_000_000  # nodes visited in one search of a whole output, a second or two; usual patterns: some thousands
_MAX_STATES = 1000  # kept at a time, then forgotten and made again

_TOKEN = re.compile(
    r"""(?P<group>\((?:\?:|\?P<\w+>|(?!\?)))      # ( (?: (?P<name>
      | (?P<close>\))
      | (?P<alt>\|)
      | (?P<repeat>[*+?]|\{\d*,\d*\}|\{\d+\})[?]?   # lazy or not finds the same lines
      | (?P<assert>\^|\$|\\[AZbB])
      | (?P<char>\[\^?\]?(?:\\.|[^\]\\])*\]|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^0-9AZbBxuU]|[^\\\[(])""",
    re.VERBOSE | re.DOTALL,
)
_EDGE = {"^": "start", "\\A": "start", "$": "end", "\\Z": "end", "\\b": "word edge", "\\B": "no word edge"}
_WORD = re.compile(r"\w")


def searcher(pattern: str) -> Callable[[str], bool]:
    """Whether a line has a match of `pattern` in it. Raises InputError with the position of what is wrong."""
    if len(pattern) > _MAX_PATTERN:
        raise InputError(f"the pattern has {len(pattern)} characters, {_MAX_PATTERN} are allowed")
    if not re.search(r"[*+?{()\[\\]", pattern):  # words and `|` alone: nothing to backtrack over
        compiled = re.compile(pattern)
        return lambda line: compiled.search(line) is not None
    try:
        return _Automaton(pattern).search
    except RecursionError as exc:
        raise InputError("the pattern is nested too deep") from exc


@dataclass(slots=True)
class _Node:
    """Either eats a character that `test` matches, or stands at an edge, or only leads on."""

    follow: list[int]
    test: re.Pattern[str] | None = None
    edge: str = ""


@dataclass(slots=True)
class _State:
    """A set of nodes after some text, and where each next character leads; None there is a match."""

    nodes: frozenset[int]
    before: str  # "" at the start of the line, else "w" after a word character, "o" after another
    to: dict[str, _State | None] = field(default_factory=dict)


_Build = Callable[[int], int]  # given the node that follows, builds the part and returns its first node


class _Automaton:
    """Node 0 is the match. The parser below is a recursive descent over `_TOKEN`s."""

    def __init__(self, pattern: str) -> None:
        self._flags = re.IGNORECASE if pattern.startswith("(?i)") else 0
        self._pattern = pattern
        self._at = 4 if self._flags else 0
        self._nodes = [_Node([])]
        build = self._alternatives()
        if self._at < len(pattern):
            raise self._wrong("unbalanced parenthesis")
        self._first = build(0)
        self._states: dict[tuple[frozenset[int], str], _State] = {}
        self._work = 0

    def _wrong(self, what: str) -> InputError:
        return InputError(
            f"grep pattern {self._pattern!r} is not usable: {what} at position {self._at}",
            hint="Python's regex syntax without back-references and lookarounds; a backslash escapes . [ ( * + ? |",
        )

    def _next(self) -> re.Match[str] | None:
        if self._at == len(self._pattern):
            return None
        token = _TOKEN.match(self._pattern, self._at)
        if token is None:
            text = self._pattern[self._at : self._at + 3]
            raise self._wrong(f"{text!r} is not closed or not supported")
        return token

    def _alternatives(self) -> _Build:
        options = [self._sequence()]
        while (token := self._next()) and token["alt"]:
            self._at = token.end()
            options.append(self._sequence())
        if len(options) == 1:
            return options[0]
        return lambda after: self._node([option(after) for option in options])

    def _sequence(self) -> _Build:
        parts: list[_Build] = []
        while (token := self._next()) and not (token["alt"] or token["close"]):
            if token["repeat"]:
                raise self._wrong("nothing to repeat")
            part = self._atom(token)
            if (again := self._next()) and again["repeat"]:
                self._at = again.end()
                part = self._repeated(part, again["repeat"])
            parts.append(part)

        def build(after: int) -> int:
            for part in reversed(parts):
                after = part(after)
            return after

        return build

    def _atom(self, token: re.Match[str]) -> _Build:
        start, self._at = self._at, token.end()
        if token["group"]:
            inside = self._alternatives()
            closing = self._next()
            if closing is None or not closing["close"]:
                self._at = start
                raise self._wrong("a parenthesis is not closed")
            self._at = closing.end()
            return inside
        if token["assert"]:
            return lambda after: self._node([after], edge=_EDGE[token["assert"]])
        try:
            test = re.compile(_quiet(token["char"]), self._flags)
        except re.error as exc:
            self._at = start
            raise self._wrong(exc.msg) from exc
        return lambda after: self._node([after], test=test)

    def _repeated(self, part: _Build, repeat: str) -> _Build:
        low, high = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}.get(repeat, (0, 0))
        if repeat[0] == "{":
            least, comma, most = repeat[1:-1].partition(",")
            low = int(least or 0)
            high = int(most) if most else (-1 if comma else low)
            if max(low, high) > _MAX_NODES:
                raise self._wrong(f"too large, {repeat} counts over {_MAX_NODES}")
            if 0 <= high < low:
                raise self._wrong(f"{repeat} cannot be counted")

        def build(after: int) -> int:
            if high < 0:
                loop = self._node([after])
                self._nodes[loop].follow.append(part(loop))
                after = loop
            for _ in range(high - low):
                after = self._node([after, part(after)])
            for _ in range(low):
                after = part(after)
            return after

        return build

    def _node(self, follow: list[int], *, test: re.Pattern[str] | None = None, edge: str = "") -> int:
        if len(self._nodes) >= _MAX_NODES:
            raise self._wrong(f"too large, the repetitions multiply to too much (over {_MAX_NODES} characters)")
        self._nodes.append(_Node(follow, test, edge))
        return len(self._nodes) - 1

    def search(self, line: str) -> bool:
        """True at the first character that completes a match."""
        state = self._state(frozenset(), "")
        for char in line:
            try:
                following = state.to[char]
            except KeyError:
                following = self._step(state, char)
            if following is None:
                return True
            state = following
        if "" not in state.to:  # the line's end is remembered as characters are
            state.to[""] = None if 0 in self._reach(state, "") else state
        return state.to[""] is None

    def _state(self, nodes: frozenset[int], before: str) -> _State:
        """The state of these nodes; a match may begin at every character, so the first node is always there."""
        key = (nodes | {self._first}, before)
        if key not in self._states:
            if len(self._states) >= _MAX_STATES:
                self._states.clear()
            self._states[key] = _State(*key)
        return self._states[key]

    def _step(self, state: _State, char: str) -> _State | None:
        reached = self._reach(state, char)
        following = None
        if 0 not in reached:
            eaten = (self._nodes[i] for i in reached)
            nodes = frozenset(i for node in eaten if node.test and node.test.match(char) for i in node.follow)
            following = self._state(nodes, "w" if _WORD.match(char) else "o")
        if len(state.to) < 4096:
            state.to[char] = following
        return following

    def _reach(self, state: _State, char: str) -> set[int]:
        """All nodes that can be stood on without eating, between what was before and `char` ("" is the end)."""
        reached: set[int] = set()
        todo = list(state.nodes)
        while todo:
            index = todo.pop()
            if index in reached:
                continue
            node = self._nodes[index]
            if node.edge and not _stands(node.edge, state.before, char):
                continue
            reached.add(index)
            if node.test is None:
                todo += node.follow
        self._work += len(reached)
        if self._work > _MAX_WORK:
            raise InputError(
                f"grep pattern {self._pattern!r} is too much work on this output: too many ways to match",
                hint="Use smaller counts than {100} and fewer .* in one pattern, or grep for a fixed word.",
            )
        return reached


def _stands(edge: str, before: str, char: str) -> bool:
    if edge == "start":
        return not before
    if edge == "end":
        return not char
    at_edge = (before == "w") != bool(char and _WORD.match(char))
    return at_edge if edge == "word edge" else not at_edge


def _quiet(char: str) -> str:
    """A class with the characters escaped that `re` warns of, since they may mean set operations one day."""
    if not char.startswith("["):
        return char
    head = 2 if char.startswith("[^") else 1
    return char[:head] + re.sub(r"\\.|[\[&|~]", lambda m: m[0] if m[0][0] == "\\" else "\\" + m[0], char[head:])
