"""Ways through real sshds: three hops in network namespaces, limits and refusals of a bastion, ssh_config."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import ForwardingRefused, HostKeyChanged, HostKeyUnknown, SessionLost
from netssh_mcp.knowledge.inventory import Inventory, InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.opener import Opener
from netssh_mcp.wire.turn import Connection, Turn
from tests.devices.direct import no_threads_left
from tests.lab.reallab import RealLab
from tests.lab.reallab.build import until
from tests.lab.reallab.topology import PREFIX

pytestmark = pytest.mark.real
PROFILES = Profiles.load(None)
HOPS = {"linux1": ("198.18.0.2", 22), "r1": ("198.18.1.2", 22), "r2": ("10.0.12.2", 2222), "r3": ("10.0.23.2", 2222)}


class Street:
    """An opener on the real lab. known_hosts holds the lab's keys, and the mode is strict."""

    def __init__(self, lab: RealLab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(lab.known_hosts.read_text())
        self.opener = Opener(HostKeys("strict", (), self.known_hosts))
        self.opened: list[Connection] = []

    def trust(self, host: str, port: int, node: str) -> None:
        algorithm, key = (self.lab.folder / f"{node}_ed25519.pub").read_text().split()[:2]
        with self.known_hosts.open("a") as file:
            file.write(f"{host if port == 22 else f'[{host}]:{port}'} {algorithm} {key}\n")

    def inventory(self, hosts: dict[str, Any], ssh_config: str = "") -> Inventory:
        path = self.folder / "inventory.yaml"
        path.write_text(json.dumps({"hosts": hosts}))
        config = self.folder / "ssh_config"
        config.write_text(ssh_config)
        source = InventorySource([path], PROFILES.platforms(), ssh_config=config if ssh_config else None)
        return source.current()

    def open(self, inventory: Inventory, name: str) -> Connection:
        device = inventory.device(name)
        profile = PROFILES.get(device.platform)
        made = self.opener(inventory.way(device), profile, turn=Turn(), byte_limit=64 << 20)
        self.opened.append(made)
        return made

    def chain(self) -> dict[str, Any]:
        """linux1 by password, r1 by key, r2 by password, and r3 behind them; each hop with credentials of its own."""
        admin, ops = self.lab.admin, self.lab.ops
        by_key = {"key_file": str(self.lab.client_key)}
        login = {
            "linux1": {"username": ops.name, "password": f"file:{ops.password_file}"},
            "r1": {"username": ops.name, **by_key, "jump": "linux1"},
            "r2": {"username": admin.name, "password": f"file:{admin.password_file}", "jump": "r1"},
            "r3": {"username": admin.name, "password": f"file:{admin.password_file}", "jump": "r2"},
        }
        return {
            name: {"hostname": host, "port": port, "platform": "linux" if name == "linux1" else "frr", **login[name]}
            for name, (host, port) in HOPS.items()
        }


def run(connection: Connection, line: str, turn: Turn | None = None) -> str:
    return connection.run(line, deadline=time.monotonic() + 20, turn=turn or Turn()).output


@pytest.fixture
def street(real_lab: RealLab, tmp_path: Path) -> Iterator[Street]:
    with no_threads_left():
        street = Street(real_lab, tmp_path)
        yield street
        for connection in street.opened:
            connection.close()
        street.opener.close()


@pytest.fixture
def sshd(real_lab: RealLab, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a real sshd with options of its own, on 127.0.0.1 or in a node's namespace; its port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*options: str, node: str = "", address: str = "127.0.0.1", port: int = 0) -> int:
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = int(free.getsockname()[1])
        log = tmp_path / f"sshd-{len(running)}.log"
        config = real_lab.folder / f"sshd-{node or 'linux1'}.conf"
        command = ["/usr/sbin/sshd", "-D", "-f", str(config), "-E", str(log)]
        for option in (f"ListenAddress={address}:{port}", *options):
            command += ["-o", option]
        if node:
            command = ["ip", "netns", "exec", PREFIX + node, *command]
        running.append(subprocess.Popen(command))
        until(lambda: log.exists() and "listening" in log.read_text(), f"sshd on {address}:{port}: {log}")
        return port

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def chain(street: Street, sshd: Callable[..., int]) -> Street:
    """The four nodes one behind the other, each reached only through the one before."""
    for name in ("r2", "r3"):
        sshd(node=name, address=HOPS[name][0], port=HOPS[name][1])
        street.trust(*HOPS[name], name)
    return street


def test_three_hops_with_four_credentials_and_four_host_keys(chain: Street, real_lab: RealLab) -> None:
    inventory = chain.inventory(chain.chain())
    mine = partial(real_lab.sessions_of, os.getpid(), "linux1")
    assert mine() == []
    assert inventory.device("r3").jump == ("linux1", "r1", "r2")
    first = chain.open(inventory, "r3")
    assert run(first, "show version").startswith("FRRouting")
    assert "\nhostname r3\n" in run(first, "show running-config")
    second = chain.open(inventory, "r2")  # on the way: it shares two of the three connections
    assert "\nhostname r2\n" in run(second, "show running-config")
    third = chain.open(inventory, "r3")
    assert run(third, "show version").startswith("FRRouting")
    assert len(mine()) == 1


def test_the_host_key_of_every_hop_is_checked(chain: Street) -> None:
    inventory = chain.inventory(chain.chain())
    kept = chain.known_hosts.read_text()
    chain.known_hosts.write_text("".join(line for line in kept.splitlines(True) if not line.startswith("[10.0.12.2]")))
    with pytest.raises(HostKeyUnknown) as unknown:
        chain.open(inventory, "r3")
    assert unknown.value.device == "r2"
    chain.known_hosts.write_text(kept.replace("[10.0.12.2]:2222", "[10.0.12.9]:2222"))
    chain.trust("10.0.12.2", 2222, "r1")
    with pytest.raises(HostKeyChanged) as changed:
        chain.open(inventory, "r3")
    assert changed.value.device == "r2"


def test_the_hop_that_dies_in_the_middle_is_named(chain: Street, real_lab: RealLab) -> None:
    inventory = chain.inventory(chain.chain())
    connection, turn, errors = chain.open(inventory, "r3"), Turn(), list[BaseException]()

    def work() -> None:
        try:
            run(connection, "ping 127.0.0.1", turn)
        except SessionLost as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while "bytes from" not in turn.partial() and thread.is_alive():
        thread.join(0.01)
    (first,) = real_lab.sessions_of(os.getpid(), "linux1")
    (hop,) = real_lab.sessions_of(first.pid, "r1", through="linux1")
    hop.close()
    thread.join(30)
    assert "the connection to the jump host r1 ended" in str(errors[0])
    assert run(chain.open(inventory, "r3"), "show version").startswith("FRRouting")


def test_the_same_way_by_ssh_config(chain: Street, real_lab: RealLab) -> None:
    admin, ops = real_lab.admin.name, real_lab.ops.name
    config = f"""Host r3
      HostName {HOPS["r3"][0]}
      Port {HOPS["r3"][1]}
      ProxyJump {ops}@{HOPS["linux1"][0]},first,{admin}@{HOPS["r2"][0]}:{HOPS["r2"][1]}
    Host first
      HostName {HOPS["r1"][0]}
    Host *
      User {ops}
      IdentityFile {real_lab.client_key}
      IdentitiesOnly yes
    """
    inventory = chain.inventory({"r3": {"platform": "frr", "username": admin}}, config)
    assert run(chain.open(inventory, "r3"), "show version").startswith("FRRouting")


def test_a_proxy_command_of_ssh_config_by_the_real_client(chain: Street, real_lab: RealLab) -> None:
    options = f"-F none -i {real_lab.client_key} -o IdentitiesOnly=yes -o UserKnownHostsFile={chain.known_hosts}"
    config = f"Host r1\n ProxyCommand ssh {options} -W %h:%p {real_lab.ops.name}@{HOPS['linux1'][0]}\n"
    hosts = {"r1": {**chain.chain()["r1"], "username": real_lab.admin.name}}
    del hosts["r1"]["jump"]
    mine = partial(real_lab.sessions_of, os.getpid(), "linux1")
    assert mine() == []
    connection = chain.open(chain.inventory(hosts, config), "r1")
    assert run(connection, "show version").startswith("FRRouting")
    assert len(mine()) == 1
    connection.close()
    until(lambda: not mine(), "the end of the ProxyCommand's connection")


# -- a bastion's own limits ----------------------------------------------------------------------------------------


def behind(lab: RealLab, port: int, count: int) -> dict[str, Any]:
    """Devices that are all r1, behind a bastion on this port."""
    ops, admin = lab.ops, lab.admin
    gate = {"hostname": "127.0.0.1", "port": port, "platform": "linux", "username": ops.name}
    device = {"hostname": "127.0.0.1", "port": lab.port("r1"), "platform": "frr", "username": admin.name}
    device |= {"password": f"file:{admin.password_file}", "jump": "gate"}
    return {
        "gate": gate | {"password": f"file:{ops.password_file}"},
        **{f"d{number}": device for number in range(count)},
    }


def test_a_fleet_behind_a_bastion_that_takes_one_login_at_a_time(
    street: Street, sshd: Callable[..., int], real_lab: RealLab
) -> None:
    port = sshd("MaxStartups=1:100:1", "MaxSessions=1")
    street.trust("127.0.0.1", port, "linux1")
    inventory = street.inventory(behind(real_lab, port, 20))
    shown: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: shown.append(run(street.open(inventory, name), "show version")))
        for name in inventory.devices
        if name != "gate"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(shown) == 20
    assert all(text.startswith("FRRouting") for text in shown)


@pytest.mark.parametrize("option", ["AllowTcpForwarding=no", "PermitOpen=192.0.2.1:22"])
def test_a_bastion_that_may_not_forward_says_so(
    option: str, street: Street, sshd: Callable[..., int], real_lab: RealLab
) -> None:
    port = sshd(option)
    street.trust("127.0.0.1", port, "linux1")
    inventory = street.inventory(behind(real_lab, port, 1))
    with pytest.raises(ForwardingRefused, match=r"gate refuses to forward to 127\.0\.0\.1:") as caught:
        street.open(inventory, "d0")
    assert "AllowTcpForwarding" in caught.value.hint
    assert not caught.value.retryable


def test_a_closed_port_behind_a_bastion_is_named_as_seen_from_there(
    street: Street, sshd: Callable[..., int], real_lab: RealLab
) -> None:
    port = sshd()
    street.trust("127.0.0.1", port, "linux1")
    hosts = behind(real_lab, port, 1)
    hosts["d0"] = {**hosts["d0"], "port": 1}
    with pytest.raises(ForwardingRefused, match=r"gate cannot connect to 127\.0\.0\.1:1$"):
        street.open(street.inventory(hosts), "d0")
