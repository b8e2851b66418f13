"""`get_file` and `put_file` on network devices: commands look and delete, SCP carries contents. docs/operate.md."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from netssh_mcp.errors import (
    CommandRejected,
    DeviceError,
    FileRefused,
    InputError,
    NetsshError,
    SessionLost,
    TransferBroken,
)
from netssh_mcp.guard import policy
from netssh_mcp.guard.policy import Grant
from netssh_mcp.model import CommandClass
from netssh_mcp.services.desk import Desk, Place, Recorded
from netssh_mcp.services.device_listing import COLUMNS, Entry, entries, free_bytes, md5_sum, missing
from netssh_mcp.services.device_paths import DevicePath, device_path
from netssh_mcp.services.file_progress import reporting
from netssh_mcp.services.file_text import CONTEXT, MOST, BytesSource, checked_encoding, decoded, encoded
from netssh_mcp.services.jobs import Progress
from netssh_mcp.services.local_files import LocalRoots
from netssh_mcp.sessions import device_transfers
from netssh_mcp.sessions.device_transfers import Copier, Digests
from netssh_mcp.sessions.transfers import PATIENCE

if TYPE_CHECKING:
    from netssh_mcp.wire.remote_files import Source

PAGE: Final = 1000  # entries of a folder in one answer
_HASHING: Final = 600.0  # seconds that a device may take for a checksum (Netmiko 4.8: 300, EOS 600)
_TIDY: Final = 20.0  # seconds in which a part that is left there is removed
_CHUNK: Final = 1 << 20


@dataclass(slots=True)
class _Call:
    """One granted action on one path."""

    place: Place
    action: str
    path: DevicePath
    grant: Grant
    record: Recorded
    copier: Copier

    @property
    def device(self) -> str:
        return self.place.device.name

    def head(self) -> dict[str, Any]:
        return {"device": self.device, "action": self.action}

    def refused(self, what: str, hint: str) -> FileRefused:
        return FileRefused(f"{self.path} {what}", device=self.device, hint=hint)


class DeviceFiles:
    """Files of network devices."""

    def __init__(self, desk: Desk, local: LocalRoots, *, patience: float = PATIENCE) -> None:
        self._desk, self._local, self._patience = desk, local, patience

    async def get(
        self,
        place: Place,
        path: str,
        *,
        action: str,
        local_path: str,
        encoding: str,
        offset: int,
        overwrite: bool,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """What `get_file` does."""
        found = device_path(place.profile, path, writing=False, place=action in ("list", "stat"))
        if action in ("list", "stat"):
            async with self._granted(place, "get_file", action, found, "read") as call:
                return await (self._listed(call, offset) if action == "list" else self._stat(call))
        kind: CommandClass = "shell" if found.private(writing=False) else "secret-read"
        if action == "read":
            usual = checked_encoding(encoding)
            async with self._granted(place, "get_file", action, found, kind) as call:
                return await reporting(progress, call.copier.meter, self._read(call, usual, offset))
        target = self._local.target(local_path, overwrite=overwrite)
        async with self._granted(place, "get_file", action, found, kind) as call:
            entry = await self._file(call)
            md5 = await self._md5(call)

            async def downloaded() -> dict[str, Any]:
                digests = await call.copier.download(call.grant, found.scp, target, size=entry.size, md5=md5)
                facts = _described(call, entry.size, digests, md5)
                return {**call.head(), "changed": False, "local_path": str(target.path), "file": facts}

            return await reporting(progress, call.copier.meter, downloaded())

    async def put(
        self,
        place: Place,
        path: str,
        *,
        action: str,
        content: str,
        local_path: str,
        encoding: str,
        overwrite: bool,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """What `put_file` does."""
        found = device_path(place.profile, path, writing=True)
        kind: CommandClass = "shell" if found.private(writing=True) else "change"
        if action == "mkdir":
            raise InputError("folders are not made on network devices here", hint="`run` has the device's own mkdir.")
        if action == "delete":
            async with self._granted(place, "put_file", action, found, kind) as call:
                return await self._deleted(call)
        if action == "write":
            text = BytesSource(encoded(content, checked_encoding(encoding)))
            async with self._granted(place, "put_file", action, found, kind) as call:
                return await reporting(progress, call.copier.meter, self._uploaded(call, text, overwrite=overwrite))
        opened = await anyio.to_thread.run_sync(self._local.source, local_path, limiter=self._desk.pool.threads)
        try:
            async with self._granted(place, "put_file", action, found, kind) as call:
                return await reporting(progress, call.copier.meter, self._uploaded(call, opened, overwrite=overwrite))
        finally:
            opened.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _listed(self, call: _Call, offset: int) -> dict[str, Any]:
        files = call.place.profile.files
        line = call.path.line(files.folder)
        text = await self._look(call, line)
        if missing(files, text):
            raise call.refused("is not there", "List the place above it.")
        found = entries(files, text)
        page = found[offset : offset + PAGE]
        end = offset + len(page)
        answer = {**call.head(), "file": {"path": str(call.path)}, "free": await self._free(call, line, text)}
        answer |= {"total": len(found), "offset": offset, "next_offset": end if end < len(found) else None}
        answer["entries"] = {"columns": list(COLUMNS), "rows": [entry.row() for entry in page]}
        if end < len(found):
            answer["next"] = f"{len(found) - end} more: offset={end} goes on."
        if offset and found and not page:
            answer["note"] = f"nothing is at offset {offset}: there are {len(found)} entries"
        if not found:
            kept = self._desk.outputs.keep(
                self._desk.shown.line(text, call.place.profile), device=call.device, command=call.grant.command
            )
            answer |= {"text": kept.shown, "note": "no line of the listing has a file in the known form"}
        return answer

    async def _stat(self, call: _Call) -> dict[str, Any]:
        if not call.path.name:
            facts: dict[str, Any] = {"path": str(call.path), "type": "folder"}
            return {**call.head(), "file": facts, "free": await self._free(call, "", "")}
        entry = await self._entry(call)
        if entry is None:
            raise call.refused("is not there", "List the place above it.")
        facts = {"path": str(call.path), "type": entry.type, "size": entry.size, "mode": entry.mode}
        return {**call.head(), "file": {**facts, "mtime": entry.mtime}}

    async def _entry(self, call: _Call) -> Entry | None:
        """The file's own line; None where it is not there. DeviceError where the listing cannot be read."""
        files = call.place.profile.files
        text = await self._look(call, call.path.line(files.file))
        found = entries(files, text)
        for entry in found:
            if entry.name.rpartition("/")[2] == call.path.base:
                return entry
        if missing(files, text):
            return None
        if found or re.search(r"(?i)^\s*(?:directory of|total|no files)", text, re.MULTILINE):
            return Entry("folder", 0, "", "", call.path.base)
        raise DeviceError(
            f"what the device says of {call.path} cannot be read",
            device=call.device,
            line=next((line for line in text.splitlines() if line.strip()), ""),
            hint="`run` shows the listing as the device gives it.",
        )

    async def _file(self, call: _Call) -> Entry:
        """A file like others, or FileRefused."""
        entry = await self._entry(call)
        if entry is None:
            raise call.refused("is not there", "List the place above it.")
        if entry.type != "file":
            raise call.refused(f"is a {entry.type}", "list shows what is in it, and files can be named.")
        return entry

    async def _free(self, call: _Call, line: str, text: str) -> int | None:
        """Bytes, as the listing says or the platform's own command; None where neither does."""
        files = call.place.profile.files
        found = free_bytes(files, text)
        asks = call.path.line(files.free)
        if found is not None or asks == line or not files.free:
            return found
        return free_bytes(files, await self._look(call, asks))

    async def _md5(self, call: _Call) -> str:
        """As the device says; "" where it cannot."""
        files = call.place.profile.files
        if not files.md5:
            return ""
        try:
            reply = await self._command(call, call.path.line(files.md5), timeout=_HASHING)
        except CommandRejected:
            return ""
        return md5_sum(files, reply)

    async def _look(self, call: _Call, line: str) -> str:
        """The output; a refusal that only says that there is no such file is one, too."""
        try:
            return await self._command(call, line)
        except CommandRejected as error:
            if missing(call.place.profile.files, error.partial):
                return error.partial
            raise

    async def _command(self, call: _Call, line: str, *, timeout: float = 0.0, again: bool = True) -> str:
        """A command that is a part of the action, on record by itself. One that only looks is repeated when lost."""
        place = call.place
        grant = policy.carried_by(call.grant, line)
        seconds = min(max(place.device.timeout, timeout), grant.terms.max_seconds)

        async def sent(*, fresh: bool) -> str:
            async with self._desk.recorded(grant) as record:
                reply = await device_transfers.asked(
                    self._desk.pool, place.hops, place.profile, grant, timeout=seconds, fresh=fresh
                )
                record.received = len(reply.output)
            return reply.output

        try:
            return await sent(fresh=False)
        except SessionLost:
            if not again:
                raise
        return await sent(fresh=True)

    # -- contents ------------------------------------------------------------------------------------------------------

    async def _read(self, call: _Call, encoding: str, offset: int) -> dict[str, Any]:
        await self._file(call)
        context = min(offset, CONTEXT)
        data, size = await call.copier.read(call.grant, call.path.scp, offset + MOST)
        data = data[offset - context :]
        more = size > offset + MOST
        place, redactor = call.place, self._desk.redactor
        text = await anyio.to_thread.run_sync(
            lambda: decoded(
                data, context, encoding, more=more, redactor=redactor, profile=place.profile, device=call.device
            ),
            limiter=self._desk.pool.threads,
        )
        facts = {"path": str(call.path), "size": size, "encoding": encoding}
        answer = {**call.head(), "file": facts, "offset": offset, "binary": text.text is None}
        if text.text is None:
            answer["next"] = "It is no text: get_file(action='download') brings it to this side."
            return answer
        kept = self._desk.outputs.keep(text.text, device=call.device, command=call.grant.command)
        answer |= {"text": kept.shown, "truncated": kept.truncated or more, "redacted": text.redacted}
        answer["next_offset"] = offset + text.size if more else None
        if kept.output_id:
            answer["output_id"] = kept.output_id
        if more:
            answer["next"] = f"{size} bytes in all: offset={answer['next_offset']} goes on, action='download' has all."
        if offset and offset >= size:
            answer["note"] = f"nothing is at offset {offset}: the file has {size} bytes"
        return answer

    async def _uploaded(self, call: _Call, source: Source, *, overwrite: bool) -> dict[str, Any]:
        there = await self._entry(call)
        if there is not None:
            if there.type != "file":
                raise call.refused(f"is a {there.type}", "Choose another name.")
            if not overwrite:
                raise call.refused("exists already, and is as it was", "With overwrite=true it is replaced.")
            if there.size == source.size and (same := await self._same(call, source)):
                return {**call.head(), "changed": False, "created": False, "file": same}
        free = await self._free(call, "", "")
        if free is not None and free < source.size:
            raise FileRefused(
                f"there is not enough space: {call.path.system} has {free} bytes free, the file has {source.size}",
                device=call.device,
                hint="Delete what is not needed there (put_file(action='delete')), or choose another place.",
            )
        md5, digests = await self._sent(call, source, replaces=there is not None)
        answer = {**call.head(), "changed": True, "created": there is None}
        answer["file"] = _described(call, source.size, digests, md5)
        notes = ["the device's free space is not known"] if free is None else []
        notes += [] if md5 else ["the device told no checksum, so only the size was compared"]
        return {**answer, "note": "; ".join(notes)} if notes else answer

    async def _same(self, call: _Call, source: Source) -> dict[str, Any] | None:
        """The facts of the file that is there, where it has these contents already."""

        def hashed() -> Digests:
            md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
            source.rewind()
            while data := source.read(_CHUNK):
                md5.update(data)
                sha256.update(data)
            return Digests(md5.hexdigest(), sha256.hexdigest())

        told = await self._md5(call)
        digests = await anyio.to_thread.run_sync(hashed, limiter=self._desk.pool.threads)
        return _described(call, source.size, digests, told) if told == digests.md5 else None

    async def _sent(self, call: _Call, source: Source, *, replaces: bool) -> tuple[str, Digests]:
        """Sent and compared: the device's MD5 or "", and ours. What is left of a failure is removed there."""
        try:
            digests = await call.copier.upload(call.grant, call.path.scp, source)
            return await self._arrived(call, source, digests), digests
        except NetsshError as error:
            if call.copier.meter.total or isinstance(error, SessionLost):
                await self._tidied(call, error, replaces=replaces)
            else:
                error.effect = "none"
            raise
        except BaseException:  # cancelled: nobody reads an error any more
            with anyio.CancelScope(shield=True):
                await self._tidied(call, NetsshError(""), replaces=replaces)
            raise
        finally:
            call.record.received = call.copier.meter.done

    async def _arrived(self, call: _Call, source: Source, digests: Digests) -> str:
        entry = await self._entry(call)
        if entry is None or entry.size != source.size:
            size = "nothing" if entry is None else f"{entry.size} bytes"
            raise TransferBroken(f"the device has {size} of the {source.size} that were sent", hint="Try again.")
        md5 = await self._md5(call)
        if md5 and md5 != digests.md5:
            raise TransferBroken(f"what is there has MD5 {md5}, and what was sent has {digests.md5}", hint="Try again.")
        return md5

    async def _tidied(self, call: _Call, error: NetsshError, *, replaces: bool) -> None:
        """Remove the part that is there; the error says what is left."""
        lost = "; what was there before is gone" if replaces else ""
        error.effect = "done" if replaces else "possible"
        try:
            with anyio.fail_after(_TIDY):
                if await self._entry(call) is not None:
                    await self._remove(call)
                elif not replaces:
                    error.effect = "none"
        except (NetsshError, TimeoutError):
            error.message += f"; a part of it may be left there as {call.path}{lost}"
            return
        error.message += f"; nothing of it is left there{lost}"
        error.effect = "done" if replaces else "none"

    async def _deleted(self, call: _Call) -> dict[str, Any]:
        entry = await self._entry(call)
        if entry is None:
            raise call.refused("is not there", "List the place above it.")
        if entry.type == "folder":
            raise call.refused("is a folder", "Folders are not deleted here; `run` has the device's own rmdir.")
        await self._remove(call)
        return {**call.head(), "changed": True, "file": {"path": str(call.path), "size": entry.size}}

    async def _remove(self, call: _Call) -> None:
        form = call.place.profile.files.delete
        if not form:
            raise call.refused("cannot be deleted: the profile knows no command", "`run` has the device's own delete.")
        text = await self._command(call, call.path.line(form), again=False)
        if await self._entry(call) is not None:
            raise DeviceError(
                f"{call.path} is still there",
                device=call.device,
                line=next((line for line in text.splitlines() if line.strip()), ""),
                hint="Read what the device said; it may be in use or write-protected.",
            )

    # -- the way there -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _granted(
        self, place: Place, tool: str, action: str, path: DevicePath, kind: CommandClass
    ) -> AsyncIterator[_Call]:
        """The action, judged and on record; its errors are fit to be shown."""
        try:
            grant = self._desk.permit(place, (tool, action, str(path)), kind)
            async with self._desk.recorded(grant) as record:
                copier = Copier(self._desk.pool, place.hops, patience=self._patience)
                try:
                    yield _Call(place, action, path, grant, record, copier)
                finally:
                    record.received = copier.meter.done
        except NetsshError as error:
            error.device = error.device or place.device.name
            if isinstance(error, FileRefused) and not error.hint:
                enable = place.profile.files.enable
                error.hint = f"If SCP is off there, a person turns it on: {enable}." if enable else "See `line`."
            shown, _ = await self._desk.shown.error(error, place.profile)
            raise shown from None


def _described(call: _Call, size: int, digests: Digests, told: str) -> dict[str, Any]:
    facts = {"path": str(call.path), "size": size, "md5": digests.md5, "sha256": digests.sha256}
    return {**facts, "checked": "md5" if told else "size"}
