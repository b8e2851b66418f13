"""The real lab as a fixture: brought up once, shared by all tests, taken down by the last who used it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab.reallab import LabError, RealLab
from tests.lab.reallab.install import why_not


def unavailable(reason: str) -> None:
    """CI must never be green by skipping; on a laptop a skip with the reason is honest."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(f"CI runs the real lab, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_lab() -> Iterator[RealLab]:
    """Three routers (BGP and OSPF converged) and a Linux host; installed first where they are missing."""
    if reason := why_not():
        unavailable(reason)
    lab = RealLab()
    lab.hold()  # before `up`: whoever ends a session now leaves the lab to us
    try:
        lab.up()
    except LabError as broken:  # root on Debian: this should have worked, so it is a failure everywhere
        lab.release()
        pytest.fail(f"the real lab did not come up: {broken}", pytrace=False)
    yield lab
    lab.release()
