"""The wall: what is granted, what is refused, and that nothing else makes a Grant."""

import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.grammar import arguments_of
from netssh_mcp.guard.policy import Grant, decide, with_json
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles

FIRST_WAVE = (
    "cisco_ios",
    "cisco_xe",
    "cisco_nxos",
    "cisco_xr",
    "cisco_asa",
    "arista_eos",
    "juniper_junos",
    "frr",
    "linux",
)
HERE = Path(__file__).parent
PROFILES = Profiles.load(None)


def _device(platform: str) -> Device:
    return Device(name="r1", hostname="192.0.2.1", port=22, platform=platform, username="ops")


def _decide(platform: str, command: str) -> Grant:
    return decide(_device(platform), PROFILES.get(platform), command)


def _outcome(platform: str, command: str) -> Grant | CommandDenied | InputError:
    try:
        return _decide(platform, command)
    except (CommandDenied, InputError) as refusal:
        return refusal


def _attacks() -> list[tuple[str, str]]:
    lines = (HERE / "policy_attacks.txt").read_text().splitlines()
    pairs = (line.split("\t", 1) for line in lines if line and not line.startswith("# "))
    return [(platform, attack.encode().decode("unicode_escape")) for platform, attack in pairs]


def test_no_attack_of_the_corpus_is_granted() -> None:
    outcomes = [(platform, attack, _outcome(platform, attack)) for platform, attack in _attacks()]
    assert [row for row in outcomes if isinstance(row[2], Grant)] == []
    assert [row for row in outcomes if not str(row[2]).startswith("r1: ")] == []


def test_the_corpus_covers_every_platform_of_the_first_wave() -> None:
    assert {platform for platform, _ in _attacks()} >= set(FIRST_WAVE)


@settings(max_examples=600, deadline=None)
@given(
    platform=st.sampled_from(FIRST_WAVE[:-1]),
    head=st.sampled_from(["show", "sh", "sho", "dir", "ping", "s", "", "who", "admin show", "SHOW", "traceroute"]),
    tail=st.text(
        st.one_of(st.sampled_from(string.ascii_lowercase + " |\"'$^_-:/.;&<>`\\?\n\r\t\x00"), st.characters()),
        max_size=40,
    ),
    pipe=st.sampled_from(
        ["", "|", " | i ", " | r ", "|no-more|", " | include x|r y", " | bash", ' | match "', " | json"]
    ),
)
def test_whatever_passes_is_one_printable_line_with_a_read_verb_and_safe_pipes(
    platform: str, head: str, tail: str, pipe: str
) -> None:
    profile = PROFILES.get(platform)
    grant = _outcome(platform, f"{head} {tail}{pipe}{tail}")
    if not isinstance(grant, Grant):
        return
    assert grant.line.isascii()
    assert grant.line.isprintable()
    assert len(grant.line) <= profile.max_line
    assert not set(grant.line) & set(profile.refused_chars)
    verbs = {verb.split()[0] for verb in (*profile.reads, *profile.commands.get("diagnose", ()))}
    assert grant.line.split()[0] in verbs
    unquoted = "".join(part for odd, part in enumerate(grant.line.split('"')) if odd % 2 == 0)
    for piped in unquoted.split(" | ")[1:]:
        assert piped.split(" ")[0] in profile.pipes.safe


@settings(max_examples=400, deadline=None)
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "ip",
                    "-j",
                    "route",
                    "ss",
                    "-K",
                    "vtysh",
                    "-c",
                    "'show ip route'",
                    "'a'b",
                    "cat",
                    "/proc/../etc/shadow",
                ]
            ),
            st.text(max_size=12),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_passes_on_linux_is_the_same_argv_quoted_for_the_shell(words: list[str]) -> None:
    import shlex

    try:
        split = shlex.split(" ".join(words))
    except ValueError:
        split = []
    if split and "\\" not in "".join(words) and "".join(words).isprintable() and "".join(words).isascii():
        assert arguments_of(" ".join(words)) == split
    grant = _outcome("linux", " ".join(words))
    if not isinstance(grant, Grant):
        return
    assert shlex.join(shlex.split(grant.line)) == grant.line
    assert not set(grant.line) & set(";&|$<>`\\\n")


