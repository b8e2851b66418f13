"""One shell channel on a network device: log in, run one line at a time, stop what runs, leave."""

from __future__ import annotations

import re
import time

import paramiko

from netssh_mcp.errors import (
    AuthenticationFailed,
    CommandInterrupted,
    CommandTimeout,
    NetsshError,
    OutputTooLarge,
    PromptNotFound,
    SessionError,
    SessionLost,
)
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply
from netssh_mcp.wire import drivers
from netssh_mcp.wire.framing import Exchange, Prompt, Split
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.sync import prove_prompt
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.turn import Turn

INTERRUPT = b"\x03"
_FIRST_PROMPT = 1.5  # seconds to wait for something like a prompt before asking for it with an empty line
_STOP = 0.6  # seconds that stopping a command may take before the session is given up
_WIDTH, _HEIGHT = 511, 1000  # as wide as IOS takes; Netmiko's own choice
_PASSWORD_LINE = re.compile(r"^\s*(?:enable )?[Pp]assword:\s*$")


class NetworkConnection:
    """A proven prompt and the one command that may be under way. Blocking; one thread at a time owns it."""

    def __init__(self, device: Device, profile: Profile, transport: paramiko.Transport, *, byte_limit: int) -> None:
        self.device = device
        self.profile = profile
        self.byte_limit = byte_limit
        self.events: list[str] = []
        self.prompt = Prompt("")
        self.banner = ""
        self._transport = transport
        self._reader: Reader | None = None

    # -- open ----------------------------------------------------------------------------------------------------

    def open(self, deadline: float, turn: Turn) -> None:
        """A shell, the platform's own preparation by its Netmiko driver, and a proven prompt."""
        channel = self._transport.open_session(timeout=max(0.1, deadline - time.monotonic()))
        channel.get_pty(term="vt100", width=_WIDTH, height=_HEIGHT)
        channel.invoke_shell()
        self._reader = reader = Reader(channel, self.device.name)
        turn.bind(reader.wake.set)
        self._prepare(reader, deadline, turn)
        self.prompt = prove_prompt(reader, self.profile, deadline, turn, before=self.banner)
        if not self.prompt.comments:
            # No nonce can be sent here: the prompt and silence have to do, and every result says so.
            self.profile = self.profile.model_copy(update={"comment": "", "pipelined": False})
            self.prompt = prove_prompt(reader, self.profile, deadline, turn)
        for line in self.profile.setup:
            self.run(line, deadline=deadline, turn=turn)
        if self.device.enable is not None and self.mode == "exec" and "enable" in self.profile.prompts.modes:
            self._enable(reader, deadline, turn)

    def _prepare(self, reader: Reader, deadline: float, turn: Turn) -> None:
        if self.profile.prepare == "setup":
            self.banner = self._first_prompt(reader, deadline, turn)
            return
        with_login = self.device.password is not None and drivers.needs_password(self.profile.netmiko_device_type)
        password = self.device.password.reveal() if with_login and self.device.password else ""
        connection = drivers.driver(
            self.profile.netmiko_device_type or self.profile.name, username=self.device.username, password=password
        )
        connection.attach(reader, self.profile, deadline)
        try:
            if drivers.handles_login(connection):
                connection.special_login_handler()
            else:
                self.banner = self._first_prompt(reader, deadline, turn)
                connection.unread(self.banner)
            connection.session_preparation()
            self.banner = ""  # its last line is no longer the last thing that came
        finally:
            connection.detach()

    def _first_prompt(self, reader: Reader, deadline: float, turn: Turn) -> str:
        """Banner and all, until something like a prompt stands last. After a while an empty line asks for it."""
        raw = bytearray()
        until = min(deadline, time.monotonic() + _FIRST_PROMPT)
        asked = False
        while True:
            raw += reader.take()
            text = clean(bytes(raw[-8192:]))
            if re.fullmatch(self.profile.prompts.pattern, last_line(text)):
                return clean(bytes(raw))
            if turn.cancelled:
                raise PromptNotFound("the login was cancelled", device=self.device.name, effect="none")
            now = time.monotonic()
            if now >= deadline:
                raise PromptNotFound(
                    f"logged in, but no prompt came; the last line was {last_line(text)[-80:]!r}",
                    device=self.device.name,
                    effect="none",
                    partial=clean(bytes(raw)),
                    hint="Check the platform in the inventory, and whether the login asks a question.",
                )
            if now >= until and not asked:
                asked, until = True, deadline
                reader.write(b"\n")
            reader.wait(until - now)

    def _enable(self, reader: Reader, deadline: float, turn: Turn) -> None:
        """Privileged mode. The secret is typed only when a password prompt is the last line, right after we asked."""
        assert self.device.enable is not None
        reader.write(b"enable\n")
        raw = bytearray()
        typed = False
        while True:
            raw += reader.take()
            line = last_line(clean(bytes(raw[-1024:])))
            if not typed and _PASSWORD_LINE.fullmatch(line):
                reader.write(self.device.enable.reveal().encode() + b"\n")
                typed = True
                raw.clear()
            elif re.fullmatch(self.profile.prompts.pattern, line) or (typed and _PASSWORD_LINE.fullmatch(line)):
                break
            if time.monotonic() >= deadline or turn.cancelled:
                break
            reader.wait(deadline - time.monotonic())
        if typed and _PASSWORD_LINE.fullmatch(last_line(clean(bytes(raw[-1024:])))):
            reader.write(INTERRUPT)  # asked again: the secret was wrong, and it is typed once only
        self.prompt = prove_prompt(reader, self.profile, deadline, turn)
        if self.mode != "enable":
            raise AuthenticationFailed(
                "logged in, but the device did not grant enable mode" + ("" if typed else " and asked for no password"),
                device=self.device.name,
                hint="Check this host's `enable` reference; it was tried once. Without it, exec mode is used.",
            )

    # -- one command ---------------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """The mode that the prompt shows: exec, enable, config, ... or "" when the profile does not know it."""
        return self.profile.mode(self.prompt.line)

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False) -> Reply:
        """One line and all of its output, its end proven. Any error but a refusal leaves `clean` to be asked for.

        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost; each keeps the text so far.
        """
        reader = self._require()
        started = time.monotonic()
        unfinished = self._take_unsolicited(reader)
        exchange = Exchange(self.profile, self.prompt, line, reads_logs=reads_logs)
        if unfinished:
            exchange.feed(unfinished)
        turn.partial = exchange.partial
        turn.bind(reader.wake.set)
        reader.write(exchange.first())
        try:
            self._until_done(reader, exchange, deadline, turn)
        except NetsshError as error:
            error.partial = error.partial or exchange.partial()
            raise
        split = exchange.split()
        self._checked(split)
        if split.prompt.line != self.prompt.line:
            self.prompt = prove_prompt(reader, self.profile, max(deadline, time.monotonic() + 1.0), turn)
        events, self.events = (*self.events, *split.events), []
        return Reply(split.output, split.framing, events, seconds=time.monotonic() - started)

    def _until_done(self, reader: Reader, exchange: Exchange, deadline: float, turn: Turn) -> None:
        while True:
            while data := reader.take():
                exchange.feed(data)
                if len(exchange.raw) > self.byte_limit:
                    raise self._given_up(exchange, turn, OutputTooLarge, f"more than {self.byte_limit} bytes came back")
            if turn.cancelled:
                raise self._given_up(exchange, turn, CommandInterrupted, "the call was cancelled")
            while text := turn.next_input():
                reader.write(text.encode())
                exchange.waiting = ""
            step = exchange.step(reader.quiet())
            turn.waiting, turn.question = exchange.waiting, exchange.question
            if step.done:
                return
            if step.send:
                reader.write(step.send)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._given_up(exchange, turn, CommandTimeout, "no proven end in time")
            reader.wait(left if step.wait is None else min(left, max(0.001, step.wait - reader.quiet())))

    def _given_up(self, exchange: Exchange, turn: Turn, error: type[SessionError], reason: str) -> SessionError:
        """Stop the command, and say whether the device really stopped."""
        partial = exchange.partial()
        waiting = exchange.waiting
        stopped = self._stop(waiting == "pager")
        asked = f" The device was asking: {exchange.question.strip()[-120:]!r}." if waiting else ""
        if stopped:
            after = "it was interrupted and the prompt is back"
            hint = "Raise `timeout`, or narrow the command."
        else:
            after = "the interrupt was not answered and the session was closed; the command may still be running"
            hint = "Check the device before repeating it; raise `timeout` if the command is slow."
        return error(
            f"{reason} after {exchange.line!r}; {after}.{asked}",
            device=self.device.name,
            hint=hint,
            partial=partial,
            effect="none" if stopped and error is not CommandTimeout else None,
        )

    def _stop(self, at_pager: bool) -> bool:
        """Ctrl-C, then the prompt proven again. False when the session is of no more use."""
        reader = self._require()
        try:
            self._interrupt(reader)
            try:
                self.prompt = prove_prompt(reader, self.profile, time.monotonic() + (_STOP / 2 if at_pager else _STOP))
            except PromptNotFound:
                if not at_pager:
                    raise
                reader.write(self.profile.pager.quit.encode())
                self.prompt = prove_prompt(reader, self.profile, time.monotonic() + _STOP / 2)
        except SessionError:
            self.close()
            return False
        return True

    def _interrupt(self, reader: Reader) -> None:
        """Ctrl-C, and wait a little for the prompt: a terminal throws away what is typed right behind a Ctrl-C."""
        reader.write(INTERRUPT)
        raw = bytearray()
        until = time.monotonic() + _STOP / 2
        while (left := until - time.monotonic()) > 0:
            raw += reader.take()
            if clean(bytes(raw[-512:])).endswith(self.prompt.line):
                return
            reader.wait(left)

    def _checked(self, split: Split) -> None:
        if split.pager_hit:
            self.close()
            raise SessionError(
                "a look-alike of the prompt came before a page prompt: the output may be cut; the session was closed",
                device=self.device.name,
                partial=split.output,
                hint="Run it again; turn paging off on the device if it stays on after login.",
            )

    def _take_unsolicited(self, reader: Reader) -> bytes:
        """What came since the last command is nobody's output: keep it as events.

        Returns the start of a line that is still coming, so that its end is not taken for the next command's.
        """
        raw = bytearray()
        while data := reader.take():
            raw += data
        if not raw:
            return b""
        *lines, rest = clean(raw).split("\n")
        kept = (line.removeprefix(self.prompt.line) for line in lines)
        self.events.extend(line for line in kept if line.strip())
        del self.events[:-200]
        return rest.removeprefix(self.prompt.line).encode()

    # -- the end -------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return self._reader is not None and self._reader.alive()

    def close(self) -> None:
        """Close the channel and the connection; never waits for the device."""
        if self._reader is not None:
            self._reader.channel.close()
        self._transport.close()

    def _require(self) -> Reader:
        if self._reader is None:
            raise SessionLost("the session is not open", device=self.device.name, effect="none")
        return self._reader
