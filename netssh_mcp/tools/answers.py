"""What a tool gives back: one structured object, and a text that carries the same facts.

Some clients show the model only `structuredContent`, others only `content` (anthropics/claude-code#55677,
MoonshotAI/kimi-cli#3234), so neither may know more than the other; `tests/conformance/test_parity.py` walks both.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, cast

from mcp.types import CallToolResult, TextContent

from netssh_mcp.errors import NetsshError
from netssh_mcp.knowledge.untrusted import visible_all
from netssh_mcp.tools import render

P = ParamSpec("P")
Structured = dict[str, Any]  # JSON as services give it


def answer(result: Structured, text: Callable[[Structured], str], *, failed: bool = False) -> CallToolResult:
    """The result, and as `text` renders it. All that a device wrote passes here: nothing hidden goes on to a model."""
    shown = cast("Structured", visible_all(result))
    return CallToolResult(content=[TextContent(text=text(shown))], structured_content=shown, is_error=failed)


def in_json(result: CallToolResult) -> CallToolResult:
    """The same answer with its fields as text, instead of the text for people."""
    text = render.compact(result.structured_content)
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=result.structured_content, is_error=result.is_error
    )


def refusal(error: NetsshError) -> CallToolResult:
    """An error as the model reads it and as programs do; `isError` is set."""
    facts = error.facts()
    return answer({"error": facts}, lambda shown: render.error(shown["error"]), failed=True)


def answers(tool: Callable[P, Awaitable[CallToolResult]]) -> Callable[P, Awaitable[CallToolResult]]:
    """A NetsshError out of the tool becomes its answer; anything else is our bug and the SDK hides its text."""

    @functools.wraps(tool)
    async def answered(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except NetsshError as error:
            return refusal(error)

    return answered
