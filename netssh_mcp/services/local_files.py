"""Files on this side, below the folders that the operator has opened, and nothing else of this machine.

A path is walked folder by folder with O_NOFOLLOW from an open root, so no link on the way is followed, not even one
that is put there meanwhile (openat(2), "Rationale for openat()"). Blocking; called in worker threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netssh_mcp.errors import InputError, TransferBroken
from netssh_mcp.knowledge.settings import Settings

_HOW = "The operator opens a folder with --allow-dir DIR or NETSSH_LOCAL_ROOTS=DIR."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CHUNK = 1 << 20
SYNCED = 8 << 20  # bytes: what is longer is not synced to disk, as `sftp` and `cp` do not either


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A path that was checked as far as its text goes."""

    root: Path
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.root.joinpath(*self.parts))


class LocalRoots:
    """The folders, and the server's own files, which stay closed even inside them."""

    def __init__(self, settings: Settings) -> None:
        self._roots = tuple(settings.local_roots)
        single = (settings.policy, settings.audit, settings.ssh_config, settings.env_file, settings.edit_hosts)
        self._own = (*settings.inventory, *settings.known_hosts, *(path for path in single if path is not None))
        folders = (settings.spill, settings.profiles, settings.templates)
        self._own_folders = tuple(path for path in folders if path is not None)

    def source(self, path: str) -> LocalSource:
        """A file to be uploaded; it is open from here on. InputError."""
        return LocalSource(self._checked(path), self)

    def target(self, path: str, *, overwrite: bool) -> LocalTarget:
        """Where a download goes; nothing is made yet. InputError."""
        return LocalTarget(self._checked(path), self, overwrite=overwrite)

    def _checked(self, text: str) -> LocalPath:
        if not self._roots:
            raise InputError("no folder on this side is open for transfers", hint=_HOW)
        roots = ", ".join(map(str, self._roots))
        if not text:
            raise InputError("`local_path` is missing", hint=f"An absolute path below {roots}.")
        if any(not char.isprintable() for char in text):
            raise InputError("`local_path` has control characters", hint="Name the file with printable characters.")
        if not text.startswith("/"):
            what = "`~` is not expanded" if text.startswith("~") else "it is not absolute"
            raise InputError(f"`local_path` {text[:200]!r}: {what}", hint=f"An absolute path below {roots}.")
        if ".." in text.split("/"):
            raise InputError(f"`local_path` {text[:200]!r} has `..` in it", hint="Write the path without it.")
        parts = tuple(part for part in text.split("/") if part not in ("", "."))
        for root in sorted(self._roots, key=lambda each: len(each.parts), reverse=True):
            above = root.parts[1:]
            if parts[: len(above)] == above and len(parts) > len(above):
                return LocalPath(root, parts[len(above) :])
        raise InputError(f"{text[:200]!r} is in no folder that is open for transfers", hint=f"Open are: {roots}.")

    @contextmanager
    def folder(self, path: LocalPath, *, make: bool) -> Iterator[int]:
        """The folder of the file, open."""
        with contextlib.ExitStack() as held:
            try:
                at = os.open(path.root, _FOLDER)
            except OSError as error:
                raise InputError(f"the folder {path.root} cannot be opened: {error.strerror}", hint=_HOW) from error
            held.callback(os.close, at)
            for part in path.parts[:-1]:
                at = _below(at, part, path, make=make)
                held.callback(os.close, at)
                self._not_ours_below(at, path)
            self._not_ours_below(at, path)
            yield at

    def _not_ours_below(self, folder: int, path: LocalPath) -> None:
        if _is_one_of(os.fstat(folder), self._own_folders):
            raise _ours(path)

    def not_ours(self, facts: os.stat_result, path: LocalPath) -> None:
        """The inventory, the policy, what they say stays closed: a transfer would read secrets or make rules."""
        if _is_one_of(facts, self._own):
            raise _ours(path)

    def not_named_ours(self, folder: int, path: LocalPath) -> None:
        """The same for a file of ours that does not exist at the moment."""
        for each in self._own:
            if each.name == path.parts[-1] and _is_one_of(os.fstat(folder), (each.parent,)):
                raise _ours(path)


