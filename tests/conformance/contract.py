"""What the tools promise, as files: one snapshot per tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio

from tests.conformance import fake_app

FOLDER = Path(__file__).parent / "snapshots"
ACCEPT = "python -m tests.conformance.accept"


def tools() -> list[dict[str, Any]]:
    """tools/list as it goes over the wire, in its order."""

    async def listed() -> list[dict[str, Any]]:
        async with fake_app.client("auto") as client:
            found = await client.list_tools()
        return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in found.tools]

    return anyio.run(listed)


def snapshot(tool: dict[str, Any]) -> str:
    return json.dumps(tool, indent=2, ensure_ascii=False) + "\n"


def path(tool: dict[str, Any]) -> Path:
    return FOLDER / f"{tool['name']}.json"
