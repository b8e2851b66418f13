"""The operator's policy file: what it means for a command on a device, and every way in which it can be wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netssh_mcp.errors import CommandDenied, InputError, PolicyError
from netssh_mcp.guard.limits import Clock
from netssh_mcp.guard.policy import Grant, as_text, with_json
from netssh_mcp.guard.policy_file import File, RuleFile
from netssh_mcp.guard.wall import PolicySource, Wall, unknown_words
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.model import CLASSES, READS

ROOT = Path(__file__).parents[2]
PROFILES = Profiles.load(None)
EVERYTHING = frozenset(CLASSES)
MONDAY_NOON = datetime(2026, 11, 23, 12, 0)  # noqa: DTZ001 - the zone is the rule's


def _device(name: str, platform: str, *groups: str, hostname: str = "", **data: str) -> Device:
    return Device(
        name=name,
        hostname=hostname or name,
        port=22,
        platform=platform,
        username="ops",
        groups=groups,
        data=MappingProxyType(data),
    )


DEVICES = {
    device.name: device
    for device in (
        _device("r1", "cisco_ios", "core", hostname="10.0.0.1", site="ber"),
        _device("r2", "cisco_ios", "edge", hostname="192.0.2.2", site="muc"),
        _device("sw1", "arista_eos", "core", site="ber"),
        _device("n1", "cisco_nxos", "edge"),
        _device("j1", "juniper_junos", "edge"),
        _device("x1", "cisco_xr", "edge"),
        _device("f1", "frr", "edge"),
        _device("h1", "linux", "hosts"),
        _device("m1", "mikrotik_routeros", "edge"),
        _device("v6", "cisco_ios", "core", hostname="2001:db8::1"),
        _device("named", "cisco_ios", "core", hostname="r9.example.net"),
    )
}
GROUPS = {
    group: tuple(name for name, device in DEVICES.items() if group in device.groups)
    for group in ("core", "edge", "hosts")
}
INVENTORY = Inventory(DEVICES, GROUPS)


class Hand:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.at, self.wall = 0.0, MONDAY_NOON

    def clock(self) -> Clock:
        return Clock(lambda: self.at, self.now)

    def now(self, zone: tzinfo) -> datetime:
        return self.wall.replace(tzinfo=zone)


def _write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def _wall(folder: Path, rules: str, hand: Hand | None = None, *, top: str = "") -> Wall:
    text = f"version: 1\n{top}\nrules:\n{rules}"
    return Wall(PolicySource(_write(folder, text)), (hand or Hand()).clock())


def _decide(wall: Wall, name: str, command: str, within: frozenset[Any] = READS) -> Grant:
    device = DEVICES[name]
    return wall.decide(INVENTORY, device, PROFILES.get(device.platform), command, within=within)


def _allowed(wall: Wall, name: str, command: str, within: frozenset[Any] = READS) -> bool:
    try:
        _decide(wall, name, command, within)
    except CommandDenied:
        return False
    return True


# -- what rules mean -----------------------------------------------------------------------------------------------

DODGES = [
    ("r1", "show running-config"),
    ("r1", "sh run"),
    ("r1", "SHOW RUN"),
    ("r1", "  sho   ru  "),
    ("r1", "show  running-conf | include x"),
    ("r1", "show run | i x"),
    ("r1", "show r"),
    ("r1", 'show run | include "a b"'),
    ("r1", "show running-config interface Gi0/1"),
    ("sw1", "show run | json"),
    ("sw1", "show running-config | no-more"),
    ("n1", "show run all"),
    ("x1", "admin show running-config"),
    ("x1", "admin show run"),
    ("f1", "show running-config"),
    ("f1", "sh run"),
    ("h1", "vtysh -c 'show running-config'"),
    ("h1", "vtysh  -c  'sh  run'"),
    ("h1", 'vtysh -c "show run"'),
]


@pytest.mark.parametrize(("name", "command"), DODGES)
@pytest.mark.parametrize("key", ["deny", "deny_always"])
def test_a_denied_command_is_not_had_by_other_spellings(tmp_path: Path, name: str, command: str, key: str) -> None:
    wall = _wall(tmp_path, f"  - {key}: show running-config\n")
    with pytest.raises(CommandDenied):
        _decide(wall, name, command)
    assert _allowed(wall, "r1", "show version")


@pytest.mark.parametrize(
    ("name", "entry", "command"),
    [
        ("m1", "ip address print", "/ip/address/print"),  # RouterOS 7 parts its menus by slashes
        ("m1", "ip address print", "/ip address print"),
        ("m1", "ip address print", "/ip/addr pr detail"),
        ("m1", "ip address print", "ip addr pr"),
        ("m1", "ppp secret", "/ppp/secret/print"),
        ("m1", "/ppp/secret", "/ppp secret print"),  # and so do operators
        ("m1", "/ppp/secret/print", "ppp secret print"),
        ("m1", "export", "/export"),
        ("h1", "ip route", "ip -4 route"),
        ("h1", "ip route", "ip -j -d r show"),
        ("h1", "systemctl status", "systemctl --no-pager status ssh"),
        ("h1", "journalctl", "journalctl --no-pager -n 5"),
        ("h1", "df", "df -h"),
    ],
)
def test_neither_slashes_nor_options_before_a_word_dodge_a_refusal(
    tmp_path: Path, name: str, entry: str, command: str
) -> None:
    wall = _wall(tmp_path, f"  - deny: ['{entry}']\n")
    assert _allowed(Wall(PolicySource(None)), name, command)
    assert not _allowed(wall, name, command)


@pytest.mark.parametrize(
    ("name", "entry", "command"),
    [
        ("f1", "show ... json", "show ip route summary"),
        ("sw1", "... | json", "show version"),
        ("h1", "show ... json", "vtysh -c 'show ip route summary'"),
    ],
)
def test_a_json_form_that_a_rule_refuses_is_not_asked_for(tmp_path: Path, name: str, entry: str, command: str) -> None:
    free, wall = Wall(PolicySource(None)), _wall(tmp_path, f"  - deny: ['{entry}']\n")
    assert with_json(_decide(free, name, command)).line != command
    grant = with_json(_decide(wall, name, command))
    assert (grant.line, grant.json) == (command, False)


@pytest.mark.parametrize("command", ["/ip/address/print", "/ip address print detail", "ip addr pr"])
def test_a_menu_path_is_allowed_however_its_words_are_parted(tmp_path: Path, command: str) -> None:
    wall = _wall(tmp_path, "  - {classes: [], allow: [ip address print]}\n")
    assert _allowed(wall, "m1", command)
    assert not _allowed(wall, "m1", "/ip/route/print")


def test_a_host_is_not_probed_where_only_reads_are_allowed(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {classes: [read], allow: [ping -c 3 *]}\n")
    assert _allowed(wall, "h1", "uptime")
    assert _allowed(wall, "h1", "ping -c 3 10.0.0.1")
    for command in ("ping -c 4 10.0.0.1", "traceroute 10.0.0.1", "dig @10.0.0.1 x.example", "mtr -r -c 3 10.0.0.1"):
        assert not _allowed(wall, "h1", command)
    assert not _allowed(wall, "j1", "show host www.example.net")


@settings(max_examples=400, deadline=None)
@given(
    words=st.tuples(st.integers(2, 4), st.integers(1, 14)),
    spaces=st.tuples(*[st.integers(0, 4)] * 3),
    upper=st.booleans(),
    tail=st.sampled_from(["", " all", " | include x", ' | include "x y"', " interface Gi0/1", " | sec ^router"]),
)
def test_no_abbreviation_case_or_spacing_of_a_denied_command_passes(
    tmp_path_factory: pytest.TempPathFactory,
    words: tuple[int, int],
    spaces: tuple[int, int, int],
    upper: bool,
    tail: str,
) -> None:
    wall = _wall(tmp_path_factory.getbasetemp(), "  - deny: show running-config\n")
    command = "show"[: words[0]] + " " * (1 + spaces[1]) + "running-config"[: words[1]] + tail
    command = " " * spaces[0] + (command.upper() if upper else command) + " " * spaces[2]
    assert not _allowed(wall, "r1", command)


@pytest.mark.parametrize(
    ("rules", "name", "command", "allowed"),
    [
        # deny > allow, in one rule and between rules, in either order
        ("  - {allow: [show version], deny: [show version]}", "r1", "show version", False),
        ("  - {deny: [show version]}\n  - {allow: [show version]}", "r1", "show version", False),
        ("  - {allow: [show version]}\n  - {deny: [show version]}", "r1", "show version", False),
        ("  - {deny_always: [show version]}\n  - {allow: [show version]}", "r1", "show version", False),
        # classes of the last rule that names them
        ("  - {classes: [read]}", "r1", "ping 10.0.0.1", False),
        ("  - {classes: [read]}\n  - {devices: r1, classes: [read, diagnose]}", "r1", "ping 10.0.0.1", True),
        ("  - {classes: [read]}\n  - {devices: r2, classes: [read, diagnose]}", "r1", "ping 10.0.0.1", False),
        ("  - {classes: [read, diagnose]}\n  - {classes: [read]}", "r1", "ping 10.0.0.1", False),
        ("  - {classes: read}\n  - {max_devices: 3}", "r1", "ping 10.0.0.1", False),
        # allow widens, entry by entry
        ("  - {classes: [], allow: [show version]}", "r1", "show version", True),
        ("  - {classes: [], allow: [show version]}", "r1", "sh version", True),
        ("  - {classes: [], allow: [show version]}", "r1", "SHOW VERSION | include uptime", True),
        ("  - {classes: [], allow: [show version]}", "r1", "show clock", False),
        ("  - {classes: [], allow: [show interfaces * status]}", "r1", "show interfaces Gi0/1 status", True),
        ("  - {classes: [], allow: [show interfaces * status]}", "r1", "show interfaces status", False),
        ("  - {classes: [], allow: [show ... status]}", "r1", "show interfaces status", True),
        ("  - {classes: [], allow: [show ... status]}", "r1", "show interfaces Gi0/1 switchport", False),
        # secret-read
        ("  - {secret_read: deny}", "r1", "show running-config", False),
        ("  - {secret_read: deny}", "r1", "show version", True),
        ("  - {secret_read: deny}\n  - {devices: r1, secret_read: allow}", "r1", "show running-config", True),
        ("  - {secret_read: deny, allow: [show running-config]}", "r1", "show running-config", False),
        ("  - {classes: [read]}", "r1", "show running-config", False),
        ("  - {classes: [read], secret_read: allow}", "r1", "show running-config", True),
        ("  - {classes: [read], allow: [show running-config]}", "r1", "show running-config", True),
        # selectors
        ("  - {devices: '@core', deny: [show clock]}", "r1", "show clock", False),
        ("  - {devices: '@core', deny: [show clock]}", "r2", "show clock", True),
        ("  - {devices: ['@hosts', 'site=ber'], deny: [show clock]}", "sw1", "show clock", False),
        ("  - {devices: 'r*', deny: [show clock]}", "r2", "show clock", False),
        ("  - {devices: '!@core', deny: [show clock]}", "r2", "show clock", False),
        # a program's arguments all count
        ("  - {classes: [], allow: [uptime]}", "h1", "uptime", True),
        ("  - {classes: [], allow: [cat /etc/hostname]}", "h1", "cat /etc/hostname /etc/hosts", False),
        ("  - {classes: [], allow: [show ip route]}", "h1", "vtysh -c 'show ip route'", True),
        ("  - {classes: [], allow: [show ip route]}", "h1", "vtysh -c 'show ip bgp'", False),
        ("  - {deny: ['...']}", "r1", "show version", False),
        ("  - {deny: ['*']}", "r1", "show version", False),
        ("  - {deny: ['... | include *']}", "r1", "show ip route | include x", False),
        ("  - {deny: ['... | include *']}", "r1", "show ip route | begin x", True),
    ],
)
def test_rules_come_together_as_the_precedence_table_says(
    tmp_path: Path, rules: str, name: str, command: str, allowed: bool
) -> None:
    assert _allowed(_wall(tmp_path, rules), name, command) is allowed


def test_an_allowed_command_must_be_spelled_in_full_and_the_refusal_says_how(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {classes: [], allow: [show interfaces status]}")
    with pytest.raises(CommandDenied) as refusal:
        _decide(wall, "r1", "show int st")  # or `show interfaces stats`
    assert "show interfaces status" in refusal.value.hint
    assert "policy.yaml:4" in refusal.value.hint


def test_an_allowed_command_is_also_one_that_is_spelled_out_beyond_doubt(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {classes: [], allow: [show interfaces status]}")
    assert _decide(wall, "r1", "sh int status").command == "show interfaces status"
    assert not _allowed(wall, "r1", "sh int trunk")


def test_a_refusal_is_held_against_what_was_typed_too(tmp_path: Path) -> None:
    """The made-up word is none that `int` is spelled out as, and still an abbreviation of it was typed."""
    wall = _wall(tmp_path, "  - {deny: [show intelligence]}")
    assert not _allowed(wall, "r1", "sh int")
    assert _allowed(wall, "r1", "sh interfaces")


@pytest.mark.parametrize("rules", ["  - {classes: [read, change, config, shell]}", "  - {allow: [reload, configure]}"])
def test_no_rule_lifts_the_ceiling_of_a_tool(tmp_path: Path, rules: str) -> None:
    wall = _wall(tmp_path, rules)
    for command in ("reload", "configure terminal"):
        assert not _allowed(wall, "r1", command)
        assert _allowed(wall, "r1", command, EVERYTHING)


def test_a_change_is_granted_only_where_class_or_entry_say_so(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {devices: r1, allow: [clear counters]}\n  - {devices: r2, classes: [read, change]}")
    assert _allowed(wall, "r1", "clear counters", EVERYTHING)
    assert _allowed(wall, "r1", "clear counters GigabitEthernet0/1", EVERYTHING)
    assert not _allowed(wall, "r1", "clear c", EVERYTHING)
    assert not _allowed(wall, "r1", "clear logging", EVERYTHING)
    assert _allowed(wall, "r2", "clear logging", EVERYTHING)
    assert not _allowed(wall, "r2", "ping 10.0.0.1", EVERYTHING)
    assert not _allowed(wall, "sw1", "clear counters", EVERYTHING)


def test_a_url_is_sent_only_where_an_entry_spells_it(tmp_path: Path) -> None:
    url = "tftp://192.0.2.9/r1.cfg"
    rules = f"  - classes: [read, change]\n    allow: ['copy running-config {url}', 'copy startup-config ...']\n"
    wall = _wall(tmp_path, rules)
    assert _allowed(wall, "r1", f"copy running-config {url}", EVERYTHING)
    assert not _allowed(wall, "r1", "copy running-config tftp://192.0.2.66/r1.cfg", EVERYTHING)
    assert not _allowed(wall, "r1", f"copy startup-config {url}", EVERYTHING)
    assert not _allowed(wall, "r1", f"show archive config differences {url}", EVERYTHING)


def test_default_deny_grants_nothing_but_what_a_rule_names(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {devices: r1, classes: [read]}\n  - {rate: 5/min}", top="default: deny")
    assert _allowed(wall, "r1", "show clock")
    assert not _allowed(wall, "r2", "show clock")
    assert not _allowed(wall, "r1", "ping 10.0.0.1")


def test_without_a_file_reads_are_granted_and_nothing_else() -> None:
    wall = Wall(PolicySource(None))
    assert _allowed(wall, "r1", "show running-config")
    assert not _allowed(wall, "r1", "reload", EVERYTHING)
    assert wall.problem == ""
    assert wall.may_connect(DEVICES["r1"], "203.0.113.9")


def test_the_grant_and_the_refusal_name_the_rule(tmp_path: Path) -> None:
    wall = _wall(
        tmp_path, "  - name: night watch\n    classes: [read]\n    deny:\n      - show clock\n      - show users\n"
    )
    assert "policy.yaml:4 (night watch)" in _decide(wall, "r1", "show version").rule
    with pytest.raises(CommandDenied, match=r"policy\.yaml:8 denies 'show users'"):
        _decide(wall, "r1", "show users")


def test_the_json_and_the_text_form_keep_the_terms_of_the_grant(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {max_seconds: 7, deny: [show clock]}")
    grant = _decide(wall, "sw1", "show version")
    asked = with_json(grant)
    assert asked.line == "show version | json"
    assert asked.terms is grant.terms is as_text(asked).terms
    assert asked.terms.max_seconds == 7
    assert as_text(asked).line == "show version"


# -- limits --------------------------------------------------------------------------------------------------------


def test_rates_count_each_device_and_all_of_a_rule_together(tmp_path: Path) -> None:
    hand = Hand()
    wall = _wall(tmp_path, "  - {devices: 'r*', rate: 2/min, rate_total: 3/min}", hand)
    for name in ("r1", "r1", "r2"):
        wall.count(_decide(wall, name, "show clock"))
    for name, which in (("r1", "this device"), ("r2", "all its devices together")):
        with pytest.raises(CommandDenied, match=which) as refusal:
            wall.count(_decide(wall, name, "show clock"))
        assert refusal.value.retryable
        assert "60 s" in refusal.value.hint
    wall.count(_decide(wall, "sw1", "show clock"))
    hand.at += 60
    wall.count(_decide(wall, "r1", "show clock"))


def test_counters_outlive_a_reload_of_the_file(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {rate: 1/hour}")
    wall.count(_decide(wall, "r1", "show clock"))
    _write(tmp_path, "version: 1\nrules:\n  - {rate: 1/hour, deny: [show users]}\n")
    with pytest.raises(CommandDenied, match="1/hour"):
        wall.count(_decide(wall, "r1", "show clock"))


def test_outside_its_hours_a_device_gets_nothing_and_the_hint_says_when_it_opens(tmp_path: Path) -> None:
    hand = Hand()
    wall = _wall(tmp_path, "  - {devices: '@core', hours: Mon-Fri 08:00-18:00}", hand, top="timezone: Europe/Berlin")
    assert _allowed(wall, "r1", "show clock")
    hand.wall += timedelta(hours=6)
    with pytest.raises(CommandDenied, match="now it is Mon 18:00") as refusal:
        _decide(wall, "r1", "show clock")
    assert refusal.value.hint == "It opens Tue 08:00 Europe/Berlin."
    assert _allowed(wall, "r2", "show clock")


def test_one_call_may_ask_so_many_devices_of_a_rule_and_so_many_commands(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {devices: '@core', max_devices: 2, max_commands: 3}")
    core, edge = [DEVICES["r1"], DEVICES["sw1"], DEVICES["v6"]], [DEVICES["r2"], DEVICES["n1"], DEVICES["j1"]]
    wall.check_call(INVENTORY, core[:2] + edge, 3)
    wall.check_call(INVENTORY, edge, 50)
    with pytest.raises(PolicyError, match="3 devices in one call"):
        wall.check_call(INVENTORY, core, 1)
    with pytest.raises(PolicyError, match="4 commands in one call"):
        wall.check_call(INVENTORY, [*edge, core[0]], 4)


def test_the_smallest_of_several_limits_holds(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {max_seconds: 30}\n  - {max_seconds: 2.5}\n  - {max_seconds: 60}")
    assert wall.terms(INVENTORY, DEVICES["r1"]).max_seconds == 2.5


@pytest.mark.parametrize(
    ("name", "address", "allowed"),
    [
        ("r1", "10.0.0.1", True),
        ("r1", "10.255.255.255", True),
        ("r1", "11.0.0.1", False),
        ("r1", "::ffff:10.0.0.1", True),
        ("r1", "::ffff:169.254.169.254", False),
        ("r1", "169.254.169.254", False),
        ("r1", "127.0.0.1", False),
        ("v6", "2001:db8::1", True),
        ("v6", "fe80::1%eth0", False),
        ("named", "r9.example.net", False),  # a jump host would resolve it: not known to be inside
        ("r2", "203.0.113.9", True),  # the rule is not for it
    ],
)
def test_the_wire_may_connect_inside_the_networks_only(tmp_path: Path, name: str, address: str, allowed: bool) -> None:
    wall = _wall(tmp_path, "  - {devices: '@core', networks: [10.0.0.0/8, '2001:db8::/32']}")
    wall.terms(INVENTORY, DEVICES["r1"])
    assert wall.may_connect(DEVICES[name], address) is allowed


def test_an_address_outside_the_networks_is_refused_before_anything_is_connected(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {networks: [10.0.0.0/8]}")
    assert _allowed(wall, "r1", "show clock")
    assert _allowed(wall, "named", "show clock")  # decided when the name has been resolved
    with pytest.raises(CommandDenied, match=r"192\.0\.2\.2 is in none of the networks"):
        _decide(wall, "r2", "show clock")


@pytest.mark.parametrize(
    ("name", "command", "allowed"),
    [
        ("r1", "ping 10.1.2.3", True),
        ("r1", "ping vrf MGMT 10.1.2.3 repeat 5", True),
        ("r1", "ping ip 10.1.2.3", True),
        ("r1", "ping 10.1.2.3 source 192.0.2.1", True),
        ("r1", "ping 8.8.8.8", False),
        ("r1", "ping vrf 10.1.1.1 8.8.8.8", False),
        ("r1", "ping dns1.example.net source 10.1.1.1", False),
        ("r1", "traceroute 8.8.8.8", False),
        ("r1", "traceroute ipv6 2001:db8::1", False),
        ("r1", "show ip route 8.8.8.8", True),
        ("n1", "ping6 2001:db8::1", False),
        ("h1", "ping -c 3 10.1.2.3", True),
        ("h1", "ping -c 3 8.8.8.8", False),
        ("h1", "ping -c 3 -I 10.9.9.9 evil.example", False),
        ("h1", "ping -c 3 -W 1 evil.example", False),
        ("h1", "ping -c 3 10.1.2.3 8.8.8.8", False),
        ("h1", "traceroute -n evil.example", False),
        ("f1", "traceroute 10.1.2.3", True),
        ("h1", "vtysh -c 'traceroute 8.8.8.8'", False),
        ("h1", "ping -c 3 -t 10.1.2.3 134744072", False),  # 8.8.8.8 as one number
        ("h1", "traceroute -m 10.1.2.3 134744072", False),
        ("h1", "ping -c 3 -W 10.1.2.3 0x08080808", False),
        ("h1", "ping -c 3 10.8", False),
        ("h1", "ping -c 3 ::ffff:8.8.8.8", False),
        ("h1", "ping -c 3 ::ffff:10.1.2.3", True),
        ("h1", "traceroute 10.1.2.3 60", True),
        ("h1", "dig @8.8.8.8 secret.example.net", False),
        ("h1", "host secret.example.net 8.8.8.8", False),
        ("j1", "show host secret.example.net", False),
        ("j1", "ping 10.1.2.3 count 5", True),
        ("m1", "/ping 10.1.2.3 count=5", True),
        ("m1", "/ping address=10.1.2.3 count=5", True),
        ("m1", "/ping 8.8.8.8 count=5", False),
        ("m1", "/tool/traceroute 8.8.8.8 count=1", False),
        ("m1", "/tool/traceroute 10.1.2.3 count=1 src-address=192.0.2.1", True),
        ("m1", "/resolve secret.example.net", False),
    ],
)
def test_pings_and_traceroutes_go_to_the_allowed_destinations_only(
    tmp_path: Path, name: str, command: str, allowed: bool
) -> None:
    wall = _wall(tmp_path, "  - {destinations: [10.0.0.0/8]}")
    assert not allowed or _allowed(Wall(PolicySource(None)), name, command)  # the platform's own grammar takes it
    assert _allowed(wall, name, command) is allowed


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("  - {deyn: [show clock]}", "rules.0.deyn: there is no such key; did you mean deny"),
        ("  - {deyn: [show clock]}", "Keys: name, devices, classes"),
        ("  - {classes: [reed]}", "did you mean read"),
        ("  - {classes: everything}", "rules.0.classes"),
        ("  - {devices: '@core &', deny: [show clock]}", "rules.0.devices: expected"),
        ("  - {devices: 'a b', deny: [show clock]}", "rules.0.devices"),
        ("  - {devices: [], deny: [show clock]}", "must be a selector"),
        ("  - {devices: 5, deny: [show clock]}", "must be a selector"),
        ("  - {devices: r1}", "the rule says nothing"),
        ("  - {name: x, devices: r1}", "the rule says nothing"),
        ("  - {deny: [show  clock]}", "one space"),
        ("  - {deny: ['show \"x\"']}", "without quotes"),
        ("  - {deny: ['']}", "must be words"),
        ("  - {deny: [5]}", "must be text"),
        ("  - {deny: [show clock], networks: }", "networks has no value"),
        ("  - {deny: [show clock], classes: }", "classes has no value"),
        ("  - {deny: [show clock], max_devices: null}", "max_devices has no value"),
        ("  - {deny: [show clock], hours: ~}", "hours has no value"),
        ("  - {deny: !!python/object/apply:os.system ['id']}", "not YAML"),
        ("  - {deny: ['sh\tow']}", "must be words"),
        ("  - {deny: ['... a ... b ... c']}", "at most two"),
        ("  - {allow: ['...']}", "would allow anything"),
        ("  - {allow: ['* version']}", "would allow anything"),
        ("  - {max_devices: 0}", "rules.0.max_devices"),
        ("  - {max_devices: many}", "must be a whole number"),
        ("  - {max_seconds: -1}", "rules.0.max_seconds"),
        ("  - {rate: often}", "such as 30/min"),
        ("  - {hours: always}", "such as Mon-Fri 08:00-18:00"),
        ("  - {hours: 08:00-18:00}", "needs a `timezone`"),
        ("  - {hours: [], timezone: UTC}", "hours is empty"),
        ("  - {hours: 08:00-18:00, timezone: Europe/Atlantis}", "there is no time zone 'Europe/Atlantis'"),
        ("  - {hours: 08:00-18:00, timezone: ../../etc/passwd}", "there is no time zone"),
        ("  - {networks: [10.0.0.1/8]}", "must be a network"),
        ("  - {networks: [everywhere]}", "must be a network"),
        ("  - {networks: []}", "would be nowhere"),
        ("  - {destinations: []}", "would be nowhere"),
        ("  - {reveal: sometimes}", "must be true or false"),
        ("  - {secret_read: maybe}", "rules.0.secret_read"),
        ("  - {deny: [show clock], deny: [show users]}", "this key is there already"),
        ("  - show clock", "must be a mapping"),
        ("  deny: [show clock]", "must be a list"),
    ],
)
def test_a_bad_rule_is_an_error_with_file_line_and_key(tmp_path: Path, rule: str, said: str) -> None:
    wall = _wall(tmp_path, rule)
    with pytest.raises(InputError) as error:
        wall.terms(INVENTORY, DEVICES["r1"])
    assert said in error.value.message
    assert f"{tmp_path / 'policy.yaml'}:" in error.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a mapping"),
        ("rules: []", "version: is missing"),
        ("version: 2\nrules: []", "version"),
        ("version: 1\ndefault: allow", "default"),
        ("version: 1\nrulez: []", "there is no such key; did you mean rules"),
        ("version: 1\nrules: [", "this is not YAML"),
        ("[]", "must be a mapping"),
    ],
)
def test_a_bad_file_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        PolicySource(_write(tmp_path, text)).current()
    assert said in error.value.message


def test_all_problems_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {classes: [reed]}\n  - {rate: often}\n  - {hours: 08:00-18:00}")
    with pytest.raises(InputError, match="3 problems") as error:
        wall.terms(INVENTORY, DEVICES["r1"])
    assert [line.split(":")[1] for line in error.value.message.splitlines()[1:]] == ["4", "5", "6"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o722])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = _write(tmp_path, "version: 1\n")
    path.chmod(mode)
    with pytest.raises(InputError, match="can be written by others") as error:
        PolicySource(path).current()
    assert error.value.hint == f"chmod go-w {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "version: 1\n")
    os.chown(path, 12345, -1)
    with pytest.raises(InputError, match="belongs to another user"):
        PolicySource(path).current()


def test_a_change_is_read_at_the_next_decision_and_a_broken_one_leaves_the_last_good_rules(tmp_path: Path) -> None:
    told: list[tuple[str, Mapping[str, str]]] = []
    path = _write(tmp_path, "version: 1\nrules:\n  - deny: [show clock]\n")
    wall = Wall(PolicySource(path, tell=lambda event, **facts: told.append((event, facts))))
    assert not _allowed(wall, "r1", "show clock")
    assert wall.problem == ""

    _write(tmp_path, "version: 1\nrules:\n  - deyn: [show clock]\n")
    assert not _allowed(wall, "r1", "show clock")
    assert "as it was before is still in use" in wall.problem
    assert "policy.yaml:3: rules.0.deyn" in wall.problem

    path.chmod(0o666)
    assert not _allowed(wall, "r1", "show clock")
    assert "can be written by others" in wall.problem

    path.unlink()
    assert not _allowed(wall, "r1", "show clock")
    assert "cannot be read" in wall.problem

    _write(tmp_path, "version: 1\nrules:\n  - deny: [show users]\n")
    assert _allowed(wall, "r1", "show clock")
    assert not _allowed(wall, "r1", "show users")
    assert wall.problem == ""
    events = [event for event, _ in told]
    assert events == ["policy_loaded", "policy_refused", "policy_refused", "policy_refused", "policy_loaded"]
    assert len({facts["sha256"] for event, facts in told if event == "policy_loaded"}) == 2


def test_a_changed_inventory_is_another_sheet_for_the_same_rules(tmp_path: Path) -> None:
    wall = _wall(tmp_path, "  - {devices: 'site=ber', deny: [show clock]}")
    assert not _allowed(wall, "r1", "show clock")
    moved = Inventory({**DEVICES, "r1": replace(DEVICES["r1"], data=MappingProxyType({"site": "muc"}))}, GROUPS)
    profile = PROFILES.get("cisco_ios")
    assert wall.decide(moved, moved.devices["r1"], profile, "show clock").command == "show clock"
    assert not _allowed(wall, "r1", "show clock")


@pytest.mark.parametrize("selector", ["@croe", "r77", "!@croe", "sitee=ber", "r1, r77"])
def test_a_selector_with_an_unknown_word_forbids_for_all_and_allows_for_none(tmp_path: Path, selector: str) -> None:
    rules = f"  - {{classes: [read]}}\n  - {{devices: '{selector}', classes: [read, diagnose, secret-read], "
    wall = _wall(tmp_path, f"{rules}allow: [ping 10.0.0.1], deny: [show clock], max_seconds: 5, reveal: true}}")
    for name in ("r1", "r2"):
        assert not _allowed(wall, name, "show clock")
        assert not _allowed(wall, name, "ping 10.0.0.1")
        assert not _allowed(wall, name, "show running-config")
        assert _allowed(wall, name, "show version")
        terms = wall.terms(INVENTORY, DEVICES[name])
        assert terms.max_seconds == 5
        assert not terms.reveal
    assert "policy.yaml:5" in wall.problem
    assert "until that is corrected" in wall.problem


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("{devices: r1, deny: [sh run]}", True),
        ("{devices: '@core', deny: [shwo clock]}", True),
        ("{devices: r1, allow: [systemctl restart x]}", True),
        ("{devices: r1, deny: [show run]}", False),
        ("{devices: r1, deny: ['... | include *']}", False),
        ("{devices: h1, deny: [systemctl]}", False),
        ("{devices: 'nobody*', deny: [xyz]}", False),
    ],
)
def test_entries_are_full_words_that_a_platform_of_their_devices_knows(tmp_path: Path, rule: str, wrong: bool) -> None:
    rules = PolicySource(_write(tmp_path, f"version: 1\nrules:\n  - {rule}\n")).current()
    found = unknown_words(rules, INVENTORY, PROFILES.get)
    assert bool(found) is wrong
    assert all("Entries are full words" in text for _, text in found)


def test_explain_says_what_decide_does(tmp_path: Path) -> None:
    hand = Hand()
    rules = "  - {deny: [show clock], rate: 1/min, secret_read: deny}\n  - {devices: r2, classes: []}"
    wall = _wall(tmp_path, rules, hand)
    commands = ["show clock", "sh ver", "show run", "reload", "ping 10.0.0.1", "show version\nreload", "", "xyzzy"]
    for name in ("r1", "r2", "h1"):
        for command in commands:
            try:
                allowed = bool(_decide(wall, name, command))
            except (CommandDenied, InputError):
                allowed = False
            device = DEVICES[name]
            said = wall.explain(INVENTORY, device, PROFILES.get(device.platform), command)
            assert said.allowed is allowed, (name, command, said)
            assert said.why
    wall.count(_decide(wall, "r1", "show version"))
    assert not wall.explain(INVENTORY, DEVICES["r1"], PROFILES.get("cisco_ios"), "show version").allowed


_PLATFORMS = sorted(path.stem for path in (ROOT / "device_profiles").glob("*.yaml"))
_EVERYWHERE = Inventory({name: _device(name, name, hostname="10.0.0.1") for name in _PLATFORMS}, {})
_HEADS = """show sh display dis get / /ip ip admin ping tracer traceroute dir reload file request systemctl cat vtysh
    diag exec info oam monitor export uname ls dig journalctl"""
_WORDS = """version running-config run history tech-support interface ip route address print | include json 10.0.0.1
    8.8.8.8 count 5 -c 3 '-x' "a b" 'show ip route' --no-pager status ssh x tftp://1.1.1.1/a , show secret ppp count=5
    /etc/fstab -4 bgp sys $ ?"""
_MIXED = """
  - {classes: [read, diagnose], deny: [show ... history, export, ip route], deny_always: [show tech-support]}
  - {destinations: [10.0.0.0/8], networks: [10.0.0.0/8]}
  - {devices: 'cisco_*', secret_read: deny, allow: [show running-config interface *, reload]}
  - {devices: 'mikrotik_routeros,arista_eos', classes: [], allow: [show version, ip address print, show *]}
  - {devices: linux, allow: [cat /etc/fstab, 'ping -c 3 ...']}
