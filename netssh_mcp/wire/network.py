"""One shell channel on a network device: log in, run one line at a time, stop what runs, leave."""

from __future__ import annotations

import re
import time

from netssh_mcp.errors import (
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
from netssh_mcp.wire.dialogue import Dialogue, one_line_each
from netssh_mcp.wire.echo import incomplete_escape, is_proof
from netssh_mcp.wire.framing import WAITING, Exchange, Prompt, Split
from netssh_mcp.wire.help import help_text
from netssh_mcp.wire.login import INTERRUPT, Login
from netssh_mcp.wire.order import PLAIN, Order
from netssh_mcp.wire.questions import question
from netssh_mcp.wire.reader import HEIGHT, WIDTH, Reader
from netssh_mcp.wire.sync import prove_prompt
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.transport import Link
from netssh_mcp.wire.turn import Turn, not_sent

_STOP = 0.6  # seconds that stopping a command may take before the session is given up
_DRAIN = 3.0  # seconds that a flood which is on its way already may take


class NetworkConnection:
    """A proven prompt and the one command that may be under way. Blocking; one thread at a time owns it."""

    def __init__(self, device: Device, profile: Profile, link: Link, *, byte_limit: int) -> None:
        self.device = device
        self.profile = profile
        self.byte_limit = byte_limit
        self.events: list[str] = []
        self.prompt = Prompt("")
        self._link = link
        self._reader: Reader | None = None

    # -- open ----------------------------------------------------------------------------------------------------

    def open(self, deadline: float, turn: Turn) -> None:
        """A shell, the platform's own preparation by its Netmiko driver, and a proven prompt."""
        self._reader = reader = self._link.telnet or self._shell(deadline)
        turn.bind(reader.wake.set)
        login = Login(self.device, self.profile, reader, deadline, turn, self._link.breaker)
        with login.hiding():
            self.prompt = login.prompt()
            self.profile = login.profile
            for line in self.profile.setup:
                login.events += self.run(line, deadline=deadline, turn=turn).events
        self.events = login.events

    def _shell(self, deadline: float) -> Reader:
        channel = self._link.transport.open_session(timeout=max(0.1, deadline - time.monotonic()))
        channel.get_pty(term="vt100", width=WIDTH, height=HEIGHT)
        channel.invoke_shell()
        return Reader(channel, self.device.name)

    # -- one command ---------------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """The mode that the prompt shows: exec, enable, config, ... or "" when the profile does not know it."""
        return self.profile.mode(self.prompt.line)

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False, order: Order = PLAIN) -> Reply:
        """One line and all of its output, its end proven. After an error the session is at a proven prompt, or closed.

        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost; each keeps the text so far.
        """
        reader = self._require()
        one_line_each(order.answers)
        started = time.monotonic()
        unfinished = self._take_unsolicited(reader)
        exchange = Exchange(self.profile, self.prompt, line, reads_logs=reads_logs)
        if unfinished:
            exchange.feed(unfinished)
        turn.bind(reader.wake.set)
        if turn.cancelled:
            raise not_sent(self.device.name, repr(line))
        turn.partial = exchange.partial
        turn.forget_input()  # a retry's: it answered a question of another session
        dialogue = Dialogue(reader, exchange, turn, order.answers)
        try:
            reader.write(exchange.first())
            self._until_done(reader, exchange, deadline, turn, dialogue)
        except NetsshError as error:
            error.partial = error.partial or exchange.partial()
            if dialogue.typed and isinstance(error, SessionLost):
                _after_an_answer(error)
            raise
        finally:
            self.events += dialogue.ended()
            turn.partial = str  # a turn lives as long as its job: it must not keep the raw bytes
            turn.forget_input()
        split = exchange.split()
        self._checked(split)
        if split.prompt.line != self.prompt.line:
            self.prompt = prove_prompt(reader, self.profile, max(deadline, time.monotonic() + _STOP), turn)
        events, self.events = (*self.events, *split.events), []
        return Reply(split.output, split.framing, events, seconds=time.monotonic() - started)

    def help(self, typed: str, *, deadline: float, turn: Turn) -> str:
        """The device's `?` behind `typed`; nothing is executed. After an error the session is closed."""
        reader = self._require()
        turn.bind(reader.wake.set)
        self._take_unsolicited(reader)
        try:
            return help_text(reader, self.profile, self.prompt, typed, deadline=deadline, turn=turn)
        except SessionError:
            self.close()
            raise

    def _until_done(self, reader: Reader, exchange: Exchange, deadline: float, turn: Turn, dialogue: Dialogue) -> None:
        while True:
            while data := reader.take():
                exchange.feed(data)
                if len(exchange.raw) > self.byte_limit:
                    raise self._given_up(exchange, OutputTooLarge, f"more than {self.byte_limit} bytes came back")
            if turn.cancelled:
                raise self._given_up(exchange, CommandInterrupted, "the call was cancelled")
            dialogue.take()
            step = exchange.step(reader.quiet())
            due = dialogue.look()
            if step.done:
                return
            if step.send:
                reader.write(step.send)
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._given_up(exchange, CommandTimeout, "no proven end in time")
            if step.wait is not None:
                left = min(left, max(0.001, step.wait - reader.quiet()))
            reader.wait(left if due is None else min(left, due))

    def _given_up(self, exchange: Exchange, error: type[SessionError], reason: str) -> SessionError:
        """Stop the command, and say whether the device really stopped."""
        partial = exchange.partial()
        waiting = exchange.waiting
        stopped = self._stop(waiting, drain=_DRAIN if error is OutputTooLarge else _STOP / 2)
        if stopped:
            after = "it was interrupted and the prompt is back"
            hint = error.hint
            if waiting:
                hint = "Nothing was answered. Run it again, and answer its question with job(action='input')."
        elif waiting:
            after = (
                "Ctrl-C was not answered, nothing else was typed, and the session was closed; the command may still run"
            )
            hint = "Check the device before repeating it: closing a session usually counts as no."
        else:
            after = "the interrupt was not answered and the session was closed; the command may still be running"
            hint = "Check the device before repeating it; raise `timeout` if the command is slow."
        return error(
            f"{reason} after {exchange.line!r}{'; the device was asking' if waiting else ''}; {after}",
            device=self.device.name,
            line=exchange.question.strip() if waiting else "",
            hint=hint,
            partial=partial,
            effect="none" if stopped and error is not CommandTimeout else None,
        )

    def _stop(self, asked: str, *, drain: float) -> bool:
        """Ctrl-C, then the prompt proven again. False when the session is of no more use.

        Where something is asked still, it is closed without another byte: whatever is typed could be the answer.
        """
        reader = self._require()
        at_pager = asked == "pager"
        try:
            line = self._interrupt(reader, _STOP if asked and not at_pager else drain)
            if not at_pager and self._takes_answers(line, asked, reader.quiet()):
                self.close()
                return False
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

    def _interrupt(self, reader: Reader, drain: float) -> str:
        """Ctrl-C, and wait a little for the prompt: a terminal throws away what is typed right behind a Ctrl-C.

        `drain` seconds at most, and only while text still pours in more than half of _STOP. Returns the last line.
        """
        reader.write(INTERRUPT)
        tail = b""
        until = time.monotonic() + drain
        while (left := until - time.monotonic()) > 0 and reader.quiet() < _STOP / 2:
            tail = (tail + reader.take())[-512:]
            if clean(tail).endswith(self.prompt.line):
                return self.prompt.line
            reader.wait(min(left, _STOP / 2))
        return last_line(clean(tail))

    def _takes_answers(self, line: str, asked: str, quiet: float) -> bool:
        """Whether what stands last after a Ctrl-C may read what is typed as an answer: a question, known or not."""
        if line == self.prompt.line:
            return False
        if reason := question(self.profile, line):
            return reason != "pager"
        prompt = re.fullmatch(self.profile.prompts.pattern, line) is not None
        return not prompt and bool(asked or (line and quiet >= WAITING))

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
        held = incomplete_escape(raw)
        *lines, rest = clean(raw[: len(raw) - len(held)]).split("\n")
        kept = (line.removeprefix(self.prompt.line) for line in lines)
        self.events.extend(line for line in kept if line.strip() and not is_proof(line))
        del self.events[:-200]
        return rest.removeprefix(self.prompt.line).encode() + held

    # -- a terminal ----------------------------------------------------------------------------------------------

    def hand_over(self) -> Reader:
        """The channel, at its prompt, for who types into it from now on; no command can be run here any more."""
        reader, self._reader = self._require(), None
        return reader

    # -- the end -------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return self._reader is not None and self._reader.alive()

    def answers(self) -> bool:
        """Whether the other side still answers, asked while nothing runs; within seconds."""
        return self.alive and self._link.answers()

    def close(self) -> None:
        """Close the connection, jump hosts included; never waits for the device."""
        self._link.close()

    def _require(self) -> Reader:
        if self._reader is None:
            raise SessionLost("the session is not open", device=self.device.name, effect="none")
        return self._reader


def _after_an_answer(lost: SessionLost) -> None:
    """A link that ends behind an answer may have ended because of it: `reload` does that."""
    lost.message += "; it ended after something was typed into the command"
    lost.retryable = False
    lost.hint = (
        "If the command ends the session once it is confirmed (reload, reboot), that is its success: look at the "
        "device again in some minutes. Do not repeat it before."
    )
