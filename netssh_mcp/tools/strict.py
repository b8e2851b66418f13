"""Tools whose arguments are taken at their word: unknown names are errors, and every error is one plain line.

The SDK drops unknown arguments silently (a misspelt `timeout` would be ignored) and shows pydantic's own text with
a URL. Schemas lose pydantic's `title`s, which cost a fifth of their size and say nothing.
"""

from __future__ import annotations

import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from netssh_mcp.errors import InputError, NetsshError
from netssh_mcp.knowledge.near import near
from netssh_mcp.tools.answers import in_json, refusal

log = logging.getLogger(__name__)


class InternalError(NetsshError):
    """A bug of ours. Its text stays in the log; what had been sent by then is not known."""

    kind = "internal"
    effect = "possible"


def _as_list(given: object) -> object:
    return [given] if isinstance(given, str) else given


# Some clients send a list as a JSON string, which the SDK parses (makeplane/plane-mcp-server#130); models also send
# the only element bare. Both can mean one thing only.
Strings = Annotated[list[str], BeforeValidator(_as_list)]


class StrictTool(Tool):
    """The SDK's tool with our argument errors, and an id in the log for what nobody foresaw.

    `as_json`: the text of its answers is the structured content, for clients whose model reads only the text.
    """

    as_json: bool = False

    async def run(  # the SDK's signature
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:  # noqa: ANN401
        result = await self._answered(arguments, context, convert_result)
        return in_json(result) if self.as_json and isinstance(result, CallToolResult) else result

    async def _answered(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool) -> Any:  # noqa: ANN401
        required = self.parameters.get("required", [])
        # `null` for an optional argument means "not given": clients with strict schemas must send every key.
        given = {name: value for name, value in arguments.items() if value is not None or name in required}
        try:
            self.fn_metadata.validate_arguments(given)
        except ValidationError as invalid:
            return refusal(_explain(self.name, self.parameters["properties"], invalid))
        try:
            return await super().run(given, context, convert_result=convert_result)
        except UnexpectedToolError as crash:
            reference = secrets.token_hex(4)
            log.exception("%s crashed, reference %s", self.name, reference, exc_info=crash.__cause__)
            hint = f"This is a bug of netssh-mcp. Its log has the details under reference {reference}."
            return refusal(InternalError(f"{self.name} failed unexpectedly (reference {reference})", hint=hint))


def strict(
    fn: Callable[..., Awaitable[CallToolResult]],
    *,
    title: str,
    output: dict[str, Any],
    annotations: ToolAnnotations,
    meta: dict[str, Any] | None = None,
) -> StrictTool:
    """`fn` as a tool: its signature is the input schema, `output` the schema of its structured content."""
    tool = StrictTool.from_function(
        fn,
        title=title,
        description=inspect.cleandoc(fn.__doc__ or ""),
        annotations=annotations,
        meta=meta,
        structured_output=False,
    )
    arguments = tool.fn_metadata.arg_model
    arguments.model_config = ConfigDict(**{**arguments.model_config, "extra": "forbid"})
    arguments.model_rebuild(force=True)
    tool.parameters = _without_titles(arguments.model_json_schema())
    tool.fn_metadata.output_schema = output  # published; our tests, not every call, hold the services to it
    assert isinstance(tool, StrictTool)
    return tool


def hints(
    title: str, *, reads: bool = False, destroys: bool = True, again: bool = False, devices: bool = True
) -> dict[str, Any]:
    """Title and hints of a tool: that it `reads` only, else whether it `destroys`; if asked `again` it is the same."""
    return {
        "title": title,
        "annotations": ToolAnnotations(
            title=title,
            read_only_hint=reads,
            destructive_hint=destroys and not reads,
            idempotent_hint=again,
            open_world_hint=devices,
        ),
    }


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in schema["properties"].items()
    }
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}


def _explain(tool: str, properties: Mapping[str, Any], invalid: ValidationError) -> InputError:
    lines = [_problem(error, properties) for error in invalid.errors(include_url=False, include_context=True)]
    # Two bad elements of one list give the same line twice.
    message = "; ".join(dict.fromkeys(lines))
    return InputError(
        f"{tool}: {message}.", hint=f"Nothing was sent. {tool} takes: {', '.join(properties)}. Correct the call."
    )


def _problem(error: ErrorDetails, properties: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            return f"unknown argument '{name}'{_nearest(name, list(properties))}"
        case "missing":
            return f"'{name}' is missing"
        case "too_short" | "string_too_short":
            return f"'{name}' is empty"
        case "literal_error":
            words = [str(word) for word in properties[name]["enum"]]
            given = str(error["input"])[:40]
            return f"'{name}' is one of {', '.join(words)}, not {given!r}{_nearest(given, words)}"
        case _:
            where = "".join(f"[{part}]" for part in error["loc"][1:])
            said = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
            return f"'{name}'{where} {said[:1].lower()}{said[1:]}"


def _nearest(word: str, words: list[str]) -> str:
    found = near(word, words, n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""
