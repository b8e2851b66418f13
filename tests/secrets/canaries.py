"""Twenty-five credentials that are easy to spill, and the search for them in any text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, quote_plus

# One line each, unchanged by SASLprep (RFC 4013), which the simulated devices' server puts a password through.
_ODD = (
    "'",
    '"',
    "\\",
    "%s%d%(x)s%",
    "{0}{x!r}{",
    "é",
    "пароль",
    "密码",
    "ñß€",
    " two  words ",
    "$HOME$(id)`id`",
    "a'b\"c\\d",
    "\\'\"é%{",
    "\\n\\x41\\u0041",
    "&amp;<b>",
    "a+b/c=?&d#",
    "QWxhZGRpbjpvcGVu==",
    "[redacted]",
    "^C~.!!",
    "*?[a-z]|;&>",
    "-oProxyCommand=x",
    "x" * 400,
    "'''\"\"\"\\\\\\",
    "%25%0a+%2B",
    "a:b@c/d",
)


@dataclass(frozen=True)
class Canary:
    """The secrets of one device, all different."""

    number: int
    odd: str

    def of(self, purpose: str) -> str:
        """`purpose` is password, enable, phrase or sudo."""
        return f"cnry{self.number:02}{purpose[0]}{self.odd}{self.number:02}{purpose}"


CANARIES = tuple(Canary(number, odd) for number, odd in enumerate(_ODD))
PURPOSES = ("password", "enable", "phrase", "sudo")


def written(value: str) -> tuple[str, ...]:
    """The value in every spelling that is searched for. Written out here, so that no error of the program's own list
    (`Vault.spellings`, which redaction uses) hides itself."""
    raw = value.encode()
    single, double = value.replace("\\", "\\\\").replace("'", "\\'"), value.replace("\\", "\\\\").replace('"', '\\"')
    found = [
        value,
        *(single, double, repr(value)[1:-1], ascii(value)[1:-1], repr(repr(value))[2:-2]),
        *(repr(raw)[2:-1], str([raw])[3:-2], repr(str(raw))[3:-2]),
        *(json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]),
        *(
            json.dumps(json.dumps(value))[3:-3],
            json.dumps(json.dumps(value, ensure_ascii=False), ensure_ascii=False)[3:-3],
        ),
        *(quote(value), quote(value, safe=""), quote_plus(value), quote(value, safe="~()*!.'"), escape(value)),
        *(raw.hex(), raw.hex().upper(), raw.hex(" "), raw.hex(":")),
    ]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found += [encode(raw).decode(), encode(raw).decode().rstrip("=")]
        for before in (b"x", b"xy"):  # as a part of something longer: what depends on the value alone
            inside = encode(before + raw + b"x" * (-(len(before) + len(raw)) % 3)).decode()
            found.append(inside[4:-4])
    return tuple(dict.fromkeys(found))


def encoded(value: str) -> tuple[str, ...]:
    """What a device may make of it: the value, alone or inside of something longer, in one encoding."""
    raw = value.encode()
    inside = (raw, b"admin:" + raw, b"x" + raw + b"y", b"xy" + raw + b"z")
    return (
        *(
            value,
            repr(value),
            repr(raw),
            repr([raw, "'"]),
            json.dumps({"a": value}),
            json.dumps(value, ensure_ascii=False),
        ),
        *(f"http://h/?p={quote(value)}", quote(value, safe=""), quote_plus(value), f"<b>{escape(value)}</b>"),
        *(raw.hex(), raw.hex().upper(), f"0x{b'xyz'.hex()}{raw.hex()}"),
        *(base64.b64encode(each).decode() for each in inside),
        *(base64.urlsafe_b64encode(each).decode() for each in inside),
    )


def spellings(canaries: Iterable[Canary] = CANARIES) -> tuple[str, ...]:
    """Every spelling of every secret of these."""
    return tuple(spelling for canary in canaries for purpose in PURPOSES for spelling in written(canary.of(purpose)))


_BEGINNINGS = ("cnry", "636e7279", "Y25ye")  # of each, raw, in hex and in base64, should only a part have come through


def hits(text: str, searched: tuple[str, ...] = spellings()) -> list[str]:
    """What of them stands in the text, whole; and each place where one begins, should only a part have come through."""
    found = [spelling for spelling in searched if spelling in text]
    if found:
        return found
    return ["a part: " + text[max(0, text.find(start) - 40) :][:100] for start in _BEGINNINGS if start in text]
