"""The `run` service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netssh_mcp.services.desk import Desk
from netssh_mcp.services.jobs import Progress


class Runs:
    """The `run` service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(
        self,
        targets: str,
        commands: Sequence[str],
        *,
        sudo: bool = False,
        sudo_user: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        answers: Sequence[Mapping[str, str]] = (),
        stop_on_error: bool = True,
        timeout: float = 60.0,
        wait: float = 25.0,
        session: str = "",
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """One row per device and command, in inventory order."""
        raise NotImplementedError
