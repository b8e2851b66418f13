"""What a terminal was sent, as lines to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.wire.terminal_text import complete, lines

CASES = {
    "plain": (b"one\r\ntwo\r\n", "one\ntwo\n"),
    "tabs stay": (b"a\tb\r\n", "a\tb\n"),
    "colours go": (b"\x1b[01;34mdir\x1b[0m\r\n", "dir\n"),
    "title": (b"\x1b]0;a title\x07$ ", "$ "),
    "title with ST": (b"\x1b]0;a title\x1b\\$ ", "$ "),
    "device control string": (b"\x1bP+q544e\x1b\\$ ", "$ "),
    "bracketed paste": (b"\x1b[?2004h$ ls\r\n\x1b[?2004l\rfile\r\n", "$ ls\nfile\n"),
    "progress": (b"\r10%\r50%\r100%\r\n", "100%\n"),
    "progress that shrinks": (b"\rdownloading\rdone\x1b[K\r\n", "done\n"),
    "a page prompt that is erased": (b" --More-- \r          \rnext\r\n", "next\n"),
    "backspace": (b"ls -l\b\b\b\x1b[Kx\r\n", "lsx\n"),
    "erased by blanks": (b"abc\b \b\r\n", "ab\n"),
    "insert": (b"bc\r\x1b[@a\r\n", "abc\n"),
    "delete": (b"xabc\r\x1b[P\r\n", "abc\n"),
    "erase characters": (b"abc\r\x1b[2Xx\r\n", "x c\n"),
    "to a column": (b"abcdef\x1b[3Gx\r\n", "abxdef\n"),
    "forward": (b"a\x1b[3Cb\r\n", "a   b\n"),
    "rows by moves": (b"\x1b[H\x1b[2Jtop\x1b[2;1Hsecond\x1b[3;3Hthird\r\n", "top\nsecond\n  third\n"),
    "clear": (b"$ clear\r\n\x1b[H\x1b[2J\x1b[3J$ ", "$ clear\n$ "),
    "the prompt's blank stays": (b"$ ", "$ "),
    "bells": (b"a\x07b\r\n", "ab\n"),
    "broken UTF-8": (b"a\xffb\r\n", "a\ufffdb\n"),
    "no end": (b"a\r\nb", "a\nb"),
    "next line": (b"a\x1bEb\r\n", "a\nb\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_lines_are_what_a_person_has_read(name: str) -> None:
    sent, read = CASES[name]
    assert lines(sent, 80) == read


def test_a_line_that_readline_wraps_at_the_edge_stays_one_line() -> None:
    typed = b"x" * 10 + b"y" + b" \r" + b"z" * 5  # readline forces the wrap by a blank and a carriage return
    assert lines(b"$ " + typed[:8] + b" \r" + b"yz\r\n", 10) == "$ xxxxxxxxyz\n"


def test_a_bar_as_wide_as_the_terminal_is_overwritten() -> None:
    assert lines(b"#" * 10 + b"\r" + b"=" * 10 + b"\r\n", 10) == "=" * 10 + "\n"


@pytest.mark.parametrize(
    ("sent", "whole"),
    [
        (b"abc", 3),
        (b"ab\x1b", 2),
        (b"ab\x1b[", 2),
        (b"ab\x1b[12;", 2),
        (b"ab\x1b[m", 5),
        (b"ab\x1b]0;title", 2),
        (b"ab\x1b]0;title\x1b", 2),
        (b"ab\x1b]0;title\x1b\\", 13),
        (b"ab\x1b(", 2),
        (b"ab\xc3", 2),
        (b"ab\xc3\xa4", 4),
        (b"ab\xe4\xb8", 2),
        (b"ab\xf0\x9f\x98", 2),
        (b"", 0),
    ],
)
def test_what_is_cut_in_two_is_waited_for(sent: bytes, whole: int) -> None:
    assert complete(sent) == whole


@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\b", b"\x1b", b"[", b"9", b";", b"H", b"K", b"C", b"\xff", b"?"]))
)
def test_any_bytes_have_lines_and_an_end(parts: list[bytes]) -> None:
    sent = b"".join(parts)
    assert len(lines(sent, 20)) <= 20 * len(sent) + 20
    assert 0 <= complete(sent) <= len(sent)
