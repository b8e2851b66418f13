"""The messages of SFTP version 3 (draft-ietf-secsh-filexfer-02), which OpenSSH speaks, as bytes and back. No I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from netssh_mcp.errors import TransferBroken

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR = range(1, 15)
RMDIR, REALPATH, STAT, RENAME, READLINK = range(15, 20)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = range(6)
UNSUPPORTED: Final = 8

FOR_READING, FOR_WRITING, APPENDING, CREATING, TRUNCATING, EXCLUSIVELY = 1, 2, 4, 8, 16, 32

# Extensions of OpenSSH's PROTOCOL file; a server names those that it has in its VERSION.
POSIX_RENAME: Final = b"posix-rename@openssh.com"  # replaces the target in one step
FSYNC: Final = b"fsync@openssh.com"
STATVFS: Final = b"statvfs@openssh.com"
OWNERS: Final = b"users-groups-by-id@openssh.com"
LIMITS: Final = b"limits@openssh.com"

ROOM: Final = 1 << 20  # bytes: with less free space than this, a failed write is one for want of it

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000


Buffer = bytes | memoryview  # contents are not copied more often than needed


@dataclass(frozen=True, slots=True)
class Attributes:
    """Of a file; None is what the server does not say, or what is not to be changed. Times are seconds since 1970."""

    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    mtime: int | None = None

    def packed(self) -> bytes:
        """As a message holds them; the access time goes with the other."""
        flags, out = 0, b""
        if self.size is not None:
            flags, out = flags | _SIZE, out + struct.pack(">Q", self.size)
        if self.uid is not None and self.gid is not None:
            flags, out = flags | _OWNER, out + struct.pack(">II", self.uid, self.gid)
        if self.mode is not None:
            flags, out = flags | _MODE, out + struct.pack(">I", self.mode)
        if self.mtime is not None:
            flags, out = flags | _TIMES, out + struct.pack(">II", self.mtime, self.mtime)
        return struct.pack(">I", flags) + out


@dataclass(frozen=True, slots=True)
class Named:
    """One name of a folder. `long` is the line of `ls -l` that OpenSSH sends along, with owner and group in words."""

    name: bytes
    long: bytes
    attributes: Attributes


def garbage(device: str = "") -> TransferBroken:
    """The error of a server that does not keep to the protocol."""
    return TransferBroken(
        "the host's SFTP server sent what is no SFTP",
        device=device,
        hint="Check what `Subsystem sftp` in its sshd_config names, and that no login script prints anything.",
    )


class Cursor:
    """Takes a message apart, from the front. TransferBroken when it is too short: the other side speaks no SFTP."""

    def __init__(self, body: Buffer) -> None:
        self._body = body
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._body)

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if self._at + size > len(self._body):
            raise garbage()
        self._at += size
        return bytes(self._body[self._at - size : self._at])

    def number(self) -> int:
        """32 bits."""
        return int.from_bytes(self.take(4), "big")

    def long(self) -> int:
        """64 bits."""
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        """A length and as many bytes."""
        return self.take(self.number())

    def attributes(self) -> Attributes:
        """ATTRS of the draft's section 5."""
        flags = self.number()
        size = self.long() if flags & _SIZE else None
        uid, gid = (self.number(), self.number()) if flags & _OWNER else (None, None)
        mode = self.number() if flags & _MODE else None
        mtime = (self.number(), self.number())[1] if flags & _TIMES else None
        for _ in range(self.number() if flags & _EXTENDED else 0):
            self.string(), self.string()
        return Attributes(size, uid, gid, mode, mtime)

    def names(self) -> list[Named]:
        """What NAME holds."""
        return [Named(self.string(), self.string(), self.attributes()) for _ in range(self.number())]


def string(value: bytes) -> bytes:
    """A string as a message holds it."""
    return struct.pack(">I", len(value)) + value


def framed(kind: int, request: int, *body: bytes) -> bytes:
    """A request with its number, ready to be sent."""
    return b"".join((struct.pack(">IBI", sum(map(len, body)) + 5, kind, request), *body))
