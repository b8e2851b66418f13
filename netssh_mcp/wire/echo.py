"""What a device's line editor made of the line that was typed: its echo, wrapped, redrawn, or cut by a log line."""

from __future__ import annotations

import re
from collections.abc import Iterable


def after_echo(raw: bytes, line: str) -> int | None:
    """Index in `raw` behind the device's echo of `line` and its newline, or None when `raw` does not start with it.

    Line editors wrap an echo at the terminal's width by CR LF, by space-CR, or redraw it with backspaces, so blanks,
    line ends, NULs and escapes are passed over on both sides, and only the visible characters are compared.
    """
    plain = line.encode()
    if raw.startswith(plain) and raw[len(plain) : len(plain) + 2] == b"\r\n":
        return len(plain) + 2
    wanted = [byte for byte in plain if byte not in b" \t"]
    position = 0
    matched = 0
    end = len(raw)
    while matched < len(wanted) and position < end:
        byte = raw[position]
        if byte == wanted[matched]:
            matched += 1
            position += 1
        elif byte == 0x0D and matched and raw[position - 1 : position + 2] == _doubled(wanted[matched - 1]):
            position += 2  # readline at the right edge: the character, CR, the same character again
        elif byte in b" \t\r\n\x00\x07" or byte == 0x08:
            position += 1
        elif byte == 0x1B and (escape := _ESCAPE_BYTES.match(raw, position)):
            position = escape.end()
        else:
            return None
    if matched < len(wanted):
        return None
    newline = raw.find(b"\n", position)
    if newline < 0 or _ECHO_REST.fullmatch(raw, position, newline + 1) is None:
        return None
    return newline + 1


def _doubled(byte: int) -> bytes:
    return bytes((byte, 0x0D, byte))


_ESCAPE_BYTES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()*+][0-9A-Za-z]|[=>78cDEHMNOZ])")
_ECHO_REST = re.compile(rb"(?:[ \r\x00\x07\x08]|\x1b\[[0-?]*[ -/]*[@-~])*\n")


_PROOF = re.compile(r"[^\w\s]\d{16}")


def search_echo(text: str, line: str, prompt: str, log_line: str, events: list[str]) -> tuple[str, bool]:
    """The echo was not the first thing: log lines before or in it, or a prompt drawn anew."""
    lines = text.split("\n")
    for index, item in enumerate(lines[:20]):
        shown = item[len(prompt) :] if prompt and item.startswith(prompt) else item
        if _squeeze(shown) == _squeeze(line):
            events.extend(part for part in _before_echo(lines[:index], line, prompt) if part)
            return "\n".join(lines[index + 1 :]), True
        if is_proof(item.removeprefix(prompt)):
            continue  # the echo of an earlier proof was still on its way
        if not (item == "" or (log_line and re.match(log_line, item)) or _squeeze(line).startswith(_squeeze(shown))):
            break
    return _joined_echo(lines, line, log_line, events)


def _joined_echo(lines: list[str], line: str, log_line: str, events: list[str]) -> tuple[str, bool]:
    """A log line cut the echo in two: its first half, the log line, its second half."""
    wanted = _squeeze(line)
    for index, item in enumerate(lines[:6]):
        if log_line and re.match(log_line, item):
            events.append(item)
            continue
        shown = "" if is_proof(item) else _squeeze(item)
        if shown and wanted.startswith(shown):
            wanted = wanted[len(shown) :]
            if not wanted:
                return "\n".join(lines[index + 1 :]), True
        elif shown:
            break
    events.append("the echo of the command was not recognised; the text below may begin with it")
    return "\n".join(lines), False


def _before_echo(lines: Iterable[str], line: str, prompt: str) -> list[str]:
    """Lines before the echo, without what was echoed of the command before a log line came in between."""
    wanted = _squeeze(line)
    shown = ((item, item.removeprefix(prompt)) for item in lines)
    return [item for item, own in shown if item and not is_proof(own) and not wanted.startswith(_squeeze(own))]


def _squeeze(text: str) -> str:
    return "".join(text.split())


def is_proof(line: str) -> bool:
    """Whether this is one of our own nonces and nothing else."""
    return _PROOF.fullmatch(line) is not None


def incomplete_escape(raw: bytes | bytearray) -> bytes:
    """The start of an escape sequence at the end of `raw`, whose rest is still coming."""
    at = raw.rfind(b"\x1b", max(0, len(raw) - 32))
    return bytes(raw[at:]) if at >= 0 and _ESCAPE_BYTES.match(raw, at) is None else b""
