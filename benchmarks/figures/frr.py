"""`show ip route`, 11 kB, on a real FRR."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import ours
from benchmarks.lab import frr, real_lab
from benchmarks.measure import Bench, medians, timed
from benchmarks.references import Raw, netmiko
from benchmarks.report import Figure, compared, not_run

COMMAND = "show ip route"
_ROUNDS = 150
_NETMIKO_ROUNDS = 20


def run(bench: Bench) -> Iterator[Figure]:
    """Session and stdio, with Paramiko and Netmiko beside them."""
    with real_lab() as lab:
        if isinstance(lab, str):
            yield not_run("FRR show ip route, session", "ms", "raw Paramiko, prompt only", lab)
            yield not_run("FRR show ip route, MCP stdio", "ms", "raw Paramiko, prompt only", lab)
            return
        folder = bench.subfolder("frr")
        inventory = lab.write_inventory(folder / "inventory.yaml")
        to = frr(lab)
        with ExitStack() as stack:
            house = stack.enter_context(ours.house(folder, inventory))
            (at_stdio := folder / "stdio").mkdir()
            argv, environment = ours.command_line(inventory, at_stdio), ours.environment(at_stdio)
            client = stack.enter_context(ours.server(house.portal, argv, environment))
            raw = stack.enter_context(Raw(to))
            raw.run("terminal length 0")
            ask = {"targets": "r1", "commands": [COMMAND]}
            fast = {
                "raw": timed(lambda: raw.run(COMMAND)),
                "session": house.contender("r1", COMMAND),
                "stdio": client.contender("show", {**ask, "parse": "raw"}, ours.answered),
                "stdio, parsed": client.contender("show", ask, ours.answered),
            }
            ms = {name: 1000 * value for name, value in medians(fast, bench.rounds(_ROUNDS), warm=10).items()}
            reference = "raw Paramiko, prompt only"
            yield compared("FRR show ip route, session", ms["session"], "ms", reference, ms["raw"], absolute=4)
            yield compared("FRR show ip route, MCP stdio", ms["stdio"], "ms", reference, ms["raw"], absolute=8)
            # The router's JSON of the same table is several times as long as its text.
            name = "FRR show ip route, MCP stdio, as rows"
            yield compared(name, ms["stdio, parsed"], "ms", reference, ms["raw"])

            slow = stack.enter_context(netmiko(to))
            both = {"netmiko": timed(lambda: slow.send_command(COMMAND)), **fast}
            ms = {name: 1000 * value for name, value in medians(both, bench.rounds(_NETMIKO_ROUNDS), warm=1).items()}
            reference = "Netmiko send_command"
            yield compared("FRR show ip route, session", ms["session"], "ms", reference, ms["netmiko"])
            yield compared("FRR show ip route, MCP stdio", ms["stdio"], "ms", reference, ms["netmiko"])
