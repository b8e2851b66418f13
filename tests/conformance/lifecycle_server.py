"""A server process for the lifecycle tests: `python lifecycle_server.py MARKERS [HOW]`.

Its services write what happens to them into the folder MARKERS; `show` never ends. HOW "stuck": it does not even heed
a cancel; "slow", "blocked": the services do not close; "broken": they do not open; "noisy": `show` writes to stdout.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from netssh_mcp import runner

runner.before_imports()

from netssh_mcp.errors import InputError  # noqa: E402
from netssh_mcp.server import serve  # noqa: E402
from tests.conformance import fake_app  # noqa: E402


async def fails(once: Path) -> None:
    """A task of the services that dies by a bug as soon as a call runs."""
    while not await anyio.Path(once).exists():
        await anyio.lowlevel.checkpoint()
    raise ZeroDivisionError("a bug")


def main() -> None:
    markers, how = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""

    async def show(**asked: Any) -> dict[str, Any]:
        (markers / "running").touch()
        if how == "noisy":
            print("stray", flush=True)
            os.write(1, b"stray")
            await anyio.run_process(["echo", "stray"], stdout=None)
        if how == "stuck":
            await anyio.to_thread.run_sync(threading.Event().wait)
        try:
            await anyio.sleep_forever()
        finally:
            (markers / "cancelled").touch()
        return asked

    @asynccontextmanager
    async def open_app(_settings: object) -> AsyncIterator[Any]:
        if how == "broken":
            raise InputError("the services cannot open", hint="Do this next.")
        if how == "bug":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fails, markers / "running")
                yield fake_app.FakeApp(show=show).app()
        try:
            yield fake_app.FakeApp(show=show).app()
        finally:
            (markers / "closing").touch()
            with anyio.CancelScope(shield=how == "slow"):
                if how == "slow":
                    await anyio.sleep_forever()
            if how == "blocked":
                threading.Event().wait()
            await anyio.lowlevel.checkpoint()  # closing a session awaits: it must not be cancelled
            (markers / "closed").touch()

    runner.log_to_stderr("warning")
    serve(fake_app.settings(), open_app)


main()
