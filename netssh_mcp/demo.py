"""`netssh-mcp demo`: a real MCP client drives the server over stdio against a simulated network.

The server is a process of its own, started as an MCP client starts it; nothing of it is imported here. All files are in
a folder that is removed at the end, and the home folder of the server is that folder too.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from netssh_mcp import demo_story
from netssh_mcp.lab.demo_network import HOSTS, PASSWORD_VARIABLE, inventory
from netssh_mcp.lab.server import RunningNetwork, start_network

_OURS = [sys.executable, "-m", "netssh_mcp"]


def main() -> int:
    """Tell the story; exit status 0 when every step of it came out as told."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    began = time.monotonic()
    password = secrets.token_urlsafe(12)  # other users of this machine can reach 127.0.0.1 too
    with tempfile.TemporaryDirectory(prefix="netssh-demo-") as name:
        folder = Path(name)
        with start_network(demo_story.devices(password)) as network:
            try:
                story = anyio.run(_told, network, folder, password)
            except asyncio.CancelledError as interrupted:  # how Python 3.10's event loop passes a Ctrl-C on
                raise KeyboardInterrupt from interrupted
        story.last(lambda: _audit_report(folder))
    told, steps = story.came_out, len(story.steps)
    took = time.monotonic() - began
    print(f"\n{told} of {steps} steps came out as told, in {took:.1f} s. Nothing is left running or on disk.")
    if told < steps:
        print("A step that did not is a bug, here or in the server: please report it with this output.")
        return 1
    print("Next: `netssh-mcp list` says how to begin with devices of your own; README.md has your MCP client.")
    return 0


def _as_interrupt(_number: int, _frame: object) -> None:
    """Ends as Ctrl-C does, so that the folder and the server go too."""
    signal.raise_signal(signal.SIGINT)


async def _told(network: RunningNetwork, folder: Path, password: str) -> demo_story.Story:
    described = inventory(network.ports)
    path = folder / "inventory.yaml"
    path.write_text(json.dumps(described, indent=1), encoding="utf-8")  # JSON is YAML
    arguments = ["serve", "--inventory", str(path), "--audit", str(folder / "audit.jsonl"), "--host-keys", "tofu"]
    _title(arguments)
    parameters = StdioServerParameters(
        command=_OURS[0], args=[*_OURS[1:], *arguments], env=_environment(folder, {PASSWORD_VARIABLE: password})
    )
    async with Client(parameters, client_info=None, read_timeout_seconds=60) as client:
        story = demo_story.Story(client, network, path, described)
        await story.tell()
    return story


def _title(arguments: list[str]) -> None:
    words = [word if word.startswith("-") or "/" not in word else Path(word).name for word in arguments]
    print(f"netssh-mcp demo: {len(HOSTS)} simulated devices of 7 platforms behind real SSH servers on 127.0.0.1,")
    print("and an MCP client that talks to this server process over stdio:")
    print(f"  netssh-mcp {' '.join(words)}")


def _environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The server's: nothing of the user's configuration, no known_hosts but the demo's."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    files = {"NETSSH_KNOWN_HOSTS": str(folder / "known_hosts"), "NETSSH_SPILL": str(folder / "outputs")}
    return {**kept, **files, "HOME": str(folder), "PYTHONUTF8": "1", **more}


def _audit_report(folder: Path) -> str:
    """What `netssh-mcp audit verify` says, without the path."""
    path = folder / "audit.jsonl"
    done = subprocess.run(
        [*_OURS, "audit", "verify", str(path)],
        env=_environment(folder, {}),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=30,
    )
    return (done.stdout + done.stderr).replace(str(path), path.name).strip()
