"""Connections to jump hosts, one for all who go the same way: logged in to once, however many devices are behind it.

A fleet of 50 devices behind one sshd would otherwise be 50 logins at once, of which its MaxStartups (10:30:100) drops
some. What goes through a connection are direct-tcpip channels, which sshd's MaxSessions does not count.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from dataclasses import dataclass

import paramiko

from netssh_mcp.errors import ConnectError, ForwardingRefused, NetsshError, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.credentials import plain
from netssh_mcp.wire.dial import Allowed, anywhere
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.orderly import Orderly
from netssh_mcp.wire.sudo import Refusals
from netssh_mcp.wire.transport import Link, Ways, connect

IDLE = 60.0  # seconds that a connection nobody uses is kept, or the jump host's `idle_timeout` where that is less
_PROVEN = 5.0  # seconds for which an answer proves that the jump host is there
_PROBE = 3.0  # seconds to answer when it is asked
_LATE = 180.0  # seconds after which a jump host's own attempt to connect has ended, too (Linux: 127)
_PROHIBITED, _FAILED, _UNKNOWN_TYPE, _SHORTAGE = 1, 2, 3, 4  # RFC 4254, 5.1


@dataclass(frozen=True, slots=True)
class Standing:
    """A shared connection as it is now. Times are monotonic; `users` are the logins and places on it."""

    device: Device
    alive: bool
    users: int
    since: float
    idle_since: float


class Bastion:
    """One authenticated connection to the last of `hops`, made in a thread of its own, and who uses it."""

    def __init__(self, hops: tuple[Device, ...], owner: Bastions) -> None:
        self.hops = hops
        self.device = hops[-1]
        self.link = Link(owner.breaker)
        self.users: set[Link] = set()
        self.error: NetsshError | None = None
        self._asking = threading.Lock()
        self._asked: _Asked | None = None
        self.finished = False  # the login: there is a connection, or an error
        self.retired = False  # nobody new may use it
        self.after_loss = False  # the one before it was lost, and nobody has been told
        self.silent = False  # it did not answer when it was asked last
        self.since = self.idle_since = self.proven_at = time.monotonic()
        self.sudo = owner.sudo
        self._owner = owner

    @property
    def alive(self) -> bool:
        """Whether it is up as far as this side can know."""
        if not self.finished or self.error is not None or self.link.closed:
            return False
        transport = self.link.transport
        # Paramiko wakes the channels of a dying transport before it says that it is not active.
        return transport.is_active() and transport.saved_exception is None and not self.link.lost_hop()

    @property
    def usable(self) -> bool:
        """Whether somebody new may use it, or wait for it."""
        return not self.retired and not self.link.closed and (self.alive or not self.finished)

    def leave(self, link: Link) -> None:
        """It is not used for `link` any longer."""
        self._owner.leave(self, link)

    def answers(self, deadline: float) -> bool:
        """Whether it still answers: a channel of a type that nobody has must be refused (RFC 4254, 5.1)."""
        now = time.monotonic()
        if now - self.proven_at < _PROVEN:
            return True
        with self._asking:
            if self._asked is None or self._asked.over:
                self._asked = _Asked(self.link.transport)
            asked = self._asked  # somebody else's is as good: a silent peer is asked once
        self.silent = not asked.answered(max(0.1, min(_PROBE, (deadline - now) / 2)))
        if self.silent:
            return False
        self.proven_at = time.monotonic()
        return True

    def tunnel(self, device: Device, link: Link, deadline: float) -> paramiko.Channel:
        """A direct-tcpip channel to the device, which `link` closes. A cancel of `link` reaches it."""
        opening = _Opening(self.link.transport, device, link)
        channel = opening.wait(deadline)
        if channel is not None:
            self.proven_at = time.monotonic()
            link.tunnel(channel)
            return channel
        if link.closed:
            raise ConnectError("the login was broken off", device=device.name)
        if isinstance(opening.error, paramiko.ChannelException):
            self.proven_at = time.monotonic()
            raise _refused(self.device, device, opening.error) from opening.error
        if not self.alive:
            raise Unreachable(
                f"the connection to the jump host {self.device.name} was lost during the login",
                device=device.name,
                hint="Try again: a new connection to the jump host is opened.",
            ) from opening.error
        raise Unreachable(
            f"the jump host {self.device.name} got no connection to {device.hostname}:{device.port} in time",
            device=device.name,
            hint=f"Check that the device is up and that its SSH port is reachable from {self.device.name}; raise "
            "`connect_timeout` if it is slow.",
        ) from opening.error


class Bastions:
    """All shared connections of one process. Blocking; every method may be called from any thread."""

    def __init__(
        self,
        host_keys: HostKeys,
        *,
        allowed: Allowed = anywhere,
        idle: float = IDLE,
        breaker: Breaker | None = None,
        ways: Ways | None = None,
    ) -> None:
        """`ways`: where the connections to the hops before the last are, if not here."""
        self.breaker = breaker or Breaker()
        self.sudo = Refusals()
        self._ways = ways or self
        self._host_keys = host_keys
        self._allowed = allowed
        self._idle = idle
        self._lock = threading.Lock()
        self._open: dict[tuple[Device, ...], Bastion] = {}
        self._lost: set[tuple[Device, ...]] = set()  # ways whose last connection ended unasked
        self._closed = False

    def hold(self, hops: tuple[Device, ...], link: Link, deadline: float) -> Bastion:
        """The connection to the last of `hops`, for `link`; logs in if there is none that answers.

        Whoever comes while the login is under way waits for it and gets its error. It is given up only when nobody
        waits any more. Raises as `connect` does.
        """
        while True:
            bastion = self._joined(hops, link)
            try:
                self._wait(bastion, link, deadline)
                if bastion.answers(deadline):
                    return bastion
            except BaseException:
                self.leave(bastion, link)
                raise
            bastion.retired = True  # who is on it still may stay: it may come back
            with self._lock:
                if self._open.get(hops) is bastion:
                    self._lost.add(hops)
            self.leave(bastion, link)

    def _joined(self, hops: tuple[Device, ...], link: Link) -> Bastion:
        with self._lock:
            if self._closed:
                raise ConnectError("the server is closing", device=hops[-1].name)
            bastion = self._open.get(hops)
            if bastion is None or not bastion.usable:
                if bastion is not None:
                    self._forget(bastion)
                bastion = self._open[hops] = Bastion(hops, self)
                # Not the caller's thread: whoever asked first may be cancelled while others wait.
                threading.Thread(target=self._log_in, args=(bastion,), name="netssh-bastion", daemon=True).start()
            bastion.users.add(link)
            return bastion

    def _log_in(self, bastion: Bastion) -> None:
        deadline = time.monotonic() + sum(hop.connect_timeout for hop in bastion.hops)
        error: NetsshError | None = ConnectError("the login ended unexpectedly", device=bastion.device.name)
        try:
            connect(
                bastion.hops,
                self._host_keys,
                deadline,
                bastion.link,
                self._ways,
                allowed=self._allowed,
                forwards=True,
            )
            error = None
        except NetsshError as failed:
            error = failed
        finally:
            with self._lock:
                bastion.since = bastion.proven_at = bastion.idle_since = time.monotonic()
                bastion.error, bastion.finished = error, True
                if error is not None:
                    self._forget(bastion)
                elif bastion.hops in self._lost:
                    self._lost.remove(bastion.hops)
                    bastion.after_loss = True
                waiting = list(bastion.users)
            if error is not None:
                bastion.link.close()
            for link in waiting:
                link.woken.set()

    def _wait(self, bastion: Bastion, link: Link, deadline: float) -> None:
        while not bastion.finished and not link.closed and (left := deadline - time.monotonic()) > 0:
            link.woken.wait(left)
            if not link.closed:
                link.woken.clear()  # what set it has been done before: it is looked at after this
        if link.closed:
            raise ConnectError("the login was broken off", device=bastion.device.name)
        if not bastion.finished:
            raise Unreachable(
                f"no SSH session with {bastion.device.hostname}:{bastion.device.port}: no answer in time",
                device=bastion.device.name,
                hint="It is a jump host on the way. Check that it is up, or raise `connect_timeout` if it is slow.",
            )
        if bastion.error is not None:
            raise copy.copy(bastion.error) from bastion.error  # a traceback for each who waits

    def leave(self, bastion: Bastion, link: Link) -> None:
        """`link` uses it no longer; the last one to go ends a login under way, and what cannot be used again."""
        with self._lock:
            if link not in bastion.users:
                return
            bastion.users.remove(link)
            bastion.idle_since = time.monotonic()
            ends = not bastion.users and (
                self._closed or not self._idle or not bastion.finished or not bastion.usable or not bastion.alive
            )
            if ends:
                self._forget(bastion)
        if ends:
            bastion.link.close()

    def expire(self, now: float) -> None:
        """Close what nobody has used for long enough at `now` (monotonic), and what has ended by itself."""
        with self._lock:
            over = [
                bastion
                for bastion in self._open.values()
                if bastion.finished
                and not bastion.users
                and (not bastion.alive or now - bastion.idle_since > min(self._idle, bastion.device.idle_timeout))
            ]
            for bastion in over:
                self._forget(bastion)
        for bastion in over:
            bastion.link.close()

    def standing(self) -> list[Standing]:
        """Every connection that is logged in, or was lost and has not been replaced."""
        with self._lock:
            return [
                Standing(each.device, each.alive and not each.silent, len(each.users), each.since, each.idle_since)
                for each in self._open.values()
                if each.finished
            ]

    def look(self, name: str) -> None:
        """Ask the idle connections to a device whether they are still there; a few seconds at most."""
        with self._lock:
            idle = [
                each for each in self._open.values() if each.device.name == name and each.finished and not each.users
            ]
        for each in idle:
            if each.alive:
                each.answers(time.monotonic() + 2 * _PROBE)

    def retire(self, name: str = "") -> tuple[int, int]:
        """Close connections to a device, or all, now or when the last user goes; how many of each."""
        with self._lock:
            found = [each for each in self._open.values() if each.finished and name in ("", each.device.name)]
            idle = [each for each in found if not each.users]
            for each in found:
                each.retired = True  # nobody new gets it
            for each in idle:
                self._forget(each)
        for each in idle:
            each.link.close()
        return len(idle), len(found) - len(idle)

    def close(self) -> None:
        """Close everything, in use or not."""
        with self._lock:
            self._closed = True
            bastions = list(self._open.values())
            self._open.clear()
        for bastion in bastions:
            bastion.link.close()

    def _forget(self, bastion: Bastion) -> None:
        bastion.retired = True
        if self._open.get(bastion.hops) is not bastion:
            return  # it has been replaced: its loss is known, and the one after the next would be told of it again
        if bastion.finished and bastion.error is None and not bastion.alive and not bastion.link.closed:
            self._lost.add(bastion.hops)
        del self._open[bastion.hops]


class _Asked:
    """A question in a thread that stays for its answer: nobody else would take a late one, and Paramiko would keep it
    as the connection's own failure."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self._yes = False
        self._transport, self._came = transport, threading.Event()
        threading.Thread(target=self._ask, name="netssh-probe", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether it was answered, or will not be."""
        return self._came.is_set()

    def answered(self, seconds: float) -> bool:
        """Whether there is an answer by then."""
        return self._came.wait(seconds) and self._yes

    def _ask(self) -> None:
        try:
            self._transport.open_channel("probe@netssh-mcp", timeout=_LATE)
            self._yes = True
        except paramiko.ChannelException:
            self._yes = True
        except paramiko.SSHException as error:  # also where another refusal that came at once has taken our reason
            self._yes = self._transport.is_active() and "Timeout" not in str(error)
        except (OSError, EOFError):
            self._yes = False
        self._came.set()


class _Opening:
    """A tunnel while it is being opened. Who gives up waiting leaves a thread behind that closes it when it comes.

    Paramiko's `open_channel` can only be given up by its timeout, and forgets the channel then: on a connection that
    lives on, the jump host would keep a connection to the device, and the device a session.
    """

    def __init__(self, transport: paramiko.Transport, device: Device, link: Link) -> None:
        self.error: Exception | None = None
        self._transport, self._device, self._link = transport, device, link
        self._lock = threading.Lock()
        self._left = self._done = False
        self._channel: paramiko.Channel | None = None
        threading.Thread(target=self._open, name="netssh-tunnel", daemon=True).start()

    def wait(self, deadline: float) -> paramiko.Channel | None:
        """The channel, or None: `error`, too late, or cancelled."""
        link = self._link
        while not self._done and not link.closed and (left := deadline - time.monotonic()) > 0:
            link.woken.wait(left)
            if not link.closed:
                link.woken.clear()
        with self._lock:
            self._left = self._channel is None
            return self._channel

    def _open(self) -> None:
        where = (self._device.hostname, self._device.port)
        channel: paramiko.Channel | None = None
        error: Exception | None = None
        try:
            channel = self._transport.open_channel("direct-tcpip", where, ("127.0.0.1", 0), timeout=_LATE)
            channel.transport = Orderly(self._transport)  # type: ignore[assignment]  # all that a channel needs of it
        except (OSError, EOFError, paramiko.SSHException) as failed:
            error = failed
        with self._lock:
            left = self._left
            if not left:
                self._channel, self.error = channel, error
            self._done = True
        if left and channel is not None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()
        self._link.woken.set()


def _refused(hop: Device, device: Device, error: paramiko.ChannelException) -> Unreachable:
    where, said = f"{device.hostname}:{device.port}", plain(error.text)
    if error.code == _FAILED:
        return ForwardingRefused(
            f"the jump host {hop.name} cannot connect to {where}",
            device=device.name,
            line=said,
            hint=f"Check that the device is up, and that its name, port and route are right as seen from {hop.name}.",
        )
    if error.code == _SHORTAGE:
        return ForwardingRefused(
            f"the jump host {hop.name} has no room for a connection to {where}",
            device=device.name,
            line=said,
            hint=f"Ask fewer devices behind {hop.name} at once, or raise its limits.",
        )
    can = "does not forward connections" if error.code == _UNKNOWN_TYPE else "refuses to forward"
    return ForwardingRefused(
        f"the jump host {hop.name} {can} to {where}",
        device=device.name,
        line=said,
        retryable=False,
        hint=f"Allow it for this user in {hop.name}'s sshd_config: AllowTcpForwarding yes (or local), and PermitOpen "
        "if it is set there. On a host that is no sshd, use another jump host.",
    )
