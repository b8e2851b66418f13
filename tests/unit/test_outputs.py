"""Long outputs are cut, kept, and readable to the last character; a search never hangs."""

from __future__ import annotations

import json
import random
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.model import Table
from netssh_mcp.services.linear import searcher
from netssh_mcp.services.outputs import Outputs

LINES = "".join(f"line {number} of the log, port Et{number % 48}\n" for number in range(1, 5001))
TABLE = Table(("interface", "status"), tuple((f"Ethernet{i}", "up" if i % 3 else "down") for i in range(2000)))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def read_all(outputs: Outputs, output_id: str, **how: str) -> list[dict[str, object]]:
    """Every part, following next_offset; each within the cap."""
    parts: list[dict[str, object]] = []
    offset: object = 0
    while isinstance(offset, int):
        part = outputs.read(output_id, offset=offset, **how)  # type: ignore[arg-type]  # how is grep or query
        assert len(json.dumps(part, ensure_ascii=False, separators=(",", ":"))) <= outputs.cap
        parts.append(part)
        offset = part["next_offset"]
    return parts


def test_short_text_is_shown_whole_and_not_kept() -> None:
    kept = Outputs().keep("a\nb\n", device="r1", command="show x")
    assert (kept.shown, kept.truncated, kept.output_id, kept.total) == ("a\nb\n", False, "", 4)


def test_long_text_is_cut_at_lines_with_a_notice_that_says_how_to_read_on() -> None:
    outputs = Outputs(cap=4000)
    kept = outputs.keep(LINES, device="r1", command="show log")
    assert kept.truncated
    assert kept.total == len(LINES)
    assert len(kept.shown) <= 4000
    head, notice, tail = re.split(r"^(\[\.\.\. .* \.\.\.\])\n", kept.shown, flags=re.MULTILINE)
    assert LINES.startswith(head)
    assert LINES.endswith(tail)
    assert 1.2 < len(head) / len(tail) < 1.8
    first, last, total, missing = map(int, re.findall(r"\d+", notice)[:4])
    assert total == 5000
    assert missing == len(LINES) - len(head) - len(tail)
    assert head.count("\n") == first - 1
    assert tail.count("\n") == total - last
    assert f'read_output(output_id="{kept.output_id}", offset={first - 1})' in notice
    again = outputs.read(kept.output_id, offset=first - 1, limit=1)
    assert again["text"] == f"line {first} of the log, port Et{first % 48}\n"


@given(
    st.text(alphabet="ab\n\r\x01é\u2028 ", max_size=300).map(lambda text: (text + "x") * 40), st.sampled_from([0, 7])
)
@example("x" * 50_000, 0)
@example("\x01" * 9000, 3)
def test_parts_put_together_are_the_text_character_for_character(text: str, limit: int) -> None:
    outputs = Outputs(cap=2000)
    kept = outputs.keep(text, device="r1", command="show x")
    if not kept.truncated:
        return
    assert len(kept.shown) <= 2000
    texts, offset = [], 0
    while True:
        part = outputs.read(kept.output_id, offset=offset, limit=limit)
        texts.append(str(part["text"]))
        if part["next_offset"] is None:
            break
        assert isinstance(part["next_offset"], int)
        assert part["next_offset"] > offset
        offset = part["next_offset"]
    assert "".join(texts) == visible(text)


@pytest.mark.parametrize("text", [LINES, "x" * 9000, "y" * 700 + "\n" + LINES])
def test_smaller_cap_of_one_answer_keeps_the_numbers_of_the_lines(text: str) -> None:
    outputs = Outputs(cap=8000)
    kept = outputs.keep(text, device="r1", command="x", cap=1000)
    assert len(kept.shown) <= 1000
    head, _, tail = kept.shown.partition("[... ")
    assert text.startswith(head.removesuffix("\n"))
    assert text.endswith(tail.partition("...]\n")[2])
    first, last = map(int, re.findall(r"\d+", tail)[:2])
    offset = int(re.findall(r"offset=(\d+)", tail)[0])
    assert offset == first - 1
    missing = ""
    while offset < last:
        part = outputs.read(kept.output_id, offset=offset, limit=last - offset)
        missing += str(part["text"])
        offset += int(str(part["shown"]))
    assert missing in text
    assert len(text) - len(head) <= len(missing) + len(tail)


