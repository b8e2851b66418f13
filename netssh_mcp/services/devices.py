"""What can be asked: the inventory, its groups, the platforms, open sessions, and what the policy says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from netssh_mcp.errors import InputError
from netssh_mcp.guard.wall import Wall
from netssh_mcp.knowledge.inventory import Device, InventorySource
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.services import policy_view
from netssh_mcp.services.listing import COLUMNS, Listing
from netssh_mcp.sessions.pool import Pool

_VIEWS = ("devices", "groups", "platforms", "sessions", "policy")

Cells = list[object]
Sheet = tuple[list[str], list[Cells]]


def _cells() -> list[Cells]:
    return []


class Devices:
    """The `list_devices` service; reads only what this process knows."""

    def __init__(
        self,
        inventory: InventorySource,
        profiles: Profiles,
        pool: Pool,
        wall: Wall,
        listing: Callable[[], Listing] | None = None,
    ) -> None:
        self._inventory = inventory
        self._profiles = profiles
        self._listing = listing or partial(Listing, pool)
        self._wall = wall

    def list(self, targets: str = "", view: str = "devices", command: str = "") -> dict[str, Any]:
        """Rows in column form; `targets` narrows devices, sessions and policy. Raises InputError.

        `command`, with the view "policy" only, is judged for each device instead; nothing is sent.
        """
        if view not in _VIEWS:
            raise InputError(f"no view {view!r}; {did_you_mean(view, _VIEWS)}")
        if command and view != "policy":
            raise InputError("`command` is for the view 'policy'", hint="Leave it out, or ask view='policy'.")
        if view == "platforms":
            return self._platforms()
        inventory = self._inventory.current()
        chosen = inventory.select(targets) if targets.strip() else tuple(inventory.devices.values())
        rows, problems = _cells(), [inventory.problem]
        if view == "policy" and command:
            columns = [*policy_view.VERDICTS]
            rows = policy_view.verdict_rows(self._wall, self._profiles, inventory, chosen, command)
        elif view == "policy":
            columns = [*policy_view.TERMS]
            rows = policy_view.terms_rows(self._wall, inventory, chosen)
        elif view == "groups":
            columns = ["group", "devices"]
            rows += ([name, [*members]] for name, members in inventory.groups.items())
        elif view == "sessions":
            columns, rows = self._sessions({device.name for device in chosen} if targets.strip() else None)
        else:
            columns = ["device", "platform", "hostname", "port", "username", "groups", "data", "login_writes"]
            rows = [self._row(device) for device in chosen]
        if view == "policy":
            problems.append(self._wall.problem)
        problem = "\n".join(text for text in problems if text)
        return {"view": view, "columns": columns, "rows": rows, "problem": problem, "next": ""}

    def _row(self, device: Device) -> Cells:
        profile = self._profiles.get(device.platform)
        return [
            device.name,
            device.platform,
            device.hostname,
            device.port,
            device.username,
            list(device.groups),
            dict(device.data),
            profile.login_writes,
        ]

    def _sessions(self, names: set[str] | None) -> Sheet:
        """Of these devices, or all: also of targets that are in no inventory."""
        return list(COLUMNS), self._listing().rows(names, fenced=False)

    def _platforms(self) -> dict[str, Any]:
        found = self._profiles.rows()
        columns = list(found[0])
        rows = [list(row.values()) for row in found if row["origin"] != "netmiko"]
        others = len(found) - len(rows)
        more = f"{others} more device types of Netmiko work without a profile: `netssh-mcp platforms` lists them."
        return {"view": "platforms", "columns": columns, "rows": rows, "problem": "", "next": more}
