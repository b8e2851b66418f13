"""Old algorithms for one host that has nothing better (`legacy: true` in the inventory).

Key exchange and signatures with SHA-1, CBC ciphers, 3DES, hmac-sha1: Paramiko 5 removed the first two, and the others
are offered to nobody else. All of it hangs on this subclass: nothing of Paramiko is changed, and another connection of
the same process refuses them as before. md5 and cut MACs stay out here too; the better algorithm still comes first.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any, ClassVar, Final

import paramiko
from cryptography.hazmat.primitives import hashes
from paramiko.kex_gex import KexGexSHA256
from paramiko.kex_group14 import KexGroup14SHA256

from netssh_mcp.wire.handshake import CIPHERS, HOST_KEYS, MACS, Handshake
from netssh_mcp.wire.key_blobs import signature_algorithm, signed_by
from netssh_mcp.wire.userauth import _Handler as Handler

_GROUP1: Final = int(  # RFC 2409 6.2, the second Oakley group: 1024 bits
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


class _Group14(KexGroup14SHA256):
    name = "diffie-hellman-group14-sha1"
    hash_algo = sha1


class _Group1(_Group14):
    name = "diffie-hellman-group1-sha1"
    P = _GROUP1


class _Exchange(KexGexSHA256):
    name = "diffie-hellman-group-exchange-sha1"
    hash_algo = sha1
    min_bits = 1024


class _RSA(paramiko.RSAKey):
    """An RSA key that signs and verifies with SHA-1 too."""

    HASHES: Any = {**paramiko.RSAKey.HASHES, "ssh-rsa": hashes.SHA1}  # type: ignore[misc]  # noqa: RUF012  (as theirs)


class _Handler(Handler):
    """Signs a login with SHA-1 where the server does not say that it knows better.

    A server from before RFC 8308 has no way to say which signatures it takes, and knows ssh-rsa only.
    """

    def auth_publickey(self, username: str, key: paramiko.PKey) -> list[str]:  # type: ignore[override]  # AuthOnlyHandler's
        """As Paramiko's, with the same key in a class that can sign so. An agent's key can anyway."""
        if type(key) is paramiko.RSAKey:
            old = _RSA(key=key.key)
            old.public_blob = key.public_blob
            key = old
        remaining: list[str] = super().auth_publickey(username, key)
        return remaining

    def _finalize_pubkey_algorithm(self, key_type: str) -> str:
        extensions: dict[str, bytes] = self.transport.server_extensions  # type: ignore[attr-defined]  # newer than stubs
        if key_type == "ssh-rsa" and not extensions.get("server-sig-algs"):
            self.transport._agreed_pubkey_algorithm = key_type  # type: ignore[attr-defined]  # noqa: SLF001  (as theirs)
            return key_type
        algorithm: str = super()._finalize_pubkey_algorithm(key_type)  # type: ignore[misc]  # not in the stubs
        return algorithm


class LegacyHandshake(Handshake):
    """A connection that offers the old algorithms behind the good ones."""

    ciphers = (*CIPHERS, "aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
    macs = (*MACS, "hmac-sha1")
    host_keys = (*HOST_KEYS, "ssh-rsa")

    _old_kex: ClassVar = {kind.name: kind for kind in (_Group14, _Exchange, _Group1)}
    _preferred_kex = (*Handshake._preferred_kex, *_old_kex)  # noqa: SLF001
    _kex_info: ClassVar = {**Handshake._kex_info, **_old_kex}  # noqa: SLF001
    _key_info: ClassVar = {**Handshake._key_info, "ssh-rsa": _RSA}  # noqa: SLF001
    _preferred_pubkeys = (*Handshake._preferred_pubkeys, "ssh-rsa")  # noqa: SLF001

    @classmethod
    def everything(cls) -> dict[str, tuple[str, ...]]:
        """What it offers, by the names of `Handshake.theirs`."""
        return {
            "kex_algo_list": tuple(cls._preferred_kex),
            "server_key_algo_list": cls.host_keys,
            "server_encrypt_algo_list": cls.ciphers,
            "server_mac_algo_list": cls.macs,
        }

    def get_auth_handler(self) -> _Handler:
        """The one that signs as old servers understand."""
        return _Handler(self)

    def _signed(self, public: bytes, signature: bytes) -> bool:
        kind = _RSA if signature_algorithm(signature) == "ssh-rsa" else None
        return signed_by(public, self.H, signature, kind)
