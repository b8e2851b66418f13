"""The `show` journey over MCP stdio on seven simulated platforms in one server: parsed, proven, each by its ways."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ntc_templates.parse import parse_output

from netssh_mcp.lab.demo_network import captured
from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import AfterPrompt, Faults, Log, Script, Text
from netssh_mcp.lab.model import fill
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.house import write_inventory
from tests.devices.mcp_house import House, served

pytestmark = pytest.mark.anyio

LONG = [f"line {number} of a long output" for number in range(200)]


def _demo(name: str, platform: str, **more: Any) -> DeviceSpec:
    """A device of the demo network, its texts as captured, with one command that is longer than any page."""
    texts = {command: Script.of(text) for command, text in captured(name).items() if command != "(config)"}
    texts["show long"] = Script.of("".join(f"{line}\n" for line in LONG))
    return DeviceSpec(name, platform, outputs=texts, **more)


SPECS = (
    _demo("core1", "cisco_ios", enable="ios-enable"),
    replace(_demo("core1", "cisco_ios", enable="xe-enable"), name="xe1"),
    _demo("core2", "cisco_xr"),
    _demo("spine1", "cisco_nxos"),
    _demo("leaf1", "arista_eos", enable="eos-enable"),
    _demo("edge1", "juniper_junos"),
    _demo("edge2", "frr"),
    _demo("fw1", "cisco_asa", enable="asa-enable"),
)
ODD = (
    DeviceSpec("kbd1", "cisco_ios", auth=("keyboard-interactive",), password="typed-in-a-dialogue"),
    DeviceSpec("no1", "cisco_ios", outputs={"show version": Script.of("% Invalid input detected at '^' marker.\n\n")}),
    DeviceSpec("dead1", "cisco_ios"),
    DeviceSpec("plain1", "cisco_ios", enable="not-in-the-inventory"),
)
NAMES = [spec.name for spec in (*SPECS, *ODD)]
PLATFORMS = {spec.name: spec.platform for spec in SPECS} | {"xe1": "cisco_xe"}

# device -> command -> "json", or "textfsm" where the rows are to be those of ntc-templates; "ours" is our own template
ASKED = {
    "core1": dict.fromkeys(
        ["show version", "show ip interface brief", "show interfaces", "show ip bgp summary", "show ip route"],
        "textfsm",
    ),
    "core2": dict.fromkeys(
        ["show version", "show ip interface brief", "show ip bgp summary", "show ip route", "show lldp neighbors"],
        "textfsm",
    ),
    "spine1": dict.fromkeys(
        ["show version", "show ip interface brief", "show interface status", "show ip bgp summary", "show ip route"],
        "textfsm",
    ),
    "leaf1": {"show version": "json"}
    | dict.fromkeys(
        ["show ip interface brief", "show interfaces status", "show ip bgp summary", "show ip route"], "textfsm"
    ),
    "edge1": {"show version": "json"}
    | dict.fromkeys(["show interfaces", "show bgp summary", "show lldp neighbors"], "textfsm"),
    "edge2": {
        "show version": "ours",
        "show interface brief": "ours",
        "show ip route": "ours",
        "show ip bgp summary": "json",
    },
    "fw1": dict.fromkeys(["show version", "show interface ip brief", "show route"], "textfsm"),
}
ASKED["xe1"] = ASKED["core1"]
PAGING_OFF = {
    "core1": "terminal length 0",
    "xe1": "terminal length 0",
    "core2": "terminal length 0",
    "spine1": "terminal length 0",
    "leaf1": "terminal length 0",
    "edge1": "set cli screen-length 0",
    "edge2": "terminal length 0",
    "fw1": "terminal pager 0",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network([*SPECS, *ODD]) as running:
        yield running


def inventory(network: RunningNetwork, folder: Path) -> Path:
    more: dict[str, Any] = {"xe1": {"platform": "cisco_xe"}, "dead1": {"port": 1}, "plain1": {"enable": None}}
    path = write_inventory(network.ports, [*SPECS, *ODD], folder, **more)
    path.write_text(path.read_text().replace("    enable: null\n", ""))
    return path


@pytest.fixture(scope="module")
async def house(network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("seven")
    async with served(inventory(network, folder), folder) as opened:
        yield opened


@pytest.mark.parametrize("name", ASKED)
async def test_the_usual_commands_are_parsed_and_proven_on(house: House, network: RunningNetwork, name: str) -> None:
    answer = await house.show(name, *ASKED[name])
    for row in answer.rows:
        how = ASKED[name][row["command"]]
        assert (row["platform"], row["ok"], row["framing"]) == (PLATFORMS[name], True, "proven"), row
        assert row["parsed_by"].split(":")[0] == ("textfsm" if how == "ours" else how), row["parsed_by"]
        if how == "json":
            assert row["data"]
            continue
        assert row["table"]["rows"], row["command"]
        if how == "textfsm":
            text = printed(network.device(name), row["command"])
            spoken = {"cisco_xe": "cisco_ios"}.get(PLATFORMS[name], PLATFORMS[name])
            assert objects(row) == parse_output(spoken, row["command"], text)


def printed(device: Device, command: str) -> str:
    """What the device prints for it."""
    answer = device.answers[command]
    if isinstance(answer, str):
        return fill(answer, device.values)
    return "".join(step.text for step in answer.steps if isinstance(step, Text))


def objects(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's table as ntc-templates gives it."""
    return [dict(zip(row["table"]["columns"], cells, strict=True)) for cells in row["table"]["rows"]]


