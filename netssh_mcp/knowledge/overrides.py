"""What `NETSSH_<ALIAS>_<KEY>` variables say of a host: the operator's word, in the environment or the env file.

ALIAS is the host's name in capitals with `_` for all that is no letter or digit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netssh_mcp.knowledge.env_file import Environment
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.settings import variables

PREFIX: Final = "NETSSH_"
KEYS: Final = ("HOST", "PORT", "USER", "PASSWORD", "KEY", "SUDO", "ENABLE")
SECRETS: Final = ("PASSWORD", "SUDO", "ENABLE")
_VARIABLE: Final = re.compile(rf"{PREFIX}(.+)_({'|'.join(KEYS)})")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")

Wrong = Callable[[str], None]


def alias(name: str) -> str:
    """The middle of a host's variables."""
    return _OTHER.sub("_", name).upper()


def variable(name: str, key: str) -> str:
    """The variable that gives a host this key."""
    return f"{PREFIX}{alias(name)}_{key}"


@dataclass(frozen=True, slots=True)
class Override:
    """What the variables of one host come to, by the names of `Device`, and the names of those that count.

    `unused` are secrets for a host whose address the operator did not write; see docs/inventory.md.
    """

    values: Mapping[str, object]
    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


class Overrides:
    """All of them, as they are now; InputError when the env file cannot be read."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._keys: dict[str, list[str]] = {}
        for name in environment.names():
            match = _VARIABLE.fullmatch(name)
            if match and name not in variables():
                self._keys.setdefault(match[1], []).append(match[2])

    def doubtful(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Pairs of hosts that the same variables name, where there are any: nobody knows which is meant."""
        first: dict[str, str] = {}
        return [
            (first[alias(name)], name)
            for name in names
            if alias(name) in self._keys and first.setdefault(alias(name), name) != name
        ]

    def of(self, name: str, wrong: Wrong, *, written: bool = True) -> Override:
        """For one host. `written`: its address is the operator's; else secrets count only together with HOST.

        `wrong` gets a sentence for each variable that cannot be used.
        """
        keys = [key for key in KEYS if key in self._keys.get(alias(name), ())]
        bound = written or "HOST" in keys
        values: dict[str, object] = {}
        used, unused = [], []
        for key in keys:
            mine = variable(name, key)
            if key in SECRETS and not bound:
                unused.append(mine)
                continue
            values.update(self._value(mine, key, wrong))
            used.append(mine)
        return Override(values, tuple(used), tuple(unused))

    def _value(self, mine: str, key: str, wrong: Wrong) -> dict[str, object]:
        text = self._environment.get(mine) or ""
        if key in SECRETS:
            self._environment.vault.learn(text)
            return {key.lower(): self._secret(mine)}
        if key == "KEY":
            return {"key_files": (self._environment.folder(mine) / os.path.expanduser(text),)}  # noqa: PTH111 - as there
        return _plain(mine, key, text.strip(), wrong)

    def _secret(self, mine: str) -> Secret:
        return Secret("env", (mine,), vault=self._environment.vault, environment=self._environment)

    @property
    def path(self) -> Path | None:
        """The env file."""
        return self._environment.path


def _plain(mine: str, key: str, text: str, wrong: Wrong) -> dict[str, object]:
    from netssh_mcp.knowledge import inventory_schema as schema  # noqa: PLC0415 - it imports pydantic

    if key == "PORT":
        if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
            return {"port": int(text)}
        wrong(f"{mine} must be a whole number from 1 to 65535")
        return {}
    check, name = (schema.address, "hostname") if key == "HOST" else (schema.user, "username")
    try:
        return {name: check(text)}
    except ValueError as error:
        wrong(f"{mine} {error}")
        return {}
