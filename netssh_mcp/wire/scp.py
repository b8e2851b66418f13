"""One file over SCP, on a channel of our own connection: the rcp protocol, as `scp -f` and `scp -t` speak it there.

Not the `scp` package that Netmiko brings: there the peer's words choose the name of every file but the first and its
size, files are opened by path, a source that says no in the middle is not heard, and a cancel is not seen before a
socket times out. Here one file's bytes go to one sink or come from one source, never more than were expected, and
whatever name the peer gives is read and forgotten. Protocol: OpenSSH's scp.c, functions source() and sink().
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import paramiko

from netssh_mcp.errors import CommandInterrupted, FileRefused, InputError, NetsshError, SessionLost, TransferBroken
from netssh_mcp.wire.inbox import Inbox
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.reader import Reader

if TYPE_CHECKING:
    from netssh_mcp.wire.sftp import Meter
    from netssh_mcp.wire.shared import Shared
    from netssh_mcp.wire.turn import Turn

# A device may hand the line to a shell, and must not find an option in it.
_PATH: Final = re.compile(r"(?!-)[A-Za-z0-9._/:\-]{1,1024}")
_HEADER: Final = re.compile(rb"([0-7]{4,5}) (\d{1,18}) ([^\n]*)")
_LONGEST: Final = 2048  # bytes of a line of the protocol
_PIECE: Final = 32_768
_LOOK: Final = 0.25  # seconds between looks for a cancel while the device takes no bytes
_WORDS: Final = 0.5  # seconds of silence that end what a device says instead of SCP
_FLUSH: Final = 4  # times the patience that writing its flash may take a device, behind the last byte
_END: Final = 5.0  # seconds that it gets to end the session: some close the file only then


class NoScp(FileRefused):
    """The device does not speak SCP, or not to this user; `line` is what it said instead."""


class ScpRefused(FileRefused):
    """The device's SCP said no; `line` is its own word."""


class Contents(Protocol):
    """What is sent. Blocking."""

    size: int

    def read(self, size: int) -> bytes:
        """The next bytes, in order; b"" at the end."""


def fetch(
    shared: Shared,
    path: str,
    sink: Callable[[bytes], object],
    meter: Meter,
    turn: Turn,
    *,
    patience: float,
    size: int | None = None,
    end: int | None = None,
) -> int:
    """The file's contents into `sink`, up to `end` where that is given; the file's size as the device says it.

    `size`: what it must be. FileRefused (the device's no), TransferBroken, SessionLost, CommandInterrupted.
    """
    peer = _Peer(shared, f"scp -f {_checked(path)}", turn, patience)
    try:
        peer.begin()
        told = peer.header()
        if size is not None and told != size:
            raise peer.broken(f"the device announces {told} bytes of a file that has {size}", "Try again.")
        meter.total = wanted = told if end is None else min(told, end)
        peer.write(b"\0")
        left = wanted
        while left:
            data = peer.some(left)
            sink(data)
            left -= len(data)
            meter.done += len(data)
        if wanted == told:
            peer.answer()
            peer.write(b"\0")
        return told
    finally:
        peer.close()


def send(shared: Shared, path: str, source: Contents, meter: Meter, turn: Turn, *, patience: float) -> None:
    """All of `source` into the file `path`, which is made or replaced; it is in place when the device has said so.

    FileRefused: the device's no; where bytes had gone, some may be left there. TransferBroken, SessionLost,
    CommandInterrupted.
    """
    name = re.split(r"[/:]", _checked(path))[-1]
    peer = _Peer(shared, f"scp -t {path}", turn, patience)
    try:
        peer.answer()
        peer.write(f"C0644 {source.size} {name}\n".encode("ascii"))
        peer.answer()
        meter.total = left = source.size
        while left:
            data = source.read(min(_PIECE, left))
            if not data:
                raise peer.broken(f"the local file became {left} bytes shorter meanwhile", "Try again.")
            peer.write(data)
            peer.objection()
            left -= len(data)
            meter.done += len(data)
        peer.write(b"\0")
        peer.answer(patience * _FLUSH)
        peer.finish()
    finally:
        peer.close()


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise InputError(f"{path[:200]!r} is no path that SCP can be asked for", hint="Letters, digits and . _ - / :")
    return path


