"""What the fault tests look at: a server on the real lab over MCP stdio, OpenSSH servers of our own, processes there.

The lab's hosts are network namespaces of this machine, so a process of the far side is seen in /proc here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from typing_extensions import Self

from tests.devices import openssh
from tests.devices.mcp_house import Answer, House
from tests.lab.reallab import RealLab

LONG = 30.0  # seconds: only to fail
EVERYTHING = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"


class Sshd:
    """An OpenSSH server on 127.0.0.1, a process per connection. `log` is its debug log, with every login request."""

    def __init__(self, folder: Path, name: str, *lines: str) -> None:
        openssh.needed()
        self.key = folder / f"{name}_key"
        openssh.keygen("-t", "ed25519", "-N", "", "-f", self.key)
        self._log = folder / f"{name}.log"
        self._log.touch()
        config = folder / f"{name}.config"
        command = openssh.server(config, (f"HostKey {self.key}", "UseDNS no", "MaxSessions 100", *lines))
        # The first value counts in sshd: the command line's before the file's.
        options = ("LogLevel=DEBUG3", "PasswordAuthentication=yes")
        self._command = [*command, "-E", str(self._log), *(word for option in options for word in ("-o", option))]
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self._children: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def known_hosts_line(self, key: Path | None = None) -> str:
        """As a client knows it; `key` stands for another one than it has."""
        kind, public = (key or self.key).with_name((key or self.key).name + ".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {public}\n"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)
        for child in self._children:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                stdin = connection.fileno()
                self._children.append(
                    subprocess.Popen(
                        self._command, stdin=stdin, stdout=stdin, stderr=subprocess.DEVNULL, start_new_session=True
                    )
                )


@contextmanager
def home(owner: str, **files: str) -> Iterator[Path]:
    """A home directory on the host with these dot files, away from the user's own, which other tests use."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="netssh-faults-"))  # the host's user must reach it
    try:
        for name, text in files.items():
            (folder / f".{name}").write_text(text)
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, owner, owner)
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Sampler:
    """Looks at the arguments and environments of all processes of this machine, again and again, for one word."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.found: set[str] = set()
        self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for process in filter(str.isdigit, os.listdir("/proc")):
                for kind in ("cmdline", "environ"):
                    with suppress(OSError):
                        text = Path("/proc", process, kind).read_bytes()
                        if self._word in text:
                            self.found.add(f"{kind} of {text[:60]!r}")
            self.rounds += 1


@dataclass
class Far:
    """A server's client, and what stands behind the server."""

    house: House
    lab: RealLab
    folder: Path
    log: Path
    home: Path

    async def call(self, tool: str, **arguments: Any) -> Answer:
        with anyio.fail_after(LONG):
            return await self.house.call(tool, **arguments)

    async def run(self, *commands: str, on: str = "linux1", **more: Any) -> Answer:
        return await self.call("run", targets=on, commands=list(commands), **more)

    async def row(self, command: str, *, on: str = "linux1", **more: Any) -> dict[str, Any]:
        """The only row of one command, in shell text."""
        return (await self.run(command, on=on, **({"shell": True} | more))).row

    async def started(self, command: str, *, on: str = "linux1", **more: Any) -> str:
        """A job with this command."""
        return str((await self.run(command, on=on, wait=0, **({"shell": True} | more))).fields["job_id"])

    async def job(self, action: str, job: str, **more: Any) -> dict[str, Any]:
        answer = await self.call("job", action=action, job_id=job, **more)
        assert not answer.failed, answer.text
        return answer.fields

    async def said(self, job: str, count: int = 1) -> list[str]:
        """The first lines that a running job's command has printed."""
        cursor, text = 0, ""
        with anyio.fail_after(LONG):
            while text.count("\n") < count:
                report = await self.job("get", job, cursor=cursor)
                assert report["state"] in ("running", "waiting"), report
                cursor = report["cursor"]
                text += "".join(piece.get("text", "") for piece in report["text"])
        return text.split("\n")[:count]

    async def lines(self, output_id: str) -> tuple[int, str, str]:
        """Of a kept output: how many lines, the first and the last."""
        first = await self.call("read_output", output_id=output_id, limit=1)
        last = await self.call("read_output", output_id=output_id, offset=-1)
        return first.fields["total"], first.fields["text"].strip(), last.fields["text"].strip()

    async def whole(self, output_id: str) -> str:
        """A kept output, read part by part by its cursor."""
        text: str = ""
        offset = 0
        while True:
            part: dict[str, Any] = (await self.call("read_output", output_id=output_id, offset=offset)).fields
            text += str(part["text"])
            if part["next_offset"] is None:
                return text
            offset = part["next_offset"]


def write(folder: Path, name: str, content: str | dict[str, Any]) -> Path:
    """A file that only the operator reads."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def listening(pids: Sequence[int]) -> list[str]:
    """The local addresses that these processes listen on, from /proc (proc(5): state 0A is LISTEN)."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(os.readlink(descriptor))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            cells = line.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in inodes:
                found.append(cells[1])
    return found
