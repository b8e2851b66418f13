"""Which program a POSIX command line ends up running, as far as its words tell.

What only runs another program, or takes commands, may do whatever a shell may. The names are the profile's
(`commands: shell`); here is what names do not tell. Refusals are held against every reading, so that `nice reboot`,
`A=1 reboot` and `/sbin/reboot` are `reboot`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from typing import Final

# Variables that loaders, shells, interpreters, pagers and editors run or load something by (ld.so(8), sh(1), python(1),
# perlrun(1), node(1), git(1), less(1)).
CODE: Final = re.compile(
    r"LD_\w+|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|PATH|CDPATH|ENV|BASH\w*|SHELL\w*|IFS|PS\d|PROMPT_COMMAND|HOME"
    r"|PYTHON\w*|PERL\w*|RUBY\w*|GEM_\w+|NODE_\w+|NPM_\w+|JAVA\w*|_JAVA\w*|JDK_\w+|LUA_\w+|PHP\w*|R_\w+"
    r"|\w*PAGER|\w*EDITOR|VISUAL|BROWSER|LESS\w*|GIT_\w+|SSH_\w+|SUDO_\w+|RSYNC_\w+|SYSTEMD_\w+|XDG_\w+|DBUS_\w+"
    r"|\w*_PROXY|\w*_proxy|DOCKER_\w+|KUBECONFIG|MAKEFLAGS|MAKEFILES|\w*_COMMAND|\w*_OPTIONS|\w*_OPTS|\w*_PRELOAD"
)
_ASSIGNED: Final = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_VERSION: Final = re.compile(r"-?\d+(?:\.\d+)*$")
_LOADER: Final = re.compile(r"ld(?:-[\w.\-]+|\d*)?\.so(?:\.\d+)*|ld-musl.*")
# Words that stand before a command without being one: keywords, assignments, programs that only run another.
_BEFORE: Final = re.compile(
    r"(?:(?:then|do|else|elif|if|while|until|!|time|exec|command|builtin|nohup|env|sudo|doas|nice|ionice|setsid|eval|stdbuf"
    r"|timeout|xargs|coproc)\s+|[A-Za-z_]\w*=\S*\s+|-\S+\s+(?:[A-Z0-9]+\s+)?|\d+(?:\.\d+)?[smhd]?\s+)+"
)


def is_shell(argv: Sequence[str], shells: Collection[str]) -> bool:
    """Whether the command is, by its first word, one that runs others. `shells` are names without versions."""
    if not argv:
        return True
    name = argv[0].rpartition("/")[2].lower()
    if not name or name == "." or name in shells or _VERSION.sub("", name) in shells:
        return True
    if name in ("export", "unset"):
        return any(CODE.fullmatch(word.partition("=")[0].removesuffix("+")) for word in argv[1:])
    return _ASSIGNED.match(argv[0]) is not None or _LOADER.fullmatch(name) is not None


def readings(line: str) -> tuple[str, ...]:
    """The simple command without what stands before it, and with its program's bare name; not the line itself twice."""
    inner = _BEFORE.sub("", line, count=1)
    first, blank, rest = inner.partition(" ")
    path = first.strip("\"'")
    bare = f"{path.rpartition('/')[2]}{blank}{rest}" if "/" in path else ""
    return tuple(dict.fromkeys(each for each in (inner, bare) if each))


def refusable(argv: Sequence[str]) -> tuple[str, ...]:
    """Further readings of an argv, quoted as it is sent."""
    line = shlex.join(argv)
    return tuple(each for each in readings(line) if each != line)
