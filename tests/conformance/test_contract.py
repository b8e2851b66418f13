"""The tool surface: what every client takes, and no change of it unnoticed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import settings
from netssh_mcp.server import instructions
from netssh_mcp.tools import toolsets
from tests.conformance import contract, fake_app

TOOLS = contract.tools()
PARAMETERS: dict[str, dict[str, Any]] = {
    "list_devices": {"targets": "", "view": "devices", "command": ""},
    "show": {"targets": ..., "commands": ..., "parse": "auto", "query": "", "fields": [], "timeout": 60, "wait": 25},
    "read_output": {"output_id": ..., "offset": 0, "limit": 0, "grep": "", "context": 0, "query": ""},
    "job": {"action": ..., "job_id": "", "cursor": 0, "text": "", "device": ""},
}
OPERATE: dict[str, dict[str, Any]] = {
    "run": {
        "targets": ...,
        "commands": ...,
        "sudo": False,
        "sudo_user": "",
        "cwd": "",
        "env": {},
        "shell": False,
        "answers": [],
        "stop_on_error": True,
        "timeout": 60,
        "wait": 25,
        "session": "",
    },
    "session": {"action": ..., "device": "", "name": "", "format": "text"},
    "shell": {
        "action": ...,
        "device": "",
        "shell_id": "",
        "text": "",
        "enter": True,
        "keys": [],
        "cursor": -1,
        "pattern": "",
        "quiet": 0,
        "wait": 10,
    },
    "get_file": {
        "device": ...,
        "path": ...,
        "action": "read",
        "local_path": "",
        "sudo": False,
        "encoding": "utf-8",
        "offset": 0,
        "hidden": False,
        "overwrite": False,
    },
    "put_file": {
        "device": ...,
        "path": ...,
        "action": "write",
        "content": "",
        "local_path": "",
        "mode": "",
        "sudo": False,
        "encoding": "utf-8",
        "append": False,
        "overwrite": True,
        "make_dirs": False,
    },
    "forward": {
        "action": ...,
        "device": "",
        "kind": "local",
        "host": "",
        "port": 0,
        "listen": 0,
        "bind": "127.0.0.1",
        "lifetime": 3600,
        "forward_id": "",
    },
    "host": {"action": ..., "name": ..., "values": {}},
}
EVERY = PARAMETERS | OPERATE
FORBIDDEN = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "if", "then", "title"}
every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool["name"])


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key == "properties":
                for inner in value.values():
                    yield from nodes(inner)
            elif key != "default":
                yield from nodes(value)


def test_the_tools_are_exactly_those_of_the_issue_with_its_parameters_and_defaults() -> None:
    found = {
        tool["name"]: {name: field.get("default", ...) for name, field in tool["inputSchema"]["properties"].items()}
        for tool in TOOLS
    }
    assert found == EVERY
    assert list(found) == list(EVERY)
    assert [tool["name"] for tool in contract.tools()] == list(EVERY), "the order is the same each time"


def test_no_snapshot_is_left_of_a_tool_that_is_gone() -> None:
    assert {path.name for path in contract.FOLDER.glob("*.json")} == {contract.path(tool).name for tool in TOOLS}


@every_tool
def test_a_tool_is_what_its_snapshot_says(tool: dict[str, Any]) -> None:
    path, now = contract.path(tool), contract.snapshot(tool)
    if not path.exists():
        pytest.fail(f"{path.name} is missing; accept the tool with: {contract.ACCEPT}")
    accepted = path.read_text(encoding="utf-8")
    if accepted != now:
        diff = "\n".join(difflib.unified_diff(accepted.splitlines(), now.splitlines(), "accepted", "now", lineterm=""))
        pytest.fail(f"{tool['name']} changed; if meant: {contract.ACCEPT}\n{diff}")


@every_tool
def test_a_schema_is_one_that_every_client_takes(tool: dict[str, Any]) -> None:
    inputs, outputs = tool["inputSchema"], tool["outputSchema"]
    assert inputs["type"] == "object"
    assert outputs["type"] == "object"
    assert inputs["additionalProperties"] is False
    assert set(inputs.get("required", [])) == {n for n, f in inputs["properties"].items() if "default" not in f}
    for node in [*nodes(inputs), *nodes(outputs)]:
        assert not FORBIDDEN & set(node), node
        assert node.get("type") != "null"
        assert not isinstance(node.get("type"), list)
    for name, field in inputs["properties"].items():
        assert field.get("description"), f"{tool['name']}.{name} is not described"


@every_tool
def test_a_tool_says_what_it_may_do(tool: dict[str, Any]) -> None:
    hints = tool["annotations"]
    assert {"title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} == set(hints)
    assert hints["readOnlyHint"] is (tool["name"] in PARAMETERS and tool["name"] != "job")
    assert tool["title"] == hints["title"]
    assert re.fullmatch(r"[a-z_]{1,40}", tool["name"])
    assert tool["description"]


def test_the_whole_list_is_small_enough_for_every_context_window() -> None:
    assert len(json.dumps(TOOLS, separators=(",", ":")).encode()) <= 20_000


def test_the_instructions_fit_where_clients_cut_them_and_name_every_tool() -> None:
    told = instructions(("observe", "operate"))
    assert len(told) < 2048
    assert all(name in told for name in EVERY)
    assert "untrusted" in told
    assert all(name in instructions(("observe",)) for name in PARAMETERS)
    assert "put_file" not in instructions(("observe",))


@pytest.mark.anyio
async def test_both_eras_give_the_same_tools_and_instructions(mode: str) -> None:
    async with fake_app.client(mode) as client:
        listed = await client.list_tools()
        assert client.instructions == instructions(("observe", "operate"))
    assert [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools] == TOOLS


def test_toolsets_are_chosen_by_name_and_a_wrong_name_says_which_exist() -> None:
    assert tuple(toolsets.TOOLSETS) == settings.TOOLSETS
    assert [tool.name for tool in toolsets.chosen(["observe"])] == list(PARAMETERS)
    assert [tool.name for tool in toolsets.chosen(["observe"], read_only=True)] == list(PARAMETERS)
    assert [tool.name for tool in toolsets.chosen(["operate", "observe"])] == list(EVERY)
    reading = toolsets.chosen(settings.TOOLSETS, read_only=True)
    assert [tool.name for tool in reading] == list(PARAMETERS)
    assert all(
        tool.annotations and tool.annotations.read_only_hint for tool in (*reading, *toolsets.chosen(["observe"]))
    )
    assert toolsets.chosen([]) == []
    with pytest.raises(InputError, match=r"there is no toolset 'obsrve'; did you mean observe\?"):
        toolsets.chosen(["obsrve"])
