"""The MCP connection over our own stdin and stdout, without a thread hop for each message.

The SDK reads and writes the standard streams in worker threads: three hops a call, 0.3 ms of the 2 ms that a call over
stdio may cost. Here stdin is a pipe of the event loop, and a short message is written at once when the pipe takes it.
As in the SDK, fd 0 and 1 are pointed elsewhere, so that a stray `print` or a child process cannot break the protocol.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
from typing import Any

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server

_AT_ONCE = 4096  # bytes: POSIX's PIPE_BUF on Linux; a pipe that polls writable takes that much without blocking
_LONGEST_LINE = 1 << 26


class _Stdout:
    """What the SDK needs of a text stream."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    async def write(self, text: str) -> None:
        data = text.encode()
        if len(data) <= _AT_ONCE and self._poll.poll(0):
            os.write(self._descriptor, data)
        else:
            await anyio.to_thread.run_sync(self._all, data)

    def _all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    async def flush(self) -> None:
        """Nothing is held back."""


async def serve(server: MCPServer[Any]) -> None:
    """Serve until stdin ends. Streams that an event loop cannot watch (a file, /dev/null) are left to the SDK."""
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):
        await server.run_stdio_async()
        return
    theirs, ours = os.dup(0), os.dup(1)
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(theirs, "rb", buffering=0)
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    low = server._lowlevel_server  # noqa: SLF001  (the SDK has no public way to its streams; the lifecycle tests pin it)
    # Both are used as async text streams, which is all that the SDK does with them.
    async with stdio_server(stdin=lines, stdout=_Stdout(ours)) as (read, write):  # type: ignore[arg-type]
        await low.run(read, write, low.create_initialization_options())
