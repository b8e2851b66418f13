"""Commands that hold a secret, by platform, from the command references: none shows it, whatever the value looks like.

`commands.txt` was written together with the rules, so it is no measure of them: it keeps what they find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redaction.figures import profile, redactor

VALUES = ("hunter", "90817263", "zQ4kLm9x", "Pa$$w0rd!")


def written() -> Iterator[tuple[str, str]]:
    platform = ""
    for line in (Path(__file__).parent / "commands.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            platform = line[2:]
        else:
            yield platform, line.replace("\\n", "\n").replace("\\t", "\t")


def filled(line: str, value: str) -> tuple[str, set[str]]:
    """The line with the value in its first place and the value backwards in all others."""
    first, *rest = line.split("@@")
    put = [value, *[value[::-1]] * (len(rest) - 1)]
    put = [value if at and not rest[at - 1] else each for at, each in enumerate(put)]  # several in a row are one
    return first + "".join(each + after for each, after in zip(put, rest, strict=True)), set(put)


@pytest.mark.parametrize("value", VALUES)
def test_no_command_of_a_reference_shows_its_secret(value: str) -> None:
    engine, shown = redactor(), []
    for platform, line in written():
        text, secrets = filled(line, value)
        rest = re.sub(r"<redacted:[^>]*>", "", engine.text(text, profile(platform)))
        shown += [f"{platform}: {line}" for secret in secrets if secret in rest]
    assert shown == []


TABLES = [
    "Community            Group\n---------            -----\nhunter               network\n",
    "Keyring      Hostname/Address      Preshared Key\ndefault      10.1.1.1              hunter\n",
    "#  NAME  SERVICE  PASSWORD  PROFILE\n0  bob   any      hunter    default\n",
    "  Auth key   MD5 String\n  --------   ----------\n  3          hunter\n",
    "| User | Password |\n|------|----------|\n| bob  | hunter   |\n",
]


@pytest.mark.parametrize("text", TABLES)
def test_a_column_of_secrets_is_hidden_and_the_others_stay(text: str) -> None:
    shown = redactor().text(text)
    assert "hunter" not in shown
    assert shown.split("<redacted", maxsplit=1)[0] == text.split("hunter", maxsplit=1)[0]


@pytest.mark.parametrize(
    "text",
    [
        "  Network    Next Hop   Community\n  10.0.0.0   10.0.0.1   65000:1\n",
        "Port  Mode  Rate  Key  State\n-----------------\n1     a     Slow  64   0x3D\n",
        "Username  Method  Password expires\n--------  ------  --------\nbob       local   never\n",
    ],
)
def test_a_table_without_secrets_stays(text: str) -> None:
    assert redactor().text(text) == text
