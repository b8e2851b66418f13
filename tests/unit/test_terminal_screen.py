"""The screen of a terminal: what xterm's terminfo promises to programs, and nothing that hurts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netssh_mcp.wire.terminal_screen import Screen


def shown(sent: bytes, width: int = 20, height: int = 4) -> list[str]:
    """The rows down to the last one that is not blank."""
    screen = Screen(width, height)
    screen.feed(sent)
    rows = list(screen.picture().rows)
    while rows and not rows[-1]:
        rows.pop()
    return rows


CASES = {
    "lines": (b"one\r\ntwo", ["one", "two"]),
    "wrapping": (b"x" * 25, ["x" * 20, "x" * 5]),
    "no wrapping": (b"\x1b[?7l" + b"x" * 25 + b"y", ["x" * 19 + "y"]),
    "scrolling": (b"1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"]),
    "a place": (b"\x1b[3;5Hx", ["", "", "    x"]),
    "clearing": (b"text\x1b[2J\x1b[Hnew", ["new"]),
    "erasing a line": (b"text\r\x1b[Kx", ["x"]),
    "scroll region": (b"a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\nx\x1b[r", ["a", "c", "x", "d"]),
    "scroll up (indn)": (b"a\r\nb\r\nc\x1b[2S", ["c"]),
    "scroll down (rin)": (b"a\r\nb\x1b[2T", ["", "", "a", "b"]),
    "reverse index": (b"a\x1b[H\x1bMb", ["b", "a"]),
    "insert and delete lines": (b"a\r\nb\x1b[1;1H\x1b[L0\x1b[3;1H\x1b[M", ["0", "a"]),
    "repeat (rep)": (b"-\x1b[9bx", ["-" * 10 + "x"]),
    "back tab (cbt)": (b"\t\tab\x1b[Zx", [" " * 16 + "xb"]),
    "insert mode": (b"bc\r\x1b[4ha\x1b[4l", ["abc"]),
    "line drawing": (b"\x1b(0lqk\x1b(B ok", ["┌─┐ ok"]),
    "wide characters": ("中文!".encode(), ["中文!"]),
    "a wide one at the edge": (b"x" * 19 + "中".encode(), ["x" * 19, "中"]),
    "half of a wide one is overwritten": ("中\rx".encode(), ["x"]),
    "combining": ("e\u0301".encode(), ["é"]),
    "emoji with a joiner does not end the text": ("a\u200db".encode(), ["ab"]),
    "tabs": (b"a\tb", ["a       b"]),
    "a title is no text": (b"\x1b]2;title\x07x", ["x"]),
    "a device control string is no text": (b"\x1bP+q544e\x1b\\x", ["x"]),
    "a privacy message is no text": (b"\x1b^secret\x1b\\\x1b_app\x1b\\x", ["x"]),
    "soft reset": (b"\x1b[!px", ["x"]),
    "kitty's keyboard": (b"\x1b[>1u\x1b[<ux", ["x"]),
    "underline styles": (b"\x1b[4:3mx\x1b[?4m\x1b[>4;2m", ["x"]),
    "mode questions": (b"\x1b[?2026$px", ["x"]),
    "cursor styles": (b"\x1b[2 qx", ["x"]),
    "saved cursor": (b"ab\x1b7\x1b[3;1Hc\x1b8d\x1b8e", ["abe", "", "c"]),
    "132 columns stay what they are": (b"\x1b[?3hx", ["x"]),
    "full reset": (b"text\x1bcx", ["x"]),
    "cursor styles of vim": (b"\x1b[23;2t\x1b[22;0;0tx", ["x"]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_screen_is_xterms(name: str) -> None:
    sent, rows = CASES[name]
    assert shown(sent) == rows


def test_the_alternate_screen_gives_the_first_one_back() -> None:
    screen = Screen(20, 4)
    screen.feed(b"before\r\n$ vi\x1b[?1049h\x1b[Hin vi")
    assert (screen.alternate, screen.picture().rows[0]) == (True, "in vi")
    screen.feed(b"\x1b[?1049l")
    assert (screen.alternate, screen.feed(b"")) == (False, b"")
    picture = screen.picture()
    assert picture.rows[:2] == ("before", "$ vi")
    assert (picture.column, picture.row) == (4, 1)


def test_what_a_program_asks_of_its_terminal_is_answered() -> None:
    screen = Screen(20, 4)
    assert screen.feed(b"ab\r\nc\x1b[6n") == b"\x1b[2;2R"
    assert screen.feed(b"\x1b[5n\x1b[c\x1b[>c\x1b[?6n") == b"\x1b[0n\x1b[?1;2c\x1b[>41;354;0c\x1b[?2;2R"
    assert screen.feed(b"\x1b[3") == b""
    assert screen.feed(b";1H\x1b[6n") == b"\x1b[3;1R"


def test_a_file_full_of_questions_gets_few_answers() -> None:
    assert Screen(20, 4).feed(b"\x1b[6n" * 1000).count(b"R") == 16


def test_cursor_keys_and_the_hidden_cursor_are_as_the_program_wants_them() -> None:
    screen = Screen(20, 4)
    for switch, wanted in ((b"\x1b[?1h\x1b[?25l", True), (b"\x1b[?1l\x1b[?25h", False)):
        screen.feed(switch)
        assert (screen.application_cursor, screen.picture().hidden) == (wanted, wanted)


def test_the_end_of_a_flood_is_the_screen_that_all_of_it_gives() -> None:
    flood = b"".join(b"line %d of it\r\n" % number for number in range(5_000))
    whole, pieces = Screen(80, 24), Screen(80, 24)
    whole.feed(flood)
    for at in range(0, len(flood), 1000):
        pieces.feed(flood[at : at + 1000])
    assert whole.picture() == pieces.picture()
    assert whole.picture().rows[22] == "line 4999 of it"


def test_a_string_without_an_end_keeps_nothing() -> None:
    screen = Screen(20, 4)
    for _ in range(100):
        screen.feed(b"\x1b]0;" + b"x" * 10_000)
    assert len(screen._held) < 10_000
    screen.feed(b"\x07back")
    assert screen.picture().rows[0].endswith("back")


def test_marks_on_one_character_do_not_pile_up() -> None:
    screen = Screen(20, 4)
    screen.feed(b"e" + "\u0301".encode() * 10_000)
    assert len(screen.picture().rows[0]) < 10


PARTS = [
    *(
        b"\x1b",
        b"[",
        b"]",
        b"?",
        b";",
        b"1",
        b"9999",
        b"1049",
        b"h",
        b"l",
        b"m",
        b"H",
        b"J",
        b"K",
        b"a",
        b"\xc3",
        b"\xa4",
    ),
    *(b"\xe4\xb8\xad", b"\r", b"\n", b"\b", b"P", b"\\", b"\x07", b"r", b"L", b"S", b"b", b"(0", b"x", b"@", b"6n"),
    *(b"\xcc\x81", b"M", b"7", b"8", b"c", b"I", b"Z", b" "),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_any_bytes_give_a_screen_and_the_same_one_byte_by_byte(parts: list[bytes]) -> None:
    sent = b"".join(parts)
    whole, bytewise = Screen(20, 5), Screen(20, 5)
    whole.feed(sent)
    for byte in sent:
        bytewise.feed(bytes([byte]))
    assert whole.picture() == bytewise.picture()
    assert len(whole.picture().before) <= 20


@pytest.mark.parametrize("seed", range(5))
def test_noise_gives_a_screen(seed: int) -> None:
    screen = Screen(80, 24)
    screen.feed(random.Random(seed).randbytes(50_000))  # noqa: S311
    assert len(screen.picture().rows) == 24
