"""containerlab's topology file: nodes with their kinds, and where the lab has been deployed beside it, the addresses.

What a node has beats what its group, its kind and the defaults have. A node is `clab-LAB-NODE`, or as `prefix` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from netssh_mcp.knowledge.foreign import json_files, platforms
from netssh_mcp.knowledge.foreign.draft import Draft, mapping, text
from netssh_mcp.knowledge.yaml_lines import Document

_NO_HOSTS: Final = ("bridge", "ovs-bridge", "host", "ext-container", "k8s-kind")


def read(draft: Draft) -> None:
    """The nodes that can be logged in to."""
    document = draft.read(draft.path)
    topology = mapping(mapping(document.content).get("topology"))
    lab = text(mapping(document.content).get("name"))
    if not topology or lab is None:
        raise draft.wrong("this is no topology of containerlab: it has `name` and `topology` with `nodes`", 1)
    prefix = mapping(document.content).get("prefix", "clab")
    addresses = _addresses(draft, lab)
    for node, value in mapping(topology.get("nodes")).items():
        name = _long(prefix, lab, node)
        _node(draft, _Node(document, topology, node, mapping(value)), name, addresses.get(name), lab)


class _Node:
    """A node with what it inherits."""

    def __init__(
        self, document: Document, topology: Mapping[str, object], name: str, own: Mapping[str, object]
    ) -> None:
        self.document = document
        self.name = name
        defaults = mapping(topology.get("defaults"))
        groups, kinds = mapping(topology.get("groups")), mapping(topology.get("kinds"))
        self.group = text(own.get("group")) or text(defaults.get("group")) or ""
        group = mapping(groups.get(self.group))
        written = text(own.get("kind")) or text(group.get("kind")) or text(defaults.get("kind")) or ""
        self.kind = platforms.kind(written)
        self._levels = (own, group, mapping(kinds.get(written)), defaults)

    def first(self, *keys: str) -> str:
        """The nearest value of one of these keys."""
        found = (text(level.get(key)) for level in self._levels for key in keys)
        return next((value for value in found if value), "")

    def merged(self, key: str) -> dict[str, object]:
        """A mapping, the nearest value of each of its keys."""
        found: dict[str, object] = {}
        for level in reversed(self._levels):
            found.update(mapping(level.get(key)))
        return found


def _node(draft: Draft, node: _Node, name: str, address: str | None, lab: str) -> None:
    kind = node.kind
    if kind in _NO_HOSTS:
        draft.note(f"left out: nobody logs in to the kind {kind}", name)
        return
    frr = kind == "linux" and "frr" in node.first("image").rpartition("/")[2].lower()
    theirs, user, usual = platforms.KINDS.get("frr" if frr else kind, (kind, "", ""))
    platform = draft.platform(theirs, name)
    if not platform:
        return
    labels = node.merged("labels")
    groups = [group for each in (kind, labels.get("ansible-group"), node.group) if (group := text(each))]
    values = {
        "hostname": address or node.first("mgmt-ipv4", "mgmt_ipv4", "mgmt-ipv6", "mgmt_ipv6") or name,
        "platform": platform,
        "username": text(node.merged("credentials").get("username")) or user or None,
        "password": _password(draft, node, name, usual),
        "groups": [group for group in dict.fromkeys(groups) if draft.group(group)],
        "data": {**draft.facts(labels), "lab": lab, "node": node.name, "kind": kind},
    }
    draft.host(name, values, ("topology", "nodes", node.name))


def _password(draft: Draft, node: _Node, name: str, usual: str) -> str | None:
    """The topology's own, else the one that containerlab documents for the kind, which is in no file of the lab."""
    if own := node.merged("credentials").get("password"):
        return draft.secret(own, "password", name, node.document)
    return draft.secret(usual, "the default password of its kind", name, None) if usual else None


def _long(prefix: object, lab: str, node: str) -> str:
    if prefix in ("", None):
        return node
    return f"{lab}-{node}" if prefix == "__lab-name" else f"{prefix}-{lab}-{node}"


def _addresses(draft: Draft, lab: str) -> dict[str, str]:
    """Name of a node -> its address, from what containerlab wrote when it deployed the lab."""
    folder = draft.path.parent / f"clab-{lab.replace('/', '_')}"
    exported, inventory = folder / "topology-data.json", folder / "ansible-inventory.yml"
    draft.look(exported, inventory)
    if exported.is_file():
        nodes = mapping(mapping(draft.read(exported, json_files.read).content).get("nodes"))
        return {named: where for node in nodes.values() if (named := _named(node)) and (where := _deployed(node))}
    if not inventory.is_file():
        return {}
    top = mapping(mapping(draft.read(inventory).content).get("all"))
    kinds = mapping(top.get("children")).values()
    hosts = {name: mapping(host) for each in kinds for name, host in mapping(mapping(each).get("hosts")).items()}
    return {name: address for name, host in hosts.items() if (address := text(host.get("ansible_host")))}


def _named(node: object) -> str:
    return text(mapping(node).get("longname")) or ""


def _deployed(node: object) -> str:
    return text(mapping(node).get("mgmt-ipv4-address")) or text(mapping(node).get("mgmt-ipv6-address")) or ""
