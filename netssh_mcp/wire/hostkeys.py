"""Whom we talk to: OpenSSH's verdict on the key or certificate that a host shows.

What the files say: `known_hosts`. What a certificate says: `host_certificates`. Here is what follows from both, as
check_host_key and order_hostkeyalgs of OpenSSH's client decide it (sshconnect.c, sshconnect2.c), and the modes:
`strict`, `tofu` (a first key is kept in a file of our own), `pinned` (the inventory's `host_key` or nothing) and, per
host only, `accept_any`.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netssh_mcp.errors import HostKeyChanged, HostKeyUnknown, InputError
from netssh_mcp.knowledge.file_lock import alone
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.host_certificates import Certificate, parse
from netssh_mcp.wire.key_blobs import CERTIFICATE, plain_name, public_part
from netssh_mcp.wire.known_hosts import Entry, fingerprint, host_name, read

Mode = Literal["strict", "tofu", "pinned", "accept_any"]
_NO_NAME = frozenset(" ,*?!#|@")  # a name with one of these is several, a pattern, a comment or a digest
_LOCK_SECONDS = 10.0  # a writer holds the lock for milliseconds


@dataclass(frozen=True, slots=True)
class Shown:
    """What the host showed: its plain key, and the certificate around it if there was one."""

    key_type: str
    public: bytes
    certificate: Certificate | None

    @classmethod
    def of(cls, blob: bytes) -> Shown:
        """Raises ValueError where the blob is no key, or a certificate with a wrong signature."""
        key_type, public = public_part(blob)
        certificate = parse(blob) if key_type.endswith(CERTIFICATE) else None
        return cls(plain_name(key_type), public, certificate)

    @property
    def mark(self) -> str:
        """Type and fingerprint, as people compare them."""
        return f"{self.key_type} {fingerprint(self.public)}"


@dataclass(frozen=True, slots=True)
class _Records:
    """The lines about [host]:port, and those about the host alone, which count where the first say nothing."""

    exact: tuple[Entry, ...]
    portless: tuple[Entry, ...]

    @property
    def all(self) -> tuple[Entry, ...]:
        return (*self.exact, *self.portless)


def _recorded_as(device: Device) -> str:
    """The name that the files have the host under. An alias has no port (HostKeyAlias of ssh_config(5))."""
    return device.host_key_alias.lower() or host_name(device.hostname, device.port)


def _marked(entries: tuple[Entry, ...], marker: str) -> list[Entry]:
    return [entry for entry in entries if entry.marker == marker]


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The server's view of host keys: files that are read, and the own file that `tofu` writes.

    `learned` is called with the device's name and the fingerprint of a first key, before that key is kept.
    """

    mode: Mode
    files: tuple[Path, ...]
    own_file: Path
    learned: Callable[[str, str], None] = lambda _device, _mark: None

    def algorithms(self, device: Device, plain: tuple[str, ...]) -> tuple[str, ...]:
        """Host key algorithms to offer, of the `plain` ones and their certificates, in OpenSSH's order.

        Certificates only where a line about the host has a marker: else no certificate could change the verdict, and
        the key without one is asked for.
        """
        records = self._records(device)
        markers = any(entry.marker for entry in records.all)
        certified = tuple(name + CERTIFICATE for name in plain if name != "ssh-rsa") if markers else ()
        offered = (*certified, *plain)
        known = {entry.key_type for entry in _marked(records.exact, "")}
        if (word := device.host_key.split(" ")[0]) and not word.startswith("SHA256:"):
            known = {word}
        if _key_type(offered[0]) in known:
            return offered
        authority = bool(_marked(records.exact, "@cert-authority"))
        first = tuple(
            name for name in offered if _key_type(name) in known or (authority and name.endswith(CERTIFICATE))
        )
        return first + tuple(name for name in offered if name not in first)

    def verify(self, device: Device, blob: bytes) -> str:
        """Accept what the device showed, or raise HostKeyUnknown / HostKeyChanged; `tofu` keeps a first key.

        Returns why it is accepted, for people.
        """
        try:
            shown = Shown.of(blob)
        except ValueError as error:
            raise HostKeyUnknown(
                f"what the device shows as its host key cannot be trusted: {error}",
                device=device.name,
                hint="Do not connect before you know why; its administrator can make a new key or certificate.",
            ) from error
        mode: Mode = "pinned" if self.mode == "pinned" else device.host_keys or self.mode
        records = self._records(device)
        _not_revoked(device, shown, records)
        if device.host_key:
            if not _pinned(device.host_key, shown.public):
                raise _changed(device, shown, [("the inventory's pin", device.host_key)])
            return "it is the inventory's host_key"
        if mode == "pinned":
            raise HostKeyUnknown(
                f"the mode is pinned, and this host has no `host_key` in the inventory; the device shows {shown.mark}",
                device=device.name,
                hint="Compare the fingerprint with the device's own, then give it, from SHA256 on, as this host's "
                "`host_key`.",
            )
        if mode == "accept_any":
            return "not checked: accept_any"
        doubt = _certificate_doubt(device, shown, records)
        if doubt is None:
            return "its certificate is of a known authority"
        if self._known(device, shown, records, doubt):
            return "known"
        if mode == "tofu":
            self._keep(device, shown)
            return "new: trusted at first sight and kept"
        name = _recorded_as(device)
        raise HostKeyUnknown(
            f"the host key {shown.mark} is not in any known_hosts file, and the mode is strict{doubt}",
            device=device.name,
            hint=f"Compare the fingerprint with the device's own, then add the key of {name} to {self.own_file} "
            "(ssh-keyscan prints the line), or start the server with --host-keys tofu.",
        )

    def _records(self, device: Device) -> _Records:
        name, host = _recorded_as(device), device.host_key_alias.lower() or host_name(device.hostname, 22)
        found = tuple(read((*self.files, *device.known_hosts, self.own_file), {name, host}))
        exact = tuple(entry for entry in found if entry.matches(name))
        return _Records(exact, tuple(entry for entry in found if entry.matches(host)) if name != host else ())

    @staticmethod
    def _known(device: Device, shown: Shown, records: _Records, doubt: str) -> bool:
        """Whether the plain key is on record; HostKeyChanged where only others are."""
        live = _marked(records.exact, "")
        if any(entry.key == shown.public for entry in live):
            return True
        if live:
            same_type = [entry for entry in live if entry.key_type == shown.key_type] or live
            raise _changed(device, shown, [(entry.where, fingerprint(entry.key)) for entry in same_type], doubt)
        return any(entry.key == shown.public for entry in _marked(records.portless, ""))

    # -- the file that tofu writes -----------------------------------------------------------------------------------

    def _keep(self, device: Device, shown: Shown) -> None:
        name, key = _recorded_as(device), base64.b64encode(shown.public).decode()
        if not name.isprintable() or _NO_NAME & set(name):
            raise InputError(
                f"a key cannot be kept for a host called {name[:80]!r}: in a known_hosts file that is no single name",
                device=device.name,
                hint="Correct `hostname` in the inventory, or HostKeyAlias in the ssh configuration.",
            )
        line = f"{name} {shown.key_type} {key}\n"
        try:
            own = Path(os.path.realpath(self.own_file))  # a link stays one
            own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with alone(own.with_name(f"{own.name}.lock"), _LOCK_SECONDS):
                records = self._records(device)  # somebody else may have learned a key since we looked
                _not_revoked(device, shown, records)
                if self._known(device, shown, records, ""):
                    return
                self.learned(device.name, shown.mark)
                _replace(own, line)
        except OSError as error:
            raise InputError(
                f"the host key cannot be kept in {self.own_file} ({error.strerror or type(error).__name__})",
                device=device.name,
                hint="Make its folder one that this server may write, or add the key by hand and use strict mode.",
            ) from error