class _Peer:
    """The other end: one exec channel. One thread owns it."""

    def __init__(self, shared: Shared, line: str, turn: Turn, patience: float) -> None:
        self._shared, self._turn, self._patience = shared, turn, patience
        self._device = shared.device.name
        self._held = b""
        self._moved_at = time.monotonic()
        self._channel = _opened(shared, line, turn, patience)
        self._reader = Reader(self._channel, self._device)
        self._reader.ended = "the device ended the transfer"
        self._channel.settimeout(_LOOK)
        turn.bind(self._reader.wake.set)

    def close(self) -> None:
        """Never waits for the device."""
        self._turn.unbind()
        self._channel.settimeout(0.0)
        self._channel.close()

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def some(self, most: int, patience: float | None = None) -> bytes:
        """One byte at least, `most` at most. A device that keeps up never makes us wait, so a cancel is seen here."""
        self._check_cancel()
        while not self._held:
            if not self._take():
                self._check(patience)
                self._reader.wait(max(0.0, self._moved_at + (patience or self._patience) - time.monotonic()))
        data, self._held = self._held[:most], self._held[most:]
        return data

    def _take(self) -> bool:
        try:
            data = self._reader.take()
        except SessionLost:
            self._check_cancel()  # it was the cancel that closed the channel
            raise
        if data:
            self._moved_at = time.monotonic()
            self._held += data
        return bool(data)

    def write(self, data: bytes) -> None:
        """All of it."""
        at = 0
        while at < len(data):
            self._check_cancel()
            try:
                count = self._channel.send(data[at:] if at else data)
            except TimeoutError:
                self.objection()
                self._check()
                continue
            except (OSError, EOFError, paramiko.SSHException) as error:
                self.objection()
                raise self._reader.lost() from error
            if not count:
                self.objection()
                raise self._reader.lost()
            self._moved_at = time.monotonic()
            at += count

    def _check(self, patience: float | None = None) -> None:
        self._check_cancel()
        limit = patience or self._patience
        if time.monotonic() >= self._moved_at + limit:
            raise self.broken(f"the device sent and took no byte for {limit:g} s", "Try again; check the link to it.")

    def _check_cancel(self) -> None:
        if self._turn.cancelled:
            raise CommandInterrupted("the transfer was cancelled", device=self._device, hint="Ask again.")

    def broken(self, message: str, hint: str) -> TransferBroken:
        """The error of a transfer that cannot go on."""
        return TransferBroken(message, device=self._device, hint=hint)

    # -- the protocol --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Ask for the file. Why that cannot be said is in what the device has said itself."""
        with contextlib.suppress(SessionLost):
            self.write(b"\0")

    def answer(self, patience: float | None = None) -> None:
        """Wait for a yes. ScpRefused for a no, NoScp for what is neither."""
        self._yes(self._first(patience))

    def _yes(self, first: bytes) -> None:
        if first == b"\0":
            return
        if first in (b"\x01", b"\x02"):
            raise ScpRefused("the device refused the transfer", device=self._device, line=_text(self._line()))
        raise self._no_scp(first)

    def objection(self) -> None:
        """Hear a no that comes before the end: a full disk says so at once."""
        try:
            self._take()
        except SessionLost:
            if not self._held:
                raise
        if self._held:
            self.answer()

    def header(self) -> int:
        """The size of the one file that comes. Times are acknowledged and forgotten; its name is, too."""
        while (first := self._first()) == b"T":
            self._line()
            self.write(b"\0")
        if first == b"D":
            raise FileRefused("it is a folder", device=self._device, hint="list shows what is in it.")
        if first != b"C":
            self._yes(first)
            raise self._no_scp(b"")
        line = self._line()
        match = _HEADER.fullmatch(line)
        if match is None:
            raise self.broken("the device's SCP sent what is no header of a file", "Try again.")
        return int(match[2])

    def _first(self, patience: float | None = None) -> bytes:
        """The byte that says what comes. A session that ends instead is a device without SCP, or without that file."""
        try:
            return self.some(1, patience)
        except SessionLost as error:
            if not self._shared.alive:
                raise
            raise self._no_scp(b"") from error

    def _line(self) -> bytes:
        line = b""
        try:
            while not line.endswith(b"\n") and len(line) < _LONGEST:
                line += self.some(1)
        except SessionLost:
            if not line:
                raise
        return line.rstrip(b"\r\n")

    def _no_scp(self, first: bytes) -> NoScp:
        """What the device says as text, in either stream, until it is silent or has ended."""
        said = first
        until = time.monotonic() + self._patience
        try:
            while len(said) < _LONGEST and time.monotonic() < until:
                said += self.some(_LONGEST, _WORDS)
        except NetsshError:
            pass
        while len(said) < _LONGEST and (more := self._reader.take_stderr()):
            said += more
        return NoScp("the device does not speak SCP to this user", device=self._device, line=_text(said))

    def finish(self) -> None:
        """Say that nothing more comes, and give the device time to end it: Netmiko's note on closing files."""
        try:
            self._channel.shutdown_write()
            until = time.monotonic() + _END
            while (left := until - time.monotonic()) > 0 and not self._turn.cancelled:
                if not self._take():
                    self._reader.wait(left)
        except (SessionLost, OSError, EOFError, paramiko.SSHException):
            return  # that is the end


def _text(said: bytes) -> str:
    """The first line with anything in it."""
    lines = said.decode("utf-8", "replace").splitlines()
    return next((line.strip()[:500] for line in lines if line.strip()), "")


def _opened(shared: Shared, line: str, turn: Turn, patience: float) -> paramiko.Channel:
    """A channel on which the device runs `line`. A cancel, or a device that does not answer, closes it."""
    channel = shared.channel(time.monotonic() + patience)
    channel.in_buffer = Inbox()  # type: ignore[assignment]  # all that a channel needs of it
    channel.transport = Orderly(shared.transport)  # type: ignore[assignment]  # all that a channel needs of it

    def give_up() -> None:
        threading.Thread(target=channel.close, name="netssh-scp-end", daemon=True).start()

    timer = threading.Timer(patience, give_up)
    timer.daemon = True
    timer.start()
    turn.bind(give_up)
    if turn.cancelled:
        give_up()
    try:
        channel.exec_command(line)
    except (OSError, EOFError, paramiko.SSHException) as error:
        if turn.cancelled:
            raise CommandInterrupted(
                "the call was cancelled before anything was done", device=shared.device.name, effect="none"
            ) from error
        if not shared.alive:
            raise shared.lost() from error
        raise NoScp("the device starts no SCP for this user", device=shared.device.name) from error
    finally:
        timer.cancel()
    return channel
