"""The wall on SR Linux, SR OS, VyOS, VRP and RouterOS: what is allowed, as what, in which words, and what is not."""

import re

import pytest

from netssh_mcp.errors import CommandDenied
from netssh_mcp.guard.grammar import Meaning, read
from netssh_mcp.guard.policy import decide, with_json
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.model import READS

PROFILES = Profiles.load(None)
PLATFORMS = ("huawei_vrp", "mikrotik_routeros", "nokia_srlinux", "nokia_sros", "vyos")


def _read(platform: str, command: str) -> Meaning | CommandDenied:
    try:
        return read(PROFILES.get(platform), command)
    except CommandDenied as refusal:
        return refusal


def _allowed(platform: str, command: str) -> bool:
    outcome = _read(platform, command)
    return isinstance(outcome, Meaning) and outcome.command_class in READS


def test_a_menu_path_is_allowed_in_the_shortest_words_that_fit_one_menu_only() -> None:
    menus = [menu.split() for menu in PROFILES.get("mikrotik_routeros").menus]
    wrong = []
    for menu in menus:
        short = [_shortest(menus, menu[:at], word) for at, word in enumerate(menu)]
        outcome = _read("mikrotik_routeros", f"/{menu[0]} {' '.join([*short[1:], 'prin'])}")
        if not isinstance(outcome, Meaning) or outcome.canonical != f"/{' '.join(menu)} print":
            wrong.append((menu, outcome))
    assert wrong == []


def _shortest(menus: list[list[str]], above: list[str], word: str) -> str:
    beside = {menu[len(above)] for menu in menus if len(menu) > len(above) and menu[: len(above)] == above}
    beside |= {"print", "export", "monitor", "monitor-traffic"}
    ends = (word[:end] for end in range(2, len(word) + 1))
    return next((cut for cut in ends if [other for other in beside if other.startswith(cut)] == [word]), word)


