"""Secrets by reference: where a password comes from is known here, the password itself only at the moment of use."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import secret_sources as sources
from netssh_mcp.knowledge import secret_store
from netssh_mcp.knowledge.secret_sources import NETMIKO_PREFIX, Fetched, Missing
from netssh_mcp.knowledge.vault import Vault

if TYPE_CHECKING:
    from netssh_mcp.knowledge.env_file import Environment

Kind = Literal["env", "file", "cmd", "keyring", "stored", "netmiko", "other", "plain"]
_Parsed = tuple[Kind, tuple[str, ...]] | Missing

FORMS: Final = 'env:NAME, file:PATH, cmd:["program", "argument"], keyring:service/user or stored:NAME'
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,30}")
_WALL: Final = "<redacted>"


class Secret:
    """A reference to a secret. No repr, copy, pickle or format of it ever shows the value.

    `reference` may be shown: `env:NAME`, `file:PATH`, `cmd:program`, `keyring:service/user`, `stored:NAME`, what
    another scheme has, `Netmiko's encrypted value` or `plain text`.
    """

    __slots__ = ("__environment", "__source", "__vault", "__withheld", "kind", "reference")

    kind: Kind
    reference: str
    __source: tuple[str, ...]
    __withheld: frozenset[str]
    __vault: Vault | None
    __environment: Environment | None

    def __init__(
        self,
        kind: Kind,
        source: tuple[str, ...],
        *,
        withheld: frozenset[str] = frozenset(),
        vault: Vault | None = None,
        environment: Environment | None = None,
    ) -> None:
        set_once = object.__setattr__
        set_once(self, "kind", kind)
        set_once(self, "_Secret__source", source)
        set_once(self, "_Secret__withheld", withheld)
        set_once(self, "_Secret__vault", vault)
        set_once(self, "_Secret__environment", environment)
        set_once(self, "reference", _reference(kind, source))

    @classmethod
    def parse(
        cls,
        written: object,
        *,
        folder: Path | None = None,
        allow_plain: bool = False,
        vault: Vault | None = None,
        environment: Environment | None = None,
    ) -> Secret:
        """The secret that `written` refers to; InputError, which never quotes `written`, when it is none.

        `written` is text or `{cmd: [program, ...]}`; `folder` is what a relative `file:` starts from; each value that
        is revealed later becomes known to `vault`. `env:` looks into `environment`, by default this process's own.
        """
        found = _parsed(written, folder, allow_plain=allow_plain)
        del written  # a password in the wrong place: no traceback's locals show it
        if isinstance(found, Missing):
            raise InputError(found.message, hint=found.hint)
        kind, source = found
        return cls(kind, source, vault=vault, environment=environment)

    def reveal(self) -> str:
        """The value, fetched now. May block (a command: up to 20 s): call it in a worker thread.

        InputError names the reference and what to do, never the value.
        """
        value = self._fetched()
        if isinstance(value, Missing):
            raise InputError(value.message, hint=value.hint)
        if self.__vault is not None:
            self.__vault.learn(value)
        return value

    def _fetched(self) -> Fetched:
        source = self.__source
        match self.kind:
            case "env":
                value = sources.from_env(source[0], self.reference, self._variable)
            case "file":
                value = sources.from_file(Path(source[0]), self.reference)
            case "cmd":
                value = sources.from_command(source, self.reference, self.__withheld)
            case "keyring":
                value = sources.from_keyring(source[0], source[1], self.reference)
            case "stored":
                value = secret_store.fetch(source[0], self.reference)
            case "netmiko":
                value = sources.from_netmiko(source[0], self.reference)
            case "other":
                value = sources.from_other(source[0], source[1], self.reference)
            case "plain":
                value = source[0]
        return value if isinstance(value, Missing) else sources.checked(value, self.reference)

    def _variable(self, name: str) -> str | None:
        return os.environ.get(name) if self.__environment is None else self.__environment.get(name)

    def withholding(self, names: frozenset[str]) -> Secret:
        """The same secret, whose command does not see the environment variables `names` (they hold other secrets)."""
        return Secret("cmd", self.__source, withheld=names, vault=self.__vault) if self.kind == "cmd" else self

    @property
    def variable(self) -> str:
        """The environment variable that holds the value, or the key to it, or ""."""
        if self.kind == "netmiko":
            return sources.NETMIKO_KEY
        return self.__source[0] if self.kind == "env" else ""

    def missing(self) -> str:
        """Why `reveal` would fail, as far as can be seen without fetching the value; "" when nothing is known."""
        found: Fetched | int | None = None
        match self.kind:
            case "env":
                found = sources.from_env(self.__source[0], self.reference, self._variable)
            case "file":
                found = sources.open_private(Path(self.__source[0]), self.reference)
                if isinstance(found, int):
                    os.close(found)
            case "cmd":
                if shutil.which(self.__source[0]) is None:
                    return f"{self.reference}: there is no such program"
            case "keyring":
                found = sources.no_keyring()
            case "stored":
                found = secret_store.absent(self.__source[0], self.reference)
            case "netmiko":
                if not os.environ.get(sources.NETMIKO_KEY):
                    return f"{self.reference}: {sources.NETMIKO_KEY} is not set"
        return found.message if isinstance(found, Missing) else ""

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


def _reference(kind: Kind, source: tuple[str, ...]) -> str:
    match kind:
        case "plain":
            return "plain text"
        case "netmiko":
            return "Netmiko's encrypted value"
        case "cmd":
            return f"cmd:{Path(source[0]).name}"  # arguments may name vault paths: not shown
        case "other":
            return ":".join(source)
        case _:
            return f"{kind}:{'/'.join(source)}"


def _parsed(written: object, folder: Path | None, *, allow_plain: bool) -> _Parsed:
    if isinstance(written, Mapping) and list(written) == ["cmd"]:
        return _argv(written["cmd"])
    if not isinstance(written, str):
        return Missing("a secret is a reference in text form", f"Write {FORMS}.")
    scheme, colon, rest = written.partition(":")
    if written.startswith(NETMIKO_PREFIX):
        found: _Parsed = ("netmiko", (written,))
    elif colon and scheme in _REFERENCES:
        found = _REFERENCES[scheme](rest, folder)
    elif colon and scheme != "plain" and _OTHER_SCHEME.fullmatch(scheme) and sources.other(scheme) is not None:
        found = ("other", (scheme, rest))
    elif allow_plain:
        plain = sources.checked(rest if colon and scheme == "plain" else written, "plain text")
        found = plain if isinstance(plain, Missing) else ("plain", (plain,))
    else:
        found = Missing("a secret in plain text is refused", f"Write a reference: {FORMS}.")
    return found


def _env(rest: str, _folder: Path | None) -> _Parsed:
    if _ENV_NAME.fullmatch(rest):
        return "env", (rest,)
    return Missing("`env:` needs the name of an environment variable", "Write env:NAME.")


def _file(rest: str, folder: Path | None) -> _Parsed:
    if not rest or "\0" in rest:
        return Missing("`file:` needs a path", "Write file:PATH.")
    expanded = os.path.expanduser(rest)  # noqa: PTH111 - Path.expanduser raises without a home
    return "file", (str((folder or Path.cwd()) / expanded),)


def _keyring(rest: str, _folder: Path | None) -> _Parsed:
    service, _, user = rest.rpartition("/")
    if service and user:
        return "keyring", (service, user)
    return Missing("`keyring:` needs a service and a user", "Write keyring:service/user.")


def _stored(rest: str, _folder: Path | None) -> _Parsed:
    if secret_store.NAME.fullmatch(rest):
        return "stored", (rest,)
    return Missing("`stored:` needs the name of a stored secret", f"Write stored:NAME; {secret_store.NAMES}.")


def _argv(written: object) -> _Parsed:
    """The program and its arguments; a list, or a list as JSON text. There is never a shell."""
    argv = written
    if isinstance(written, str):
        argv = None
        with contextlib.suppress(ValueError):
            argv = json.loads(written)
    if isinstance(argv, Sequence) and not isinstance(argv, str) and argv:
        words = [word for word in argv if isinstance(word, str) and "\0" not in word]
        if len(words) == len(argv) and words[0]:
            return "cmd", tuple(words)
    return Missing(
        "`cmd:` needs a list of a program and its arguments, all text",
        'Write cmd:["program", "argument"]; there is no shell.',
    )


_REFERENCES: Final[Mapping[str, Callable[[str, Path | None], _Parsed]]] = {
    "env": _env,
    "file": _file,
    "cmd": lambda rest, _folder: _argv(rest),
    "keyring": _keyring,
    "stored": _stored,
}
