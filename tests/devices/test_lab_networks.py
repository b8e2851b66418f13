"""The hostile mix, the demo network and `python -m netssh_mcp.lab`, over real SSH."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import asyncssh
import pytest
import yaml
from ntc_templates.parse import parse_output

from netssh_mcp.lab.demo_network import HOSTS, PASSWORD_VARIABLE, captured, inventory, specs
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Faults
from netssh_mcp.lab.hostile import HostileCommand, device, mix
from netssh_mcp.lab.server import Network

_LOG = re.compile(r"\*Nov 20 10:15:4\d\.\d+: %[^\n]*\n")
NO_TEMPLATE = {"show interfaces terse", "show interfaces descriptions", "show route"}  # Junos' in ntc-templates 9.3


# ---- the hostile mix


def test_the_same_seed_gives_the_same_mix_and_another_seed_another() -> None:
    assert mix(1, 200) == mix(1, 200)
    assert mix(1, 200) != mix(2, 200)


def test_the_mix_has_its_kinds_in_their_shares() -> None:
    count: Counter[str] = Counter(command.kind for command in mix(7, 5000))
    shares = {kind: round(100 * number / 5000) for kind, number in count.items()}
    wanted = {"plain": 50, "inline": 12, "line_start": 12, "dribble": 9, "silent": 9, "syslog": 8}
    assert all(abs(shares[kind] - share) <= 2 for kind, share in wanted.items())
    assert any(not command.ends for command in mix(7, 5000))


def test_every_expected_output_carries_its_own_tag_and_no_other() -> None:
    for number, command in enumerate(mix(3, 500), 1):
        assert command.line == f"show test {number}"
        assert set(re.findall(r"TAG (\d+)", command.expected_output)) <= {str(number)}
        assert "%" not in command.expected_output


@pytest.mark.parametrize(("echo", "fragment"), [("line", 0), ("early", 9), ("both", 5)])
def test_a_client_that_knows_the_answers_gets_exactly_the_expected_outputs(echo: Any, fragment: int) -> None:
    commands = mix(11, 120)
    faults = Faults(echo=echo, fragment=fragment, seed=11)
    spec = replace(device(commands, DeviceSpec("r1", "cisco_ios", motd="")), faults=faults)

    async def test() -> None:
        async with Network([spec]) as net:
            await asyncio.gather(*(_ask_all(net, commands[part::12]) for part in range(12)))
            lines = [line for line in net.device("r1").received if line.startswith("show test")]
            assert sorted(lines) == sorted(command.line for command in commands)
            assert net.device("r1").early == []

    asyncio.run(asyncio.wait_for(test(), 30))


def _never(command: HostileCommand) -> bool:
    return not command.ends and "late" not in command.expected_output


def _endings(command: HostileCommand) -> set[str]:
    """The text and the prompt; a line behind the prompt leaves a newline, and the prompt again where it is redrawn."""
    text = command.expected_output
    return {text, f"{text}\n"} if _never(command) else {f"{text}\nr1#{more}" for more in ("", "\n", "\nr1#")}


def _body(seen: str, command: HostileCommand) -> str:
    """What came behind the first echo of the command, without log lines."""
    return _LOG.sub("", seen.replace("\r\n", "\n")).partition(f"{command.line}\n")[2]


async def _ask_all(net: Network, commands: list[HostileCommand]) -> None:
    options: dict[str, Any] = {"username": "admin", "password": "admin", "known_hosts": None, "config": None}
    async with asyncssh.connect("127.0.0.1", net.ports["r1"], **options) as conn:
        process = await conn.create_process(term_type="vt100", term_size=(200, 24))
        await process.stdout.readuntil("r1#")
        process.stdin.write("terminal length 0\r")
        await process.stdout.readuntil("r1#")
        for command in commands:
            process.stdin.write(f"{command.line}\r")
            seen, endings = "", _endings(command)
            while _body(seen, command) not in endings:
                assert len(seen) < len(command.expected_output) + 1000, (command, seen)
                seen += await process.stdout.read(4096)
            if _never(command):
                process.stdin.write("\x03")
                await process.stdout.readuntil("r1#")


# ---- a fleet


def test_a_thousand_devices_listen_in_one_process() -> None:
    async def test() -> None:
        async with Network([DeviceSpec(f"r{n}", "cisco_ios") for n in range(1000)]) as net:
            assert len(set(net.ports.values())) == 1000
            options: dict[str, Any] = {"username": "admin", "password": "admin", "known_hosts": None, "config": None}
            async with asyncssh.connect("127.0.0.1", net.ports["r999"], **options) as conn:
                assert "r999 uptime" in str((await conn.run("show version")).stdout)

    asyncio.run(asyncio.wait_for(test(), 30))


# ---- the demo network


@pytest.mark.parametrize("host", [host for host in HOSTS if host.platform != "frr"], ids=lambda host: host.name)
def test_what_a_demo_device_answers_is_parsed_by_ntc_templates(host: Any) -> None:
    async def test() -> None:
        known = {spec.name: spec for spec in specs("pw")}
        async with Network([known[host.name]]) as net:
            options: dict[str, Any] = {"known_hosts": None, "config": None}
            async with asyncssh.connect(
                "127.0.0.1", net.ports[host.name], username="demo", password="pw", **options
            ) as conn:
                shows = [line for line in captured(host.name) if line.startswith("show")]
                for line in ["show version", *(line for line in shows if line not in NO_TEMPLATE)]:
                    text = str((await conn.run(line)).stdout).replace("\r\n", "\n")
                    assert parse_output(platform=host.platform, command=line, data=text), line

    asyncio.run(asyncio.wait_for(test(), 30))


def test_the_demo_network_tells_its_story() -> None:
    def rows(name: str, platform: str, command: str) -> list[dict[str, str]]:
        return parse_output(platform=platform, command=command, data=captured(name)[command])  # type: ignore[no-any-return]

    down = [
        row["bgp_neigh"] for row in rows("spine1", "cisco_nxos", "show ip bgp summary") if row["state_pfxrcd"] == "Idle"
    ]
    assert down == ["10.0.1.3"]
    assert [row["state"] for row in rows("leaf2", "arista_eos", "show ip bgp summary")] == ["Active"]
    wrong = next(row for row in rows("core1", "cisco_ios", "show ip route") if row["network"] == "203.0.113.0")
    right = next(row for row in rows("core2", "cisco_xr", "show ip route") if row["network"] == "203.0.113.0")
    assert (wrong["protocol"], wrong["nexthop_ip"]) == ("S", "10.0.0.7")
    assert (right["protocol"], right["next_hop"]) == ("B", "10.255.0.31")
    crc = {row["interface"]: int(row["crc"]) for row in rows("core1", "cisco_ios", "show interfaces")}
    assert [name for name, errors in crc.items() if errors] == ["GigabitEthernet2"]
    assert {spec.variables.get("version") for spec in specs("pw") if spec.name.startswith("leaf")} == {None, "4.29.5M"}


def test_the_inventory_of_the_demo_holds_a_reference_and_no_password() -> None:
    described = inventory({host.name: 1 for host in HOSTS})
    assert described["defaults"] == {"username": "demo", "password": f"env:{PASSWORD_VARIABLE}"}
    hosts = described["hosts"]
    assert isinstance(hosts, dict)
    assert {host["platform"] for host in hosts.values()} == {host.platform for host in HOSTS}


# ---- python -m netssh_mcp.lab


def _start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "netssh_mcp.lab", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, PASSWORD_VARIABLE: "pw"},
    )


def test_the_lab_command_prints_an_inventory_and_ends_at_eof() -> None:
    with _start("--devices", "9", "--print-inventory") as lab:
        assert lab.stdin is not None
        assert lab.stdout is not None
        assert lab.stderr is not None
        assert PASSWORD_VARIABLE in lab.stderr.readline()  # the network is up
        lab.stdin.close()
        described = yaml.safe_load(lab.stdout.read())
        assert lab.wait(10) == 0
    assert list(described["hosts"]) == [*(host.name for host in HOSTS), "core1-2"]
    assert all(host["port"] > 0 for host in described["hosts"].values())
    assert "pw" not in str(described["defaults"])


def test_the_lab_command_ends_at_sigterm() -> None:
    with _start() as lab:
        assert lab.stderr is not None
        lab.stderr.readline()
        lab.send_signal(signal.SIGTERM)
        assert lab.wait(10) == 0
