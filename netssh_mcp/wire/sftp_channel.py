"""What goes over an SFTP channel: requests out, answers in, a cancel and a silent host noticed. `sftp` asks."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import paramiko

from netssh_mcp.errors import CommandInterrupted, FileRefused, SessionLost, TransferBroken
from netssh_mcp.wire import sftp_messages as m
from netssh_mcp.wire.inbox import Inbox
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.sftp_messages import Buffer, Cursor, framed, string
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn

PATIENCE: Final = 30.0  # seconds without a byte in either direction
_PACKET: Final = 256 << 10  # bytes of one SSH packet that we take; OpenSSH's own limit
_PIECE: Final = 32_768  # what every server takes in one request (the draft, section 3)
_SSH_DATA: Final = 32_768 - 64  # bytes that Paramiko puts into one packet to OpenSSH
_LONGEST: Final = 1 << 20  # bytes of one answer; more is no SFTP
_LOOK: Final = 0.25  # seconds between looks for a cancel while the host takes no bytes


class SftpRefused(FileRefused):
    """The server answered a request with a status; `code` is its number."""

    code: int = 0


class NoSftp(FileRefused):
    """The host has no SFTP for this user."""


class Exchange:
    """One SFTP channel. Blocking; one thread at a time owns it; whoever opened it closes it."""

    def __init__(self, shared: Shared, turn: Turn, *, patience: float = PATIENCE) -> None:
        self.device = shared.device.name
        self.extensions: frozenset[bytes] = frozenset()
        self._turn = turn
        self._patience = patience
        self._number = 0
        self._answers: dict[int, tuple[int, Buffer]] = {}
        self._open: set[int] = set()  # requests that are not answered yet
        self._forgotten: set[int] = set()
        self._held: list[bytes] = []  # pieces that came, put together only when a message is whole
        self._held_size = 0
        self._unsent = b""
        self._moved_at = time.monotonic()
        self.most_read = self.most_written = _PIECE  # bytes in one request
        self._forced = False  # tidying up behind a cancel, which must not end that, too
        self._channel = _opened(shared, turn, patience)
        self._reader = Reader(self._channel, self.device)
        self._reader.ended = "the SFTP server on the host ended, or was never there"
        self._channel.settimeout(_LOOK)
        turn.bind(self._reader.wake.set)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        try:
            self._send(struct.pack(">IBI", 5, m.INIT, 3))
            version = self._one_message(time.monotonic() + self._patience)
            cursor = Cursor(version[1:])
            if version[0] != m.VERSION or cursor.number() < 3:
                raise self._no_sftp()
            names = set()
            while cursor.more:
                names.add(cursor.string())
                cursor.string()
        except SessionLost as error:
            if not _connected(self._channel):
                raise
            raise self._no_sftp() from error  # `Subsystem sftp` points to a program that is not there
        except TransferBroken as error:
            raise self._no_sftp() from error
        self.extensions = frozenset(names)
        if m.LIMITS in names:
            self._learn_limits()

    def _learn_limits(self) -> None:
        kind, body = self.wait(self.ask(m.EXTENDED, string(m.LIMITS)))
        if kind == m.EXTENDED_REPLY:
            cursor = Cursor(body)
            cursor.long()
            reading, writing = cursor.long(), cursor.long()
            self.most_read = min(max(reading or _PIECE, _PIECE), _PACKET)
            self.most_written = min(max(writing or _PIECE, _PIECE), _PACKET)

    def _no_sftp(self) -> NoSftp:
        return NoSftp(
            "the host has no SFTP for this user: nothing there speaks it",
            device=self.device,
            hint="Its sshd_config needs `Subsystem sftp internal-sftp`, and a login script must print nothing. With "
            "sudo=true files are read and written by commands instead.",
        )

    def close(self) -> None:
        """End the channel; never waits for the host."""
        self._turn.unbind()
        self._channel.settimeout(0.0)
        self._channel.close()

    @contextmanager
    def tidying(self, seconds: float) -> Iterator[None]:
        """Requests in the block are made in spite of a cancel, and with this much patience in all."""
        patience, self._patience, self._forced = self._patience, seconds, True
        self._moved_at = time.monotonic()
        try:
            yield
        finally:
            self._patience, self._forced = patience, False

    # -- questions and answers ----------------------------------------------------------------------------------------

    def expect(self, wanted: int, kind: int, body: Buffer) -> Buffer:
        """The body of an answer of this kind; SftpRefused for a status that is not OK."""
        if kind == m.STATUS:
            cursor = Cursor(body)
            code = cursor.number()
            if code == m.OK and wanted == m.STATUS:
                return body
            said = cursor.string().decode("utf-8", "backslashreplace") if cursor.more else ""
            refused = SftpRefused(_REASONS.get(code, f"the host refused it (SFTP status {code})"), device=self.device)
            refused.code, refused.line = code, said if code not in _REASONS else ""
            raise refused
        if kind != wanted:
            raise self.garbage()
        return body

    def ask(self, kind: int, *body: bytes) -> int:
        """Send a request; its number. A host that keeps up never makes us wait, so a cancel is looked for here."""
        self._check_cancel()
        self._number += 1
        self._open.add(self._number)
        self._send(framed(kind, self._number, *body))
        return self._number

    def later(self, kind: int, *body: bytes) -> None:
        """Send a request whose answer says nothing; a link that is gone needs none."""
        try:
            self._forgotten.add(self.ask(kind, *body))
        except (SessionLost, TransferBroken, CommandInterrupted):
            return

    def forget(self, requests: Iterable[int]) -> None:
        """Nobody waits for their answers any more."""
        self._forgotten.update(requests)

    def came(self, request: int) -> bool:
        """Whether its answer is here, without waiting."""
        self._take()
        return request in self._answers

    def wait(self, request: int) -> tuple[int, Buffer]:
        """Kind and body of the answer to it."""
        self._turn.bind(self._reader.wake.set)  # a script may have had it meanwhile
        while (answer := self._answers.pop(request, None)) is None:
            if not self._take():
                self._check()
                self._reader.wait(max(0.0, min(self._patience, self._silent_until() - time.monotonic())))
        return answer

    def _one_message(self, deadline: float) -> bytes:
        """The first message, which has no number."""
        while (message := self._split()) is None:
            if not self._hold():
                self._check()
                self._reader.wait(deadline - time.monotonic())
        return bytes(message)

    def _take(self) -> bool:
        """Read what is there; whether anything was."""
        if not self._hold():
            return False
        while (message := self._split()) is not None:
            number = int.from_bytes(message[1:5], "big")
            if number not in self._open:  # nobody asked: kept, it would fill the memory
                raise self.garbage()
            self._open.discard(number)
            if number in self._forgotten:
                self._forgotten.discard(number)
            else:
                self._answers[number] = (message[0], message[5:])
        return True

    def _hold(self) -> bool:
        data = self._reader.take()
        if data:
            self._moved_at = time.monotonic()
            self._held.append(data)
            self._held_size += len(data)
        return bool(data)

    def _split(self) -> memoryview | None:
        """The next whole message, taken off what was read."""
        if self._held_size < 4:
            return None
        if len(self._held[0]) < 4:
            self._held = [b"".join(self._held)]
        size = int.from_bytes(self._held[0][:4], "big")
        if not 5 <= size <= _LONGEST:
            raise self.garbage()
        if self._held_size < size + 4:
            return None
        whole = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        rest = whole[size + 4 :]
        self._held, self._held_size = ([rest] if rest else []), len(rest)
        return memoryview(whole)[4 : size + 4]

    def _send(self, data: bytes) -> None:
        """All of it, behind what a cancel has cut off: half a request would swallow the next one."""
        view, at = memoryview(self._unsent + data if self._unsent else data), 0
        self._unsent = b""
        try:
            while at < len(view):
                at += self._sent(bytes(view[at : at + _SSH_DATA]))  # Paramiko would copy the whole rest
        finally:
            self._unsent = bytes(view[at:])

    def _sent(self, data: bytes) -> int:
        """How much of it went out; nothing while the host takes nothing."""
        try:
            count = self._channel.send(data)
        except TimeoutError:
            self._take()
            self._check()
            return 0
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._reader.lost() from error
        if not count:
            raise self._reader.lost()
        self._moved_at = time.monotonic()
        return count

    def _silent_until(self) -> float:
        return self._moved_at + self._patience

    def _check(self) -> None:
        """Raise when the call was cancelled, or nothing has moved for too long."""
        self._check_cancel()
        if time.monotonic() >= self._silent_until():
            raise TransferBroken(
                f"the host sent and took no byte for {self._patience:g} s",
                device=self.device,
                hint="Try again; check the host's load and the link to it.",
            )

    def _check_cancel(self) -> None:
        if self._turn.cancelled and not self._forced:
            raise CommandInterrupted("the transfer was cancelled", device=self.device, hint="Ask again.")

    def garbage(self) -> TransferBroken:
        """The error of a server that does not keep to the protocol."""
        return m.garbage(self.device)


_REASONS: Final = {
    m.NO_SUCH_FILE: "there is no such file or folder",
    m.PERMISSION_DENIED: "permission denied",
    m.UNSUPPORTED: "the host's SFTP server cannot do this",
}


def _connected(channel: paramiko.Channel) -> bool:
    """Whether the connection is up, though the channel may have ended."""
    transport = channel.get_transport()
    return bool(transport.is_active())


def _opened(shared: Shared, turn: Turn, patience: float) -> paramiko.Channel:
    """A channel with the SFTP subsystem. A cancel, or a host that does not answer, closes it under Paramiko's wait."""
    channel = shared.channel(time.monotonic() + patience)
    orderly = Orderly(shared.transport)
    channel.in_buffer = Inbox()  # type: ignore[assignment]  # all that a channel needs of it
    channel.transport = orderly  # type: ignore[assignment]  # all that a channel needs of it

    def give_up() -> None:
        threading.Thread(target=channel.close, name="netssh-sftp-end", daemon=True).start()

    timer = threading.Timer(patience, give_up)
    timer.daemon = True
    timer.start()
    turn.bind(give_up)
    try:
        channel.invoke_subsystem("sftp")
    except (OSError, EOFError, paramiko.SSHException) as error:
        if turn.cancelled:
            raise CommandInterrupted(
                "the call was cancelled before anything was done", device=shared.device.name, effect="none"
            ) from error
        if not shared.alive:
            raise shared.lost() from error
        raise NoSftp(
            "the host's sshd offers no SFTP",
            device=shared.device.name,
            hint="Its sshd_config needs `Subsystem sftp internal-sftp`. With sudo=true files are read and written by "
            "commands instead.",
        ) from error
    finally:
        timer.cancel()
    return channel