@pytest.mark.parametrize("name", PAGING_OFF)
async def test_paging_is_turned_off_at_login_and_a_long_output_comes_whole_on(
    house: House, network: RunningNetwork, name: str
) -> None:
    row = (await house.show(name, "show long", parse="raw")).row
    assert (row["ok"], row["framing"], row["events"]) == (True, "proven", [])
    lines = row["output"].splitlines()
    assert lines[-200:] == LONG
    assert len(lines) <= 201, "XR says the time first"
    received = network.device(name).received
    assert PAGING_OFF[name] in received
    assert received.index(PAGING_OFF[name]) < received.index("show long")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("core1", "show running-config"),
        ("xe1", "show running-config"),
        ("leaf1", "show running-config"),
        ("fw1", "show running-config"),
    ],
)
async def test_the_enable_secret_is_typed_once_and_checked_on(
    house: House, network: RunningNetwork, name: str, command: str
) -> None:
    row = (await house.show(name, command, parse="raw")).row
    assert row["ok"], row
    assert "hostname" in row["output"]
    device = network.device(name)
    assert device.received.count("enable") == device.logins


async def test_without_an_enable_secret_the_session_stays_in_exec_mode(house: House, network: RunningNetwork) -> None:
    clock, config = (await house.show("plain1", "show clock", "show running-config")).rows
    assert clock["ok"]
    assert config["error"]["kind"] == "rejected"
    assert "enable" not in network.device("plain1").received
    sessions = (await house.call("list_devices", targets="plain1", view="sessions")).fields
    assert "exec" in json.dumps(sessions["rows"])


async def test_a_device_that_takes_passwords_in_a_dialogue_only_is_logged_in_to(
    house: House, network: RunningNetwork
) -> None:
    row = (await house.show("kbd1", "show version")).row
    assert (row["ok"], row["framing"]) == (True, "proven")
    device = network.device("kbd1")
    assert (device.logins, device.auth_failures) == (1, 0)


async def test_a_fleet_call_has_one_row_per_device_and_a_dead_one_costs_the_others_nothing(house: House) -> None:
    answer = await house.show("*", "show version")
    assert [row["device"] for row in answer.rows] == NAMES
    assert (answer.fields["requested"], answer.fields["ok"], answer.fields["failed"]) == (12, 10, 2)
    assert not answer.failed
    failed = {row["device"]: row["error"] for row in answer.rows if not row["ok"]}
    assert {name: error["kind"] for name, error in failed.items()} == {"dead1": "connect", "no1": "rejected"}
    assert failed["no1"]["line"] == "% Invalid input detected at '^' marker."
    assert all(row["framing"] == "proven" for row in answer.rows if row["ok"])


