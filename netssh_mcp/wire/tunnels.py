"""TCP channels on a shared connection without a thread that waits for each: who owns one is told, and looks.

Paramiko's own `open_channel` blocks a thread until the far end has connected, which may be two minutes, gives the error
of one opening to another that fails at the same time, and has one handler for all listeners over there. The private
names used here are Paramiko 5.1's; tests/lab/test_forward_real.py holds them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN, cMSG_GLOBAL_REQUEST

from netssh_mcp.errors import ForwardingRefused, SessionLost, Unreachable
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.socks import Outcome
from netssh_mcp.wire.turn import Turn, not_sent
from netssh_mcp.wire.userauth import Transport

WINDOW: Final = 1 << 20  # bytes that the far end may send ahead of us: what a client that reads slowly can cost
_ANSWER: Final = 10.0  # seconds for the far end to answer a request to listen there
_LOOK: Final = 0.05

Tell = Callable[[], None]  # quick, from any thread, with Paramiko's locks held
ENDED: Final = (OSError, EOFError, paramiko.SSHException)  # what Paramiko raises where a channel or connection ended


class _Told:
    """An event that tells instead of being waited for: Paramiko's pipes and openings take it as one."""

    def __init__(self, tell: Tell) -> None:
        self.set = tell

    def clear(self) -> None:
        """The pipe is empty; whoever was told will find it so."""


class _Window(threading.Condition):
    """A channel's condition for its send window, whose opening is told."""

    def __init__(self, lock: threading.Lock, tell: Tell) -> None:
        super().__init__(lock)
        self._tell = tell

    def notify_all(self) -> None:
        """Tell, besides; the channel calls it when its window opens and when it ends."""
        super().notify_all()
        self._tell()


def attend(channel: paramiko.Channel, transport: paramiko.Transport, tell: Tell) -> None:
    """From now on `tell` is called when the channel has data, an end, or room to send. It never waits for room."""
    channel.settimeout(0.0)
    channel.transport = Orderly(transport)  # type: ignore[assignment]  # all that a channel needs of it
    channel.out_buffer_cv = _Window(channel.lock, tell)
    channel.in_buffer.set_event(cast("threading.Event", _Told(tell)))


