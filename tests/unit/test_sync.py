"""The prompt is proven on both sides of a nonce, and not at all rather than wrongly."""

from __future__ import annotations

import pytest

from netssh_mcp.errors import PromptNotFound, SessionLost
from netssh_mcp.knowledge.profiles import Profile, Prompts
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.sync import prove_prompt
from netssh_mcp.wire.turn import Turn
from tests.unit.wires import Clock, FakeChannel, clock, silent, still_reader

__all__ = ["clock"]

IOS = Profile(
    name="test",
    comment="!",
    prompts=Prompts(pattern=r"[\w.\-]{1,40}(?:\([\w\-]{1,20}\))?[>#] ?"),
    rejected_when=("% ",),
)


def prompts(line: str) -> str:
    return f"{line}\r\nr1#"


def test_a_prompt_that_was_read_already_is_proven_by_one_nonce(clock: Clock) -> None:
    channel = FakeChannel(prompts)
    assert prove_prompt(still_reader(channel, clock), IOS, clock.now + 5, before="Welcome\nr1#") == Prompt("r1#")
    assert len(channel.written) == 1
    assert clock.waited == 0


def test_without_one_a_second_nonce_is_asked_at_once(clock: Clock) -> None:
    channel = FakeChannel(prompts)
    assert prove_prompt(still_reader(channel, clock), IOS, clock.now + 5) == Prompt("r1#")
    assert len(channel.written) == 2
    assert clock.waited == 0


@pytest.mark.parametrize("size", [1, 2, 5])
def test_an_answer_in_pieces_is_waited_for(size: int, clock: Clock) -> None:
    channel = FakeChannel(silent)

    def late(line: str) -> str:
        raw = f"{line}\r\nr1#".encode()
        channel.late += [raw[at : at + size] for at in range(0, len(raw), size)]
        return ""

    channel.answers = late
    assert prove_prompt(still_reader(channel, clock), IOS, clock.now + 5, before="r1#") == Prompt("r1#")
    assert len(channel.written) == 1


def test_rubbish_before_the_prompt_is_not_part_of_it(clock: Clock) -> None:
    channel = FakeChannel(prompts)
    channel.in_buffer.feed(b"^C\r\nhalf of an output\r\nr1#")
    assert prove_prompt(still_reader(channel, clock), IOS, clock.now + 5) == Prompt("r1#")


def test_lines_that_belong_above_the_prompt_are_known_from_then_on(clock: Clock) -> None:
    junos = IOS.model_copy(
        update={"prompts": Prompts(pattern=r"[\w@.\-]{1,60}[>#%] ?", lead=r"\{[\w:.\-]{1,40}\}"), "comment": "#"}
    )
    channel = FakeChannel(lambda line: f"{line}\r\n\r\n{{master:0}}\r\nops@mx1> ")
    found = prove_prompt(still_reader(channel, clock), junos, clock.now + 5)
    assert found == Prompt("ops@mx1> ", "\n{master:0}\n")


def test_a_silent_device_is_asked_ever_more_rarely_and_then_given_up(clock: Clock) -> None:
    channel = FakeChannel(silent)
    with pytest.raises(PromptNotFound, match="no prompt could be proven in time") as caught:
        prove_prompt(still_reader(channel, clock), IOS, clock.now + 10)
    assert len(channel.written) <= 6
    assert clock.waited == pytest.approx(10)
    assert caught.value.device == "r1"


def test_a_menu_is_quoted_in_the_error(clock: Clock) -> None:
    channel = FakeChannel(lambda _: "1) Shell\r\n2) Quit\r\nYour choice: ")
    with pytest.raises(PromptNotFound) as caught:
        prove_prompt(still_reader(channel, clock), IOS, clock.now + 3)
    assert caught.value.line == "Your choice: "
    assert "choice" not in caught.value.message


def test_a_cancel_ends_it(clock: Clock) -> None:
    turn = Turn()
    turn.cancel()
    channel = FakeChannel(silent)
    with pytest.raises(PromptNotFound, match="cancelled"):
        prove_prompt(still_reader(channel, clock), IOS, clock.now + 10, turn)
    assert clock.waited == 0


def test_a_lost_link_is_no_missing_prompt(clock: Clock) -> None:
    channel = FakeChannel(silent)
    channel.transport.saved_exception, channel.closed = ConnectionResetError(), True
    with pytest.raises(SessionLost, match="was reset"):
        prove_prompt(still_reader(channel, clock), IOS, clock.now + 10)


def test_what_came_before_the_end_of_the_link_is_read_first(clock: Clock) -> None:
    channel = FakeChannel(silent)
    channel.in_buffer.feed(b"x" * (3 << 20))
    channel.eof_received = channel.closed = True
    channel.transport.active = False
    reader = still_reader(channel, clock)
    assert len(reader.take() + reader.take() + reader.take()) == 3 << 20
    with pytest.raises(SessionLost, match="the device closed the session"):
        reader.take()


def test_a_device_that_refuses_comments_is_found_out(clock: Clock) -> None:
    channel = FakeChannel(lambda line: f"{line}\r\n% Unknown command\r\nr1#")
    found = prove_prompt(still_reader(channel, clock), IOS, clock.now + 5, before="r1#")
    assert (found.line, found.comments) == ("r1#", False)


def test_without_comment_syntax_the_same_prompt_twice_and_silence_have_to_do(clock: Clock) -> None:
    channel = FakeChannel(lambda _: "\r\nr1#")
    found = prove_prompt(still_reader(channel, clock), IOS.model_copy(update={"comment": ""}), clock.now + 5)
    assert found.line == "r1#"
    assert channel.written == ["\n", "\n"]
    assert clock.waited < 1
