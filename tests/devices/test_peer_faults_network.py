"""Faults on network devices that were measured in SSH servers for MCP before this one, each as a test.

On simulated devices over real SSH, through the real tools over stdio; what a device received is read from the device.
Which test stands for which fault: docs/faults.md.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import Faults, Hang, Pause, Script, Text
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.direct import until
from tests.devices.house import write_inventory
from tests.devices.mcp_house import House, served

pytestmark = pytest.mark.anyio

SECRET = "Zebra-77-fox"
HALVES = Script((Text("first half\n"), Pause(5.0), Text("second half\n")))
LONG = "".join(f"line {number}\n" for number in range(100))
MOTD = "Welcome to lede, Ubuntu Linux, BIOS 4.0, EOS, JUNOS\n"
SPECS = [
    DeviceSpec("ios", "cisco_ios", outputs={"show slow": HALVES, "show long": Script.of(LONG)}),
    DeviceSpec("one", "cisco_ios"),
    DeviceSpec("locked", "cisco_ios", enable=SECRET),
    DeviceSpec("motd", "cisco_ios", motd=MOTD, banner=MOTD),
    DeviceSpec("pages", "cisco_ios", outputs={"show long": Script.of(LONG)}, faults=Faults(pager_always=True)),
    *(DeviceSpec(name.split("_")[1], name) for name in ("cisco_nxos", "cisco_xr", "cisco_asa", "arista_eos")),
    *(DeviceSpec(name, platform) for name, platform in (("junos", "juniper_junos"), ("vtysh", "frr"))),
    *(DeviceSpec(f"f{number}", "cisco_ios", outputs={"show slow": Script((Hang(),))}) for number in range(50)),
]
# What a login sends besides: paging off and a width at which lines do not wrap. Each platform's own words.
SET_UP = {
    "cisco_ios": {"terminal length 0", "terminal width 511"},
    "cisco_nxos": {"terminal length 0", "terminal width 511"},
    "cisco_xr": {"terminal length 0", "terminal width 511"},
    "cisco_asa": {"terminal pager 0", "terminal width 511", "show curpriv"},  # a read: which mode a login lands in
    "arista_eos": {"terminal length 0", "terminal width 511"},
    "juniper_junos": {"set cli screen-length 0", "set cli screen-width 511", "set cli complete-on-space off"},
    "frr": {"terminal length 0"},
}
PROOF = re.compile(r"[!#]\d{16}")  # a comment to the device: nothing is done for it


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


@pytest.fixture(scope="module")
async def house(network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One server for all tests here."""
    folder = tmp_path_factory.mktemp("server")
    policy = folder / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n")
    policy.chmod(0o600)
    inventory = write_inventory(network.ports, SPECS, folder, one={"max_sessions": 1})
    async with served(inventory, folder, "--toolsets", "all", "--policy", str(policy), limit=200.0) as opened:
        yield opened


def typed(device: Device, since: int = 0) -> bytes:
    """Every byte that came to the device over its shells, from the `since`th write on."""
    return b"".join(data for _, data in list(device.writes)[since:])


def unasked(device: Device, asked: list[str], since: int = 0) -> list[str]:
    """The lines that it got and that are neither the caller's, nor a login's, nor a proof of a prompt; an empty one is
    an Enter. Ctrl-C is a character like any other here."""
    allowed = {*SET_UP[device.spec.platform], *asked}
    *lines, rest = re.split(r"\r\n|\r|\n", typed(device, since).decode())
    return [line for line in lines if line not in allowed and not PROOF.fullmatch(line)] + [rest] * bool(rest)


async def run(house: House, on: str, *commands: str, **more: Any) -> list[dict[str, Any]]:
    return (await house.call("run", targets=on, commands=list(commands), **more)).rows


async def test_nothing_reaches_a_router_that_the_caller_did_not_ask_for(house: House, network: RunningNetwork) -> None:
    """A peer typed a shell's sentinel code at routers after every command, `stty` and `export` before, and guessed the
    platform from newlines and a marker."""
    names = ["ios", "nxos", "xr", "asa", "eos", "junos", "vtysh", "motd"]
    asked = ["show version", "show interfaces", "show nonsense"]
    shown = await house.show(",".join(names), *asked[:1], parse="raw")
    assert shown.fields["ok"] == len(shown.rows), shown.text
    for name in names:
        second = (await run(house, name, *asked[1:], stop_on_error=False))[1]
        assert second["error"]["kind"] == "rejected", second
        device = network.device(name)
        # Junos lets root in at a shell's prompt, so Netmiko looks with one Enter, before anything else is typed.
        looks = [""] * device.logins if name == "junos" else []
        assert unasked(device, asked) == looks, name
        assert device.early == [], "and nothing while a command was under way"
        assert device.interrupts == 0


async def test_config_mode_gets_the_callers_lines_and_nothing_else(house: House, network: RunningNetwork) -> None:
    """In config mode a peer's sentinel would have become configuration."""
    device = network.device("ios")
    since = len(device.writes)
    before = device.running.flat()
    lines = ["configure terminal", "interface GigabitEthernet0/1", "description peer fault", "end"]
    assert [row["ok"] for row in await run(house, "ios", *lines)] == [True] * 4
    assert unasked(device, lines, since) == []
    after = [line for line in device.running.flat().splitlines() if line not in before.splitlines()]
    assert [line.strip() for line in after] == ["description peer fault"]


