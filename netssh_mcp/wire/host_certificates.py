"""OpenSSH host certificates: what they say, who signed them, and whether they speak for a host.

Format: draft-miller-ssh-cert and OpenSSH's PROTOCOL.certkeys. Verdicts: OpenSSH 10.3's, which treats an empty list of
principals as matching nothing (before, it matched everything) and lets a host's principals hold wildcards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netssh_mcp.wire.key_blobs import CERTIFICATE, Fields, plain_name, public_part, signature_algorithm, signed_by
from netssh_mcp.wire.known_hosts import like

_SIGNATURES: Final = {  # of an authority: no SHA-1, as CASignatureAlgorithms of ssh_config(5)
    "ssh-ed25519": "ssh-ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384": "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521": "ecdsa-sha2-nistp521",
    "rsa-sha2-256": "ssh-rsa",
    "rsa-sha2-512": "ssh-rsa",
}
_HOST: Final = 2
_MOST_PRINCIPALS: Final = 256


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature by `authority` is good, or is of a kind that is not accepted (`signed_with`).

    `public` and `authority` are key blobs; `after` and `before` seconds since 1970.
    """

    public: bytes
    serial: int
    host: bool
    key_id: str
    principals: tuple[str, ...]
    after: int
    before: int
    critical: tuple[str, ...]
    authority: bytes
    signed_with: str

    def refusal(self, hostname: str, now: float) -> str:
        """Why this certificate does not speak for the host, or "". Its authority is the caller's to check."""
        host = hostname.lower()
        reasons = (
            (not self.host, "it is a user's certificate, not a host's"),
            (now < self.after, "it is not valid yet"),
            (now >= self.before, "it has expired"),
            (not self.principals, "it names no principal"),
            (not any(like(principal, host) for principal in self.principals), f"it is not for {host}"),
            (self.critical, "it has critical options, and there are none for hosts"),
            (self.signed_with not in _SIGNATURES, "its signature is of a kind that is not accepted"),
        )
        return next((reason for wrong, reason in reasons if wrong), "")


def parse(blob: bytes) -> Certificate:
    """The certificate. ValueError where it is none, or its signature is wrong."""
    fields = Fields(blob)
    key_type = fields.text()
    if not key_type.endswith(CERTIFICATE):
        raise ValueError("it is no certificate")
    fields.string()  # the nonce
    public = fields.public(plain_name(key_type))
    serial, kind, key_id = fields.number(8), fields.number(4), fields.text()
    principals = _principals(fields.string())
    after, before = fields.number(8), fields.number(8)
    critical = _options(fields.string())
    _options(fields.string())  # extensions: whoever does not know one passes over it
    fields.string()  # reserved
    authority = fields.string()
    signed, signature = blob[: fields.at], fields.string()
    if fields.left() or kind not in (1, _HOST):
        raise ValueError("it is no certificate")
    signed_with = _verified(authority, signed, signature)
    return Certificate(
        public, serial, kind == _HOST, key_id, principals, after, before, critical, authority, signed_with
    )


def _principals(blob: bytes) -> tuple[str, ...]:
    fields, found = Fields(blob), list[str]()
    while fields.left():
        if len(found) == _MOST_PRINCIPALS:
            raise ValueError("it has too many principals")
        found.append(fields.text())
    return tuple(found)


def _options(blob: bytes) -> tuple[str, ...]:
    fields, found = Fields(blob), list[str]()
    while fields.left():
        found.append(fields.text())
        fields.string()
    return tuple(found)


def _verified(authority: bytes, signed: bytes, signature: bytes) -> str:
    """The signature's algorithm. One that is not accepted is not checked: `Certificate.refusal` names it."""
    algorithm = signature_algorithm(signature)
    key_type, _ = public_part(authority)
    if algorithm not in _SIGNATURES:
        return algorithm[:64]
    if _SIGNATURES[algorithm] != key_type or not signed_by(authority, signed, signature):
        raise ValueError("the signature of its authority is wrong")
    return algorithm
