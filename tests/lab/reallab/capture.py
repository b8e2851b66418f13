"""Writes what the lab's r1 answers into a folder of its own: material for parsers, with no secret in it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.reallab.install import LabError
from tests.lab.reallab.lab import RealLab

ROUTER = "r1"
COMMANDS = (
    "show version",
    "show running-config",
    "show interface",
    "show interface brief",
    "show interface eth1",
    "show interface description",
    "show ip route",
    "show ip route summary",
    "show ip route ospf",
    "show ip route connected",
    "show ip route 10.30.1.0/24",
    "show ipv6 route",
    "show ip bgp",
    "show ip bgp summary",
    "show bgp summary",
    "show bgp ipv4 unicast summary",
    "show bgp neighbors 10.0.12.2",
    "show ip bgp neighbors",
    "show ip bgp 10.30.1.0/24",
    "show ip bgp statistics",
    "show bgp vrfs",
    "show ip ospf",
    "show ip ospf neighbor",
    "show ip ospf neighbor detail",
    "show ip ospf interface",
    "show ip ospf database",
    "show ip ospf database router",
    "show ip ospf route",
    "show ip ospf border-routers",
    "show vrf",
    "show nexthop-group rib",
    "show zebra",
    "show zebra client summary",
    "show daemons",
    "show logging",
    "show route-map",
    "show ip prefix-list",
    "show ip access-list",
    "show ip forwarding",
    "show ip nht",
    "show ip protocol",
    "show modules",
    "show debugging",
)


def file_name(command: str) -> str:
    """`show ip route 10.30.1.0/24` -> `show_ip_route_10.30.1.0-24`."""
    return re.sub(r"[^\w.-]+", "_", command.replace("/", "-"))


def capture(lab: RealLab, folder: Path) -> list[Path]:
    """Records every command as text, and as JSON where the device has it; refused commands leave no file.

    Existing files of `folder` are replaced: it must not hold recordings from elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for command in COMMANDS:
        for asked, ending in ((command, ".txt"), (f"{command} json", ".json")):
            text = _ask(lab, asked)
            if text is None or (ending == ".json" and not text.lstrip().startswith(("{", "["))):
                continue
            path = folder / (file_name(command) + ending)
            path.write_text(_neutral(lab, text))
            written.append(path)
    return written


def _ask(lab: RealLab, command: str) -> str | None:
    try:
        text = lab.vtysh(ROUTER, command)
    except LabError:
        return None
    return None if text.startswith("% ") else text


def _neutral(lab: RealLab, text: str) -> str:
    text = text.replace(lab.enable_password, "PLACEHOLDER")
    return re.sub(r"Linux\([^)]*\)", "Linux(6.1.0-28-amd64)", text)  # not this machine's kernel
