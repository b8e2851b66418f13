"""One command on a Linux host, on an exec channel of its own: two streams, exit status or signal, an open stdin.

The end is the channel's: its streams have ended and sshd has told how the command did. No marker is in its output, so
nothing that it prints can be taken for its end. stdin stays open: an answer, an input or a signal may still come.
"""

from __future__ import annotations

import re
import time

import paramiko

from netssh_mcp.errors import (
    AuthenticationFailed,
    CommandFailed,
    CommandInterrupted,
    CommandTimeout,
    FileRefused,
    NetsshError,
    OutputTooLarge,
    PromptNotFound,
    SessionError,
    SessionLost,
)
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply
from netssh_mcp.wire import exec_channel, script
from netssh_mcp.wire.answering import Answering
from netssh_mcp.wire.framing import new_nonce
from netssh_mcp.wire.halting import Sudo, halted, has_begun, signalled
from netssh_mcp.wire.order import Order
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.questions import question
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.sudo import SudoPrompt, not_known, refused
from netssh_mcp.wire.text import clean
from netssh_mcp.wire.turn import Turn, not_sent

_SILENCE = 0.15  # seconds after which a line without an end may be a question
_LINGER = 0.25  # seconds of silence, once the command has ended, until what holds its streams is left alone
_LINGER_MOST = 1.0  # and that long at most where it goes on printing
_REFUSAL = 4.0  # seconds after which sudo has taken the password: PAM waits 2 to 3 before it says no
_PID = 1.0  # seconds that a command which is to be stopped gets to say who it is
_TAIL = 8192  # bytes at the end of a stream that hold its last line
END_OF_INPUT = "\x04"
_SIGNAL = re.compile(r"[A-Z][A-Z0-9]{1,9}")
_WRONG = re.compile(r"sudo: \d+ ")  # sudo: 1 incorrect password attempt


