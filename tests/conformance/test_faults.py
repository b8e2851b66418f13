"""docs/faults.md: every test that it names exists, and every test of the two files of faults is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text("utf-8")
FILES = {"real": ROOT / "tests/lab/test_peer_faults.py", "network": ROOT / "tests/devices/test_peer_faults_network.py"}


def named(kind: str) -> set[str]:
    """The tests of a kind that the page names."""
    cells = re.findall(rf"\| {kind} ([^|]*)\|", PAGE)
    return {test for cell in cells for test in re.findall(r"`(test_\w+)`", cell)}


@pytest.mark.parametrize("kind", list(FILES))
def test_the_page_of_faults_and_the_tests_name_each_other(kind: str) -> None:
    there = set(re.findall(r"^(?:async )?def (test_\w+)\(", FILES[kind].read_text("utf-8"), re.MULTILINE))
    assert named(kind) == there


def test_every_other_file_that_the_page_names_exists() -> None:
    others = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert others
    assert [name for name in others if not (ROOT / name).is_file()] == []
