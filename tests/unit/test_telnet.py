"""Telnet byte by byte: options that end, escapes both ways, what asks for what; and whose word turns it on."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netssh_mcp.errors import AuthenticationFailed, InputError, SessionLost, Unreachable
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire import telnet
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.drivers import over_telnet
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.telnet import DO, DONT, ECHO, IAC, NAWS, SB, SE, SGA, TTYPE, WILL, WONT, Options, TelnetError
from netssh_mcp.wire.telnet_login import _Dialogue, enter

SECRET = "S3cr3t-telnet"
R1 = Device(
    "r1",
    "192.0.2.1",
    23,
    "cisco_ios",
    "netops",
    password=Secret.parse(f"plain:{SECRET}", allow_plain=True),
    transport="telnet",
)


def commands(*pairs: tuple[int, int]) -> bytes:
    return b"".join(bytes((IAC, verb, option)) for verb, option in pairs)


# -- options -------------------------------------------------------------------------------------------------------


def test_what_a_device_asks_for_is_agreed_on_or_refused_and_each_once() -> None:
    options = Options(80, 24)
    text, answer = options.feed(commands((WILL, ECHO), (WILL, SGA), (DO, SGA), (DO, TTYPE), (DO, 34), (WILL, 5)))
    assert text == b""
    assert answer == commands((DO, ECHO), (DO, SGA), (WILL, SGA), (WILL, TTYPE), (WONT, 34), (DONT, 5))
    assert options.feed(commands((WILL, ECHO), (DO, TTYPE), (DO, 34), (WILL, 5), (DONT, 99), (WONT, 99))) == (b"", b"")
    assert options.feed(commands((WONT, ECHO), (DONT, TTYPE)))[1] == commands((DONT, ECHO), (WONT, TTYPE))


def test_the_screens_size_goes_with_the_agreement_and_again_when_it_changes() -> None:
    options = Options(511, 24)
    assert options.size(80, 25) == b"", "nobody asked"
    told = bytes((IAC, WILL, NAWS, IAC, SB, NAWS, 0, 80, 0, 25, IAC, SE))
    assert options.feed(commands((DO, NAWS)))[1] == told
    assert options.size(255, 256) == bytes((IAC, SB, NAWS, 0, 255, 255, 1, 0, IAC, SE))


def test_the_terminals_name_is_told_only_when_agreed_on_and_asked_for() -> None:
    options = Options(80, 24)
    send = bytes((IAC, SB, TTYPE, 1, IAC, SE))
    assert options.feed(send) == (b"", b"")
    options.feed(commands((DO, TTYPE)))
    assert options.feed(send)[1] == bytes((IAC, SB, TTYPE, 0)) + b"vt100" + bytes((IAC, SE))


def test_a_flood_of_options_or_commands_or_an_option_without_end_is_an_end() -> None:
    for flood in (
        commands((WILL, ECHO), (WONT, ECHO)) * 1000,
        bytes((IAC, 241)) * 20_000,
        bytes((IAC, SB, TTYPE)) + b"x" * 5000,
        bytes((IAC, SB)) + bytes((IAC, IAC)) * 5000,
    ):
        with pytest.raises(TelnetError, match="without end") as caught:
            Options(80, 24).feed(b"before" + flood)
        assert caught.value.text == b"before"


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda data: (data.replace(b"\r", b"").replace(b"\0", b""), None)),
        st.just((b"\xff", bytes((IAC, IAC)))),
        st.just((b"\r", b"\r\0")),
        st.just((b"\r\n", b"\r\n")),
        st.sampled_from([commands((WILL, ECHO)), commands((DO, 39)), bytes((IAC, 241)), bytes((IAC, 249))]).map(
            lambda sent: (b"", sent)
        ),
        st.just((b"", bytes((IAC, SB, 39, IAC, IAC, 1, IAC, SE)))),
    ),
    max_size=30,
)


@given(PIECES, st.integers(1, 7))
def test_text_is_the_same_however_it_is_cut(pieces: list[tuple[bytes, bytes | None]], size: int) -> None:
    meant = b"".join(text for text, _ in pieces)
    sent = b"".join(telnet.escaped(text) if raw is None else raw for text, raw in pieces)
    options = Options(80, 24)
    came = b"".join(options.feed(sent[at : at + size])[0] for at in range(0, len(sent), size))
    assert came == meant


def test_every_line_end_is_the_enter_key_and_255_is_escaped() -> None:
    assert telnet.typed(b"show\n") == telnet.typed(b"show\r\n") == telnet.typed(b"show\r") == b"show\r\0"
    assert telnet.typed(b"a\xffb\x03") == b"a\xff\xffb\x03"


# -- the channel ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[Reader, socket.socket]]:
    ours, theirs = socket.socketpair()
    reader = Reader(telnet.TelnetChannel(ours, width=80, height=24), "r1")
    yield reader, theirs
    for each in (ours, theirs):
        each.close()


def read(reader: Reader, count: int) -> bytes:
    came = b""
    until = time.monotonic() + 10
    while len(came) < count and time.monotonic() < until:
        came += reader.take()
        reader.wait(0.05)
    return came


def test_bytes_255_in_an_output_are_text_and_what_is_asked_is_answered(ends: tuple[Reader, socket.socket]) -> None:
    reader, device = ends
    device.sendall(b"a\xff\xffb" + commands((WILL, ECHO), (DO, 39)) + b"c")
    assert read(reader, 4) == b"a\xffbc"
    assert device.recv(100) == commands((DO, ECHO), (WONT, 39))
    reader.write(b"x\n")
    assert device.recv(100) == b"x\r\0"


def test_more_than_anybody_reads_holds_the_device_up_and_nothing_is_lost(ends: tuple[Reader, socket.socket]) -> None:
    reader, device = ends
    device.setblocking(False)
    sent = full = 0
    while full < 20 and sent < 16 << 20:
        _, writable, _ = select.select([], [device], [], 0.02)
        full = 0 if writable else full + 1
        sent += device.send(b"x" * 65536) if writable else 0
    assert sent < 8 << 20
    assert len(read(reader, sent)) == sent


def test_how_a_link_ended_is_named(ends: tuple[Reader, socket.socket]) -> None:
    reader, device = ends
    device.sendall(b"last words")
    device.close()
    assert read(reader, 10) == b"last words"
    reader.wait(5)
    with pytest.raises(SessionLost, match="the device closed the session"):
        reader.take()
    assert not reader.alive()


# -- the login -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Username: ", "user"),
        ("login: ", "user"),
        ("router1 login: ", "user"),
        ("User Name:", "user"),
        ("Password: ", "password"),
        ("password:", "password"),
        ("netops's Password: ", "password"),
        ("r1>", "prompt"),
        ("<HUAWEI>", "prompt"),
        ("[admin@MikroTik] > ", "prompt"),
        ("", "enter"),
        ("Press RETURN to get started.", "enter"),
        ("Last login: ", ""),
        ("Last login: Mon Nov 16", ""),
        ("Enter new password: ", ""),
        ("One-time password: ", ""),
        ("Verification code: ", ""),
        ("Your password expires in 3 days", ""),
        ("Password required, but none set", ""),
        ("Change the password? [y/n]: ", ""),
        ("#", ""),
        ("Continue? [y/n] ", ""),
        ("[~HUAWEI]", "prompt"),
    ],
)
def test_a_line_is_known_for_what_it_asks(line: str, kind: str, ends: tuple[Reader, socket.socket]) -> None:
    dialogue = _Dialogue(R1, ends[0], SECRET, time.monotonic() + 5, lambda: False)
    assert dialogue._kind(line) == kind
    assert SECRET not in repr(dialogue)


@pytest.mark.parametrize(
    "says",
    [
        "Your password has expired.\r\nEnter new password: ",
        "Password: \r\nis what you never tell\r\n",
        "Verification code: ",
        "Accept the terms? [y/n] ",
    ],
)
def test_where_no_password_is_asked_for_nothing_of_it_is_typed(
    says: str, ends: tuple[Reader, socket.socket], breaker: Breaker
) -> None:
    reader, device = ends
    device.sendall(says.encode())
    with pytest.raises(Unreachable, match="no prompt came in time"):
        enter(R1, reader, breaker, deadline=time.monotonic() + 0.6, given_up=lambda: False)
    device.setblocking(False)
    with pytest.raises(BlockingIOError):
        device.recv(100)


def test_a_link_that_ends_behind_the_password_is_a_refusal_and_counts(
    ends: tuple[Reader, socket.socket], breaker: Breaker
) -> None:
    reader, device = ends
    device.sendall(b"Password: ")

    def gone() -> bool:
        device.setblocking(False)
        try:
            if device.recv(100).endswith(b"\r\0"):
                device.close()
        except OSError:
            pass
        return False

    with pytest.raises(AuthenticationFailed, match="refused and closed the connection"):
        enter(R1, reader, breaker, deadline=time.monotonic() + 10, given_up=gone)
    with pytest.raises(AuthenticationFailed, match="not tried again"):
        enter(R1, reader, breaker, deadline=time.monotonic() + 10, given_up=gone)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker()


def test_netmikos_telnet_driver_is_taken_where_there_is_one() -> None:
    assert over_telnet("cisco_ios") == "cisco_ios_telnet"
    assert over_telnet("fortinet") == "fortinet"


# -- whose word it is ----------------------------------------------------------------------------------------------

PLATFORMS = {"cisco_ios": "cisco_ios", "linux": "linux"}
MINE = """
    unlisted: {groups: [old], secrets: ["env:*"]}
    defaults: {username: netops, platform: cisco_ios, password: env:OLD}
    groups:
      old: {transport: telnet}
      new: {transport: ssh, groups: [old]}
    hosts:
      a: {groups: [old]}
      b: {groups: [old], transport: ssh}
      c: {groups: [new]}
      d: {transport: telnet, port: 2323}
      e: {}
