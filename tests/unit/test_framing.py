"""The end of a command is proven on every echo style, at every chunk size, whatever the output looks like."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netssh_mcp.knowledge.profiles import Pager, Profile, Prompts
from netssh_mcp.wire.framing import Exchange, Prompt
from tests.unit.terminal import Echo, Terminal, drive

LOG = r"\*Mar "
IOS = Profile(
    name="test",
    comment="!",
    prompts=Prompts(pattern=r"[\w.\-]{1,40}(?:\([\w\-]{1,20}\))?[>#] ?"),
    pager=Pager(pattern="--More--"),
    log_line=LOG,
)
PIPELINED = IOS.model_copy(update={"pipelined": True})
ECHOES: tuple[Echo, ...] = ("line", "early", "both")


def answer(exchange: Exchange) -> None:
    """The device reads the two comments and shows its prompt behind each."""
    for line in exchange.step(0.0).send.splitlines():
        exchange.feed(line + b"\r\nR1#")


def numbers() -> Callable[[], str]:
    counter = itertools.count(1)
    return lambda: f"{next(counter):016d}"


def ran(
    terminal: Terminal, *, line: str = "show it", chunk: int = 0, profile: Profile = IOS, logs: bool = False
) -> Exchange:
    exchange = Exchange(profile, Prompt(terminal.prompt, terminal.lead), line, nonce=numbers(), reads_logs=logs)
    drive(exchange, terminal, chunk=chunk)
    return exchange


@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize(
    "segments",
    [
        pytest.param(["one\ntwo\n"], id="plain"),
        pytest.param([""], id="nothing"),
        pytest.param(["no newline at the end"], id="no-newline"),
        pytest.param(["description to R1# ", "port 7\nmore\n"], id="look-alike-mid-line"),
        pytest.param(["a\nR1#", " still the same line\nb\n"], id="look-alike-at-line-start"),
        pytest.param(["a\nR1#", "\nb\nR1#", "\nc\n"], id="two-look-alikes"),
        pytest.param(["a\nR1#\n", "R1#\n", "R1#\n"], id="prompt-only-lines"),
        pytest.param(["a\n", "b\n", "c\n"], id="slow"),
        pytest.param(["caf", "é \u6f22\u5b57 ok\n"], id="utf-8"),
    ],
)
def test_the_output_is_exactly_the_commands(segments: list[str], echo: Echo, chunk: int) -> None:
    exchange = ran(Terminal(segments, echo=echo), chunk=chunk)
    split = exchange.split()
    assert split.output == "".join(segments)
    assert split.framing == "proven"
    assert split.echo_seen
    assert not split.events


@pytest.mark.parametrize("echo", ECHOES)
def test_nothing_is_written_before_the_prompt_stands(echo: Echo) -> None:
    terminal = Terminal(["slow\n", "slower\n"], echo=echo)
    exchange = Exchange(IOS, Prompt("R1#"), "show it", nonce=numbers())
    terminal.receive(exchange.first())
    exchange.feed(terminal.out)
    terminal.out = b""
    for quiet in (0.0, 0.5, 5.0, 60.0):
        assert not exchange.step(quiet).send


@given(
    segments=st.lists(st.text(alphabet=st.sampled_from("ab R1#\n!0"), max_size=12), max_size=6),
    echo=st.sampled_from(ECHOES),
    chunk=st.integers(0, 7),
)
@settings(max_examples=600, deadline=None)
def test_hostile_output_is_never_cut_or_mixed(segments: list[str], echo: Echo, chunk: int) -> None:
    exchange = ran(Terminal(segments, echo=echo), chunk=chunk)
    assert exchange.split().output == "".join(segments)


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_log_line_behind_the_prompt_is_an_event(chunk: int) -> None:
    exchange = ran(Terminal(["up\n"], after_prompt="\r\n*Mar 1 00:00: %SYS-5-CONFIG_I: by me\r\n"), chunk=chunk)
    split = exchange.split()
    assert split.output == "up\n"
    assert split.events == ("*Mar 1 00:00: %SYS-5-CONFIG_I: by me",)


def test_a_log_line_on_the_prompts_own_line_is_an_event() -> None:
    split = ran(Terminal(["up\n"], after_prompt="*Mar 1 00:00: %SYS-5-CONFIG_I: by me\r\n")).split()
    assert (split.output, split.events) == ("up\n", ("*Mar 1 00:00: %SYS-5-CONFIG_I: by me",))


def test_log_lines_in_the_output_are_events_except_for_commands_that_read_the_log() -> None:
    segments = ["a\n*Mar 1 x\nb\n"]
    split = ran(Terminal(segments)).split()
    assert (split.output, split.events) == ("a\nb\n", ("*Mar 1 x",))
    split = ran(Terminal(segments), logs=True).split()
    assert (split.output, split.events) == ("a\n*Mar 1 x\nb\n", ())


@pytest.mark.parametrize("echo", ECHOES)
def test_a_changed_hostname_is_found_by_the_same_prompt_on_both_sides_of_the_nonce(echo: Echo) -> None:
    split = ran(Terminal(["done\n"], echo=echo, new_prompt="core-1#")).split()
    assert split.output == "done\n"
    assert split.prompt.line == "core-1#"


def test_lines_that_belong_to_the_prompt_are_not_output() -> None:
    junos = Profile(
        name="test",
        comment="#",
        prompts=Prompts(pattern=r"[\w@.\-]{1,60}[>#%] ?", lead=r"\{[\w:.\-]{1,40}\}"),
    )
    terminal = Terminal(["text\n"], prompt="ops@mx1> ", lead="\n{master:0}\n")
    split = ran(terminal, profile=junos).split()
    assert split.output == "text\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Proceed with reload? [confirm]", "confirm"),
        ("Save? [yes/no]: ", "yes_no"),
        ("Overwrite (y/n)? ", "yes_no"),
        ("Password: ", "password"),
        ("Enter passphrase for key: ", "passphrase"),
        ("Destination filename [startup-config]? ", "filename"),
        (" --More-- ", "pager"),
        ("Are you sure you want to continue connecting (yes/no/[fingerprint])? ", "host_key"),
    ],
)
def test_a_question_is_named_and_never_answered(text: str, reason: str) -> None:
    terminal = Terminal([f"some text\n{text}"])
    exchange = Exchange(IOS, Prompt("R1#"), "show it", nonce=numbers())
    terminal.receive(exchange.first())
    terminal.pause()
    exchange.feed(terminal.out)
    for quiet in (0.0, 0.2, 1.0, 30.0):
        step = exchange.step(quiet)
        assert not step.send
        assert not step.done
    assert exchange.waiting == reason
    assert exchange.question.strip() == text.strip()


def test_a_pager_behind_a_false_end_makes_the_result_untrusted() -> None:
    exchange = ran(Terminal(["a\nR1#", f"\n{'b' * 200}\n --More-- \rc\n"]))
    assert exchange.split().pager_hit


def test_a_pipelined_proof_gives_the_same_output() -> None:
    for echo in ECHOES:
        for segments in (["a\nb\n"], ["a\nR1#", " b\n"], [""]):
            assert ran(Terminal(segments, echo=echo), profile=PIPELINED).split().output == "".join(segments)


def test_without_comment_syntax_the_framing_says_prompt() -> None:
    profile = IOS.model_copy(update={"comment": ""})
    split = ran(Terminal(["a\n"]), profile=profile).split()
    assert (split.output, split.framing) == ("a\n", "prompt")


def test_partial_text_shows_neither_echo_nor_nonce() -> None:
    terminal = Terminal(["a\nR1#", "\nb\n"], echo="early")
    exchange = Exchange(IOS, Prompt("R1#"), "show it", nonce=numbers())
    terminal.receive(exchange.first())
    terminal.pause()
    exchange.feed(terminal.out)
    terminal.out = b""
    terminal.receive(exchange.step(0.0).send)
    exchange.feed(terminal.out)
    assert exchange.partial() == "a\nR1#"


ECHO_CASES = [
    pytest.param(b"show it\r\n", id="plain"),
    pytest.param(b"show\r\n it\r\n", id="wrapped-by-newline"),
    pytest.param(b"show \rit\r\n", id="wrapped-by-space-cr"),
    pytest.param(b"sho\x1b[Kw it\x07\r\n", id="escapes"),
    pytest.param(b"show it\x00\x00\r\n", id="nul-padding"),
    pytest.param(b"show it\r\r\n", id="cr-cr-lf"),
]


@pytest.mark.parametrize("echo", ECHO_CASES)
def test_an_echo_is_recognised_however_the_line_editor_draws_it(echo: bytes) -> None:
    exchange = Exchange(IOS, Prompt("R1#"), "show it", nonce=numbers())
    exchange.feed(echo + b"up\r\nR1#")
    answer(exchange)
    assert exchange.step(0.0).done
    split = exchange.split()
    assert (split.output, split.echo_seen) == ("up\n", True)


@pytest.mark.parametrize("width", [80, 132, 511])
def test_a_long_echo_wrapped_at_the_terminals_width_is_recognised(width: int) -> None:
    line = "show ip route " + " ".join(f"word{number}" for number in range(120))
    shown = "R1#" + line
    wrapped = "\r\n".join(shown[at : at + width] for at in range(0, len(shown), width))[3:]
    exchange = Exchange(IOS, Prompt("R1#"), line, nonce=numbers())
    exchange.feed(wrapped.encode() + b"\r\nup\r\nR1#")
    answer(exchange)
    assert exchange.step(0.0).done
    assert exchange.split().output == "up\n"


def test_readlines_doubled_character_at_the_right_edge_is_recognised() -> None:
    exchange = Exchange(IOS, Prompt("R1#"), "show abcdef", nonce=numbers())
    exchange.feed(b"show abc\rcdef\r\nup\r\nR1#")
    answer(exchange)
    assert exchange.split().output == "up\n"


def test_a_log_line_in_the_middle_of_the_echo_is_an_event() -> None:
    for raw in (
        b"sho\r\n*Mar 1 x\r\nR1#show it\r\nup\r\nR1#",
        b"sho\r\n*Mar 1 x\r\nw it\r\nup\r\nR1#",
        b"\r\n*Mar 1 x\r\nR1#show it\r\nup\r\nR1#",
    ):
        exchange = Exchange(IOS, Prompt("R1#"), "show it", nonce=numbers())
        exchange.feed(raw)
        answer(exchange)
        split = exchange.split()
        assert split.output == "up\n"
        assert split.events == ("*Mar 1 x",)
