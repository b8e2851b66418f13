"""What was measured, as JSON for programs and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is value / reference_value, of the same run. `holds` None: for information, or not run (`bar` says why).

    Values are in `unit`; a `bar` without an x is one on the value, one with a + is on the difference.
    """

    name: str
    value: float | None
    unit: str
    reference: str
    reference_value: float | None
    ratio: float | None
    bar: str
    holds: bool | None


def compared(
    name: str,
    value: float,
    unit: str,
    reference: str,
    reference_value: float,
    *,
    most: float | None = None,
    least: float | None = None,
    more: float | None = None,
    absolute: float | None = None,
    least_value: float | None = None,
) -> Figure:
    """A figure with at most one bar: on the ratio (`most`, `least`), the difference (`more`) or the value itself
    (`absolute` at most, `least_value` at least)."""
    ratio = value / reference_value if reference_value else None
    bar, holds = "", None
    if most is not None:
        bar, holds = f"<= {most:g} x", value <= most * reference_value
    elif least is not None:
        bar, holds = f">= {least:g} x", value >= least * reference_value
    elif more is not None:
        bar, holds = f"<= + {more:g} {unit}", value - reference_value <= more
    elif absolute is not None:
        bar, holds = f"<= {absolute:g} {unit}", value <= absolute
    elif least_value is not None:
        bar, holds = f">= {least_value:g} {unit}", value >= least_value
    return Figure(name, _short(value), unit, reference, _short(reference_value), _short(ratio), bar, holds)


def not_run(name: str, unit: str, reference: str, reason: str) -> Figure:
    """The place of a figure that could not be measured here."""
    return Figure(name, None, unit, reference, None, None, f"not run: {reason}", None)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def write(figures: Sequence[Figure], path: Path) -> None:
    """The list, one figure per block."""
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """Columns for people; a missed bar stands out."""
    head = ("figure", "value", "reference", "its value", "ratio", "bar", "")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {True: "ok", False: "MISSED", None: ""}[figure.holds]
    value, reference = (_shown(number, figure.unit) for number in (figure.value, figure.reference_value))
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    return figure.name, value, figure.reference, reference, ratio, figure.bar, verdict


def _shown(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"
