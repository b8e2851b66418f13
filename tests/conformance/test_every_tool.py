"""Every tool that is registered has run: each with each of its actions, on a real server, a real connection behind it.

A peer shipped tools that had never run: they raised NameError at their first call. So what is called here is compared
with `tools/list`: a new tool, or a new action of one, fails here until somebody has called it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Hang, Script
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.house import write_inventory
from tests.devices.mcp_house import Answer, House, served

pytestmark = pytest.mark.anyio

LONG = "".join(f"line {number} of a long output\n" for number in range(2000))
HUNG = Script((Hang(),))
SPECS = [DeviceSpec("r1", "cisco_ios", outputs={"show long": Script.of(LONG), "show hung": HUNG}, sftp=True)]
# Of a network device, or without the operator's leave: a refusal that names the reason is an answer, a crash is not.
REFUSED = {
    *(("forward", "open"), ("forward", "close"), ("job", "signal")),
    *(("get_file", action) for action in ("read", "download", "list", "stat")),
    *(("put_file", action) for action in ("write", "upload", "mkdir", "delete")),
}


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


class Ledger:
    """Calls tools, and remembers with which action each was called."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.called: set[tuple[str, str]] = set()

    async def __call__(self, tool: str, **arguments: Any) -> Answer:
        action = str(arguments.get("action", ""))
        self.called.add((tool, action))
        answer = await self.house.call(tool, **arguments)
        assert (tool, action) in REFUSED or not answer.failed, (tool, action, answer.text)
        if answer.failed:
            assert answer.error["kind"] not in ("internal", "error"), (tool, action, answer.text)
            assert answer.error["message"]
        return answer


async def registered(house: House) -> set[tuple[str, str]]:
    """Every tool with every action that its schema offers; "" where it has none."""
    found = set()
    for tool in (await house.client.list_tools()).tools:
        actions = tool.input_schema["properties"].get("action", {}).get("enum", [""])
        found |= {(tool.name, action) for action in actions}
    return found


async def test_every_registered_tool_and_each_of_its_actions_is_called_and_none_crashes(
    network: RunningNetwork, tmp_path: Path
) -> None:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n")
    policy.chmod(0o600)
    files = tmp_path / "files"
    files.mkdir(mode=0o700)
    (files / "up").write_text("x")
    flags = ("--toolsets", "all", "--policy", str(policy), "--edit-hosts", "--allow-dir", str(files))
    async with served(inventory, tmp_path, *flags) as house:
        call = Ledger(house)
        await call("list_devices")
        await _commands(call)
        await _sessions(call)
        await _files(call, files)
        await call("forward", action="open", device="r1", host="192.0.2.1", port=80)
        await call("forward", action="list")
        await call("forward", action="close", forward_id="f1")
        port = network.ports["r1"]
        values = {"hostname": "127.0.0.1", "port": port, "platform": "cisco_ios", "username": "admin"}
        await call("host", action="add", name="r9", values=values)
        await call("host", action="edit", name="r9", values={"timeout": 5})
        await call("host", action="remove", name="r9")
        await call("host", action="test", name="r1")
        assert call.called == await registered(house)


async def _commands(call: Ledger) -> None:
    cut = (await call("show", targets="r1", commands=["show long"])).row
    await call("read_output", output_id=cut["output_id"], grep="line 1999")
    await call("run", targets="r1", commands=["show clock"])
    for last in ("interrupt", "cancel", "cancel_all"):
        job = (await call("run", targets="r1", commands=["show hung"], wait=0)).fields["job_id"]
        while (await call("job", action="get", job_id=job)).fields["state"] != "running":
            pass
        await call("job", action="list")
        await call("job", action="signal", job_id=job, text="TERM")
        if last == "interrupt":
            while (await call("job", action="interrupt", job_id=job)).fields["state"] != "done":
                pass
        elif last == "cancel":
            await call("job", action="cancel", job_id=job)
        else:
            await call("job", action="cancel_all")
        await call("job", action="wait", job_id=job)
    asks = (await call("run", targets="r1", commands=["copy running-config startup-config"])).fields["job_id"]
    await call("job", action="input", job_id=asks, text="<enter>")
    await call("job", action="history")


async def _sessions(call: Ledger) -> None:
    await call("session", action="open", device="r1", name="mine")
    for action in ("record", "stop", "transcript", "close"):
        await call("session", action=action, device="r1", name="mine")
    await call("session", action="list")
    shell = (await call("shell", action="open", device="r1")).fields["shell_id"]
    await call("shell", action="send", shell_id=shell, text="show clock")
    await call("shell", action="key", shell_id=shell, keys=["enter"])
    for action in ("read", "screen", "close"):
        if action == "close":
            await call("shell", action="wait", shell_id=shell, quiet=0.05, wait=1)
        await call("shell", action=action, shell_id=shell)
    await call("session", action="close_all")


async def _files(call: Ledger, folder: Path) -> None:
    for action in ("list", "stat", "read"):
        await call("get_file", action=action, device="r1", path="flash:")
    await call("get_file", action="download", device="r1", path="flash:x", local_path=str(folder / "down"))
    await call("put_file", action="upload", device="r1", path="flash:up", local_path=str(folder / "up"))
    for action in ("write", "mkdir", "delete"):
        await call("put_file", action=action, device="r1", path="flash:x")
