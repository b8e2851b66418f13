"""What was typed and shown in a kept session or a terminal, from `record` to `stop`, without secrets.

Held as it came, at most 4 MB each, and redacted when it is fetched: a secret may be known by then that was not before.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final, Literal

from netssh_mcp.errors import InputError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.shown import Partial
from netssh_mcp.wire.text import clean

Direction = Literal["in", "out"]
Form = Literal["text", "jsonl", "asciicast"]
FORMS: Final[tuple[Form, ...]] = ("text", "jsonl", "asciicast")

_MOST: Final = 4 << 20  # bytes of one transcript; what comes later is counted and left out
_KEPT: Final = 50  # stopped ones that can still be fetched
_PIECE: Final = 16_384  # bytes of output that are redacted as one; a transcript has 256 of them at most
_PAUSE: Final = 1.0  # seconds of silence after which a new piece begins, so that a recording keeps its pace


@dataclass(slots=True)
class _Event:
    at: float  # seconds since the start
    direction: Direction
    data: bytes


@dataclass(slots=True)
class Transcript:
    """One recording. `profile` says how its device's text is redacted."""

    key: str
    profile: Profile
    width: int
    height: int
    started: float = field(default_factory=time.monotonic)
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    ended: float = 0.0
    size: int = 0
    left_out: int = 0
    events: list[_Event] = field(default_factory=list)

    def note(self, direction: Direction, data: bytes, at: float) -> None:
        """Bytes that went by; text of ours has newlines, a terminal's has what it sent."""
        if self.size + len(data) > _MOST:
            self.left_out += len(data)
            return
        self.size += len(data)
        last = self.events[-1] if self.events else None
        since = max(0.0, at - self.started)
        if (
            last is not None
            and last.direction == direction == "out"
            and len(last.data) + len(data) <= _PIECE
            and since - last.at < _PAUSE
        ):
            last.data += data
        else:
            self.events.append(_Event(since, direction, data))

    def facts(self) -> dict[str, object]:
        """What can be said of it without its text."""
        return {
            "recording": not self.ended,
            "started": self.began.isoformat(timespec="seconds"),
            "seconds": round((self.ended or time.monotonic()) - self.started, 1),
            "bytes": self.size,
            "left_out": self.left_out,
        }


class Transcripts:
    """All recordings of this process, by the key of their session. Safe from any thread: a reader notes in it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._lock = threading.Lock()
        self._running: dict[str, Transcript] = {}
        self._stopped: OrderedDict[str, Transcript] = OrderedDict()

    def recording(self, key: str) -> bool:
        """Whether this session is being recorded."""
        return key in self._running

    def start(self, key: str, profile: Profile, *, width: int = 80, height: int = 24) -> Transcript:
        """Begin. InputError when it is running already."""
        with self._lock:
            if key in self._running:
                raise InputError(f"{key} is being recorded already", hint="Stop it first, or fetch the transcript.")
            self._running[key] = Transcript(key, profile, width, height)
            return self._running[key]

    def note(self, key: str, direction: Direction, data: bytes, at: float | None = None) -> None:
        """Bytes that went by at `at` (monotonic, now if not given); nothing happens for what is not recorded."""
        if key not in self._running or not data:
            return
        with self._lock:
            if running := self._running.get(key):
                running.note(direction, data, time.monotonic() if at is None else at)

    def stop(self, key: str) -> Transcript:
        """End it; it can be fetched until 50 later ones have been stopped. InputError when it is not running."""
        with self._lock:
            running = self._running.pop(key, None)
            if running is None:
                raise InputError(f"{key} is not being recorded", hint="session(action='record') begins.")
            running.ended = time.monotonic()
            self._stopped.pop(key, None)
            self._stopped[key] = running
            while len(self._stopped) > _KEPT:
                self._stopped.popitem(last=False)
            return running

    def ended(self, key: str) -> None:
        """The session is gone: its recording stops with it."""
        if key in self._running:
            self.stop(key)

    def fetch(self, key: str, form: str) -> tuple[str, Transcript]:
        """The recording in this form, without secrets, and its facts; for a worker thread. InputError."""
        with self._lock:
            found = self._running.get(key) or self._stopped.get(key)
            if found is None:
                known = sorted({*self._running, *self._stopped})
                raise InputError(
                    f"there is no transcript of {key[:80]!r}; {did_you_mean(key[:80], known)}",
                    hint="session(action='record') begins one.",
                )
            events = [_Event(event.at, event.direction, event.data) for event in found.events]
        if form not in FORMS:
            raise InputError(f"there is no form {form[:20]!r}; {did_you_mean(form, FORMS)}")
        shown = self._shown(found.profile, events)
        if form == "text":
            return "".join(_as_text(shown)), found
        if form == "jsonl":
            return "".join(_as_lines(shown)), found
        return "".join(_as_cast(found, shown)), found

    def _shown(self, profile: Profile, events: list[_Event]) -> Iterator[tuple[float, Direction, str, bytes]]:
        """Each piece as text without secrets, and as bytes: the raw ones only where nothing was hidden in it."""
        partial = Partial(self._redactor, profile)
        whole = ""
        held = b""
        outs = sum(event.direction == "out" for event in events)
        for event in events:
            if event.direction == "in":
                text = partial.line(clean(event.data))
                yield event.at, "in", text, event.data if text == clean(event.data) else text.encode()
                continue
            raw = held + event.data
            outs -= 1
            end = _end(raw) if outs else len(raw)
            raw, held = raw[:end], raw[end:]
            plain = clean(raw)
            whole = whole[-_CONTEXT:] + plain
            text, _ = partial.new(whole, len(whole) - len(plain), len(whole), len(plain))
            if text or raw:
                yield event.at, "out", text, raw if text == plain else text.replace("\n", "\r\n").encode()


def _end(raw: bytes) -> int:
    """How much may be looked at alone: whole lines, as half a secret is no known one; of a screen, whole escapes."""
    end = raw.rfind(b"\n") + 1
    return raw.rfind(b"\x1b", end) if len(raw) - end > _SCREEN and raw.rfind(b"\x1b") > end else end


_SCREEN: Final = 4_096  # bytes without a newline: a program that paints, not a line
_CONTEXT: Final = 40_000  # characters before a piece in which a key or a table that it goes on with may have begun


def _as_text(shown: Iterator[tuple[float, Direction, str, bytes]]) -> Iterator[str]:
    """What was shown, and behind `> ` what was typed, which a terminal shows once more."""
    for _, direction, text, _ in shown:
        yield text if direction == "out" else "".join(f"> {line}\n" for line in text.splitlines())


def _as_lines(shown: Iterator[tuple[float, Direction, str, bytes]]) -> Iterator[str]:
    for at, direction, text, _ in shown:
        yield json.dumps({"at": round(at, 3), "direction": direction, "text": text}, ensure_ascii=False) + "\n"


def _as_cast(found: Transcript, shown: Iterator[tuple[float, Direction, str, bytes]]) -> Iterator[str]:
    """asciicast v2: a header, then [seconds, "o" or "i", text] (docs.asciinema.org, asciicast v2)."""
    header = {
        "version": 2,
        "width": found.width,
        "height": found.height,
        "timestamp": int(found.began.timestamp()),
        "title": found.key,
        "env": {"TERM": "xterm-256color"},
    }
    yield json.dumps(header) + "\n"
    for at, direction, _, raw in shown:
        text = raw.decode("utf-8", "replace")
        if direction == "out":
            text = text if "\r\n" in text else text.replace("\n", "\r\n")
        yield json.dumps([round(at, 6), direction[0], text], ensure_ascii=False) + "\n"
