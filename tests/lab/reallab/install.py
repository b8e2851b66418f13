"""Puts FRRouting and OpenSSH on a Debian machine without starting any of their daemons."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGES = ("frr", "openssh-server", "openssh-client", "sudo", "iproute2", "iputils-ping", "less")
PROGRAMS = (
    *("/usr/lib/frr/zebra", "/usr/sbin/sshd", "vtysh", "ssh", "ssh-keygen"),
    *("sudo", "ip", "ping", "less", "unshare"),
)
POLICY = Path("/usr/sbin/policy-rc.d")


class LabError(RuntimeError):
    """The real lab cannot run here; the text is the reason."""


def missing() -> list[str]:
    """The programs of PROGRAMS that this machine lacks."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def why_not() -> str:
    """Why neither the lab nor its installation can work here, or "" when they can."""
    if os.geteuid() != 0:
        return "the real lab makes network namespaces and users, so it needs root"
    lacking = missing()
    if lacking and shutil.which("apt-get") is None:
        return f"not a Debian machine (no apt-get), and these are missing: {', '.join(lacking)}"
    return ""


def install() -> None:
    """Installs what is missing; does nothing when nothing is. Raises LabError with apt's last words."""
    if reason := why_not():
        raise LabError(reason)
    with (Path(tempfile.gettempdir()) / "netssh-install.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # the parts of the suite may come here together on a fresh machine
        if missing():
            _install()


def _install() -> None:
    made = _forbid_daemons()
    try:
        if not _apt("update", timeout=180) and not _apt("update", timeout=180):
            raise LabError("apt-get update failed twice")
        _apt("install", "-y", "--no-install-recommends", *PACKAGES, timeout=600, check=True)
    finally:
        if made:
            POLICY.unlink()
    if lacking := missing():
        raise LabError(f"installed {', '.join(PACKAGES)}, but still missing: {', '.join(lacking)}")


def _forbid_daemons() -> bool:
    # Debian asks policy-rc.d before it starts a freshly installed daemon; 101 is "forbidden"
    # (invoke-rc.d(8)). An existing one is respected only if it says the same.
    if POLICY.exists():
        if subprocess.run([POLICY, "ssh", "start"], check=False, capture_output=True).returncode != 101:
            raise LabError(f"{POLICY} lets packages start their daemons; remove it or make it exit 101")
        return False
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    return True


def _apt(*words: str, timeout: float, check: bool = False) -> bool:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Options::=--force-confold", *words]
    try:
        done = subprocess.run(
            command, env=env, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        if check:
            raise LabError(f"apt-get {words[0]} took more than {timeout:.0f} s") from None
        return False
    if check and done.returncode:
        raise LabError(f"apt-get {words[0]} failed: {(done.stderr or done.stdout)[-600:].strip()}")
    return done.returncode == 0
