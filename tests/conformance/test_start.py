"""What the start does not pay for: the SSH and parsing libraries are not loaded when a client lists the tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from netssh_mcp import runner

ROOT = Path(__file__).parents[2]
LATE = ("netmiko", "paramiko", "ntc_templates", "textfsm", "yaml", "jmespath")
# What only the toolset `operate` and single words of the command line need.
OPERATE = (
    *(f"netssh_mcp.tools.{name}" for name in ("operate", "run", "shells", "files", "forwards", "hosts")),
    *(f"netssh_mcp.services.{name}" for name in ("operate", "runs", "orders", "shells", "shell_text", "named")),
    *(f"netssh_mcp.services.{name}" for name in ("recordings", "files", "file_ask", "file_facts", "file_progress")),
    *(f"netssh_mcp.services.{name}" for name in ("file_text", "local_files", "device_files", "device_listing")),
    *(f"netssh_mcp.services.{name}" for name in ("device_paths", "forwards", "hosts", "given")),
    *(f"netssh_mcp.sessions.{name}" for name in ("device_transfers", "executions", "forwards", "terminals")),
    *(f"netssh_mcp.sessions.{name}" for name in ("transfers", "trials")),
    *("netssh_mcp.wire.forward_plan", "netssh_mcp.guard.protected_paths", "pyte"),
)
NEVER_AT_START = (
    *("netssh_mcp.services.harvest", "netssh_mcp.services.policy_report", "netssh_mcp.guard.policy_file"),
    *("netssh_mcp.knowledge.inventory_file", "netssh_mcp.knowledge.foreign.reading", "netssh_mcp.knowledge.ssh_config"),
)

SCRIPT = """
import json, sys
from netssh_mcp import cli
args = cli.parser().parse_args(["serve", *sys.argv[1:]])
settings = cli.settings(args, inventory_required=False)
import anyio
from mcp import Client
from netssh_mcp.server import build_server
from netssh_mcp.services.app import open_app

async def main():
    async with Client(build_server(settings, open_app)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        print(json.dumps([names, sorted(sys.modules)]))

anyio.run(main)
"""


def _started(folder: Path, *arguments: str) -> tuple[list[str], set[str]]:
    """The names of the tools, and every module that is loaded when they have been listed."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    names, modules = json.loads(done.stdout)
    return names, set(modules)


def test_neither_a_library_nor_what_operates_is_loaded_when_the_reading_tools_are_listed(tmp_path: Path) -> None:
    names, modules = _started(tmp_path)
    assert names == ["list_devices", "show", "read_output", "job"]
    assert modules & {*LATE, *OPERATE, *NEVER_AT_START} == set()


def test_no_ssh_or_parsing_library_is_loaded_when_all_tools_are_listed(tmp_path: Path) -> None:
    names, modules = _started(tmp_path, "--toolsets", "observe,operate")
    assert "run" in names
    assert modules & {*LATE, *NEVER_AT_START, "pyte"} == set()
    needed = {name for name in OPERATE if name not in ("pyte", "netssh_mcp.sessions.executions")}
    assert needed <= modules  # else a name that has gone would pass above as one that is late


def test_what_is_warmed_after_the_start_can_be_imported_and_covers_what_comes_late() -> None:
    roots = {name.split(".")[0] for name in runner.WARM}
    assert roots == set(LATE)
    script = (
        f"from netssh_mcp import runner; runner.warm(); import sys; assert not set({runner.WARM}) - set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


TWO = """
import sys, threading
from importlib.machinery import PathFinder
from types import SimpleNamespace
from netssh_mcp import runner
from netssh_mcp.services.app import _Open

failed = []
settings = SimpleNamespace(known_hosts=("known_hosts",), host_keys="strict")

def first():
    try:
        _Open(settings, SimpleNamespace(may_connect=None), None)._made()
    except BaseException as error:
        failed.append(error)

other = threading.Thread(target=first)

class Meanwhile:
    def find_spec(self, name, path=None, target=None):
        if name != "netmiko":
            return None
        spec = PathFinder.find_spec(name, path, target)

        def create_module(spec):
            other.start()
            other.join(1.0)  # it waits for us; without that it holds a part of netmiko by now

        spec.loader.create_module = create_module
        return spec

sys.meta_path.insert(0, Meanwhile())
runner.warm()
other.join()
assert "netmiko" in sys.modules
assert not failed, failed
"""


def test_a_connection_that_comes_while_the_libraries_are_being_loaded_waits_for_them() -> None:
    """Netmiko's parts import each other: from two ends at once, Python ends one of the imports as a deadlock."""
    subprocess.run([sys.executable, "-c", TWO], cwd=ROOT, check=True, timeout=60)


def test_importing_the_command_line_loads_neither_mcp_nor_pydantic() -> None:
    script = "import sys, netssh_mcp.cli; assert not {'mcp', 'pydantic', 'anyio', 'asyncio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_the_ssh_libraries_are_silent_on_stderr_unless_asked_for() -> None:
    """Paramiko prints tracebacks of errors that are ours to report, Netmiko what it writes to the device."""
    script = (
        "import logging, sys; from netssh_mcp import runner; runner.log_to_stderr(*sys.argv[1:])\n"
        "[logging.getLogger(name).error('%s', name) for name in ('paramiko.transport', 'netmiko', 'netssh_mcp')]"
    )

    def said(*levels: str) -> str:
        done = subprocess.run([sys.executable, "-c", script, *levels], cwd=ROOT, capture_output=True, check=True)
        return done.stderr.decode()

    assert said("debug").split()[2:] == ["ERROR", "netssh_mcp:", "netssh_mcp"]
    assert "paramiko.transport" in said("warning", "info")
