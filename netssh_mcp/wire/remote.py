"""The processes of a host: which are below a shell, and signals to them.

Each over a channel of its own, in bounded time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import paramiko

from netssh_mcp.errors import NetsshError
from netssh_mcp.wire.halting import processes_of
from netssh_mcp.wire.reader import Reader

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared


def script(shared: Shared, text: str, until: float) -> bytes | None:
    """What a line for /bin/sh prints (it has no single quote); None when the host did not answer by then."""
    said = bytearray()
    try:
        channel = shared.channel(until)
        reader = Reader(channel, shared.device.name)
        with contextlib.closing(channel):
            channel.exec_command(f"exec /bin/sh -c '{text}'")
            while not _over(channel) and (left := until - time.monotonic()) > 0:
                if not channel.recv_ready():
                    reader.wait(left)
                said += channel.recv(1 << 20) if channel.recv_ready() else b""
            while channel.recv_ready():
                said += channel.recv(1 << 20)
            return bytes(said) if _over(channel) and shared.alive else None
    except (NetsshError, OSError, EOFError, paramiko.SSHException):
        return None


def _over(channel: paramiko.Channel) -> bool:
    return bool(channel.eof_received or channel.closed)


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
