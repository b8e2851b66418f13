"""Checksums that are made while contents pass, and what sudo and lost links make of transfers: on a real sshd."""
# ruff: noqa: F811
# The files that the tests look at are on this machine; fixtures of test_files_real.py have the names of arguments.

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from netssh_mcp.errors import AuthenticationFailed, TransferBroken
from netssh_mcp.services.app import App
from netssh_mcp.services.file_text import MOST
from netssh_mcp.wire import following
from tests.lab.reallab import RealLab
from tests.lab.test_files_real import (  # noqa: F401 - fixtures
    anyio_backend,
    app,
    digest,
    house,
    owned,
    roots_own,
    strays,
    the_session,
    there,
    under_way,
)

pytestmark = [pytest.mark.real, pytest.mark.anyio]
SIZES = [0, 1, (1 << 20) - 1, 4 << 20, (12 << 20) + 7]


@pytest.mark.parametrize("pace", ["with it", "behind it"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_hosts_checksum_is_the_files_whether_made_with_it_or_behind_it(  # noqa: PLR0917 - fixtures
    size: int, pace: str, app: App, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_FAST", 1e15 if pace == "with it" else 0.0)
    monkeypatch.setattr(following, "_STEP", 1)
    data = os.urandom(size)
    up, down, far = tmp_path / "here/up", tmp_path / "here/down", str(there / "x")
    up.write_bytes(data)
    sent = (await app.files.put("linux1", far, action="upload", local_path=str(up)))["file"]
    came = (await app.files.get("linux1", far, action="download", local_path=str(down)))["file"]
    assert down.read_bytes() == data
    for told in (sent, came):
        assert (told["size"], told["sha256"], told["verified"]) == (size, digest(data), "sha256")


async def test_the_same_file_again_is_not_sent_and_one_that_differs_in_the_middle_is(
    app: App, there: Path, tmp_path: Path
) -> None:
    data = bytearray(os.urandom(1 << 20))
    up, far = tmp_path / "here/up", there / "x"
    up.write_bytes(data)
    for changed in (True, False):
        answer = await app.files.put("linux1", str(far), action="upload", local_path=str(up))
        assert (answer["changed"], answer["file"]["verified"]) == (changed, "sha256")
    data[len(data) // 2] ^= 1
    up.write_bytes(data)
    assert (await app.files.put("linux1", str(far), action="upload", local_path=str(up)))["changed"]
    assert far.read_bytes() == data


@contextlib.contextmanager
def rewritten(path: Path) -> Iterator[None]:
    """Another process writes the file from its start to its end, in place, again and again: 8-byte words that all are
    the number of the pass."""
    writer = (
        "import itertools, os, sys\n"
        "file = os.open(sys.argv[1], os.O_WRONLY)\n"
        "for number in itertools.count(1):\n"
        "    block = number.to_bytes(8, sys.byteorder) * (1 << 17)\n"
        "    for at in range(0, int(sys.argv[2]), len(block)):\n"
        "        os.pwrite(file, block, at)\n"
    )
    with subprocess.Popen([sys.executable, "-c", writer, str(path), str(path.stat().st_size)]) as process:
        try:
            yield
            assert process.poll() is None, "the writer ended by itself"
        finally:
            process.kill()


def passes(data: bytes) -> list[int]:
    """Of which passes of `rewritten` it is, in the order of its parts."""
    return [number for number, _ in itertools.groupby(array("Q", data))]


async def test_a_download_of_a_file_that_changes_meanwhile_says_so_and_leaves_nothing(
    app: App, there: Path, tmp_path: Path, real_lab: RealLab
) -> None:
    """What does come is one that was there at one time: one pass to some place, and the one before it from there on."""
    far, down = there / "x", tmp_path / "here/x"
    far.write_bytes(bytes(16 << 20))
    owned(real_lab, far)

    async def downloaded() -> list[int]:
        told = (await app.files.get("linux1", str(far), action="download", local_path=str(down)))["file"]
        data = down.read_bytes()
        down.unlink()
        assert (told["size"], told["sha256"], told["verified"]) == (16 << 20, digest(data), "sha256")
        return passes(data)

    broken = None
    with anyio.fail_after(60), rewritten(far):
        while broken is None:
            try:
                came = await downloaded()
                assert came in ([came[0]], [came[0], came[0] - 1])
            except TransferBroken as error:
                broken = error
            assert list((tmp_path / "here").iterdir()) == []
    assert "changed meanwhile" in broken.message
    assert await downloaded() == passes(far.read_bytes())  # nobody writes now


@pytest.mark.parametrize("sudo", [False, True])
async def test_a_change_that_no_checksum_shows_is_told_by_its_time_and_what_only_grows_is_taken(
    sudo: bool, app: App, there: Path, tmp_path: Path
) -> None:
    far, here = there / "x", tmp_path / "here"
    data = os.urandom(64 << 20)
    far.write_bytes(data)
    far.chmod(0o644)

    def meanwhile(write: Callable[[int], object]) -> None:
        """Once something has come, to a file whose last change was an hour ago."""
        with far.open("rb+") as file:
            while not over.is_set():
                with contextlib.suppress(FileNotFoundError):  # it has just got its name
                    if any(each.stat().st_size for each in here.iterdir()):
                        write(file.fileno())
                        return

    async def downloaded(write: Callable[[int], object]) -> TransferBroken | None:
        os.utime(far, (0, time.time() - 3600))
        over.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, meanwhile, write)
            try:
                await app.files.get("linux1", str(far), action="download", local_path=str(here / "x"), sudo=sudo)
            except TransferBroken as broken:
                assert list(here.iterdir()) == []
                return broken
            finally:
                over.set()
        assert (here / "x").read_bytes() == data
        (here / "x").unlink()
        return None

    over = threading.Event()
    with anyio.fail_after(60):
        while (error := await downloaded(lambda file: os.pwrite(file, data[:8], 0))) is None:
            pass  # it came too late
    assert "changed meanwhile" in error.message
    for _ in range(3):
        assert await downloaded(lambda file: os.pwrite(file, b"more", len(data))) is None
        os.truncate(far, len(data))


async def test_two_megabytes_of_text_are_read_at_once_and_the_next_line_goes_on(app: App, there: Path) -> None:
    line = "0123456789abcdef" * 4 + "\n"
    far = there / "log"
    far.write_text(line * (MOST // len(line) + 1000))
    first = await app.files.get("linux1", str(far))
    assert MOST - len(line) < first["next_offset"] <= MOST
    assert first["truncated"]
    assert first["output_id"]
    second = await app.files.get("linux1", str(far), offset=first["next_offset"])
    assert first["next_offset"] + second["file"]["size"] >= far.stat().st_size
    assert second["next_offset"] is None


# -- sudo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_link_lost_under_sudo_leaves_the_old_file_and_nothing_else(
    how: str, real_lab: RealLab, tmp_path: Path, roots_own: Path
) -> None:
    (roots_own / "x").write_text("old")
    async with house(real_lab, tmp_path) as app:
        big = tmp_path / "here/big"
        with big.open("wb") as file:
            file.truncate(800 << 20)

        async def upload() -> None:
            with pytest.raises(TransferBroken, match="bytes had gone"):
                await app.files.put("linux1", str(roots_own / "x"), action="upload", local_path=str(big), sudo=True)

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(upload)
                await under_way(lambda: any(path.stat().st_size > 1 << 20 for path in roots_own.glob(".netssh-*")))
                getattr(the_session(real_lab, app), how)()
        assert strays(roots_own) == []  # the lab kills what runs on the host: it is removed over a new connection
        assert (roots_own / "x").read_text() == "old"


async def test_a_password_that_sudo_refused_is_not_tried_again_by_any_tool_until_it_is_another_one(
    real_lab: RealLab, tmp_path: Path, roots_own: Path
) -> None:
    secret = tmp_path / "sudo"
    secret.write_text("wr0ng")
    secret.chmod(0o600)
    async with house(real_lab, tmp_path, host={"sudo": f"file:{secret}"}) as app:

        async def asked(session: str = "") -> dict[str, object]:
            told = await app.runs.run("linux1", ["id -u"], sudo=True, session=session)
            error: dict[str, object] = told["rows"][0].get("error") or told["rows"][0]
            return error

        with anyio.fail_after(60):
            first = await asked()
            assert "did not take the password" in str(first)
            for session in ("", "kept"):
                again = await asked(session)
                assert "not tried again" in str(again), again
                assert (again["kind"], again["effect"]) == ("auth", "none")
            for tool in (app.files.get, partial(app.files.put, content="new")):
                with pytest.raises(AuthenticationFailed, match="not tried again") as caught:
                    await tool("linux1", str(roots_own / "x"), sudo=True)
                assert caught.value.effect == "none"
            secret.write_text(real_lab.ops.password)
            assert (await asked())["output"] == "0\n"
            assert (await asked("kept"))["output"] == "0\n"
            await app.files.put("linux1", str(roots_own / "x"), content="new", sudo=True)
    assert (roots_own / "x").read_text() == "new"


@pytest.mark.parametrize("first", ["kept", "files"])
async def test_a_refusal_is_remembered_whoever_met_it_first(
    first: str, real_lab: RealLab, tmp_path: Path, roots_own: Path
) -> None:
    secret = tmp_path / "sudo"
    secret.write_text("wr0ng")
    secret.chmod(0o600)
    async with house(real_lab, tmp_path, host={"sudo": f"file:{secret}"}) as app:
        with anyio.fail_after(40):
            if first == "kept":
                told = await app.runs.run("linux1", ["id -u"], sudo=True, session="kept")
                assert "did not take the password" in str(told["rows"][0])
            else:
                with pytest.raises(AuthenticationFailed, match="did not take the password"):
                    await app.files.get("linux1", str(roots_own / "x"), sudo=True)
            told = await app.runs.run("linux1", ["id -u"], sudo=True)
            assert "not tried again" in str(told["rows"][0])