@pytest.mark.parametrize(
    ("platform", "typed", "sent"),
    [
        ("cisco_ios", "sh ip int br", "show ip interface brief"),
        ("cisco_ios", "  SHOW   ip   route  ", "show ip route"),
        ("cisco_ios", "show ip bgp regexp ^65000$", "show ip bgp regexp ^65000$"),
        ("cisco_ios", "show ip bgp regexp _65000_", "show ip bgp regexp _65000_"),
        ("cisco_ios", "sh ip int br | i up|down", "show ip interface brief | include up|down"),
        ("cisco_ios", "show run | s ^router bgp", "show running-config | section ^router bgp"),
        ("cisco_ios", "show int desc | inc O'Brien", "show interfaces description | include O'Brien"),
        ("cisco_ios", "ping vrf MGMT 192.0.2.1 repeat 5", "ping vrf MGMT 192.0.2.1 repeat 5"),
        ("cisco_ios", "dir flash:", "dir flash:"),
        ("cisco_nxos", 'sh int | egrep "up|down"', 'show interface | egrep "up|down"'),
        ("cisco_nxos", "show vlan | json", "show vlan | json"),
        ("cisco_xr", "admin sh inven", "admin show inventory"),
        ("cisco_asa", "sh run", "show running-config"),
        ("arista_eos", "show ip route | i 192.0.2 | no-more", "show ip route | include 192.0.2 | no-more"),
        ("juniper_junos", "show route | match 192 | count", "show route | match 192 | count"),
        ("juniper_junos", 'show interfaces | match "up|down"', 'show interfaces | match "up|down"'),
        ("juniper_junos", "show configuration | compare rollback 1", "show configuration | compare rollback 1"),
        ("juniper_junos", "ping 192.0.2.1 count 5", "ping 192.0.2.1 count 5"),
        ("juniper_junos", "req sup inf", "request support information"),
        ("juniper_junos", "file show /var/log/messages", "file show /var/log/messages"),
        ("juniper_junos", "file list /var/log/", "file list /var/log/"),
        ("cisco_ios", "who", "who"),
        ("frr", "sh ip bgp sum", "show ip bgp summary"),
        ("frr", "show running-config | i neighbor", "show running-config | include neighbor"),
        ("linux", "ip  -j   route", "ip -j route"),
        ("linux", "date '+%F %T'", "date '+%F %T'"),
        ("linux", "ping -c 5 192.0.2.1", "ping -c 5 192.0.2.1"),
        ("linux", "ping -c 5 -W 2 -I eth0 192.0.2.1", "ping -c 5 -W 2 -I eth0 192.0.2.1"),
        ("linux", "date -u +%s", "date -u +%s"),
        ("linux", "ss -tn state established dst 192.0.2.1", "ss -tn state established dst 192.0.2.1"),
        ("linux", "nmcli -t -f NAME,UUID con show --active", "nmcli -t -f NAME,UUID con show --active"),
        ("linux", "nmcli device status", "nmcli device status"),
        ("linux", "systemctl is-active ssh", "systemctl is-active ssh"),
        ("linux", "systemctl --no-pager status ssh.service -l", "systemctl --no-pager status ssh.service -l"),
        ("linux", "networkctl --no-pager status eth0", "networkctl --no-pager status eth0"),
        ("linux", "arp -an", "arp -an"),
        ("linux", "arp -n 192.0.2.1", "arp -n 192.0.2.1"),
        ("linux", "ps", "ps"),
        ("linux", "ps -ef", "ps -ef"),
        ("linux", "ps auxww --sort=-%mem", "ps auxww --sort=-%mem"),
        ("linux", "ps -eo pid,user:20,args --sort=-pcpu", "ps -eo pid,user:20,args --sort=-pcpu"),
        ("linux", "ps -p 1 -f", "ps -p 1 -f"),
        ("linux", "ps -C zebra -o pid,etime", "ps -C zebra -o pid,etime"),
        ("linux", "ps -ef --forest", "ps -ef --forest"),
        (
            "linux",
            "journalctl --no-pager -n 5 --since '2 hours ago'",
            "journalctl --no-pager -n 5 --since '2 hours ago'",
        ),
        (
            "linux",
            "journalctl --no-pager -n 5 --since='2026-11-20 10:00:00'",
            "journalctl --no-pager -n 5 '--since=2026-11-20 10:00:00'",
        ),
        ("cisco_ios", 'show interfaces description "R2 uplink"', 'show interfaces description "R2 uplink"'),
        ("cisco_ios", 'show version | include " uptime "', 'show version | include " uptime "'),
        ("mikrotik_routeros", "/system resource print", "/system resource print"),
        ("mikrotik_routeros", "/ip/firewall/address-list print", "/ip/firewall/address-list print"),
        ("mikrotik_routeros", "/system package update print", "/system package update print"),
        ("mikrotik_routeros", "/log print without-paging", "/log print without-paging"),
        ("linux", 'vtysh -c "sh ip route"', "vtysh -c 'show ip route'"),
        ("linux", "journalctl --no-pager -n 50 -u ssh", "journalctl --no-pager -n 50 -u ssh"),
        ("huawei", "display ip routing-table", "display ip routing-table"),
        ("mikrotik_routeros", "/ip address print detail", "/ip address print detail"),
        ("vyos", "show interfaces", "show interfaces"),
        ("cumulus_linux", "ip -j link show", "ip -j link show"),
    ],
)
def test_the_canonical_form_is_what_is_sent(platform: str, typed: str, sent: str) -> None:
    grant = _decide(platform, typed)
    assert (grant.line, grant.command) == (sent, sent)
    assert grant.rule


