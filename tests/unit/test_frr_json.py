"""Which of FRRouting's commands are asked for as JSON, abbreviations included, and which are read by a template."""

from __future__ import annotations

import pytest

from netssh_mcp.guard.grammar import read
from netssh_mcp.knowledge.abbreviations import completed
from netssh_mcp.knowledge.parsing import Parsers
from netssh_mcp.knowledge.profiles import Profiles

FRR = Profiles.load(None).get("frr")
PARSERS = Parsers()


@pytest.mark.parametrize(
    "command",
    [
        *("show bgp summary", "sh bgp su", "show ip bgp vrf red summary", "show bgp ipv4 uni sum"),
        *("show ip ospf neighbor", "sh ip os ne", "show ip ospf nei det", "show ip ospf interface eth1", "sh int"),
        *("show int eth1", "sh int br", "show ip route 192.0.2.1", "show ipv6 route 2001:db8::/64", "sh ip ro sum"),
        *("show bgp neighbors 192.0.2.1", "show ip bgp 192.0.2.0/24", "show bgp ipv6 2001:db8::/32", "show bfd peers"),
    ],
)
def test_json_is_asked_for_at_once(command: str) -> None:
    meaning = read(FRR, command)
    assert meaning.json_line == f"{meaning.canonical} json"
    assert not meaning.text_first


@pytest.mark.parametrize(
    "command",
    [
        *("show ip route", "sh ip ro", "show ip route vrf red", "show ip route bgp", "show ipv6 route ospf6"),
        *("show ip fib", "show ip route 192.0.2.0/24 longer-prefixes", "show ip bgp", "show bgp ipv6 unicast"),
    ],
)
def test_tables_as_long_as_the_network_are_json_only_on_request_and_have_a_template(command: str) -> None:
    meaning = read(FRR, command)
    assert meaning.json_line == f"{meaning.canonical} json"
    assert meaning.text_first
    assert PARSERS.parse(FRR, meaning.canonical, "").parsed_by.startswith("textfsm:frr_show_")


@pytest.mark.parametrize(
    "command",
    [
        *("show interface description", "sh int des", "show interface vrf red", "show vrf", "show nexthop-group rib"),
        *(
            "show ip ospf border-routers",
            "show route-map",
            "show ip prefix-list",
            "show ip access-list",
            "show version",
        ),
        *("show bgp community-list", "show ip nht", "show running-config", "show ip route | include eth1"),
    ],
)
def test_json_is_never_asked_for_where_vtysh_has_none_that_can_be_used(command: str) -> None:
    assert read(FRR, command).json_line == ""


@pytest.mark.parametrize(
    ("written", "meant"), [("ro[[ute]]", "ro(u(t(e)?)?)?"), ("[a-z]", "[a-z]"), ("s[[h]] [\\w.]", "s(h)? [\\w.]")]
)
def test_two_brackets_are_an_ending_that_may_be_left_out(written: str, meant: str) -> None:
    assert completed(written) == meant
