"""Captured outputs replayed by a device through the whole house: the rows are exactly those of ntc-templates' parser.

Platforms without a simulated command line are replayed on an IOS-like device, by their own profile and Netmiko driver;
its hostname makes its prompt look like theirs.
What no such device can play is parsed only, in tests/unit/test_parsing.py: see PARSED_ONLY.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from ntc_templates.parse import ParsingException, parse_output
from textfsm import TextFSMError

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.shipped import shipped
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.model import platforms as simulated
from netssh_mcp.lab.replay import replay
from netssh_mcp.lab.server import start_network
from tests.devices.house import write_inventory
from tests.devices.mcp_house import House, served
from tests.recordings.loader import Recording, extra, ours

pytestmark = pytest.mark.anyio

OURS = {path.name for path in shipped("templates").glob("*.textfsm")}
PARSED_ONLY = {
    "edgecore": "Netmiko has only edgecore_sonic",
    "hp_comware": "its comment is no comment to IOS",
    "fortinet": "its Netmiko driver asks for the version before anything else",
    "mikrotik_routeros": "its prompt is [user@name] >",
    "paloalto_panos": "its Netmiko driver waits for the scripting mode to be echoed in PAN-OS' own way",
    "vyatta_vyos": "its prompt ends in $",
    "linux": "the lab has no POSIX shell; the real one is in tests/lab",
}
USER_MODE = {"huawei_vrp"}  # its prompt ends in ">"
HOSTNAMES = {"alcatel_sros": "A:sw1", "huawei_vrp": "<sw1"}
CAP = {"NETSSH_OUTPUT_CAP": "2000000"}  # every row whole: what is cut is not this file's subject


@dataclass(frozen=True)
class Replay:
    """One device and the recordings that it plays."""

    spec: DeviceSpec
    platform: str
    recordings: tuple[Recording, ...]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def devices(recordings: Sequence[Recording]) -> Iterator[Replay]:
    """As few devices as can be: one per platform, and another where a command has several recordings."""
    waiting: dict[str, list[Recording]] = {}
    for recording in recordings:
        if recording.platform not in PARSED_ONLY:
            waiting.setdefault(recording.platform, []).append(recording)
    for platform, all_of_it in waiting.items():
        number, queue = 0, all_of_it
        while queue:
            taken = {recording.command: recording for recording in reversed(queue)}
            queue = [recording for recording in queue if taken[recording.command] is not recording]
            number += 1
            played = platform if platform in simulated() else "cisco_ios"
            spec = replay(played, {command: text(one) for command, one in taken.items()}, name=f"{platform}.{number}")
            mode = "exec" if platform in USER_MODE else ""
            yield Replay(
                replace(spec, hostname=HOSTNAMES.get(platform, "sw1"), mode=mode), platform, tuple(taken.values())
            )


def text(recording: Recording) -> str:
    return recording.path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")


def wanted(recording: Recording, parsed_by: str) -> list[dict[str, Any]] | None:
    """What ntc-templates' parser makes of it; None where it refuses the text."""
    folder = str(shipped("templates")) if parsed_by.rpartition(":")[2] in OURS else None
    try:
        rows = parse_output(recording.platform, recording.command, text(recording), template_dir=folder)
    except (TextFSMError, ParsingException):
        return None
    assert isinstance(rows, list)
    return rows


async def compare(house: House, played: Replay, wrong: list[str]) -> None:
    """Adds the recordings whose row is not what it should be, and why."""
    answer = await house.show(played.spec.name, *(one.command for one in played.recordings), parse="textfsm", wait=60)
    for recording, row in zip(played.recordings, answer.rows, strict=True):
        if not row["ok"]:
            wrong.append(f"{recording}: {row.get('error') or row['state']}")
            continue
        table = row.get("table")
        got = [dict(zip(table["columns"], cells, strict=True)) for cells in table["rows"]] if table else None
        expected = wanted(recording, row["parsed_by"])
        if got != expected:
            wrong.append(f"{recording}: {row['parsed_by']} {row.get('parse_note')} gave {got!r}, not {expected!r}")
        comments = played.platform in simulated() or Profiles.load(None).get(played.platform).comment == "!"
        proven = "proven" if comments else "prompt"
        if row["framing"] != proven:
            wrong.append(f"{recording}: framing {row['framing']}")


async def replayed(recordings: Sequence[Recording], folder: Path) -> list[str]:
    """All of them through one server."""
    plays = list(devices(recordings))
    specs = [played.spec for played in plays]
    with start_network(specs) as network:
        named: dict[str, Any] = {played.spec.name: {"platform": played.platform} for played in plays}
        inventory = write_inventory(network.ports, specs, folder, **named)
        wrong: list[str] = []
        async with served(inventory, folder, environ=CAP) as house, anyio.create_task_group() as tasks:
            for played in plays:
                tasks.start_soon(compare, house, played, wrong)
        return wrong


async def test_every_recording_comes_through_the_house_as_ntc_templates_parses_it(tmp_path: Path) -> None:
    assert await replayed(ours(), tmp_path) == []


async def test_a_table_without_entries_stays_a_table(tmp_path: Path) -> None:
    none = [one for one in ours() if one.path.stem.endswith("__none") and one.platform in simulated()]
    empty = []
    plays = list(devices(none))
    with start_network([played.spec for played in plays]) as network:
        inventory = write_inventory(network.ports, [played.spec for played in plays], tmp_path)
        async with served(inventory, tmp_path) as house:
            for played in plays:
                commands = [one.command for one in played.recordings]
                rows = (await house.show(played.spec.name, *commands, parse="textfsm")).rows
                empty += [
                    row for one, row in zip(played.recordings, rows, strict=True) if not wanted(one, row["parsed_by"])
                ]
    assert len(empty) > 5
    assert all(row["ok"] and row["table"]["columns"] and row["table"]["rows"] == [] for row in empty)


@pytest.mark.soak
async def test_extra_recordings_come_through_the_house_as_ntc_templates_parses_them(tmp_path: Path) -> None:
    """Those of the folder that NETSSH_EXTRA_RECORDINGS names, laid out as ntc-templates' own tests."""
    known = Profiles.load(None)
    recordings = [one for one in extra() if one.platform not in PARSED_ONLY and known.knows(one.platform)]
    recordings = [one for one in recordings if one.platform in simulated() and text(one).isascii()]
    if not recordings:
        pytest.skip("NETSSH_EXTRA_RECORDINGS names no folder with recordings")
    assert await replayed(recordings, tmp_path) == []
