"""What is asked of a host's files, and how it is answered: the same by SFTP and by commands under sudo."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from netssh_mcp.errors import FileRefused
from netssh_mcp.wire.following import Follower
from netssh_mcp.wire.sftp import Meter
from netssh_mcp.wire.sftp_messages import Buffer

FileType = Literal["file", "folder", "link", "fifo", "socket", "character device", "block device", "other"]

_TYPES: Final[dict[int, FileType]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
MOST_NAMES: Final = 100_000  # of one folder
LONGEST: Final = 4096  # characters of a path: PATH_MAX
SYNCED: Final = 8 << 20  # bytes: what is longer is not synced to disk, as `sftp` and `cp` do not either


class NotThere(FileRefused):
    """There is no such file or folder."""


class NoPermission(FileRefused):
    """The user of this login may not; another one might, by sudo."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one file, a link's own. `mode` has the type's bits; `owner` and `group` are names where they are known."""

    name: str
    size: int
    mode: int
    uid: int
    gid: int
    owner: str
    group: str
    mtime: int
    target: str = ""

    @property
    def type(self) -> FileType:
        """What it is."""
        return _TYPES.get(stat.S_IFMT(self.mode), "other")

    @property
    def permissions(self) -> int:
        """The mode without the type."""
        return stat.S_IMODE(self.mode)


_USER: Final = re.compile(r"[\w.@\\-]{1,64}\$?")


def user_name(name: str, number: int) -> str:
    """What a host calls a user or a group, the number where that is no such name: it stands in what we say."""
    return name if _USER.fullmatch(name) else str(number)


def sound(real: str, asked: str, device: str) -> str:
    """A resolved path as the host gave it. FileRefused for one that is none, or that cannot be named here."""
    parts = real.split("/")[1:] if real != "/" else []
    if not real.startswith("/") or not real.isprintable() or len(real) > LONGEST or {"", ".", ".."} & set(parts):
        raise FileRefused(
            f"{asked} leads to what cannot be named here",
            device=device,
            line=real[:200].encode("utf-8", "backslashreplace").decode(),
            hint="Name the file itself, by an absolute path of printable characters.",
        )
    return real


class Source(Protocol):
    """What is to be written. Blocking."""

    size: int

    def read(self, size: int) -> bytes:
        """The next bytes, in order; b"" at the end."""

    def rewind(self) -> None:
        """From the start again."""

    def part(self, start: int, size: int) -> bytes:
        """What stands there; `read` goes on where it was."""

    def digest(self) -> str:
        """SHA-256 of the whole, in hex; reads it where that was not done yet. The position is the start afterwards."""


class Hashing:
    """A source that is read once, and the SHA-256 of what came of it."""

    def __init__(self, source: Source) -> None:
        self.size = 0  # so many bytes were read
        self._source = source
        self._hashed = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self._hashed.update(data)
        self.size += len(data)
        return data

    def digest(self) -> str:
        """Of what was read, in hex."""
        return self._hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Write:
    """How a file is to be written. `mode` None: that of the file that is there, else 0644."""

    mode: int | None = None
    append: bool = False
    overwrite: bool = True
    make_dirs: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What is there now. `sha256` is the host's own, "" where it does not tell one; `note` says what was not kept.

    `verified` is what was compared with what was sent: "" where something was added to what is not ours.
    """

    facts: Facts
    sha256: str
    changed: bool
    created: bool
    made: tuple[str, ...] = ()  # folders
    note: str = ""
    verified: Literal["sha256", "size", ""] = ""


class RemoteFiles(Protocol):
    """The files of one host, in one way. Blocking; one thread at a time. Paths are absolute.

    `left` is a temporary file that could not be removed again, "" where there is none.
    """

    left: str

    def login_folder(self) -> str:
        """Where relative paths begin."""

    def real(self, path: str) -> str:
        """With all links resolved; the last part need not exist. NotThere where a folder on the way does not."""

    def facts(self, path: str) -> Facts:
        """Of the file or link itself."""

    def names(self, path: str, *, hidden: bool) -> list[Facts]:
        """Of a folder, by name, MOST_NAMES at most; links have no target yet."""

    def targets(self, folder: str, links: list[str]) -> list[str]:
        """Where these links lead to."""

    def read(self, path: str, start: int, end: int, sink: Callable[[Buffer], object], meter: Meter) -> int:
        """The contents of a regular file from `start` to before `end`; the offset where they ended."""

    def follow(self, path: str, size: int) -> Follower:
        """The host's SHA-256 of a file that will have, or has, `size` bytes. Close it."""

    def write(self, path: str, source: Source, how: Write, meter: Meter) -> Written:
        """Write a file in one step, or append to it."""

    def mkdir(self, path: str, mode: int | None, *, parents: bool) -> Written:
        """A folder; `changed` False where it is one already."""

    def delete(self, path: str, facts: Facts) -> None:
        """A file, a link, or an empty folder."""

    def close(self) -> None:
        """Never waits for the host."""


def only_regular(facts: Facts, path: str, device: str) -> None:
    """Contents are read of and written to regular files: a device or a pipe would act, or never end."""
    if facts.type != "file":
        raise FileRefused(
            f"{path} is a {facts.type}, not a regular file",
            device=device,
            hint="list shows a folder, stat what it is." if facts.type == "folder" else "stat shows what it is.",
        )


def exists(path: str, device: str) -> FileRefused:
    """What `overwrite` false is told."""
    return FileRefused(
        f"{path} exists already, and is as it was",
        device=device,
        hint="With overwrite=true it is replaced; append=true adds to it.",
    )


def not_there(path: str, device: str) -> NotThere:
    """The file, or a folder on the way to it."""
    return NotThere(f"there is no {path}", device=device, hint="List the folder above it: get_file(action='list').")


def not_empty(path: str, device: str) -> FileRefused:
    """Folders are deleted one by one."""
    return FileRefused(
        f"{path} is not empty, and nothing is deleted recursively",
        device=device,
        hint="list it with hidden=true, and delete what is in it first.",
    )


def no_permission(path: str, device: str) -> NoPermission:
    """What sudo might do."""
    return NoPermission(
        f"the login user has no permission for {path}",
        device=device,
        hint="sudo=true does it as root, where the policy allows that.",
    )


def no_room(path: str, room: int, device: str) -> FileRefused:
    """The disk is full."""
    return FileRefused(
        f"no space is left for {path} ({room} bytes free)", device=device, hint="Free space there first: `df -h`."
    )


def parent(path: str) -> str:
    """The folder above an absolute path."""
    return path.rpartition("/")[0] or "/"


def inside(folder: str, name: str) -> str:
    """A name below a folder."""
    return f"{folder.rstrip('/')}/{name}"
