"""What `wire.userauth` takes from Paramiko is still there, as it was when the two waits were mended."""

from __future__ import annotations

import inspect
import socket
import textwrap
import threading
import time

import paramiko
import pytest
from paramiko.auth_handler import AuthHandler, AuthOnlyHandler
from paramiko.packet import Packetizer

from netssh_mcp.wire.userauth import Transport, _Handler, _Packetizer


def names(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_methods_that_are_replaced_have_the_same_parameters() -> None:
    assert names(_Handler.send_auth_request) == names(AuthOnlyHandler.send_auth_request)
    assert names(Transport.ensure_session) == names(paramiko.ServiceRequestingTransport.ensure_session)  # type: ignore[attr-defined]
    assert names(Transport.get_auth_handler) == names(paramiko.ServiceRequestingTransport.get_auth_handler)  # type: ignore[attr-defined]
    assert names(_Packetizer.read_all) == names(Packetizer.read_all)


def test_the_private_names_that_are_used_exist() -> None:
    service_accepted = paramiko.ServiceRequestingTransport._parse_service_accept  # type: ignore[attr-defined]
    assert names(service_accepted) == ["self", "m"]
    assert names(AuthHandler.wait_for_response) == ["self", "event"]
    assert names(paramiko.Transport._send_message) == ["self", "data"]  # type: ignore[attr-defined]
    assert "packetizer_class" in names(paramiko.Transport.__init__)


def test_every_attribute_of_paramiko_that_ours_reads_is_set_by_its_constructor() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = Transport(ours)
        assert isinstance(transport.packetizer, _Packetizer)
        for name in ("active", "auth_handler", "auth_timeout", "initial_kex_done", "lock", "saved_exception"):
            assert hasattr(transport, name), name
        assert isinstance(transport.get_auth_handler(), _Handler)
        transport.packetizer.close()


def test_paramikos_own_request_is_the_one_that_was_mended() -> None:
    """A change there is to be read: it may mend the waits, or need ours to change."""
    source = "".join(
        line
        for line in textwrap.dedent(inspect.getsource(AuthOnlyHandler.send_auth_request)).splitlines()
        if not line.strip().startswith("#")
    )
    sent, made = source.index("_send_message(m)"), source.index("self.auth_event = threading.Event()")
    assert sent < made, "Paramiko now makes the event first: _Handler may go"


@pytest.mark.parametrize("size", [-1, 300 * 1024, 0xFF006761])
def test_a_packet_length_that_no_peer_sends_is_an_error_and_not_a_wait(size: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(paramiko.SSHException, match="a packet of"):
        _Packetizer(ours).read_all(size)


def test_an_ordinary_read_still_gives_all_its_bytes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=theirs.sendall, args=(b"x" * 100_000,)).start()
        assert _Packetizer(ours).read_all(100_000) == b"x" * 100_000


def test_a_number_of_a_key_exchange_that_is_cut_costs_no_time_and_a_whole_one_is_what_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cut = (0xFFFFF).to_bytes(4, "big") + b"\x7f" * 8  # Paramiko pads it to a megabyte, and reads that in 45 s
        for numbers in (cut, bytes.fromhex("00000002fffe") + bytes.fromhex("000000030080ff")):
            payload = b"\x1f" + numbers
            padding = 8 - (5 + len(payload)) % 8 + 8
            theirs.sendall(
                (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
            )
        reading = _Packetizer(ours)
        kind, message = reading.read_message()
        spent = time.thread_time()
        assert kind == 31
        assert message.get_mpint().bit_length() == 8 * 0xFFFFF - 1
        assert time.thread_time() - spent < 5  # of this thread's own, however busy the machine is
        message = reading.read_message()[1]
        assert (message.get_mpint(), message.get_mpint()) == (-2, 0x80FF)


def test_a_connection_that_is_closed_before_its_keys_are_exchanged_leaves_no_timer_that_holds_up_our_end() -> None:
    before = set(threading.enumerate())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reading = _Packetizer(ours)
        reading.start_handshake(600)
        (timer,) = set(threading.enumerate()) - before
        reading.close()
        timer.join(5)
        assert not timer.is_alive()


def test_a_line_without_an_end_before_the_protocol_is_an_error_and_is_not_read_until_the_timeout() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Thread(target=theirs.sendall, args=(b"A" * 70_000,)).start()
        with pytest.raises(paramiko.SSHException, match="without an end"):
            _Packetizer(ours).readline(5)
