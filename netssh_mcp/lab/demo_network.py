"""A small multi-vendor network with four things wrong in it, for the demo and for whoever wants to try the server.

    core1 (ios) --- core2 (xr)        AS 65000, OSPF and iBGP
      | | \\         |    |
      | |  \\--- spine1 (nxos)        eBGP to the leaves
      | |          |     |
      | |    leaf1 (eos) leaf2 (eos)  AS 65101, AS 65102
      | |
      | +--- edge1 (junos) --- isp, primary; fw1 (asa) behind it
      +----- edge2 (frr) ----- isp, slow backup

1. spine1's BGP session to leaf2 (10.0.1.3) is down since yesterday: Idle there, Active on leaf2.
2. core1 sends 203.0.113.0/24 to edge2, by a forgotten static route; everybody else sends it to edge1.
3. core1's GigabitEthernet2, towards spine1, counts CRC errors.
4. leaf2 runs another EOS than leaf1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Script

PASSWORD_VARIABLE = "NETSSH_DEMO_PASSWORD"  # noqa: S105 - the name of a variable, not a secret
USERNAME = "demo"
_TEXTS = Path(__file__).parent / "demo"
_CONFIG = "(config)"


@dataclass(frozen=True, slots=True)
class DemoHost:
    name: str
    platform: str
    groups: tuple[str, ...]
    site: str
    role: str
    version: str = ""  # empty = the platform's


HOSTS = (
    DemoHost("core1", "cisco_ios", ("core",), "ber", "core"),
    DemoHost("core2", "cisco_xr", ("core",), "fra", "core"),
    DemoHost("spine1", "cisco_nxos", ("spine",), "ber", "spine"),
    DemoHost("leaf1", "arista_eos", ("leaf",), "ber", "leaf"),
    DemoHost("leaf2", "arista_eos", ("leaf",), "fra", "leaf", "4.29.5M"),
    DemoHost("edge1", "juniper_junos", ("edge",), "ber", "edge"),
    DemoHost("edge2", "frr", ("edge",), "fra", "edge"),
    DemoHost("fw1", "cisco_asa", ("edge",), "ber", "firewall"),
)


def specs(password: str) -> tuple[DeviceSpec, ...]:
    """The eight devices; every login is `demo` with this password."""
    return tuple(_spec(host, password) for host in HOSTS)


def _spec(host: DemoHost, password: str) -> DeviceSpec:
    texts = captured(host.name)
    config = texts.pop(_CONFIG, "")
    return DeviceSpec(
        name=host.name,
        platform=host.platform,
        username=USERNAME,
        password=password,
        config=config,
        outputs={command: Script.of(text) for command, text in texts.items()},
        variables={"version": host.version} if host.version else {},
    )


def captured(name: str) -> dict[str, str]:
    """What a device answers: `demo/<name>.txt` has a line `=== command` before each text."""
    texts: dict[str, str] = {}
    command = ""
    for line in (_TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("=== "):
            command = line.removeprefix("=== ").strip()
            texts[command] = ""
        else:
            texts[command] += line
    return texts


def inventory(ports: dict[str, int]) -> dict[str, object]:
    """The same network as the server's inventory file says it; the password is `env:NETSSH_DEMO_PASSWORD`."""
    groups = sorted({group for host in HOSTS for group in host.groups})
    hosts = {
        host.name: {
            "hostname": "127.0.0.1",
            "port": ports[host.name],
            "platform": host.platform,
            "groups": list(host.groups),
            "data": {"site": host.site, "role": host.role},
        }
        for host in HOSTS
    }
    defaults = {"username": USERNAME, "password": f"env:{PASSWORD_VARIABLE}"}
    return {"defaults": defaults, "groups": {group: {} for group in groups}, "hosts": hosts}
