"""The lab's login users: made by useradd, known by their prefix, removed with their homes."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.reallab.topology import PREFIX

ADMIN, OPS, ROOT = PREFIX + "admin", PREFIX + "ops", PREFIX + "root"
# What each is for: a router's administrator in vtysh; an operator who types a password to sudo; one who need not.
KINDS = {ADMIN: "vtysh", OPS: "shell", ROOT: "shell"}
SUDOERS = Path("/etc/sudoers.d/netssh-reallab")


@dataclass(frozen=True, slots=True)
class User:
    """A login; the password lives in a 0600 file and nowhere else."""

    name: str
    password_file: Path

    @property
    def password(self) -> str:
        return self.password_file.read_text().strip()


def make(folder: Path, public_key: str) -> dict[str, User]:
    """Creates the users with new random passwords in `folder`, and lets `public_key` in."""
    made = {}
    for name, kind in KINDS.items():
        user = User(name, folder / f"password-{name}")
        user.password_file.touch(mode=0o600)
        user.password_file.write_text(secrets.token_urlsafe(15) + "\n")
        groups = ["-G", "frrvty,frr"] if kind == "vtysh" else []
        _run("useradd", "-m", "-s", "/bin/bash", *groups, name)
        _run("chpasswd", stdin=f"{name}:{user.password}\n")
        ssh = Path(f"~{name}").expanduser() / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "authorized_keys").write_text(public_key)
        for path in (ssh, ssh / "authorized_keys"):
            shutil.chown(path, name, name)
        made[name] = user
    # Written aside and renamed: a half-written sudoers file would lock everyone out of sudo.
    aside = folder / "sudoers"
    aside.write_text(f"{OPS} ALL=(ALL:ALL) ALL\n{ROOT} ALL=(ALL:ALL) NOPASSWD: ALL\n")
    aside.chmod(0o440)
    _run("visudo", "-c", "-q", "-f", str(aside))
    shutil.copy(aside, SUDOERS.with_suffix(".new"))
    os.chmod(SUDOERS.with_suffix(".new"), 0o440)
    os.replace(SUDOERS.with_suffix(".new"), SUDOERS)
    return made


def remove() -> None:
    """Removes what `make` made; nothing to remove is fine. Their processes must have ended before."""
    SUDOERS.unlink(missing_ok=True)
    for name in KINDS:
        if subprocess.run(["id", "-u", name], capture_output=True, check=False).returncode == 0:
            _run("userdel", "-r", "-f", name)
        for ticket in ("/run/sudo/ts", "/var/lib/sudo/lectured"):
            Path(ticket, name).unlink(missing_ok=True)


def _run(*command: str, stdin: str = "") -> None:
    # A home that other packages' skeleton files fill, or a missing mail spool, only warn on stderr.
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True, timeout=30)
