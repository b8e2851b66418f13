"""One port forward: a thread that sleeps until a socket, a tunnel, its lifetime or its end wants something.

One thread and no more, however many clients: tunnels are opened without waiting (`tunnels`), sockets never block. What
can block it is the SSH connection itself, when its network takes nothing more; then nothing of it moves anyway.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from netssh_mcp.errors import NetsshError
from netssh_mcp.wire.forward_plan import Judge, Plan
from netssh_mcp.wire.relay import Counters, Relay, reset
from netssh_mcp.wire.socks import Dialogue, Outcome, Refused
from netssh_mcp.wire.tunnels import ENDED, Opening, drop
from netssh_mcp.wire.userauth import Transport

if TYPE_CHECKING:
    import paramiko

    from netssh_mcp.wire.shared import Shared

MOST_CLIENTS: Final = 256  # of one forward at once, those whose tunnel is still being opened included
OPENING: Final = 60.0  # seconds for the far end to connect
ASKING: Final = 15.0  # seconds for a SOCKS client to say what it wants
_JOIN: Final = 2.0  # seconds for the thread to end

Ended = Callable[["Forward"], None]
LOST: Final = "the connection to the host was lost"


@dataclass(slots=True, eq=False)
class Client:
    """One that has come: its socket here, and how far it is. `deadline` is for what must happen before the relay."""

    sock: socket.socket | None
    origin: tuple[str, int]
    deadline: float = 0.0
    dialogue: Dialogue | None = None
    opening: Opening | None = None
    channel: paramiko.Channel | None = None  # of a remote forward, from the beginning
    reach: list[tuple[str, int]] = field(default_factory=list)
    relay: Relay | None = None
    mask: int = 0


class Forward:
    """One that is open from the start on. `ended` is called once, from its thread, when it listens no longer."""

    def __init__(self, plan: Plan, shared: Shared, judge: Judge, ended: Ended) -> None:
        """Takes `shared` over, unless it raises."""
        self.plan = plan
        self.device = shared.device.name
        self.listen = plan.listen
        self.counters = Counters()
        self.opened_at = time.monotonic()
        self.ended_at = 0.0
        self.reason = ""  # why it ended; "" as long as it is open
        self._shared = shared
        self._transport = cast("Transport", shared.transport)
        self._judge = judge
        self._ended = ended
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._early: set[Client] = set()  # those with a deadline
        self._told: set[Client] = set()
        self._telling = threading.Lock()
        self._stop = ""
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._ear.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=f"netssh-forward-{plan.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it listens, as far as this side can know."""
        return not self.reason and not self._stop and self._transport.is_active()

    @property
    def why(self) -> str:
        """Why it has ended, or is ending at this moment; "" when it is open."""
        return "" if self.alive else self.reason or self._stop or LOST

    @property
    def expires_at(self) -> float:
        """Monotonic."""
        return self.opened_at + self.plan.lifetime

    def start(self) -> None:
        """Serve from now on."""
        self._transport.on_end.append(self._lost)
        self._thread.start()
        if not self._transport.is_active():
            self._lost()

    def close(self, reason: str) -> None:
        """End it and everything in it; returns when that is done, or after two seconds."""
        self.end(reason)
        self._thread.join(_JOIN)
        if self._thread.is_alive():  # it is stuck in a write to a connection that takes nothing
            for each in tuple(self._sockets()):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    # -- from other threads ----------------------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """As `close`, without waiting."""
        with self._telling:
            self._stop = self._stop or reason
        self._wake()

    def _lost(self) -> None:
        self.end(LOST)

    def _tell(self, client: Client) -> None:
        with self._telling:
            first = not self._told  # else its thread is awake, or woken
            self._told.add(client)
        if first:
            self._wake()

    def _wake(self) -> None:
        with self._telling:
            if not self.ended_at:
                with contextlib.suppress(BlockingIOError):  # there is enough in it to wake it
                    self._mouth.send(b"!")

    # -- its thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop:
                for key, events in self._selector.select(self._patience()):
                    self._ready(key, events)
                self._hear()
                self._look_at_clocks()
        finally:
            self._finish()

    def _patience(self) -> float:
        if self._told:
            return 0.0
        nearest = min((client.deadline for client in self._early), default=self.expires_at)
        return max(0.0, min(nearest, self.expires_at) - time.monotonic())

    def _ready(self, key: selectors.SelectorKey, events: int) -> None:
        if isinstance(key.data, Client):
            self._serve(key.data, events)
        elif key.fileobj is self._ear:
            with contextlib.suppress(BlockingIOError):
                while self._ear.recv(4096):
                    pass
        else:
            self._arrive()

    def _hear(self) -> None:
        with self._telling:
            told, self._told = self._told, set()
        for client in told:
            self._serve(client, 0)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        if now >= self.expires_at:
            self._stop = self._stop or "its lifetime is over"
        for client in [each for each in self._early if now >= each.deadline]:
            what = "a SOCKS client did not say what it wants" if client.dialogue else "no answer in time"
            self._refuse(client, what, "timeout")

    def _serve(self, client: Client, events: int) -> None:
        """Take it one step further."""
        if client not in self._clients:
            return
        try:
            if client.relay is not None:
                self._relay(client, client.relay, readable=bool(events & selectors.EVENT_READ))
            elif client.opening is not None:
                self._opened(client, client.opening)
            elif client.dialogue is not None:
                self._listen_to(client, client.dialogue)
            elif client.channel is not None and events:
                self._connected(client)
        except ENDED:
            self._forget(client)

    def _relay(self, client: Client, relay: Relay, *, readable: bool) -> None:
        more = relay.turn(readable=readable)
        if relay.finished:
            self._forget(client)
            return
        self._watch(client, relay.mask)
        if more:
            self._told.add(client)

    def _arrive(self) -> None:
        """Somebody has come."""
        raise NotImplementedError

    # -- clients ---------------------------------------------------------------------------------------------------

    def _enter(self, client: Client, seconds: float) -> bool:
        """Count it in; False where there are too many."""
        self.counters.used_at = time.monotonic()
        if len(self._clients) >= MOST_CLIENTS:
            self.counters.refuse(f"{MOST_CLIENTS} connections at once are the most")
            return False
        client.deadline = time.monotonic() + seconds
        self._clients.add(client)
        self._early.add(client)
        return True

    def _ask(self, client: Client, host: str, port: int) -> None:
        """Have the far end connect to it, if that may be."""
        try:
            host = self._judge(host, port)
        except NetsshError as error:
            self._refuse(client, error.message, "denied")
            return
        client.deadline = time.monotonic() + OPENING
        self._watch(client, 0)
        client.opening = Opening(self._transport, (host, port), client.origin, lambda: self._tell(client))

    def _opened(self, client: Client, opening: Opening) -> None:
        if not opening.done:
            return
        if client.sock is None:  # it was refused before, for it took too long
            self._forget(client)
        elif opening.reason is not None:
            self._refuse(client, opening.reason.text, opening.reason.outcome)
        else:
            dialogue = client.dialogue
            early, greeting = (dialogue.rest, dialogue.reply("ok")) if dialogue else (b"", b"")
            self._join(client, Relay(client.sock, opening.channel, self.counters, early=early, greeting=greeting))

    def _join(self, client: Client, relay: Relay) -> None:
        """Both ends are there."""
        self._early.discard(client)
        self.counters.open += 1
        self.counters.total += 1
        client.relay = relay
        self._relay(client, relay, readable=True)

    def _listen_to(self, client: Client, dialogue: Dialogue) -> None:
        assert client.sock is not None
        try:
            data = client.sock.recv(1024)
            answer = dialogue.feed(data)
        except BlockingIOError:
            return
        except Refused as refused:
            self._refuse(client, str(refused), said=refused.reply)
            return
        if not data:
            self._forget(client)
            return
        client.sock.send(answer)
        if dialogue.wanted is not None:
            self._ask(client, dialogue.wanted.host, dialogue.wanted.port)

    def _connected(self, client: Client) -> None:
        """A remote forward's connection here is there, or not."""
        raise NotImplementedError

    def _refuse(self, client: Client, why: str, outcome: Outcome = "failed", said: bytes = b"") -> None:
        """No connection for this one; a SOCKS client is told. An opening under way keeps its place until its answer."""
        self.counters.refuse(why)
        sock, client.sock = client.sock, None
        self._early.discard(client)
        if sock is not None:
            if client.mask:
                self._selector.unregister(sock)
                client.mask = 0
            _part(sock, said or (client.dialogue.reply(outcome) if client.dialogue and client.dialogue.wanted else b""))
        if client.opening is None or client.opening.done:
            self._forget(client)

    def _watch(self, client: Client, mask: int) -> None:
        if mask == client.mask or client.sock is None:
            return
        if not mask:
            self._selector.unregister(client.sock)
        elif not client.mask:
            self._selector.register(client.sock, mask, client)
        else:
            self._selector.modify(client.sock, mask, client)
        client.mask = mask

    def _forget(self, client: Client) -> None:
        """Close what it has."""
        self._clients.discard(client)
        self._early.discard(client)
        with contextlib.suppress(*ENDED):
            self._watch(client, 0)
        if client.relay is not None:
            self.counters.open -= 1
            client.relay.end()
            return
        if client.sock is not None:
            reset(client.sock)
        if client.opening is not None:
            client.opening.leave()
        if client.channel is not None:
            drop(client.channel)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _sockets(self) -> list[socket.socket]:
        return [client.sock for client in tuple(self._clients) if client.sock is not None]

    def discard(self) -> None:
        """Of one that was never started: leave nothing open but the place on the connection."""
        self._stop_listening()
        self._selector.close()
        self._mouth.close()
        self._ear.close()

    def _finish(self) -> None:
        self._stop_listening()
        for sock in self._sockets():  # first: who uses it is told at once, also where the host takes nothing any more
            reset(sock)
        with self._telling:
            self.ended_at = time.monotonic()
            self._mouth.close()
            self._ear.close()
        self.reason = self._stop or "it ended by an error of this server"
        try:
            self._ended(self)
        finally:
            with contextlib.suppress(ValueError):
                self._transport.on_end.remove(self._lost)
            self._selector.close()
            for client in tuple(self._clients):
                client.mask = 0
                self._forget(client)
            self._leave_host()
            self._shared.close()

    def _stop_listening(self) -> None:
        """Nobody new comes in here."""

    def _leave_host(self) -> None:
        """Nobody new comes in there."""


def _part(sock: socket.socket, said: bytes) -> None:
    """Tell it and close; what it sent meanwhile is read, or the kernel would throw the answer away."""
    with contextlib.suppress(OSError):
        if said:
            sock.send(said)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(4096)
    sock.close() if said else reset(sock)
