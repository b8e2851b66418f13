"""Run the hostile mix through real sessions and count what came back: right, an error, wrong."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import anyio

from netssh_mcp.errors import NetsshError
from netssh_mcp.guard import policy
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab import hostile
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Faults
from netssh_mcp.lab.hostile import HostileCommand
from netssh_mcp.lab.model import Echo
from netssh_mcp.lab.server import start_network
from netssh_mcp.services.app import App, open_app
from netssh_mcp.wire.turn import Turn
from tests.devices.house import settings, write_inventory

ECHOES: tuple[Echo, ...] = ("line", "early", "both")
FRAGMENTS = (0, 60, 7, 0, 200, 1)  # bytes in one piece, at most; 0 = as written


@dataclass
class Tally:
    """`wrong`: another command's text, or cut, and reported as success. `unanswered`: an error where an end was due."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    timeouts: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


def mixes(seed: int, commands: int, sessions: int) -> list[list[HostileCommand]]:
    """One mix per device."""
    return [hostile.mix(seed + number, commands // sessions, prompt=f"r{number}#") for number in range(sessions)]


def specs(seed: int, commands: int, sessions: int) -> list[DeviceSpec]:
    """Devices that answer them, with every echo style and several ways of cutting what they send into pieces."""
    return [
        hostile.device(
            mix,
            DeviceSpec(
                f"r{number}",
                "cisco_ios",
                faults=Faults(seed=seed + number, echo=ECHOES[number % 3], fragment=FRAGMENTS[(number // 3) % 6]),
            ),
        )
        for number, mix in enumerate(mixes(seed, commands, sessions))
    ]


def _serve(seed: int, commands: int, sessions: int, pipe: Connection) -> None:
    with start_network(specs(seed, commands, sessions)) as network:
        pipe.send(network.ports)
        pipe.recv()


@contextmanager
def served(seed: int, commands: int, sessions: int) -> Iterator[dict[str, int]]:
    """The devices in a process of their own, as real ones have a processor of their own; their ports by name."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(seed, commands, sessions, theirs), daemon=True)
    process.start()
    try:
        ports: dict[str, int] = ours.recv()
        yield ports
    finally:
        ours.send("done")
        process.join(20)
        process.close() if process.exitcode is not None else process.kill()


def run(folder: Path, *, seed: int, commands: int, sessions: int) -> Tally:
    """`commands` over `sessions` devices."""
    tally = Tally()
    devices = specs(seed, commands, sessions)
    with served(seed, commands, sessions) as ports:

        async def main() -> None:
            inventory = write_inventory(ports, devices, folder)
            async with open_app(settings(folder, inventory)) as app, anyio.create_task_group() as tasks:
                for spec, mix in zip(devices, mixes(seed, commands, sessions), strict=True):
                    tasks.start_soon(_device, app, folder, spec, mix, tally)

        anyio.run(main)
    return tally


async def _device(app: App, folder: Path, spec: DeviceSpec, mix: Sequence[HostileCommand], tally: Tally) -> None:
    profiles = Profiles.load(None)
    inventory = InventorySource([folder / "inventory.yaml"], {spec.platform: spec.platform, "cisco_ios": "cisco_ios"})
    device = inventory.current().device(spec.name)
    profile = profiles.get(spec.platform)
    for command in mix:
        tally.kinds[command.kind] += 1
        grant = policy.decide(device, profile, command.line)
        timeout = 30.0 if command.ends else hostile.SHORT_TIMEOUT
        turn = Turn()
        try:
            async with app.pool.lease((device,), profile, turn) as lease:
                reply = await lease.session.run(grant, timeout=timeout, turn=turn, limiter=app.pool.threads)
        except NetsshError as error:
            if command.ends or error.kind != "timeout":
                tally.unanswered.append(f"{spec.name} {command.line} ({command.kind}): {error}")
            else:
                tally.timeouts += 1
            continue
        got, expected = reply.output.removesuffix("\n"), command.expected_output
        if reply.events:
            # A log line that came into the middle of a line has torn it in two, and nothing says where lines ended.
            got, expected = got.replace("\n", ""), expected.replace("\n", "")
        if got == expected and reply.framing == "proven":
            tally.right += 1
        else:
            tally.wrong.append(
                f"{spec.name} {command.line} ({command.kind}, {spec.faults}): got {reply.output!r}, "
                f"expected {command.expected_output!r}"
            )