@pytest.mark.parametrize(
    ("platform", "typed", "sent", "kind"),
    [
        ("mikrotik_routeros", "/ip/address/print", "/ip/address/print", "read"),
        ("mikrotik_routeros", "ip addr pr det", "ip address print det", "read"),
        ("mikrotik_routeros", "/IP  Address  PRINT", "/ip address print", "read"),
        ("mikrotik_routeros", "/sy/res pr", "/system/resource print", "read"),
        ("mikrotik_routeros", '/log print where topics~"system,info"', '/log print where topics~"system,info"', "read"),
        (
            "mikrotik_routeros",
            "/ip route print detail where dst-address=10.0.0.0/8 and active",
            "/ip route print detail where dst-address=10.0.0.0/8 and active",
            "read",
        ),
        (
            "mikrotik_routeros",
            "/interface monitor-traffic ether1 once",
            "/interface monitor-traffic ether1 once",
            "read",
        ),
        (
            "mikrotik_routeros",
            "/interface ethernet monitor ether1 once",
            "/interface ethernet monitor ether1 once",
            "read",
        ),
        ("mikrotik_routeros", "/ping 192.0.2.1 count=5 size=1400", "/ping 192.0.2.1 count=5 size=1400", "diagnose"),
        ("mikrotik_routeros", "/tool/traceroute 192.0.2.1 count=1", "/tool/traceroute 192.0.2.1 count=1", "diagnose"),
        ("mikrotik_routeros", "/export", "/export", "secret-read"),
        ("mikrotik_routeros", "/ip firewall filter export terse", "/ip firewall filter export terse", "secret-read"),
        ("mikrotik_routeros", "/ppp secret print", "/ppp secret print", "secret-read"),
        (
            "mikrotik_routeros",
            "/interface bridge print show-sensitive",
            "/interface bridge print show-sensitive",
            "secret-read",
        ),
        ("mikrotik_switchos", "/system identity print", "/system identity print", "read"),
        ("vyos", "sh int", "show interfaces", "read"),
        ("vyos", "show ip route 192.0.2.0/24", "show ip route 192.0.2.0/24", "read"),
        ("vyatta_vyos", "show log tail 10", "show log tail 10", "read"),
        ("vyos", "ping 192.0.2.1 count 5 source-address 192.0.2.9", None, "diagnose"),
        ("vyos", "mtr 2001:db8::1 report no-dns", None, "diagnose"),
        ("vyos", "show host lookup www.example.org", None, "diagnose"),
        ("vyos", "sh conf", "show conf", "secret-read"),
        ("vyos", "show vpn ike secrets", None, "secret-read"),
        ("vyos", "show vpn ipsec state", None, "secret-read"),
        ("vyos", "show system commit diff 1", None, "secret-read"),
        ("huawei", "dis int br | inc up|down", "display interface brief | include up|down", "read"),
        ("huawei_vrpv8", "disp ip routing-table | count", "display ip routing-table | count", "read"),
        ("huawei_vrp", "dis bgp peer | no-more | include Estab", "display bgp peer | no-more | include Estab", "read"),
        ("huawei_vrp", "dir flash:/", None, "read"),
        ("huawei_vrp", "ping -vpn-instance MGMT -c 5 192.0.2.1", None, "diagnose"),
        ("huawei_vrp", "tracert -a 192.0.2.9 192.0.2.1", None, "diagnose"),
        ("huawei_vrp", "dis cur | inc ^ospf", "display current-configuration | include ^ospf", "secret-read"),
        ("huawei_vrp", "dis th", "display th", "secret-read"),
        ("huawei_vrp", "display snmp-agent community read", None, "secret-read"),
        ("huawei_vrp", "more flash:/vrpcfg.cfg", None, "change"),
        ("nokia_sros", "sh router bgp sum", "show router bgp summary", "read"),
        ("alcatel_sros", "show port | match Up | count", None, "read"),
        ("nokia_sros", "tools dump router bgp", None, "read"),
        ("nokia_sros", "fi di cf3:", "file dir cf3:", "read"),
        ("nokia_sros", 'ping 192.0.2.1 router-instance "vprn 1" count 5', None, "diagnose"),
        ("nokia_sros", "oam lsp-ping to-r2 detail", None, "diagnose"),
        ("nokia_sros", "monitor port 1/1/1 interval 5 repeat 2 rate", None, "diagnose"),
        ("nokia_sros", "adm di", "admin display-config", "secret-read"),
        ("nokia_sros", "admin show configuration", None, "secret-read"),
        ("nokia_sros", "info json", None, "secret-read"),
        ("nokia_sros", "show system security user detail", None, "secret-read"),
        ("nokia_sros", "file show cf3:/config.cfg", None, "change"),
        ("nokia_srl", "sh ver | as json", "show ver | as json", "read"),
        ("nokia_srlinux", "inf fr st int mgmt0", "info from state interface mgmt0", "read"),
        ("nokia_srlinux", 'show interface | grep -A 2 "oper state" | head -n 5', None, "read"),
        ("nokia_srlinux", "ping network-instance mgmt 192.0.2.1 -c 3", None, "diagnose"),
        ("nokia_srlinux", "traceroute 2001:db8::1 network-instance", "", ""),
        ("nokia_srlinux", "info", None, "secret-read"),
        ("nokia_srlinux", "info from running interface mgmt0", None, "secret-read"),
        ("nokia_srlinux", "info from state system aaa", None, "secret-read"),
        ("nokia_srlinux", "diff", None, "secret-read"),
    ],
)
def test_what_is_typed_is_read_as_this_and_sent_in_full_words(
    platform: str, typed: str, sent: str | None, kind: str
) -> None:
    outcome = _read(platform, typed)
    if not kind:
        assert isinstance(outcome, CommandDenied)
        return
    assert isinstance(outcome, Meaning), outcome
    assert (outcome.canonical, outcome.command_class) == (typed if sent is None else sent, kind)


