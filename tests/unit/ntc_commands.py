"""The commands of ntc-templates' index, spelled in full and as short as the index allows."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ntc_templates

_PARSER = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")  # the regex's own tree
_SAMPLES = {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": "x1", "CATEGORY_WORD": "x"}


def commands(platform: str) -> Iterator[tuple[str, str]]:
    """(full, short) of every row of the platform."""
    index = Path(ntc_templates.__file__).parent / "templates" / "index"
    for line in index.read_text().splitlines():
        cells = [cell.strip() for cell in line.split(",", 3)]
        if len(cells) == 4 and re.fullmatch(cells[2], platform) and not line.startswith("#"):
            full = re.sub(r"\[\[(.*?)\]\]", r"\1", cells[3])
            short = re.sub(r"\[\[(.*?)\]\]", "", cells[3])
            yield _sample(full), _sample(short)


def _sample(pattern: str) -> str:
    """The shortest text that a command pattern of the index stands for."""
    return re.sub(" +", " ", _text(_PARSER.parse(pattern))).strip()


def _text(nodes: Any) -> str:
    return "".join(_one(str(kind), value) for kind, value in nodes)


def _one(kind: str, value: Any) -> str:
    match kind:
        case "LITERAL":
            text = chr(value)
        case "ANY":
            text = "x"
        case "IN":
            text = _one(str(value[0][0]), value[0][1])
        case "CATEGORY":
            text = _SAMPLES[str(value)]
        case "MAX_REPEAT" | "MIN_REPEAT":
            text = _text(value[2]) * int(value[0])
        case "SUBPATTERN":
            text = _text(value[3])
        case "BRANCH":
            text = _text(value[1][0])
        case _:  # AT: an anchor
            text = ""
    return text
