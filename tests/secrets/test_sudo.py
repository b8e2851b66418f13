"""sudo's prompt as bytes: answered once, wherever it is cut, and never on a look-alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import AuthenticationFailed
from netssh_mcp.wire.sudo import SudoPrompt

PASSWORD = "s3cr3t-'é\\%{0}"


class Sudo:
    """One dialogue: what came out of stderr, and what was written to stdin."""

    def __init__(self, user: str = "") -> None:
        self.dialogue = SudoPrompt("h1", user=user)
        self.prompt = self.dialogue.argv[4].encode()
        self.out = b""
        self.written: list[bytes] = []

    def says(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.out += self.dialogue.feed(piece, lambda: PASSWORD, self.written.append)
        return self.out


def test_the_words_before_the_command_hold_a_new_prompt_each_time_and_no_password() -> None:
    sudo, other = Sudo(), Sudo(user="frr")
    assert sudo.dialogue.argv[:4] == ("sudo", "-k", "-S", "-p")
    assert other.dialogue.argv[5:] == ("-u", "frr", "--")
    assert sudo.prompt != other.prompt
    assert len(sudo.prompt) > 32
    assert "%" not in sudo.dialogue.argv[4]  # sudo(8) expands %u and its like in a prompt


@given(before=st.binary(max_size=200), after=st.binary(max_size=200), size=st.integers(1, 60))
def test_wherever_the_prompt_is_cut_it_is_answered_once_and_taken_out(before: bytes, after: bytes, size: int) -> None:
    sudo = Sudo()
    whole = before + sudo.prompt + after
    sudo.says(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert sudo.written == [PASSWORD.encode() + b"\n"]
    assert sudo.out + sudo.dialogue.rest() == before + after


@pytest.mark.parametrize(
    "text",
    [
        b"Password: ",
        b"[sudo] password for netops: ",
        b"netssh-0123456789abcdef0123456789abcdef:",
        b"netssh-",
        b"Sorry, try again.\n",
    ],
)
def test_no_other_prompt_is_answered(text: bytes) -> None:
    sudo = Sudo()
    sudo.says(text, sudo.prompt[:-1])
    assert sudo.written == []
    assert not sudo.dialogue.answered
    assert sudo.out + sudo.dialogue.rest() == text + sudo.prompt[:-1]


def test_a_second_prompt_is_an_error_and_gets_no_answer() -> None:
    sudo = Sudo()
    sudo.says(sudo.prompt)
    with pytest.raises(AuthenticationFailed, match="did not take the password") as caught:
        sudo.says(b"Sorry, try again.\n", sudo.prompt)
    assert len(sudo.written) == 1
    assert PASSWORD not in f"{caught.value!r}{caught.value.facts()}"