DENIED = {
    "mikrotik_routeros": """
        /ip address print file=x
        /ip address print append
        /ip address print follow
        /ip address print interval=1s
        /ip address print where file=x
        /ip address print where name=x on-event=y
        /log print follow-only
        /log print follow where topics=system
        /export file=backup
        /ip address export file=x
        /interface ethernet monitor ether1
        /interface ethernet monitor ether1 once do=x
        /interface monitor-traffic ether1
        /ping 192.0.2.1
        /ping 192.0.2.1 count=5000
        /ping 192.0.2.1 count=5 count=
        /tool traceroute 192.0.2.1
        /tool profile
        /ip address set 0 address=192.0.2.1/24
        /ip/address/remove 0
        /ip address
        /ip address .. route print
        /ip address /system reboot
        /system/reboot
        /system reset-configuration
        /import file-name=x
        /execute "/system reboot"
        /tool fetch address=192.0.2.9
        /system ssh address=192.0.2.9
        :put [/user print]
        /user print; /system reboot
        /user print #x
        /certificate export-certificate x
        /system script run 0
        /interface wireless scan wlan1
        /interface ethernet cable-test ether1
        /safe-mode take
        /nosuch print
        /quit
        """,
    "vyos": """
        configure
        conf
        reboot now
        poweroff
        monitor log
        monitor traffic interface eth0
        generate pki ca install x
        show file /etc/shadow
        show license
        show log all
        show interfaces pppoe pppoe0 log
        show interfaces wireless wlan0 scan
        show interfaces ethernet eth0 identify
        show interfaces ethernet eth0 capture
        show interfaces bonding ../../../etc/shadow detail
        show log image ../../etc
        show history -c
        show history -w
        show version | cat
        show version > /tmp/x
        show version; id
        show $HOME
        show `id`
        show ~
        show {a,b}
        show "x"
        ping 192.0.2.1
        ping 192.0.2.1 count 5 flood
        ping -f 192.0.2.1 count 5
        ping 192.0.2.1 count 100000
        mtr 192.0.2.1
        execute shell vrf red
        connect container x
        ls
        cat /etc/shadow
        sudo su
        set date 010100002026
        copy file a to b
        """,
    "huawei_vrp": """
        system-view
        sys
        save
        reboot
        reset saved-configuration
        undo terminal monitor
        delete flash:/x
        de flash:/x
        format flash:
        copy flash:/a flash:/b
        tftp 192.0.2.9 get x
        ftp 192.0.2.9
        telnet 192.0.2.9
        stelnet 192.0.2.9
        startup saved-configuration x.cfg
        debugging all
        display current-configuration > flash:/x
        display current-configuration | save flash:/x
        display current-configuration | re x
        display version | refresh
        display diagnostic-information flash:/x.txt
        dis diag x.zip
        display interface to-file x
        more flash:/../x
        more tftp://192.0.2.9/x
        ping
        ping -c 5000 192.0.2.1
        ping -c x 192.0.2.1
        ping host
        run display version
        virtual-cable-test
        d
        """,
    "nokia_sros": """
        configure router
        edit-config exclusive
        admin save
        admin reboot now
        admin tech-support cf3:/x
        bof
        tools perform router
        tools dump router bgp clear
        tools dump redundancy re
        clear router bgp neighbor all
        oam mac-populate 1 mac 00:00:00:00:00:01
        oam
        show
        tools dump
        /admin reboot
        //show version
        show version > cf3:/x
        show version | tee cf3:/x
        show version | file cf3:/x
        show version | match x | re y
        exec cf3:/x
        pyexec x
        file delete cf3:/x
        file copy cf3:/a cf3:/b
        file dir ftp://192.0.2.9/x
        file type cf3:/../x
        ping
        ping 192.0.2.1 count 100000
        monitor port 1/1/1
        monitor port 1/1/1 repeat 999
        environment no more
        ssh 192.0.2.9
        telnet 192.0.2.9
        debug router
        logout
        enable-admin
        password
        state
        """,
    "nokia_srlinux": """
        enter candidate
        bash
        bash cat /etc/shadow
        tools system reboot
        tools interface ethernet-1/1 statistics clear
        save startup
        load factory
        commit now
        set interface ethernet-1/1 admin-state disable
        interface ethernet-1/1
        source /tmp/x
        watch show version
        monitor from state interface *
        tech-support
        tcpdump interface mgmt0
        quit
        history clear
        !1
        /tools system reboot
        show version > /tmp/x
        show version | tee /tmp/x
        show version | more
        show version | jq .
        show version | yq -i .x
        show version | grep -f /etc/shadow
        show version | grep x /etc/shadow
        show version | grep --file=/etc/shadow x
        show version | grep "-f/etc/shadow"
        show version | head /etc/shadow
        show version | tail -f
        show version | wc --files0-from=x
        show version }
        show version # x
        info from state interface mgmt0 /system aaa
        ping network-instance mgmt 192.0.2.1
        ping 192.0.2.1 -f -c 5
        ping -c 5000 192.0.2.1
        """,
}
LINES = [(platform, line.strip()) for platform, text in DENIED.items() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("platform", "line"), LINES)
def test_what_writes_runs_waits_or_reads_files_is_not_granted(platform: str, line: str) -> None:
    assert not _allowed(platform, line)
    device = Device(name="r1", hostname="192.0.2.1", port=22, platform=platform, username="ops")
    with pytest.raises(CommandDenied):
        decide(device, PROFILES.get(platform), line)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_at_least_fifteen_lines_are_denied_per_platform(platform: str) -> None:
    assert sum(name == platform for name, _ in LINES) >= 15


