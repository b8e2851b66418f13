"""Twenty-five credentials that are easy to spill, and the search for them in any text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netssh_mcp.knowledge.vault import Vault

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


def spellings(canaries: Iterable[Canary] = CANARIES) -> tuple[str, ...]:
    """Every spelling of every secret of these."""
    return tuple(
        spelling for canary in canaries for purpose in PURPOSES for spelling in Vault.spellings(canary.of(purpose))
    )


def hits(text: str, searched: tuple[str, ...] = spellings()) -> list[str]:
    """What of them stands in the text, whole; and each place where one begins, should only a part have come through."""
    found = [spelling for spelling in searched if spelling in text]
    return found or (["a part: " + text[max(0, (at := text.find("cnry")) - 40) : at + 60]] if "cnry" in text else [])
