"""From a fresh shell to a proven prompt: the banner, a way out of configuration mode, enable, the platform's setup."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from netmiko.exceptions import NetmikoBaseException

from netssh_mcp.errors import AuthenticationFailed, NetsshError, PromptNotFound
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire import drivers
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.drivers import EventReads
from netssh_mcp.wire.echo import after_echo
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.sync import prove_prompt
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.turn import Turn

INTERRUPT = b"\x03"
_FIRST_PROMPT = 1.5  # seconds to wait for something like a prompt before asking for it with an empty line
_ENABLE = "enable"
_PASSWORD_LINE = re.compile(r"\s*(?:[Ee]nable )?[Pp]assword:\s*")
_SETTLED, _SLOWEST = 0.03, 2.0  # seconds that a password prompt must stay last: twice the echo's way, within these
_NO_MORE = 3.0  # seconds of silence behind something that is neither a prompt nor a request for the secret
_HIDDEN = "[hidden]"
_BASE = re.compile(r"[^(#>%\[]*")


@dataclass(frozen=True, slots=True)
class _Answer:
    """How `enable` was answered: `line` is the last one where it is safe to quote."""

    line: str
    why: str = ""
    said: str = ""
    password: bool = False
    typed: bool = False


@dataclass(slots=True)
class Login:
    """What happens once per session, before its first command. `events` says what was out of the ordinary."""

    device: Device
    profile: Profile
    reader: Reader
    deadline: float
    turn: Turn
    breaker: Breaker = field(default_factory=Breaker)
    banner: str = ""
    events: list[str] = field(default_factory=list)
    _prompt: Prompt | None = None  # proven, as long as nothing was written since
    _proven_at: int = -1
    _typed: list[str] = field(default_factory=list, repr=False)  # secrets that a device may echo
    _settle: float = _SETTLED

    def prompt(self) -> Prompt:
        """Make the session ready and return its proven prompt. Raises PromptNotFound, AuthenticationFailed."""
        if self.profile.prepare == "netmiko" and self._logs_in(self.profile.netmiko_device_type):
            self._prepare(own_login=True)
            self._raise_level()
        else:
            self.banner = self._first_prompt()
            self._raise_level()
            if self.profile.prepare == "netmiko":
                self._prepare(own_login=False)
        return self._proven()

    @contextlib.contextmanager
    def hiding(self) -> Iterator[None]:
        """No secret that this login types is in what it says: errors, the texts they keep, and `events`."""
        try:
            yield
        except NetsshError as error:
            error.message, error.line = self._hidden(error.message), self._hidden(error.line)
            error.partial = self._hidden(error.partial)
            error.args = (error.message,)
            raise
        except (NetmikoBaseException, ValueError) as error:
            error.args = tuple(self._hidden(part) if isinstance(part, str) else part for part in error.args)
            raise
        finally:
            self.events[:] = [self._hidden(event) for event in self.events]

    def _hidden(self, text: str) -> str:
        for secret in self._typed:
            for written in (secret, repr(secret)[1:-1]):  # messages quote what a device sent
                text = text.replace(written, _HIDDEN)
        return text

    def _proven(self) -> Prompt:
        """The prompt; a proof that is still good is not asked for again: each costs a round trip."""
        if self._prompt is None or self._proven_at != self.reader.writes:
            prompt = prove_prompt(self.reader, self.profile, self.deadline, self.turn, before=self.banner)
            if not prompt.comments:
                # No nonce can be sent here: the prompt and silence have to do, and every result says so.
                self.profile = self.profile.model_copy(update={"comment": "", "pipelined": False})
                prompt = prove_prompt(self.reader, self.profile, self.deadline, self.turn)
            self._keep(prompt)
        assert self._prompt is not None
        return self._prompt

    def _keep(self, prompt: Prompt) -> None:
        self._prompt, self._proven_at = prompt, self.reader.writes
        self.banner = prompt.line

    # -- the first prompt ----------------------------------------------------------------------------------------

    def _first_prompt(self) -> str:
        """Banner and all, until something like a prompt stands last. After a while an empty line asks for it."""
        raw = bytearray()
        until = min(self.deadline, time.monotonic() + _FIRST_PROMPT)
        asked = False
        while True:
            raw += self.reader.take()
            text = clean(bytes(raw[-8192:]))
            if re.fullmatch(self.profile.prompts.pattern, last_line(text)):
                return clean(bytes(raw))
            now = time.monotonic()
            if self.turn.cancelled or now >= self.deadline:
                raise self._no_prompt(raw)
            if now >= until and not asked:
                asked, until = True, self.deadline
                self.reader.write(b"\n")
            self.reader.wait(until - now)

    def _no_prompt(self, raw: bytearray) -> PromptNotFound:
        text = clean(bytes(raw))
        if self.turn.cancelled:
            return PromptNotFound("the login was cancelled", device=self.device.name, effect="none", hint="Ask again.")
        return PromptNotFound(
            "logged in, but no prompt came",
            device=self.device.name,
            line=last_line(text),
            effect="none",
            partial=text,
            hint="Check the platform in the inventory, and whether the login asks a question.",
        )

    # -- the platform's own preparation --------------------------------------------------------------------------

    def _logs_in(self, device_type: str) -> bool:
        """Whether the driver has a dialogue of its own behind the login; by telnet that is the login: telnet_login."""
        return self.device.transport == "ssh" and drivers.needs_password(device_type)

    def _driver(self) -> EventReads:
        name = self.profile.netmiko_device_type or self.profile.name
        asked = self.device.password is not None and self._logs_in(name)
        password = self.device.password.reveal() if asked and self.device.password else ""
        if password:
            self._typed.append(password)
        if self.device.transport == "telnet":
            name = drivers.over_telnet(name)
        connection = drivers.driver(name, username=self.device.username, password=password)
        connection.attach(self.reader, self.profile, self.deadline)
        return connection

    def _prepare(self, *, own_login: bool) -> None:
        connection = self._driver()
        try:
            if own_login:
                connection.special_login_handler()
            else:
                connection.unread(self.banner)
            connection.session_preparation()
            if connection.proven is not None and connection.proven_at == self.reader.writes:
                self.profile = connection.profile
                self._keep(connection.proven)
            else:
                self.banner = ""  # its last line is no longer the last thing that came
        finally:
            connection.detach()

    # -- the level -----------------------------------------------------------------------------------------------

    def _raise_level(self) -> None:
        """Out of configuration mode, should the login land there; into enable mode where the inventory has a secret."""
        modes = self.profile.prompts.modes
        if "config" in modes and self.profile.mode(last_line(self.banner)) == "config":
            self._leave_config(last_line(self.banner))
        if self.device.enable is not None and "enable" in modes and self.profile.mode(self._proven().line) == "exec":
            self._enable()

    def _leave_config(self, line: str) -> None:
        """The driver knows how to leave; nothing is saved or committed."""
        connection = self._driver()
        try:
            connection.base_prompt = _BASE.match(line)[0]  # type: ignore[index]  # it matches everything
            connection.exit_config_mode()
        finally:
            connection.detach()
        self.banner = ""
        if self.profile.mode(self._proven().line) == "config":
            raise PromptNotFound(
                "the login landed in configuration mode, and it could not be left",
                device=self.device.name,
                effect="none",
                hint="Log in by hand and see why; someone may have left uncommitted changes there.",
            )
        self.events.append("the login landed in configuration mode; it was left without saving")

    def _enable(self) -> None:
        """Privileged mode. The secret is typed only when a password prompt is the last line, right after we asked."""
        assert self.device.enable is not None
        secret = self.device.enable.reveal()
        what = f"the enable secret of {self.device.username!r}"
        identity = self.breaker.identity("enable", self.device.username, secret)
        with self.breaker.trial(
            self.device, identity, what, deadline=self.deadline, given_up=lambda: self.turn.cancelled
        ) as trial:
            answer = self._asked()
            if answer.password:
                self._type(secret)
                answer = self._granted()
            granted = self._mode_behind(answer) == "enable"
            trial.taken = granted if answer.typed else None
        if not granted:
            raise AuthenticationFailed(
                f"logged in, but the device did not grant enable mode{answer.why}",
                device=self.device.name,
                line=answer.said,
                hint="Check this host's `enable` reference; it is tried once. Without it, exec mode is used.",
            )

    def _asked(self) -> _Answer:
        """What the device makes of our `enable`: a password prompt that stays last, a prompt, or something else."""
        began = time.monotonic()
        self.reader.write(f"{_ENABLE}\n".encode())
        raw = bytearray()
        echoed = 0.0
        while time.monotonic() < self.deadline and not self.turn.cancelled:
            raw += self.reader.take()
            lines = self._behind_echo(raw)
            if lines and not echoed:
                echoed = time.monotonic() - began
                self._settle = min(_SLOWEST, max(_SETTLED, 2 * echoed))
            line = lines[-1] if lines else ""
            if lines and re.fullmatch(self.profile.prompts.pattern, line):
                return _Answer(line, " and asked for no password")
            due = self.deadline - time.monotonic()
            if line.strip():
                quiet = self.reader.quiet()
                if quiet >= self._settle and _PASSWORD_LINE.fullmatch(line) and self._nothing_else(lines[:-1]):
                    return _Answer(line, password=True)
                if quiet >= _NO_MORE:
                    self.reader.write(INTERRUPT)
                    return _Answer("", ": its answer is no request for the enable secret", said=line)
                settled = _PASSWORD_LINE.fullmatch(line) and self._nothing_else(lines[:-1]) and quiet < self._settle
                due = min(due, (self._settle if settled else _NO_MORE) - quiet)
            self.reader.wait(max(due, 0.001))
        return _Answer("", " in time")

    def _nothing_else(self, lines: list[str]) -> bool:
        """Between our request and the prompt stands nothing but log lines: whatever else asks is not the device."""
        log_line = self.profile.log_line
        return all(not line.strip() or (log_line and re.match(log_line, line)) for line in lines)

    def _type(self, secret: str) -> None:
        """The secret, and Enter only when nothing of it comes back: at a password prompt nothing is echoed.

        What is echoed stands in a command line. Without Enter it is no command, and the session is given up.
        """
        self._typed += [secret] if secret else []
        if self.reader.take():  # the device moved on in this very moment
            raise self._moved_on()
        self.reader.write(secret.encode())
        until = time.monotonic() + self._settle
        while (left := until - time.monotonic()) > 0:
            if clean(self.reader.take()).strip("* \t"):  # some print a star for each character
                raise self._moved_on()
            self.reader.wait(left)
        self.reader.write(b"\n")

    def _moved_on(self) -> AuthenticationFailed:
        return AuthenticationFailed(
            "the device did not stay at its password prompt; the enable secret was not entered",
            device=self.device.name,
            hint="Log in by hand and see how the device answers `enable`. Without an `enable` reference, exec mode is "
            "used.",
        )

    def _granted(self) -> _Answer:
        """What comes behind the secret: something like a prompt, or the question again, which gets no answer."""
        raw = bytearray()
        line = ""
        while time.monotonic() < self.deadline and not self.turn.cancelled:
            raw += self.reader.take()
            line = last_line(clean(bytes(raw)))
            if _PASSWORD_LINE.fullmatch(line) or re.fullmatch(self.profile.prompts.pattern, line):
                break
            if line.strip() and self.reader.quiet() >= _NO_MORE:
                break
            due = self.deadline - time.monotonic()
            self.reader.wait(max(0.001, min(due, _NO_MORE - self.reader.quiet()) if line.strip() else due))
        if line.strip() and not re.fullmatch(self.profile.prompts.pattern, line):
            self.reader.write(INTERRUPT)
        return _Answer("", typed=True)

    def _mode_behind(self, answer: _Answer) -> str:
        """The mode that a proven prompt shows. What follows a secret may be it: it proves nothing and is not quoted."""
        self._prompt = None
        self.banner = answer.line
        return self.profile.mode(self._proven_behind_secret().line if answer.typed else self._proven().line)

    def _proven_behind_secret(self) -> Prompt:
        """The prompt; an error's own words cut what came, and with it the secret, so that no search would find it."""
        try:
            return self._proven()
        except PromptNotFound as error:
            partial = self._hidden(error.partial)
            raise PromptNotFound(
                "no prompt could be proven behind the enable secret",
                device=self.device.name,
                line=last_line(partial),
                effect="none",
                partial=partial,
                hint="Log in by hand and see how the device answers `enable`; it was tried once.",
            ) from None

    def _behind_echo(self, raw: bytearray) -> list[str]:
        """The lines of what came behind the echo of our `enable`; none while there is no such echo."""
        at = after_echo(bytes(raw), _ENABLE)
        if at is None:  # a log line came first
            start = max(0, raw.find(_ENABLE.encode()))
            at = after_echo(bytes(raw[start:]), _ENABLE)
            at = None if at is None else start + at
        return [] if at is None else clean(bytes(raw[at:])).split("\n")
