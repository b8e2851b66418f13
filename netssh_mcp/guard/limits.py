"""How often and when: rates and opening hours of the operator's policy. Times come from a `Clock`, for tests.

Rates count in a sliding window on the monotonic clock: in no span of that length are there more, whatever the wall
clock does. Hours are wall time in a named time zone.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Final

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_IN_A_RATE: Final = 100_000  # a time stamp is kept for each
_SPANS: Final = {"s": 1.0, "sec": 1.0, "min": 60.0, "hour": 3600.0, "h": 3600.0, "day": 86_400.0}
_RATE: Final = re.compile(r"([1-9][0-9]{0,5}) ?/ ?([a-z]+)")
_HOURS: Final = re.compile(r"(?:([A-Za-z,\- ]+) )?(\d\d):(\d\d) ?- ?(\d\d):(\d\d)")
_DAY: Final = 24 * 60  # minutes


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from: `monotonic` in seconds, `now` as wall time in a zone."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[tzinfo], datetime] = datetime.now


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: int
    seconds: float
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`30/min`; s, min, hour and day are known. ValueError says what is wrong."""
        found = _RATE.fullmatch(text.strip())
        if found is None or found[2] not in _SPANS:
            raise ValueError("must be a number per s, min, hour or day, such as 30/min")
        if int(found[1]) > MOST_IN_A_RATE:
            raise ValueError(f"at most {MOST_IN_A_RATE} can be counted")
        return cls(int(found[1]), _SPANS[found[2]], f"{found[1]}/{found[2]}")


@dataclass(frozen=True, slots=True)
class Window:
    """Days and minutes of the day when it is open; one that ends before it begins goes on over midnight."""

    days: frozenset[int]  # 0 is Monday
    begin: int
    end: int
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Window:
        """`Mon-Fri 08:00-18:00`, `Sat,Sun 22:00-06:00`, `00:00-24:00`. ValueError says what is wrong."""
        found = _HOURS.fullmatch(text.strip())
        if found is None:
            raise ValueError("must be days and times, such as Mon-Fri 08:00-18:00 or 22:00-06:00")
        begin, end = _minutes(found[2], found[3]), _minutes(found[4], found[5])
        if begin in (_DAY, end):
            raise ValueError("must end at another time than it begins; the whole day is 00:00-24:00")
        return cls(_days(found[1] or "Mon-Sun"), begin, end, " ".join(text.split()))

    def open_at(self, now: datetime) -> bool:
        """Whether it is open at this local time."""
        minute, today = now.hour * 60 + now.minute, now.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        # Over midnight: the evening belongs to its day, the morning to the day before.
        return (today in self.days and minute >= self.begin) or ((today - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Hours:
    """Windows in a time zone; open when any of them is."""

    windows: tuple[Window, ...]
    zone: tzinfo
    zone_name: str

    def __str__(self) -> str:
        return f"{', '.join(window.text for window in self.windows)} {self.zone_name}"

    def open_at(self, now: datetime) -> bool:
        return any(window.open_at(now) for window in self.windows)

    def next_open(self, now: datetime) -> datetime | None:
        """When it opens next, to the minute; None if not within eight days."""
        start = now.replace(second=0, microsecond=0)
        begins = sorted({window.begin for window in self.windows})
        for day in range(9):
            midnight = (start + timedelta(days=day)).replace(hour=0, minute=0)
            for begin in begins:
                at = midnight.replace(hour=begin // 60, minute=begin % 60)
                if at >= start and self.open_at(at):
                    return at
        return None


@dataclass(slots=True)
class Counters:
    """What was sent when, per key; belongs to one `App` and outlives reloads of the file."""

    clock: Clock = field(default_factory=Clock)
    _sent: dict[tuple[object, ...], deque[float]] = field(default_factory=dict)

    def wait(self, key: tuple[object, ...], rate: Rate) -> float:
        """Seconds until one more fits; 0 means now. Counts nothing."""
        sent = self._sent.get(key)
        if not sent:
            return 0.0
        now = self.clock.monotonic()
        while sent and sent[0] + rate.seconds <= now:
            sent.popleft()
        if len(sent) < rate.count:
            return 0.0
        return max(0.001, sent[len(sent) - rate.count] + rate.seconds - now)

    def count(self, keys: Iterable[tuple[object, ...]]) -> None:
        """One more has been let through, for each key."""
        now = self.clock.monotonic()
        for key in keys:
            self._sent.setdefault(key, deque()).append(now)


def _minutes(hours: str, minutes: str) -> int:
    found = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or found > _DAY:
        raise ValueError(f"there is no time {hours}:{minutes}")
    return found


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        begin, end = _day(first), _day(last if dash else first)
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found)


def _day(word: str) -> int:
    if word.title() not in DAYS:
        raise ValueError(f"there is no day {word!r}; days are {', '.join(DAYS)}")
    return DAYS.index(word.title())
