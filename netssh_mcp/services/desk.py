"""What every service that acts on a device works with, and the one way from an action to a Grant on record."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from netssh_mcp.errors import NetsshError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.guard.policy import Grant
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.guard.wall import Wall
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.model import CommandClass
from netssh_mcp.services.jobs import Jobs
from netssh_mcp.services.outputs import Outputs
from netssh_mcp.services.shown import Shown
from netssh_mcp.services.transcripts import Transcripts
from netssh_mcp.sessions.pool import Pool


@dataclass(frozen=True, slots=True)
class Place:
    """One device of the inventory as it is now, with what is known of its platform and the way to it."""

    inventory: Inventory
    device: Device
    profile: Profile

    @property
    def hops(self) -> tuple[Device, ...]:
        """The way, the device itself last."""
        return self.inventory.way(self.device)

    @property
    def linux(self) -> bool:
        """Whether it is a host with a shell, files and channels, and not a network device."""
        return self.profile.driver == "linux"


@dataclass(slots=True)
class Recorded:
    """What the outcome on record says of an action: bytes that came or went."""

    decision: str
    received: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """Shared by the services of one App."""

    settings: Settings
    inventory: InventorySource
    profiles: Profiles
    pool: Pool
    wall: Wall
    audit: Audit
    redactor: Redactor
    shown: Shown
    outputs: Outputs
    jobs: Jobs
    transcripts: Transcripts

    def place(self, name: str) -> Place:
        """The one device called `name`; InputError with the nearest names."""
        inventory = self.inventory.current()
        return self.placed(inventory, inventory.device(name))

    def placed(self, inventory: Inventory, device: Device) -> Place:
        """The device of this version of the inventory."""
        return Place(inventory, device, self.profiles.get(device.platform))

    def permit(self, place: Place, words: tuple[str, ...], kind: CommandClass) -> Grant:
        """Leave for an action, counted; a refusal is on record. CommandDenied."""
        try:
            grant = self.wall.decide_action(place.inventory, place.device, place.profile, words, kind)
            self.wall.count(grant)
        except NetsshError as error:
            self.refused(place.device.name, " ".join(words), error)
            raise
        return grant

    def refused(self, device: str, command: str, error: NetsshError) -> None:
        """Put a refusal on record."""
        self.audit.record_decision(
            device=device,
            command=self.shown.line(command)[:500],
            command_class="",
            verdict="deny",
            rule=self.shown.line(error.message)[:300],
        )

    def allowed(self, grant: Grant, **more: str) -> str:
        """Put a permission on record, before anything else happens. Returns the decision's id. AuditError."""
        return self.audit.record_decision(
            device=grant.device.name,
            command=self.shown.line(grant.line, grant.profile),
            command_class=grant.command_class,
            verdict="allow",
            rule=grant.rule,
            **more,
        )

    @asynccontextmanager
    async def recorded(self, grant: Grant, **more: str) -> AsyncIterator[Recorded]:
        """The decision before the block, its outcome behind it; errors pass."""
        record = Recorded(self.allowed(grant, **more))
        began = time.monotonic()
        try:
            with self.jobs.call(grant.device.name, self.shown.line(grant.line, grant.profile)):
                yield record
        except BaseException as error:
            self.audit.record_outcome(
                record.decision,
                outcome="error",
                received=record.received,
                seconds=time.monotonic() - began,
                error=error.kind if isinstance(error, NetsshError) else "interrupted",
            )
            raise
        self.audit.record_outcome(
            record.decision, outcome="ok", received=record.received, seconds=time.monotonic() - began
        )
