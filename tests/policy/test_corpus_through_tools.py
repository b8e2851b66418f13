"""Every attack of the corpus goes through the tool `show`, as a client sends it: none runs, no device hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from mcp import Client

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.server import build_server
from netssh_mcp.services.app import open_app
from tests.devices.house import settings, write_inventory
from tests.devices.mcp_house import LONG, House, served
from tests.policy.lines import PLATFORMS, attacks

pytestmark = pytest.mark.anyio

FIRST_WAVE = {
    *("cisco_ios", "cisco_xe", "cisco_nxos", "cisco_xr", "cisco_asa"),
    *("arista_eos", "juniper_junos", "frr", "linux"),
}
SECOND_WAVE = {
    *("nokia_srlinux", "nokia_sros", "vyos", "huawei_vrp", "mikrotik_routeros"),
    *("fortinet", "paloalto_panos", "aruba_aoscx", "hp_comware", "dell_os10"),
}
# The simulator's screen for each platform that it knows. The others get a device that no one ever has to log in to: a
# single connection to it is a failure.
SCREENS = {platform: platform for platform in FIRST_WAVE - {"linux"}} | {"cisco_xe": "cisco_ios"}
READ = "show version"  # a read on every screen
NETMIKO = {"nokia_srlinux": "nokia_srl"}  # where a profile is not there yet and Netmiko's name is another
BATCH = 200  # commands in one call
WAIT = 1.0  # seconds: a refusal needs no time, and what passes need not end


@dataclass(frozen=True)
class Attacked:
    """A server, and the devices behind it."""

    house: House
    network: RunningNetwork


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, so that one server for each transport serves all platforms."""
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(DeviceSpec(platform, SCREENS.get(platform, "cisco_ios")) for platform in PLATFORMS) as running:
        yield running


@pytest.fixture(scope="module", params=["in memory", "stdio"])
async def attacked(
    request: pytest.FixtureRequest, network: RunningNetwork, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Attacked]:
    folder = tmp_path_factory.mktemp("server")
    inventory = _inventory(network, folder)
    server = _in_memory(inventory, folder) if request.param == "in memory" else served(inventory, folder)
    async with server as house:
        yield Attacked(house, network)


def _inventory(network: RunningNetwork, folder: Path) -> Path:
    profiles = Profiles.load(None)
    specs = [
        DeviceSpec(name, name if profiles.knows(name) else NETMIKO.get(name, name)) for name in PLATFORMS
    ]  # the platform that the server is told, whatever the screen
    path = write_inventory(network.ports, specs, folder)
    hosts = yaml.safe_load(path.read_text())["hosts"]
    assert set(hosts) == set(PLATFORMS)
    return path


@asynccontextmanager
async def _in_memory(inventory: Path, folder: Path) -> AsyncIterator[House]:
    with anyio.fail_after(LONG):
        async with Client(build_server(settings(folder, inventory), open_app)) as client:
            yield House(client, folder)


async def _passed(house: House, platform: str, lines: list[str]) -> list[str]:
    """The lines that were not refused. What comes after such a line in its call waits for it, and is sent again."""
    passed: list[str] = []
    left = list(lines)
    while left:
        rows = (await house.show(platform, *left[:BATCH], wait=WAIT)).rows
        assert len(rows) == len(left[:BATCH])  # in their order; the text of a command is shown escaped
        refused = next((number for number, row in enumerate(rows) if not _refused(row)), len(rows))
        if refused < len(rows):
            passed.append(f"{left[refused]!r} is {rows[refused]['state']}")
        left = left[refused + 1 :] if refused < len(rows) else left[len(rows) :]
    return passed


def _refused(row: dict[str, Any]) -> bool:
    error = row.get("error") or {"kind": ""}
    return error["kind"] in {"denied", "input"} and error["effect"] == "none"


def _heard(device: Device) -> tuple[int, int, int]:
    return device.connections, sum(len(data) for _, data in device.writes), len(device.received)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_no_attack_passes_and_the_device_receives_nothing(attacked: Attacked, platform: str) -> None:
    device = attacked.network.device(platform)
    if platform in SCREENS:
        assert (await attacked.house.show(platform, READ)).row["state"] == "done"
        assert device.writes, "the device records what it receives"
    before = _heard(device)
    lines = attacks(platform)
    passed = await _passed(attacked.house, platform, lines)
    heard = _heard(device)
    assert not passed, f"{len(passed)} of {len(lines)} attacks passed:\n" + "\n".join(passed)
    assert heard == before, "the device received something"


def test_every_platform_has_its_attacks() -> None:
    counts = {platform: len(attacks(platform)) for platform in PLATFORMS}
    assert set(counts) == FIRST_WAVE | SECOND_WAVE
    assert [platform for platform in FIRST_WAVE if counts[platform] < 60] == []
    assert [platform for platform in SECOND_WAVE if counts[platform] < 45] == []
    assert sum(counts.values()) >= 1000


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_attack_is_there_twice_or_harmless_for_its_spaces(platform: str) -> None:
    lines = attacks(platform)
    assert len(set(lines)) == len(lines)
    assert [line for line in lines if not line or line != line.strip(" ")] == []
