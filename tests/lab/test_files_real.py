"""get_file and put_file on a real sshd with a real sudo: what is written, what is refused, what is left behind."""
# ruff: noqa: ASYNC240
# The files that the tests look at are small and on this machine.

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from netssh_mcp.errors import AuthenticationFailed, CommandDenied, FileRefused, InputError, TransferBroken
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.services.app import App, open_app
from netssh_mcp.services.files import Files
from netssh_mcp.tools.operate import tools as operate_tools
from tests.devices.house import audit_records
from tests.devices.openssh import SSHD, keygen, needed
from tests.lab.conftest import unavailable
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]
EVERYTHING = ["read", "diagnose", "secret-read", "change", "config", "shell"]
BIG = 40 << 20  # bytes: long enough to be broken off


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def there(real_lab: RealLab) -> Iterator[Path]:
    """A folder of the login user on the host, which shares this machine's disk."""
    home = Path(pwd.getpwnam(real_lab.ops.name).pw_dir)
    folder = home / f"files-{secrets.token_hex(6)}"
    folder.mkdir()
    owned(real_lab, folder)
    yield folder
    shutil.rmtree(folder)


def owned(lab: RealLab, path: Path) -> Path:
    user = pwd.getpwnam(lab.ops.name)
    os.chown(path, user.pw_uid, user.pw_gid)
    return path


@asynccontextmanager
async def house(
    lab: RealLab,
    folder: Path,
    *,
    classes: list[str] | None = None,
    patience: float = 30.0,
    host: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
) -> AsyncIterator[App]:
    """The services on the host, everything allowed unless `classes` says otherwise; the folder `here` is open."""
    folder.mkdir(exist_ok=True)
    (folder / "here").mkdir(exist_ok=True)
    inventory = lab.inventory()
    inventory["hosts"]["linux1"] |= host or {}
    if host and "sudo" in host and host["sudo"] is None:
        del inventory["hosts"]["linux1"]["sudo"]
    policy = {"version": 1, "rules": [{"classes": classes or EVERYTHING}, *(rules or [])]}
    for name, written in (("inventory.yaml", inventory), ("policy.yaml", policy)):
        (folder / name).write_text(json.dumps(written))
        (folder / name).chmod(0o600)
    given = {
        "inventory": (str(folder / "inventory.yaml"),),
        "policy": str(folder / "policy.yaml"),
        "known_hosts": (str(folder / "known_hosts"),),
        "audit": str(folder / "audit.jsonl"),
        "spill": str(folder / "outputs"),
        "host_keys": "tofu",
        "local_roots": (str(folder / "here"),),
    }
    async with open_app(Settings.resolve(given, {"HOME": str(folder)})) as app:
        app.files._patience = patience
        yield app


@pytest.fixture
async def app(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[App]:
    async with house(real_lab, tmp_path) as opened:
        yield opened


@pytest.fixture
def files(app: App) -> Files:
    return app.files


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def strays(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(".netssh-")]


# -- writing ---------------------------------------------------------------------------------------------------------


async def test_a_file_is_written_as_text_and_the_answer_has_what_is_there_now(files: Files, there: Path) -> None:
    path = there / "motd"
    answer = await files.put("linux1", str(path), content="hällo\n")
    assert path.read_bytes() == "hällo\n".encode()
    assert (answer["changed"], answer["created"]) == (True, True)
    told = answer["file"]
    assert (told["size"], told["sha256"], told["mode"]) == (7, digest("hällo\n".encode()), "0644")
    assert told["owner"] == path.owner()
    assert strays(there) == []


async def test_the_same_text_again_changes_nothing_and_says_so(files: Files, there: Path) -> None:
    path = there / "same"
    await files.put("linux1", str(path), content="x\n", mode="0600")
    before = path.stat()
    again = await files.put("linux1", str(path), content="x\n")
    assert (again["changed"], again["created"]) == (False, False)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (await files.put("linux1", str(path), content="x\n", mode="640"))["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_replaced_file_keeps_its_mode_and_the_old_content_stands_until_the_new_one_is_whole(
    files: Files, there: Path, real_lab: RealLab
) -> None:
    path = there / "conf"
    path.write_text("old")
    owned(real_lab, path)
    path.chmod(0o751)
    with path.open() as reader:
        await files.put("linux1", str(path), content="new")
        assert reader.read() == "old"  # another inode: who has it open sees the old one whole
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o751)


