"""The /bin/sh script around one command, and what it tells of itself before the command begins. Text only, no I/O.

Any login shell can be asked for BOOTSTRAP, which shows nothing of the command; the script comes as one line on stdin,
so that directory, variables and shell text stand in no process's arguments. What the command gets as stdin begins
behind that line: `read` takes no byte more than a line from a pipe (POSIX, XCU 4 "read").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from netssh_mcp.errors import InputError

# No newline, backslash or `!`: csh and fish give them a meaning inside single quotes.
BOOTSTRAP: Final = "exec /bin/sh -c 'IFS= read -r _netssh && eval \"$_netssh\"'"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER: Final = re.compile(r"(?:[A-Za-z_][\w.@-]{0,255}\$?|#[0-9]{1,10})")
_BUILT_IN: Final = frozenset({  # of POSIX shells only: `exec` would look for a program of that name
    ".", ":", "alias", "bg", "cd", "command", "eval", "exit", "export", "fc", "fg", "getopts", "hash", "jobs", "local",
    "read", "readonly", "set", "shift", "times", "trap", "type", "ulimit", "umask", "unalias", "unset", "wait",
})  # fmt: skip
_LONGEST: Final = 120_000  # bytes of one argument: Linux takes 131,072 (MAX_ARG_STRLEN)


def quoted(text: str) -> str:
    """One word for the script, which is one line: `$1` is a newline there."""
    return "'" + text.replace("'", "'\\''").replace("\n", "'\"$1\"'") + "'"


def checked_env(env: Mapping[str, str]) -> None:
    """InputError for a name that is none, or a value that no environment can hold."""
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{name[:60]!r} is no name of a variable", hint="Letters, digits and _, no digit first.")
        if "\0" in value:
            raise InputError(f"the value of {name} has a NUL character", hint="No environment can hold that.")


def checked_user(user: str) -> None:
    """InputError for what sudo would not take for a user, or would take for an option."""
    if user and not _USER.fullmatch(user):
        raise InputError(f"{user[:60]!r} is no user name", hint="A name, or # and a number, as `sudo -u` takes it.")


def plain(nonce: str, line: str, *, shell: bool, cwd: str, env: Mapping[str, str]) -> bytes:
    """The script of a command that runs as the login user."""
    run = line if line.partition(" ")[0] in _BUILT_IN else f"exec {line}"
    if shell:  # in this shell: its text is in no argument, and it finds no variable of ours
        run = f"eval 'set --;'{quoted(line)}"
    return _script(nonce, (*_before(nonce, cwd, env), f"printf '{nonce} go\\n' >&2", f"printf '{nonce}\\n'", run))


def under_sudo(
    nonce: str, line: str, *, shell: bool, cwd: str, env: Mapping[str, str], user: str, prompt: str
) -> bytes:
    """The script of a command under sudo. `prompt` is what sudo shall ask with, "" where nobody will answer.

    Whether sudo asks at all is tried first: where it does not, it is started so that it cannot ask, and a prompt that
    the command prints is text. The prompt stands in sudo's environment, which its command cannot read, not in its
    arguments, which everybody can; and sudo keeps it for passwords only (sudoers(5), passprompt_override).
    """
    if shell and len(line.encode()) > _LONGEST:
        raise InputError(
            f"under sudo a shell text may have {_LONGEST} bytes", hint="Put it into a file, and run that file."
        )
    as_user = f" -u {quoted(user)}" if user else ""
    keep = f" --preserve-env={','.join(env)}" if env else ""
    command = f"{keep}{as_user} -- " + (f"/bin/sh -c {quoted(line)}" if shell else line)
    say = f"printf '{nonce} %s\\n' {{}} >&2; printf '{nonce}\\n'"
    asks = f"export SUDO_PROMPT={quoted(prompt)}; exec sudo -k -S" if prompt else "exec sudo -k -n"
    tried = (
        f"if sudo -k -n{as_user} -- true </dev/null >/dev/null 2>&1; then {say.format('free')}; "
        f"exec sudo -k -n{command}; else {say.format('asks')}; {asks}{command}; fi"
    )
    return _script(nonce, (*_before(nonce, cwd, env), tried))


def _before(nonce: str, cwd: str, env: Mapping[str, str]) -> Iterable[str]:
    if cwd:
        yield f"cd -- {quoted(cwd)} >/dev/null || {{ printf '{nonce} cd\\n' >&2; exit 1; }}"
    for name, value in env.items():
        yield f"export {name}={quoted(value)}"


def _script(nonce: str, steps: Iterable[str]) -> bytes:
    first = ("unset _netssh", 'set -- "${IFS#??}"', f"printf '{nonce} %s\\n' $$ >&2")  # IFS: blank, tab, newline
    return ("; ".join((*first, *steps)) + "\n").encode()


class Head:
    """What stands before the command's own output: the script's lines, and what a login prints (`~/.bashrc`).

    The nonce is in no argument and no environment, and everything behind the last line of the script passes unread:
    nothing that a command prints can be taken for one.
    """

    def __init__(self, nonce: str) -> None:
        self.pid = 0  # of the shell that the command replaces or is a child of: the leader of its process group
        self.begun = ""  # "go"; under sudo "free" or "asks"
        self.no_directory = False
        self.noise = bytearray()
        self._mark = f"{nonce} ".encode()
        self._out_mark = f"{nonce}\n".encode()
        self._err, self._out = bytearray(), bytearray()
        self._out_begun = False

    def err(self, data: bytes) -> bytes:
        """What of stderr is the command's."""
        if self.begun:
            return data
        self._err += data
        while not (begun := self._begun()) and (at := self._err.find(self._mark)) >= 0:
            end = self._err.find(b"\n", at)
            if end < 0:
                return b""
            word = bytes(self._err[at + len(self._mark) : end]).decode("ascii", "replace")
            self.noise += self._err[:at]
            del self._err[: end + 1]
            self._said(word)
        return _all_of(self._err) if begun else b""

    def out(self, data: bytes) -> bytes:
        """What of stdout is the command's."""
        if self._out_begun:
            return data
        self._out += data
        at = self._out.find(self._out_mark)
        if at < 0:
            return b""
        self._out_begun = True
        self.noise += self._out[:at]
        del self._out[: at + len(self._out_mark)]
        return _all_of(self._out)

    @property
    def size(self) -> int:
        """Bytes that are held back."""
        return len(self._err) + len(self._out) + len(self.noise)

    def rest(self) -> bytes:
        """All that came where no command began."""
        return bytes(self.noise + self._out + self._err)

    def _begun(self) -> bool:
        return self.begun != ""

    def _said(self, word: str) -> None:
        if word.isdigit():
            self.pid = int(word)
        elif word == "cd":
            self.no_directory = True
        elif word in ("go", "free", "asks"):
            self.begun = word


def _all_of(held: bytearray) -> bytes:
    data = bytes(held)
    held.clear()
    return data
