"""A ProxyCommand of the operator's ssh_config: a program whose standard streams are the connection."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading

from netssh_mcp.knowledge.inventory import ProxyCommand

_SHELL = "/bin/sh"  # not $SHELL: a service's may be nologin, and the line shall mean the same for everybody
_MOMENT = 0.2  # seconds
_GRACE = 1.0  # seconds between asking the program to end and ending it


class ProxyProcess:
    """The running program, its socket, and the end of both. It leads a process group, so its children end with it."""

    def __init__(self, command: ProxyCommand) -> None:
        self.socket, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name not in command.withheld}
        try:
            with theirs:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(
                    [_SHELL, "-c", f"exec {command.line}"],  # as ssh runs it: no shell stays between us and the program
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                )
        except OSError:
            self.socket.close()
            raise
        self._ending = threading.Lock()

    def end(self) -> None:
        """End the program and its children; does not wait. May be called again."""
        if self._ending.acquire(blocking=False):
            threading.Thread(target=self._end, name="netssh-proxy-end", daemon=True).start()

    def ended(self) -> str:
        """How it ended by itself, or ""; it gets a moment, since its streams close first."""
        try:
            return f"it ended with exit status {self._process.wait(_MOMENT)}"
        except subprocess.TimeoutExpired:
            return ""

    def _end(self) -> None:
        self._signal(signal.SIGHUP)  # what ssh sends it
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        # The group's id is the program's. The kernel gives it to nobody else while one of the group lives, and numbers
        # go round: right after the last one has ended it is nobody's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
