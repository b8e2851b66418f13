"""A warm, short `show` on a simulated router: the session, the server over stdio, and the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import ours, peer
from benchmarks.devices import served, target
from benchmarks.measure import Bench, medians, timed
from benchmarks.references import Raw, netmiko
from benchmarks.report import Figure, compared, not_run
from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import write_inventory

COMMAND = "show clock"
_BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
async def echo(text: str) -> str:
    "The same text."
    return text
server.run("stdio")
"""
_ROUNDS = 200
_NETMIKO_ROUNDS = 20
_PEER_ROUNDS = 5


def run(bench: Bench) -> Iterator[Figure]:
    """Session against Paramiko and Netmiko; stdio against the session; stdio against netmiko-mcp."""
    folder = bench.subfolder("show")
    spec = DeviceSpec("r1", "cisco_ios")
    with ExitStack() as stack:
        ports = stack.enter_context(served([spec]))
        inventory = write_inventory(ports, [spec], folder)
        house = stack.enter_context(ours.house(folder, inventory))
        (at_stdio := folder / "stdio").mkdir()
        argv, environment = ours.command_line(inventory, at_stdio), ours.environment(at_stdio)
        client = stack.enter_context(ours.server(house.portal, argv, environment))
        to = target(spec, ports)
        raw = stack.enter_context(Raw(to))
        bare = stack.enter_context(ours.server(house.portal, [sys.executable, "-c", _BARE], environment))
        ask = {"targets": "r1", "commands": [COMMAND], "parse": "raw"}
        fast = {
            "raw": timed(lambda: raw.run(COMMAND)),
            "session": house.contender("r1", COMMAND),
            "stdio": client.contender("show", ask, ours.answered),
            "bare": bare.contender("echo", {"text": COMMAND}),
        }
        seen = medians(fast, bench.rounds(_ROUNDS), warm=10)
        ms = {name: seconds * 1000 for name, seconds in seen.items()}
        yield compared("warm show, session", ms["session"], "ms", "raw Paramiko, prompt only", ms["raw"], most=3)
        yield compared("warm show, MCP stdio", ms["stdio"], "ms", "session", ms["session"], more=2)
        # What the SDK, its client and two pipes take without any of our work: the floor of the figure above.
        yield compared("warm show, MCP stdio", ms["stdio"], "ms", "bare MCPServer, echo tool", ms["bare"])

        slow = stack.enter_context(netmiko(to))
        seen = medians(
            {"netmiko": timed(lambda: slow.send_command(COMMAND)), **fast}, bench.rounds(_NETMIKO_ROUNDS), warm=1
        )
        ms = {name: seconds * 1000 for name, seconds in seen.items()}
        yield compared("warm show, session", ms["session"], "ms", "Netmiko send_command", ms["netmiko"], most=0.05)
        yield compared("warm show, MCP stdio", ms["stdio"], "ms", "Netmiko send_command", ms["netmiko"])

        reference = "netmiko-mcp over stdio"
        if isinstance(found := peer.installed(), str):
            yield not_run("show, MCP stdio", "ms", reference, found)
            return
        other = stack.enter_context(peer.served(house.portal, found, to, folder, COMMAND))
        once = other.contender(peer.TOOL, {"device_name": "r1", "command": COMMAND}, peer.answered)
        seen = medians({"peer": once, "stdio": fast["stdio"]}, bench.rounds(_PEER_ROUNDS), warm=1)
        yield compared("show, MCP stdio", seen["stdio"] * 1000, "ms", reference, seen["peer"] * 1000)
