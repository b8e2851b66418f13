"""The config store of a simulated device: text in, lines applied, text out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Protocol

from netssh_mcp.lab.model import Config

_INTERFACE = re.compile(r"(interface [A-Za-z-]+) ?([\d/.:]+)")  # abbreviated as typed, written out as stored


class ConfigStore(Protocol):
    def apply(self, path: str, line: str) -> None:
        """One config line below `path` ("" = top level)."""
        ...

    def named(self, line: str) -> str:
        """The existing block that `line` means ("interface gi0/1"), or `line`."""
        ...

    def text(self) -> str: ...

    def flat(self) -> str:
        """One statement per line, for diffs and searches."""
        ...


class BlockConfig:
    """IOS-like: top-level lines, each with indented lines below it."""

    def __init__(self, text: str, rules: Config) -> None:
        self._rules = rules
        self._blocks: dict[str, list[str]] = {}
        block: list[str] = []
        for line in text.splitlines():
            if not line.strip() or line.startswith("!"):
                continue
            if line.startswith(" "):
                block.append(line.strip())
            else:
                block = self._blocks.setdefault(line.rstrip(), [])

    def apply(self, path: str, line: str) -> None:
        if not path:
            self._apply_top(line)
            return
        lines = self._blocks.setdefault(path, [])
        if line.startswith(("no ", "default ")):
            gone = line.partition(" ")[2]
            lines[:] = [known for known in lines if not _below(known, gone)]
        else:
            self._put(lines, line)

    def named(self, line: str) -> str:
        found = _INTERFACE.fullmatch(line)
        if found is None:
            return line
        for name in self._blocks:
            known = _INTERFACE.fullmatch(name)
            if known and known[2] == found[2] and known[1].lower().startswith(found[1].lower()):
                return name
        return line

    def _apply_top(self, line: str) -> None:
        if line.startswith(("no ", "default ")):
            gone = line.partition(" ")[2]
            self._blocks = {known: lines for known, lines in self._blocks.items() if not _below(known, gone)}
            return
        names = list(self._blocks)
        self._put(names, self.named(line))
        self._blocks = {name: self._blocks.get(name, []) for name in names}

    def _put(self, lines: list[str], line: str) -> None:
        if line in lines:
            return
        prefix = next((known for known in self._rules.replaces if _below(line, known)), None)
        place = next((n for n, known in enumerate(lines) if prefix and _below(known, prefix)), None)
        if place is None:
            lines.append(line)
        else:
            lines[place] = line

    def text(self) -> str:
        parts = [self._rules.header, "!\n"] if self._rules.header else []
        for name, lines in self._blocks.items():
            parts.append(f"{name}\n" + "".join(f" {line}\n" for line in lines))
            parts.append("!\n" if lines else "")
        return "".join(parts) + "end\n"

    def flat(self) -> str:
        return "".join(f"{name}\n" + "".join(f" {line}\n" for line in lines) for name, lines in self._blocks.items())


class SetConfig:
    """Junos-like: statements as words; shown as a tree or as `set` lines."""

    def __init__(self, text: str, rules: Config) -> None:
        self._rules = rules
        self._lines = [line.removeprefix("set ").strip() for line in text.splitlines() if line.strip()]

    def apply(self, path: str, line: str) -> None:
        verb, _, words = line.partition(" ")
        statement = f"{path} {words}".strip()
        if verb == "delete":
            self._lines = [known for known in self._lines if not _below(known, statement)]
        elif statement not in self._lines:
            prefix = next((known for known in self._rules.replaces if _below(statement, known)), None)
            place = next((n for n, known in enumerate(self._lines) if prefix and _below(known, prefix)), None)
            if place is None:
                self._lines.append(statement)
            else:
                self._lines[place] = statement

    def named(self, line: str) -> str:
        return line

    def text(self) -> str:
        return "".join(_tree(sorted(line.split() for line in self._lines), 0))

    def flat(self) -> str:
        return "".join(f"set {line}\n" for line in self._lines)


def new_store(text: str, rules: Config) -> ConfigStore:
    return SetConfig(text, rules) if rules.style == "set" else BlockConfig(text, rules)


def hostname_of(store: ConfigStore, rules: Config) -> str | None:
    found = re.search(rules.hostname, store.flat(), re.MULTILINE)
    return found[1] if found else None


def difference(before: ConfigStore, after: ConfigStore) -> str:
    """The changed lines with + and -, without file names and positions."""
    lines = difflib.unified_diff(before.flat().splitlines(), after.flat().splitlines(), lineterm="", n=0)
    return "".join(f"{line}\n" for line in lines if not line.startswith(("---", "+++", "@@")))


def _below(line: str, prefix: str) -> bool:
    return line == prefix or line.startswith(f"{prefix} ")


def _tree(lines: list[list[str]], depth: int) -> Iterable[str]:
    indent = "    " * depth
    for head in dict.fromkeys(line[0] for line in lines if line):
        below = [line[1:] for line in lines if line and line[0] == head and len(line) > 1]
        if not below:
            yield f"{indent}{head};\n"
        elif len(below) == 1 and len(below[0]) == 1:
            yield f"{indent}{head} {below[0][0]};\n"
        else:
            yield f"{indent}{head} {{\n"
            yield from _tree(below, depth + 1)
            yield f"{indent}}}\n"
