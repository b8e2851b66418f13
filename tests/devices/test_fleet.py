"""One call, many devices: requested == returned, in inventory order, and a dead device costs the others nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
import pytest

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import start_network
from netssh_mcp.services.app import open_app
from tests.devices.house import settings, write_inventory

DEAD = "d7"


def _specs(count: int) -> list[DeviceSpec]:
    return [DeviceSpec(f"d{number}", "cisco_ios", outputs={"show tag": f"TAG {number}\n"}) for number in range(count)]


def _serve(count: int, pipe: Connection) -> None:
    with start_network(_specs(count)) as network:
        pipe.send(network.ports)
        pipe.recv()


@contextmanager
def _served(count: int) -> Iterator[dict[str, int]]:
    """The devices in a process of their own: this one is the server under test."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(count, theirs), daemon=True)
    process.start()
    try:
        ports: dict[str, int] = ours.recv()
        yield ports
    finally:
        ours.send("done")
        process.join(30)


def _fleet(folder: Path, count: int) -> None:
    specs = _specs(count)
    with _served(count) as ports:
        inventory = write_inventory({**ports, DEAD: 1}, specs, folder)

        async def main() -> None:
            async with open_app(settings(folder, inventory)) as app:
                seen: list[tuple[int, int]] = []

                async def progress(done: int, total: int, _message: str) -> None:
                    seen.append((done, total))

                for _ in range(2):
                    result = await app.commands.show("*", ["show tag"], wait=600, parse="raw", progress=progress)
                    assert result["requested"] == len(result["rows"]) == count
                    assert [row["device"] for row in result["rows"]] == [spec.name for spec in specs]
                    assert (result["ok"], result["failed"]) == (count - 1, 1)
                    for number, row in enumerate(result["rows"]):
                        if row["device"] == DEAD:
                            assert row["error"]["kind"] == "connect"
                        else:
                            assert row["output"] == f"TAG {number}\n"
                            assert row["framing"] == "proven"
                assert seen[count - 1] == (count, count)
                assert len(app.pool.sessions()) == count - 1

        anyio.run(main)


def test_a_fleet_of_a_hundred_with_one_dead_device(tmp_path: Path) -> None:
    _fleet(tmp_path, 100)


@pytest.mark.soak
def test_a_fleet_of_a_thousand(tmp_path: Path) -> None:
    _fleet(tmp_path, 1000)
