"""The wall on FortiOS, PAN-OS, AOS-CX, Comware and OS10: what their tables let through, and in which words."""

from __future__ import annotations

import pytest

from netssh_mcp.errors import CommandDenied
from tests.unit.test_policy import PROFILES, _decide


@pytest.mark.parametrize(
    ("platform", "typed", "sent"),
    [
        ("fortinet", "get sys status", "get system status"),
        ("fortinet", "exec ping 192.0.2.1", "execute ping 192.0.2.1"),
        ("fortinet", "exe traceroute 192.0.2.1", "execute traceroute 192.0.2.1"),
        ("fortinet", "diag sys ha status", "diagnose sys ha status"),
        ("fortinet", "diagnose sys top 2 20 1", "diagnose sys top 2 20 1"),
        (
            "fortinet",
            "get router info routing-table all | grep 192.0.2",
            "get router info routing-table all | grep 192.0.2",
        ),
        ("fortinet", "show system interface | grep -f wan1", "show system interface | grep -f wan1"),
        ("paloalto_panos", "show system info | match serial", "show system info | match serial"),
        ("paloalto_panos", "ping count 5 host 192.0.2.1", "ping count 5 host 192.0.2.1"),
        (
            "paloalto_panos",
            "test routing fib-lookup virtual-router default ip 192.0.2.1",
            "test routing fib-lookup virtual-router default ip 192.0.2.1",
        ),
        ("paloalto_panos", "req lic info", "request license info"),
        ("paloalto_panos", "tail lines 100 mp-log ms.log", "tail lines 100 mp-log ms.log"),
        ("aruba_aoscx", "sh int br | inc up", "show interface br | include up"),
        ("aruba_aoscx", "ping 192.0.2.1 vrf mgmt repetitions 3", "ping 192.0.2.1 vrf mgmt repetitions 3"),
        ("hp_comware", "dis int brief | inc UP", "display interface brief | include UP"),
        ("hp_comware", "ping -c 3 -vpn-instance MGMT 192.0.2.1", "ping -c 3 -vpn-instance MGMT 192.0.2.1"),
        ("dell_os10", "show interface status | grep up", "show interface status | grep up"),
        ("dell_os10", "ping vrf management -c 3 192.0.2.1", "ping vrf management -c 3 192.0.2.1"),
    ],
)
def test_the_canonical_form_is_what_is_sent(platform: str, typed: str, sent: str) -> None:
    assert _decide(platform, typed).line == sent


@pytest.mark.parametrize(
    ("platform", "typed"),
    [
        ("fortinet", "execute time 12:00:00"),
        ("fortinet", "execute date 2026-01-01"),
        ("fortinet", "execute reboot"),
        ("fortinet", "exe factoryreset"),
        ("fortinet", "execute ping"),
        ("fortinet", "execute ping-options repeat-count 100000"),
        ("fortinet", "execute telnet 192.0.2.1"),
        ("fortinet", "execute backup config tftp x 192.0.2.9"),
        ("fortinet", "diagnose sys kill 9 100"),
        ("fortinet", "diagnose debug enable"),
        ("fortinet", "diag sniffer packet any"),
        ("fortinet", "diagnose sys session clear"),
        ("fortinet", "diagnose test application ipsmonitor 99"),
        ("fortinet", "config system global"),
        ("fortinet", "fnsysctl ls"),
        ("fortinet", "get system status | grep x > y"),
        ("paloalto_panos", "ping host 192.0.2.1"),
        ("paloalto_panos", "request restart system"),
        ("paloalto_panos", "request system private-data-reset"),
        ("paloalto_panos", "debug software restart process management-server"),
        ("paloalto_panos", "set cli pager on"),
        ("paloalto_panos", "less mp-log ms.log"),
        ("paloalto_panos", "tail follow yes mp-log ms.log"),
        ("paloalto_panos", "scp export configuration from x to a@192.0.2.9:/x"),
        ("paloalto_panos", "test vpn ike-sa gateway GW"),
        ("paloalto_panos", "show system statistics session"),
        ("paloalto_panos", "clear session all"),
        ("paloalto_panos", "configure"),
        ("aruba_aoscx", "start-shell"),
        ("aruba_aoscx", "repeat count 5"),
        ("aruba_aoscx", "copy running-config tftp://192.0.2.9/x"),
        ("aruba_aoscx", "show running-config | redirect x"),
        ("aruba_aoscx", "show tech basic local-file"),
        ("aruba_aoscx", "boot system"),
        ("aruba_aoscx", "ping"),
        ("hp_comware", "system-view"),
        ("hp_comware", "display current-configuration > flash:/x"),
        ("hp_comware", "reset saved-configuration"),
        ("hp_comware", "display diagnostic-information"),
        ("hp_comware", "dis diag"),
        ("hp_comware", "tclsh"),
        ("hp_comware", "d current-configuration"),
        ("dell_os10", 'system "id"'),
        ("dell_os10", "show running-configuration | save config://x"),
        ("dell_os10", "ping 192.0.2.1"),
        ("dell_os10", "start transaction"),
        ("dell_os10", "reload"),
        ("dell_os10", "image install http://192.0.2.9/x"),
    ],
)
def test_what_changes_runs_or_never_ends_is_refused(platform: str, typed: str) -> None:
    with pytest.raises(CommandDenied):
        _decide(platform, typed)


@pytest.mark.parametrize(
    ("platform", "typed"),
    [
        ("fortinet", "show"),
        ("fortinet", "show full-configuration vpn ipsec"),
        ("fortinet", "diagnose vpn tunnel list"),
        ("fortinet", "get system snmp community"),
        ("paloalto_panos", "show config running"),
        ("aruba_aoscx", "show run"),
        ("hp_comware", "dis cur"),
        ("hp_comware", "display this"),
        ("dell_os10", "show running-configuration"),
    ],
)
def test_reads_that_show_secrets_are_marked(platform: str, typed: str) -> None:
    assert _decide(platform, typed).command_class == "secret-read"


def test_the_tables_name_their_sources() -> None:
    for platform in ("fortinet", "paloalto_panos", "aruba_aoscx", "hp_comware", "dell_os10"):
        assert PROFILES.get(platform).sources
