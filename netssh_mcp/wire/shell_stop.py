"""Stopping a command in a kept shell: signals to its processes, from outside, in bounded time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import NetsshError
from netssh_mcp.wire import remote
from netssh_mcp.wire.halting import Halting, Sudo
from netssh_mcp.wire.kept_command import Command

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared

_SUDO: Final = 1.4  # seconds that a signal by sudo may take: it asks for the password each time


class Stopping:
    """`pid` is the shell's and its process group's; `spared` run in its background. Until `until` (monotonic)."""

    def __init__(self, shared: Shared, pid: int, spared: frozenset[int], command: Command, until: float) -> None:
        self.until = until
        self._shared, self._pid, self._spared, self._command = shared, pid, spared, command

    def signal(self, name: str) -> bool:
        """To what the shell runs; INT to all of its group, as a terminal does. Whether it went."""
        if self._command.sudo is not None:
            went = [self._as_sudo(pid, lambda halting: halting.signal(name)) for pid in self._below(direct=True)]
            return any(went)
        pids = [-self._pid] if name == "INT" else self._below()
        return bool(pids) and remote.signal(self._shared, name, pids, self.until)

    def halt(self, ended: Callable[[float], bool]) -> None:
        """TERM, then KILL, to what sudo runs, by its own sudo: root's processes take no signal of ours."""
        for pid in self._below(direct=True):
            self._as_sudo(pid, lambda halting: halting.stop(ended).stopped)

    def kill_below(self) -> bool:
        """KILL to what the shell runs; the shell itself goes on."""
        pids = self._below()
        return bool(pids) and remote.signal(self._shared, "KILL", pids, self.until)

    def kill_all(self) -> list[int] | None:
        """KILL to the shell and all of its process group. What is left of it; None when the host was not reached."""
        pids = remote.below(self._shared, self._pid, self._spared, self.until)
        if pids is None or not remote.signal(self._shared, "KILL", [-self._pid, *pids], self.until):
            return None
        return remote.alive(self._shared, [self._pid, *pids], self.until)

    def _below(self, *, direct: bool = False) -> list[int]:
        return remote.below(self._shared, self._pid, self._spared, self.until, direct=direct) or []

    def _as_sudo(self, pid: int, work: Callable[[Halting], bool]) -> bool:
        sudo = Sudo(self._command.order.sudo_user, self._command.order.password)
        try:
            with contextlib.closing(Halting(self._shared, pid, sudo, time.monotonic() + _SUDO)) as halting:
                return work(halting)
        except NetsshError:
            return False
