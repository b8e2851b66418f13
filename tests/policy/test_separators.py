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


def _arguments(schema: dict[str, Any], tool: str) -> list[tuple[str, bool]]:
    """(name, whether it is a list) of every argument that takes free text."""
    found = []
    for name, what in schema["properties"].items():
        kinds = [what, *what.get("anyOf", [])]
        if any(kind.get("type") == "array" for kind in kinds):
            found.append((name, True))
        elif any(kind.get("type") == "string" and "enum" not in kind for kind in kinds):
            found.append((name, False))
    assert found, tool
    return found


BASE: dict[str, dict[str, Any]] = {
    "list_devices": {},
    "show": {"targets": "r1", "commands": ["show clock"]},
    "read_output": {"output_id": "none"},
    "job": {"action": "get", "job_id": "none"},
}


async def test_no_argument_of_any_tool_smuggles_a_second_line(network: RunningNetwork, tmp_path: Path) -> None:
    received = network.device("r1").received
    inventory = write_inventory(network.ports, [SPEC], tmp_path)
    tried = 0
    async with served(inventory, tmp_path) as house:
        await house.show("r1", "show clock")
        listed = (await house.client.list_tools()).tools
        assert {tool.name for tool in listed} == set(BASE)  # a new tool joins this table
        for tool in listed:
            for name, many in _arguments(tool.input_schema, tool.name):
                for separator in separators():
                    text = f"show clock{separator}reload" if name != "targets" else f"r1{separator}reload"
                    before = len(received)
                    await house.call(tool.name, **{**BASE[tool.name], name: [text] if many else text})
                    sent = [line for line in received[before:] if not line.startswith("!")]
                    tried += 1
                    assert len(sent) <= 1, (tool.name, name, separator, sent)
                    # What is no separator to a device (`%0a`) stays in its one line, in the same read command.
                    assert all(line.startswith("show clock") and line.isascii() and line.isprintable() for line in sent)
    assert tried > 1000
    assert not any(line.lstrip().startswith("reload") for line in received)
