"""From spawning the process to the list of tools, over the same pipes for all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import ours
from benchmarks.measure import Bench, Contender, medians
from benchmarks.report import Figure, compared
from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import write_inventory

_ROUNDS = 15
_BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
def echo(text: str) -> str:
    "The same text."
    return text
server.run("stdio")
"""
_HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "benchmarks", "version": "1"},
}


def run(bench: Bench) -> Iterator[Figure]:
    """Ours against an MCPServer with one tool."""
    folder = bench.subfolder("start")
    spec = DeviceSpec("r1", "cisco_ios")
    inventory = write_inventory({"r1": 22}, [spec], folder)
    environment = ours.environment(folder)
    contenders = {
        "bare": _start([sys.executable, "-c", _BARE], environment),
        "ours": _start(ours.command_line(inventory, folder), environment),
    }
    ms = {name: 1000 * seconds for name, seconds in medians(contenders, bench.rounds(_ROUNDS), warm=1).items()}
    yield compared("start to tools/list", ms["ours"], "ms", "bare MCPServer, one tool", ms["bare"], more=60)


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> Contender:
    def once() -> float:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            cwd=ours.ROOT,
        )
        try:
            _ask(process, 1, "initialize", _HELLO)
            _send(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
            tools = _ask(process, 2, "tools/list", {})["tools"]
            seconds = time.perf_counter() - began
            assert tools
        finally:
            process.kill()
            process.communicate()
        return seconds

    return once


def _ask(process: subprocess.Popen[bytes], number: int, method: str, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401
    _send(process, {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters})
    assert process.stdout is not None
    while line := process.stdout.readline():
        answer = json.loads(line)
        if answer.get("id") == number:
            return answer["result"]
    raise EOFError(f"the server ended before it answered {method}")


def _send(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
