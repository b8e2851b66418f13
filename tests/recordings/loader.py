"""Device outputs to parse again: ours in this folder, and those of any folder laid out as ntc-templates' own tests.

Ours are `<platform>/<command_with_underscores>.txt`; `__<what>` before the suffix tells several of one command apart.
They are written for this project in the platform's format, with documentation addresses, except `frr/`, which real
FRRouting printed. The other layout is `<platform>/<command_with_underscores>/*.raw`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
EXTRA = "NETSSH_EXTRA_RECORDINGS"


@dataclass(frozen=True)
class Recording:
    """`platform` is ntc-templates' name."""

    platform: str
    command: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def __str__(self) -> str:
        return f"{self.platform}/{self.path.stem}"


def ours(platform: str = "*") -> list[Recording]:
    """The recordings of this folder, sorted."""
    found = sorted(FOLDER.glob(f"{platform}/*.txt"))
    return [Recording(path.parent.name, path.stem.split("__")[0].replace("_", " "), path) for path in found]


def extra() -> Iterator[Recording]:
    """The recordings of the folder that NETSSH_EXTRA_RECORDINGS names, if it does."""
    folder = os.environ.get(EXTRA)
    for path in sorted(Path(folder).glob("*/*/*.raw")) if folder else ():
        yield Recording(path.parent.parent.name, path.parent.name.replace("_", " "), path)
