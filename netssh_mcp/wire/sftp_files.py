"""A host's files by SFTP, as its login user. What SFTP cannot say or keep is asked of a script where one may run."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from netssh_mcp.errors import FileRefused, NetsshError, TransferBroken
from netssh_mcp.wire import sftp_messages as m
from netssh_mcp.wire.following import Follower, Following
from netssh_mcp.wire.piped import Piped
from netssh_mcp.wire.remote_files import (
    MOST_NAMES,
    SYNCED,
    Facts,
    Hashing,
    NoPermission,
    NotThere,
    Source,
    Write,
    Written,
    exists,
    inside,
    no_permission,
    no_room,
    not_empty,
    not_there,
    only_regular,
    parent,
    sound,
    user_name,
)
from netssh_mcp.wire.sftp import Meter, Sftp
from netssh_mcp.wire.sftp_channel import SftpRefused
from netssh_mcp.wire.sftp_messages import Attributes, Buffer
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn

SMALL: Final = 2 << 20  # bytes that are read back where the host cannot tell their checksum
_TIDY: Final = 3.0  # seconds that cleaning up may take
HASHED_AFTER: Final = 64 << 20  # bytes: a file that something was added to is read as a whole for its checksum
_END: Final = 64 << 10  # bytes at both ends that are compared before the whole is

# Mode, owner, ACL and extended attributes (SELinux) of the one, onto the other.
KEEP: Final = 'cp --attributes-only --preserve=mode,ownership,xattr -- "$1" "$2"'
_KEPT_NOT = "owner, group and mode were kept; ACLs and extended attributes, if it had any, were not"


class SftpFiles:
    """See `remote_files.RemoteFiles`."""

    def __init__(self, shared: Shared, turn: Turn, *, patience: float) -> None:
        self.left = ""
        self._shared, self._turn, self._patience = shared, turn, patience
        self._device = shared.device.name
        self._sftp = Sftp(shared, turn, patience=patience)

    def close(self) -> None:
        """End the channel."""
        self._sftp.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    def login_folder(self) -> str:
        """Where relative paths begin."""
        return sound(_text(self._sftp.realpath(b".")), "the login folder", self._device)

    def real(self, path: str) -> str:
        """See `RemoteFiles`."""
        with self._named(path):
            found = sound(_text(self._sftp.realpath(path.encode())), path, self._device)
        with contextlib.suppress(SftpRefused):  # nothing is there yet, or it may not be looked at
            if stat.S_ISLNK(self._sftp.lstat(found.encode()).mode or 0):
                raise FileRefused(
                    "this host's SFTP server does not resolve links, so what would be changed is not known",
                    device=self._device,
                    hint="Name the file itself, not a link to it.",
                )
        return found

    def facts(self, path: str) -> Facts:
        """See `RemoteFiles`."""
        with self._named(path):
            attributes = self._sftp.lstat(path.encode())
        found = self._facts([(path.rpartition("/")[2].encode() or b"/", b"", attributes)])[0]
        if found.type != "link":
            return found
        return _with_target(found, self.targets(parent(path), [found.name])[0])

    def names(self, path: str, *, hidden: bool) -> list[Facts]:
        """See `RemoteFiles`."""
        found = []
        with self._named(path), contextlib.closing(self._sftp.names(path.encode())) as names:
            for each in names:
                if hidden or not each.name.startswith(b"."):
                    found.append((each.name, each.long, each.attributes))
                if len(found) >= MOST_NAMES:
                    break
        return self._facts(sorted(found))

    def targets(self, folder: str, links: list[str]) -> list[str]:
        """See `RemoteFiles`."""
        return [self._target(inside(folder, link)) for link in links]

    def _target(self, link: str) -> str:
        try:
            return _text(self._sftp.readlink(_raw(link)))
        except SftpRefused:
            return ""  # gone meanwhile

    def _facts(self, found: Sequence[tuple[bytes, bytes, Attributes]]) -> list[Facts]:
        users, groups = self._sftp.owners(
            {each.uid for *_, each in found if each.uid is not None},
            {each.gid for *_, each in found if each.gid is not None},
        )
        facts = []
        for name, long, each in found:
            words = long.decode("utf-8", "replace").split(None, 4)
            owner, group = words[2:4] if len(words) == 5 else ("", "")
            uid, gid = each.uid or 0, each.gid or 0
            owner, group = user_name(users.get(uid) or owner, uid), user_name(groups.get(gid) or group, gid)
            facts.append(Facts(_text(name), each.size or 0, each.mode or 0, uid, gid, owner, group, each.mtime or 0))
        return facts

    def read(self, path: str, start: int, end: int, sink: Callable[[Buffer], object], meter: Meter) -> int:
        """See `RemoteFiles`."""
        facts = self.facts(path)
        only_regular(facts, path, self._device)
        with self._named(path):
            handle = self._sftp.open(path.encode(), m.FOR_READING)
        try:
            return self._sftp.read(handle, start, end, sink, meter)
        finally:
            self._sftp.shut_later(handle)

    def follow(self, path: str, size: int) -> Follower:
        """See `RemoteFiles`."""

        def otherwise(end: int) -> str:
            return self._read_back(path, end) if end <= SMALL else ""

        return Following(self._shared, self._turn, path, size, otherwise=otherwise, patience=self._patience)

    def _sha256(self, path: str, size: int) -> str:
        with contextlib.closing(self.follow(path, size)) as following:
            following.end(size)
            return following.digest()

    def _read_back(self, path: str, size: int) -> str:
        hashed = hashlib.sha256()
        self.read(path, 0, size, hashed.update, Meter())
        return hashed.hexdigest()

    def _piped(self) -> Piped:
        return Piped(self._shared, self._turn, patience=self._patience)

    # -- changing ------------------------------------------------------------------------------------------------------

    def write(self, path: str, source: Source, how: Write, meter: Meter) -> Written:
        """See `RemoteFiles`."""
        made = self._parents(parent(path), how)
        old = self._there(path)
        if old is not None:
            only_regular(old, path, self._device)
        if how.append:
            self._append(path, source, how, old, meter)
            mode = how.mode
            changed = source.size > 0 or old is None or mode not in (None, old.permissions)
            return self._written(path, changed=changed, created=old is None, made=made)
        if old is not None and not how.overwrite:
            raise exists(path, self._device)
        if old is not None and old.size == source.size and (told := self._is_same(path, source)):
            return replace(self._same(path, how, old, told), verified="sha256")
        told, note = self._replaced(path, source, how, old, meter)
        written = self._written(path, changed=True, created=old is None, made=made, note=note, told=told)
        return replace(written, verified="sha256" if told else "size")

    def _written(
        self, path: str, *, changed: bool, created: bool, made: tuple[str, ...] = (), note: str = "", told: str = ""
    ) -> Written:
        """As it is found afterwards. `told` is the host's checksum where it is known."""
        try:
            now = self.facts(path)
            told = told or (self._sha256(path, now.size) if now.size <= HASHED_AFTER else "")
            return Written(now, told, changed=changed, created=created, made=made, note=note)
        except NetsshError as error:
            error.effect = "done" if changed else "none"
            error.message += f"; {path} is written, but could not be looked at again"
            raise

    def _is_same(self, path: str, source: Source) -> str:
        """The checksum of a file of this length that has the contents already, "" where it has others.

        Ends are compared first: what differs mostly differs there, and the host need not read all of it.
        """
        size = source.size
        ends = ((0, min(size, _END)), (max(0, size - _END), size))
        for start, end in ends if size > 2 * _END else ():
            found = bytearray()
            self.read(path, start, end, found.extend, Meter())
            if found != source.part(start, end - start):
                return ""
        with contextlib.closing(self.follow(path, size)) as following:
            following.end(size)
            ours = source.digest()
            told = following.digest()
        return told if told == ours else ""

    def _same(self, path: str, how: Write, old: Facts, told: str) -> Written:
        changed = how.mode is not None and how.mode != old.permissions
        if changed:
            with self._named(path):
                self._sftp.setstat(path.encode(), Attributes(mode=how.mode))
        return self._written(path, changed=changed, created=False, told=told)

    def _replaced(self, path: str, source: Source, how: Write, old: Facts | None, meter: Meter) -> tuple[str, str]:
        """By a file beside it that takes its place. The host's checksum, and what could not be kept of the old one."""
        aside = inside(parent(path), f".netssh-{secrets.token_hex(8)}")
        with self._named(aside, "a file beside it"):
            flags = m.FOR_WRITING | m.CREATING | m.EXCLUSIVELY
            handle = self._sftp.open(aside.encode(), flags, Attributes(mode=0o600))
        self.left = aside
        try:
            with contextlib.closing(self.follow(aside, source.size)) as following:
                ours = self._fill(handle, path, source, meter, following)
                note = self._keep(path, aside, how, old)
                told = following.digest()
            if told and told != ours:
                raise self._garbled()
            with self._named(path, "it"):
                self._take_place(aside, path, old, how)
            self.left = ""
        except NetsshError as error:
            self._tidied(aside)
            _say_what_is_there(error, path, self.left, created=old is None)
            raise
        return told, note

    def _fill(self, handle: bytes, path: str, source: Source, meter: Meter, following: Follower) -> str:
        """Write all of it; the SHA-256 of what was sent."""
        hashing = Hashing(source)
        meter.follow = following.upto
        with self._filling(path):
            size = self._sftp.write(handle, 0, hashing.read, meter)
            if size != source.size:
                raise FileRefused(f"the file here changed while it was read: {size} bytes instead of {source.size}")
            if size <= SYNCED:
                self._sftp.fsync(handle)
        self._sftp.shut(handle)
        following.end(size)
        return hashing.digest()

    def _garbled(self) -> TransferBroken:
        return TransferBroken(
            "what arrived on the host has another checksum than what was sent",
            device=self._device,
            hint="Try again; check the host's disk and memory if it comes back.",
        )

    def _keep(self, path: str, aside: str, how: Write, old: Facts | None) -> str:
        mode = 0o644 if old is None else old.permissions
        note = ""
        if old is not None:
            ran = self._piped().run(KEEP, (path, aside), sink=_nowhere)
            note = "" if ran.status == 0 else _KEPT_NOT
            now = self._sftp.lstat(aside.encode())
            if (now.uid, now.gid) != (old.uid, old.gid):
                self._give(path, aside, old)
        with self._named(path):
            self._sftp.setstat(aside.encode(), Attributes(mode=how.mode if how.mode is not None else mode))
        return note

    def _give(self, path: str, aside: str, old: Facts) -> None:
        try:
            self._sftp.setstat(aside.encode(), Attributes(uid=old.uid, gid=old.gid))
        except SftpRefused as error:
            raise NoPermission(
                f"{path} belongs to {old.owner}:{old.group}, and this user cannot give a new file to them",
                device=self._device,
                hint="sudo=true keeps owner and group; append=true leaves the file where it is.",
            ) from error

    def _take_place(self, aside: str, path: str, old: Facts | None, how: Write) -> None:
        if how.overwrite:
            self._sftp.replace(aside.encode(), path.encode())
            return
        try:
            self._sftp.rename(aside.encode(), path.encode())
        except SftpRefused as error:
            if old is None and self._there(path) is not None:
                raise exists(path, self._device) from error
            raise

    def _tidied(self, aside: str) -> None:
        try:
            with self._sftp.tidying(_TIDY):
                self._sftp.remove(aside.encode())
        except SftpRefused as error:
            if error.code != m.NO_SUCH_FILE:
                return
        except NetsshError:
            return  # the link is gone: whoever called may try over another one
        self.left = ""

    def _append(self, path: str, source: Source, how: Write, old: Facts | None, meter: Meter) -> None:
        mode = how.mode if how.mode is not None else (0o644 if old is None else None)
        with self._named(path):
            flags = m.FOR_WRITING | m.APPENDING | m.CREATING
            handle = self._sftp.open(path.encode(), flags, Attributes(mode=mode if old is None else None))
        try:
            with self._filling(path):
                self._sftp.write(handle, 0 if old is None else old.size, source.read, meter)
                if source.size <= SYNCED:
                    self._sftp.fsync(handle)
                if mode is not None:
                    self._sftp.fsetstat(handle, Attributes(mode=mode))
            self._sftp.shut(handle)
        except NetsshError as error:
            error.effect = "possible"
            error.message += f"; up to {source.size} bytes may have been added to {path}"
            raise

    def mkdir(self, path: str, mode: int | None, *, parents: bool) -> Written:
        """See `RemoteFiles`."""
        made = self._parents(parent(path), Write(make_dirs=parents))
        there = self._there(path)
        if there is not None and there.type != "folder":
            raise FileRefused(f"{path} is a {there.type} already", device=self._device, hint="stat shows what it is.")
        with self._named(path):
            if there is None:
                self._sftp.mkdir(path.encode())
            if mode is not None and (there is None or there.permissions != mode):
                self._sftp.setstat(path.encode(), Attributes(mode=mode))
        now = self.facts(path)
        changed = there is None or there.permissions != now.permissions
        return Written(now, "", changed=changed, created=there is None, made=made)

    def _parents(self, folder: str, how: Write) -> tuple[str, ...]:
        """The folders that had to be made, outermost first."""
        missing = []
        while how.make_dirs and folder != "/" and self._there(folder) is None:
            missing.append(folder)
            folder = parent(folder)
        missing.reverse()
        for each in missing:
            with self._named(each):
                self._sftp.mkdir(each.encode())
        return tuple(missing)

    def delete(self, path: str, facts: Facts) -> None:
        """See `RemoteFiles`."""
        if facts.type != "folder":
            with self._named(path):
                self._sftp.remove(path.encode())
            return
        try:
            with self._named(path):
                self._sftp.rmdir(path.encode())
        except SftpRefused as error:
            with contextlib.closing(self._sftp.names(path.encode())) as names:
                if next(names, None) is None:
                    raise
            raise not_empty(path, self._device) from error

    # -- errors --------------------------------------------------------------------------------------------------------

    def _there(self, path: str) -> Facts | None:
        try:
            return self.facts(path)
        except NotThere:
            return None

    @contextmanager
    def _named(self, path: str, what: str = "") -> Iterator[None]:
        """Statuses become errors that name the path."""
        try:
            yield
        except SftpRefused as error:
            if error.code == m.NO_SUCH_FILE:
                raise not_there(path, self._device) from error
            if error.code == m.PERMISSION_DENIED:
                raise no_permission(path, self._device) from error
            error.message = f"{path}: {error.message}{f' ({what})' if what else ''}"
            raise

    @contextmanager
    def _filling(self, path: str) -> Iterator[None]:
        """SFTP has no status for a full disk: what stops a write is looked for."""
        try:
            yield
        except SftpRefused as error:
            room = self._sftp.room(parent(path).encode()) if error.code == m.FAILURE else None
            if room is not None and room < m.ROOM:
                raise no_room(path, room, self._device) from error
            raise


def _say_what_is_there(error: NetsshError, path: str, left: str, *, created: bool) -> None:
    """Until the last step the old file is untouched."""
    error.effect = "possible" if left else "none"
    error.message += f"; {'nothing was made' if created else f'{path} is as it was'}"


def _with_target(facts: Facts, target: str) -> Facts:
    return Facts(
        *(facts.name, facts.size, facts.mode, facts.uid, facts.gid, facts.owner, facts.group, facts.mtime), target
    )


def _text(name: bytes) -> str:
    """A name as it was sent; what is no UTF-8 stays recognisable, see `_raw`."""
    return name.decode("utf-8", "surrogateescape")


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _nowhere(_data: bytes) -> None:
    """What `cp` prints."""