def test_negative_offset_counts_from_the_end() -> None:
    outputs = Outputs(cap=4000)
    kept = outputs.keep(LINES, device="r1", command="show log")
    part = outputs.read(kept.output_id, offset=-2)
    assert part["text"] == "".join(LINES.splitlines(keepends=True)[-2:])
    assert (part["offset"], part["total"], part["next_offset"]) == (4998, 5000, None)


def test_grep_numbers_its_lines_shows_context_and_goes_on() -> None:
    outputs = Outputs(cap=4000)
    kept = outputs.keep(LINES, device="r1", command="show log")
    part = outputs.read(kept.output_id, grep=r"^line (10|12|2000) ", context=1)
    assert (part["unit"], part["total"], part["shown"], part["next_offset"]) == ("match", 3, 3, None)
    shown = str(part["text"]).split("\n")
    assert [re.match(r"\d+[:-]|--", line)[0] for line in shown] == [  # type: ignore[index]  # every line has it
        "9-", "10:", "11-", "12:", "13-", "--", "1999-", "2000:", "2001-",
    ]  # fmt: skip
    assert outputs.read(kept.output_id, grep="no such", context=5)["total"] == 0
    parts = read_all(outputs, kept.output_id, grep="Et7$")
    found = [line for part in parts for line in str(part["text"]).split("\n")]
    assert found == [f"{i}:line {i} of the log, port Et7" for i in range(1, 5001) if i % 48 == 7]


def test_grep_with_a_context_wider_than_the_cap_still_moves_on() -> None:
    outputs = Outputs(cap=2000)
    kept = outputs.keep(LINES, device="r1", command="show log")
    first = outputs.read(kept.output_id, grep="Et7$", context=5000)
    assert first["text"] == "7:line 7 of the log, port Et7"
    assert first["next_offset"] == 1


def test_long_table_loses_rows_with_a_notice_and_is_kept_whole() -> None:
    outputs = Outputs(cap=3000)
    kept = outputs.keep_rows(TABLE, device="sw1", command="show interfaces", text=LINES)
    assert kept.table is not None
    assert kept.truncated
    assert (kept.total, kept.table.rows) == (2000, TABLE.rows[: len(kept.table.rows)])
    assert f"offset={len(kept.table.rows)}" in kept.notice
    rows = [row for part in read_all(outputs, kept.output_id) for row in part["table"]["rows"]]  # type: ignore[index]
    assert rows == [list(row) for row in TABLE.rows]
    names = [item for part in read_all(outputs, kept.output_id, query="[?status=='down'].interface") for item in
             part["items"]]  # type: ignore[attr-defined]  # fmt: skip
    assert names == [f"Ethernet{i}" for i in range(2000) if i % 3 == 0]
    assert outputs.read(kept.output_id, query="length(@)")["value"] == 2000
    assert outputs.read(kept.output_id, grep="^line 7 ")["total"] == 1


def test_short_table_and_data_are_passed_on() -> None:
    small = Table(("a",), (("1",),))
    assert Outputs().keep_rows(small, device="r1", command="x").table is small
    assert Outputs().keep_data({"a": 1}, device="r1", command="x").data == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        {f"198.51.{i}.0/24": [{"prefix": f"198.51.{i}.0/24", "metric": i}] for i in range(250)},
        {"interfaces": {f"Et{i}": {"mtu": 9214, "up": True} for i in range(500)}},
        [{"n": i} for i in range(3000)],
        {"text": "x" * 50_000},
        ["y" * 3000] * 9,
    ],
)
def test_long_json_is_cut_to_valid_json_and_kept_whole(data: object) -> None:
    outputs = Outputs(cap=2500)
    kept = outputs.keep_data(data, device="r1", command="show x json")
    assert 300 < len(json.dumps(kept.data, separators=(",", ":"))) <= 2500
    assert kept.truncated
    assert "cut at the top, " in kept.notice
    text = "".join(str(part["text"]) for part in read_all(outputs, kept.output_id))
    assert json.loads(text) == data


def test_row_wider_than_the_cap_is_cut_in_its_cells_and_reading_moves_on() -> None:
    outputs = Outputs(cap=2000)
    kept = outputs.keep_rows(Table(("a", "b"), (("x" * 9000, "1"), ("y", "2"))), device="r1", command="x")
    parts = read_all(outputs, kept.output_id)
    assert parts[0]["cut"] == "cells of the row"
    assert parts[1]["table"] == {"columns": ["a", "b"], "rows": [["y", "2"]]}


