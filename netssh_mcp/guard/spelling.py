"""Argument words spelled out: `ip int br` behind `show` is `ip interface brief`, where that is beyond doubt.

The known words are not a device's whole vocabulary, so little is taken for granted: a word is spelled out when it
begins one known word of its place only, and has as many letters as that word asks for. A word before a hyphen or a
digit (`mac-address-table`, `ospf6`) is often one of its own, so it stays. The first word that is not known ends it;
what follows is sent as it was typed. Phrases of the profile only stand in the way: that a table of secrets names a word
does not say that the device has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from netssh_mcp.knowledge.argument_words import argument_words
from netssh_mcp.knowledge.profiles import Profile

_LETTERS = 3  # of an abbreviation, where the list does not say fewer
_FEWEST = 2  # some lists say one: on the device that is nearly always ambiguous
_VALUE = re.compile(r"[^\"']*[\d.:/][^\"']*")  # an interface, an address, a number
_NAMED = frozenset({"<name>", "*"})
_INTERFACES = frozenset({"interface", "interfaces"})
_TYPES = tuple(
    """async atm bdi bri bundle bvi cable cellular dialer ethernet fastethernet fddi fiveGigabitEthernet fortyGigE
    gigabitethernet hundredgige irb lag lo0 loopback management mgmteth mgmt multilink nve null pos port-channel
    pw-ether serial sit tengige tengigabitethernet tunnel twentyfivegige twogigabitethernet virtual-access
    virtual-template vlan vlanif vxlan wlan eth-trunk meth xgigabitethernet""".lower().split()
)  # `show interfaces eth 0/0` is no etherchannel


@dataclass(slots=True)
class Place:
    """What may stand at one place of a command. `short` has every abbreviation that means one word only."""

    words: dict[str, Place] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)
    value: Place | None = None
    name: Place | None = None
    as_typed: bool = False

    def spelled(self, words: list[str]) -> list[str]:
        """`words`, as far as they are known in full; the same list where nothing changes."""
        here, found = self, words
        for at, word in enumerate(words):
            lower = word.lower()
            following = here.words.get(lower)
            if following is None:
                if full := here.short.get(lower):
                    if found is words:
                        found = list(words)
                    found[at] = full
                    following = here.words[full]
                elif here.value is not None and _VALUE.fullmatch(word):
                    following = here.value
                elif '"' not in word and "'" not in word:
                    following = here.name
                if following is None:
                    break
            here = following
            if here.as_typed:
                return words
        return found


def places(profile: Profile) -> Place:
    """The known words of a platform, from the first word on: the shipped list and the profile's own phrases."""
    root = Place()
    for line in argument_words().get(profile.name, ()):
        _add(root, line.split())
    for line in (*profile.secret_read, *profile.refuse, *_phrases(profile), *profile.parsed_as):
        words = line.split()
        _add(root, words[: words.index("...")] if "..." in words else words, in_full=True)
    _shorten(root)
    return root


def _phrases(profile: Profile) -> Iterable[str]:
    return (phrase for known in profile.commands.values() for phrase in known)


def _add(here: Place, words: list[str], *, in_full: bool = False) -> None:
    for word in words:
        if word == "!":
            here.as_typed = True
        elif word == "<value>":
            here.value = here.value or Place()
            here = here.value
        elif word in _NAMED:
            here.name = here.name or Place()
            here = here.name
        else:
            begin, marked, rest = word.partition("[[")
            full = begin + rest.removesuffix("]]")
            least = len(full) if in_full else max(len(begin), _FEWEST) if marked else _LETTERS
            here.least[full] = min(least, here.least.get(full, least))
            here = here.words.setdefault(full, Place())


def _shorten(here: Place, *, own: str = "") -> None:
    """Every abbreviation that is long enough and begins no other word of the place; none where a name may stand."""
    types = _TYPES if own in _INTERFACES else ()
    if here.name is None:
        begun: dict[str, list[str]] = {}
        for word in here.words:
            for end in range(1, len(word)):
                begun.setdefault(word[:end], []).append(word)
        here.short = {
            short: found[0]
            for short, found in begun.items()
            if len(found) == 1 and short not in here.words and _enough(short, found[0], here.least[found[0]], types)
        }
    for word, below in here.words.items():
        _shorten(below, own=word)
    for free in (here.value, here.name):
        if free is not None:
            _shorten(free)


def _enough(short: str, word: str, least: int, types: Iterable[str]) -> bool:
    """Whether `short`, which begins no other known word of the place, is `word` beyond doubt."""
    if len(short) < least or not (short[-1].isalpha() and word[len(short)].isalpha()):
        return False
    if least < _LETTERS:  # so short that it is known to be used: `br` is `brief`, not a BRI interface
        return short not in types
    return not any(name.startswith(short) for name in types)
