"""The `show` journey over MCP stdio on real FRRouting and real Linux: right, structured, with the platform's quirks."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from netssh_mcp.knowledge.argument_words import argument_words
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.refusals import refusal
from tests.devices.mcp_house import House, served
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]
ROUTERS = ("r1", "r2", "r3")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, so that one server serves all of its tests."""
    return "asyncio"


@pytest.fixture(scope="module")
async def house(real_lab: RealLab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A server on the four nodes, trusting the host keys that the lab wrote down."""
    folder = tmp_path_factory.mktemp("journey")
    inventory = real_lab.write_inventory(folder / "inventory.yaml")
    async with served(inventory, folder, known_hosts=[real_lab.known_hosts]) as opened:
        yield opened


def objects(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row's table as objects."""
    return [dict(zip(row["table"]["columns"], cells, strict=True)) for cells in row["table"]["rows"]]


def inside(lab: RealLab, command: str, router: str = "r1") -> Any:
    """The router's own JSON, without SSH."""
    return json.loads(lab.vtysh(router, f"{command} json"))


# ---- FRRouting: structured and right


async def test_a_route_table_has_the_rows_of_the_routers_own_json(house: House, real_lab: RealLab) -> None:
    answer = await house.show("r1", "show ip route")
    row = answer.row
    assert (row["parsed_by"], row["framing"], row["truncated"]) == (
        "textfsm:frr_show_ip_route.textfsm",
        "proven",
        False,
    )
    letters = {"ospf": "O", "connected": "C", "bgp": "B"}
    expected = set()
    for prefix, routes in inside(real_lab, "show ip route").items():
        for route in routes:
            for hop in route["nexthops"]:
                distances = ("", "") if route["protocol"] == "connected" else (route["distance"], route["metric"])
                expected.add(
                    (
                        *(letters[route["protocol"]], prefix, *map(str, distances)),
                        *(">" if route.get("selected") else "", "*" if hop.get("fib") else ""),
                        *(hop.get("ip", ""), hop["interfaceName"], str(hop.get("weight", ""))),
                    )
                )
    names = ("protocol", "network", "distance", "metric", "selected", "flag", "nexthop", "interface")
    found = {tuple(item[name] for name in names) for item in objects(row)}
    assert len(expected) > 150
    assert found == {item[:-1] for item in expected}
    assert len(row["table"]["rows"]) == len(expected)


async def test_bgp_and_ospf_are_the_routers_own_json(house: House, real_lab: RealLab) -> None:
    answer = await house.show("r1,r2,r3", "show bgp summary", "show ip ospf neighbor")
    assert [row["device"] for row in answer.rows] == ["r1", "r1", "r2", "r2", "r3", "r3"]
    for row in answer.rows:
        assert (row["ok"], row["parsed_by"], row["framing"]) == (True, "json", "proven")
        own = inside(real_lab, row["command"], row["device"])
        if "bgp" in row["command"]:
            peers = row["data"]["ipv4Unicast"]["peers"]
            assert {name: peer["state"] for name, peer in peers.items()} == dict.fromkeys(
                own["ipv4Unicast"]["peers"], "Established"
            )
            assert peers.keys() == own["ipv4Unicast"]["peers"].keys()
        else:
            assert row["data"]["neighbors"].keys() == own["neighbors"].keys()
            assert {near[0]["converged"] for near in row["data"]["neighbors"].values()} == {"Full"}


STRUCTURED = {  # command -> how it is parsed, and words of its text that the answer has, too
    "show version": ("textfsm", ["8."]),
    "show interface": ("json", ["eth1", "10.0.12.1/30"]),
    "show interface eth1": ("json", ["eth1", "to r2"]),
    "show interface brief": ("json", ["eth1", "10.0.12.1/30"]),
    "show interface description": ("textfsm", ["eth1", "to r2"]),
    "show ip route summary": ("json", ["connected", "ospf"]),
    "show ip route 10.30.1.0/24": ("json", ["10.30.1.0/24", "10.0.13.2"]),
    "show ip route ospf": ("textfsm", ["10.0.23.0/30"]),
    "show ip fib": ("textfsm", ["10.30.1.0/24"]),
    "show ipv6 route": ("textfsm", ["2001:db8::1/128"]),
    "show ip bgp": ("textfsm", ["10.30.1.0/24", "65002 65003"]),
    "show ip bgp 10.30.1.0/24": ("json", ["10.30.1.0/24", "65002 65003"]),
    "show ip bgp summary": ("json", ["10.0.12.2", "65002"]),
    "show bgp ipv4 unicast summary": ("json", ["10.0.13.2", "65003"]),
    "show bgp neighbors": ("json", ["10.0.12.2", "Established"]),
    "show bgp neighbors 10.0.13.2": ("json", ["10.0.13.2", "Established"]),
    "show bgp nexthop": ("textfsm", ["10.0.12.2"]),
    "show bgp memory": ("textfsm", []),
    "show bgp vrfs": ("json", ["default", "10.255.0.1"]),
    "show ip ospf": ("json", ["10.255.0.1"]),
    "show ip ospf neighbor detail": ("json", ["10.255.0.2", "10.255.0.3"]),
    "show ip ospf interface": ("json", ["eth1", "eth2"]),
    "show ip ospf route": ("json", ["10.0.23.0/30", "10.0.13.2"]),
    "show ip ospf database": ("json", ["10.255.0.2"]),
    "show ip ospf database router": ("json", ["10.255.0.2"]),
    "show ip ospf border-routers": ("textfsm", []),
    "show ip nht": ("textfsm", ["10.0.12.2"]),
    "show ip protocol": ("textfsm", ["any"]),
    "show route-map": ("textfsm", []),
    "show ip prefix-list": ("textfsm", []),
    "show ipv6 prefix-list": ("textfsm", []),
    "show ip access-list": ("textfsm", []),
    "show nexthop-group rib": ("textfsm", ["eth1"]),
    "show vrf": ("textfsm", []),
    "show debugging": ("textfsm", []),
    "show memory": ("textfsm", ["zebra"]),
    "show modules": ("textfsm", ["zebra"]),
    "show zebra client summary": ("textfsm", ["ospf", "bgp"]),
}


async def test_the_usual_show_commands_are_all_structured_and_hold_what_the_text_says(
    house: House, real_lab: RealLab
) -> None:
    await anyio.to_thread.run_sync(real_lab.await_convergence)
    asked = list(STRUCTURED)
    for start in range(0, len(asked), 4):  # four at a time: so each may be as long as the cap
        for row in (await house.show("r1", *asked[start : start + 4])).rows:
            how, words = STRUCTURED[row["command"]]
            assert row["ok"], row
            assert (row["parsed_by"].split(":")[0], row["framing"]) == (how, "proven"), row["command"]
            text = json.dumps(row.get("table") or row["data"], ensure_ascii=False)
            assert [word for word in words if word not in text] == [], row["command"]


ABBREVIATED = {
    "sh ip ro": "show ip route",
    "sh ip ro os": "show ip route ospf",
    "sh ip ro sum": "show ip route summary",
    "sh bgp su": "show bgp summary",
    "sh ip os ne": "show ip ospf neighbor",
    "sh int br": "show interface brief",
    "sh int des": "show interface description",
    "sh ver": "show version",
    "sh ip pro": "show ip protocol",
    "sh nex r": "show nexthop-group rib",
}


async def test_abbreviated_commands_are_structured_as_the_full_ones_are(house: House) -> None:
    short = (await house.show("r1", *ABBREVIATED)).rows
    full = (await house.show("r1", *ABBREVIATED.values())).rows
    assert [(row["parsed_by"], list(row.get("table") or row["data"])) for row in short] == [
        (row["parsed_by"], list(row.get("table") or row["data"])) for row in full
    ]
    assert all(row["command"].startswith("show ") for row in short)


async def test_the_router_knows_every_word_that_arguments_are_spelled_out_as(house: House) -> None:
    """Ends of lines may be missing: the list has the beginnings of commands too."""
    lines = [_sample(line) for line in argument_words()["frr"]]
    unknown = []
    for start in range(0, len(lines), 10):
        for row in (await house.show("r1", *lines[start : start + 10], parse="raw")).rows:
            said = row["output"] if row["ok"] else json.dumps(row["error"])
            if re.search("Unknown command|Ambiguous command|no matched command", said):
                unknown.append(row["command"])
    assert unknown == []


def _sample(line: str) -> str:
    value = "eth1" if "show interface" in line else "192.0.2.1"
    return (
        line.replace("[[", "")
        .replace("]]", "")
        .replace("<name>", "default")
        .replace("<value>", value)
        .removesuffix(" !")
    )


async def test_every_json_form_of_the_profile_that_auto_uses_is_one_the_router_has(
    house: House, real_lab: RealLab
) -> None:
    """What is sent for `parse=auto` is taken from the answers; none of them was refused and asked again."""
    commands = [name for name, (how, _) in STRUCTURED.items() if how == "json"]
    for row in (await house.show("r1", *commands)).rows:
        assert row["sent"] == f"{row['command']} json"
    answer = await house.show("r1", "show ip route", "show ip bgp", parse="json", query="length(keys(@))")
    routes, bgp = answer.rows
    assert (routes["parsed_by"], routes["sent"]) == ("json", "show ip route json")
    assert routes["data"] == len(inside(real_lab, "show ip route"))
    assert bgp["sent"] == "show ip bgp json"


async def test_running_config_and_raw_output_are_the_text_that_vtysh_prints(house: House, real_lab: RealLab) -> None:
    config, version = (await house.show("r1", "show running-config", "show version", parse="raw")).rows
    printed = real_lab.vtysh("r1", "show running-config")
    secrets = set(re.findall(r"password (?!<)(\S+)$", printed, re.MULTILINE))
    assert secrets  # vtysh prints them in clear
    assert not any(secret in config["output"] for secret in secrets)
    assert config["redacted"] == len(re.findall(r"password \S+$", printed, re.MULTILINE))
    hidden = re.sub(r"<redacted:password:[0-9a-f]{8}>", "SECRET", config["output"])
    assert _configured(hidden) == _configured(re.sub(r"(password )\S+$", r"\1SECRET", printed, flags=re.MULTILINE))
    assert version["output"].splitlines()[1:] == real_lab.vtysh("r1", "show version").splitlines()[1:]
    assert config["parsed_by"] == "raw"


def _configured(text: str) -> list[str]:
    """Without the hostname: vtysh says the one of the namespace in which it runs."""
    return [line for line in text.strip().splitlines() if not line.startswith("hostname ")]


async def test_a_query_and_fields_answer_a_question_about_routes(house: House) -> None:
    answer = await house.show("r1", "show ip route", query="[?protocol=='O' && selected=='>'].network | [0]")
    assert answer.row["data"] == "10.0.23.0/30"
    answer = await house.show("r1", "show ip route ospf", fields=["network", "nexthop"])
    assert answer.row["table"]["columns"] == ["network", "nexthop"]


# ---- FRRouting's quirks


async def test_an_unknown_command_is_a_refusal_with_the_routers_own_line(house: House) -> None:
    answer = await house.show("r1", "show nonsense", "show version")
    refused, version = answer.rows
    assert (refused["ok"], refused["error"]["kind"], refused["error"]["effect"]) == (False, "rejected", "none")
    assert refused["error"]["line"] == "% Unknown command: show nonsense"
    assert version["ok"]
    assert not answer.failed


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("show ip", "% Command incomplete: show ip"),
        ("show ip r", "% Ambiguous command: show ip r"),
        ("show bgp 10.30.1.0/24", "% Cannot specify IPv4 address or prefix with IPv6 AFI"),
        ("show ipv6 ospf6 neighbor", "ospf6d is not running"),
    ],
)
async def test_other_refusals_are_known_too(house: House, command: str, line: str) -> None:
    answer = await house.show("r1", command)
    assert (answer.failed, answer.error["kind"], answer.error["line"]) == (True, "rejected", line)
    assert line in answer.text


