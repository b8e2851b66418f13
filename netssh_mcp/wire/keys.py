"""Private keys as `ssh` takes them: files that only we can read, their certificates, and what the agent has.

Nothing here raises: who renders a traceback with its locals must not find a passphrase in it.
"""

from __future__ import annotations

import copy
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

MOST_KEYS = 5  # OpenSSH ends a login after six tries (MaxAuthTries), and the password may be one
_MOST_AGENT_KEYS = 3
_CERTIFICATE = "-cert.pub"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a key or certificate cannot be offered, and what to do."""

    message: str
    hint: str


Key = tuple[str, paramiko.PKey]


def file_keys(
    paths: Sequence[Path], certificates: Sequence[Path], passphrase: str | None, *, agent: bool
) -> list[Key] | Unusable:
    """Each key with its certificates, those before it alone. A named certificate must be of one of them, or `agent`."""
    keys: list[Key] = []
    used: set[Path] = set()
    for path in paths:
        if wrong := _exposed(path):
            return wrong
        key = _loaded(path, passphrase)
        if isinstance(key, Unusable):
            return key
        for certificate in certificates:
            blob = _certificate_of(key, certificate)
            if isinstance(blob, Unusable):
                return blob
            if blob is not None:
                used.add(certificate)
                keys.append((f"certificate {certificate.name}", _with(key, blob)))
        if key.public_blob is not None and not any(_same(key, other) for _, other in keys):
            keys.append((f"certificate {path.name}{_CERTIFICATE}", key))
        keys.append((f"key file {path.name}", _with(key, None)))
    for certificate in certificates:
        if certificate not in used and not agent:
            return Unusable(
                f"the certificate {certificate} is of none of the keys",
                "Name its private key as `key_file`, or take the certificate out.",
            )
    return keys


def agent_keys(agent: paramiko.Agent, certificates: Sequence[Path]) -> list[Key]:
    """The agent's first keys, each behind the named certificates that are of it."""
    keys: list[Key] = []
    for number, key in enumerate(agent.get_keys()[:_MOST_AGENT_KEYS], 1):
        for certificate in certificates:
            blob = _certificate_of(key, certificate)
            if blob is not None and not isinstance(blob, Unusable):
                keys.append((f"certificate {certificate.name}", _with(key, blob)))
        keys.append((f"agent's key, number {number}", key))
    return keys


def _exposed(path: Path) -> Unusable | None:
    """What `ssh` refuses, too: a private key of our own that others may read; and one that another user can change."""
    try:
        found = path.stat()
    except OSError as error:
        return Unusable(
            f"the key file {path} cannot be used ({error.strerror})",
            "Check that the file exists and can be read by the user that runs this server.",
        )
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "is not a regular file"
    elif found.st_uid not in (os.geteuid(), 0):
        wrong = "belongs to another user"
    elif found.st_uid == os.geteuid() and found.st_mode & 0o077:
        wrong = f"is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
    return Unusable(f"the key file {path} {wrong}", f"Make it yours alone: chmod 600 {path}") if wrong else None


def _loaded(path: Path, passphrase: str | None) -> paramiko.PKey | Unusable:
    """With the passphrase, or without it: of several keys not each needs one."""
    said = ""
    if passphrase:
        key = _read(path, passphrase.encode())
        if isinstance(key, paramiko.PKey):
            return key
        said = key
    key = _read(path, None)
    if isinstance(key, paramiko.PKey):
        return key
    return Unusable(
        f"the key file {path} cannot be used ({said or key})",
        "Check that the file is a private key, and its `key_passphrase` reference.",
    )


def _read(path: Path, passphrase: bytes | None) -> paramiko.PKey | str:
    """The key, or the kind of error."""
    try:
        return paramiko.PKey.from_path(path, passphrase)  # type: ignore[arg-type]  # bytes
    except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        return type(error).__name__


def _certificate_of(key: paramiko.PKey, path: Path) -> paramiko.pkey.PublicBlob | Unusable | None:
    """The certificate in the file if it is of this key, else None."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  (few need it)
        Encoding,
        PublicFormat,
        SSHCertificate,
        load_ssh_public_identity,
    )

    why = "is no OpenSSH user certificate"
    try:
        found = load_ssh_public_identity(path.read_bytes())
        if isinstance(found, SSHCertificate):
            public = found.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
            own = key.get_base64().replace("\n", "")
            return paramiko.pkey.PublicBlob.from_file(str(path)) if public.split()[1].decode() == own else None
    except (OSError, ValueError, paramiko.SSHException) as error:
        why = f"cannot be used ({type(error).__name__})"
    return Unusable(f"the certificate {path} {why}", "It is the -cert.pub file that ssh-keygen -s has made.")


def _with(key: paramiko.PKey, blob: paramiko.pkey.PublicBlob | None) -> paramiko.PKey:
    made = copy.copy(key)
    made.public_blob = blob
    return made


def _same(key: paramiko.PKey, other: paramiko.PKey) -> bool:
    return other.public_blob is not None and other.public_blob.key_blob == getattr(key.public_blob, "key_blob", None)
