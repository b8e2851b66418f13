"""Results that are too long for one answer: cut to head and tail, kept whole for a while, readable in parts.

Everything is counted in lines, rows or matches, so that a number in a notice, in a grep and in `offset` is the same
thing. A line longer than a quarter of the cap is counted as several, so that no part is over the cap and the parts,
put together, are the text again, character for character. docs/parsing.md, "Long outputs".
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.parsing import query_rows
from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.model import Table
from netssh_mcp.services.excerpts import (
    Lines,
    Part,
    Span,
    cut_data,
    cut_rows,
    cut_text,
    ends,
    fold,
    grep_lines,
    json_size,
    window,
)

MIN_CAP = 2_000
MEMORY_CAP = 64 * 1024 * 1024
DISK_CAP = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """`shown` is within the cap; `total` is the whole text's length in characters. No id: nothing was cut."""

    shown: str
    truncated: bool
    output_id: str
    total: int


@dataclass(frozen=True, slots=True)
class KeptRows:
    """One of `table` and `data` as they may be shown; `total` counts rows (of data: its items). `notice` if cut."""

    table: Table | None
    data: object | None
    truncated: bool
    output_id: str
    total: int
    notice: str = ""


@dataclass(frozen=True, slots=True)
class _Whole:
    text: str
    table: Table | None
    data: object | None


@dataclass(frozen=True, slots=True)
class _Entry:
    device: str
    command: str
    expires: float
    size: int
    whole: _Whole | None  # None: it is in `file`
    file: Path | None = None


