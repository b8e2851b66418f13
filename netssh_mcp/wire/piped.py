"""A fixed script of ours on the host, with bytes on its standard input and output: what SFTP cannot or may not do.

The script comes as one line on stdin (see `script`), contents behind it. Under sudo the password goes to stdin at
sudo's own prompt; contents follow once the script has said, by a random word, that it is the one who reads now.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import paramiko

from netssh_mcp.errors import AuthenticationFailed, CommandInterrupted, Effect, NetsshError, SessionLost, TransferBroken
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire import exec_channel
from netssh_mcp.wire.inbox import Inbox
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.script import BOOTSTRAP, quoted
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.sudo import SudoPrompt, not_known, refused
from netssh_mcp.wire.turn import Turn

_PIECE: Final = 256 << 10
_MOST_STDERR: Final = 64 << 10  # bytes kept; the rest is thrown away
_LOOK: Final = 0.25  # seconds between looks for a cancel while the host takes no bytes
_TIDY: Final = 3.0  # seconds that a script gets to clean up when its input ends too early
_WRONG: Final = re.compile(r"sudo: \d+ ")  # sudo: 1 incorrect password attempt
_PREAMBLE: Final = 'printf "%s\\n" "$1"; shift; '

Source = Callable[[int], bytes]
Sink = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script ended. `status` -1: the host did not say. `started` False: it never ran, sudo or sshd refused."""

    status: int
    stderr: str
    started: bool


def _nothing(_size: int) -> bytes:
    return b""