def test_outputs_expire_and_say_so() -> None:
    clock = Clock()
    outputs = Outputs(cap=2000, expiry=600, clock=clock)
    kept = outputs.keep(LINES, device="r1", command="x")
    clock.now = 599
    assert outputs.read(kept.output_id, limit=1)["text"]
    clock.now = 600
    with pytest.raises(InputError, match=r"it expired; outputs are kept for 10 min"):
        outputs.read(kept.output_id)


def test_unknown_id_is_an_error() -> None:
    with pytest.raises(InputError, match="no output has this id"):
        Outputs().read("o123")


def test_what_does_not_fit_in_memory_is_in_a_private_file_until_it_is_closed(tmp_path: Path) -> None:
    outputs = Outputs(cap=2000, memory_cap=1000, spill_dir=tmp_path / "spill")
    kept = outputs.keep(LINES, device="r1", command="x")
    rows = outputs.keep_rows(TABLE, device="r1", command="x", text="\ud800")
    files = list((tmp_path / "spill").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "spill").stat().st_mode) == 0o700
    assert "".join(str(part["text"]) for part in read_all(outputs, kept.output_id)) == LINES
    assert outputs.read(rows.output_id, offset=-1)["table"] == {
        "columns": ["interface", "status"],
        "rows": [["Ethernet1999", "up"]],
    }
    outputs.close()
    assert list((tmp_path / "spill").iterdir()) == []
    with pytest.raises(InputError, match="closed"):
        outputs.read(kept.output_id)


def test_expired_file_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    outputs = Outputs(cap=2000, memory_cap=1, expiry=5, spill_dir=tmp_path / "s", clock=clock)
    outputs.keep(LINES, device="r1", command="x")
    clock.now = 6
    other = outputs.keep(LINES, device="r1", command="x")
    assert [file.name for file in (tmp_path / "s").iterdir()] == [other.output_id]


def test_folder_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    outputs = Outputs(cap=2000, memory_cap=1, spill_dir=tmp_path)
    kept = outputs.keep(LINES, device="r1", command="x")
    assert list(tmp_path.iterdir()) == []
    assert (kept.truncated, kept.output_id) == (True, "")
    assert "could not be kept" in kept.shown


def test_without_disk_the_oldest_output_makes_room(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    outputs = Outputs(cap=2000, memory_cap=len(LINES) + 10, spill_dir=tmp_path)
    first = outputs.keep(LINES, device="r1", command="x")
    second = outputs.keep(LINES, device="r1", command="x")
    assert outputs.read(second.output_id, limit=1)["text"]
    with pytest.raises(InputError, match="newer outputs needed its room"):
        outputs.read(first.output_id)


def test_full_disk_allowance_drops_the_oldest_file(tmp_path: Path) -> None:
    outputs = Outputs(cap=2000, memory_cap=1, disk_cap=int(len(LINES) * 1.5), spill_dir=tmp_path / "s")
    first = outputs.keep(LINES, device="r1", command="x")
    second = outputs.keep(LINES, device="r1", command="x")
    assert [file.name for file in (tmp_path / "s").iterdir()] == [second.output_id]
    with pytest.raises(InputError, match="newer outputs"):
        outputs.read(first.output_id)


def test_ids_are_long_and_never_the_same() -> None:
    outputs = Outputs(cap=2000)
    ids = {outputs.keep(LINES, device="r1", command="x").output_id for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch("o[0-9a-f]{32}", output_id) for output_id in ids)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"limit": -1}, "cannot be negative"),
        ({"grep": "a", "query": "b"}, "cannot be combined"),
        ({"query": "[0]"}, "text without rows"),
        ({"grep": "("}, "a parenthesis is not closed at position 0"),
        ({"grep": "a)"}, "unbalanced parenthesis at position 1"),
        ({"grep": r"(a)\1"}, "not supported at position 3"),
        ({"grep": "(?=a)"}, "not supported at position 0"),
        ({"grep": "*"}, "nothing to repeat at position 0"),
        ({"grep": "[z-a]"}, "bad character range"),
        ({"grep": "(a{99}){99}"}, "multiply to too much"),
        ({"grep": "a.{1900}c"}, "too large, {1900} counts over 500 at position 8"),
        ({"grep": "a" * 600}, "500 are allowed"),
    ],
)
def test_bad_arguments_of_read_are_input_errors(how: dict[str, object], why: str) -> None:
    outputs = Outputs(cap=2000)
    kept = outputs.keep(LINES, device="r1", command="x")
    with pytest.raises(InputError) as caught:
        outputs.read(kept.output_id, **how)  # type: ignore[arg-type]  # the wrong values are the test
    assert why in str(caught.value)


