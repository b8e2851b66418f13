"""The secret values this process has used, so that redaction can find them in any text. Never shown, never written."""

from __future__ import annotations

import threading
from typing import NoReturn

_SHORTEST = 4  # characters: what is shorter stands in every text


class Vault:
    """Values of secrets from the moment they are revealed until the process ends; older ones stay after a change."""

    __slots__ = ("_lock", "_values", "version")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, None] = {}
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

    def __repr__(self) -> str:
        return f"Vault({len(self._values)} values)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Vault is not pickled")
