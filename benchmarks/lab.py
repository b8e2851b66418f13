"""The real routers of the tests, where this machine can have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.devices import Target
from tests.lab.reallab import LabError, RealLab
from tests.lab.reallab.install import why_not


@contextmanager
def real_lab() -> Iterator[RealLab | str]:
    """The lab, up while the block lasts; or why there is none."""
    if reason := why_not():
        yield reason
        return
    lab = RealLab()
    lab.hold()
    try:
        lab.up()
    except LabError as broken:
        yield str(broken)
    else:
        yield lab
    finally:
        lab.release()


def frr(lab: RealLab, router: str = "r1") -> Target:
    """How a reference reaches a router; Netmiko has no FRR driver, its IOS one works."""
    user = lab.admin
    return Target("127.0.0.1", lab.port(router), user.name, user.password, f"{router}# ".encode())