class LocalSource:
    """A regular file, read from its start. `size` is as it was when it was opened."""

    def __init__(self, path: LocalPath, roots: LocalRoots) -> None:
        self.path = path
        self._digest = ""
        with roots.folder(path, make=False) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: a FIFO would wait
            try:
                descriptor = os.open(path.parts[-1], flags, dir_fd=folder)
            except OSError as error:
                raise _refused(error, path) from error
        try:
            facts = os.fstat(descriptor)
            _only_regular(facts, path)
            roots.not_ours(facts, path)
        except InputError:
            os.close(descriptor)
            raise
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.size = facts.st_size

    def read(self, size: int) -> bytes:
        """The next bytes."""
        return self._file.read(size) or b""

    def rewind(self) -> None:
        """From the start again."""
        self._file.seek(0)

    def part(self, start: int, size: int) -> bytes:
        """What stands there."""
        return os.pread(self._file.fileno(), size, start)

    def digest(self) -> str:
        """SHA-256; the position is the start afterwards."""
        if not self._digest:
            hashed = hashlib.sha256()
            self.rewind()
            while data := self.read(_CHUNK):
                hashed.update(data)
            self._digest = hashed.hexdigest()
            self.rewind()
        return self._digest

    def close(self) -> None:
        """Done with it."""
        self._file.close()


class LocalTarget:
    """A file that appears whole or not at all, mode 0600."""

    def __init__(self, path: LocalPath, roots: LocalRoots, *, overwrite: bool) -> None:
        self.path = path
        self._roots, self._overwrite = roots, overwrite
        self._size = 0
        self._held = contextlib.ExitStack()
        self._folder = self._descriptor = -1
        self._aside = ""

    def begin(self) -> None:
        """The temporary file, beside where it will be; missing folders are made."""
        self._folder = self._held.enter_context(self._roots.folder(self.path, make=True))
        try:
            self._look()
            self._aside = f".netssh-{secrets.token_hex(8)}.part"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._aside, flags, 0o600, dir_fd=self._folder)
        except OSError as error:
            self.abort()
            raise _refused(error, self.path) from error
        except InputError:
            self.abort()
            raise

    def _look(self) -> None:
        """What is there now may be replaced: a regular file with one name, if at all."""
        self._roots.not_named_ours(self._folder, self.path)
        try:
            facts = os.stat(self.path.parts[-1], dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        self._roots.not_ours(facts, self.path)
        _only_regular(facts, self.path)
        if not self._overwrite:
            raise _there_already(self.path)
        if facts.st_nlink > 1:
            raise InputError(f"{self.path} has other names too (hard links)", hint="Choose another name.")

    def write(self, data: bytes | memoryview) -> None:
        """All of it, or TransferBroken."""
        view = memoryview(data)
        self._size += len(view)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise TransferBroken(
                f"{self.path} cannot be written here: {error.strerror}",
                effect="none",
                hint="Free space on this side, or choose another folder.",
            ) from error

    def finish(self) -> None:
        """Under its name in one step; on disk where it is short. What came to be there meanwhile is looked at again."""
        synced = self._size <= SYNCED
        try:
            if synced:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._look()
            if self._overwrite:
                os.rename(self._aside, self.path.parts[-1], src_dir_fd=self._folder, dst_dir_fd=self._folder)
            else:
                self._take_free_place()
            self._aside = ""
            if synced:
                os.fsync(self._folder)
        except OSError as error:
            raise _refused(error, self.path) from error
        self._held.close()

    def _take_free_place(self) -> None:
        name = self.path.parts[-1]
        try:
            os.link(self._aside, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
            os.unlink(self._aside, dir_fd=self._folder)
        except FileExistsError as error:
            raise _there_already(self.path) from error
        except PermissionError:  # a file system without hard links (FAT): the name is taken first
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o600, dir_fd=self._folder))
            os.rename(self._aside, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def abort(self) -> None:
        """Nothing is left but folders; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._aside:
            with contextlib.suppress(OSError):
                os.unlink(self._aside, dir_fd=self._folder)
            self._aside = ""
        self._held.close()


def _below(folder: int, name: str, path: LocalPath, *, make: bool) -> int:
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder)
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raise _refused(error, path) from error


def _refused(error: OSError, path: LocalPath) -> InputError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return InputError(f"there is a link on the way to {path}, or a file", hint="Links are not followed here.")
    if error.errno == errno.ENXIO:
        return InputError(f"{path} is not a regular file", hint="Name a regular file.")
    return InputError(f"{path} on this side: {error.strerror}", hint="Check the path and its permissions here.")


def _there_already(path: LocalPath) -> InputError:
    return InputError(f"{path} exists on this side, and is as it was", hint="overwrite=true replaces it.")


def _ours(path: LocalPath) -> InputError:
    return InputError(f"{path} is one of this server's own files", hint="They are neither sent nor overwritten.")


def _only_regular(facts: os.stat_result, path: LocalPath) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path} is not a regular file", hint="Links, folders, devices and pipes are refused.")


def _is_one_of(facts: os.stat_result, paths: Iterable[Path]) -> bool:
    for path in paths:
        with contextlib.suppress(OSError):
            if os.path.samestat(facts, path.stat()):
                return True
    return False
