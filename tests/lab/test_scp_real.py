"""Our SCP with OpenSSH's `scp -t` and `scp -f` on the real host."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
import pytest

from netssh_mcp.errors import CommandInterrupted, FileRefused, TransferBroken
from netssh_mcp.services.app import open_app
from netssh_mcp.services.file_text import BytesSource
from netssh_mcp.wire.scp import NoScp, ScpRefused, fetch, send
from netssh_mcp.wire.sftp import Meter
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn
from tests.devices import house
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]
T = TypeVar("T")
DATA = secrets.token_bytes(3_000_001)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def there(real_lab: RealLab) -> Iterator[Path]:
    """A folder of the login user on the host, which shares this machine's disk."""
    user = pwd.getpwnam(real_lab.ops.name)
    folder = Path(user.pw_dir) / f"scp-{secrets.token_hex(6)}"
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def visiting(lab: RealLab, folder: Path) -> AsyncIterator[Shared]:
    """A connection without a shell that does not stay, as device files get it."""
    inventory = folder / "inventory.yaml"
    inventory.write_text(json.dumps(lab.inventory()))
    inventory.chmod(0o600)
    async with open_app(house.settings(folder, inventory)) as app:
        current = app.commands._desk.inventory.current()
        async with app.pool.visit(current.way(current.device("linux1")), Turn()) as shared:
            yield shared


async def off(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


async def test_openssh_takes_what_we_send_and_gives_it_back(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    path = f"{there}/file.bin"

    def round_trip(shared: Shared, data: bytes) -> bytes:
        meter, came = Meter(), bytearray()
        send(shared, path, BytesSource(data), meter, Turn(), patience=10.0)
        assert (there / "file.bin").read_bytes() == data
        assert (meter.done, meter.total) == (len(data), len(data))
        fetch(shared, path, came.extend, Meter(), Turn(), patience=10.0, size=len(data))
        return bytes(came)

    async with visiting(real_lab, tmp_path) as shared:
        for data in (b"", b"x", DATA):
            assert await off(partial(round_trip, shared, data)) == data


async def test_openssh_says_no_in_its_own_words(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    async with visiting(real_lab, tmp_path) as shared:
        with pytest.raises(ScpRefused) as caught:
            await off(lambda: fetch(shared, f"{there}/none", len, Meter(), Turn(), patience=10.0))
        assert "No such file or directory" in caught.value.line
        with pytest.raises(ScpRefused) as caught:
            await off(lambda: send(shared, "/etc/none", BytesSource(b"x"), Meter(), Turn(), patience=10.0))
        assert "Permission denied" in caught.value.line
        with pytest.raises(FileRefused):
            await off(lambda: fetch(shared, str(there), len, Meter(), Turn(), patience=10.0))
        (there / "a").write_bytes(b"12345")
        (there / "a").chmod(0o644)
        with pytest.raises(TransferBroken, match="announces"):
            await off(lambda: fetch(shared, f"{there}/a", len, Meter(), Turn(), patience=10.0, size=4))
        assert shared.alive, "the connection lived through all of that"


async def test_a_read_that_wants_only_the_beginning_leaves_the_rest(
    real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    (there / "long").write_bytes(DATA)
    (there / "long").chmod(0o644)
    async with visiting(real_lab, tmp_path) as shared:
        came = bytearray()
        size = await off(lambda: fetch(shared, f"{there}/long", came.extend, Meter(), Turn(), patience=10.0, end=5000))
        assert (bytes(came), size) == (DATA[:5000], len(DATA))


async def test_a_cancel_ends_a_transfer_under_way(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    (there / "long").write_bytes(DATA)
    (there / "long").chmod(0o644)
    turn, pieces = Turn(), []

    def take(data: bytes) -> None:
        pieces.append(len(data))
        turn.cancel()

    async with visiting(real_lab, tmp_path) as shared:
        with pytest.raises(CommandInterrupted):
            await off(lambda: fetch(shared, f"{there}/long", take, Meter(), turn, patience=20.0))
        assert 0 < sum(pieces) < len(DATA)
        assert shared.alive


async def test_a_router_without_scp_is_quoted(real_lab: RealLab, tmp_path: Path) -> None:
    """vtysh by ForceCommand takes no SCP: what it says instead is in the error."""
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(json.dumps(real_lab.inventory()))
    inventory.chmod(0o600)
    async with open_app(house.settings(tmp_path, inventory)) as app:
        current = app.commands._desk.inventory.current()
        async with app.pool.visit(current.way(current.device("r3")), Turn()) as shared:
            with pytest.raises(NoScp):
                await off(lambda: fetch(shared, "flash:/a", len, Meter(), Turn(), patience=10.0))
