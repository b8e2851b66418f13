"""The known_hosts file format, read as OpenSSH reads it.

Plain and hashed names, wildcards, negation, [host]:port, @cert-authority and @revoked (sshd(8), "SSH_KNOWN_HOSTS FILE
FORMAT"). Paramiko's own reader refuses a whole file for one line with a marker. What ssh makes of odd lines is held
by tests/unit/known_hosts_cases.py, whose cases are put to the ssh client too.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from netssh_mcp.errors import InputError
from netssh_mcp.wire.key_blobs import public_part

Marker = Literal["", "@cert-authority", "@revoked"]
_BLANKS: Final = re.compile(r"[ \t]+")
_MARKERS: dict[str, Marker] = {"": "", "@cert-authority": "@cert-authority", "@revoked": "@revoked"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file. `public` is `key`, or the key inside it where it is a certificate."""

    hosts: str
    key_type: str
    key: bytes
    public: bytes
    marker: Marker
    where: str

    def matches(self, name: str) -> bool:
        """Whether this line is about `name` ("host", or "[host]:port" off port 22)."""
        return _matches(self.hosts, name)


def _matches(hosts: str, name: str) -> bool:
    if hosts.startswith("|1|"):
        return _hashed(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        negated = pattern.startswith("!")
        if like(pattern.removeprefix("!"), name):
            if negated:
                return False
            found = True
    return found


def like(pattern: str, name: str) -> bool:
    """OpenSSH's patterns know * and ? only; fnmatch alone would read "[host]:22" as a set of characters."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == name  # nearly every line: no pattern to compile
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _hashed(hosts: str, name: str) -> bool:
    try:
        _, _, salt, wanted = hosts.split("|")
        found = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except ValueError:
        return False
    return wanted == base64.b64encode(found).decode()  # as text: a list behind the digest makes it another one


def fingerprint(key: bytes) -> str:
    """As `ssh-keygen -l` writes it: SHA256:..."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def host_name(hostname: str, port: int) -> str:
    """The name under which a host's key is kept."""
    name = hostname.lower()
    return name if port == 22 else f"[{name}]:{port}"


def read(paths: Iterable[Path], names: Collection[str]) -> Iterator[Entry]:
    """The usable lines about one of `names`, of all files that exist; broken lines are passed over, as ssh does.

    InputError for a file that is there and cannot be read: a record may be in it that forbids the key.
    """
    for path in paths:
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(
                f"the known_hosts file {path} cannot be read ({error.strerror or type(error).__name__})",
                hint="Make it a file that this server may read, or take it from the server's settings.",
            ) from error
        for number, line in enumerate(raw.split(b"\n"), 1):  # Python's own lines and words end at more than ssh's
            if entry := _entry(line.decode("utf-8", "replace"), names, f"{path}:{number}"):
                yield entry


def _entry(line: str, names: Collection[str], where: str) -> Entry | None:
    """The line's entry, or None where it is about others, or ssh passes over it.

    That is for an unknown marker, a type that is not the key's own, and a key that is not whole.
    """
    words = _BLANKS.split(line.replace("\0", " ").lstrip(" \t").rstrip(" \t\r"), maxsplit=4)  # to ssh a NUL ends a word
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in _MARKERS:
        return None
    if not any(_matches(words[0], name) for name in names):
        return None
    try:
        text = re.sub(r"[\r\v\f]", "", words[2])  # ssh's decoder skips blanks
        key = base64.b64decode(text, validate=True)
        key_type, public = public_part(key)
    except ValueError:
        return None
    if words[1] != key_type or text != base64.b64encode(key).decode():  # Python takes more `=` than there can be
        return None
    return Entry(words[0], key_type, key, public, _MARKERS[marker], where)
