"""`python -m benchmarks.child WHAT FOLDER`: memory is measured in processes that did nothing else.

FOLDER holds inventory.yaml and targets.json. Prints bytes: per idle session, or the peak growth over one long output.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.devices import Target

LONG = "show bench long"
WARM_SESSIONS = 10  # opened first: imports, allocator arenas and thread pools are not what a session costs


def targets(folder: Path) -> dict[str, Target]:
    """What `write_targets` wrote."""
    content = json.loads((folder / "targets.json").read_text())
    return {name: Target(**{**fields, "prompt": fields["prompt"].encode()}) for name, fields in content.items()}


def write_targets(folder: Path, those: dict[str, Target]) -> None:
    """For the child; the passwords are the simulated devices'."""
    fields = ("host", "port", "username", "password", "device_type")
    content = {
        name: {**{field: getattr(one, field) for field in fields}, "prompt": one.prompt.decode()}
        for name, one in those.items()
    }
    (folder / "targets.json").write_text(json.dumps(content))


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


def _per_session(open_one: Callable[[str], object], names: list[str]) -> float:
    for name in names[:WARM_SESSIONS]:
        open_one(name)
    gc.collect()
    before = _status("VmRSS")
    for name in names[WARM_SESSIONS:]:
        open_one(name)
    gc.collect()
    return (_status("VmRSS") - before) / (len(names) - WARM_SESSIONS)


def _peak(short: Callable[[], object], long: Callable[[], object]) -> float:
    short()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak starts anew at what is resident now
    before = _status("VmRSS")
    long()
    return _status("VmHWM") - before


def main(what: str, folder: Path) -> float:
    """One number."""
    known = targets(folder)
    names = list(known)
    with ExitStack() as stack:
        if what.startswith("raw"):
            from benchmarks.references import Raw

            def by_paramiko(name: str) -> object:
                raw = stack.enter_context(Raw(known[name]))
                raw.run("show clock")
                return raw

            if what == "raw-idle":
                return _per_session(by_paramiko, names)
            raw = stack.enter_context(Raw(known[names[0]]))
            return _peak(lambda: raw.run("terminal length 0"), lambda: raw.run(LONG))
        from benchmarks import ours

        house = stack.enter_context(ours.house(folder, folder / "inventory.yaml"))
        if what == "ours-idle":
            return _per_session(lambda name: house.run(name, "show clock"), names)
        return _peak(lambda: house.run(names[0], "show clock"), lambda: house.run(names[0], LONG))


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])))
