"""One tool call is at most one device line per command: every separator, in every string argument of every tool."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.house import write_inventory
from tests.devices.mcp_house import served

pytestmark = pytest.mark.anyio
SPEC = DeviceSpec("r1", "cisco_ios")


def separators() -> list[str]:
    """C0 and C1 controls, DEL, every space, line and paragraph separator, format characters, look-alikes, digraphs."""
    categories = {"Cc", "Zs", "Zl", "Zp"}
    found = [chr(code) for code in range(0x3100) if unicodedata.category(chr(code)) in categories and code != 0x20]
    formats = "\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\ufff9"
    doubled = [
        "\r\n",
        "\n\r",
        "\n\n",
        "\x16\n",
        "\x1b[A\n",
        "\x1b\r",
        "\\n",
        "\\r",
        "%0a",
        "%0d%0a",
        "&#10;",
        "\\u000a",
    ]
    shell = [
        ";",
        "&&",
        "||",
        "|",
        "&",
        "`",
        "$(",
        "\uff1b",
        "\u037e",
        "\uff5c",
        "\u2028;",
        "\uff0a",
        "\u240a",
        "\u23ce",
    ]
    return [*found, *formats, *doubled, *shell]


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network([SPEC]) as running:
        yield running


def test_there_are_enough_separators() -> None:
    assert len(set(separators())) >= 110
    assert set(map(chr, (*range(32), *range(127, 160)))) <= set(separators())


def _wrapped(name: str, what: dict[str, Any], text: str) -> list[Any]:
    """The values by which this text can be given as this argument; none where it takes no free text."""
    if name == "answers":
        return [[{"expect": text, "send": "y"}], [{"expect": "confirm", "send": text}]]
    kinds = [what, *what.get("anyOf", [])]
    if any(kind.get("type") == "array" for kind in kinds):
        return [[text]]
    if any(kind.get("type") == "object" for kind in kinds):
        return [{"A": text}, {text: "a"}]
    if any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
        return [text]
    return []


_NAMES = {"targets", "device", "session", "name", "shell_id", "forward_id", "bind", "host", "sudo_user"}
BASE: dict[str, dict[str, Any]] = {
    "list_devices": {},
    "show": {"targets": "r1", "commands": ["show clock"]},
    "read_output": {"output_id": "none"},
    "job": {"action": "get", "job_id": "none"},
    "run": {"targets": "r1", "commands": ["show clock"]},
    "session": {"action": "close", "device": "r1", "name": "none"},
    "shell": {"action": "send", "device": "r1", "shell_id": "none"},
    "get_file": {"device": "r1", "path": "flash:/x", "action": "list"},
    "put_file": {"device": "r1", "path": "flash:/x", "action": "write"},
    "forward": {"action": "open", "device": "r1", "host": "192.0.2.1", "port": 22},
    "host": {"action": "add", "name": "r9"},
}


def _same_read(line: str) -> bool:
    """Whether the line is the command of `show` and `run`, or the one by which get_file lists."""
    return line.startswith(("show clock", "dir flash:/x")) and line.isascii() and line.isprintable()


async def test_every_tool_is_in_the_table(network: RunningNetwork, tmp_path: Path) -> None:
    async with served(write_inventory(network.ports, [SPEC], tmp_path), tmp_path, "--toolsets", "all") as house:
        assert {tool.name for tool in (await house.client.list_tools()).tools} == set(BASE)


@pytest.mark.parametrize("name", BASE)
async def test_no_argument_of_any_tool_smuggles_a_second_line(
    network: RunningNetwork, tmp_path: Path, name: str
) -> None:
    received = network.device("r1").received
    inventory = write_inventory(network.ports, [SPEC], tmp_path)
    tried = 0
    async with served(inventory, tmp_path, "--toolsets", "all") as house:
        await house.show("r1", "show clock")
        (tool,) = [tool for tool in (await house.client.list_tools()).tools if tool.name == name]
        for argument, what in tool.input_schema["properties"].items():
            for separator in separators():
                text = f"{'r1' if argument in _NAMES else 'show clock'}{separator}reload"
                for value in _wrapped(argument, what, text):
                    before = len(received)
                    await house.call(name, **{**BASE[name], argument: value})
                    sent = [line for line in received[before:] if not line.startswith(("!", "terminal "))]
                    tried += 1
                    assert len(sent) <= 1, (argument, separator, sent)
                    # What is no separator to a device (`%0a`) stays in its one line, in the same read command.
                    assert all(map(_same_read, sent)), (argument, separator, sent)
    assert tried >= 110
    assert not any(line.lstrip().startswith("reload") for line in received)
