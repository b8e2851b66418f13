"""Links that break in mid-command, cancelled calls, and the pool: named at once, nothing mixed, nothing left open."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from netssh_mcp.errors import AuthenticationFailed, CommandInterrupted, CommandTimeout, ConnectError, SessionLost
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Break, BreakKind, Faults, Hang, Pause, Script, Text
from netssh_mcp.lab.server import start_network
from netssh_mcp.wire import network
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import Bench, no_threads_left, on, transports, until
from tests.devices.house import audit_records, opened

NAMED: dict[BreakKind, str] = {
    "channel": "the device closed the session",
    "disconnect": "the link was lost: the .* closed",
    "tcp": "the connection was closed by the device",
    "reset": "the connection was reset",
    "garbage": "garbage that is not SSH",
}


def breaking(kind: BreakKind) -> DeviceSpec:
    return DeviceSpec(
        "r1", "cisco_ios", outputs={"show it": Script((Text("first\nsecond\n"), Pause(0.05), Break(kind), Hang()))}
    )


@pytest.mark.parametrize("kind", NAMED)
def test_a_lost_link_is_named_at_once_with_the_text_so_far(kind: BreakKind, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        with anyio.fail_after(10), pytest.raises(SessionLost, match=NAMED[kind]) as caught:
            await bench.run("show it", timeout=1000)
        assert caught.value.partial == "first\nsecond\n"
        assert (caught.value.effect, caught.value.retryable) == ("possible", True)
        assert "Cisco IOS" in (await bench.run()).output
        assert bench.reconnected
        assert bench.device().early == []

    on([breaking(kind)], tmp_path, work)


def test_a_frozen_device_is_a_timeout_and_the_way_out_is_bounded(tmp_path: Path) -> None:
    # What may come on top of the caller's timeout: waiting for the interrupt, and for the prompt behind it.
    assert network._STOP / 2 + network._STOP < 1.0

    async def work(bench: Bench) -> None:
        await bench.run()
        with pytest.raises(CommandTimeout, match="the session was closed") as caught:
            await bench.run("show it", timeout=0.3)
        assert caught.value.partial == "first\nsecond\n"
        assert "Cisco IOS" in (await bench.run()).output
        assert bench.reconnected

    on([breaking("freeze")], tmp_path, work)


@pytest.mark.parametrize("kind", NAMED)
def test_a_read_that_was_cut_is_run_once_more_and_says_so(kind: BreakKind, tmp_path: Path) -> None:
    async def main() -> None:
        specs = [breaking(kind)]
        with start_network(specs) as net, anyio.fail_after(30):
            device = net.device("r1")

            async def mend() -> None:
                await until(lambda: "show it" in device.received)
                device.set_answer("show it", "whole\n")

            async with opened(net, specs, tmp_path) as app, anyio.create_task_group() as tasks:
                tasks.start_soon(mend)
                result = await app.commands.show("r1", ["show it"], parse="raw")
            row = result["rows"][0]
            assert (row["ok"], row["output"]) == (True, "whole\n")
            assert (row["retried"], row["reconnected"]) == (True, True)
            assert device.received.count("show it") == 2
            outcomes = [record.get("error") for record in audit_records(tmp_path) if record.get("outcome") == "error"]
            assert outcomes == ["lost"]

    with no_threads_left():
        anyio.run(main)


def test_a_read_that_is_cut_twice_is_an_error_and_is_not_run_a_third_time(tmp_path: Path) -> None:
    async def main() -> None:
        specs = [breaking("reset")]
        with start_network(specs) as net, anyio.fail_after(30):
            async with opened(net, specs, tmp_path) as app:
                result = await app.commands.show("r1", ["show it"], parse="raw")
            row = result["rows"][0]
            assert row["error"]["kind"] == "lost"
            assert row["output"] == "first\nsecond\n"
            assert net.device("r1").received.count("show it") == 2

    with no_threads_left():
        anyio.run(main)


def test_an_idle_session_that_died_is_replaced_and_the_result_says_reconnected(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        first = bench.lease.session
        bench.device().break_sessions("tcp")
        await until(lambda: not first.usable)
        assert "Cisco IOS" in (await bench.run()).output
        assert bench.reconnected
        assert bench.lease.session.number != first.number

    on([DeviceSpec("r1", "cisco_ios")], tmp_path, work)


# -- cancelling ----------------------------------------------------------------------------------------------------


def test_cancelling_the_task_stops_the_command_and_the_next_output_is_its_own(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bench.run("show it", turn=turn))
            await until(lambda: "begun" in turn.partial())
            tasks.cancel_scope.cancel()
        assert bench.device().interrupts == 1
        assert "Cisco IOS" in (await bench.run()).output
        assert not bench.reconnected
        assert bench.device().connections == 1

    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": Script((Text("begun\n"), Hang()))})], tmp_path, work)


def test_two_hundred_cancels_at_random_points_leave_no_thread_no_descriptor_and_no_mixed_text(tmp_path: Path) -> None:
    chance = random.Random(20261120)  # noqa: S311  (repeatable)
    outputs: dict[str, Any] = {
        f"show it {number}": Script((Text(f"{number}\n"), Pause(0.01), Text(f"{number}\n"))) for number in range(50)
    }

    async def work(bench: Bench) -> None:
        hops = bench.hops()
        bench.fixed = hops  # the files are written once
        await bench.run()
        for number in range(200):
            with anyio.move_on_after(chance.choice([0.0, 0.001, 0.005, 0.02, 0.05])):
                reply = await bench.run(f"show it {number % 50}")
                assert reply.output == f"{number % 50}\n" * 2
            if number % 20 == 0:  # some of the cancels fall into a login
                open_ones = [session for session, _ in bench.pool.sessions()]
                bench.device().break_sessions("tcp")
                await until(lambda: not any(session.usable for session in open_ones))  # noqa: B023
        assert (await bench.run("show it 7")).output == "7\n7\n"
        assert len(bench.pool.sessions()) <= 2
        await bench.pool.aclose()
        await until(lambda: bench.device().sessions_open == 0)

    descriptors = len(os.listdir("/proc/self/fd"))
    on([DeviceSpec("r1", "cisco_ios", outputs=outputs)], tmp_path, work)
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_a_cancelled_login_to_a_host_that_never_answers_ends_at_once(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
            bench.network.ports["r1"] = silent.listeners[0].extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
            hops = bench.hops()
            for cancel in ("task", "turn"):
                turn = Turn()
                ended: list[BaseException] = []

                async def run(turn: Turn = turn, ended: list[BaseException] = ended) -> None:
                    try:
                        await bench.run(turn=turn)
                    except ConnectError as error:
                        ended.append(error)

                bench.fixed = hops
                with anyio.fail_after(5):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(run)
                        await until(lambda ended=ended: transports() or ended)  # type: ignore[misc]
                        assert not ended, ended
                        if cancel == "task":
                            tasks.cancel_scope.cancel()
                        else:
                            turn.cancel()
                assert (len(ended) == 1) == (cancel == "turn")
                await until(lambda: not transports())

    on([DeviceSpec("r1", "cisco_ios")], tmp_path, work, r1={"connect_timeout": 600})


def test_a_command_that_waits_for_its_turn_is_cancelled_without_being_sent(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        first, second = Turn(), Turn()
        caught: list[CommandInterrupted] = []

        async def wait() -> None:
            try:
                await bench.run("show clock", turn=second)
            except CommandInterrupted as error:
                caught.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bench.run("show it", turn=first))
            await until(lambda: "begun" in first.partial())
            tasks.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            second.cancel()
            await until(lambda: caught)
            tasks.cancel_scope.cancel()
        assert caught[0].facts()["effect"] == "none"
        assert "show clock" not in bench.device().received

    spec = DeviceSpec("r1", "cisco_ios", outputs={"show it": Script((Text("begun\n"), Hang()))})
    on([spec], tmp_path, work, r1={"max_sessions": 1})


# -- the pool ------------------------------------------------------------------------------------------------------


def test_sixty_four_callers_share_two_sessions_and_nothing_is_mixed(tmp_path: Path) -> None:
    outputs: dict[str, Any] = {
        f"show it {number}": Script.of(f"{number}\n" * 5, Faults(line_delay=0.001)) for number in range(64)
    }
    most = 0

    async def work(bench: Bench) -> None:
        hops = bench.hops()
        bench.fixed = hops  # the files are written once

        async def one(number: int) -> None:
            nonlocal most
            for _ in range(3):
                reply = await bench.run(f"show it {number}")
                assert reply.output == f"{number}\n" * 5
                most = max(most, bench.device().sessions_open)

        async with anyio.create_task_group() as tasks:
            for number in range(64):
                tasks.start_soon(one, number)
        assert most <= 2
        assert bench.device().connections == 2
        assert bench.device().early == []

    on([DeviceSpec("r1", "cisco_ios", outputs=outputs)], tmp_path, work, r1={"max_sessions": 2})


def test_idle_sessions_expire_and_busy_ones_do_not(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        used = bench.lease.session.used_at
        bench.pool.expire(used + 59)
        assert len(bench.pool.sessions()) == 1
        bench.pool.expire(used + 61)
        assert bench.pool.sessions() == []
        await until(lambda: bench.device().sessions_open == 0)
        await bench.run()
        assert not bench.reconnected  # we closed it ourselves

    on([DeviceSpec("r1", "cisco_ios")], tmp_path, work, r1={"idle_timeout": 60})


def test_a_changed_inventory_entry_closes_the_old_session(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        old = bench.lease.session
        bench.more = {"r1": {"max_sessions": 1}}
        await bench.run()
        assert bench.lease.session is not old
        assert old.state == "dead"
        await until(lambda: bench.device().sessions_open == 1)

    on([DeviceSpec("r1", "cisco_ios")], tmp_path, work)


def test_a_session_in_use_while_its_entry_changes_is_closed_when_it_comes_back(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: bench.run("show it", turn=turn))
            await until(lambda: "a" in turn.partial())
            bench.more = {"r1": {"max_sessions": 1}}
            await bench.run()
        await until(lambda: bench.device().sessions_open == 1)
        assert len(bench.pool.sessions()) == 1

    script = Script((Text("a\n"), Pause(0.2), Text("b\n")))
    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": script})], tmp_path, work)


def test_refused_credentials_are_tried_once_until_the_secret_or_the_entry_changes(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        wrong = replace(bench.specs[0], password="wrong")
        right = bench.specs
        bench.specs = (wrong,)
        errors: list[AuthenticationFailed] = []

        async def one() -> None:
            try:
                await bench.run()
            except AuthenticationFailed as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(one)
        assert len(errors) == 8
        assert bench.device().auth_failures == 1
        assert sum("not tried again" in str(error) for error in errors) == 7
        bench.specs = right  # the same reference, another content
        assert "Cisco IOS" in (await bench.run()).output

    on([DeviceSpec("r1", "cisco_ios", auth=("password",))], tmp_path, work)


def test_closing_the_pool_while_commands_run_ends_them_as_lost(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        turn = Turn()
        lost: list[SessionLost] = []

        async def one() -> None:
            try:
                await bench.run("show it", turn=turn)
            except SessionLost as error:
                lost.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await until(lambda: "a" in turn.partial())
            await bench.pool.aclose()
        assert lost[0].partial == "a\n"

    on([DeviceSpec("r1", "cisco_ios", outputs={"show it": Script((Text("a\n"), Hang()))})], tmp_path, work)
