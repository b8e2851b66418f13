"""Simulated devices in a process of their own, as real ones have a processor of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import start_network


@dataclass(frozen=True, slots=True)
class Target:
    """Where a reference logs in, and what its session looks like."""

    host: str
    port: int
    username: str
    password: str
    prompt: bytes
    device_type: str = "cisco_ios"  # Netmiko's name


def _serve(specs: Sequence[DeviceSpec], pipe: Connection) -> None:
    with start_network(specs) as network:
        pipe.send(network.ports)
        pipe.recv()


@contextmanager
def served(specs: Sequence[DeviceSpec]) -> Iterator[dict[str, int]]:
    """The devices' ports by name, while it lasts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(tuple(specs), theirs), daemon=True)
    process.start()
    try:
        ports: dict[str, int] = ours.recv()
        yield ports
    finally:
        ours.send("done")
        process.join(20)
        process.close() if process.exitcode is not None else process.kill()


def target(spec: DeviceSpec, ports: dict[str, int]) -> Target:
    """How a reference reaches a simulated cisco_ios without an enable secret."""
    return Target("127.0.0.1", ports[spec.name], spec.username, spec.password, f"{spec.name}#".encode())
