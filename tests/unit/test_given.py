"""Arguments that an action would ignore are refused, and what nobody gave is told from what is empty."""

from __future__ import annotations

from typing import Any

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.services.given import NOT_GIVEN, TAKES, USUAL, fitting, was_given
from tests.conformance.test_contract import OPERATE

ALWAYS = {"action", "path"}


@pytest.mark.parametrize("tool", TAKES)
def test_every_argument_of_a_tool_belongs_to_an_action_and_has_the_default_of_the_schema(tool: str) -> None:
    schema = {name: default for name, default in OPERATE[tool].items() if default is not ... and name not in ALWAYS}
    assert USUAL[tool] == {name: default for name, default in schema.items() if name != "action"}
    assert {name for names in TAKES[tool].values() for name in names} == set(USUAL[tool])


@pytest.mark.parametrize(
    ("tool", "action", "given", "owner"),
    [
        ("put_file", "write", {"local_path": "/x"}, "action='upload'"),
        ("put_file", "upload", {"content": "x"}, "action='write'"),
        ("put_file", "mkdir", {"append": True}, "action='write' or action='upload'"),
        ("put_file", "delete", {"overwrite": False}, "action='write'"),
        ("get_file", "read", {"hidden": True}, "action='list'"),
        ("get_file", "stat", {"offset": 1}, "action='read'"),
        ("get_file", "list", {"encoding": "latin-1"}, "action='read'"),
        ("shell", "send", {"keys": ["enter"]}, "action='key'"),
        ("shell", "send", {"cursor": 0}, "action='read'"),
        ("shell", "key", {"text": "x"}, "action='send'"),
        ("shell", "screen", {"pattern": "x"}, "action='wait'"),
        ("session", "open", {"format": "jsonl"}, "action='transcript'"),
        ("session", "close_all", {"name": "work"}, "action='close'"),
        ("forward", "close", {"port": 22}, "action='open'"),
        ("forward", "list", {"forward_id": "f1"}, "action='close'"),
    ],
)
def test_an_argument_of_another_action_is_refused_by_name(
    tool: str, action: str, given: dict[str, Any], owner: str
) -> None:
    with pytest.raises(InputError, match=f"`{next(iter(given))}` means nothing to {tool}") as told:
        fitting(tool, action, **given)
    assert owner in (told.value.hint or "")


@pytest.mark.parametrize("tool", TAKES)
def test_a_client_may_send_every_key_with_its_default(tool: str) -> None:
    for action in TAKES[tool]:
        fitting(tool, action, **USUAL[tool])


def test_the_empty_text_is_told_from_none() -> None:
    assert NOT_GIVEN == ""
    assert not was_given(NOT_GIVEN)
    assert was_given("")
