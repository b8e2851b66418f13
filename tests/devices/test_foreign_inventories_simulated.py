"""A `show` over MCP on a device that only another tool's inventory names, for each form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Script
from netssh_mcp.lab.server import RunningNetwork, start_network
from tests.devices.mcp_house import served

pytestmark = pytest.mark.anyio

LEAF = DeviceSpec("leaf1", "arista_eos", password="c4n4ry-lab", outputs={"show greeting": Script.of("welcome here\n")})
NORNIR = """
leaf1:
  hostname: 127.0.0.1
  platform: eos
  username: {user}
  password: env:LAB
  data: {{site: ber}}
  connection_options: {{netmiko: {{port: {port}}}}}
"""
ANSIBLE = """
[leafs]
leaf[1:1] ansible_host=127.0.0.1 ansible_port={port} site=ber

[leafs:vars]
ansible_connection=ansible.netcommon.network_cli
ansible_network_os=arista.eos.eos
ansible_user={user}
ansible_password={{{{ lookup('env', 'LAB') }}}}
"""
NETMIKO = "leaf1: {{device_type: arista_eos, host: 127.0.0.1, port: {port}, username: {user}, password: {password}}}\n"
LAB = "name: x\nprefix: ''\ntopology: {{nodes: {{leaf1: {{kind: ceos, mgmt-ipv4: 127.0.0.1}}}}}}\n"
NETBOX = json.dumps([{"name": "leaf1", "platform": {"slug": "eos"}, "primary_ip": {"address": "127.0.0.1/32"}}])
FORMS = {
    "nornir": ("hosts.yaml", NORNIR),
    "ansible": ("hosts.ini", ANSIBLE),
    "netmiko+plaintext": ("netmiko.yml", NETMIKO),
    "containerlab": ("x.clab.yml", LAB),
    "netbox": ("devices.json", NETBOX.replace("{", "{{").replace("}", "}}")),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network([LEAF]) as running:
        yield running


@pytest.mark.parametrize("form", FORMS)
async def test_a_device_of_another_tools_inventory_is_asked_over_mcp(
    network: RunningNetwork, tmp_path: Path, form: str
) -> None:
    name, text = FORMS[form]
    port = network.ports["leaf1"]
    theirs, mine = tmp_path / name, tmp_path / "mine.yaml"
    theirs.write_text(text.format(port=port, user=LEAF.username, password=LEAF.password))
    theirs.chmod(0o600)
    mine.write_text(f"defaults: {{username: {LEAF.username}, password: env:LAB, port: {port}}}\n")
    if form == "containerlab":  # its kinds have a user of their own, which the variable replaces
        environ = {"LAB": LEAF.password, "NETSSH_LEAF1_USER": LEAF.username}
    else:
        environ = {"LAB": LEAF.password}
    async with served(Path(f"{form}:{theirs}"), tmp_path, "--inventory", str(mine), environ=environ) as house:
        answer = await house.show("leaf1", "show greeting")
        assert answer.row["output"] == "welcome here\n"
        listed = await house.call("list_devices")
        assert "leaf1" in listed.text
        assert LEAF.password not in listed.text + answer.text