async def test_the_text_for_people_has_the_same_facts(house: House) -> None:
    answer = await house.show("core1,dead1,no1,leaf1", "show version")
    assert answer.text.startswith("4 requested, 2 ok, 2 failed")
    for row in answer.rows:
        assert f"# {row['device']} ({row['platform']}): show version" in answer.text
        if row.get("error"):
            assert row["error"]["message"] in answer.text
            assert row["error"]["hint"] in answer.text
        for column in row.get("table", {"columns": []})["columns"]:
            assert column in answer.text
    (eos,) = (row for row in answer.rows if row["device"] == "leaf1")
    assert json.dumps(eos["data"], separators=(",", ":"), ensure_ascii=False) in answer.text


async def test_two_platforms_are_asked_one_question_by_query_and_fields(house: House) -> None:
    answer = await house.show("core1,spine1", "show ip interface brief", query="[?proto!='up'].interface")
    assert [row["data"] for row in answer.rows] == [
        [item["interface"] for item in objects(row) if item["proto"] != "up"]
        for row in (await house.show("core1,spine1", "show ip interface brief")).rows
    ]
    answer = await house.show("core1", "show ip interface brief", fields=["status", "interface"])
    assert answer.row["table"]["columns"] == ["status", "interface"]
    wrong = await house.show("core1", "show ip interface brief", fields=["stats"])
    assert wrong.row["ok"]  # what came is not lost to a misspelt column
    assert wrong.row["table"]["columns"][0] == "interface"
    assert "stats" in wrong.row["parse_note"]
    assert "status" in wrong.row["parse_note"]


async def test_sessions_are_kept_and_used_again(house: House, network: RunningNetwork) -> None:
    before = network.device("core2").logins
    for _ in range(3):
        assert (await house.show("core2", "show version")).row["ok"]
    assert network.device("core2").logins == max(before, 1)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_one_call_over_all_of_them_in_both_eras(network: RunningNetwork, tmp_path: Path, mode: str) -> None:
    async with served(inventory(network, tmp_path), tmp_path, mode=mode) as house:
        answer = await house.show("!dead1 & !no1", "show version")
    assert len(answer.rows) == 10
    assert all(row["ok"] and row["framing"] == "proven" and row["parsed_by"] != "raw" for row in answer.rows)


# ---- FRRouting's ways, which the real lab cannot show on demand

FRR_LOGS = (
    "2026/11/20 10:15:42 ZEBRA: [NNACN-54BDA][EC 4043309110] Disabling MPLS support (no kernel support)",
    "% STARVATION: task vtysh_read (5593d) ran for 6123ms (cpu time 2ms)",
)
FRR = DeviceSpec(
    "frr1",
    "frr",
    outputs={
        "show paged": Script.of("".join(f"line {number}\n" for number in range(300)), Faults(pager_always=True)),
        "show quiet": Script.of("the only line\n"),
        **{f"show behind{number}": Script((Text("own\n"), AfterPrompt(line))) for number, line in enumerate(FRR_LOGS)},
        **{f"show between{number}": Script((Text("own\n"), Log(line))) for number, line in enumerate(FRR_LOGS)},
    },
)


async def test_frr_log_lines_are_events_and_pagers_never_cut_in_silence(tmp_path: Path) -> None:
    with start_network([FRR]) as network:
        async with served(write_inventory(network.ports, [FRR], tmp_path), tmp_path) as house:
            for where in ("behind", "between"):
                for number, line in enumerate(FRR_LOGS):
                    asked = await house.show("frr1", f"show {where}{number}", "show quiet", parse="raw")
                    own, quiet = asked.rows
                    assert (own["ok"], own["output"], own["framing"]) == (True, "own\n", "proven")
                    assert (quiet["ok"], quiet["output"]) == (True, "the only line\n")
                    assert [*own["events"], *quiet["events"]] == [line]
            # A pager in spite of `terminal length 0` gets nothing typed into it: not the proof, not a `q`.
            paged = await house.show("frr1", "show paged", parse="raw", timeout=30)
            assert (paged.row["state"], paged.row["waiting_for"]) == ("waiting", "pager")
            assert paged.row["output"].startswith("line 0\nline 1\n")
            (ended,) = (await house.call("job", action="input", job_id=paged.fields["job_id"], text="q")).fields["rows"]
            assert (ended["ok"], ended["framing"]) == (True, "proven")
            after = (await house.show("frr1", "show quiet", parse="raw")).row
            assert (after["ok"], after["output"]) == (True, "the only line\n")
