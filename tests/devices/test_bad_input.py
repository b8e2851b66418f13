"""Bad input and bad days, each through a real MCP client: a clear error, nothing lost, nothing sent by mistake."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import Faults, Flood, Hang, Script, Text
from netssh_mcp.lab.server import RunningNetwork, new_host_key, start_network
from tests.devices.house import audit_records, write_inventory
from tests.devices.mcp_house import House, served

pytestmark = pytest.mark.anyio

LINES = [f"entry {number:05d} of a long table, state {'up' if number % 7 else 'down'}" for number in range(3000)]
SPEC = DeviceSpec(
    "r1",
    "cisco_ios",
    outputs={
        "show long": Script.of("".join(f"{line}\n" for line in LINES)),
        "show silence": Script((Text("the first line\n"), Hang())),
        "show flood": Script((Flood("the same line again\n"),)),
        "show paged": Script.of("".join(f"page line {number}\n" for number in range(60)), Faults(pager_always=True)),
    },
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, so that one server serves most of its tests."""
    return "asyncio"


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network([SPEC]) as running:
        yield running


@pytest.fixture
def device(network: RunningNetwork) -> Device:
    return network.device("r1")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("server")
    async with served(write_inventory({"r1": 1}, [SPEC], folder), folder) as house:
        yield house


@pytest.fixture
def house(server: House, network: RunningNetwork) -> House:
    """The module's server, whose inventory now names this test's own device; it has one session at most."""
    write_inventory(network.ports, [SPEC], server.folder, r1={"max_sessions": 1})
    return server


@asynccontextmanager
async def opened(
    network: RunningNetwork, folder: Path, *arguments: str, spec: DeviceSpec = SPEC, **more: Any
) -> AsyncIterator[House]:
    inventory = write_inventory(network.ports, [spec], folder, **more)
    async with served(inventory, folder, *arguments) as house:
        yield house


async def until(there: Callable[[], bool]) -> None:
    """The device is in a thread of its own, without an event to wait on: look again each time the loop comes round."""
    with anyio.fail_after(10):
        while not there():
            await anyio.lowlevel.checkpoint()


async def works(house: House) -> None:
    """The same session goes on: the next command has its own output, all of it."""
    row = (await house.show("r1", "show clock", parse="raw")).row
    assert (row["ok"], row["framing"], row["output"]) == (True, "proven", "10:15:42.123 UTC Fri Nov 20 2026\n")


# ---- what never reaches a device


async def test_an_unknown_device_is_named_with_the_nearest_one(house: House, device: Device) -> None:
    answer = await house.show("r11", "show clock")
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "input", "none")
    assert "r11" in answer.error["message"]
    assert "r1" in answer.error["message"].replace("r11", "")
    assert answer.error["message"] in answer.text
    assert device.connections == 0


@pytest.mark.parametrize("targets", ["site=nowhere", "@nobody", "zzz*", "", "r1 & !r1"])
async def test_a_selector_that_picks_nothing_is_an_error(house: House, device: Device, targets: str) -> None:
    answer = await house.show(targets, "show clock")
    assert (answer.failed, answer.error["kind"]) == (True, "input")
    assert device.connections == 0


@pytest.mark.parametrize(
    "command", ["show clock\nreload", "show clock\rreload", "show clock\x03", "show clock ; reload"]
)
async def test_a_command_that_is_more_than_one_line_is_refused(house: House, device: Device, command: str) -> None:
    answer = await house.show("r1", command)
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "denied", "none")
    assert device.connections == 0


async def test_a_command_that_the_policy_refuses_costs_only_its_own_row(house: House, device: Device) -> None:
    before = len(audit_records(house.folder))
    answer = await house.show("r1", "reload", "show clock", "copy running-config tftp://192.0.2.1/x", "conf t")
    assert [row["ok"] for row in answer.rows] == [False, True, False, False]
    assert {row["error"]["kind"] for row in answer.rows if not row["ok"]} == {"denied"}
    assert not answer.failed
    assert not [line for line in device.received if "reload" in line or "copy" in line or "conf" in line]
    verdicts = [record["verdict"] for record in audit_records(house.folder)[before:] if "verdict" in record]
    assert sorted(verdicts) == ["allow", "deny", "deny", "deny"]


async def test_an_unknown_argument_is_named_with_the_right_one(house: House, device: Device) -> None:
    answer = await house.call("show", targets="r1", commands=["show clock"], timout=5)
    assert (answer.failed, answer.error["kind"]) == (True, "input")
    assert "timout" in answer.text
    assert "timeout" in answer.text
    answer = await house.call("show", targets="r1", commands="show clock", query="[")
    assert (answer.failed, answer.error["kind"]) == (True, "input")
    assert device.connections == 0


