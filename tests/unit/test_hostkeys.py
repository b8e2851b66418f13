"""Whom we talk to: every form of known_hosts line, the pin, and what each mode does with an unknown key."""

from __future__ import annotations

import io
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from netssh_mcp.errors import AuditError, HostKeyChanged, HostKeyUnknown, InputError
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


@pytest.mark.parametrize("alias", ["*", "a b", "r1,r2", "#r1", "!r1", "r?", "|1|r1", "@revoked", "r1\nr2", "r1\t"])
def test_tofu_keeps_no_key_under_a_name_that_would_be_read_as_something_else(alias: str, tmp_path: Path) -> None:
    found = keys(tmp_path, mode="tofu")
    with pytest.raises(InputError, match="no single name"):
        found.verify(replace(R1, host_key_alias=alias), KEY.asbytes())
    assert not found.own_file.exists()


@pytest.mark.parametrize(
    "pin", [fingerprint(KEY.asbytes()), line(KEY), KEY.get_base64()], ids=["fingerprint", "line", "key"]
)
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


# -- the mode pinned -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["", "strict", "tofu", "accept_any"])
def test_a_server_that_pins_takes_no_other_hosts_whatever_they_say_themselves(own: Mode, tmp_path: Path) -> None:
    found = keys(tmp_path, f"[127.0.0.1]:2201 {line(KEY)}\n", "pinned")
    with pytest.raises(HostKeyUnknown, match="the mode is pinned") as caught:
        found.verify(replace(R1, host_keys=own), KEY.asbytes())
    assert fingerprint(KEY.asbytes()) in str(caught.value)
    found.verify(replace(R1, host_keys=own, host_key=line(KEY)), KEY.asbytes())


def test_a_pinned_host_of_a_strict_server_needs_its_pin(tmp_path: Path) -> None:
    found = keys(tmp_path, f"[127.0.0.1]:2201 {line(KEY)}\n")
    with pytest.raises(HostKeyUnknown, match="pinned"):
        found.verify(replace(R1, host_keys="pinned"), KEY.asbytes())


def test_a_pin_that_is_a_whole_key_says_which_type_to_ask_for(tmp_path: Path) -> None:
    plain = ("ssh-ed25519", "ecdsa-sha2-nistp256")
    assert keys(tmp_path).algorithms(replace(R1, host_key=line(ECDSA)), plain) == plain[::-1]


# -- the file that tofu writes -------------------------------------------------------------------------------------


def test_a_learned_key_is_told_before_it_is_kept_and_not_kept_where_that_fails(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def learned(device: str, mark: str) -> None:
        assert not own.exists()
        told.append((device, mark))
        if len(told) == 1:
            raise AuditError("the audit file cannot be written")

    own = tmp_path / "own"
    found = HostKeys("tofu", (), own, learned)
    with pytest.raises(AuditError):
        found.verify(R1, KEY.asbytes())
    assert not own.exists()
    found.verify(R1, KEY.asbytes())
    found.verify(R1, KEY.asbytes())
    assert told == [("r1", f"ssh-ed25519 {fingerprint(KEY.asbytes())}")] * 2


def test_a_file_without_a_last_line_end_gets_a_line_of_its_own_and_becomes_private(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(f"r9 {line(OTHER)}")
    own.chmod(0o644)
    HostKeys("tofu", (), own).verify(R1, KEY.asbytes())
    assert own.read_text() == f"r9 {line(OTHER)}\n[127.0.0.1]:2201 {line(KEY)}\n"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "own.lock"]


def test_a_link_to_the_own_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "own").symlink_to(tmp_path / "elsewhere" / "file")
    HostKeys("tofu", (), tmp_path / "own").verify(R1, KEY.asbytes())
    assert (tmp_path / "own").is_symlink()
    assert line(KEY) in (tmp_path / "elsewhere" / "file").read_text()


_LEARN = """
import base64, sys
from pathlib import Path
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.hostkeys import HostKeys
keys, blob = HostKeys("tofu", (), Path(sys.argv[1])), base64.b64decode(sys.argv[2])
sys.stdin.read(1)
for number in range(40):
    keys.verify(Device(f"{sys.argv[3]}{number}", f"{sys.argv[3]}{number}", 22, "linux", "u"), blob)
    try:
        keys.verify(Device("same", "same", 22, "linux", "u"), blob)
    except Exception as error:
        assert type(error).__name__ == "HostKeyChanged", error
"""


def test_two_processes_that_learn_at_once_lose_no_line_and_agree_on_the_first_key(tmp_path: Path) -> None:
    own = tmp_path / "own"
    learners = [
        subprocess.Popen(
            [sys.executable, "-c", _LEARN, str(own), key.get_base64(), name], stdin=subprocess.PIPE, cwd=Path.cwd()
        )
        for key, name in ((KEY, "a"), (OTHER, "b"))
    ]
    for learner in learners:
        learner.communicate(b"x", timeout=60)
        assert learner.returncode == 0
    names = [text.split()[0] for text in own.read_text().splitlines()]
    assert sorted(names) == sorted([*(f"{who}{number}" for who in "ab" for number in range(40)), "same"])
