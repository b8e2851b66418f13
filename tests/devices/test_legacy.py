"""Servers that have old algorithms only: reached with `legacy: true`, and by no other connection of the process."""

from __future__ import annotations

import io
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from netssh_mcp.errors import AlgorithmMismatch, HostKeyUnknown
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.lab.device import Algorithms, DeviceSpec
from netssh_mcp.lab.server import start_network
from netssh_mcp.wire.handshake import CIPHERS, MACS, Handshake, agree, handshake
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.legacy import _RSA, LegacyHandshake
from tests.devices import openssh
from tests.devices.direct import Bench, on, pool_of
from tests.devices.house import audit_records, opened

# asyncssh's server asks cryptography for what the old key exchanges are made of.
pytestmark = pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
R1 = Device("r1", "r1.example", 22, "linux", "nobody")
OLD = Device("r1", "r1.example", 22, "linux", "nobody", legacy=True)
SHA1_RSA = ("ssh-rsa",)


def new_key(kind: str) -> str:
    return asyncssh.generate_private_key(kind).export_private_key("openssh").decode()


RSA_KEY, DSS_KEY = new_key("ssh-rsa"), new_key("ssh-dss")

PROFILES: Mapping[str, Algorithms] = {
    "group14-sha1": Algorithms(kex=("diffie-hellman-group14-sha1",)),
    "group1-sha1": Algorithms(kex=("diffie-hellman-group1-sha1",)),
    "gex-sha1": Algorithms(kex=("diffie-hellman-group-exchange-sha1",)),
    "ssh-rsa": Algorithms(host_key=SHA1_RSA),
    "aes128-cbc": Algorithms(ciphers=("aes128-cbc",)),
    "aes256-cbc": Algorithms(ciphers=("aes256-cbc",)),
    "3des-cbc": Algorithms(ciphers=("3des-cbc",)),
    "hmac-sha1": Algorithms(macs=("hmac-sha1",)),
    "old-ios": Algorithms(("diffie-hellman-group1-sha1",), ("3des-cbc",), ("hmac-sha1",), SHA1_RSA),
    "ios-15": Algorithms(
        ("diffie-hellman-group-exchange-sha1", "diffie-hellman-group14-sha1"),
        ("aes128-cbc", "3des-cbc"),
        ("hmac-sha1", "hmac-md5"),
        SHA1_RSA,
    ),
}


def spec(name: str, algorithms: Algorithms, key: str = RSA_KEY) -> DeviceSpec:
    return DeviceSpec(name, "cisco_ios", host_key=key, algorithms=algorithms)


