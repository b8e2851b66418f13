"""The devices that may be reached: what is known of each, and the file that is read again when it changes.

`inventory_file` (pydantic, YAML) is imported at the first read, which the start of the server does not wait for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import selectors, targets
from netssh_mcp.knowledge.env_file import Environment
from netssh_mcp.knowledge.foreign.forms import Form
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.overlay import Allowance
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.settings import HOW_TO_BEGIN, Settings
from netssh_mcp.knowledge.vault import Vault

if TYPE_CHECKING:
    from netssh_mcp.knowledge.foreign.draft import Foreign
    from netssh_mcp.knowledge.ssh_hosts import SshHosts

HostKeyMode = Literal["strict", "tofu", "pinned", "accept_any", ""]
Origin = Literal["file", "added", "ad_hoc"]
Transport = Literal["ssh", "telnet"]
Platforms = Mapping[str, str]  # every name that an inventory may use -> the platform's own name

_LEGACY = (
    "legacy: true: SSH with this host may use SHA-1, CBC or 3DES, which can be broken. Upgrade it, or give it newer "
    "keys, and remove the setting."
)
_TELNET = (
    "transport: telnet: all of it crosses the network in clear text, logins too; nothing proves which device "
    "answers. Turn on SSH there as soon as it has it, and remove the setting."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProxyCommand:
    """A program that is the way to a host: a shell's line with its tokens filled in.

    It does not see the environment variables `withheld`, which hold secrets of the inventory.
    """

    line: str = field(repr=False)
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Credential:
    """One way to log in, of those that are tried in order. `username` "" and `enable` None are the host's own."""

    username: str = ""
    password: Secret | None = None
    enable: Secret | None = None
    key_passphrase: Secret | None = None
    key_files: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    agent: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """One host of the inventory, inheritance resolved. Times are seconds; `idle_timeout` closes an unused session.

    `groups` holds the host's groups and theirs, nearest first. `jump` is the whole way in hop order: connect to each
    in turn and follow no hop's own `jump`. `host_keys` "" means the server's mode. `keepalive` 0 turns it off.
    `credentials` are further ways to log in, tried in order behind the host's own; see `sets`.
    What only ssh_config gives: `proxy_command` counts where no hop comes before, `host_key_alias` is the host's name in
    known_hosts files, without a port, and `known_hosts` are files to read besides the server's.
    `transport` telnet is an operator's word only, and `login_rate` how many logins to it may begin in a minute.
    `origin` is who named it: a file of the operator, the `host` tool, or the caller as user@host. `overridden` are the
    variables that say more of it, `withheld` the secrets that it does not get since the operator did not say so.
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
    certificates: tuple[Path, ...] = ()
    agent: bool = False
    credentials: tuple[Credential, ...] = ()
    jump: tuple[str, ...] = ()
    connect_timeout: float = 15.0
    timeout: float = 60.0
    keepalive: float = 20.0
    idle_timeout: float = 7200.0
    max_sessions: int = 2
    login_rate: int = 60
    host_keys: HostKeyMode = ""
    host_key: str = ""
    legacy: bool = False
    transport: Transport = "ssh"
    proxy_command: ProxyCommand | None = None
    host_key_alias: str = ""
    known_hosts: tuple[Path, ...] = ()
    origin: Origin = "file"
    overridden: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def unlisted(self) -> bool:
        """Whether a caller named it and not the operator: no rule's permission holds for its name or address."""
        return self.origin != "file"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of its results should know of the way to it."""
        return (*((_LEGACY,) if self.legacy else ()), *((_TELNET,) if self.transport == "telnet" else ()))

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

    def sets(self) -> tuple[Device, ...]:
        """This device once for each of its credential sets, in the order in which they are tried; at least one."""
        own = replace(self, credentials=())
        further = tuple(
            replace(
                own,
                username=each.username or self.username,
                password=each.password,
                enable=each.enable or self.enable,
                key_passphrase=each.key_passphrase,
                key_files=each.key_files,
                certificates=each.certificates,
                agent=each.agent,
            )
            for each in self.credentials
        )
        has_own = self.password is not None or self.key_files or self.agent
        return (own, *further) if has_own or not further else further


AdHoc = Callable[["targets.Target"], Device]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Devices in file order, and groups with their members (those of their subgroups too) in that order.

    `problem` is "" or says why the file on disk is not what is in use. `hops` are jump hosts that only ssh_config
    names: ways lead through them, and no tool can ask them anything. `doubts` are what ssh_config says in vain.
    `allowance` is what hosts may use that no file of the operator has. `ad_hoc` makes a device of `user@host`; None
    where the operator does not allow that.
    """

    devices: Mapping[str, Device]
    groups: Mapping[str, tuple[str, ...]]
    problem: str = ""
    hops: Mapping[str, Device] = field(default_factory=lambda: MappingProxyType({}))
    doubts: tuple[str, ...] = ()
    allowance: Allowance = field(default_factory=Allowance)
    ad_hoc: AdHoc | None = field(default=None, compare=False, repr=False)

    def device(self, name: str) -> Device:
        """The device called `name`; InputError with the nearest names."""
        if found := self.devices.get(name) or targets.find(self, name):
            return found
        raise InputError(
            f"there is no device {name[:80]!r} in the inventory; {did_you_mean(name[:80], self.devices)}",
            hint="`list_devices` shows them all. Here one device is named; `show`, `run` and `list_devices` also take "
            "selectors such as @group or key=value, which name several.",
        )

    def way(self, device: Device) -> tuple[Device, ...]:
        """All hops to the device in order, itself last."""
        return (*(self.devices.get(hop) or self.hops[hop] for hop in device.jump), device)

    def select(self, wanted: str) -> tuple[Device, ...]:
        """The devices that the selector picks, in inventory order; InputError when it picks none."""
        return selectors.select(self, wanted)


