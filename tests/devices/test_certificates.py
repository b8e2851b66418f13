"""Host certificates: our verdict and that of OpenSSH's client on the same server with the same file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from netssh_mcp.errors import HostKeyChanged, HostKeyUnknown
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.handshake import agree, handshake
from netssh_mcp.wire.hostkeys import HostKeys, Mode
from tests.devices import openssh
from tests.devices.certificate_cases import CASES, CERTIFICATES, HOST, NEW_IN_10_3, PORT
from tests.unit.known_hosts_cases import hashed

R1 = Device("r1", HOST, PORT, "linux", "nobody")
AT = f"[{HOST}]:{PORT}"
KINDS = {
    "ed25519": ("ed25519",),
    "rsa": ("rsa", "-b", "2048"),
    "ecdsa": ("ecdsa",),
    "ecdsa384": ("ecdsa", "-b", "384"),
    "ecdsa521": ("ecdsa", "-b", "521"),
    "other": ("ed25519",),
    "ca": ("ed25519",),
    "another": ("ed25519",),
    "ca_ecdsa": ("ecdsa",),
    "ca_rsa": ("rsa", "-b", "2048"),
}


@dataclass(frozen=True)
class Office:
    """Keys, authorities, and a certificate of each kind."""

    folder: Path

    def public(self, name: str) -> str:
        """Type and key, as known_hosts has them."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def command(self, certificate: str) -> list[str]:
        """An sshd that shows this certificate, and its key alone to whoever does not ask for certificates."""
        key = CERTIFICATES[certificate].key if certificate else "ed25519"
        lines = [f"HostKey {self.folder / key}"]
        if certificate:
            lines.append(f"HostCertificate {self.folder / certificate}-cert.pub")
        return openssh.server(self.folder / f"sshd-{certificate}.conf", lines)

    def file(self, certificate: str, text: str) -> str:
        words: Mapping[str, str] = {name: self.public(name) for name in KINDS}
        return text.format(
            **words,
            key=words[CERTIFICATES[certificate].key if certificate else "ed25519"],
            at=AT,
            hashed_ca=hashed(AT, words["ca"]),
            hashed_another=hashed(AT, words["another"]),
            certificate=self.public(f"{certificate or 'good'}-cert"),
            ca_certificate=self.public("authority-cert"),
        )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    openssh.needed()
    folder = tmp_path_factory.mktemp("office")
    for name, kind in KINDS.items():
        openssh.keygen("-N", "", "-t", *kind, "-f", folder / name)
    for name, signed in {**CERTIFICATES, "authority": CERTIFICATES["good"]}.items():
        about = "ca" if name == "authority" else signed.key
        (folder / f"{name}.pub").write_text((folder / f"{about}.pub").read_text())
        openssh.keygen("-s", folder / signed.by, "-I", name, *signed.words, folder / f"{name}.pub")
    return Office(folder)


def ours(command: list[str], keys: HostKeys, device: Device = R1) -> str:
    """The verdict; "accepted" is one that the login would follow."""
    with openssh.connected(command) as sock:
        transport = handshake(device, sock, keys)
        try:
            agree(device, transport, keys, 20)
        except (HostKeyUnknown, HostKeyChanged) as error:
            return "revoked" if "@revoked" in str(error) else "refused"
        finally:
            transport.close()
            transport.join(5)
        return "accepted"


def keys(folder: Path, text: str, mode: Mode = "strict") -> HostKeys:
    (folder / "known_hosts").write_text(text)
    return HostKeys(mode, (folder / "known_hosts",), folder / "own")


@pytest.mark.parametrize("case", CASES)
def test_a_certificate_and_a_file_have_the_verdict_that_ssh_gives_them(
    case: str, office: Office, tmp_path: Path
) -> None:
    certificate, text, verdict = CASES[case]
    found = keys(tmp_path, office.file(certificate, text))
    command = office.command(certificate)
    assert ours(command, found) == verdict
    if certificate not in NEW_IN_10_3 or openssh.version() >= (10, 3):
        assert openssh.verdict(command, found.files, HOST, PORT) == verdict