@pytest.mark.parametrize(
    ("platform", "line", "kind"),
    [
        ("mikrotik_routeros", "/ip address add address=192.0.2.1/24 interface=ether1", "change"),
        ("mikrotik_routeros", "/system ssh address=192.0.2.9", "shell"),
        ("mikrotik_routeros", "/container shell 0", "shell"),
        ("vyos", "reboot now", "change"),
        ("vyos", "configure", "config"),
        ("vyos", "execute shell vrf red", "shell"),
        ("huawei_vrp", "save", "change"),
        ("huawei_vrp", "system-view", "config"),
        ("huawei_vrp", "telnet 192.0.2.9", "shell"),
        ("nokia_sros", "tools perform router", "change"),
        ("nokia_sros", "configure router", "config"),
        ("nokia_sros", "pyexec x", "shell"),
        ("nokia_srlinux", "tools system reboot", "change"),
        ("nokia_srlinux", "enter candidate", "config"),
        ("nokia_srlinux", "bash", "shell"),
        ("linux", "sudo ls", "shell"),
        ("linux", "/usr/bin/python3 x.py", "shell"),
        ("linux", "touch x", "change"),
    ],
)
def test_what_is_no_read_has_its_own_class(platform: str, line: str, kind: str) -> None:
    outcome = _read(platform, line)
    assert isinstance(outcome, Meaning)
    assert outcome.command_class == kind


def test_sr_linux_gives_its_own_json() -> None:
    device = Device(name="r1", hostname="192.0.2.1", port=22, platform="nokia_srlinux", username="ops")
    plain = decide(device, PROFILES.get("nokia_srlinux"), "info from state interface mgmt0")
    assert with_json(plain).line == "info from state interface mgmt0 | as json"
    assert decide(device, PROFILES.get("nokia_srlinux"), "show version | as json").json


@pytest.mark.parametrize(
    ("platform", "line"),
    [
        ("mikrotik_routeros", "bad command name foo (line 1 column 1)"),
        ("mikrotik_routeros", "expected end of command (line 1 column 12)"),
        ("vyos", "  Invalid command: [show foo]"),
        ("vyos", "vbash: foo: command not found"),
        ("huawei_vrp", "Error: Unrecognized command found at '^' position."),
        ("huawei_vrp", "               ^"),
        ("nokia_sros", "MINOR: MGMT_CORE #2201: Unknown element - 'foo'"),
        ("nokia_sros", "Error: Bad command."),
        ("nokia_srlinux", "Parsing error: Unknown token 'foo'."),
    ],
)
def test_a_refusal_of_the_device_is_recognised(platform: str, line: str) -> None:
    profile = PROFILES.get(platform)
    assert any(re.match(pattern, line) for pattern in profile.rejected_when)
    assert not any(re.match(pattern, line) for pattern in profile.not_rejected)


@pytest.mark.parametrize(
    ("platform", "line"),
    [
        ("mikrotik_routeros", "(3 messages not shown)"),
        (
            "mikrotik_routeros",
            "2026-11-20 12:00:00 system,error,critical login failure for user admin from 192.0.2.9 via ssh",
        ),
        ("huawei_vrp", "Nov 20 2026 12:00:00+01:00 HUAWEI %%01IFNET/4/LINK_STATE(l)[0]:The line protocol is up."),
        ("nokia_sros", '12 2026/11/20 12:00:00.12 UTC MINOR: SYSTEM #2006 Base "x"'),
        ("vyos", "Broadcast message from root@vyos (pts/0) (Fri Nov 20 12:00:00 2026):"),
    ],
)
def test_log_lines_are_known_as_such(platform: str, line: str) -> None:
    assert re.match(PROFILES.get(platform).log_line, line)


@pytest.mark.parametrize(
    ("platform", "lead"),
    [
        ("nokia_sros", "[/]"),
        ("nokia_sros", '*(ex)[/configure router "Base"]'),
        ("nokia_srlinux", "--{ running }--[  ]--"),
        ("nokia_srlinux", "--{ [FACTORY] + candidate shared default }--[ interface ethernet-1/1 ]--"),
        ("vyos", "[edit interfaces]"),
    ],
)
def test_the_line_above_the_prompt_belongs_to_it(platform: str, lead: str) -> None:
    assert re.fullmatch(PROFILES.get(platform).prompts.lead, lead)


def test_the_version_line_of_a_vrp_configuration_is_no_prompt() -> None:
    assert not re.fullmatch(PROFILES.get("huawei_vrp").prompts.pattern, "[V200R009C00SPC500]")


@pytest.mark.parametrize(
    ("name", "driver"), [("huawei_vrpv8", "huawei_vrpv8"), ("huawei", "huawei_vrp"), ("nokia_srl", "nokia_srl")]
)
def test_a_platform_by_its_other_name_keeps_the_driver_it_needs(name: str, driver: str) -> None:
    assert PROFILES.get(name).netmiko_device_type == driver