ATOMS = st.sampled_from(
    ["a", "b", "1", r"\d", r"\w", r"\s", ".", "[ab]", "[^a-z]", r"\.", "-", r"\b", "^", "$", "[&&[|~]"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("".join, st.lists(inner, min_size=1, max_size=3)),
        st.builds("({})".format, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds(
            "(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "{1,}", "*?", "+?"])
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(PATTERNS, st.text(alphabet="abAB1.- _&", min_size=1, max_size=12), st.booleans())
def test_linear_search_finds_what_re_finds(pattern: str, line: str, folded: bool) -> None:
    import warnings

    pattern = "(?i)" + pattern if folded else pattern
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of `[&&[|~]`, which we read literally, as re does today
        wanted = re.search(pattern, line) is not None
    assert searcher(pattern)(line) == wanted


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x.*y.*z", "a?" * 30 + "a" * 30 + "$b", "(a*)*(a*)*c"])
def test_patterns_that_hang_re_end_here(pattern: str) -> None:
    """Were it not linear, this test would not end: 2^20000 steps."""
    assert searcher(pattern)("a" * 20_000 + "!") is False


def test_search_that_is_too_much_work_ends_with_an_error_and_the_same_on_plain_text_does_not() -> None:
    chance = random.Random(1)  # noqa: S311  # not a secret
    mixed = "".join(chance.choice("ab") for _ in range(100_000))
    with pytest.raises(InputError, match="too much work on this output"):
        searcher("a.{400}c")(mixed)
    assert searcher(r"(\d{1,3}\.){3}\d{1,3}/32$")("10.0.0.1/31 " * 50_000 + "10.0.0.1/32")


HIDDEN = "a\u202eb\u200bc\u2066\U000e0041\x9b31m\u2028\x1b\ud800"
SHOWN = r"a\u{202e}b\u{200b}c\u{2066}\u{e0041}\u{9b}31m\u{2028}\u{1b}\u{d800}"


def test_hidden_characters_are_shown_and_the_others_stay() -> None:
    assert visible(HIDDEN) == SHOWN
    assert visible("a\tb\nc\x07\x7f") == "a\tb\nc\\u{7}\\u{7f}"
    assert visible("Zürich, 東京, \U0001f600\n") == "Zürich, 東京, \U0001f600\n"


def test_kept_output_shows_what_was_hidden_also_in_its_later_parts() -> None:
    outputs = Outputs(cap=2000)
    kept = outputs.keep(f"{HIDDEN}\n" * 1000, device="r1", command="x")
    assert visible(kept.shown) == kept.shown
    assert outputs.read(kept.output_id, offset=-1)["text"] == SHOWN + "\n"
    assert outputs.keep(HIDDEN, device="r1", command="x").shown == SHOWN


def test_error_shows_what_was_hidden_in_the_devices_words() -> None:
    error = InputError(f"no {HIDDEN}", line=HIDDEN, hint=HIDDEN)
    assert str(error) == f"no {SHOWN}"
    assert (error.facts()["message"], error.facts()["line"], error.facts()["hint"]) == (f"no {SHOWN}", SHOWN, SHOWN)


def test_search_of_a_long_output_leaves_the_event_loop_to_others() -> None:
    from types import SimpleNamespace

    import anyio

    from netssh_mcp.tools import observe

    threads: list[int] = []

    class Watched(Outputs):
        def read(self, *args: Any, **how: Any) -> dict[str, object]:
            threads.append(threading.get_ident())
            return super().read(*args, **how)

    outputs = Watched(cap=2000)
    kept = outputs.keep(LINES, device="r1", command="x")
    context: Any = SimpleNamespace(request_context=SimpleNamespace(lifespan_context=SimpleNamespace(outputs=outputs)))

    async def read() -> None:
        result = await observe.read_output(context, output_id=kept.output_id, grep="line 7 ")
        assert result.structured_content is not None
        assert result.structured_content["total"] == 1

    anyio.run(read)
    assert threads
    assert threading.get_ident() not in threads


def test_answer_of_a_tool_shows_what_was_hidden_in_both_its_forms() -> None:
    from netssh_mcp.tools import render
    from netssh_mcp.tools.answers import answer

    given = answer({"question": HIDDEN, "rows": [{HIDDEN: (HIDDEN, 1)}]}, render.document)
    assert given.structured_content == {"question": SHOWN, "rows": [{SHOWN: (SHOWN, 1)}]}
    assert visible(str(given.content[0])) == str(given.content[0])
    assert "\u202e" not in str(given.content[0].model_dump())
