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
# Variables that no program takes code, a path or an address from.
_QUIET: Final = re.compile(r"LANG|LANGUAGE|LC_[A-Z]+|TZ|COLUMNS|LINES|TERM|NO_COLOR|DEBIAN_FRONTEND")
# Those that loaders, shells, interpreters, pagers and editors run or load something by (ld.so(8), sh(1), python(1),
# perlrun(1), node(1), git(1), less(1)).
_CODE: Final = re.compile(
    r"LD_\w+|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|PATH|CDPATH|ENV|BASH\w*|SHELL\w*|IFS|PS\d|PROMPT_COMMAND|HOME"
    r"|PYTHON\w*|PERL\w*|RUBY\w*|GEM_\w+|NODE_\w+|NPM_\w+|JAVA\w*|_JAVA\w*|JDK_\w+|LUA_\w+|PHP\w*|R_\w+"
    r"|\w*PAGER|\w*EDITOR|VISUAL|BROWSER|LESS\w*|GIT_\w+|SSH_\w+|SUDO_\w+|RSYNC_\w+|SYSTEMD_\w+|XDG_\w+|DBUS_\w+"
    r"|\w*_PROXY|\w*_proxy|DOCKER_\w+|KUBECONFIG|MAKEFLAGS|MAKEFILES|\w*_COMMAND|\w*_OPTIONS|\w*_OPTS|\w*_PRELOAD"
)
_MOST_WORDS: Final = 40


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
    if code := next((name for name in loud if _CODE.fullmatch(name)), ""):
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
