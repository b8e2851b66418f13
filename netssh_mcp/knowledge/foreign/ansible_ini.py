"""Ansible's INI inventories: [group], [group:children], [group:vars], and hosts with `key=value` behind them.

A line is read as a shell reads it, as far as quotes go; `#` and `;` begin comments (ansible.builtin.ini).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign.ansible_tree import ALL, UNGROUPED, Tree
from netssh_mcp.knowledge.yaml_lines import Document, contents

_SECTION: Final = re.compile(r"\[([^\]:\s]+)(?::(vars|children))?\]\s*(?:#.*)?")
_PORT: Final = re.compile(r"(.*[^:]):([0-9]{1,5})")


def is_ini(path: Path) -> bool:
    """Whether the file is an INI inventory: by its name, or as it begins with a section or host and not as YAML."""
    if path.suffix in (".ini", ".cfg", ".yml", ".yaml"):
        return path.suffix in (".ini", ".cfg")
    text = contents(path)[0].decode("utf-8", "replace")
    first = next((line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;"), "")
    return first != "---" and not first.endswith(":")


def read(path: Path) -> Document:
    """The lines of the file as a document, whose content is the text. InputError: not UTF-8."""
    raw, mode, private = contents(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise InputError(f"{path} holds bytes that are not UTF-8 text", hint="Is it the right file?")
    return Document(path, text, None, mode, private, ())


def tree(document: Document) -> Tree:
    """The tree of an INI inventory. InputError names the line."""
    found = Tree()
    section, kind = UNGROUPED, "hosts"
    lines = str(document.content).splitlines()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        if text[0] == "[" and (match := _SECTION.fullmatch(text)):
            section, kind = match[1], match[2] or "hosts"
            found.group(section)
            continue
        wrong = _line(found, section, kind, text, number)
        if wrong:
            raise InputError(f"line {number}: {wrong}")
    for name in found.groups:
        if name != ALL:
            found.group(ALL).children[name] = None
    return found


def _line(found: Tree, section: str, kind: str, text: str, number: int) -> str:
    """Takes one line in; what is wrong with it, never in its own words, or ""."""
    if kind == "vars":
        key, sign, value = text.partition("=")
        if not sign:
            return "a variable is written as name=value"
        found.group(section).variables[key.strip()] = _bare(value.strip())
        return ""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return "a quote is not closed"
    if kind == "children":
        found.group(words[0])
        found.group(section).children[words[0]] = None
        return ""
    pairs = [word.partition("=") for word in words[1:]]
    if any(not sign for _, sign, _ in pairs):
        return "behind the name of a host come words such as port=22"
    variables: dict[str, object] = {key: value for key, _, value in pairs}
    name = words[0]
    if (match := _PORT.fullmatch(name)) and ("[" not in match[1] or "]" in match[1]) and match[1].count(":") < 2:
        name = match[1]
        variables.setdefault("ansible_port", match[2])
    found.host(name, section, variables, number)
    return ""


def _bare(value: str) -> str:
    """Without the quotes around all of it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