class Piped:
    """One script under way. Blocking; one thread owns it."""

    def __init__(
        self, shared: Shared, turn: Turn, *, sudo: bool = False, password: Secret | None = None, patience: float = 30.0
    ) -> None:
        self._shared, self._turn, self._patience = shared, turn, patience
        self._device = shared.device.name
        self._password = password
        self._prompt = SudoPrompt(self._device) if sudo else None
        self._word = secrets.token_hex(16)
        self._stderr = bytearray()
        self._moved_at = time.monotonic()
        self._ready = False
        self._head = b""

    def run(self, script: str, words: Sequence[str], *, source: Source = _nothing, sink: Sink) -> Ran:
        """Run `script` with `words` as $1, $2, ...; `sink` gets its output, `source` is asked for its input.

        Raises CommandInterrupted, TransferBroken, SessionLost, AuthenticationFailed (sudo's password).
        """
        self.begin(script, words)
        return self.finish(source=source, sink=sink)

    def begin(self, script: str, words: Sequence[str]) -> None:
        """Start it and go on: `finish` or `drop` comes later. Unreachable, SessionLost."""
        before = ""
        if self._prompt is not None:  # -k: a cached permission would leave the password to the script's own stdin
            before = f"export SUDO_PROMPT={quoted(self._prompt.prompt)}; "
        sudo = "sudo -k -S -- " if self._prompt is not None else ""
        argv = " ".join(map(quoted, ("/bin/sh", "-c", _PREAMBLE + script, "sh", self._word, *words)))
        self._check_cancel("none")
        if self._prompt is not None and (error := self._shared.sudo.again(self._shared.device, self._password)):
            raise error
        channel = self._shared.channel(time.monotonic() + self._patience)
        channel.in_buffer = Inbox()  # type: ignore[assignment]  # all that a channel needs of it
        channel.transport = Orderly(self._shared.transport)  # type: ignore[assignment]  # likewise
        self._channel, self._reader = channel, Reader(channel, self._device)
        channel.settimeout(_LOOK)
        try:
            exec_channel.start(channel, BOOTSTRAP, f"{before}exec {sudo}{argv}\n".encode())
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not self._shared.transport.is_active():
                self.drop()
                raise self._shared.lost() from error
            # A host that runs no commands (ForceCommand) ended the channel before all was written: `finish` sees it.
        self._moved_at = time.monotonic()

    def say(self, line: bytes) -> bool:
        """Input of a script that runs as the login user, ahead of `finish`; False where it takes none. Short lines."""
        try:
            self._channel.sendall(line)
        except (OSError, EOFError, paramiko.SSHException):
            return False
        return True

    def finish(self, *, source: Source = _nothing, sink: Sink) -> Ran:
        """Until its end. Raises as `run`."""
        self._moved_at = time.monotonic()
        self._turn.bind(self._reader.wake.set)
        try:
            return self._exchanged(self._channel, self._reader, source, sink)
        except NetsshError:
            self._tidied(self._channel, self._reader)
            raise
        finally:
            self._turn.unbind()
            self.drop()

    def drop(self) -> None:
        """Its input and output end here; never waits."""
        self._channel.settimeout(0.0)
        self._channel.close()

    def _exchanged(self, channel: paramiko.Channel, reader: Reader, source: Source, sink: Sink) -> Ran:
        ended = fed = False
        while not ended:
            self._check_cancel()
            moved = self._take_stderr(channel, reader)
            ended, data = self._taken(reader)
            moved = self._give(data, sink) or moved
            if self._ready and not fed:
                fed = not self._feed(channel, source(_PIECE))
            elif not moved and not ended:
                self._check()
                reader.wait(max(0.0, self._moved_at + self._patience - time.monotonic()))
        while self._take_stderr(channel, reader):
            pass
        if self._prompt is not None:
            self._stderr += self._prompt.rest()
        if not self._shared.transport.is_active():
            raise reader.lost()
        channel.status_event.wait(_TIDY)  # it may come behind the end of the output
        status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        said = self._stderr[:_MOST_STDERR].decode("utf-8", "replace").strip()
        if self._prompt is not None and self._prompt.answered and not self._ready:
            last = said.rpartition("\n")[2]
            if _WRONG.match(last):  # sudoers' `passwd_tries` is 1: it does not ask again
                self._shared.sudo.note(self._shared.device, self._password)
                raise refused(self._device, last)
        return Ran(status, said, self._ready)

    def _taken(self, reader: Reader) -> tuple[bool, bytes]:
        try:
            data = reader.take()
        except SessionLost:
            if not self._shared.transport.is_active():
                raise
            return True, b""
        if data:
            self._moved_at = time.monotonic()
        return False, data

    def _take_stderr(self, channel: paramiko.Channel, reader: Reader) -> bool:
        data = reader.take_stderr()
        if not data:
            return False
        self._moved_at = time.monotonic()
        if self._prompt is not None:
            data = self._asked(data, channel)
        self._stderr += data[: max(0, _MOST_STDERR - len(self._stderr))]
        return True

    def _asked(self, data: bytes, channel: paramiko.Channel) -> bytes:
        """What of stderr is not sudo's question. AuthenticationFailed when it asks again, or nobody can answer."""
        assert self._prompt is not None
        try:
            return self._prompt.feed(data, self._reveal, channel.sendall)
        except AuthenticationFailed:
            self._shared.sudo.note(self._shared.device, self._password)
            raise

    def _reveal(self) -> str:
        if self._password is None:
            raise not_known(self._device)
        return self._password.reveal()

    def _give(self, data: bytes, sink: Sink) -> bool:
        """What stands behind our word is the script's."""
        if data and not self._ready:
            self._head += data
            word, line_end, data = self._head.partition(b"\n")
            self._ready = bool(line_end) and word.endswith(self._word.encode())
            if not self._ready:
                return True
            if self._prompt is not None:
                self._prompt.close()
        if data:
            sink(data)
        return bool(data)

    def _feed(self, channel: paramiko.Channel, data: bytes) -> bool:
        """Send a piece of the input; at its end say so. False when there is no more."""
        if not data:
            channel.shutdown_write()
            return False
        at = 0
        while at < len(data):
            at += self._sent(channel, data[at:] if at else data)
        return True

    def _sent(self, channel: paramiko.Channel, data: bytes) -> int:
        try:
            count = channel.send(data)
        except TimeoutError:
            if channel.closed or channel.exit_status_ready():
                return len(data)  # it reads no more: its status says why
            self._check()
            return 0
        except (OSError, EOFError, paramiko.SSHException):
            count = 0
        if not count and self._shared.transport.is_active():
            return len(data)  # it has ended
        if not count:
            raise self._shared.lost()
        self._moved_at = time.monotonic()
        return count

    def _check_cancel(self, effect: Effect | None = None) -> None:
        if self._turn.cancelled:
            raise CommandInterrupted(
                "the transfer was cancelled", device=self._device, hint="Ask again.", effect=effect
            )

    def _check(self) -> None:
        self._check_cancel()
        if time.monotonic() >= self._moved_at + self._patience:
            raise TransferBroken(
                f"the host sent and took no byte for {self._patience:g} s",
                device=self._device,
                hint="Try again; check the host's load and the link to it.",
            )

    def _tidied(self, channel: paramiko.Channel, reader: Reader) -> None:
        """Its input ends here: a script that wanted more removes what it has made. Waits for its end for a while."""
        until = time.monotonic() + _TIDY
        try:
            channel.shutdown_write()
            while not channel.exit_status_ready() and (left := until - time.monotonic()) > 0:
                if not self._taken(reader)[1]:
                    reader.wait(min(left, _LOOK))
        except (SessionLost, OSError, EOFError, paramiko.SSHException):
            return
