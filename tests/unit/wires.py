"""A channel without a network, on a clock that counts instead of running: fakes stand at the wire only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from paramiko.buffered_pipe import BufferedPipe

from netssh_mcp.wire import drivers, reader, sync
from netssh_mcp.wire.reader import Reader

Answers = Callable[[str], str]


def silent(_line: str) -> str:
    """Answers nothing."""
    return ""


class FakeTransport:
    """A link that is up until `saved_exception` says how it ended."""

    saved_exception: BaseException | None = None
    active = True

    def is_active(self) -> bool:
        return self.active


class FakeChannel:
    """What a device sends for each line that it is sent; `late` comes only as time passes, a piece at a time."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.in_buffer: Any = BufferedPipe()  # the stubs say str where it is bytes
        self.in_stderr_buffer: Any = BufferedPipe()
        self.closed = self.eof_received = False
        self.transport = FakeTransport()
        self.written: list[str] = []
        self.late: list[bytes] = []
        self._typed = ""

    def get_transport(self) -> FakeTransport:
        return self.transport

    def settimeout(self, timeout: float) -> None:
        del timeout

    def recv_ready(self) -> bool:
        return bool(self.in_buffer.read_ready())

    def recv(self, size: int) -> bytes:
        return bytes(self.in_buffer.read(size))

    def recv_stderr_ready(self) -> bool:
        return bool(self.in_stderr_buffer.read_ready())

    def recv_stderr(self, size: int) -> bytes:
        return bytes(self.in_stderr_buffer.read(size))

    def sendall(self, data: bytes) -> None:
        self.written.append(data.decode())
        self._typed += data.decode()
        while "\n" in self._typed:
            line, self._typed = self._typed.split("\n", 1)
            self.in_buffer.feed(self.answers(line).encode())


class Clock:
    """`time` for the modules under test, and the waits that were asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    @property
    def waited(self) -> float:
        return sum(self.waits)


class StillReader(Reader):
    """A reader that does not sleep: the clock goes on instead, or the next late piece comes."""

    clock: Clock

    def wait(self, seconds: float) -> None:
        channel: Any = self.channel
        if channel.recv_ready() or seconds <= 0:
            return
        if channel.late:
            channel.in_buffer.feed(channel.late.pop(0))
            return
        self.clock.waits.append(seconds)
        self.clock.now += max(seconds, 1e-6)  # a float that is too small to be added would stop time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that only passes where somebody waits for it."""
    made = Clock()
    for module in (drivers, reader, sync):
        monkeypatch.setattr(module, "time", made)
    return made


def still_reader(channel: FakeChannel, clock: Clock) -> StillReader:
    reader_ = StillReader(channel, "r1")  # type: ignore[arg-type]
    reader_.clock = clock
    return reader_
