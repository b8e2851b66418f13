"""RealLab: three FRRouting routers and a Linux host, their life and what a test can do to them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.reallab import topology, users
from tests.lab.reallab.build import Site, inside, run, until
from tests.lab.reallab.install import LabError, install
from tests.lab.reallab.session import Session, order
from tests.lab.reallab.station import descendants
from tests.lab.reallab.topology import DAEMONS, LINKS, NODES, ROUTERS, STATICS


class RealLab:
    """One per machine. `up` and `down` may be called at any time, by any process, any number of times."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir(), f"netssh-reallab-{os.geteuid()}")
        self.known_hosts = self.folder / "known_hosts"
        self.client_key = self.folder / "client_ed25519"
        self.users = {name: users.User(name, self.folder / f"password-{name}") for name in users.KINDS}
        self.admin, self.ops, self.root = (self.users[name] for name in (users.ADMIN, users.OPS, users.ROOT))
        self._site = Site(self.folder)
        self._holding: int | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    def is_up(self) -> bool:
        """Every node's station answers and all its daemons run."""
        try:
            alive = {node: set(order(self._site.control(node.name), {"do": "daemons"}).values()) for node in NODES}
        except (OSError, ValueError):
            return False
        return all(running == (set(DAEMONS) if node in ROUTERS else set()) for node, running in alive.items())

    def up(self, timeout: float = 60.0) -> None:
        """Installs what is missing, builds what is not there, waits for BGP and OSPF. Raises LabError."""
        install()
        with self._alone():
            if not self.is_up():
                self._site.tear_down()
                try:
                    self._site.build()
                except (LabError, OSError):
                    self._site.tear_down()
                    raise
        self.await_convergence(timeout)

    def down(self) -> None:
        """Removes every trace: processes, namespaces, users, files."""
        with self._alone():
            self._site.tear_down()

    def hold(self) -> None:
        """Says that this process uses the lab; the kernel forgets it when the process ends."""
        self._holding = os.open(self._beside("holders"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._holding, fcntl.LOCK_SH)

    def release(self) -> None:
        """Takes the lab down, unless another process holds it or it was brought up by hand (`keep`)."""
        if self._holding is None:
            return
        try:
            fcntl.flock(self._holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            if not (self.folder / "keep").exists():
                self.down()
        finally:
            os.close(self._holding)
            self._holding = None

    def keep(self) -> None:
        """From now on only `down` ends the lab."""
        (self.folder / "keep").touch()

    def await_convergence(self, timeout: float = 60.0) -> None:
        """Returns when all routers see their neighbours and r1 has r3's routes; raises LabError."""
        until(lambda: self.not_converged() == "", "convergence", timeout)

    def not_converged(self) -> str:
        """What is still missing, or ""."""
        for node in ROUTERS:
            bgp = json.loads(self.vtysh(node.name, "show ip bgp summary json"))
            peers = bgp.get("ipv4Unicast", {}).get("peers", {})
            if [peer["state"] for peer in peers.values()] != ["Established"] * 2:
                return f"BGP of {node.name}"
            if len(re.findall(r"\bFull\b", self.vtysh(node.name, "show ip ospf neighbor"))) != 2:
                return f"OSPF of {node.name}"
        routes = self.vtysh("r1", "show ip route")
        if routes.count("\nB>*") < STATICS + 2 or routes.count("\nO>*") < 3:
            return "routes of r1"
        ospf = self.vtysh("r1", "show ip ospf route")
        if not all(hop in ospf for hop in ("10.0.12.2", "10.0.13.2")):
            return "OSPF routes of r1"
        return ""

    # -- reaching it --------------------------------------------------------------------------------------------

    def port(self, name: str) -> int:
        """The node's SSH port on 127.0.0.1 of the machine."""
        return int(json.loads((self.folder / "state.json").read_text())["ports"][name])

    @property
    def enable_password(self) -> str:
        """What every router's running-config shows in clear text."""
        return (self.folder / "password-enable").read_text().strip()

    def inventory(self) -> dict[str, Any]:
        """The four nodes in the server's inventory format; secrets are references to 0600 files."""
        hosts: dict[str, Any] = {}
        for node in NODES:
            user, role = (self.admin, "core") if node in ROUTERS else (self.ops, "server")
            secret = f"file:{user.password_file}"
            host = {"hostname": "127.0.0.1", "port": self.port(node.name), "platform": node.platform}
            host |= {"username": user.name, "password": secret, "groups": [node.platform]}
            host |= {"sudo": secret} if node.platform == "linux" else {}
            hosts[node.name] = host | {"data": {"site": "lab", "role": role}}
        return {"defaults": {}, "groups": {"frr": {}, "linux": {}}, "hosts": hosts}

    def write_inventory(self, path: Path, **defaults: object) -> Path:
        """Writes `inventory()` as YAML (JSON is YAML), mode 0600, and returns the path. `defaults` are more of them."""
        inventory = self.inventory()
        given = inventory.get("defaults")
        inventory["defaults"] = {**(given if isinstance(given, dict) else {}), **defaults}
        path.write_text(json.dumps(inventory, indent=2) + "\n")
        path.chmod(0o600)
        return path

    # -- acting on it -------------------------------------------------------------------------------------------

    def vtysh(self, router: str, *commands: str) -> str:
        """What the router's own vtysh prints, without SSH."""
        words = [word for command in commands for word in ("-c", command)]
        return run("vtysh", "-N", topology.PREFIX + router, *words)

    def inside(self, name: str, *command: str) -> str:
        """Runs a command as root in the node's network namespace."""
        return inside(name, *command)

    def sessions(self, name: str) -> list[Session]:
        """The node's SSH sessions now, oldest first."""
        control = self._site.control(name)
        return [Session(control, peer, pid) for peer, pid in order(control, {"do": "sessions"}).items()]

    def sessions_of(self, pid: int, name: str, *, through: str = "") -> list[Session]:
        """Those whose client is this process or one under it, on the machine or on the node `through`.

        Others use the lab at the same time: what is new on a node need not be ours.
        """
        program = ("ss", "-tnpH")
        table = inside(through, *program) if through else run(*program)
        mine = {f"pid={one}," for one in descendants(pid)}
        ends = {line.split()[3] for line in table.splitlines() if mine & set(re.findall(r"pid=\d+,", line))}
        return [session for session in self.sessions(name) if session.peer in ends]

    def session(self, name: str, client: tuple[str, int]) -> Session:
        """The session of the client whose socket has this local address; LookupError when it has ended."""
        peer = f"{client[0]}:{client[1]}"
        for session in self.sessions(name):
            if session.peer == peer:
                return session
        raise LookupError(f"{name} has no session from {peer}")

    @contextmanager
    def cut(self, link: str) -> Iterator[None]:
        """A black hole for the time of the block: the far end of the link goes down, nobody answers any more.

        "linux1" and "r3" are the paths to 198.18.0.2 and 198.18.0.6, "linux1-r1" the one behind the jump host;
        the cores' links ("r1-r2", ...) make the routing protocols notice.
        """
        far = next(one for one in LINKS if one.name == link).b
        inside(far.node, "ip", "link", "set", far.interface, "down")
        try:
            yield
        finally:
            inside(far.node, "ip", "link", "set", far.interface, "up")

    # -- small things -------------------------------------------------------------------------------------------

    def _beside(self, suffix: str) -> Path:
        # Not inside the folder: `down` removes that while the locks are held.
        return self.folder.with_name(f"{self.folder.name}.{suffix}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(self._beside("lock"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
