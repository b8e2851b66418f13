"""Public keys as SSH sends them: fields with their lengths in front (RFC 4253 6.6), read without trusting them."""

from __future__ import annotations

import struct
from typing import Final

import paramiko

CERTIFICATE: Final = "-cert-v01@openssh.com"
_PARTS: Final = {  # fields of a public key behind its name
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_LONGEST: Final = 2049  # bytes of a number: 16384 bits and a sign, as OpenSSH takes it
_LEAST_RSA_BITS: Final = 1024  # OpenSSH's RequiredRSASize


def plain_name(key_type: str) -> str:
    """The type of the key inside a certificate of this type; of a plain key its own."""
    name = key_type.removesuffix(CERTIFICATE)
    sk = key_type.startswith("sk-") and key_type.endswith(CERTIFICATE)
    return f"{name}@openssh.com" if sk else name


class Fields:
    """Reads a blob front to back; ValueError where it ends too early."""

    def __init__(self, blob: bytes) -> None:
        self._blob, self.at = blob, 0

    def _take(self, size: int) -> bytes:
        piece = self._blob[self.at : self.at + size]
        if len(piece) != size:
            raise ValueError("it ends too early")
        self.at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number(4))

    def text(self) -> str:
        return self.string().decode("utf-8", "replace")

    def left(self) -> bool:
        return self.at < len(self._blob)

    def public(self, key_type: str) -> bytes:
        """The plain public key of the fields that follow."""
        if key_type not in _PARTS:
            raise ValueError("there is no such type of key")
        parts = [self.string() for _ in range(_PARTS[key_type])]
        if max(map(len, parts)) > _LONGEST:
            raise ValueError("it is too large")
        return b"".join(map(_string, (key_type.encode(), *parts)))


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def public_part(blob: bytes) -> tuple[str, bytes]:
    """The blob's own type, and the plain public key: the blob itself, or what is inside a certificate. ValueError."""
    fields = Fields(blob)
    key_type = fields.text()
    if key_type.endswith(CERTIFICATE):
        fields.string()  # the nonce
        return key_type, fields.public(plain_name(key_type))
    public = fields.public(key_type)
    if fields.left():
        raise ValueError("there is something behind the key")
    return key_type, public


def signature_algorithm(signature: bytes) -> str:
    """The algorithm of a whole signature; ValueError where it is not one.

    Paramiko reads what is cut, too: a number's missing bytes become zeros, and a megabyte of them costs it 45 s.
    """
    fields = Fields(signature)
    algorithm = fields.text()
    value = fields.string()
    numbers = Fields(value)
    if algorithm.startswith("ecdsa-"):
        numbers.string(), numbers.string()
    if fields.left() or (numbers.at and numbers.left()):
        raise ValueError("there is something behind the signature")
    if len(value) > _LONGEST:
        raise ValueError("the signature is too long")
    return algorithm


def signed_by(public: bytes, data: bytes, signature: bytes, kind: type[paramiko.RSAKey] | None = None) -> bool:
    """Whether the plain key, read as `kind`, made this signature; ValueError for a key that nobody should use."""
    signature_algorithm(signature)
    try:
        key = kind(data=public) if kind else paramiko.PKey.from_type_string(public_part(public)[0], public)
        if isinstance(key, paramiko.RSAKey) and key.get_bits() < _LEAST_RSA_BITS:
            raise ValueError(f"an RSA key of {key.get_bits()} bits is too short")
        good: bool = key.verify_ssh_sig(data, paramiko.Message(signature))
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, OverflowError) as error:  # the last: a negative number
        raise ValueError("the key cannot be used") from error
    return good
