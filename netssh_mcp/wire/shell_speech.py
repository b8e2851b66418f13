"""How each kind of shell is started, and spoke to. Text only, no I/O."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

# The login shell reads its profile without a terminal (that is where PATH and the like come from), from /dev/null, and
# becomes a clean one that reads from us. No single quotes, no line breaks: the login shell may be any, csh for one.
_NEXT: Final = "<&7 7<&-"
OWN: Final = (
    'case "$SHELL" in '
    f'*/bash) exec "$SHELL" -l -c "exec \\"\\$0\\" --noprofile --norc --noediting -i {_NEXT}" '
    '"$SHELL" 7<&0 </dev/null;; '
    f'*/zsh) exec "$SHELL" -l -c "exec \\"\\$0\\" -f -i {_NEXT}" "$SHELL" 7<&0 </dev/null;; '
    "*/ksh|*/ksh93|*/mksh|*/dash|*/ash|*/sh) "
    f'exec "$SHELL" -l -c "ENV=/dev/null exec \\"\\$0\\" -i {_NEXT}" "$SHELL" 7<&0 </dev/null;; '
    "esac; ENV=/dev/null exec /bin/sh -i"
)
PLAIN_SHELL: Final = "ENV=/dev/null exec /bin/sh -i"
# First thing of all, on a line of its own, understood by all of them. Pagers would have no terminal anyway.
SETUP: Final = (
    "PS1= PS2= ; unset HISTFILE ENV PROMPT_COMMAND MAILCHECK; "
    "export PAGER=cat SYSTEMD_PAGER=cat GIT_PAGER=cat TERM=dumb"
)
KIND: Final = 'if [ -n "$BASH_VERSION" ]; then echo bash; elif [ -n "$ZSH_VERSION" ]; then echo zsh; else echo; fi'
_NOISE: Final = re.compile(r"(?m)^[^\n]*\[\d+: \d+ \(\d+\)\] tcsetattr: [^\n]*\n")  # bash, when a child was killed


class Speech:
    """How to speak to one kind of shell: a word that makes the next one a built-in, and descriptors for the markers."""

    def __init__(self, kind: str) -> None:
        self.word = "\\builtin" if kind == "zsh" else "\\command"
        self.own = (250, 251) if kind == "bash" else (8, 9)  # POSIX knows one digit; in bash 3 to 9 are the user's
        self._history = {"bash": "history -s --", "zsh": "print -sr --"}.get(kind, "")
        self.setup = f"exec {self.own[0]}>&1 {self.own[1]}>&2"
        if kind == "bash":
            self.setup += "; set +o history +o histexpand; history -c"
        elif kind == "zsh":
            self.setup += "; unsetopt bang_hist monitor prompt_cr"

    def remembered(self, line: str) -> str:
        """Puts the command, as it was typed, into the shell's history."""
        return f"{self.word} {self._history} {shlex.quote(line)}; " if self._history else ""

    def entered(self, cwd: str) -> str:
        """Goes to a directory, and stays there."""
        return f"{self.word} cd -- {shlex.quote(cwd)} >/dev/null"

    def exported(self, env: Mapping[str, str]) -> str:
        """Sets variables, for all commands to come."""
        return f"{self.word} export {' '.join(shlex.quote(f'{name}={value}') for name, value in env.items())}"

    def command(self, text: str, path: str, status: int) -> str:
        """The text, in this shell itself, reading `path`; a syntax error stays its own. `status` is `$?` for it."""
        out, err = self.own
        run = f"{self.word} eval {shlex.quote(text)} <{shlex.quote(path)} {out}>&- {err}>&-"
        return f"{{ (exit {status}); }} 2>/dev/null || {run}" if status else run


def without_noise(err: str) -> str:
    """What the shell says of the terminal that it does not have is not the command's."""
    return _NOISE.sub("", err) if "tcsetattr" in err else err
