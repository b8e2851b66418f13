"""Interleaved measurements: every round asks each contender once, so that a slow moment of the machine hits all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Contender = Callable[[], float]  # does it once and says how many seconds it took


@dataclass(frozen=True, slots=True)
class Bench:
    """What every figure gets. `scale` multiplies the number of rounds."""

    folder: Path
    scale: float

    def rounds(self, number: int) -> int:
        """How many rounds to run where a full run has `number`."""
        return max(3, round(number * self.scale))

    def subfolder(self, name: str) -> Path:
        """A new private folder."""
        path = self.folder / name
        path.mkdir(mode=0o700)
        return path


def timed(work: Callable[[], object]) -> Contender:
    """Times `work` around its call."""

    def contender() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return contender


def medians(contenders: Mapping[str, Contender], rounds: int, *, warm: int = 2) -> dict[str, float]:
    """Median seconds of each, A B C A B C. The first `warm` rounds are not counted."""
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + warm):
        if number == warm:
            gc.collect()
        for name, contender in contenders.items():
            seconds = contender()
            if number >= warm:
                seen[name].append(seconds)
    return {name: statistics.median(values) for name, values in seen.items()}


def fastest(work: Callable[[], object], *, times: int, repeats: int = 5) -> float:
    """Seconds of one call of something too short to time alone: the best mean of several batches."""
    means = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(times):
            work()
        means.append((time.perf_counter() - began) / times)
    return min(means)
