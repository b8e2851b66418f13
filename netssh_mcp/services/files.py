"""The `get_file` and `put_file` tools: whose files, which way, what is shown of them. docs/operate.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread

from netssh_mcp.errors import FileRefused, NetsshError, SessionLost, TransferBroken
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.importing import ONE_AT_A_TIME
from netssh_mcp.services.desk import Desk, Recorded
from netssh_mcp.services.device_files import DeviceFiles
from netssh_mcp.services.file_ask import Ask, needed, only_linux, read_as
from netssh_mcp.services.file_facts import COLUMNS, changed, checked_path, described, octal, row
from netssh_mcp.services.file_progress import reporting
from netssh_mcp.services.file_text import (
    CONTEXT,
    MOST,
    BytesSource,
    as_said,
    checked_encoding,
    decoded,
    encoded,
    name_shown,
)
from netssh_mcp.services.given import NOT_GIVEN, fitting
from netssh_mcp.services.jobs import Progress
from netssh_mcp.services.local_files import LocalRoots, LocalTarget
from netssh_mcp.sessions import transfers
from netssh_mcp.sessions.transfers import PATIENCE, Far
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from netssh_mcp.wire.remote_files import Source
    from netssh_mcp.wire.shared import Shared

T = TypeVar("T")

PAGE: Final = 1000  # entries of a folder in one answer
_TIDY: Final = 5.0  # seconds of silence while a leftover is removed over a new connection


@dataclass(frozen=True, slots=True)
class _Found:
    """What an action acts on: the real path, judged; the grant to act."""

    far: Far
    grant: Grant
    path: str


Act = Callable[[_Found], Awaitable[dict[str, Any]]]


class Files:
    """Files of hosts, by SFTP or under sudo; those of network devices are `device_files`' work."""

    def __init__(self, desk: Desk, *, patience: float = PATIENCE) -> None:
        self._desk = desk
        self._local = LocalRoots(desk.settings)
        self._network = DeviceFiles(desk, self._local, patience=patience)
        self._patience = patience

    async def get(
        self,
        device: str,
        path: str,
        *,
        action: str = "read",
        local_path: str = "",
        sudo: bool = False,
        encoding: str = "utf-8",
        offset: int = 0,
        hidden: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What the `get_file` tool does."""
        fitting("get_file", action, sudo=sudo, hidden=hidden, local_path=local_path)
        fitting("get_file", action, encoding=encoding, offset=offset, overwrite=overwrite)
        place = self._desk.place(device)
        if not place.linux:
            only_linux(sudo=sudo, hidden=hidden)
            return await self._network.get(
                place,
                path,
                action=action,
                local_path=local_path,
                encoding=encoding,
                offset=offset,
                overwrite=overwrite,
                progress=progress,
            )
        ask = Ask(place, "get_file", action, path, sudo, progress)
        if action == "read":
            usual = read_as(encoding, offset)
            return await self._asked(ask, lambda found: self._read(ask, found, usual, offset))
        if action == "list":
            return await self._asked(ask, lambda found: self._listed(ask, found, offset, hidden=hidden))
        if action == "stat":
            return await self._asked(ask, lambda found: self._stat(ask, found))
        target = self._local.target(local_path, overwrite=overwrite)
        return await self._asked(ask, lambda found: self._downloaded(ask, found, target))

    async def put(
        self,
        device: str,
        path: str,
        *,
        action: str = "write",
        content: str = NOT_GIVEN,
        local_path: str = "",
        mode: str = "",
        sudo: bool = False,
        encoding: str = "utf-8",
        append: bool = False,
        overwrite: bool = True,
        make_dirs: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What the `put_file` tool does."""
        fitting("put_file", action, content=content, local_path=local_path, mode=mode, sudo=sudo, encoding=encoding)
        fitting("put_file", action, append=append, overwrite=overwrite, make_dirs=make_dirs)
        needed(action, content)
        place = self._desk.place(device)
        if not place.linux:
            only_linux(sudo=sudo, mode=mode, append=append, make_dirs=make_dirs)
            return await self._network.put(
                place,
                path,
                action=action,
                content=content,
                local_path=local_path,
                encoding=encoding,
                overwrite=overwrite,
                progress=progress,
            )
        ask = Ask(place, "put_file", action, path, sudo, progress, octal(mode))
        if action == "delete":
            return await self._asked(ask, lambda found: self._deleted(ask, found))
        if action == "mkdir":
            return await self._asked(ask, lambda found: self._made(ask, found, parents=make_dirs), make_dirs=make_dirs)
        write = partial(self._written, ask, append=append, overwrite=overwrite, make_dirs=make_dirs)
        if action == "write":
            return await write(BytesSource(encoded(content, checked_encoding(encoding))))
        opened = await anyio.to_thread.run_sync(self._local.source, local_path, limiter=self._desk.pool.threads)
        try:
            return await write(opened)
        finally:
            opened.close()

    # -- actions -------------------------------------------------------------------------------------------------------

    async def _read(self, ask: Ask, found: _Found, encoding: str, offset: int) -> dict[str, Any]:
        context = min(offset, CONTEXT)
        data, size = await found.far.read(found.grant, found.path, offset - context, offset + MOST)
        more = len(data) - context >= MOST
        place, redactor = ask.place, self._desk.redactor
        text = await anyio.to_thread.run_sync(
            lambda: decoded(
                data,
                context,
                encoding,
                more=more,
                redactor=redactor,
                profile=place.profile,
                device=place.device.name,
            ),
            limiter=self._desk.pool.threads,
        )
        facts = {"path": name_shown(found.path), "size": size, "encoding": encoding}
        answer = {**ask.head, "file": facts, "offset": offset, "binary": text.text is None}
        if text.text is None:
            answer["next"] = "It is no text: get_file(action='download') brings it to this side."
            return answer
        command = f"get_file read {ask.said}"
        kept = self._desk.outputs.keep(text.text, device=place.device.name, command=command)
        answer |= {"text": kept.shown, "truncated": kept.truncated or more, "redacted": text.redacted}
        answer["next_offset"] = offset + text.size if more else None
        if kept.output_id:
            answer["output_id"] = kept.output_id
        if more:
            answer["next"] = f"{size} bytes in all: offset={answer['next_offset']} goes on, action='download' has all."
        if offset and len(data) <= context:
            answer["note"] = f"nothing is at offset {offset}: the file has {size} bytes"
        elif text.undecodable:
            answer["note"] = f"{text.undecodable} places are no {encoding} and shown as U+FFFD"
        return answer

    async def _listed(self, ask: Ask, found: _Found, offset: int, *, hidden: bool) -> dict[str, Any]:
        facts = await found.far.facts(found.grant, found.path)
        if facts.type != "folder":
            raise FileRefused(
                f"{name_shown(found.path)} is a {facts.type}", device=ask.place.device.name, hint="read or stat it."
            )
        names = await found.far.names(found.grant, found.path, hidden=hidden)
        page = names[offset : offset + PAGE]
        links = [each.name for each in page if each.type == "link" and not each.target]
        targets = dict(
            zip(links, await found.far.targets(found.grant, found.path, links), strict=True) if links else ()
        )
        rows = [row(each, each.target or targets.get(each.name, "")) for each in page]
        end = offset + len(page)
        answer = {**ask.head, "file": {"path": name_shown(found.path)}, "total": len(names), "offset": offset}
        answer["next_offset"] = end if end < len(names) else None
        answer["entries"] = {"columns": list(COLUMNS), "rows": rows}
        if end < len(names):
            answer["next"] = f"{len(names) - end} more: offset={end} goes on."
        if offset and not page:
            answer["note"] = f"nothing is at offset {offset}: there are {len(names)} entries"
        return answer

    async def _stat(self, ask: Ask, found: _Found) -> dict[str, Any]:
        facts = await found.far.facts(found.grant, found.path)
        return {**ask.head, "file": described(found.path, facts)}

    async def _downloaded(self, ask: Ask, found: _Found, target: LocalTarget) -> dict[str, Any]:
        size, digest, told = await found.far.download(found.grant, found.path, target)
        verified = "sha256" if told else "size"
        facts = {"path": name_shown(found.path), "size": size, "sha256": digest, "verified": verified}
        return {**ask.head, "changed": False, "local_path": str(target.path), "file": facts}

    async def _written(
        self, ask: Ask, source: Source, *, append: bool, overwrite: bool, make_dirs: bool
    ) -> dict[str, Any]:
        with ONE_AT_A_TIME:
            from netssh_mcp.wire.remote_files import Write  # noqa: PLC0415 - see `transfers`

        how = Write(mode=ask.mode, append=append, overwrite=overwrite, make_dirs=make_dirs)

        async def wrote(found: _Found) -> dict[str, Any]:
            return {**ask.head, **changed(found.path, await found.far.write(found.grant, found.path, source, how))}

        return await self._asked(ask, wrote, make_dirs=make_dirs)

    async def _made(self, ask: Ask, found: _Found, *, parents: bool) -> dict[str, Any]:
        made = await found.far.mkdir(found.grant, found.path, ask.mode, parents=parents)
        return {**ask.head, **changed(found.path, made)}

    async def _deleted(self, ask: Ask, found: _Found) -> dict[str, Any]:
        facts = await found.far.facts(found.grant, found.path)
        await found.far.delete(found.grant, found.path, facts)
        return {**ask.head, "changed": True, "file": described(found.path, facts)}

    # -- the way there -------------------------------------------------------------------------------------------------

    async def _asked(self, ask: Ask, act: Act, *, make_dirs: bool = False) -> dict[str, Any]:
        """The action on its path, judged and on record; by SFTP, and under sudo where that is asked and needed."""
        checked_path(ask.path)
        try:
            if not ask.path.startswith("/"):
                ask.path = await self._absolute(ask)
            ask.path = "/" + "/".join(part for part in ask.path.split("/") if part not in ("", "."))
            grant = self._desk.permit(ask.place, (ask.tool, ask.action, ask.path), ask.kind(ask.path))
            async with self._desk.recorded(grant) as record, self._shared(ask) as shared:

                async def on(far: Far) -> dict[str, Any]:
                    return await self._on(ask, far, grant, act, record, make_dirs=make_dirs)

                answer = await self._either_way(ask, grant, shared, on)
                if shared.tell_loss():
                    answer["reconnected"] = True
                return answer
        except NetsshError as error:
            error.device = error.device or ask.place.device.name
            as_said(error, ask.said, ask.path)
            shown, _ = await self._desk.shown.error(error, ask.place.profile)
            raise shown from None

    async def _absolute(self, ask: Ask) -> str:
        """Relative paths begin at the login folder, as in `sftp` and `scp`."""
        grant = self._desk.permit(ask.place, ("get_file", "stat", "."), "read")
        async with self._desk.recorded(grant), self._shared(ask) as shared:
            folder = await self._either_way(ask, grant, shared, lambda far: far.login_folder(grant), always=True)
        rest = ask.path[1:] if ask.path == "~" or ask.path.startswith("~/") else ask.path
        return f"{folder}/{rest}"

    @asynccontextmanager
    async def _shared(self, ask: Ask) -> AsyncIterator[Shared]:
        shared = await self._desk.pool.share(ask.place.hops, ask.turn)
        try:
            yield shared
        finally:
            shared.close()

    async def _either_way(
        self,
        ask: Ask,
        grant: Grant,
        shared: Shared,
        work: Callable[[Far], Awaitable[T]],
        *,
        always: bool = False,
    ) -> T:
        limiter, patience = self._desk.pool.threads, self._patience
        try:
            far = await transfers.by_sftp(grant, shared, ask.turn, limiter, patience=patience)
            try:
                return await work(far)
            except (SessionLost, TransferBroken) as error:
                await self._tidied(ask, grant, far.left, error)
                raise
            finally:
                far.close()
        except FileRefused as error:
            if not ((ask.sudo or always) and transfers.needs_sudo(error)):
                raise
        far = self._by_sudo(ask, grant, shared, ask.turn, patience)
        try:
            result = await work(far)
        except (SessionLost, TransferBroken) as error:
            await self._tidied(ask, grant, far.left, error, sudo=True)
            raise
        if isinstance(result, dict):
            result["sudo"] = True
        return result

    def _by_sudo(self, ask: Ask, grant: Grant, shared: Shared, turn: Turn, patience: float) -> Far:
        password, limiter = ask.place.device.sudo, self._desk.pool.threads
        return transfers.by_sudo(grant, shared, turn, limiter, password=password, patience=patience)

    async def _tidied(self, ask: Ask, grant: Grant, left: str, error: NetsshError, *, sudo: bool = False) -> None:
        """The link broke before a temporary file could be removed: once more over a new one."""
        if not left:
            return
        turn = Turn()
        try:
            shared = await self._desk.pool.share(ask.place.hops, turn)
            try:
                if sudo:
                    far = self._by_sudo(ask, grant, shared, turn, _TIDY)
                else:
                    far = await transfers.by_sftp(grant, shared, turn, self._desk.pool.threads, patience=_TIDY)
                await transfers.removed(grant, far, left)
            finally:
                shared.close()
            error.effect = "none"
        except FileRefused:  # it is not there; under sudo it may have taken its place
            error.effect = "possible" if sudo else "none"
        except NetsshError:
            error.message += f"; a part of it may be left there as {left}"

    async def _on(
        self, ask: Ask, far: Far, grant: Grant, act: Act, record: Recorded, *, make_dirs: bool
    ) -> dict[str, Any]:
        """Find out what the path really is, judge that too, and act."""
        follow = ask.action not in ("stat", "delete")
        real = await self._real(ask, far, grant, follow=follow, make_dirs=make_dirs)
        async with AsyncExitStack() as held:
            if real != ask.path:
                words = (ask.tool, ask.action, real)
                try:
                    grant = self._desk.wall.decide_action(
                        ask.place.inventory, ask.place.device, ask.place.profile, words, ask.kind(real)
                    )
                except NetsshError as error:
                    self._desk.refused(ask.place.device.name, " ".join(words), error)
                    reason = error.message.rpartition(" is not sent: ")[2]
                    error.message = f"{ask.said} leads elsewhere, and that is not allowed: {reason}"
                    error.line = name_shown(real)
                    raise
                await held.enter_async_context(self._desk.recorded(grant))
            try:
                return await reporting(ask.progress, far.meter, act(_Found(far, grant, real)))
            except NetsshError as error:
                as_said(error, ask.said, real)
                raise
            finally:
                record.received = far.meter.done

    async def _real(self, ask: Ask, far: Far, grant: Grant, *, follow: bool, make_dirs: bool) -> str:
        """`follow` False: links on the way are resolved, the last part is the link itself."""
        rest = "" if follow else ask.path.rpartition("/")[2]
        path = ask.path if follow else ask.path.rpartition("/")[0] or "/"
        while True:
            try:
                real = await far.real(grant, path)
            except FileRefused as error:
                if not make_dirs or path == "/" or transfers.needs_sudo(error):
                    if ask.action in ("write", "upload", "mkdir") and transfers.is_missing(error):
                        error.hint = "make_dirs=true makes missing parents."
                    raise
                path, _, name = path.rpartition("/")
                path, rest = path or "/", f"{name}/{rest}".rstrip("/")
                continue
            return f"{real.rstrip('/')}/{rest}" if rest else real