"""


@settings(max_examples=100, deadline=None)
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(_PLATFORMS),
            st.sampled_from(_HEADS.split()),
            st.lists(st.sampled_from(_WORDS.split()), max_size=5),
        ),
        min_size=50,
        max_size=50,
    )
)
def test_explain_says_what_decide_does_on_every_platform(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, str, list[str]]]
) -> None:
    wall = _wall(tmp_path_factory.mktemp("policy"), _MIXED)
    for name, head, rest in asked:
        device, command = _EVERYWHERE.devices[name], " ".join([head, *rest])
        profile = PROFILES.get(name)
        said = wall.explain(_EVERYWHERE, device, profile, command)
        outcome: Grant | CommandDenied | InputError
        try:
            outcome = wall.decide(_EVERYWHERE, device, profile, command)
        except (CommandDenied, InputError) as refusal:
            outcome = refusal
        if isinstance(outcome, Grant):
            assert (said.allowed, said.canonical) == (True, outcome.command)
        else:
            assert not said.allowed, (name, command)
            assert said.why in outcome.message


# -- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "allowed"),
    [
        ("r1", "show ip route", True),
        ("r1", "show running-config", False),
        ("r1", "sh tech", False),
        ("r1", "show ip ospf history", False),
        ("r1", "ping 10.0.0.1", True),
        ("r1", "ping 198.51.100.1", False),
        ("fw1", "show version", True),
        ("fw1", "show route inside", True),
        ("fw1", "show conn", False),
        ("bastion", "uptime", True),
        ("bastion", "cat /etc/hostname", True),
    ],
)
def test_the_example_of_the_documents_does_what_its_comments_say(
    tmp_path: Path, name: str, command: str, allowed: bool
) -> None:
    text = (ROOT / "docs" / "policy.example.yaml").read_text("utf-8")
    inventory = InventorySource([ROOT / "inventory.example.yaml"], PROFILES.platforms).current()
    source = PolicySource(_write(tmp_path, text), doubts=lambda rules: unknown_words(rules, inventory, PROFILES.get))
    wall = Wall(source, Hand().clock())
    device = inventory.device(name)
    assert wall.explain(inventory, device, PROFILES.get(device.platform), command).allowed is allowed
    assert wall.problem == ""


def test_every_policy_in_readme_and_docs_is_one_and_every_key_is_described(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "policy.md").read_text("utf-8")
    texts = [page, (ROOT / "README.md").read_text("utf-8")]
    blocks = [
        block for text in texts for block in re.findall(r"```(?:yaml|text)\n(version: 1\n.*?)```", text, re.DOTALL)
    ]
    assert len(blocks) == 2
    for block in blocks:
        assert PolicySource(_write(tmp_path, block)).current().rules
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert described == set(RuleFile.model_fields)
    for key in File.model_fields:
        assert f"`{key}" in page


def test_words_of_config_mode_may_be_entries_where_a_rule_allows_that_class(tmp_path: Path) -> None:
    text = "version: 1\nrules:\n  - devices: r1\n    classes: [read{more}]\n    deny: [shutdown, neighbor, {word}]\n"

    def load(more: str, word: str) -> object:
        path = _write(tmp_path, text.format(more=more, word=word))
        return PolicySource(path, doubts=lambda rules: unknown_words(rules, INVENTORY, PROFILES.get)).current()

    assert load(", config", "no router bgp")
    with pytest.raises(InputError, match="did you mean show"):
        load(", config", "shwo version")
    with pytest.raises(InputError, match="begins with"):
        load("", "reload")


# -- the only door -------------------------------------------------------------------------------------------------


def test_only_the_wall_decides_so_no_service_can_forget_the_operators_rules() -> None:
    package = ROOT / "netssh_mcp"
    callers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"policy\.decide\(|import decide|\bBUILT_IN\b", path.read_text("utf-8"))
    }
    assert callers == {"guard/policy.py", "guard/wall.py"}


def test_what_connects_without_a_decision_before_it_stays_in_the_networks_too(tmp_path: Path) -> None:
    source = PolicySource(_write(tmp_path, "version: 1\nrules:\n  - {devices: '@core', networks: [10.0.0.0/8]}\n"))
    wall = Wall(source, inventory=lambda: INVENTORY)
    assert wall.may_connect(DEVICES["r1"], "10.0.0.1")
    assert not wall.may_connect(DEVICES["r1"], "192.0.2.1")
    assert not Wall(source).may_connect(DEVICES["r1"], "10.0.0.1"), "not known is not allowed"
