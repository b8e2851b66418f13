"""A long output is taken apart in parts; where the cuts fall makes no difference."""

from __future__ import annotations

import pytest

from netssh_mcp.knowledge.profiles import Pager, Profile, Prompts
from netssh_mcp.wire.framing import Exchange, Prompt
from netssh_mcp.wire.text import clean, line_slices
from tests.unit.terminal import Echo, Terminal, drive

LOG = "*Mar 1 10:15:42: %SYS-5-CONFIG_I: Configured from console\n"
PLATFORM = Profile(
    name="test",
    comment="!",
    prompts=Prompts(pattern=r"[\w.\-]{1,40}[>#] ?"),
    pager=Pager(pattern="--More--"),
    log_line=r"\*Mar ",
)
LINES = "".join(f"TAG {n} 192.0.2.{n % 256} caf\u00e9\n" for n in range(30_000))


def ran(segments: list[str], echo: Echo) -> Exchange:
    exchange = Exchange(PLATFORM, Prompt("R1#"), "show it")
    drive(exchange, Terminal(segments, echo=echo), chunk=65536)
    assert len(exchange.raw) > 700_000
    return exchange


@pytest.mark.parametrize("echo", ["line", "early", "both"])
@pytest.mark.parametrize(
    "segments",
    [
        pytest.param([LINES], id="plain"),
        pytest.param([LINES + "TAG description to R1#", " port 7\n" + LINES], id="look-alike-in-the-middle"),
        pytest.param([LINES + "R1#", " a banner\n" + LINES, LINES], id="look-alike-at-line-start"),
        pytest.param(["x" * 900_000 + "\n" + LINES], id="one-very-long-line"),
        pytest.param([LINES + "\x1b[1mbold\x1b[0m\n" + LINES], id="escapes"),
        pytest.param([LINES + "a\b\bbe\n" + LINES], id="backspaces"),
    ],
)
def test_a_long_output_is_exactly_the_commands(segments: list[str], echo: Echo) -> None:
    exchange = ran(segments, echo)
    split = exchange.split()
    shown = "".join(segments).replace("\x1b[1m", "").replace("\x1b[0m", "").replace("a\b\bb", "b")
    assert split.output == shown
    assert split.events == ()
    assert split.echo_seen
    assert exchange.partial() == split.output


def test_log_lines_behind_the_prompt_are_events_however_many_they_are() -> None:
    numbers = iter("123456")
    exchange = Exchange(PLATFORM, Prompt("R1#"), "show it", nonce=lambda: next(numbers))
    assert exchange.first() == b"show it\n"
    exchange.feed(f"show it\n{LINES}R1#".replace("\n", "\r\n").encode())
    assert exchange.step(0.0).send == b"!1\n!2\n"
    many = "\n" + LOG * 20_000  # more than a part: what is peeled off the end reaches back over several cuts
    exchange.feed(f"{many}R1#!1\nR1#!2\nR1#".replace("\n", "\r\n").encode())
    assert exchange.step(1.0).done
    split = exchange.split()
    assert split.output == LINES
    assert len(split.events) == 20_000


def test_bytes_are_cut_behind_newlines_into_parts_that_are_not_small() -> None:
    raw = bytearray(LINES.encode())
    parts = [bytes(raw[start:end]) for start, end in line_slices(raw, 100_000)]
    assert b"".join(parts) == raw
    assert len(parts) > 3
    assert all(len(part) >= 100_000 and part.endswith(b"\n") for part in parts)
    assert line_slices(bytearray(b"x" * 300_000), 100_000) == [(0, 300_000)]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a\r\nb\r\nc\td", "a\nb\nc\td"),
        (b"a\r\nb\r\r\nc", "a\nb\nc"),
        (b"a\x00b\x07\x7f", "ab"),
        (b"12345\b\b\b   \b\b\bx", "12x"),
        (b"\x1b[7m--More--\x1b[m\r        \rnext", "next"),
        (b"caf\xc3\xa9 \xff", "caf\u00e9 \ufffd"),
        (b"over\rwr", "wrer"),
    ],
)
def test_bytes_become_what_a_terminal_shows(raw: bytes, text: str) -> None:
    assert clean(raw) == text
