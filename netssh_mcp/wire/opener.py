"""From an inventory entry to a connection that is ready for commands. The floor's front door."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence

import paramiko
from netmiko.exceptions import NetmikoBaseException, ReadTimeout

from netssh_mcp.errors import AuthenticationFailed, InputError, NetsshError, PromptNotFound, SessionLost, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.bastions import IDLE, Bastions, Standing
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.credentials import plain
from netssh_mcp.wire.dial import Allowed, anywhere
from netssh_mcp.wire.forget import forget_locals
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.linux import LinuxConnection
from netssh_mcp.wire.network import NetworkConnection
from netssh_mcp.wire.seen import seen
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.transport import Link, connect, said
from netssh_mcp.wire.turn import Connection, Turn

# Paramiko reports from its own threads, with tracebacks; what matters of it comes back as our errors.
for _name in ("paramiko", "netmiko"):
    if logging.getLogger(_name).level == logging.NOTSET:  # else the operator has said what is wanted
        logging.getLogger(_name).setLevel(logging.CRITICAL)


class Opener:
    """Opens connections; those that go the same way share one connection to each jump host on it."""

    def __init__(self, host_keys: HostKeys, *, allowed: Allowed = anywhere, bastion_idle: float = IDLE) -> None:
        """`allowed` is asked about each address right before it is connected to: see `dial.Allowed`."""
        self._host_keys = host_keys
        self._allowed = allowed
        self._breaker = Breaker()
        self._bastions = Bastions(host_keys, allowed=allowed, idle=bastion_idle, breaker=self._breaker)
        # A host's own connection is kept as long as its entry says: `idle_timeout` is the smaller one then.
        self._hosts = Bastions(host_keys, allowed=allowed, idle=math.inf, breaker=self._breaker, ways=self._bastions)

    def __call__(self, hops: Sequence[Device], profile: Profile, *, turn: Turn, byte_limit: int) -> Connection:
        """Log in to the last of `hops` and make it ready: shell, preparation, proven prompt.

        `connect_timeout` of the device bounds TCP connection and login, and once more the preparation. Raises
        ConnectError, AddressDenied or PromptNotFound; nothing is left open then. A cancel breaks it off at any point.
        """
        try:
            return self._opened(hops, profile, turn, byte_limit)
        except BaseException as error:
            forget_locals(error)
            raise

    def _opened(self, hops: Sequence[Device], profile: Profile, turn: Turn, byte_limit: int) -> Connection:
        device = hops[-1]
        if device.transport == "telnet" and profile.driver == "linux":
            raise _only_ssh(device)
        link = Link(self._breaker)
        turn.bind(link.close)
        deadline = time.monotonic() + device.connect_timeout
        device = connect(hops, self._host_keys, deadline, link, self._bastions, allowed=self._allowed)
        kind = LinuxConnection if profile.driver == "linux" else NetworkConnection
        connection: Connection = kind(device, profile, link, byte_limit=byte_limit)
        began = time.monotonic()
        try:
            with _translated(device):
                connection.open(began + device.connect_timeout, turn)
        except BaseException:
            link.close()
            raise
        turn.login = seen(device, link, time.monotonic() - began)
        return connection

    def reach(self, hops: Sequence[Device], *, turn: Turn) -> Link:
        """Log in to the last of `hops`, a jump host, unless that has been done. It stays until the Link is closed."""
        link = Link(self._breaker)
        turn.bind(link.close)
        deadline = time.monotonic() + hops[-1].connect_timeout
        try:
            link.go_through(self._bastions.hold(tuple(hops), link, deadline))
        except BaseException as error:
            forget_locals(error)
            raise
        return link

    def share(self, hops: Sequence[Device], *, turn: Turn) -> Shared:
        """A place on the one connection to the last of `hops`, logged in to unless that has been done.

        Raises as a login does; a cancel of `turn` ends the waiting. InputError where it is reached by telnet.
        """
        if hops[-1].transport == "telnet":
            raise _only_ssh(hops[-1])
        link = Link(self._breaker)
        turn.bind(link.close)
        deadline = time.monotonic() + sum(hop.connect_timeout for hop in hops)
        try:
            bastion = self._hosts.hold(tuple(hops), link, deadline)
            link.go_through(bastion)
        except BaseException as error:
            forget_locals(error)
            raise
        return Shared(bastion, link)

    def expire(self, now: float) -> None:
        """Close shared connections that nobody has used for long enough at `now` (monotonic)."""
        self._hosts.expire(now)
        self._bastions.expire(now)

    def standing(self) -> list[Standing]:
        """The connections that commands, files, shells and forwards of a host share."""
        return self._hosts.standing()

    def look(self, name: str) -> None:
        """Ask the idle ones of a host whether they are still there; a few seconds at most."""
        self._hosts.look(name)

    def retire(self, name: str = "") -> tuple[int, int]:
        """Close those of a host, or of all, and what is kept to jump hosts; how many now, and how many when unused."""
        closed = self._hosts.retire(name)
        self._bastions.retire(name)  # behind the others: they go through these
        return closed

    def close(self) -> None:
        """Close all shared connections."""
        self._hosts.close()
        self._bastions.close()


def _only_ssh(device: Device) -> InputError:
    return InputError(
        "this device is reached by telnet, which carries one terminal and nothing else: no files, no forwards, no "
        "hosts with a shell",
        device=device.name,
        hint="Commands and sessions work. The rest needs SSH on the device, and its entry without `transport: telnet`.",
    )


@contextlib.contextmanager
def _translated(device: Device) -> Iterator[None]:
    """Netmiko's and Paramiko's own exceptions while a session is prepared become ours, most specific first."""
    try:
        yield
    except SessionLost as error:
        raise Unreachable(
            f"logged in, but the session ended at once: {error.message}",
            device=device.name,
            line=error.line,
            partial=error.partial,
            hint="Its sessions may all be in use, or this user may have no shell there.",
        ) from error
    except NetsshError:
        raise
    except paramiko.ChannelException as error:
        raise Unreachable(
            "logged in, but the device refused a shell",
            device=device.name,
            line=plain(error.text),
            hint="Its sessions may all be in use: lower `max_sessions`, or close some there.",
        ) from error
    except paramiko.AuthenticationException as error:  # Netmiko's, of a login dialogue inside the shell
        raise AuthenticationFailed(
            f"login as {device.username!r} refused in the device's own dialogue",
            device=device.name,
            hint="Check this host's username and `password` reference; they are not tried again for a while.",
        ) from error
    except (ReadTimeout, NetmikoBaseException, ValueError) as error:
        raise PromptNotFound(
            f"the session could not be prepared ({type(error).__name__})",
            device=device.name,
            effect="none",
            line=said(error),
            hint="Check the platform in the inventory; the device did not answer as that platform does.",
        ) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"logged in, but no shell was opened ({_kind(error)})",
            device=device.name,
            line=said(error),
            hint="Check that this user may open a shell on the device.",
        ) from error


def _kind(error: Exception) -> str:
    text = plain(str(error)) if isinstance(error, OSError) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
