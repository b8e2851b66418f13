"""What a port forward is asked to be. No Paramiko in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["local", "remote", "dynamic"]
Judge = Callable[[str, int], str]  # the host as it is sent on; NetsshError where no client may be connected there now


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be forwarded. `reach` is where a remote one connects here, resolved and checked before."""

    name: str
    kind: Kind
    bind: str
    listen: int
    host: str = ""
    port: int = 0
    lifetime: float = 3600.0
    reach: tuple[tuple[str, int], ...] = ()
