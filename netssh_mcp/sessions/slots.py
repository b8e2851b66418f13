"""The sessions of one network device: idle, busy, and held by somebody for more than one command."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from netssh_mcp.errors import ConnectError, InputError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.sessions.session import Session


@dataclass(slots=True, eq=False)
class Held:
    """A session that somebody keeps for more than one command, or is about to open. `holder` names it for people."""

    holder: str
    session: Session | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """The sessions of one device, as one version of the inventory has it."""

    hops: tuple[Device, ...]
    room: anyio.Semaphore
    login: anyio.Lock = field(default_factory=anyio.Lock)
    idle: list[Session] = field(default_factory=list)
    busy: set[Session] = field(default_factory=set)
    held: list[Held] = field(default_factory=list)  # each has a place of `room` for as long as it is open
    visits: int = 0  # logins without a shell, for one file each
    lost: bool = False  # a session of this device ended unasked since the last login
    retired: bool = False  # the inventory has another entry now: what comes back is closed

    @property
    def logins(self) -> int:
        """How many sessions of it are open."""
        held = sum(held.session is not None for held in self.held)
        return len(self.idle) + len(self.busy) + held + self.visits

    def retire(self) -> None:
        """Use none of its sessions again; those that are held stay with their holders."""
        self.retired = True
        while self.idle:
            self.idle.pop().close()


def _holders(slot: Slot) -> str:
    return ", ".join(held.holder for held in slot.held)


def all_held(slot: Slot) -> ConnectError:
    """The error of a command that nobody has a session for."""
    device = slot.hops[-1]
    return ConnectError(
        f"no session is free: {_holders(slot)} has all that `max_sessions` ({device.max_sessions}) allows",
        device=device.name,
        hint="Run it in that session (run(session=...)), close it (session(action='close'), shell(action='close')), or "
        "raise `max_sessions` of this device in the inventory if it has more lines.",
    )


def too_many_held(slot: Slot, holder: str) -> InputError:
    """The error of one more that would keep a session."""
    device = slot.hops[-1]
    return InputError(
        f"{holder} is not opened: {_holders(slot)} already have what may be kept of `max_sessions` "
        f"({device.max_sessions}) on this device",
        device=device.name,
        hint="Use or close one of them: session(action='list') shows them. One session stays free for other commands; "
        "raise `max_sessions` in the inventory if the device has more lines.",
    )
