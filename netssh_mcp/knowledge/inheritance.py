"""From the entries of inventory files to devices: inheritance, what the environment says, ways through jump hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.env_file import Environment
from netssh_mcp.knowledge.foreign.draft import Foreign
from netssh_mcp.knowledge.inventory import Credential, Device, Inventory, Origin, ProxyCommand
from netssh_mcp.knowledge.inventory_schema import CredentialSet, Defaults, Group, Host
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.overlay import SENT, Allowance
from netssh_mcp.knowledge.overrides import Overrides, alias
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.ssh_hosts import SshHosts
from netssh_mcp.knowledge.targets import LINUX, Target
from netssh_mcp.knowledge.yaml_lines import Document, Problem

TELNET: Final = "telnet"
_NO_HOP: Final = "only hosts of the operator's own files are jump hosts"


@dataclass(frozen=True, slots=True)
class Sources:
    """What an inventory is made of besides its files."""

    platforms: Mapping[str, str]
    environment: Environment
    ssh: SshHosts | None = None
    overlay: Path | None = None  # need not be there
    ad_hoc: bool = False
    foreign: Mapping[Path, Foreign] = field(default_factory=dict)  # what other tools' files say, already read


@dataclass(frozen=True, slots=True)
class Entry:
    """A host or group as its file has it."""

    document: Document
    section: str
    name: str
    spec: Host | Group
    origin: Origin = "file"

    def problem(self, text: str, *key: str) -> Problem:
        line = self.document.line(self.section, self.name, *key)
        return Problem(self.document.path, line, f"{'.'.join((self.section, self.name, *key))}: {text}")


@dataclass(slots=True)
class Merged:
    """All files as one: defaults key by key, hosts and groups as a whole."""

    defaults: dict[str, object] = field(default_factory=dict)
    data: dict[str, object] = field(default_factory=dict)
    groups: dict[str, Entry] = field(default_factory=dict)
    hosts: dict[str, Entry] = field(default_factory=dict)
    unlisted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)

    def allowance(self) -> Allowance:
        """What hosts may use that are in none of the operator's files."""
        entries = (*self.groups.values(), *(entry for entry in self.hosts.values() if entry.origin == "file"))
        held = [self.defaults, *(given(entry.spec) for entry in entries)]
        paths = {path for values in held for key in _NAMES.values() for path in _paths(values.get(key))}
        return Allowance(self.unlisted.get("secrets", ()), self.unlisted.get("groups", ()), frozenset(paths))


def _paths(value: object) -> tuple[Path, ...]:
    return value if isinstance(value, tuple) else ()


