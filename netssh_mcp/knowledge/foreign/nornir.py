"""Nornir's SimpleInventory: hosts, groups and defaults in a file each, by a config file, a folder, or the hosts file.

Inheritance is Nornir's (core/inventory.py): the host's own value, else that of its groups in order, each with its own
groups behind it, else the defaults'. `connection_options: netmiko` beats the general values wherever it is inherited
from. Everything is resolved here, so that an unknown platform costs the hosts that have it and no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netssh_mcp.knowledge.foreign.draft import Draft, mapping, port, text
from netssh_mcp.knowledge.yaml_lines import Document

_SECTIONS: Final = ("hosts", "groups", "defaults")
_OPTIONS: Final = {"host_file": "hosts", "group_file": "groups", "defaults_file": "defaults"}
_BOTH: Final = ("hostname", "port", "username", "password", "platform")  # general and per connection


@dataclass(frozen=True, slots=True)
class _Level:
    """A host, a group or the defaults, and the file that it is in."""

    values: Mapping[str, object]
    document: Document

    @property
    def netmiko(self) -> Mapping[str, object]:
        return mapping(mapping(self.values.get("connection_options")).get("netmiko"))

    @property
    def extras(self) -> Mapping[str, object]:
        return mapping(self.netmiko.get("extras"))


def read(draft: Draft) -> None:
    """The hosts of the inventory."""
    files = _files(draft)
    draft.path = files["hosts"]
    hosts = _document(draft, files["hosts"], needed=True)
    assert hosts is not None
    groups, defaults = (_document(draft, files[section]) for section in ("groups", "defaults"))
    listed = {name: _Level(mapping(each), groups) for name, each in _entries(groups)} if groups else {}
    last = [_Level(mapping(defaults.content), defaults)] if defaults else []
    for name, level in listed.items():
        draft.group(name, [parent for parent in _groups(level) if parent in listed])
    for name, value in _entries(hosts):
        _host(draft, name, _Level(mapping(value), hosts), listed, last)


def _files(draft: Draft) -> dict[str, Path]:
    """Where hosts, groups and defaults are, found as the operator gave it."""
    path = draft.path
    if path.is_dir():
        config = next((path / name for name in ("config.yaml", "config.yml") if (path / name).is_file()), None)
        draft.look(path)
        return _usual(path) if config is None else _configured(draft, config)
    content = draft.read(path).content
    if isinstance(content, Mapping) and isinstance(content.get("inventory"), Mapping):
        return _configured(draft, path)
    return {**_usual(path.parent), "hosts": path}


def _usual(folder: Path) -> dict[str, Path]:
    def there(section: str) -> Path:
        tries = (folder / f"{section}.yaml", folder / f"{section}.yml")
        return next((path for path in tries if path.is_file()), tries[0])

    return {section: there(section) for section in _SECTIONS}


def _configured(draft: Draft, config: Path) -> dict[str, Path]:
    """The files that a config names; Nornir starts relative paths in its working folder, here it is the config's."""
    inventory = mapping(mapping(draft.read(config).content).get("inventory"))
    plugin = inventory.get("plugin", "SimpleInventory")
    if plugin != "SimpleInventory":
        raise draft.wrong(f"its inventory plugin is {str(plugin)[:60]!r}; only SimpleInventory is read")
    options = mapping(inventory.get("options"))
    files = _usual(config.parent)
    for option, section in _OPTIONS.items():
        if given := text(options.get(option)):
            path = config.parent / given
            if not path.resolve().is_relative_to(config.parent.resolve()):
                raise draft.wrong(f"{option} is outside of the config's folder; give the hosts file: nornir:{given}")
            files[section] = path
    return files


def _document(draft: Draft, path: Path, *, needed: bool = False) -> Document | None:
    draft.look(path)
    if not needed and not path.is_file():
        return None
    document = draft.read(path)
    if document.content is not None and not isinstance(document.content, Mapping):
        raise draft.wrong(f"{path} is no mapping of names")
    if needed and _is_ours(document.content):
        raise draft.wrong("this is no hosts file of Nornir: it begins with the name of a host", 1)
    return document


def _is_ours(content: object) -> bool:
    return isinstance(content, Mapping) and ({"all", "topology", "hosts"} & set(content) != set())


def _entries(document: Document) -> Iterator[tuple[str, object]]:
    return iter(mapping(document.content).items())


def _groups(level: _Level) -> list[str]:
    written = level.values.get("groups")
    return [name for name in written if isinstance(name, str)] if isinstance(written, list) else []


def _lineage(names: Sequence[str], groups: Mapping[str, _Level], seen: dict[str, _Level]) -> dict[str, _Level]:
    for name in names:
        if name in groups and name not in seen:
            seen[name] = groups[name]
            _lineage(_groups(groups[name]), groups, seen)
    return seen


def _host(draft: Draft, name: str, own: _Level, groups: Mapping[str, _Level], defaults: Sequence[_Level]) -> None:
    if unknown := [group for group in _groups(own) if group not in groups]:
        draft.note(f"its group {unknown[0]!r} is in no groups file", name)
    levels = (own, *_lineage(_groups(own), groups, {}).values(), *defaults)
    found = {key: _first(levels, key) for key in _BOTH}
    platform = draft.platform(found["platform"][0], name)
    if not platform:
        return
    password, where = found["password"]
    secret, beside = _extra(levels, "secret")
    phrase, there = _extra(levels, "passphrase")
    key_file = _extra(levels, "key_file")[0]
    values = {
        "hostname": text(found["hostname"][0]) or name,
        "port": port(found["port"][0]),
        "username": text(found["username"][0]),
        "platform": platform,
        "password": draft.secret(password, "password", name, where),
        "enable": draft.secret(secret, "secret", name, beside),
        "key_passphrase": draft.secret(phrase, "passphrase", name, there),
        "key_file": text(key_file),
        "groups": [group for group in dict.fromkeys(_groups(own)) if group in draft.groups],
        "data": draft.facts(_data(levels)),
    }
    draft.host(name, values, (name,))


def _first(levels: Sequence[_Level], key: str) -> tuple[object, Document | None]:
    for held in (*((level.netmiko, level) for level in levels), *((level.values, level) for level in levels)):
        if held[0].get(key) is not None:
            return held[0][key], held[1].document
    return None, None


def _extra(levels: Sequence[_Level], key: str) -> tuple[object, Document | None]:
    """What Netmiko gets besides: Nornir takes the extras of the first level that has any, as a whole."""
    level = next((level for level in levels if level.extras), None)
    return (level.extras.get(key), level.document) if level else (None, None)


def _data(levels: Sequence[_Level]) -> dict[str, object]:
    found: dict[str, object] = {}
    for level in reversed(levels):
        found.update(mapping(level.values.get("data")))
    return found
