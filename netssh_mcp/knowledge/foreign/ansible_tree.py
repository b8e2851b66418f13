"""Groups and hosts as an Ansible inventory file has them: YAML, INI, or the JSON of `ansible-inventory --list`."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign.draft import MOST_HOSTS, Place, mapping
from netssh_mcp.knowledge.yaml_lines import Document

ALL: Final = "all"
UNGROUPED: Final = "ungrouped"
DEEPEST: Final = 50
_RANGE: Final = re.compile(r"\[([^\[\]:]+):([^\[\]:]+)(?::([0-9]+))?\]")


@dataclass(slots=True)
class Group:
    """What an inventory file says of a group."""

    variables: dict[str, object] = field(default_factory=dict, repr=False)
    children: dict[str, None] = field(default_factory=dict)
    hosts: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Tree:
    """All groups and hosts of one file, in its order."""

    groups: dict[str, Group] = field(default_factory=lambda: {ALL: Group()})
    hosts: dict[str, dict[str, object]] = field(default_factory=dict, repr=False)
    places: dict[str, Place] = field(default_factory=dict)
    visits: int = 0

    def group(self, name: str) -> Group:
        """The group, made where it is new."""
        return self.groups.setdefault(name, Group())

    def host(self, pattern: str, group: str, variables: Mapping[str, object], place: Place) -> None:
        """The hosts that a pattern names, in a group. InputError: too many, or a range that is none."""
        for name in expanded(pattern):
            self.visits += 1
            if self.visits > MOST_HOSTS:
                raise InputError(f"it names more than {MOST_HOSTS} hosts", hint="Split the inventory.")
            self.hosts.setdefault(name, {}).update(variables)
            self.places.setdefault(name, place)
            self.group(group).hosts[name] = None

    def parents(self) -> dict[str, list[str]]:
        """Group -> the groups that it is a child of; `all` is nobody's parent here."""
        found: dict[str, list[str]] = {name: [] for name in self.groups}
        for name, group in self.groups.items():
            for child in group.children if name != ALL else ():
                found.setdefault(child, []).append(name)
        return found


def expanded(pattern: str) -> Iterator[str]:
    """leaf[01:03] is leaf01, leaf02, leaf03; [a:c] and a step, [1:9:2], too; several ranges each with each."""
    match = _RANGE.search(pattern)
    if match is None:
        yield pattern
        return
    head, tail = pattern[: match.start()], pattern[match.end() :]
    for each in _range(match[1], match[2], int(match[3] or 1), pattern):
        for rest in expanded(tail):
            yield f"{head}{each}{rest}"


def _range(first: str, last: str, step: int, pattern: str) -> Iterator[str]:
    if step and first.isascii() and last.isascii() and first.isdigit() and last.isdigit() and len(last) < 9:
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        numbers = range(int(first), int(last) + 1, step)
        yield from (str(number).zfill(width) for number in numbers)
        if numbers:
            return
    letters = string.ascii_letters
    if step and len(first) == len(last) == 1 and first in letters and last in letters:
        found = letters[letters.index(first) : letters.index(last) + 1 : step]
        yield from found
        if found:
            return
    raise InputError(f"{pattern[:80]!r} has a range of nothing", hint="Write [01:20], [a:f] or [1:9:2].")


def from_yaml(document: Document) -> Tree:
    """The tree of a YAML inventory. InputError: it is none."""
    tree = Tree()
    for name, value in mapping(document.content).items():
        _add(tree, document, (name,), value)
        if name != ALL:
            tree.group(ALL).children[name] = None
    return tree


def _add(tree: Tree, document: Document, where: tuple[str, ...], written: object) -> None:
    name = where[-1]
    tree.visits += 1
    if len(where) > DEEPEST or tree.visits > MOST_HOSTS:
        raise InputError("its groups are in each other too often", hint="Name the children without an alias (*name).")
    wrong = sorted(set(mapping(written)) - {"hosts", "vars", "children"}) if isinstance(written, Mapping) else [""]
    if wrong and written is not None:
        what = f"has {wrong[0][:60]!r}" if wrong[0] else "is no mapping"
        raise InputError(
            f"line {document.line(*where)}: the group {name[:60]} {what}; a group has hosts, vars and children"
        )
    parts = mapping(written)
    group = tree.group(name)
    group.variables.update(mapping(parts.get("vars")))
    for pattern, variables in mapping(parts.get("hosts")).items():
        tree.host(pattern, name, mapping(variables), (*where, "hosts", pattern))
    for child, value in mapping(parts.get("children")).items():
        group.children[child] = None
        _add(tree, document, (*where, "children", child), value)


def from_list(content: Mapping[str, object]) -> Tree:
    """The tree of what `ansible-inventory --list` or an inventory script prints."""
    tree = Tree()
    for name, value in content.items():
        if name == "_meta":
            continue
        held = {"hosts": value} if isinstance(value, list) else mapping(value)
        group = tree.group(name)
        group.variables.update(mapping(held.get("vars")))
        group.children.update(dict.fromkeys(_texts(held.get("children"))))
        for host in _texts(held.get("hosts")):
            tree.host(host, name, {}, 1)
    for host, variables in mapping(mapping(content.get("_meta")).get("hostvars")).items():
        if host in tree.hosts:
            tree.hosts[host].update(mapping(variables))
        else:
            tree.host(host, UNGROUPED, mapping(variables), 1)
    return tree


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
