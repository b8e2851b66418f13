"""One POSIX shell on a Linux host, fed through pipes: no terminal, so no echo, no prompt, no paging, no colours.

A command's end is a `printf` of a random marker and `$?` on both streams: nothing that the command prints can look
like it. Commands read from /dev/null, so none of them can eat the marker.
"""

from __future__ import annotations

import contextlib
import time

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
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply
from netssh_mcp.wire.framing import Prompt, new_nonce
from netssh_mcp.wire.markers import Marked
from netssh_mcp.wire.order import PLAIN, Order
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean
from netssh_mcp.wire.transport import Link
from netssh_mcp.wire.turn import Turn, not_sent

_STOP = 0.8  # seconds that stopping a command may take before the session is given up
# Traps are reset in children: INT reaches the command and spares the shell. The rest keeps output parseable.
_SETUP = "trap : INT; PS1=; export LC_ALL=C PAGER=cat SYSTEMD_PAGER=cat; unset HISTFILE"


class LinuxConnection:
    """A shell and the one command that may be under way. Blocking; one thread at a time owns it."""

    def __init__(self, device: Device, profile: Profile, link: Link, *, byte_limit: int) -> None:
        self.device = device
        self.profile = profile
        self.byte_limit = byte_limit
        self.events: list[str] = []
        self.prompt = Prompt("")
        self.mode = "shell"
        self.pid = 0
        self._link = link
        self._reader: Reader | None = None
        self._told: paramiko.Channel | None = None  # the last signal's: closed at once, it might not be sent

    def open(self, deadline: float, turn: Turn) -> None:
        """Start /bin/sh and learn its process group, which is how its commands are stopped."""
        channel = self._link.transport.open_session(timeout=max(0.1, deadline - time.monotonic()))
        channel.exec_command("exec /bin/sh")
        self._reader = Reader(channel, self.device.name)
        self._reader.ended = "the shell on the host ended, killed or by itself"
        turn.bind(self._reader.wake.set)
        self._reader.write(f"{_SETUP}\n".encode())
        try:
            reply = self.run("echo $$", deadline=deadline, turn=turn)
        except (CommandTimeout, SessionLost) as error:
            raise PromptNotFound(
                "logged in, but no POSIX shell answered",
                device=self.device.name,
                effect="none",
                partial=error.partial,
                hint="Check that this host is Linux and that its user may run commands (no ForceCommand, no menu).",
            ) from error
        self.pid = int(reply.output) if reply.output.strip().isdigit() else 0

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False, order: Order = PLAIN) -> Reply:
        """One command line; its output, its stderr and its exit status.

        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost; each keeps the text so far.
        """
        del reads_logs, order  # nothing arrives unasked on pipes
        reader = self._require()
        started = time.monotonic()
        streams = Marked(new_nonce())
        turn.bind(reader.wake.set)
        if turn.cancelled:
            raise not_sent(self.device.name, repr(line))
        turn.partial, turn.errors = streams.first, streams.second
        try:
            # In braces, so that the first command of a pipeline reads /dev/null and not the last.
            reader.write(f"{{ {line}\n}} </dev/null\n_s=$?; {streams.marks('$_s')}".encode())
            self._until_marker(reader, streams, deadline, turn)
        except NetsshError as error:
            error.partial = error.partial or streams.partial()
            raise
        finally:
            turn.partial = turn.errors = str  # a turn lives as long as its job: it must not keep the raw bytes
        status = streams.cut()
        seconds = time.monotonic() - started
        return Reply(clean(streams.out), "proven", exit_status=status, stderr=clean(streams.err), seconds=seconds)

    def _until_marker(self, reader: Reader, streams: Marked, deadline: float, turn: Turn) -> None:
        while not streams.ended():
            while streams.take(reader):
                if streams.size > self.byte_limit:
                    raise self._given_up(OutputTooLarge, f"more than {self.byte_limit} bytes came back")
            if streams.ended():
                return
            if turn.cancelled:
                raise self._given_up(CommandInterrupted, "the call was cancelled")
            if turn.take_signal() == "INT":  # no other: this shell serves others too
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # then it goes on, as is seen
                    self._told = self._signal("INT")
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._given_up(CommandTimeout, "the command did not end in time")
            reader.wait(left)

    def _given_up(self, error: type[SessionError], reason: str) -> SessionError:
        """Signal the command's process group over a second channel; say whether it really stopped."""
        after, hint = "it was stopped", error.hint
        stopped = self._interrupted()
        if not stopped:
            stopped = self._killed()
            self.close()
            after = "it was killed, and the shell with it; the next command opens a new session"
        if not stopped:
            after = "stopping it was not confirmed, and the session was closed; it may still run"
            hint = f"Look at process group {self.pid} there."
        effect: Effect | None = "none" if stopped and error is not CommandTimeout else None
        return error(f"{reason}; {after}", device=self.device.name, hint=hint, effect=effect)

    def _interrupted(self) -> bool:
        """INT to the whole process group; the shell traps it. True when the shell answers a fresh marker afterwards."""
        reader = self._require()
        until = time.monotonic() + _STOP / 2
        streams = Marked(new_nonce())
        try:
            signal = self._signal("INT")
            reader.write(streams.marks("0").encode())
            while not streams.ended():
                if not streams.take(reader):
                    if time.monotonic() >= until:
                        return False
                    reader.wait(until - time.monotonic())
                streams.forget()
            signal.close()
        except (SessionLost, OSError, EOFError, paramiko.SSHException):
            return False
        return True

    def _killed(self) -> bool:
        """KILL to the whole process group. True when the shell's channel ended, as it does when nothing is left."""
        reader = self._require()
        until = time.monotonic() + _STOP / 2
        streams = Marked(new_nonce())
        try:
            self._signal("KILL")
            while time.monotonic() < until:
                if not streams.take(reader):
                    reader.wait(until - time.monotonic())
                del streams.out[:], streams.err[:]
        except SessionLost:
            return bool(reader.channel.exit_status_ready() or reader.channel.eof_received)
        except (OSError, EOFError, paramiko.SSHException):
            return False
        return False

    def _signal(self, name: str) -> paramiko.Channel:
        if not self.pid:
            raise paramiko.SSHException("the shell's process group is not known")
        channel = self._link.transport.open_session(timeout=_STOP / 2)
        channel.settimeout(_STOP / 2)
        # /bin/sh, because the login shell may be any; its built-in kill, because procps may be absent.
        channel.exec_command(f"exec /bin/sh -c 'kill -s {name} -- -{self.pid}'")
        return channel

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return self._reader is not None and self._reader.alive()

    def help(self, typed: str, *, deadline: float, turn: Turn) -> str:  # noqa: ARG002 - the protocol's
        """A shell has no `?`."""
        raise InputError(
            "a shell has no `?` to ask", device=self.device.name, hint="Its grammar is the list of argv patterns."
        )

    def answers(self) -> bool:
        """Whether the other side still answers, asked while nothing runs; within seconds."""
        return self.alive and self._link.answers()

    def close(self) -> None:
        """Close the connection, jump hosts included; never waits for the host."""
        self._link.close()

    def _require(self) -> Reader:
        if self._reader is None:
            raise SessionLost("the session is not open", device=self.device.name, effect="none")
        return self._reader
