"""Every open session and terminal as rows, for `session(action="list")` and `list_devices(view="sessions")`."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from netssh_mcp.knowledge.untrusted import visible
from netssh_mcp.services.shown import Shown
from netssh_mcp.sessions.named import Named
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.sessions.session import Session

if TYPE_CHECKING:
    from netssh_mcp.wire.bastions import Standing

COLUMNS: Final = (
    *("session", "device", "name", "user", "platform", "state", "mode", "cwd", "up", "idle", "commands", "last"),
    *("forwards", "recording", "via", "uses"),
)
CONNECTION: Final = "connection"  # what a host's shared connection is called
_LAST: Final = 200  # characters of the last command
_PLAIN: Final = re.compile(r"[\w./@+~-]{0,200}", re.ASCII)


class Terminals(Protocol):
    """The open shells."""

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """id, device, user, platform, uptime, idle, last, state of each."""


class Tunnels(Protocol):
    """The open forwards."""

    def count(self, device: str) -> int:
        """Those of a device."""


class Recordings(Protocol):
    """What is being recorded."""

    def recording(self, key: str) -> bool:
        """Whether this session is."""


def transcript_key(device: str, name: str) -> str:
    """Under which a named session is recorded."""
    return f"{device}/{name}"


class Listing:
    """Reads only what this process knows. Secrets are taken out of what was typed last, and of directories."""

    def __init__(
        self,
        pool: Pool,
        shown: Shown | None = None,
        shells: Terminals | None = None,
        forwards: Tunnels | None = None,
        recordings: Recordings | None = None,
    ) -> None:
        self._pool, self._shown = pool, shown
        self._shells, self._forwards, self._recordings = shells, forwards, recordings

    def rows(self, devices: Collection[str] | None = None, *, fenced: bool) -> list[list[object]]:
        """Cells in the order of COLUMNS; of these devices, or all. `cwd` is the host's text: whole only where `fenced`.

        States: busy, idle, lost (the link is gone, or did not answer), expired; of shells open and ended.
        """
        found = [self._pooled(session, busy=busy) for session, busy in self._pool.sessions()]
        found += [self._named(kept, fenced=fenced) for kept in self._pool.named.rows()]
        found += [self._shell(row) for row in (self._shells.rows() if self._shells is not None else ())]
        found += [self._connection(standing) for standing in self._pool.connections()]
        return [[row.get(column) for column in COLUMNS] for row in found if devices is None or row["device"] in devices]

    def _pooled(self, session: Session, *, busy: bool) -> dict[str, object]:
        return {**self._session(session, busy=busy), "name": "", "cwd": "", "recording": False}

    def _named(self, kept: Named, *, fenced: bool) -> dict[str, object]:
        device, cwd = kept.device, self._text(kept.cwd)
        row: dict[str, object] = {
            "session": None,
            "device": device.name,
            "user": device.username,
            "platform": device.platform,
            "state": kept.ended or ("busy" if kept.busy else "idle"),
            "mode": kept.mode,
            "up": None,
            "idle": None,
            "commands": None,
            "last": self._text(kept.last_command),
            "forwards": self._count(device.name),
            "via": list(device.jump),
        }
        if kept.session is not None:
            kept.note()
            row |= self._session(kept.session, busy=kept.busy)
            cwd = self._text(kept.cwd)
        row["cwd"] = cwd if fenced or _PLAIN.fullmatch(cwd) else "(session(action='list') shows it)"
        key = transcript_key(device.name, kept.name)
        recording = self._recordings is not None and self._recordings.recording(key)
        return {**row, "name": kept.name, "recording": recording}

    def _session(self, session: Session, *, busy: bool) -> dict[str, object]:
        now, device = time.monotonic(), session.device
        alive = session.connection.alive and not session.silent
        return {
            "session": session.number,
            "device": device.name,
            "user": device.username,
            "platform": device.platform,
            "state": "busy" if busy and session.connection.alive else "idle" if alive else "lost",
            "mode": session.connection.mode,
            "up": round(now - session.opened_at, 1),
            "idle": 0.0 if busy else round(now - session.used_at, 1),
            "commands": session.commands_run,
            "last": self._text(session.last_command),
            "forwards": self._count(device.name),
            "via": list(device.jump),
        }

    def _shell(self, row: Mapping[str, Any]) -> dict[str, object]:
        shell_id, device = str(row["id"]), str(row["device"])
        return {
            "session": None,
            "device": device,
            "name": shell_id,
            "user": row.get("user", ""),
            "platform": row.get("platform", ""),
            "state": row.get("state", "open"),
            "mode": "terminal",
            "cwd": "",
            "up": row.get("uptime"),
            "idle": row.get("idle"),
            "commands": None,
            "last": row.get("last", ""),
            "forwards": self._count(device),
            "recording": self._recordings is not None and self._recordings.recording(shell_id),
            "via": [],
        }

    def _connection(self, standing: Standing) -> dict[str, object]:
        """What the single commands, files, shells, sessions and forwards of a host go over; `uses` counts them."""
        now, device = time.monotonic(), standing.device
        return {
            "session": CONNECTION,
            "device": device.name,
            "name": CONNECTION,
            "user": device.username,
            "platform": device.platform,
            "state": "lost" if not standing.alive else "busy" if standing.users else "idle",
            "mode": "shared",
            "cwd": "",
            "up": round(now - standing.since, 1),
            "idle": 0.0 if standing.users else round(now - standing.idle_since, 1),
            "commands": None,
            "last": "",
            "forwards": self._count(device.name),
            "recording": False,
            "via": list(device.jump),
            "uses": standing.users,
        }

    def _count(self, device: str) -> int:
        return self._forwards.count(device) if self._forwards is not None else 0

    def _text(self, text: str) -> str:
        shown = self._shown.line(text) if self._shown is not None and text else text
        return visible(shown if len(shown) <= _LAST else f"{shown[:_LAST]}...")