class Inherited:
    """Devices from entries: the host's own value, else its groups' in order (a group's own groups behind it), else
    the defaults'; `data` so for each of its keys. This is Nornir's rule."""

    def __init__(self, merged: Merged, problems: list[Problem], sources: Sources) -> None:
        self._merged = merged
        self._problems = problems
        self._ssh = sources.ssh
        self._sources = sources
        self._allowance = merged.allowance()
        self._overrides = Overrides(sources.environment)
        self._ancestors: dict[str, tuple[str, ...]] = {}

    def inventory(self) -> Inventory:
        self._group_loops()
        if self._problems:
            return Inventory({}, {})
        entries = self._merged.hosts
        for one, other in self._overrides.doubtful(entries):
            mine = f"NETSSH_{alias(one)}_..."
            self._problems.append(
                entries[other].problem(f"{mine} variables would be this host's and {one}'s; rename one")
            )
        lineages = {name: self._lineage(entry.spec.groups) for name, entry in entries.items()}
        values = {name: self._values(entry, lineages[name]) for name, entry in entries.items()}
        withheld = frozenset(secret.variable for held in values.values() for secret in _secrets(held)) - {""}
        hidden = self._hidden(values)
        every = {**values, **hidden}
        devices = {name: self._device(name, lineages[name], every, withheld) for name in entries}
        hops = {name: self._device(name, (), every, withheld) for name in hidden}
        members = {
            group: tuple(name for name, lineage in lineages.items() if group in lineage)
            for group in self._merged.groups
        }
        return Inventory(
            MappingProxyType(devices),
            MappingProxyType(members),
            hops=MappingProxyType(hops),
            doubts=(*self._merged.doubts, *(self._ssh.doubts if self._ssh else ())),
            allowance=self._allowance,
            ad_hoc=(lambda target: self._ad_hoc(target, every, withheld)) if self._sources.ad_hoc else None,
        )

    def _ad_hoc(self, target: Target, every: Mapping[str, dict[str, object]], withheld: frozenset[str]) -> Device:
        """A device in no file: the defaults, but for what only listed hosts get. ssh_config says nothing of it."""
        name, platform = target.name, target.platform or LINUX
        if platform not in self._sources.platforms:
            raise InputError(
                f"{name[:80]!r}: there is no platform {platform!r}; {did_you_mean(platform, self._sources.platforms)}",
                hint="Write platform/user@host, such as cisco_ios/admin@192.0.2.1; without one it is linux.",
            )
        own = {"hostname": target.host, "port": target.port or 22, "username": target.user}
        values, held = self._restricted({**self._merged.defaults, **own, "platform": self._sources.platforms[platform]})
        values |= {"origin": "ad_hoc", "withheld": held}
        found = self._overrides.of(name, _no_problem, written=False)
        if found.values.get("hostname") == target.host:  # the operator means this address
            secret = {key: value for key, value in found.values.items() if key not in (*own, "platform")}
            values |= {**secret, "overridden": found.used}
        return self._device(name, (), {**every, name: values}, withheld)

    def _restricted(self, values: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
        """Without the secrets that may not go to an address which the operator did not write, and their keys."""
        held = [
            key for key in SENT if isinstance(each := values.get(key), Secret) and not self._allowance.permits(each)
        ]
        left = {key: value for key, value in values.items() if key not in held}
        if sets := _credentials(values):
            sent = [replace(each, key_passphrase=None) for each in sets]
            fine = [
                each
                for each, seen in zip(sets, sent, strict=True)
                if all(self._allowance.permits(secret) for secret in _held(seen).values())
            ]
            left["credentials"] = tuple(fine)
            held += ["credentials"] if len(fine) < len(sets) else []
        return left, tuple(held)

    def _overridden(self, entry: Entry, values: dict[str, object]) -> dict[str, object]:
        """With what the environment says of the host, which wins over every file."""
        unlisted = entry.origin != "file"
        held: tuple[str, ...] = ()
        if unlisted:
            values, held = self._restricted(values)
        found = self._overrides.of(
            entry.name, lambda text: self._problems.append(entry.problem(text)), written=not unlisted
        )
        more: dict[str, object] = {"origin": entry.origin, "overridden": found.used}
        return {**values, **found.values, **more, "withheld": (*held, *found.unused)}

    def _hidden(self, values: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        """The jump hosts that only ssh_config names. An added host is none of them, and on nobody's way."""
        entries = self._merged.hosts
        listed = {name: held for name, held in values.items() if entries[name].origin == "file"}
        found = self._named_hops(listed)
        for name in values.keys() - listed.keys():
            if name in found:
                self._problems.append(entries[name].problem("ssh_config has a jump host of this name; choose another"))
            if wrong := [hop for hop in _hops(values[name]) if hop in values and hop not in listed]:
                self._problems.append(entries[name].problem(f"{wrong[0]} is an added host itself; {_NO_HOP}", "jump"))
            elif _hops(values[name]):
                found = {**self._named_hops({**listed, name: values[name]}), **found}
        return found

    def _named_hops(self, values: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        try:
            return self._ssh.hops(values) if self._ssh else {}
        except InputError as error:
            self._problems.append(Problem(self._ssh.config.files[0] if self._ssh else Path(), 1, str(error)))
            return {}

    def _group_loops(self) -> None:
        groups = self._merged.groups
        for name, entry in groups.items():
            waiting, seen = list(entry.spec.groups), set[str]()
            while waiting:
                ancestor = waiting.pop()
                if ancestor == name:
                    self._problems.append(entry.problem("the group inherits from itself", "groups"))
                    break
                if ancestor not in seen:
                    seen.add(ancestor)
                    waiting += groups[ancestor].spec.groups

    def _lineage(self, groups: Sequence[str]) -> tuple[str, ...]:
        """The groups and theirs, depth first, each once; there are no loops any more."""
        found: dict[str, None] = {}
        for group in groups:
            if group not in self._ancestors:
                self._ancestors[group] = (group, *self._lineage(self._merged.groups[group].spec.groups))
            found.update(dict.fromkeys(self._ancestors[group]))
        return tuple(found)

    def _values(self, entry: Entry, lineage: Sequence[str]) -> dict[str, object]:
        """What the host has and inherits, by the names of `Device`."""
        merged = self._merged
        specs: list[Group] = [*(merged.groups[group].spec for group in reversed(lineage)), entry.spec]
        values, data = dict(merged.defaults), dict(merged.data)
        for spec in specs:
            values.update(given(spec))
            data.update(spec.data)
        values = self._overridden(entry, values)
        sets = _credentials(values)
        if sets and all(each.username for each in sets):
            values.setdefault("username", sets[0].username)
        alias = values.pop("ssh_config", entry.name)
        if entry.origin != "file":
            values.pop("transport", None)  # a group's word for its own hosts, and none for those that a caller names
        telnet = values.get("transport") == TELNET
        if telnet and values.get("platform") == LINUX:
            self._problems.append(entry.problem("telnet is for network devices; a Linux host has SSH", "transport"))
        if self._ssh and alias and not telnet:  # what it says is said of SSH: the port, the keys
            try:
                values = self._ssh.completed(str(alias), values)
            except InputError as error:
                self._problems.append(entry.problem(str(error)))
        for key in ("platform", "username"):
            if key not in values:
                text = f"there is no {key}; give it here, in one of the host's groups or in defaults"
                self._problems.append(entry.problem(text))
        return values | {"data": MappingProxyType(data)}

    def _device(
        self, name: str, lineage: tuple[str, ...], values: Mapping[str, dict[str, object]], withheld: frozenset[str]
    ) -> Device:
        own = _withholding(values[name], withheld)
        sets = tuple(replace(each, **_withholding(_held(each), withheld)) for each in _credentials(values[name]))
        own |= {"credentials": sets}
        own.setdefault("agent", not own.get("password") and not own.get("key_files") and not sets)
        own["jump"] = self._way(name, values)
        self._no_telnet_on_the_way(name, own["jump"], values)
        port = 23 if own.get("transport") == TELNET else 22
        fields = {"hostname": name, "port": port, "platform": "", "username": "", **own}
        return Device(name=name, groups=lineage, **fields)

    def _no_telnet_on_the_way(self, name: str, way: Sequence[str], values: Mapping[str, dict[str, object]]) -> None:
        wrong = next((hop for hop in way if values.get(hop, {}).get("transport") == TELNET), "")
        if wrong and (entry := self._merged.hosts.get(name)):
            self._problems.append(entry.problem(f"{wrong} is reached by telnet and is no jump host", "jump"))

    def _way(self, name: str, values: Mapping[str, dict[str, object]]) -> tuple[str, ...]:
        """The whole way to a host: its hops, before them what its first hop needs, and so on."""
        hops = _hops(values[name])
        while hops and all(hop in values for hop in hops):
            if name in hops or len(set(hops)) != len(hops):
                text = f"the way {' -> '.join((*hops, name))} is a loop; `jump: []` at a host ends what it inherits"
                entry = self._merged.hosts.get(name)
                where = self._ssh.config.files[0] if self._ssh else Path()
                self._problems.append(entry.problem(text, "jump") if entry else Problem(where, 1, text))
                return ()
            before = _hops(values[hops[0]])
            if not before:
                break
            hops = before + hops
        return hops


def _no_problem(_text: str) -> None:
    """A variable that cannot be used is on no list: the target is written out."""


def _hops(values: Mapping[str, object]) -> tuple[str, ...]:
    hops = values.get("jump", ())
    return hops if isinstance(hops, tuple) else ()


def given(spec: Defaults) -> dict[str, object]:
    """The keys that the file gives, by the names of `Device`; `groups` and `data` are merged in other ways."""
    found: dict[str, object] = {}
    for key in spec.model_fields_set - {"groups", "data"}:
        value = getattr(spec, key)
        if key == "credentials":
            value = [Credential(**_named(each)) for each in spec.credentials]
        found[_NAMES.get(key, key)] = tuple(value) if isinstance(value, list) else value
    return found


_NAMES: Final = {"key_file": "key_files", "certificate": "certificates"}


def _named(given: CredentialSet) -> dict[str, Any]:
    values = {key: getattr(given, key) for key in CredentialSet.model_fields}
    return {_NAMES.get(key, key): tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _credentials(values: Mapping[str, object]) -> tuple[Credential, ...]:
    sets = values.get("credentials", ())
    return sets if isinstance(sets, tuple) else ()


def _held(credential: Credential) -> dict[str, Any]:
    keys = {key: getattr(credential, key) for key in ("password", "enable", "key_passphrase")}
    return {key: secret for key, secret in keys.items() if secret is not None}


def _secrets(values: Mapping[str, object]) -> Iterator[Secret]:
    """The host's own secrets and those of its credential sets."""
    held = [values, *(_held(each) for each in _credentials(values))]
    return (secret for each in held for secret in each.values() if isinstance(secret, Secret))


def _withholding(values: Mapping[str, Any], withheld: frozenset[str]) -> dict[str, Any]:
    def held(value: Any) -> Any:  # noqa: ANN401 - a value of any key
        if isinstance(value, ProxyCommand):
            return replace(value, withheld=withheld)
        return value.withholding(withheld) if isinstance(value, Secret) else value

    return {key: held(value) for key, value in values.items()}
