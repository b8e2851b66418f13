"""What brings the topology's values onto the machine, and off it again. Everything made here is removed here."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.lab.reallab import topology, users
from tests.lab.reallab.install import LabError
from tests.lab.reallab.topology import DAEMONS, LINKS, NODES, ROUTERS, Node

STATION = Path(__file__).with_name("station.py")
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BARE_ENVIRONMENT = {"PATH": PROGRAM_PATH, "LANG": "C.UTF-8"}


def run(*command: str) -> str:
    """The command's stdout; LabError with its last words when it fails."""
    env = {**os.environ, "PATH": PROGRAM_PATH}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout)[-400:].strip()}")
    return done.stdout


def inside(node: str, *command: str) -> str:
    """Runs a command as root in the node's network namespace."""
    return run("ip", "netns", "exec", topology.PREFIX + node, *command)


def until(true: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
    """Looks 50 times a second; LabError after `timeout`."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout:.0f} s")
        time.sleep(0.02)


class Site:
    """The lab's folder and everything outside of it that carries the lab's prefix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stations: list[int] = []  # those started by this process, which must reap them

    def control(self, node: str) -> Path:
        return self.folder / f"{node}.control"

    def build(self) -> None:
        """Makes everything and starts it; convergence is awaited elsewhere."""
        self.folder.mkdir(mode=0o700)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd's privilege separation; systemd would make it
        (self.folder / "banner").write_text("Lab: authorised use only\n")
        enable_password = secrets.token_hex(9)
        (self.folder / "password-enable").touch(mode=0o600)
        (self.folder / "password-enable").write_text(enable_password + "\n")
        keys = {name: self._key(name) for name in ("client_ed25519", *_host_key_names())}
        users.make(self.folder, keys["client_ed25519"])
        for node in NODES:
            _namespace(node)
        for node in ROUTERS:
            _router_files(node, topology.frr_config(node, enable_password))
        for link in LINKS:
            _wire(link)
        ports = {node.name: self._start(node) for node in NODES}
        self._write_known_hosts(keys, ports)
        self._await_daemons()
        (self.folder / "state.json").write_text(json.dumps({"ports": ports}))

    def tear_down(self) -> None:
        """Removes what `build` makes, finished or not."""
        for node in NODES:
            _signal(node, signal.SIGTERM)  # stations stop what is under them
        try:
            until(_nothing_runs, "the stations' end", 4.0)
        except LabError:
            for node in NODES:
                _signal(node, signal.SIGKILL)
            until(_nothing_runs, "the namespaces' emptying", 4.0)
        while self._stations:
            with suppress(ChildProcessError):
                os.waitpid(self._stations.pop(), 0)
        for node in NODES:
            if Path("/run/netns", node.netns).exists():
                run("ip", "netns", "del", node.netns)
            for parent in ("/etc/netns", "/etc/frr", "/var/run/frr"):
                shutil.rmtree(Path(parent, node.netns), ignore_errors=True)
        with suppress(OSError):
            Path("/etc/netns").rmdir()
        for end in (end for link in LINKS for end in (link.a, link.b) if not end.node):
            subprocess.run(["ip", "link", "del", end.interface], capture_output=True, check=False)
        users.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _key(self, name: str) -> str:
        kind = ["-t", "ed25519"] if name.endswith("ed25519") else ["-t", "rsa", "-b", "2048"]
        run("ssh-keygen", "-q", "-N", "", "-C", "netssh-lab", *kind, "-f", str(self.folder / name))
        return (self.folder / f"{name}.pub").read_text()

    def _start(self, node: Node) -> int:
        """Starts the node's station and returns its port on 127.0.0.1: the usual one, or any free one."""
        try:
            listener = socket.create_server(("127.0.0.1", node.port), backlog=512)
        except OSError:
            listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        sshd_config = self.folder / f"sshd-{node.name}.conf"
        sshd_config.write_text(topology.sshd_config(node, str(self.folder), users.KINDS))
        config = {
            "hostname": node.name,
            "fds": [listener.fileno()],
            "listen": [node.listen] if node.listen else [],
            "control": str(self.control(node.name)),
            "log": str(self.folder / f"{node.name}.log"),
            "sshd": ["/usr/sbin/sshd", "-i", "-e", "-f", str(sshd_config)],
            "daemons": [
                [f"/usr/lib/frr/{daemon}", "-N", node.netns, "-A", "127.0.0.1"]
                for daemon in (DAEMONS if node in ROUTERS else ())
            ],
            "first_socket": f"/var/run/frr/{node.netns}/zserv.api",
            "env": BARE_ENVIRONMENT,
            "sysctl": {"net/ipv4/ip_forward": "1", "net/ipv4/ping_group_range": "0 2147483647"},
        }
        path = self.folder / f"station-{node.name}.json"
        path.write_text(json.dumps(config))
        command = [
            "ip",
            "netns",
            "exec",
            node.netns,
            "unshare",
            "--uts",
            sys.executable,
            "-S",
            "-E",
            str(STATION),
            str(path),
        ]
        with listener, open(os.devnull, "rb") as null, open(self.folder / f"{node.name}.log", "ab") as log:
            listener.set_inheritable(True)
            redirect = [(os.POSIX_SPAWN_DUP2, source.fileno(), fd) for fd, source in enumerate((null, log, log))]
            ip = shutil.which("ip", path=PROGRAM_PATH) or "ip"
            pid = os.posix_spawn(ip, command, BARE_ENVIRONMENT, file_actions=redirect, setsid=True)
            self._stations.append(pid)
            return int(listener.getsockname()[1])

    def _await_daemons(self) -> None:
        for node in NODES:
            until(self.control(node.name).exists, f"{node.name}'s station")
        for node in ROUTERS:
            sockets = [Path("/var/run/frr", node.netns, f"{daemon}.vty") for daemon in DAEMONS]
            until(lambda sockets=sockets: all(map(Path.exists, sockets)), f"{node.name}'s daemons")  # type: ignore[misc]
        loading = [subprocess.Popen(["vtysh", "-N", node.netns, "-b"], stdout=subprocess.DEVNULL) for node in ROUTERS]
        if any(vtysh.wait(30) for vtysh in loading):
            raise LabError("vtysh -b did not take the configurations; see the log files in the lab's folder")

    def _write_known_hosts(self, keys: dict[str, str], ports: dict[str, int]) -> None:
        lines = []
        for node in NODES:
            names = f"[127.0.0.1]:{ports[node.name]}"
            names += f",{node.listen[0]}" if node.listen else ""
            for kind in ("ed25519", "rsa"):
                algorithm, key = keys[f"{node.name}_{kind}"].split()[:2]
                lines.append(f"{names} {algorithm} {key}\n")
        (self.folder / "known_hosts").write_text("".join(lines))


def _namespace(node: Node) -> None:
    etc = Path("/etc/netns", node.netns)  # `ip netns exec` mounts these files over those of /etc
    etc.mkdir(parents=True)
    (etc / "resolv.conf").write_text("")  # no name server: look-ups fail at once and never leave the machine
    if node.hosts_file:
        (etc / "hosts").write_text(topology.hosts_file(node))
    run("ip", "netns", "add", node.netns)
    inside(node.name, "ip", "link", "set", "lo", "up")


def _router_files(node: Node, frr_config: str) -> None:
    config = Path("/etc/frr", node.netns)
    for folder in (config, Path("/var/run/frr", node.netns)):
        folder.mkdir(parents=True)
        shutil.chown(folder, "frr", "frr")
        folder.chmod(0o775)  # `write memory` of a user in group frr makes files here
    (config / "frr.conf").write_text(frr_config)
    (config / "vtysh.conf").write_text("service integrated-vtysh-config\n")
    for name, group in (("frr.conf", "frr"), ("vtysh.conf", "frrvty")):
        shutil.chown(config / name, "frr", group)
        (config / name).chmod(0o640)


def _wire(link: topology.Link) -> None:
    words: list[str] = []
    for end in (link.a, link.b):
        words += ["name", end.interface, *(["netns", topology.PREFIX + end.node] if end.node else [])]
        words += ["type", "veth", "peer"] if end is link.a else []
    run("ip", "link", "add", *words)
    for end in (link.a, link.b):
        where = ["-n", topology.PREFIX + end.node] if end.node else []
        run("ip", *where, "addr", "add", end.address, "dev", end.interface)
        run("ip", *where, "link", "set", end.interface, "up")


def _pids(node: Node) -> list[int]:
    done = subprocess.run(["ip", "netns", "pids", node.netns], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def _nothing_runs() -> bool:
    return not any(_pids(node) for node in NODES)


def _signal(node: Node, number: int) -> None:
    """To the node's stations, or with SIGKILL to all that runs in its namespace."""
    for pid in _pids(node):
        with suppress(ProcessLookupError, FileNotFoundError):
            if number == signal.SIGKILL or str(STATION) in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, number)


def _host_key_names() -> list[str]:
    return [f"{node.name}_{kind}" for node in NODES for kind in ("ed25519", "rsa")]
