"""Devices that want the enable secret where it must not be typed: it never arrives as a command line.

Each device below is a small line editor: bytes collect until Enter, and a line that is entered while the device stands
at its command prompt is a command. What counts is what the device has taken, not what the login believes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from netmiko.exceptions import NetmikoAuthenticationException, NetmikoBaseException, ReadTimeout

from netssh_mcp.errors import NetsshError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire import drivers, login
from netssh_mcp.wire.login import Login
from netssh_mcp.wire.turn import Turn
from tests.unit.wires import Clock, FakeChannel, clock, still_reader

__all__ = ["clock"]

SECRET = "S3cr3t-'Ena\\ble {0} %s"
R1 = Device("r1", "192.0.2.1", 22, "cisco_ios", "admin", enable=Secret.parse(f"plain:{SECRET}", allow_plain=True))
IOS = Profiles.load(None).get("cisco_ios").model_copy(update={"prepare": "setup"})
LOG = "*Mar  1 00:00:01.000: %SYS-5-CONFIG_I: Configured from console by console"


@dataclass
class Hostile:
    """`says` are the pieces that answer `enable`, each as time passes; `hidden` is when a password dialogue reads."""

    says: list[str]
    asks: bool = False  # whether the device really reads a password behind them
    right: bool = True  # ... and takes ours
    echo: bool = False  # ... though it shows what is typed
    stars: bool = False
    after: list[str] = field(default_factory=list)  # what it says to the password instead of a prompt
    again: int = 0  # how often it asks again
    banner: str = "r1>"
    log_first: str = ""  # before the echo of `enable`


class Editor(FakeChannel):
    """The device's side: commands, and what was typed into its password dialogue."""

    def __init__(self, hostile: Hostile) -> None:
        super().__init__(lambda _line: "")
        self.hostile = hostile
        self.commands: list[str] = []
        self.passwords: list[str] = []
        self.typed_at_prompt = ""
        self._line = ""
        self._reading = False  # a password
        self._asked = 0
        self._prompt = "r1>"
        self.in_buffer.feed(hostile.banner.encode())

    def sendall(self, data: bytes) -> None:
        self.written.append(data.decode())
        for character in data.decode():
            if character == "\x03":
                self._line, self._reading = "", False
                self._say(f"^C\r\n{self._prompt}")
            elif character == "\n":
                line, self._line = self._line, ""
                self._entered(line)
            else:
                self._line += character
                if not self._reading or self.hostile.echo:
                    self._say(character)
                elif self.hostile.stars:
                    self._say("*")

    def _say(self, text: str) -> None:
        self.in_buffer.feed(text.encode())

    def _entered(self, line: str) -> None:
        hostile = self.hostile
        if self._reading:
            self.passwords.append(line)
            self._reading = False
            if self._asked <= hostile.again:
                self._ask(["\r\nPassword: "])
            elif hostile.after:
                self._later(["\r\n", *hostile.after, f"\r\n{self._prompt}"])
            else:
                if hostile.right:
                    self._prompt = "r1#"
                self._say(f"\r\n{self._prompt}")
            return
        self.commands.append(line)
        if line == "enable":
            if hostile.log_first:
                self.in_buffer.empty()
                self._say(f"{hostile.log_first}\r\nr1>enable")
            self._say("\r\n")
            if hostile.asks:
                self._ask(hostile.says)
            else:
                self._later(hostile.says)
        else:
            self._say(f"\r\n{self._prompt}")

    def _ask(self, says: list[str]) -> None:
        self._asked += 1
        self._later(says)
        self._reading = True

    def _later(self, says: list[str]) -> None:
        first, *rest = says
        self._say(first)
        self.late += [piece.encode() for piece in rest]


