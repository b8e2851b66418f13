"""The operator's policy through a real MCP client on a real server: what is refused never reaches a device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Hang, Script, Text
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.house import audit_records, write_inventory
from tests.devices.mcp_house import Answer, House, served

pytestmark = pytest.mark.anyio

OUTPUTS = {
    "show clock": Script.of("12:00:00.000 UTC Mon Nov 23 2026\n"),
    "show users": Script.of("nobody\n"),
    "show running-config": Script.of("hostname r1\n"),
    "show silence": Script((Text("the first line\n"), Hang())),
}
SPECS = [DeviceSpec(name, "cisco_ios", outputs=OUTPUTS) for name in ("r1", "r2", "r3")]
TOOLS = {"list_devices", "show", "read_output", "job"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


class Operator:
    """Who writes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, rules: str, top: str = "") -> None:
        self.path.write_text(f"version: 1\n{top}\nrules:\n{rules}\n")
        self.path.chmod(0o600)


@pytest.fixture
async def operator(tmp_path: Path) -> Operator:
    found = Operator(tmp_path / "policy.yaml")
    found.write("  - deny: [show users]")
    return found


@pytest.fixture
async def house(network: RunningNetwork, operator: Operator, tmp_path: Path) -> AsyncIterator[House]:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    async with served(inventory, tmp_path, "--policy", str(operator.path)) as opened:
        yield opened


def _received(network: RunningNetwork) -> list[str]:
    return [line for spec in SPECS for line in network.device(spec.name).received]


def _refused(answer: Answer, *said: str) -> None:
    assert answer.failed
    assert answer.error["kind"] == "denied"
    assert answer.error["effect"] == "none"
    for text in said:
        assert text in answer.error["message"]
    assert answer.error["message"] in answer.text


async def test_denied_is_refused_with_its_rule_and_the_rest_is_sent(house: House, network: RunningNetwork) -> None:
    for command in ("show users", "sh us", "SH  USERS | include x"):
        _refused(await house.show("r1", command), "policy.yaml:4 denies 'show users'")
    assert (await house.show("r1", "show clock")).row["ok"]
    assert not [line for line in _received(network) if "us" in line.lower()]
    records = audit_records(house.folder)
    denied = [record for record in records if record.get("verdict") == "deny"]
    assert len(denied) == 3
    assert all("policy.yaml:4" in record["rule"] for record in denied)
    loaded = next(record for record in records if record.get("event") == "policy_loaded")
    assert len(loaded["sha256"]) == 64


async def test_a_broken_file_leaves_the_last_good_rules_and_every_answer_says_so(
    house: House, operator: Operator
) -> None:
    assert "problem" not in (await house.show("r1", "show clock")).fields
    operator.write("  - deyn: [show clock]")
    answer = await house.show("r1", "show clock", "show users")
    assert [row["ok"] for row in answer.rows] == [True, False]
    assert "policy.yaml:4: rules.0.deyn: there is no such key; did you mean deny" in answer.fields["problem"]
    assert "The policy as it was before is still in use" in answer.text
    operator.write("  - deny: [show clock]")
    answer = await house.show("r1", "show clock", "show users")
    assert [row["ok"] for row in answer.rows] == [False, True]
    assert "problem" not in answer.fields
    events = [str(record.get("event")) for record in audit_records(house.folder)]
    ours = [event for event in events if event.startswith("policy_")]
    assert ours == ["policy_loaded", "policy_refused", "policy_loaded"]


async def test_more_devices_or_commands_than_a_rule_allows_are_refused_as_a_whole(
    house: House, operator: Operator, network: RunningNetwork
) -> None:
    operator.write("  - {max_devices: 2, max_commands: 2}")
    before = len(_received(network))
    _refused(await house.show("*", "show clock"), "3 devices in one call; policy.yaml:4 allows 2")
    _refused(await house.show("r1", "show clock", "show users", "show clock"), "3 commands in one call")
    assert len(_received(network)) == before
    assert len((await house.show("r1, r2", "show clock")).rows) == 2


