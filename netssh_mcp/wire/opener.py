"""From an inventory entry to a connection that is ready for commands. The floor's front door."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Sequence

from netssh_mcp.errors import NetsshError, SessionError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.linux import LinuxConnection
from netssh_mcp.wire.network import NetworkConnection
from netssh_mcp.wire.transport import Opening, connect
from netssh_mcp.wire.turn import Connection, Turn

# Paramiko reports from its own threads, with tracebacks; what matters of it comes back as our errors.
for _name in ("paramiko", "netmiko"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def open_connection(
    hops: Sequence[Device], profile: Profile, host_keys: HostKeys, *, turn: Turn, byte_limit: int
) -> Connection:
    """Log in to the last of `hops` and make it ready: shell, preparation, proven prompt.

    `connect_timeout` of the device bounds the TCP connection and login, and once more the preparation.
    Raises ConnectError or PromptNotFound; nothing is left open then.
    """
    device = hops[-1]
    opening = Opening()
    turn.bind(opening.abort)
    transport = connect(hops, host_keys, time.monotonic() + device.connect_timeout, opening)
    kind = LinuxConnection if profile.driver == "linux" else NetworkConnection
    connection: Connection = kind(device, profile, transport, byte_limit=byte_limit)
    try:
        with translated(device):
            connection.open(time.monotonic() + device.connect_timeout, turn)
    except BaseException:
        opening.abort()
        raise
    return connection


class translated:  # noqa: N801  (reads as a word of the with statement)
    """Netmiko's and Paramiko's own exceptions while a driver prepares a session become ours, most specific first."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, NetsshError) or not isinstance(error, Exception):
            return
        raise SessionError(
            f"the session could not be prepared ({type(error).__name__}: {str(error).strip().splitlines()[:1]})",
            device=self.device.name,
            effect="none",
            hint="Check the platform in the inventory; the device did not answer as that platform does.",
        ) from error


def warm() -> None:
    """Import what the first connection will need; called from a background thread after the server has started."""
    for name in ("paramiko", "netmiko", "netssh_mcp.wire.drivers"):
        importlib.import_module(name)
