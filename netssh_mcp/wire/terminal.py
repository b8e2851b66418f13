"""A shell with a terminal, kept open: what it sent lately, its screen, and the keys that go to it.

A thread of its own reads, so that the far side is never held up by nobody looking; it keeps the last megabyte and takes
a flood only as fast as the screen can be drawn without the rest of the server noticing. The bytes are counted from the
start, for ever: a reader names the count up to which it has seen them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import paramiko

from netssh_mcp.errors import SessionLost
from netssh_mcp.wire.exec_channel import exit_signal, exit_status
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.telnet import TelnetChannel
from netssh_mcp.wire.terminal_screen import Picture, Screen
from netssh_mcp.wire.turn import Turn

Note = Callable[[Literal["in", "out"], bytes, float], None]
T = TypeVar("T")

TERM: Final = "xterm-256color"
KEPT: Final = 1 << 20  # bytes that can be read again
_SLACK: Final = 1 << 18  # let it grow by so much before it is cut: cutting moves all of it
_SLICE: Final = 1 << 16  # bytes shown at a time
_RATE: Final = 8e6  # bytes a second that are taken of a flood; the channel's window stops the far side
_WINDOW: Final = 1 << 18  # bytes that may be on their way when somebody presses Ctrl-C, and are to be read before
_AWAITED: Final = 2.0  # seconds after a key in which nothing is held up: somebody looks
_STATUS: Final = 0.5  # seconds that the exit status may come behind the end
_LOOK: Final = 0.02  # seconds between looks whether the far side has closed: Paramiko tells nobody


@dataclass(frozen=True, slots=True)
class End:
    """How a shell ended; `exit_status` None where none was given."""

    reason: str
    exit_status: int | None
    at: float


class Terminal:
    """Safe from any thread; what blocks says so. `leave` gives the connection back when it is closed."""

    def __init__(
        self, reader: Reader, *, width: int, height: int, leave: Callable[[], None], note: Note | None = None
    ) -> None:
        self.width, self.height = width, height
        self._reader = reader
        self._channel = reader.channel
        self._leave = leave
        self._note = note
        self._kept = bytearray()
        self._start = 0
        self._screen = Screen(width, height)
        self._news = threading.Condition()  # guards what is kept, the screen and the version
        self._version = 0
        self._over = threading.Event()
        self.ended: End | None = None
        self.last_data = self.last_press = time.monotonic()
        self.pressed = 0  # bytes that were there when a key was last pressed
        self._thread = threading.Thread(target=self._follow, name="netssh-terminal", daemon=True)

    @classmethod
    def on_host(cls, shared: Shared, *, width: int, height: int, deadline: float, note: Note | None = None) -> Terminal:
        """A login shell on a channel of the host's one connection. Blocks. Raises Unreachable, SessionLost."""
        channel = shared.channel(deadline, window=_WINDOW)
        try:
            channel.settimeout(max(0.1, deadline - time.monotonic()))
            channel.get_pty(TERM, width, height)
            channel.invoke_shell()
        except (OSError, EOFError, paramiko.SSHException) as error:
            channel.close()
            raise shared.lost() from error
        reader = Reader(channel, shared.device.name)
        reader.ended = "the host closed the session"
        terminal = cls(reader, width=width, height=height, leave=shared.close, note=note)
        terminal._thread.start()
        return terminal

    @classmethod
    def on_device(
        cls,
        reader: Reader,
        prompt: str,
        *,
        width: int,
        height: int,
        leave: Callable[[], None],
        note: Note | None = None,
    ) -> Terminal:
        """The shell of a network device that has been logged in to and stands at `prompt`. Blocks for a moment."""
        terminal = cls(reader, width=width, height=height, leave=leave, note=note)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # the reader will say how it ended
            reader.channel.resize_pty(width, height)
        terminal._came(prompt.encode())
        terminal._thread.start()
        return terminal

    # -- what came -----------------------------------------------------------------------------------------------

    @property
    def span(self) -> tuple[int, int]:
        """Where what is kept begins, and how much has come."""
        with self._news:
            return self._start, self._start + len(self._kept)

    def raw(self, first: int, last: int) -> bytes:
        """The bytes between two counts, as far as they are kept."""
        with self._news:
            return bytes(self._kept[max(0, first - self._start) : max(0, last - self._start)])

    def picture(self) -> Picture:
        """The screen now."""
        with self._news:
            return self._screen.picture()

    @property
    def application_cursor(self) -> bool:
        """The program wants the other form of the cursor keys."""
        with self._news:
            return self._screen.application_cursor

    @property
    def alternate(self) -> bool:
        """A program has the screen to itself: vi, top, less."""
        with self._news:
            return self._screen.alternate

    def quiet(self) -> float:
        """Seconds since something came or was typed."""
        return time.monotonic() - max(self.last_data, self.last_press)

    def until(self, look: Callable[[], tuple[T | None, float]], seconds: float, turn: Turn) -> T | None:
        """Blocks until `look` finds something; None after `seconds`, or when the turn is cancelled.

        It looks after each news, and again after as many seconds as it says itself.
        """
        deadline = time.monotonic() + seconds
        turn.bind(self._wake)
        while True:
            with self._news:
                version = self._version
            found, again = look()
            left = deadline - time.monotonic()
            if found is not None or left <= 0 or turn.cancelled:
                turn.unbind()
                return found
            with self._news:
                if self._version == version:
                    self._news.wait(max(0.001, min(left, again)))

    def _wake(self) -> None:
        with self._news:
            self._version += 1
            self._news.notify_all()

    def _follow(self) -> None:
        """In the thread."""
        reason = "the server failed to read it; this is a bug of the server"
        try:
            while True:
                if data := self._reader.take():
                    for piece in _slices(data):
                        self._came(piece)
                else:
                    self._reader.wait(3600.0)
        except SessionLost as error:
            reason = error.message
        finally:
            self._end(reason)

    def _came(self, data: bytes) -> None:
        began = time.monotonic()
        with self._news:
            self._kept += data
            if len(self._kept) > KEPT + _SLACK:
                cut = len(self._kept) - KEPT
                del self._kept[:cut]
                self._start += cut
            self.last_data = began
            answers = self._screen.feed(data)
            self._version += 1
            self._news.notify_all()
        if self._note is not None:
            self._note("out", data, began)
        if answers and self._channel.send_ready():
            # What every terminal says of itself, to who asks: vim waits for it. Nothing of the caller is in it.
            with contextlib.suppress(SessionLost):  # the next read says so
                self._reader.write(answers)
        if len(data) >= _SLICE // 4 and began - self.last_press > _AWAITED:
            self._over.wait(max(len(data) / _RATE, time.monotonic() - began))

    def _end(self, reason: str) -> None:
        channel, status = self._channel, None
        if not self._over.is_set():
            channel.status_event.wait(_STATUS)
            status = exit_status(channel)
            if signal := exit_signal(channel):
                reason = f"its program was ended by the signal {signal}"
            elif status is not None:
                reason = f"its program ended with exit status {status}"
        else:
            reason = "it was closed from here"
        with self._news:
            self.ended = End(reason, status, time.monotonic())
            self._version += 1
            self._news.notify_all()

    # -- what goes -----------------------------------------------------------------------------------------------

    def press(self, data: bytes, *, hidden: bool) -> int:
        """Type. The count of bytes that had come before. Blocks while the far side takes none. Raises SessionLost.

        `hidden`: it is a secret, and goes to nobody else.
        """
        if self.ended is not None:
            raise self._reader.lost()
        with self._news:
            before = self.pressed = self._start + len(self._kept)
            self.last_press = time.monotonic()
        self._reader.write(data)
        if self._note is not None and not hidden:
            self._note("in", data, self.last_press)
        return before

    def hang_up(self, patience: float) -> bool:
        """Close it, as pulling the plug of a terminal does: sshd hangs up its process group.

        Blocks. Whether the far side has confirmed, which sshd does when the shell has ended.
        """
        channel = self._channel
        already = self.ended is not None or channel.closed
        self._over.set()
        deadline = time.monotonic() + patience
        try:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()
            while not (gone := already or _closed_there(channel)) and time.monotonic() < deadline:
                if not channel.get_transport().is_active():
                    break
                time.sleep(_LOOK)
        finally:
            self._leave()
            self._thread.join(_STATUS)
        return gone


def _slices(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _SLICE):
        yield data[at : at + _SLICE]


def _closed_there(channel: paramiko.Channel | TelnetChannel) -> bool:
    """Whether the peer's close has come: then Paramiko forgets the channel (RFC 4254, 5.3)."""
    if isinstance(channel, TelnetChannel):
        return channel.eof_received
    return channel.get_transport()._channels.get(channel.get_id()) is not channel  # type: ignore[attr-defined]  # noqa: SLF001
