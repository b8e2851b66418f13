"""Named keys and the bytes that xterm sends for them, and text with keys in it."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import InputError
from netssh_mcp.wire.terminal_keys import key, literal, typed

# From terminfo's xterm-256color (kcuu1, kf5, kich1 ...) and xterm's "ctlseqs", not from the module.
KEYS = {
    "enter": b"\r",
    "return": b"\r",
    "tab": b"\t",
    "esc": b"\x1b",
    "escape": b"\x1b",
    "space": b" ",
    "backspace": b"\x7f",
    "delete": b"\x1b[3~",
    "insert": b"\x1b[2~",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pgup": b"\x1b[5~",
    "page_up": b"\x1b[5~",
    "PageUp": b"\x1b[5~",
    "page-down": b"\x1b[6~",
    "pgdn": b"\x1b[6~",
    "f1": b"\x1bOP",
    "f4": b"\x1bOS",
    "f5": b"\x1b[15~",
    "f6": b"\x1b[17~",
    "f10": b"\x1b[21~",
    "f11": b"\x1b[23~",
    "F12": b"\x1b[24~",
    "ctrl-a": b"\x01",
    "Ctrl-C": b"\x03",
    "ctrl+d": b"\x04",
    "C-z": b"\x1a",
    "^C": b"\x03",
    "^[": b"\x1b",
    "ctrl-space": b"\0",
    "ctrl-@": b"\0",
    "ctrl-[": b"\x1b",
    "ctrl-\\": b"\x1c",
    "ctrl-]": b"\x1d",
    "ctrl-^": b"\x1e",
    "ctrl-_": b"\x1f",
    "alt-x": b"\x1bx",
    "alt-X": b"\x1bX",
    "Alt-.": b"\x1b.",
    "alt--": b"\x1b-",
    "alt-enter": b"\x1b\r",
    "ctrl-alt-b": b"\x1b\x02",
    "shift-tab": b"\x1b[Z",
    "ctrl-left": b"\x1b[1;5D",
    "shift-up": b"\x1b[1;2A",
    "alt-right": b"\x1b[1;3C",
    "shift-f5": b"\x1b[15;2~",
    "q": b"q",
    "Q": b"Q",
    "?": b"?",
    " ": b" ",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_sends_what_xterm_sends_with_and_without_brackets(name: str) -> None:
    assert key(name) == KEYS[name]
    if len(name) > 1:
        assert key(f"<{name}>") == key(f" {name} ") == KEYS[name]


def test_every_letter_has_its_control_key() -> None:
    assert [key(f"ctrl-{chr(letter)}") for letter in range(97, 123)] == [bytes([code]) for code in range(1, 27)]


@pytest.mark.parametrize(("name", "sent"), [("up", b"\x1bOA"), ("home", b"\x1bOH"), ("end", b"\x1bOF")])
def test_cursor_keys_have_another_form_where_the_program_asked_for_it(name: str, sent: bytes) -> None:
    assert key(name, application=True) == sent
    assert key("f5", application=True) == key("f5")
    assert key("ctrl-left", application=True) == key("ctrl-left")


@pytest.mark.parametrize(
    ("wrong", "meant"), [("etner", "enter"), ("pgdwn", "pgdn"), ("ctrl-spce", "ctrl-space"), ("shift-tap", "shift-tab")]
)
def test_an_unknown_key_is_refused_with_the_nearest_names(wrong: str, meant: str) -> None:
    with pytest.raises(InputError, match=re.escape(meant)):
        key(wrong)


@pytest.mark.parametrize("wrong", ["", "<>", "ctrl-", "ctrl-ä", "alt-", "f13", "\x03", "\x1b", "hyper-x", "ctrl-1"])
def test_what_no_terminal_sends_is_no_key(wrong: str) -> None:
    with pytest.raises(InputError):
        key(wrong)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("yes", b"yes\r"),
        ("", b"\r"),
        ("yes\n", b"yes\r"),
        ("a\nb", b"a\rb\r"),
        ("<enter>", b"\r"),
        ("y<Enter>", b"y\r"),
        ("<space>", b" "),
        ("<ctrl-c>", b"\x03"),
        ("<^C>", b"\x03"),
        ("a<tab>b<enter>", b"a\tb\r"),
        ("<html> & 1 < 2 > 0", b"<html> & 1 < 2 > 0\r"),
        ("<a>", b"<a>\r"),
        ("größe", "größe\r".encode()),
    ],
)
def test_text_is_typed_with_its_keys_and_enter_follows_unless_a_key_is_in_it(text: str, sent: bytes) -> None:
    assert typed(text) == sent
    assert typed(text, enter=b"\n") == sent.replace(b"\r", b"\n")


@pytest.mark.parametrize("text", ["\x03", "a\x1b[A", "a\rb", "\x7f", "\x00", "\x9b1m", "\ud800"])
def test_a_control_character_in_text_is_refused_and_the_way_to_say_it_is_named(text: str) -> None:
    with pytest.raises(InputError, match="control character") as caught:
        typed(text)
    assert "key" in caught.value.hint
    with pytest.raises(InputError, match="control character"):
        literal(text, enter=True)


def test_literal_text_keeps_what_looks_like_a_key() -> None:
    assert literal("echo <enter>", enter=True) == b"echo <enter>\r"
    assert literal("i", enter=False) == b"i"


@given(st.text(max_size=30))
def test_any_name_is_a_key_or_an_input_error(name: str) -> None:
    with contextlib.suppress(InputError):
        assert key(name)


@given(st.text(alphabet="<>enter-ctrl abc^\n", max_size=40))
def test_any_text_without_control_characters_can_be_typed(text: str) -> None:
    assert typed(text)
