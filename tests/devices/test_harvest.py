"""`netssh-mcp harvest` on simulated devices: what a device's own help lists, and that nothing is executed for it."""

from pathlib import Path

import pytest

from netssh_mcp.errors import InputError, PromptNotFound
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork
from netssh_mcp.services.app import open_app
from netssh_mcp.services.harvest import words
from tests.devices.house import settings, write_inventory

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "platform", ["cisco_ios", "cisco_nxos", "cisco_asa", "arista_eos", "juniper_junos", "cisco_xr", "frr"]
)
async def test_a_devices_help_is_compared_with_the_table_and_nothing_is_executed(platform: str, tmp_path: Path) -> None:
    spec = DeviceSpec(name="r1", platform=platform)
    with RunningNetwork([spec]) as network:
        inventory = write_inventory(network.ports, [spec], tmp_path)
        async with open_app(settings(tmp_path, inventory)) as app:
            before = await app.commands.show("r1", ["show version"], parse="raw")
            sent = len(network.device("r1").received)
            found = await app.harvester.harvest("r1", under=["show"], pipes="show version")
            assert len(network.device("r1").received) == sent  # no line was ended
            after = await app.commands.show("r1", ["show version"], parse="raw")
    assert before["rows"][0]["ok"]
    assert after["rows"][0]["ok"], after["rows"][0]
    first = found.lists[0]
    assert {"show", "ping", "configure"} - set(first.device) <= {"ping"}
    assert len(first.device) > 20
    assert not first.missing  # what the simulator knows has a source, and the table has it
    assert set(first.device).isdisjoint(first.extra)
    pipes = found.lists[-1]
    assert pipes.typed == "show version | "
    if platform != "frr":  # vtysh's help knows nothing behind a bar
        assert "include" in pipes.device or "match" in pipes.device


async def test_missing_words_are_proposed_as_change_in_a_profile_of_ones_own(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    (profiles / "cisco_ios.yaml").write_text(
        "name: cisco_ios\nnetmiko_device_type: cisco_ios\ncomment: '!'\ncommands: {read: [show], config: [configure]}\n"
    )
    spec = DeviceSpec(name="r1", platform="cisco_ios")
    with RunningNetwork([spec]) as network:
        inventory = write_inventory(network.ports, [spec], tmp_path)
        async with open_app(settings(tmp_path, inventory, profiles=str(profiles))) as app:
            found = await app.harvester.harvest("r1")
    assert not found.agrees
    assert "reload" in found.lists[0].missing
    assert "  change: [" in found.proposal()
    assert "reload" in found.proposal()


async def test_help_is_asked_for_plain_words_only_and_never_behind_a_risky_command(tmp_path: Path) -> None:
    spec = DeviceSpec(name="r1", platform="cisco_ios")
    with RunningNetwork([spec]) as network:
        inventory = write_inventory(network.ports, [spec], tmp_path)
        async with open_app(settings(tmp_path, inventory)) as app:
            for under in ("reload; x", "show\x00", "\x03"):
                with pytest.raises((InputError, PromptNotFound)):
                    await app.harvester.harvest("r1", under=[under])
            with pytest.raises(InputError, match="behind a read"):
                await app.harvester.harvest("r1", pipes="reload")
            assert not any("reload" in line for line in network.device("r1").received)


def test_the_words_of_a_help_text_are_its_keywords() -> None:
    text = """
Exec commands:
  access-enable    Create a temporary Access-List entry
  no               Disable debugging functions
  show             Show running system information
  <1-99>           A number
  WORD             A name
  A.B.C.D          An address
  <cr>
> request          Make system-level requests
"""
    assert words(text) == ("access-enable", "no", "show", "request")
