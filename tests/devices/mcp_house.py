"""A real MCP client on a real server process: `python -m netssh_mcp serve` over stdio, on a test's inventory."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

ROOT = Path(__file__).parents[2]
LONG = 40.0  # seconds: only to fail, never to measure


@dataclass(frozen=True)
class Answer:
    """What a tool call gave: the fields, the text, and whether it was an error."""

    fields: dict[str, Any]
    text: str
    failed: bool

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a `show`; there are as many as were asked for, and each is counted once."""
        assert "rows" in self.fields, self.text
        rows: list[dict[str, Any]] = self.fields["rows"]
        going = sum(row["state"] != "done" for row in rows)
        assert self.fields["requested"] == len(rows) == self.fields["ok"] + self.fields["failed"] + going
        return rows

    @property
    def row(self) -> dict[str, Any]:
        """The only row."""
        (row,) = self.rows
        return row

    @property
    def error(self) -> dict[str, Any]:
        """The error of the whole call, or of its only row."""
        error: dict[str, Any] = self.fields["error"] if "error" in self.fields else self.row["error"]
        return error


class House:
    """The client's side of one server."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """Any tool, as the client sees its answer."""
        result = await self.client.call_tool(tool, arguments)
        text = "".join(part.text for part in result.content if part.type == "text")
        return Answer(result.structured_content or {}, text, bool(result.is_error))

    async def show(self, targets: str, *commands: str, **more: Any) -> Answer:
        """`show` with these commands."""
        return await self.call("show", targets=targets, commands=list(commands), **more)


@asynccontextmanager
async def served(
    inventory: Path,
    folder: Path,
    *arguments: str,
    known_hosts: Sequence[Path] = (),
    mode: str = "auto",
    environ: Mapping[str, str] | None = None,
    log: Path | None = None,
    limit: float = LONG,
) -> AsyncIterator[House]:
    """A server that keeps everything in `folder` and learns host keys there, or trusts those of `known_hosts`.

    What it writes to stderr goes to the file `log`, if there is one. It may live for `limit` seconds.
    """
    learns = "strict" if known_hosts else "tofu"
    keys = os.pathsep.join(map(str, known_hosts)) if known_hosts else str(folder / "known_hosts")
    settings = {"NETSSH_KNOWN_HOSTS": keys, "NETSSH_SPILL": str(folder / "outputs"), "HOME": str(folder)}
    argv = [
        *(sys.executable, "-W", "error", "-m", "netssh_mcp", "serve", "--inventory", str(inventory)),
        *("--audit", str(folder / "audit.jsonl"), "--host-keys", learns, *arguments),
    ]
    if log is not None:
        argv = ["/bin/sh", "-c", 'exec "$@" 2>"$0"', str(log), *argv]
    parameters = StdioServerParameters(
        command=argv[0],
        args=argv[1:],
        env={"PATH": os.environ["PATH"], **settings, **(environ or {})},
        cwd=ROOT,
    )
    with anyio.fail_after(limit):
        async with Client(parameters, mode=mode) as client:
            yield House(client, folder)
