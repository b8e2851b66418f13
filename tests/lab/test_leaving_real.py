"""What runs at a real host when the client goes: stopped there, and its end on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_lifecycle import HELLO, READY, SHOW, say
from tests.devices.house import audit_records
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real]

ROOT = Path(__file__).parents[2]
LONG = 40  # seconds: only to fail
POLICY = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"
WAYS: dict[str, dict[str, Any]] = {
    "one-shot": {},
    "sudo": {"sudo": True},
    "kept": {"session": "work"},
    "kept sudo": {"session": "root", "sudo": True},
}


def gone(pid: int) -> bool:
    """Whether this process has ended, or is nobody's any more."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def sleeping(seconds: str) -> bool:
    """Whether any `sleep` of this length runs; the lab's hosts are namespaces of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if words[:2] == [b"sleep", seconds.encode()]:
            return True
    return False


def until(true: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < limit, what
        os.sched_yield()


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the lab's users may write."""
    folder = Path(tempfile.mkdtemp(prefix="netssh-leaving-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def server(lab: RealLab, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    password = f"file:{lab.ops.password_file}"
    host = {"hostname": "127.0.0.1", "port": lab.port("linux1"), "platform": "linux", "username": lab.ops.name}
    host |= {"password": password, "sudo": password, "key_file": [], "agent": False}
    for name, text in (("inventory.yaml", json.dumps({"hosts": {"linux1": host}})), ("policy.yaml", POLICY)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    argv = [sys.executable, "-W", "error", "-m", "netssh_mcp", "serve", "--toolsets", "all"]
    argv += ["--inventory", str(folder / "inventory.yaml"), "--policy", str(folder / "policy.yaml")]
    argv += ["--audit", str(folder / "audit.jsonl"), "--host-keys", "tofu"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NETSSH_KNOWN_HOSTS": str(folder / "known_hosts")}
    environ["NETSSH_SPILL"] = str(folder / "outputs")
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            say(process, HELLO)
            assert process.stdout
            assert b"serverInfo" in process.stdout.readline()
            say(process, READY)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("how", "wait"), [("eof", 25), ("signal", 0)], ids=["eof-calls", "signal-jobs"])
def test_nothing_runs_on_at_the_host_when_the_client_has_gone(
    real_lab: RealLab, tmp_path: Path, place: Path, how: str, wait: int
) -> None:
    """One-shot, under sudo and in kept sessions; under way in a call, or given out as a job."""
    seconds = f"600.{os.getpid()}{wait:02}"
    with server(real_lab, tmp_path) as process:
        for number, (name, more) in enumerate(WAYS.items()):
            command = f"echo $$ >'{place}/{name}.pid'; sleep {seconds}; touch '{place}/{name}.done'"
            asked = {"targets": "linux1", "commands": [command], "shell": True, "wait": wait, "timeout": 900, **more}
            say(process, {**SHOW, "id": 10 + number, "params": {"name": "run", "arguments": asked}})
        pids = [place / f"{name}.pid" for name in WAYS]
        until(lambda: all(path.exists() and path.read_text().strip() for path in pids), "they have not begun")
        until(lambda: sleeping(seconds), "they do not sleep")
        if how == "eof":
            assert process.stdin
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
        assert not sleeping(seconds), "stopped before the server left"
    records = audit_records(tmp_path)
    for path in pids:
        pid = int(path.read_text())
        until(lambda pid=pid: gone(pid), path.name)  # type: ignore[misc]  # a kept shell goes with its connection
    assert not list(place.glob("*.done"))
    outcomes = {record["id"]: record["error"] for record in records if record["kind"] == "outcome"}
    decisions = [record["id"] for record in records if record["kind"] == "decision" and "sleep" in record["command"]]
    assert [outcomes.get(decision) for decision in decisions] == ["interrupted"] * len(WAYS)
    assert not [record for record in records if record.get("event") == "left_running"]


def test_what_could_not_be_stopped_is_on_record_as_left_running(real_lab: RealLab, tmp_path: Path, place: Path) -> None:
    """What was put into a session of its own is not killed with its command."""
    seconds = f"60.{os.getpid()}"
    started = place / "pid"
    with server(real_lab, tmp_path) as process:
        command = f"setsid sh -c 'echo $$ >{started}; exec sleep {seconds}' & wait"
        asked = {"targets": "linux1", "commands": [command], "shell": True, "wait": 25, "timeout": 900}
        say(process, {**SHOW, "id": 10, "params": {"name": "run", "arguments": asked}})
        until(lambda: sleeping(seconds), "it has not begun")
        assert process.stdin
        process.stdin.close()
        assert process.wait(LONG) == 0
    pid = int(started.read_text())
    try:
        assert not gone(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
    (left,) = [record for record in audit_records(tmp_path) if record.get("event") == "left_running"]
    assert left["device"] == "linux1"
    assert seconds in left["command"]
    assert f"still runs, pid {pid}" in left["reason"]
    assert int(left["pid"]) > 0
