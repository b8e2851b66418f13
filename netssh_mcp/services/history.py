"""What was run and what became of it: the last commands of this process, light enough to keep all of them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from netssh_mcp.services.shown import Partial

KEPT: Final = 500  # commands
PAGE: Final = 50
_TITLE = 2000  # characters of a title that are kept
_SHOWN = 200
_NAMES = 3  # devices that are named; of the others the number
COLUMNS: Final = ("job_id", "command", "devices", "state", "rows", "ok", "failed", "exit", "started", "seconds")


@dataclass(frozen=True, slots=True)
class Past:
    """One call's commands. `job_id` is "" when it was never given out: then nothing can be read by it."""

    number: int
    job_id: str
    title: str
    partial: Partial  # how the title is shown: without the secrets that are known by then
    devices: tuple[str, ...]
    device_count: int
    state: str
    ok: int
    failed: int
    exits: tuple[tuple[int, int], ...]  # exit status, how often
    started: datetime
    seconds: float

    def cells(self) -> list[object]:
        """The row of a listing."""
        exits = str(self.exits[0][0]) if len(self.exits) == 1 else ", ".join(f"{n} x {code}" for code, n in self.exits)
        return [
            self.job_id,
            short(self.partial, self.title),
            named(self.devices, self.device_count),
            self.state,
            self.ok + self.failed,
            self.ok,
            self.failed,
            exits,
            stamp(self.started),
            round(self.seconds, 3),
        ]


class History:
    """The last KEPT of them, newest first."""

    def __init__(self) -> None:
        self._past: deque[Past] = deque(maxlen=KEPT)
        self._number = 0

    def add(
        self,
        job_id: str,
        title: str,
        partial: Partial,
        *,
        devices: list[str],
        state: str,
        answers: list[dict[str, Any]],
        started: datetime,
        seconds: float,
    ) -> None:
        """Note what has ended."""
        self._number += 1
        names = tuple(dict.fromkeys(devices))
        ok = sum(bool(answer.get("ok")) for answer in answers)
        exits = Counter(answer["exit_status"] for answer in answers if answer.get("exit_status") is not None)
        past = Past(
            self._number,
            job_id,
            title[:_TITLE],
            partial,
            names[:_NAMES],
            len(names),
            state,
            ok,
            len(answers) - ok,
            tuple(exits.most_common(5)),
            started,
            seconds,
        )
        self._past.append(past)

    def page(self, cursor: int) -> dict[str, Any]:
        """PAGE of them, those before number `cursor` (0: the newest). `cursor` of the answer goes on."""
        found = [past for past in reversed(self._past) if not cursor or past.number < cursor]
        page, more = found[:PAGE], len(found) > PAGE
        last = page[-1].number if page else 0
        return {
            "columns": list(COLUMNS),
            "rows": [past.cells() for past in page],
            "cursor": last,
            "next": f"job(action='history', cursor={last}) goes on with older ones." if more else "",
        }


def short(partial: Partial, title: str) -> str:
    """A title without secrets, cut last."""
    shown = partial.line(title[:_TITLE])
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


def named(devices: tuple[str, ...], count: int) -> str:
    """Some names, and how many more there are."""
    more = count - len(devices)
    return ", ".join(devices) + (f" and {more} more" if more > 0 else "")


def stamp(moment: datetime) -> str:
    """UTC, to the second."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
