"""The `forward` service."""

from __future__ import annotations

from typing import Any

from netssh_mcp.services.desk import Desk


class Forwards:
    """The `forward` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def act(
        self,
        action: str,
        *,
        device: str = "",
        kind: str = "local",
        host: str = "",
        port: int = 0,
        listen: int = 0,
        bind: str = "127.0.0.1",
        lifetime: float = 3600.0,
        forward_id: str = "",
    ) -> dict[str, Any]:
        """What the `forward` tool does."""
        raise NotImplementedError
