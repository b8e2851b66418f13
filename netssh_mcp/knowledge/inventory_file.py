"""From inventory files to an `Inventory`: read, check everything, merge, inherit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.inventory import Credential, Device, Inventory, ProxyCommand
from netssh_mcp.knowledge.inventory_schema import (
    CredentialSet,
    Defaults,
    File,
    Group,
    Host,
    Known,
    explained,
    misnamed,
)
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.ssh_hosts import SshHosts
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.knowledge.yaml_lines import Document, Problem, read

MOST_PROBLEMS: Final = 10
_HINT: Final = "Correct the file; it is read again at the next call. `netssh-mcp inventory check` reads it now."

_Model = TypeVar("_Model", bound=BaseModel)


def load(paths: Sequence[Path], platforms: Mapping[str, str], vault: Vault, ssh: SshHosts | None = None) -> Inventory:
    """The inventory of the files, later ones winning per host and group. InputError lists up to 10 problems."""
    problems: list[Problem] = []
    inventory = _loaded(paths, platforms, vault, ssh, problems)
    _raise(problems)  # here, where no local holds what a file has in plain text
    return inventory


def _loaded(
    paths: Sequence[Path],
    platforms: Mapping[str, str],
    vault: Vault,
    ssh: SshHosts | None,
    problems: list[Problem],
) -> Inventory:
    documents = [read(path) for path in paths]
    tops = [_Check(document, problems).top() for document in documents]
    groups = {name: None for top in tops for name in top.groups}  # a set that keeps the order
    hosts = {name: None for top in tops for name in top.hosts}
    merged = _Merged()
    for document, top in zip(documents, tops, strict=True):
        problems += document.doubled
        if top.allow_plaintext and not document.private:
            text = f"needs a file of your own with mode 0600; it is {document.mode:04o}. chmod 600 {document.path}"
            problems.append(Problem(document.path, document.line("allow_plaintext"), f"allow_plaintext: {text}"))
        known = Known(document.path.parent, top.allow_plaintext, platforms, groups, hosts, vault)
        merged.add(top, _Check(document, problems, known))
    if not hosts and not problems:
        problems.append(Problem(paths[-1], 1, "there are no hosts; begin with `hosts:`, see inventory.example.yaml"))
    return Inventory({}, {}) if problems else _Inherited(merged, problems, ssh).inventory()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A host or group as its file has it."""

    document: Document
    section: str
    name: str
    spec: Host | Group

    def problem(self, text: str, *key: str) -> Problem:
        line = self.document.line(self.section, self.name, *key)
        return Problem(self.document.path, line, f"{'.'.join((self.section, self.name, *key))}: {text}")


@dataclass(frozen=True, slots=True)
class _Check:
    """Checks parts of one file against the schema and adds what is wrong to `problems`."""

    document: Document
    problems: list[Problem]
    known: Known | None = None

    def top(self) -> File:
        """The top level; what is wrong there is left out, so that the rest is checked too."""
        content = self.document.content
        if found := self.model(File, content):
            return found
        if not isinstance(content, dict):
            return File()
        alone = _Check(self.document, [])
        sound = {key: value for key, value in content.items() if alone.model(File, {key: value}) is not None}
        return File.model_validate(sound)

    def model(self, model: type[_Model], content: object, *where: str) -> _Model | None:
        """The content as `model`, or None when it is not one."""
        try:
            return model.model_validate(content, context=self.known)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                place = (*where, *each["loc"])
                named = ".".join(str(step) for step in place if step != "[key]")
                text = explained(each, model)
                line = self.document.line(*place)
                self.problems.append(Problem(self.document.path, line, f"{named}: {text}" if named else text))
        return None

    def entries(self, model: type[Group], section: str, written: Mapping[str, object]) -> Iterator[tuple[str, _Entry]]:
        for name, content in written.items():
            if wrong := misnamed(name):
                line = self.document.line(section, name)
                self.problems.append(Problem(self.document.path, line, f"{section}.{name}: {wrong}"))
            spec = self.model(model, {} if content is None else content, section, name)
            if spec is not None:
                yield name, _Entry(self.document, section, name, spec)


@dataclass(slots=True)
class _Merged:
    """All files as one: defaults key by key, hosts and groups as a whole."""

    defaults: dict[str, object] = field(default_factory=dict)
    data: dict[str, object] = field(default_factory=dict)
    groups: dict[str, _Entry] = field(default_factory=dict)
    hosts: dict[str, _Entry] = field(default_factory=dict)

    def add(self, top: File, check: _Check) -> None:
        if defaults := check.model(Defaults, top.defaults, "defaults"):
            self.defaults.update(_given(defaults))
            self.data.update(defaults.data)
        self.groups.update(check.entries(Group, "groups", top.groups))
        self.hosts.update(check.entries(Host, "hosts", top.hosts))


class _Inherited:
    """Devices from entries: the host's own value, else its groups' in order (a group's own groups behind it), else
    the defaults'; `data` so for each of its keys. This is Nornir's rule."""

    def __init__(self, merged: _Merged, problems: list[Problem], ssh: SshHosts | None) -> None:
        self._merged = merged
        self._problems = problems
        self._ssh = ssh
        self._ancestors: dict[str, tuple[str, ...]] = {}

    def inventory(self) -> Inventory:
        self._group_loops()
        if self._problems:
            return Inventory({}, {})
        entries = self._merged.hosts
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
        doubts = self._ssh.doubts if self._ssh else ()
        return Inventory(
            MappingProxyType(devices), MappingProxyType(members), hops=MappingProxyType(hops), doubts=doubts
        )

    def _hidden(self, values: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        """The jump hosts that only ssh_config names."""
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

    def _values(self, entry: _Entry, lineage: Sequence[str]) -> dict[str, object]:
        """What the host has and inherits, by the names of `Device`."""
        merged = self._merged
        specs: list[Group] = [*(merged.groups[group].spec for group in reversed(lineage)), entry.spec]
        values, data = dict(merged.defaults), dict(merged.data)
        for spec in specs:
            values.update(_given(spec))
            data.update(spec.data)
        sets = _credentials(values)
        if sets and all(each.username for each in sets):
            values.setdefault("username", sets[0].username)
        alias = values.pop("ssh_config", entry.name)
        if self._ssh and alias:
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
        fields = {"hostname": name, "port": 22, "platform": "", "username": "", **own}
        return Device(name=name, groups=lineage, **fields)

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


def _hops(values: Mapping[str, object]) -> tuple[str, ...]:
    hops = values.get("jump", ())
    return hops if isinstance(hops, tuple) else ()


def _given(spec: Defaults) -> dict[str, object]:
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


def _raise(problems: Iterable[Problem]) -> None:
    found = sorted(dict.fromkeys(problems), key=lambda problem: (str(problem.path), problem.line))
    if not found:
        return
    lines = [str(problem) for problem in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        lines.append(f"and {len(found) - MOST_PROBLEMS} more")
    count = "a problem" if len(found) == 1 else f"{len(found)} problems"
    raise InputError("\n".join((f"the inventory has {count}:", *lines)), hint=_HINT)
