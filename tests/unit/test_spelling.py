"""Which argument words are spelled out, and that nothing is lost by it."""

import random
from contextlib import suppress
from pathlib import Path

import ntc_templates
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import CommandDenied
from netssh_mcp.guard.grammar import read
from netssh_mcp.guard.spelling import Place
from netssh_mcp.guard.tables import risk, tables
from netssh_mcp.knowledge.argument_words import argument_words
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.knowledge.textfsm_index import TemplateFolder
from netssh_mcp.model import CLASSES
from tests import argument_words as made
from tests.unit.ntc_commands import commands

PROFILES = Profiles.load(None)
PLATFORMS = sorted(argument_words())
ROWS = {name: list(commands(PROFILES.get(name).ntc_templates_platform or name)) for name in PLATFORMS}
INDEXED = [name for name in PLATFORMS if ROWS[name]]
TEMPLATES = TemplateFolder(Path(ntc_templates.__file__).parent / "templates")
SAMPLES = {"<value>": "1/0/1", "<name>": "RED"}


def _profile(platform: str, **fields: object) -> Profile:
    return PROFILES.get(platform).model_copy(update=fields)


def _full(line: str) -> list[str]:
    return [SAMPLES.get(word, word.replace("[[", "").replace("]]", "")) for word in line.split() if word != "!"]


def _typed(platform: str, words: list[str], choose: random.Random) -> str:
    """`words` with each abbreviated at will to what means one word only in its place."""
    here: Place | None = tables(PROFILES.get(platform)).places
    typed = []
    for word in words:
        short = [letters for letters, full in here.short.items() if full == word] if here else []
        typed.append(choose.choice([word, *short]))
        here = (here.words.get(word) or here.value or here.name) if here else None
    return " ".join(typed)


def test_the_shipped_list_is_what_the_template_indexes_say_today() -> None:
    assert made.TARGET.read_text("ascii") == made.text()


@pytest.mark.parametrize("platform", PLATFORMS)
@given(choose=st.randoms(use_true_random=False))
def test_every_abbreviation_that_is_spelled_out_means_the_full_line(platform: str, choose: random.Random) -> None:
    profile = PROFILES.get(platform)
    lines = argument_words()[platform]
    kept = [" ".join(_full(line)) for line in lines if line.endswith(" !")]
    words = _full(choose.choice(lines))
    if any(" ".join(words).startswith(line) for line in kept):
        return
    with suppress(CommandDenied):
        meant = read(profile, " ".join(words))
        assert meant.canonical == " ".join(words)
        short = read(profile, _typed(platform, words, choose))
        if risk(short.command_class) == risk(meant.command_class):
            assert short.canonical == meant.canonical
        else:  # an abbreviation of a secret's command, too: it stays as typed
            assert risk(short.command_class) > risk(meant.command_class)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_command_of_the_index_is_never_of_a_lower_class_for_being_spelled_out(platform: str) -> None:
    profile = PROFILES.get(platform)
    as_typed = _profile(platform, name=f"{platform}_as_typed")  # no list has this name
    for line in ROWS[platform]:
        for command in line:
            with suppress(CommandDenied):
                meaning = read(profile, command)
                plain = read(as_typed, command)
                assert meaning.command_class == plain.command_class
                assert bool(meaning.json_line) >= bool(plain.json_line)  # nor does it lose the device's own JSON
                again = read(profile, meaning.canonical)
                assert (again.canonical, again.command_class) == (meaning.canonical, meaning.command_class)
                assert (again.typed, again.json_line) == ("", meaning.json_line)


@pytest.mark.parametrize("platform", INDEXED)
@given(choose=st.randoms(use_true_random=False))
def test_a_command_finds_its_template_as_it_did_before_it_was_spelled_out(platform: str, choose: random.Random) -> None:
    """Each word of a row in full or as short as the index has it."""
    profile = PROFILES.get(platform)
    full, short = (line.split() for line in choose.choice(ROWS[platform]))
    with suppress(CommandDenied):
        meaning = read(profile, " ".join(choose.choice(pair) for pair in zip(full, short, strict=False)))
        if meaning.typed:
            named = profile.ntc_templates_platform or platform
            assert TEMPLATES.find(named, meaning.canonical) == TEMPLATES.find(named, meaning.typed)