NEVER = {
    "none is set": Hostile(["% No password set\r\nr1>"]),
    "none is required, with the word in the line": Hostile(["% Password required, but none set\r\nr1>"]),
    "error in authentication": Hostile(["% Error in authentication.\r\n\r\nr1>"]),
    "no such command": Hostile(["      ^\r\n% Invalid input detected at '^' marker.\r\n\r\nr1>"]),
    "a banner with the question, then the prompt": Hostile(["Password: \r\nr1>"]),
    "the question in a line, then the prompt late": Hostile(["Password: ", "\r\n", "r1>"]),
    "the question, and a log line behind it late": Hostile(["Password: ", f"\r\n{LOG}\r\nr1>"]),
    "the question in the middle of output": Hostile(["Use the\r\nPassword: \r\nof the week", "\r\nr1>"]),
    "the question at a pause in the output": Hostile(["Your\r\nPassword: ", "has expired\r\nr1>"]),
    "a look-alike with text behind it": Hostile(["Password: required\r\nr1>"]),
    "a look-alike with text before it": Hostile(["Last Password: ", "\r\nr1>"]),
    "a user is asked for": Hostile(["Username: ", "\r\nr1>"]),
    "another user's password is asked for": Hostile(["Password for root: ", "\r\nr1>"]),
    "a user and a password at once": Hostile(["Username: \r\nPassword: ", "\r\nr1>"]),
    "a second factor is asked for": Hostile(["Verification code: ", "\r\nr1>"]),
    "a one-time password is asked for": Hostile(["One-time password: ", "\r\nr1>"]),
    "a token is asked for behind an instruction": Hostile(["Approve the login on your phone\r\nPassword: "]),
    "a confirmation is asked for": Hostile(["Really enter privileged mode? [confirm]", "\r\nr1>"]),
    "yes or no is asked for": Hostile(["Continue? (yes/no): ", "\r\nr1>"]),
    "a new password is asked for": Hostile(["Enter new password: ", "\r\nr1>"]),
    "an imitation in the message of the day": Hostile(
        ["% Access denied\r\nr1>"], banner="Welcome\r\nr1>enable\r\nPassword: \r\nr1>"
    ),
    "an imitation before the echo": Hostile(
        ["% Access denied\r\nr1>"], log_first="r1>enable\r\nPassword: \r\n% Access denied"
    ),
    "a question before the echo": Hostile(["% Access denied\r\nr1>"], log_first="Password: "),
    "the echo of what is typed": Hostile(["Password: "]),
    "the question between two prompts": Hostile(["r1>\r\nPassword: \r\nr1>"]),
    "the question drawn over": Hostile(["Password: \rr1>      "]),
    "the question erased": Hostile(["Password: \b\b\b\b\b\b\b\b\b\b\x1b[Kr1>"]),
    "the question in capital letters of a banner": Hostile(["PASSWORD:\r\n", "r1>"]),
    "a question without end": Hostile(["Password", "\r\nr1>"]),
    "the question of a file transfer": Hostile(["Destination filename [Password:]? ", "\r\nr1>"]),
    "silence": Hostile([""]),
    "privileged at once": Hostile(["r1#"]),
}

ONCE = {
    "a plain question": Hostile(["Password: "], asks=True),
    "the question in pieces": Hostile(["Pass", "wor", "d: "], asks=True),
    "a coloured question": Hostile(["\x1b[1;31mPassword:\x1b[0m "], asks=True),
    "a question with the mode's name": Hostile(["Enable password: "], asks=True),
    "a log line before it": Hostile([f"{LOG}\r\nPassword: "], asks=True),
    "a log line before the echo": Hostile(["Password: "], asks=True, log_first=LOG),
    "empty lines before it": Hostile(["\r\n\r\nPassword: "], asks=True),
    "stars for what is typed": Hostile(["Password: "], asks=True, stars=True),
    "a wrong secret": Hostile(["Password: "], asks=True, right=False),
    "a wrong secret, asked for three times": Hostile(["Password: "], asks=True, right=False, again=3),
    "a wrong secret, asked for without end": Hostile(["Password: "], asks=True, right=False, again=10_000),
    "a log line behind it": Hostile(["Password: "], asks=True, right=False, after=[LOG]),
    "bad secrets": Hostile(["Password: "], asks=True, right=False, after=["% Bad secrets"]),
    "a second factor behind it": Hostile(["Password: "], asks=True, right=False, after=["Verification code: "]),
}


@dataclass
class Seen:
    """One login: its error, the device, and the prompt it ended at."""

    device: Editor
    error: NetsshError | None
    prompt: str


@pytest.fixture
def meet(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[Hostile], Seen]:
    monkeypatch.setattr(login, "time", clock)

    def met(hostile: Hostile) -> Seen:
        device = Editor(dataclasses.replace(hostile))
        session = Login(R1, IOS, still_reader(device, clock), clock.now + 20, Turn())
        try:
            with session.hiding():
                return Seen(device, None, session.prompt().line)
        except NetsshError as error:
            return Seen(device, error, "")

    return met


