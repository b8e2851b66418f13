"""The operator's policy at work: the file, read again when it changes, what it comes to per device, and the counters.

One `Wall` per `App`. Terms are made once per version of the policy and of the inventory, and per device; a decision
then costs microseconds. `policy_file` (pydantic, YAML) is imported only where there is a file.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from netssh_mcp.errors import CommandDenied, InputError, PolicyError
from netssh_mcp.guard import actions, grammar, policy
from netssh_mcp.guard.actions import ACTIONS, Form
from netssh_mcp.guard.limits import Clock, Counters
from netssh_mcp.guard.policy import Grant
from netssh_mcp.guard.rules import Rule, Rules, Terms, terms
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.near import did_you_mean, near
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.selectors import matching
from netssh_mcp.model import READS, CommandClass

_log = logging.getLogger(__name__)
_NOBODY = "\0"  # no device is called so
_SHEETS = 4  # versions of the inventory in use at once: running jobs keep the one they began with

Tell = Callable[..., None]
Stamp = tuple[int, int, int, int, int] | None


# What is wrong with rules that the file alone does not show: place and text of each.
Doubts = Callable[[Rules], Sequence[tuple[str, str]]]


def no_doubts(_rules: Rules) -> Sequence[tuple[str, str]]:
    return ()


def silent(_event: str, **_facts: str) -> None:
    """Where there is no audit."""


class PolicySource:
    """The policy file, read on first use and again when it has changed; without a file the built-in default.

    `tell` gets an event for each version that comes into use and each that is refused (the audit's `record_event`).
    """

    def __init__(self, path: Path | None, *, tell: Tell = silent, doubts: Doubts = no_doubts) -> None:
        self.path = path
        self._tell = tell
        self._doubts = doubts
        self._rules: Rules | None = None if path else Rules()
        self._seen: Stamp = None

    def current(self) -> Rules:
        """The rules as they are on disk now, or the last good ones with `problem` set. InputError: never a good one."""
        last = self._rules
        if self.path is None:
            assert last is not None
            return last
        stamp = _stamp(self.path)  # before reading: an edit meanwhile is seen next time
        if last is not None and stamp == self._seen:
            return last
        now = self._read(self.path, last)
        self._rules, self._seen = now, stamp
        return now

    def _read(self, path: Path, last: Rules | None) -> Rules:
        from netssh_mcp.guard.policy_file import load

        try:
            now = load(path)
            _refuse(self._doubts(now))
        except InputError as error:
            if last is None:
                raise
            problem = f"The policy as it was before is still in use. {error}"
            _log.warning("%s", problem)
            self._tell("policy_refused", file=str(path), reason=str(error)[:500])
            return replace(last, problem=problem)
        same = last is not None and last.fingerprint == now.fingerprint
        if not (same and last is not None and not last.problem):
            self._tell("policy_loaded", file=str(path), sha256=now.fingerprint, rules=str(len(now.rules)))
        return now


class Wall:
    """Decides, counts, and says why. All state of the policy is here."""

    def __init__(
        self, source: PolicySource, clock: Clock | None = None, inventory: Callable[[], Inventory] | None = None
    ) -> None:
        self.source = source
        self._inventory = inventory  # for what connects without a decision before it: `harvest`
        self.clock = clock or Clock()
        self._counters = Counters(self.clock)
        self._sheets: list[Sheet] = []

    @property
    def problem(self) -> str:
        """Why what is in use is not what the file or a selector says; "" when all is well."""
        found = [self._rules().problem, *(self._sheets[0].problems if self._sheets else ())]
        return "\n".join(text for text in found if text)

    def terms(self, inventory: Inventory, device: Device) -> Terms:
        """What holds for the device now."""
        return self._sheet(inventory).terms(device)

    def decide(
        self,
        inventory: Inventory,
        device: Device,
        profile: Profile,
        command: str,
        *,
        within: frozenset[CommandClass] = READS,
    ) -> Grant:
        """A Grant by the rules as they are now. Counts nothing. CommandDenied, InputError."""
        return policy.decide(device, profile, command, terms=self.terms(inventory, device), within=within)

    def decide_any(
        self,
        inventory: Inventory,
        device: Device,
        profile: Profile,
        text: str,
        *,
        form: Form = "command",
        sudo: bool = False,
        sudo_user: str = "",
        cwd: str = "",
        env: Sequence[str] = (),
    ) -> Grant:
        """As `decide`, for a tool that may send every class: a command, a shell's text, or a line in config mode.

        `cwd` is where it runs, if not where a login is; `env` are the names of variables that it gets.
        """
        try:
            meaning = actions.read(profile, text, form)
        except (CommandDenied, InputError) as refusal:
            refusal.device = device.name
            raise
        meaning = actions.surrounded(meaning, cwd, env)
        if sudo:
            meaning = actions.as_superuser(meaning, sudo_user)
        return policy.permit(device, profile, meaning, terms=self.terms(inventory, device))

    def decide_action(
        self, inventory: Inventory, device: Device, profile: Profile, words: tuple[str, ...], kind: CommandClass
    ) -> Grant:
        """A Grant for what is no command: `("get_file", "read", "/etc/hosts")`. CommandDenied."""
        return policy.permit(device, profile, actions.action(words, kind), terms=self.terms(inventory, device))

    def count(self, grant: Grant) -> None:
        """One more line for this device's rates. CommandDenied, retryable, when it is one too many."""
        rates = grant.terms.rates
        for counted in rates:
            if wait := self._counters.wait(counted.key, counted.rate):
                which = "this device" if counted.key[1] == "device" else "all its devices together"
                raise CommandDenied(
                    f"{grant.command[:80]!r} is not sent: {counted.place} allows {counted.rate.text} for {which}",
                    device=grant.device.name,
                    retryable=True,
                    hint=f"Try again in {_seconds(wait)}; ask for several things in fewer commands.",
                )
        self._counters.count(counted.key for counted in rates)

    def check_call(self, inventory: Inventory, devices: Sequence[Device], commands: int) -> None:
        """PolicyError when one call asks too many of a rule's devices, or too many commands."""
        for rule, names in self._sheet(inventory).scopes:
            if rule.max_devices is None and rule.max_commands is None:
                continue
            asked = sum(names is None or device.unlisted or device.name in names for device in devices)
            if rule.max_devices is not None and asked > rule.max_devices:
                raise PolicyError(
                    f"{asked} devices in one call; {rule.place} allows {rule.max_devices}",
                    hint="Narrow `targets`, or ask in several calls.",
                )
            if rule.max_commands is not None and asked and commands > rule.max_commands:
                raise PolicyError(
                    f"{commands} commands in one call; {rule.place} allows {rule.max_commands}",
                    hint="Ask in several calls.",
                )

    def scopes(self, inventory: Inventory) -> Sequence[tuple[Rule, frozenset[str] | None]]:
        """Each rule with the names of its devices; None where its selector cannot be resolved."""
        return self._sheet(inventory).scopes

    def may_connect(self, device: Device, address: str) -> bool:
        """Whether the wire may connect to this address for the device. Called in worker threads."""
        if not self._sheets and self._inventory is None:
            return self.source.path is None
        sheet = self._sheets[0] if self._sheets or self._inventory is None else self._sheet(self._inventory())
        known = device.origin == "ad_hoc" or device.name in sheet.inventory.devices
        if not known:  # it left the inventory while its job ran
            return not any(rule.networks for rule in sheet.rules.rules)
        return not sheet.terms(device).outside(address)

    def explain(self, inventory: Inventory, device: Device, profile: Profile, command: str) -> Explanation:
        """The verdict on a command, without sending or counting it."""
        now = self.terms(inventory, device)
        try:
            meaning = grammar.read(profile, command)
        except (CommandDenied, InputError) as refusal:
            tables = f"the tables of {profile.name}"
            return Explanation(device.name, command, False, "", "", refusal.message, tables, refusal.hint)
        verdict = now.judge(profile, meaning)
        place, why, hint = verdict.place, verdict.why, verdict.hint
        allowed = verdict.allowed
        if allowed:
            late = [each for each in now.rates if self._counters.wait(each.key, each.rate)]
            if late:
                allowed, place, why = False, late[0].place, f"{late[0].place}: {late[0].rate.text} are used up for now"
        kind = meaning.command_class
        return Explanation(device.name, command, allowed, meaning.canonical, kind, why, place, hint, meaning.rule)

    def _rules(self) -> Rules:
        return self.source.current()

    def _sheet(self, inventory: Inventory) -> Sheet:
        rules = self._rules()
        for sheet in self._sheets:
            if sheet.inventory is inventory and sheet.rules is rules:
                return sheet
        sheet = Sheet(rules, inventory, self.clock)
        self._sheets = [sheet, *(old for old in self._sheets if old.rules is rules)][:_SHEETS]
        return sheet


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a command would be sent or not. `canonical` and `command_class` are "" for what has no meaning there."""

    device: str
    command: str
    allowed: bool
    canonical: str
    command_class: str
    why: str
    place: str = ""
    hint: str = ""
    rule: str = ""


class Sheet:
    """One version of the rules on one version of the inventory."""

    def __init__(self, rules: Rules, inventory: Inventory, clock: Clock) -> None:
        self.rules = rules
        self.inventory = inventory
        self._clock = clock
        self._terms: dict[str, Terms] = {}
        self.problems: list[str] = []
        self.scopes: list[tuple[Rule, frozenset[str] | None]] = [(rule, self._scope(rule)) for rule in rules.rules]

    def terms(self, device: Device) -> Terms:
        """Made on first use."""
        name = device.name
        found = self._terms.get(name)
        if found is None:
            if device.unlisted:
                held = [(rule, self._permits(rule, names, device)) for rule, names in self.scopes]
            else:
                held = [(rule, names is not None) for rule, names in self.scopes if names is None or name in names]
            found = self._terms[name] = terms(self.rules, held, device, self._clock)
        return found

    def _permits(self, rule: Rule, names: frozenset[str] | None, device: Device) -> bool:
        """Whether what a rule allows holds for a host whose name and address are the caller's; what it forbids does.

        An address can be written in many ways, so no rule is known not to mean this host. A permission holds for
        everything, or for a group that the operator lets it be in; a target user@host is its address, so there its name
        counts, where the rule does not just leave out others.
        """
        if names is None or rule.devices == "*":
            return names is not None
        if device.origin == "ad_hoc":
            nobody = replace(device, name=_NOBODY, hostname="", username="")
            return bool(self._matched(rule, device)) and not self._matched(rule, nobody)
        bare = replace(device, name=_NOBODY, hostname="", platform="", data={})
        return bool(self._matched(rule, bare)) and not self._matched(rule, replace(bare, groups=()))

    def _matched(self, rule: Rule, device: Device) -> frozenset[str]:
        """The device's name if the rule would pick it, were it in the inventory in the place of those like it."""
        devices = {name: each for name, each in self.inventory.devices.items() if not each.unlisted}
        groups: dict[str, tuple[str, ...]] = dict.fromkeys(self.inventory.groups, ())
        groups |= dict.fromkeys(device.groups, (device.name,))
        alone = replace(self.inventory, devices={**devices, device.name: device}, groups=groups)
        try:
            return matching(alone, rule.devices) & {device.name}
        except InputError:  # it names another host that a caller added
            return frozenset()

    def _scope(self, rule: Rule) -> frozenset[str] | None:
        """The names of the rule's devices; None when the inventory does not know a word of its selector."""
        if rule.devices == "*":
            return frozenset(self.inventory.devices)
        try:
            return matching(self.inventory, rule.devices)
        except InputError as error:
            self.problems.append(
                f"{rule.place}: {error.message}; until that is corrected, what this rule forbids holds for every "
                "device, and what it allows for none"
            )
            return None


def _refuse(doubts: Sequence[tuple[str, str]]) -> None:
    if doubts:
        lines = "\n".join(f"{place}: {text}" for place, text in doubts[:10])
        raise InputError(
            f"the policy does not fit the inventory:\n{lines}", hint="Correct the file; see docs/policy.md."
        )


def unknown_words(
    rules: Rules, inventory: Inventory, profile: Callable[[str], Profile], *, sure: bool = True
) -> tuple[tuple[str, str], ...]:
    """Entries whose first word none of the rule's platforms has.

    Where all of these have a complete vocabulary that is `sure`; where one has not (Linux: any program), only words
    that look like a known one are given, and only when not `sure`. The words of config mode are in no table: where a
    rule allows that class, an entry may be one of them unless it looks like a command.
    """
    configures = any(rule.classes is not None and "config" in rule.classes for rule in rules.rules)
    found: list[tuple[str, str]] = []
    for rule, names in Sheet(rules, inventory, Clock()).scopes:
        platforms = sorted({inventory.devices[name].platform for name in names or () if name in inventory.devices})
        known = [_first_words(profile(platform)) for platform in platforms]
        words = sorted({word for each in known for word in each or ()})
        if not words or (None in known) is sure:
            continue
        for entry in (*rule.allow, *rule.deny, *rule.deny_always):
            first = entry.words[0].lower()
            if first in (*words, *ACTIONS, "...", "*") or not (sure or near(first, words)):
                continue
            if configures and not get_close_matches(first, words, n=1, cutoff=0.72):  # `shutdown` is no slip of `show`
                continue
            where = ", ".join(platforms)
            text = f"{entry.text!r}: no command of {where} begins with {first!r}; {did_you_mean(first, words)}"
            found.append((entry.place, f"{text} Entries are full words."))
    return tuple(found)


def _first_words(profile: Profile) -> frozenset[str] | None:
    """None where not all are known: Linux has any program, and a platform without a profile only its reads."""
    if profile.argv or not profile.complete:
        return None
    return frozenset(phrase.split()[0] for phrases in profile.commands.values() for phrase in phrases)


def _stamp(path: Path) -> Stamp:
    """What changes when the file does, mode and owner too: who can write it decides."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on every decision: half the time of Path.stat
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid


def _seconds(wait: float) -> str:
    return f"{wait:.0f} s" if wait >= 1 else "a second"
