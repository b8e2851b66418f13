"""What ntc-templates can parse is what people ask for: how much of its index is sent, and why not the rest."""

from pathlib import Path

import pytest

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.policy import decide
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from tests.unit.ntc_commands import commands

PROFILES = Profiles.load(None)
WITHOUT_INDEX = {"dell_os10", "frr", "nokia_srlinux"}
# The least share in per cent that is sent, in full words and as short as the index has them. The bar is 95 on the first
# wave; below it stand platforms whose index has many words of one letter, or dialogues.
PLATFORMS = sorted(path.stem for path in (Path(__file__).parents[2] / "device_profiles").glob("*.yaml"))
LEAST = dict.fromkeys(PLATFORMS, 95)
LEAST_FULL = LEAST | {"fortinet": 80, "mikrotik_routeros": 93, "nokia_sros": 92}
LEAST_SHORT = LEAST | {"fortinet": 70, "huawei_vrp": 89, "mikrotik_routeros": 23, "nokia_sros": 92}
INDEXED = sorted(set(PLATFORMS) - WITHOUT_INDEX)


def _rows(platform: str) -> list[tuple[str, str]]:
    return list(commands(PROFILES.get(platform).ntc_templates_platform or platform))


def _sent(platform: str, command: str) -> bool:
    device = Device(name="r1", hostname="192.0.2.1", port=22, platform=platform, username="ops")
    try:
        decide(device, PROFILES.get(platform), command)
    except (CommandDenied, InputError):
        return False
    return True


def _listed(platform: str) -> dict[str, str]:
    lines = Path(__file__).with_name("ntc_refused.txt").read_text().splitlines()
    rows = (line.split("\t") for line in lines if line[:2] != "# ")
    return {command: reason for name, command, reason in rows if name == platform}


@pytest.mark.parametrize("platform", INDEXED)
def test_the_share_of_the_index_that_is_sent_and_a_reason_for_each_of_the_rest(platform: str) -> None:
    rows = _rows(platform)
    full = [command for command, _ in rows if not _sent(platform, command)]
    short = [command for _, command in rows if not _sent(platform, command)]
    listed = _listed(platform)
    assert {*full, *short} == set(listed)
    assert all(listed.values())
    assert 100 * len(full) <= (100 - LEAST_FULL[platform]) * len(rows)
    assert 100 * len(short) <= (100 - LEAST_SHORT[platform]) * len(rows)


@pytest.mark.parametrize("platform", sorted(WITHOUT_INDEX))
def test_a_platform_that_ntc_templates_learns_is_counted_from_then_on(platform: str) -> None:
    assert _rows(platform) == []
