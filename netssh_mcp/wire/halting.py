"""Stopping a command that runs on a channel of its own, over a second one, and seeing whether it has gone.

sshd makes each command the leader of a session and process group, so its pid is the group's number. Under sudo the
processes are root's, which their own user may not signal: there the kill goes through sudo too. What runs is read from
/proc, because a group that only zombies are left of still takes signals.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paramiko

from netssh_mcp.errors import AuthenticationFailed, NetsshError, SessionLost, Unreachable
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire import exec_channel
from netssh_mcp.wire.framing import new_nonce
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.script import BOOTSTRAP, quoted
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.sudo import SudoPrompt

BOUND = 2.0  # seconds that stopping may take
_GRACE = 0.7  # seconds between TERM and KILL
_LOOP = b'while IFS= read -r c; do eval "$c"; done\n'
_LOOK = "cat /proc/[0-9]*/stat 2>/dev/null"


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/*/stat."""

    pid: int
    parent: int
    group: int
    session: int
    alive: bool  # no zombie


@dataclass(frozen=True, slots=True)
class Sudo:
    """How the command's sudo was asked: who it runs as, and the password where it asks for one."""

    user: str
    password: Secret | None


@dataclass(frozen=True, slots=True)
class Halt:
    """What has become of a command. `left` still run though they were to be stopped; `apart` have their own session."""

    known: bool
    left: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()

    @property
    def stopped(self) -> bool:
        """Proven to be gone, all of it."""
        return self.known and not self.left and not self.apart

    def words(self, pid: int) -> str:
        """For the error's text."""
        if not self.known:
            return f"stopping it was not confirmed: it may still run, pid {pid}" if pid else "it may still run"
        if self.left:
            return f"it was told to stop and still runs, pid {_numbers(self.left)}"
        if self.apart:
            return f"it was stopped, but what it started in a session of its own still runs, pid {_numbers(self.apart)}"
        return "it was stopped"

    def hint(self, pid: int) -> str:
        """What to look at there; "" when it is gone, and the kind of error says what is next."""
        if self.stopped:
            return ""
        still = _numbers((*self.left, *self.apart)) or (str(pid) if pid else "(unknown)")
        return f"Look at process {still} there before running it again."


class Halting:
    """The second channel. Blocking; `until` (monotonic) bounds all of it. Close it."""

    def __init__(self, shared: Shared, pid: int, sudo: Sudo | None, until: float) -> None:
        """Raises Unreachable or SessionLost when there is no second channel."""
        self._pid, self._sudo, self._until = pid, sudo, until
        self._device = shared.device.name
        self._channel = shared.channel(until)
        self._reader = Reader(self._channel, self._device)
        try:
            exec_channel.start(self._channel, BOOTSTRAP, _LOOP)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._reader.lost() from error

    def signal(self, name: str) -> bool:
        """Send it to all of the command; whether there was anything left to take it."""
        if self._sudo is None:
            return b"yes" in self._ask(f"kill -s {name} -- -{self._pid} 2>/dev/null && echo yes")
        targets = self._ours(self._look())
        if targets - {self._pid}:
            targets.discard(self._pid)  # sudo itself ends with its command, and then tells how that ended
        return bool(targets) and self._kill(name, targets)

    def stop(self, ended: Callable[[float], bool]) -> Halt:
        """TERM, then KILL. `ended` waits until a time at most for the command's own channel, and says if it is over."""
        first = self._look()
        if self._pid not in first and not ended(0.0):
            return self._stop_unseen(ended)
        ours, apart = self._ours(first), self._apart(first)
        self.signal("TERM")
        ended(min(time.monotonic() + _GRACE, self._until - 0.5))
        left = self._still(ours, apart)
        if left:
            if self._sudo is None:
                self.signal("KILL")
            else:
                self._kill("KILL", left | {self._pid})
        while left and time.monotonic() < self._until - 0.05:
            left = self._still(ours, apart)
            if left:
                ended(min(time.monotonic() + 0.05, self._until))
        alive = self._look() if apart else {}
        return Halt(True, tuple(sorted(left)), tuple(sorted(pid for pid in apart if pid in alive and alive[pid].alive)))

    def _stop_unseen(self, ended: Callable[[float], bool]) -> Halt:
        """Where /proc does not show it (hidepid, no /proc): proven when its streams have ended with it."""
        for name in ("TERM", "KILL"):
            if self._sudo is None:
                self._ask(f"kill -s {name} -- -{self._pid} 2>/dev/null")
            else:
                self._kill(name, [-self._pid])
            if ended(min(time.monotonic() + _GRACE, self._until)):
                return Halt(True)
        return Halt(False)

    def _still(self, ours: set[int], apart: set[int]) -> set[int]:
        """What lives of it, with what it has started since."""
        now = self._look()
        ours |= self._ours(now) - apart
        return {pid for pid in ours if pid in now and now[pid].alive}

    def _ours(self, processes: dict[int, Process]) -> set[int]:
        """What is to be stopped: the group; under sudo all descendants too, as its terminal has groups of its own."""
        group = {pid for pid, each in processes.items() if each.group == self._pid and each.alive}
        return group | _below(processes, self._pid) if self._sudo is not None else group

    def _apart(self, processes: dict[int, Process]) -> set[int]:
        """Descendants that have left the group: a kill of the group does not reach them, and they were made to stay."""
        return set() if self._sudo is not None else _below(processes, self._pid) - self._ours(processes)

    def _look(self) -> dict[int, Process]:
        return processes_of(self._ask(_LOOK))

    def _kill(self, name: str, targets: Iterable[int]) -> bool:
        """As the user that sudo made it, with the same password. False when sudo does not let us."""
        assert self._sudo is not None
        dialogue = SudoPrompt(self._device) if self._sudo.password is not None else None
        as_user = f" -u {quoted(self._sudo.user)}" if self._sudo.user else ""
        kill = shlex.quote(f"kill -s {name} -- {' '.join(map(str, sorted(targets)))}")
        asks = f"SUDO_PROMPT={dialogue.prompt} sudo -k -S" if dialogue else "sudo -k -n </dev/null"
        try:
            return b"yes" in self._ask(f"{asks}{as_user} -- /bin/sh -c {kill} && echo yes", dialogue)
        except AuthenticationFailed:
            return False

    def _ask(self, line: str, dialogue: SudoPrompt | None = None) -> bytes:
        """What a line prints. Raises SessionLost, Unreachable when it does not end in time."""
        end = new_nonce().encode() + b"\n"
        self._reader.write(line.encode() + b"; echo " + end)
        out = bytearray()
        while not out.endswith(end):
            # Read before looking for the end of stderr: what is there now belongs to this line.
            while data := self._reader.take():
                out += data
            while data := self._reader.take_stderr():
                if dialogue is not None and self._sudo is not None and self._sudo.password is not None:
                    dialogue.feed(data, self._sudo.password.reveal, self._reader.write)
            left = self._until - time.monotonic()
            if not out.endswith(end):
                if left <= 0:
                    raise Unreachable("no answer in time", device=self._device)
                self._reader.wait(left)
        return bytes(out[: -len(end)])

    def idle(self) -> bool:
        """Whether it is there and has started nothing: sudo that still asks."""
        processes = self._look()
        return self._pid in processes and not _below(processes, self._pid)

    def close(self) -> None:
        """End it; its shell ends with its input."""
        self._channel.close()