@pytest.mark.parametrize(("mode", "bits"), [("0644", 0o644), ("600", 0o600), ("4755", 0o4755), ("02750", 0o2750)])
async def test_permissions_are_octal(mode: str, bits: int, files: Files, there: Path) -> None:
    answer = await files.put("linux1", str(there / "x"), content="x", mode=mode)
    assert stat.S_IMODE((there / "x").stat().st_mode) == bits
    assert answer["file"]["mode"] == f"{bits:04o}"


@pytest.mark.parametrize("mode", ["rw-r--r--", "0888", "64", "0o644", "006440", "-644"])
async def test_permissions_that_are_not_octal_are_refused_before_anything_is_sent(
    mode: str, files: Files, there: Path
) -> None:
    with pytest.raises(InputError, match="not octal"):
        await files.put("linux1", str(there / "x"), content="x", mode=mode)
    assert list(there.iterdir()) == []


async def test_appending_adds_to_the_file_in_its_place(files: Files, there: Path, real_lab: RealLab) -> None:
    path = there / "log"
    path.write_text("one\n")
    owned(real_lab, path)
    before = path.stat().st_ino
    answer = await files.put("linux1", str(path), content="two\n", append=True)
    assert (path.read_text(), path.stat().st_ino) == ("one\ntwo\n", before)
    assert answer["file"]["sha256"] == digest(b"one\ntwo\n")


async def test_overwrite_false_leaves_what_is_there(files: Files, there: Path) -> None:
    await files.put("linux1", str(there / "x"), content="first", overwrite=False)
    with pytest.raises(FileRefused, match="exists already, and is as it was"):
        await files.put("linux1", str(there / "x"), content="second", overwrite=False)
    assert (there / "x").read_text() == "first"
    assert strays(there) == []


async def test_of_many_writers_that_must_not_overwrite_one_wins(files: Files, there: Path) -> None:
    won = []

    async def write(number: int) -> None:
        with contextlib.suppress(FileRefused):
            await files.put("linux1", str(there / "lock"), content=f"writer {number}", overwrite=False)
            won.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(write, number)
    assert len(won) == 1
    assert (there / "lock").read_text() == f"writer {won[0]}"
    assert strays(there) == []


async def test_parallel_writers_leave_one_of_their_texts_whole(files: Files, there: Path) -> None:
    texts = [f"{number}" * 300_000 for number in range(6)]
    async with anyio.create_task_group() as tasks:
        for text in texts:

            async def write(content: str = text) -> None:
                await files.put("linux1", str(there / "x"), content=content)

            tasks.start_soon(write)
    assert (there / "x").read_text() in texts
    assert strays(there) == []


async def test_missing_folders_are_made_only_when_that_is_asked(files: Files, there: Path) -> None:
    path = there / "a" / "b" / "x"
    with pytest.raises(FileRefused, match="there is no"):
        await files.put("linux1", str(path), content="x")
    answer = await files.put("linux1", str(path), content="x", make_dirs=True)
    assert path.read_text() == "x"
    assert answer["made"] == [str(there / "a"), str(there / "a" / "b")]


async def test_a_link_stays_and_its_target_is_replaced(files: Files, there: Path) -> None:
    (there / "real").write_text("old")
    os.chown(there / "real", there.stat().st_uid, there.stat().st_gid)
    (there / "link").symlink_to("real")
    answer = await files.put("linux1", str(there / "link"), content="new")
    assert (there / "link").is_symlink()
    assert ((there / "real").read_text(), answer["file"]["path"]) == ("new", str(there / "real"))


async def test_too_long_a_text_is_refused_with_the_other_way(files: Files, there: Path) -> None:
    with pytest.raises(InputError, match="2097152 are the most") as caught:
        await files.put("linux1", str(there / "x"), content="x" * ((2 << 20) + 1))
    assert "upload" in caught.value.hint


async def test_folders_are_made_and_files_and_empty_folders_deleted(files: Files, there: Path) -> None:
    folder = there / "d"
    assert (await files.put("linux1", str(folder), action="mkdir", mode="0750"))["created"] is True
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert (await files.put("linux1", str(folder), action="mkdir"))["changed"] is False
    await files.put("linux1", str(folder / "x"), content="x")
    with pytest.raises(FileRefused, match="not empty"):
        await files.put("linux1", str(folder), action="delete")
    await files.put("linux1", str(folder / "x"), action="delete")
    await files.put("linux1", str(folder), action="delete")
    assert not folder.exists()
    with pytest.raises(FileRefused, match="there is no"):
        await files.put("linux1", str(folder), action="delete")


async def test_deleting_a_link_leaves_what_it_leads_to(files: Files, there: Path) -> None:
    (there / "real").write_text("x")
    (there / "link").symlink_to(there / "real")
    await files.put("linux1", str(there / "link"), action="delete")
    assert [path.name for path in there.iterdir()] == ["real"]


