"""Sessions on simulated devices without MCP and services: a pool, grants, and what the devices saw."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import paramiko

from netssh_mcp.guard import policy
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab.device import Device as LabDevice
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.model import Reply
from netssh_mcp.sessions.lease import Lease
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.opener import Opener
from netssh_mcp.wire.turn import Turn
from tests.devices.house import write_inventory

PROFILES = Profiles.load(None)


@dataclass
class Bench:
    """A pool on a running network. `run` is one command on a leased session; `lease` the last lease."""

    network: RunningNetwork
    specs: tuple[DeviceSpec, ...]
    folder: Path
    pool: Pool
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lease: Lease | None = None
    fixed: tuple[Device, ...] = ()  # instead of reading the inventory again at each run

    def device(self, name: str = "r1") -> LabDevice:
        return self.network.device(name)

    def inventory(self) -> Inventory:
        path = write_inventory(self.network.ports, self.specs, self.folder, **self.more)
        return InventorySource([path], PROFILES.platforms()).current()

    def hops(self, name: str = "r1") -> tuple[Device, ...]:
        if self.fixed:
            return self.fixed
        inventory = self.inventory()
        device = inventory.device(name)
        return (*(inventory.device(hop) for hop in device.jump), device)

    async def run(
        self, command: str = "show version", *, name: str = "r1", timeout: float = 20.0, turn: Turn | None = None
    ) -> Reply:
        turn = turn or Turn()
        hops = self.hops(name)
        profile = PROFILES.get(hops[-1].platform)
        grant = policy.decide(hops[-1], profile, command)
        async with self.pool.lease(hops, profile, turn) as lease:
            self.lease = lease
            return await lease.session.run(grant, timeout=timeout, turn=turn, limiter=self.pool.threads)

    @property
    def reconnected(self) -> bool:
        assert self.lease is not None
        return self.lease.reconnected


def pool_of(folder: Path, *, byte_limit: int = 64 << 20, mode: Any = "tofu") -> Pool:
    keys = HostKeys(mode, (), folder / "known_hosts")
    return Pool(Opener(keys), byte_limit=byte_limit)


def on(
    specs: Iterable[DeviceSpec],
    folder: Path,
    work: Callable[[Bench], Awaitable[None]],
    *,
    byte_limit: int = 64 << 20,
    mode: Any = "tofu",
    **more: Mapping[str, Any],
) -> None:
    """Run `work` on these devices, 60 seconds at most."""
    devices = tuple(specs)

    async def main() -> None:
        with start_network(devices) as network, anyio.fail_after(60):
            async with closing(pool_of(folder, byte_limit=byte_limit, mode=mode)) as pool:
                await work(Bench(network, devices, folder, pool, more))

    with no_threads_left():
        anyio.run(main)


async def until(true: Callable[[], object]) -> None:
    """Wait for something that another thread or the simulator does."""
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110  (other threads set no event of ours)
            await anyio.sleep(0.002)


@asynccontextmanager
async def closing(pool: Pool) -> AsyncIterator[Pool]:
    try:
        yield pool
    finally:
        await pool.aclose()


@contextmanager
def no_threads_left() -> Any:
    """Every Paramiko thread that is started inside ends, once what was opened is closed."""
    before = set(transports())
    yield
    for thread in set(transports()) - before:
        thread.join(5)
        assert not thread.is_alive(), "a connection was left open"


def transports() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, paramiko.Transport)]
