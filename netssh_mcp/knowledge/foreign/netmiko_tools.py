"""`.netmiko.yml`, the inventory of Netmiko's own tools (netmiko 4.8, utilities.py and cli_tools/helpers.py).

A name with a mapping is a device, whose keys are the arguments of ConnectHandler; a name with a list is a group.
`__meta__` says whether values are encrypted, which each value says itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from netssh_mcp.knowledge.foreign.draft import Draft, mapping, port, text
from netssh_mcp.knowledge.yaml_lines import Document

_META = "__meta__"


def read(draft: Draft) -> None:
    """The devices and groups of the file."""
    document = draft.read(draft.path)
    if not isinstance(document.content, Mapping):
        raise draft.wrong("this is no inventory of Netmiko's tools: it begins with `name:` of a device or group", 1)
    written = {name: value for name, value in mapping(document.content).items() if name != _META}
    members: dict[str, list[str]] = {}
    for name, value in written.items():
        if isinstance(value, list):
            _group(draft, name, value, written, members)
    for name, value in written.items():
        if isinstance(value, Mapping):
            _host(draft, document, name, mapping(value), members.get(name, []))
        elif not isinstance(value, list):
            draft.note("left out: neither a device (a mapping) nor a group (a list)", name)


def _group(
    draft: Draft, name: str, value: list[object], written: Mapping[str, object], members: dict[str, list[str]]
) -> None:
    if not draft.group(name):
        return
    for member in value:
        if isinstance(member, str) and isinstance(written.get(member), Mapping):
            members.setdefault(member, []).append(name)
        else:
            draft.note(f"the group {name} names what is no device of the file", str(member)[:60])


def _host(draft: Draft, document: Document, name: str, device: Mapping[str, object], groups: list[str]) -> None:
    platform = draft.platform(device.get("device_type"), name)
    if not platform:
        return
    if device.get("sock") or device.get("ssh_config_file"):
        draft.note("ssh_config_file is not read from here: --ssh-config, or `jump` in a file of your own", name)
    secrets = {
        ours: draft.secret(device.get(theirs), theirs, name, document)
        for ours, theirs in (("password", "password"), ("enable", "secret"), ("key_passphrase", "passphrase"))
    }
    key = text(device.get("key_file"))
    values = {
        "hostname": text(device.get("host")) or text(device.get("ip")) or name,
        "platform": platform,
        "username": text(device.get("username")),
        "port": port(device.get("port")),
        "key_file": key,
        "agent": True if device.get("allow_agent") is True else None,
        "groups": groups,
        **secrets,
    }
    draft.host(name, values, (name,))