# -- reading ---------------------------------------------------------------------------------------------------------


async def test_a_text_is_read_with_its_secrets_hidden(app: App, there: Path) -> None:
    (there / "app.env").write_text("NAME=web\nDB_PASSWORD=hunter2horse\n")
    answer = await app.files.get("linux1", str(there / "app.env"))
    assert "NAME=web" in answer["text"]
    assert "hunter2horse" not in json.dumps(answer)
    assert answer["redacted"] == 1


async def test_an_offset_into_a_secret_does_not_show_the_rest_of_it(app: App, there: Path) -> None:
    text = "NAME=web\nDB_PASSWORD=hunter2horse\nlast\n"
    (there / "app.env").write_text(text)
    for offset in range(len(text)):
        answer = await app.files.get("linux1", str(there / "app.env"), offset=offset)
        assert "horse" not in answer["text"], offset


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp500", "utf-7"])
async def test_no_encoding_shows_a_secret_in_another_guise(encoding: str, app: App, there: Path) -> None:
    (there / "app.env").write_text("DB_PASSWORD=hunter2horse\nabc=1\n\n")
    try:
        answer = await app.files.get("linux1", str(there / "app.env"), encoding=encoding)
    except FileRefused as refused:
        assert "has to stay hidden" in refused.message or "is no utf" in refused.message  # noqa: PT017
    else:
        assert "hunter2horse" not in json.dumps(answer)


async def test_a_long_text_comes_in_parts_of_whole_lines(app: App, there: Path) -> None:
    lines = [f"{number:06d} {'x' * 90}\n" for number in range(50_000)]
    (there / "long").write_text("".join(lines))
    read, rounds = "", 0
    offset: int | None = 0
    while offset is not None:
        answer = await app.files.get("linux1", str(there / "long"), offset=offset)
        assert answer["truncated"] is True
        shown = answer["text"]
        assert len(shown) <= 25_000
        kept = app.outputs._entries[answer["output_id"]].whole
        assert kept is not None
        read += kept.text
        offset, rounds = answer["next_offset"], rounds + 1
    assert read == "".join(lines)
    assert rounds == 3


async def test_what_is_no_text_is_said_and_not_shown(files: Files, there: Path) -> None:
    (there / "bin").write_bytes(bytes(range(256)) * 40)
    answer = await files.get("linux1", str(there / "bin"))
    assert answer["binary"] is True
    assert "text" not in answer
    assert "download" in answer["next"]


async def test_bytes_that_the_encoding_does_not_know_are_counted(files: Files, there: Path) -> None:
    (there / "latin").write_bytes("caf\xe9 and more text behind it\n".encode("latin-1"))
    answer = await files.get("linux1", str(there / "latin"))
    assert "caf\ufffd" in answer["text"]
    assert "1 places" in answer["note"]
    assert "café" in (await files.get("linux1", str(there / "latin"), encoding="latin-1"))["text"]
    with pytest.raises(InputError, match="no text encoding"):
        await files.get("linux1", str(there / "latin"), encoding="rot13")


async def test_a_file_of_proc_has_a_text_though_it_has_no_size(files: Files) -> None:
    answer = await files.get("linux1", "/proc/meminfo")
    assert answer["text"].startswith("MemTotal")


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket"])
async def test_only_regular_files_are_read(kind: str, files: Files, there: Path) -> None:
    path = there / "it"
    if kind == "fifo":
        os.mkfifo(path)
        path.chmod(0o666)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    with anyio.fail_after(10), pytest.raises(FileRefused, match=f"is a {kind}, not a regular file"):
        await files.get("linux1", str(path))


async def test_a_listing_has_everything_sorted_and_odd_names_escaped(files: Files, there: Path) -> None:
    (there / "b").mkdir()
    (there / "a").write_text("12345")
    (there / ".hidden").touch()
    (there / "link").symlink_to("a")
    os.close(os.open(os.fsencode(there) + b"/bad\xff\x1b[2J\n", os.O_CREAT | os.O_WRONLY))
    answer = await files.get("linux1", str(there), action="list")
    columns, rows = answer["entries"]["columns"], answer["entries"]["rows"]
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [entry["name"] for entry in found] == ["a", "b", "bad\\xff\\x1b[2J\\n", "link"]
    assert [entry["type"] for entry in found] == ["file", "folder", "file", "link"]
    assert found[0]["size"] == 5
    assert found[3]["target"] == "a"
    assert found[0]["owner"] == "root"
    assert found[0]["mtime"].endswith("Z")
    names = (await files.get("linux1", str(there), action="list", hidden=True))["entries"]["rows"]
    assert len(names) == 5


