"""An independent simulator as a cross-check: its authors made other choices than ours (`make soak`, Python >= 3.13).

It knows no comments, so every result must say `framing: prompt`, and still be right.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import yaml

from netssh_mcp.services.app import open_app
from tests.devices.house import settings

pytestmark = pytest.mark.soak

COMMANDS = {
    "cisco_ios": "show ip interface brief",
    "cisco_nxos": "show version",
    "arista_eos": "show ip interface brief",
    "juniper_junos": "show interfaces",
}
SERVER = """
import json, sys
from simnos import SimNOS
names = sys.argv[1:]
host = lambda i, name: {"username": "admin", "password": "admin", "port": 7300 + i, "platform": name}
network = SimNOS(inventory={"hosts": {f"d{i}": host(i, name) for i, name in enumerate(names)}})
network.start()
print(json.dumps({name: 7300 + i for i, name in enumerate(names)}), flush=True)
sys.stdin.read()
network.stop()
"""


def _interpreter() -> str:
    names = ("python3.14", "python3.13")
    found = (
        [sys.executable] if sys.version_info >= (3, 13) else [path for name in names if (path := shutil.which(name))]
    )
    return os.environ.get("NETSSH_SIMNOS_PYTHON", found[0] if found else "")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    interpreter = _interpreter()
    if not interpreter:
        pytest.skip("simnos needs Python 3.13 or newer: none found, and NETSSH_SIMNOS_PYTHON is not set")
    folder = tmp_path_factory.mktemp("simnos")
    if interpreter == sys.executable:
        venv.create(folder / "venv", with_pip=True)
    else:
        subprocess.run([interpreter, "-m", "venv", str(folder / "venv")], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "simnos>=2.4"], check=True)
    process = subprocess.Popen(
        [python, "-c", SERVER, *COMMANDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(30)


def test_another_simulators_devices_are_read_and_parsed(ports: dict[str, int], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("admin")
    secret.chmod(0o600)
    hosts = {
        name: {
            "hostname": "127.0.0.1",
            "port": port,
            "platform": name,
            "username": "admin",
            "password": f"file:{secret}",
        }
        for name, port in ports.items()
    }
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(yaml.safe_dump({"hosts": hosts}))

    async def main() -> None:
        async with open_app(settings(tmp_path, inventory)) as app:
            for name, command in COMMANDS.items():
                (row,) = (await app.commands.show(name, [command]))["rows"]
                assert row["ok"], row
                assert row["framing"] == "prompt"
                assert row["parsed_by"].startswith("textfsm:"), row
                assert row["table"]["rows"]

    anyio.run(main)
