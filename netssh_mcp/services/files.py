"""The `file` service."""

from __future__ import annotations

from typing import Any

from netssh_mcp.services.desk import Desk
from netssh_mcp.services.jobs import Progress


class Files:
    """The `file` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(
        self,
        device: str,
        path: str,
        *,
        action: str = "read",
        local_path: str = "",
        sudo: bool = False,
        encoding: str = "utf-8",
        offset: int = 0,
        hidden: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What the `get_file` tool does."""
        raise NotImplementedError

    async def put(
        self,
        device: str,
        path: str,
        *,
        action: str = "write",
        content: str = "",
        local_path: str = "",
        mode: str = "",
        sudo: bool = False,
        encoding: str = "utf-8",
        append: bool = False,
        overwrite: bool = True,
        make_dirs: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What the `put_file` tool does."""
        raise NotImplementedError
