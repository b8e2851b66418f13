"""The seam between tasks and threads: one device, one command at a time, and a cancel that reaches the device.

House rule: this seam is crossed nowhere else.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from netssh_mcp.errors import CommandFailed, CommandRejected, NetsshError, PromptNotFound, SessionLost
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.refusals import refusal
from netssh_mcp.model import READS, Reply, SessionState
from netssh_mcp.wire.order import PLAIN, Order
from netssh_mcp.wire.turn import Connection, Turn

T = TypeVar("T")

_PATIENCE = 5.0  # seconds that a thread gets to answer a cancel; a command needs under one, a name lookup may not


class _Handover(Generic[T]):
    """One piece of work in a thread, and who takes care of its result: the waiting task, or nobody any more."""

    def __init__(self, work: Callable[[], T], orphaned: Callable[[T], None] | None) -> None:
        self._work = work
        self._orphaned = orphaned
        self._lock = threading.Lock()
        self._left = False
        self._begun = False
        self._result: tuple[T, ...] = ()
        self.finished = threading.Event()

    def run(self) -> T:
        """In the thread."""
        with self._lock:
            if self._left:
                raise RuntimeError("nobody waits for this any more")
            self._begun = True
        try:
            result = self._work()
            with self._lock:
                self._result = (result,)
            self._dispose()
            return result
        finally:
            self.finished.set()

    def leave(self) -> bool:
        """In the task, once: the result is not wanted. Whether the thread has begun, so that it must be waited for."""
        with self._lock:
            self._left = True
        self._dispose()
        return self._begun

    def _dispose(self) -> None:
        with self._lock:
            unwanted = self._result if self._left else ()
            self._result = () if self._left else self._result
        if self._orphaned is not None:
            for result in unwanted:
                self._orphaned(result)


async def in_thread(
    work: Callable[[], T], turn: Turn, limiter: anyio.CapacityLimiter, *, orphaned: Callable[[T], None] | None = None
) -> T:
    """Run blocking work in a worker thread. A cancel goes to the device by `turn`, and the thread is waited for.

    The work answers a cancel quickly by itself: it looks at `turn` each time before it sleeps. `orphaned` gets a
    result that came too late for the cancelled task.
    """
    handover = _Handover(work, orphaned)
    try:
        return await anyio.to_thread.run_sync(handover.run, abandon_on_cancel=True, limiter=limiter)
    except anyio.get_cancelled_exc_class():
        turn.cancel()
        if handover.leave() and not handover.finished.is_set():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(handover.finished.wait, _PATIENCE, limiter=anyio.CapacityLimiter(1))
        raise


class Session:
    """An open connection to one device. Its user holds it alone for the length of a command."""

    def __init__(self, number: int, device: Device, connection: Connection) -> None:
        self.number = number
        self.device = device
        self.connection = connection
        self.home = connection.mode, connection.prompt.line  # as the login left it
        self.opened_at = time.monotonic()
        self.used_at = self.opened_at
        self.commands_run = 0
        self.last_command = ""
        self.state: SessionState = "clean"
        self.cwd: str = getattr(connection, "cwd", "")  # of a kept Linux session, after its last command
        self.began_in = self.cwd
        self.silent = False  # it did not answer when it was asked last
        self.spent = False  # its user left it in a state that the next one must not find; it is closed, not lost
        self._at_prompt = True

    @property
    def usable(self) -> bool:
        """Clean and, as far as this side knows, connected."""
        return self.state == "clean" and self.connection.alive

    async def run(
        self, grant: Grant, *, timeout: float, turn: Turn, limiter: anyio.CapacityLimiter, order: Order = PLAIN
    ) -> Reply:
        """Send what was granted and return its proven output. `timeout` is the command's own, in seconds.

        Raises CommandRejected (the device said no, its text is in `partial`), CommandTimeout, CommandInterrupted,
        OutputTooLarge, SessionLost.
        """
        if not isinstance(grant, Grant):
            raise TypeError("Session.run takes a Grant, and only the policy makes one")
        self.state, self.last_command = "running", grant.command
        self.commands_run += 1
        self._at_prompt = False
        deadline = time.monotonic() + timeout
        try:
            reply = await in_thread(lambda: self._exchange(grant, deadline, turn, order), turn, limiter)
        finally:
            # A thread that is not back by now (it did not answer a cancel) has not set `_at_prompt`.
            self.used_at = time.monotonic()
            self.state = "clean" if self._at_prompt and self.connection.alive else "dead"
        return checked(grant, reply)

    async def help(self, typed: str, *, timeout: float, turn: Turn, limiter: anyio.CapacityLimiter) -> str:
        """The device's own `?` behind `typed`, which is never ended: nothing is executed, so no Grant is needed."""
        deadline = time.monotonic() + timeout
        try:
            return await in_thread(lambda: self.connection.help(typed, deadline=deadline, turn=turn), turn, limiter)
        finally:
            self.used_at = time.monotonic()
            self.state = "clean" if self.connection.alive else "dead"

    def _exchange(self, grant: Grant, deadline: float, turn: Turn, order: Order) -> Reply:
        """In the thread. Only what leaves a proven prompt lets the session live on."""
        logs = any(re.fullmatch(pattern, grant.command) for pattern in grant.profile.log_commands)
        order = replace(order, shell=grant.command_class == "shell")
        try:
            reply = self.connection.run(grant.line, deadline=deadline, turn=turn, reads_logs=logs, order=order)
        except (SessionLost, PromptNotFound):
            raise
        except NetsshError:  # not sent, or stopped and the prompt proven again, or else the connection is closed
            self._at_prompt = True
            raise
        self._at_prompt, self.silent = True, False
        self.cwd = reply.cwd
        return reply

    def close(self) -> None:
        """Close the connection without waiting for the device."""
        self.state = "dead"
        self.connection.close()


def checked(grant: Grant, reply: Reply) -> Reply:
    """The same reply; CommandRejected when the device said no, CommandFailed when a program did."""
    if line := refusal(grant.profile, reply.output):
        rejected = CommandRejected(
            f"the device refused {grant.line!r}",
            device=grant.device.name,
            line=line,
            partial=reply.output,
            hint="Correct the command for this platform; it was not executed.",
        )
        rejected.events = reply.events
        raise rejected
    if reply.exit_status or reply.signal:
        last = (reply.stderr.strip() or reply.output.strip()).splitlines()[-1:]
        how = f"was ended by signal {reply.signal}" if reply.signal else f"ended with exit status {reply.exit_status}"
        failed = CommandFailed(
            f"{grant.line[:200]!r} {how}",
            device=grant.device.name,
            line=last[0] if last else "",
            partial=reply.output,
            hint="The output is complete; read `stderr` for the reason.",
            effect=None if grant.command_class in READS else "possible",
        )
        failed.exit_status, failed.stderr, failed.signal = reply.exit_status, reply.stderr, reply.signal
        failed.events = reply.events
        raise failed
    return reply
