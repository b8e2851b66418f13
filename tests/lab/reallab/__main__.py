"""`python -m tests.lab.reallab up|down|status|inventory FILE|capture FOLDER`: the lab by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.reallab import LabError, RealLab
from tests.lab.reallab.capture import capture
from tests.lab.reallab.topology import NODES


def status(lab: RealLab) -> str:
    """How to reach the lab; passwords are shown as the files that hold them."""
    if not lab.is_up():
        return "down"
    lines = [f"{node.name:8} {node.platform:6} 127.0.0.1:{lab.port(node.name)}" for node in NODES]
    lines += [f"{node.name:8} {node.platform:6} {node.listen[0]}:{node.listen[1]}" for node in NODES if node.listen]
    lines += [f"user     {user.name}, password in {user.password_file}" for user in lab.users.values()]
    return "\n".join([*lines, f"key      {lab.client_key}", f"hosts    {lab.known_hosts}"])


def main(words: list[str]) -> int:
    lab = RealLab()
    match words:
        case ["up"]:
            lab.up()
            lab.keep()
        case ["down"]:
            lab.down()
        case ["inventory", path]:
            lab.write_inventory(Path(path))
        case ["capture", folder]:
            print(*capture(lab, Path(folder)), sep="\n")
        case ["status"]:
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print(status(lab))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as reason:
        sys.exit(f"the lab cannot run: {reason}")
