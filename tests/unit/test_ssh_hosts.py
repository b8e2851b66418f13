"""What ssh_config adds to the inventory, what it cannot change, and what is said about it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from netssh_mcp.errors import HostKeyChanged, HostKeyUnknown, InputError
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.inventory_report import check_report
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.wire.hostkeys import HostKeys

Read = Callable[[str, str], Inventory]
INVENTORY = "defaults: {platform: frr}\nhosts:\n  r1:\n"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], InventorySource]:
    """An inventory and an ssh_config, in a home of their own that has the keys `a` and `b`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", "somewhere")
    (tmp_path / ".ssh").mkdir()
    for name in ("a", "b", "a-cert.pub"):
        (tmp_path / ".ssh" / name).touch(mode=0o600)

    def made(inventory: str, config: str) -> InventorySource:
        (tmp_path / "inventory.yaml").write_text(inventory)
        (tmp_path / ".ssh" / "config").write_text(config)
        return InventorySource([tmp_path / "inventory.yaml"], {"frr", "linux"}, ssh_config=tmp_path / ".ssh" / "config")

    return made


@pytest.fixture
def read(source: Callable[[str, str], InventorySource]) -> Read:
    return lambda inventory, config: source(inventory, config).current()


def test_a_host_gets_what_the_inventory_leaves_open(read: Read, tmp_path: Path) -> None:
    config = """Host r1
      HostName %h.example.net
      Port 2222
      User ops
      IdentityFile ~/.ssh/a
      IdentityFile %d/.ssh/b
      IdentityFile ~/.ssh/not-there
      CertificateFile ~/.ssh/a-cert.pub
      ConnectTimeout 3
      ServerAliveInterval 7
      HostKeyAlias farm
      UserKnownHostsFile ~/.ssh/kh /etc/%n
      StrictHostKeyChecking yes
    """
    r1 = read(INVENTORY, config).device("r1")
    ssh = tmp_path / ".ssh"
    assert (r1.hostname, r1.port, r1.username) == ("r1.example.net", 2222, "ops")
    assert (r1.key_files, r1.certificates, r1.agent) == ((ssh / "a", ssh / "b"), (ssh / "a-cert.pub",), True)
    assert (r1.connect_timeout, r1.keepalive, r1.host_key_alias, r1.host_keys) == (3.0, 7.0, "farm", "strict")
    assert r1.known_hosts == (ssh / "kh", Path("/etc/r1"))


def test_values_of_the_inventory_win_inherited_ones_too(read: Read) -> None:
    inventory = """
    defaults: {platform: frr, username: netops, connect_timeout: 9, host_keys: tofu}
    groups: {core: {port: 22, key_file: mine, jump: gate}}
    hosts:
      r1: {hostname: 192.0.2.1, groups: [core]}
      gate: {hostname: 192.0.2.9, jump: []}
    """
    config = "HostName wrong\nPort 1\nUser wrong\nIdentityFile ~/.ssh/a\nProxyJump wrong\nConnectTimeout 1\n"
    r1 = read(inventory, config + "StrictHostKeyChecking yes\n").device("r1")
    assert (r1.hostname, r1.port, r1.username, r1.connect_timeout) == ("192.0.2.1", 22, "netops", 9.0)
    assert [path.name for path in r1.key_files] == ["mine"]
    assert (r1.jump, r1.host_keys, r1.agent) == (("gate",), "tofu", False)


def test_identities_only_leaves_the_agent_out_and_so_does_a_password(read: Read) -> None:
    config = "User u\nHost r1\n IdentitiesOnly yes\nHost *\n IdentityFile ~/.ssh/a\n"
    found = read(INVENTORY + "  r2:\n  r3: {password: env:P}\n", config)
    assert [found.device(name).agent for name in ("r1", "r2", "r3")] == [False, True, False]
    assert [len(found.device(name).key_files) for name in ("r1", "r2", "r3")] == [1, 1, 1]


@pytest.mark.parametrize("file", ["", " IdentityFile ~/.ssh/not-there\n"])
def test_identities_only_without_a_file_that_is_there_does_not_bring_the_agent_in(file: str, read: Read) -> None:
    r1 = read(INVENTORY, f"User u\nHost r1\n IdentitiesOnly yes\n{file}").device("r1")
    assert (r1.key_files, r1.agent) == ((), False)


