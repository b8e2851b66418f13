"""`netssh-mcp demo` as a newcomer runs it: a process of its own, in an empty folder, without the user's settings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "netssh_mcp", "demo"]
LONG = 120  # seconds: only to fail

SAID = (
    "core1   cisco_ios      @core   site=ber role=core",
    "spine1  10.0.1.3  Idle    1d02h",
    "leaf2   10.0.1.2  Active  1d02h",
    "neighbor 10.0.1.3 Down - holdtimer expired error",
    "core1 S via 10.0.0.7",
    "ip route 203.0.113.0 255.255.255.0 10.0.0.7 name MAINTENANCE-2026-11-03",
    "leaf2 arista_eos 4.29.5M",
    "GigabitEthernet2 to spine1 Eth1/1: 18291 CRC errors",
    "'reload' is not sent: 'reload' is no read command on cisco_ios",
    "the port is closed (connection refused)",
    "The other 8 answered",
    "state: running, job_id:",
    "state: done after",
    "core2 got one Ctrl-C, showed its prompt again, and the same session went on.",
    "event: *Nov 20 10:15:42.123: %LINEPROTO-5-UPDOWN",
    "100 x `show ip interface brief` on core1, all proven",
    "the chain is whole",
    "13 of 13 steps came out as told",
)


def environment(home: Path) -> dict[str, str]:
    (home / "tmp").mkdir()
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONPATH": str(ROOT)}


def left_behind(home: Path) -> list[str]:
    """Files, and processes that still know this home folder."""
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path != home / "tmp"]
    return files + [f"process {each.name}" for each in Path("/proc").glob("[0-9]*") if str(home) in _environ(each)]


def _environ(process: Path) -> str:
    try:
        return (process / "environ").read_bytes().decode("utf-8", "replace")
    except OSError:  # ended, or not ours
        return ""


def test_the_demo_tells_its_story_in_an_empty_folder_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    flat = re.sub(r"\s+", " ", done.stdout)
    assert [said for said in SAID if re.sub(r"\s+", " ", said) not in flat] == []
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert left_behind(tmp_path) == []


def test_a_demo_that_is_terminated_leaves_nothing_behind_either(tmp_path: Path) -> None:
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        while "1. What is there?" not in demo.stdout.readline():
            assert demo.poll() is None
        demo.send_signal(signal.SIGTERM)
        _, errors = demo.communicate(timeout=LONG)
    assert demo.returncode == 130
    assert errors == ""
    assert left_behind(tmp_path) == []


def test_without_asyncssh_the_demo_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "asyncssh.py").write_text("raise ModuleNotFoundError('hidden', name='asyncssh')\n")
    hidden = {**environment(tmp_path), "PYTHONPATH": f"{tmp_path / 'hidden'}{os.pathsep}{ROOT}"}
    done = subprocess.run(COMMAND, cwd=tmp_path, env=hidden, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "netssh-mcp: the simulated devices need asyncssh",
        "pip install 'netssh-mcp[lab]'",
    ]
