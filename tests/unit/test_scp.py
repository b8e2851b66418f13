"""The SCP protocol against peers that keep to it, that lie, and that speak something else; fakes stand at the wire."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from paramiko.buffered_pipe import BufferedPipe

from netssh_mcp.errors import CommandInterrupted, FileRefused, InputError, NetsshError, SessionLost, TransferBroken
from netssh_mcp.lab.faults import BreakKind
from netssh_mcp.lab.files import Flash, ScpFault
from netssh_mcp.lab.scp import Scp
from netssh_mcp.services.file_text import BytesSource
from netssh_mcp.wire.scp import NoScp, ScpRefused, fetch, send
from netssh_mcp.wire.sftp import Meter
from netssh_mcp.wire.turn import Turn

DATA = bytes(range(256)) * 300
Peer = Callable[["Channel", bytes], None]


class Channel:
    """A channel whose other end is a function: what it is told, and what it says."""

    def __init__(self, peer: Peer, connected: bool = True) -> None:
        self.peer = peer
        self.transport: Any = SimpleNamespace(saved_exception=None, is_active=lambda: connected)
        self.in_buffer: Any = BufferedPipe()
        self.in_stderr_buffer: Any = BufferedPipe()
        self.closed = self.eof_received = False
        self.line = ""
        self.written = bytearray()

    def get_transport(self) -> Any:
        return self.transport

    def settimeout(self, timeout: float) -> None:
        del timeout

    def exec_command(self, line: str) -> None:
        self.line = line
        self.peer(self, b"")

    def send(self, data: bytes) -> int:
        if self.closed or self.eof_received:
            raise OSError("Socket is closed")
        self.written += data
        self.peer(self, bytes(data))
        return len(data)

    def shutdown_write(self) -> None:
        self.end()

    def recv_ready(self) -> bool:
        return bool(self.in_buffer.read_ready())

    def recv(self, size: int) -> bytes:
        return bytes(self.in_buffer.read(size))

    def recv_stderr_ready(self) -> bool:
        return bool(self.in_stderr_buffer.read_ready())

    def recv_stderr(self, size: int) -> bytes:
        return bytes(self.in_stderr_buffer.read(size))

    def close(self) -> None:
        self.closed = True

    def say(self, data: bytes) -> None:
        self.in_buffer.feed(data)

    def end(self) -> None:
        self.eof_received = True
        self.in_buffer.close()


class Wire:
    """A connection that has one channel."""

    def __init__(self, peer: Peer, *, connected: bool = True) -> None:
        self.device = SimpleNamespace(name="r1")
        self.alive = connected
        self.only = Channel(peer, connected)
        self.transport = self.only.transport

    def channel(self, deadline: float) -> Channel:
        del deadline
        return self.only


class _Link:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, data: bytes) -> None:
        self._channel.say(data)

    def end(self, status: int) -> None:
        del status
        self._channel.end()

    def break_off(self, kind: BreakKind) -> None:
        del kind
        self._channel.end()


def device(flash: Flash) -> Peer:
    """The simulated device's own SCP."""
    started: list[Scp] = []

    def peer(channel: Channel, data: bytes) -> None:
        if started:
            started[0].feed(data)
        else:
            started.append(Scp(flash, _Link(channel), channel.line))
            started[0].start()

    return peer


def flash(scp: ScpFault = "", **contents: bytes) -> Flash:
    return Flash("cisco_ios", contents, scp=scp)


def says(*pieces: bytes, ends: bool = True) -> Peer:
    """A peer that says one piece for each thing it is told, the first at once."""
    left = list(pieces)

    def peer(channel: Channel, data: bytes) -> None:
        del data
        if left:
            channel.say(left.pop(0))
        if not left and ends:
            channel.end()

    return peer


def got(wire: Any, path: str = "flash:/a", **more: Any) -> bytes:
    data = bytearray()
    fetch(wire, path, data.extend, Meter(), more.pop("turn", Turn()), patience=more.pop("patience", 5.0), **more)
    return bytes(data)


def put(wire: Any, data: bytes = DATA, path: str = "flash:/a", **more: Any) -> Meter:
    meter = Meter()
    send(wire, path, BytesSource(data), meter, more.get("turn", Turn()), patience=more.get("patience", 5.0))
    return meter


@pytest.mark.parametrize("data", [b"", b"x", b"\0\1\2", DATA])
def test_a_file_goes_and_comes_as_it_is(data: bytes) -> None:
    there = flash()
    wire = Wire(device(there))
    meter = put(wire, data)
    assert (there.contents, meter.done, meter.total) == ({"a": data}, len(data), len(data))
    assert (wire.only.line, wire.only.closed) == ("scp -t flash:/a", True)
    assert wire.only.written.startswith(b"C0644 %d a\n" % len(data))
    back = Wire(device(there))
    assert got(back, size=len(data)) == data
    assert (back.only.line, back.only.closed) == ("scp -f flash:/a", True)


def test_only_the_beginning_is_taken_where_that_is_wanted() -> None:
    data = bytearray()
    size = fetch(
        Wire(device(flash(a=DATA))),  # type: ignore[arg-type]
        "flash:/a",
        data.extend,
        Meter(),
        Turn(),
        patience=5.0,
        end=1000,
    )
    assert (bytes(data), size) == (DATA[:1000], len(DATA))


