"""The `shell` service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netssh_mcp.services.desk import Desk


class Shells:
    """The `shell` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def act(
        self,
        action: str,
        *,
        device: str = "",
        shell_id: str = "",
        text: str = "",
        enter: bool = True,
        keys: Sequence[str] = (),
        cursor: int = 0,
        pattern: str = "",
        quiet: float = 0.0,
        wait: float = 10.0,
    ) -> dict[str, Any]:
        """What the `shell` tool does."""
        raise NotImplementedError
