"""What a session does when a device misbehaves: the right text or a named error, and nothing written meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import CommandTimeout, OutputTooLarge
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import SYSLOG, Faults, Flood, Hang, Pause, Script, Text
from netssh_mcp.lab.model import Wrap
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import Bench, on, until

TEXT = "".join(f"line {number}: caf\u00e9 \u6f22\u5b57 and some more words to fill it\n" for number in range(40))


def device(**faults: Any) -> DeviceSpec:
    """One whose `show it` is TEXT with these faults; the rest of it is well."""
    return DeviceSpec("r1", "cisco_ios", outputs={"show it": Script.of(TEXT, Faults(**faults))})


QUIET_FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"delay": 0.2, "line_delay": 0.005},
    "fragments": {"fragment": 7},
    "utf8-split": {"split_utf8": 0.001},
    "cr-cr-lf": {"newline": "\r\r\n"},
    "lf-cr": {"newline": "\n\r"},
    "lf-only": {"newline": "\n"},
    "nul-bytes": {"nul": True},
}


@pytest.mark.parametrize("name", QUIET_FAULTS)
def test_the_text_is_whole_and_nothing_is_written_while_it_comes(name: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        for _ in range(2):
            reply = await bench.run("show it")
            assert reply.output == TEXT
            assert (reply.framing, reply.events) == ("proven", ())
        assert bench.device().early == []
        assert not bench.reconnected

    on([device(**QUIET_FAULTS[name])], tmp_path, work)


TERMINALS = {
    "echo-early": Faults(echo="early"),
    "echo-both": Faults(echo="both"),
    "echo-line": Faults(echo="line"),
    "backspace-noise": Faults(echo_noise="backspace"),
    "ansi-noise": Faults(echo_noise="ansi"),
    "byte-by-byte": Faults(fragment=1),
    "byte-by-byte-early": Faults(fragment=1, echo="early"),
    "byte-by-byte-both-noise": Faults(fragment=1, echo="both", echo_noise="ansi"),
    "nul-cr": Faults(nul=True, newline="\r\r\n", fragment=3),
}


@pytest.mark.parametrize("name", TERMINALS)
def test_every_terminal_gives_the_same_text_from_login_on(name: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for command in ["show it", "show clock", "show it"]:
            reply = await bench.run(command)
            assert reply.framing == "proven"
            assert (reply.output == TEXT) == (command == "show it")
        assert bench.device().early == []

    spec = DeviceSpec("r1", "cisco_ios", outputs={"show it": TEXT}, faults=TERMINALS[name])
    on([spec], tmp_path, work)


@pytest.mark.parametrize("columns", [80, 132, 511])
def test_a_long_echo_that_wraps_is_not_output(columns: int, tmp_path: Path) -> None:
    line = "show it include " + "x" * 230
    hostname = "r" * max(1, columns - 250) if columns == 511 else "r1"

    async def work(bench: Bench) -> None:
        wraps: tuple[Wrap, ...] = ("crlf", "space_cr")
        for wrap in wraps:
            bench.device().set_faults(Faults(wrap=wrap, fragment=5))
            assert (await bench.run(line)).output == "found\n"

    spec = DeviceSpec("r1", "cisco_ios", hostname=hostname[:63], outputs={line: "found\n"})
    on([spec], tmp_path, work)


@pytest.mark.parametrize("where", ["inline", "line_start"])
@pytest.mark.parametrize("echo", ["line", "early", "both"])
def test_a_look_alike_prompt_ends_nothing(where: str, echo: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        reply = await bench.run("show it")
        lines = reply.output.splitlines()
        middle = "description to r1# port 7" if where == "inline" else "r1# port 7"
        assert lines == [*TEXT.splitlines()[:20], middle, *TEXT.splitlines()[20:]]
        assert (await bench.run("show it")).output == reply.output

    on([device(lookalike=where, lookalike_pause=0.1, echo=echo)], tmp_path, work)


@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("place", ["before_prompt", "after_prompt", "in_output"])
def test_a_log_line_is_an_event_wherever_it_falls(place: str, redraw: bool, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        reply = await bench.run("show it")
        assert reply.output == TEXT
        after = await bench.run("show it")
        assert after.output == TEXT
        assert SYSLOG in (*reply.events, *after.events)
        assert {*reply.events, *after.events} == {SYSLOG}
        assert bench.device().early == []

    on([device(syslog=(place,), syslog_redraw=redraw)], tmp_path, work)


def test_lines_that_come_between_commands_are_events_of_the_next(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run("show it")
        bench.device().emit(SYSLOG)
        bench.device().emit(SYSLOG, redraw=True)
        reply = await bench.run("show it")
        assert (reply.output, set(reply.events)) == (TEXT, {SYSLOG})

    on([device()], tmp_path, work)


def test_a_pager_in_spite_of_paging_off_waits_for_the_caller_and_nothing_is_typed(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        typed = len(bench.device().writes)
        turn = Turn()
        with pytest.raises(CommandTimeout) as caught:
            await bench.run("show it", timeout=0.6, turn=turn)
        assert turn.question.strip() == "--More--"
        assert "the device was asking" in str(caught.value)
        assert caught.value.line == "--More--"
        assert "line 3:" in caught.value.partial
        # The line, then nothing before the interrupt that the timeout brings.
        after = [data for _, data in list(bench.device().writes)[typed:]]
        assert after[0] == b"show it\n"
        assert after[1].startswith(b"\x03")
        assert "Cisco IOS" in (await bench.run()).output
        assert not bench.reconnected

    on([_long(Faults(pager_always=True))], tmp_path, work)


def test_a_pager_is_answered_only_by_the_callers_own_key(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        turn = Turn()
        pages = 0

        async def press() -> None:
            nonlocal pages
            while True:
                await until(lambda: turn.waiting == "pager")
                pages += 1
                turn.send(" ")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(press)
            reply = await bench.run("show it", turn=turn)
            tasks.cancel_scope.cancel()
        assert pages > 2
        assert [line for line in reply.output.splitlines() if line.startswith("row")] == [
            f"row {number}" for number in range(100)
        ]

    on([_long(Faults(pager_always=True))], tmp_path, work)


def _long(faults: Faults) -> DeviceSpec:
    """More lines than the terminal has rows."""
    text = "".join(f"line {number}:\n" for number in range(5)) + "".join(f"row {number}\n" for number in range(100))
    return DeviceSpec("r1", "cisco_ios", outputs={"show it": Script.of(text, faults)})


@pytest.mark.parametrize("before", ["", "half of it\n"])
def test_a_silent_command_times_out_is_stopped_and_the_session_lives_on(before: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        with pytest.raises(CommandTimeout, match="the prompt is back") as caught:
            await bench.run("show it", timeout=0.3)
        assert caught.value.partial == before
        assert caught.value.effect == "possible"
        assert bench.device().interrupts == 1
        assert bench.device().early == []
        assert "Cisco IOS" in (await bench.run()).output
        assert not bench.reconnected
        assert bench.device().connections == 1

    steps = (Text(before), Hang()) if before else (Hang(),)
    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": Script(steps)})], tmp_path, work)


def test_a_device_deaf_to_the_interrupt_costs_the_session_and_the_next_says_reconnected(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        with pytest.raises(CommandTimeout, match="the session was closed") as caught:
            await bench.run("show it", timeout=0.3)
        assert caught.value.partial == "half\n"
        assert "Cisco IOS" in (await bench.run()).output
        assert bench.reconnected
        assert "Cisco IOS" in (await bench.run()).output
        assert not bench.reconnected

    script = Script((Text("half\n"), Hang()), Faults(deaf_to_interrupt=True))
    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": script})], tmp_path, work)


def test_a_flood_ends_at_the_byte_limit_and_the_session_lives_on(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        with pytest.raises(OutputTooLarge, match="the prompt is back") as caught:
            await bench.run("show it")
        assert len(caught.value.partial) >= 180_000  # CR LF counts as two on the wire
        assert set(caught.value.partial.splitlines()[:-1]) == {"again and again"}
        assert "Cisco IOS" in (await bench.run()).output
        assert not bench.reconnected

    spec = DeviceSpec("r1", "cisco_ios", outputs={"show it": Script((Flood("again and again\n"),))})
    on([spec], tmp_path, work, byte_limit=200_000)


def test_a_hostname_that_changes_between_two_commands_is_followed(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        store = bench.device()
        store.values["hostname"] = "edge-9"
        reply = await bench.run("show it")
        assert (reply.output, reply.framing) == (TEXT, "proven")
        assert bench.lease is not None
        assert bench.lease.session.connection.prompt.line == "edge-9#"
        assert (await bench.run("show it")).output == TEXT

    on([device()], tmp_path, work)


def test_a_hostname_that_changes_during_a_command_is_followed(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()

        turn = Turn()

        async def rename() -> None:
            await until(lambda: "a" in turn.partial())
            bench.device().values["hostname"] = "edge-9"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rename)
            assert (await bench.run("show it", turn=turn)).output == "a\nb\n"
        assert (await bench.run("show it")).output == "a\nb\n"
        assert not bench.reconnected

    script = Script((Text("a\n"), Pause(0.3), Text("b\n")))
    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": script})], tmp_path, work)


def test_a_command_that_dribbles_is_never_ended_early(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert (await bench.run("show it")).output == "r1\nr1# is\nmy name\n"
        assert (await bench.run("show it")).output == "r1\nr1# is\nmy name\n"

    script = Script(tuple(step for char in "r1\nr1# is\nmy name\n" for step in (Text(char), Pause(0.03))))
    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": script})], tmp_path, work)
