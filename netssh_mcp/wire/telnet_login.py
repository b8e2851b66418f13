"""A login by Telnet: user name and password typed at their prompts, once each, and never where they would be shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from netssh_mcp.errors import AuthenticationFailed, ConnectError, SessionLost, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.credentials import asks_for_password, plain
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean, last_line

Kind = Literal["user", "password", "prompt", "enter", ""]

# Netmiko's telnet_login looks for `username|user name|user:|login` and `assword` anywhere; here it is a whole line.
_USER: Final = re.compile(r"(?i)(?!.*\blast\b)(?:[\w.@()-]{1,60} ){0,4}(?:user ?name|user(?: id)?|login) ?: *")
_PASSWORD: Final = re.compile(r"(?i)(?:[\w@.'() -]{0,60} )?password ?: *")
_ENTER: Final = re.compile(r"(?i)|.*\b(?:press|hit)\b.*\b(?:return|enter|any key)\b.*")
_PROMPT: Final = re.compile(r"[^\s#>$%][^\r\n]{0,79}[#>$%] ?|\[[^\]\r\n]{1,78}\] ?")
_SETTLED, _SLOWEST = 0.1, 2.0  # seconds that a line must stay last; twice the way to the device, within these
_PATIENCE: Final = 1.5  # seconds of silence before Enter is pressed, where nothing or a request for it stands last
_KEPT: Final = 8192  # bytes
_HIDDEN: Final = "[hidden]"


def enter(device: Device, reader: Reader, breaker: Breaker, *, deadline: float, given_up: Callable[[], bool]) -> str:
    """Log in; what the device has said stays in the reader. Returns what was taken: "password", or "none".

    Raises AuthenticationFailed, CredentialStopped, Unreachable, ConnectError.
    """
    secret = device.password.reveal() if device.password is not None else ""
    dialogue = _Dialogue(device, reader, secret, deadline, given_up)
    if device.password is None:
        dialogue.run()
        return "none"
    # The same parts as for SSH: one password is one credential, whatever the way that it goes.
    identity = breaker.identity("login", device.username, secret)
    what = f"the login as {device.username!r}"
    with breaker.trial(device, identity, what, deadline=deadline, given_up=given_up) as trial:
        try:
            dialogue.run()
            trial.taken = True if dialogue.typed else None
        except _Refused as refused:
            trial.taken = False if dialogue.typed else None
            raise refused.error() from None
    return "password" if dialogue.typed else "none"


class _Refused(Exception):
    """The device said no."""

    def __init__(self, make: Callable[[], AuthenticationFailed]) -> None:
        super().__init__()
        self.error = make


@dataclass(slots=True)
class _Dialogue:
    device: Device
    reader: Reader
    secret: str = field(repr=False)
    deadline: float
    given_up: Callable[[], bool]
    typed: bool = False  # the password was entered
    _named: bool = False  # the user name was
    _nudged: bool = False
    _raw: bytearray = field(default_factory=bytearray, repr=False)
    _settle: float = _SETTLED

    def run(self) -> None:
        """To something like a prompt. Raises `_Refused`, AuthenticationFailed, Unreachable, ConnectError."""
        began = time.monotonic()
        try:
            self.reader.wait(self.deadline - began)
            # The first byte takes at least the way from there to here, which an echo takes twice.
            self._settle = min(_SLOWEST, max(_SETTLED, 2 * (time.monotonic() - began)))
            while (kind := self._next()) != "prompt":
                self._answer(kind)
        except SessionLost as lost:
            if self.typed:
                raise _Refused(lambda: self._no("and closed the connection")) from lost
            raise self._unreachable(lost.message) from lost
        self.reader.unread(bytes(self._raw))

    def _answer(self, kind: Kind) -> None:
        if self.typed and kind in ("user", "password"):
            raise _Refused(self._no)
        if kind == "user":
            if self._named:
                raise _Refused(lambda: self._no("before it asked for a password"))
            self._named = True
            self._write(self.device.username + "\n")
        elif kind == "password":
            if self.device.password is None:
                raise AuthenticationFailed(
                    "the device asks for a password, and this host has none in the inventory",
                    device=self.device.name,
                    hint="Give the host a `password` reference: by telnet nothing else logs in.",
                )
            self._type()
        elif kind == "enter":
            self._nudged = True
            self._write("\n")

    def _next(self) -> Kind:
        """What stands last, as soon as it stays."""
        while True:
            if data := self.reader.take():
                self._raw = (self._raw + data)[-_KEPT:]
            line, quiet = last_line(clean(bytes(self._raw))), self.reader.quiet()
            kind = self._kind(line)
            due = _PATIENCE if kind == "enter" else self._settle
            if kind and quiet >= due:
                return kind
            left = self.deadline - time.monotonic()
            if self.given_up():
                raise ConnectError("the login was broken off", device=self.device.name)
            if left <= 0:
                raise self._unreachable("no prompt came in time", plain(self._hidden(line)))
            self.reader.wait(min(left, due - quiet) if kind else left)

    def _kind(self, line: str) -> Kind:
        if _USER.fullmatch(line):
            return "user"
        if _PASSWORD.fullmatch(line) and asks_for_password(line):
            return "password"
        if _PROMPT.fullmatch(line):
            return "prompt"
        return "enter" if _ENTER.fullmatch(line) and not self._nudged else ""

    def _write(self, text: str) -> None:
        self._raw.clear()
        self.reader.write(text.encode())

    def _type(self) -> None:
        """The password, and Enter only when nothing of it comes back: at a password prompt nothing is echoed."""
        if not self.reader.take():
            self._write(self.secret)
            until = time.monotonic() + self._settle
            while (left := until - time.monotonic()) > 0:
                if clean(self.reader.take()).strip("* \t"):  # some print a star for each character
                    break
                self.reader.wait(left)
            else:
                self.typed = True
                self._write("\n")
                return
        raise AuthenticationFailed(
            "the device did not stay at its password prompt, or shows what is typed; the password was not entered",
            device=self.device.name,
            hint="Log in by hand and see how it asks.",
        )

    def _hidden(self, text: str) -> str:
        return text.replace(self.secret, _HIDDEN) if self.secret else text

    def _no(self, more: str = "") -> AuthenticationFailed:
        said = [line for line in clean(bytes(self._raw)).split("\n")[:-1] if line.strip()]
        return AuthenticationFailed(
            f"login as {self.device.username!r} by telnet refused{' ' if more else ''}{more}",
            device=self.device.name,
            line=plain(self._hidden(said[-1])) if said else "",
            hint="Check this host's username and `password` reference. It was tried once, and is not tried again for a "
            "while, so that no account gets locked.",
        )

    def _unreachable(self, why: str, line: str = "") -> Unreachable:
        return Unreachable(
            f"no Telnet session with {self.device.hostname}:{self.device.port}: {why}",
            device=self.device.name,
            line=line,
            hint="Log in by hand and see what it asks; raise `connect_timeout` if it is slow.",
        )
