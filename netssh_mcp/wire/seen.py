"""What a login has shown of the other side, for the answer to "does it work?"."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.handshake import Handshake
from netssh_mcp.wire.hostkeys import Shown
from netssh_mcp.wire.transport import Link


@dataclass(frozen=True, slots=True)
class Seen:
    """`host_key` is type and fingerprint, `verdict` why it is trusted, `method` what let us in. `seconds` per phase."""

    address: str
    host_key: str
    verdict: str
    method: str
    seconds: Mapping[str, float] = field(default_factory=dict)


def seen(device: Device, link: Link, prompt: float) -> Seen:
    """Of the connection that `link` holds, whose prompt took so many seconds more."""
    if link.telnet is not None:
        seconds = {"login": link.entered_in, "prompt": prompt}
        return Seen(
            _address(device, link), "", "none: telnet has no host keys", f"{link.entered_by} by telnet", seconds
        )
    transport = link.transport
    assert isinstance(transport, Handshake)
    return Seen(
        address=_address(device, link),
        host_key=Shown.of(transport.host_key_blob).mark,
        verdict=transport.verdict,
        method=transport.entered_by,
        seconds={**transport.seconds, "prompt": prompt},
    )


def _address(device: Device, link: Link) -> str:
    """As it was connected to; behind a jump host, as that host was asked for it."""
    if link.via is None and link.sockets:
        with contextlib.suppress(OSError):
            peer = link.sockets[-1].getpeername()
            if link.sockets[-1].family in (socket.AF_INET, socket.AF_INET6):
                return str(peer[0])
    return device.hostname
