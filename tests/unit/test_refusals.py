"""A refusal is found where one can stand, and nowhere else."""

from __future__ import annotations

import pytest

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.refusals import refusal

PROFILES = Profiles.load(None)


@pytest.mark.parametrize(
    ("platform", "output", "line"),
    [
        (
            "cisco_ios",
            "          ^\n% Invalid input detected at '^' marker.\n\n",
            "% Invalid input detected at '^' marker.",
        ),
        ("cisco_ios", "% Incomplete command.\n", "% Incomplete command."),
        ("cisco_nxos", "          ^\n% Invalid command at '^' marker.\n", "% Invalid command at '^' marker."),
        (
            "cisco_asa",
            "ERROR: % Invalid input detected at '^' marker.\n",
            "ERROR: % Invalid input detected at '^' marker.",
        ),
        ("arista_eos", "% Invalid input\n", "% Invalid input"),
        ("juniper_junos", "          ^\nunknown command.\n", "unknown command."),
        ("frr", "% Unknown command: show bogus\n", "% Unknown command: show bogus"),
    ],
)
def test_a_refusal_is_named_by_its_own_line(platform: str, output: str, line: str) -> None:
    assert refusal(PROFILES.get(platform), output) == line


@pytest.mark.parametrize(
    ("platform", "output"),
    [
        ("cisco_ios", ""),
        ("cisco_ios", "\n\n"),
        ("cisco_ios", "".join(f"line {number}\n" for number in range(30)) + "% Invalid input\n" + "more\n" * 30),
        ("cisco_ios", "log: % Invalid input was typed\n"),
        ("frr", "% Warning: can't chown frr.conf\n[OK]\n"),
    ],
)
def test_text_that_only_looks_like_one_is_output(platform: str, output: str) -> None:
    assert refusal(PROFILES.get(platform), output) == ""


def test_a_long_output_is_not_searched_to_its_middle() -> None:
    text = "x" * 3_000_000 + "\n% Invalid input\n" + "y" * 3_000_000
    assert refusal(PROFILES.get("cisco_ios"), text) == ""