async def test_a_rate_refuses_what_is_too_much_and_says_when_to_come_again(house: House, operator: Operator) -> None:
    operator.write("  - {devices: r1, rate: 2/day}")
    answer = await house.show("r1, r2", "show clock", "show users", "show clock")
    assert [(row["device"], row["ok"]) for row in answer.rows] == [
        *(("r1", True), ("r1", True), ("r1", False)),
        *[("r2", True)] * 3,
    ]
    error = answer.rows[2]["error"]
    assert error["retryable"]
    assert "allows 2/day for this device" in error["message"]
    assert "Try again in" in error["hint"]


async def test_outside_its_hours_nothing_is_sent(house: House, operator: Operator, network: RunningNetwork) -> None:
    now = datetime.now(ZoneInfo("UTC"))
    tomorrow = (now + timedelta(days=2)).strftime("%a")
    operator.write(f"  - {{devices: r1, hours: {tomorrow} 00:00-24:00}}", "timezone: UTC")
    before = len(network.device("r1").received)
    answer = await house.show("r1, r2", "show clock")
    assert [row["ok"] for row in answer.rows] == [False, True]
    assert f"It opens {tomorrow} 00:00 UTC." in answer.rows[0]["error"]["hint"]
    assert len(network.device("r1").received) == before


async def test_a_command_takes_no_longer_than_the_operator_allows(house: House, operator: Operator) -> None:
    operator.write("  - {max_seconds: 1}")
    answer = await house.show("r1", "show silence", timeout=600)
    assert answer.error["kind"] == "timeout"  # within the test's own limit: not after the 600 s that were asked for


async def test_no_connection_is_made_to_an_address_outside_the_networks(
    house: House, operator: Operator, network: RunningNetwork
) -> None:
    operator.write("  - {devices: r1, networks: [10.0.0.0/8]}")
    _refused(await house.show("r1", "show clock"), "127.0.0.1 is in none of the networks of policy.yaml:4")
    write_inventory(network.ports, SPECS, house.folder, r1={"hostname": "localhost"})
    _refused(await house.show("r1", "show clock"), "127.0.0.1")
    assert (await house.show("r2", "show clock")).row["ok"]


async def test_the_policy_can_be_asked_without_sending_anything(
    house: House, operator: Operator, network: RunningNetwork
) -> None:
    operator.write("  - {devices: r1, classes: [read], deny: [show users], rate: 5/min}")
    before = len(_received(network))
    listed = await house.call("list_devices", view="policy", targets="r1, r2")
    rows = [dict(zip(listed.fields["columns"], row, strict=True)) for row in listed.fields["rows"]]
    assert rows[0]["classes"] == ["read"]
    assert rows[0]["deny"] == ["show users"]
    assert rows[0]["limits"] == ["rate 5/min"]
    assert rows[1]["rules"] == ["the built-in default"]
    asked = await house.call("list_devices", view="policy", targets="*", command="sh us | i x")
    rows = [dict(zip(asked.fields["columns"], row, strict=True)) for row in asked.fields["rows"]]
    assert [row["verdict"] for row in rows] == ["deny", "allow", "allow"]
    assert rows[0]["why"] == "policy.yaml:4 denies 'show users'"
    assert rows[1]["canonical"] == "show us | include x"
    assert len(_received(network)) == before
    wrong = await house.call("list_devices", command="show clock")
    assert wrong.failed


async def test_no_tool_takes_a_path_so_none_can_write_policy_inventory_or_known_hosts(
    house: House, operator: Operator
) -> None:
    tools = (await house.client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS, "a new tool: does it write files? then say so here"
    names = {name for tool in tools for name in tool.input_schema["properties"]}
    assert not {name for name in names if any(word in name for word in ("path", "file", "folder", "dir", "output_to"))}

    files = [operator.path, house.folder / "inventory.yaml"]
    before = [path.read_bytes() for path in files]
    poison: dict[str, dict[str, Any]] = {
        "show": {"targets": "r1", "commands": [f"show clock | redirect {operator.path}", f"show clock > {files[1]}"]},
        "read_output": {"output_id": str(operator.path)},
        "job": {"action": "get", "job_id": f"../../{operator.path}"},
        "list_devices": {"view": "policy", "command": f"copy running-config {operator.path}"},
    }
    for tool, arguments in poison.items():
        await house.call(tool, **arguments)
    assert [path.read_bytes() for path in files] == before
