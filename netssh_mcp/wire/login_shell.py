"""A user's own shell on a Linux host, kept: a directory, variables, functions are there for the next command.

It is fed through pipes, without a terminal and without its rc files, so no prompt, theme or key binding can matter.
It is interactive all the same, since only then does an interrupt end all of a command's text: another shell would go
on behind the program that was interrupted, with `make; rm -r build` at `rm`.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import paramiko

from netssh_mcp.errors import (
    CommandInterrupted,
    CommandTimeout,
    Effect,
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
from netssh_mcp.wire.markers import Framed
from netssh_mcp.wire.order import PLAIN, Order
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean
from netssh_mcp.wire.turn import Turn, not_sent

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared

_STOP: Final = 0.4  # seconds for each of the steps of stopping a command
_LAST: Final = 0.5  # seconds in which the exit status follows the end of a shell
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ONE_COMMAND: Final = re.compile(r"[^;&|\n(){}`$<>]*")

# The login shell reads its profile without a terminal (that is where PATH and the like come from), from /dev/null, and
# becomes a clean one that reads from us. No single quotes, no line breaks: the login shell may be any, csh for one.
_NEXT: Final = "<&7 7<&-"
_OWN: Final = (
    'case "$SHELL" in '
    f'*/bash) exec "$SHELL" -l -c "exec \\"\\$0\\" --noprofile --norc --noediting -i {_NEXT}" '
    '"$SHELL" 7<&0 </dev/null;; '
    f'*/zsh) exec "$SHELL" -l -c "exec \\"\\$0\\" -f -i {_NEXT}" "$SHELL" 7<&0 </dev/null;; '
    "*/ksh|*/ksh93|*/mksh|*/dash|*/ash|*/sh) "
    f'exec "$SHELL" -l -c "ENV=/dev/null exec \\"\\$0\\" -i {_NEXT}" "$SHELL" 7<&0 </dev/null;; '
    "esac; ENV=/dev/null exec /bin/sh -i"
)
_PLAIN_SHELL: Final = "ENV=/dev/null exec /bin/sh -i"
# First thing of all, on a line of its own, understood by all of them. Pagers would have no terminal anyway.
_SETUP: Final = (
    "PS1= PS2= ; unset HISTFILE ENV PROMPT_COMMAND MAILCHECK; "
    "export PAGER=cat SYSTEMD_PAGER=cat GIT_PAGER=cat TERM=dumb"
)
_KIND: Final = 'if [ -n "$BASH_VERSION" ]; then echo bash; elif [ -n "$ZSH_VERSION" ]; then echo zsh; else echo; fi'
_EVENTS: Final = 200  # lines that came unasked that are kept for the next reply
_INTERRUPTED: Final = 130  # the status of a command that was stopped, as shells have it


class _Heard(threading.Event):
    """Paramiko sets it when the exit status is known, or the channel has ended; who reads is woken then, too."""

    def __init__(self, wake: threading.Event) -> None:
        super().__init__()
        self._wake = wake

    def set(self) -> None:
        super().set()
        self._wake.set()


class _Speech:
    """How to speak to one kind of shell: a word that makes the next one a built-in, and descriptors for the markers."""

    def __init__(self, kind: str) -> None:
        self.word = "\\builtin" if kind == "zsh" else "\\command"
        self.own = (250, 251) if kind == "bash" else (8, 9)  # POSIX knows one digit; in bash 3 to 9 are the user's
        self._history = {"bash": "history -s --", "zsh": "print -sr --"}.get(kind, "")
        self.setup = f"exec {self.own[0]}>&1 {self.own[1]}>&2"
        if kind == "bash":
            self.setup += "; set +o history +o histexpand"
        elif kind == "zsh":
            self.setup += "; unsetopt bang_hist monitor prompt_cr"

    def remembered(self, line: str) -> str:
        """Puts the command, as it was typed, into the shell's history."""
        return f"{self.word} {self._history} {shlex.quote(line)}; " if self._history else ""

    def command(self, text: str, stdin: str, status: int, order: Order) -> str:
        """The command, in this shell itself. A syntax error in it stays its own; `$?` is that of the one before."""
        out, err = self.own
        run = f"{self.word} eval {shlex.quote(text)} <{shlex.quote(stdin)} {out}>&- {err}>&-"
        steps = [f"{self.word} cd -- {shlex.quote(order.cwd)} >/dev/null"] if order.cwd else []
        steps += [f"{self.word} export {shlex.quote(f'{name}={value}')}" for name, value in order.env.items()]
        if steps:
            return " && ".join([*steps, run])
        return f"{{ (exit {status}); }} 2>/dev/null || {run}" if status else run


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
        self._speech = _Speech("")
        self._status = 0  # of the last command: the next one's $?
        self._background: frozenset[int] = frozenset()
        self._running = self._killing = self._closed = False

    # -- open ----------------------------------------------------------------------------------------------------

    def open(self, deadline: float, turn: Turn) -> None:
        """The user's own shell; where that does not answer (its profile runs another program, or waits), /bin/sh."""
        half = (time.monotonic() + deadline) / 2
        try:
            self._start(_OWN, half, turn)
        except (CommandTimeout, SessionLost) as first:
            if not self._shared.alive:
                raise
            self._drop_channel()
            try:
                self._start(_PLAIN_SHELL, deadline, turn)
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
        self._reader = reader = Reader(channel, self.device.name)
        reader.ended = "the shell on the host ended, killed or by itself"
        turn.bind(reader.wake.set)
        channel.status_event = _Heard(reader.wake)
        hello = f"netssh-{new_nonce()}"
        channel.exec_command(f"exec /bin/sh -c 'echo {hello} $$; {script}'")
        self.pid = self._hello(reader, f"{hello} ".encode(), deadline, turn)
        # Not before: what the login shell runs for every command (bash's ~/.bashrc) could read it.
        try:
            self._speech = _Speech("")
            reader.write(f"{_SETUP}; {self._speech.setup}\n".encode())
            self._speech = _Speech(self._asked(_KIND, deadline, turn).strip())
            reader.write(f"{self._speech.setup}\n".encode())
            self._asked(":", deadline, turn)
        except (CommandTimeout, CommandInterrupted):
            remote.signal(self._shared, "KILL", [-self.pid], _STOP)  # it hangs in its profile
            raise
        self.events = []

    def _hello(self, reader: Reader, hello: bytes, deadline: float, turn: Turn) -> int:
        """The shell's process, which is that of its group, too."""
        said = b""
        while not (found := re.search(re.escape(hello) + rb"(\d+)\n", said)):
            while data := reader.take():
                said += data
            self._check(deadline, turn)
            if hello not in said:
                reader.wait(deadline - time.monotonic())
        return int(found[1])

    def _asked(self, line: str, deadline: float, turn: Turn) -> str:
        """The output of a line of ours."""
        framed = Framed(new_nonce())
        self._require().write(framed.feed("", line, self._speech.word, self._speech.own))
        self._until_end(framed, deadline, turn, None)
        self._taken(framed)
        return clean(framed.out)

    # -- one command ---------------------------------------------------------------------------------------------

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False, order: Order = PLAIN) -> Reply:
        """One command, or a whole text, in this shell itself; its output, its stderr and its exit status.

        `order.cwd` and `order.env` stay in the shell. What ends the shell (`exit 3`) is told in the reply's `events`.
        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost; each keeps the text so far.
        """
        del reads_logs
        reader = self._require()
        started = time.monotonic()
        turn.bind(reader.wake.set)
        if turn.cancelled:
            raise not_sent(self.device.name, repr(line))
        turn.forget_input()
        for name in order.env:
            if not _VARIABLE.fullmatch(name):
                raise InputError(f"{name[:40]!r} is not a variable's name", device=self.device.name)
        framed = Framed(new_nonce())
        turn.partial = framed.partial
        self._running = True
        try:
            ended = self._exchange(reader, framed, line, order, deadline, turn)
        except NetsshError as error:
            error.partial = error.partial or framed.partial()
            raise
        finally:
            self._running = False
            turn.partial = str  # a turn lives as long as its job: it must not keep the raw bytes
            turn.forget_input()
        return self._reply(framed, ended, time.monotonic() - started)

    def _exchange(
        self, reader: Reader, framed: Framed, line: str, order: Order, deadline: float, turn: Turn
    ) -> int | None:
        """Send it and read to its end. The exit status of the shell itself if that ended."""
        with self._stdin(order, deadline) as stdin:
            path = stdin.path if stdin is not None else "/dev/null"
            command = self._speech.command(line, path, self._status, order)
            reader.write(framed.feed(self._speech.remembered(line), command, self._speech.word, self._speech.own))
            try:
                self._until_end(framed, deadline, turn, stdin)
            except (CommandTimeout, CommandInterrupted, OutputTooLarge) as error:
                raise self._given_up(error, line) from None
            except SessionLost as error:
                return self._exited(error)
        self._taken(framed)
        return None

    @contextlib.contextmanager
    def _stdin(self, order: Order, deadline: float) -> Iterator[Fifo | None]:
        """What the command reads: a FIFO where it may be answered, or else nothing."""
        if not order.answers:
            yield None
            return
        fifo = Fifo(self._shared, deadline)
        try:
            yield fifo
        finally:
            fifo.close()

    def _until_end(self, framed: Framed, deadline: float, turn: Turn, stdin: Fifo | None) -> None:
        reader = self._require()
        while True:
            while framed.take(reader):
                if framed.size > self.byte_limit:
                    raise OutputTooLarge(f"more than {self.byte_limit} bytes came back")
            if framed.ended():
                return
            if reader.channel.exit_status >= 0:  # what it left in the background still has its streams
                raise reader.lost()
            self._check(deadline, turn)
            reader.wait(deadline - time.monotonic())

    def _check(self, deadline: float, turn: Turn) -> None:
        if turn.cancelled:
            raise CommandInterrupted("the call was cancelled", device=self.device.name)
        if time.monotonic() >= deadline:
            raise CommandTimeout("the command did not end in time", device=self.device.name)

    def _taken(self, framed: Framed) -> None:
        framed.cut()
        self._status, self.cwd, self._background = framed.status, framed.cwd or self.cwd, framed.background
        self.events += framed.unsolicited()
        del self.events[:-_EVENTS]

    def _reply(self, framed: Framed, ended: int | None, seconds: float) -> Reply:
        events, self.events = tuple(self.events), []
        err = clean(framed.err)
        if ended is not None:
            events = (*events, f"the shell ended with this command, exit status {ended}: the next one gets a new shell")
            err = err.removesuffix("exit\n")  # bash says so
        return Reply(
            clean(framed.out),
            "proven",
            events=events,
            exit_status=framed.status if ended is None else ended,
            stderr=err,
            seconds=seconds,
            cwd=self.cwd,
        )

    def _exited(self, lost: SessionLost) -> int:
        """The status with which the shell itself has ended; raises `lost` when it has not, or by a signal."""
        reader = self._require()
        reader.channel.status_event.wait(_LAST)
        status = reader.channel.exit_status
        if self._closed:
            raise CommandInterrupted(
                "the session was closed while the command ran; it was killed if it could be reached",
                device=self.device.name,
                hint="Look at the host before repeating it.",
            ) from lost
        if status < 0 or not self._shared.alive:
            raise lost
        return status

    # -- stopping ------------------------------------------------------------------------------------------------

    def _given_up(self, error: SessionError, line: str) -> SessionError:
        """Stop the command, keep the shell if it can be kept, and say what came of it."""
        effect: Effect | None = None if isinstance(error, CommandTimeout) else "none"
        after, hint = "it was interrupted, and the session goes on", "Raise `timeout`, or narrow the command."
        if not self._interrupted() and not (_ONE_COMMAND.fullmatch(line) and self._killed_below()):
            left = self._killed_all()
            after = "it was killed, and the session's shell with it; the next command gets a new shell"
            if left is None:
                effect, after = None, "the host did not answer, so stopping it is not confirmed; the session is closed"
                hint = f"Look there at process group {self.pid}: it may still run."
            elif left:
                effect, after = None, f"it was not stopped, and the session is closed: {_named(left)} still run"
                hint = "Stop them there as the user that they run as."
            self.close()
        return type(error)(f"{error.message}; {after}", device=self.device.name, hint=hint, effect=effect)

    def _interrupted(self) -> bool:
        """INT to all of its process group, as a terminal does. True when the shell is back."""
        return remote.signal(self._shared, "INT", [-self.pid], _STOP) and self._back()

    def _killed_below(self) -> bool:
        """KILL to what the shell runs, but for the background. Only where nothing stands behind it that would run."""
        pids = remote.below(self._shared, self.pid, self._background, _STOP)
        return bool(pids) and remote.signal(self._shared, "KILL", pids or (), _STOP) and self._back()

    def _killed_all(self) -> list[int] | None:
        """KILL to the shell and all of its process group. What is left of it; None when the host was not reached."""
        pids = remote.below(self._shared, self.pid, self._background, _STOP)
        if not remote.signal(self._shared, "KILL", [-self.pid, *(pids or ())], _STOP):
            return None
        return remote.alive(self._shared, [self.pid, *(pids or ())], _STOP)

    def _back(self) -> bool:
        """The shell answers: what it was running has ended, or its end is not waited for any more."""
        reader = self._require()
        until = time.monotonic() + _STOP
        framed = Framed(new_nonce())
        try:
            reader.write(framed.feed("", f"(exit {_INTERRUPTED})", self._speech.word, self._speech.own))
            while not framed.ended():
                if not framed.take(reader):
                    if time.monotonic() >= until:
                        return False
                    reader.wait(until - time.monotonic())
                framed.forget()
        except SessionLost:
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
            remote.signal(self._shared, "KILL", [-self.pid], 2 * _STOP)
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


def _named(pids: list[int]) -> str:
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(map(str, pids))}"
