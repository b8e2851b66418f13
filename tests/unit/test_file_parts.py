"""Parts of file transfers that need no host: the inbox, progress, and what the scripts for sudo look at first."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from paramiko.buffered_pipe import PipeTimeout

from netssh_mcp.services import file_progress
from netssh_mcp.wire import sudo_files
from netssh_mcp.wire.following import SHA256
from netssh_mcp.wire.inbox import Inbox
from netssh_mcp.wire.sftp import Meter


def test_an_inbox_gives_pieces_in_order_and_never_more_than_asked_for() -> None:
    inbox = Inbox()
    inbox.feed(b"abcdef")
    inbox.feed(b"gh")
    assert (len(inbox), inbox.read_ready()) == (8, True)
    assert [inbox.read(4), inbox.read(4), inbox.read(4)] == [b"abcd", b"ef", b"gh"]
    assert not inbox.read_ready()
    with pytest.raises(PipeTimeout):
        inbox.read(1, 0.0)


def test_what_came_before_the_end_of_an_inbox_is_still_read() -> None:
    inbox = Inbox()
    inbox.feed(b"last")
    inbox.close()
    assert [inbox.read(9), inbox.read(9), inbox.read(9, 5.0)] == [b"last", b"", b""]
    inbox.feed(b"a")
    inbox.feed(b"b")
    assert (inbox.empty(), len(inbox)) == (b"ab", 0)


def test_an_inbox_wakes_who_waits_on_data_and_on_its_end() -> None:
    inbox, event = Inbox(), threading.Event()
    inbox.set_event(event)
    assert not event.is_set()
    happenings: list[Callable[[], None]] = [lambda: inbox.feed(b"x"), inbox.close]
    for happens in happenings:
        happens()
        assert event.is_set()
        event.clear()
    late = threading.Event()
    inbox.set_event(late)
    assert late.is_set()


def test_a_thread_that_waits_for_an_inbox_gets_what_comes() -> None:
    inbox, got = Inbox(), []
    reader = threading.Thread(target=lambda: got.append(inbox.read(9, 5.0)))
    reader.start()
    inbox.feed(b"x")
    reader.join(5)
    assert got == [b"x"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_progress_tells_rising_bytes_with_their_total_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_progress, "_EVERY", 0.02)
    meter, told = Meter(), []
    seen = anyio.Event()

    async def tell(done: int, total: int, message: str) -> None:
        told.append((anyio.current_time(), done, total, message))
        seen.set()

    async def work() -> dict[str, Any]:
        nonlocal seen
        meter.total = 30
        for _ in range(3):
            seen = anyio.Event()
            meter.add(10)
            await seen.wait()
        return {"done": True}

    with anyio.fail_after(5):
        assert await file_progress.reporting(tell, meter, work()) == {"done": True}
    assert [each[1:] for each in told] == [(done, 30, f"{done} of 30 bytes") for done in (10, 20, 30)]
    assert all(after[0] - before[0] >= 0.019 for before, after in itertools.pairwise(told))


def test_a_meter_tells_who_follows_it() -> None:
    meter = Meter()
    seen: list[int] = []
    meter.follow = seen.append
    meter.add(3)
    meter.add(4)
    assert (seen, meter.done) == ([3, 7], 7)


MOVED = sudo_files._MOVED
CONTENTS = ("0", "1", "", "1", "/nowhere/aside")
SCRIPTS = {
    "stat": (sudo_files._STAT, ()),
    "list": (sudo_files._LIST, ("",)),
    "read": (sudo_files._READ, ("0", "9")),
    "sha256": (sudo_files._SAME + SHA256, ("9",)),
    "replace": (sudo_files._REPLACE, CONTENTS),
    "replace, with parents": (sudo_files._REPLACE, ("1", *CONTENTS[1:])),
    "append": (sudo_files._APPEND, CONTENTS[:3]),
    "append, with parents": (sudo_files._APPEND, ("1", *CONTENTS[1:3])),
    "mkdir": (sudo_files._MKDIR, ("0", "")),
    "mkdir, with parents": (sudo_files._MKDIR, ("1", "")),
    "delete": (sudo_files._DELETE, ()),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_looks_again_whether_a_link_has_come_into_its_path(script: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("other")
    (tmp_path / "folder").symlink_to("other")
    text, words = SCRIPTS[script]
    for name in ("file", "new", "far/new"):
        argv = ["/bin/sh", "-c", text, "sh", str(tmp_path / "folder" / name), *words]
        ran = subprocess.run(argv, input=b"x", capture_output=True, timeout=20, check=False)
        assert (ran.returncode, ran.stdout) == (MOVED, b""), ran
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]
    assert (tmp_path / "other/file").read_text() == "other"
