"""How a command is to be run, besides its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from netssh_mcp.knowledge.secrets import Secret


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller wants typed when the last line of a running command matches `expect`; each is used once."""

    expect: re.Pattern[str]
    send: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """`cwd` "" is where the shell is. `sudo_user` "" is root. `password` is what sudo may be told, at its own prompt.

    Only a Linux host can do anything of it but `answers`; the services refuse the rest elsewhere.
    """

    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    sudo: bool = False
    sudo_user: str = ""
    password: Secret | None = None
    answers: tuple[Answer, ...] = ()
    shell: bool = False  # the line is shell text, not one command; `Session.run` says so


PLAIN: Final = Order()
