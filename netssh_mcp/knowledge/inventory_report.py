"""`netssh-mcp inventory check` and `list`: what the inventory says, and what will not work at login."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource

COLUMNS = ("name", "hostname", "port", "platform", "username", "groups", "jump", "login", "overridden")


def check_report(source: InventorySource) -> str:
    """Counts and warnings as text for people; no secret is shown. InputError when the files are broken."""
    inventory = source.current()
    found = warnings(source)
    platforms = len({device.platform for device in inventory.devices.values()})
    files = ", ".join(str(path) for path in (*source.paths, source.overlay) if path is not None)
    counts = ", ".join(
        (
            _count(len(inventory.devices), "host"),
            _count(len(inventory.groups), "group"),
            _count(platforms, "platform"),
        )
    )
    ending = [f"warning: {text}" for text in found] or ["no warnings"]
    return "\n".join((f"{files}: {counts}", *ending))


def warnings(source: InventorySource) -> tuple[str, ...]:
    """What will not work or is unsafe, one sentence each; what several hosts share is said once."""
    inventory = source.current()
    said: dict[str, list[str]] = {}
    for device in inventory.devices.values():
        for text in _doubts(device):
            said.setdefault(text, []).append(device.name)
    shared = [f"{text} ({_some(names)})" for text, names in said.items()]
    empty = [f"group {group} has no hosts" for group, members in inventory.groups.items() if not members]
    problem = [inventory.problem] if inventory.problem else []
    written = [text for path in source.written for text in _writable(path)]
    return (*problem, *written, *shared, *empty, *inventory.doubts)


def list_rows(inventory: Inventory, targets: str = "*") -> list[dict[str, str]]:
    """One row of `COLUMNS` per selected device; "login" names where the credentials come from, never what they are."""
    return [
        {
            "name": device.name,
            "hostname": device.hostname,
            "port": str(device.port),
            "platform": device.platform,
            "username": device.username,
            "groups": ", ".join(device.groups),
            "jump": " -> ".join(device.jump),
            "login": ", ".join(_login(device)),
            "overridden": ", ".join(name.rpartition("_")[2] for name in device.overridden),
        }
        for device in inventory.select(targets or "*")
    ]


def _login(device: Device) -> Iterator[str]:
    sets = device.sets()
    for number, each in enumerate(sets, 1):
        for text in _one_login(each):
            yield f"{number}: {text}" if len(sets) > 1 else text


def _one_login(device: Device) -> Iterator[str]:
    if device.agent:
        yield "agent"
    for path in device.key_files:
        yield f"key file {path.name}"
    for path in device.certificates:
        yield f"certificate {path.name}"
    for key, secret in device.secrets.items():
        yield f"{key} {secret.reference}"


def _doubts(device: Device) -> Iterator[str]:
    for each in device.sets():
        yield from _login_doubts(each)
    if device.withheld:
        yield f"added, and not given {', '.join(device.withheld)}: docs/inventory.md says how"
    if device.legacy:
        yield "legacy: true allows SHA-1, CBC and 3DES, which can be broken"
    if device.transport == "telnet":
        yield "transport: telnet sends all of it in clear text, logins too"
    if device.host_keys == "accept_any":
        yield "host_keys: accept_any lets anybody on the way read and change everything"


def _login_doubts(device: Device) -> Iterator[str]:
    for key, secret in device.secrets.items():
        if why := secret.missing():
            yield f"{key}: {why}"
        if secret.kind == "plain":
            yield f"{key} is in plain text in the file"
    for path in device.key_files:
        if why := _key_doubt(path):
            yield f"key_file: {why}"
    for path in device.certificates:
        if not path.is_file():
            yield f"certificate: there is no file {path}"
    if device.agent and "SSH_AUTH_SOCK" not in os.environ:
        yield "agent: no SSH agent runs here (SSH_AUTH_SOCK is not set)"
    if device.key_passphrase is not None and not device.key_files:
        yield "key_passphrase is given, but no key_file"
    if not device.agent and device.password is None and not device.key_files:
        yield "there is nothing to log in with: no password, key_file or agent"


def _key_doubt(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is not a regular file"
    if found.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user"
    return f"{path} is open to others, chmod 600 it" if found.st_mode & 0o077 else ""


def _writable(path: Path) -> Iterator[str]:
    """Who can write the inventory decides where passwords are sent."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # gone since it was read: `problem` says so
    if mode & 0o022:
        yield f"{path} can be written by others (mode {stat.S_IMODE(mode):04o}), chmod go-w it"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
