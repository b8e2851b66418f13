"""Characters that a device may send and nobody would see: all are shown escaped, wherever they stand in an answer."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from netssh_mcp.errors import CommandRejected
from netssh_mcp.knowledge.untrusted import visible, visible_all
from netssh_mcp.tools import render
from netssh_mcp.tools.answers import answer, refusal

# Written out once more, one by one, from DerivedCoreProperties.txt (Unicode 16.0), "Default_Ignorable_Code_Point".
IGNORABLE = """
00AD 034F 061C 115F..1160 17B4..17B5 180B..180D 180E 180F 200B..200F 202A..202E 2060..2064 2065 2066..206F 3164
FE00..FE0F FEFF FFA0 FFF0..FFF8 1BCA0..1BCA3 1D173..1D17A E0000 E0001 E0002..E001F E0020..E007F E0080..E00FF
E0100..E01EF E01F0..E0FFF
"""
OTHERS = "0000..0008 000B..001F 007F..009F 2028..2029 FFF9..FFFB 13430..1343F D800..DFFF"
# Format characters that are seen: they stand around digits or letters (Prepended_Concatenation_Mark, PropList.txt).
SEEN = "0600..0605 06DD 070F 0890..0891 08E2 110BD 110CD"


def points(written: str) -> set[int]:
    ends = [(each.partition("..")[0], each.rpartition("..")[2]) for each in written.split()]
    return {point for first, last in ends for point in range(int(first, 16), int(last, 16) + 1)}


HIDDEN = points(IGNORABLE) | points(OTHERS)


def test_all_that_unicode_calls_default_ignorable_and_all_controls_are_escaped_and_nothing_else() -> None:
    assert {point for point in range(sys.maxunicode + 1) if visible(chr(point)) != chr(point)} == HIDDEN
    assert len(points(IGNORABLE)) == 4174  # as the file counts them
    assert visible("a\tb\n") == "a\tb\n"


def test_pythons_own_tables_know_no_other_format_or_control_character() -> None:
    invisible = {p for p in range(sys.maxunicode + 1) if unicodedata.category(chr(p)) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert invisible - HIDDEN - {9, 10} <= points(SEEN)  # older Pythons know fewer of the seen ones
    assert points(SEEN).isdisjoint(HIDDEN)
    named = ("VARIATION SELECTOR", "ZERO WIDTH", "LANGUAGE TAG")
    assert {
        p for p in range(sys.maxunicode + 1) if any(word in unicodedata.name(chr(p), "") for word in named)
    } <= HIDDEN


@pytest.mark.parametrize("plane", range(17))
def test_each_of_them_is_escaped_in_every_place_of_an_answer(plane: int) -> None:
    mine = sorted(point for point in HIDDEN if point >> 16 == plane)
    for start in range(0, len(mine), 256):
        hidden = "".join(map(chr, mine[start : start + 256]))
        row = {
            "device": "r1",
            "platform": "frr",
            "command": "show version",
            "ok": True,
            **dict.fromkeys(("output", "stderr", "question"), hidden),
            "events": [hidden],
            "table": {"columns": [hidden], "rows": [[hidden, [hidden]]]},
            "data": {hidden: [hidden, {"k": hidden}]},
        }
        result = answer({"requested": 1, "ok": 1, "failed": 0, "rows": [row]}, render.show)
        refused = refusal(CommandRejected(hidden, line=hidden, hint=hidden))
        read = answer({"output_id": "o1", "text": hidden, "items": [hidden], "value": hidden}, render.document)
        for given in (result, refused, read):
            whole = given.model_dump_json() + given.content[0].text  # type: ignore[union-attr]  # it is text
            assert not set(map(ord, whole)) & HIDDEN - {10}
            assert f"\\u{{{mine[start]:x}}}" in whole.replace("\\\\", "\\")


def test_an_emojis_variation_selector_and_a_tag_are_shown_in_keys_and_values() -> None:
    assert visible("\u2764\ufe0f") == "\u2764\\u{fe0f}"
    assert visible_all({"a\U000e0041": ["\u115f", ("\xad",)]}) == {"a\\u{e0041}": ["\\u{115f}", ("\\u{ad}",)]}