@pytest.mark.parametrize(
    ("platform", "command", "wanted"),
    [
        ("cisco_ios", "show version", "read"),
        ("cisco_ios", "sh ru", "secret-read"),
        ("cisco_ios", "sh run | i snmp", "secret-read"),
        ("cisco_ios", "show startup-config", "secret-read"),
        ("cisco_ios", "show tech", "secret-read"),
        ("cisco_ios", "ping 192.0.2.1", "diagnose"),
        ("cisco_xr", "admin show running-config", "secret-read"),
        ("arista_eos", 'show archive "x y"', "secret-read"),
        ("linux", "cat /etc/fstab", "secret-read"),
        ("linux", "cat /etc/hosts", "read"),
        ("linux", "systemctl --no-pager show ssh", "secret-read"),
        ("mikrotik_routeros", "/ppp/secret print", "secret-read"),
        ("mikrotik_routeros", "/ip address print", "read"),
        ("juniper_junos", "show configuration", "secret-read"),
        ("frr", "show run", "secret-read"),
        ("linux", "vtysh -c 'show running-config'", "secret-read"),
        ("huawei", "display current-configuration", "secret-read"),
        ("fortinet", "show system interface", "secret-read"),
        ("fortinet", "diagnose debug report", "secret-read"),
        ("cisco_ios", "show snmp host", "secret-read"),
        ("cisco_xe", "show vtp password", "secret-read"),
        ("cisco_nxos", "show snmp", "secret-read"),  # its last table is the communities
        ("cisco_xr", "sh snmp host", "secret-read"),
        ("arista_eos", "show snmp host", "secret-read"),
        ("aruba_aoscx", "show snmp trap", "secret-read"),
        ("cisco_xe", "show platform hardware qfp active statistics drop", "read"),
        ("cisco_xr", "show telemetry model-driven summary", "read"),
        ("cisco_xr", "show bgp trace reverse last 10", "read"),
        ("arista_eos", "show processes top once", "read"),
        ("juniper_junos", "file list /var/log/ detail", "read"),
        ("huawei_vrp", "display diagnostic-information slot 1", "secret-read"),
        ("huawei_vrp", "display dialer interface Dialer1", "read"),
        ("mikrotik_routeros", "/interface print where interface=ether1 and active", "read"),
        ("linux", "ping -c 3 192.0.2.1", "diagnose"),
        ("linux", "dig @192.0.2.1 x.example", "diagnose"),
        ("juniper_junos", "show host r1.example", "diagnose"),
    ],
)
def test_the_class_is_on_the_grant_so_that_the_audit_shows_it(platform: str, command: str, wanted: str) -> None:
    assert _decide(platform, command).command_class == wanted


