"""What a device may have written and nobody would see: shown, so that reader and model read the same.

Hidden are the controls (C0 but tab and newline, DEL, C1), what changes the direction of text, what has no width, line
separators, variation selectors and tag characters (Unicode TR36, TR39; CVE-2021-42574 is the directions). A lone
surrogate, which JSON can bring, cannot be encoded at all.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e01ef]"
)
_HIDDEN_ASCII = bytes(code for code in (*range(32), 127) if code not in b"\t\n")


def visible(text: str) -> str:
    """The text with every hidden character as `\\u{202e}`. ASCII without any costs a nanosecond per character."""
    if text.isascii():
        raw = text.encode("ascii")
        if len(raw.translate(None, _HIDDEN_ASCII)) == len(raw):
            return text
    return _HIDDEN.sub(lambda hidden: f"\\u{{{ord(hidden[0]):x}}}", text)


def visible_all(value: object) -> object:
    """The same in every string of JSON-like data, keys included; tuples stay tuples."""
    match value:
        case str():
            return visible(value)
        case dict():
            return {visible_all(key): visible_all(inner) for key, inner in value.items()}
        case list():
            return [visible_all(inner) for inner in value]
        case tuple():
            return tuple([visible_all(inner) for inner in value])
        case _:
            return value
