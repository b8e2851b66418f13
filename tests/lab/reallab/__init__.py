"""The real lab: FRRouting routers and a Linux host in network namespaces, behind real sshds."""

from tests.lab.reallab.install import LabError
from tests.lab.reallab.lab import RealLab
from tests.lab.reallab.session import Session

__all__ = ["LabError", "RealLab", "Session"]
