"""Which devices a call is about: the small language of every tool's `targets`.

    targets = any {"," any}          union; binds loosest
    any     = all {("|" | "or") all}
    all     = one {("&" | "and") one}
    one     = ("!" | "not") one | "(" targets ")" | "@" group | key ("=" | "!=") value | name

Names, groups and values may be globs (`*`, `?`, `[abc]`); "quoted" ones are taken literally. A name, group or key that
does not exist is an error and not an empty set, for `!typo` would select everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.targets import find

if TYPE_CHECKING:
    from netssh_mcp.knowledge.inventory import Device, Inventory

OPERATORS: Final = ("and", "or", "not")  # words that no device or group may be called
MOST_CHARACTERS: Final = 20_000  # a comma list of a thousand names fits
MOST_DEPTH: Final = 40  # parentheses in each other; the parser recurses
SYNTAX: Final = (
    "Targets are names, globs (leaf*), @group, key=value or key!=value, joined by comma, &, |, ! and parentheses; "
    "'*' is every device."
)

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')
    | (?P<sign>!=|==?|&&?|\|\|?|[!(),])
    | (?P<word>(?:\[!?[^\]\s]*\]|[^\s"'&|!=(),])+))""",
    re.VERBOSE,
)
_Kind = Literal["word", "quoted", "sign", "end"]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    at: int  # counted from 1, as people do

    def means(self, *signs: str) -> bool:
        """Whether this is one of the operators `signs`, as sign or as word."""
        return (self.kind == "sign" and self.text in signs) or (self.kind == "word" and self.text.lower() in signs)


def select(inventory: Inventory, targets: str) -> tuple[Device, ...]:
    """The devices that `targets` picks, each once, in inventory order. InputError: bad syntax, no such word, none."""
    if not targets.strip():
        raise InputError("no devices are selected: the selector is empty", hint=SYNTAX)
    if len(targets) > MOST_CHARACTERS:
        raise InputError(
            f"the selector has {len(targets)} characters; {MOST_CHARACTERS} are allowed",
            hint="Use a group, a key=value or a glob instead of single names.",
        )
    search = _Search(inventory, targets)
    names = search.result()
    if not names:
        raise InputError(f"no device matches {_shown(targets)}{search.why_none()}", hint=SYNTAX)
    listed = (device for name, device in inventory.devices.items() if name in names)
    return (*listed, *(device for name, device in search.unlisted.items() if name in names))


def matching(inventory: Inventory, targets: str) -> frozenset[str]:
    """As `select`, the names only, and none is no error. InputError: bad syntax, or a word that does not exist."""
    return _Search(inventory, targets).result()


def check_syntax(targets: str) -> None:
    """InputError when it is no selector in any inventory."""
    from netssh_mcp.knowledge.inventory import Inventory  # noqa: PLC0415 - it imports this module

    if not targets.strip() or len(targets) > MOST_CHARACTERS:
        raise InputError(f"a selector has 1 to {MOST_CHARACTERS} characters", hint=SYNTAX)
    _Syntax(Inventory({}, {}), targets).result()


