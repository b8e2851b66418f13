"""The `session` service: sessions that are kept by name. Running commands in them is `run`'s."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.services.desk import Desk, Place
from netssh_mcp.services.given import fitting
from netssh_mcp.services.listing import COLUMNS, CONNECTION, Listing, Terminals, Tunnels, transcript_key
from netssh_mcp.services.recordings import Recordings, Screen
from netssh_mcp.sessions.named import Named
from netssh_mcp.wire.turn import Turn

ACTIONS: Final = ("open", "list", "close", "close_all", "record", "stop", "transcript")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:#\-]{0,63}")
_STRANGE: Final = re.compile(r"[^A-Za-z0-9._@:\-]")
_SCREEN: Final = 120, 40  # columns and lines for the player: a kept session has no terminal
_STYLE: Final = re.compile(r"(?P<user>[^@\s]+)@(?P<host>\[[^\]\s]+\]|[^:\s]+)(?::(?P<port>\d{1,5}))?")


class Shells(Terminals, Protocol):
    """The terminals, which `close` and `close_all` reach too."""

    async def act(self, action: str, *, device: str = "", shell_id: str = "") -> dict[str, Any]:
        """What the `shell` tool does."""

    def recordable(self, shell_id: str) -> Screen:
        """What a transcript of it needs."""


class Forwards(Tunnels, Protocol):
    """The port forwards, which `close_all` reaches too."""

    async def close_all(self, device: str = "", reason: str = "closed") -> int:
        """How many were open."""


class Sessions:
    """The `session` service."""

    def __init__(self, desk: Desk, shells: Shells | None = None, forwards: Forwards | None = None) -> None:
        self._desk = desk
        self._shells, self._forwards = shells, forwards
        self._recordings = Recordings(desk)
        self.listing = Listing(desk.pool, desk.shown, shells, forwards, desk.transcripts)

    async def act(self, action: str, device: str = "", name: str = "", form: str = "text") -> dict[str, Any]:
        """What the `session` tool does. InputError, CommandDenied, AuditError; errors of a login."""
        if action not in ACTIONS:
            raise InputError(f"no action {action[:30]!r}; {did_you_mean(action, ACTIONS)}")
        fitting("session", action, device=device, name=name, format=form)
        if name and not NAME.fullmatch(name):
            raise InputError(
                f"{name[:40]!r} is no name for a session",
                hint="Letters, digits and ._@:#- , at most 64, beginning with a letter or a digit.",
            )
        if action == "open":
            return await self._open(device, name)
        if action == "list":
            return await self._list(device)
        if action == "close":
            return await self._close(device, name)
        if action == "close_all":
            return await self._close_all(device)
        key, screen = self._recorded(device, name)
        if action == "transcript":
            return await self._recordings.fetch(key, form)
        return self._recordings.stop(key) if action == "stop" else self._recordings.start(key, screen)

    def _recorded(self, device: str, name: str) -> tuple[str, Screen | None]:
        """Under which key a session or terminal is recorded, and what it shows its text on; None: it is not open."""
        if not name:
            raise InputError("which session? `name` is empty", hint="session(action='list') shows them.")
        if self._shells is not None and any(row["id"] == name for row in self._shells.rows()):
            return name, self._shells.recordable(name)
        if device and self._desk.pool.named.find(self._place(device).device.name, name) is None:
            return transcript_key(self._place(device).device.name, name), None
        if not device and all(kept.name != name for kept in self._desk.pool.named.rows()):
            return name, None
        kept = self._kept(device, name)
        profile = self._desk.place(kept.device.name).profile
        return transcript_key(kept.device.name, kept.name), (profile, *_SCREEN)

    # -- open ----------------------------------------------------------------------------------------------------

    async def _open(self, device: str, name: str) -> dict[str, Any]:
        if not device:
            raise InputError("which device? `device` is empty", hint="list_devices shows the names.")
        place = self._place(device)
        name = name or self._free_name(place)
        grant = self._desk.permit(place, ("session", "open", name), "read")
        async with (
            self._desk.recorded(grant, kept_session=name),
            self._desk.pool.lease_named(place.hops, place.profile, name, Turn()) as lease,
        ):
            session = lease.session
            return {
                "action": "open",
                "session": name,
                "device": place.device.name,
                "platform": place.profile.name,
                "username": place.device.username,
                "state": "idle",
                "mode": session.connection.mode,
                "cwd": self._desk.shown.line(session.cwd, place.profile),
                "reconnected": lease.reconnected,
                "lost": list(lease.lost),
                "next": f"run(targets='{place.device.name}', session='{name}', commands=[...]) uses it; "
                f"session(action='close', device='{place.device.name}', name='{name}') closes it.",
            }

    def _place(self, name: str) -> Place:
        """By its name, or as `user@host:port` where that is exactly one entry of the inventory."""
        inventory = self._desk.inventory.current()
        if name not in inventory.devices and (style := _STYLE.fullmatch(name)):
            found = _fitting(inventory, style["user"], style["host"].removeprefix("[").removesuffix("]"), style["port"])
            if len(found) == 1:
                return self._desk.placed(inventory, found[0])
            if found:
                names = ", ".join(device.name for device in found)
                raise InputError(f"{name[:80]!r} fits {names}", hint="Give the name of one of them.")
        return self._desk.place(name)

    def _free_name(self, place: Place) -> str:
        """`user@host:port`, and `#2` for the second one."""
        device = place.device
        base = _STRANGE.sub("_", f"{device.username or 'user'}@{device.hostname}:{device.port}")[:56]
        base = base if base[0].isalnum() else f"s{base}"
        taken = {kept.name for kept in self._desk.pool.named.rows() if kept.device.name == device.name}
        number = next(number for number in range(1, len(taken) + 2) if _numbered(base, number) not in taken)
        return _numbered(base, number)

    # -- list ----------------------------------------------------------------------------------------------------

    async def _list(self, device: str) -> dict[str, Any]:
        """Idle sessions are asked whether they are still there, all at once, which takes three seconds at most."""
        only = {self._place(device).device.name} if device else None
        await self._desk.pool.look()
        await self._desk.pool.look_at_connections()
        rows = self.listing.rows(only, fenced=True)
        return {
            "action": "list",
            "count": len(rows),
            "sessions": {"columns": list(COLUMNS), "rows": rows},
            "next": "A lost or expired one is opened anew by its next command, which says so." if rows else "",
        }

    # -- close ---------------------------------------------------------------------------------------------------

    async def _close(self, device: str, name: str) -> dict[str, Any]:
        if not name:
            raise InputError("which session? `name` is empty", hint="session(action='list') shows them.")
        if self._shells is not None and any(row["id"] == name for row in self._shells.rows()):
            return {"action": "close", **await self._shells.act("close", shell_id=name)}
        if name == CONNECTION and self._is_connection(device):
            return self._close_connection(self._place(device).device.name)
        kept = self._kept(device, name)
        busy = kept.busy
        self._end(kept)
        return {
            "action": "close",
            "session": kept.name,
            "device": kept.device.name,
            "state": "closed",
            "note": "A command was under way in it and is being killed; its row says what came of it." if busy else "",
            "next": "",
        }

    def _is_connection(self, device: str) -> bool:
        """Whether the name is that of a host's shared connection: no session has it."""
        if device:
            return self._desk.pool.named.find(self._place(device).device.name, CONNECTION) is None
        if all(kept.name != CONNECTION for kept in self._desk.pool.named.rows()):
            raise InputError("which host's connection? `device` is empty", hint="session(action='list') shows them.")
        return False

    def _close_connection(self, device: str) -> dict[str, Any]:
        closed, used = self._desk.pool.close_connections(device)
        if not closed + used:
            raise InputError(
                f"there is no shared connection to {device}", hint="session(action='list') shows what is open."
            )
        return {
            "action": "close",
            "session": CONNECTION,
            "device": device,
            "state": "closed" if not used else "busy",
            "note": "It closes when what uses it has ended; what is new gets a new connection." if used else "",
            "next": "",
        }

    def _kept(self, device: str, name: str) -> Named:
        where = self._place(device).device.name if device else ""
        every = self._desk.pool.named.rows()
        found = [kept for kept in every if kept.name == name and where in ("", kept.device.name)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(kept.device.name for kept in found)
            raise InputError(f"there is a session {name!r} on {names}", hint="Give `device`, too.")
        known = sorted({kept.name for kept in every if where in ("", kept.device.name)})
        raise InputError(
            f"there is no session {name!r}{f' on {where}' if where else ''}; {did_you_mean(name, known)}",
            hint="session(action='list') shows them.",
        )

    def _end(self, kept: Named) -> None:
        self._desk.transcripts.ended(transcript_key(kept.device.name, kept.name))
        self._desk.audit.record_event("session_closed", device=kept.device.name, kept_session=kept.name)
        self._desk.pool.named.close(kept)

    async def _close_all(self, device: str) -> dict[str, Any]:
        """Named sessions, terminals and forwards, and idle sessions that nobody named; of one device or of all."""
        only = self._place(device).device.name if device else ""
        kept = [item for item in self._desk.pool.named.rows() if only in ("", item.device.name)]
        for item in kept:
            self._end(item)
        shells = [row for row in self._shells.rows() if only in ("", row["device"])] if self._shells is not None else []
        for row in shells:
            if self._shells is not None:
                await self._shells.act("close", shell_id=row["id"])
        forwards = await self._forwards.close_all(only, "closed with all sessions") if self._forwards is not None else 0
        idle = self._desk.pool.close_idle(only)
        connections, used = self._desk.pool.close_connections(only)
        return {
            "action": "close_all",
            "named": len(kept),
            "shells": len(shells),
            "forwards": forwards,
            "idle": idle,
            "connections": connections + used,
            "note": "Commands that run outside of named sessions go on; job(action='cancel') stops them. A connection "
            "that they use closes behind them.",
            "next": "",
        }


def _fitting(inventory: Inventory, user: str, host: str, port: str | None) -> list[Device]:
    return [
        device
        for device in inventory.devices.values()
        if device.username == user and host in (device.hostname, device.name) and port in (None, str(device.port))
    ]


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}#{number}"