async def test_a_pause_of_five_seconds_does_not_cut_an_output_nor_shift_it_into_the_next(house: House) -> None:
    """A peer took two seconds of silence for the end: half the output with exit 0, the rest in the next reply."""
    first, second = await run(house, "ios", "show slow", "show clock")
    assert (first["ok"], first["framing"], first["output"]) == (True, "proven", "first half\nsecond half\n")
    assert (second["ok"], second["output"]) == (True, "10:15:42.123 UTC Fri Nov 20 2026\n")


@pytest.mark.parametrize("command", ["reload", "copy running-config startup-config", "erase startup-config"])
async def test_a_question_is_confirmed_neither_by_us_nor_by_the_next_command(
    house: House, network: RunningNetwork, command: str
) -> None:
    """A peer said "exit 0" to `reload`, and the newline that it sent before its next command confirmed it."""
    device = network.device("one")  # it has one session: what comes next would be typed at the question
    startup, since = device.startup, len(device.writes)
    (row,) = await run(house, "one", command, wait=3)
    assert (row["state"], row["ok"]) == ("waiting", False), row
    assert "exit_status" not in row
    behind = await house.show("one", "show clock", wait=0.5)
    assert behind.row["state"] == "queued"
    assert "waits" in behind.row["note"] or "not sent yet" in behind.row["note"]
    assert typed(device, since).endswith(command.encode() + b"\n"), "not a byte behind it"
    listed = (await house.call("job", action="list")).fields["rows"]
    (job,) = [line[0] for line in listed if line[1] == command]
    assert (await house.call("job", action="cancel", job_id=job)).fields["state"] == "cancelled"
    ended = await house.call("job", action="wait", job_id=behind.fields["job_id"])
    assert ended.fields["rows"][0]["ok"], ended.text
    (interrupted,) = unasked(device, [command, "show clock"], since)
    assert interrupted.startswith("\x03"), "Ctrl-C, since it was cancelled"
    assert PROOF.fullmatch(interrupted[1:]), "and no Enter"
    assert (device.reloads, device.startup) == (0, startup)


async def test_a_pager_is_recognised_and_its_key_is_the_callers(house: House, network: RunningNetwork) -> None:
    """A peer did not know `--More--`: it waited for nothing, or its sentinel was typed as key presses."""
    device = network.device("pages")
    answer = await house.call("run", targets="pages", commands=["show long"], wait=5)
    (row,) = answer.rows
    assert (row["state"], row["waiting_for"]) == ("waiting", "pager"), answer.text
    assert typed(device).endswith(b"show long\n"), "nothing is typed at it"
    job, report = answer.fields["job_id"], answer.fields
    while report.get("state") != "done":
        report = (await house.call("job", action="input", job_id=job, text="<space>")).fields
    assert report["rows"][0]["output"] == LONG
    (row,) = await run(house, "pages", "show clock")
    assert row["output"].count("\n") == 1


async def test_enable_is_entered_once_checked_on_and_kept(house: House, network: RunningNetwork) -> None:
    """A peer sent a bare newline before each command to look for `#`, and reported exit 0 where enable had failed."""
    device = network.device("locked")
    for _ in range(2):
        rows = await run(house, "locked", "show running-config", "show clock")
        assert [row["ok"] for row in rows] == [True, True], rows
    sent = typed(device)
    assert sent.count(b"enable\n") == sent.count(SECRET.encode()) == device.logins
    assert unasked(device, ["show running-config", "show clock", "enable", SECRET]) == []
    assert SECRET not in str(rows)


async def test_a_refused_command_is_never_a_success(house: House) -> None:
    """A peer reported exit 0 for `% Invalid input`, `% Incomplete command` and all else on a router."""
    for command in ("show nonsense", "show ip", "sh i", "configure nonsense"):
        for tool in ("run", "show"):
            answer = await house.call(tool, targets="ios", commands=[command])
            assert answer.failed, (tool, command, answer.text)
            assert not answer.row["ok"]
            assert "exit_status" not in answer.row
            assert answer.row["error"]["kind"] in ("rejected", "denied"), answer.text


async def test_fifty_devices_are_asked_at_once(house: House, network: RunningNetwork) -> None:
    """A pool of six threads was a peer's limit; here fifty commands hang at the same time, and one more is answered."""
    names = [f"f{number}" for number in range(50)]
    started = await house.call("run", targets=",".join(names), commands=["show slow"], wait=0)
    with anyio.fail_after(30):
        await until(lambda: all("show slow" in network.device(name).received for name in names))
    assert (await house.show("ios", "show clock")).row["ok"]
    ended = await house.call("job", action="cancel", job_id=started.fields["job_id"])
    assert ended.fields["done"] == 50, ended.text
    assert {row["error"]["kind"] for row in ended.fields["rows"]} == {"interrupted"}
    assert [network.device(name).interrupts for name in names] == [1] * 50
