"""A place on the one connection to a host that single commands, files, shells and forwards share as channels.

Network devices have few lines and one shell per login, so this is for Linux hosts; sshd's MaxSessions (10) limits it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import paramiko

from netssh_mcp.errors import NothingSent, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.credentials import plain
from netssh_mcp.wire.transport import Link

if TYPE_CHECKING:
    from netssh_mcp.wire.bastions import Bastion

_LONGEST = 15.0  # seconds of which half is waited for an answer, as long as three


class Shared:
    """Blocking; every method may be called from any thread. Whoever got it closes it."""

    def __init__(self, bastion: Bastion, link: Link) -> None:
        self.device: Device = bastion.device
        self.sudo = bastion.sudo  # the passwords that hosts have refused
        self._bastion = bastion
        self._link = link

    @property
    def transport(self) -> paramiko.Transport:
        """The authenticated connection, which others use too: never close it."""
        return self._bastion.link.transport

    @property
    def alive(self) -> bool:
        """Whether it is up as far as this side can know."""
        return self._bastion.alive and not self._link.closed

    def tell_loss(self) -> bool:
        """Whether the connection before this one was lost; said once."""
        told, self._bastion.after_loss = self._bastion.after_loss, False
        return told

    def answers(self) -> bool:
        """Whether the host still answers; within seconds, and not asked again for some."""
        return self.alive and self._bastion.answers(time.monotonic() + _LONGEST)

    def channel(self, deadline: float, *, window: int | None = None) -> paramiko.Channel:
        """A session channel. Unreachable when the host has no room for one, NothingSent when the connection is gone.

        `window`: bytes that the host may send ahead of who reads; 2 MiB where none is given.
        """
        try:
            return self.transport.open_session(window_size=window, timeout=max(0.1, deadline - time.monotonic()))
        except paramiko.ChannelException as error:
            raise Unreachable(
                "logged in, but the host opens no further session on this connection",
                device=self.device.name,
                line=plain(error.text),
                hint="Its sshd allows MaxSessions per connection (10 unless set). Close shells and named sessions "
                "(`session(action='list')`), or raise it there.",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self.lost() from error

    def lost(self) -> NothingSent:
        """The error of a connection that is gone, before anything was sent on it."""
        return NothingSent(
            "the connection to the host was lost",
            device=self.device.name,
            hint="Run it again: a new connection is opened.",
        )

    def close(self, *, keep: bool = True) -> None:
        """Leave the connection to the others; the last one leaves it idle, or ends it where it is not to be kept."""
        if not keep:
            self._bastion.retired = True  # nobody new gets it
        self._link.close()


Share = Callable[[], Shared]
