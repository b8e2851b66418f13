"""Whom we talk to: known_hosts files read as OpenSSH reads them.

Plain and hashed names, wildcards, negation, [host]:port and @revoked (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
@cert-authority lines are passed over: host certificates are not accepted yet. Paramiko's own reader refuses a whole
file for one such line.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import paramiko

from netssh_mcp.errors import HostKeyChanged, HostKeyUnknown, InputError
from netssh_mcp.knowledge.inventory import Device

Mode = Literal["strict", "tofu", "accept_any"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file."""

    hosts: str
    key_type: str
    key: bytes
    revoked: bool
    where: str

    def matches(self, name: str) -> bool:
        """Whether this line is about `name` ("host", or "[host]:port" off port 22)."""
        if self.hosts.startswith("|1|"):
            return _hashed(self.hosts, name)
        found = False
        for pattern in self.hosts.lower().split(","):
            negated = pattern.startswith("!")
            if fnmatch.fnmatchcase(name, _literal_brackets(pattern.removeprefix("!"))):
                if negated:
                    return False
                found = True
        return found


def _literal_brackets(pattern: str) -> str:
    # OpenSSH knows only * and ?; fnmatch would read "[host]:22" as a set of characters.
    return pattern.replace("[", "[[]")


def _hashed(hosts: str, name: str) -> bool:
    try:
        _, _, salt, digest = hosts.split("|")
        wanted = base64.b64decode(digest)
        found = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(wanted, found)


def fingerprint(key: bytes) -> str:
    """As `ssh-keygen -l` writes it: SHA256:..."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def read(paths: Iterable[Path]) -> Iterator[Entry]:
    """All usable lines of all files that exist; broken lines are passed over, as ssh does.

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
            if entry := _entry(line.decode("utf-8", "replace"), f"{path}:{number}"):
                yield entry


def _entry(line: str, where: str) -> Entry | None:
    """The line's entry, or None where ssh passes over it: an unknown marker, or a type that is not the key's own."""
    words = re.split(r"[ \t]+", line.strip(" \t\r"))
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
        return None
    try:
        key = base64.b64decode(re.sub(r"[\r\v\f]", "", words[2]), validate=True)  # ssh's decoder skips blanks
    except ValueError:
        return None
    inside = key[4 : 4 + int.from_bytes(key[:4], "big")].decode("ascii", "replace")
    if words[1] != inside:
        return None
    return Entry(words[0], inside, key, marker == "@revoked", where)


def host_name(hostname: str, port: int) -> str:
    """The name under which a host's key is kept."""
    name = hostname.lower()
    return name if port == 22 else f"[{name}]:{port}"


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The server's view of host keys: files that are read, and the own file that `tofu` writes."""

    mode: Mode
    files: tuple[Path, ...]
    own_file: Path

    def _entries(self, device: Device, *, port: bool = True) -> list[Entry]:
        name = host_name(device.hostname, device.port if port else 22)
        return [entry for entry in read((*self.files, self.own_file)) if entry.matches(name)]

    def known_types(self, device: Device) -> tuple[str, ...]:
        """Key types on record for this device: asked for first, as ssh does, so that a second key is no surprise."""
        return tuple(dict.fromkeys(entry.key_type for entry in self._entries(device) if not entry.revoked))

    def verify(self, device: Device, key: paramiko.PKey) -> None:
        """Accept the key the device showed, or raise HostKeyUnknown / HostKeyChanged; `tofu` keeps a first key."""
        blob, shown = key.asbytes(), fingerprint(key.asbytes())
        mode: Mode = device.host_keys or self.mode
        entries = self._entries(device)
        portless = self._entries(device, port=False) if device.port != 22 else []
        if any(entry.revoked and entry.key == blob for entry in (*entries, *portless)):
            raise HostKeyChanged(
                f"the host key {key.get_name()} {shown} is marked @revoked", device=device.name, hint="Do not connect."
            )
        if device.host_key:
            if not _pinned(device.host_key, blob, shown):
                raise _changed(device, key, shown, [("the inventory's pin", device.host_key)])
            return
        if mode == "accept_any":
            return
        live = [entry for entry in entries if not entry.revoked]
        if any(entry.key == blob for entry in live):
            return
        same_type = [entry for entry in live if entry.key_type == key.get_name()] or live
        if same_type:
            raise _changed(device, key, shown, [(entry.where, fingerprint(entry.key)) for entry in same_type])
        if any(entry.key == blob for entry in portless):
            return  # as ssh: an unknown [host]:port may be known by its host alone
        if mode == "tofu":
            self._keep(device, key)
            return
        name = host_name(device.hostname, device.port)
        raise HostKeyUnknown(
            f"the host key {key.get_name()} {shown} is not in any known_hosts file, and the mode is strict",
            device=device.name,
            hint=f"Compare the fingerprint with the device's own, then add the key of {name} to {self.own_file} "
            "(ssh-keyscan prints the line), or start the server with --host-keys tofu.",
        )

    def _keep(self, device: Device, key: paramiko.PKey) -> None:
        line = f"{host_name(device.hostname, device.port)} {key.get_name()} {key.get_base64()}\n"
        try:
            self.own_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.own_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode())
            finally:
                os.close(handle)
        except OSError as error:
            raise InputError(
                f"the host key cannot be kept in {self.own_file} ({error.strerror or type(error).__name__})",
                device=device.name,
                hint="Make its folder one that this server may write, or add the key by hand and use strict mode.",
            ) from error


def _pinned(pin: str, blob: bytes, shown: str) -> bool:
    if pin.startswith("SHA256:"):
        return hmac.compare_digest(pin.rstrip("="), shown)
    return any(word == base64.b64encode(blob).decode() for word in pin.split())


def _changed(device: Device, key: paramiko.PKey, shown: str, known: list[tuple[str, str]]) -> HostKeyChanged:
    on_record = ", ".join(f"{mark} ({where})" for where, mark in known)
    return HostKeyChanged(
        f"the host key changed: the device shows {key.get_name()} {shown}, on record is {on_record}; "
        "nothing was sent, the password neither",
        device=device.name,
        hint="Someone may be in between. If the device was replaced or re-keyed, check the new fingerprint on its "
        "console and correct the line named above.",
    )