async def test_without_an_audit_record_nothing_is_sent(network: RunningNetwork, tmp_path: Path) -> None:
    device = network.device("r1")
    async with opened(network, tmp_path) as house:
        await works(house)
        audit = tmp_path / "audit.jsonl"
        before = len(device.received)
        audit.unlink()
        audit.symlink_to("/dev/full")
        answer = await house.show("r1", "show version")
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "audit", "none")
    assert device.received[before:] == []


# ---- no session


async def test_a_command_that_the_device_refuses_has_the_devices_own_line(house: House) -> None:
    answer = await house.show("r1", "show nonsense")
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "rejected", "none")
    assert answer.error["line"] == "% Invalid input detected at '^' marker."
    assert answer.row["output"].splitlines()[0].strip() == "^"
    assert answer.error["line"] in answer.text
    await works(house)


async def test_a_closed_port_is_unreachable_and_says_where(network: RunningNetwork, tmp_path: Path) -> None:
    async with opened(network, tmp_path, r1={"port": 1, "connect_timeout": 5}) as house:
        answer = await house.show("r1", "show clock", "show version")
    assert [row["error"]["kind"] for row in answer.rows] == ["connect", "connect"]
    error = answer.rows[0]["error"]
    assert (answer.failed, error["effect"], error["retryable"]) == (True, "none", True)
    assert "127.0.0.1" in error["message"]
    assert "refused" in error["message"]


async def test_a_wrong_password_is_tried_once_and_never_again(network: RunningNetwork, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    wrong.chmod(0o600)
    device = network.device("r1")
    async with opened(network, tmp_path, r1={"password": f"file:{wrong}"}) as house:
        first = await house.show("r1", "show clock", "show version")
        assert (first.failed, [row["error"]["kind"] for row in first.rows]) == (True, ["auth", "auth"])
        assert (device.auth_failures, device.connections) == (1, 1)
        second = await house.show("r1", "show clock")
        assert second.error["kind"] == "auth"
        assert "not tried again" in second.error["message"]
        assert (device.auth_failures, device.connections) == (1, 1)
        assert "not-the-password" not in first.text + second.text
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(inventory.read_text().replace(str(wrong), str(tmp_path / "r1.password")))
        await works(house)  # corrected in the inventory: that lifts it at once


async def test_a_changed_host_key_is_refused_before_the_password_is_sent(tmp_path: Path) -> None:
    with start_network([SPEC]) as network:
        port = network.ports["r1"]
        async with opened(network, tmp_path) as house:
            await works(house)
    impostor = DeviceSpec("r1", "cisco_ios", host_key=new_host_key(), port=port)
    with start_network([impostor]) as network:
        async with opened(network, tmp_path, spec=impostor) as house:
            answer = await house.show("r1", "show clock")
        device = network.device("r1")
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "hostkey", "none")
    assert "SHA256:" in answer.error["message"] + answer.error["hint"]
    assert (device.logins, device.auth_failures, device.received) == (0, 0, [])


async def test_a_wrong_enable_secret_is_a_clear_error_and_tried_once(tmp_path: Path) -> None:
    spec = DeviceSpec("r1", "cisco_ios", enable="the-right-one")
    wrong = tmp_path / "wrong"
    wrong.write_text("the-wrong-one")
    wrong.chmod(0o600)
    with start_network([spec]) as network:
        async with opened(network, tmp_path, spec=spec, r1={"enable": f"file:{wrong}"}) as house:
            answer = await house.show("r1", "show clock")
            again = await house.show("r1", "show clock")
        received = network.device("r1").received
    assert (answer.failed, answer.error["kind"]) == (True, "auth")
    assert "enable" in answer.error["message"]
    assert "not tried again" in again.error["message"]
    assert received.count("enable") == 1
    assert "the-wrong-one" not in answer.text + again.text


# ---- a command that goes wrong


async def test_a_timeout_keeps_the_text_so_far_and_the_session(house: House, device: Device) -> None:
    answer = await house.show("r1", "show silence", "show clock", timeout=0.4)
    late, clock = answer.rows
    assert (late["error"]["kind"], late["error"]["effect"]) == ("timeout", "possible")
    assert (late["output"], late["partial"]) == ("the first line\n", True)
    assert clock["ok"]
    assert device.interrupts == 1
    assert device.logins == 1
    await works(house)


