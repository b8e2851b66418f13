"""Files on this side: only below open folders, only regular ones, never through a link, and whole or not at all."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.services.local_files import LocalRoots, LocalTarget


def settings(folder: Path, *roots: Path) -> Settings:
    inventory = folder / "inventory.yaml"
    inventory.touch()
    given = {
        "inventory": (str(inventory),),
        "audit": str(folder / "audit.jsonl"),
        "spill": str(folder / "outputs"),
        "known_hosts": (str(folder / "known_hosts"),),
        "local_roots": tuple(map(str, roots)),
    }
    return Settings.resolve(given, {"HOME": str(folder)})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "secret").write_text("secret")
    return tmp_path / "open"


@pytest.fixture
def roots(root: Path, tmp_path: Path) -> LocalRoots:
    return LocalRoots(settings(tmp_path, root))


def save(target: LocalTarget, data: bytes) -> None:
    target.begin()
    try:
        target.write(data)
        target.finish()
    except BaseException:
        target.abort()
        raise


def test_without_an_open_folder_there_is_no_transfer_and_the_error_says_how_to_open_one(tmp_path: Path) -> None:
    roots = LocalRoots(settings(tmp_path))
    for ask in (lambda: roots.source("/etc/hosts"), lambda: roots.target("/srv/x", overwrite=True)):
        with pytest.raises(InputError, match="no folder") as caught:
            ask()
        assert "--allow-dir DIR" in caught.value.hint
        assert "NETSSH_LOCAL_ROOTS" in caught.value.hint


@pytest.mark.parametrize(
    "path",
    [
        *("", "x", "./x", "~/x", "~root/x", "{root}/../closed/secret", "{root}/..", "{root}", "{root}/", "/etc/hosts"),
        *(
            "{root}x/y",
            "{root}/a\nb",
            "{root}/a\0b",
            "{root}/\udc80",
            "file://{root}/x",
            "{root}/x/../../closed/secret",
        ),
    ],
)
def test_a_path_outside_is_refused_by_its_text(path: str, roots: LocalRoots, root: Path) -> None:
    for ask in (roots.source, lambda each: roots.target(each, overwrite=True)):
        with pytest.raises(InputError):
            ask(path.replace("{root}", str(root)))


@pytest.mark.parametrize("through", ["file", "folder", "deep"])
def test_no_link_is_followed_not_even_one_that_stays_inside(through: str, roots: LocalRoots, root: Path) -> None:
    (root / "inside").mkdir()
    (root / "inside" / "x").write_text("x")
    for name, where in (("out", root.parent / "closed"), ("in", root / "inside")):
        if through == "file":
            (root / f"{name}-link").symlink_to(where / ("secret" if name == "out" else "x"))
            path = root / f"{name}-link"
        else:
            (root / f"{name}-link").symlink_to(where)
            path = root / f"{name}-link" / ("secret" if through == "folder" else "new/deep/x")
        with pytest.raises(InputError, match=r"link|[Nn]o such"):
            roots.source(str(path))
        with pytest.raises(InputError, match=r"link|regular"):
            save(roots.target(str(path), overwrite=True), b"new")
    assert (root.parent / "closed" / "secret").read_text() == "secret"
    assert sorted(path.name for path in (root.parent / "closed").iterdir()) == ["secret"]


def test_pipes_sockets_devices_and_folders_are_neither_read_nor_replaced(roots: LocalRoots, root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    kinds = ["fifo", "folder"]
    if os.geteuid() == 0:
        try:
            os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            kinds.append("device")
        except PermissionError:  # in a container
            pass
    for kind in kinds:
        with pytest.raises(InputError, match="not a regular file"):
            roots.source(str(root / kind))
        with pytest.raises(InputError, match="not a regular file"):
            save(roots.target(str(root / kind), overwrite=True), b"x")


def test_a_file_with_a_second_name_is_not_replaced(roots: LocalRoots, root: Path) -> None:
    os.link(root.parent / "closed" / "secret", root / "same")
    with pytest.raises(InputError, match="hard links"):
        save(roots.target(str(root / "same"), overwrite=True), b"x")
    assert (root.parent / "closed" / "secret").read_text() == "secret"


def test_a_link_that_appears_during_the_transfer_is_not_followed(roots: LocalRoots, root: Path) -> None:
    target = roots.target(str(root / "x"), overwrite=True)
    target.begin()
    target.write(b"new")
    (root / "x").symlink_to(root.parent / "closed" / "secret")
    with pytest.raises(InputError, match="not a regular file"):
        target.finish()
    target.abort()
    assert (root.parent / "closed" / "secret").read_text() == "secret"
    assert [path.name for path in root.iterdir()] == ["x"]


def test_a_folder_that_becomes_a_link_during_the_transfer_does_not_lead_elsewhere(
    roots: LocalRoots, root: Path
) -> None:
    target = roots.target(str(root / "a" / "x"), overwrite=False)
    target.begin()
    (root / "a").rename(root / "moved")
    (root / "a").symlink_to(root.parent / "closed")
    target.write(b"new")
    target.finish()
    assert (root / "moved" / "x").read_bytes() == b"new"
    assert not (root.parent / "closed" / "x").exists()


def test_a_file_appears_whole_and_private_with_its_folders(roots: LocalRoots, root: Path) -> None:
    path = root / "a" / "b" / "x"
    target = roots.target(str(path), overwrite=False)
    target.begin()
    target.write(b"one")
    assert not path.exists()
    target.write(memoryview(b"two"))
    target.finish()
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["x"]


def test_overwrite_has_to_be_said_and_what_came_meanwhile_counts(roots: LocalRoots, root: Path) -> None:
    (root / "x").write_text("old")
    with pytest.raises(InputError, match="exists on this side, and is as it was"):
        roots.target(str(root / "x"), overwrite=False).begin()
    late = roots.target(str(root / "y"), overwrite=False)
    late.begin()
    late.write(b"new")
    (root / "y").write_text("meanwhile")
    with pytest.raises(InputError, match="exists on this side"):
        late.finish()
    late.abort()
    save(roots.target(str(root / "x"), overwrite=True), b"new")
    assert {path.name: path.read_text() for path in root.iterdir()} == {"x": "new", "y": "meanwhile"}


def test_an_aborted_transfer_leaves_nothing(roots: LocalRoots, root: Path) -> None:
    target = roots.target(str(root / "x"), overwrite=True)
    target.begin()
    target.write(b"half")
    target.abort()
    target.abort()
    assert list(root.iterdir()) == []


def test_the_servers_own_files_stay_closed_though_their_folder_is_open(tmp_path: Path) -> None:
    roots = LocalRoots(replace(settings(tmp_path), local_roots=(tmp_path,)))  # the start refuses such a folder
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "o1").write_text("kept output")
    (tmp_path / "audit.jsonl").write_text("{}")
    os.link(tmp_path / "inventory.yaml", tmp_path / "other-name")
    for name in ("inventory.yaml", "other-name", "audit.jsonl", "outputs/o1"):
        with pytest.raises(InputError, match="own files"):
            roots.source(str(tmp_path / name))
        with pytest.raises(InputError, match="own files"):
            save(roots.target(str(tmp_path / name), overwrite=True), b"x")
    with pytest.raises(InputError, match="own files"):  # there is none yet
        save(roots.target(str(tmp_path / "known_hosts"), overwrite=False), b"x")


def test_a_source_is_read_from_its_start_as_often_as_asked(roots: LocalRoots, root: Path) -> None:
    (root / "x").write_bytes(b"abc")
    source = roots.source(str(root / "x"))
    assert source.size == 3
    assert source.digest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (source.read(2), source.read(9), source.read(9)) == (b"ab", b"c", b"")
    source.rewind()
    assert source.read(9) == b"abc"
    source.close()


def test_a_root_below_another_one_is_the_one_that_counts(tmp_path: Path, root: Path) -> None:
    (root / "inner").mkdir()
    (root / "inner" / "x").write_text("x")
    source = LocalRoots(settings(tmp_path, root, root / "inner")).source(str(root / "inner" / "x"))
    assert source.path.root == root / "inner"
    source.close()