class InventorySource:
    """Inventory files as one inventory, read on first use and again when a file has changed.

    Of several files the later one wins, per host and per group. `platforms` maps every allowed name to the platform's
    own name (or is a set of such names); as a callable it is asked at each read, so it may be expensive. `vault` learns
    each secret of theirs that is revealed. `overlay` is the file of added hosts, read last, which need not be there.
    `foreign` are those of the files that are written for other tools.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        platforms: Callable[[], Platforms] | Platforms | AbstractSet[str],
        vault: Vault | None = None,
        *,
        ssh_config: Path | None = None,
        overlay: Path | None = None,
        env_file: Path | None = None,
        ad_hoc: bool = False,
        foreign: Mapping[Path, Form] = MappingProxyType({}),
    ) -> None:
        self.paths = tuple(paths)
        self.foreign = foreign
        self._foreign_files: tuple[Path, ...] = ()
        self.overlay = overlay
        self.ad_hoc = ad_hoc
        self.ssh_config = ssh_config  # None: not used, whatever is in the user's home
        self._ssh_files: tuple[Path, ...] = (ssh_config,) if ssh_config else ()
        self.vault = vault or Vault()
        self.environment = Environment(env_file, self.vault)
        self._platforms = platforms
        self._seen: _Stamps = ()
        self._inventory: Inventory | None = None

    @classmethod
    def of(
        cls, settings: Settings, platforms: Callable[[], Platforms] | Platforms, vault: Vault | None = None
    ) -> InventorySource:
        """As the operator set it."""
        return cls(
            settings.inventory,
            platforms,
            vault,
            ssh_config=settings.ssh_config,
            overlay=settings.edit_hosts,
            env_file=settings.env_file,
            ad_hoc=settings.ad_hoc,
            foreign=dict(settings.foreign),
        )

    def current(self) -> Inventory:
        """The inventory as it is on disk now, or the last good one with `problem` set; blocks only to read files.

        InputError when there has never been a good one.
        """
        if not self.paths and self.overlay is None and not self.ad_hoc:
            raise InputError("there is no inventory, so there are no devices", hint=f"{HOW_TO_BEGIN} Then start again.")
        stamps = self._stamps()  # before reading: an edit meanwhile is seen next time
        last = self._inventory
        if last is not None and stamps == self._seen:
            return last
        try:
            now = self.read(self.overlay)
        except InputError as error:
            if last is None:
                raise
            now = replace(last, problem=f"The inventory as it was before is still in use. {error}")
            if now.problem != last.problem:
                _log.warning("%s", now.problem)
            if self.ssh_config is not None or self.foreign:
                stamps = ()  # the file that is broken may be one that it includes: look again each time
        if stamps and len(stamps) != len(self._files):
            stamps = self._stamps()  # what is included is known now
        self._inventory, self._seen = now, stamps
        return now

    def read(self, overlay: Path | None) -> Inventory:
        """The inventory as it would be with this overlay; changes nothing. InputError."""
        from netssh_mcp.knowledge.inheritance import Sources  # noqa: PLC0415 - see the top
        from netssh_mcp.knowledge.inventory_file import load  # noqa: PLC0415

        allowed = self._allowed()
        theirs = self._theirs(allowed)
        return load(self.paths, Sources(allowed, self.environment, self._ssh_hosts(), overlay, self.ad_hoc, theirs))

    @property
    def _files(self) -> tuple[Path, ...]:
        more = (path for path in (self.overlay, self.environment.path) if path is not None)
        return (*self.paths, *self._foreign_files, *self._ssh_files, *more)

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that say which hosts there are; with those that other tools have beside theirs."""
        return tuple(dict.fromkeys((*self.paths, *self._foreign_files)))

    def _stamps(self) -> _Stamps:
        return tuple(_stamp(path) for path in self._files)

    def _ssh_hosts(self) -> SshHosts | None:
        if self.ssh_config is None:
            return None
        from netssh_mcp.knowledge.ssh_config import SshConfig  # noqa: PLC0415 - as inventory_file
        from netssh_mcp.knowledge.ssh_hosts import SshHosts  # noqa: PLC0415

        config = SshConfig.read(self.ssh_config)
        self._ssh_files = config.files
        return SshHosts(config)

    def _theirs(self, allowed: Platforms) -> dict[Path, Foreign]:
        if not self.foreign:
            return {}
        from netssh_mcp.knowledge.foreign.reading import read  # noqa: PLC0415 - as inventory_file

        found = {path: read(form, path, allowed) for path, form in self.foreign.items()}
        self._foreign_files = tuple(path for each in found.values() for path in each.files)
        return found

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
