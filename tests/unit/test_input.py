"""A key goes to the page prompt that the caller saw, and to nothing that came to stand there since."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from netssh_mcp.errors import CommandInterrupted, CommandTimeout, InputError, PolicyError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services.job_actions import JobActions
from netssh_mcp.services.jobs import Job, Jobs, Row
from netssh_mcp.wire import network
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.network import NetworkConnection
from netssh_mcp.wire.transport import Link
from netssh_mcp.wire.turn import Turn
from tests.unit.wires import Clock, FakeChannel, StillReader, clock

__all__ = ["clock"]

R1 = Device("r1", "192.0.2.1", 22, "cisco_ios", "admin")
IOS = Profiles.load(None).get("cisco_ios")


def pages(line: str) -> str:
    """A device whose only command asks for a key after its first page, and which takes its time over that key."""
    if line.startswith("show"):
        return f"{line}\r\npage 1\r\n --More-- "
    return f"{line}\r\nr1#" if line.startswith("!") else ""


class Caller(StillReader):
    """Does what somebody else does while the connection's own thread sleeps."""

    act: Callable[[], bool]

    def wait(self, seconds: float) -> None:
        if not self.act():  # what is done wakes the thread at once
            super().wait(seconds)


class Bench:
    """One command on a connection that is logged in already; `asked` is what it was ever seen to wait for."""

    def __init__(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(network, "time", clock)
        self.clock = clock
        self.turn = Turn()
        self.channel = FakeChannel(pages)
        self.reader = Caller(self.channel, "r1")  # type: ignore[arg-type]  # a fake at the wire
        self.reader.clock = clock
        self.connection = NetworkConnection(R1, IOS, Link(), byte_limit=1 << 20)
        self.connection.prompt = Prompt("r1#")
        self.connection._reader = self.reader
        self.asked: list[str] = []

    def run(self, answer: Callable[[str], None]) -> None:
        def act() -> bool:
            if not self.turn.waiting or "\x03" in self.channel.written:
                return False
            self.asked.append(self.turn.waiting)
            answer(self.turn.waiting)
            return True

        self.reader.act = act
        reply = self.connection.run("show x", deadline=self.clock.now + 5, turn=self.turn)
        self.connection.events += reply.events


@pytest.fixture
def bench(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(clock, monkeypatch)


@pytest.mark.parametrize(("key", "echo"), [("\n", b""), (" ", b" "), ("\n", b"\r\n")])
def test_an_answered_page_prompt_is_not_asked_again_before_the_device_has_answered(
    key: str, echo: bytes, bench: Bench
) -> None:
    def answer(_reason: str) -> None:
        assert bench.turn.send(key)
        if echo:
            bench.channel.late.append(echo)

    with pytest.raises(CommandTimeout):
        bench.run(answer)
    assert bench.asked == ["pager"]
    assert bench.channel.written.count(key) == 1


def test_the_next_page_asks_anew(bench: Bench) -> None:
    def answer(_reason: str) -> None:
        last = len(bench.asked) == 3
        bench.turn.send(" ")
        bench.channel.late.append(b"\r          \rpage\r\n" + (b"r1#" if last else b" --More-- "))

    bench.run(answer)
    assert bench.asked == ["pager"] * 3
    assert bench.channel.written.count(" ") == 3


def test_a_key_is_not_typed_at_a_question_that_came_in_its_way(bench: Bench) -> None:
    def answer(reason: str) -> None:
        if reason == "pager":
            bench.turn.send("\n")
            bench.channel.in_buffer.feed(b"\r          \rReload now? [confirm]")
        else:
            bench.turn.cancel()

    with pytest.raises(CommandInterrupted):
        bench.run(answer)
    assert bench.asked == ["pager", "confirm"]
    assert "\n" not in bench.channel.written
    assert any("was not typed" in event for event in bench.connection.events)


def confirms(line: str) -> str:
    """A device that asks before it does what it is told."""
    if line.startswith("show"):
        return f"{line}\r\nReload? [confirm]"
    return f"{line}\r\nr1#" if line.startswith("!") else ""


@pytest.mark.parametrize(
    ("came", "typed"),
    [
        ([b"\r\n*Nov 20 10:15:42.123: %SYS-5-CON", b"FIG_I: Configured by admin\r\n"], 1),
        ([b"\r\n", b"Reload aborted\r\nReally? [yes/no]: "], 0),
        ([b"\r\nr1#"], 0),
    ],
)
def test_an_answer_is_typed_behind_a_log_line_and_not_behind_anything_else(
    came: list[bytes], typed: int, bench: Bench
) -> None:
    bench.channel.answers = confirms
    cut = False

    def answer(reason: str) -> None:
        nonlocal cut
        if reason == "confirm" and not cut:
            cut = True
            first, *rest = came
            bench.channel.in_buffer.feed(first)
            bench.channel.late += rest
            bench.turn.send("y")
        else:
            bench.turn.cancel()

    with contextlib.suppress(CommandTimeout, CommandInterrupted):
        bench.run(answer)
    assert bench.channel.written.count("y") == typed
    assert any("was not typed" in event for event in bench.connection.events) is not bool(typed)


def test_a_key_for_a_session_that_was_lost_is_not_typed_on_the_next(bench: Bench) -> None:
    bench.turn.send("\n")
    with pytest.raises(CommandInterrupted):
        bench.run(lambda _reason: bench.turn.cancel())
    assert bench.asked == ["pager"]
    assert "\n" not in bench.channel.written


def test_one_key_at_a_time_is_left_to_be_typed() -> None:
    turn = Turn()
    turn.ask("pager", "--More--")
    assert turn.send(" ")
    assert not turn.send("\n")
    turn.ask("pager", "--More--")
    assert turn.waiting == ""
    assert turn.take_input() == " "
    assert turn.take_input() == ""
    turn.ask("pager", "--More--")
    turn.send("q")
    turn.forget_input()
    assert (turn.take_input(), turn.waiting) == ("", "")


@pytest.mark.parametrize(("second", "text"), [("confirm", "enter"), ("pager", "reload")])
def test_no_row_gets_a_key_when_one_of_them_may_not_have_it(second: str, text: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            jobs = Jobs(tasks)
            actions = JobActions(jobs, Audit(tmp_path / "audit.jsonl"), Vault())
            rows = [Row(R1, IOS, "show x", Redactor(Vault()), running=True) for _ in range(2)]
            rows[0].turn.ask("pager", "--More--")
            rows[1].turn.ask(second, "?")  # type: ignore[arg-type]
            job = Job("some-job", "show x", rows)
            jobs.give_out(job)
            with pytest.raises((PolicyError, InputError)):
                await actions.act("input", "some-job", text=text)
            assert [row.state for row in rows] == ["waiting", "waiting"]
            assert [row.turn.take_input() for row in rows] == ["", ""]

    anyio.run(work)
