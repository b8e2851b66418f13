"""`python -m netssh_mcp.lab`: a simulated network to try things on, until EOF on stdin, SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

from netssh_mcp.lab.demo_network import HOSTS, PASSWORD_VARIABLE, inventory, specs
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.model import LabError


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m netssh_mcp.lab", description=__doc__)
    parser.add_argument("--devices", type=int, default=len(HOSTS), help="how many; beyond 8 the network repeats")
    parser.add_argument("--base-port", type=int, default=0, help="first TCP port on 127.0.0.1; 0 = any free ones")
    parser.add_argument("--print-inventory", action="store_true", help="write the inventory file to stdout")
    return parser.parse_args(argv)


def _devices(count: int, password: str) -> tuple[DeviceSpec, ...]:
    """The demo network, then the same devices again as core1-2, core2-2, ..."""
    known = specs(password)
    rounds = (
        (spec, number // len(known) + 1) for number, spec in ((n, known[n % len(known)]) for n in range(max(count, 1)))
    )
    return tuple(spec if turn == 1 else replace(spec, name=f"{spec.name}-{turn}") for spec, turn in rounds)


def _inventory_text(ports: dict[str, int]) -> str:
    import yaml  # noqa: PLC0415 - only this option needs it

    first = {name.partition("-")[0]: port for name, port in ports.items()}
    described = inventory({**{host.name: 0 for host in HOSTS}, **first})
    hosts = described["hosts"]
    if isinstance(hosts, dict):
        described["hosts"] = {name: {**hosts[name.partition("-")[0]], "port": port} for name, port in ports.items()}
    return yaml.safe_dump(described, sort_keys=False)


async def _main(options: argparse.Namespace) -> None:
    from netssh_mcp.lab.server import Network  # noqa: PLC0415 - asyncssh is an extra; main() says so when it is missing

    # A password of its own each time: the devices are on loopback, which every user of the machine can reach.
    password = os.environ.get(PASSWORD_VARIABLE) or secrets.token_urlsafe(9)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Network(_devices(options.devices, password), base_port=options.base_port) as network:
        if options.print_inventory:
            sys.stdout.write(_inventory_text(network.ports))
        else:
            sys.stdout.write("".join(f"{name} 127.0.0.1:{port}\n" for name, port in network.ports.items()))
        sys.stdout.flush()
        sys.stderr.write(f"export {PASSWORD_VARIABLE}={password}\n# {len(network.ports)} devices; EOF or Ctrl-C ends\n")
        sys.stderr.flush()
        # A daemon thread: reading stdin cannot be cancelled, and a signal must not wait for it.
        threading.Thread(target=_wait_for_eof, args=(loop, stop), daemon=True).start()
        await stop.wait()


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: a signal was first
        loop.call_soon_threadsafe(stop.set)


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    try:
        asyncio.run(_main(options))
    except ModuleNotFoundError as exc:
        sys.stderr.write(f"the lab needs {exc.name}: pip install 'netssh-mcp[lab]'\n")
        return 2
    except (LabError, OSError) as exc:
        sys.stderr.write(f"the lab does not start: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
