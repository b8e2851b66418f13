"""Linux hosts: a warm `echo` over MCP, 100 MB by SFTP beside OpenSSH's own, 50 kept sessions at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paramiko

from benchmarks import ours
from benchmarks.lab import real_lab
from benchmarks.measure import Bench, Contender, medians, timed
from benchmarks.report import Figure, compared, not_run
from tests.lab.reallab import RealLab

_ROUNDS = 200
_SIZE = 100_000_000
_SESSIONS = 50
_POLICY = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"
_NAMES = ("echo on a kept Linux session, MCP stdio", "SFTP 100 MB up", "SFTP 100 MB down", "50 kept sessions at once")


def run(bench: Bench) -> Iterator[Figure]:
    """All against the real sshd of the lab."""
    with real_lab() as lab:
        if isinstance(lab, str):
            yield from (not_run(name, "ms", "OpenSSH", lab) for name in _NAMES)
            return
        folder = bench.subfolder("hosts")
        with ExitStack() as stack:
            house = stack.enter_context(ours.house(folder, lab.write_inventory(folder / "inventory.yaml")))
            client = stack.enter_context(ours.server(house.portal, *_server(folder, _inventory(lab, folder))))
            yield from _echo(bench, lab, client)
            yield from _files(bench, lab, folder, client)
            yield from _sessions(bench, client)


def _server(folder: Path, inventory: Path) -> tuple[list[str], dict[str, str]]:
    (at := folder / "stdio").mkdir()
    policy = folder / "policy.yaml"
    policy.write_text(_POLICY)
    policy.chmod(0o600)
    argv = [*ours.command_line(inventory, at), "--toolsets", "all", "--policy", str(policy)]
    return [*argv, "--allow-dir", str(_local(folder))], ours.environment(at)


def _local(folder: Path) -> Path:
    path = folder / "local"
    path.mkdir(exist_ok=True)
    return path


def _inventory(lab: RealLab, folder: Path) -> Path:
    """The Linux host under 50 names more, which are 50 connections."""
    import yaml

    content: dict[str, Any] = lab.inventory()
    host = content["hosts"]["linux1"]
    content["hosts"] |= {f"h{number}": dict(host) for number in range(_SESSIONS)}
    path = folder / "hosts.yaml"
    path.write_text(yaml.safe_dump(content))
    path.chmod(0o600)
    return path


def _echo(bench: Bench, lab: RealLab, client: ours.Served) -> Iterator[Figure]:
    user = lab.ops
    with paramiko.SSHClient() as ssh:
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect("127.0.0.1", lab.port("linux1"), user.name, user.password, look_for_keys=False, allow_agent=False)
        ask = {"targets": "linux1", "commands": ["echo hello"]}
        contenders: dict[str, Contender] = {
            "kept": client.contender("run", {**ask, "session": "bench"}, ours.answered),
            "alone": client.contender("run", ask, ours.answered),
            "paramiko": timed(lambda: ssh.exec_command("echo hello")[1].read(100)),
        }
        # Each by itself, as a warm session is asked: Paramiko waits 30 ms per command, after which all caches are cold.
        rounds = bench.rounds(_ROUNDS)
        ms = {name: 1000 * medians({name: each}, rounds, warm=20)[name] for name, each in contenders.items()}
    reference = "Paramiko exec_command"
    yield compared(_NAMES[0], ms["kept"], "ms", reference, ms["paramiko"], absolute=3)
    yield compared("echo as a command of its own, MCP stdio", ms["alone"], "ms", reference, ms["paramiko"])


def _files(bench: Bench, lab: RealLab, folder: Path, client: ours.Served) -> Iterator[Figure]:
    local = _local(folder)
    source = local / "up.bin"
    source.write_bytes(os.urandom(_SIZE))
    there = Path(lab.inside("linux1", "mktemp", "-d", "-p", str(folder)).strip()) / "there.bin"
    shutil.chown(there.parent, lab.ops.name)
    for each in (folder, folder.parent):
        each.chmod(0o711)
    if shutil.which("sftp") is None:
        yield from (not_run(name, "s", "OpenSSH sftp", "there is no sftp") for name in _NAMES[1:3])
        return
    ask = {"device": "linux1", "path": str(there)}
    with _openssh(lab, folder) as batch:
        put = client.contender("put_file", {**ask, "action": "upload", "local_path": str(source)})

        def upload() -> float:
            """Of another content each time: the same one is recognised and not sent."""
            with source.open("r+b") as file:
                file.write(os.urandom(64))
            return put()

        up: dict[str, Contender] = {
            "ours": upload,
            "sftp": timed(lambda: batch(f"put {source} {there}")),
        }
        down = {
            "ours": client.contender(
                "get_file",
                {**ask, "action": "download", "local_path": str(local / "down.bin"), "overwrite": True},
            ),
            "sftp": timed(lambda: batch(f"get {there} {local / 'other.bin'}")),
        }
        for name, contenders in (("SFTP 100 MB up", up), ("SFTP 100 MB down", down)):
            seconds = medians(contenders, bench.rounds(7), warm=1)
            speed = {who: _SIZE / 1e6 / value for who, value in seconds.items()}
            yield compared(name, speed["ours"], "MB/s", "OpenSSH sftp", speed["sftp"], least=0.8)
    client.call("put_file", {**ask, "action": "delete"})


@contextmanager
def _openssh(lab: RealLab, folder: Path) -> Iterator[Any]:
    """Runs one sftp command on a connection that is up already, as ours is."""
    options = [
        *("-F", "/dev/null", "-i", str(lab.client_key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"),
        *(
            "-o",
            f"UserKnownHostsFile={folder / 'ssh_known'}",
            "-o",
            f"ControlPath={folder / 'c'}",
            "-o",
            "LogLevel=ERROR",
        ),
    ]
    where = f"{lab.ops.name}@127.0.0.1"
    master = ["ssh", *options, "-p", str(lab.port("linux1")), "-M", "-N", "-f", where]
    subprocess.run(master, check=True, capture_output=True, timeout=30)

    def batch(command: str) -> None:
        subprocess.run(
            ["sftp", "-q", *options, "-P", str(lab.port("linux1")), "-b", "-", where],
            input=command.encode(),
            check=True,
            capture_output=True,
            timeout=120,
        )

    try:
        yield batch
    finally:
        stop = ["ssh", *options, "-p", str(lab.port("linux1")), "-O", "exit", where]
        subprocess.run(stop, check=False, capture_output=True, timeout=30)


def _sessions(bench: Bench, client: ours.Served) -> Iterator[Figure]:
    one = {"commands": ["sleep 0.5"], "session": "many"}
    many = {**one, "targets": "h*"}
    began = time.perf_counter()
    client.contender("run", {**many, "wait": 120}, ours.answered)()
    opened = time.perf_counter() - began
    contenders = {
        "fifty": client.contender("run", many, ours.answered),
        "one": client.contender("run", {**one, "targets": "h0"}, ours.answered),
    }
    seconds = medians(contenders, bench.rounds(5), warm=1)
    reference = "the same in one session"
    yield compared(_NAMES[3], 1000 * seconds["fifty"], "ms", reference, 1000 * seconds["one"], most=1.5)
    yield compared("50 logins and kept sessions", 1000 * opened, "ms", reference, 1000 * seconds["one"])
