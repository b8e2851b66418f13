"""The `session` service."""

from __future__ import annotations

from typing import Any

from netssh_mcp.services.desk import Desk


class Sessions:
    """The `session` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def act(self, action: str, device: str = "", name: str = "", form: str = "text") -> dict[str, Any]:
        """What the `session` tool does."""
        raise NotImplementedError