class Execution:
    """One command, once. Blocking; `run` is called in a worker thread."""

    def __init__(
        self,
        shared: Shared,
        profile: Profile,
        line: str,
        order: Order,
        *,
        shell: bool,
        reads: bool,
        byte_limit: int,
    ) -> None:
        """`shell`: the line is shell text, else an argv quoted for a shell. `reads`: a stopped one has changed nothing.

        InputError for variables or users that are none.
        """
        script.checked_env(order.env)
        script.checked_user(order.sudo_user)
        self.device = shared.device.name
        self._shared, self._profile, self._line, self._order = shared, profile, line, order
        self._reads, self._limit = reads, byte_limit
        nonce = new_nonce()
        self._head = script.Head(nonce)
        self._sudo: SudoPrompt | None = None
        self._refused: AuthenticationFailed | None = None  # why the password that there is must not be tried
        self._nonce, self._shell = nonce, shell
        self._out, self._err = bytearray(), bytearray()
        self._answering = Answering(order.answers)
        self._last_is_err = False
        self._looked_at = 0  # bytes that had come when the last line was looked at
        self._asked = False  # it stands at a question
        self._answered_at = self._ended_at = self._started = 0.0
        self._events: list[str] = []
        self._over = False

    def _written(self, nonce: str, *, shell: bool) -> bytes:
        order = self._order
        if order.sudo and order.password is not None:
            self._refused = self._shared.sudo.again(self._shared.device, order.password)
            self._sudo = SudoPrompt(self.device) if self._refused is None else None
        if not order.sudo:
            return script.plain(nonce, self._line, shell=shell, cwd=order.cwd, env=order.env)
        prompt = self._sudo.prompt if self._sudo is not None else ""
        return script.under_sudo(
            nonce, self._line, shell=shell, cwd=order.cwd, env=order.env, user=order.sudo_user, prompt=prompt
        )

    def run(self, deadline: float, turn: Turn) -> Reply:
        """Its output, whatever its exit status; `deadline` is monotonic.

        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost, each with the text so far and with what
        has become of it; FileRefused (no such directory) and AuthenticationFailed (sudo) when it was not started.
        """
        if turn.cancelled:
            raise not_sent(self.device, repr(self._line[:200]))
        self._channel = self._shared.channel(min(deadline, time.monotonic() + self._shared.device.connect_timeout))
        self._reader = reader = Reader(self._channel, self.device)
        self._channel.status_event = reader.wake  # the exit status wakes us too
        turn.bind(reader.wake.set)
        turn.partial, turn.errors = self._first, self._second
        turn.forget_input()
        self._started = started = time.monotonic()
        try:
            self._send()
            self._until_ended(deadline, turn)
            reply = self._reply(time.monotonic() - started)
        except NetsshError as error:
            error.partial = error.partial or self._partial()
            raise
        finally:
            self._channel.close()
            turn.partial = turn.errors = str  # a turn lives as long as its job: it must not keep the raw bytes
            turn.forget_input()
        return reply

    def _send(self) -> None:
        try:
            exec_channel.start(self._channel, script.BOOTSTRAP, self._written(self._nonce, shell=self._shell))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._lost() from error

    # -- reading -------------------------------------------------------------------------------------------------

    def _until_ended(self, deadline: float, turn: Turn) -> None:
        while True:
            over = self._has_ended()
            while self._take():
                if self._size > self._limit:
                    raise self._given_up(OutputTooLarge, f"more than {self._limit} bytes came back")
            turn.pid = self._head.pid
            if over:
                return
            if turn.cancelled:
                raise self._given_up(CommandInterrupted, "the call was cancelled")
            now = time.monotonic()
            if now >= deadline:
                raise self._given_up(CommandTimeout, "the command did not end in time")
            if not self._head.pid and now - self._started > self._shared.device.connect_timeout:
                raise self._no_shell()
            unheard = 60.0 if self._head.pid else self._shared.device.connect_timeout
            self._reader.wait(min(deadline - now, self._converse(turn), self._lingering(now), unheard))

    def _has_ended(self) -> bool:
        """Before the last reads: what came before the end is there by then. SessionLost when it was no end."""
        channel = self._channel
        status = _told(channel)
        if status and (channel.eof_received or channel.closed):
            return True
        if channel.closed or not channel.get_transport().is_active():
            while self._take():
                pass
            if self._head.pid or not channel.get_transport().is_active():
                raise self._lost()
            raise self._no_shell()
        if status and not self._ended_at:
            self._ended_at = time.monotonic()
        if status and self._lingering(time.monotonic()) <= 0:
            self._events.append(
                "something that the command left in the background holds its output open; what it prints from here on "
                "is lost (redirect its output)"
            )
            return True
        return False

    def _lingering(self, now: float) -> float:
        """Seconds until streams that somebody else holds are left alone."""
        if not self._ended_at:
            return 60.0
        quiet_since = max(self._ended_at, self._reader.last_data)
        return max(0.0, min(quiet_since + _LINGER, self._ended_at + _LINGER_MOST) - now)

    def _take(self) -> bool:
        """Read what is there of both streams; whether anything was."""
        channel = self._channel
        err = self._reader.take_stderr()
        out = channel.recv(1 << 20) if channel.recv_ready() else b""
        if out:
            self._reader.last_data = time.monotonic()
            self._add_out(self._head.out(out))
        if err:
            self._add_err(self._head.err(err))
        return bool(out or err)

    def _add_out(self, data: bytes) -> None:
        if data:
            self._out += data
            self._last_is_err = False
            if self._sudo is not None:
                self._sudo.close()

    def _add_err(self, data: bytes) -> None:
        if data and self._sudo is not None and self._head.begun == "asks":
            password = self._order.password
            assert password is not None
            try:
                data = self._sudo.feed(data, password.reveal, self._tell)
            except AuthenticationFailed:
                if not has_begun(self._shared, self._head.pid):
                    self._shared.sudo.note(self._shared.device, password)
                    raise
                self._sudo.close()  # not sudo has printed that, but its command
                data = self._sudo.rest()
        if data:
            self._err += data
            self._last_is_err = True

    def _tell(self, password: bytes) -> None:
        self._write(password)
        self._answered_at = time.monotonic()

    @property
    def _size(self) -> int:
        return len(self._out) + len(self._err) + self._head.size

    def _partial(self) -> str:
        """The text so far. May be called from another thread."""
        return self._first() + self._second()

    def _first(self) -> str:
        return clean(bytes(self._out))

    def _second(self) -> str:
        return clean(bytes(self._err))

    # -- talking with it -----------------------------------------------------------------------------------------

    def _converse(self, turn: Turn) -> float:
        """Signals, inputs, answers and questions; seconds until there is something to look at again."""
        if name := turn.take_signal():
            self._pass_on(name)
        if self._listens() and (text := turn.take_input()):
            self._type(text)
        if self._size == self._looked_at:
            return 60.0 if self._listens() else 0.2
        quiet = self._reader.quiet()
        if quiet < _SILENCE:
            turn.ask("", "")
            self._asked = False
            return _SILENCE - quiet
        self._looked_at = self._size
        line = self._last_line()
        if line and (answer := self._answering.to(line)) is not None:
            self._write(answer)
            return 60.0
        reason = question(self._profile, line) if line else ""
        self._asked = bool(reason)
        turn.ask(reason, line if reason else "")
        return 60.0 if self._listens() else 0.2

    def _listens(self) -> bool:
        """Whether what is typed is the command's: never while it could be taken for a password."""
        if self._sudo is None or self._head.begun in ("go", "free"):
            return True
        if not self._answered_at:
            return self._asked or bool(self._out)
        return self._asked or bool(self._out) or time.monotonic() - self._answered_at > _REFUSAL

    def _type(self, text: str) -> None:
        self._asked = False
        if text != END_OF_INPUT:
            self._write(text.encode())
            return
        self._in_order()
        try:
            self._channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException):  # it has ended meanwhile, which is looked at next
            self._reader.wake.set()

    def _write(self, data: bytes) -> None:
        self._in_order()
        if self._channel.closed or self._channel.eof_sent:
            self._events.append("an input was not typed: the command does not read any more")
            return
        self._reader.write(data)

    def _in_order(self) -> None:
        """From the first input on, nothing may go out behind the channel's end: sshd would end the connection."""
        if not isinstance(self._channel.transport, Orderly):
            self._channel.transport = Orderly(self._shared.transport)  # type: ignore[assignment]  # all that it needs

    def _pass_on(self, name: str) -> None:
        why = signalled(self._shared, self._head.pid, self._as_sudo(), name) if _SIGNAL.fullmatch(name) else "no name"
        if why:
            self._events.append(f"the signal {name[:20]!r} was not sent: {why}")

    def _last_line(self) -> str:
        """What stands behind the last newline of the stream that spoke last, or else of the other one."""
        for raw in (self._err, self._out) if self._last_is_err else (self._out, self._err):
            if tail := bytes(raw[-_TAIL:]).rpartition(b"\n")[2]:
                return clean(tail)
        return ""

    # -- its end -------------------------------------------------------------------------------------------------

    def _reply(self, seconds: float) -> Reply:
        if self._sudo is not None:
            self._err += self._sudo.rest()
        status, ended_by = exec_channel.exit_status(self._channel), exec_channel.exit_signal(self._channel)
        if not self._head.begun:
            raise self._not_started(status)
        out, err = clean(self._out), clean(self._err)
        if self._order.sudo and status == 1 and not out:
            self._judge_sudo(err.strip())
        noise = [line for line in clean(self._head.noise).split("\n") if line.strip()][:50]
        return Reply(
            out, "proven", (*noise, *self._events), exit_status=status, stderr=err, seconds=seconds, signal=ended_by
        )

    def _judge_sudo(self, err: str) -> None:
        """AuthenticationFailed when sudo asked, nobody could answer or the answer was wrong, and it says so itself."""
        last = err.rpartition("\n")[2]
        if self._head.begun != "asks":
            return
        if self._sudo is not None and self._sudo.answered and _WRONG.match(last):
            self._shared.sudo.note(self._shared.device, self._order.password)
            raise refused(self.device, last)
        if self._sudo is None and err == last and last.startswith("sudo: "):
            raise self._refused or not_known(self.device, last)

    def _not_started(self, status: int | None) -> NetsshError:
        said = clean(self._head.rest()).strip()
        if not self._head.pid:
            return self._no_shell()
        line = said.rpartition("\n")[2]
        if self._head.no_directory:
            return FileRefused(
                f"the command was not started: there is no way into the directory {self._order.cwd!r}",
                device=self.device,
                line=line,
                hint="Correct `cwd`. It is entered as the login user, also under sudo: where only root may enter, "
                "leave `cwd` out and use absolute paths.",
            )
        failed = CommandFailed(
            "the command was not started: its variables could not be set",
            device=self.device,
            line=line,
            partial=said,
            hint="Leave out variables that the shell keeps for itself, such as PPID.",
            effect="none",
        )
        failed.exit_status = status
        return failed

    def _no_shell(self) -> PromptNotFound:
        return PromptNotFound(
            "logged in, but no POSIX shell ran the command",
            device=self.device,
            partial=clean(self._head.rest()),
            hint="Check that this host is Linux and that its user may run commands (no ForceCommand, no menu).",
        )

    def _lost(self) -> SessionLost:
        self._channel.transport = self._shared.transport  # for the name of a jump host that went away
        self._reader.ended = "the host ended the command's channel and did not say how the command ended"
        error = self._reader.lost()
        if self._head.pid:
            error.message += f"; the command may still run there, pid {self._head.pid}"
        return error

    def _as_sudo(self) -> Sudo | None:
        if not self._order.sudo:
            return None
        return Sudo(self._order.sudo_user, self._order.password if self._head.begun == "asks" else None)

    def _given_up(self, error: type[SessionError], reason: str) -> SessionError:
        """Stop the command on the host; say whether it has really stopped."""
        self._hear_pid()
        partial = self._partial()
        if self._sudo is not None and self._head.begun == "asks" and not self._answered_at:
            self._type(END_OF_INPUT)  # sudo still asks: at the end of its input it gives up
        halt = halted(self._shared, self._head.pid, self._as_sudo(), self._channel, self._drained)
        harmless = halt.stopped and self._reads and error is not CommandTimeout
        return error(
            f"{reason}; {halt.words(self._head.pid)}",
            device=self.device,
            partial=partial,
            hint=halt.hint(self._head.pid),
            effect="none" if harmless else None,
        )

    def _hear_pid(self) -> None:
        """Without it nothing can be stopped: what is cancelled in its first moments has to say who it is."""
        until = time.monotonic() + _PID
        while not self._head.pid and not self._channel.closed and (left := until - time.monotonic()) > 0:
            if not self._take():
                self._reader.wait(left)

    def _drained(self, until: float) -> bool:
        """Throw away what still comes until the streams and the command have ended, or `until`; whether they have."""
        while True:
            channel = self._channel
            over = _told(channel) and bool(channel.eof_received or channel.closed)
            while self._reader.take_stderr() or (channel.recv_ready() and channel.recv(1 << 20)):
                pass
            left = until - time.monotonic()
            if over or left <= 0 or channel.closed:
                return over
            self._reader.wait(left)


def _told(channel: paramiko.Channel) -> bool:
    """Whether sshd has said how the command ended."""
    return exec_channel.exit_status(channel) is not None or bool(exec_channel.exit_signal(channel))