def _replace(own: Path, line: str) -> None:
    """The file and one line more, mode 0600, in one step: a reader sees all of it or none."""
    before = own.read_bytes() if own.exists() else b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    new = own.with_name(f".{own.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(before + line.encode())
            file.flush()
            os.fsync(handle)
        new.replace(own)
    except OSError:
        new.unlink(missing_ok=True)
        raise


# -- verdicts ----------------------------------------------------------------------------------------------------------


def _not_revoked(device: Device, shown: Shown, records: _Records) -> None:
    """HostKeyChanged where the key, or the authority that signed it, is marked @revoked.

    A mark at the host's bare name counts for each of its ports; ssh looks there only where the port is unknown.
    """
    authority = shown.certificate.authority if shown.certificate else None
    for entry in _marked(records.all, "@revoked"):
        if entry.public == shown.public:
            what = f"the host key {shown.mark}"
        elif entry.public == authority:
            what = f"the authority {fingerprint(entry.public)} that signed the host's certificate"
        else:
            continue
        raise HostKeyChanged(f"{what} is marked @revoked ({entry.where})", device=device.name, hint="Do not connect.")


def _certificate_doubt(device: Device, shown: Shown, records: _Records) -> str | None:
    """None where a certificate speaks for the host. Else the plain key has to; the text says why, for the error."""
    if shown.certificate is None:
        return ""
    authorities = (entry.public for entry in _marked(records.all, "@cert-authority"))
    if shown.certificate.authority not in authorities:
        mark = fingerprint(shown.certificate.authority)
        return f"; its certificate is signed by {mark}, which no @cert-authority line allows for this host"
    reason = shown.certificate.refusal(device.host_key_alias or device.hostname, time.time())
    return f"; its certificate is refused: {reason}" if reason else None


def _key_type(algorithm: str) -> str:
    """The type of the keys that this algorithm signs with."""
    name = plain_name(algorithm)
    return "ssh-rsa" if name.startswith("rsa-sha2-") else name


def _pinned(pin: str, public: bytes) -> bool:
    if pin.startswith("SHA256:"):
        return hmac.compare_digest(pin.rstrip("="), fingerprint(public))
    return any(word == base64.b64encode(public).decode() for word in pin.split())


def _changed(device: Device, shown: Shown, known: list[tuple[str, str]], doubt: str = "") -> HostKeyChanged:
    on_record = ", ".join(f"{mark} ({where})" for where, mark in known)
    return HostKeyChanged(
        f"the host key changed: the device shows {shown.mark}, on record is {on_record}{doubt}; "
        "nothing was sent, no credential either",
        device=device.name,
        hint="Someone may be in between. If the device was replaced or re-keyed, check the new fingerprint on its "
        "console and correct the line named above.",
    )
