"""One lab node: a process inside the node's namespaces that owns its daemons and its SSH sessions.

Started as a script, `ip netns exec NODE unshare --uts python station.py CONFIG.json`, with the standard library only.
It is the parent (and subreaper) of all that runs on the node, so nothing is left to a PID 1 that may not reap.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def descendants(pid: int) -> list[int]:
    """`pid` and all processes under it, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def wait_for(path: str) -> None:
    """Returns when the path exists, or after 10 s."""
    deadline = time.monotonic() + 10
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)


def signal_tree(pid: int, number: int) -> None:
    for one in descendants(pid):
        with suppress(ProcessLookupError):
            os.kill(one, number)


def disturb(pid: int, connection: socket.socket, order: dict[str, Any]) -> None:
    """What `session.py` promises, done to the sshd `pid` whose socket is `connection`."""
    match order["do"]:
        case "freeze":
            signal_tree(pid, signal.SIGSTOP)
        case "thaw":
            signal_tree(pid, signal.SIGCONT)
        case "garble":
            connection.send(bytes.fromhex(order["hex"]))
        case "kill":
            if order["reset"]:  # SO_LINGER of 0 s makes the last close a RST (socket(7))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            signal_tree(pid, signal.SIGKILL)


class Station:
    """The event loop: accepts SSH connections, reaps children, obeys the control socket."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.selector = selectors.DefaultSelector()
        self.sessions: dict[int, tuple[socket.socket, str]] = {}  # sshd pid -> our copy of its socket, peer
        self.daemons: dict[int, str] = {}
        self.running = True
        self.log = os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def spawn(self, argv: list[str], stdin: int) -> int:
        null = os.open(os.devnull, os.O_RDWR)
        first = null if stdin < 0 else stdin
        actions = [
            (os.POSIX_SPAWN_DUP2, first, 0),
            (os.POSIX_SPAWN_DUP2, self.log if stdin < 0 else first, 1),
            (os.POSIX_SPAWN_DUP2, self.log, 2),
        ]
        try:
            return os.posix_spawn(
                argv[0], argv, self.config["env"], file_actions=actions, setsid=True, setsigmask=[], setsigdef=SIGNALS
            )
        finally:
            os.close(null)

    def accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            connection, address = listener.accept()
            pid = self.spawn(self.config["sshd"], connection.fileno())
            self.sessions[pid] = (connection, f"{address[0]}:{address[1]}")

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.sessions:
                self.sessions.pop(pid)[0].close()
            elif pid in self.daemons:
                os.write(self.log, f"{self.daemons.pop(pid)} ended with status {status}\n".encode())

    def control(self, listener: socket.socket) -> None:
        with suppress(OSError, ValueError, KeyError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.sendall(json.dumps(self.obey(json.loads(connection.recv(65536)))).encode())

    def obey(self, order: dict[str, Any]) -> Any:
        """`sessions` lists them; the other orders act on one session, found by its client's address."""
        if order["do"] == "sessions":
            return {peer: pid for pid, (_, peer) in self.sessions.items()}
        if order["do"] == "daemons":
            return {str(pid): name for pid, name in self.daemons.items()}
        for pid, (connection, peer) in list(self.sessions.items()):
            if peer == order["peer"]:
                disturb(pid, connection, order)
                return True
        return False

    def serve(self, listeners: list[socket.socket], control: socket.socket) -> None:
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self.on_signal)
        for one in listeners:
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ, self.accept)
        self.selector.register(control, selectors.EVENT_READ, self.control)
        self.selector.register(wake_read, selectors.EVENT_READ, lambda sock: sock.recv(4096))
        for argv in self.config["daemons"]:
            self.daemons[self.spawn(argv, -1)] = os.path.basename(argv[0])
            # The first is zebra. Who finds its socket missing tries again only 10 s later (FRR's lib/zclient.c).
            wait_for(self.config["first_socket"])
        while self.running:
            for key, _ in self.selector.select():
                key.data(key.fileobj)
            self.reap()
        self.stop()

    def on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.running = False

    def stop(self) -> None:
        """Daemons get 2 s to go by themselves, then all that is under us is killed and reaped."""
        for pid in self.sessions:
            signal_tree(pid, signal.SIGKILL)
        for pid in self.daemons:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 2
        while self.daemons and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.02)
        for pid in descendants(os.getpid())[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    os.chdir("/")
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    socket.sethostname(config["hostname"])
    for name, value in config["sysctl"].items():
        with suppress(OSError), open(f"/proc/sys/{name}", "w", encoding="ascii") as knob:
            knob.write(value)
    listeners = []
    for fd in config["fds"]:  # listening on 127.0.0.1 of the root namespace: a socket stays where it was made
        os.set_inheritable(fd, False)
        listeners.append(socket.socket(fileno=fd))
    for address, port in config["listen"]:  # inside this namespace
        listeners.append(socket.create_server((address, port), backlog=512))
    control = socket.socket(socket.AF_UNIX)
    control.bind(config["control"])
    control.listen(64)
    Station(config).serve(listeners, control)


if __name__ == "__main__":
    main(sys.argv[1])
