"""The SOCKS dialogue, byte by byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.wire.socks import Dialogue, Refused, Wanted

HELLO = b"\x05\x01\x00"


def request(kind: int, address: bytes, port: int, command: int = 1) -> bytes:
    return struct.pack(">BBBB", 5, command, 0, kind) + address + struct.pack(">H", port)


WANTS = {
    "ipv4": (HELLO + request(1, bytes([10, 0, 0, 5]), 5432), Wanted("10.0.0.5", 5432)),
    "ipv6": (HELLO + request(4, bytes(15) + b"\x01", 80), Wanted("::1", 80)),
    "name": (HELLO + request(3, b"\x0fdb1.example.net", 443), Wanted("db1.example.net", 443)),
    "version 4": (struct.pack(">BBH4s", 4, 1, 22, bytes([10, 0, 0, 5])) + b"me\0", Wanted("10.0.0.5", 22)),
    "version 4a": (struct.pack(">BBH4s", 4, 1, 22, b"\0\0\0\x07") + b"\0db1\0", Wanted("db1", 22)),
}


@pytest.mark.parametrize("name", WANTS)
def test_a_request_is_understood_however_it_is_cut(name: str) -> None:
    sent, wanted = WANTS[name]
    for size in range(1, len(sent) + 1):
        dialogue, said = Dialogue(), b""
        for start in range(0, len(sent), size):
            assert dialogue.wanted is None
            said += dialogue.feed(sent[start : start + size])
        assert dialogue.wanted == wanted
        assert dialogue.rest == b""
        assert said == (b"\x05\x00" if sent[0] == 5 else b"")


def test_what_a_client_sends_before_the_answer_is_kept_for_the_destination() -> None:
    dialogue = Dialogue()
    dialogue.feed(WANTS["ipv4"][0] + b"early")
    assert dialogue.rest == b"early"


def test_answers_are_those_of_the_clients_version() -> None:
    five, four = Dialogue(), Dialogue()
    five.feed(WANTS["ipv4"][0])
    four.feed(WANTS["version 4"][0])
    assert [five.reply(outcome)[:2] for outcome in ("ok", "denied", "refused", "host")] == [
        b"\x05\x00",
        b"\x05\x02",
        b"\x05\x05",
        b"\x05\x04",
    ]
    assert len(five.reply("ok")) == 10
    assert four.reply("ok") == b"\0\x5a" + bytes(6)
    assert four.reply("denied") == b"\0\x5b" + bytes(6)


REFUSED = {
    "no method that we have": (b"\x05\x01\x02", b"\x05\xff"),
    "no method at all": (b"\x05\x00", b"\x05\xff"),
    "BIND": (HELLO + request(1, bytes(4), 1, command=2), b"\x05\x07"),
    "UDP": (HELLO + request(1, bytes(4), 1, command=3), b"\x05\x07"),
    "an unknown kind of address": (HELLO + request(9, bytes(4), 1), b"\x05\x08"),
    "a name that is not ASCII": (HELLO + request(3, b"\x02\xc3\xa4", 1), b"\x05\x01"),
    "BIND of version 4": (struct.pack(">BBH4s", 4, 2, 22, bytes(4)) + b"\0", b"\0\x5b"),
    "HTTP": (b"GET / HTTP/1.0\r\n\r\n", b""),
    "a user name without an end": (struct.pack(">BBH4s", 4, 1, 22, b"\x0a\0\0\1") + b"x" * 2000, b""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_with_the_right_answer(name: str) -> None:
    sent, reply = REFUSED[name]
    with pytest.raises(Refused) as refused:
        Dialogue().feed(sent)
    assert refused.value.reply[:2] == reply


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_any_bytes_end_in_a_request_a_refusal_or_waiting(pieces: list[bytes]) -> None:
    dialogue = Dialogue()
    try:
        for piece in pieces:
            if dialogue.wanted is None:
                dialogue.feed(piece)
    except Refused:
        return
    assert dialogue.wanted is not None or len(dialogue.rest) <= 1024