"""


def load(folder: Path, text: str, overlay: str = "", *, ad_hoc: bool = False) -> Inventory:
    paths = [folder / "inventory.yaml", folder / "added.yaml"]
    for path, content in zip(paths, (text, overlay), strict=True):
        path.write_text(dedent(content))
        path.chmod(0o600)
    return InventorySource(paths[:1], PLATFORMS, overlay=paths[1] if overlay else None, ad_hoc=ad_hoc).current()


def test_it_is_off_unless_a_host_or_group_of_the_operator_says_so(tmp_path: Path) -> None:
    devices = load(tmp_path, MINE).devices
    assert [(name, each.transport, each.port) for name, each in devices.items()] == [
        ("a", "telnet", 23),
        ("b", "ssh", 22),
        ("c", "ssh", 22),
        ("d", "telnet", 2323),
        ("e", "ssh", 22),
    ]
    assert [name for name, each in devices.items() if each.warnings] == ["a", "d"]


def test_no_added_host_and_no_unlisted_target_gets_it_by_an_open_group_either(tmp_path: Path) -> None:
    inventory = load(tmp_path, MINE, "hosts: {x: {hostname: 203.0.113.66, groups: [old]}}", ad_hoc=True)
    assert (inventory.devices["x"].transport, inventory.devices["x"].port) == ("ssh", 22)
    assert inventory.device("cisco_ios/netops@203.0.113.67").transport == "ssh"


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ("a: {transport: telnet, platform: linux}", "hosts.a.transport: telnet is for network devices"),
        ("a: {transport: telnet}\n  b: {jump: a}", "hosts.b.jump: a is reached by telnet and is no jump host"),
        ("a: {transport: telent}", "hosts.a.transport: must be 'ssh' or 'telnet'"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_line(hosts: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, f"defaults: {{username: netops, platform: cisco_ios}}\nhosts:\n  {hosts}\n")
    assert said in str(caught.value)
