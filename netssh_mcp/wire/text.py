"""Terminal bytes to text: what a person would have read on the screen, as lines.

Linear in the input. The common case (plain text, CR LF) costs one pass over the bytes and one decode.
"""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST), charset selection and the two-byte escapes: ECMA-48 sections 5.3-5.6.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)|[()*+][0-9A-Za-z]|[=>78cDEHMNOZ])"
)
_LINE_ENDS = re.compile(r"\r+\n")
_INVISIBLE = {code: None for code in range(32) if chr(code) not in "\t\n\r\b"} | {127: None}


def clean(raw: bytes | bytearray | memoryview) -> str:
    """Decode as UTF-8 (a broken byte becomes U+FFFD), drop escapes and control characters, apply backspace and CR.

    Without escapes each line stands for itself: the text of a whole is the texts of its lines.
    """
    data = bytes(raw)
    kept = data.translate(None, _NOT_PLAIN)
    if len(data) - len(kept) == data.count(b"\r\n"):  # nothing but text and CR LF: half the time of replacing CR LF
        del data  # its place is the text's: long outputs come in parts, and holes between them would add up
        return str(kept, "utf-8", "replace")
    text = str(data, "utf-8", "replace")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    text = _LINE_ENDS.sub("\n", text.replace("\r\n", "\n"))
    if "\r" in text or "\b" in text:
        text = "\n".join(_overwrite(line) if "\b" in line or "\r" in line else line for line in text.split("\n"))
    return text.translate(_INVISIBLE)


_NOT_PLAIN = bytes(code for code in (*range(32), 127) if code not in b"\t\n")


def line_slices(raw: bytearray, size: int) -> list[tuple[int, int]]:
    """Bounds that cut `raw` right behind newlines into parts of at least `size` bytes, the last one too."""
    bounds, start = [], 0
    while len(raw) - start > 2 * size and (newline := raw.find(b"\n", start + size, len(raw) - size)) >= 0:
        bounds.append((start, newline + 1))
        start = newline + 1
    return [*bounds, (start, len(raw))]


def _overwrite(line: str) -> str:
    """One screen line with backspaces and carriage returns applied, as a terminal shows it."""
    # A carriage return in front of a line (FRR's pager, Junos) leaves nothing to overwrite.
    line = line.lstrip("\r")
    if "\b" not in line and "\r" not in line:
        return line
    cells: list[str] = []
    column = 0
    for char in line:
        if char == "\b":
            column = max(0, column - 1)
        elif char == "\r":
            column = 0
        else:
            if column < len(cells):
                cells[column] = char
            else:
                cells.append(char)
            column += 1
    # What erases a "--More--" is written as spaces: nothing of it remains at the line's end.
    return "".join(cells).rstrip(" ") if column < len(cells) else "".join(cells)


def last_line(text: str) -> str:
    """What stands after the last newline."""
    return text[text.rfind("\n") + 1 :]
