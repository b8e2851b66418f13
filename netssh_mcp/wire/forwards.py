"""Port forwards that listen here (local, dynamic) and there (remote), and how one is opened."""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import os
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import InputError, NetsshError
from netssh_mcp.wire.forward_plan import Judge, Plan
from netssh_mcp.wire.forwarding import ASKING, OPENING, Client, Ended, Forward
from netssh_mcp.wire.relay import Relay, reset
from netssh_mcp.wire.socks import Dialogue
from netssh_mcp.wire.tunnels import ENDED, attend, drop, far_ports

if TYPE_CHECKING:
    import paramiko

    from netssh_mcp.wire.shared import Shared
    from netssh_mcp.wire.turn import Turn

_PAUSE: Final = 0.25  # seconds without accepting when this process has no file descriptors left


def opened(plan: Plan, shared: Shared, judge: Judge, ended: Ended, turn: Turn) -> Forward:
    """One that serves. `shared` is its own from here on, and left if this raises.

    InputError where it cannot listen here; ForwardingRefused, SessionLost, Unreachable, CommandInterrupted.
    """
    try:
        if plan.kind != "remote":
            forward: Forward = _local(plan, shared, judge, ended)
        else:
            forward = remote = Remote(plan, shared, judge, ended)
            try:
                remote.take(turn)
            except BaseException:
                remote.discard()
                raise
    except BaseException:
        shared.close()
        raise
    forward.start()
    return forward


def addresses_of(host: str, port: int) -> tuple[tuple[str, int], ...]:
    """What the name resolves to here; () when to nothing."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:  # socket.gaierror
        return ()
    return tuple(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))


def _local(plan: Plan, shared: Shared, judge: Judge, ended: Ended) -> Local:
    try:
        return Local(plan, shared, judge, ended)
    except OSError as error:
        raise _unheard(plan, shared.device.name, error) from error


def _unheard(plan: Plan, device: str, error: OSError) -> InputError:
    where = f"{plan.bind}:{plan.listen}"
    if error.errno == errno.EADDRINUSE:
        said, hint = f"{where} is in use on this machine", "Take another `listen`, or 0 for a free one."
    elif error.errno in (errno.EACCES, errno.EPERM):
        said, hint = f"this server may not listen on {where}", "Take a `listen` above 1023, or 0 for a free one."
    else:
        said = f"this machine cannot listen on {where} ({error.strerror})"
        hint = "Take another `bind`: 127.0.0.1, or an address of this machine."
    return InputError(said, device=device, hint=hint)


class Local(Forward):
    """Listens here; each client gets a tunnel to one destination, or (dynamic) to the one that it asks for."""

    def __init__(self, plan: Plan, shared: Shared, judge: Judge, ended: Ended) -> None:
        """OSError where it cannot listen."""
        listener = _listener(plan.bind, plan.listen)
        super().__init__(plan, shared, judge, ended)
        self._listener = listener
        self._paused = False
        self.listen = int(listener.getsockname()[1])
        self._selector.register(listener, selectors.EVENT_READ)

    def _arrive(self) -> None:
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # no file descriptors: the listener stays readable, and this would spin
            self.counters.refuse(f"no connection could be taken ({error.strerror})")
            self._selector.unregister(self._listener)
            self._paused = True
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock, (str(address[0]), int(address[1])))
        if not self._enter(client, ASKING):
            reset(sock)
        elif self.plan.kind == "dynamic":
            client.dialogue = Dialogue()
            self._watch(client, selectors.EVENT_READ)
        else:
            with contextlib.suppress(*ENDED):  # the connection has ended; its end is on the way here
                self._ask(client, self.plan.host, self.plan.port)

    def _patience(self) -> float:
        patience = super()._patience()
        return min(patience, _PAUSE) if self._paused else patience

    def _look_at_clocks(self) -> None:
        super()._look_at_clocks()
        if self._paused:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._paused = False

    def _sockets(self) -> list[socket.socket]:
        return [self._listener, *super()._sockets()]

    def _stop_listening(self) -> None:
        self._listener.close()


class Remote(Forward):
    """The far end listens; each client's tunnel is connected here to one destination."""

    def __init__(self, plan: Plan, shared: Shared, judge: Judge, ended: Ended) -> None:
        """It listens once `take` has been called."""
        super().__init__(plan, shared, judge, ended)
        self._arrivals: collections.deque[tuple[paramiko.Channel, tuple[str, int]]] = collections.deque()
        self._ports = far_ports(self._transport, self.device)

    def take(self, turn: Turn) -> None:
        """Have the far end listen. ForwardingRefused, SessionLost, Unreachable, CommandInterrupted."""
        self.listen = self._ports.listen(self.plan.bind, self.plan.listen, self._come, turn)

    def _come(self, channel: paramiko.Channel, origin: tuple[str, int]) -> None:
        """In Paramiko's thread."""
        self._arrivals.append((channel, origin))
        self._wake()
        if self.ended_at:
            threading.Thread(target=self._turn_away, name="netssh-tunnel-end", daemon=True).start()

    def _hear(self) -> None:
        while self._arrivals:
            channel, origin = self._arrivals.popleft()
            client = Client(None, origin, channel=channel, reach=list(self.plan.reach))
            attend(channel, self._transport, functools.partial(self._tell, client))
            if not self._enter(client, OPENING):
                drop(channel)
                continue
            try:
                self._judge(self.plan.host, self.plan.port)
            except NetsshError as error:
                self._refuse(client, error.message)
            else:
                self._connect(client)
        super()._hear()

    def _connect(self, client: Client) -> None:
        """To the next of its addresses."""
        why = "no address"
        while client.reach:
            address = client.reach.pop(0)
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                sock.connect(address)
            except BlockingIOError:
                pass
            except OSError as error:
                why = str(error.strerror)
                sock.close()
                continue
            client.sock = sock
            self._watch(client, selectors.EVENT_WRITE)
            return
        self._refuse(client, f"no connection to it here: {why}")

    def _connected(self, client: Client) -> None:
        assert client.sock is not None
        assert client.channel is not None
        code = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._join(client, Relay(client.sock, client.channel, self.counters))
            return
        self._watch(client, 0)
        client.sock.close()
        client.sock = None
        if client.reach:
            self._connect(client)
        else:
            self._refuse(client, f"no connection to it here: {os.strerror(code)}")

    def _leave_host(self) -> None:
        self._ports.cancel(self.plan.bind, self.listen)
        self._turn_away()

    def _turn_away(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                channel, _ = self._arrivals.popleft()
                attend(channel, self._transport, lambda: None)
                drop(channel)


def _listener(bind: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a port rests a minute after its last client
        listener.bind((bind, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