@pytest.mark.parametrize(
    ("platform", "command", "line"),
    [
        ("frr", "show ip route", "show ip route json"),
        ("frr", "show bgp summary", "show bgp summary json"),
        ("frr", "show ip ospf neighbor", "show ip ospf neighbor json"),
        ("frr", "show interface", "show interface json"),
        ("arista_eos", "show version", "show version | json"),
        ("cisco_nxos", "sh version", "show version | json"),
        ("juniper_junos", "show route", "show route | display json"),
        ("linux", "vtysh -c 'show ip route'", "vtysh -c 'show ip route json'"),
    ],
)
def test_native_json_is_asked_for_where_the_profile_knows_it(platform: str, command: str, line: str) -> None:
    plain = _decide(platform, command)
    asked = with_json(plain)
    assert asked.line == line
    assert asked.json
    assert not plain.json
    assert asked.command == plain.command
    assert decide(_device(platform), PROFILES.get(platform), command, native_json=True) == asked


@pytest.mark.parametrize(
    ("platform", "command"),
    [("frr", "show version"), ("frr", "show running-config"), ("cisco_ios", "show version"), ("cisco_nxos", "dir")],
)
def test_without_a_known_json_form_the_plain_grant_stays(platform: str, command: str) -> None:
    grant = _decide(platform, command)
    assert with_json(grant) is grant


@pytest.mark.parametrize(
    ("platform", "command"),
    [
        ("linux", "ip -j route"),
        ("linux", "ip -4 -j addr show dev lo"),
        ("linux", "lsblk -J"),
        ("frr", "show ip route json"),
        ("arista_eos", "show version | json"),
        ("juniper_junos", "show version | display json"),
    ],
)
def test_a_command_that_already_asks_for_json_is_known_as_such(platform: str, command: str) -> None:
    assert _decide(platform, command).json


@pytest.mark.parametrize(
    ("platform", "command", "said"),
    [
        ("cisco_ios", "show version\nreload", "One command is one line"),
        ("cisco_ios", "shwo version", "show"),
        ("cisco_ios", "show run | r flash:x", "redirect"),
        ("cisco_ios", "ping", "ping 192.0.2.1"),
        ("frr", "ping 192.0.2.1", "never ends"),
        ("linux", "ip route | wc -l", "query"),
        ("generic", "show version", "docs/profiles.md"),
    ],
)
def test_a_refusal_says_why_and_what_is_allowed(platform: str, command: str, said: str) -> None:
    with pytest.raises(CommandDenied) as refusal:
        _decide(platform, command)
    assert said in f"{refusal.value} {refusal.value.hint}"
    assert refusal.value.effect == "none"


def test_only_the_policy_makes_a_grant() -> None:
    grant = _decide("cisco_ios", "show version")
    with pytest.raises(TypeError, match=r"policy\.decide"):
        Grant(grant.device, grant.profile, "reload", "reload", "read", "", json=False)
    with pytest.raises(TypeError, match=r"policy\.decide"):
        Grant(grant.device, grant.profile, "reload", "reload", "read", "", json=False, seal=object())
    with pytest.raises((TypeError, ValueError)):
        replace(grant, line="reload")
    with pytest.raises(AttributeError):
        grant.line = "reload"  # type: ignore[misc]  # the point of the test


def test_an_empty_command_is_an_input_error() -> None:
    for command in ("", "   "):
        with pytest.raises(InputError, match="empty"):
            _decide("cisco_ios", command)
