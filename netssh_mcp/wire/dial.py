"""The first socket of a way: to an address that is allowed, or to the operator's ProxyCommand."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol

from netssh_mcp.errors import AddressDenied
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.proxy_command import ProxyProcess

_USER_TIMEOUT = 15_000  # milliseconds that sent bytes may stay unacknowledged before the kernel gives the peer up

Allowed = Callable[[Device, str], bool]
"""Whether a connection to this address may be made for the device; asked right before it is made, in a worker thread.

For a socket of ours the address is the numeric one that its name has just resolved to, one question per address, so
that no change of a DNS record gets around the rule. For the target of a tunnel, and behind a ProxyCommand, it is the
`hostname` as it is written: a name is then resolved by the jump host, and what the rule does not know as an address
it should refuse.
"""


def anywhere(_device: Device, _address: str) -> bool:
    """Every address is allowed: the default."""
    return True


class Owner(Protocol):
    """Who closes the sockets: a `Link`."""

    sockets: list[socket.socket]
    closed: bool

    def own(self, sock: socket.socket) -> None:
        """Close this one too."""

    def own_process(self, process: ProxyProcess) -> None:
        """End this one too."""


class _QuickAck(socket.socket):
    """Acknowledges at once what it receives.

    A jump host's sshd leaves Nagle's algorithm on for a connection that only tunnels, so each small answer would wait
    for our delayed acknowledgement: 43 ms a command, measured. The kernel forgets the option, so each read renews it.
    """

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(bufsize, flags)
        if data and hasattr(socket, "TCP_QUICKACK"):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def dial(device: Device, deadline: float, link: Owner, allowed: Allowed, *, small: bool) -> socket.socket:
    """A connected socket that `link` closes; `small` says that many small answers come from there.

    Raises OSError, AddressDenied.
    """
    if device.proxy_command is None:
        return _connected(device, deadline, link, allowed, _QuickAck if small else socket.socket)
    if not allowed(device, device.hostname):
        raise denied(device, device.hostname)
    process = ProxyProcess(device.proxy_command)
    link.own_process(process)
    link.own(process.socket)
    return process.socket


def denied(device: Device, addresses: str) -> AddressDenied:
    """The error of an address that is not allowed."""
    return AddressDenied(
        f"the operator's rules allow no connection to {addresses}",
        device=device.name,
        hint="Nothing was sent there. Correct `hostname` in the inventory, or the rules.",
    )


def _connected(
    device: Device, deadline: float, link: Owner, allowed: Allowed, make: type[socket.socket]
) -> socket.socket:
    """A TCP connection to the first address that answers. A cancel reaches it while it is still connecting."""
    resolved = socket.getaddrinfo(device.hostname, device.port, type=socket.SOCK_STREAM)
    found = [each for each in resolved if allowed(device, str(each[4][0]))]
    if not found:
        raise denied(device, ", ".join(dict.fromkeys(str(each[4][0]) for each in resolved)))
    failure: OSError = TimeoutError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = make(family, kind, protocol)
        link.own(sock)
        try:
            sock.settimeout(max(0.1, (deadline - time.monotonic()) / (len(found) - number)))
            sock.connect(address)
        except OSError as error:
            failure = error
            sock.close()
            link.sockets.remove(sock)
            if link.closed:
                break
        else:
            _set_options(sock)
            return sock
    raise failure


def signs_of_life(sock: socket.socket, seconds: float) -> None:
    """TCP asks a silent peer after so many seconds, and gives it up when it does not answer; 0 leaves it alone."""
    if seconds and hasattr(socket, "TCP_KEEPIDLE"):
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, max(1, int(min(seconds, 32_767))))


def _set_options(sock: socket.socket) -> None:
    # Without NODELAY each small write waits for the other side's delayed acknowledgement: 40 ms a command.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)
