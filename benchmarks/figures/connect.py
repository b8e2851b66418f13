"""From nothing to the first output: TCP, key exchange, login, preparation, one `show`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours
from benchmarks.devices import Target, served, target
from benchmarks.lab import frr, real_lab
from benchmarks.measure import Bench, medians, timed
from benchmarks.references import Raw, netmiko
from benchmarks.report import Figure, compared, not_run
from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import write_inventory

_ROUNDS = 15


_MANY = {"login_rate": 6000}  # logins a minute: a measurement makes more than the usual 60


def run(bench: Bench) -> Iterator[Figure]:
    """On the simulated device, and on a real FRR."""
    folder = bench.subfolder("connect")
    spec = DeviceSpec("r1", "cisco_ios")
    with served([spec]) as ports:
        inventory = write_inventory(ports, [spec], folder, r1=_MANY)
        yield from _figures(bench, folder, inventory, target(spec, ports), command="show clock", where="simulated")
    with real_lab() as lab:
        name = "connect + first show, FRR"
        if isinstance(lab, str):
            yield not_run(name, "ms", "Netmiko", lab)
            return
        folder = bench.subfolder("connect-frr")
        inventory = lab.write_inventory(folder / "inventory.yaml", **_MANY)
        yield from _figures(bench, folder, inventory, frr(lab), command="show version", where="FRR")


def _figures(bench: Bench, folder: Path, inventory: Path, to: Target, *, command: str, where: str) -> Iterator[Figure]:
    def by_netmiko() -> None:
        with netmiko(to) as connection:
            connection.send_command(command)

    def by_paramiko() -> None:
        with Raw(to) as raw:
            raw.run(command)

    with ExitStack() as stack:
        house = stack.enter_context(ours.house(folder, inventory))
        contenders = {
            "session": house.contender("r1", command, fresh=True),
            "netmiko": timed(by_netmiko),
            "raw": timed(by_paramiko),
        }
        ms = {name: 1000 * seconds for name, seconds in medians(contenders, bench.rounds(_ROUNDS), warm=1).items()}
    name = f"connect + first show, {where}"
    yield compared(name, ms["session"], "ms", "Netmiko", ms["netmiko"], most=0.5)
    yield compared(name, ms["session"], "ms", "raw Paramiko, prompt only", ms["raw"])