def halted(shared: Shared, pid: int, sudo: Sudo | None, main: paramiko.Channel, ended: Callable[[float], bool]) -> Halt:
    """Stop the command; never raises for what the host does or does not."""
    until = time.monotonic() + BOUND
    if not pid:
        return Halt(False)
    try:
        with contextlib.closing(Halting(shared, pid, sudo, until)) as halting:
            return halting.stop(ended)
    except (SessionLost, Unreachable) as error:
        return Halt(False) if sudo is not None or isinstance(error, SessionLost) else _by_sshd(main, ended, until)


def _by_sshd(main: paramiko.Channel, ended: Callable[[float], bool], until: float) -> Halt:
    """Where there is no room for a second channel. Proven when its streams end, too: nobody holds them any more."""
    for name in ("TERM", "KILL"):
        try:
            exec_channel.send_signal(main, name)
        except (OSError, EOFError, paramiko.SSHException):
            break
        if ended(min(until, time.monotonic() + _GRACE)):
            return Halt(True)
    return Halt(False)


def signalled(shared: Shared, pid: int, sudo: Sudo | None, name: str) -> str:
    """Send one signal to the command; "" when it went, else why not."""
    if not pid:
        return "its process is not known yet"
    try:
        with contextlib.closing(Halting(shared, pid, sudo, time.monotonic() + BOUND / 2)) as halting:
            return "" if halting.signal(name) else "the host did not let us, or nothing of it runs"
    except NetsshError as error:
        return error.message


def has_begun(shared: Shared, pid: int) -> bool:
    """Whether sudo has started its command. False where that is not known."""
    try:
        with contextlib.closing(Halting(shared, pid, None, time.monotonic() + BOUND / 2)) as halting:
            return not halting.idle()
    except NetsshError:
        return False


def processes_of(listing: bytes) -> dict[int, Process]:
    """`cat /proc/[0-9]*/stat` read: proc(5). A command's name has any character, so the fields are behind its `)`."""
    found = {}
    for line in listing.decode("utf-8", "replace").split("\n"):
        head, _, tail = line.rpartition(") ")
        number = head.partition(" ")[0]
        fields = tail.split(" ", 4)
        if number.isdigit() and len(fields) == 5:
            pid = int(number)
            parent, group, session = map(int, fields[1:4])
            found[pid] = Process(pid, parent, group, session, fields[0] not in "ZXx")
    return found


def _below(processes: dict[int, Process], root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for each in processes.values():
        children.setdefault(each.parent, []).append(each.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                waiting.append(pid)
                if processes[pid].alive:
                    found.add(pid)
    return found


def _numbers(pids: tuple[int, ...]) -> str:
    return ", ".join(map(str, pids[:5])) + (" ..." if len(pids) > 5 else "")
