"""Where a port forward may lead: every spelling of a destination as one, what is reached by no accident, and the list.

Loopback, link-local and cloud metadata addresses are how a forward gets at what was never meant to be reached from
outside; a name is resolved at the other end and may mean any of them. All of these need an entry of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.guard.addresses import Network

ANY: Final = "*"  # what a dynamic forward is opened for: its destinations are judged one by one

_Address = IPv4Address | IPv6Address
_NETWORKS: Final[dict[str, tuple[Network, ...]]] = {
    kind: tuple(map(ip_network, networks))
    for kind, networks in {  # the first kind that holds an address is its kind
        # Vendors' documents on instance metadata: AWS, ECS, EKS, Google, Alibaba, Oracle, Azure, OpenStack, Scaleway.
        "metadata": (
            *("169.254.169.254/32", "fd00:ec2::254/128", "169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::23/128"),
            *("fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "169.254.169.253/32"),
            *("fe80::a9fe:a9fe/128", "169.254.42.42/32", "fd00:42::42/128", "169.254.169.123/32"),
        ),
        "loopback": ("127.0.0.0/8", "::1/128"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "unspecified": ("0.0.0.0/8", "::/128"),  # Linux connects to itself
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "reserved": ("240.0.0.0/4",),
    }.items()
}
_NAMES: Final = {
    "loopback": re.compile(r"(?:.+\.)?(?:localhost|localhost\.localdomain|ip6-localhost|ip6-loopback|loopback)"),
    "metadata": re.compile(r"metadata(?:\..+)?|instance-data(?:\..+)?|.+\.metadata\..+"),
}
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)
# IPv4 addresses inside IPv6 ones, by what some system on the way may unpack: RFC 4291, 6145, 6052, 8215.
_CARRIERS: Final = tuple(map(ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/96")))


@dataclass(frozen=True, slots=True)
class Destination:
    """`host` is an address in its usual form or a name in lower case; `kind` "" is an address like any other."""

    host: str
    port: int
    address: _Address | None
    kind: str

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Spot:
    """One entry: a network, a name, `*.` and the end of one, or `*`; `network` is None for the last three."""

    text: str
    place: str
    host: str
    network: Network | None
    first: int
    last: int

    def holds(self, to: Destination) -> bool:
        """Whether it lists the destination. What is special has to be named: `*` and wide networks do not reach it."""
        if not self.first <= to.port <= self.last:
            return False
        if to.address is None:
            suffix = self.host.startswith("*.") and to.host.endswith(self.host[1:]) and to.kind == "name"
            return to.host == self.host or suffix
        if self.network is None:
            return self.host == ANY and not to.kind
        address = _unscoped(to.address)
        if address.version != self.network.version or address not in self.network:
            return False
        return not to.kind or self.network.num_addresses == 1 or _within(self.network, to.kind)


@dataclass(frozen=True, slots=True)
class Reach:
    """What one key of the policy comes to for one device; `spots` is None where no rule names it."""

    key: str
    spots: tuple[Spot, ...] | None = None
    places: tuple[str, ...] = ()  # of the rules that name it

    def refusal(self, where: str) -> tuple[str, str, str] | None:
        """Why no forward may lead to `where` (a Destination's `str`), the rules' place and a hint; None if it may."""
        place = ", ".join(self.places)
        if where == ANY:  # SOCKS: each destination is asked about when it is asked for
            return (f"{place} lists nothing in `{self.key}`", place, "") if self.spots == () else None
        to = read(where)
        if self.spots is None:
            return self._by_default(to)
        if any(each.holds(to) for each in self.spots):
            return None
        special = f" (it is {to.kind}, which has to be spelled there)" if to.kind not in ("", "name") else ""
        return f"{to} is in no `{self.key}` of {place}{special}", place, f"The policy has to list it: `{self.key}`."

    def _by_default(self, to: Destination) -> tuple[str, str, str] | None:
        if not to.kind:
            return None
        name = to.kind == "name"
        what = (
            "a name, which is resolved to whatever its zone says"
            if name
            else f"{to.kind}, which is reached by no accident"
        )
        hint = f"The operator's policy has to list it: `{self.key}: [{str(to)!r}]`."
        return (
            f"{to} is {what}; no rule lists it in `{self.key}`",
            "",
            f"Give an address instead. {hint}" if name else hint,
        )


ANYWHERE: Final = Reach("forward_to")  # but for what needs an entry
HERE: Final = Reach("forward_here")


def reach(key: str, said: Sequence[tuple[tuple[Spot, ...] | None, str, bool]]) -> Reach:
    """Of what each rule has, its place, and whether its selector is known: if not, it limits and opens nothing.

    Any rule's entries may open, so a general rule does not have to know every database.
    """
    named = [(spots, place, known) for spots, place, known in said if spots is not None]
    if not named:
        return Reach(key)
    opened = tuple(spot for spots, _, known in named if known for spot in spots)
    return Reach(key, opened, tuple(place for _, place, _ in named))


def destination(host: str, port: int) -> Destination:
    """The one spelling of a host and port. InputError when they are none."""
    if not 1 <= port <= 65_535:
        raise InputError(f"there is no port {port}", hint="Give `port` from 1 to 65535.")
    text = host.strip().lower()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    text = text.removesuffix(".") if not text.endswith("..") else text
    address = _address(text)
    if address is not None:
        return Destination(str(address), port, address, _kind(address))
    if not _NAME.fullmatch(text) or _NUMBER.fullmatch(text.rpartition(".")[2]):
        raise InputError(
            f"{host[:80]!r} is no address and no host name", hint="Give an address such as 10.0.0.5 or 2001:db8::5."
        )
    kind = next((kind for kind, pattern in _NAMES.items() if pattern.fullmatch(text)), "name")
    return Destination(text, port, None, kind)


def read(where: str) -> Destination:
    """`10.0.0.5:5432` or `[2001:db8::5]:443`, as `str` of a Destination writes it."""
    host, _, port = where.rpartition(":")
    return destination(host, int(port) if port.isascii() and port.isdigit() else 0)


def spot(text: str, place: str = "") -> Spot:
    """An entry of the file. ValueError says what is wrong with it."""
    host, colon, ports = text.strip().lower().rpartition(":")
    if not colon or not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ValueError(f"{text!r} must be HOST:PORT: 10.0.0.0/8:5432, db1.example.net:22, [2001:db8::1]:443, *:443")
    first, last = _ports(ports)
    host = host.strip("[]")
    network = None
    named = _NAME.fullmatch(host.removeprefix("*.")) and not _NUMBER.fullmatch(host.rpartition(".")[2])
    if host != ANY and not named:
        network = _network(host)
    return Spot(text, place, host, network, first, last)


def _address(text: str) -> _Address | None:
    parts = text.split(".")
    if len(parts) <= 4 and all(_NUMBER.fullmatch(part) for part in parts):
        return _ipv4(text, [_number(part) for part in parts])
    if not re.fullmatch(r"[0-9a-f:.]+(?:%[0-9a-z_.-]{1,15})?", text):
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _ipv4(text: str, numbers: list[int]) -> IPv4Address:
    """As inet_aton reads it, which resolvers ask first: the last number fills the bytes that are left."""
    *heads, last = numbers
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        raise InputError(f"{text[:80]!r} is no address", hint="Give an address such as 10.0.0.5.")
    high = sum(head << (24 - 8 * at) for at, head in enumerate(heads))
    return IPv4Address(high + last)


def _number(text: str) -> int:
    """Hexadecimal behind 0x, octal behind 0, else decimal."""
    try:
        if text[:2].lower() == "0x":
            return int(text[2:] or "0", 16)
        return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is no part of an address", hint="Give an address such as 10.0.0.5.") from None


def _kind(address: _Address) -> str:
    plain = _unscoped(address)
    for kind, networks in _NETWORKS.items():
        if any(plain.version == network.version and plain in network for network in networks):
            return kind
    inner = _carried(plain)
    return _kind(inner) if inner is not None else ""


def _carried(address: _Address) -> IPv4Address | None:
    """The IPv4 address that this IPv6 one is a way to."""
    if not isinstance(address, IPv6Address):
        return None
    if any(address in network for network in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _unscoped(address: _Address) -> _Address:
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) and address.scope_id else address


def _within(network: Network, kind: str) -> bool:
    """Whether the entry says nothing but this kind: 127.0.0.0/8 does, 0.0.0.0/0 does not."""
    for special in _NETWORKS.get(kind, ()):
        if network.version == 4 and special.version == 4 and network.subnet_of(special):
            return True
        if network.version == 6 and special.version == 6 and network.subnet_of(special):
            return True
    return False


def _network(host: str) -> Network:
    try:
        return ip_network(host)
    except ValueError as error:
        raise ValueError(f"must be a network, an address, a name, `*.` and the end of one, or `*`: {error}") from None


def _ports(text: str) -> tuple[int, int]:
    if text == ANY:
        return 1, 65_535
    first, dash, last = text.partition("-")
    if not all(part.isascii() and part.isdigit() for part in ((first, last) if dash else (first,))):
        raise ValueError(f"{text!r} is no port; write 5432, 8000-8100 or *")
    low, high = int(first), int(last if dash else first)
    if not 1 <= low <= high <= 65_535:
        raise ValueError(f"{text!r} is no port; ports are from 1 to 65535")
    return low, high
