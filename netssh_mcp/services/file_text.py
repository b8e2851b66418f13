"""File contents as text, and text as contents: encodings, what is no text, and what must not be shown."""

from __future__ import annotations

import codecs
import hashlib
import string
from dataclasses import dataclass

from netssh_mcp.errors import FileRefused, InputError, NetsshError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.shown import Partial

MOST = 2 << 20  # bytes of text in one answer, and of one `write`
CONTEXT = 64 << 10  # bytes before an offset that are looked at, so that a secret is known by what stands before it
_MARK = "<redacted:"
_WIDE = ("utf-16", "utf-32")
_ASCII = (string.ascii_letters + string.digits + string.punctuation + " \n\t").encode("ascii")


@dataclass(frozen=True, slots=True)
class Text:
    """`text` None: it is binary. `size` bytes of the file are in it, `undecodable` of them shown as U+FFFD."""

    text: str | None
    size: int
    redacted: int = 0
    undecodable: int = 0


class BytesSource:
    """Contents in memory, to be written."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def rewind(self) -> None:
        """From the start again."""
        self._at = 0

    def part(self, start: int, size: int) -> bytes:
        """What stands there."""
        return self._data[start : start + size]

    def digest(self) -> str:
        """SHA-256."""
        return hashlib.sha256(self._data).hexdigest()


def encoded(content: str, encoding: str) -> bytes:
    """InputError where the encoding has no such character, or it is too long."""
    try:
        data = content.encode(encoding)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{encoding} has no character for {content[error.start]!a}, character {error.start} of `content`",
            hint="Use utf-8, or another text.",
        ) from error
    if len(data) > MOST:
        raise InputError(
            f"`content` has {len(data)} bytes; {MOST} are the most",
            hint="Put it into a file on this side and use action=upload.",
        )
    return data


def checked_encoding(name: str) -> str:
    """Its usual name. InputError for one that Python does not know, or that is for something else than text."""
    try:
        found = codecs.lookup(name).name
        "a".encode(found)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"there is no text encoding {name[:40]!r}", hint="utf-8, latin-1, cp1252, utf-16 and the like."
        ) from error
    return found


def decoded(
    data: bytes, context: int, encoding: str, *, more: bool, redactor: Redactor, profile: Profile, device: str
) -> Text:
    """What stands behind the first `context` bytes, without its secrets. `more`: the file goes on behind.

    FileRefused where an encoding would show secrets in another guise.
    """
    before, part = data[:context], data[context:]
    wide = encoding.startswith(_WIDE)
    if more and not wide and (end := part.rfind(b"\n")) >= 0:
        part = part[: end + 1]  # whole lines: half a line may hold half a secret
    if b"\0" in part and not wide:
        return Text(None, len(part))
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    try:
        text = decoder.decode(part, final=not more)
    except UnicodeError as error:  # UTF-16 without a mark, where that is needed
        raise FileRefused(f"the file is no {encoding}", device=device, hint="Read it as utf-8.") from error
    part = part[: len(part) - len(decoder.getstate()[0])] if more else part
    unknown = text.count("\ufffd") - part.count("\ufffd".encode())
    if unknown > max(8, len(text) // 10):
        return Text(None, len(part))
    if not _keeps_ascii(encoding):
        _nothing_hidden(before + part, redactor, profile, device)
    elif encoding != "utf-8" and not part.isascii():
        _nothing_else_hidden(before + part, encoding, redactor, profile, device)
    if not context:
        redacted = redactor.redact(text, profile)
        return Text(redacted.text, len(part), redacted.count, max(0, unknown))
    ahead = before.decode(encoding, "replace")
    shown, _ = Partial(redactor, profile).new(ahead + text, len(ahead), len(ahead) + len(text), len(text))
    return Text(shown, len(part), max(0, shown.count(_MARK) - text.count(_MARK)), max(0, unknown))


def _keeps_ascii(encoding: str) -> bool:
    return _ASCII.decode(encoding, "replace").encode("utf-8", "replace") == _ASCII


def _nothing_hidden(data: bytes, redactor: Redactor, profile: Profile, device: str) -> None:
    """ASCII that is read as UTF-16 or EBCDIC looks like something else, can be turned back, and is not redacted."""
    if any(redactor.redact(data.decode(usual, "replace"), profile).count for usual in ("latin-1", "utf-8")):
        raise _disguised(device)


def _nothing_else_hidden(data: bytes, encoding: str, redactor: Redactor, profile: Profile, device: str) -> None:
    """A secret with letters beyond ASCII, written as UTF-8 and read as Latin-1, is garbled, and not for good."""
    usual, asked = (redactor.redact(data.decode(each, "replace"), profile).count for each in ("utf-8", encoding))
    if usual > asked:
        raise _disguised(device)


def _disguised(device: str) -> FileRefused:
    return FileRefused(
        "in this encoding the file would show what has to stay hidden", device=device, hint="Read it as utf-8."
    )


def name_shown(name: str) -> str:
    """A name of a file on one line: control characters and what is no UTF-8 as escapes."""
    raw = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in raw)


def as_said(error: NetsshError, said: str, path: str) -> None:
    """What links lead to and where a login begins is the host's word: it stands in `line`, not in what we say."""
    folder = path.rpartition("/")[0]
    whole = (path, name_shown(path))
    for theirs in dict.fromkeys((*whole, folder, name_shown(folder))):
        if path != said and theirs and theirs in error.message and not said.startswith(theirs):
            ours = said if theirs in whole else f"the folder of {said}"
            error.message = error.message.replace(theirs, ours)
            error.line = error.line or name_shown(path)