@pytest.mark.parametrize("profile", PROFILES)
def test_an_old_device_is_reached_with_legacy_and_refused_without(profile: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert "Cisco IOS" in (await bench.run()).output
        bench.more = {}
        bench.pool = pool_of(tmp_path)  # beside the open session, which is of the same process
        with pytest.raises(AlgorithmMismatch, match="share no algorithm") as caught:
            await bench.run()
        assert "legacy: true" in caught.value.hint
        wanted = PROFILES[profile]
        assert any(name in caught.value.line for name in (*wanted.kex, *wanted.ciphers, *wanted.macs, *wanted.host_key))
        assert bench.device().logins == 1
        await bench.pool.aclose()

    on([spec("r1", PROFILES[profile])], tmp_path, work, r1={"legacy": True})


@pytest.mark.parametrize("legacy", [False, True])
def test_a_dsa_key_is_refused_and_nobody_is_sent_to_legacy(legacy: bool, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(AlgorithmMismatch, match=r"no algorithm \(host key") as caught:
            await bench.run()
        assert caught.value.line == "host key: ssh-dss"
        assert "Generate an RSA key" in caught.value.hint
        assert "set `legacy: true`" not in caught.value.hint

    on([spec("r1", Algorithms(host_key=("ssh-dss",)), DSS_KEY)], tmp_path, work, r1={"legacy": legacy})


@pytest.mark.parametrize("macs", [("hmac-md5",), ("hmac-sha1-96",), ("hmac-md5-96",)])
def test_md5_and_cut_macs_are_refused_even_with_legacy(macs: tuple[str, ...], tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(AlgorithmMismatch, match=r"no algorithm \(MAC") as caught:
            await bench.run()
        assert caught.value.line == f"MAC: {macs[0]}"
        assert "legacy: true" not in caught.value.hint

    on([spec("r1", Algorithms(macs=macs))], tmp_path, work, r1={"legacy": True})


def test_a_device_that_can_do_better_does_better_even_with_legacy(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        transport = next(thread for thread in threading.enumerate() if isinstance(thread, LegacyHandshake))
        assert transport.remote_cipher == CIPHERS[0]
        assert transport.host_key_type == "rsa-sha2-512"

    on([spec("r1", Algorithms())], tmp_path, work, r1={"legacy": True})


def test_every_row_of_a_legacy_host_has_the_warning_and_no_other(tmp_path: Path) -> None:
    specs = [spec("old", PROFILES["old-ios"]), spec("new", Algorithms())]

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            async with opened(network, specs, tmp_path, old={"legacy": True}) as app:
                result = await app.commands.show("*", ["show version", "show nonsense", "reload"])
        for row in result["rows"]:
            assert [warning.split(":")[0] for warning in row["warnings"]] == (
                ["legacy"] if row["device"] == "old" else []
            )
        assert result["ok"] == 2

    anyio.run(main)
    learned = [record for record in audit_records(tmp_path) if record.get("event") == "host_key_learned"]
    assert {record["device"] for record in learned} == {"old", "new"}
    assert all(record["key"].startswith("ssh-rsa SHA256:") for record in learned)


# -- OpenSSH's own server ------------------------------------------------------------------------------------------

SSHD = {
    "group1-sha1": ("KexAlgorithms diffie-hellman-group1-sha1",),
    "group14-sha1": ("KexAlgorithms diffie-hellman-group14-sha1",),
    "gex-sha1": ("KexAlgorithms diffie-hellman-group-exchange-sha1",),
    "ssh-rsa": ("HostKeyAlgorithms ssh-rsa",),
    "cbc": ("Ciphers aes128-cbc,aes256-cbc",),
    "3des": ("Ciphers 3des-cbc",),
    "hmac-sha1": ("MACs hmac-sha1", "Ciphers aes128-ctr"),
    "all-of-it": (
        "KexAlgorithms diffie-hellman-group1-sha1",
        "HostKeyAlgorithms ssh-rsa",
        "Ciphers 3des-cbc",
        "MACs hmac-sha1",
    ),
}


@pytest.fixture(scope="module")
def host_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssh.needed()
    path = tmp_path_factory.mktemp("sshd") / "rsa"
    openssh.keygen("-N", "", "-t", "rsa", "-b", "2048", "-f", path)
    return path


@pytest.mark.parametrize("profile", SSHD)
def test_an_openssh_server_with_old_algorithms(profile: str, host_key: Path, tmp_path: Path) -> None:
    command = openssh.server(tmp_path / "conf", [f"HostKey {host_key}", *SSHD[profile]])
    tested = subprocess.run([*command[:1], "-t", *command[2:]], capture_output=True, text=True, check=False)
    if tested.returncode:
        pytest.skip(f"this build of OpenSSH has them no more: {tested.stderr.strip()[-200:]}")
    key = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
    (tmp_path / "known_hosts").write_text(f"r1.example {key}\n")
    keys = HostKeys("strict", (), tmp_path / "known_hosts")
    with openssh.connected(command) as sock:
        assert agreed(OLD, sock, keys).host_key_blob
    with openssh.connected(command) as sock, pytest.raises(AlgorithmMismatch) as caught:
        agreed(R1, sock, keys)
    assert "legacy: true" in caught.value.hint


def agreed(device: Device, sock: socket.socket, keys: HostKeys) -> Handshake:
    transport = handshake(device, sock, keys)
    try:
        agree(device, transport, keys, 20)
    finally:
        transport.close()
        transport.join(5)
    return transport


# -- a server that says nothing about the signatures it takes ------------------------------------------------------


class OldServer(paramiko.Transport):
    """ssh-rsa for users only, and no word of it: what servers before RFC 8308 are like."""

    _preferred_pubkeys: Any = ("ssh-rsa",)
    _key_info: Any = {**paramiko.Transport._key_info, "ssh-rsa": _RSA}  # type: ignore[attr-defined]  # noqa: RUF012
    _preferred_kex: Any = LegacyHandshake._preferred_kex
    _kex_info: Any = LegacyHandshake._kex_info


class Anybody(paramiko.ServerInterface):
    def __init__(self) -> None:
        self.keys: list[str] = []

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002
        self.keys.append(type(key).__name__)
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]


@contextmanager
def old_server(host_key: paramiko.PKey, who: Anybody) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    transport = OldServer(theirs, server_sig_algs=False)
    transport.add_server_key(host_key)
    transport.start_server(event=threading.Event(), server=who)
    try:
        yield ours
    finally:
        transport.close()
        transport.join(5)
        ours.close()
        theirs.close()


def rsa_key(bits: int = 2048) -> paramiko.RSAKey:
    private = rsa.generate_private_key(65537, bits)
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return paramiko.RSAKey.from_private_key(io.StringIO(text))


def test_an_rsa_key_logs_in_with_sha1_where_the_server_cannot_say_that_it_knows_better(tmp_path: Path) -> None:
    mine, theirs, who = rsa_key(), rsa_key(), Anybody()
    (tmp_path / "own").write_text(f"r1.example ssh-rsa {theirs.get_base64()}\n")
    keys = HostKeys("strict", (), tmp_path / "own")
    with old_server(theirs, who) as sock:
        transport = handshake(OLD, sock, keys)
        agree(OLD, transport, keys, 20)
        transport.auth_publickey("admin", mine)
        assert transport.is_authenticated()
        transport.close()
        transport.join(5)
    assert who.keys == ["_RSA"]
    assert type(mine) is paramiko.RSAKey
    assert "ssh-rsa" not in mine.HASHES


def test_without_legacy_an_rsa_key_never_signs_with_sha1(tmp_path: Path) -> None:
    mine, theirs, who = rsa_key(), rsa_key(), Anybody()
    (tmp_path / "own").write_text(f"r1.example ssh-rsa {theirs.get_base64()}\n")
    keys = HostKeys("strict", (), tmp_path / "own")
    with old_server(theirs, who) as sock:
        transport = handshake(R1, sock, keys)
        agree(R1, transport, keys, 20)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_publickey("admin", mine)
        transport.close()
        transport.join(5)
    assert who.keys == []


# -- what is offered -----------------------------------------------------------------------------------------------


def offered(device: Device, tmp_path: Path) -> dict[str, Sequence[str]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = handshake(device, ours, HostKeys("strict", (), tmp_path / "none"))
        transport.packetizer.close()
        return dict(transport.ours())


def test_a_normal_host_is_offered_no_weak_algorithm_and_the_best_first(tmp_path: Path) -> None:
    lists = offered(R1, tmp_path)
    every = " ".join(name for names in lists.values() for name in names)
    assert not re.search(r"sha1|md5|-96|cbc|3des|ssh-rsa|ssh-dss|arcfour|none", every)
    assert lists["server_encrypt_algo_list"][0].endswith("gcm@openssh.com")
    assert "-ctr" in lists["server_encrypt_algo_list"][2]
    assert tuple(lists["server_mac_algo_list"]) == MACS
    assert "diffie-hellman" not in lists["kex_algo_list"][0]


def test_legacy_adds_old_algorithms_behind_the_others_and_no_cut_or_md5_mac(tmp_path: Path) -> None:
    normal, old = offered(R1, tmp_path), offered(OLD, tmp_path)
    added = {kind: tuple(old[kind][len(normal[kind]) :]) for kind in normal}
    assert all(tuple(old[kind][: len(normal[kind])]) == tuple(normal[kind]) for kind in normal)
    assert added == {
        "kex_algo_list": (
            "diffie-hellman-group14-sha1",
            "diffie-hellman-group-exchange-sha1",
            "diffie-hellman-group1-sha1",
        ),
        "server_key_algo_list": ("ssh-rsa",),
        "server_encrypt_algo_list": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"),
        "server_mac_algo_list": ("hmac-sha1",),
    }


def test_nothing_of_paramiko_is_changed_by_it() -> None:
    assert LegacyHandshake._kex_info is not paramiko.Transport._kex_info  # type: ignore[attr-defined]
    known = {*paramiko.Transport._kex_info, *paramiko.Transport._key_info}  # type: ignore[attr-defined]
    assert not {name for name in known if "sha1" in name or name == "ssh-rsa"}
    assert "ssh-rsa" not in paramiko.RSAKey.HASHES
    assert "ssh-rsa" not in Handshake._key_info


def test_a_host_key_signed_in_another_way_than_agreed_is_refused(tmp_path: Path) -> None:
    """A server that agrees on SHA-2 and signs with SHA-1."""

    class Cheat(_RSA):
        def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> paramiko.Message:  # noqa: ARG002
            return super().sign_ssh_data(data, "ssh-rsa")

    key = rsa_key()
    cheat = Cheat(key=key.key)
    (tmp_path / "own").write_text(f"r1.example ssh-rsa {key.get_base64()}\n")
    keys = HostKeys("strict", (), tmp_path / "own")
    for device in (R1, OLD):
        with old_server(cheat, Anybody()) as sock, pytest.raises(HostKeyUnknown, match="of another type"):
            agreed(device, sock, keys)
