"""Ask a device's own `?` what may be typed. Nothing is executed: the line is never ended, and proven empty again.

For a person who checks a profile's tables (`netssh-mcp harvest`); no tool reaches this.
"""

from __future__ import annotations

import re
import time

from netssh_mcp.errors import InputError, PromptNotFound
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.questions import question
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.turn import Turn

_BEGINNING = re.compile(r"(?:[A-Za-z0-9][\w\-]*(?: [\w\-./:]+)*(?: \|)? )?")
_ERASE = b"\x15"  # Ctrl-U: the line that is being typed; where it is not known, the backspaces behind it do it
_LONGEST = 1 << 20


def help_text(reader: Reader, profile: Profile, prompt: Prompt, typed: str, *, deadline: float, turn: Turn) -> str:
    """What the device shows for `typed` and a question mark; "" or words that end with a space. Pages are turned.

    PromptNotFound when the line could not be proven empty again: the caller closes the session then, since what stands
    in the device's line buffer would be glued to the next command.
    """
    if not _BEGINNING.fullmatch(typed):
        raise InputError("help is asked for plain words that end with a space", hint="For example 'show '.")
    reader.write(typed.encode() + b"?")
    raw = _until(reader, profile, prompt.line + typed, deadline, turn)
    shown = clean(bytes(raw))
    if typed:
        reader.write(_ERASE + b"\x08" * len(typed))
        _until(reader, profile, prompt.line, deadline, turn, begin=prompt.line + typed)
    first, *lines = shown.split("\n")
    if not first.startswith(typed or "?"):  # the echo of what was typed
        lines.insert(0, first)
    return "\n".join(line.rstrip() for line in lines[:-1] if not line.startswith(prompt.line))


def _erased(raw: bytes, width: int) -> bytes:
    """Readline erases by an escape sequence; as blanks and the way back it reads like what other editors send."""
    return raw.replace(b"\x1b[K", b" " * width + b"\x08" * width)


def _until(reader: Reader, profile: Profile, end: str, deadline: float, turn: Turn, *, begin: str = "") -> bytearray:
    """All that comes until the last line is `end` and nothing follows it for a moment."""
    raw = bytearray(begin.encode())
    while time.monotonic() < deadline and not turn.cancelled and len(raw) < _LONGEST:
        raw += reader.take()
        line = last_line(clean(_erased(bytes(raw[-4096:]), len(end))))
        if line.rstrip() == end.rstrip() and reader.quiet() >= profile.quiet and len(raw) > len(begin):
            return raw
        if question(profile, line) == "pager" and reader.quiet() >= profile.quiet:
            raw += b"\n"  # what the pager's own erasing would take back
            reader.write(profile.pager.next.encode())
        reader.wait(profile.quiet)
    raise PromptNotFound(
        "the device's help did not end with the line that was typed",
        device=reader.device,
        effect="none",
        partial=clean(bytes(raw[-4096:])),
        hint="Nothing was executed; the session is closed. Ask `?` on the device by hand.",
    )