async def test_a_long_output_is_cut_and_the_whole_can_be_read(house: House) -> None:
    row = (await house.show("r1", "show long", parse="raw")).row
    assert row["truncated"]
    assert len(row["output"]) <= 20_000
    assert LINES[0] in row["output"]
    assert LINES[-1] in row["output"]
    assert row["output_id"] in row["output"], "the notice stands inside the result"
    read = ""
    part: dict[str, Any] = {"next_offset": 0}
    while part["next_offset"] is not None:
        part = (await house.call("read_output", output_id=row["output_id"], offset=part["next_offset"])).fields
        read += part["text"]
    assert read == "".join(f"{line}\n" for line in LINES)
    found = (await house.call("read_output", output_id=row["output_id"], grep="entry 0123[45]", context=1)).fields
    assert (found["total"], [line[:5] for line in found["text"].splitlines()]) == (
        2,
        ["1234-", "1235:", "1236:", "1237-"],
    )
    no_rows = await house.call("read_output", output_id=row["output_id"], query="[0]")
    assert (no_rows.failed, no_rows.error["kind"]) == (True, "input")
    gone = await house.call("read_output", output_id="o" + "0" * 32)
    assert (gone.failed, gone.error["kind"]) == (True, "input")


async def test_a_long_table_is_cut_by_rows_and_read_on_by_offset_and_query(house: House, device: Device) -> None:
    device.set_answer(
        "show ip interface brief",
        Script.of(
            "Interface              IP-Address      OK? Method Status                Protocol\n"
            + "".join(
                f"{f'Vlan{n}':22} {f'10.0.{n // 256}.{n % 256}':15} YES NVRAM  up{'up':>22}\n" for n in range(900)
            )
        ),
    )
    row = (await house.show("r1", "show ip interface brief")).row
    shown = len(row["table"]["rows"])
    assert row["truncated"]
    assert 0 < shown < 900
    rest = (await house.call("read_output", output_id=row["output_id"], offset=shown)).fields
    assert (rest["unit"], rest["total"], rest["table"]["rows"][0][0]) == ("row", 900, f"Vlan{shown}")
    query = "[?interface=='Vlan899'].ip_address | [0]"
    asked = (await house.call("read_output", output_id=row["output_id"], query=query)).fields
    assert asked["value"] == "10.0.3.131"


async def test_a_broken_inventory_edit_leaves_the_last_good_one_in_use_and_says_so(
    house: House, device: Device
) -> None:
    await works(house)
    inventory = house.folder / "inventory.yaml"
    good = inventory.read_text()
    inventory.write_text(good.replace("platform:", "platfrom:"))
    answer = await house.show("r1", "show clock")
    assert answer.row["ok"]
    for said in ("platfrom", "platform", "inventory.yaml:"):
        assert said in answer.fields["problem"]
    assert answer.fields["problem"].splitlines()[0] in answer.text
    inventory.write_text("hosts: [unclosed")
    assert (await house.call("list_devices")).fields["problem"]
    inventory.write_text(good)
    assert "problem" not in (await house.show("r1", "show clock")).fields
    assert device.logins == 1


async def test_a_pager_in_spite_of_paging_off_waits_for_the_caller(house: House, device: Device) -> None:
    answer = await house.show("r1", "show paged")
    row = answer.row
    assert (row["state"], row["waiting_for"], answer.failed) == ("waiting", "pager", False)
    assert "--More--" in row["question"]
    job = answer.fields["job_id"]
    refused = await house.call("job", action="input", job_id=job, text="reload")
    assert (refused.failed, refused.error["kind"]) == (True, "input")
    onward = await house.call("job", action="input", job_id=job, text="space")
    assert onward.fields["state"] == "waiting"
    ended = await house.call("job", action="input", job_id=job, text="q", cursor=onward.fields["cursor"])
    (row,) = ended.fields["rows"]
    assert (ended.fields["state"], row["ok"]) == ("done", True)
    numbers = [int(line.split()[-1]) for line in row["output"].splitlines() if line.startswith("page line")]
    assert numbers == list(range(len(numbers)))
    assert 30 < len(numbers) < 60
    await works(house)


async def test_a_cancel_by_the_client_reaches_the_device(house: House, device: Device) -> None:
    await works(house)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.show, "r1", "show silence")
        await until(lambda: "show silence" in device.received)
        tasks.cancel_scope.cancel()
    await until(lambda: device.interrupts == 1)
    await works(house)
    assert device.logins == 1


