"""Our reading of ssh_config next to that of the real client: `ssh -G -F FILE HOST` on the same files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.ssh_config import SshConfig, SshHost
from netssh_mcp.knowledge.ssh_words import hop, seconds, words
from tests.devices import openssh

NOTHING = ("", "none", "0")
CASES: list[tuple[str, str, str]] = [
    ("one host", "Host r1\n HostName 10.0.0.1\n Port 2222\n User ops\n", "r1"),
    ("another host", "Host r1\n HostName 10.0.0.1\n", "r2"),
    ("the first value wins", "Host r1\n Port 1\nHost *\n Port 2\n User u\n", "r1"),
    ("before any Host line", "User everybody\nHost r1\n User ops\n", "r1"),
    ("several patterns", "Host r1 r2 edge*\n User ops\n", "edge7"),
    ("question mark", "Host r?\n User ops\n", "r9"),
    ("question mark is one character", "Host r?\n User ops\n", "r10"),
    ("negation", "Host * !r1\n User ops\n", "r1"),
    ("negation of another", "Host * !r1\n User ops\n", "r2"),
    ("negation first", "Host !r1 *\n User ops\n", "r1"),
    ("only a negation", "Host !r1\n User ops\n", "r2"),
    ("a comma is part of a Host pattern", "Host r1,r2\n User ops\n", "r1"),
    ("Host looks at case", "Host R1\n User ops\n", "r1"),
    ("a name in capitals", "Host r1\n User ops\n", "R1"),
    ("keywords do not look at case", "hOsT r1\n uSeR ops\n PORT 99\n", "r1"),
    ("equals sign", "Host=r1\n HostName=10.0.0.1\n Port = 22\n User  =  ops\n", "r1"),
    ("equals sign alone before", "Host r1\n HostName =10.0.0.1\n", "r1"),
    ("tabs, blank lines, comments", "# c\n\nHost\tr1\n\t# User no\n\tUser\tops\t\n\n", "r1"),
    ("windows line ends", "Host r1\r\n User ops\r\n Port 5\r\n", "r1"),
    ("comment behind a value", "Host r1 # r2\n User ops # the operators\n", "r1"),
    ("comment behind a pattern names nobody", "Host r1 # r2\n User ops\n", "r2"),
    ("quoted value", 'Host r1\n User "ops team"\n IdentityFile "/k/with space"\n', "r1"),
    ("single quotes", "Host r1\n IdentityFile '/k/with space'\n", "r1"),
    ("quoted pattern", 'Host "r1"\n User ops\n', "r1"),
    ("escaped quote", 'Host r1\n IdentityFile "/k/a\\"b"\n', "r1"),
    ("escaped space", "Host r1\n IdentityFile /k/a\\ b\n", "r1"),
    ("several identities", "Host r1\n IdentityFile /k/a\n IdentityFile /k/b\nHost *\n IdentityFile /k/c\n", "r1"),
    ("an identity twice", "IdentityFile /k/a\nIdentityFile /k/b\nIdentityFile /k/a\n", "r1"),
    ("identity with tokens", "IdentityFile ~/.ssh/%h-%r-%p\n", "r1"),
    ("identity none", "IdentityFile none\n", "r1"),
    ("certificates", "CertificateFile /k/a-cert.pub\nCertificateFile /k/b-cert.pub\n", "r1"),
    ("identities only", "IdentitiesOnly yes\nIdentityFile /k/a\n", "r1"),
    ("hostname with the alias", "Host r*\n HostName %h.example.net\n", "r1"),
    ("hostname with a percent sign", "HostName fe80::1%%eth0\n", "r1"),
    ("hostname in capitals", "HostName R1.Example.NET\n", "r1"),
    ("an address", "Host 10.0.0.*\n User ops\n", "10.0.0.7"),
    ("IPv6", "Host 2001:db8::*\n User ops\n", "2001:db8::1"),
    ("proxy jump", "Host r1\n ProxyJump bastion\n", "r1"),
    ("proxy jump with user and port", "ProxyJump ops@bastion:2222\n", "r1"),
    ("several hops", "ProxyJump a,ops@b:2222,c\n", "r1"),
    ("proxy jump in URI form", "ProxyJump ssh://ops@bastion:2222\n", "r1"),
    ("proxy jump none first", "Host r1\n ProxyJump none\nHost *\n ProxyJump bastion\n", "r1"),
    ("proxy jump with a comment", "ProxyJump bastion # the old one\n", "r1"),
    ("proxy jump to an address", "ProxyJump [2001:db8::1]:2222\n", "r1"),
    ("proxy jump, then command", "ProxyJump bastion\nProxyCommand nc %h %p\n", "r1"),
    ("command, then proxy jump", "ProxyCommand nc %h %p\nProxyJump bastion\n", "r1"),
    ("command none, then proxy jump", "Host r1\n ProxyCommand none\nHost *\n ProxyJump bastion\n", "r1"),
    ("jump none, then command", "Host r1\n ProxyJump none\nHost *\n ProxyCommand nc %h %p\n", "r1"),
    ("command with quotes", "ProxyCommand ssh -o \"A b\" -W '[%h]:%p' gw # no comment\n", "r1"),
    ("command with an equals sign", "ProxyCommand=nc -X 5 %h %p\n", "r1"),
    ("match all", "Match all\n User ops\n", "r1"),
    ("match host", "Match host r1,r2\n User ops\n", "r2"),
    ("match host of capitals", "Match host R1\n User ops\n", "r1"),
    ("match host negated in the list", "Match host r*,!r1\n User ops\n", "r1"),
    ("match negated", "Match !host r1\n User ops\n", "r2"),
    ("match negated, and it is", "Match !host r1\n User ops\n", "r1"),
    (
        "match looks at the new hostname",
        "Host r1\n HostName core.example.net\nMatch host *.example.net\n User ops\n",
        "r1",
    ),
    (
        "match original host",
        "Host r1\n HostName core\nMatch originalhost r1\n User ops\nMatch originalhost core\n Port 5\n",
        "r1",
    ),
    ("match user", "Host r1\n User ops\nMatch user ops\n Port 5\n", "r1"),
    ("match user of another", "Host r1\n User ops\nMatch user root\n Port 5\n", "r1"),
    ("match two criteria", "User ops\nMatch host r1 user ops\n Port 5\n", "r1"),
    ("match two criteria, one fails", "User ops\nMatch host r1 user root\n Port 5\n", "r1"),
    ("match with an equals sign", "Match host=r1\n Port 5\n", "r1"),
    ("match with quotes", 'Match host "r1,r2"\n Port 5\n', "r1"),
    ("match localuser", "Match localuser nobody-here\n Port 5\nMatch localuser *\n Port 6\n", "r1"),
    ("match with a comment", "Match host r1 # user root\n Port 5\n", "r1"),
    ("known hosts files", "UserKnownHostsFile /a /b\nUserKnownHostsFile /c\n", "r1"),
    ("strict", "StrictHostKeyChecking accept-new\n", "r1"),
    ("strict off", "StrictHostKeyChecking off\n", "r1"),
    ("times", "ConnectTimeout 1m30s\nServerAliveInterval 15\n", "r1"),
    ("time none", "Host r1\n ConnectTimeout none\nHost *\n ConnectTimeout 9\n", "r1"),
    ("host key alias", "HostKeyAlias farm\n", "r1"),
    ("unsupported keywords", "ForwardAgent yes\nCiphers aes128-ctr\nPort 5\n", "r1"),
    ("include", "Include {folder}/a.conf\nHost r1\n Port 9\n", "r1"),
    ("include of several", "Include {folder}/a.conf {folder}/b.conf\n", "r1"),
    ("include by pattern, in order", "Include {folder}/?.conf\n", "r1"),
    ("include of nothing", "Include {folder}/none*.conf\nPort 5\n", "r1"),
    ("include inside a host", "Host r2\n Include {folder}/a.conf\n Port 5\n", "r2"),
    ("include inside another host", "Host r2\n Include {folder}/a.conf\n", "r1"),
    ("include does not end its Host", "Host r1\n Include {folder}/hosts.conf\n Port 5\n", "r1"),
    ("include in an include", "Include {folder}/nest.conf\n", "r1"),
]
INCLUDED = {
    "a.conf": "User from-a\nPort 7\n",
    "b.conf": "User from-b\nHostName from-b\n",
    "hosts.conf": "Host elsewhere\n User nobody\nHost *\n User included\n",
    "nest.conf": "Include {folder}/b.conf\nPort 8\n",
}


@pytest.mark.parametrize(("text", "host"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_real_client_reads_the_same(text: str, host: str, tmp_path: Path) -> None:
    openssh.needed()
    for name, content in INCLUDED.items():
        (tmp_path / name).write_text(content.replace("{folder}", str(tmp_path)))
    file = tmp_path / "config"
    file.write_bytes(text.replace("{folder}", str(tmp_path)).encode())
    asked = subprocess.run(["ssh", "-G", "-F", str(file), host], capture_output=True, text=True, check=True)
    theirs: dict[str, list[str]] = {}
    for line in asked.stdout.splitlines():
        theirs.setdefault(line.partition(" ")[0], []).append(line.partition(" ")[2])
    config = SshConfig.read(file)
    assert as_g(config.host(host), config, theirs) == {key: theirs.get(key, [""]) for key in KEYS}


KEYS = (
    "hostname",
    "port",
    "user",
    "identityfile",
    "certificatefile",
    "identitiesonly",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "stricthostkeychecking",
    "connecttimeout",
    "serveraliveinterval",
    "hostkeyalias",
)


def as_g(found: SshHost, config: SshConfig, theirs: dict[str, list[str]]) -> dict[str, list[str]]:
    """What we found as `ssh -G` prints it; where we found nothing, its default."""
    default = {key: theirs.get(key, [""]) for key in KEYS}
    jump = ",".join(found.proxy_jump[:-1] + tuple(_hop_as_g(each) for each in found.proxy_jump[-1:]))
    said: dict[str, Any] = {
        "hostname": [found.hostname.lower() if theirs["hostname"][0] == found.hostname.lower() else found.hostname],
        "port": [str(found.port or 22)],
        "user": [found.user or config.local_user],
        "identityfile": list(found.identity_files) or _defaults(default["identityfile"], "~/.ssh/id_"),
        "certificatefile": list(found.certificate_files) or [""],
        "identitiesonly": ["yes" if found.identities_only else "no"],
        "proxyjump": [jump],
        "proxycommand": [found.proxy_command],
        "userknownhostsfile": [" ".join(found.known_hosts)] if found.known_hosts else default["userknownhostsfile"],
        "connecttimeout": ["none" if found.connect_timeout is None else str(found.connect_timeout)],
        "serveraliveinterval": [str(found.keepalive or 0)],
        "hostkeyalias": [found.host_key_alias],
    }
    words_for = {"yes": "true", "no": "false", "": "ask"}
    said["stricthostkeychecking"] = [words_for.get(found.strict, found.strict)]
    return said


def _hop_as_g(written: str) -> str:
    user, host, port = hop(written)
    numeric = ":" in host or not host.strip("1234567890.")
    return f"{user + '@' if user else ''}{f'[{host}]' if numeric else host}{f':{port}' if port else ''}"


def _defaults(shown: list[str], prefix: str) -> list[str]:
    assert all(each.startswith(prefix) for each in shown), shown
    return shown


# -- what is our own -----------------------------------------------------------------------------------------------


def read(text: str, tmp_path: Path, home: Path | None = None) -> SshConfig:
    file = tmp_path / "config"
    file.write_text(text)
    return SshConfig.read(file, home)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Match exec true\n", "`exec` is refused"),
        ("Host r1\nMatch host r1 exec /bin/true\n", r"config:2: Match: `exec` is refused"),
        ("Match final all\n", "no criterion 'final'"),
        ("Match host\n", "a value for host is missing"),
        ("Match host a all\n", "stands alone"),
        ("Port x\n", "number from 1 to 65535"),
        ("Port\n", "a value is missing"),
        ("User a b\n", "more than one value"),
        ('User "a\n', "a quote is not closed"),
        ("ProxyJump $(reboot)\n", "hop"),
        ("ProxyJump -oProxyCommand=x\n", "hop"),
        ("ProxyJump a,,b\n", "hop"),
        ("ConnectTimeout soon\n", "duration"),
        ("StrictHostKeyChecking maybe\n", "accept-new"),
        ("IdentitiesOnly perhaps\n", "yes or no"),
    ],
)
def test_what_cannot_be_used_is_an_error_with_file_and_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read(text, tmp_path)
    assert f"{tmp_path}/config:" in str(caught.value)


def test_a_file_that_others_may_write_is_refused_included_ones_too(tmp_path: Path) -> None:
    (tmp_path / "open.conf").write_text("User x\n")
    (tmp_path / "open.conf").chmod(0o666)
    with pytest.raises(InputError, match=r"open\.conf may be written by others \(mode 0666\)"):
        read(f"Include {tmp_path}/open.conf\n", tmp_path)


def test_a_relative_include_starts_in_the_users_ssh_folder(tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    (tmp_path / ".ssh" / "conf.d" / "lab").write_text("Host r1\n User lab\n")
    (tmp_path / ".ssh" / "more").write_text("Port 5\n")
    config = read("Include conf.d/*\nInclude ~/.ssh/more\n", tmp_path, tmp_path)
    assert config.host("r1").user == "lab"
    assert config.host("r2").port == 5
    assert [path.name for path in config.files] == ["config", "lab", "more"]


def test_files_that_include_each_other_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 16 files"):
        read(f"Include {tmp_path}/config\n", tmp_path)


def test_keywords_that_change_security_and_are_not_done_are_named_where_they_count(tmp_path: Path) -> None:
    config = read("Host r1\n ForwardAgent yes\nHost r2\n RevokedHostKeys /etc/revoked\n Compression yes\n", tmp_path)
    assert config.host("r1").unsupported == (f"ForwardAgent ({tmp_path}/config:2)",)
    assert config.host("r2").unsupported == (f"RevokedHostKeys ({tmp_path}/config:4)",)


def test_words_and_durations() -> None:
    assert words('a "b c" \'d "e\' f\\ g \\\\h # i') == ["a", "b c", 'd "e', "f g", "\\h"]
    assert seconds("1h2m3") == 3723
    assert seconds("none") is None
    assert hop("u@x@h:22") == ("u@x", "h", 22)
