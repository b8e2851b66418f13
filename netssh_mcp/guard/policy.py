"""May it be sent? The only maker of a `Grant`; `Session.run` takes nothing else.

`grammar` says what a command is, `rules` what the operator makes of that on this device; without a file, reads are
granted and everything else is refused. `wall` holds the file and the counters.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, replace
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard import grammar
from netssh_mcp.guard.grammar import Meaning
from netssh_mcp.guard.rules import Terms, Verdict
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import CLASSES, READS, CommandClass

if TYPE_CHECKING:
    from netssh_mcp.knowledge.inventory import Device

_SEAL = object()
BUILT_IN: Final = Terms()
EVERY: Final[frozenset[CommandClass]] = frozenset(CLASSES)


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one line to one device. `line` is exactly what is sent, without a newline.

    `command` is the canonical command that people and logs see; `line` has the device's JSON form on top where that was
    asked for. `json`: the output will be JSON. `rule` says why it is granted, `terms` and `within` under which limits
    and ceiling. Made by `decide`, `with_json` and `as_text` only.
    """

    device: Device
    profile: Profile
    line: str
    command: str
    command_class: CommandClass
    rule: str
    json: bool
    terms: Terms = BUILT_IN
    within: frozenset[CommandClass] = READS
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only policy.decide makes a Grant")


def decide(
    device: Device,
    profile: Profile,
    command: str,
    *,
    terms: Terms = BUILT_IN,
    within: frozenset[CommandClass] = READS,
    native_json: bool = False,
    by_name: bool = True,
) -> Grant:
    """A Grant for `command` on `device`. CommandDenied with reason and nearest allowed form; InputError when empty.

    `terms` is what the operator's rules say of the device; `within` are the classes that the asking tool may send at
    all. `native_json`: ask for the device's own JSON where the profile knows it; without it the plain form is granted.
    `by_name`: the caller wants JSON and nothing else; otherwise a template goes first where the profile says so.
    """
    try:
        meaning = grammar.read(profile, command)
        verdict = _allowed(profile, meaning, command, terms, within)
    except (CommandDenied, InputError) as refusal:
        refusal.device = device.name
        raise
    wanted = native_json and (by_name or not meaning.text_first)
    asked = wanted and 0 < len(meaning.json_line) <= profile.max_line and not terms.refuses(profile, meaning.json_line)
    return Grant(
        device=device,
        profile=profile,
        line=meaning.json_line if asked else meaning.canonical,
        command=meaning.canonical,
        command_class=meaning.command_class,
        rule=f"{meaning.rule}; {verdict.why}",
        json=asked or meaning.native_json,
        terms=terms,
        within=within,
        seal=_SEAL,
    )


def permit(
    device: Device,
    profile: Profile,
    meaning: Meaning,
    *,
    terms: Terms = BUILT_IN,
    within: frozenset[CommandClass] = EVERY,
) -> Grant:
    """A Grant for what has a meaning already: shell text, a line in config mode, a file, a forward. CommandDenied."""
    try:
        verdict = _allowed(profile, meaning, meaning.canonical, terms, within)
    except CommandDenied as refusal:
        refusal.device = device.name
        raise
    return Grant(
        device=device,
        profile=profile,
        line=meaning.canonical,
        command=meaning.canonical,
        command_class=meaning.command_class,
        rule=f"{meaning.rule}; {verdict.why}",
        json=False,
        terms=terms,
        within=within,
        seal=_SEAL,
    )


def carried_by(grant: Grant, line: str) -> Grant:
    """A Grant for a command that is a part of a granted action on files: the class of the action counts for it.

    `line` is a profile's own with a checked path in it. What the operator denies by name stays denied: CommandDenied.
    """
    if required(grant).command.partition(" ")[0] not in ("get_file", "put_file"):
        raise ValueError(f"{grant.command!r} is no action on files")
    if not (line.isascii() and line.isprintable() and 0 < len(line) <= grant.profile.max_line):
        raise InputError("the path makes too long a command for this device", device=grant.device.name)
    if grant.terms.refuses(grant.profile, line):
        refusal = grammar.denied(line, f"the policy denies it, and {grant.command!r} needs it")
        refusal.device = grant.device.name
        raise refusal
    return replace(
        grant, line=line, command=line, rule=f"a part of {grant.command!r}; {grant.rule}", json=False, seal=_SEAL
    )


def required(grant: Grant) -> Grant:
    """The same; TypeError for anything that is no Grant. What does something on a device asks this first."""
    if not isinstance(grant, Grant):
        raise TypeError("this takes a Grant, and only the policy makes one")
    return grant


def _allowed(
    profile: Profile, meaning: Meaning, command: str, terms: Terms, within: frozenset[CommandClass]
) -> Verdict:
    verdict = terms.judge(profile, meaning, within)
    if not verdict.allowed:
        raise grammar.denied(command, verdict.why, verdict.hint)
    return verdict


def with_json(grant: Grant, *, by_name: bool = True) -> Grant:
    """The same command asking for the device's JSON; the same grant where the profile knows no such form."""
    asked = _again(grant, native_json=True, by_name=by_name)
    return asked if asked.json else grant


def as_text(grant: Grant) -> Grant:
    """The same command in its plain form."""
    return _again(grant, native_json=False, by_name=True)


def _again(grant: Grant, *, native_json: bool, by_name: bool) -> Grant:
    return decide(
        grant.device,
        grant.profile,
        grant.command,
        terms=grant.terms,
        within=grant.within,
        native_json=native_json,
        by_name=by_name,
    )
