"""A YAML file whose every key knows its line, read so that words stay the words that people wrote.

yaml is imported inside functions: the server starts without it.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import InputError

if TYPE_CHECKING:
    from yaml import CSafeLoader, MarkedYAMLError, Node

MOST_BYTES: Final = 16_000_000
MOST_DEPTH: Final = 100

# YAML 1.1 makes `no` a boolean, 65000:10 a sexagesimal number, 2026-01-02 a date, 012 ten and 17.10 a 17.1. Sites,
# route distinguishers and software versions look like that, so here these are text: only what is listed is not.
_PLAIN: Final = (
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:int", re.compile(r"(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$"), "-+0123456789"),
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ("~", "n", "N", "")),
    ("tag:yaml.org,2002:merge", re.compile(r"(?:<<)$"), "<"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at one place."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content, its nodes, which know the lines, and whether only its owner, us, can read it."""

    path: Path
    content: object = field(repr=False)  # may hold passwords
    root: Node | None = field(repr=False)
    mode: int
    private: bool
    doubled: tuple[Problem, ...]  # keys that occur twice: YAML would silently take the last

    def line(self, *where: object) -> int:
        """The line of a key path, or of its nearest parent that the file has."""
        import yaml

        node, line = self.root, 1
        for step in where:
            found: tuple[Node, Node] | None = None
            if isinstance(node, yaml.MappingNode):  # the last: keys merged by `<<` stand before the node's own
                found = next((pair for pair in reversed(node.value) if pair[0].value == str(step)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = (node.value[step], node.value[step])
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under a tag such as Ansible's `!vault`, which only another tool understands. The value is not kept."""

    tag: str


def read(path: Path, *, tags: bool = False) -> Document:
    """The document in a file. InputError: it cannot be read, or is not YAML. With `tags`, unknown ones are `Tagged`."""
    raw, mode, private = contents(path)
    root, content, doubled = _parsed(path, raw, tags)
    return Document(path, content, root, mode, private, doubled)


def contents(path: Path) -> tuple[bytes, int, bool]:
    """A file's bytes, its mode, and whether only its owner, us, can read it. InputError: not there, or too large."""
    try:
        with path.open("rb") as opened:
            found = os.fstat(opened.fileno())
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint="Correct the path or the permissions."
        ) from None
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES} bytes", hint="Is it the right file?")
    mode = stat.S_IMODE(found.st_mode)
    return raw, mode, found.st_uid == os.geteuid() and not mode & 0o077


def _parsed(path: Path, raw: bytes, tags: bool) -> tuple[Node | None, object, tuple[Problem, ...]]:
    import yaml

    problem = Problem(path, 1, "")
    try:
        loader = _loader(tags)(raw)
        try:
            root = loader.get_single_node()
            if root is None:
                return None, None, ()
            doubled = tuple(_doubled(path, root))  # before the next line, which resolves `<<` in the nodes
            return root, loader.construct_document(root), doubled
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        problem = _syntax(path, error)
    except (yaml.YAMLError, UnicodeDecodeError):  # ReaderError: a control character, or not UTF-8
        problem = Problem(path, 1, "this is not YAML: it holds bytes that are not UTF-8 text")
    except (RecursionError, ValueError):  # aliases of aliases of ...; a number of 5,000 digits
        problem = Problem(path, 1, "this is not YAML that can be read: nested too deep, or an impossible value")
    raise InputError(str(problem), hint="Text that holds any of : # * & ! % @ { [ needs quotes; indent with spaces.")


def _syntax(path: Path, error: MarkedYAMLError) -> Problem:
    """The parser's own words. Not the text around the place, nor long quotations: `password: *x` would be quoted."""
    mark, began = error.problem_mark or error.context_mark, error.context_mark
    said = error.problem or error.context or "it cannot be read"
    if error.context and mark and began and began.line != mark.line:
        said = f"{said} ({error.context} that begins in line {began.line + 1})"
    said = re.sub(r"'(.*?)'", lambda quoted: quoted[0] if len(quoted[1]) < 2 else "...", said)
    return Problem(path, mark.line + 1 if mark else 1, f"this is not YAML: {said}")


@cache
def _loader(tags: bool) -> type[CSafeLoader]:
    """libyaml's loader where PyYAML was built with it (10 times faster), with the plain-text rules from above."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's way
        depth = 0

        def descend_resolver(self, parent: Node | None, _index: object) -> None:
            """Called before each node is read. Without a bound 100,000 brackets crash libyaml's composer (seen)."""
            self.depth += 1
            if self.depth > MOST_DEPTH:
                mark = None if parent is None else parent.start_mark
                raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=mark)

        def ascend_resolver(self) -> None:
            self.depth -= 1

    for tag, pattern, first in _PLAIN:
        Loader.add_implicit_resolver(tag, pattern, list(first))
    if tags:
        Loader.add_multi_constructor("!", lambda _loader, suffix, _node: Tagged(f"!{suffix}"))
    return Loader


def _doubled(path: Path, root: Node) -> Iterator[Problem]:
    import yaml

    waiting: list[tuple[Node, str]] = [(root, "")]
    visited: set[int] = set()
    while waiting:
        node, where = waiting.pop()
        if id(node) in visited:  # an alias; "a billion laughs" is walked once
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, where) for item in node.value]
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line, name = key.start_mark.line + 1, f"{where}{key.value}"
                if key.value in seen:
                    yield Problem(path, line, f"{name}: this key is there already, in line {seen[key.value]}")
                seen.setdefault(key.value, line)
                waiting.append((value, f"{name}."))