def test_lines_in_several_files_are_taken_together(office: Office, tmp_path: Path) -> None:
    paths = (tmp_path / "a", tmp_path / "absent", tmp_path / "b")
    paths[0].write_text(office.file("good", "@cert-authority * {ca}\n"))
    paths[2].write_text(office.file("good", "@revoked * {ca}\n"))
    for files, verdict in ((paths, "revoked"), (paths[:2], "accepted"), (paths[1:2], "refused")):
        assert ours(office.command("good"), HostKeys("strict", files[:-1], files[-1])) == verdict
        assert openssh.verdict(office.command("good"), files, HOST, PORT) == verdict


def test_an_error_about_a_certificate_says_what_is_wrong_with_it(office: Office, tmp_path: Path) -> None:
    wanted = {"expired": "it has expired", "of-a-user": "a user's certificate", "by-another": "no @cert-authority line"}
    for certificate, why in wanted.items():
        found = keys(tmp_path, office.file(certificate, "@cert-authority * {ca}\n"))
        with openssh.connected(office.command(certificate)) as sock:
            transport = handshake(R1, sock, found)
            with pytest.raises(HostKeyUnknown, match=why):
                agree(R1, transport, found, 20)
            transport.close()
            transport.join(5)


def test_certificates_are_asked_for_only_where_a_line_about_the_host_has_a_marker(
    office: Office, tmp_path: Path
) -> None:
    plain = ("ssh-ed25519", "rsa-sha2-512", "ssh-rsa")
    assert keys(tmp_path, office.file("", "{at} {key}\n")).algorithms(R1, plain) == plain
    assert keys(tmp_path, office.file("", "@cert-authority r2.example {ca}\n")).algorithms(R1, plain) == plain
    offered = keys(tmp_path, office.file("", "@cert-authority r1.example {ca}\n")).algorithms(R1, plain)
    assert offered == ("ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com", *plain)


@pytest.mark.parametrize("mode", ["strict", "tofu", "pinned", "accept_any"])
def test_a_revoked_authority_is_refused_in_every_mode(mode: Mode, office: Office, tmp_path: Path) -> None:
    found = keys(tmp_path, office.file("good", "@revoked * {ca}\n"), mode)
    assert ours(office.command("good"), found) == "revoked"
    assert not found.own_file.exists()


def test_a_pin_is_the_key_inside_the_certificate(office: Office, tmp_path: Path) -> None:
    found = keys(tmp_path, office.file("expired", "@cert-authority * {ca}\n"), "pinned")
    assert ours(office.command("expired"), found, replace(R1, host_key=office.public("ed25519"))) == "accepted"
    assert ours(office.command("good"), found, replace(R1, host_key=office.public("other"))) == "refused"
    assert ours(office.command("good"), found) == "refused"


def test_tofu_keeps_the_key_and_not_its_certificate(office: Office, tmp_path: Path) -> None:
    found = keys(tmp_path, office.file("by-another", "@cert-authority * {ca}\n"), "tofu")
    assert ours(office.command("by-another"), found) == "accepted"
    assert found.own_file.read_text() == f"{AT} {office.public('ed25519')}\n"
    assert openssh.verdict(office.command("by-another"), [found.own_file], HOST, PORT) == "accepted"


def test_a_key_revoked_for_the_host_is_revoked_on_every_port(office: Office, tmp_path: Path) -> None:
    """Not as ssh, which looks at the host's own lines only where the port is unknown."""
    found = keys(tmp_path, office.file("", "{at} {key}\n@revoked r1.example {key}\n"))
    assert ours(office.command(""), found) == "revoked"


def test_an_alias_is_the_name_in_the_files_and_in_the_certificate(office: Office, tmp_path: Path) -> None:
    found = keys(tmp_path, office.file("good", "@cert-authority r1.example {ca}\n"))
    assert ours(office.command("good"), found, replace(R1, hostname="192.0.2.1", host_key_alias=HOST)) == "accepted"
    assert ours(office.command("good"), found, replace(R1, hostname="192.0.2.1")) == "refused"
