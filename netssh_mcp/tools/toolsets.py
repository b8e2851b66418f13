"""Which tools a server offers: fixed at its start, since the list must not change under a client (2026-07-28)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.tools import observe
from netssh_mcp.tools.strict import StrictTool, hints


def _operate() -> tuple[StrictTool, ...]:
    from netssh_mcp.tools import operate  # noqa: PLC0415  (a start without it does not pay for it)

    return operate.tools()


TOOLSETS: dict[str, Callable[[], tuple[StrictTool, ...]]] = {"observe": observe.tools, "operate": _operate}


def check(names: Sequence[str]) -> None:
    """InputError on an unknown name."""
    for name in names:
        if name not in TOOLSETS:
            raise InputError(f"there is no toolset '{name}'; {did_you_mean(name, TOOLSETS)}")


def chosen(names: Sequence[str], *, read_only: bool = False, as_json: bool = False) -> list[StrictTool]:
    """The tools of the named sets, in a fixed order; `read_only` wins over the names. InputError on an unknown name."""
    check(names)
    tools = [tool for name, make in TOOLSETS.items() if name in names for tool in make()]
    for tool in tools:
        tool.as_json = as_json
        if tool.name == "job" and "operate" in names and not read_only:
            # There its input may confirm what `run` has begun; clients let tools that only read pass without asking.
            tool.annotations = hints(tool.title or tool.name)["annotations"]
    return [tool for tool in tools if not read_only or (tool.annotations and tool.annotations.read_only_hint)]