def test_times_before_a_file_are_acknowledged_and_forgotten() -> None:
    assert got(Wire(says(b"", b"T1700000000 0 1700000000 0\n", b"C0600 2 a\n", b"hi\0", b""))) == b"hi"


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"/etc/passwd", b"other", b"a b", b"\xff\x1b[2J", b""])
def test_the_name_in_the_header_means_nothing(name: bytes) -> None:
    assert got(Wire(says(b"", b"C0644 2 " + name + b"\n", b"hi\0", b""))) == b"hi"


def test_what_follows_the_file_is_not_taken() -> None:
    assert got(Wire(says(b"", b"C0644 2 a\n", b"hi\0C0644 4 authorized_keys\nevil\0", b""))) == b"hi"


@pytest.mark.parametrize(
    ("pieces", "error", "line"),
    [
        ((b"", b"\x01scp: a: No such file\n"), ScpRefused, "scp: a: No such file"),
        ((b"", b"\x02fatal\n"), ScpRefused, "fatal"),
        ((b"", b"\x01cut off"), ScpRefused, "cut off"),
        ((b"Administratively disabled.\n",), NoScp, "Administratively disabled."),
        ((b"% Invalid input\r\n",), NoScp, "% Invalid input"),
        ((b"",), NoScp, ""),
        ((b"", b"D0755 0 folder\n"), FileRefused, ""),
        ((b"", b"C0644 x a\n"), TransferBroken, ""),
        ((b"", b"C0644 -1 a\n"), TransferBroken, ""),
        ((b"", b"C0644 99999999999999999999 a\n"), TransferBroken, ""),
        ((b"", b"C" + b"0" * 5000), TransferBroken, ""),
        ((b"", b"C0644 2 a\n", b"hi\x01read error\n"), ScpRefused, "read error"),
        ((b"", b"C0644 2 a\n", b"hi, and more"), NoScp, ", and more"),
        ((b"", b"C0644 5 a\n", b"hi"), SessionLost, ""),
    ],
)
def test_what_goes_wrong_is_named_and_the_channel_closed(
    pieces: tuple[bytes, ...], error: type[NetsshError], line: str
) -> None:
    wire = Wire(says(*pieces))
    with pytest.raises(error) as caught:
        got(wire)
    assert (caught.value.line, caught.value.device, wire.only.closed) == (line, "r1", True)


def test_another_size_than_the_listing_said_is_refused_before_a_byte_is_taken() -> None:
    wire = Wire(device(flash("size", a=b"hi")))
    with pytest.raises(TransferBroken, match="announces 1002 bytes of a file that has 2"):
        got(wire, size=2)
    assert bytes(wire.only.written) == b"\0", "its header was not accepted"


def test_a_lost_connection_is_no_missing_scp() -> None:
    with pytest.raises(SessionLost):
        got(Wire(says(b""), connected=False))


def test_a_program_that_is_not_there_is_quoted() -> None:
    def peer(channel: Channel, data: bytes) -> None:
        del data
        channel.in_stderr_buffer.feed(b"sh: scp: command not found\n")
        channel.end()

    with pytest.raises(NoScp) as caught:
        put(Wire(peer))
    assert caught.value.line == "sh: scp: command not found"


def test_a_full_device_is_heard_before_everything_is_sent() -> None:
    there = flash("full")
    wire = Wire(device(there))
    with pytest.raises(ScpRefused) as caught:
        put(wire, DATA * 20)
    assert caught.value.line == "a: No space left on device"
    assert len(wire.only.written) < len(DATA) * 20


def test_a_file_that_shrinks_here_is_an_error_and_not_filled_up() -> None:
    class Shrunk(BytesSource):
        def read(self, size: int) -> bytes:
            return super().read(size)[:10] if not self._at else b""

    there = flash()
    with pytest.raises(TransferBroken, match="became 76790 bytes shorter"):
        send(Wire(device(there)), "flash:/a", Shrunk(DATA), Meter(), Turn(), patience=5.0)  # type: ignore[arg-type]
    assert there.contents == {}


@pytest.mark.parametrize("way", [got, put])
def test_a_cancel_ends_it(way: Callable[..., object]) -> None:
    turn = Turn()
    wire = Wire(says(ends=False))
    wire.only.peer = lambda *_: turn.cancel()
    with pytest.raises(CommandInterrupted):
        way(wire, turn=turn)
    assert wire.only.closed


@pytest.mark.parametrize("way", [got, put])
def test_a_silent_device_is_given_up(way: Callable[..., object]) -> None:
    with pytest.raises(TransferBroken, match="sent and took no byte"):
        way(Wire(says(ends=False)), patience=0.01)


@pytest.mark.parametrize("path", ["", "-r", "a b", "a;reboot", "$(x)", "`x`", "a\nb", "ä", "a'b", "~/x", "x" * 2000])
def test_a_path_that_a_shell_could_read_otherwise_is_not_sent(path: str) -> None:
    for way in (got, put):
        wire = Wire(says())
        with pytest.raises(InputError):
            way(wire, path=path)
        assert wire.only.line == ""
