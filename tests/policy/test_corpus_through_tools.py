"""Every attack of the corpus goes through the tool `show`, as a client sends it: none runs, no device hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
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
# The simulator's screen for each platform that it knows. The others get a device of another platform, and a password
# that is not its own: a single connection to it is a failure, and nobody waits for a prompt that never comes.
SCREENS = {platform: platform for platform in FIRST_WAVE - {"linux"}} | {"cisco_xe": "cisco_ios"}
# A read for each platform: it is not refused, or a test that sees only refusals would show nothing.
READS = dict.fromkeys(FIRST_WAVE | SECOND_WAVE, "show version") | {
    "linux": "uname -a",
    "huawei_vrp": "display version",
    "hp_comware": "display version",
    "mikrotik_routeros": "/system resource print",
    "fortinet": "get system status",
    "paloalto_panos": "show system info",
}
NETMIKO = {"nokia_srlinux": "nokia_srl"}  # where a profile is not there yet and Netmiko's name is another
BATCH = 200  # commands in one call


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
        DeviceSpec(name, _platform(name, profiles), password="admin" if name in SCREENS else "not its password")
        for name in PLATFORMS
    ]
    return write_inventory(network.ports, specs, folder)


def _platform(name: str, profiles: Profiles) -> str:
    return name if profiles.knows(name) else NETMIKO.get(name, name)


@asynccontextmanager
async def _in_memory(inventory: Path, folder: Path) -> AsyncIterator[House]:
    with anyio.fail_after(LONG):
        async with Client(build_server(settings(folder, inventory), open_app)) as client:
            yield House(client, folder)


async def _passed(house: House, platform: str, lines: list[str]) -> list[str]:
    """The lines that were not refused, and what became of them.

    A failed login is the error of all rows after it in the same call, so these lines are sent again.
    """
    passed: list[str] = []
    left = list(lines)
    while left:
        rows = (await house.show(platform, *left[:BATCH])).rows
        assert len(rows) == len(left[:BATCH])  # in their order; the text of a command is shown escaped
        refused = next((number for number, row in enumerate(rows) if not _refused(row)), len(rows))
        passed += [f"{line!r}: {_fate(row)}" for line, row in zip(left[refused:], rows[refused:][:1], strict=False)]
        left = left[refused + 1 :] if refused < len(rows) else left[len(rows) :]
    return passed


def _refused(row: dict[str, Any]) -> bool:
    error = row.get("error") or {"kind": ""}
    return error["kind"] in {"denied", "input"} and error["effect"] == "none"


def _fate(row: dict[str, Any]) -> str:
    return str(row["error"]["kind"] if row.get("error") else row["state"])


def _heard(device: Device) -> tuple[int, int, int]:
    return device.connections, sum(len(data) for _, data in device.writes), len(device.received)


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_no_attack_passes_and_the_device_receives_nothing(attacked: Attacked, platform: str) -> None:
    device = attacked.network.device(platform)
    read = (await attacked.house.show(platform, READS[platform])).row
    assert not _refused(read), read
    assert bool(device.writes) == (platform in SCREENS), "a device records what it receives"
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
