"""`python -m benchmarks [--quick] [--only NAME]...` writes benchmarks/results.json and prints a table.

All traffic stays on loopback. A part of the run (`--only`, `--quick`) leaves results.json alone.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Bench
from benchmarks.report import Figure, table, write

# `inner` has microseconds: it comes before the others have filled the process, as theirs would take half as long again.
GROUPS = ("inner", "show", "connect", "frr", "hosts", "large", "idle", "start", "hostile")
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=GROUPS, help="one group of figures; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds")
    parser.add_argument("--output", type=Path, help=f"default: {RESULTS.name} beside this program when all groups run")
    options = parser.parse_args()
    for library in ("paramiko", "netmiko", "asyncssh"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="netssh-bench-") as folder:
        bench = Bench(Path(folder), 0.2 if options.quick else 1.0)
        for group in options.only or GROUPS:
            began = time.monotonic()
            print(f"{group} ...", end="", flush=True, file=sys.stderr)
            figures += importlib.import_module(f"benchmarks.figures.{group}").run(bench)
            print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    output = options.output or (None if options.only or options.quick else RESULTS)
    if output is not None:
        write(figures, output)
    print(table(figures))
    return 1 if any(figure.holds is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