async def test_a_long_listing_is_paged(files: Files, there: Path) -> None:
    for number in range(2_345):
        (there / f"{number:05d}").touch()
    names: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = await files.get("linux1", str(there), action="list", offset=offset)
        assert answer["total"] == 2_345
        names += [row[6] for row in answer["entries"]["rows"]]
        offset = answer["next_offset"]
    assert names == [f"{number:05d}" for number in range(2_345)]


async def test_stat_tells_what_a_file_is_and_where_a_link_leads(files: Files, there: Path) -> None:
    (there / "x").write_text("abc")
    (there / "x").chmod(0o640)
    (there / "link").symlink_to("/etc/hosts")
    told = (await files.get("linux1", str(there / "x"), action="stat"))["file"]
    assert (told["type"], told["size"], told["mode"], told["permissions"]) == ("file", 3, "0640", "-rw-r-----")
    link = (await files.get("linux1", str(there / "link"), action="stat"))["file"]
    assert (link["type"], link["target"]) == ("link", "/etc/hosts")


async def test_relative_paths_begin_at_the_login_folder(files: Files, there: Path) -> None:
    (there / "x").write_text("abc")
    for path in (f"{there.name}/x", f"~/{there.name}/x", f"./{there.name}/x"):
        answer = await files.get("linux1", path)
        assert answer["file"]["path"] == str(there / "x")


@pytest.mark.parametrize("path", ["", "/etc/../etc/passwd", "a\nb", "/x\x00", "/x\udc80", "/" + "x" * 5000])
async def test_paths_that_mean_nothing_sure_are_refused(path: str, files: Files) -> None:
    with pytest.raises(InputError):
        await files.get("linux1", path)


# -- transfers -------------------------------------------------------------------------------------------------------


async def test_a_file_goes_there_and_comes_back_the_same(app: App, tmp_path: Path, there: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "here" / "up").write_bytes(data)
    seen: list[tuple[int, int]] = []

    async def progress(done: int, total: int, _message: str) -> None:
        seen.append((done, total))

    sent = await app.files.put(
        "linux1", str(there / "x"), action="upload", local_path=str(tmp_path / "here/up"), progress=progress
    )
    assert sent["file"]["sha256"] == digest(data)
    dones = [done for done, _ in seen]
    assert {total for _, total in seen} == {len(data)}
    assert dones == sorted(dones)
    assert dones[-1] == len(data)
    down = tmp_path / "here" / "new" / "folder" / "down"
    came = await app.files.get("linux1", str(there / "x"), action="download", local_path=str(down))
    assert down.read_bytes() == data
    assert (came["file"]["sha256"], came["file"]["verified"]) == (digest(data), "sha256")
    assert stat.S_IMODE(down.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="exists on this side"):
        await app.files.get("linux1", str(there / "x"), action="download", local_path=str(down))
    assert strays(tmp_path) == strays(there) == []


async def test_an_empty_file_goes_and_comes(app: App, tmp_path: Path, there: Path) -> None:
    (tmp_path / "here" / "empty").touch()
    await app.files.put("linux1", str(there / "x"), action="upload", local_path=str(tmp_path / "here/empty"))
    assert (await app.files.get("linux1", str(there / "x")))["text"] == ""
    await app.files.get("linux1", str(there / "x"), action="download", local_path=str(tmp_path / "here/back"))
    assert (tmp_path / "here/back").read_bytes() == b""


async def under_way(wanted: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not wanted():  # noqa: ASYNC110 - a file that grows sets no event
            await anyio.sleep(0.002)


@pytest.mark.parametrize("action", ["upload", "download"])
async def test_a_cancel_leaves_nothing_on_either_side(
    action: str, app: App, tmp_path: Path, there: Path, real_lab: RealLab
) -> None:
    here = tmp_path / "here"
    big = here / "big" if action == "upload" else there / "big"
    with big.open("wb") as file:
        file.truncate(20 * BIG)
    (there / "x").write_text("old")
    owned(real_lab, there / "x")

    async def transfer() -> None:
        if action == "upload":
            await app.files.put("linux1", str(there / "x"), action=action, local_path=str(big))
        else:
            await app.files.get("linux1", str(big), action=action, local_path=str(here / "x"))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transfer)
            await under_way(
                lambda: (
                    any(path.stat().st_size > 1 << 20 for path in tmp_path.rglob(".netssh-*"))
                    or any(path.stat().st_size > 1 << 20 for path in there.glob(".netssh-*"))
                ),
            )
            tasks.cancel_scope.cancel()
    assert strays(there) == strays(tmp_path) == []
    assert (there / "x").read_text() == "old"
    assert not (here / "x").exists()
    assert (await app.files.get("linux1", str(there / "x")))["text"] == "old"  # the connection is usable


