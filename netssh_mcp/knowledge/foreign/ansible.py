"""Ansible's inventories, with the group_vars and host_vars folders beside them. Nothing is executed.

Variables win as in Ansible: groups by depth, then `ansible_group_priority`, then name, the later over the earlier; the
file's groups, group_vars/all, the other group_vars, the file's hosts, host_vars. All is resolved here, since a child
group's value beats its parents', which is not how groups inherit in our own files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign import ansible_ini, json_files
from netssh_mcp.knowledge.foreign.ansible_tree import ALL, DEEPEST, UNGROUPED, Tree, from_list, from_yaml
from netssh_mcp.knowledge.foreign.draft import Draft, Place, mapping, port, text
from netssh_mcp.knowledge.yaml_lines import Document, Tagged

# Variables of Ansible's are of every kind, so only these become facts that an agent sees and selectors use.
FACTS: Final = (
    *("site", "role", "tenant", "tags", "region", "location", "rack", "pod", "zone", "dc", "datacenter", "area"),
    *("env", "environment", "stage", "tier", "function", "vendor", "manufacturer", "model", "status", "asn"),
)
_USER: Final = ("ansible_user", "ansible_ssh_user")
_HOST: Final = ("ansible_host", "ansible_ssh_host")
_PORT: Final = ("ansible_port", "ansible_ssh_port")
_PASSWORD: Final = ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")
_KEY: Final = ("ansible_private_key_file", "ansible_ssh_private_key_file")
_BECOME: Final = ("ansible_become_password", "ansible_become_pass")
_SSH: Final = ("", "ssh", "smart", "paramiko", "paramiko_ssh", "libssh")
_CLI: Final = ("network_cli", "netconf", "httpapi")
_ENDINGS: Final = ("", ".yml", ".yaml", ".json")

_LISTED: Final = "give the output of `ansible-inventory --list` as a file"

_Value = tuple[object, Document]


def read(draft: Draft) -> None:
    """The hosts and groups of the inventory. InputError: a script, or what is no inventory."""
    path = draft.path
    document, tree = _tree(draft, path)
    folders = {name: _Folder.of(draft, path.parent / name) for name in ("group_vars", "host_vars")}
    parents = tree.parents()
    depths = _depths(draft, tree)
    groups = folders["group_vars"].variables(tree.groups)
    hosts = folders["host_vars"].variables(tree.hosts)
    for name in tree.groups:
        if name not in (ALL, UNGROUPED):
            draft.group(name, [parent for parent in parents.get(name, ()) if parent != UNGROUPED])
    own: dict[str, list[str]] = {name: [] for name in tree.hosts}
    for name, group in tree.groups.items():
        for host in group.hosts:
            own[host].append(name)
    for name, inline in tree.hosts.items():
        order = _order(tree, own[name], parents, depths)
        levels = [
            *((tree.groups[group].variables, document) for group in order),
            *(held for group in order for held in groups.get(group, ())),
            (inline, document),
            *hosts.get(name, ()),
        ]
        variables = {key: (value, where) for level, where in levels for key, value in level.items()}
        members = [group for group in own[name] if group in draft.groups]
        _host(draft, _Host(name, variables, document), members, tree.places[name])


def _tree(draft: Draft, path: Path) -> tuple[Document, Tree]:
    if path.is_dir():
        raise draft.wrong("this is a folder; give the file, its group_vars and host_vars are found beside it")
    if os.access(path, os.X_OK) and path.suffix in ("", ".py", ".sh"):
        raise draft.wrong(f"this can be executed, which is not done; {_LISTED}")
    try:
        if json_files.is_json(path):
            document = draft.read(path, json_files.read)
            content = mapping(document.content)
            return document, from_list(content) if "_meta" in content or not _nested(content) else from_yaml(document)
        if ansible_ini.is_ini(path):
            document = draft.read(path, ansible_ini.read)
            return document, ansible_ini.tree(document)
        document = draft.read(path)
        if not isinstance(document.content, Mapping):
            raise draft.wrong("this is no inventory of Ansible: it begins with the name of a group, such as `all:`", 1)
        if isinstance(document.content.get("plugin"), str):
            raise draft.wrong(f"this asks a plugin of Ansible's, which is not done; {_LISTED}")
        return document, from_yaml(document)
    except InputError as error:
        found = error if str(path) in error.message else draft.wrong(error.message)
    raise found


def _nested(content: Mapping[str, object]) -> bool:
    return any(isinstance(mapping(group).get("hosts"), Mapping) for group in content.values())


def _depths(draft: Draft, tree: Tree) -> dict[str, int]:
    """How far each group is from `all`, the longest way. InputError: a group is in itself."""
    depths = {ALL: 0}
    level = dict.fromkeys(name for name in tree.groups if name != ALL)
    for depth in range(1, DEEPEST + 2):
        if not level:
            return depths
        depths.update(dict.fromkeys(level, depth))
        level = {child: None for name in level for child in tree.groups[name].children if child != ALL}
    raise draft.wrong("a group is in itself by its children, or they are in each other too deep")


def _order(tree: Tree, own: Sequence[str], parents: Mapping[str, list[str]], depths: Mapping[str, int]) -> list[str]:
    """The groups of a host in the order in which their variables are applied."""
    found, waiting = {ALL: None}, list(own)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += parents.get(name, ())
    return sorted(found, key=lambda name: (depths.get(name, 1), _priority(tree, name), name))


def _priority(tree: Tree, name: str) -> int:
    written = str(tree.groups[name].variables.get("ansible_group_priority", "1"))
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else 1


@dataclass(slots=True)
class _Folder:
    """group_vars or host_vars: name -> its files. Names come from the folder's own list, no path is made of a name."""

    draft: Draft
    files: dict[str, list[Path]] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft, folder: Path) -> _Folder:
        found = cls(draft)
        draft.look(folder)
        for path in _listed(folder):
            if path.is_dir():
                draft.look(path)
                inner = [each for each in _listed(path) if each.suffix in _ENDINGS and each.is_file()]
                found.files.setdefault(path.name, []).extend(inner)
            elif path.suffix in _ENDINGS:
                found.files.setdefault(path.stem, []).append(path)
        return found

    def variables(self, names: Mapping[str, object]) -> dict[str, list[tuple[dict[str, object], Document]]]:
        """What the files say of these names."""
        return {name: list(self._of(name)) for name in names if name in self.files}

    def _of(self, name: str) -> Iterator[tuple[dict[str, object], Document]]:
        for path in self.files[name]:
            document = self.draft.read(path)
            content = document.content
            if isinstance(content, str) and content.startswith("$ANSIBLE_VAULT"):
                self.draft.note(f"{path} is encrypted by ansible-vault and not read; give references in your own file")
            elif content is not None and not isinstance(content, Mapping):
                raise self.draft.wrong(f"{path} is no mapping of variables")
            else:
                yield dict(mapping(content)), document


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name[-1] != "~")
    except OSError:
        return []


