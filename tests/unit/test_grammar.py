"""The parts of the grammar that the policy's tests do not show by themselves."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import CommandDenied
from netssh_mcp.guard.grammar import read
from netssh_mcp.guard.tables import abbreviated, tables
from netssh_mcp.knowledge.profiles import Pipes, Profile, Profiles

LETTERS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda word: word != "...")


def _profile(**fields: object) -> Profile:
    return Profile.model_validate({"name": "made_up", "commands": {"read": ["show"]}} | fields)


@given(words=st.lists(LETTERS, min_size=1, max_size=4), data=st.data())
def test_every_abbreviation_of_a_refused_line_is_recognised(words: list[str], data: st.DataObject) -> None:
    short = [word[: data.draw(st.integers(1, len(word)))] for word in words]
    assert re.fullmatch(abbreviated(" ".join(words)), " ".join(short))
    assert re.fullmatch(abbreviated(" ".join(words)), " ".join(short) + " more words")


@pytest.mark.parametrize("command", ["echo $HOME", "ls | wc", "ls > x", "ls; id", "ls *.log"])
def test_shell_text_for_a_linux_host_is_told_where_it_is_taken(command: str) -> None:
    profiles = Profiles.load(None)
    with pytest.raises(CommandDenied) as caught:
        read(profiles.get("linux"), command)
    assert "run(shell=true)" in caught.value.hint
    if "$" in command or ";" in command:
        with pytest.raises(CommandDenied) as caught:
            read(profiles.get("cisco_ios"), command)
        assert caught.value.hint
        assert "shell=true" not in caught.value.hint


def test_a_star_is_one_word_and_dots_are_any_number() -> None:
    assert re.fullmatch(abbreviated("show * file"), "show x file")
    assert not re.fullmatch(abbreviated("show * file"), "show file")
    for between in ("", "a ", "a b "):
        assert re.fullmatch(abbreviated("show ... file"), f"show {between}file")


def test_leading_dots_are_any_number_of_words_too() -> None:
    for before in ("", "a ", "a b "):
        assert re.fullmatch(abbreviated("... run"), f"{before}ru print")
    assert not re.fullmatch(abbreviated("... run"), "a runs print")


@pytest.mark.parametrize("line", ['show x ""', 'show x " y"', 'show x "y "', 'show "x"', "show ''x", "show x'y' z"])
def test_quotes_that_change_the_count_of_words_are_refused(line: str) -> None:
    with pytest.raises(CommandDenied, match="quote"):
        read(_profile(), line)


@pytest.mark.parametrize(
    "line", ['show x "secret"', 'show x "a b"  secret', "show x 'secret'", 'show x "a b secret"', 'show x "a|b" secret']
)
def test_quoted_words_do_not_dodge_refused_and_secret_lines(line: str) -> None:
    assert read(_profile(secret_read=["show x ... secret"]), line).command_class == "secret-read"
    with pytest.raises(CommandDenied):
        read(_profile(refuse=["show x ... secret"]), line)
    with pytest.raises(CommandDenied):
        read(_profile(denied=["show [^|]* secret"]), line)


def test_one_word_of_a_table_is_also_one_quoted_text() -> None:
    assert read(_profile(secret_read=["show x * secret"]), 'show x "a b" secret').command_class == "secret-read"


def test_a_path_is_judged_by_its_words_whatever_parts_them() -> None:
    profile = _profile(commands={}, lines={"read": ["[a-z/ ]+ print"]}, refuse=["... run"], secret_read=["ppp secret"])
    assert read(profile, "/ppp/secret print").command_class == "secret-read"
    for line in ("/x run print", "/x/ru print", "/run/y print"):
        with pytest.raises(CommandDenied, match="path"):
            read(profile, line)


def test_a_longer_word_is_not_an_abbreviation() -> None:
    assert not re.fullmatch(abbreviated("show run"), "show running")


@pytest.mark.parametrize("word", ["sho", "show", "SHOW", "s"])
def test_an_abbreviation_resolves_when_every_candidate_is_the_same_word(word: str) -> None:
    profile = _profile(commands={"read": ["show"], "change": ["reload"]})
    assert read(profile, f"{word} version").canonical == "show version"


@pytest.mark.parametrize("word", ["s", "sh"])
def test_an_abbreviation_is_refused_when_one_candidate_is_not_allowed(word: str) -> None:
    with pytest.raises(CommandDenied, match="shutdown"):
        read(_profile(commands={"read": ["show"], "change": ["shutdown"]}), f"{word} version")


def test_shorthand_comes_before_the_vocabulary_and_the_full_word_is_sent() -> None:
    profile = _profile(commands={"read": ["show"], "change": ["shutdown"]}, shorthand={"sh": "show"})
    assert read(profile, "sh version").canonical == "show version"


def test_a_full_word_wins_over_longer_ones_that_begin_with_it() -> None:
    assert read(_profile(commands={"read": ["show"], "change": ["showcase"]}), "show x").canonical == "show x"
    with pytest.raises(CommandDenied, match="showcase"):
        read(_profile(commands={"read": ["show"], "change": ["showcase"]}), "sho x")


def test_two_allowed_candidates_are_ambiguous_as_on_the_device() -> None:
    profile = _profile(commands={"read": ["where", "who"], "change": ["reload"]})
    with pytest.raises(CommandDenied, match="ambiguous: "):
        read(profile, "wh")


def test_without_a_vocabulary_the_first_word_must_be_given_in_full() -> None:
    assert read(_profile(), "show version").canonical == "show version"
    with pytest.raises(CommandDenied, match=r"reload"):
        read(_profile(), "reload")


def test_a_glued_bar_is_an_alternation_only_where_the_platform_has_it() -> None:
    pipes = Pipes(safe=("include",), all=("include", "redirect"), alternation=True)
    assert read(_profile(pipes=pipes), "show x | include up|down").canonical == "show x | include up|down"
    with pytest.raises(CommandDenied, match="down"):
        read(
            _profile(pipes=pipes.model_copy(update={"alternation": False, "several": True})), "show x | include up|down"
        )


@pytest.mark.parametrize("tail", ["x|r", "x|redirect y", '"x | redirect y"', '"x |  re"', '"|r'])
def test_a_bar_that_stays_may_not_hide_an_unsafe_pipe(tail: str) -> None:
    pipes = Pipes(safe=("include",), all=("include", "redirect"), alternation=True)
    with pytest.raises(CommandDenied):
        read(_profile(pipes=pipes), f"show x | include {tail}")


def test_spaces_inside_quotes_and_pipe_arguments_are_kept() -> None:
    pipes = Pipes(safe=("include",), all=("include",))
    assert read(_profile(pipes=pipes), 'show  a   "b   c"').canonical == 'show a "b   c"'
    assert read(_profile(pipes=pipes), "show a  |  include ^  neighbor").canonical == "show a | include ^  neighbor"


def test_the_length_limit_counts_the_line_that_is_sent() -> None:
    profile = _profile(commands={"read": ["show"], "change": ["reload"]}, max_line=20)
    assert read(profile, "s " + "x" * 15).canonical == "show " + "x" * 15
    with pytest.raises(CommandDenied, match="spelled out"):
        read(profile, "s " + "x" * 18)
    with pytest.raises(CommandDenied, match="longer than 20"):
        read(profile, "show " + "x" * 18)


def test_tables_are_compiled_once_per_profile() -> None:
    profile = Profiles.load(None).get("cisco_ios")
    assert tables(profile) is tables(profile)


REQUESTS = {
    "read": ["show", "request support information"],
    "change": ["request", "request system reboot", "request support save", "show debugging reset"],
    "diagnose": ["execute ping"],
}


@pytest.mark.parametrize(
    ("typed", "sent", "kind"),
    [
        ("request support information", "request support information", "read"),
        ("req sup inf", "request support information", "read"),
        ("req sup inf brief", "request support information brief", "read"),
        ("req sup save x", "request support save x", "change"),
        ("req sup x", "request support x", "change"),
        ("req s", "request s", "change"),  # support or system: the riskier reading counts
        ("req i", "request i", "change"),
        ("request system reboot", "request system reboot", "change"),
        ("request", "request", "change"),
        ('request "support" information', "", ""),
        ("show debugging reset", "show debugging reset", "change"),
        ("sho deb r now", "show deb r now", "change"),
        ("show debugging", "show debugging", "read"),
        ("exe ping 192.0.2.1", "execute ping 192.0.2.1", "diagnose"),
    ],
)
def test_a_phrase_has_its_own_class_where_the_first_word_says_too_little(typed: str, sent: str, kind: str) -> None:
    profile = _profile(commands=REQUESTS)
    if not sent:
        with pytest.raises(CommandDenied, match="quotes"):
            read(profile, typed)
        return
    meaning = read(profile, typed)
    assert (meaning.canonical, meaning.command_class) == (sent, kind)


@pytest.mark.parametrize(
    "typed", ["execute", "execute p 192.0.2.1", "execute reboot", "execute ping", "exe ping-options x"]
)
def test_a_word_that_is_only_the_way_to_a_phrase_means_nothing_alone(typed: str) -> None:
    with pytest.raises(CommandDenied):
        read(_profile(commands=REQUESTS), typed)


def test_a_url_is_refused_in_a_read_and_marked_in_a_change() -> None:
    profile = _profile(commands={"read": ["show"], "change": ["copy"]})
    with pytest.raises(CommandDenied, match="URL"):
        read(profile, "show archive tftp://192.0.2.1/x")
    assert read(profile, "copy run tftp://192.0.2.1/x").url


def test_tables_that_contradict_each_other_are_refused() -> None:
    for wrong in ({"read": ["show"], "change": ["show"]}, {"read": ["Show"]}, {"read": ["show  x"]}):
        with pytest.raises(ValueError, match="commands"):
            _profile(commands=wrong)


@pytest.mark.parametrize("length", [100, 240])
def test_patterns_do_not_blow_up_on_hostile_arguments(length: int) -> None:
    # Every answer arrives: an exponential pattern would not come back within the suite's time limit.
    profiles = Profiles.load(None)
    hostile = (
        "ping " + "1" * length + "!",
        "show " + "a-" * (length // 2) + "|",
        "show " + "x " * (length // 2) + "file",
    )
    for platform in (*profiles.names(), "vyos", "mikrotik_routeros"):
        for text in hostile:
            with suppress(CommandDenied):
                read(profiles.get(platform), text[:250])


MENUS = {
    "commands": {"read": ["... print"], "change": ["ip", "system"], "secret-read": ["... export"]},
    "menus": ["ip", "ip address", "ip route", "system resource"],
    "forms": {"... print": "(?:detail)?"},
}


@pytest.mark.parametrize(
    ("line", "sent", "kind"),
    [
        ("/ip/address print", "/ip/address print", "read"),
        ("ip  addr/pri detail", "ip address/print detail", "read"),
        ("/IP route EXPORT", "/ip route export", "secret-read"),
        ("/ip address add x/y", "/ip address add x/y", "change"),
        ("/ip address", "/ip address", "change"),
        ("/system/resource/set a=b/c", "/system/resource/set a=b/c", "change"),
        ("/system print", "/system print", "change"),
    ],
)
def test_a_verb_behind_a_menu_path_is_read_with_spaces_and_sent_as_it_was_parted(
    line: str, sent: str, kind: str
) -> None:
    meaning = read(_profile(**MENUS), line)
    assert (meaning.canonical, meaning.command_class) == (sent, kind)


@pytest.mark.parametrize(
    "line", ["/ip address print file=x", "/nosuch print", "/", "//ip", "/ip address print #", ".. ip print"]
)
def test_a_menu_line_that_fits_nothing_is_refused(line: str) -> None:
    with pytest.raises(CommandDenied):
        read(_profile(**MENUS), line)
