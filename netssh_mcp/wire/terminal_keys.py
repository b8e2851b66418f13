"""The bytes that a terminal sends for a named key: xterm's, as in its "ctlseqs" and terminfo's `xterm-256color`."""

from __future__ import annotations

import re
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.near import did_you_mean

ENTER: Final = b"\r"

_PLAIN: Final = {
    "enter": ENTER,
    "tab": b"\t",
    "esc": b"\x1b",
    "space": b" ",
    "backspace": b"\x7f",
    "shift-tab": b"\x1b[Z",
    "ctrl-space": b"\0",
    **{f"ctrl-{letter}": bytes([ord(letter) & 0x1F]) for letter in "abcdefghijklmnopqrstuvwxyz@[\\]^_"},
    "ctrl-?": b"\x7f",
}
_CURSOR: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_PF: Final = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_NUMBERED: Final = dict(
    zip(
        ("insert", "delete", "pgup", "pgdn", *(f"f{number}" for number in range(5, 13))),
        (2, 3, 5, 6, 15, 17, 18, 19, 20, 21, 23, 24),
        strict=True,
    )
)
_ALIASES: Final = {
    **dict.fromkeys(("return", "cr", "newline"), "enter"),
    **dict.fromkeys(("pagedown", "pgdown"), "pgdn"),
    "escape": "esc",
    "spacebar": "space",
    "bs": "backspace",
    "del": "delete",
    "ins": "insert",
    "pageup": "pgup",
    "backtab": "shift-tab",
}
_MODIFIERS: Final = {"shift": 1, "alt": 2, "ctrl": 4}  # their sum and 1 is the parameter behind the key's own
_SPELLED: Final = {"c": "ctrl", "control": "ctrl", "m": "alt", "meta": "alt", "option": "alt", "s": "shift"}
_PREFIX: Final = re.compile(r"(?i)(ctrl|control|alt|meta|option|shift|[cms])[-+](?=.)")
_CARET: Final = re.compile(r"\^([A-Za-z@\[\\\]^_?])")
_NAMES: Final = (*_PLAIN, *_CURSOR, *_PF, *_NUMBERED, "page_up", "page_down", "alt-x")
_IN_TEXT: Final = re.compile(r"<([A-Za-z^][^<>\s]{0,20}|[^<>\s]*-[<>])>")
_REFUSED: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def key(name: str, *, application: bool = False) -> bytes:
    """What a terminal sends for `enter`, `<Up>`, `ctrl-c`, `alt-x`, `shift-tab`, `f5`; one character is itself.

    `application`: the program has asked for the cursor keys' other form (DECCKM). InputError with the nearest names.
    """
    found = _found(name, application)
    if found is None:
        raise InputError(
            f"no such key on a keyboard: {name[:30]!r}; {did_you_mean(_bare(name), _NAMES)}",
            hint="Keys are enter, tab, esc, space, backspace, delete, insert, up, down, left, right, home, end, pgup, "
            "pgdn, f1-f12, ctrl-a to ctrl-z, alt-x, shift-tab, or one character.",
        )
    return found


def typed(text: str, *, enter: bytes = ENTER) -> bytes:
    """The bytes of a text in which names such as `<enter>` or `<ctrl-c>` are keys; Enter follows unless a key is in it.

    A line break is Enter, other angle brackets are text. `enter` is what Enter sends: newline where no terminal is in
    between. InputError for other control characters.
    """
    _refuse_controls(text)
    parts: list[bytes] = []
    keys, done = 0, 0
    for match in _IN_TEXT.finditer(text):
        sent = _found(match[1], application=False) if len(match[1]) > 1 else None
        if sent is None:
            continue
        parts += [_lines(text[done : match.start()], enter), enter if sent == ENTER else sent]
        keys, done = keys + 1, match.end()
    parts.append(_lines(text[done:], enter))
    return b"".join(parts) + (b"" if keys or text.endswith("\n") else enter)


def literal(text: str, *, enter: bool) -> bytes:
    """The bytes of a text typed as it is, and Enter behind it where asked. InputError for control characters."""
    _refuse_controls(text)
    return _lines(text, ENTER) + (ENTER if enter else b"")


def _refuse_controls(text: str) -> None:
    if found := _REFUSED.search(text):
        raise InputError(
            f"there is a control character in the text (U+{ord(found[0]):04X}); nothing was typed",
            hint="Name it as a key instead: esc, ctrl-c, backspace, up ...",
        )


def _lines(text: str, enter: bytes) -> bytes:
    return text.encode().replace(b"\n", enter)


def _bare(name: str) -> str:
    name = name if name == " " else name.strip()
    return name[1:-1] if len(name) > 2 and name[0] == "<" and name[-1] == ">" else name


def _found(name: str, application: bool) -> bytes | None:
    bare = _bare(name)
    if len(bare) == 1:
        return None if _REFUSED.match(bare) else ENTER if bare == "\n" else bare.encode()
    if caret := _CARET.fullmatch(bare):
        bare = f"ctrl-{caret[1]}"
    held = set[str]()
    while prefix := _PREFIX.match(bare):
        held.add(_SPELLED.get(prefix[1].lower(), prefix[1].lower()))
        bare = bare[prefix.end() :]
    word = bare.lower().replace("_", "").replace("-", "") if len(bare) > 1 else bare
    return _held(held, _ALIASES.get(word, word), application)


def _held(held: set[str], word: str, application: bool) -> bytes | None:
    """The key with these modifiers held."""
    if "alt" in held and word not in _CURSOR | _PF | _NUMBERED:  # xterm's metaSendsEscape
        inner = _held(held - {"alt"}, word, application)
        return None if inner is None else b"\x1b" + inner
    modifier = 1 + sum(_MODIFIERS[each] for each in held)
    if word in _CURSOR or word in _PF:
        final = _CURSOR.get(word) or _PF[word]
        if modifier > 1:
            return f"\x1b[1;{modifier}{final}".encode()
        return f"\x1b{'O' if application or word in _PF else '['}{final}".encode()
    if word in _NUMBERED:
        return f"\x1b[{_NUMBERED[word]}{f';{modifier}' if modifier > 1 else ''}~".encode()
    if len(word) == 1 and held <= {"shift"}:
        return (word.upper() if held else word).encode() if word.isprintable() else None
    name = "-".join([*(each for each in ("ctrl", "shift") if each in held), word.lower()])
    return _PLAIN.get(name)