@dataclass(slots=True)
class _Host:
    """A host's variables, each with the file that it is from."""

    name: str
    variables: Mapping[str, _Value] = field(repr=False)
    document: Document

    def first(self, names: Sequence[str]) -> _Value:
        return next((self.variables[key] for key in names if key in self.variables), (None, self.document))

    def text(self, names: Sequence[str]) -> str | None:
        """The value as text; `{{ inventory_hostname }}` is filled in. ValueError: other Jinja, or encrypted."""
        value = self.first(names)[0]
        if isinstance(value, (Tagged, Mapping, list)):
            raise ValueError(f"{names[0]} is no text that can be read here")  # noqa: TRY004 - one kind for the caller
        found = text(value)
        if found is None or "{{" not in found:
            return found
        found = found.replace("{{ inventory_hostname }}", self.name).replace("{{inventory_hostname}}", self.name)
        if "{{" in found:
            raise ValueError(f"{names[0]} is a Jinja template; only {{{{ inventory_hostname }}}} is filled in")
        return found


def _host(draft: Draft, host: _Host, groups: list[str], place: Place) -> None:
    wrong, values = "", dict[str, object]()
    try:
        platform = _platform(draft, host)
        if not platform:
            return
        remote = (host.text(("ansible_connection",)) or "").rpartition(".")[2]
        values = {
            "hostname": host.text(_HOST) or host.name,
            "port": None if remote in ("netconf", "httpapi") else port(host.text(_PORT)),
            "platform": platform,
            "groups": groups,
        }
    except ValueError as error:
        wrong = str(error)
    if wrong:
        draft.note(f"left out: {wrong}", host.name)
        return
    values |= {"username": _optional(draft, host, _USER), "key_file": _optional(draft, host, _KEY)}
    _secrets(draft, host, values)
    if any(key in host.variables for key in ("ansible_ssh_common_args", "ansible_ssh_extra_args")):
        draft.note("ansible_ssh_common_args is not read: --ssh-config, or `jump` in a file of your own", host.name)
    values["data"] = draft.facts({key: host.variables[key][0] for key in FACTS if key in host.variables})
    draft.host(host.name, values, place)


def _optional(draft: Draft, host: _Host, names: Sequence[str]) -> str | None:
    try:
        return host.text(names)
    except ValueError as error:
        draft.note(f"not taken: {error}", host.name)
        return None


def _secrets(draft: Draft, host: _Host, values: dict[str, object]) -> None:
    become = "sudo" if values["platform"] == "linux" else "enable"
    for key, names in (("password", _PASSWORD), (become, _BECOME)):
        value, document = host.first(names)
        values[key] = draft.secret(value, names[0], host.name, document)


def _platform(draft: Draft, host: _Host) -> str:
    """Our platform; a host without ansible_network_os that Ansible reaches by SSH is Linux. "" with a note."""
    remote = (host.text(("ansible_connection",)) or "").rpartition(".")[2]
    if remote not in (*_SSH, *_CLI):
        draft.note(f"left out: ansible_connection {remote[:40]!r} is no SSH", host.name)
        return ""
    system = host.text(("ansible_network_os",))
    if system is None and remote in _SSH:
        return draft.platform("linux", host.name)
    return draft.platform(system, host.name, dotted=True)
