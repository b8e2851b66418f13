"""Certificates and keys as bytes from outside: whole and true ones are read, all others are refused."""

from __future__ import annotations

import base64
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)
from hypothesis import example, given
from hypothesis import strategies as st

from netssh_mcp.errors import HostKeyUnknown
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.handshake import Handshake
from netssh_mcp.wire.host_certificates import parse
from netssh_mcp.wire.hostkeys import HostKeys, Shown
from netssh_mcp.wire.key_blobs import public_part, signed_by

CA, HOST_KEY = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
NOW = 1_800_000_000.0


def blob(key: Any) -> bytes:
    return base64.b64decode(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def certificate(by: Any = CA, about: Any = HOST_KEY) -> bytes:
    builder = (
        SSHCertificateBuilder()
        .public_key(about.public_key())
        .serial(7)
        .type(SSHCertificateType.HOST)
        .key_id(b"r1")
        .valid_principals([b"r1.example", b"192.0.2.1"])
        .valid_after(1_700_000_000)
        .valid_before(1_900_000_000)
        .add_extension(b"x@example", b"")
    )
    return base64.b64decode(builder.sign(by).public_bytes().split()[1])


GOOD = certificate()


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["ed25519", "p256", "p521", "rsa"],
)
def test_a_certificate_of_each_kind_says_what_was_signed(key: Any) -> None:
    for found in (parse(certificate(key, HOST_KEY)), parse(certificate(CA, key))):
        assert (found.serial, found.host, found.key_id) == (7, True, "r1")
        assert found.principals == ("r1.example", "192.0.2.1")
        assert (found.after, found.before, found.critical) == (1_700_000_000, 1_900_000_000, ())
        assert found.refusal("R1.example", NOW) == ""
    assert parse(certificate(key, HOST_KEY)).authority == blob(key)
    assert parse(certificate(CA, key)).public == blob(key)


@pytest.mark.parametrize(
    ("now", "reason"),
    [(1.7e9 - 1, "it is not valid yet"), (1.7e9, ""), (1.9e9 - 1, ""), (1.9e9, "it has expired")],
)
def test_validity_is_from_its_first_second_to_before_its_last(now: float, reason: str) -> None:
    assert parse(GOOD).refusal("r1.example", now) == reason


@pytest.mark.parametrize(
    ("differs", "reason"),
    [
        ({"host": False}, "a user's certificate"),
        ({"principals": ()}, "no principal"),
        ({"principals": ("r2.example", "r1", "[r1.example]:22", "R1.example")}, "not for r1.example"),
        ({"principals": ("*.example",)}, ""),
        ({"principals": ("r?.example",)}, ""),
        ({"principals": ("[r]1.example",)}, "not for"),
        ({"critical": ("force-command",)}, "critical"),
        ({"signed_with": "ssh-rsa"}, "signature"),
    ],
)
def test_one_thing_wrong_is_enough(differs: dict[str, Any], reason: str) -> None:
    said = replace(parse(GOOD), **differs).refusal("r1.example", NOW)
    assert reason in said if reason else said == ""


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@example(len(GOOD) - 1, 1)
@example(276, 1)  # a length that Paramiko does not hold the other side to
def test_with_one_byte_changed_anywhere_it_speaks_for_nobody(at: int, by: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= by
    try:
        found = parse(bytes(changed))
    except ValueError:
        return
    assert found.signed_with not in ("ssh-ed25519", "")
    assert found.refusal("r1.example", NOW) == "its signature is of a kind that is not accepted"


@given(st.integers(0, len(GOOD) - 1) | st.just(0), st.binary(max_size=40))
def test_bytes_cut_or_added_are_never_more_than_a_refusal(at: int, more: bytes) -> None:
    for raw in (GOOD[:at] + more, more, blob(HOST_KEY)[:at] + more):
        if raw in (GOOD, blob(HOST_KEY)):
            continue
        try:
            shown = Shown.of(raw)
        except ValueError:
            continue
        assert shown.public == public_part(raw)[1]


def test_what_is_no_key_is_an_error_of_ours_and_never_trusted(tmp_path: Path) -> None:
    device = Device("r1", "r1.example", 22, "linux", "u", host_keys="accept_any")
    for raw in (b"", b"\x00\x00\x00\x04none", GOOD[:-1], blob(HOST_KEY) + b"x"):
        with pytest.raises(HostKeyUnknown, match="cannot be trusted"):
            HostKeys("strict", (), tmp_path / "none").verify(device, raw)


def test_an_authority_with_a_short_rsa_key_signs_nothing() -> None:
    short = paramiko.RSAKey(key=rsa.RSAPublicNumbers(65537, (1 << 1000) + 453).public_key())
    with pytest.raises(ValueError, match="too short"):
        signed_by(short.asbytes(), b"x", bytes(8))


def sized(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def test_a_number_that_is_cut_is_no_signature() -> None:
    authority = blob(ec.generate_private_key(ec.SECP256R1()))
    cut = (0xFFFFF).to_bytes(4, "big") + b"\x7f" * 8  # Paramiko fills up the megabyte, and reads it in 45 s
    with pytest.raises(ValueError, match="too early"):
        signed_by(authority, b"x", sized(b"ecdsa-sha2-nistp256", cut))
    with pytest.raises(ValueError, match="behind"):
        signed_by(authority, b"x", sized(b"ecdsa-sha2-nistp256", sized(b"\1", b"\1") + b"x"))


@pytest.mark.parametrize("number", [b"\xff" * 256, b"\x7f" * 2050])
def test_a_key_with_a_number_below_zero_or_beyond_all_keys_is_none(number: bytes) -> None:
    with pytest.raises(ValueError, match=r"cannot be used|too large"):
        signed_by(sized(b"ssh-rsa", b"\1\0\1", number), b"x", sized(b"rsa-sha2-256", bytes(256)))


# -- what `wire.handshake` takes from Paramiko is still there, as it was ---------------------------------------------


def test_the_methods_that_are_replaced_have_the_same_parameters() -> None:
    for name in ("_verify_key", "_really_parse_kex_init"):
        ours, theirs = (
            list(inspect.signature(getattr(kind, name)).parameters) for kind in (Handshake, paramiko.Transport)
        )
        assert ours == theirs, name
    assert isinstance(paramiko.Transport.preferred_keys, property)


def test_every_key_exchange_of_paramiko_asks_for_the_proof_that_was_replaced() -> None:
    for name, kind in paramiko.Transport._kex_info.items():  # type: ignore[attr-defined]
        source = "".join(inspect.getsource(parent) for parent in kind.__mro__[:-1])
        assert "transport._verify_key(" in source, name


def test_the_lists_of_a_kexinit_have_the_names_that_are_read() -> None:
    source = inspect.getsource(paramiko.Transport._really_parse_kex_init)  # type: ignore[attr-defined]
    for name in ("kex_algo_list", "server_key_algo_list", "server_encrypt_algo_list", "server_mac_algo_list"):
        assert f'parsed["{name}"]' in source
