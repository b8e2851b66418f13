"""An authenticated connection: our socket, our host key check, our algorithms; or Telnet where the operator says so."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from netssh_mcp.errors import (
    AlgorithmMismatch,
    AuthenticationFailed,
    ConnectError,
    CredentialStopped,
    NetsshError,
    Unreachable,
)
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.credentials import authenticate, none_taken, plain, refuse_stopped
from netssh_mcp.wire.dial import Allowed, anywhere, denied, dial, signs_of_life
from netssh_mcp.wire.handshake import agree, handshake
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.proxy_command import ProxyProcess
from netssh_mcp.wire.reader import HEIGHT, WIDTH, Reader
from netssh_mcp.wire.telnet import TelnetChannel
from netssh_mcp.wire.telnet_login import enter

_ALIVE = 3.0  # seconds to answer when it is asked whether it is there
_LATER = 5.0  # seconds: Paramiko's own ends of a wait do not say that it was one, so ours comes first
# What Paramiko's thread dies of where a packet is not what it says: it reads without looking, and hands it on to us.
_GARBLED = (ValueError, ArithmeticError, LookupError, TypeError, struct.error)


@dataclass(slots=True, eq=False)
class Link:
    """What one login has opened, and the jump host's connection that it shares.

    `close` ends it, from any thread, without waiting.
    """

    breaker: Breaker = field(default_factory=Breaker)  # asked before credentials are tried
    sockets: list[socket.socket] = field(default_factory=list)
    processes: list[ProxyProcess] = field(default_factory=list)
    tunnels: list[paramiko.Channel] = field(default_factory=list)
    transports: list[paramiko.Transport] = field(default_factory=list)
    via: Via | None = None
    closed: bool = False
    telnet: Reader | None = None  # the session itself, where the device is reached by telnet: logged in, at its prompt
    entered_by: str = ""  # what let us in there, and after how many seconds
    entered_in: float = 0.0
    woken: threading.Event = field(default_factory=threading.Event)  # closed, or what its thread waits for has come

    @property
    def transport(self) -> paramiko.Transport:
        """The authenticated connection."""
        return self.transports[-1]

    def own(self, sock: socket.socket) -> None:
        """Close this one too."""
        self.sockets.append(sock)
        self._again()

    def own_process(self, process: ProxyProcess) -> None:
        """End this one too."""
        self.processes.append(process)
        self._again()

    def carry(self, transport: paramiko.Transport) -> None:
        """Close this one too."""
        self.transports.append(transport)
        self._again()

    def tunnel(self, channel: paramiko.Channel) -> None:
        """Close this one too, and nothing else of the connection that it is a part of."""
        self.tunnels.append(channel)
        self._again()

    def go_through(self, via: Via) -> None:
        """Leave this shared connection at the end."""
        self.via = via
        self._again()

    def _again(self) -> None:
        if self.closed:
            self.close()

    def close(self) -> None:
        """Close everything that is not shared: nothing is said to a peer that may not read any more.

        A thread that is blocked in a login gets an error at once; Paramiko's own threads end.
        """
        self.closed = True
        self.woken.set()
        self._end()
        if self.via is not None:
            self.via.leave(self)

    def drop(self) -> None:
        """Close what a refused login has opened. The way to the device stays, for the next one."""
        self._end()
        self.telnet = None
        for opened in (self.sockets, self.processes, self.tunnels, self.transports):
            opened.clear()

    def _end(self) -> None:
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes a connect and a read, which close() alone does not
        for transport in self.transports:
            if self.tunnels:
                transport.active = False  # type: ignore[attr-defined]  # public, but not in the stubs
            else:
                transport.close()
        for tunnel in self.tunnels:
            tunnel.in_buffer.close()  # wakes the transport's thread
            threading.Thread(
                target=_end_tunnel, args=(tunnel, *self.transports), name="netssh-tunnel-end", daemon=True
            ).start()
        for sock in self.sockets:
            sock.close()
        for process in self.processes:
            process.end()

    def answers(self) -> bool:
        """Whether the peer answers what OpenSSH's clients ask, too (ServerAliveInterval); a no is an answer.

        Not on a connection that others use: Paramiko waits for one such answer at a time. Telnet has no such question:
        TCP gives up a device that does not acknowledge one.
        """
        if self.telnet is not None:
            assert isinstance(self.telnet.channel, TelnetChannel)
            self.telnet.channel.knock()
            return self.telnet.alive()
        transport, answered = self.transport, threading.Event()

        def ask() -> None:  # in a thread, since it waits for as long as the connection lives
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                transport.global_request("keepalive@openssh.com", wait=True)
                if transport.is_active():
                    answered.set()

        threading.Thread(target=ask, name="netssh-alive", daemon=True).start()
        return answered.wait(_ALIVE)

    def lost_hop(self) -> str:
        """The name of the jump host whose connection has ended under this one, or ""; the nearest of them."""
        if self.via is None:
            return ""
        return self.via.link.lost_hop() or ("" if self.via.alive else self.via.device.name)


def _end_tunnel(tunnel: paramiko.Channel, *transports: paramiko.Transport) -> None:
    """In a thread of its own: the jump host is told, which may make us wait for it."""
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):  # it may be gone itself
        for transport in transports:
            transport.stop_thread()
        tunnel.close()


class Via(Protocol):
    """A shared connection to a jump host."""

    device: Device
    link: Link

    @property
    def alive(self) -> bool:
        """Whether it is up as far as this side can know."""

    def leave(self, link: Link) -> None:
        """It is not used for `link` any longer."""

    def tunnel(self, device: Device, link: Link, deadline: float) -> paramiko.Channel:
        """A channel from there to the device, which `link` closes."""


class Ways(Protocol):
    """Where the shared connections are."""

    def hold(self, hops: tuple[Device, ...], link: Link, deadline: float) -> Via:
        """The connection to the last of `hops`, for `link`, which leaves it at its end."""


def connect(
    hops: Sequence[Device],
    host_keys: HostKeys,
    deadline: float,
    link: Link,
    ways: Ways,
    *,
    allowed: Allowed = anywhere,
    forwards: bool = False,
) -> Device:
    """Log in to the last of `hops` through the ones before it, which it shares; `link` then holds the connection.

    Its credential sets are tried in order, each over a connection of its own; the device with the one that was taken
    comes back. `forwards` says that it is a jump host itself. Raises Unreachable (ForwardingRefused), HostKeyUnknown,
    HostKeyChanged, AlgorithmMismatch, AuthenticationFailed, AddressDenied.
    """
    *way, device = hops
    try:
        preferred = link.breaker.in_order(device)
        refused: list[AuthenticationFailed] = []
        for each in preferred:
            try:
                refuse_stopped(each, link.breaker)
                if way and link.via is None:
                    link.go_through(ways.hold(tuple(way), link, deadline))
                link.breaker.admit(each)
                with _translated(each, link):
                    through = _through(each, deadline, link, allowed, forwards=forwards)
                    if each.transport == "telnet":
                        _telnet(each, through, deadline, link)
                    else:
                        _login(each, through, host_keys, deadline, link)
            except AuthenticationFailed as error:
                if error.device != device.name or (error.retryable and not isinstance(error, CredentialStopped)):
                    raise
                refused.append(error)
                link.drop()
                deadline = time.monotonic() + device.connect_timeout
                continue
            link.breaker.prefer(device, each)
            if link.telnet is None:
                link.transport.hop_lost = link.lost_hop  # type: ignore[attr-defined]  # ours: wire/userauth.py
            return each
        raise none_taken(refused)  # noqa: TRY301 - it is no other end than the others
    except BaseException:
        link.close()
        raise


def _through(
    device: Device, deadline: float, link: Link, allowed: Allowed, *, forwards: bool
) -> socket.socket | paramiko.Channel:
    if link.via is None:
        small = forwards or device.transport == "telnet"  # such servers send with Nagle's algorithm: GNU telnetd does
        return dial(device, deadline, link, allowed, small=small)
    if not allowed(device, device.hostname):
        raise denied(device, device.hostname)
    return link.via.tunnel(device, link, deadline)


def _telnet(device: Device, through: socket.socket | paramiko.Channel, deadline: float, link: Link) -> None:
    """The whole session: with Telnet there is nothing below it that could be logged in to."""
    if isinstance(through, socket.socket) and through.family in (socket.AF_INET, socket.AF_INET6):
        signs_of_life(through, device.keepalive)
    channel = TelnetChannel(through, width=WIDTH, height=HEIGHT)
    channel.hop_lost = link.lost_hop
    reader = Reader(channel, device.name)
    began = time.monotonic()
    link.entered_by = enter(
        device,
        reader,
        link.breaker,
        deadline=deadline,
        given_up=lambda: link.closed or bool(link.lost_hop()),
    )
    link.entered_in, link.telnet = time.monotonic() - began, reader


def _login(
    device: Device, through: socket.socket | paramiko.Channel, keys: HostKeys, deadline: float, link: Link
) -> None:
    transport = handshake(device, through, keys)
    link.carry(transport)
    left = max(0.1, deadline - time.monotonic())
    transport.auth_timeout = left
    transport.banner_timeout = transport.handshake_timeout = left + _LATER
    began = time.monotonic()
    agree(device, transport, keys, left)
    agreed = time.monotonic()
    # A login that ends with its jump host's connection says nothing about the credential.
    transport.entered_by = authenticate(
        device,
        transport,
        link.breaker,
        deadline=deadline,
        given_up=lambda: link.closed or bool(link.lost_hop()),
    )
    transport.seconds = {"key_exchange": agreed - began, "login": time.monotonic() - agreed}
    if device.keepalive:
        transport.set_keepalive(int(device.keepalive))


# -- the one place where Paramiko's errors become ours -------------------------------------------------------------


@contextlib.contextmanager
def _translated(device: Device, link: Link) -> Iterator[None]:
    where = f"{device.hostname}:{device.port}"
    speech = "Telnet" if device.transport == "telnet" else "SSH"
    try:
        yield
    except NetsshError:
        raise
    except IncompatiblePeer as error:
        raise AlgorithmMismatch(
            f"{where} and this server do not speak the same SSH",
            device=device.name,
            line=plain(str(error)),
            hint="SSH 2 is needed: enable it on the device (`ip ssh version 2` on Cisco IOS), or upgrade it.",
        ) from error
    except socket.gaierror as error:
        raise Unreachable(
            f"the name {device.hostname!r} does not resolve ({error.strerror})",
            device=device.name,
            retryable=False,
            hint="Correct `hostname` in the inventory, or DNS.",
        ) from error
    except (TimeoutError, OSError, EOFError, paramiko.SSHException, *_GARBLED) as error:
        if link.closed:
            raise ConnectError("the login was broken off", device=device.name) from error
        if hop := link.lost_hop():
            raise Unreachable(
                f"the connection to the jump host {hop} was lost during the login",
                device=device.name,
                hint="Try again: a new connection to the jump host is opened.",
            ) from error
        if link.processes:
            raise Unreachable(
                f"no {speech} session with {where} through the ProxyCommand: "
                f"{link.processes[0].ended() or _reason(error)}",
                device=device.name,
                line=said(error),
                hint="Run `ssh -v` with the same ssh_config by hand: it shows what the program says.",
            ) from error
        raise Unreachable(
            f"no {speech} session with {where}: {_reason(error)}",
            device=device.name,
            line=said(error),
            hint=f"Check that the device is up and that its {speech} port is reachable from here; raise "
            "`connect_timeout` if it is slow.",
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, _GARBLED):
        return f"what it sent cannot be read ({type(error).__name__})"
    if isinstance(error, ConnectionRefusedError):
        return "the port is closed (connection refused)"
    if isinstance(error, TimeoutError) or "Timeout" in str(error) or "timeout" in str(error):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the device closed the connection during the login"
    if isinstance(error, OSError):
        return plain(str(error)) or type(error).__name__
    return f"it does not speak SSH as agreed ({type(error).__name__})"


def said(error: BaseException) -> str:
    """The text of Paramiko's or Netmiko's error, which may quote the peer; the system's own says nothing of it."""
    ours = isinstance(error, (OSError, EOFError)) or "timeout" in str(error).lower()
    return "" if ours else plain(str(error).strip().split("\n")[0])
