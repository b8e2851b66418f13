"""The operator's rules as values: what a file says, what of it holds for one device, and the verdict on one command.

Entries of word lists are compared with canonical words, never with what was typed. A refusal is wide: any abbreviation
of each word matches, quoted or not. A permission is narrow: each word in full. `policy_file` reads the rules from YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal, TypeVar

from netssh_mcp.guard import addresses
from netssh_mcp.guard.destinations import ANYWHERE, HERE, Reach, Spot, reach
from netssh_mcp.guard.grammar import Meaning, arguments_of
from netssh_mcp.guard.limits import Clock, Hours, Rate
from netssh_mcp.guard.tables import abbreviated
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import CLASSES, READS, CommandClass

Network = IPv4Network | IPv6Network

ForwardBind = Literal["loopback", "any"]

_T = TypeVar("_T")

_NONE: Final[frozenset[CommandClass]] = frozenset()
_SPACES: Final = re.compile(r" +")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_WRAPPED: Final = frozenset({"show", "display", "get"})  # `admin show ...` shows what `show ...` does
_UNLIMITED: Final = float("inf")
_ACTIONS: Final = ("get_file", "put_file", "forward", "shell")  # as actions.ACTIONS, which imports this floor's grammar


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a word list and where it stands."""

    text: str
    place: str

    @property
    def words(self) -> tuple[str, ...]:
        """In full, as the file has them."""
        return tuple(self.text.split())

    def pattern(self) -> str:
        """A regex for every command that begins with these words, abbreviated at will; of a menu path, in words."""
        if self.words[0] in _ACTIONS:  # whole words, and `/...` for all below a folder
            return rf"(?-i:{' '.join(map(_exactly, self.words))})(?: .*)?"
        text = _in_words(self.text) if self.text.startswith("/") else self.text
        return ".*" if text in ("...", "*") else abbreviated(text)


def _exactly(word: str) -> str:
    if word in ("*", "..."):
        return r"\S+" if word == "*" else ".*"
    below = word.endswith("/...")
    return re.escape(word.removesuffix("/...") if below else word) + (r"(?:/\S*)?" if below else "")


_Spelled = tuple[Entry, tuple[str, ...]]


def _fits(entry: Sequence[str], words: Sequence[str], *, whole: bool) -> bool:
    """Whether `words` are the entry word by word, and nothing more if `whole`."""
    for at, wanted in enumerate(entry):
        if wanted == "...":
            return any(_fits(entry[at + 1 :], words[skip:], whole=whole) for skip in range(at, len(words) + 1))
        if at == len(words):
            return False
        if wanted not in (words[at], "*") and not _below(wanted, words[at]):
            return False
    return not whole or len(words) == len(entry)


def _below(wanted: str, path: str) -> bool:
    """`/var/log/...` is everything below that folder, however deep; a path that climbs is not."""
    return wanted.endswith("/...") and path.startswith(wanted[:-3]) and "/../" not in f"{path}/"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the file; None is what it does not name. `place` is `policy.yaml:12`, `number` counts from 0."""

    number: int
    place: str
    devices: str = "*"
    classes: frozenset[CommandClass] | None = None
    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()
    deny_always: tuple[Entry, ...] = ()
    max_devices: int | None = None
    max_commands: int | None = None
    max_seconds: float | None = None
    rate: Rate | None = None
    rate_total: Rate | None = None
    hours: Hours | None = None
    networks: tuple[Network, ...] | None = None
    destinations: tuple[Network, ...] | None = None
    forward_to: tuple[Spot, ...] | None = None
    forward_here: tuple[Spot, ...] | None = None
    forward_bind: ForwardBind | None = None
    reveal: bool | None = None
    secret_read: bool | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole file. `start` is what a device may before any rule; `problem` says why the file on disk is not in use."""

    rules: tuple[Rule, ...] = ()
    start: frozenset[CommandClass] = READS
    start_by: str = "the built-in default"
    fingerprint: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Refusals:
    """Entries of one kind, as one pattern; which of them matched is looked up only then."""

    entries: tuple[Entry, ...] = ()
    either: re.Pattern[str] | None = None

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Refusals:
        if not entries:
            return cls()
        joined = "|".join(f"(?:{entry.pattern()})" for entry in entries)
        return cls(tuple(entries), re.compile(joined, re.IGNORECASE))

    def find(self, forms: Sequence[str]) -> Entry | None:
        """The first entry that matches any form of the command."""
        if self.either is None:
            return None
        for form in forms:  # no generator: this is half of a decision's time
            if self.either.fullmatch(form):
                return next(each for each in self.entries if re.fullmatch(each.pattern(), form, re.IGNORECASE))
        return None


