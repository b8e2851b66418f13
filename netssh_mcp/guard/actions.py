"""What a shell's text, a line in config mode, and what is no command at all mean: files, forwards, terminals.

`grammar` reads commands as a device's command line does. These three are judged by the same rules, in the same classes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Final, Literal

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard import grammar
from netssh_mcp.guard.grammar import Meaning
from netssh_mcp.guard.tables import risk
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import READS, CommandClass

Form = Literal["command", "shell", "config"]
ACTIONS: Final = ("get_file", "put_file", "forward", "shell")  # the first word of entries that are no commands

_LONGEST: Final = 65_536  # characters of a shell text
_SHELL_TEXT: Final = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_SEPARATORS: Final = re.compile(r"[;&|()`{}\n]|\$\(")
# Words that stand before a command without being one: keywords, assignments, programs that only run another.
_BEFORE: Final = re.compile(
    r"(?:(?:then|do|else|elif|if|while|until|!|time|exec|command|builtin|nohup|env|sudo|doas|nice|ionice|setsid|eval)\s+"
    r"|[A-Za-z_]\w*=\S*\s+|-\S+\s+)+"
)


def read(profile: Profile, text: str, form: Form) -> Meaning:
    """The meaning of a text in this form. CommandDenied when it has none, InputError when it is empty."""
    if form == "shell":
        return _shell(profile, text)
    return _config(profile, text) if form == "config" else grammar.read(profile, text)


def action(words: tuple[str, ...], kind: CommandClass) -> Meaning:
    """What is no command: `get_file read /etc/hosts`. `words` begin with one of ACTIONS."""
    line = shlex.join(words)
    why = f"it is of class {kind}"
    return Meaning(
        line, kind, f"{words[0]} is of class {kind} here", False, json_line="", why=why, hint="", form="action"
    )


def as_superuser(meaning: Meaning, user: str) -> Meaning:
    """The same under sudo: a change at least, since the tables of reads were made for who may do little.

    Refusals are held against both, `sudo systemctl stop x` and `systemctl stop x`.
    """
    before = f"sudo -u {shlex.quote(user)}" if user else "sudo"
    kind: CommandClass = "change" if meaning.command_class in READS else meaning.command_class
    why = "it runs under sudo, which is a change at least" if meaning.command_class in READS else meaning.why
    return replace(meaning, command_class=kind, why=why, also=(*meaning.also, f"{before} {meaning.canonical}"))


def _shell(profile: Profile, text: str) -> Meaning:
    if not profile.argv:
        raise InputError(
            f"there is no POSIX shell on {profile.name}, so `shell` means nothing there", hint="Leave `shell` out."
        )
    line = text.strip("\n ")
    if not line:
        raise InputError("the command is empty", hint="Give one command, for example `uptime`.")
    if len(line) > _LONGEST:
        raise grammar.denied(line, f"it is longer than {_LONGEST} characters; put it into a file")
    if not _SHELL_TEXT.fullmatch(line):
        raise grammar.denied(line, "it has control characters")
    found = [_BEFORE.sub("", part.strip(), count=1) for part in _SEPARATORS.split(line)]
    return Meaning(
        line,
        "shell",
        "shell text is of class shell",
        False,
        json_line="",
        why="shell text is of class shell",
        hint="Give a plain command without `shell`, or the operator's policy has to allow class shell.",
        also=tuple(dict.fromkeys(part for part in found if part)),
        form="shell",
    )


def _config(profile: Profile, text: str) -> Meaning:
    """A line typed in config mode. What it would be outside counts too where that is riskier: some take both."""
    line = grammar.plain(profile, text)
    outside = _outside(profile, line)
    kind: CommandClass = "config"
    if outside is not None and risk(outside.command_class) > risk(kind):
        kind = outside.command_class
    also = (outside.canonical,) if outside is not None else ()
    return Meaning(
        line,
        kind,
        f"in config mode every line is of class {kind}",
        False,
        json_line="",
        why=f"in config mode it is of class {kind}",
        also=also,
        form="config",
    )


def _outside(profile: Profile, line: str) -> Meaning | None:
    """What the line is as a command: behind `do` (IOS, FRR) or `run` (Junos), or itself."""
    first, _, rest = line.partition(" ")
    inner = _meaning(profile, rest) if first.lower() in ("do", "run") and rest else None
    return inner or _meaning(profile, line)


def _meaning(profile: Profile, line: str) -> Meaning | None:
    try:
        return grammar.read(profile, line)
    except (CommandDenied, InputError):
        return None
