"""May it be sent? The only maker of a `Grant`; `Session.run` takes nothing else.

Read class of today: read, secret-read and diagnose are granted, everything else is refused. An operator's policy
file and the further classes decide here later, on the `Meaning` that `grammar` gives.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard import grammar
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import READS, CommandClass

if TYPE_CHECKING:
    from netssh_mcp.knowledge.inventory import Device

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one line to one device. `line` is exactly what is sent, without a newline.

    `command` is the canonical command that people and logs see; `line` has the device's JSON form on top where that was
    asked for. `json`: the output will be JSON. Made by `decide` and `with_json` only.
    """

    device: Device
    profile: Profile
    line: str
    command: str
    command_class: CommandClass
    rule: str
    json: bool
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only policy.decide makes a Grant")


def decide(device: Device, profile: Profile, command: str, *, native_json: bool = False, by_name: bool = True) -> Grant:
    """A Grant for `command` on `device`. CommandDenied with reason and nearest allowed form; InputError when empty.

    `native_json`: ask for the device's own JSON where the profile knows it; without it the plain form is granted.
    `by_name`: the caller wants JSON and nothing else; otherwise a template goes first where the profile says so.
    """
    try:
        meaning = grammar.read(profile, command)
        if meaning.command_class not in READS:
            raise grammar.denied(command, meaning.why, meaning.hint)
    except (CommandDenied, InputError) as refusal:
        refusal.device = device.name
        raise
    wanted = native_json and (by_name or not meaning.text_first)
    asked = wanted and meaning.json_line != "" and len(meaning.json_line) <= profile.max_line
    return Grant(
        device=device,
        profile=profile,
        line=meaning.json_line if asked else meaning.canonical,
        command=meaning.canonical,
        command_class=meaning.command_class,
        rule=meaning.rule,
        json=asked or meaning.native_json,
        seal=_SEAL,
    )


def with_json(grant: Grant, *, by_name: bool = True) -> Grant:
    """The same command asking for the device's JSON; the same grant where the profile knows no such form."""
    asked = decide(grant.device, grant.profile, grant.command, native_json=True, by_name=by_name)
    return asked if asked.json else grant