@pytest.mark.parametrize(
    "keyword", ["RefuseConnection", "RequestTTY", "SessionType", "HostKeyAlgorithms", "BindAddress"]
)
def test_what_restricts_and_is_not_done_is_named(keyword: str, read: Read) -> None:
    found = read(INVENTORY, f"User u\nHost r1\n {keyword} no\n")
    assert any(f"{keyword} " in doubt and "is not done here" in doubt for doubt in found.doubts)


def test_a_host_is_looked_up_by_its_own_name_or_another_or_not_at_all(read: Read) -> None:
    config = "Host r1\n User one\nHost core*\n User two\n HostName %h.net\n"
    text = "  r2: {ssh_config: core2}\n  r3: {ssh_config: '', username: three}\n"
    found = read(INVENTORY + text, config)
    assert [found.device(name).username for name in ("r1", "r2", "r3")] == ["one", "two", "three"]
    assert [found.device(name).hostname for name in ("r1", "r2", "r3")] == ["r1", "core2.net", "r3"]


def test_match_user_sees_the_inventorys_user(read: Read) -> None:
    found = read("hosts: {r1: {platform: frr, username: ops}}", "Match user ops\n Port 7\nMatch user root\n Port 8\n")
    assert found.device("r1").port == 7


def test_without_a_user_anywhere_a_host_is_an_error_as_before(read: Read) -> None:
    with pytest.raises(InputError, match=r"hosts\.r1: there is no username"):
        read(INVENTORY, "Host r1\n Port 5\n")


# -- ways ----------------------------------------------------------------------------------------------------------


def test_hops_that_only_ssh_config_names_are_on_the_way_and_no_targets(read: Read) -> None:
    config = """Host r1
      User u
      ProxyJump edge,ops@10.0.0.9:2222
    Host edge
      HostName edge.example.net
      User me
      IdentityFile ~/.ssh/a
    Host edge 10.0.0.9
      ProxyJump outer
      ConnectTimeout 4
    """
    found = read(INVENTORY, config)
    way = found.way(found.device("r1"))
    assert [(hop.name, hop.hostname, hop.port) for hop in way] == [
        ("outer", "outer", 22),
        ("edge", "edge.example.net", 22),
        ("ops@10.0.0.9:2222", "10.0.0.9", 2222),
        ("r1", "r1", 22),
    ]
    assert [hop.username for hop in way[1:3]] == ["me", "ops"]
    assert (way[1].key_files[0].name, way[2].connect_timeout, way[0].agent) == ("a", 4.0, True)
    assert list(found.devices) == ["r1"]
    with pytest.raises(InputError, match="no device 'edge'"):
        found.device("edge")


def test_a_hop_that_is_a_host_of_the_inventory_has_its_credentials(read: Read) -> None:
    text = "  gate: {platform: linux, username: ops, password: env:P, port: 7, jump: outer}\n  outer: {username: o}\n"
    found = read(INVENTORY + text, "Host r1\n ProxyJump gate\n User u\nHost r2\n ProxyJump root@gate:8\n")
    way = found.way(found.device("r1"))
    assert way[1] == found.device("gate")
    found = read(INVENTORY + text, "Host r1\n User u\n ProxyJump root@gate:8\n")
    way = found.way(found.device("r1"))
    assert [(hop.name, hop.username, hop.port) for hop in way] == [
        ("outer", "o", 22),
        ("root@gate:8", "root", 8),
        ("r1", "u", 22),
    ]
    assert way[1].password == found.device("gate").password


@pytest.mark.parametrize("config", ["Host *\n User u\n ProxyJump gate\n", "Host r1\n User u\n ProxyJump r1\n"])
def test_a_way_that_is_a_loop_is_an_error(read: Read, config: str) -> None:
    with pytest.raises(InputError, match="is a loop"):
        read(INVENTORY, config)


def test_the_inventorys_empty_jump_ends_what_ssh_config_says(read: Read) -> None:
    found = read("hosts: {r1: {platform: frr, username: u, jump: []}}", "ProxyJump gate\n")
    assert found.device("r1").jump == ()


def test_a_proxy_command_has_its_tokens_filled_in_and_sees_no_variable_that_holds_a_secret(read: Read) -> None:
    config = "Host r1\n HostName 10.0.0.1\n User ops\n ProxyCommand nc -X 5 %h %p # %r %n 100%%\n"
    r1 = read(INVENTORY + "  r2: {username: u, password: env:CORE_PASSWORD}\n", config).device("r1")
    assert r1.proxy_command is not None
    assert r1.proxy_command.line == "nc -X 5 10.0.0.1 22 # ops r1 100%"
    assert r1.proxy_command.withheld == {"CORE_PASSWORD"}


