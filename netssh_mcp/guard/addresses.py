"""Addresses in commands and of devices, compared with the networks of a policy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import pairwise

from netssh_mcp.guard.grammar import Meaning

Network = IPv4Network | IPv6Network

_PROBES = frozenset({"ping", "ping6", "traceroute", "traceroute6", "tracert", "tracepath", "mtr", "arping"})
_BEFORE = frozenset({"vrf", "routing-instance", "context", "instance", "router-instance", "table", "vpn-instance"})
_FAMILY = frozenset({"ip", "ipv4", "ipv6", "inet", "inet6", "host"})
_VALUED = frozenset({"-I", "-S", "-i"})  # a source or an interface follows


def literal(text: str) -> IPv4Address | IPv6Address | None:
    """The address that the text is; None for a name. An IPv4 address inside an IPv6 one counts as itself."""
    try:
        found = ip_address(text.strip("[]"))
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def inside(address: str, networks: Sequence[Network]) -> bool:
    """Whether it is an address in one of the networks; a name is in none."""
    found = literal(address)
    if isinstance(found, IPv6Address) and found.scope_id:
        found = IPv6Address(int(found))
    return found is not None and any(found.version == net.version and found in net for net in networks)


def probes(meaning: Meaning) -> bool:
    """Whether the command sends packets to a target of its own."""
    line = meaning.canonical
    if meaning.command_class == "diagnose":
        return True
    named = "ping" in line or "trace" in line or "mtr" in line  # one of these is in each
    return named and any(word in _PROBES for word in _words(line)[:4])


def targets(canonical: str) -> tuple[str, ...]:
    """The target of a ping or traceroute and every further address but a source; () where a name may be the target."""
    words = _words(canonical)
    start = next((at for at, word in enumerate(words) if word in _PROBES), None)
    if start is None:
        return ()
    rest = words[start + 1 :]
    if any(word.startswith("-") for word in rest):
        return _operands(rest)
    while rest and (rest[0] in _BEFORE or rest[0] in _FAMILY):
        rest = rest[2 if rest[0] in _BEFORE else 1 :]
    rest[:1] = [word.removeprefix("address=") for word in rest[:1]]  # RouterOS names its arguments
    if not rest or literal(rest[0]) is None:
        return ()
    return (rest[0], *(word for before, word in pairwise(rest) if _counts(before, word)))


def _operands(words: Sequence[str]) -> tuple[str, ...]:
    """As a program with `-x` options reads them: any word that is neither option nor small number may be the target.

    A large number may be an address: 134744072 is 8.8.8.8.
    """
    pairs = pairwise(("", *words))
    found = [word for before, word in pairs if word[:1] != "-" and not _small(word) and before not in _VALUED]
    return tuple(found) if all(literal(word) is not None for word in found) else ()


def _small(word: str) -> bool:
    """A count, size or port; as an address it would be in 0.0.0.0/8, which is no host."""
    return word.isdigit() and len(word) <= 5


def _counts(before: str, word: str) -> bool:
    source = len(before) > 1 and "source".startswith(before.lower())
    return literal(word) is not None and not source


def _words(canonical: str) -> list[str]:
    """Without quotes; a menu path (`/tool/traceroute`) as its words."""
    first, *rest = re.sub(r"[\"']", " ", canonical).split()
    return [*first.strip("/").split("/"), *rest]
