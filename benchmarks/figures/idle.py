"""What an open session that does nothing costs in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import child, ours
from benchmarks.devices import served, target
from benchmarks.measure import Bench
from benchmarks.report import Figure, compared
from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import write_inventory

_SESSIONS = 200
_ROUNDS = 3


def run(bench: Bench) -> Iterator[Figure]:
    """Resident bytes per session, ours and Paramiko's, in processes of their own."""
    folder = bench.subfolder("idle")
    count = child.WARM_SESSIONS + bench.rounds(_SESSIONS)
    specs = [DeviceSpec(f"r{number}", "cisco_ios") for number in range(count)]
    with served(specs) as ports:
        write_inventory(ports, specs, folder)
        child.write_targets(folder, {spec.name: target(spec, ports) for spec in specs})
        seen: dict[str, list[float]] = {"ours-idle": [], "raw-idle": []}
        for _ in range(bench.rounds(_ROUNDS)):
            for what, values in seen.items():
                values.append(measured(what, folder))
    session, raw = (statistics.median(values) / 1000 for values in seen.values())
    yield compared("idle session, memory", session, "kB", "raw Paramiko session", raw, absolute=120)


def measured(what: str, folder: Path) -> float:
    """The number a child prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", what, str(folder)],
        cwd=ours.ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(done.stdout)