@given(
    platform=st.sampled_from(PLATFORMS),
    choose=st.randoms(use_true_random=False),
    letters=st.lists(st.integers(1, 12), min_size=8, max_size=8),
)
def test_whatever_is_typed_each_word_begins_the_word_that_is_sent(
    platform: str, choose: random.Random, letters: list[int]
) -> None:
    first, *rest = _full(choose.choice(argument_words()[platform]))
    typed = [first, *(word[:many] for word, many in zip(rest, letters, strict=False))]
    with suppress(CommandDenied):
        meaning = read(PROFILES.get(platform), " ".join(typed))
        sent = meaning.canonical.split(" ")
        assert len(sent) == len(typed)
        assert all(full.startswith(word) for full, word in zip(sent, typed, strict=True))
        assert read(PROFILES.get(platform), meaning.canonical).canonical == meaning.canonical
        assert meaning.command_class in CLASSES


@pytest.mark.parametrize(
    ("platform", "typed", "sent"),
    [
        ("cisco_ios", "sh run int gi0/1", "show running-config interface gi0/1"),
        ("cisco_ios", "sh int gi0/1 desc", "show interfaces gi0/1 description"),
        ("cisco_nxos", "sh bgp vrf MGMT ipv4 uni neigh", "show bgp vrf MGMT ipv4 unicast neighbors"),
        ("cisco_xr", "sh ip int br", "show ip interface brief"),
        ("cisco_asa", "sh int ip br", "show interface ip brief"),
        ("arista_eos", "sh int status", "show interfaces status"),
        ("juniper_junos", "show int ter", "show interfaces terse"),
        ("juniper_junos", "show int ge-0/0/0 ext", "show interfaces ge-0/0/0 extensive"),
        ("huawei_vrp", "dis cur", "display current-configuration"),
        ("frr", "sh ip ro", "show ip route"),
        ("linux", "vtysh -c 'sh ip bgp sum'", "vtysh -c 'show ip bgp summary'"),
    ],
)
def test_what_people_type(platform: str, typed: str, sent: str) -> None:
    assert read(PROFILES.get(platform), typed).canonical == sent


@pytest.mark.parametrize(
    ("platform", "line"),
    [
        ("cisco_ios", "show interfaces st"),  # stats, status
        ("cisco_ios", "show interfaces eth 0/0"),  # an interface, not etherchannel
        ("cisco_ios", "show mac address-table"),  # a word of its own, not the beginning of mac-address-table
        ("cisco_ios", "show env"),  # a word of its own on Catalyst switches
        ("cisco_ios", "show diag"),  # so is this one, on routers
        ("cisco_ios", "show ip r"),  # one letter
        ("cisco_ios", "show newer int br"),  # nothing behind a word that is not known
        ("cisco_ios", 'show interfaces "desc"'),
        ("cisco_ios", "show int trans"),  # in the index it is `interface` here, everywhere else `interfaces`
        ("cisco_ios", "show tech"),  # before a hyphen
        ("frr", "show route-map sum"),  # a name
        ("frr", "show bgp vrf sum sum"),
        ("juniper_junos", "show ospf"),
    ],
)
def test_what_may_mean_something_else_is_sent_as_typed(platform: str, line: str) -> None:
    sent = read(PROFILES.get(platform), line).canonical
    assert sent == line.replace("sum sum", "sum summary")


def test_a_secret_that_an_abbreviation_may_mean_keeps_it_as_typed() -> None:
    meaning = read(_profile("cisco_ios", secret_read=("show ... versatile",)), "show vers")
    assert (meaning.canonical, meaning.command_class, meaning.typed) == ("show vers", "secret-read", "")
