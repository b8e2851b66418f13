"""Which algorithms are offered to a host, and the proof that it holds the key it shows.

Paramiko's transport offers what we say here and nothing else, keeps the certificate around a host's key, and insists
that key and signature are of the algorithm that was agreed on. Pinned by tests/unit/test_host_certificates.py: the
private names used are Paramiko 5.1's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from netssh_mcp.errors import AlgorithmMismatch, HostKeyUnknown
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.key_blobs import CERTIFICATE, plain_name, public_part, signature_algorithm, signed_by
from netssh_mcp.wire.userauth import Transport

_WINDOW: Final = 4 << 20  # bytes a device may send before we acknowledge: 10 MB outputs do not stall on round trips
_ALGORITHM: Final = re.compile(r"[A-Za-z0-9@.,_/+-]{1,64}")  # RFC 4251: printable, at most 64
_MOST_NAMES: Final = 8

CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_KINDS: Final = {  # how RFC 4253 calls each list of a KEXINIT, and how people do
    "kex_algo_list": "key exchange",
    "server_key_algo_list": "host key",
    "server_encrypt_algo_list": "cipher",
    "server_mac_algo_list": "MAC",
}


def _is_algorithm(name: str) -> bool:
    return not name.startswith(("ext-info-", "kex-strict-"))  # signs among the key exchanges (RFC 8308, OpenSSH)


class BadHostKey(paramiko.SSHException):
    """The host's key is not what was agreed on, or its signature is wrong."""


class Handshake(Transport):
    """A connection that offers the algorithms of `kinds`, and keeps what the other side offered in `theirs`.

    `host_key_blob` is what the host showed as its key, proven to be its own: a plain key or a certificate. `verdict` is
    why that is trusted, `entered_by` the way to log in that was taken, `seconds` what each took.
    """

    ciphers: ClassVar[tuple[str, ...]] = CIPHERS
    macs: ClassVar[tuple[str, ...]] = MACS
    host_keys: ClassVar[tuple[str, ...]] = HOST_KEYS

    def __init__(self, through: socket.socket | paramiko.Channel) -> None:
        super().__init__(through, default_window_size=_WINDOW)
        self.daemon = True
        self.theirs: dict[str, tuple[str, ...]] = {}
        self.host_key_blob = b""
        self.verdict = ""
        self.entered_by = ""
        self.seconds: dict[str, float] = {}
        options = self.get_security_options()
        options.ciphers, options.digests, options.key_types = self.ciphers, self.macs, self.host_keys

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """As they were set: Paramiko adds certificates behind all plain keys, where no server picks one."""
        return tuple(self._preferred_keys)

    def ours(self) -> dict[str, tuple[str, ...]]:
        """What we offer, by the names of `theirs`."""
        options = self.get_security_options()
        lists = (options.kex, self.preferred_keys, options.ciphers, options.digests)
        return {kind: tuple(names) for kind, names in zip(_KINDS, lists, strict=True)}

    def _really_parse_kex_init(self, m: paramiko.Message, ignore_first_byte: bool = False) -> dict[str, Any]:
        parsed: dict[str, Any] = super()._really_parse_kex_init(m, ignore_first_byte)
        if not ignore_first_byte:  # else it is our own
            self.theirs = {kind: tuple(filter(_is_algorithm, parsed[kind])) for kind in _KINDS}
        return parsed

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        """Called by the key exchange: the host's key, and its signature of this exchange."""
        agreed = plain_name(str(self.host_key_type))
        try:
            key_type, public = public_part(host_key)
            algorithm = signature_algorithm(sig)
            wanted = "ssh-rsa" if "rsa" in agreed else agreed
            certified = str(self.host_key_type).endswith(CERTIFICATE)
            if key_type != wanted + (CERTIFICATE if certified else "") or algorithm != agreed:
                raise BadHostKey("the host's key is of another type than agreed on")
            if self.host_key_blob not in (b"", host_key):
                raise BadHostKey("the host came with another key in the middle of the session")
            if not self._signed(public, sig):
                raise BadHostKey("the host could not prove that its key is its own")
            self.host_key = paramiko.PKey.from_type_string(wanted, public)
        except ValueError as error:
            raise BadHostKey(str(error)) from error
        self.host_key_blob = host_key

    def _signed(self, public: bytes, signature: bytes) -> bool:
        return signed_by(public, self.H, signature)


def handshake(device: Device, through: socket.socket | paramiko.Channel, keys: HostKeys) -> Handshake:
    """A connection that will offer what this device may use: old algorithms with `legacy: true` only."""
    kind: type[Handshake] = Handshake
    if device.legacy:
        from netssh_mcp.wire.legacy import LegacyHandshake  # noqa: PLC0415 - a subclass of the class above

        kind = LegacyHandshake
    transport = kind(through)
    transport.get_security_options().key_types = keys.algorithms(device, kind.host_keys)
    return transport


def agree(device: Device, transport: Handshake, keys: HostKeys, timeout: float) -> None:
    """Exchange keys and check the host's.

    Raises AlgorithmMismatch, HostKeyUnknown, HostKeyChanged, SSHException, OSError (TimeoutError).
    """
    try:
        transport.start_client(timeout=timeout)
    except IncompatiblePeer as error:
        if not transport.theirs:  # not about algorithms: it speaks SSH 1
            raise
        raise _mismatch(device, transport) from error
    except BadHostKey as error:
        raise HostKeyUnknown(
            f"the host key cannot be trusted: {error}; nothing was sent, no credential either",
            device=device.name,
            hint="Someone may be in between, or its SSH server is broken.",
        ) from error
    if not transport.initial_kex_done:
        raise TimeoutError("no answer to the key exchange in time")  # Paramiko returns as if all were well
    transport.verdict = keys.verify(device, transport.host_key_blob)


# -- no algorithm in common --------------------------------------------------------------------------------------------


def _mismatch(device: Device, transport: Handshake) -> AlgorithmMismatch:
    """Names the first list without a common algorithm, what stands in the device's, and the way out if there is one."""
    from netssh_mcp.wire.legacy import LegacyHandshake  # noqa: PLC0415 - imports this module

    ours, theirs = transport.ours(), transport.theirs
    missing = [kind for kind in _KINDS if not set(ours[kind]) & set(theirs[kind])]
    old = LegacyHandshake.everything()
    only_dss = "server_key_algo_list" in missing and set(theirs["server_key_algo_list"]) <= {"ssh-dss"}
    kinds = ", ".join(_KINDS[kind] for kind in missing) or "by direction"
    if only_dss:
        hint = (
            "Its only host key is ssh-dss (DSA), which SSH libraries no longer implement; `legacy: true` does not "
            "bring it back. Generate an RSA key of 2048 bits or more on the device, over its console or another way in."
        )
    elif not device.legacy and all(set(old[kind]) & set(theirs[kind]) for kind in missing):
        hint = (
            "The device offers only algorithms that are refused by default. Upgrade it or generate newer keys on it; "
            "where that cannot be, set `legacy: true` for this host in the inventory."
        )
    else:
        hint = "Enable one that this server offers on the device, or upgrade it."
    return AlgorithmMismatch(
        f"{device.hostname}:{device.port} and this server share no algorithm ({kinds})",
        device=device.name,
        line="; ".join(f"{_KINDS[kind]}: {_quoted(theirs[kind])}" for kind in missing),
        hint=hint,
    )


def _quoted(names: Sequence[str]) -> str:
    """Names that a peer sent who has proven nothing: those that can be names, and not many."""
    sound = [name for name in names if _ALGORITHM.fullmatch(name)]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(sound[:_MOST_NAMES]) + more) if sound else "none"
