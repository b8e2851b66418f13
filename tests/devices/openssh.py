"""OpenSSH's own programs beside ours: its client to compare verdicts with, its server to connect to."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.reallab.install import LabError, install, why_not

SSHD = "/usr/sbin/sshd"


@functools.cache
def needed() -> None:
    """Installs OpenSSH where that can be done. Without it CI fails; elsewhere the test is skipped, with the reason."""
    if all(map(shutil.which, (SSHD, "ssh", "ssh-keygen"))):
        reason = ""
    elif not (reason := why_not()):
        try:
            install()
        except LabError as error:
            reason = str(error)
    if reason:
        _unavailable(f"there is no OpenSSH to compare with: {reason}")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd's privilege separation; systemd would make it


@functools.cache
def sftp_server() -> str:
    """The path of OpenSSH's SFTP server, on the same terms."""
    needed()
    for path in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"):
        if shutil.which(path):
            return path
    return _unavailable("OpenSSH has no sftp-server here")


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def keygen(*words: str | Path) -> str:
    """Run ssh-keygen; its error is the test's."""
    done = subprocess.run(["ssh-keygen", "-q", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def version() -> tuple[int, int]:
    """Of the client."""
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def server(config: Path, lines: Sequence[str]) -> list[str]:
    """The command of an sshd that serves one connection on its standard input; everybody is refused at the login."""
    fixed = ("PidFile none", "UsePAM no", "PasswordAuthentication no", "AuthorizedKeysFile none", "LogLevel QUIET")
    config.write_text("\n".join((*fixed, *lines)) + "\n")
    return [SSHD, "-i", "-f", str(config)]


@contextmanager
def connected(command: Sequence[str]) -> Iterator[socket.socket]:
    """Our end of a connection to such a server."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            process.kill()
            process.wait()


def verdict(command: Sequence[str], known_hosts: Sequence[Path], host: str, port: int) -> str:
    """Whether strict checking lets ssh go on to the login, which is refused for want of a method."""
    options = {
        "ProxyCommand": shlex.join(command),
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": " ".join(map(str, known_hosts)),
        "GlobalKnownHostsFile": "/dev/null",
        "PreferredAuthentications": "none",
        "BatchMode": "yes",
    }
    argv = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", *argv, "-p", str(port), f"nobody@{host}", "true"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if "Permission denied" in done.stderr:
        return "accepted"
    assert "Host key verification failed" in done.stderr or "REVOKED" in done.stderr, done.stderr
    return "revoked" if "REVOKED" in done.stderr or "marked as revoked" in done.stderr else "refused"
