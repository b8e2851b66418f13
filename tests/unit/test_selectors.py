"""Selectors: the grammar, its errors, and its meaning against a brute-force evaluation of random expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.selectors import MOST_DEPTH


def _device(name: str, platform: str, groups: tuple[str, ...], /, **data: object) -> Device:
    return Device(name, f"{name}.example.net", 22, platform, "u", groups, data)


DEVICES = (
    _device("leaf1", "arista_eos", ("leaf", "ber"), site="ber", role="leaf", rack=7, bgp={"asn": 65001}),
    _device("leaf2", "arista_eos", ("leaf", "muc"), site="muc", role="leaf", rack=None, bgp={"asn": 65002}),
    _device("spine1", "juniper_junos", ("ber",), site="ber", role="spine", uplinks=["et-0/0/0", "et-0/0/1"]),
    _device("r1", "cisco_ios", ("muc",), site="muc", state="or", managed=True, city="New York"),
    _device("r2", "cisco_xe", (), **{"name": "not r2", "a.b": "dotted", "10": {20: "numbers"}}),
)
GROUPS = {
    group: tuple(device.name for device in DEVICES if group in device.groups)
    for group in ("leaf", "ber", "muc", "void")
}
INVENTORY = Inventory({device.name: device for device in DEVICES}, GROUPS)


def _names(targets: str) -> str:
    return " ".join(device.name for device in INVENTORY.select(targets))


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("r1", "r1"),
        ("r2, r1 ,r2", "r1 r2"),
        ("*", "leaf1 leaf2 spine1 r1 r2"),
        ("leaf*", "leaf1 leaf2"),
        ("leaf?", "leaf1 leaf2"),
        ("leaf[2-9]", "leaf2"),
        ("leaf[!2-9]", "leaf1"),
        ("@leaf", "leaf1 leaf2"),
        ("@leaf,@ber", "leaf1 leaf2 spine1"),
        ("@*e*", "leaf1 leaf2 spine1"),
        ("site=ber", "leaf1 spine1"),
        ("site=b*", "leaf1 spine1"),
        ("site=[bm]*", "leaf1 leaf2 spine1 r1"),
        ("site!=ber", "leaf2 r1 r2"),
        ("site=*", "leaf1 leaf2 spine1 r1"),
        ("site = ber", "leaf1 spine1"),
        ("site==ber", "leaf1 spine1"),
        ("site=ber & role=leaf", "leaf1"),
        ("site=ber and role=leaf", "leaf1"),
        ("site=ber && role=leaf", "leaf1"),
        ("@leaf | r1", "leaf1 leaf2 r1"),
        ("@leaf or r1", "leaf1 leaf2 r1"),
        ("!@leaf", "spine1 r1 r2"),
        ("not @leaf", "spine1 r1 r2"),
        ("!!@leaf", "leaf1 leaf2"),
        ("NOT @leaf AND site=*", "spine1 r1"),
        ("r1 | leaf1 & site=muc", "r1"),
        ("(r1 | leaf1) & site=muc", "r1"),
        ("r1, leaf1 & site=muc, leaf2", "leaf2 r1"),
        ("!(@leaf | r1)", "spine1 r2"),
        ("platform=cisco_*", "r1 r2"),
        ("group=muc", "leaf2 r1"),
        ("group!=muc", "leaf1 spine1 r2"),
        ("hostname=r?.example.net", "r1 r2"),
        ("name=r2", "r2"),
        ("data.name=not*", "r2"),
        ("rack=7", "leaf1"),
        ("rack=null", "leaf2"),
        ("managed=true", "r1"),
        ("bgp.asn=6500?", "leaf1 leaf2"),
        ("bgp=*", "leaf1 leaf2"),
        ("a.b=dotted", "r2"),
        ("10.20=numbers", "r2"),
        ("uplinks=et-0/0/1", "spine1"),
        ("state=or", "r1"),
        ('city="New York"', "r1"),
        ("city='New York'", "r1"),
        ("city=New*", "r1"),
        ('"r1"', "r1"),
    ],
)
def test_a_selector_picks_each_device_once_in_inventory_order(targets: str, names: str) -> None:
    assert _names(targets) == names


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ("", "selector is empty"),
        ("  ", "selector is empty"),
        ("r1,", "the end at position 4"),
        (",r1", "',' at position 1"),
        ("r1,,r2", "',' at position 4"),
        ("r1 r2", "expected a comma, & or | before 'r2' at position 4"),
        ("r1 &", "the end at position 5"),
        ("& r1", "'&' at position 1"),
        ("and", "'and' at position 1"),
        ("(r1", "parenthesis opened at position 1 is not closed before the end at position 4"),
        ("r1)", "')' at position 3"),
        ("()", "')' at position 2"),
        ("site=", "expected a value instead of the end at position 6"),
        ("site=,r1", "expected a value instead of ',' at position 6"),
        ("=ber", "'=' at position 1"),
        ("site=ber=c", "before '=' at position 9"),
        ('city="New', "quote opened at position 6"),
        ("!", "the end at position 2"),
        ("r9", "there is no device 'r9' (position 1); known: leaf1"),
        ("r1, leaf", "there is no device 'leaf' (position 5); that is a group: write @leaf"),
        ("R1", "did you mean r1?"),
        ("spine", "did you mean spine1?"),
        ("@leafs", "there is no group '@leafs' (position 1); did you mean leaf?"),
        ("!@leafs", "there is no group"),
        ("sit=ber", "there is no key 'sit' (position 1); did you mean site?"),
        ("sit!=ber", "there is no key"),
        ("site=bre", "nothing has site=bre, did you mean ber?"),
        ("site=x*", "nothing has site=x*, known: ber, muc"),
        ("spin9*", "nothing has spin9*, did you mean spine1?"),
        ("@void", "nothing has void"),
        ("@leaf & @ber & @muc", "every part matches, but not together"),
        ("!*", "every part matches, but not together"),
        ("\x00", "there is no device '\\x00'"),
    ],
)
def test_what_selects_nothing_is_an_error_that_says_where_and_what_there_is(targets: str, why: str) -> None:
    with pytest.raises(InputError, match=re.escape(why)) as caught:
        INVENTORY.select(targets)
    assert "key=value" in caught.value.hint


def test_length_and_depth_are_bounded() -> None:
    assert _names("(" * MOST_DEPTH + "r1" + ")" * MOST_DEPTH) == "r1"
    assert _names("!" * 9_999 + "r1") == "leaf1 leaf2 spine1 r2"
    with pytest.raises(InputError, match="parentheses in each other"):
        INVENTORY.select("(" * 9_000 + "r1" + ")" * 9_000)
    with pytest.raises(InputError, match="20001 characters"):
        INVENTORY.select("r" * 20_001)


def test_many_stars_in_a_glob_do_not_run_away() -> None:
    assert _names("*" * 5_000 + "1") == "leaf1 spine1 r1"
    with pytest.raises(InputError, match="no device matches"):
        INVENTORY.select("city=" + "*e" * 30 + "*x")


def test_an_inventory_without_devices_says_so() -> None:
    with pytest.raises(InputError, match="there are none"):
        Inventory({}, {}).select("r1")


# -- brute force: the same expression as a predicate on one device, asked device by device


@dataclass(frozen=True)
class _Expression:
    text: str
    picked: frozenset[str]


def _where(text: str, *names: str) -> _Expression:
    return _Expression(text, frozenset(names))


def _field(key: str, glob: str, sign: str) -> _Expression:
    def holds(device: Device) -> bool:
        held = device.platform if key == "platform" else device.data.get(key)
        return held is not None and fnmatchcase(str(held), glob)

    wanted = sign == "="
    return _Expression(f"{key}{sign}{glob}", frozenset(d.name for d in DEVICES if holds(d) is wanted))


_ALL = frozenset(INVENTORY.devices)
_GLOBS = st.sampled_from(["*", "leaf*", "?1", "r[12]", "s*1", "z*", "[!l]*"])
_ATOMS = st.one_of(
    st.sampled_from(sorted(_ALL)).map(lambda name: _where(name, name)),
    _GLOBS.map(lambda glob: _where(glob, *(name for name in _ALL if fnmatchcase(name, glob)))),
    st.sampled_from(sorted(GROUPS)).map(lambda group: _where(f"@{group}", *GROUPS[group])),
    st.builds(
        _field,
        st.sampled_from(["site", "role", "platform"]),
        st.sampled_from(["ber", "m*", "*", "leaf", "?ber", "cisco_[ix]*", "nowhere"]),
        st.sampled_from(["=", "!="]),
    ),
)
_SPACE = st.sampled_from(["", " ", "  "])


def _grown(inner: st.SearchStrategy[_Expression]) -> st.SearchStrategy[_Expression]:
    """Every operand in parentheses: what the operators do. Their precedence is the next test's."""
    return st.one_of(
        st.builds(
            lambda a, sign, b, s: _Expression(f"({a.text}){s}{sign}{s}({b.text})", a.picked | b.picked),
            inner, st.sampled_from([",", "|", "or"]), inner, _SPACE,
        ),
        st.builds(
            lambda a, sign, b, s: _Expression(f"({a.text}){s}{sign}{s}({b.text})", a.picked & b.picked),
            inner, st.sampled_from(["&", "and", "&&"]), inner, _SPACE,
        ),
        st.builds(
            lambda sign, a: _Expression(f"{sign}({a.text})", _ALL - a.picked), st.sampled_from(["!", "not "]), inner,
        ),
    )  # fmt: skip


