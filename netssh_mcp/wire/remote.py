"""The processes of a host: which belong to a command, and signals to them.

Each over a channel of its own, in bounded time.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import paramiko

from netssh_mcp.errors import NetsshError, SessionLost
from netssh_mcp.wire.reader import Reader

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared


def script(shared: Shared, text: str, seconds: float) -> bytes | None:
    """What a line for /bin/sh prints (it has no single quote); None when the host did not answer in time."""
    until = time.monotonic() + seconds
    said = bytearray()
    try:
        reader = Reader(shared.channel(until), shared.device.name)
        with contextlib.closing(reader.channel):
            reader.channel.exec_command(f"exec /bin/sh -c '{text}'")
            while (left := until - time.monotonic()) > 0:
                if data := reader.take():
                    said += data
                else:
                    reader.wait(left)
    except SessionLost:  # the end of the channel, or of the connection
        return bytes(said) if shared.alive else None
    except (NetsshError, OSError, EOFError, paramiko.SSHException):
        return None
    return None


def signal(shared: Shared, name: str, pids: Iterable[int], seconds: float) -> bool:
    """A signal to processes, or to groups (negative); whether the host was told. Its `kill` is the shell's own."""
    words = " ".join(map(str, pids))
    return script(shared, f"kill -s {name} -- {words} 2>/dev/null; echo done", seconds) is not None


def below(shared: Shared, root: int, spared: frozenset[int], seconds: float) -> list[int] | None:
    """The processes under `root`, nearest first, without `spared` and what is under those; None when not known."""
    told = script(shared, "cat /proc/[0-9]*/stat 2>/dev/null", seconds)
    if not told:
        return None
    parents = {int(pid): int(parent) for pid, parent in re.findall(rb"(?m)^(\d+) \(.*\) [^Z] (\d+) ", told)}
    found = [root]
    for pid in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == pid and child not in spared]
    return found[1:]


def alive(shared: Shared, pids: Iterable[int], seconds: float) -> list[int] | None:
    """Those of them that still run; None when not known."""
    words = " ".join(f"/proc/{pid}/stat" for pid in pids)
    told = script(shared, f"cat {words} 2>/dev/null", seconds)
    return None if told is None else [int(pid) for pid in re.findall(rb"(?m)^(\d+) \(.*\) [^Z] ", told)]