async def test_a_command_that_takes_longer_than_the_caller_waits_goes_on_as_a_job(house: House, device: Device) -> None:
    await works(house)
    device.set_answer("show version", Script.of(str(device.answers["show version"]), Faults(delay=0.6)))
    answer = await house.show("r1", "show version", wait=0.1)
    assert (answer.row["state"], answer.row["ok"], answer.failed) == ("running", False, False)
    job = answer.fields["job_id"]
    assert job in answer.fields["next"]
    listed = await house.call("job", action="list")
    assert listed.fields["rows"][0][0] == job
    ended = await house.call("job", action="wait", job_id=job)
    (row,) = ended.fields["rows"]
    assert (ended.fields["state"], row["ok"], row["parsed_by"]) == (
        "done",
        True,
        "textfsm:cisco_ios_show_version.textfsm",
    )
    assert job in (await house.call("job", action="history")).text
    missing = await house.call("job", action="get", job_id="no-such-job")
    assert (missing.failed, missing.error["kind"]) == (True, "input")


async def test_cancelling_a_job_interrupts_its_command_and_sends_nothing_of_the_rest(
    house: House, device: Device
) -> None:
    answer = await house.show("r1", "show silence", "show version", wait=0.3)
    await until(lambda: "show silence" in device.received)
    ended = await house.call("job", action="cancel", job_id=answer.fields["job_id"])
    assert ended.fields["state"] == "cancelled"
    assert [row["error"]["kind"] for row in ended.fields["rows"]] == ["interrupted", "interrupted"]
    assert ended.fields["rows"][0]["output"] == "the first line\n"
    assert "show version" not in device.received
    await works(house)


async def test_a_device_that_freezes_is_a_timeout_in_time_and_the_next_call_has_a_new_session(
    house: House, device: Device
) -> None:
    device.set_answer("show silence", Script((Text("the first line\n"), Hang()), Faults(deaf_to_interrupt=True)))
    await works(house)
    with anyio.fail_after(10):
        answer = await house.show("r1", "show silence", timeout=0.4)
    assert answer.error["kind"] == "timeout"
    assert "closed" in answer.error["message"]
    assert answer.row["output"] == "the first line\n"
    row = (await house.show("r1", "show clock")).row
    assert (row["ok"], row["reconnected"]) == (True, True)
    assert device.logins == 2


async def test_a_link_that_is_frozen_altogether_ends_in_time(house: House, device: Device) -> None:
    await works(house)
    device.break_sessions("freeze")
    with anyio.fail_after(10):
        answer = await house.show("r1", "show version", timeout=0.4)
    assert answer.error["kind"] == "timeout"
    await works(house)


@pytest.mark.parametrize("kind", ["channel", "disconnect", "tcp", "reset", "garbage"])
async def test_a_lost_link_is_noticed_and_a_read_is_sent_once_more(house: House, device: Device, kind: Any) -> None:
    await works(house)
    device.set_answer("show version", Script((Text("half of it\n"), Hang())))
    result: list[Any] = []

    async def ask() -> None:
        result.append(await house.show("r1", "show version", parse="raw"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await until(lambda: "show version" in device.received)
        device.set_answer("show version", Script.of("all of it\n"))
        device.break_sessions(kind)
    row = result[0].row
    assert (row["ok"], row["output"], row["retried"], row["reconnected"]) == (True, "all of it\n", True, True)
    assert device.received.count("show version") == 2


async def test_an_endless_output_ends_with_its_timeout(house: House, device: Device) -> None:
    answer = await house.show("r1", "show flood", timeout=0.3)
    assert answer.error["kind"] == "timeout"
    assert answer.row["truncated"]
    assert set(answer.row["output"].splitlines()[:100]) == {"the same line again"}
    await works(house)


async def test_a_secret_that_cannot_be_had_is_said_before_anything_is_opened(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with opened(network, tmp_path, r1={"password": "env:NETSSH_TEST_NOT_SET"}) as house:
        answer = await house.show("r1", "show clock")
    assert "NETSSH_TEST_NOT_SET" not in os.environ
    assert answer.failed
    assert "NETSSH_TEST_NOT_SET" in answer.error["message"] + answer.error["hint"]
    assert network.device("r1").auth_failures == 0


async def test_no_secret_is_in_anything_that_was_said_or_written(network: RunningNetwork, tmp_path: Path) -> None:
    spec = DeviceSpec("r1", "cisco_ios", password="pass-XYZZY", enable="enable-XYZZY")
    with start_network([spec]) as own:
        async with opened(own, tmp_path, spec=spec) as house:
            texts = [(await house.show("r1", "show version", "reload", "show nonsense")).text]
            texts += [(await house.call("list_devices", view=view)).text for view in ("devices", "sessions")]
    texts.append((tmp_path / "audit.jsonl").read_text())
    assert not [text for text in texts if "XYZZY" in text]
    assert yaml.safe_load((tmp_path / "inventory.yaml").read_text())
