"""An authenticated SSH connection: our socket, our host key check, our algorithms."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from netssh_mcp.errors import AlgorithmMismatch, ConnectError, NetsshError, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.credentials import authenticate, plain
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.userauth import Transport

_USER_TIMEOUT = 15_000  # milliseconds that sent bytes may stay unacknowledged before the kernel gives the peer up
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_WEAK_MACS = ("hmac-md5", "hmac-md5-96", "hmac-sha1-96")
_WINDOW = 4 << 20  # bytes a device may send before we acknowledge: 10 MB outputs do not stall on round trips


@dataclass(slots=True)
class Link:
    """What one login has opened, every hop of it. `close` ends all of it, from any thread, without waiting."""

    sockets: list[socket.socket] = field(default_factory=list)
    transports: list[paramiko.Transport] = field(default_factory=list)
    closed: bool = False

    @property
    def transport(self) -> paramiko.Transport:
        """The authenticated connection to the last hop."""
        return self.transports[-1]

    def own(self, sock: socket.socket) -> None:
        """Close this one too."""
        self.sockets.append(sock)
        if self.closed:
            self.close()

    def carry(self, transport: paramiko.Transport) -> None:
        """Close this one too."""
        self.transports.append(transport)
        if self.closed:
            self.close()

    def close(self) -> None:
        """Close everything, nearest hop first: nothing is said to a peer that may not read any more.

        A thread that is blocked in a login gets an error at once; Paramiko's own threads end.
        """
        self.closed = True
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes a connect and a read, which close() alone does not
        for transport in self.transports:
            transport.close()
        for sock in self.sockets:
            sock.close()


def connect(hops: Sequence[Device], host_keys: HostKeys, deadline: float, link: Link) -> None:
    """Log in to the last of `hops` through the ones before it; `link` then holds the connection.

    Raises Unreachable, HostKeyUnknown, HostKeyChanged, AlgorithmMismatch, AuthenticationFailed.
    """
    try:
        for device in hops:
            with _translated(device, link):
                through = (
                    _tunnel(link.transport, device, deadline)
                    if link.transports
                    else _socket(device, deadline, link, _QuickAck if len(hops) > 1 else socket.socket)
                )
                _login(device, through, host_keys, deadline, link)
    except NetsshError:
        link.close()
        raise


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


def _socket(device: Device, deadline: float, link: Link, make: type[socket.socket]) -> socket.socket:
    """A TCP connection to the first address that answers. A cancel reaches it while it is still connecting."""
    found = socket.getaddrinfo(device.hostname, device.port, type=socket.SOCK_STREAM)
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


def _set_options(sock: socket.socket) -> None:
    # Without NODELAY each small write waits for the other side's delayed acknowledgement: 40 ms a command.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT)


def _tunnel(transport: paramiko.Transport, device: Device, deadline: float) -> paramiko.Channel:
    left = max(0.1, deadline - time.monotonic())
    return transport.open_channel("direct-tcpip", (device.hostname, device.port), ("127.0.0.1", 0), timeout=left)


def _login(
    device: Device, through: socket.socket | paramiko.Channel, keys: HostKeys, deadline: float, link: Link
) -> None:
    transport = Transport(through, default_window_size=_WINDOW)
    link.carry(transport)
    transport.daemon = True
    options = transport.get_security_options()
    offered = tuple(options.ciphers)
    options.ciphers = tuple(name for name in _CIPHERS if name in offered) + tuple(
        name for name in offered if name not in _CIPHERS
    )
    options.digests = tuple(name for name in options.digests if name not in _WEAK_MACS)
    options.key_types = _known_first(tuple(options.key_types), keys.known_types(device))
    left = max(0.1, deadline - time.monotonic())
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = left
    transport.start_client(timeout=left)
    keys.verify(device, transport.get_remote_server_key())
    authenticate(device, transport)
    if device.keepalive:
        transport.set_keepalive(int(device.keepalive))


def _known_first(offered: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in known else set()
    wanted |= set(known)
    return tuple(name for name in offered if name in wanted) + tuple(name for name in offered if name not in wanted)


# -- the one place where Paramiko's errors become ours -------------------------------------------------------------


@contextlib.contextmanager
def _translated(device: Device, link: Link) -> Iterator[None]:
    where = f"{device.hostname}:{device.port}"
    try:
        yield
    except NetsshError:
        raise
    except IncompatiblePeer as error:
        raise AlgorithmMismatch(
            f"{where} and this server share no algorithm ({plain(str(error))})",
            device=device.name,
            hint="The device offers only algorithms that are refused by default (SHA-1 key exchange, ssh-rsa). "
            "Generate newer keys on it or upgrade it.",
        ) from error
    except socket.gaierror as error:
        raise Unreachable(
            f"the name {device.hostname!r} does not resolve ({error.strerror})",
            device=device.name,
            retryable=False,
            hint="Correct `hostname` in the inventory, or DNS.",
        ) from error
    except (TimeoutError, OSError, EOFError, paramiko.SSHException) as error:
        if link.closed:
            raise ConnectError("the login was broken off", device=device.name) from error
        raise Unreachable(
            f"no SSH session with {where}: {_reason(error)}",
            device=device.name,
            hint="Check that the device is up and that its SSH port is reachable from here; raise `connect_timeout` "
            "if it is slow.",
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the port is closed (connection refused)"
    if isinstance(error, TimeoutError) or "Timeout" in str(error) or "timeout" in str(error):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the device closed the connection during the login"
    return plain(str(error)) or type(error).__name__
