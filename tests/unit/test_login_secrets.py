"""What a device echoes of the enable secret does not come back in what the login says."""

from __future__ import annotations

import traceback

import pytest

from netssh_mcp.errors import NetsshError, PromptNotFound
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire import login
from netssh_mcp.wire.login import Login
from netssh_mcp.wire.turn import Turn
from tests.unit.wires import Clock, FakeChannel, clock, still_reader

__all__ = ["clock"]

SECRET = "S3cr3t-'Ena\\ble"
R1 = Device("r1", "192.0.2.1", 22, "cisco_ios", "admin", enable=Secret.parse(f"plain:{SECRET}", allow_plain=True))
IOS = Profiles.load(None).get("cisco_ios").model_copy(update={"prepare": "setup"})


def made(answer: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> tuple[Login, FakeChannel]:
    """A login on a device that asks for the secret, answers `answer` to it, and then nothing else."""
    monkeypatch.setattr(login, "time", clock)
    asked = False

    def answers(line: str) -> str:
        nonlocal asked
        if line == "enable":
            asked = True
            return "enable\r\nPassword: "
        if line == SECRET:
            return answer
        return "" if asked else f"{line}\r\nr1>"

    channel = FakeChannel(answers)
    channel.in_buffer.feed(b"r1>")
    return Login(R1, IOS, still_reader(channel, clock), clock.now + 20, Turn()), channel


@pytest.mark.parametrize(
    "answer",
    [
        SECRET,
        f"{SECRET}\r\n% Checking, please wait",
        f"{SECRET}>",  # like a prompt, so that it would be what a nonce is expected behind
        f"\r\n{SECRET}{'.' * 75}",  # an error's quotation would cut it in the middle
        f"\r\n{SECRET}\r\nPassword: ",
    ],
)
def test_an_echoed_enable_secret_is_in_no_error(answer: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    session, channel = made(answer, clock, monkeypatch)
    with pytest.raises(PromptNotFound) as caught, session.hiding():
        session.prompt()
    error = caught.value
    shown = "".join(traceback.format_exception(error)).replace(__file__, "")
    for text in (shown, f"{error!r} {error} {error.partial} {error.facts()}", repr(session.events)):
        for part in (SECRET, repr(SECRET)[1:-1], "ble.", "3cr3t"):
            assert part not in text
    assert "".join(channel.written).count(SECRET) == 1


def test_an_echoed_enable_secret_is_in_no_event_and_no_later_error_of_the_login(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = made("", clock, monkeypatch)
    with pytest.raises(NetsshError), session.hiding():
        session.prompt()
    session.events.append(f"unasked: {SECRET}")
    with pytest.raises(NetsshError) as caught, session.hiding():
        raise NetsshError(f"it said {SECRET!r}", line=SECRET, partial=f"a {SECRET} b")
    assert session.events == ["unasked: [hidden]"]
    assert (caught.value.line, caught.value.partial) == ("[hidden]", "a [hidden] b")
    assert "3cr3t" not in f"{caught.value!r}{caught.value.facts()}"
    with pytest.raises(ValueError, match=r"^no prompt in \[hidden\]$"), session.hiding():
        raise ValueError(f"no prompt in {SECRET}")
