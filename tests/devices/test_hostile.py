"""2,000 hostile commands on three echo styles: none gets another command's text, none is cut and called complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices import hostile_run


def test_no_hostile_command_gets_another_text_or_a_cut_one(tmp_path: Path) -> None:
    tally = hostile_run.run(tmp_path, seed=20261120, commands=2000, sessions=25)
    assert not tally.wrong, tally.wrong[:3]
    assert not tally.unanswered, tally.unanswered[:3]
    assert tally.right + tally.timeouts == 2000
    assert set(tally.kinds) == {"plain", "inline", "line_start", "dribble", "silent", "syslog"}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_twenty_thousand_hostile_commands(tmp_path: Path, seed: int) -> None:
    tally = hostile_run.run(tmp_path, seed=seed * 1000, commands=2000, sessions=25)
    assert not tally.wrong, tally.wrong[:3]
    assert not tally.unanswered, tally.unanswered[:3]
