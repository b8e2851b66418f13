"""A user's own shell on a Linux host, kept: a directory, variables, functions are there for the next command.

It is fed through pipes, without a terminal and without its rc files, so no prompt, theme or key binding can matter.
It is interactive all the same, since only then does an interrupt end all of a command's text: another shell would go
on behind the program that was interrupted, with `make; rm -r build` at `rm`.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import paramiko

from netssh_mcp.errors import (
    AuthenticationFailed,
    CommandFailed,
    CommandInterrupted,
    CommandTimeout,
    Effect,
    FileRefused,
    InputError,
    NetsshError,
    OutputTooLarge,
    PromptNotFound,
    SessionError,
    SessionLost,
)
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply
from netssh_mcp.wire import remote
from netssh_mcp.wire.fifo import Fifo
from netssh_mcp.wire.framing import Prompt, new_nonce
from netssh_mcp.wire.kept_command import Command
from netssh_mcp.wire.markers import Framed
from netssh_mcp.wire.order import PLAIN, Order
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.script import checked_env
from netssh_mcp.wire.shell_speech import KIND, OWN, PLAIN_SHELL, SETUP, Speech, without_noise
from netssh_mcp.wire.shell_stop import Stopping
from netssh_mcp.wire.shell_stream import begun, ends_by, reader_of, until_end
from netssh_mcp.wire.text import clean
from netssh_mcp.wire.turn import Turn, not_sent

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared

_STOP: Final = 0.7  # seconds for a step of stopping a command
_LAST: Final = 0.5  # seconds in which the exit status follows the end of a shell
_SUDO_GIVES_UP: Final = 5.0  # PAM waits for 2 to 3 behind a wrong password
_SIGNAL: Final = re.compile(r"[A-Z][A-Z0-9]{1,9}")
_MARK: Final = re.compile(r"\d{16}[+-](?: \d+)?")  # a marker that came behind the end of what it was for

_EVENTS: Final = 200  # lines that came unasked that are kept for the next reply
_INTERRUPTED: Final = 130  # the status of a command that was stopped, as shells have it


class LoginShell:
    """A shell and the one command that may be under way. Blocking; one thread at a time owns it."""

    def __init__(self, shared: Shared, profile: Profile, *, byte_limit: int) -> None:
        """`shared` is left when the shell is closed."""
        self.device = shared.device
        self.profile = profile
        self.byte_limit = byte_limit
        self.events: list[str] = []
        self.prompt = Prompt("")
        self.mode = "shell"
        self.cwd = ""
        self.pid = 0
        self._shared = shared
        self._reader: Reader | None = None
        self._speech = Speech("")
        self._status = 0  # of the last command: the next one's $?
        self._background: frozenset[int] = frozenset()
        self._after = bytearray()  # what came behind the end of the last command, of the background
        self._running = self._killing = self._closed = False

    # -- open ----------------------------------------------------------------------------------------------------

    def open(self, deadline: float, turn: Turn) -> None:
        """The user's own shell; where that does not answer (its profile runs another program, or waits), /bin/sh."""
        half = (time.monotonic() + deadline) / 2
        try:
            self._start(OWN, half, turn)
        except (CommandTimeout, SessionLost) as first:
            if not self._shared.alive:
                raise
            self._drop_channel()
            try:
                self._start(PLAIN_SHELL, deadline, turn)
            except (CommandTimeout, SessionLost) as error:
                raise PromptNotFound(
                    "logged in, but no POSIX shell answered",
                    device=self.device.name,
                    effect="none",
                    partial=error.partial or first.partial,
                    hint="Check that its user may run commands (no ForceCommand, no menu).",
                ) from error
            self.events.append("the user's own shell did not answer after its profile, so this is /bin/sh without it")

    def _start(self, script: str, deadline: float, turn: Turn) -> None:
        channel = self._shared.channel(deadline)
        self._reader = reader = reader_of(channel, self.device.name, turn)
        self.pid = begun(channel, reader, script, deadline, turn)
        # Not before: what the login shell runs for every command (bash's ~/.bashrc) could read it.
        try:
            self._speech = Speech("")
            reader.write(f"{SETUP}; {self._speech.setup}\n".encode())
            self._speech = Speech(self._asked(KIND, deadline, turn).strip())
            reader.write(f"{self._speech.setup}\n".encode())
            self._asked(":", deadline, turn)
        except (CommandTimeout, CommandInterrupted):
            remote.signal(self._shared, "KILL", [-self.pid], time.monotonic() + _STOP)  # it hangs in its profile
            raise
        self.events = []

    def _asked(self, line: str, deadline: float, turn: Turn) -> str:
        """The output of a line of ours."""
        return clean(self._done(line, deadline, turn).out)

    def _done(self, line: str, deadline: float, turn: Turn) -> Framed:
        framed = Framed(new_nonce())
        self._require().write(framed.feed(line, self._speech.word, self._speech.own))
        self._until_end(Command(framed, "", PLAIN), deadline, turn)
        self._taken(framed)
        return framed

    def _prepare(self, order: Order, deadline: float, turn: Turn) -> None:
        """Directory and variables. FileRefused, CommandFailed: then the command is not sent."""
        before = self._status  # what `$?` will be, all the same
        if order.cwd:
            framed = self._done(self._speech.entered(order.cwd), deadline, turn)
            if self._status:
                raise FileRefused(
                    f"the command was not started: there is no way into the directory {order.cwd!r}",
                    device=self.device.name,
                    line=clean(framed.err).strip().rpartition("\n")[2],
                    hint="Correct `cwd`. The session is where it was.",
                )
        if order.env:
            framed = self._done(self._speech.exported(order.env), deadline, turn)
            if self._status:
                raise CommandFailed(
                    "the command was not started: its variables could not be set",
                    device=self.device.name,
                    line=clean(framed.err).strip().rpartition("\n")[2],
                    hint="Leave out variables that the shell keeps for itself, such as PPID.",
                    effect="none",
                )
        self._status = before

    # -- one command ---------------------------------------------------------------------------------------------

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False, order: Order = PLAIN) -> Reply:
        """One command, or a whole text, in this shell itself; its output, its stderr and its exit status.

        `order.cwd` and `order.env` stay in the shell. What ends the shell (`exit 3`) is told in the reply's `events`.
        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost, each with the text so far;
        AuthenticationFailed (sudo) and InputError when it was not started.
        """
        del reads_logs
        reader = self._require()
        started = time.monotonic()
        checked_env(order.env)
        command = Command.of(self._shared, line, order)
        turn.bind(reader.wake.set)
        if turn.cancelled:
            raise not_sent(self.device.name, repr(line[:200]))
        turn.forget_input()
        turn.partial, turn.errors, turn.pid = command.framed.first, command.framed.second, self.pid
        self._running = True
        try:
            self._prepare(order, deadline, turn)
            with self._stdin(command, deadline):
                ended = self._exchange(reader, command, deadline, turn)
        except (AuthenticationFailed, FileRefused):  # nothing has run, and what was said stands in the error
            raise
        except NetsshError as error:
            if not command.given_up:
                error.partial = error.partial or command.framed.partial()
            raise
        finally:
            self._running = False
            turn.partial = turn.errors = str  # a turn lives as long as its job: it must not keep the raw bytes
            turn.forget_input()
        return self._reply(command, ended, time.monotonic() - started)

    def _exchange(self, reader: Reader, command: Command, deadline: float, turn: Turn) -> int | None:
        """Send it and read to its end. The exit status of the shell itself if that ended."""
        speech, framed, sudo = self._speech, command.framed, command.sudo
        reader.write(
            framed.feed(
                speech.command(command.text, command.path, self._status),
                speech.word,
                speech.own,
                before=speech.remembered(command.line) + (sudo.exported if sudo else ""),
                behind=sudo.removed if sudo else "",
            )
        )
        try:
            self._until_end(command, deadline, turn)
        except AuthenticationFailed:  # sudo asks a second time: at the end of its input it gives up
            command.end_input()
            if not self._ends_by(framed, time.monotonic() + _SUDO_GIVES_UP):
                self.close()
            else:
                self._taken(framed)
            raise
        except (CommandTimeout, CommandInterrupted, OutputTooLarge) as error:
            raise self._given_up(error, command) from None
        except SessionLost as error:
            framed.ended()  # what came with the end has not been looked at
            return self._exited(error)
        self._taken(framed)
        if framed.status is None:  # by a signal that was asked for: where the shell is now was not told
            self._asked(f"(exit {_INTERRUPTED})", max(deadline, time.monotonic() + _STOP), Turn())
        return None

    @contextlib.contextmanager
    def _stdin(self, command: Command, deadline: float) -> Iterator[None]:
        """What the command reads: a FIFO where it may be answered, or else nothing."""
        if not command.needs_input:
            yield
            return
        command.fifo = fifo = Fifo(self._shared, deadline)
        try:
            yield
        finally:
            fifo.close()

    def _until_end(self, command: Command, deadline: float, turn: Turn) -> None:
        reader, limit = self._require(), self.byte_limit
        until_end(reader, command, self.profile, deadline, turn, byte_limit=limit, pass_on=self._pass_on)

    def _ends_by(self, framed: Framed, until: float) -> bool:
        return ends_by(self._require(), framed, until)

    def _taken(self, framed: Framed) -> None:
        framed.cut()
        if framed.status is not None:
            self._status, self.cwd, self._background = framed.status, framed.cwd or self.cwd, framed.background
        lines = clean(bytes(self._after + framed.before)).split("\n")
        self._after = framed.after
        self.events += [line for line in lines if line.strip() and not _MARK.fullmatch(line)]
        del self.events[:-_EVENTS]

    def _reply(self, command: Command, ended: int | None, seconds: float) -> Reply:
        framed, events = command.framed, (*self.events, *command.events)
        self.events = []
        out, err, status = clean(framed.out), without_noise(clean(framed.err)), framed.status
        if ended is not None:
            events = (*events, f"the shell ended with this command, exit status {ended}: the next one gets a new shell")
            err, status = err.removesuffix("exit\n"), ended  # bash says so
        elif command.sudo is not None and status is not None:
            command.sudo.judge(status, out, err)
        return Reply(
            out,
            "proven",
            events=events,
            exit_status=status,
            stderr=err,
            seconds=seconds,
            signal="INT" if status is None else "",
            cwd=self.cwd,
        )

    def _exited(self, lost: SessionLost) -> int:
        """The status with which the shell itself has ended; raises `lost` when it has not, or by a signal."""
        if self._closed:
            raise CommandInterrupted(
                "the session was closed while the command ran; it was killed if it could be reached",
                device=self.device.name,
                hint="Look at the host before repeating it.",
            ) from lost
        channel = self._require().channel
        channel.status_event.wait(_LAST)
        status, self._running = channel.exit_status, False  # what it left in the background is not killed
        reached = self._shared.alive
        self.close()
        if status < 0 or not reached:
            raise lost
        return status

    # -- stopping ------------------------------------------------------------------------------------------------

    def _pass_on(self, name: str, command: Command) -> None:
        """A signal that the caller wants. INT also ends the rest of a text, as on a terminal."""
        went = bool(_SIGNAL.fullmatch(name)) and self._stopping(_STOP, command).signal(name)
        if went and name == "INT" and command.sudo is None:
            self._require().write(command.framed.instead(new_nonce(), self._speech.word, self._speech.own))
        if not went:
            command.events.append(f"the signal {name[:20]!r} was not sent: nothing of the command took it")

    def _stopping(self, seconds: float, command: Command) -> Stopping:
        return Stopping(self._shared, self.pid, self._background, command, time.monotonic() + seconds)

    def _given_up(self, error: SessionError, command: Command) -> SessionError:
        """Stop the command, keep the shell if it can be kept, and say what came of it."""
        partial, command.given_up = command.framed.partial(), True  # what comes from here on is not its own
        effect: Effect | None = None if isinstance(error, CommandTimeout) else "none"
        after, hint = "it was interrupted, and the session goes on", error.hint
        if not self._stopped(command):
            left = self._stopping(_LAST, command).kill_all()
            after = "it was killed, and the session's shell with it; the next command gets a new shell"
            if left is None:
                effect, after = None, "the host did not answer, so stopping it is not confirmed; the session is closed"
                hint = f"Look there at process group {self.pid}: it may still run."
            elif left:
                effect, after = None, f"it was not stopped, and the session is closed: pid {_listed(left)} still runs"
                hint = "Stop it there, as the user that it runs as."
            self.close()
        return type(error)(
            f"{error.message}; {after}", device=self.device.name, hint=hint, effect=effect, partial=partial
        )

    def _stopped(self, command: Command) -> bool:
        """Whether the command has ended and the shell is back."""
        if command.sudo is not None:
            stopping = self._stopping(2 * _STOP, command)
            stopping.halt(lambda until: self._ends_by(command.framed, until))
            command.end_input()
            return self._back(stopping.until)
        stopping = self._stopping(_STOP, command)
        told = stopping.signal("INT")
        command.end_input()  # behind the interrupt, or what follows a `read` would still run
        if told and self._back(stopping.until):
            return True
        # Only where nothing stands behind it that would run then.
        stopping = self._stopping(_LAST, command)
        return told and not command.order.shell and stopping.kill_below() and self._back(stopping.until)

    def _back(self, until: float) -> bool:
        """The shell answers: what it was running has ended, or its end is not waited for any more."""
        framed = Framed(new_nonce())
        try:
            self._require().write(framed.feed(f"(exit {_INTERRUPTED})", self._speech.word, self._speech.own))
        except SessionLost:
            return False
        if not self._ends_by(framed, until):
            return False
        framed.before.clear()  # of the command that is given up
        self._taken(framed)
        return True

    # -- the end -------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return not self._closed and self._reader is not None and self._shared.alive and self._reader.alive()

    def answers(self) -> bool:
        """Whether the host still answers; within seconds."""
        return self.alive and self._shared.answers()

    def help(self, typed: str, *, deadline: float, turn: Turn) -> str:  # noqa: ARG002 - the protocol's
        """A shell has no `?`."""
        raise InputError("a shell has no `?` to ask", device=self.device.name, hint="Ask it with `man` or `--help`.")

    def close(self) -> None:
        """End the shell, and what runs in it; never waits for the host."""
        if self._closed:
            return
        self._closed = True
        self._killing = self._running
        threading.Thread(target=self._end, name="netssh-shell-end", daemon=True).start()

    def _end(self) -> None:
        """In a thread of its own: on a dead link it takes a moment."""
        if self._killing and self.pid:
            remote.signal(self._shared, "KILL", [-self.pid], time.monotonic() + _STOP)
        self._drop_channel()
        self._shared.close()

    def _drop_channel(self) -> None:
        if self._reader is not None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                self._reader.channel.close()

    def _require(self) -> Reader:
        if self._reader is None or self._closed:
            raise SessionLost("the session is not open", device=self.device.name, effect="none")
        return self._reader


def _listed(pids: list[int]) -> str:
    return ", ".join(map(str, pids[:5])) + (" ..." if len(pids) > 5 else "")
