"""One POSIX shell on a Linux host, fed through pipes: no terminal, so no echo, no prompt, no paging, no colours.

A command's end is a `printf` of a random marker and `$?` on both streams: nothing that the command prints can look
like it. Commands read from /dev/null, so none of them can eat the marker.
"""

from __future__ import annotations

import re
import time

import paramiko

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
from netssh_mcp.wire.framing import Prompt, new_nonce
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean
from netssh_mcp.wire.turn import Turn

_STOP = 0.8  # seconds that stopping a command may take before the session is given up
# Traps are reset in children: INT reaches the command and spares the shell. The rest keeps output parseable.
_SETUP = "trap : INT; PS1=; export LC_ALL=C PAGER=cat SYSTEMD_PAGER=cat; unset HISTFILE"


class LinuxConnection:
    """A shell and the one command that may be under way. Blocking; one thread at a time owns it."""

    def __init__(self, device: Device, profile: Profile, transport: paramiko.Transport, *, byte_limit: int) -> None:
        self.device = device
        self.profile = profile
        self.byte_limit = byte_limit
        self.events: list[str] = []
        self.prompt = Prompt("")
        self.mode = "shell"
        self.pid = 0
        self._transport = transport
        self._reader: Reader | None = None

    def open(self, deadline: float, turn: Turn) -> None:
        """Start /bin/sh and learn its process group, which is how its commands are stopped."""
        channel = self._transport.open_session(timeout=max(0.1, deadline - time.monotonic()))
        channel.exec_command("exec /bin/sh")
        self._reader = Reader(channel, self.device.name)
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

    def run(self, line: str, *, deadline: float, turn: Turn, reads_logs: bool = False) -> Reply:
        """One command line; its output, its stderr and its exit status.

        Raises CommandTimeout, CommandInterrupted, OutputTooLarge, SessionLost; each keeps the text so far.
        """
        del reads_logs  # nothing arrives unasked on pipes
        reader = self._require()
        started = time.monotonic()
        marker = new_nonce()
        out, err = bytearray(), bytearray()
        turn.partial = lambda: clean(bytes(out)) + clean(bytes(err))
        turn.bind(reader.wake.set)
        reader.write(
            f"{line} </dev/null\n_s=$?; printf '\\n%s %s\\n' {marker} $_s; printf '\\n%s\\n' {marker} >&2\n".encode()
        )
        try:
            status = self._until_marker(reader, marker, out, err, deadline, turn)
        except NetsshError as error:
            error.partial = error.partial or turn.partial()
            raise
        return Reply(clean(out), "proven", exit_status=status, stderr=clean(err), seconds=time.monotonic() - started)

    def _until_marker(
        self, reader: Reader, marker: str, out: bytearray, err: bytearray, deadline: float, turn: Turn
    ) -> int:
        end = re.compile(rb"\n%s (\d+)\n\Z" % marker.encode())
        err_end = b"\n%s\n" % marker.encode()
        while True:
            while True:
                more_err = reader.take_stderr()
                data = reader.take()
                out += data
                err += more_err
                if not data and not more_err:
                    break
                if len(out) + len(err) > self.byte_limit:
                    raise self._given_up(OutputTooLarge, f"more than {self.byte_limit} bytes came back")
            match = end.search(out, max(0, len(out) - 40))
            if match and err.endswith(err_end):
                status = int(match.group(1))
                del out[match.start() :], err[len(err) - len(err_end) :]
                return status
            if turn.cancelled:
                raise self._given_up(CommandInterrupted, "the call was cancelled")
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._given_up(CommandTimeout, "the command did not end in time")
            reader.wait(left)

    def _given_up(self, error: type[SessionError], reason: str) -> SessionError:
        """Signal the command's process group over a second channel; say whether it really stopped."""
        stopped = self._signal("INT") or self._signal("KILL")
        if not stopped:
            self.close()
        after = (
            "it was stopped"
            if stopped
            else "stopping it was not confirmed, and the session was closed; it may still run"
        )
        return error(
            f"{reason}; {after}",
            device=self.device.name,
            hint="Raise `timeout`, or narrow the command." if stopped else f"Look at process group {self.pid} there.",
        )

    def _signal(self, name: str) -> bool:
        """Send a signal to what the shell runs; True when the shell answers a fresh marker afterwards."""
        reader = self._require()
        until = time.monotonic() + _STOP / 2
        # INT goes to the whole group (the shell traps it); KILL only to the shell's children.
        command = f"kill -INT -- -{self.pid}" if name == "INT" else f"pkill -KILL -P {self.pid}"
        try:
            channel = self._transport.open_session(timeout=_STOP / 2)
            channel.exec_command(command)
            marker = new_nonce()
            reader.write(f"printf '\\n%s\\n' {marker}; printf '\\n%s\\n' {marker} >&2\n".encode())
            out, err = bytearray(), bytearray()
            end = b"\n%s\n" % marker.encode()
            while not (out.endswith(end) and err.endswith(end)):
                err += reader.take_stderr()
                out += reader.take()
                if time.monotonic() >= until:
                    return False
                if not (out.endswith(end) and err.endswith(end)):
                    reader.wait(until - time.monotonic())
            channel.close()
        except (SessionLost, OSError, EOFError, paramiko.SSHException):
            return False
        return True

    @property
    def alive(self) -> bool:
        """Whether the link is up as far as this side can know."""
        return self._reader is not None and self._reader.alive()

    def close(self) -> None:
        """Close the channel and the connection; never waits for the host."""
        if self._reader is not None:
            self._reader.channel.close()
        self._transport.close()

    def _require(self) -> Reader:
        if self._reader is None:
            raise SessionLost("the session is not open", device=self.device.name, effect="none")
        return self._reader
