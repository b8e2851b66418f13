"""The corpus of attacks: `corpus/README.md` says what its lines are and who wrote them."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
PLATFORMS = tuple(sorted(path.stem for path in CORPUS.glob("*.txt")))


def attacks(platform: str) -> list[str]:
    """The platform's attacks, unescaped."""
    lines = (CORPUS / f"{platform}.txt").read_text("ascii").splitlines()
    written = (line.partition("\t")[0] for line in lines if line and not line.startswith("# "))
    return [line.encode("ascii").decode("unicode_escape") for line in written]
