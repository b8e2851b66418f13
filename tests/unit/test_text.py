"""Terminal bytes to text, and the echo of a line: what a person would have read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.wire.echo import after_echo
from netssh_mcp.wire.text import clean, last_line


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\r\r\nb", "a\nb"),
        (b"a\n\rb", "a\nb"),
        (b"a\x00\r\nb\x00", "a\nb"),
        (b"\x1b[31mred\x1b[0m and \x1b[?1049hscreen\x1b[K", "red and screen"),
        (b"\x1b]0;title\x07r1#", "r1#"),
        (b"\x1b]0;title\x1b\\r1#", "r1#"),
        (b"\x1b(Bplain\x1b=\x1b>", "plain"),
        (b"shw\b \bow", "show"),
        (b"one\r\n --More-- \b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\btwo\r\n", "one\ntwo\n"),
        (b" --More-- \r          \rtwo", "two"),
        (b"50%\r100%\r\n", "100%\n"),
        (b"\x07bell\x7f", "bell"),
        ("caf\u00e9 \u6f22\u5b57".encode(), "caf\u00e9 \u6f22\u5b57"),
        (b"caf\xc3", "caf\ufffd"),
        (b"latin \xe9 one", "latin \ufffd one"),
        (b"tab\tstays", "tab\tstays"),
        (b"", ""),
    ],
)
def test_bytes_become_what_a_screen_shows(raw: bytes, text: str) -> None:
    assert clean(raw) == text
    assert clean(bytearray(raw)) == text
    assert clean(memoryview(raw)) == text


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")), max_size=200))
def test_printable_text_is_never_changed(text: str) -> None:
    assert clean(text.encode()) == text


@given(st.binary(max_size=300))
def test_any_bytes_give_text_without_control_characters(raw: bytes) -> None:
    assert not {char for char in clean(raw) if ord(char) < 32} - {"\n", "\t"}


def test_an_escape_without_an_end_costs_no_more_than_its_length() -> None:
    assert clean(b"\x1b]" * 20_000 + b"end").endswith("end")


@pytest.mark.parametrize(("text", "line"), [("a\nb", "b"), ("a\n", ""), ("", ""), ("one", "one")])
def test_the_last_line_is_what_stands_after_the_last_newline(text: str, line: str) -> None:
    assert last_line(text) == line


@pytest.mark.parametrize(
    ("raw", "rest"),
    [
        (b"show it\r\nup", b"up"),
        (b"show it\nup", b"up"),
        (b"show \rit\r\nup", b"up"),
        (b"sh\b \bhow it\r\nup", None),  # a correction: the visible characters are not the line's
        (b"s\x1b[Kh\x1b[1Cow it\x1b[K\r\nup", b"up"),
        (b"\x07show it\r\nup", b"up"),
        (b"show it", None),
        (b"show its\r\nup", None),
        (b"other\r\nshow it\r\n", None),
    ],
)
def test_an_echo_is_passed_over_and_nothing_else_is(raw: bytes, rest: bytes | None) -> None:
    at = after_echo(raw, "show it")
    assert (None if at is None else raw[at:]) == rest
