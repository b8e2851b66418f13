"""The devices that may be reached: what is known of each, and the file that is read again when it changes.

`inventory_file` (pydantic, YAML) is imported at the first read, which the start of the server does not wait for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import selectors
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.settings import HOW_TO_BEGIN

HostKeyMode = Literal["strict", "tofu", "accept_any", ""]
Platforms = Mapping[str, str]  # every name that an inventory may use -> the platform's own name

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """One host of the inventory, inheritance resolved. Times are seconds; `idle_timeout` closes an unused session.

    `groups` holds the host's groups and theirs, nearest first. `jump` is the whole way in hop order: connect to each
    in turn and follow no hop's own `jump`. `host_keys` "" means the server's mode. `keepalive` 0 turns it off.
    """

    name: str
    hostname: str
    port: int
    platform: str
    username: str
    groups: tuple[str, ...] = ()
    data: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    password: Secret | None = None
    enable: Secret | None = None
    sudo: Secret | None = None
    key_passphrase: Secret | None = None
    key_files: tuple[Path, ...] = ()
    agent: bool = False
    jump: tuple[str, ...] = ()
    connect_timeout: float = 15.0
    timeout: float = 60.0
    keepalive: float = 20.0
    idle_timeout: float = 7200.0
    max_sessions: int = 2
    host_keys: HostKeyMode = ""
    host_key: str = ""

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """Key of the inventory -> its secret, those that are set."""
        keys = {
            "password": self.password,
            "enable": self.enable,
            "sudo": self.sudo,
            "key_passphrase": self.key_passphrase,
        }
        return {key: secret for key, secret in keys.items() if secret is not None}


@dataclass(frozen=True, slots=True)
class Inventory:
    """Devices in file order, and groups with their members (those of their subgroups too) in that order.

    `problem` is "" or says why the file on disk is not what is in use.
    """

    devices: Mapping[str, Device]
    groups: Mapping[str, tuple[str, ...]]
    problem: str = ""

    def device(self, name: str) -> Device:
        """The device called `name`; InputError with the nearest names."""
        if found := self.devices.get(name):
            return found
        raise InputError(
            f"there is no device {name[:80]!r} in the inventory; {did_you_mean(name[:80], self.devices)}",
            hint="`list_devices` shows them all; selectors such as @group or key=value name several.",
        )

    def select(self, targets: str) -> tuple[Device, ...]:
        """The devices that the selector picks, in inventory order; InputError when it picks none."""
        return selectors.select(self, targets)


class InventorySource:
    """Inventory files as one inventory, read on first use and again when a file has changed.

    Of several files the later one wins, per host and per group. `platforms` maps every allowed name to the platform's
    own name (or is a set of such names); as a callable it is asked at each read, so it may be expensive.
    """

    def __init__(
        self, paths: Sequence[Path], platforms: Callable[[], Platforms] | Platforms | AbstractSet[str]
    ) -> None:
        self.paths = tuple(paths)
        self._platforms = platforms
        self._seen: _Stamps = ()
        self._inventory: Inventory | None = None

    def current(self) -> Inventory:
        """The inventory as it is on disk now, or the last good one with `problem` set; blocks only to read files.

        InputError when there has never been a good one.
        """
        if not self.paths:
            raise InputError("there is no inventory, so there are no devices", hint=f"{HOW_TO_BEGIN} Then start again.")
        stamps = tuple(_stamp(path) for path in self.paths)  # before reading: an edit meanwhile is seen next time
        last = self._inventory
        if last is not None and stamps == self._seen:
            return last
        from netssh_mcp.knowledge.inventory_file import load  # noqa: PLC0415 - see the top

        try:
            now = load(self.paths, self._allowed())
        except InputError as error:
            if last is None:
                raise
            now = Inventory(last.devices, last.groups, f"The inventory as it was before is still in use. {error}")
            _log.warning("%s", now.problem)
        self._inventory, self._seen = now, stamps
        return now

    def _allowed(self) -> Platforms:
        allowed = self._platforms() if callable(self._platforms) else self._platforms
        return allowed if isinstance(allowed, Mapping) else {name: name for name in sorted(allowed)}


_Stamps = tuple[tuple[int, int, int, int] | None, ...]


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    """What changes when the file does; its mode too, on which plain-text secrets depend. None: it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on every call: half the time of Path.stat
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
