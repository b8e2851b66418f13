"""Arguments are taken at their word: what is unknown or wrong is one plain line, in both eras."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from mcp.types import CallToolResult, TextContent

from netssh_mcp.model import JobAction
from tests.conformance import fake_app
from tests.conformance.fake_app import FakeApp

pytestmark = pytest.mark.anyio


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def call(mode: str, tool: str, fake: FakeApp | None = None, **arguments: object) -> CallToolResult:
    async with fake_app.client(mode, fake) as client:
        return await client.call_tool(tool, arguments)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("show", {"targets": "r1", "commands": ["x"], "timout": 5}, "unknown argument 'timout' (did you mean 'timeout'?)"),
    ("show", {"targets": "r1", "commands": ["x"], "zzz": 5}, "unknown argument 'zzz'"),
    ("show", {"commands": ["x"]}, "'targets' is missing"),
    ("show", {"targets": None, "commands": ["x"]}, "'targets' should be a valid string"),
    ("show", {"targets": "r1", "commands": []}, "'commands' is empty"),
    ("show", {"targets": "r1", "commands": [7]}, "'commands'[0] should be a valid string"),
    ("show", {"targets": "r1", "commands": {"a": 1}}, "'commands' should be a valid list"),
    (
        "show",
        {"targets": "r1", "commands": ["x"], "parse": "jsn"},
        "'parse' is one of auto, raw, textfsm, json, not 'jsn'",
    ),
    ("show", {"targets": "r1", "commands": ["x"], "timeout": 0}, "'timeout' should be greater than 0"),
    ("show", {"targets": "r1", "commands": ["x"], "wait": -1}, "'wait' should be greater than or equal to 0"),
    ("list_devices", {"view": "device"}, "(did you mean 'devices'?)"),
    ("read_output", {"output_id": ""}, "'output_id' is empty"),
    ("read_output", {"output_id": "a", "offset": "b"}, "'offset' should be a valid integer"),
    ("job", {"action": "stop"}, f"'action' is one of {', '.join(get_args(JobAction))}, not 'stop'"),
]


@pytest.mark.parametrize(("tool", "arguments", "said"), BAD, ids=lambda value: str(value)[:40])
async def test_a_wrong_argument_is_one_plain_line_in_text_and_fields(
    mode: str, tool: str, arguments: dict[str, Any], said: str
) -> None:
    result = await call(mode, tool, **arguments)
    assert result.is_error
    assert result.structured_content is not None
    error = result.structured_content["error"]
    assert said in error["message"]
    assert "\n" not in error["message"]
    assert "http" not in error["message"]
    assert (error["kind"], error["effect"]) == ("input", "none")
    assert error["message"] in text(result)
    assert error["hint"] in text(result)


async def test_all_wrong_arguments_are_named_at_once(mode: str) -> None:
    result = await call(mode, "show", targets="r1", cmds=["x"], parse="no")
    for said in ("unknown argument 'cmds'", "'commands' is missing", "'parse' is one of"):
        assert said in text(result)


@pytest.mark.parametrize("given", [["a", "b"], '["a", "b"]', "a"], ids=["list", "list as JSON", "one word"])
async def test_a_list_may_come_as_a_list_as_json_or_as_its_only_element(mode: str, given: object) -> None:
    fake = FakeApp()
    result = await call(mode, "show", fake, targets="r1", commands=given, fields=given)
    assert not result.is_error
    expected = ["a"] if given == "a" else ["a", "b"]
    assert fake.asked["commands"] == fake.asked["fields"] == expected


@pytest.mark.parametrize("free", ["null", "[1]", "true", "12", '{"a": 1}', ' "x" '])
async def test_free_text_reaches_the_service_as_it_was_written(mode: str, free: str) -> None:
    fake = FakeApp()
    await call(mode, "job", fake, action="input", job_id="j", text=free)
    assert fake.asked["act"] == ("input", "j", 0, free, "")
    await call(mode, "read_output", fake, output_id=free, grep=free, query=free)
    assert fake.asked == {"output_id": free, "offset": 0, "limit": 0, "grep": free, "context": 0, "query": free}
    await call(mode, "list_devices", fake, targets=free)
    assert fake.asked["targets"] == free


async def test_null_for_an_optional_argument_means_not_given(mode: str) -> None:
    fake = FakeApp()
    result = await call(mode, "show", fake, targets="r1", commands=["x"], query=None, fields=None, timeout=None)
    assert not result.is_error
    asked = {key: value for key, value in fake.asked.items() if key != "progress"}
    assert asked == {
        "targets": "r1",
        "commands": ["x"],
        "parse": "auto",
        "query": "",
        "fields": [],
        "timeout": 60.0,
        "wait": 25.0,
    }


async def test_an_unknown_tool_is_an_error_that_the_model_sees(mode: str) -> None:
    result = await call(mode, "shwo")
    assert result.is_error
    assert "shwo" in text(result)