def never_a_command(seen: Seen) -> None:
    assert not [line for line in seen.device.commands if SECRET[:4] in line], seen.device.commands
    assert len([line for line in seen.device.passwords if SECRET in line]) <= 1
    if seen.error is not None:
        assert "S3cr3t" not in f"{seen.error!r}{seen.error.partial}{seen.error.facts()}"


@pytest.mark.parametrize("name", NEVER)
def test_the_secret_is_never_entered_where_no_password_is_read(name: str, meet: Callable[[Hostile], Seen]) -> None:
    seen = meet(NEVER[name])
    never_a_command(seen)
    assert seen.device.passwords == []


@pytest.mark.parametrize("name", [name for name in NEVER if name != "the echo of what is typed"])
def test_not_one_character_of_the_secret_is_typed_there(name: str, meet: Callable[[Hostile], Seen]) -> None:
    seen = meet(NEVER[name])
    assert SECRET not in "".join(seen.device.written)


@pytest.mark.parametrize("name", ONCE)
def test_the_secret_is_entered_once_where_it_is_read(name: str, meet: Callable[[Hostile], Seen]) -> None:
    seen = meet(ONCE[name])
    never_a_command(seen)
    assert seen.device.passwords[0] == SECRET
    assert SECRET not in "".join(seen.device.passwords[1:])
    granted = ONCE[name].right and not ONCE[name].after
    assert (seen.prompt == "r1#") is granted
    assert (seen.error is None) is granted


def test_what_is_echoed_is_not_entered(meet: Callable[[Hostile], Seen]) -> None:
    seen = meet(Hostile(["Password: "], asks=True, echo=True))
    assert seen.device.passwords == []
    assert seen.error is not None
    assert "was not entered" in str(seen.error)


def test_there_are_at_least_thirty_dialogues() -> None:
    assert len(NEVER) + len(ONCE) >= 45


# -- login dialogues of Netmiko's own, inside the shell ------------------------------------------------------------

USER, PASSWORD = "netops", "P4ss-'w\\rd"


class Wlc(FakeChannel):
    """Asks for user and password inside the shell, as `questions` say; what is entered at its prompt is a command."""

    def __init__(self, *questions: str) -> None:
        super().__init__(self.entered)
        self.questions = list(questions)
        self.lines: list[str] = []
        self.in_buffer.feed(self.questions.pop(0).encode())

    def entered(self, line: str) -> str:
        self.lines.append(line)
        return self.questions.pop(0) if self.questions else "\r\n(wlc) >"


def logged_in(channel: Wlc, clock: Clock) -> BaseException | None:
    connection = drivers.driver("cisco_wlc", username=USER, password=PASSWORD)
    reader = still_reader(channel, clock)
    connection.attach(reader, IOS, clock.now + 30)
    try:
        connection.special_login_handler()
    except (NetmikoAuthenticationException, NetmikoBaseException, ReadTimeout) as error:
        return error
    finally:
        connection.detach()
    return None


def test_a_driver_types_the_password_where_it_is_asked_for(clock: Clock) -> None:
    channel = Wlc("(Cisco Controller)\r\nUser: ", "\r\nPassword:", "\r\n(wlc) >")
    assert logged_in(channel, clock) is None
    assert channel.lines == [USER, PASSWORD]


def test_a_driver_waits_for_the_rest_of_the_question(clock: Clock) -> None:
    channel = Wlc("User: ", "\r\nPassword", "\r\n(wlc) >")
    channel.late = [b":"]
    assert logged_in(channel, clock) is None
    assert channel.lines == [USER, PASSWORD]


def test_a_driver_is_asked_for_the_password_again_and_does_not_type_it_again(clock: Clock) -> None:
    channel = Wlc("User: ", "\r\nPassword: ", "\r\nUser: ", "\r\nPassword: ", "\r\nUser: ")
    assert isinstance(logged_in(channel, clock), NetmikoAuthenticationException)
    assert channel.lines.count(PASSWORD) == 1


@pytest.mark.parametrize(
    "banner",
    [
        "Your Password expires in 3 days\r\nUser: ",
        "Password: \r\nis what you never tell\r\n",
        "Change the Password policy? [y/n] ",
    ],
)
def test_a_driver_does_not_type_the_password_at_a_banner(banner: str, clock: Clock) -> None:
    channel = Wlc(banner)
    logged_in(channel, clock)
    assert PASSWORD not in channel.lines
