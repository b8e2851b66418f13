"""The inventory file: inheritance, every error with its line, reload, and the example that we ship."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.inventory_report import COLUMNS, check_report, list_rows, warnings
from netssh_mcp.knowledge.near import did_you_mean, near
from netssh_mcp.knowledge.shipped import shipped

FIRST_WAVE = frozenset(
    ("cisco_ios", "cisco_xe", "cisco_nxos", "cisco_xr", "cisco_asa", "arista_eos", "juniper_junos", "frr", "linux")
)
PLATFORMS = {name: name for name in FIRST_WAVE} | {"juniper": "juniper_junos"}
PIN = "SHA256:" + "a" * 43

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "inventory.yaml", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text))
        path.chmod(mode)
        return path

    return _write


def _load(*paths: Path) -> Inventory:
    return InventorySource(paths, PLATFORMS).current()


def _error(path: Path, *more: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        _load(path, *more)
    assert "c4n4ry" not in str(caught.value) + caught.value.hint
    return caught.value


# -- what a file gives


def test_the_example_shows_every_key_and_every_platform_of_the_first_wave() -> None:
    path = shipped("inventory.example.yaml")
    inventory = InventorySource([path], FIRST_WAVE).current()
    assert {device.platform for device in inventory.devices.values()} == FIRST_WAVE
    text = path.read_text()
    from netssh_mcp.knowledge.inventory_schema import File, Host

    missing = [key for key in (*Host.model_fields, *File.model_fields) if not re.search(rf"(?m)^[^#]*\b{key}:", text)]
    assert missing == []
    references = {device.sudo.kind for device in inventory.devices.values() if device.sudo}
    for device in inventory.devices.values():
        references |= {secret.kind for secret in device.secrets.values()}
    assert references == {"env", "file", "cmd", "keyring"}
    assert inventory.device("nexus1").enable is None
    assert inventory.device("xr1").jump == ("bastion",)
    assert [device.name for device in inventory.select("site=ber & role=leaf")] == ["nexus1"]
    assert [device.name for device in inventory.select("bgp.asn=65001")] == ["r1"]


def test_the_documentation_names_every_key() -> None:
    from netssh_mcp.knowledge.inventory_schema import File, Host

    text = (Path(__file__).parents[2] / "docs" / "inventory.md").read_text()
    assert [key for key in (*Host.model_fields, *File.model_fields) if f"`{key}`" not in text] == []


def test_a_host_needs_a_platform_and_a_user_and_has_the_documented_defaults(write: Write) -> None:
    inventory = _load(write("hosts: {r1: {platform: frr, username: u}}"))
    assert inventory.device("r1") == Device("r1", "r1", 22, "frr", "u", agent=True)
    assert inventory.problem == ""


def test_every_key_arrives_in_the_device(write: Write, tmp_path: Path) -> None:
    path = write(f"""
        groups: {{g: }}
        hosts:
          b: {{platform: linux, username: u}}
          r1:
            hostname: 192.0.2.1
            port: 2222
            platform: juniper
            username: admin
            groups: [g]
            data: {{site: ber}}
            password: env:A
            enable: env:B
            sudo: env:C
            key_passphrase: env:D
            key_file: [keys/a, /b]
            agent: true
            jump: b
            connect_timeout: 1.5
            timeout: 2
            keepalive: 0
            idle_timeout: 4
            max_sessions: 5
            host_keys: accept_any
            host_key: {PIN}
        """)
    device = _load(path).device("r1")
    assert {key: secret.reference for key, secret in device.secrets.items()} == {
        "password": "env:A",
        "enable": "env:B",
        "sudo": "env:C",
        "key_passphrase": "env:D",
    }
    assert device.key_files == (tmp_path / "keys/a", Path("/b"))
    assert (device.hostname, device.port, device.platform) == ("192.0.2.1", 2222, "juniper_junos")
    assert (device.username, device.groups, device.data["site"]) == ("admin", ("g",), "ber")
    assert (device.agent, device.jump, device.max_sessions) == (True, ("b",), 5)
    assert (device.connect_timeout, device.timeout, device.keepalive, device.idle_timeout) == (1.5, 2.0, 0.0, 4.0)
    assert (device.host_keys, device.host_key) == ("accept_any", PIN)


def test_a_value_comes_from_the_host_then_its_groups_in_order_with_theirs_then_the_defaults(write: Write) -> None:
    inventory = _load(
        write("""
        defaults: {username: d, platform: linux, port: 1, timeout: 1, data: {a: d, b: d, c: d, e: d, list: [1]}}
        groups:
          parent: {port: 2, timeout: 2, data: {b: parent, c: parent}}
          first: {groups: [parent], timeout: 3, data: {c: first}}
          second: {port: 9, username: second, data: {b: second, e: second}}
        hosts:
          r1: {groups: [first, second], data: {list: [2]}}
          r2:
            groups: [second, first]
            port: 7
        """)
    )
    r1, r2 = inventory.devices.values()
    assert r1.groups == ("first", "parent", "second")
    assert (r1.username, r1.port, r1.timeout) == ("second", 2, 3.0)
    assert dict(r1.data) == {"a": "d", "b": "parent", "c": "first", "e": "second", "list": [2]}
    assert (r2.port, r2.timeout, r2.data["b"]) == (7, 3.0, "second")
    assert inventory.groups == {"parent": ("r1", "r2"), "first": ("r1", "r2"), "second": ("r1", "r2")}


def test_an_empty_secret_or_jump_ends_what_is_inherited(write: Write) -> None:
    inventory = _load(
        write("""
        defaults: {username: u, platform: linux, password: env:A, jump: b}
        hosts: {b: {jump: []}, r1: {password: ""}, r2: }
        """)
    )
    assert inventory.device("b").jump == ()
    assert inventory.device("r1").password is None
    assert inventory.device("r1").agent
    assert not inventory.device("r2").agent


def test_the_way_to_a_host_is_complete_in_hop_order(write: Write) -> None:
    inventory = _load(
        write("""
        defaults: {username: u, platform: linux}
        hosts: {r1: {jump: [c, d]}, a: , b: {jump: a}, c: {jump: [b]}, d: {jump: a}}
        """)
    )
    assert inventory.device("r1").jump == ("a", "b", "c", "d")
    assert inventory.device("c").jump == ("a", "b")


def test_words_stay_as_they_are_written(write: Write) -> None:
    data = (
        _load(
            write("""
        hosts:
          r1:
            platform: frr
            username: u
            data: {country: no, rd: 65000:10, version: 17.10, since: 2026-01-02, code: 012, id: 12, up: true, none: ~}
        """)
        )
        .device("r1")
        .data
    )
    assert data == {
        "country": "no", "rd": "65000:10", "version": "17.10", "since": "2026-01-02", "code": "012",
        "id": 12, "up": True, "none": None,
    }  # fmt: skip


def test_anchors_and_merge_keys_work_and_are_not_doubled_keys(write: Write) -> None:
    inventory = _load(
        write("""
        hosts:
          r1: &base {platform: frr, username: u, port: 1}
          r2: {<<: *base, port: 2}
        """)
    )
    assert [(device.platform, device.port) for device in inventory.devices.values()] == [("frr", 1), ("frr", 2)]


def test_of_several_files_the_later_wins_per_host_and_group_and_defaults_merge(write: Write, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    inventory = _load(
        write("""
            defaults: {username: a, port: 1, data: {x: 1, y: 1}}
            groups: {g: {platform: linux, timeout: 5}}
            hosts: {r1: {groups: [g], port: 11, password: file:pw}, r2: {groups: [g]}}
            """),
        write(
            """
            defaults: {username: b, data: {y: 2}}
            groups: {g: {platform: frr}}
            hosts: {r3: {groups: [g]}, r1: {groups: [g], sudo: file:pw}}
            """,
            "sub/more.yaml",
        ),
    )
    assert list(inventory.devices) == ["r1", "r2", "r3"]
    r1 = inventory.device("r1")
    assert (r1.platform, r1.username, r1.port, r1.timeout, dict(r1.data)) == ("frr", "b", 1, 60.0, {"x": 1, "y": 2})
    assert r1.password is None
    assert r1.secrets["sudo"].reference == f"file:{tmp_path / 'sub' / 'pw'}"


def test_a_command_does_not_see_the_variables_of_the_inventory_s_other_secrets(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSSH_TEST_SECRET", "c4n4ry")
    program = "import os; print(os.environ.get('NETSSH_TEST_SECRET', 'withheld'))"
    inventory = _load(
        write(f"""
        defaults: {{platform: linux, username: u}}
        hosts:
          r1: {{password: {{cmd: [{sys.executable}, -c, "{program}"]}}}}
          r2: {{password: env:NETSSH_TEST_SECRET}}
        """)
    )
    assert inventory.device("r1").secrets["password"].reveal() == "withheld"
    assert inventory.device("r2").secrets["password"].reveal() == "c4n4ry"


def test_a_thousand_hosts_load_and_the_platforms_are_asked_once(write: Write) -> None:
    hosts = "".join(
        f"  r{n}: {{hostname: 10.0.{n // 250}.{n % 250}, groups: [g], data: {{n: {n}}}}}\n" for n in range(1000)
    )
    path = write(f"groups: {{g: {{platform: frr, username: u}}}}\nhosts:\n{hosts}")
    asked: list[str] = []

    def platforms() -> dict[str, str]:
        asked.append("asked")
        return PLATFORMS

    source = InventorySource([path], platforms)
    assert len(source.current().devices) == 1000
    assert source.current() is source.current()
    assert len(asked) == 1
    assert len(source.current().select(",".join(source.current().devices))) == 1000


# -- what is refused


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("prot: 22", "r1.prot: there is no such key; did you mean port?"),
        ("allow_plaintext: true", "there is no such key"),
        ("port: '22'", "r1.port: must be a whole number"),
        ("port: true", "r1.port: must be a whole number"),
        ("port: 0", "r1.port: must be greater than or equal to 1"),
        ("port: 65536", "must be less than or equal to 65535"),
        ("port:", "r1.port: has no value; it must be a whole number, or leave it out"),
        ("timeout: fast", "r1.timeout: must be a number"),
        ("timeout: 0", "must be greater than 0"),
        ("timeout: .nan", "must be a number"),
        ("keepalive: -1", "must be greater than or equal to 0"),
        ("agent: yes", "r1.agent: must be true or false"),
        ("username: 5", "r1.username: must be text; put it in quotes"),
        ("username: -oProxyCommand=x", "r1.username: must be a login name"),
        ("hostname: 5", "r1.hostname: must be text"),
        ("hostname: -oProxyCommand=x", "r1.hostname: must be a host name or an address"),
        ("hostname: a b", "r1.hostname: must be a host name or an address"),
        ("hostname: u@h", "r1.hostname: must be a host name or an address"),
        ("hostname: ''", "r1.hostname: must be a host name or an address"),
        ("groups: g", "r1.groups: must be a list"),
        ("groups: [g, gg]", "r1.groups.1: there is no group 'gg'; did you mean g?"),
        ("platform: cisco_iso", "r1.platform: there is no platform 'cisco_iso'; did you mean cisco_ios"),
        ("jump: r9", "r1.jump.0: there is no host 'r9' to jump through; known: r1, r2"),
        ("jump: r1", "r1.jump: the way r1 -> r1 is a loop"),
        ("jump: [r2, r2]", "r1.jump: the way r2 -> r2 -> r1 is a loop"),
        ("jump: 5", "r1.jump: must be a list"),
        ("data: [a]", "r1.data: must be a mapping"),
        ("data: {1: a}", "r1.data.1: a key must be text; put it in quotes"),
        ("1: a", "r1.1: a key must be text; put it in quotes"),
        ("max_sessions: 0", "must be greater than or equal to 1"),
        ("host_keys: tfou", "r1.host_keys: must be 'strict', 'tofu', 'pinned' or 'accept_any'; did you mean tofu?"),
        ("host_key: abc", "r1.host_key: must be a public key as in known_hosts"),
        ("key_file: ''", "r1.key_file.0: must"),
        ("password: c4n4ry", "r1.password: a secret in plain text is refused. Write a reference: env:NAME"),
        ("password: plain:c4n4ry", "r1.password: a secret in plain text is refused"),
        ("password: 4711", "r1.password: a secret is a reference in text form"),
        ("password:", "r1.password: a secret is a reference in text form"),
        ("enable: env:c4n4ry!", "r1.enable: `env:` needs the name of an environment variable"),
        ("sudo: 'cmd:pass c4n4ry'", "r1.sudo: `cmd:` needs a list"),
        ("port: 22\n    port: 23", "hosts.r1.port: this key is there already, in line 5"),
        ("data: {a: {b: 1, b: 2}}", "hosts.r1.data.a.b: this key is there already"),
    ],
)
def test_a_wrong_value_is_an_error_with_file_line_key_and_the_remedy(write: Write, line: str, why: str) -> None:
    path = write("defaults: {username: u, platform: linux}\ngroups: {g: }\nhosts:\n  r1:\n    " + line + "\n  r2: \n")
    error = str(_error(path))
    assert why in error
    assert f"{path}:{4 + len(line.splitlines())}: " in error
    assert error.startswith("the inventory has a problem:\n")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "must be a mapping"),
        ("- a", 1, "must be a mapping"),
        ("hosts: {}", 1, "there are no hosts"),
        ("hosts: [r1]", 1, "hosts: must be a mapping"),
        ("hosts:\n  r1: linux", 2, "hosts.r1: must be a mapping"),
        ("host: {}\nhosts: {}", 1, "host: there is no such key; did you mean hosts?"),
        ("allow_plaintext: yes\nhosts: {}", 1, "allow_plaintext: must be true or false"),
        ("hosts:\n  r1: {username: u}", 2, "hosts.r1: there is no platform; give it here, in one of the host's groups"),
        ("hosts:\n  r1: {platform: frr}", 2, "hosts.r1: there is no username"),
        ("hosts:\n\n  and: {}", 3, "hosts.and: and, or and not are words of the selector language"),
        ("hosts:\n  -r1: {}", 2, "hosts.-r1: a name is letters, digits"),
        ("hosts:\n  'a b': {}", 2, "a name is letters, digits"),
        ("hosts:\n  1: {}", 2, "hosts.1: a key must be text; put it in quotes"),
        ("hosts:\n  r1: {}\n  r1: {}", 3, "hosts.r1: this key is there already, in line 2"),
        (
            "groups:\n  a:\n    groups: [b]\n  b:\n    groups: [a]\nhosts: {r: }",
            3,
            "groups.a.groups: the group inherits from",
        ),
        ("groups:\n  a: {legacy: true}\nhosts: {}", 2, "groups.a.legacy: belongs to a host, not here"),
        ("defaults:\n  transport: telnet\nhosts: {}", 2, "defaults.transport: belongs to a host or a group, not here"),
        ("groups:\n  a: {host_keys: accept_any}\nhosts: {}", 2, "groups.a.host_keys: accept_any checks nothing"),
        ("defaults:\n  host_keys: accept_any\nhosts: {}", 2, "defaults.host_keys: accept_any checks nothing"),
        ("groups:\n  a: {hostname: x}\nhosts: {}", 2, "groups.a.hostname: belongs to a host, not here"),
        ("defaults:\n  groups: [a]\nhosts: {}", 2, "defaults.groups: belongs to a host or a group, not here"),
        ("hosts:\n  r1: {password: *c4n4ry}", 2, "this is not YAML: found undefined alias"),
        ("hosts:\n  r1: {password: !c4n4ry x}", 2, "this is not YAML: could not determine a constructor"),
        ("hosts:\n  r1: {password: 'c4n4ry}", 2, "this is not YAML: found unexpected end of stream"),
        (
            "hosts:\n  r1: [c4n4ry\n",
            3,
            "did not find expected ',' or ']' (while parsing a flow sequence that begins in line 2)",
        ),
        ("hosts: \x01c4n4ry", 1, "this is not YAML"),
        ("a: 1\n---\nb: 2", 2, "this is not YAML: but found another document"),
        ("{[a]: b}", 1, "this is not YAML: found unhashable key"),
    ],
)
def test_a_wrong_file_is_an_error_with_its_line(write: Write, text: str, line: int, why: str) -> None:
    path = write(text)
    error = str(_error(path))
    assert why in error
    assert re.search(rf"{re.escape(str(path))}:{line}: .*{re.escape(why)}", error)


def test_all_problems_come_at_once_in_file_order_and_at_most_ten(write: Write) -> None:
    few = write("hosts:\n  r1: {prot: 1, platform: nope}\n  r2: {groups: [x]}\nextra: 1\n", "few.yaml")
    assert [line.split(":")[1] for line in str(_error(few)).splitlines()[1:]] == ["2", "2", "3", "4"]
    many = write("hosts:\n" + "".join(f"  r{n}: {{x: 1}}\n" for n in range(25)), "many.yaml")
    lines = str(_error(many)).splitlines()
    assert lines[0] == "the inventory has 25 problems:"
    assert len(lines) == 12
    assert lines[-1] == "and 15 more"


def test_problems_of_several_files_name_their_file(write: Write) -> None:
    one, two = write("hosts: {r1: {a: 1}}", "one.yaml"), write("hosts: {r2: {groups: [x]}}", "two.yaml")
    error = str(_error(one, two))
    assert f"{one}:1: hosts.r1.a" in error
    assert f"{two}:1: hosts.r2.groups.0" in error


def test_a_file_that_is_not_there_or_not_text_is_named(write: Write, tmp_path: Path) -> None:
    assert "absent.yaml cannot be read: No such file" in str(_error(tmp_path / "absent.yaml"))
    (tmp_path / "binary").write_bytes(b"hosts: \xff\xfe")
    assert "not UTF-8" in str(_error(tmp_path / "binary"))
    (tmp_path / "deep").write_text("[" * 100_000)
    assert "deep:1: this is not YAML: nested too deep" in str(_error(tmp_path / "deep"))


def test_a_billion_laughs_are_walked_once(write: Write) -> None:
    laughs = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 40))
    assert "must be a mapping" in str(_error(write(f"hosts:\n  l0: &l0 [ha]\n{laughs}")))


def test_plain_secrets_need_the_permission_and_a_private_file(write: Write) -> None:
    text = """
        allow_plaintext: true
        hosts: {r1: {platform: frr, username: u, password: c4n4ry}}
        """
    inventory = _load(write(text))
    assert inventory.device("r1").secrets["password"].reveal() == "c4n4ry"
    assert "c4n4ry" not in repr(inventory)
    for mode in (0o640, 0o604, 0o644):
        error = str(_error(write(text, mode=mode)))
        assert f":2: allow_plaintext: needs a file of your own with mode 0600; it is {mode:04o}" in error


# -- reload


def test_an_edit_is_read_and_a_broken_one_keeps_the_last_good_inventory_and_says_so(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = write("hosts: {r1: {platform: frr, username: u}}")
    source = InventorySource([path], PLATFORMS)
    first = source.current()
    assert source.current() is first

    write("hosts: {r1: {platform: frr, username: u}, r2: {platform: nope}}")
    broken = source.current()
    assert broken.devices is first.devices
    assert f"{path}:1: hosts.r2.platform" in broken.problem
    assert "still in use" in broken.problem
    assert source.current() is broken
    assert len(caplog.records) == 1

    write("hosts: {r3: {platform: frr, username: user}}")
    mended = source.current()
    assert (list(mended.devices), mended.problem) == (["r3"], "")

    path.unlink()
    assert "cannot be read" in source.current().problem
    assert list(source.current().devices) == ["r3"]
    assert len(caplog.records) == 2
    write("hosts: {r4: {platform: frr, username: u}}")
    assert list(source.current().devices) == ["r4"]


def test_an_atomic_replacement_of_the_same_size_and_time_is_seen(write: Write, tmp_path: Path) -> None:
    path = write("hosts: {r1: {platform: frr, username: u}}")
    source = InventorySource([path], PLATFORMS)
    assert list(source.current().devices) == ["r1"]
    found = path.stat()
    other = write("hosts: {r2: {platform: frr, username: u}}", "new.yaml")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)
    assert list(source.current().devices) == ["r2"]


def test_a_first_load_that_fails_raises_until_it_succeeds(write: Write) -> None:
    source = InventorySource([write("hosts: {r1: }")], PLATFORMS)
    for _ in range(2):
        with pytest.raises(InputError, match="there is no platform"):
            source.current()
    write("hosts: {r1: {platform: frr, username: u}}")
    assert source.current().problem == ""


def test_a_source_without_files_says_how_to_begin() -> None:
    with pytest.raises(InputError, match="there is no inventory") as caught:
        InventorySource([], PLATFORMS).current()
    assert "inventory.example.yaml" in caught.value.hint


def test_opening_a_file_to_others_is_noticed_when_it_holds_plain_secrets(write: Write) -> None:
    path = write("allow_plaintext: true\nhosts: {r1: {platform: frr, username: u, password: c4n4ry}}")
    source = InventorySource([path], PLATFORMS)
    assert source.current().problem == ""
    path.chmod(0o644)
    assert "mode 0600" in source.current().problem


# -- looking up, reporting


def test_an_unknown_device_is_an_error_with_near_names(write: Write) -> None:
    inventory = _load(write("defaults: {platform: frr, username: u}\nhosts: {leaf1: , spine1: }"))
    with pytest.raises(InputError, match="there is no device 'leaf9' in the inventory; did you mean leaf1"):
        inventory.device("leaf9")


def test_the_report_counts_and_warns_without_showing_a_secret(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("NETSSH_TEST_SET", "c4n4ry")
    (tmp_path / "key").write_text("c4n4ry")
    (tmp_path / "key").chmod(0o644)
    path = write("""
        allow_plaintext: true
        defaults: {username: u, platform: linux, password: env:NETSSH_TEST_UNSET}
        groups: {void: }
        hosts:
          a: {password: env:NETSSH_TEST_SET}
          b: {enable: c4n4ry, host_keys: accept_any}
          c: {key_file: [key, absent, .]}
          d: {password: "", agent: false}
          e: {password: "", key_passphrase: file:key}
          f:
          g:
        """)
    source = InventorySource([path], PLATFORMS)
    report = check_report(source)
    assert "c4n4ry" not in report
    assert report.splitlines()[0] == f"{path}: 7 hosts, 1 group, 1 platform"
    assert "warning: password: env:NETSSH_TEST_UNSET is not set (b, c, f and 1 more)" in report
    assert "warning: enable is in plain text in the file (b)" in report
    assert "host_keys: accept_any" in report
    assert f"key_file: {tmp_path / 'key'} is open to others, chmod 600 it (c)" in report
    assert f"key_file: {tmp_path / 'absent'}: No such file or directory (c)" in report
    assert f"key_file: {tmp_path} is not a regular file (c)" in report
    assert "there is nothing to log in with" in report
    assert "no SSH agent runs here" in report
    assert f"key_passphrase: file:{tmp_path / 'key'} is open to others (mode 0644) (e)" in report
    assert "key_passphrase is given, but no key_file (e)" in report
    assert "group void has no hosts" in report
    assert "NETSSH_TEST_SET " not in report


def test_the_report_of_a_sound_inventory_has_no_warnings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSSH_TEST_SET", "c4n4ry")
    path = write("hosts: {a: {platform: frr, username: u, password: env:NETSSH_TEST_SET}}")
    source = InventorySource([path], PLATFORMS)
    assert check_report(source) == f"{path}: 1 host, 0 groups, 1 platform\nno warnings"
    path.chmod(0o666)
    assert warnings(source) == (f"{path} can be written by others (mode 0666), chmod go-w it",)
    write("hosts: 5")
    assert "still in use" in check_report(source)
    path.unlink()
    assert "cannot be read" in check_report(source)


def test_the_list_has_a_row_per_selected_device_and_names_references_only() -> None:
    inventory = InventorySource([shipped("inventory.example.yaml")], FIRST_WAVE).current()
    rows = list_rows(inventory, "mx1, web1")
    assert [row["name"] for row in rows] == ["mx1", "web1"]
    assert rows[0]["login"] == "password env:JUNOS_PASSWORD"
    assert rows[0]["jump"] == "bastion"
    assert rows[1]["login"].startswith(
        "key file id_ed25519, key file id_rsa, certificate id_ed25519-ca.pub, password env:NETSSH_PASSWORD, "
        "sudo cmd:pass"
    )
    assert all(tuple(row) == COLUMNS for row in rows)
    assert len(list_rows(inventory)) == len(inventory.devices)


def test_near_words_ignore_case_and_find_parts_of_words() -> None:
    assert near("PORT", ["port", "platform"])[0] == "port"
    assert near("prof", ["inventory", "profiles"]) == ["profiles"]
    assert near("zzz", ["port"]) == []
    assert did_you_mean("x", []) == "there are none"
    assert did_you_mean("zzz", [str(n) for n in range(14)]).endswith("11 and 2 more")


def test_importing_the_inventory_loads_neither_yaml_nor_pydantic_nor_keyring() -> None:
    import subprocess

    program = (
        "import sys; import netssh_mcp.knowledge.inventory, netssh_mcp.knowledge.settings;"
        "print([name for name in ('yaml', 'pydantic', 'keyring', 'netmiko', 'paramiko') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.strip() == "[]"
