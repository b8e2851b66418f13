"""A real sshd of one test's own: its users' homes and shells are what the test says, and it may be killed or frozen."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.devices.openssh import SSHD, keygen, needed
from tests.lab.reallab import RealLab


@dataclass(frozen=True, slots=True)
class OwnSshd:
    """Serves the lab's user who types a password to sudo, with `home` for HOME, on 127.0.0.1."""

    port: int
    home: Path
    process: subprocess.Popen[bytes]

    def sessions(self) -> list[int]:
        """The sshd processes of its connections: children, and theirs that have changed to the user."""
        found, wanted = [self.process.pid], []
        for pid in found:
            for child in _children(pid):
                if _name(child) == "sshd":
                    found.append(child)
                    wanted.append(child)
        return wanted

    def kill(self) -> None:
        """All of its connections, not the listener: what a crash does."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """The kernel still acknowledges, nobody answers: what a black hole looks like while nothing is sent."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        pids = self.sessions()
        assert pids
        for pid in pids:
            os.kill(pid, number)


@contextmanager
def own_sshd(
    lab: RealLab, *, shell: str = "/bin/bash", files: Mapping[str, str] | None = None, lines: str = ""
) -> Iterator[OwnSshd]:
    """`files` are put into the home."""
    needed()
    folder = Path(tempfile.mkdtemp(prefix="netssh-own-"))
    folder.chmod(0o755)
    home = folder / "home"
    temporary = folder / "tmp"
    home.mkdir()
    temporary.mkdir()
    for name, text in (files or {}).items():
        (home / name).write_text(text)
    for path in (temporary, home, *home.iterdir()):
        shutil.chown(path, lab.ops.name, lab.ops.name)
    keygen("-t", "ed25519", "-N", "", "-f", folder / "host")
    (folder / "keys").write_text(keygen("-y", "-f", lab.client_key))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/keys\nPasswordAuthentication no\nLogLevel QUIET\n"
        f"SetEnv HOME={home} SHELL={shell} TMPDIR={temporary}\n{lines}"
    )
    process = subprocess.Popen([SSHD, "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    own = OwnSshd(port, home, process)
    try:
        _await(port)
        yield own
    finally:
        process.kill()  # first: nobody comes after this
        for pid in own.sessions():
            with suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder)


def _await(port: int) -> None:
    until = time.monotonic() + 10
    while not _listens(port):
        assert time.monotonic() < until, "the test's own sshd did not start"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
