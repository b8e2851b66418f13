"""Files of a network device: contents by SCP on a login without a shell, commands on a session. Each takes a Grant."""
# ruff: noqa: PLC0415
# The wire is imported by the first transfer: the server starts without it.

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio

from netssh_mcp.errors import CommandInterrupted, DeviceError, NetsshError, SessionLost, TransferBroken
from netssh_mcp.guard.policy import Grant, required
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.sessions.session import in_thread
from netssh_mcp.sessions.transfers import Target
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.remote_files import Source
    from netssh_mcp.wire.sftp import Meter
    from netssh_mcp.wire.shared import Shared

T = TypeVar("T")

_LOOK = 0.1  # seconds between looks whether the device asks something


@dataclass(frozen=True, slots=True)
class Digests:
    """Of what came or went, in hex. MD5 is what devices can tell of a file; it proves a transfer, not an author."""

    md5: str
    sha256: str


class _Hashed:
    def __init__(self) -> None:
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def update(self, data: bytes) -> None:
        self._md5.update(data)
        self._sha256.update(data)

    @property
    def digests(self) -> Digests:
        return Digests(self._md5.hexdigest(), self._sha256.hexdigest())


class _Hashing:
    """A source that is hashed while it is read."""

    def __init__(self, source: Source) -> None:
        self.hashed = _Hashed()
        self.size = source.size
        self._source = source
        source.rewind()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self.hashed.update(data)
        return data


class Copier:
    """SCP with one device for one call. `meter` says how far it is."""

    def __init__(self, pool: Pool, hops: tuple[Device, ...], *, patience: float) -> None:
        from netssh_mcp.wire.sftp import Meter

        self.meter: Meter = Meter()
        self._pool, self._hops, self._turn, self._patience = pool, hops, Turn(), patience

    async def read(self, grant: Grant, path: str, end: int) -> tuple[bytes, int]:
        """The first `end` bytes of a file, and its size."""
        from netssh_mcp.wire.scp import fetch

        data = bytearray()

        def work(shared: Shared) -> int:
            return fetch(shared, path, data.extend, self.meter, self._turn, patience=self._patience, end=end)

        size = await self._on(grant, work)
        return bytes(data), size

    async def download(self, grant: Grant, path: str, target: Target, *, size: int, md5: str) -> Digests:
        """The file in its place here, where it is what the device said of it before. Nothing is left here otherwise."""
        from netssh_mcp.wire.scp import fetch

        hashed = _Hashed()

        def take(data: bytes) -> None:
            target.write(data)
            hashed.update(data)

        def work(shared: Shared) -> Digests:
            target.begin()
            try:
                fetch(shared, path, take, self.meter, self._turn, patience=self._patience, size=size)
                _compare(hashed.digests.md5, md5)
                target.finish()
            except NetsshError as error:
                target.abort()
                if isinstance(error, (SessionLost, TransferBroken)):
                    far = f"{self.meter.done} of {size} bytes had come; nothing is left here"
                    raise TransferBroken(
                        f"{error.message}; {far}", device=error.device, effect="none", hint=error.hint
                    ) from error
                raise
            except BaseException:
                target.abort()
                raise
            return hashed.digests

        return await self._on(grant, work)

    async def upload(self, grant: Grant, path: str, source: Source) -> Digests:
        """All of `source` to the device, as far as SCP can tell. What breaks leaves a part there."""
        from netssh_mcp.wire.scp import send

        def work(shared: Shared) -> Digests:
            hashing = _Hashing(source)
            send(shared, path, hashing, self.meter, self._turn, patience=self._patience)
            return hashing.hashed.digests

        return await self._on(grant, work)

    async def _on(self, grant: Grant, work: Callable[[Shared], T]) -> T:
        """On a login of its own, which ends with it: Cisco's devices close a file only then."""
        required(grant)
        async with self._pool.visit(self._hops, self._turn) as shared:
            return await in_thread(lambda: work(shared), self._turn, self._pool.threads)


def _compare(came: str, told: str) -> None:
    if told and came != told:
        raise TransferBroken(
            f"what came has MD5 {came}, and the device says {told}",
            hint="Try again: the file may have changed meanwhile.",
        )


async def asked(
    pool: Pool,
    hops: tuple[Device, ...],
    profile: Profile,
    grant: Grant,
    *,
    timeout: float,
    fresh: bool = False,
) -> Reply:
    """One command on a session of the pool. What it asks is answered by nobody: DeviceError says the question.

    Raises as `Session.run` and `Pool.lease` do.
    """
    required(grant)
    turn = Turn()
    async with pool.lease(hops, profile, turn, fresh=fresh) as lease, _listening(turn) as question:
        try:
            return await lease.session.run(grant, timeout=timeout, turn=turn, limiter=pool.threads)
        except CommandInterrupted as error:
            if not question:
                raise
            raise DeviceError(
                f"{grant.line!r} asks a question, which was not answered, and was stopped",
                device=hops[-1].name,
                line=question[0],
                hint="Send the command with `run`, and answer there.",
                partial=error.partial,
            ) from error


@asynccontextmanager
async def _listening(turn: Turn) -> AsyncIterator[list[str]]:
    """The question that the command in the block asks, if it does; it is stopped then."""
    question: list[str] = []

    async def listen() -> None:
        while not turn.waiting:  # noqa: ASYNC110 - it is set by the thread that reads
            await anyio.sleep(_LOOK)
        if not turn.cancelled:
            question.append(turn.question)
            turn.cancel()

    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        try:
            yield question
        except NetsshError as error:  # a task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
