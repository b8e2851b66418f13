"""What a call of `run` asks for besides its commands, checked: under whom, where, with which variables and answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services.desk import Place
from netssh_mcp.wire.order import Answer, Order
from netssh_mcp.wire.terminal_keys import typed

_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\-]{0,63}\$?|#\d{1,10}")  # `#1000` is sudo's way to say a uid
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:#\-]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_KEY: Final = re.compile(r"<[^<>\s]{1,30}>")
_LONGEST: Final = 4096  # characters of a path, of a value, of an answer
_MOST: Final = 50  # variables, answers
_LITERAL: Final = (
    r"Put a backslash before what is meant as it is: `\(y/n\)`, `\?`; or give plain words of the question."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """As an Order, for all devices of a call; and in which form and session the commands are to be sent."""

    sudo: bool = False
    sudo_user: str = ""
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    shell: bool = False
    answers: tuple[Answer, ...] = ()
    session: str = ""

    @classmethod
    def of(
        cls,
        *,
        sudo: bool,
        sudo_user: str,
        cwd: str,
        env: Mapping[str, str],
        shell: bool,
        answers: Sequence[Mapping[str, str]],
        session: str,
    ) -> Wish:
        """InputError for what no device could do."""
        if sudo_user and not sudo:
            raise InputError("sudo_user says who instead of root, and sudo is not set", hint="Give sudo=true with it.")
        if sudo_user and not _USER.fullmatch(sudo_user):
            raise InputError(f"sudo_user {sudo_user[:40]!r} is no user's name", hint="A name, or a uid as '#1000'.")
        if session and not _SESSION.fullmatch(session):
            raise InputError(
                f"{session[:40]!r} is no name for a session",
                hint="Letters, digits and ._@:#- , at most 64, beginning with a letter or a digit.",
            )
        if cwd:
            _check_path(cwd)
        if len(env) > _MOST or len(answers) > _MOST:
            raise InputError(f"more than {_MOST} variables or answers", hint="Put them into a file on the host.")
        for name, value in env.items():
            _check_variable(name, value)
        known = MappingProxyType(dict(env))
        return cls(sudo, sudo_user, cwd, known, shell, tuple(map(_answer, range(len(answers)), answers)), session)

    def order(self, place: Place) -> Order:
        """What goes with each command to this device. InputError for what only a Linux host can do."""
        if not place.linux:
            for name, given in (("sudo", self.sudo), ("cwd", self.cwd), ("env", self.env), ("shell", self.shell)):
                if given:
                    raise InputError(
                        f"`{name}` is for Linux hosts, and this is {place.profile.name}",
                        device=place.device.name,
                        hint=f"Leave `{name}` out for this device, or narrow `targets`.",
                    )
            return Order(answers=self.answers)
        password = place.device.sudo if self.sudo else None
        return Order(self.cwd, self.env, self.sudo, self.sudo_user, password, self.answers)

    def check_secrets(self, vault: Vault, device: str) -> None:
        """InputError where a variable's value is a secret that this process has used: it would be in /proc there."""
        for name, value in self.env.items():
            if vault.hidden(value) != value:
                raise InputError(
                    f"the value of {name} in `env` is a secret, and any process of that user can read variables",
                    device=device,
                    hint="Put it into a file on the host that only the program's user can read.",
                )

    def on_record(self) -> dict[str, str]:
        """What the audit says of a command besides its line; of variables their names."""
        said = {
            "sudo": (self.sudo_user or "root") if self.sudo else "",
            "cwd": self.cwd,
            "env": ",".join(self.env),
            "kept_session": self.session,
        }
        return {key: value for key, value in said.items() if value}


def _check_path(cwd: str) -> None:
    if not cwd.startswith("/") or _CONTROL.search(cwd) or len(cwd) > _LONGEST:
        raise InputError(
            f"cwd {cwd[:80]!r} is no absolute path", hint="It begins with a slash; there is no ~ and no variable in it."
        )


def _check_variable(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:40]!r} in `env` is no name of a variable",
            hint="Letters, digits and _, not beginning with a digit.",
        )
    if len(value) > _LONGEST or _CONTROL.search(value.replace("\n", " ").replace("\t", " ")):
        raise InputError(
            f"the value of {name} in `env` has control characters, or more than {_LONGEST} characters",
            hint="Put it into a file on the host.",
        )


def _answer(number: int, given: Mapping[str, str]) -> Answer:
    """One line or one key, so that nothing of it is left for the device's prompt behind the question."""
    where = f"answers[{number}]"
    for key in given:
        if key not in ("expect", "send"):
            raise InputError(f"{where}: there is nothing called {key[:30]!r}; {did_you_mean(key, ('expect', 'send'))}")
    if len(given) != 2 or not given["expect"] or max(map(len, given.values())) > _LONGEST:
        raise InputError(
            f"{where} needs `expect` and `send`", hint="{expect: a regex for the last line, send: what to type}."
        )
    try:
        expect = re.compile(given["expect"])
    except re.error as error:
        raise InputError(f"{where}: `expect` is no regular expression: {error}", hint=_LITERAL) from error
    if expect.search(""):
        raise InputError(f"{where}: `expect` matches everything", hint="Name words of the question.")
    send = given["send"]
    keys = typed(send, enter=b"\n")
    line = keys.removesuffix(b"\n")
    if not _KEY.fullmatch(send) and _CONTROL.search(line.decode()):
        raise InputError(
            f"{where}: `send` is one line or one key", hint="Several questions take several answers, each used once."
        )
    return Answer(expect, keys)