def the_session(lab: RealLab, app: App) -> Any:
    """The lab's handle on the one connection of this app."""
    opener = app.pool._open_connection._opener  # type: ignore[attr-defined]
    (bastion,) = opener._hosts._open.values()
    return lab.session("linux1", bastion.link.sockets[0].getsockname()[:2])


@pytest.mark.parametrize("how", ["close", "reset", "freeze"])
@pytest.mark.parametrize("action", ["upload", "download"])
async def test_a_link_lost_under_a_transfer_is_named_and_nothing_is_left(
    how: str, action: str, real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    patience = 5.5 if how == "freeze" else 30.0  # above the 5 s for which an answer proves a connection
    async with house(real_lab, tmp_path, patience=patience) as app:
        here = tmp_path / "here"
        big = here / "big" if action == "upload" else there / "big"
        with big.open("wb") as file:
            file.truncate(200 * BIG)  # sparse; it is cut long before its end
        (there / "x").write_text("old")
        owned(real_lab, there / "x")
        errors: list[TransferBroken] = []

        async def transfer() -> None:
            with pytest.raises(TransferBroken) as caught:  # noqa: PT012 - one of two calls
                if action == "upload":
                    await app.files.put("linux1", str(there / "x"), action=action, local_path=str(big))
                else:
                    await app.files.get("linux1", str(big), action=action, local_path=str(here / "x"))
            errors.append(caught.value)

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transfer)
                folder = there if action == "upload" else here
                await under_way(lambda: any(path.stat().st_size > 1 << 20 for path in folder.glob(".netssh-*")))
                session = the_session(real_lab, app)
                getattr(session, how)()
        assert "bytes had" in errors[0].message
        assert errors[0].facts()["effect"] == "none"
        if how == "freeze":
            assert "no byte for 5.5 s" in errors[0].message
            with contextlib.suppress(LookupError):
                session.close()
        assert (there / "x").read_text() == "old"
        assert not (here / "x").exists()
        assert strays(here) == strays(there) == []


# -- sudo ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def roots_own(there: Path) -> Path:
    """A folder that only root may enter."""
    folder = there / "root"
    folder.mkdir(mode=0o700)
    return folder


async def test_what_the_login_user_may_not_is_refused_with_the_way(files: Files, roots_own: Path) -> None:
    with pytest.raises(FileRefused, match="no permission") as caught:
        await files.put("linux1", str(roots_own / "x"), content="x")
    assert "sudo=true" in caught.value.hint


# Version 2 of acl(5)'s kernel form: user::rw-, user:65534:r--, group::r--, mask::r--, other::---
ACL = struct.pack(
    "<I" + "HHI" * 5,
    2,
    *(1, 6, 2**32 - 1),
    *(2, 4, 65534),
    *(4, 4, 2**32 - 1),
    *(16, 4, 2**32 - 1),
    *(32, 0, 2**32 - 1),
)


@pytest.mark.parametrize("sudo", [False, True])
async def test_the_acl_of_a_replaced_file_stays(sudo: bool, app: App, there: Path, real_lab: RealLab) -> None:
    path = there / "conf"
    path.write_text("old")
    owned(real_lab, path)
    os.setxattr(path, "system.posix_acl_access", ACL)
    folder = there / "locked" if sudo else there
    if sudo:
        folder.mkdir(mode=0o700)
        path = path.rename(folder / "conf")
    answer = await app.files.put("linux1", str(path), content="new", sudo=sudo)
    assert (path.read_text(), answer.get("sudo", False), answer.get("note")) == ("new", sudo, None)
    assert os.getxattr(path, "system.posix_acl_access") == ACL


async def test_under_sudo_owner_group_mode_and_attributes_of_the_file_stay(app: App, roots_own: Path) -> None:
    path = roots_own / "conf"
    path.write_text("old")
    os.chown(path, 33, 34)
    path.chmod(0o4640)
    os.setxattr(path, "user.note", b"kept")
    answer = await app.files.put("linux1", str(path), content="new\n", sudo=True)
    facts = path.stat()
    assert (path.read_text(), facts.st_uid, facts.st_gid) == ("new\n", 33, 34)
    assert stat.S_IMODE(facts.st_mode) == 0o4640
    assert os.getxattr(path, "user.note") == b"kept"
    assert (answer["sudo"], answer["file"]["sha256"]) == (True, digest(b"new\n"))
    assert "note" not in answer
    assert strays(roots_own) == []


