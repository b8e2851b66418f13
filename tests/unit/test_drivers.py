"""Netmiko's classes on our reads: what is replaced is still there, and nothing is waited for that came already."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from functools import partial

import pytest
from netmiko import ssh_dispatcher
from netmiko.base_connection import BaseConnection
from netmiko.channel import Channel
from netmiko.cisco.cisco_asa_ssh import CiscoAsaSSH
from netmiko.exceptions import ReadTimeout

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.wire import drivers
from netssh_mcp.wire.drivers import EventReads, ReaderChannel
from tests.unit.wires import Clock, FakeChannel, clock, silent, still_reader

__all__ = ["clock"]

PROFILES = Profiles.load(None)
OURS = {"attach", "unread", "detach", "_until", "_settle", "_heard"}
PASSED_ON = {"set_terminal_width", "disable_paging"}  # whatever parameters the vendor's class has


def parameters(function: Callable[..., object]) -> list[tuple[str, object]]:
    return [(name, value.default) for name, value in inspect.signature(function).parameters.items()]


REPLACED = [
    name for name, value in vars(EventReads).items() if inspect.isfunction(value) and name not in OURS | PASSED_ON
]


@pytest.mark.parametrize("name", REPLACED)
def test_every_replaced_method_is_netmikos_with_the_same_parameters(name: str) -> None:
    owner = CiscoAsaSSH if name == "asa_login" else BaseConnection
    assert parameters(getattr(EventReads, name)) == parameters(getattr(owner, name))


@pytest.mark.parametrize("name", ["read_buffer", "read_channel", "write_channel"])
def test_every_method_of_the_channel_is_netmikos(name: str) -> None:
    assert parameters(getattr(ReaderChannel, name)) == parameters(getattr(Channel, name))


def test_every_other_name_that_is_used_exists() -> None:
    connection = drivers.driver("cisco_ios", username="u", password="")
    names = ["_read_buffer", "_secrets_filter", "disable_lf_normalization", "ansi_escape_codes", "normalize_linefeeds"]
    for name in [*names, "strip_ansi_escape_codes", "session_preparation", "special_login_handler", "exit_config_mode"]:
        assert hasattr(connection, name), name
    assert connection.allow_auto_change is False
    connection.detach()


def test_no_driver_of_netmiko_reads_below_what_is_replaced() -> None:
    """`remote_conn` read by a vendor's class would go past our reader."""
    for device_type in ("cisco_ios", "cisco_nxos", "cisco_xr", "cisco_asa", "arista_eos", "juniper_junos"):
        assert "remote_conn.recv" not in inspect.getsource(inspect.getmodule(ssh_dispatcher(device_type)))  # type: ignore[arg-type]


def test_a_detached_driver_leaves_no_log_filter_with_a_password_behind() -> None:
    before = list(logging.getLogger("netmiko").filters)
    connection = drivers.driver("cisco_ios", username="u", password="hunter2")
    connection.detach()
    assert logging.getLogger("netmiko").filters == before


def attached(device_type: str, answers: Callable[[str], str], clock: Clock) -> tuple[EventReads, FakeChannel]:
    channel = FakeChannel(answers)
    connection = drivers.driver(device_type, username="admin", password="")
    connection.attach(still_reader(channel, clock), PROFILES.get(device_type), clock.now + 60)
    return connection, channel


@pytest.mark.parametrize(
    ("device_type", "plain", "config"),
    [
        ("huawei_vrp", "<r1>", "[~r1]"),
        ("paloalto_panos", "admin@r1> ", "[edit]\r\nadmin@r1# "),
        ("vyos", "admin@r1:~$ ", "[edit]\r\nadmin@r1# "),
        ("cisco_ios", "r1#", "r1(config)#"),
        ("arista_eos", "r1#", "r1(config-s-x)#"),
        ("cisco_nxos", "r1# ", "r1(config)# "),
        ("cisco_xr", "RP/0/RP0/CPU0:r1#", "RP/0/RP0/CPU0:r1(config)#"),
    ],
)
def test_a_mode_check_is_one_read_and_not_seconds_of_silence(
    device_type: str, plain: str, config: str, clock: Clock
) -> None:
    """Netmiko reads 4.4 s by timing for the first three, each way."""
    for prompt, in_config in ((plain, False), (config, True)):
        connection, channel = attached(device_type, partial("{1}\r\n{0}".format, prompt), clock)
        assert connection.check_config_mode() is in_config
        assert len(channel.written) == 1
        assert clock.waited < 0.2
        connection.detach()


def test_a_read_up_to_a_pattern_keeps_what_follows_it_and_waits_for_nothing_that_came(clock: Clock) -> None:
    connection, channel = attached("cisco_ios", silent, clock)
    channel.in_buffer.feed(b"one two three")
    assert connection.read_until_pattern("two") == "one two"
    assert connection.read_until_pattern("three") == " three"
    assert clock.waits == []
    connection.detach()


@pytest.mark.parametrize("noise", [b"s\bsh\b how", b"\x1b[Ksh\x1b[1Ch\b \bow", b"sho\x1b[0mw"])
def test_an_echo_that_the_line_editor_redraws_is_still_found(noise: bytes, clock: Clock) -> None:
    connection, channel = attached("cisco_ios", silent, clock)
    channel.late = [bytes([byte]) for byte in noise + b"\r\nr1#"]
    text = connection.read_until_pattern("r1#")
    assert text.endswith("r1#")
    connection.detach()


def test_a_character_and_a_line_end_that_come_in_halves_stay_whole(clock: Clock) -> None:
    connection, channel = attached("cisco_ios", silent, clock)
    channel.late = [bytes([byte]) for byte in "caf\u00e9\r\n\u6f22\r\nr1#".encode()]
    assert connection.read_until_pattern("r1#") == "caf\u00e9\n\u6f22\nr1#"
    connection.detach()


def test_a_pattern_that_never_comes_is_a_timeout_within_the_logins_own_deadline(clock: Clock) -> None:
    connection, _ = attached("cisco_ios", silent, clock)
    connection.deadline = clock.now + 3
    with pytest.raises(ReadTimeout):
        connection.read_until_pattern("nothing", read_timeout=100)
    assert clock.waited == pytest.approx(3)
    connection.detach()


def test_a_prompt_found_is_kept_as_proven_until_something_is_written(clock: Clock) -> None:
    connection, channel = attached("cisco_ios", lambda line: f"{line}\r\nr1#", clock)
    connection.unread("Welcome\nr1#")
    assert connection.find_prompt() == "r1#"
    assert connection.proven is not None
    assert connection.proven_at == connection.reader.writes == len(channel.written) == 1
    connection.write_channel("terminal length 0\n")
    assert connection.proven_at != connection.reader.writes
    connection.detach()


def test_preparing_a_session_never_sleeps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def slept(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(time, "sleep", slept)
    connection, _ = attached("cisco_ios", lambda line: f"{line}\r\nr1#", clock)
    connection.unread("r1#")
    connection.session_preparation()
    assert clock.waits == []
    connection.detach()


@pytest.mark.parametrize(("device_type", "asks"), [("cisco_ios", False), ("juniper_junos", False), ("cisco_wlc", True)])
def test_only_a_driver_with_a_dialogue_of_its_own_gets_the_password(device_type: str, asks: bool) -> None:
    assert drivers.needs_password(device_type) is asks
