"""A mix of commands whose outputs try to make a client take one command's text for another's, or cut it short."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from netssh_mcp.lab.device import Answer, DeviceSpec
from netssh_mcp.lab.faults import AfterPrompt, Hang, Log, Pause, Prompt, Script, Step, Text

Kind = Literal["plain", "inline", "line_start", "dribble", "silent", "syslog"]

SHORT_TIMEOUT = 0.5  # seconds; a command with `ends=False` says nothing for longer than this
_LATE = 1.0  # seconds after which the slow half of those goes on and ends by itself
# The shares of the fault mix in which prompt-matching libraries gave 17-20 % wrong results.
_SHARES: tuple[tuple[Kind, int], ...] = (
    ("plain", 50),
    ("inline", 12),
    ("line_start", 12),
    ("dribble", 9),
    ("silent", 9),
    ("syslog", 8),
)
_LOGS = (
    "*Nov 20 10:15:42.{n:03d}: %LINEPROTO-5-UPDOWN: Line protocol on Interface Gi0/{n}, changed state to down",
    "*Nov 20 10:15:43.{n:03d}: %SYS-5-CONFIG_I: Configured from console by admin on vty0 (192.0.2.{n})",
    "*Nov 20 10:15:44.{n:03d}: %BGP-5-ADJCHANGE: neighbor 192.0.2.{n} Down BGP Notification sent",
)


@dataclass(frozen=True, slots=True)
class HostileCommand:
    """`expected_output` is the command's own text without its last newline and without syslog lines.

    `ends` is False when it does not end within SHORT_TIMEOUT: some of those end later, some only at Ctrl-C.
    """

    line: str
    expected_output: str
    kind: Kind
    ends: bool
    script: Script


def mix(seed: int, count: int, *, prompt: str = "r1#") -> list[HostileCommand]:
    """`count` commands `show test <n>`, every output line with its own `TAG <n>`. The same seed gives the same mix.

    `prompt` must be the exact prompt of the session: it is part of some expected outputs.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
    kinds = [kind for kind, _ in _SHARES]
    shares = [share for _, share in _SHARES]
    return [_command(number, chance, chance.choices(kinds, shares)[0], prompt) for number in range(1, count + 1)]


def outputs(commands: Iterable[HostileCommand]) -> dict[str, Answer]:
    """For `DeviceSpec.outputs`."""
    return {command.line: command.script for command in commands}


def device(commands: Iterable[HostileCommand], spec: DeviceSpec | None = None) -> DeviceSpec:
    """`spec` (a cisco_ios called r1 when left out), answering the mix too."""
    base = spec or DeviceSpec("r1", "cisco_ios")
    return replace(base, outputs={**base.outputs, **outputs(commands)})


def _command(number: int, chance: random.Random, kind: Kind, prompt: str) -> HostileCommand:
    lines = [f"TAG {number} line {n} {chance.randbytes(chance.randint(2, 20)).hex()}\n" for n in range(_size(chance))]
    steps, ends = _STEPS[kind](lines, number, chance)
    own = "".join(step.text if isinstance(step, Text) else prompt for step in steps if isinstance(step, Text | Prompt))
    return HostileCommand(f"show test {number}", own.removesuffix("\n"), kind, ends, Script(tuple(steps)))


def _size(chance: random.Random) -> int:
    return chance.choice((1, 2, 3, 5, 8, 20, 60))


def _pause(chance: random.Random) -> Pause:
    return Pause(chance.uniform(0.02, 0.3))


def _log(chance: random.Random) -> str:
    return chance.choice(_LOGS).format(n=chance.randint(1, 250))


def _plain(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    del number, chance
    return [Text("".join(lines))], True


def _inline(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    """The prompt inside a line, then a pause: `description to r1#`."""
    at = chance.randint(0, len(lines))
    steps: list[Step] = [Text("".join(lines[:at]) + f"TAG {number} description to "), Prompt(), _pause(chance)]
    return [*steps, Text(chance.choice((" port 7\n", "\n", " \n")) + "".join(lines[at:]))], True


def _line_start(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    """A line that is the prompt, or the prompt and a command, then a pause: to a reader it is the end."""
    at = chance.randint(0, len(lines))
    steps: list[Step] = [Text("".join(lines[:at])), Prompt()]
    shape = chance.randint(0, 2)
    if shape == 0:
        steps += [_pause(chance), Text(f" TAG {number} a banner that looks like a prompt\n")]
    elif shape == 1:
        steps += [_pause(chance), Text("\n"), Text(f"TAG {number} after an empty prompt\n")]
    else:
        steps += [Text(f"show test {number}\n"), Prompt(), _pause(chance), Text(f" TAG {number}\n")]
    return [*steps, Text("".join(lines[at:]))], True


def _dribble(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    """A few characters at a time."""
    del number
    text = "".join(lines[:8])
    steps: list[Step] = []
    cuts = sorted(chance.sample(range(1, len(text)), k=min(8, len(text) - 1)))
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        steps += [Text(text[start:end]), Pause(chance.uniform(0.005, 0.04))]
    return steps, True


def _silent(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    """Nothing for a while; one in three longer than a short timeout, and half of those for ever."""
    at = chance.randint(0, len(lines))
    before: list[Step] = [Text("".join(lines[:at]))] if at else []
    after: list[Step] = [Text("".join(lines[at:]) + f"TAG {number} late\n")]
    kind = chance.randint(0, 5)
    if kind == 0:
        return [*before, Hang()], False
    if kind == 1:
        return [*before, Pause(_LATE), *after], False
    return [*before, _pause(chance), *after], True


def _syslog(lines: list[str], number: int, chance: random.Random) -> tuple[list[Step], bool]:
    """Unsolicited lines between the command's own, before the prompt, behind it at once or a little later."""
    del number
    at = chance.randint(0, len(lines))
    steps: list[Step] = [Text("".join(lines[:at]))]
    place = chance.randint(0, 3)
    if place == 0:
        steps.append(Log(_log(chance)))
    steps.append(Text("".join(lines[at:])))
    if place == 1:
        steps.append(Log(_log(chance)))
    elif place > 1:
        seconds = 0.0 if place == 2 else chance.uniform(0.001, 0.05)
        steps.append(AfterPrompt(_log(chance), seconds, redraw=chance.random() < 0.3))
    return steps, True


_STEPS = {
    "plain": _plain,
    "inline": _inline,
    "line_start": _line_start,
    "dribble": _dribble,
    "silent": _silent,
    "syslog": _syslog,
}
