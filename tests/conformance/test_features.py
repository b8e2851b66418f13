"""docs/features.md: every row is there, and every test that a row names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTS = {"A": 12, "B": 15, "C": 4, "D": 6, "E": 6, "F": 7, "G": 5, "H": 3, "I": 5}
NOT_YET = "not yet"
FINISHED = "ABDE"


def rows() -> dict[str, list[str]]:
    """Row id -> its other cells."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "docs" / "features.md").read_text("utf-8").splitlines():
        if match := re.match(r"\| ([A-Z]\d+) \|", line):
            assert match[1] not in found, f"{match[1]} is there twice"
            found[match[1]] = [cell.strip() for cell in line.strip("|").split("|")[1:]]
    return found


def named_by(row: str) -> list[str]:
    """The tests that a row names."""
    return re.findall(r"`(tests/[^`]+)`", rows()[row][3])


@cache
def functions(path: Path) -> frozenset[str]:
    """The test functions of a file, without importing it."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_row_is_there_with_all_its_cells() -> None:
    wanted = [f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1)]
    assert list(rows()) == wanted
    assert [name for name, cells in rows().items() if len(cells) != 4] == []
    assert [name for name, cells in rows().items() if not all(cells[:3])] == []


@pytest.mark.parametrize("row", [name for name in rows() if name[0] in FINISHED])
def test_of_sessions_commands_files_and_inventory_nothing_is_left_out(row: str) -> None:
    assert NOT_YET not in rows()[row][2]
    assert named_by(row)


@pytest.mark.parametrize("row", list(rows()))
def test_a_row_is_not_yet_or_names_tests_that_exist(row: str) -> None:
    named = named_by(row)
    if rows()[row][2] == NOT_YET:
        assert named == [], "what is not yet there has no proof"
        return
    assert named, "what is there has a proof"
    for name in named:
        path, _, function = name.partition("::")
        assert (ROOT / path).is_file(), f"there is no file {path}"
        assert function in functions(ROOT / path), f"there is no test {name}"
