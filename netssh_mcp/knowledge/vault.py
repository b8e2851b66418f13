"""The secret values this process has used, so that redaction can find them in any text. Never shown, never written.

`quote` and its like are imported inside the function that needs them: the server starts without urllib.
"""

from __future__ import annotations

import base64
import json
import threading
from typing import Final, NoReturn

_SHORTEST: Final = 4  # characters: what is shorter stands in every text
_SHORTEST_CORE: Final = 6  # characters of base64 that are the same wherever the value stands in what was encoded


class Vault:
    """Values of secrets from the moment they are revealed until the process ends; older ones stay after a change."""

    __slots__ = ("_lock", "_spelled", "_values", "version")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, None] = {}
        self._spelled: tuple[int, tuple[str, ...]] = (0, ())
        self.version = 0  # grows with each new value: who compiles them looks here

    def learn(self, value: str) -> None:
        """Remember a value; one that is too short to be searched for is not kept."""
        if len(value) < _SHORTEST or value in self._values:
            return
        with self._lock:
            self._values = {**self._values, value: None}
            self.version += 1

    def values(self) -> tuple[str, ...]:
        """The longest first, so that none is found inside another one that was replaced already."""
        return tuple(sorted(self._values, key=len, reverse=True))

    def spelled(self) -> tuple[str, ...]:
        """Every spelling of every value, the longest first."""
        version, found = self._spelled
        if version != self.version:
            version, values = self.version, self._values
            spellings = dict.fromkeys(spelling for value in values for spelling in self.spellings(value))
            found = tuple(sorted(spellings, key=len, reverse=True))
            self._spelled = (version, found)
        return found

    def hidden(self, text: str, shown: str = "<redacted>") -> str:
        """The text with `shown` in place of every spelling of every value."""
        for spelling in self.spelled():
            if spelling in text:
                text = text.replace(spelling, shown)
        return text

    @staticmethod
    def spellings(value: str) -> tuple[str, ...]:
        """How the value can stand in a text: as it is, as in a repr of text or bytes, JSON, a URL, HTML, hex, base64.

        The longest first. Of base64 also the part that does not depend on what stands around the value.
        """
        from html import escape  # noqa: PLC0415 - see the top
        from urllib.parse import quote, quote_plus  # noqa: PLC0415

        raw = value.encode("utf-8", "surrogatepass")
        twice = repr(repr(value)[1:-1])[1:-1]  # a repr inside a repr: an error's text in a logged tuple
        written = [
            value,
            repr(value)[1:-1],
            ascii(value)[1:-1],
            value.replace("\\", "\\\\").replace("'", "\\'"),  # repr takes the quotes that need the least escaping
            value.replace("\\", "\\\\").replace('"', '\\"'),
            twice,
            repr(raw)[2:-1],
            repr(raw)[2:-1].replace("'", "\\'"),
            repr(repr(raw)[2:-1])[1:-1],
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            json.dumps(json.dumps(value)[1:-1])[1:-1],
            json.dumps(json.dumps(value, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1],
            quote(raw),
            quote(raw, safe=""),
            quote_plus(raw),
            escape(value),
            raw.hex(),
            raw.hex().upper(),
            *_base64(raw),
        ]
        long_enough = (spelling for spelling in written if len(spelling) >= _SHORTEST)
        return tuple(sorted(dict.fromkeys(long_enough), key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Vault({len(self._values)} values)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Vault is not pickled")


def _base64(raw: bytes) -> list[str]:
    """Alone, with and without its padding, and as a part of something longer, at each of the three alignments."""
    found = []
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        alone = encode(raw).decode()
        found += [alone, alone.rstrip("=")]
        for before in range(3):
            first = -(-before * 8 // 6)  # characters that hold bits of what stands before
            core = encode(b"\0" * before + raw).decode()[first : (before + len(raw)) * 8 // 6]
            if len(core) >= _SHORTEST_CORE:
                found.append(core)
    return found
