"""The record of what was decided and done: JSON lines in one file, each chained to the one before by SHA-256.

A decision is written before its command is sent; if it cannot be written, AuditError is raised and nothing is sent.
The chain shows any edit, insertion, reordering or deletion in the middle. What it cannot show alone is whole lines cut
from the end: keep `Verification.last_hash` elsewhere for that. Format: docs/audit.md. Secrets are never passed in.

A record is one `os.write` on O_APPEND under `flock`, so several processes may share a file: each continues from the
line that is last at that moment. Everything here blocks, for about 20 us a record.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from netssh_mcp.errors import AuditError, Effect
from netssh_mcp.model import CommandClass

Verdict = Literal["allow", "deny"]

GENESIS = "0" * 64  # what the first record of a chain has as `prev`
_SYNCED = frozenset({"change", "config", "shell"})  # on disk, not only in the page cache, before these are sent
_LOCK_SECONDS = 2.0  # a record holds the lock for microseconds: who waits longer waits for a stopped process


@dataclass(frozen=True, slots=True)
class Verification:
    """`records` that are whole and in their place; `first_bad_line` is 1-based, 0 when `ok`.

    `last_hash` is the hash of the last good record: whoever noted an earlier one can see that it is still there.
    """

    ok: bool
    records: int
    first_bad_line: int = 0
    reason: str = ""
    last_hash: str = GENESIS


class Audit:
    """One audit file, opened (and created, mode 0600) at once. Safe to share between threads. Raises AuditError."""

    def __init__(self, path: Path, *, session: str = "") -> None:
        self.path = path
        self.session = session or secrets.token_hex(8)  # this run of the server: monotonic times compare within it
        self._turn = threading.Lock()
        self._fd = -1
        self._end = 0  # size of the file after our last record, and the hash of the record that ends there
        self._last = GENESIS
        self._seq = 0
        with self._turn, self._blaming("none"):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()

    def close(self) -> None:
        """Further records open the file again."""
        with self._turn:
            self._release()

    def record_decision(
        self, *, device: str, command: str, command_class: CommandClass | str, verdict: Verdict, rule: str, **more: str
    ) -> str:
        """Before a command is sent, or refused. Returns the id that its outcome names. `more`: user, client, reason."""
        decision = secrets.token_hex(8)
        what = {"id": decision, "device": device, "command": command, "class": command_class, "verdict": verdict}
        self._append({"kind": "decision", **more, **what, "rule": rule}, "none", sync=command_class in _SYNCED)
        return decision

    def record_outcome(
        self, decision: str, *, outcome: str, received: int = 0, seconds: float = 0.0, error: str = ""
    ) -> None:
        """After the command: `outcome` "ok" or "error", bytes received, and the error's kind."""
        what = {"outcome": outcome, "bytes": received, "seconds": round(seconds, 6), "error": error}
        self._append({"kind": "outcome", "id": decision, **what}, "possible", sync=False)

    def record_event(self, event: str, **facts: str) -> None:
        """What is neither: the server starts or stops, a host key is learned, a policy is reloaded."""
        self._append({"kind": "event", **facts, "event": event}, "none", sync=False)

    def _append(self, facts: dict[str, object], effect: Effect, *, sync: bool) -> None:
        with self._turn, self._blaming(effect):
            self._follow()
            with self._locked():
                self._catch_up()
                self._write(facts)
                if sync:
                    os.fsync(self._fd)

    def _write(self, facts: dict[str, object]) -> None:
        """One record, one write. A write that came out short is taken back, so that no torn line stays."""
        now = {"time": datetime.now(timezone.utc).isoformat(), "mono": time.monotonic(), "session": self.session}
        line, digest = _seal({**facts, **now, "seq": self._seq + 1, "prev": self._last})
        written = os.write(self._fd, line)
        if written != len(line):
            os.ftruncate(self._fd, self._end)
            raise OSError(errno.ENOSPC, "only a part of the record could be written")
        self._end, self._last, self._seq = self._end + written, digest, self._seq + 1

    def _open(self) -> None:
        self._release()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self.path, flags, 0o600)
        facts = os.fstat(self._fd)
        if not stat.S_ISREG(facts.st_mode):
            self._release()
            raise OSError(errno.EINVAL, "not a regular file")
        if facts.st_mode & 0o077:
            os.fchmod(self._fd, 0o600)
        self._end = 0
        with self._locked():
            self._catch_up()

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _follow(self) -> None:
        """Open again if the path is another file by now (log rotation) or none; the chain goes on in the new file."""
        if self._fd >= 0:
            ours = os.fstat(self._fd)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self.path, follow_symlinks=False)  # noqa: PTH116 - 2 us, Path.stat is 4
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
        last, seq = self._last, self._seq
        self._open()
        if self._end == 0 and seq:
            self._last, self._seq = last, seq
            with self._locked():
                self._continue("the file before was moved or removed")

    def _continue(self, reason: str) -> None:
        self._write({"kind": "event", "event": "continued", "reason": reason})

    def _catch_up(self) -> None:
        """With the lock held: find the record that ours follows, where others wrote since, or a write was torn.

        A file that became shorter under us is not followed: our next record names the hash we knew, so the chain
        shows the gap.
        """
        size = os.fstat(self._fd).st_size
        if size == self._end:
            return
        tail = self._tail(size)
        whole, newline, torn = tail.rpartition(b"\n")
        shrunk = size < self._end
        if newline and not shrunk:
            self._last, self._seq = _parse_last(whole.rpartition(b"\n")[2])
        if torn:
            os.ftruncate(self._fd, size - len(torn))
        self._end = size - len(torn)
        if torn:
            self._write({"kind": "event", "event": "repaired", "reason": f"torn line of {len(torn)} bytes taken away"})
        elif shrunk and not size:
            self._continue("the file was emptied")

    def _tail(self, size: int) -> bytes:
        """The end of the file, with its last whole line in it."""
        length = 4096
        while True:
            tail = os.pread(self._fd, length, max(0, size - length))
            if length >= size or tail.count(b"\n") >= 2:
                return tail
            length *= 4

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OSError(errno.EAGAIN, f"another process has held its lock for {_LOCK_SECONDS:g} s") from None
                time.sleep(0.0005)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _blaming(self, effect: Effect) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            sent = "the command was sent, its outcome is not on record" if effect == "possible" else "nothing was sent"
            raise AuditError(f"the audit file {self.path} cannot be written ({reason}); {sent}", effect=effect) from exc


