"""What a shell's text, a line in config mode, and what is no command at all mean: files, forwards, terminals.

`grammar` reads commands as a device's command line does. These three are judged by the same rules, in the same classes.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard import grammar
from netssh_mcp.guard.grammar import Meaning
from netssh_mcp.guard.programs import CODE, readings
from netssh_mcp.guard.tables import risk, tables
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import READS, CommandClass

Form = Literal["command", "shell", "config"]
ACTIONS: Final = ("get_file", "put_file", "forward", "shell")  # the first word of entries that are no commands

_LONGEST: Final = 65_536  # characters of a shell text
_SHELL_TEXT: Final = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_SEPARATORS: Final = re.compile(r"[;&|()`{}\n]|\$\(")
# Variables that no program takes code, a path or an address from.
_QUIET: Final = re.compile(r"LANG|LANGUAGE|LC_[A-Z]+|TZ|COLUMNS|LINES|TERM|NO_COLOR|DEBIAN_FRONTEND")
_MOST_WORDS: Final = 40
# What carries a command into config mode: `do`, `do-exec` (IOS), `run` or `ru` (Junos), also behind `top` and `up`.
_CARRIED: Final = re.compile(r"(?:(?:top|up(?: +[0-9]+)?) +)*(?:do|do-e\w*|ru|run) +(?P<command>[^ ].*)", re.IGNORECASE)


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


def surrounded(meaning: Meaning, cwd: str, env: Sequence[str]) -> Meaning:
    """The same in another directory and with variables of these names, which can make of a program another one.

    Allow entries were written for the command alone, so none holds then: the class has to be allowed. Refusals are
    held against relative paths as they are from `cwd`, too.
    """
    loud = [name for name in env if not _QUIET.fullmatch(name)]
    if not cwd and not loud:
        return meaning
    kind, why = meaning.command_class, meaning.why or f"it is of class {meaning.command_class}"
    if code := next((name for name in loud if CODE.fullmatch(name)), ""):
        kind, why = "shell", f"with {code} set any program can run another, which is of class shell"
    elif loud and kind in READS:
        kind, why = "change", f"with {loud[0]} set it is no known read, so a change at least"
    also = (*meaning.also, meaning.canonical)
    placed = (other for line in also for other in _placed(line, cwd)) if cwd else ()
    return replace(meaning, command_class=kind, why=why, also=(*also, *placed), form="shell")


def _placed(line: str, cwd: str) -> Iterator[str]:
    """The command with its relative words as paths from `cwd`: all of them, and each alone."""
    try:
        words = grammar.arguments_of(line)
    except ValueError:
        return
    paths = {
        at: posixpath.normpath(f"{cwd}/{word}")
        for at, word in enumerate(words[:_MOST_WORDS])
        if word[:1] not in ("/", "-") and (at or "/" in word)
    }
    if len(paths) > 1:
        yield shlex.join(paths.get(at, word) for at, word in enumerate(words))
    for at, path in paths.items():
        yield shlex.join([*words[:at], path, *words[at + 1 :]])


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
    found = [reading for part in _SEPARATORS.split(line) for reading in readings(part.strip())]
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
    if carried := _CARRIED.fullmatch(line):
        return _carried(profile, line, carried["command"])
    outside = _meaning(profile, line)
    if outside is None and "|" in line:
        _check_pipes(profile, line)
    kind: CommandClass = "config"
    if outside is not None and risk(outside.command_class) > risk(kind):
        kind = outside.command_class
    if profile.config_words and line.partition(" ")[0] not in profile.config_words:
        kind = "shell"  # the shell behind the prompt runs it
    return _in_config(line, kind, f"in config mode every line is of class {kind}", outside)


def _carried(profile: Profile, line: str, command: str) -> Meaning:
    """Behind `do` (IOS, FRR) or `run` (Junos) a line is what it is outside, and nothing where it is nothing there.

    Taken for config, `do show run | redirect tftp://...`, `do rel` and `ru request system reboot` would pass as lines
    that no table knows.
    """
    inner, whole = _meaning(profile, command), _meaning(profile, line)  # `run bash` is a command of its own on NX-OS
    if inner is None and (whole is None or whole.command_class == "config"):
        grammar.read(profile, command)  # says why
    outside = whole if inner is None or (whole is not None and whole.command_class == "shell") else inner
    assert outside is not None
    return _in_config(line, outside.command_class, f"carried by config mode: {outside.rule}", outside)


def _in_config(line: str, kind: CommandClass, rule: str, outside: Meaning | None) -> Meaning:
    also = (outside.canonical, outside.typed, *outside.also) if outside is not None else ()
    return Meaning(
        line,
        kind,
        rule,
        False,
        json_line="",
        why=f"in config mode it is of class {kind}",
        also=tuple(filter(None, also)),
        url=outside is not None and outside.url,
        form="config",
    )


def _check_pipes(profile: Profile, line: str) -> None:
    """A read typed in config mode: its pipe writes or runs there what it does outside. CommandDenied."""
    head, *pipes = line.split("|")
    known = tables(profile)
    words = [pipe.split()[0].lower() for pipe in pipes if pipe.split()]
    unsafe = any(word in known.unsafe_pipes and word not in profile.pipes.safe for word in words)
    if unsafe and _meaning(profile, head) is not None:
        grammar.read(profile, line)  # says why


def _meaning(profile: Profile, line: str) -> Meaning | None:
    try:
        return grammar.read(profile, line)
    except (CommandDenied, InputError):
        return None
