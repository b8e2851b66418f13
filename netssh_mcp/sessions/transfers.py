"""Files of a Linux host: each step takes a Grant and crosses to a thread. By SFTP, or under sudo."""
# ruff: noqa: PLC0415
# The wire is imported by the first transfer: the server starts without it.

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio

from netssh_mcp.errors import Effect, NetsshError, SessionLost, TransferBroken
from netssh_mcp.guard.policy import Grant, required
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.sessions.session import in_thread
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.following import Follower
    from netssh_mcp.wire.remote_files import Facts, RemoteFiles, Source, Write, Written
    from netssh_mcp.wire.sftp import Meter
    from netssh_mcp.wire.sftp_messages import Buffer
    from netssh_mcp.wire.shared import Shared

T = TypeVar("T")

PATIENCE: Final = 30.0  # seconds without a byte


class Target(Protocol):
    """Where a download goes on this side. Blocking."""

    def begin(self) -> None:
        """Make the temporary file."""

    def write(self, data: Buffer) -> None:
        """The next bytes, in order."""

    def finish(self) -> None:
        """On disk and in its place."""

    def abort(self) -> None:
        """Nothing is left of it."""


class Far:
    """The files of one host for one call. `meter` says how far a transfer is."""

    def __init__(self, files: RemoteFiles, meter: Meter, turn: Turn, limiter: anyio.CapacityLimiter) -> None:
        self.meter = meter
        self._files, self._turn, self._limiter = files, turn, limiter

    @property
    def left(self) -> str:
        """A temporary file on the host that could not be removed; "" where there is none."""
        return self._files.left

    async def _do(self, grant: Grant, work: Callable[[], T]) -> T:
        required(grant)
        return await in_thread(work, self._turn, self._limiter)

    async def login_folder(self, grant: Grant) -> str:
        """Where relative paths begin."""
        return await self._do(grant, self._files.login_folder)

    async def real(self, grant: Grant, path: str) -> str:
        """With links resolved; the last part need not exist. FileRefused where a folder on the way does not."""
        return await self._do(grant, lambda: self._files.real(path))

    async def facts(self, grant: Grant, path: str) -> Facts:
        """Of a file, a folder, or a link itself."""
        return await self._do(grant, lambda: self._files.facts(path))

    async def names(self, grant: Grant, path: str, *, hidden: bool) -> list[Facts]:
        """Of a folder, by name."""
        return await self._do(grant, lambda: self._files.names(path, hidden=hidden))

    async def targets(self, grant: Grant, folder: str, links: list[str]) -> list[str]:
        """Where links lead to."""
        return await self._do(grant, lambda: self._files.targets(folder, links))

    async def read(self, grant: Grant, path: str, start: int, end: int) -> tuple[bytes, int]:
        """What stands there, and the file's size now."""

        def work() -> tuple[bytes, int]:
            data = bytearray()
            self._files.read(path, start, end, data.extend, self.meter)
            return bytes(data), self._files.facts(path).size

        return await self._do(grant, work)

    async def download(self, grant: Grant, path: str, target: Target) -> tuple[int, str, str]:
        """Size and SHA-256 of what came, and the host's own SHA-256 of it or "". Raises TransferBroken."""
        return await self._do(grant, lambda: self._downloaded(path, target))

    def _downloaded(self, path: str, target: Target) -> tuple[int, str, str]:
        before = self._files.facts(path)
        size = self.meter.total = before.size
        hashed = hashlib.sha256()

        def take(data: Buffer) -> None:
            hashed.update(data)
            target.write(data)

        target.begin()
        try:
            with contextlib.closing(self._files.follow(path, size)) as following:
                self.meter.follow = following.upto
                came = self._files.read(path, 0, size, take, self.meter)
                told = _checked(path, came, size, hashed.hexdigest(), following)
            _unchanged(path, before, self._files.facts(path))
            target.finish()
        except (SessionLost, TransferBroken) as error:
            target.abort()
            how_far = f"{self.meter.done} of {size} bytes had come; nothing is left here"
            raise self._broken(error, how_far, "none") from error
        except BaseException:
            target.abort()
            raise
        return size, hashed.hexdigest(), told

    async def write(self, grant: Grant, path: str, source: Source, how: Write) -> Written:
        """Write a file, or append to it. TransferBroken says what is left there."""

        def work() -> Written:
            self.meter.total = source.size
            source.rewind()
            try:
                return self._files.write(path, source, how, self.meter)
            except (SessionLost, TransferBroken) as error:
                raise self._broken(error, f"{self.meter.done} of {source.size} bytes had gone", error.effect) from error

        return await self._do(grant, work)

    def _broken(self, error: NetsshError, how_far: str, effect: Effect) -> TransferBroken:
        hint = error.hint if isinstance(error, TransferBroken) else "Try again: a new connection is opened."
        return TransferBroken(f"{error.message}; {how_far}", device=error.device, effect=effect, hint=hint)

    async def mkdir(self, grant: Grant, path: str, mode: int | None, *, parents: bool) -> Written:
        """Make a folder."""
        return await self._do(grant, lambda: self._files.mkdir(path, mode, parents=parents))

    async def delete(self, grant: Grant, path: str, facts: Facts) -> None:
        """A file, a link, or an empty folder."""
        await self._do(grant, lambda: self._files.delete(path, facts))

    def close(self) -> None:
        """Never waits for the host."""
        self._files.close()


