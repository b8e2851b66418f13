"""SFTP on a channel of a host's shared connection: what can be asked, with as many requests in flight as it takes.

Paramiko's own client waits for each answer when it reads, cannot be cancelled and knows no limit on silence. A request
is as long as the server allows (255 kB with OpenSSH, `limits@openssh.com`) and 4 MB are under way; docs/operate.md has
the figures.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from typing import Final

from netssh_mcp.wire import sftp_messages as m
from netssh_mcp.wire.sftp_channel import Exchange
from netssh_mcp.wire.sftp_messages import Attributes, Buffer, Cursor, Named, string

_IN_FLIGHT: Final = 4 << 20  # bytes asked for or sent and not yet answered
_ENTRIES: Final = 500_000  # of one listing
_FOLDER: Final = 64 << 20  # bytes of one listing: 100,000 names of the longest kind, twice


class Meter:
    """How far a transfer is, for other threads to read. Bytes; `total` 0 is not known. `follow` is told as well."""

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.follow: Callable[[int], object] | None = None

    def add(self, size: int) -> None:
        """So many bytes more."""
        self.done += size
        if self.follow is not None:
            self.follow(self.done)


class Sftp(Exchange):
    """The requests of version 3, and OpenSSH's extensions. SftpRefused is the server's no."""

    # -- single requests -------------------------------------------------------------------------------------------

    def realpath(self, path: bytes) -> bytes:
        """Absolute, links resolved; the last part need not exist."""
        return self._names(m.REALPATH, path)[0].name

    def readlink(self, path: bytes) -> bytes:
        """What a link says."""
        return self._names(m.READLINK, path)[0].name

    def stat(self, path: bytes) -> Attributes:
        """Of what a link leads to."""
        return self._attributes(m.STAT, path)

    def lstat(self, path: bytes) -> Attributes:
        """Of the link itself."""
        return self._attributes(m.LSTAT, path)

    def fstat(self, handle: bytes) -> Attributes:
        """Of an open file."""
        return self._attributes(m.FSTAT, handle)

    def open(self, path: bytes, flags: int, attributes: Attributes | None = None) -> bytes:
        """A handle. `attributes` are those of a new file."""
        body = string(path) + struct.pack(">I", flags) + (attributes or Attributes()).packed()
        return self._handle(m.OPEN, body)

    def shut(self, handle: bytes) -> None:
        """Close a handle."""
        self._done(m.CLOSE, string(handle))

    def shut_later(self, handle: bytes) -> None:
        """Close a handle that was only read from."""
        self.later(m.CLOSE, string(handle))

    def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Change owner, mode, size."""
        self._done(m.SETSTAT, string(path), attributes.packed())

    def fsetstat(self, handle: bytes, attributes: Attributes) -> None:
        """The same on an open file."""
        self._done(m.FSETSTAT, string(handle), attributes.packed())

    def fsync(self, handle: bytes) -> bool:
        """Have it on disk; False where the server cannot."""
        if m.FSYNC not in self.extensions:
            return False
        self._done(m.EXTENDED, string(m.FSYNC), string(handle))
        return True

    def remove(self, path: bytes) -> None:
        """A file or a link."""
        self._done(m.REMOVE, string(path))

    def rmdir(self, path: bytes) -> None:
        """An empty folder."""
        self._done(m.RMDIR, string(path))

    def mkdir(self, path: bytes, attributes: Attributes | None = None) -> None:
        """One folder."""
        self._done(m.MKDIR, string(path), (attributes or Attributes()).packed())

    def rename(self, old: bytes, new: bytes) -> None:
        """Refused where `new` exists: OpenSSH makes a hard link for it."""
        self._done(m.RENAME, string(old), string(new))

    def replace(self, old: bytes, new: bytes) -> None:
        """In one step, whether `new` exists or not. SftpRefused UNSUPPORTED where the server cannot."""
        self._done(m.EXTENDED, string(m.POSIX_RENAME), string(old), string(new))

    def room(self, path: bytes) -> int | None:
        """Bytes that may still be written on the file system of `path`; None where the server does not say."""
        if m.STATVFS not in self.extensions:
            return None
        kind, body = self.wait(self.ask(m.EXTENDED, string(m.STATVFS), string(path)))
        if kind != m.EXTENDED_REPLY:
            return None
        cursor = Cursor(body)
        cursor.long()
        unit, _blocks, _free, available = (cursor.long() for _ in range(4))
        return unit * available

    def owners(self, uids: Iterable[int], gids: Iterable[int]) -> tuple[dict[int, str], dict[int, str]]:
        """Names of users and of groups, as far as the server knows them."""
        if m.OWNERS not in self.extensions:
            return {}, {}
        users, groups = sorted(uids), sorted(gids)
        asked = (string(b"".join(struct.pack(">I", each) for each in ids)) for ids in (users, groups))
        kind, body = self.wait(self.ask(m.EXTENDED, string(m.OWNERS), *asked))
        if kind != m.EXTENDED_REPLY:
            return {}, {}
        cursor = Cursor(body)
        return _by_id(users, cursor.string()), _by_id(groups, cursor.string())

    def names(self, path: bytes) -> Generator[Named, None, None]:
        """All of a folder, unsorted, without `.` and `..`."""
        handle = self._handle(m.OPENDIR, string(path))
        came = seen = 0
        try:
            while True:
                kind, body = self.wait(self.ask(m.READDIR, string(handle)))
                if kind == m.STATUS and Cursor(body).number() == m.EOF:
                    return
                page = Cursor(self.expect(m.NAME, kind, body)).names()
                came += len(body)
                if not page or came > _FOLDER:
                    raise self.garbage()
                seen += len(page)
                if seen > _ENTRIES:
                    return
                for found in page:
                    if found.name not in (b".", b".."):
                        yield found
        finally:
            self.later(m.CLOSE, string(handle))

    # -- contents ----------------------------------------------------------------------------------------------------

    def read(self, handle: bytes, start: int, end: int, sink: Callable[[Buffer], object], meter: Meter) -> int:
        """What stands from `start` to before `end`, in order, to `sink`; the offset where it ended (end of file)."""
        asked: OrderedDict[int, tuple[int, int]] = OrderedDict()  # request -> offset, length
        early: dict[int, Buffer] = {}  # offset -> what came before its turn
        at = ahead = start
        try:
            while at < end:
                while ahead < end and ahead - at < _IN_FLIGHT:
                    size = min(self.most_read, end - ahead)
                    asked[self._ask_read(handle, ahead, size)] = (ahead, size)
                    ahead += size
                request = next(iter(asked))
                offset, size = asked.pop(request)
                data = self._data(*self.wait(request))
                if len(data) > size:
                    raise self.garbage()
                if not data:
                    end = min(end, offset)
                elif len(data) < size:  # OpenSSH: at the end only; a pipe, /proc: a page at a time
                    asked[self._ask_read(handle, offset + len(data), size - len(data))] = (
                        offset + len(data),
                        size - len(data),
                    )
                early[offset] = data
                while at in early and (piece := early.pop(at)):
                    sink(piece)
                    at += len(piece)
                    meter.add(len(piece))
        finally:
            self.forget(asked)
        return at

    def write(self, handle: bytes, start: int, source: Callable[[int], bytes], meter: Meter) -> int:
        """Everything that `source` gives, from `start` on; the offset behind it."""
        sent: OrderedDict[int, int] = OrderedDict()  # request -> length
        at, under_way = start, 0
        try:
            while data := source(self.most_written):
                sent[self.ask(m.WRITE, string(handle), struct.pack(">QI", at, len(data)), data)] = len(data)
                at += len(data)
                under_way += len(data)
                while sent and (under_way > _IN_FLIGHT or self.came(next(iter(sent)))):
                    under_way -= self._acknowledged(sent, meter)
            while sent:
                self._acknowledged(sent, meter)
        finally:
            self.forget(sent)
        return at

    def _acknowledged(self, sent: OrderedDict[int, int], meter: Meter) -> int:
        request, size = sent.popitem(last=False)
        self.expect(m.STATUS, *self.wait(request))
        meter.add(size)
        return size

    def _ask_read(self, handle: bytes, offset: int, size: int) -> int:
        return self.ask(m.READ, string(handle), struct.pack(">QI", offset, size))

    def _data(self, kind: int, body: Buffer) -> Buffer:
        """What a READ brought; b"" at the end of the file."""
        if kind == m.STATUS and Cursor(body).number() == m.EOF:
            return b""
        body = self.expect(m.DATA, kind, body)
        if len(body) < 4 or int.from_bytes(body[:4], "big") != len(body) - 4:
            raise self.garbage()
        return body[4:]

    def _names(self, kind: int, path: bytes) -> list[Named]:
        found = Cursor(self.expect(m.NAME, *self.wait(self.ask(kind, string(path))))).names()
        if not found:
            raise self.garbage()
        return found

    def _attributes(self, kind: int, what: bytes) -> Attributes:
        return Cursor(self.expect(m.ATTRS, *self.wait(self.ask(kind, string(what))))).attributes()

    def _handle(self, kind: int, body: bytes) -> bytes:
        return Cursor(self.expect(m.HANDLE, *self.wait(self.ask(kind, body)))).string()

    def _done(self, kind: int, *body: bytes) -> None:
        self.expect(m.STATUS, *self.wait(self.ask(kind, *body)))


def _by_id(ids: list[int], names: bytes) -> dict[int, str]:
    cursor = Cursor(names)
    return {each: cursor.string().decode("utf-8", "backslashreplace") for each in ids if cursor.more}
