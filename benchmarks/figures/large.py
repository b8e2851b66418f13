"""A 10 MB output: how fast, and in how much memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import child, ours
from benchmarks.devices import served, target
from benchmarks.figures.idle import measured
from benchmarks.measure import Bench, medians, timed
from benchmarks.references import Raw
from benchmarks.report import Figure, compared
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Script
from tests.devices.house import write_inventory

_LINE = "GigabitEthernet0/{n:<7} 192.0.2.{n:<12} YES NVRAM  up                    up       description {n}\n"
_SIZE = 10_000_000
_ROUNDS = 7


def run(bench: Bench) -> Iterator[Figure]:
    """The same device for both, so what it needs to send is in both."""
    folder = bench.subfolder("large")
    lines: list[str] = []
    size = 0
    while size < _SIZE:
        lines.append(_LINE.format(n=len(lines)))
        size += len(lines[-1]) + 1  # the device sends CR LF
    text = "".join(lines)
    spec = DeviceSpec("r1", "cisco_ios", outputs={child.LONG: Script.of(text)})
    with ExitStack() as stack:
        ports = stack.enter_context(served([spec]))
        inventory = write_inventory(ports, [spec], folder)
        to = target(spec, ports)
        house = stack.enter_context(ours.house(folder, inventory))
        raw = stack.enter_context(Raw(to))
        raw.run("terminal length 0")
        reply, _ = house.run("r1", child.LONG)
        assert reply.output == text, "the long output did not come back whole"
        contenders = {
            "session": house.contender("r1", child.LONG),
            "raw": timed(lambda: raw.run(child.LONG)),
        }
        speed = {name: size / 1e6 / seconds for name, seconds in medians(contenders, bench.rounds(_ROUNDS)).items()}
        name = "10 MB output, throughput"
        yield compared(name, speed["session"], "MB/s", "raw Paramiko, prompt only", speed["raw"], least=0.7)
        child.write_targets(folder, {"r1": to})
        seen: dict[str, list[float]] = {"ours-long": [], "raw-long": []}
        for _ in range(bench.rounds(3)):
            for what, values in seen.items():
                values.append(measured(what, folder) / 1e6)
        session, raw_peak = (statistics.median(values) for values in seen.values())
        name = "10 MB output, peak memory growth"
        yield compared(name, session, "MB", "its size", size / 1e6, most=3)
        yield compared(name, session, "MB", "raw Paramiko, prompt only", raw_peak)
