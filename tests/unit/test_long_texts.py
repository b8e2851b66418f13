"""Long texts: searched in blocks with the same result, cut without as many strings as they have lines."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest

from netssh_mcp.errors import CommandFailed, CommandTimeout
from netssh_mcp.guard import pieces
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services import shown as showing
from netssh_mcp.services.excerpts import Ends, cut_text, ends, fold
from netssh_mcp.services.shown import Shown

pytestmark = pytest.mark.anyio

SECRET = "S3cret-pass-9q"
KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlq"] * 60])
LINUX = Profiles.load(None).get("linux")
CORPUS = "\n".join(
    path.read_text(encoding="utf-8", errors="replace")
    for path in sorted((Path(__file__).parents[1] / "redaction").rglob("*.txt"))
)


def redactor() -> Redactor:
    vault = Vault()
    vault.learn(SECRET)
    return Redactor(vault, b"the same in every run")


@pytest.mark.parametrize("block", [1_000, 4_093, 65_536])
def test_in_blocks_the_same_is_found_as_in_one_piece(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "Community        Name\n---------------- -----\n" + "".join(f"wr1te-{n:<10} x{n}\n" for n in range(3000))
    text = f"{CORPUS}\n{KEY}\n-----END RSA PRIVATE KEY-----\n\n{table}\n{CORPUS}{SECRET}"
    monkeypatch.setattr(pieces, "BLOCK", len(text))
    whole = redactor().redact(text, LINUX)
    assert SECRET not in whole.text
    assert "wr1te-2999" not in whole.text
    monkeypatch.setattr(pieces, "BLOCK", block)
    assert redactor().redact(text, LINUX) == whole


@pytest.mark.parametrize("size", [1, 99, 100, 101, 199, 200, 201, 5_000])
def test_a_match_over_the_edge_of_a_block_is_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "BLOCK", 100)
    monkeypatch.setattr(pieces, "REACH", 50)
    text = ("-" * size + "a" * size + "\n" + "b" * 7) * 9
    for pattern in (
        re.compile("a+"),
        re.compile("^b+", re.MULTILINE),
        re.compile("a$", re.MULTILINE),
        re.compile("-a"),
    ):
        assert [found.span() for found in pieces.finds(pattern, text)] == [
            found.span() for found in pattern.finditer(text)
        ]
        assert pieces.replaced(pattern, lambda found: f"<{found[0]}>", text) == pattern.sub(r"<\g<0>>", text)
    assert list(pieces.rows(text, 3, len(text) - 3)) == text[3:-3].split("\n")
    assert list(pieces.lines(text, 3, len(text) - 3)) == text[3:-3].splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "y\n" * 20_000,
        "y\n" * 20_000 + "end",
        "x" * 30_000,
        "x" * 2_500 + "\n" + "y" * 250 + "\n" + "z" * 40_001,
        "".join(f"{n} {'x' * (n % 600)}\n" for n in range(1_000)),
    ],
)
def test_a_long_text_is_cut_as_if_all_its_lines_had_been_made(text: str) -> None:
    parts = fold(text, 2_000)
    found = ends(text, 2_000)
    assert found.total == len(parts)
    assert cut_text(text, found, 2_000, "at {offset}") == cut_text(
        text, Ends(parts, parts, len(parts)), 2_000, "at {offset}"
    )


async def test_of_what_was_stopped_both_ends_are_kept_and_the_bytes_between_them_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(showing, "EACH_END", 2_000)
    text = f"begin {SECRET}\n" + "é\n" * 5_000 + f"{KEY}\n-----END RSA PRIVATE KEY-----\nend {SECRET}\n"
    shown = Shown(redactor(), anyio.CapacityLimiter(1))
    error, count = await shown.error(CommandTimeout("it took too long", device="r1", partial=text), LINUX)
    before, notice, after = re.split(r"(\[\.\.\. \d+ bytes are left out here.*\.\.\.\]\n)", error.partial)
    left_out = int(re.findall(r"\d+", notice)[0])
    assert error.message == f"it took too long; {left_out} bytes in the middle of its output are left out"
    assert before.startswith("begin <redacted:known:")
    assert SECRET not in error.partial
    assert "QUJD" not in error.partial
    assert after.count("<redacted:private-key:") == 1
    assert count >= 3
    kept = before.count("é") + after.count("é")
    assert left_out >= 3 * (5_000 - kept)
    failed, _ = await shown.error(CommandFailed("exit status 1", device="r1", partial=text), LINUX)
    assert failed.partial.count("é") == 5_000
