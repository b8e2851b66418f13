"""The seam between tasks and threads: one device, one command at a time, and a cancel that reaches the device.

House rule: this seam is crossed nowhere else.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from netssh_mcp.errors import CommandRejected, DeviceError, SessionError, SessionLost
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.refusals import refusal
from netssh_mcp.model import Reply, SessionState
from netssh_mcp.wire.turn import Connection, Turn

T = TypeVar("T")


async def in_thread(work: Callable[[], T], turn: Turn, limiter: anyio.CapacityLimiter) -> T:
    """Run blocking work in a worker thread. A cancel goes to the device by `turn`, and the thread is waited for.

    The work answers a cancel quickly by itself: it looks at `turn` each time before it sleeps.
    """
    finished = threading.Event()

    def run() -> T:
        try:
            return work()
        finally:
            finished.set()

    try:
        return await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
    except anyio.get_cancelled_exc_class():
        turn.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
            await anyio.to_thread.run_sync(finished.wait, 5.0)
        raise


class Session:
    """An open connection to one device. Its user holds it alone for the length of a command."""

    def __init__(self, number: int, device: Device, connection: Connection) -> None:
        self.number = number
        self.device = device
        self.connection = connection
        self.opened_at = time.monotonic()
        self.used_at = self.opened_at
        self.commands_run = 0
        self.last_command = ""
        self.state: SessionState = "clean"

    @property
    def usable(self) -> bool:
        """Clean and, as far as this side knows, connected."""
        return self.state == "clean" and self.connection.alive

    async def run(self, grant: Grant, *, timeout: float, turn: Turn, limiter: anyio.CapacityLimiter) -> Reply:
        """Send what was granted and return its proven output. `timeout` is the command's own, in seconds.

        Raises CommandRejected (the device said no, its text is in `partial`), CommandTimeout, CommandInterrupted,
        OutputTooLarge, SessionLost.
        """
        if not isinstance(grant, Grant):
            raise TypeError("Session.run takes a Grant, and only the policy makes one")
        self.state, self.last_command = "running", grant.command
        self.commands_run += 1
        connection = self.connection
        deadline = time.monotonic() + timeout
        logs = any(re.fullmatch(pattern, grant.command) for pattern in grant.profile.log_commands)

        def work() -> Reply:
            return connection.run(grant.line, deadline=deadline, turn=turn, reads_logs=logs)

        try:
            reply = await in_thread(work, turn, limiter)
            self.state = "clean"
        except SessionLost:
            self.state = "dead"
            raise
        except SessionError:
            # The driver stopped the command and proved the prompt again, or closed the connection.
            self.state = "clean" if connection.alive else "dead"
            raise
        finally:
            if self.state == "running":  # cancelled: the thread has stopped the command or closed the connection
                self.state = "clean" if connection.alive else "dead"
            self.used_at = time.monotonic()
        return _checked(grant, reply)

    def close(self) -> None:
        """Close the connection without waiting for the device."""
        self.state = "dead"
        self.connection.close()


def _checked(grant: Grant, reply: Reply) -> Reply:
    if line := refusal(grant.profile, reply.output):
        raise CommandRejected(
            f"the device refused {grant.line!r}: {line}",
            device=grant.device.name,
            line=line,
            partial=reply.output,
            hint="Correct the command for this platform; it was not executed.",
        )
    if reply.exit_status:
        last = (reply.stderr.strip() or reply.output.strip()).splitlines()[-1:]
        raise DeviceError(
            f"{grant.line!r} ended with exit status {reply.exit_status}",
            device=grant.device.name,
            line=last[0] if last else "",
            partial=reply.output + reply.stderr,
            hint="The output is complete; read it for the reason.",
        )
    return reply
