"""Secrets by reference: where a password comes from is known here, the password itself only at the moment of use.

`keyring` is imported inside the function that needs it: it is an optional extra and slow to load.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NoReturn

from netssh_mcp.errors import InputError

Kind = Literal["env", "file", "cmd", "keyring", "plain"]

FORMS: Final = 'env:NAME, file:PATH, cmd:["program", "argument"] or keyring:service/user'
_SCHEMES: Final = ("env", "file", "cmd", "keyring", "plain")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CMD_SECONDS: Final = 20.0
_MOST_BYTES: Final = 65_536  # a private mistake such as file:/var/log/syslog must not fill memory
_WALL: Final = "<redacted>"


class Secret:
    """A reference to a secret. No repr, copy, pickle or format of it ever shows the value.

    `reference` may be shown: `env:NAME`, `file:PATH`, `cmd:program`, `keyring:service/user` or `plain text`.
    """

    __slots__ = ("__source", "__withheld", "kind", "reference")

    kind: Kind
    reference: str
    __source: tuple[str, ...]
    __withheld: frozenset[str]

    def __init__(self, kind: Kind, source: tuple[str, ...], *, withheld: frozenset[str] = frozenset()) -> None:
        set_once = object.__setattr__
        set_once(self, "kind", kind)
        set_once(self, "_Secret__source", source)
        set_once(self, "_Secret__withheld", withheld)
        if kind == "plain":
            reference = "plain text"
        elif kind == "cmd":
            reference = f"cmd:{Path(source[0]).name}"  # arguments may name vault paths: not shown
        else:
            reference = f"{kind}:{'/'.join(source)}"
        set_once(self, "reference", reference)

    @classmethod
    def parse(cls, written: object, *, folder: Path | None = None, allow_plain: bool = False) -> Secret:
        """The secret that `written` refers to; InputError, which never quotes `written`, when it is none.

        `written` is text or `{cmd: [program, ...]}`; `folder` is what a relative `file:` starts from.
        """
        if isinstance(written, Mapping) and list(written) == ["cmd"]:
            return cls("cmd", _argv(written["cmd"]))
        if not isinstance(written, str):
            raise InputError("a secret is a reference in text form", hint=f"Write {FORMS}.")
        scheme, colon, rest = written.partition(":")
        if not colon or scheme not in _SCHEMES:
            scheme, rest = "plain", written
        match scheme:
            case "env":
                if not _ENV_NAME.fullmatch(rest):
                    raise InputError("`env:` needs the name of an environment variable", hint="Write env:NAME.")
                return cls("env", (rest,))
            case "file":
                return cls("file", (str(_path(rest, folder)),))
            case "cmd":
                return cls("cmd", _argv(rest))
            case "keyring":
                service, _, user = rest.rpartition("/")
                if not service or not user:
                    raise InputError("`keyring:` needs a service and a user", hint="Write keyring:service/user.")
                return cls("keyring", (service, user))
        if not allow_plain:
            raise InputError("a secret in plain text is refused", hint=f"Write a reference: {FORMS}.")
        _refuse_lines(rest, "plain text")
        return cls("plain", (rest,))

    def reveal(self) -> str:
        """The value, fetched now. May block (a command: up to 20 s): call it in a worker thread.

        InputError names the reference and what to do, never the value.
        """
        match self.kind:
            case "env":
                value = _from_env(self.__source[0], self.reference)
            case "file":
                value = _from_file(Path(self.__source[0]), self.reference)
            case "cmd":
                value = _from_command(self.__source, self.reference, self.__withheld)
            case "keyring":
                value = _from_keyring(self.__source, self.reference)
            case "plain":
                value = self.__source[0]
        _refuse_lines(value, self.reference)
        return value

    def withholding(self, names: frozenset[str]) -> Secret:
        """The same secret, whose command does not see the environment variables `names` (they hold other secrets)."""
        return Secret("cmd", self.__source, withheld=names) if self.kind == "cmd" else self

    @property
    def variable(self) -> str:
        """The environment variable that holds the value, or ""."""
        return self.__source[0] if self.kind == "env" else ""

    def missing(self) -> str:
        """Why `reveal` would fail, as far as can be seen without fetching the value; "" when nothing is known."""
        try:
            match self.kind:
                case "env":
                    _from_env(self.__source[0], self.reference)
                case "file":
                    os.close(_open_private(Path(self.__source[0]), self.reference))
                case "cmd":
                    if shutil.which(self.__source[0]) is None:
                        return f"{self.reference}: there is no such program"
                case "keyring":
                    _keyring()
                case "plain":
                    pass
        except InputError as error:
            return str(error)
        return ""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __repr__(self) -> str:
        return f"Secret({self.reference}: {_WALL})"

    def __str__(self) -> str:
        return _WALL

    def __format__(self, spec: str) -> str:
        return _WALL

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self.kind, self.__source) == (other.kind, other.__source)

    def __hash__(self) -> int:
        return hash((self.kind, self.reference))  # not the source: a hash of a plain value says something about it

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def _path(text: str, folder: Path | None) -> Path:
    if not text or "\0" in text:
        raise InputError("`file:` needs a path", hint="Write file:PATH.")
    return (folder or Path.cwd()) / os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises without a home


def _argv(written: object) -> tuple[str, ...]:
    """The program and its arguments; a list, or a list as JSON text. There is never a shell."""
    argv = written
    if isinstance(written, str):
        argv = None
        with contextlib.suppress(ValueError):
            argv = json.loads(written)
    if isinstance(argv, Sequence) and not isinstance(argv, str) and argv:
        words = [word for word in argv if isinstance(word, str) and "\0" not in word]
        if len(words) == len(argv) and words[0]:
            return tuple(words)
    raise InputError(
        "`cmd:` needs a list of a program and its arguments, all text",
        hint='Write cmd:["program", "argument"]; there is no shell.',
    )


def _refuse_lines(value: str, reference: str) -> None:
    """A secret is typed at a prompt: a line end inside it would type a second line."""
    if any(character in value for character in "\n\r\0"):
        raise InputError(
            f"{reference} gives more than one line", hint="A secret is one line; print or store only that."
        )


def _text(raw: bytes, reference: str) -> str:
    if len(raw) > _MOST_BYTES:
        raise InputError(f"{reference} gives more than {_MOST_BYTES} bytes", hint="A secret is one short line.")
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        value = None  # raised below, outside: this exception holds the bytes
    if value is None:
        raise InputError(f"{reference} is not UTF-8 text", hint="Store the secret as one line of text.")
    value = value[:-2] if value.endswith("\r\n") else value.removesuffix("\n")
    if not value:
        raise InputError(f"{reference} is empty", hint="Store the secret there, as one line.")
    return value


def _from_env(name: str, reference: str) -> str:
    value = os.environ.get(name)
    if value is None or not value:
        state = "not set" if value is None else "empty"
        raise InputError(f"{reference} is {state}", hint=f"Set {name} in the environment that starts the server.")
    return value


def _open_private(path: Path, reference: str) -> int:
    """A file descriptor of a regular file that only we can read; checked on the descriptor, so no race."""
    try:
        # O_NONBLOCK: a FIFO must not hang the open; it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(
            f"{reference} cannot be opened: {error.strerror}",
            hint="Correct the path, or create the file with mode 0600.",
        ) from None
    found = os.fstat(descriptor)
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "is not a regular file"
    elif found.st_uid != os.geteuid():
        wrong = "belongs to another user"
    elif found.st_mode & 0o077:
        wrong = f"is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
    if wrong:
        os.close(descriptor)
        raise InputError(f"{reference} {wrong}", hint=f"Make it a file of your own: chmod 600 {path}")
    return descriptor


def _from_file(path: Path, reference: str) -> str:
    with open(_open_private(path, reference), "rb") as opened:
        return _text(opened.read(_MOST_BYTES + 1), reference)


def _from_command(argv: tuple[str, ...], reference: str, withheld: frozenset[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in withheld}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,  # ours is the MCP stream
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # tools print parts of secrets there
            env=environment,
            start_new_session=True,  # so that its children end with it
        )
    except OSError as error:
        raise InputError(
            f"{reference} cannot be started: {error.strerror}", hint="Install the program, or write its full path."
        ) from None
    with process:
        printed = _printed(process)
        if printed is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if printed is None:
        raise InputError(
            f"{reference} gave no answer within {_CMD_SECONDS:.0f} s, or far too long a one",
            hint="Unlock the store first: nobody can answer a question that the program asks here.",
        )
    if process.returncode != 0:
        raise InputError(
            f"{reference} failed with exit status {process.returncode}",
            hint="Run the command by hand; its messages are not shown here, they may hold parts of the secret.",
        )
    return _text(printed, reference)


def _printed(process: subprocess.Popen[bytes]) -> bytes | None:
    """All that the process prints until it ends; None when it takes too long or prints more than a secret may have."""
    deadline = time.monotonic() + _CMD_SECONDS
    assert process.stdout is not None
    descriptor, printed = process.stdout.fileno(), b""
    ready = select.poll()  # not select(): a server with many sessions has descriptors over 1,023
    ready.register(descriptor, select.POLLIN)
    while ready.poll(max(deadline - time.monotonic(), 0) * 1000):
        piece = os.read(descriptor, _MOST_BYTES)
        printed += piece
        if len(printed) > _MOST_BYTES:
            return None
        if not piece:
            try:
                process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                return None
            return printed
    return None


def _keyring() -> object:
    try:
        import keyring  # noqa: PLC0415 - see the top
    except ImportError:
        raise InputError(
            "`keyring:` needs the keyring package", hint="Install it: pip install 'netssh-mcp[keyring]'"
        ) from None
    return keyring


def _from_keyring(source: tuple[str, ...], reference: str) -> str:
    _keyring()
    import keyring  # noqa: PLC0415 - see the top
    import keyring.errors  # noqa: PLC0415

    failed, value = "", None
    try:
        value = keyring.get_password(*source)
    except keyring.errors.KeyringError as error:
        failed = type(error).__name__
    if failed:
        raise InputError(f"{reference}: the keyring cannot be read ({failed})", hint="Unlock or configure the keyring.")
    if not value:
        raise InputError(f"{reference} is not in the keyring", hint="Store it: keyring set SERVICE USER")
    return str(value)