async def test_under_sudo_all_actions_work_where_the_login_user_sees_nothing(
    app: App, tmp_path: Path, roots_own: Path
) -> None:
    put, get = app.files.put, app.files.get
    made = await put("linux1", str(roots_own / "a/b/x"), content="one\n", mode="0600", make_dirs=True, sudo=True)
    assert made["created"] is True
    assert (await put("linux1", str(roots_own / "a/b/x"), content="one\n", sudo=True))["changed"] is False
    await put("linux1", str(roots_own / "a/b/x"), content="two\n", append=True, sudo=True)
    with pytest.raises(FileRefused, match="exists already"):
        await put("linux1", str(roots_own / "a/b/x"), content="", overwrite=False, sudo=True)
    assert (await get("linux1", str(roots_own / "a/b/x"), sudo=True))["text"] == "one\ntwo\n"
    assert (await get("linux1", str(roots_own / "a/b/x"), offset=4, sudo=True))["text"] == "two\n"
    (roots_own / "a/link").symlink_to("b/x")
    (roots_own / "a/.h").touch()
    listed = await get("linux1", str(roots_own / "a"), action="list", sudo=True)
    assert [row[6:] for row in listed["entries"]["rows"]] == [["b", None], ["link", "b/x"]]
    assert (await get("linux1", str(roots_own / "a/b/x"), action="stat", sudo=True))["file"]["mode"] == "0600"
    data = os.urandom(5_000_000) + b"end"
    (tmp_path / "here/up").write_bytes(data)
    up, down = str(tmp_path / "here/up"), str(tmp_path / "here/down")
    await put("linux1", str(roots_own / "big"), action="upload", local_path=up, sudo=True)
    assert (roots_own / "big").read_bytes() == data
    came = await get("linux1", str(roots_own / "big"), action="download", local_path=down, sudo=True)
    assert (Path(down).read_bytes(), came["file"]["verified"]) == (data, "sha256")
    await put("linux1", str(roots_own / "d"), action="mkdir", mode="0700", sudo=True)
    await put("linux1", str(roots_own / "d"), action="delete", sudo=True)
    with pytest.raises(FileRefused, match="not empty"):
        await put("linux1", str(roots_own / "a"), action="delete", sudo=True)
    with pytest.raises(FileRefused, match="there is no"):
        await get("linux1", str(roots_own / "nothing"), sudo=True)
    assert strays(roots_own) == []


async def test_a_file_of_another_owner_is_not_taken_over(app: App, there: Path) -> None:
    path = there / "theirs"
    path.write_text("old")
    os.chown(path, 33, there.stat().st_gid)
    path.chmod(0o664)
    with pytest.raises(FileRefused, match="belongs to www-data:") as caught:
        await app.files.put("linux1", str(path), content="new")
    assert "is as it was" in caught.value.message
    assert caught.value.effect == "none"
    assert strays(there) == []
    await app.files.put("linux1", str(path), content="new", sudo=True)
    assert (path.read_text(), path.stat().st_uid) == ("new", 33)


async def test_the_content_and_the_password_are_in_no_argument_while_sudo_works(
    app: App, roots_own: Path, real_lab: RealLab
) -> None:
    seen = b""
    stop = anyio.Event()

    async def look() -> None:
        nonlocal seen
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen += path.read_bytes()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        for _ in range(3):
            await app.files.put("linux1", str(roots_own / "x"), content=f"c0ntent {secrets.token_hex(4)}", sudo=True)
        stop.set()
    assert b"sudo" in seen
    assert b"c0ntent" not in seen
    assert real_lab.ops.password.encode() not in seen


async def test_a_cancel_under_sudo_leaves_the_old_file_and_nothing_beside_it(
    app: App, tmp_path: Path, roots_own: Path
) -> None:
    (roots_own / "x").write_text("old")
    with (tmp_path / "here/big").open("wb") as file:
        file.truncate(20 * BIG)

    async def upload() -> None:
        await app.files.put(
            "linux1", str(roots_own / "x"), action="upload", local_path=str(tmp_path / "here/big"), sudo=True
        )

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await under_way(lambda: any(path.stat().st_size > 1 << 20 for path in roots_own.glob(".netssh-*")))
            tasks.cancel_scope.cancel()
    assert (roots_own / "x").read_text() == "old"
    assert strays(roots_own) == []


async def test_without_a_sudo_secret_the_error_says_so_and_nothing_hangs(real_lab: RealLab, tmp_path: Path) -> None:
    async with house(real_lab, tmp_path, host={"sudo": None}) as app:
        with anyio.fail_after(20), pytest.raises(AuthenticationFailed, match="asks for a password"):
            await app.files.get("linux1", "/etc/sudoers", sudo=True)


