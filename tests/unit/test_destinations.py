"""Where forwards may lead: one spelling for each destination, what needs an entry of its own, and rules together."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.destinations import Reach, destination, reach, read, spot
from netssh_mcp.guard.policy_file import load
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles

PROFILES = Profiles.load(None)
METADATA = (
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376", "169.254.43518"),
    *("169.16689662", "::ffff:169.254.169.254", "[::ffff:a9fe:a9fe]", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("::169.254.169.254", "169.254.169.254.", "025177524776", "fd00:ec2::254", "FD00:EC2:0:0:0:0:0:254"),
    *("100.100.100.200", "metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"),
    *("instance-data.ec2.internal", "169.254.170.2", "168.63.129.16", "192.0.0.192"),
)
LOOPBACK = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.1", "017700000001", "127.255.0.3"),
    *("::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *(
        "2002:7f00:1::",
        "localhost",
        "LocalHost",
        "localhost.",
        "db.localhost",
        "localhost.localdomain",
        "ip6-localhost",
    ),
)
OTHERS = {
    **dict.fromkeys(("0.0.0.0", "0", "0x0", "::", "[::]", "0.0.0.9"), "unspecified"),
    **dict.fromkeys(("169.254.1.1", "fe80::1", "fe80::1%eth0"), "link-local"),
    **dict.fromkeys(("224.0.0.1", "239.1.2.3", "ff02::1"), "multicast"),
    **dict.fromkeys(("255.255.255.255", "240.0.0.1"), "reserved"),
}
SPECIAL = {**dict.fromkeys(METADATA, "metadata"), **dict.fromkeys(LOOPBACK, "loopback"), **OTHERS}


@pytest.mark.parametrize("host", SPECIAL)
def test_every_spelling_of_what_is_special_is_known_for_it_and_refused_without_an_entry(host: str) -> None:
    to = destination(host, 80)
    assert to.kind == SPECIAL[host]
    for allowed in (Reach("forward_to"), Reach("forward_to", (spot("*:*"), spot("0.0.0.0/0:*"), spot("[::/0]:*")))):
        refused = allowed.refusal(str(to))
        assert refused is not None
        assert "forward_to" in refused[2]


@pytest.mark.parametrize("host", [host for host in LOOPBACK if destination(host, 1).address is not None])
def test_an_entry_for_the_usual_form_is_one_for_every_spelling(host: str) -> None:
    to = destination(host, 5432)
    assert spot(f"[{to.host}]:5432" if ":" in to.host else f"{to.host}:5432").holds(to)
    assert not spot(f"[{to.host}]:5433" if ":" in to.host else f"{to.host}:5433").holds(to)


LISTED = {
    "10.0.0.0/8:5432": (["10.9.9.9:5432"], ["10.9.9.9:5433", "11.0.0.1:5432", "db1:5432", "[2001:db8::1]:5432"]),
    "127.0.0.1:5432": (["127.0.0.1:5432"], ["127.0.0.2:5432", "localhost:5432", "[::1]:5432"]),
    "127.0.0.0/8:*": (["127.9.9.9:1"], ["10.0.0.1:1", "localhost:1"]),
    "169.254.0.0/16:80": (["169.254.1.1:80"], ["169.254.169.254:80"]),
    "169.254.169.254:80": (["169.254.169.254:80"], ["169.254.169.253:80"]),
    "*:443": (["198.51.100.1:443", "[2001:db8::1]:443"], ["198.51.100.1:80", "db1.example.net:443", "127.0.0.1:443"]),
    "db1.example.net:5000-5010": (["db1.example.net:5005"], ["db1.example.net:5011", "db2.example.net:5005"]),
    "*.example.net:443": (["a.b.example.net:443"], ["example.net:443", "badexample.net:443", "10.0.0.1:443"]),
    "*.google.internal:80": (["db.google.internal:80"], ["metadata.google.internal:80"]),
    "metadata.google.internal:80": (["metadata.google.internal:80"], []),
    "localhost:80": (["localhost:80"], ["127.0.0.1:80", "a.localhost:80"]),
    "[2001:db8::/32]:443": (["[2001:db8::5]:443"], ["[2001:db9::5]:443"]),
}


@pytest.mark.parametrize("entry", LISTED)
def test_an_entry_holds_what_it_says_and_nothing_beside_it(entry: str) -> None:
    inside, outside = LISTED[entry]
    assert [where for where in inside if not spot(entry).holds(read(where))] == []
    assert [where for where in outside if spot(entry).holds(read(where))] == []


@pytest.mark.parametrize(
    "entry",
    *[
        [
            "10.0.0.0/8",
            "10.0.0.1/8:5",
            "2001:db8::1:80",
            "db1:0",
            "db1:70000",
            "db1:9-8",
            ":80",
            "db1:",
            "a b:80",
            "1.2.3.4.5:8",
        ]
    ],
)
def test_an_entry_that_is_none_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is no port"):
        spot(entry)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "999.1.1.1",
        "1.2.3.4.5",
        "256.1",
        "08.1.1.1",
        "\uff11\uff12\uff17.0.0.1",
        "db1\nx",
        "-x;y",
        "a..b",
        "x" * 300,
    ],
)
def test_what_is_neither_address_nor_name_is_refused(host: str) -> None:
    with pytest.raises(InputError):
        destination(host, 80)
    with pytest.raises(InputError):
        destination("10.0.0.1", 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 65_535))
def test_every_spelling_of_an_address_is_the_same_destination(number: int, port: int) -> None:
    usual = str(ipaddress.IPv4Address(number))
    bytes_ = usual.split(".")
    spellings = (
        *(
            usual,
            str(number),
            hex(number),
            f"0{number:o}",
            f"::ffff:{usual}",
            ".".join(f"0x{int(b):x}" for b in bytes_),
        ),
        *(".".join(f"0{int(b):o}" for b in bytes_), f"{bytes_[0]}.{number & 0xFFFFFF}", f" {usual}. "),
    )
    found = {str(destination(each, port)) for each in spellings}
    assert found == {f"{usual}:{port}"}
    assert read(f"{usual}:{port}") == destination(usual, port)


# -- rules together ------------------------------------------------------------------------------------------------


def test_any_rule_may_list_it_and_one_whose_selector_is_unknown_only_limits() -> None:
    general, special = (spot("10.0.0.0/8:443"),), (spot("127.0.0.1:5432"),)
    both = reach("forward_to", [(general, "p:1", True), (None, "p:2", True), (special, "p:3", True)])
    assert both.refusal("10.1.1.1:443") is None
    assert both.refusal("127.0.0.1:5432") is None
    assert (both.refusal("11.1.1.1:443") or ("", "", ""))[:2] == (
        "11.1.1.1:443 is in no `forward_to` of p:1, p:3",
        "p:1, p:3",
    )
    doubtful = reach("forward_to", [(special, "p:3", False)])
    assert doubtful.refusal("127.0.0.1:5432") is not None
    assert doubtful.refusal("10.1.1.1:443") is not None
    assert reach("forward_to", [(None, "p:1", True)]).refusal("10.1.1.1:443") is None
    nothing = reach("forward_to", [((), "p:1", True)])
    assert nothing.refusal("*") is not None
    assert nothing.refusal("10.1.1.1:443") is not None


def wall(folder: Path, *rules: str) -> tuple[Wall, InventorySource]:
    (folder / "inventory.yaml").write_text("hosts: {web1: {hostname: 192.0.2.1, platform: linux, username: u}}\n")
    policy = folder / "policy.yaml"
    policy.write_text("version: 1\nrules:\n" + "\n".join(f"  - {rule}" for rule in rules) + "\n")
    policy.chmod(0o600)
    return Wall(PolicySource(policy)), InventorySource([folder / "inventory.yaml"], PROFILES.platforms())


def asked(house: tuple[Wall, InventorySource], *words: str) -> str:
    """ "" where it is granted, else why not."""
    inventory = house[1].current()
    device = inventory.device("web1")
    try:
        house[0].decide_action(inventory, device, PROFILES.get("linux"), ("forward", *words), "change")
    except CommandDenied as denied:
        return denied.message
    return ""


def test_the_class_the_lists_and_the_destinations_all_have_to_allow_it(tmp_path: Path) -> None:
    house = wall(
        tmp_path, "classes: [read, change]", "{deny: [forward * 10.0.0.9:22], forward_to: ['*:*', '127.0.0.1:80']}"
    )
    assert asked(house, "local", "10.0.0.5:22") == ""
    assert asked(house, "dynamic", "*") == ""
    assert asked(house, "local", "127.0.0.1:80") == ""
    assert "denies 'forward * 10.0.0.9:22'" in asked(house, "dynamic", "10.0.0.9:22")
    assert "is in no `forward_to` of policy.yaml:4" in asked(house, "local", "127.0.0.1:81")
    assert "which has to be spelled" in asked(house, "dynamic", "[::1]:80")
    reads_only = wall(tmp_path, "{classes: [read], allow: [forward local 10.0.0.5:22, forward local 127.0.0.1:80]}")
    assert asked(reads_only, "local", "10.0.0.5:22") == ""
    assert "class change" in asked(reads_only, "local", "10.0.0.5:23")
    assert "loopback" in asked(reads_only, "local", "127.0.0.1:80"), "an allow entry lifts the class only"


def test_what_a_host_may_reach_is_no_leave_for_what_is_here(tmp_path: Path) -> None:
    house = wall(
        tmp_path, "{classes: [read, change], forward_to: ['127.0.0.1:5432'], forward_here: ['127.0.0.1:8080']}"
    )
    assert asked(house, "local", "127.0.0.1:5432") == ""
    assert "`forward_here`" in asked(house, "remote", "127.0.0.1:5432")
    assert asked(house, "remote", "127.0.0.1:8080") == ""
    assert "`forward_to`" in asked(house, "local", "127.0.0.1:8080")


def test_only_the_last_rule_that_names_it_opens_other_addresses_to_listen_on(tmp_path: Path) -> None:
    for rules, bind in {
        ("classes: [read]",): "loopback",
        ("forward_bind: any",): "any",
        ("forward_bind: any", "forward_bind: loopback"): "loopback",
        ("forward_bind: any", "{devices: '@nobody', forward_bind: loopback}"): "loopback",
        ("{devices: '@nobody', forward_bind: any}",): "loopback",
    }.items():
        each, inventory = wall(tmp_path, *rules)
        assert each.terms(inventory.current(), inventory.current().device("web1")).forward_bind == bind


def test_a_bad_entry_names_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - forward_to:\n      - 10.0.0.0/8:443\n      - 10.0.0.1\n")
    policy.chmod(0o600)
    with pytest.raises(InputError, match=r"policy\.yaml:5: rules\.0\.forward_to\.1: .*HOST:PORT"):
        load(policy)