def _agrees(text: str, picked: frozenset[str]) -> None:
    if picked:
        assert [device.name for device in INVENTORY.select(text)] == [
            name for name in INVENTORY.devices if name in picked
        ]
    else:
        with pytest.raises(InputError, match="no device matches"):
            INVENTORY.select(text)


@settings(max_examples=120, deadline=None)
@given(st.recursive(_ATOMS, _grown, max_leaves=12))
def test_any_expression_means_what_brute_force_says(expression: _Expression) -> None:
    _agrees(expression.text, expression.picked)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(_ATOMS, st.sampled_from([", ", " | ", " or ", " & ", " and "]), st.booleans()), min_size=1, max_size=9
    )
)
def test_without_parentheses_not_binds_closest_then_and_then_or_then_comma(
    parts: list[tuple[_Expression, str, bool]],
) -> None:
    text, ands = "", [_ALL]
    for number, (atom, sign, negated) in enumerate(parts):
        picked = _ALL - atom.picked if negated else atom.picked
        if number:
            text += sign
            if sign.strip() not in ("&", "and"):
                ands.append(_ALL)
        text += f"!{atom.text}" if negated else atom.text
        ands[-1] &= picked
    _agrees(text, frozenset().union(*ands))


@settings(max_examples=120, deadline=None)
@given(
    st.text(alphabet=st.sampled_from(list("r1leaf*?[]!@=&|(), \"'andorspite.\t\né\x00")), max_size=40)
    | st.text(max_size=40)
)
def test_any_text_at_all_gives_devices_or_an_input_error(text: str) -> None:
    try:
        picked = INVENTORY.select(text)
    except InputError:
        return
    assert picked
    assert len(set(picked)) == len(picked)
