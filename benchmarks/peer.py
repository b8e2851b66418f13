"""netmiko-mcp, the MCP server of Netmiko's author, in an environment of its own: it needs the SDK before version 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal

from benchmarks import ours
from benchmarks.devices import Target

VERSION = "0.2.0"
TOOL = "send_show_command"


def _home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "netssh-mcp" / "benchmarks" / f"netmiko-mcp-{VERSION}-py{sys.version_info[0]}{sys.version_info[1]}"


def installed() -> Path | str:
    """Its program, installed first where it is missing; or why there is none."""
    home = _home()
    program = home / "bin" / "netmiko-mcp"
    if program.exists():
        return program
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", f"netmiko-mcp=={VERSION}", "mcp<2"],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=180)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"its environment could not be made ({type(error).__name__})"
        if done.returncode:
            return f"its environment could not be made (exit {done.returncode} of {step[1]} {step[2]})"
    return program


@contextmanager
def served(portal: BlockingPortal, program: Path, target: Target, folder: Path, command: str) -> Iterator[ours.Served]:
    """The server, with `target` as its device r1 and `command` allowed."""
    home = folder / "netmiko-mcp"
    home.mkdir(mode=0o700)
    device = {
        "device_type": target.device_type,
        "host": target.host,
        "port": target.port,
        "username": target.username,
        "password": target.password,
    }
    files: dict[str, dict[str, Any]] = {
        ".netmiko.yml": {"r1": device},
        "commands.yml": {"allowed_commands": [command], "denied_commands": []},
        ".netmiko-mcp.yml": {"inventory_file": str(home / ".netmiko.yml"), "command_file": str(home / "commands.yml")},
    }
    for name, content in files.items():
        (home / name).write_text(json.dumps(content))  # JSON is YAML
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "NETMIKO_MCP_CONFIG": str(home / ".netmiko-mcp.yml")}
    with ours.server(portal, [str(program)], environment, cwd=home) as client:
        yield client


def answered(result: Any) -> bool:  # noqa: ANN401  (the SDK's result)
    """It returns errors as text."""
    text = "".join(getattr(part, "text", "") for part in result.content)
    return not result.is_error and "rror" not in text and "UTC" in text
