"""What a device asks instead of ending a command: a page prompt, a password, a confirmation. Named, never answered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import WaitReason

# In this order: what is typed unseen first, then what one key answers, then by what the words ask for. Each stands at
# the end of a line that has not ended, so a pattern says how a question ends, and which words make it one. From general
# knowledge of platforms and programs, not checked release by release: tests/unit/test_questions.py has their lines.
_YES = r"y(?:es)?"
_NO = r"n(?:o)?"
_OTHERS = r"(?:\s?[/,|]\s?[^\])/,|\n]{1,20})*"  # [y/d/N], [yes/no/cancel/diff], (yes/no/abort)
_BEHIND = r"[\s?:.]*(?:[\[(<][^\])>\n]{0,20}[\])>])?[\s?:.>]*$"  # the default: `(y/n)?  [n] `, `[yes,no] (no) `
_CHOICE = rf"[\[(<](?:confirm )?\[?{_YES}\]?(?:{_OTHERS}\s?(?:[/,|]|\sor\s)\s?)\[?{_NO}\]?{_OTHERS}[\])>]"
_PATTERNS: tuple[tuple[WaitReason, str], ...] = (
    ("passphrase", r"\bpass ?phrase\b[^\n]{0,120}:\s*$"),
    ("password", r"\b(?:pass(?:word|wd|code)|secret|pin|verification code|one-time code|otp)\b[^\n]{0,120}:\s*$"),
    ("password", r"\bpassword> $"),  # RouterOS
    ("host_key", r"continue connecting[^\n]{0,60}\?\s*$"),  # OpenSSH
    ("host_key", r"type 'yes', 'no' or the fingerprint: $|(?:store key in cache|update cached key)\?[^\n]{0,120}$"),
    ("confirm", r"\[confirm\]\s*$"),
    ("confirm", r"\b(?:press|hit|strike) (?:any key|\W?(?:enter|return|space|spacebar)\W?(?: key)?)(?: [^\n]{0,60})?$"),
    ("yes_no", rf"{_CHOICE}{_BEHIND}"),
    ("yes_no", r"\[y\]es?[,/ ]{1,3}\[n\]o?\b[^\n]{0,80}[?:]\s*$"),  # ASA, unzip: [Y]es/[N]o/[S]ave all
    ("yes_no", r"(?<![\w/])yes/no(?:/\w{1,10})*\s?[?:]\s*$"),  # parted: Yes/No?
    ("yes_no", r"[\[(](?:yn)[\])]\s*[?:]?\s*$"),  # [yN]
    ("yes_no", rf"\?\s*[\[(<](?:{_YES}|{_NO})[\])>][\s?:]*$"),  # XR: `wish to proceed? [no]: `; npm: `(y) `
    ("yes_no", rf"<(?:{_YES}|{_NO})>\?\s*$"),  # fsck: Fix<y>?
    ("yes_no", r"\(type '?yes'? [^)\n]{0,40}\)\s*[?:]\s*$"),  # cryptsetup
    ("yes_no", r"^(?:rm|cp|mv|ln|install): [^\n]{1,4200}\?\s*$"),
    ("filename", r"\bfile ?name\b[^\n]{0,120}(?:[?:]|:\s?\[[^\]\n]{0,80}\])\s*$"),
    ("filename", r"\benter (?:a |the )?(?:new )?file\b[^\n]{0,120}:\s*$"),  # ssh-keygen
)
# Words that ask, at the start of the line and with a colon at its end, or a default in brackets before it; and any `?`.
_WEAK: tuple[str, ...] = (
    r"^\W{0,4}(?:please )?(?:enter|type|input|select|choose|specify|your (?:choice|selection))\b[^\n]{0,160}:\s*$",
    r"^\W{0,4}(?:user ?name|login(?: as)?|user|target ip(?:v6)? address|real name|choice)\b[^\n:]{0,80}:\s*$",
    r"(?<=\s)\[[^\]\n]{0,80}\]\s?:\s*$",  # How many bits in the modulus [512]:
    r"\(\w for help\):\s*$",  # fdisk
    r"\?\s*$",
)
_QUESTIONS: tuple[tuple[WaitReason, re.Pattern[str]], ...] = (
    *((reason, re.compile(f"(?i){pattern}")) for reason, pattern in _PATTERNS),
    *(("other", re.compile(f"(?i){pattern}")) for pattern in _WEAK),
)
_LONGEST = 4400  # characters at the end of a line that are looked at: PATH_MAX and a few words
ONE_KEY: Final[frozenset[WaitReason]] = frozenset({"pager", "confirm"})  # Enter behind it would be a second key


def question(profile: Profile, line: str) -> WaitReason | Literal[""]:
    """What the last line asks for, or ""."""
    if _pager(profile.pager.pattern).fullmatch(line):
        return "pager"
    end = line[-_LONGEST:]
    return next((reason for reason, pattern in _QUESTIONS if pattern.search(end)), "")


def standing(profile: Profile, text: str) -> tuple[WaitReason | Literal[""], str]:
    """What the text ends with asks for, and the line that does; ("", "") when nothing.

    Whole log lines may stand behind the question: they come at any time, and the question is not drawn anew.
    """
    *lines, last = text.split("\n")
    if last:
        return question(profile, last), last
    logged = False
    for line in reversed(lines if profile.log_line else ()):
        if line and not re.match(profile.log_line, line):
            reason = question(profile, line) if logged else ""
            return ("", "") if reason in ("", "other") else (reason, line)  # a mere `?` may end a line of output
        logged = logged or bool(line)
    return "", ""


def is_choice(line: str, word: str) -> bool:
    """Whether a yes/no question offers this word; "" is its default.

    Where a device reads one key, the rest of a longer word would be typed at what comes next, a prompt too.
    """
    offered = re.findall(r"[a-z]+", " ".join(re.findall(r"[\[(<][^\[(<\])>]{1,40}[\])>]", line.lower())))
    return word.lower() in ("", "y", "n", "yes", "no", *offered)


def one_line(typed: bytes) -> bool:
    """Whether these bytes are one line or one key: nothing that acts at once, but as the last byte."""
    return min(typed[:-1], default=32) >= 32


def paged(profile: Profile, raw: bytearray, parts: Iterable[tuple[int, int]]) -> bool:
    """A page prompt stood on a line of its own; it may be erased again, so what was erased is searched too."""
    pattern = _pager_line(profile.pager.pattern)
    return any(pattern.search("\n" + raw[slice(*part)].decode("utf-8", "replace")) for part in parts)


@lru_cache(maxsize=256)
def _pager(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\W*(?:{pattern})\W*")


@lru_cache(maxsize=256)
def _pager_line(pattern: str) -> re.Pattern[str]:
    return re.compile(
        # Beginning with a set and not with ^, which the text's own newline in front stands for: three times as fast.
        rf"[\r\n][ \x08]*(?:\x1b\[[0-9;?]*[A-Za-z])*(?:{pattern}) ?(?:\x1b\[[0-9;?]*[A-Za-z])*(?=[\r\x08])"
    )
