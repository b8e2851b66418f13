"""Whom we talk to: every form of known_hosts line, the pin, and what each mode does with an unknown key."""

from __future__ import annotations

import io
import stat
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from netssh_mcp.errors import HostKeyChanged, HostKeyUnknown, InputError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.hostkeys import HostKeys, Mode
from netssh_mcp.wire.known_hosts import fingerprint, host_name
from tests.unit.known_hosts_cases import CASES, written


def new_key() -> paramiko.PKey:
    private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private.decode()))


KEY, OTHER, ECDSA = new_key(), new_key(), paramiko.ECDSAKey.generate()
R1 = Device("r1", "127.0.0.1", 2201, "cisco_ios", "admin")


def line(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def keys(folder: Path, text: str = "", mode: Mode = "strict") -> HostKeys:
    (folder / "known_hosts").write_bytes(text.encode())
    return HostKeys(mode, (folder / "absent", folder / "known_hosts"), folder / "deep" / "own")


@pytest.mark.parametrize("case", CASES)
def test_a_known_hosts_file_is_read_as_ssh_reads_it(case: str, tmp_path: Path) -> None:
    verdict = CASES[case][1]
    found = keys(tmp_path, written(case, "[127.0.0.1]:2201", key=line(KEY), other=line(OTHER), kind=line(ECDSA)))
    if verdict == "accepted":
        found.verify(R1, KEY.asbytes())
        return
    error = HostKeyUnknown if verdict == "unknown" else HostKeyChanged
    with pytest.raises(error) as caught:
        found.verify(R1, KEY.asbytes())
    assert fingerprint(KEY.asbytes()) in str(caught.value)
    assert ("@revoked" in str(caught.value)) == (verdict == "revoked")
    assert (caught.value.effect, caught.value.kind) == ("none", "hostkey")


def test_a_changed_key_names_both_fingerprints_and_the_line_on_record(tmp_path: Path) -> None:
    with pytest.raises(HostKeyChanged) as caught:
        keys(tmp_path, f"\n[127.0.0.1]:2201 {line(OTHER)}\n").verify(R1, KEY.asbytes())
    text = str(caught.value)
    assert fingerprint(KEY.asbytes()) in text
    assert f"{fingerprint(OTHER.asbytes())} ({tmp_path / 'known_hosts'}:2)" in text


def test_tofu_keeps_an_unknown_key_in_its_own_private_file_and_then_insists_on_it(tmp_path: Path) -> None:
    found = keys(tmp_path, mode="tofu")
    found.verify(R1, KEY.asbytes())
    found.verify(R1, KEY.asbytes())
    assert found.own_file.read_text() == f"[127.0.0.1]:2201 {line(KEY)}\n"
    assert stat.S_IMODE(found.own_file.stat().st_mode) == 0o600
    with pytest.raises(HostKeyChanged):
        found.verify(R1, OTHER.asbytes())
    with pytest.raises(HostKeyChanged):
        found.verify(R1, ECDSA.asbytes())
    replace(found, mode="strict").verify(R1, KEY.asbytes())


def test_tofu_accepts_no_revoked_key(tmp_path: Path) -> None:
    with pytest.raises(HostKeyChanged, match="@revoked"):
        keys(tmp_path, f"@revoked * {line(KEY)}\n", "tofu").verify(R1, KEY.asbytes())


@pytest.mark.parametrize("pin", [fingerprint(KEY.asbytes()), line(KEY), KEY.get_base64()])
def test_a_pin_decides_alone(pin: str, tmp_path: Path) -> None:
    found = keys(tmp_path, f"[127.0.0.1]:2201 {line(OTHER)}\n")
    pinned = replace(R1, host_key=pin)
    found.verify(pinned, KEY.asbytes())
    with pytest.raises(HostKeyChanged, match="pin"):
        found.verify(pinned, OTHER.asbytes())
    with pytest.raises(HostKeyChanged, match="pin"):
        replace(found, mode="accept_any").verify(pinned, OTHER.asbytes())


def test_a_hosts_own_mode_goes_over_the_servers(tmp_path: Path) -> None:
    found = keys(tmp_path)
    found.verify(replace(R1, host_keys="accept_any"), KEY.asbytes())
    assert not found.own_file.exists()
    with pytest.raises(HostKeyUnknown):
        replace(found, mode="tofu").verify(replace(R1, host_keys="strict"), KEY.asbytes())


def test_key_types_on_record_are_asked_for_first(tmp_path: Path) -> None:
    plain = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
    offered = keys(tmp_path, f"[127.0.0.1]:2201 {line(ECDSA)}\n").algorithms(R1, plain)
    assert offered == ("ecdsa-sha2-nistp256", "ssh-ed25519", "rsa-sha2-512")


@pytest.mark.parametrize(
    ("host", "port", "name"), [("R1.Example", 22, "r1.example"), ("R1", 2201, "[r1]:2201"), ("::1", 830, "[::1]:830")]
)
def test_a_host_is_named_as_ssh_names_it(host: str, port: int, name: str) -> None:
    assert host_name(host, port) == name


@pytest.mark.parametrize("mode", ["strict", "tofu", "accept_any"])
def test_a_pinned_key_that_is_revoked_is_refused(mode: Mode, tmp_path: Path) -> None:
    with pytest.raises(HostKeyChanged, match="@revoked"):
        keys(tmp_path, f"@revoked * {line(KEY)}\n", mode).verify(replace(R1, host_key=line(KEY)), KEY.asbytes())


@pytest.mark.parametrize("mode", ["strict", "tofu"])
def test_a_known_hosts_file_that_cannot_be_read_is_named(mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop"):
        found = HostKeys(mode, (path,), tmp_path / "own")
        with pytest.raises(InputError, match="cannot be read") as caught:
            found.verify(R1, KEY.asbytes())
        assert str(path) in str(caught.value)
        with pytest.raises(InputError):
            found.algorithms(R1, ("ssh-ed25519",))
    assert not (tmp_path / "own").exists()


def test_a_key_that_cannot_be_kept_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be kept"):
        HostKeys("tofu", (), tmp_path / "file" / "own").verify(R1, KEY.asbytes())