async def test_a_warning_of_a_command_that_succeeds_is_no_refusal(real_lab: RealLab) -> None:
    """`write memory` is not for this toolset: the router's own text goes through what judges it."""
    frr = Profiles.load(None).get("frr")
    saved = (
        "Note: this version of vtysh never writes vtysh.conf\nBuilding Configuration...\n"
        "% Warning: can't chown /etc/frr/frr.conf: Operation not permitted\n"
        "Integrated configuration saved to /etc/frr/frr.conf\n[OK]\n"
    )
    assert refusal(frr, saved) == ""
    assert (
        refusal(frr, "% Can't open configuration file /etc/frr/vtysh.conf due to 'No such file or directory'.\n") == ""
    )
    assert refusal(frr, "% Can't open something else\n") != ""
    assert refusal(frr, real_lab.vtysh("r1", "show running-config")) == ""


async def test_paging_is_not_switched_on_and_what_would_page_comes_whole(house: House, real_lab: RealLab) -> None:
    answer = await house.show("r1", "terminal paginate", "show ip bgp", parse="raw")
    refused, table = answer.rows
    assert (refused["error"]["kind"], refused["error"]["effect"]) == ("denied", "none")
    assert table["ok"]
    found = await house.call("read_output", output_id=table["output_id"], offset=-2)
    total = real_lab.vtysh("r1", "show ip bgp").strip().splitlines()[-1]
    assert total in found.fields["text"]