class _Search:
    """One evaluation of one selector; each rule of the grammar is a method that gives the names it picks."""

    def __init__(self, inventory: Inventory, targets: str) -> None:
        self._inventory = inventory
        self._targets = targets
        self._every = frozenset(inventory.devices)
        self._tokens = list(_tokens(targets))
        self._next = 0
        self._depth = 0
        self._misses: list[str] = []
        self.unlisted: dict[str, Device] = {}  # made of user@host

    def result(self) -> frozenset[str]:
        names = self._list()
        if self._token.kind != "end":
            self._fail("expected a comma, & or | before")
        return names

    def why_none(self) -> str:
        return f"; {'; '.join(self._misses[:4])}" if self._misses else "; every part matches, but not together"

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> bool:
        if self._token.means(*signs):
            self._next += 1
            return True
        return False

    def _list(self) -> frozenset[str]:
        names = set(self._any())
        while self._take(","):
            names |= self._any()
        return frozenset(names)

    def _any(self) -> frozenset[str]:
        names = self._all()
        while self._take("|", "||", "or"):
            names |= self._all()
        return names

    def _all(self) -> frozenset[str]:
        names = self._one()
        while self._take("&", "&&", "and"):
            names &= self._one()
        return names

    def _one(self) -> frozenset[str]:
        negated = False
        while self._take("!", "not"):
            negated = not negated
        names = self._term()
        return self._every - names if negated else names

    def _term(self) -> frozenset[str]:
        opening = self._token
        if self._take("("):
            self._depth += 1
            if self._depth > MOST_DEPTH:
                self._fail(f"more than {MOST_DEPTH} parentheses in each other at")
            names = self._list()
            if not self._take(")"):
                self._fail(f"the parenthesis opened at position {opening.at} is not closed before")
            self._depth -= 1
            return names
        token = self._word("expected a device, @group or key=value instead of")
        if self._take("!="):
            return self._every - self._field(token, self._value())
        if self._take("=", "=="):
            return self._field(token, self._value())
        if token.kind == "word" and token.text.startswith("@"):
            return self._group(token)
        return self._name(token)

    def _word(self, otherwise: str) -> _Token:
        token = self._token
        if token.kind not in ("word", "quoted") or token.means(*OPERATORS):
            self._fail(otherwise)
        self._next += 1
        return token

    def _value(self) -> _Token:
        token = self._token
        if token.kind not in ("word", "quoted"):  # `state=or` is Oregon: here no word is an operator
            self._fail("expected a value instead of")
        self._next += 1
        return token

    def _name(self, token: _Token) -> frozenset[str]:
        devices = self._inventory.devices
        if token.text in devices:
            return frozenset((token.text,))
        if meant := find(self._inventory, token.text):
            if meant.name not in devices:
                self.unlisted[meant.name] = meant
            return frozenset((meant.name,))
        if not _is_glob(token):
            if token.text in self._inventory.groups:
                self._unknown(token, "device", f"that is a group: write @{token.text}")
            self._unknown(token, "device", did_you_mean(token.text, devices))
        return self._noted(token, _matching(token, devices), devices)

    def _group(self, token: _Token) -> frozenset[str]:
        groups = self._inventory.groups
        bare = _Token(token.kind, token.text[1:], token.at)
        if bare.text not in groups and not _is_glob(bare):
            self._unknown(token, "group", did_you_mean(bare.text, groups))
        found = _matching(bare, groups)
        return self._noted(bare, (name for group in found for name in groups[group]), groups)

    def _field(self, key: _Token, value: _Token) -> frozenset[str]:
        held = [(name, _held(device, key.text)) for name, device in self._inventory.devices.items()]
        if all(values is None for _, values in held):
            self._unknown(key, "key", did_you_mean(key.text, _keys(self._inventory)))
        fits = _fits(value)
        found = (name for name, values in held if values is not None and any(fits(each) for each in values))
        return self._noted(value, found, sorted({each for _, values in held for each in values or ()}), f"{key.text}=")

    def _noted(self, token: _Token, found: Iterable[str], known: Iterable[str], before: str = "") -> frozenset[str]:
        """`found` as a set; when it is empty, what there would have been is kept for the error."""
        names = frozenset(found)
        if not names:
            self._misses.append(f"nothing has {before}{token.text[:80]}, {did_you_mean(token.text.strip('*?'), known)}")
        return names

    def _unknown(self, token: _Token, what: str, instead: str) -> NoReturn:
        raise InputError(f"there is no {what} {token.text[:80]!r} (position {token.at}); {instead}", hint=SYNTAX)

    def _fail(self, why: str) -> NoReturn:
        token = self._token
        here = "the end" if token.kind == "end" else repr(token.text[:40])
        raise InputError(f"{why} {here} at position {token.at} of {_shown(self._targets)}", hint=SYNTAX)


class _Syntax(_Search):
    """Reads a selector without asking whether its words exist."""

    def _name(self, token: _Token) -> frozenset[str]:
        return frozenset((token.text,))

    def _group(self, token: _Token) -> frozenset[str]:
        return frozenset((token.text,))

    def _field(self, key: _Token, value: _Token) -> frozenset[str]:
        return frozenset((key.text, value.text))


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            at = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            raise InputError(f"a quote opened at position {at} of {_shown(text)} is not closed", hint=SYNTAX)
        kind: _Kind = "word" if match.lastgroup == "word" else "sign" if match.lastgroup == "sign" else "quoted"
        token = match[match.lastgroup]
        yield _Token(kind, token[1:-1] if kind == "quoted" else token, match.start(match.lastgroup) + 1)
        position = match.end()
    yield _Token("end", "", end + 1)


def _is_glob(token: _Token) -> bool:
    return token.kind == "word" and any(character in token.text for character in "*?[")


def _fits(token: _Token) -> Callable[[str], bool]:
    if not _is_glob(token):
        return token.text.__eq__
    pattern = re.compile(translate(re.sub(r"\*+", "*", token.text)))
    return lambda text: pattern.match(text) is not None


def _matching(token: _Token, words: Iterable[str]) -> list[str]:
    fits = _fits(token)
    return [word for word in words if fits(word)]


def _held(device: Device, key: str) -> tuple[str, ...] | None:
    """What the device has under `key`, as texts to compare; None when it has no such key."""
    match key:
        case "name" | "hostname" | "platform":
            return (str(getattr(device, key)),)
        case "group":
            return device.groups
    found = _dig(device.data, key)
    if found is None and key.startswith("data."):
        found = _dig(device.data, key.removeprefix("data."))
    return None if found is None else _texts(found[0])


def _dig(held: object, key: str) -> tuple[object] | None:
    """The value at a dotted key, wrapped, for it may be null. A key that has a dot itself goes first."""
    if not isinstance(held, Mapping):
        return None
    for name, value in held.items():
        if str(name) == key:
            return (value,)
    head, dot, rest = key.partition(".")
    if not dot:
        return None
    return next((_dig(value, rest) for name, value in held.items() if str(name) == head), None)


def _texts(value: object) -> tuple[str, ...]:
    """A value as the file spells it; a list is each of its items, a mapping only `key=*`."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_text(item) for item in value)
    return (_text(value),)


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if isinstance(value, (Mapping, list)) else str(value)


def _keys(inventory: Inventory) -> list[str]:
    found = {"name": None, "hostname": None, "platform": None, "group": None}
    found.update((str(key), None) for device in inventory.devices.values() for key in device.data)
    return list(found)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")
