"""Our own side: the services on an event loop in a thread, timed inside; and a server process with an SDK client."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchmarks.measure import Contender
from netssh_mcp.guard import policy
from netssh_mcp.knowledge.inventory import Device, InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.model import Reply
from netssh_mcp.services.app import App, open_app
from netssh_mcp.wire.turn import Turn

ROOT = Path(__file__).parents[1]


class House:
    """The services below MCP, opened on an inventory."""

    def __init__(self, portal: BlockingPortal, app: App, source: InventorySource, profiles: Profiles) -> None:
        self.portal, self.app, self.profiles = portal, app, profiles
        self._source = source

    def device(self, name: str) -> Device:
        """An inventory entry."""
        return self._source.current().device(name)

    def run(self, name: str, command: str, *, timeout: float = 60.0, fresh: bool = False) -> tuple[Reply, float]:
        """A leased session's reply and the seconds from asking the pool to having it.

        `fresh`: a new login, and the session is closed afterwards.
        """
        return self.portal.call(self._run, name, command, timeout, fresh)

    async def _run(self, name: str, command: str, timeout: float, fresh: bool) -> tuple[Reply, float]:
        device = self.device(name)
        profile = self.profiles.get(device.platform)
        grant = policy.decide(device, profile, command)
        turn = Turn()
        began = time.perf_counter()
        async with self.app.pool.lease((device,), profile, turn, fresh=fresh) as lease:
            reply = await lease.session.run(grant, timeout=timeout, turn=turn, limiter=self.app.pool.threads)
            seconds = time.perf_counter() - began
            if fresh:
                lease.session.close()
        return reply, seconds

    def contender(self, name: str, command: str, *, fresh: bool = False) -> Contender:
        """For `medians`. Raises when the end was not proven."""

        def once() -> float:
            reply, seconds = self.run(name, command, fresh=fresh)
            assert reply.framing == "proven"
            return seconds

        return once


def settings(folder: Path, inventory: Path) -> Settings:
    """Everything in `folder`."""
    given = {
        "inventory": (str(inventory),),
        "known_hosts": (str(folder / "known_hosts"),),
        "audit": str(folder / "audit.jsonl"),
        "spill": str(folder / "outputs"),
        "host_keys": "tofu",
    }
    return Settings.resolve(given, {"HOME": str(folder)})


@contextmanager
def house(folder: Path, inventory: Path) -> Iterator[House]:
    """The services, until the block ends."""
    profiles = Profiles.load(None)
    source = InventorySource([inventory], profiles.platforms)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_app(settings(folder, inventory))) as app,
    ):
        yield House(portal, app, source, profiles)


def command_line(inventory: Path, folder: Path) -> list[str]:
    """How our server is started."""
    files = ("--inventory", str(inventory), "--audit", str(folder / "audit.jsonl"))
    return [sys.executable, "-m", "netssh_mcp", "serve", *files, "--host-keys", "tofu"]


def environment(folder: Path) -> dict[str, str]:
    """Its surroundings: nothing of the user's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "NETSSH_KNOWN_HOSTS": str(folder / "known_hosts"),
        "NETSSH_SPILL": str(folder / "outputs"),
    }


class Served:
    """A server process, asked by the SDK's own client."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal, self._client = portal, client

    def call(self, tool: str, arguments: Mapping[str, Any]) -> tuple[Any, float]:
        """The result, and the seconds between the client's call and its answer."""
        answer: tuple[Any, float] = self._portal.call(self._call, tool, dict(arguments))
        return answer

    async def _call(self, tool: str, arguments: dict[str, Any]) -> tuple[Any, float]:
        began = time.perf_counter()
        result = await self._client.call_tool(tool, arguments)
        return result, time.perf_counter() - began

    def contender(
        self, tool: str, arguments: Mapping[str, Any], right: Callable[[Any], bool] = lambda result: not result.is_error
    ) -> Contender:
        """For `medians`. Raises when the answer is not `right`."""

        def once() -> float:
            result, seconds = self.call(tool, arguments)
            assert right(result), result
            return seconds

        return once


@contextmanager
def server(portal: BlockingPortal, argv: list[str], env: dict[str, str], *, cwd: Path = ROOT) -> Iterator[Served]:
    """Any stdio server, until the block ends. What it logs is thrown away."""
    parameters = StdioServerParameters(command=argv[0], args=argv[1:], env=env, cwd=cwd)
    with (
        Path(os.devnull).open("w") as nowhere,
        portal.wrap_async_context_manager(Client(stdio_client(parameters, nowhere))) as client,
    ):
        yield Served(portal, client)


def answered(result: Any) -> bool:  # noqa: ANN401  (the SDK's result)
    """Every row of a `show` is there and well."""
    content = result.structured_content or {}
    return not result.is_error and content["ok"] == content["requested"]
