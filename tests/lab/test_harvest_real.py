"""`netssh-mcp harvest` against a real FRRouting vtysh: our table of first words is what the router itself lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.reallab import RealLab

pytestmark = pytest.mark.real


def _harvest(lab: RealLab, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inventory = lab.write_inventory(folder / "inventory.yaml")
    environment = {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "NETSSH_KNOWN_HOSTS": str(lab.known_hosts),
        "NETSSH_AUDIT": str(folder / "audit.jsonl"),
    }
    return subprocess.run(
        [sys.executable, "-m", "netssh_mcp", "harvest", *arguments, "--inventory", str(inventory)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_vtysh_lists_no_first_word_that_the_table_lacks(real_lab: RealLab, tmp_path: Path) -> None:
    done = _harvest(real_lab, tmp_path, "r1", "--under", "show ip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "first words: the device lists" in done.stdout
    assert "missing" not in done.stdout
    assert "route" in done.stdout  # `show ip ?` was answered, and the line was emptied for the next question
    assert (tmp_path / "audit.jsonl").read_text().count("harvest by the operator") == 3


def test_a_shell_has_no_help_to_harvest(real_lab: RealLab, tmp_path: Path) -> None:
    done = _harvest(real_lab, tmp_path, "linux1")
    assert done.returncode == 2
    assert "no `?` to ask" in done.stderr