def drop(channel: paramiko.Channel) -> None:
    """Close it; an end that it has already is none to speak of."""
    with contextlib.suppress(*ENDED):
        channel.close()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the far end opened no channel: in our words, for they stand in tables, and as SOCKS has it."""

    text: str
    outcome: Outcome


class Opening:
    """A direct-tcpip channel that is asked for. `tell` is called when `channel` is open, or `reason` says why not."""

    def __init__(self, transport: Transport, to: tuple[str, int], origin: tuple[str, int], tell: Tell) -> None:
        """Raises one of ENDED when the connection has ended."""
        self.done = False
        self.reason: Reason | None = None
        self._transport = transport
        self._tell = tell
        self._left = False
        self._lock = threading.Lock()
        self.channel = self._asked(to, origin)

    def _asked(self, to: tuple[str, int], origin: tuple[str, int]) -> paramiko.Channel:
        transport = self._transport
        message = paramiko.Message()
        with transport.lock:
            if not transport.is_active():
                raise EOFError("the connection has ended")
            number = transport._next_channel()  # noqa: SLF001
            channel = paramiko.Channel(number)
            packet = transport.default_max_packet_size
            transport._channels.put(number, channel)  # noqa: SLF001
            transport.channel_events[number] = self  # the map of channels is weak: this keeps ours until it is answered
            transport.channels_seen[number] = True
            channel._set_transport(transport)  # type: ignore[attr-defined]  # noqa: SLF001
            channel._set_window(WINDOW, packet)  # type: ignore[attr-defined]  # noqa: SLF001
        self.channel = channel
        attend(channel, transport, self._tell)
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("direct-tcpip")
        for size in (number, WINDOW, packet):
            message.add_int(size)
        for host, port in (to, origin):
            message.add_string(host)
            message.add_int(port)
        transport._send_user_message(message)  # noqa: SLF001
        return channel

    def set(self) -> None:
        """Paramiko calls it with the answer, in its own thread and with its lock held."""
        error = self._transport.saved_exception
        if not self.channel.active:
            if isinstance(error, paramiko.ChannelException):
                # Ours alone, and not the end of the connection, for which others would take it.
                self._transport.saved_exception = None
                self.reason = _reason(error.code, self._transport.said)
            else:
                self.reason = Reason("the connection to the host was lost", "failed")
        with self._lock:
            self.done = True
            left = self._left
        if left and self.channel.active:
            threading.Thread(target=drop, args=(self.channel,), name="netssh-tunnel-end", daemon=True).start()
        self._tell()

    def leave(self) -> None:
        """Nobody wants it any more; should it come, it is closed."""
        with self._lock:
            self._left = True
            done = self.done
        if done:
            drop(self.channel)


_CODES: Final = {  # RFC 4254, 5.1
    1: Reason(
        "the host's sshd does not allow this forward (AllowTcpForwarding, PermitOpen, DisableForwarding)", "denied"
    ),
    2: Reason("the host could not connect there", "host"),
    3: Reason("the host forwards nothing", "denied"),
    4: Reason("the host has no room for a further channel", "failed"),
}
_SAID: Final = (  # strerror and gai_strerror of the far end
    ("refused", Reason("connection refused there", "refused")),
    ("timed out", Reason("no answer there in time", "timeout")),
    ("no route", Reason("no route to it there", "host")),
    ("unreachable", Reason("its network is unreachable there", "network")),
    ("name", Reason("the name does not resolve there", "host")),
    ("nodename", Reason("the name does not resolve there", "host")),
)


def _reason(code: int, said: str) -> Reason:
    if code == 2:
        words = said.lower()
        return next((reason for part, reason in _SAID if part in words), _CODES[2])
    return _CODES.get(code, Reason("the host opened no channel", "failed"))


# -- listening at the far end --------------------------------------------------------------------------------------


def far_ports(transport: Transport, device: str) -> FarPorts:
    """Those of this connection."""
    with transport.lock:
        if transport.far_ports is None:
            transport.far_ports = FarPorts(transport, device)
        found: FarPorts = transport.far_ports
        return found


Incoming = Callable[[paramiko.Channel, tuple[str, int]], None]  # the channel and where its client is; quick


class FarPorts:
    """The ports that one connection has the far end listen on, each with its own receiver. Safe from any thread."""

    def __init__(self, transport: Transport, device: str) -> None:
        self._transport = transport
        self._device = device
        self._lock = threading.Lock()  # one request at a time: answers come without a name, in order
        self._silent = False  # a request was not answered: a later answer could be taken for another's
        self._names = threading.Lock()
        self._receivers: dict[tuple[str, int], Incoming] = {}
        self._early: list[tuple[paramiko.Channel, tuple[str, int], tuple[str, int]]] = []
        self._asking = 0
        transport._tcp_handler = self._arrived  # noqa: SLF001

    def listen(self, bind: str, port: int, receiver: Incoming, turn: Turn) -> int:
        """The port listened on there. ForwardingRefused, SessionLost, Unreachable, CommandInterrupted."""
        with self._names:
            self._asking += 1
        found = 0
        try:
            answer = self._request("tcpip-forward", bind, port, turn)
            if answer is None:
                raise ForwardingRefused(
                    f"the host does not listen on {bind}:{port or 'a free port'}",
                    device=self._device,
                    retryable=False,
                    hint="The port may be in use there (listen=0 takes a free one), below 1024, or its sshd_config "
                    "forbids it: AllowTcpForwarding yes (or remote), PermitListen, DisableForwarding.",
                )
            found = port or answer.get_int()
        finally:
            self._settle((bind, found), receiver if found else None)
        return found

    def cancel(self, bind: str, port: int) -> None:
        """Listen there no longer; waits for the far end to say so, not for long."""
        with self._names:
            self._receivers.pop((bind, port), None)
        if self._transport.is_active():
            with contextlib.suppress(SessionLost, Unreachable, *ENDED):
                self._request("cancel-tcpip-forward", bind, port, Turn(), patience=2.0)

    def _settle(self, where: tuple[str, int], receiver: Incoming | None) -> None:
        """The request is answered; channels that came before its answer was read are its, or nobody's."""
        with self._names:
            self._asking -= 1
            if receiver is not None:
                self._receivers[where] = receiver
            early = [each for each in self._early if self._receiver(each[2]) or not self._asking]
            self._early = [each for each in self._early if each not in early]
        for channel, origin, there in early:
            self._hand_over(channel, origin, there)

    def _arrived(self, channel: paramiko.Channel, origin: tuple[str, int], there: tuple[str, int]) -> None:
        """In Paramiko's thread."""
        with self._names:
            if self._receiver(there) is None and self._asking:
                self._early.append((channel, origin, there))
                return
        self._hand_over(channel, origin, there)

    def _hand_over(self, channel: paramiko.Channel, origin: tuple[str, int], there: tuple[str, int]) -> None:
        with self._names:
            receiver = self._receiver(there)
        if receiver is not None:
            receiver(channel, origin)
        else:  # of a port that is being cancelled
            channel.transport = Orderly(self._transport)  # type: ignore[assignment]
            threading.Thread(target=drop, args=(channel,), name="netssh-tunnel-end", daemon=True).start()

    def _receiver(self, there: tuple[str, int]) -> Incoming | None:
        """By the address as it was asked for, which sshd repeats; else by the port, where that is one receiver's."""
        if there in self._receivers:
            return self._receivers[there]
        same = [receiver for (_, port), receiver in self._receivers.items() if port == there[1]]
        return same[0] if len(same) == 1 else None

    def _request(
        self, kind: str, bind: str, port: int, turn: Turn, patience: float = _ANSWER
    ) -> paramiko.Message | None:
        """The answer to a global request, None for a no. Paramiko's own waits for ever and takes a new key for one."""
        with self._lock:
            if self._silent:
                raise self._unanswered()
            answer = _Answer(self._transport, lambda late: self._late(kind, bind, port, late))
            message = paramiko.Message()
            message.add_byte(cMSG_GLOBAL_REQUEST)
            message.add_string(kind)
            message.add_boolean(True)
            message.add_string(bind)
            message.add_int(port)
            try:
                self._transport._send_user_message(message)  # noqa: SLF001
            except ENDED as error:
                raise self._lost() from error
            until = time.monotonic() + patience
            while not answer.come.wait(_LOOK):
                if not self._transport.is_active():
                    raise self._lost()
                if turn.cancelled or time.monotonic() > until:
                    self._silent = True
                    if answer.leave():
                        raise not_sent(self._device, "the forward") if turn.cancelled else self._unanswered()
            self._silent = False
            return answer.message

    def _late(self, kind: str, bind: str, port: int, answer: paramiko.Message | None) -> None:
        """An answer that nobody waits for any more: requests make sense again, and nobody wants that port."""
        self._silent = False
        if kind == "tcpip-forward" and answer is not None:
            message = paramiko.Message()
            message.add_byte(cMSG_GLOBAL_REQUEST)
            message.add_string("cancel-tcpip-forward")
            message.add_boolean(False)
            message.add_string(bind)
            message.add_int(port or answer.get_int())
            send = self._transport._send_user_message  # noqa: SLF001
            threading.Thread(target=send, args=(message,), name="netssh-tunnel-end", daemon=True).start()

    def _lost(self) -> SessionLost:
        return SessionLost(
            "the connection to the host was lost", device=self._device, effect="none", hint="Open it again."
        )

    def _unanswered(self) -> Unreachable:
        return Unreachable(
            "the host does not answer a request to listen there",
            device=self._device,
            hint="Close the forwards and sessions of this host; a new connection is opened then.",
        )


_NONE_YET: Final = object()


class _Answer:
    """What Paramiko sets when a global request is answered, and when keys are renewed, which is no answer."""

    def __init__(self, transport: Transport, late: Callable[[paramiko.Message | None], None]) -> None:
        self.come = threading.Event()
        self.message: paramiko.Message | None = None
        self._transport = transport
        self._late = late
        self._left = False
        self._lock = threading.Lock()
        transport.global_response = _NONE_YET
        transport.completion_event = self

    def set(self) -> None:
        """In Paramiko's thread."""
        response = self._transport.global_response
        with self._lock:
            if response is _NONE_YET or self.come.is_set():
                return
            self.message = response
            self.come.set()
        if self._left:
            self._late(response)

    def leave(self) -> bool:
        """Wait no longer; False when the answer has come after all."""
        with self._lock:
            self._left = not self.come.is_set()
            return self._left
