"""Telnet for devices that have nothing else: options, escapes, and a channel that a `Reader` reads like one of SSH.

RFC 854 (commands, escapes, CR NUL), 855 (options), 857 (ECHO), 858 (SGA), 1073 (NAWS), 1091 (terminal type). An option
is agreed on once and refused once: RFC 1143 shows that two sides may answer each other for ever otherwise.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Final

import paramiko
from paramiko.buffered_pipe import BufferedPipe

SE, SB, WILL, WONT, DO, DONT, IAC = 240, 250, 251, 252, 253, 254, 255
ECHO, SGA, TTYPE, NAWS = 1, 3, 24, 31
_TIMING_MARK: Final = 6
_THEIRS: Final = frozenset({ECHO, SGA})  # what the device may do
_OURS: Final = frozenset({SGA, TTYPE, NAWS})  # what it may ask of us
_TERMINAL: Final = b"vt100"
_MOST_ANSWERS: Final = 200  # a device asks for some ten options
_MOST_COMMANDS: Final = 10_000  # in a row, without a byte of text
_LONGEST_OPTION: Final = 1024  # bytes of a subnegotiation
_CHUNK: Final = 1 << 16
_HIGH: Final = 1 << 21  # bytes that wait for who reads; then TCP holds the device up, as SSH's window does
_LOOK: Final = 1.0  # seconds between looks whether it was closed, while nobody reads


class TelnetError(Exception):
    """What the other side sends is no Telnet that ends. `text` is what came before."""

    text = b""


class Options:
    """The protocol without I/O: bytes in, text and answers out."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.agreed: set[tuple[int, int]] = set()  # (WILL, option): the device does it; (DO, option): we do
        self._refused: set[tuple[int, int]] = set()
        self._answers = 0
        self._commands = 0
        self._state = 0  # the command byte that an option or its text is awaited for; IAC: a command byte is awaited
        self._option = bytearray()
        self._escaped = False  # an IAC inside a subnegotiation
        self._cr = False  # the last byte of text was CR: a NUL behind it belongs to it

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The text in it, and what to answer. Raises TelnetError where it would have no end."""
        text, answer = bytearray(), bytearray()
        try:
            self._read(data, text, answer)
        except TelnetError as error:
            error.text = self._lines(bytes(text))
            raise
        return self._lines(bytes(text)), bytes(answer)

    def _read(self, data: bytes, text: bytearray, answer: bytearray) -> None:
        at = 0
        while at < len(data):
            if self._state:
                answer += self._command(data[at], text)
                at += 1
                continue
            escape = data.find(IAC, at)
            end = len(data) if escape < 0 else escape
            text += data[at:end]
            self._commands = 0 if end > at else self._commands
            at = end
            if escape >= 0:
                self._state, at = IAC, end + 1

    def _lines(self, text: bytes) -> bytes:
        if not text:
            return text
        if self._cr and text[0] == 0:
            text = text[1:]
        self._cr = text.endswith(b"\r") if text else False
        return text.replace(b"\r\0", b"\r")

    def _command(self, byte: int, text: bytearray) -> bytes:
        """The next byte of a command."""
        if self._state == SB:
            return self._subnegotiation(byte)
        if self._state != IAC:
            verb, self._state = self._state, 0
            return self._asked(verb, byte)
        self._state = 0
        if byte == IAC:
            text.append(IAC)
            return b""
        self._commands += 1
        if self._commands > _MOST_COMMANDS:
            raise TelnetError("it sends Telnet commands without end")
        if byte in (WILL, WONT, DO, DONT, SB):
            self._state = byte
        return b""

    def _subnegotiation(self, byte: int) -> bytes:
        if self._escaped:
            self._escaped = False
            if byte == SE:
                option, self._option, self._state = bytes(self._option), bytearray(), 0
                send = option[:2] == bytes((TTYPE, 1)) and (DO, TTYPE) in self.agreed
                return self._counted(_about(TTYPE, b"\0" + _TERMINAL)) if send else b""
        elif byte == IAC:
            self._escaped = True
            return b""
        self._option.append(byte)
        if len(self._option) > _LONGEST_OPTION:
            raise TelnetError("it sends an option without end")
        return b""

    def _asked(self, verb: int, option: int) -> bytes:
        """WILL, WONT, DO or DONT: answered where it changes something, and refused once."""
        kind = WILL if verb in (WILL, WONT) else DO
        wanted = option in (_THEIRS if kind == WILL else _OURS)
        yes, no = (DO, DONT) if kind == WILL else (WILL, WONT)
        key = (kind, option)
        if verb in (WONT, DONT):
            if key not in self.agreed:
                return b""
            self.agreed.discard(key)
            return self._counted(bytes((IAC, no, option)))
        if not wanted:
            if key in self._refused:
                return b""
            self._refused.add(key)
            return self._counted(bytes((IAC, no, option)))
        if key in self.agreed:
            return b""
        self.agreed.add(key)
        return self._counted(bytes((IAC, yes, option)) + (self.size(*self._size) if option == NAWS else b""))

    def size(self, width: int, height: int) -> bytes:
        """What tells the device the size of the screen; b"" where it did not ask."""
        self._size = (width, height)
        if (DO, NAWS) not in self.agreed:
            return b""
        return _about(NAWS, width.to_bytes(2, "big") + height.to_bytes(2, "big"))

    def _counted(self, answer: bytes) -> bytes:
        self._answers += 1
        if self._answers > _MOST_ANSWERS:
            raise TelnetError("it negotiates without end")
        return answer


def _about(option: int, value: bytes) -> bytes:
    return bytes((IAC, SB, option)) + escaped(value) + bytes((IAC, SE))


def escaped(data: bytes) -> bytes:
    """As data, no command."""
    return data.replace(b"\xff", b"\xff\xff")


def typed(data: bytes) -> bytes:
    """As it is typed: every line end is the Enter key, CR NUL, which devices that take CR LF for two understand too."""
    return escaped(data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\0")


class TelnetChannel:
    """What a `Reader`, a terminal and Netmiko's drivers use of a channel, over a socket or a jump host's tunnel.

    It is its own `get_transport()`. A thread reads; the socket belongs to a `Link`, which closes it.
    """

    def __init__(self, through: socket.socket | paramiko.Channel, *, width: int, height: int) -> None:
        self.in_buffer: BufferedPipe[bytes] = BufferedPipe()
        self.in_stderr_buffer: BufferedPipe[bytes] = BufferedPipe()
        self.closed = self.eof_received = False
        self.saved_exception: Exception | None = None
        self.hop_lost: Callable[[], str] = str
        self.status_event = threading.Event()
        self.exit_status = -1
        self._through = through
        self._options = Options(width, height)
        self._sending = threading.Lock()
        self._room = threading.Event()
        through.settimeout(_LOOK)
        if isinstance(through, socket.socket) and through.family in (socket.AF_INET, socket.AF_INET6):
            # Else the kernel takes the byte behind an IAC out of the stream, where a device marks it urgent (DM).
            through.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self._thread = threading.Thread(target=self._follow, name="netssh-telnet", daemon=True)
        self._thread.start()

    # -- what came -----------------------------------------------------------------------------------------------

    def recv_ready(self) -> bool:
        """Whether text is there."""
        return bool(self.in_buffer.read_ready())

    def recv(self, nbytes: int) -> bytes:
        """Text that is there."""
        data = self.in_buffer.read(nbytes, 0.0)
        self._room.set()
        return data

    def recv_stderr_ready(self) -> bool:
        """There is no second stream."""
        return False

    def recv_stderr(self, nbytes: int) -> bytes:
        """There is no second stream."""
        return b"\0"[nbytes:nbytes]

    def _follow(self) -> None:
        try:
            while data := self._received():
                text, answer = self._options.feed(data)
                if answer:
                    self._send(answer)
                if text:
                    self.in_buffer.feed(text)
                while len(self.in_buffer) > _HIGH and not self._shut():
                    self._room.wait(_LOOK)
                    self._room.clear()
        except TelnetError as error:
            self.in_buffer.feed(error.text)
            self.saved_exception = error
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.saved_exception = error
        finally:
            self.eof_received = True
            self.in_buffer.close()  # wakes the reader
            self.status_event.set()

    def _received(self) -> bytes:
        """Blocks until something comes; b"" at the end."""
        through = self._through
        if isinstance(through, paramiko.Channel):
            arrived = threading.Event()
            through.in_buffer.set_event(arrived)
            arrived.wait()
        else:
            poll = select.poll()
            poll.register(through, select.POLLIN)
            poll.poll()
        return through.recv(_CHUNK)

    def _shut(self) -> bool:
        return self._through.closed if isinstance(self._through, paramiko.Channel) else self._through.fileno() < 0

    # -- what goes -----------------------------------------------------------------------------------------------

    def settimeout(self, timeout: float | None) -> None:
        """Seconds that the other side may refuse to take what is sent."""
        self._through.settimeout(timeout)

    def sendall(self, s: bytes) -> None:
        """Type. TimeoutError where the other side takes nothing, OSError where it is gone."""
        self._send(typed(s))

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._through.sendall(data)

    def send_ready(self) -> bool:
        """Whether sending may be tried."""
        return self.is_active()

    def knock(self) -> None:
        """Words that need no answer: TCP gives the other side up where it does not even acknowledge them.

        No NOP: FRR's daemons, as Zebra and Quagga before them, take three bytes for any command, and the first letter
        of what is typed behind it was gone. Nobody has the timing mark (RFC 860) on, so to want none changes nothing.
        """
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._send(bytes((IAC, DONT, _TIMING_MARK)))

    def resize_pty(self, width: int, height: int) -> None:
        """Tell the size of the screen, where it was asked for."""
        if size := self._options.size(width, height):
            self._send(size)

    # -- the end -------------------------------------------------------------------------------------------------

    def get_transport(self) -> TelnetChannel:
        """The connection, which has no other channel."""
        return self

    def is_active(self) -> bool:
        """Whether it is up as far as this side can know."""
        return not (self.closed or self.eof_received or self._shut())

    def exit_status_ready(self) -> bool:
        """Telnet tells none."""
        return False

    def close(self) -> None:
        """The device ends the session when nobody types any more. The `Link` closes the socket."""
        self.shutdown_write()

    def shutdown_write(self) -> None:
        """Type nothing more."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if isinstance(self._through, paramiko.Channel):
                self._through.shutdown_write()
            else:
                self._through.shutdown(socket.SHUT_WR)