@pytest.mark.parametrize(
    "word", ["$(reboot)", "a;b", "`id`", "-oX", "a b", "a'b", "a|b", "a\nb", "a&b", "a>b", "~root", "a\\b"]
)
@pytest.mark.parametrize("key", ["hostname", "username"])
def test_what_a_shell_would_understand_never_gets_into_a_proxy_command(read: Read, key: str, word: str) -> None:
    other = {"hostname": "username: u", "username": "hostname: h"}[key]
    quoted = "'" + word.replace("'", "''").replace("\n", "\n\n") + "'"
    with pytest.raises(InputError):
        read(f"hosts: {{r1: {{platform: frr, {other}, {key}: {quoted}}}}}", "ProxyCommand nc %h %r\n")


def test_what_a_proxy_command_does_not_use_may_be_anything(read: Read) -> None:
    found = read("hosts: {r1: {platform: frr, username: 'CORP\\u'}}", "ProxyCommand nc %h %p\n").device("r1")
    assert found.proxy_command is not None
    assert found.proxy_command.line == "nc r1 22"


def test_an_unknown_token_is_an_error_that_names_it(read: Read) -> None:
    with pytest.raises(InputError, match="%C has no meaning here"):
        read(INVENTORY, "User u\nProxyCommand nc %C\n")


# -- never weaker, and said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["no", "off", "accept-new"])
def test_ssh_config_does_not_make_host_key_checks_weaker(
    word: str, source: Callable[[str, str], InventorySource]
) -> None:
    made = source(INVENTORY, f"User u\nStrictHostKeyChecking {word}\nForwardAgent yes\n")
    assert made.current().device("r1").host_keys == ""
    report = check_report(made)
    assert "StrictHostKeyChecking" in report
    assert "is ignored" in report
    assert "ForwardAgent" in report
    assert "config:3) is not done here" in report


def test_an_alias_is_the_hosts_name_in_known_hosts_and_its_own_files_are_read_too(tmp_path: Path) -> None:
    keys = [paramiko.RSAKey.generate(1024) for _ in range(2)]
    lines = [f"ssh-rsa {base64.b64encode(key.asbytes()).decode()}\n" for key in keys]
    (tmp_path / "more").write_text(f"farm {lines[0]}")
    (tmp_path / "known_hosts").write_text(f"10.0.0.1 {lines[1]}")
    checks = HostKeys("strict", (), tmp_path / "known_hosts")
    plain = Device("r1", "10.0.0.1", 2222, "frr", "u")
    aliased = Device("r1", "10.0.0.1", 2222, "frr", "u", host_key_alias="Farm", known_hosts=(tmp_path / "more",))
    checks.verify(aliased, keys[0].asbytes())
    with pytest.raises(HostKeyChanged):
        checks.verify(aliased, keys[1].asbytes())
    checks.verify(plain, keys[1].asbytes())
    with pytest.raises(HostKeyUnknown):
        checks.verify(plain, keys[0].asbytes())


# -- the switch, and the file --------------------------------------------------------------------------------------


def test_ssh_config_is_off_unless_the_operator_says_so(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").touch()
    (tmp_path / "other").touch()

    def resolved(given: object, variable: str = "") -> Path | None:
        environ = {"HOME": str(tmp_path), "NETSSH_SSH_CONFIG": variable}
        return Settings.resolve({"ssh_config": given}, environ, inventory_required=False).ssh_config

    assert resolved(None) is None
    assert resolved(None, "off") is None
    assert resolved(None, "on") == resolved("on") == tmp_path / ".ssh" / "config"
    assert resolved(str(tmp_path / "other"), "on") == tmp_path / "other"
    assert resolved("off", "on") is None
    with pytest.raises(InputError, match="NETSSH_SSH_CONFIG: there is no file"):
        resolved(None, str(tmp_path / "gone"))


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_last_good(
    source: Callable[[str, str], InventorySource], tmp_path: Path
) -> None:
    made = source(INVENTORY, "User one\nInclude more\n")
    (tmp_path / ".ssh" / "more").write_text("Port 5\n")
    assert made.current().device("r1").port == 5
    first = made.current()
    assert made.current() is first
    (tmp_path / ".ssh" / "more").write_text("Port broken\n")
    assert made.current().device("r1").port == 5
    assert "more:1: Port" in made.current().problem
    (tmp_path / ".ssh" / "more").write_text("Port 77\n")
    assert made.current().device("r1").port == 77
    assert made.current().problem == ""
    (tmp_path / ".ssh" / "more").chmod(0o622)
    assert "may be written by others" in made.current().problem
