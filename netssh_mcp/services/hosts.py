"""The `host` service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netssh_mcp.services.desk import Desk


class Hosts:
    """The `host` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def act(self, action: str, name: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the `host` tool does."""
        raise NotImplementedError