@dataclass(frozen=True, slots=True, repr=False)
class Permissions:
    """Allow entries by their first word, which is never a wild card; words of devices in lower case."""

    entries: tuple[Entry, ...] = ()
    exact: Mapping[str, tuple[_Spelled, ...]] = field(default_factory=dict)
    folded: Mapping[str, tuple[_Spelled, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Permissions:
        exact = [(entry, entry.words) for entry in entries]
        folded = [(entry, tuple(entry.text.lower().split())) for entry in entries]
        return cls(tuple(entries), _by_first(exact), _by_first(folded))

    def find(self, profile: Profile, canonical: str) -> Entry | None:
        """The first entry that spells the command. A program's arguments all count; a device's line may go on."""
        if not self.entries:
            return None
        action = canonical.partition(" ")[0] in _ACTIONS
        inner = _inner(profile, canonical) if not action else None
        if inner is None and (profile.argv or action):
            words = arguments_of(canonical)
            return next((each for each, own in self.exact.get(words[0], ()) if _fits(own, words, whole=True)), None)
        line = inner[1] if inner else _in_words(canonical) if profile.menus else canonical
        words = line.lower().split()
        return next((each for each, own in self.folded.get(words[0], ()) if _fits(own, words, whole=False)), None)


def _by_first(entries: Sequence[_Spelled]) -> dict[str, tuple[_Spelled, ...]]:
    found: dict[str, tuple[_Spelled, ...]] = {}
    for entry, words in entries:
        found[words[0]] = (*found.get(words[0], ()), (entry, words))
    return found


@dataclass(frozen=True, slots=True)
class Counted:
    """A rate and what it counts together: one device under one rule, or all of the rule's."""

    key: tuple[object, ...]
    rate: Rate
    place: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a command, and by which rule. `place` is "" where no rule of a file decided."""

    allowed: bool
    why: str
    place: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Terms:
    """What the rules make for one device. `max_seconds` is the most a command may take."""

    classes: frozenset[CommandClass] = READS
    classes_by: str = "the built-in default"
    secret_by: str = ""  # the rule that says secret_read: deny
    never: Refusals = field(default_factory=Refusals)
    denied: Refusals = field(default_factory=Refusals)
    allowed: Permissions = field(default_factory=Permissions)
    hours: tuple[tuple[Hours, str], ...] = ()
    networks: tuple[tuple[tuple[Network, ...], str], ...] = ()
    elsewhere: Verdict | None = None  # the device's own address is in none of its networks
    destinations: tuple[tuple[tuple[Network, ...], str], ...] = ()
    forward_to: Reach = ANYWHERE
    forward_here: Reach = HERE
    forward_bind: ForwardBind = "loopback"
    max_seconds: float = _UNLIMITED
    rates: tuple[Counted, ...] = ()
    per_call: tuple[tuple[str, int], ...] = ()  # ("devices", 20), as every rule has it; the wall counts them
    reveal: bool = False
    places: tuple[str, ...] = ()  # of all rules that hold for it
    clock: Clock = field(default_factory=Clock)

    def judge(self, profile: Profile, meaning: Meaning, within: frozenset[CommandClass] = READS) -> Verdict:
        """May this be sent now? `within` is the ceiling of the tool that asks, which no rule lifts."""
        return (
            self._refused(profile, meaning)
            or _above(meaning, within)
            or self._closed()
            or self.elsewhere
            or (self._forward(meaning) if meaning.form == "action" else self._destination(meaning))
            or self._permission(profile, meaning)
        )

    def refuses(self, profile: Profile, line: str) -> bool:
        """Whether a word list refuses this form of a command."""
        if not self.never.entries and not self.denied.entries:
            return False
        forms = refusable(profile, line)
        return self.never.find(forms) is not None or self.denied.find(forms) is not None

    def _refused(self, profile: Profile, meaning: Meaning) -> Verdict | None:
        if not self.never.entries and not self.denied.entries:
            return None
        forms = refusable(profile, meaning.canonical) if meaning.form == "command" else _readings(meaning.canonical)
        if meaning.typed:
            forms = (*forms, *refusable(profile, meaning.typed))
        for other in meaning.also:
            forms = (*forms, *refusable(profile, other))
        if entry := self.never.find(forms):
            return Verdict(False, f"{entry.place} denies {entry.text!r}, always", entry.place, _OTHER_WORDS)
        if entry := self.denied.find(forms):
            return Verdict(False, f"{entry.place} denies {entry.text!r}", entry.place, _OTHER_WORDS)
        return None

    def _permission(self, profile: Profile, meaning: Meaning) -> Verdict:
        kind = meaning.command_class
        if kind == "secret-read" and self.secret_by:
            return Verdict(False, f"it shows secrets, and {self.secret_by} says secret_read: deny", self.secret_by)
        entry = self.allowed.find(profile, meaning.canonical) if meaning.form != "shell" else None
        if meaning.url and not (entry and _spells_url(entry, profile, meaning)):
            return Verdict(False, "it names a URL, which only an allow entry that spells it permits")
        if entry is not None:
            return Verdict(True, f"{entry.place} allows {entry.text!r}", entry.place)
        if kind in self.classes:
            return Verdict(True, f"{self.classes_by} allows class {kind}", self.classes_by)
        return self._not_in_classes(profile, meaning)

    def outside(self, address: str) -> str:
        """The rule by which no connection to this address may be made, or ""."""
        return next((place for nets, place in self.networks if not addresses.inside(address, nets)), "")

    def _not_in_classes(self, profile: Profile, meaning: Meaning) -> Verdict:
        kind = meaning.command_class
        forms = refusable(profile, meaning.canonical) if meaning.form == "command" else ()
        near = Refusals.of(self.allowed.entries).find(forms)
        hint = f"Write its words in full, as {near.place} has them: {near.text}" if near else meaning.hint
        allowed = ", ".join(sorted(self.classes, key=CLASSES.index)) or "no class"
        if kind in READS:
            return Verdict(
                False, f"it is of class {kind}, and {self.classes_by} allows {allowed}", self.classes_by, hint
            )
        return Verdict(False, meaning.why or f"it is of class {kind}", self.classes_by, hint)

    def _closed(self) -> Verdict | None:
        for hours, place in self.hours:
            now = self.clock.now(hours.zone)
            if not hours.open_at(now):
                opens = hours.next_open(now)
                hint = f"It opens {opens:%a %H:%M} {hours.zone_name}." if opens else ""
                return Verdict(False, f"{place} allows commands only in {hours}; now it is {now:%a %H:%M}", place, hint)
        return None

    def _destination(self, meaning: Meaning) -> Verdict | None:
        if not self.destinations or not addresses.probes(meaning):
            return None
        targets = addresses.targets(meaning.canonical)
        for nets, place in self.destinations:
            if not targets:
                why = f"{place} limits destinations, and there is no address to compare with them"
                return Verdict(False, why, place, "Give the target as an address, right after the command.")
            if wrong := next((target for target in targets if not addresses.inside(target, nets)), ""):
                return Verdict(False, f"{wrong} is in none of the destinations of {place}", place)
        return None

    def _forward(self, meaning: Meaning) -> Verdict | None:
        words = arguments_of(meaning.canonical)
        if words[0] != "forward":
            return None
        refused = (self.forward_here if words[1] == "remote" else self.forward_to).refusal(words[2])
        return Verdict(False, *refused) if refused else None


def _above(meaning: Meaning, within: frozenset[CommandClass]) -> Verdict | None:
    if meaning.command_class in within:
        return None
    return Verdict(False, meaning.why or f"it is of class {meaning.command_class}", _CEILING, meaning.hint)


_CEILING: Final = "the tool's own limit"  # which no rule widens
_OTHER_WORDS: Final = "The operator's policy refuses it on this device; other words for the same are refused too."


def terms(rules: Rules, held: Sequence[tuple[Rule, bool]], device: Device, clock: Clock) -> Terms:
    """What `held`, the rules that hold for `device` in file order, come to.

    The flag is False where a rule's selector cannot be resolved: then what it forbids holds, what it allows does not.
    """
    every = [rule for rule, _ in held]
    sure = [rule for rule, known in held if known]
    classes, by = _last([(rule.classes, rule.place) for rule in sure], rules.start, rules.start_by)
    for rule in (rule for rule, known in held if not known and rule.classes is not None):
        classes = classes & (rule.classes or _NONE)
        by = rule.place
    secret, secret_by = _last([(rule.secret_read, rule.place) for rule in sure], None, "")
    doubtful = [rule.place for rule, known in held if not known and rule.secret_read is False]
    if secret and not doubtful:
        classes |= {"secret-read"}
    networks = tuple((rule.networks, rule.place) for rule in every if rule.networks is not None)
    return Terms(
        classes=classes,
        classes_by=by,
        secret_by=doubtful[0] if doubtful else secret_by if secret is False else "",
        never=Refusals.of([entry for rule in every for entry in rule.deny_always]),
        denied=Refusals.of([entry for rule in every for entry in rule.deny]),
        allowed=Permissions.of([entry for rule in sure for entry in rule.allow]),
        hours=tuple((rule.hours, rule.place) for rule in every if rule.hours is not None),
        networks=networks,
        elsewhere=_elsewhere(device.hostname, networks),
        destinations=tuple((rule.destinations, rule.place) for rule in every if rule.destinations is not None),
        forward_to=reach("forward_to", [(rule.forward_to, rule.place, known) for rule, known in held]),
        forward_here=reach("forward_here", [(rule.forward_here, rule.place, known) for rule, known in held]),
        forward_bind="any"
        if _last([(rule.forward_bind, "") for rule in sure], None, "")[0] == "any"
        and not any(rule.forward_bind == "loopback" for rule, known in held if not known)
        else "loopback",
        max_seconds=min((rule.max_seconds for rule in every if rule.max_seconds is not None), default=_UNLIMITED),
        rates=tuple(counted for rule in every for counted in _rates(rule, device.name)),
        per_call=tuple(
            (what, most)
            for rule in every
            for what, most in (("devices", rule.max_devices), ("commands", rule.max_commands))
            if most is not None
        ),
        reveal=_last([(rule.reveal, rule.place) for rule in sure], False, "")[0] is True
        and not any(rule.reveal is False for rule, known in held if not known),
        places=tuple(rule.place for rule in every),
        clock=clock,
    )


def _elsewhere(hostname: str, networks: Sequence[tuple[tuple[Network, ...], str]]) -> Verdict | None:
    """Names are looked at when they are resolved, by the wire."""
    if addresses.literal(hostname) is None:
        return None
    place = next((place for nets, place in networks if not addresses.inside(hostname, nets)), "")
    return Verdict(False, f"{hostname} is in none of the networks of {place}", place) if place else None


def _last(said: Sequence[tuple[_T | None, str]], otherwise: _T, by: str) -> tuple[_T, str]:
    """The last rule that names a key wins."""
    for value, place in reversed(said):
        if value is not None:
            return value, place
    return otherwise, by


def _rates(rule: Rule, device: str) -> list[Counted]:
    found = [Counted((rule.number, "device", device), rule.rate, rule.place)] if rule.rate else []
    return found + ([Counted((rule.number, "rule"), rule.rate_total, rule.place)] if rule.rate_total else [])


def refusable(profile: Profile, canonical: str) -> tuple[str, ...]:
    """Every reading of a command that a refusal is compared with: quotes gone, paths in words, the inner command."""
    inner = _inner(profile, canonical)
    if inner is not None:
        return (*refusable(*inner), canonical.replace("'", "").replace('"', ""))
    readings = _readings(canonical, paths=bool(profile.lines or profile.menus))
    if profile.argv and " -" in canonical:  # `ip -4 route` is `ip route`
        return (*readings, " ".join(word for word in canonical.split(" ") if not word.startswith("-")))
    return readings


def _readings(canonical: str, *, paths: bool = False) -> tuple[str, ...]:
    found = [canonical]
    if '"' in canonical or "'" in canonical:  # no entry has quotes
        solid = _QUOTED.sub(lambda quoted: quoted[0].replace(" ", "_").replace("|", "_"), canonical)
        bare, solid = (text.replace('"', "").replace("'", "") for text in (canonical, solid))
        found = [_SPACES.sub(" ", bare).strip(" "), solid]
    if paths:  # `/ppp/secret print` is `ppp secret print`
        found.append(_in_words(canonical))
    first, _, rest = canonical.partition(" ")
    if first not in _WRAPPED and rest.partition(" ")[0] in _WRAPPED:
        found.append(rest)
    return tuple(found)


def _in_words(path: str) -> str:
    return _SPACES.sub(" ", path.replace("/", " ")).strip(" ")


def _inner(profile: Profile, canonical: str) -> tuple[Profile, str] | None:
    """`vtysh -c 'show ...'`: the program's own command line and platform."""
    if canonical.partition(" ")[0] not in profile.inner:
        return None
    argv = arguments_of(canonical)
    inner = profile.inner.get(argv[0])
    return (inner, argv[2]) if isinstance(inner, Profile) and len(argv) == 3 else None


def _spells_url(entry: Entry, profile: Profile, meaning: Meaning) -> bool:
    """Whether the entry holds every word of the command that has a colon or an @, as it is."""
    inner = _inner(profile, meaning.canonical)
    words = (inner[1] if inner else meaning.canonical).split()
    known: Mapping[str, None] = dict.fromkeys(entry.words)
    return all(word in known for word in words if ":" in word or "@" in word)