async def test_endless_ping_is_refused_with_a_way_out(house: House) -> None:
    answer = await house.show("r1", "ping 10.0.12.2")
    assert (answer.failed, answer.error["kind"]) == (True, "denied")
    assert "never ends" in answer.error["hint"]


async def test_a_name_that_does_not_resolve_is_a_failure_with_its_status(house: House) -> None:
    answer = await house.show("linux1", "getent hosts no-such-name.invalid")
    assert (answer.failed, answer.error["kind"]) == (True, "exit")
    assert "exit status 2" in answer.error["message"]


# ---- Linux


async def test_linux_routes_are_the_hosts_own_json(house: House, real_lab: RealLab) -> None:
    row = (await house.show("linux1", "ip -j route")).row
    assert (row["parsed_by"], row["framing"], row["exit_status"]) == ("json", "proven", 0)
    assert row["data"] == json.loads(real_lab.inside("linux1", "ip", "-j", "route"))


async def test_the_usual_linux_commands_are_tables(house: House) -> None:
    socket.create_connection(("198.18.0.2", 22), timeout=10).close()  # so that linux1 has a neighbour to list
    wanted = {"df -h": "mounted_on", "ip addr": "ip_addresses", "uptime": "load_1", "ps aux": "pid", "ss -tln": "state"}
    wanted |= {"ip route": "network", "ip link": "mac_address", "free -m": "available", "ip neigh": "mac_address"}
    for row in (await house.show("linux1", *wanted)).rows:
        assert row["ok"], row
        assert (row["parsed_by"].split(":")[0], row["exit_status"]) == ("textfsm", 0)
        assert wanted[row["command"]] in row["table"]["columns"]
        assert row["table"]["rows"]


