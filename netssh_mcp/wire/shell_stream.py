"""The channel of a kept shell: how it begins, and reading to the end of what runs there, while it may be stopped."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import Final

import paramiko

from netssh_mcp.errors import CommandInterrupted, CommandTimeout, OutputTooLarge, SessionLost
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.framing import new_nonce
from netssh_mcp.wire.kept_command import Command
from netssh_mcp.wire.markers import Framed
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.turn import Turn

_LINGER: Final = 0.2  # seconds of silence behind the exit status, until what is still open is somebody else's


class _Heard(threading.Event):
    """Paramiko sets it when the exit status is known, or the channel has ended; who reads is woken then, too."""

    def __init__(self, wake: threading.Event) -> None:
        super().__init__()
        self._wake = wake

    def set(self) -> None:
        super().set()
        self._wake.set()


def reader_of(channel: paramiko.Channel, device: str, turn: Turn) -> Reader:
    """What reads a channel on which nothing runs yet; a cancel of the turn wakes it."""
    reader = Reader(channel, device)
    reader.ended = "the shell on the host ended, killed or by itself"
    turn.bind(reader.wake.set)
    channel.status_event = _Heard(reader.wake)
    return reader


def begun(channel: paramiko.Channel, reader: Reader, script: str, deadline: float, turn: Turn) -> int:
    """Run a text for /bin/sh on it, without single quotes, that ends in `exec`ing a shell.

    That shell's process, which is that of its group, too. `deadline` is on the monotonic clock. Raises CommandTimeout,
    CommandInterrupted, SessionLost.
    """
    name = f"netssh-{new_nonce()}"
    channel.exec_command(f"exec /bin/sh -c 'echo {name} $$; {script}'")
    hello, said = f"{name} ".encode(), b""
    while not (found := re.search(re.escape(hello) + rb"(\d+)\n", said)):
        while data := reader.take():
            said += data
        _check(reader, deadline, turn)
        if hello not in said:
            reader.wait(deadline - time.monotonic())
    return int(found[1])


def until_end(
    reader: Reader,
    command: Command,
    profile: Profile,
    deadline: float,
    turn: Turn,
    *,
    byte_limit: int,
    pass_on: Callable[[str, Command], None],
) -> None:
    """Read to the command's end, answer what it asks, and hand on the signals that the turn brings.

    Raises CommandTimeout, CommandInterrupted, OutputTooLarge, AuthenticationFailed (sudo), SessionLost.
    """
    framed = command.framed
    status_at = 0.0
    while True:
        while framed.take(reader):
            if framed.size > byte_limit:
                raise OutputTooLarge(f"more than {byte_limit} bytes came back", device=reader.device)
        if command.sudo is not None and command.sudo.refusal is not None:
            raise command.sudo.refusal
        if framed.ended():
            return
        _check(reader, deadline, turn)
        if reader.channel.exit_status >= 0:
            # sshd may send it ahead of the last output; what was left in the background holds the end back.
            status_at = status_at or time.monotonic()
            if time.monotonic() - max(status_at, reader.last_data) >= _LINGER:
                raise reader.lost()
            reader.wait(_LINGER)
            continue
        if name := turn.take_signal():
            pass_on(name, command)
        reader.wait(min(deadline - time.monotonic(), command.converse(turn, profile, reader.quiet())))


def ends_by(reader: Reader, framed: Framed, until: float) -> bool:
    """Read on to its end, for a moment. SessionLost is an end, too, but not this one."""
    with contextlib.suppress(SessionLost):
        while not framed.ended():
            framed.forget()
            if not framed.take(reader):
                if time.monotonic() >= until:
                    return False
                reader.wait(until - time.monotonic())
        return True
    return False


def _check(reader: Reader, deadline: float, turn: Turn) -> None:
    if turn.cancelled:
        raise CommandInterrupted("the call was cancelled", device=reader.device)
    if time.monotonic() >= deadline:
        raise CommandTimeout("the command did not end in time", device=reader.device)
