"""What may be typed at a command that runs, and as which bytes. The caller types; the server never does.

Text is followed by Enter, names such as `<enter>` or `<ctrl-d>` are keys, and where the device reads one key it gets
exactly that.
"""

from __future__ import annotations

from typing import Final

from netssh_mcp.errors import InputError, PolicyError
from netssh_mcp.services.jobs import Row
from netssh_mcp.wire.questions import ONE_KEY, is_choice, one_line
from netssh_mcp.wire.terminal_keys import typed

SECRET: Final = frozenset({"password", "passphrase"})  # what is typed there is a secret from then on
SIGNALS: Final = ("HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2", "ALRM", "CONT", "STOP", "TSTP", "WINCH")


def asked(rows: list[Row], device: str) -> list[Row]:
    """The rows that an input is for: all that ask the same, or the one of `device`. InputError."""
    here = _of(rows, device)
    waiting = [row for row in here if row.state == "waiting"]
    if len({_kind(row) for row in waiting}) > 1:
        each = ", ".join(f"{row.device.name}: {row.turn.waiting}" for row in waiting[:10])
        raise InputError(f"the devices ask different things ({each})", hint="Name one of them with `device`.")
    if waiting:
        return waiting
    reading = [row for row in here if row.state == "running" and row.any_input and _linux(row)]
    if len(reading) > 1:
        raise InputError(
            "none of these commands asks anything that is known as a question",
            hint=f"Name one of them with `device`: {', '.join(row.device.name for row in reading[:10])}.",
        )
    if not reading:
        raise InputError("nothing of this job waits for input", hint="Input is taken only while the state is waiting.")
    return reading


def running(rows: list[Row], device: str) -> list[Row]:
    """The rows whose commands run now, those that ask something too. InputError when there are none."""
    found = [row for row in _of(rows, device) if row.state in ("running", "waiting")]
    if not found:
        raise InputError("nothing of this job runs now", hint="job(action='get') shows what became of it.")
    return found


def keys(row: Row, text: str) -> str:
    """What is typed for `text`. InputError when it does not fit the question, PolicyError when that is not reading."""
    reason = row.turn.waiting
    if reason == "pager" or not row.any_input:
        return _pager_key(row, text)
    sent = typed(text, enter=b"\n")
    if _linux(row):  # a program's own stdin: what it does not read reaches nobody
        return sent.decode()
    line = sent.removesuffix(b"\n").decode()
    if reason in ONE_KEY and len(line) > 1:
        raise _unfit(row, text, "one character is read here, without Enter", "Give it, y for example, or <enter>.")
    if reason in ONE_KEY:
        return line or "\n"
    if not one_line(sent):
        raise _unfit(row, text, "this is more than one line", "One answer per question; a key stands alone or last.")
    if reason == "yes_no" and line.isprintable() and not is_choice(row.turn.question, line.strip()):
        raise _unfit(row, text, "the question does not offer this", "Answer yes, no, or a word that it shows.")
    return sent.decode()


def signal_name(row: Row, text: str) -> str:
    """The signal's name without SIG. InputError, also where there are no signals."""
    if not _linux(row):
        raise InputError(
            "a network device knows no signals",
            device=row.device.name,
            hint="job(action='interrupt') types Ctrl-C, job(action='cancel') ends the job as well.",
        )
    name = text.strip().upper().removeprefix("SIG")
    if name not in SIGNALS:
        raise InputError(f"{text[:20]!r} is not a signal that can be sent", hint=f"One of: {', '.join(SIGNALS)}.")
    if not row.any_input and name != "INT":
        raise InputError(
            "`show` shares its shell with others, which a signal would end too",
            device=row.device.name,
            hint="job(action='interrupt') or job(action='cancel') stops the command.",
        )
    return name


def _of(rows: list[Row], device: str) -> list[Row]:
    if not device:
        return rows
    found = [row for row in rows if row.device.name == device]
    if not found:
        names = ", ".join(dict.fromkeys(row.device.name for row in rows[:10]))
        raise InputError(f"this job has no device {device[:60]!r}", hint=f"It has: {names}.")
    return found


def _kind(row: Row) -> tuple[str, str]:
    """Any `?` is "other": those are the same only where the words are."""
    return row.turn.waiting, row.turn.question if row.turn.waiting == "other" else ""


def _linux(row: Row) -> bool:
    return row.profile.driver == "linux"


def _unfit(row: Row, text: str, why: str, hint: str) -> InputError:
    shown = "the text" if row.turn.waiting in SECRET else repr(text[:20])
    return InputError(f"{shown} was not typed: {why}", device=row.device.name, line=row.question.strip(), hint=hint)


def _pager_key(row: Row, text: str) -> str:
    """In the read-only toolset a page prompt may be answered, and nothing else."""
    if row.turn.waiting != "pager":
        raise PolicyError(
            f"the device asks for something else than a page ({row.turn.waiting}); answering that is not reading",
            device=row.device.name,
            line=row.question.strip(),
            hint="job(action='cancel') interrupts the command.",
        )
    keys = {"": "\n", "\n": "\n", "enter": "\n", " ": row.profile.pager.next, "space": row.profile.pager.next}
    keys |= {"q": row.profile.pager.quit, "quit": row.profile.pager.quit}
    word = text if text in keys else text.strip().lower().removeprefix("<").removesuffix(">")
    if word not in keys:
        raise InputError(f"{text[:20]!r} is not a pager key", device=row.device.name, hint="One of: space, enter, q.")
    return keys[word]