async def test_linux_tables_are_right(house: House, real_lab: RealLab) -> None:
    df, addresses = (await house.show("linux1", "df -h", "ip addr")).rows
    mounted = {item["mounted_on"] for item in objects(df)}
    assert "/" in mounted
    own = json.loads(real_lab.inside("linux1", "ip", "-j", "addr"))
    found = {item["interface"].split("@")[0]: item["ip_addresses"] for item in objects(addresses)}
    assert found == {
        link["ifname"]: [each["local"] for each in link["addr_info"] if each["family"] == "inet"] for link in own
    }


async def test_a_failing_linux_command_tells_its_exit_status_and_stderr(house: House) -> None:
    answer = await house.show("linux1", "ls /nonexistent", "uptime")
    failed, after = answer.rows
    assert (failed["ok"], failed["error"]["kind"], failed["exit_status"]) == (False, "exit", 2)
    assert "exit status 2" in failed["error"]["message"]
    assert re.fullmatch(r"ls: cannot access '/nonexistent': No such file or directory", failed["error"]["line"])
    assert failed["stderr"] == failed["error"]["line"] + "\n"
    assert after["ok"]


async def test_vtysh_on_a_linux_host_is_judged_by_the_routers_grammar(house: House) -> None:
    answer = await house.show("linux1", "vtysh -c 'write memory'", "vtysh -c 'show version'; reboot")
    assert [row["error"]["kind"] for row in answer.rows] == ["denied", "denied"]


# ---- the text for people, both eras, and the whole lab at once


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_one_call_over_routers_and_host_in_both_eras(real_lab: RealLab, tmp_path: Path, mode: str) -> None:
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    async with served(inventory, tmp_path, known_hosts=[real_lab.known_hosts], mode=mode) as house:
        answer = await house.show("@frr", "show version")
        assert [row["device"] for row in answer.rows] == list(ROUTERS)
        assert all(row["ok"] and row["framing"] == "proven" for row in answer.rows)
        for row in answer.rows:
            assert f"# {row['device']} (frr): show version" in answer.text
            assert objects(row)[0]["version"] in answer.text


async def test_a_host_key_that_is_not_known_is_refused_before_the_password_is_sent(
    real_lab: RealLab, tmp_path: Path
) -> None:
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    (tmp_path / "empty").touch()
    async with served(inventory, tmp_path, known_hosts=[tmp_path / "empty"]) as house:
        answer = await house.show("r1", "show version")
    assert (answer.failed, answer.error["kind"], answer.error["effect"]) == (True, "hostkey", "none")


async def test_a_session_that_breaks_is_named_and_the_next_command_has_a_new_one(
    real_lab: RealLab, tmp_path: Path
) -> None:
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    async with served(inventory, tmp_path, known_hosts=[real_lab.known_hosts]) as house:
        before = real_lab.sessions_of(os.getpid(), "r2")  # of the other server of this file
        assert (await house.show("r2", "show version")).row["ok"]
        (mine,) = set(real_lab.sessions_of(os.getpid(), "r2")) - set(before)
        mine.reset()
        with anyio.fail_after(10):
            row = (await house.show("r2", "show version")).row
    assert (row["ok"], row["framing"]) == (True, "proven")
    assert row["reconnected"] or row["retried"]