def _checked(path: str, came: int, size: int, digest: str, following: Follower) -> str:
    """The host's own checksum, "" where it has none; TransferBroken where it is another one."""
    if came != size:
        raise TransferBroken(f"{path} became shorter meanwhile: {came} of {size} bytes came", hint="Try again.")
    following.end(size)
    told = following.digest()
    if told and told != digest:
        raise TransferBroken(
            f"{path} changed meanwhile: what came has another checksum than the host read there", hint="Try again."
        )
    return told


def _unchanged(path: str, before: Facts, after: Facts) -> None:
    """The host reads a little behind us: a change that both missed, or both met, is in no checksum.

    A file that only grew, as logs do, is what it was at the start.
    """
    if after.size < before.size or (after.size == before.size and after.mtime != before.mtime):
        raise TransferBroken(f"{path} changed meanwhile: it was written to at the same time", hint="Try again.")


async def by_sftp(grant: Grant, shared: Shared, turn: Turn, limiter: anyio.CapacityLimiter, *, patience: float) -> Far:
    """SFTP as the login user. FileRefused (`NoSftp`) where the host has none."""
    required(grant)
    from netssh_mcp.wire.sftp import Meter
    from netssh_mcp.wire.sftp_files import SftpFiles

    def opened() -> SftpFiles:
        return SftpFiles(shared, turn, patience=patience)

    files = await in_thread(opened, turn, limiter, orphaned=lambda late: late.close())
    return Far(files, Meter(), turn, limiter)


def by_sudo(
    grant: Grant,
    shared: Shared,
    turn: Turn,
    limiter: anyio.CapacityLimiter,
    *,
    password: Secret | None,
    patience: float,
) -> Far:
    """Scripts of ours under sudo."""
    required(grant)
    from netssh_mcp.wire.sftp import Meter
    from netssh_mcp.wire.sudo_files import SudoFiles

    return Far(SudoFiles(shared, turn, password, patience=patience), Meter(), turn, limiter)


def is_missing(error: NetsshError) -> bool:
    """Whether a file, or a folder on the way to it, is not there."""
    from netssh_mcp.wire.remote_files import NotThere

    return isinstance(error, NotThere)


def needs_sudo(error: NetsshError) -> bool:
    """Whether the same may succeed under sudo."""
    from netssh_mcp.wire.remote_files import NoPermission
    from netssh_mcp.wire.sftp_channel import NoSftp

    return isinstance(error, (NoPermission, NoSftp))


async def removed(grant: Grant, far: Far, path: str) -> None:
    """Remove a temporary file that a transfer on another connection has left, and end `far`. Raises as requests do."""
    try:
        await far.delete(grant, path, await far.facts(grant, path))
    finally:
        far.close()
