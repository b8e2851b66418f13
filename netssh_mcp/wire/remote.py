"""The processes of a host: which are below a shell, and signals to them.

Each over a channel of its own, in bounded time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import paramiko

from netssh_mcp.errors import NetsshError, SessionLost
from netssh_mcp.wire.halting import processes_of
from netssh_mcp.wire.reader import Reader

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared


def script(shared: Shared, text: str, until: float) -> bytes | None:
    """What a line for /bin/sh prints (it has no single quote); None when the host did not answer by then."""
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


def signal(shared: Shared, name: str, pids: Iterable[int], until: float) -> bool:
    """A signal to processes, or to groups (negative); whether the host was told. Its `kill` is the shell's own."""
    words = " ".join(map(str, pids))
    return script(shared, f"kill -s {name} -- {words} 2>/dev/null; echo done", until) is not None


def below(shared: Shared, root: int, spared: frozenset[int], until: float, *, direct: bool = False) -> list[int] | None:
    """The processes under `root`, nearest first, without `spared` and what is under those; None when not known.

    `direct`: its children only.
    """
    told = script(shared, "cat /proc/[0-9]*/stat 2>/dev/null", until)
    if told is None:
        return None
    processes = processes_of(told)
    found = [root]
    for pid in found:  # grows while it is read
        if pid == root or not direct:
            found += [each.pid for each in processes.values() if each.parent == pid and each.pid not in spared]
    return [pid for pid in found[1:] if processes[pid].alive]


def alive(shared: Shared, pids: Iterable[int], until: float) -> list[int] | None:
    """Those of them that still run; None when not known."""
    words = " ".join(f"/proc/{pid}/stat" for pid in pids)
    told = script(shared, f"cat {words} 2>/dev/null", until)
    return None if told is None else [each.pid for each in processes_of(told).values() if each.alive]
