"""What the lab is made of, as values: nodes, links, addresses, configurations. Nothing here touches the machine.

        AS 65001          AS 65002
          r1 --------------- r2            10.0.12.0/30, 10.0.13.0/30, 10.0.23.0/30
         /  \\               /
   jump /    \\             /              OSPF area 0 (hello 1 s, dead 4 s), eBGP (3/9 s)
  linux1      r3 ---------'               150 blackhole statics on r3, redistributed into BGP
     |        AS 65003
     |198.18.0.0/30  |198.18.0.4/30
  ---+---------------+--- the machine itself (root namespace)

Every node also answers on 127.0.0.1 of the machine. RFC 2544's 198.18.0.0/15 is never routed.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "netssh-"  # of namespaces, users and files, so that ours are told from anyone else's
STATICS = 150


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace with an sshd. `port` is on 127.0.0.1 of the machine; `listen` is inside the namespace."""

    name: str
    platform: str
    port: int
    asn: int = 0
    listen: tuple[str, int] | None = None
    hosts_file: bool = True

    @property
    def netns(self) -> str:
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class End:
    """One end of a veth pair. `node` "" is the machine itself."""

    node: str
    interface: str
    address: str


@dataclass(frozen=True, slots=True)
class Link:
    """A veth pair between two ends."""

    name: str
    a: End
    b: End


NODES = (
    Node("r1", "frr", 22101, asn=65001, listen=("198.18.1.2", 22)),
    Node("r2", "frr", 22102, asn=65002),
    Node("r3", "frr", 22103, asn=65003, listen=("198.18.0.6", 22), hosts_file=False),
    Node("linux1", "linux", 22110, listen=("198.18.0.2", 22)),
)
LINKS = (
    Link("r1-r2", End("r1", "eth1", "10.0.12.1/30"), End("r2", "eth1", "10.0.12.2/30")),
    Link("r1-r3", End("r1", "eth2", "10.0.13.1/30"), End("r3", "eth1", "10.0.13.2/30")),
    Link("r2-r3", End("r2", "eth2", "10.0.23.1/30"), End("r3", "eth2", "10.0.23.2/30")),
    Link("linux1", End("", "nssh-linux1", "198.18.0.1/30"), End("linux1", "eth0", "198.18.0.2/30")),
    Link("r3", End("", "nssh-r3", "198.18.0.5/30"), End("r3", "mgmt0", "198.18.0.6/30")),
    Link("linux1-r1", End("linux1", "eth1", "198.18.1.1/30"), End("r1", "mgmt0", "198.18.1.2/30")),
)
ROUTERS = tuple(node for node in NODES if node.platform == "frr")
DAEMONS = ("zebra", "staticd", "ospfd", "bgpd")


def ends(node: str) -> list[tuple[End, End]]:
    """The node's ends of all links, each with its peer."""
    pairs = [(link.a, link.b) for link in LINKS] + [(link.b, link.a) for link in LINKS]
    return [(mine, other) for mine, other in pairs if mine.node == node]


def core_ends(node: str) -> list[tuple[End, End]]:
    return [(mine, other) for mine, other in ends(node) if other.node.startswith("r") and mine.interface != "mgmt0"]


# The defaults pace LSAs and SPF in seconds (RFC 2328, appendix B): a lab of three need not wait for that.
_OSPF_HURRY = (" timers throttle spf 0 50 500", " timers throttle lsa all 100", " timers lsa min-arrival 50")


def frr_config(node: Node, enable_password: str) -> str:
    """The router's frr.conf. The enable password stands in clear text on purpose: redaction must hide it."""
    number = node.name[1:]
    lines = [
        "frr defaults traditional",
        f"hostname {node.name}",
        f"enable password {enable_password}",
        "service integrated-vtysh-config",
        "!",
    ]
    if node.name == "r3":
        lines += [f"ip route 10.30.{n}.0/24 blackhole" for n in range(1, STATICS + 1)] + ["!"]
    lines += ["interface lo", " description loopback", f" ip address 10.255.0.{number}/32"]
    lines += [f" ip address 172.16.{number}.1/24", f" ipv6 address 2001:db8::{number}/128", "!"]
    for mine, other in core_ends(node.name):
        lines += [f"interface {mine.interface}", f" description to {other.node}", " ip ospf hello-interval 1"]
        lines += [" ip ospf dead-interval 4", " ip ospf retransmit-interval 3", " ip ospf network point-to-point", "!"]
    lines += [
        "router ospf",
        f" ospf router-id 10.255.0.{number}",
        *_OSPF_HURRY,
        f" network 10.255.0.{number}/32 area 0",
    ]
    lines += [f" network {_subnet(mine.address)} area 0" for mine, _ in core_ends(node.name)] + ["!"]
    return "\n".join([*lines, *_bgp(node, number), "!", "end", ""])


def _bgp(node: Node, number: str) -> list[str]:
    neighbors = [(other.address.split("/")[0], other.node) for _, other in core_ends(node.name)]
    # FRR demands a policy on eBGP sessions since 7.4 (RFC 8212); a lab between friends does without.
    lines = [f"router bgp {node.asn}", f" bgp router-id 10.255.0.{number}", " no bgp ebgp-requires-policy"]
    lines += [" timers bgp 3 9"]
    for address, peer in neighbors:
        lines += [f" neighbor {address} remote-as {65000 + int(peer[1:])}", f" neighbor {address} description {peer}"]
        lines += [f" neighbor {address} timers connect 1"]
    lines += [" !", " address-family ipv4 unicast", f"  network 172.16.{number}.0/24"]
    lines += ["  redistribute static"] if node.name == "r3" else []
    return [*lines, " exit-address-family"]


def _subnet(address: str) -> str:
    host, length = address.split("/")  # only /30 here: the network is the next lower multiple of 4
    head, _, last = host.rpartition(".")
    return f"{head}.{int(last) // 4 * 4}/{length}"


def hosts_file(node: Node) -> str:
    return f"127.0.0.1 localhost\n127.0.1.1 {node.name}\n::1 localhost\n"


def sshd_config(node: Node, folder: str, login_users: dict[str, str]) -> str:
    """`folder` holds the host keys, banner and log; `login_users` maps user to "vtysh" or "shell"."""
    lines = [
        f"HostKey {folder}/{node.name}_ed25519",
        f"HostKey {folder}/{node.name}_rsa",
        "UsePAM no",  # passwords are checked against shadow directly: no session modules that need systemd
        "UseDNS no",
        "PasswordAuthentication yes",
        "PubkeyAuthentication yes",
        "PermitRootLogin no",
        "AllowTcpForwarding yes",
        "MaxAuthTries 6",
        "MaxSessions 100",
        "PidFile none",
        "LogLevel VERBOSE",
        f"Banner {folder}/banner",
        "Subsystem sftp internal-sftp",
        f"AllowUsers {' '.join(login_users)}",
    ]
    for user, kind in login_users.items():
        if kind == "vtysh" and node.platform == "frr":
            shell = f"exec vtysh -N {node.netns}"
            both = f'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then {shell} -c "$SSH_ORIGINAL_COMMAND"; else {shell}; fi'
            lines += [f"Match User {user}", f"    ForceCommand {both}"]
    return "\n".join(lines) + "\n"
