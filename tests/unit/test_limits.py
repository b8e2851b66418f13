"""Rates and opening hours, on clocks of the tests' own."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.guard.limits import Clock, Counters, Hours, Rate, Window

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
KEY = (0, "device", "r1")


class Hand:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def _at(day: int, clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return MONDAY + timedelta(days=day, hours=int(hours), minutes=int(minutes))


@pytest.mark.parametrize(
    ("text", "day", "clock", "is_open"),
    [
        ("Mon-Fri 08:00-18:00", 0, "08:00", True),
        ("Mon-Fri 08:00-18:00", 0, "07:59", False),
        ("Mon-Fri 08:00-18:00", 4, "17:59", True),
        ("Mon-Fri 08:00-18:00", 4, "18:00", False),
        ("Mon-Fri 08:00-18:00", 5, "12:00", False),
        ("22:00-06:00", 2, "23:00", True),
        ("22:00-06:00", 2, "05:59", True),
        ("22:00-06:00", 2, "06:00", False),
        ("Sat 22:00-06:00", 5, "22:00", True),
        ("Sat 22:00-06:00", 6, "05:00", True),  # Sunday morning belongs to Saturday's night
        ("Sat 22:00-06:00", 5, "05:00", False),
        ("Sun 22:00-06:00", 7, "01:00", True),
        ("Fri-Mon 10:00-11:00", 6, "10:30", True),
        ("Fri-Mon 10:00-11:00", 1, "10:30", False),
        ("Sat, Sun 00:00-24:00", 6, "23:59", True),
        ("sat,SUN 00:00-24:00", 5, "00:00", True),
        ("00:00-24:00", 3, "00:00", True),
    ],
)
def test_a_window_is_open_on_its_days_from_its_beginning_to_before_its_end(
    text: str, day: int, clock: str, is_open: bool
) -> None:
    assert Window.parse(text).open_at(_at(day, clock)) is is_open


@pytest.mark.parametrize(
    "text",
    [
        *("", "Mon", "8:00-18:00", "08:00", "08:00-25:00", "08:60-09:00", "Mo 08:00-18:00", "Mon-Fri 08:00-08:00"),
        *("Mon- 08:00-09:00", "24:00-08:00", "Mon-Fri 08:00-18:00 UTC", "Mon\n08:00-09:00"),
    ],
)
def test_what_is_no_window_says_how_one_looks(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|no day|no time"):
        Window.parse(text)


@pytest.mark.parametrize("text", ["", "30", "0/min", "30/fortnight", "-1/min", "1.5/min", "999999/s", "30/min/s"])
def test_what_is_no_rate_says_how_one_looks(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 30/min|at most"):
        Rate.parse(text)


def test_hours_are_those_of_their_zone_and_follow_its_summer_time() -> None:
    hours = Hours((Window.parse("08:00-18:00"),), BERLIN, "Europe/Berlin")
    for month, utc_hour in ((1, 7), (7, 6)):
        opens = datetime(2026, month, 15, utc_hour, 0, tzinfo=UTC)
        assert hours.open_at(opens.astimezone(BERLIN))
        assert not hours.open_at((opens - timedelta(minutes=1)).astimezone(BERLIN))


def test_hours_say_when_they_open_next() -> None:
    hours = Hours((Window.parse("Mon-Fri 08:00-18:00"), Window.parse("Sat 10:00-12:00")), UTC, "UTC")
    assert hours.next_open(_at(4, "19:30")) == _at(5, "10:00")
    assert hours.next_open(_at(5, "12:00")) == _at(7, "08:00")
    assert hours.next_open(_at(0, "07:59")) == _at(0, "08:00")


def test_a_rate_lets_through_its_count_and_says_how_long_the_next_waits() -> None:
    hand = Hand()
    counters, rate = Counters(Clock(monotonic=hand)), Rate.parse("3/min")
    for _ in range(3):
        assert counters.wait(KEY, rate) == 0
        counters.count([KEY])
        hand.at += 10
    assert counters.wait(KEY, rate) == 30
    assert counters.wait((0, "device", "r2"), rate) == 0
    hand.at += 29.9
    assert counters.wait(KEY, rate) == pytest.approx(0.1)
    hand.at += 0.1
    assert counters.wait(KEY, rate) == 0


def test_a_jump_of_the_wall_clock_changes_no_rate() -> None:
    hand = Hand()
    years = iter(range(2000, 2100))
    counters = Counters(Clock(monotonic=hand, now=lambda zone: datetime(next(years), 1, 1, tzinfo=zone)))
    rate = Rate.parse("1/hour")
    counters.count([KEY])
    assert counters.wait(KEY, rate) == 3600


@given(
    count=st.integers(1, 5),
    steps=st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=60),
)
def test_no_span_of_the_rates_length_ever_holds_more_than_its_count(count: int, steps: list[float]) -> None:
    hand = Hand()
    counters, rate = Counters(Clock(monotonic=hand)), Rate(count, 60.0)
    sent: list[float] = []
    for step in steps:
        hand.at += step
        if counters.wait(KEY, rate) == 0:
            counters.count([KEY])
            sent.append(hand.at)
    assert all(sum(begin <= at < begin + 60 for at in sent) <= count for begin in sent)
