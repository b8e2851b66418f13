"""Writes netssh_mcp/knowledge/argument_words.txt: `python -m tests.argument_words` after ntc-templates has changed.

The words come from ntc-templates' index and ours. A word counts only if the row's template, whose file name spells the
command, has the same word: the index has slips (`ha[[ardware]]`). `argument_words.ours` corrects and completes them.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import ntc_templates

from netssh_mcp.knowledge.profiles import Profiles

_PARSER = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")  # the regex's own tree
_OPEN, _CLOSE, _ANY, _STOP = "\ue000", "\ue001", "\ue002", "\ue003"
_ROOT = Path(__file__).parents[1]
TARGET = _ROOT / "netssh_mcp" / "knowledge" / "argument_words.txt"
OURS = Path(__file__).with_name("argument_words.ours")
_INDEXES = (_ROOT / "templates" / "index", Path(ntc_templates.__file__).parent / "templates" / "index")
_READS = ("show", "display", "get", "admin")
_VALUE_AFTER = ("interface", "interfaces", "neighbor", "neighbors", "standby")  # a digit, a dot, a colon or a slash
_HEAD = """\
# Full words of commands, by platform: what an abbreviated argument word is spelled out as (docs/policy.md).
# `br[[ief]]`: at least the letters before the brackets are typed; without brackets, at least three.
# `<value>` is a word with a digit, dot, colon or slash; `<name>` any word. What begins as a line ending in `!` stays as
# it was typed: ntc-templates' index has another word there, and would not find the template.
# Written by `python -m tests.argument_words` from the template indexes and tests/argument_words.ours; do not edit.
"""


def sections() -> dict[str, list[str]]:
    """Platform -> its lines, sorted."""
    profiles = Profiles.load(None)
    ours = _ours()
    found = {}
    for path in sorted((_ROOT / "device_profiles").glob("*.yaml")):
        profile = profiles.get(path.stem)
        if profile.argv or profile.lines or profile.menus:
            continue  # a whole line is one pattern there: nothing is abbreviated
        platform = profile.ntc_templates_platform or profile.name
        lines = {_corrected(line, ours.get(profile.name, {})) for line in _lines(platform)}
        lines |= {line for line, right in ours.get(profile.name, {}).items() if not right}
        found[profile.name] = sorted(line for line in lines if " " in line)
    return {name: lines for name, lines in found.items() if lines}


def text() -> str:
    parts = (f"\n[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections().items())
    return _HEAD + "".join(parts)


def _ours() -> dict[str, dict[str, str]]:
    """Platform -> line -> what it is corrected to; "" for a line of its own."""
    found: dict[str, dict[str, str]] = {}
    names: list[str] = []
    for line in (text.partition("#")[0].strip() for text in OURS.read_text("ascii").splitlines()):
        if line.startswith("["):
            names = line.strip("[]").split()
        elif line:
            wrong, _, right = line.partition(" => ")
            for name in names:
                found.setdefault(name, {})[wrong] = right
    return found


def _corrected(line: str, ours: dict[str, str]) -> str:
    """`wrong => right` replaces the beginning of a line; brackets do not count in `wrong`."""
    words = line.split()
    plain = [_plain(word) for word in words]
    for wrong, right in ours.items():
        begin = wrong.split()
        if right and plain[: len(begin)] == begin:
            return " ".join([*right.split(), *words[len(begin) :]])
    return line


def _plain(word: str) -> str:
    return word.replace("[[", "").replace("]]", "")


def _lines(platform: str) -> Iterator[str]:
    for index in _INDEXES:
        for row in index.read_text("utf-8").splitlines():
            cells = [cell.strip() for cell in row.split(",", 3)]
            if len(cells) == 4 and cells[2] and not row.startswith("#") and re.fullmatch(cells[2], platform):
                named = set(re.split(r"[_:.]", cells[0]))
                marked = cells[3].replace("[[", _OPEN).replace("]]", _CLOSE)
                for spelled in _texts(_PARSER.parse(marked)):
                    if line := _line(spelled, named):
                        yield line


def _line(spelled: str, named: set[str]) -> str:
    """One reading of a row as a line of the file, up to the first word that is not sure."""
    words: list[str] = []
    for word in spelled.split():
        full = word.replace(_OPEN, "").replace(_CLOSE, "")
        if full == _ANY:
            words.append("<value>" if words and _plain(words[-1]) in _VALUE_AFTER else "<name>")
        elif re.fullmatch(r"[a-z][a-z0-9\-]*", full) and (full in named or "ip" in full[:2]):
            words.append(word.replace(_OPEN, "[[").replace(_CLOSE, "]]").replace("[[]]", ""))
        else:
            break
    return _first(words) if words and _plain(words[0]) in _READS else ""


def _first(words: list[str]) -> str:
    """The verb is spelled out by the profile's own table."""
    verbs = 2 if _plain(words[0]) == "admin" else 1
    return " ".join([*(_plain(word) for word in words[:verbs]), *words[verbs:]])


def _texts(nodes: Iterable[Any]) -> list[str]:
    """Every reading of a pattern; what is no plain word is a mark."""
    return ["".join(parts) for parts in product(*(_one(str(kind), value) for kind, value in nodes))]


def _one(kind: str, value: Any) -> list[str]:
    match kind:
        case "LITERAL":
            found = [chr(value)]
        case "IN" if str(value[0][1]) == "CATEGORY_SPACE":
            found = [" "]
        case "MAX_REPEAT" | "MIN_REPEAT":
            found = _repeated(int(value[0]), int(value[1]), value[2])
        case "SUBPATTERN":
            found = _texts(value[3])
        case "BRANCH":
            found = [text for branch in value[1] for text in _texts(branch)]
        case "AT" | "ASSERT_NOT" | "ASSERT":
            found = [""]
        case _:
            found = [_STOP]
    return found


def _repeated(least: int, most: int, item: Any) -> list[str]:
    inner = str(item)
    if "CATEGORY_SPACE" in inner and len(item) == 1 and str(item[0][0]) == "IN":
        return [" "]
    if "CATEGORY_NOT_SPACE" in inner and len(item) == 1 and str(item[0][0]) == "IN":
        return [_ANY]
    if (least, most) == (0, 1) and (len(item) > 1 or str(item[0][0]) != "LITERAL"):  # not `ipv?6?`
        return ["", *_texts(item)]
    return [_STOP]


if __name__ == "__main__":
    TARGET.write_text(text(), "ascii")
