"""The words of an ssh_config line: how OpenSSH takes a line apart, its patterns, durations and hop lists."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Final

_BLANK: Final = " \t\r\n"
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HOP: Final = re.compile(r"(?:(?P<user>.+)@)?(?:\[(?P<address>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]+))?")
_HOST: Final = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]*")
_USER: Final = re.compile(r"[A-Za-z0-9_.+@\\][A-Za-z0-9_.+@\\-]*")


class SshSyntaxError(ValueError):
    """What is wrong with a value, for a message that names file, line and keyword."""


def first_word(line: str) -> tuple[str, str]:
    """Keyword and rest; one `=` may stand between them. ("", "") for an empty line."""
    text = line.rstrip(_BLANK + "\f").lstrip(_BLANK)
    match = re.match(r'"([^"]*)"|[^\s="]*', text)
    assert match is not None
    rest = text[match.end() :]
    return match[1] if match[1] is not None else match[0], re.sub(r"\A[ \t\r]*=?[ \t\r]*", "", rest, count=1)


def words(text: str, quotes: str = "\"'", blanks: str = _BLANK) -> list[str]:
    """Words with quotes and backslashes undone; a word that begins with # ends the line."""
    found: list[str] = []
    place = 0
    while place < len(text):
        if text[place] in blanks:
            place += 1
        elif text[place] == "#":
            break
        else:
            word, place = _word(text, place, quotes, blanks)
            found.append(word)
    return found


def _word(text: str, place: int, quotes: str, blanks: str) -> tuple[str, int]:
    word, quote = "", ""
    while place < len(text):
        here, following = text[place], text[place + 1 : place + 2]
        if here == "\\" and (following in ("\\", '"', "'") or (not quote and following == " ")) and following:
            word += following
            place += 1
        elif not quote and here in blanks:
            break
        elif not quote and here in quotes:
            quote = here
        elif quote and here == quote:
            quote = ""
        else:
            word += here
        place += 1
    if quote:
        raise SshSyntaxError("a quote is not closed")
    return word, place


def pattern(wanted: str, text: str) -> bool:
    """Whether `wanted`, in which * and ? are wildcards, is the whole text."""
    return _compiled(wanted).fullmatch(text) is not None


@functools.lru_cache(4096)
def _compiled(wanted: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in wanted), re.DOTALL)


def comma_list(wanted: str, text: str) -> bool:
    """Whether one of the patterns matches and no negated one does."""
    matched = False
    for each in wanted.split(","):
        if pattern(each.removeprefix("!"), text):
            if each.startswith("!"):
                return False
            matched = True
    return matched


def seconds(text: str) -> int | None:
    """A duration as ssh writes it (90, 1m30s); None for "" and "none"."""
    if text.lower() in ("", "none"):
        return None
    if not re.fullmatch(r"(?:[0-9]+[smhdwSMHDW]?)+", text):
        raise SshSyntaxError("must be a duration, such as 30 or 1m30s")
    return sum(int(number) * _UNITS[unit.lower()] for number, unit in re.findall(r"([0-9]+)([smhdwSMHDW]?)", text))


def hops(rest: str) -> tuple[str, ...]:
    """The hops of a ProxyJump line in order, each as it is written; () for "none"."""
    text = rest.partition("#")[0].rstrip(_BLANK)
    if text.lower() == "none":
        return ()
    found = tuple(text.split(","))
    for each in found:
        hop(each)
    return found


def hop(written: str) -> tuple[str, str, int | None]:
    """User ("" for none), host and port of `[user@]host[:port]` or `ssh://[user@]host[:port]`."""
    match = _HOP.fullmatch(
        written.removeprefix("ssh://").removesuffix("/") if written.startswith("ssh://") else written
    )
    if match is None:
        raise SshSyntaxError("a hop is [user@]host[:port]")
    user, host, port = match["user"] or "", match["address"] or match["host"], match["port"]
    if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)):
        raise SshSyntaxError("a hop is [user@]host[:port], with none of the shell's signs in it")
    if port and not 0 < int(port) < 65536:
        raise SshSyntaxError("a port is a number from 1 to 65535")
    return user, host, int(port) if port else None


def plain_words(values: Sequence[str]) -> bool:
    """Whether a shell would take each of these for a word and nothing else."""
    return all(re.fullmatch(r"[A-Za-z0-9_.:%@+][A-Za-z0-9_.:%@+-]*", value) for value in values)