def _canonical(record: dict[str, object]) -> str:
    """Keys sorted, no white space, ASCII only: a line break or an escape sequence in a value stays in its string."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _seal(record: dict[str, object]) -> tuple[bytes, str]:
    """The line, and its hash: SHA-256 over the canonical record without the hash, which then stands last."""
    body = _canonical(record)
    digest = hashlib.sha256(body.encode("ascii")).hexdigest()
    return f'{body[:-1]},"hash":"{digest}"}}\n'.encode("ascii"), digest


def _parse_last(line: bytes) -> tuple[str, int]:
    """Hash and number of the file's last record; ValueError if that line is none."""
    record = _unseal(line)
    if isinstance(record, str):
        raise ValueError(f"its last line is not a record: {record}; move the file away, or run `audit verify`")  # noqa: TRY004
    return str(record["hash"]), int(str(record["seq"]))


def _unseal(line: bytes) -> dict[str, object] | str:
    """The record of one line, or why it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int):
        return "it is not an audit record"
    sealed = record.pop("hash", None)
    try:
        again, digest = _seal(record)
    except (ValueError, RecursionError):
        return "it is not an audit record"
    if again != line + b"\n" or sealed != digest:
        return "its hash does not fit its content: it was edited"
    return {**record, "hash": digest}


def verify(path: Path) -> Verification:
    """Read the whole file and check every record and its place. Raises AuditError only if it cannot be read."""
    records, last = 0, GENESIS
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                record = _unseal(line.removesuffix(b"\n")) if line.endswith(b"\n") else "the line is incomplete"
                if not isinstance(record, str) and record["prev"] != last and not _starts(record, number):
                    record = "it does not follow the line before: something was deleted, inserted or moved here"
                if isinstance(record, str):
                    return Verification(False, records, number, record, last)
                records, last = records + 1, str(record["hash"])
    except OSError as exc:
        raise AuditError(f"the audit file {path} cannot be read ({exc.strerror})", hint="Check path and mode.") from exc
    return Verification(True, records, 0, "", last)


def _starts(record: dict[str, object], number: int) -> bool:
    """A file that continues another one's chain (log rotation) says so in its first record."""
    return number == 1 and record.get("event") == "continued"
