"""What is installed is whole: profiles, templates, the lab's platforms and the example inventory are in the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")  # our own file
    return folder / "site"


def _run(unpacked: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as installed: from an empty folder, without the checkout on the path."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "netssh_mcp", *arguments]
        if sys.version_info >= (3, 11)
        else [sys.executable, "-m", "netssh_mcp", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(unpacked), "HOME": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_what_the_repository_ships(unpacked: Path) -> None:
    package = unpacked / "netssh_mcp"
    for name in ("device_profiles", "templates"):
        shipped = {path.name for path in (ROOT / name).iterdir() if path.is_file()}
        assert shipped <= {path.name for path in (package / "_data" / name).iterdir()}
    assert (package / "_data" / "inventory.example.yaml").is_file()
    assert {path.name for path in (ROOT / "netssh_mcp" / "lab" / "platforms").iterdir()} == {
        path.name for path in (package / "lab" / "platforms").iterdir()
    }
    assert not list(unpacked.glob("tests*"))


def test_the_installed_command_knows_its_platforms(unpacked: Path, tmp_path: Path) -> None:
    done = _run(unpacked, tmp_path, "platforms")
    assert done.returncode == 0, done.stderr
    assert "juniper_junos" in done.stdout


def test_the_installed_command_says_how_to_begin(unpacked: Path, tmp_path: Path) -> None:
    done = _run(unpacked, tmp_path, "list")
    assert done.returncode == 2
    assert "inventory.example.yaml" in done.stderr
    assert "Traceback" not in done.stderr
