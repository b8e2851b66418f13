"""Every separator through the tool to a real shell behind a real sshd: not one second command runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.devices.mcp_house import served
from tests.lab.reallab import RealLab
from tests.policy.test_separators import separators

pytestmark = [pytest.mark.real, pytest.mark.anyio]


async def test_no_separator_runs_a_second_command_on_a_real_host(real_lab: RealLab, tmp_path: Path) -> None:
    mark = Path("/tmp") / f"netssh-mark-{tmp_path.name}"  # noqa: S108 - any user may write there; the lab's hosts are network namespaces of this machine: they share its files
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    lines = [f"uptime{separator}touch {mark}" for separator in separators()]
    lines += [f"uptime {separator} touch {mark}" for separator in separators()]
    lines += [f"uptime '{separator}' touch {mark}" for separator in separators()]
    lines += [f"vtysh -c 'show version{separator}touch {mark}'" for separator in separators()]
    async with served(inventory, tmp_path, known_hosts=[real_lab.known_hosts]) as house:
        assert (await house.show("linux1", "uptime")).row["ok"]
        for start in range(0, len(lines), 200):
            answer = await house.show("linux1", *lines[start : start + 200])
            for row in answer.rows:
                assert not row["ok"] or "touch" not in row["command"], row["command"]
    assert mark.name not in os.listdir("/tmp")  # noqa: S108