class Outputs:
    """The store, for all threads. `cap` in characters of one answer, memory and disk in bytes, `expiry` in seconds.

    Reading does not prolong a life. What does not fit in memory goes to files in `spill_dir` (its own 0700 folder in
    the temporary folder by default); what does not fit there either pushes out the oldest.
    """

    def __init__(
        self,
        cap: int = 20_000,
        memory_cap: int = MEMORY_CAP,
        expiry: float = 3600.0,
        spill_dir: Path | None = None,
        *,
        disk_cap: int = DISK_CAP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if cap < MIN_CAP:
            raise InputError(f"an answer's cap of {cap} characters is too small; {MIN_CAP} is the least")
        self.cap, self.memory_cap, self.expiry, self.disk_cap = cap, memory_cap, expiry, disk_cap
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._gone: dict[str, str] = {}  # id -> why, for the last thousand
        self._dir = spill_dir
        self._own_dir = spill_dir is None

    def keep(
        self,
        text: str,
        *,
        device: str,
        command: str,
        table: Table | None = None,
        data: object | None = None,
        cap: int = 0,
    ) -> Kept:
        """The text as it may be shown. Over the cap (`cap` is a smaller one): head, notice, tail; the whole kept."""
        cap = cap or self.cap
        text = visible(text)
        if len(text) <= cap:
            return Kept(text, False, "", len(text))
        output_id = self._store(device, command, _Whole(text, table, data))
        shown = cut_text(text, ends(text, self.cap), cap, self._read_on(output_id))
        return Kept(shown, True, output_id, len(text))

    def keep_rows(self, table: Table, *, device: str, command: str, text: str = "", cap: int = 0) -> KeptRows:
        """The table as it may be shown: its first rows if all are over the cap. `text` is what it was parsed from."""
        shown = cut_rows(table, cap or self.cap)
        total = len(table.rows)
        if len(shown.rows) == total:
            return KeptRows(table, None, False, "", total)
        output_id = self._store(device, command, _Whole(visible(text), table, None))
        left = f"{total - len(shown.rows)} of {total} rows are left out here; "
        notice = left + self._read_on(output_id).format(offset=len(shown.rows)) + ", query=... selects"
        return KeptRows(shown, None, True, output_id, total, notice)

    def keep_data(self, data: object, *, device: str, command: str, text: str = "", cap: int = 0) -> KeptRows:
        """The device's JSON as it may be shown: cut at the depth where it becomes too long, still valid data."""
        total = len(data) if isinstance(data, (dict, list)) else 1
        if json_size(data) <= (cap or self.cap):
            return KeptRows(None, data, False, "", total)
        output_id = self._store(device, command, _Whole(visible(text) or json.dumps(data, indent=1), None, data))
        shown, where = cut_data(data, cap or self.cap)
        notice = f"cut at {where}; " + self._read_on(output_id).format(offset=0) + ", query=... selects"
        return KeptRows(None, shown, True, output_id, total, notice)

    def _read_on(self, output_id: str) -> str:
        if not output_id:
            return "the rest could not be kept: no room in memory or on disk"
        minutes = max(1, round(self.expiry / 60))
        call = f'read_output(output_id="{output_id}", offset={{offset}})'
        return f"kept for {minutes} min: {call} goes on, grep=... searches"

    def read(
        self, output_id: str, *, offset: int = 0, limit: int = 0, grep: str = "", context: int = 0, query: str = ""
    ) -> dict[str, object]:
        """A part of a kept output, within the cap.

        `offset` units are skipped and at most `limit` given (0: what fits); a negative `offset` counts from the end.
        The unit is a row where the output is a table, else a line; with `grep` (a regex on the device's text) a
        matching line, shown with `context` lines around it; with `query` (JMESPath) an item of its result.
        `next_offset` goes on from here; None at the end.
        """
        if limit < 0 or context < 0:
            raise InputError("limit and context cannot be negative", hint="A negative offset counts from the end.")
        if grep and query:
            raise InputError("grep and query cannot be combined", hint="grep searches the text, query the rows.")
        entry, whole = self._load(output_id)
        head: dict[str, object] = {"output_id": output_id, "device": entry.device, "command": entry.command[:200]}
        span = Span(offset, limit, self.cap - json_size(head) - 300)  # the answer itself stays within the cap
        return {**head, **self._part(whole, span, grep=grep, context=context, query=query).answer()}

    def _part(self, whole: _Whole, span: Span, *, grep: str, context: int, query: str) -> Part:
        if query:
            if whole.table is None and whole.data is None:
                raise InputError("this output is text without rows", hint="Use grep, or offset and limit.")
            return window(query_rows(whole.data if whole.table is None else whole.table, query), span)
        if grep:
            text = whole.text or "\n".join(json.dumps(row, ensure_ascii=False) for row in _rows(whole.table))
            return grep_lines(fold(text, self.cap), grep, context, span)
        if whole.table is not None:
            return window(whole.table, span)
        return window(Lines(fold(whole.text, self.cap)), span)

    def close(self) -> None:
        """Forget everything; the files go too."""
        with self._lock:
            for output_id in list(self._entries):
                self._drop(output_id, "the server closed it")
            if self._own_dir and self._dir:
                shutil.rmtree(self._dir, ignore_errors=True)
                self._dir = None

    def _load(self, output_id: str) -> tuple[_Entry, _Whole]:
        with self._lock:
            self._sweep()
            entry = self._entries.get(output_id)
            if entry is None:
                why = self._gone.get(output_id, "no output has this id")
                raise InputError(
                    f"there is no output {output_id[:64]!r}: {why}",
                    hint="Run the command again; a result over the cap comes with a new output_id.",
                )
            if entry.whole is not None:
                return entry, entry.whole
            assert entry.file is not None
            try:
                stored = json.loads(entry.file.read_text(encoding="utf-8", errors="surrogatepass"))
            except OSError as exc:
                self._drop(output_id, f"its file could not be read ({exc.strerror})")
                raise InputError(
                    f"there is no output {output_id!r} any more: {self._gone[output_id]}", hint="Run the command again."
                ) from exc
        columns, rows = stored["table"] or ((), ())
        table = Table(tuple(columns), tuple(tuple(row) for row in rows)) if stored["table"] else None
        return entry, _Whole(stored["text"], table, stored["data"])

    def _store(self, device: str, command: str, whole: _Whole) -> str:
        """The new id; "" when there is no room even without all the others."""
        output_id = "o" + secrets.token_hex(16)
        size = len(whole.text) + _size(whole)
        entry = _Entry(device, command, self._clock() + self.expiry, size, whole)
        with self._lock:
            self._sweep()
            if self._held(in_memory=True) + size > self.memory_cap:
                spilled = self._spill(output_id, entry)
                if spilled is None and size <= self.memory_cap:
                    while self._held(in_memory=True) + size > self.memory_cap:
                        self._drop(
                            next(i for i, e in self._entries.items() if e.whole), "newer outputs needed its room"
                        )
                elif spilled is None:
                    return ""
                entry = spilled or entry
            self._entries[output_id] = entry
        return output_id

    def _held(self, *, in_memory: bool) -> int:
        return sum(entry.size for entry in self._entries.values() if (entry.whole is not None) == in_memory)

    def _spill(self, output_id: str, entry: _Entry) -> _Entry | None:
        """The entry with its content in a file; None when it cannot be written."""
        assert entry.whole is not None
        table = [entry.whole.table.columns, entry.whole.table.rows] if entry.whole.table else None
        body = json.dumps({"text": entry.whole.text, "table": table, "data": entry.whole.data}).encode("ascii")
        while self._held(in_memory=False) + len(body) > self.disk_cap:
            oldest = next((i for i, e in self._entries.items() if e.whole is None), None)
            if oldest is None:
                return None
            self._drop(oldest, "newer outputs needed its room")
        file: Path | None = None
        try:
            file = self._spill_dir() / output_id
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(body)
        except OSError:
            if file is not None:
                _unlink(file)
            return None
        return replace(entry, whole=None, file=file, size=len(body))

    def _spill_dir(self) -> Path:
        """The folder for files: ours alone. A given one is created, or must be ours and closed to others."""
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="netssh-mcp-"))
        else:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = self._dir.lstat()
            if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or not self._dir.is_dir():
                raise PermissionError(1, "the spill folder is not ours alone (mode 0700)")
        return self._dir

    def _sweep(self) -> None:
        now = self._clock()
        for output_id in [i for i, entry in self._entries.items() if entry.expires <= now]:
            self._drop(output_id, f"it expired; outputs are kept for {self.expiry / 60:g} min")

    def _drop(self, output_id: str, why: str) -> None:
        entry = self._entries.pop(output_id)
        if entry.file is not None:
            _unlink(entry.file)
        self._gone[output_id] = why
        while len(self._gone) > 1000:
            del self._gone[next(iter(self._gone))]


def _unlink(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _rows(table: Table | None) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows] if table else []


def _size(whole: _Whole) -> int:
    if whole.table is not None:
        return json_size([whole.table.columns, whole.table.rows])
    return 0 if whole.data is None else json_size(whole.data)
