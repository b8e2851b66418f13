"""The command line's twins for files, forwards and hosts, each in a process of its own, on a real host."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.reallab import RealLab

pytestmark = pytest.mark.real
POLICY = (
    "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change]\n    deny: [put_file delete /etc/...]\n"
)
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def command(real_lab: RealLab, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The beginning of every command line, and its environment."""
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.yaml").chmod(0o600)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NETSSH_INVENTORY": str(inventory),
        "NETSSH_POLICY": str(tmp_path / "policy.yaml"),
        "NETSSH_KNOWN_HOSTS": str(real_lab.known_hosts),
        "NETSSH_AUDIT": str(tmp_path / "audit.jsonl"),
    }
    return [sys.executable, "-W", "error", "-m", "netssh_mcp"], environment


@pytest.fixture
def cli(command: tuple[list[str], dict[str, str]], tmp_path: Path) -> Callable[..., Done]:
    argv, environment = command

    def run(*words: str, stdin: str = "") -> Done:
        return subprocess.run(
            [*argv, *words], input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def there(real_lab: RealLab) -> Iterator[Path]:
    """A folder of the login user's on the host."""
    home = Path(f"~{real_lab.ops.name}").expanduser() / "cli"
    home.mkdir()
    shutil.chown(home, real_lab.ops.name, real_lab.ops.name)
    yield home
    shutil.rmtree(home)


def test_files_are_written_read_listed_moved_and_deleted(cli: Callable[..., Done], there: Path, tmp_path: Path) -> None:
    def good(*words: str, stdin: str = "") -> Any:
        done = cli(*words, "--json", stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    good("put", "linux1", str(there / "a.txt"), "-", "--mode", "0640", stdin="one\n")
    assert (there / "a.txt").stat().st_mode & 0o777 == 0o640
    assert "one" in cli("get", "linux1", str(there / "a.txt")).stdout
    assert "a.txt" in cli("get", "linux1", str(there), "--list").stdout
    good("get", "linux1", str(there / "a.txt"), str(tmp_path / "b.txt"))
    assert (tmp_path / "b.txt").read_text() == "one\n"
    again = cli("get", "linux1", str(there / "a.txt"), str(tmp_path / "b.txt"))
    assert again.returncode == 2
    assert "--overwrite" in again.stderr or "overwrite" in again.stderr
    (tmp_path / "c.bin").write_bytes(bytes(range(256)) * 100)
    good("put", "linux1", str(there / "deep" / "c.bin"), str(tmp_path / "c.bin"), "--make-dirs")
    assert (there / "deep" / "c.bin").read_bytes() == bytes(range(256)) * 100
    good("put", "linux1", str(there / "a.txt"), "--delete")
    assert not (there / "a.txt").exists()
    refused = cli("put", "linux1", "/etc/hostname", "--delete", "--sudo")
    assert refused.returncode == 2
    assert "denies" in refused.stderr
    assert "LOCAL is missing" in cli("put", "linux1", str(there / "x")).stderr


def test_a_forward_is_held_open_until_it_is_interrupted(command: tuple[list[str], dict[str, str]]) -> None:
    argv, environment = command
    words = ("forward", "linux1", "198.18.0.2:22", "--json")
    with subprocess.Popen([*argv, *words], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        opened = json.loads(process.stdout.readline())
        host, _, port = opened["listen"].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            assert client.makefile("rb").readline().startswith(b"SSH-2.0-")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=10)


def test_hosts_are_added_tested_and_removed(cli: Callable[..., Done], real_lab: RealLab, tmp_path: Path) -> None:
    overlay = ("--edit-hosts", str(tmp_path / "added.yaml"))
    values = ("hostname=127.0.0.1", f"port={real_lab.port('linux1')}", "platform=linux", "username=nobody")
    added = cli("host", "add", "web9", *values, *overlay)
    assert added.returncode == 0, added.stderr
    assert "web9" in (tmp_path / "added.yaml").read_text()
    tested = cli("host", "test", "linux1", *overlay)
    assert tested.returncode == 0, tested.stderr
    assert "SHA256:" in tested.stdout
    assert cli("host", "remove", "web9", *overlay).returncode == 0
    assert "web9" not in (tmp_path / "added.yaml").read_text()
    assert cli("host", "add", "web8", "hostname").returncode == 2
    assert "--edit-hosts" in cli("host", "add", "web8", "hostname=192.0.2.1", "platform=linux").stderr