# -- policy and record -----------------------------------------------------------------------------------------------


async def test_reading_is_a_secret_read_and_writing_a_change(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    (there / "x").write_text("x")
    async with house(real_lab, tmp_path / "a", classes=["read"]) as app:
        await app.files.get("linux1", str(there), action="list")
        with pytest.raises(CommandDenied, match="secret-read"):
            await app.files.get("linux1", str(there / "x"))
    async with house(real_lab, tmp_path / "b", classes=["read", "secret-read"]) as app:
        await app.files.get("linux1", str(there / "x"))
        with pytest.raises(CommandDenied, match="change"):
            await app.files.get("linux1", str(there / "x"), sudo=True)
        with pytest.raises(CommandDenied, match="change"):
            await app.files.put("linux1", str(there / "y"), content="y")
    assert not (there / "y").exists()


LEADS = {  # reading or writing -> a protected file that the login user may read or write
    "get_file": ".ssh/id_netssh",
    "put_file": ".ssh/authorized_keys2",
}


@pytest.mark.parametrize("through", ["itself", "a link", "a linked folder", "a chain of links"])
@pytest.mark.parametrize("tool", LEADS)
async def test_protected_files_are_of_class_shell_also_through_links(
    tool: str, through: str, real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    home = there / "home"
    (home / ".ssh").mkdir(parents=True)
    target = home / LEADS[tool]
    target.write_text("old")
    for path in (home, home / ".ssh", target):
        owned(real_lab, path)
    (there / "link").symlink_to(target)
    (there / "folder").symlink_to(home / ".ssh")
    (there / "chain").symlink_to("link")
    path = {
        "itself": target,
        "a link": there / "link",
        "a linked folder": there / "folder" / target.name,
        "a chain of links": there / "chain",
    }[through]
    classes = [each for each in EVERYTHING if each != "shell"]
    async with house(real_lab, tmp_path / "without", classes=classes) as app:
        with pytest.raises(CommandDenied, match="shell"):  # noqa: PT012 - one of two calls
            if tool == "get_file":
                await app.files.get("linux1", str(path))
            else:
                await app.files.put("linux1", str(path), content="new", sudo=True)
    assert target.read_text() == "old"
    assert [r for r in audit_records(tmp_path / "without") if r.get("verdict") == "deny"]
    async with house(real_lab, tmp_path / "with") as app:
        if tool == "get_file":
            assert (await app.files.get("linux1", str(path)))["text"] == "old"
        else:
            await app.files.put("linux1", str(path), content="new")
            assert target.read_text() == "new"


async def test_a_denied_path_is_denied_through_a_link_too(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    (there / "vault").mkdir()
    (there / "vault/x").write_text("x")
    (there / "link").symlink_to("vault")
    async with house(real_lab, tmp_path, rules=[{"deny": [f"get_file read {there}/vault/..."]}]) as app:
        for path in (there / "vault/x", there / "link/x"):
            with pytest.raises(CommandDenied):
                await app.files.get("linux1", str(path))


async def test_decision_and_outcome_with_bytes_are_on_record(app: App, tmp_path: Path, there: Path) -> None:
    (there / "x").write_text("12345")
    await app.files.get("linux1", str(there / "x"))
    records = [record for record in audit_records(tmp_path) if str(there / "x") in json.dumps(record)]
    assert records[0]["command"] == f"get_file read {there / 'x'}"
    outcome = next(r for r in audit_records(tmp_path) if r.get("outcome") == "ok")
    assert outcome["bytes"] == 5


# -- other sshds: without SFTP, with SFTP alone, with a full disk ---------------------------------------------------


@contextlib.contextmanager
def sshd(lab: RealLab, folder: Path, *lines: str) -> Iterator[dict[str, Any]]:
    """An sshd of our own for the lab's users; what the inventory has to say of it."""
    needed()
    folder.mkdir(exist_ok=True)
    keygen("-t", "ed25519", "-N", "", "-f", folder / "host_key")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fixed = (
        "PidFile none",
        "UsePAM no",
        "LogLevel ERROR",
        f"HostKey {folder}/host_key",
        f"ListenAddress 127.0.0.1:{port}",
    )
    (folder / "sshd_config").write_text("\n".join((*fixed, *lines)) + "\n")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE)
    try:
        for _ in range(500):
            with socket.socket() as tried:
                tried.settimeout(0.1)
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, process.stderr and process.stderr.read()
        yield {"port": port}
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


async def test_without_sftp_the_error_says_so_and_sudo_does_it_all_the_same(
    real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    for number, lines in enumerate(((), ("Subsystem sftp /nowhere/sftp-server",))):
        with sshd(real_lab, tmp_path / f"sshd{number}", *lines) as host:
            async with house(real_lab, tmp_path / f"house{number}", host=host) as app:
                with anyio.fail_after(30):
                    with pytest.raises(FileRefused, match="SFTP") as caught:
                        await app.files.put("linux1", str(there / "x"), content="x")
                    assert "Subsystem sftp" in caught.value.hint
                    await app.files.put("linux1", str(there / f"x{number}"), content="new", sudo=True)
                    answer = await app.files.get("linux1", f"{there.name}/x{number}", sudo=True)
    assert answer["text"] == "new"


async def test_where_only_sftp_is_allowed_checksums_are_read_back_and_what_is_not_kept_is_said(
    real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    lines = ("Subsystem sftp internal-sftp", "ForceCommand internal-sftp")
    with sshd(real_lab, tmp_path / "sshd", *lines) as host:
        async with house(real_lab, tmp_path / "house", host=host) as app:
            with anyio.fail_after(30):
                await app.files.put("linux1", str(there / "x"), content="old")
                answer = await app.files.put("linux1", str(there / "x"), content="new")
                assert answer["file"]["sha256"] == digest(b"new")
                assert "ACLs" in answer["note"]
                (there / "big").write_bytes(b"x" * (3 << 20))
                down = tmp_path / "house/here/down"
                came = await app.files.get("linux1", str(there / "big"), action="download", local_path=str(down))
                assert came["file"]["verified"] == "size"


@pytest.fixture
def tiny(there: Path, real_lab: RealLab) -> Iterator[Path]:
    """A file system of 2 MB, which the lab's own namespaces do not see."""
    folder = there / "tiny"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        unavailable(f"a small file system cannot be mounted: {done.stderr.decode().strip()}")
    owned(real_lab, folder)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("sudo", [False, True])
async def test_a_full_disk_is_named_and_the_old_file_is_whole(
    sudo: bool, tmp_path: Path, tiny: Path, real_lab: RealLab
) -> None:
    (tiny / "x").write_text("old")
    owned(real_lab, tiny / "x")
    if sudo:
        os.chown(tiny, 0, 0)
        tiny.chmod(0o700)
    with sshd(real_lab, tmp_path / "sshd", "Subsystem sftp internal-sftp") as host:
        async with house(real_lab, tmp_path / "house", host=host) as app:
            up = tmp_path / "house/here/up"
            up.write_bytes(os.urandom(4 << 20))
            with anyio.fail_after(30), pytest.raises(FileRefused, match="no space is left") as caught:
                await app.files.put("linux1", str(tiny / "x"), action="upload", local_path=str(up), sudo=sudo)
    assert "is as it was" in caught.value.message
    assert (tiny / "x").read_text() == "old"
    assert strays(tiny) == []


# -- what was not given ----------------------------------------------------------------------------------------------


async def test_a_write_without_content_leaves_the_file_alone_and_an_empty_one_empties_it(app: App, there: Path) -> None:
    path = there / "kept"
    await app.files.put("linux1", str(path), content="kept")
    tool = next(tool for tool in operate_tools() if tool.name == "put_file")
    bare = tool.fn_metadata.arg_model.model_validate({"device": "linux1", "path": str(path)}).model_dump_one_level()
    with pytest.raises(InputError, match="`content` is missing"):
        await app.files.put("linux1", str(path), content=bare["content"])
    with pytest.raises(InputError, match="`local_path` means nothing"):
        await app.files.put("linux1", str(path), local_path="/etc/hosts")
    assert path.read_text() == "kept"
    await app.files.put("linux1", str(path), content="")
    assert path.read_text() == ""


async def test_an_offset_behind_the_end_is_told(files: Files, there: Path) -> None:
    (there / "x").write_text("four")
    answer = await files.get("linux1", str(there / "x"), offset=9)
    assert (answer["text"], answer["note"]) == ("", "nothing is at offset 9: the file has 4 bytes")
    assert "there are 1 entries" in (await files.get("linux1", str(there), action="list", offset=5))["note"]


async def test_make_dirs_is_told_to_who_writes_only(files: Files, there: Path) -> None:
    with pytest.raises(FileRefused) as read:
        await files.get("linux1", str(there / "a" / "x"))
    with pytest.raises(FileRefused) as written:
        await files.put("linux1", str(there / "a" / "x"), content="x")
    assert "make_dirs" not in (read.value.hint or "")
    assert "make_dirs" in (written.value.hint or "")
