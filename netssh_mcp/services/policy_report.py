"""`netssh-mcp policy ...`: the policy file checked, a decision explained, an account for the device itself."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netssh_mcp.errors import InputError
from netssh_mcp.guard import device_account as accounts
from netssh_mcp.guard.rules import Rule
from netssh_mcp.guard.wall import PolicySource, Wall, unknown_words
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.model import READS
from netssh_mcp.services.policy_view import VERDICTS, fitting, verdict_rows


def open_wall(settings: Settings) -> Report:
    """The policy of these settings, read now. InputError when it, or the inventory, cannot be used."""
    profiles = Profiles.load(settings.profiles)
    inventory = InventorySource.of(settings, profiles.platforms)
    inventory.current()
    wall = Wall(PolicySource(settings.policy, doubts=fitting(inventory, profiles)))
    wall.source.current()
    return Report(settings.policy, wall, inventory, profiles)


def device_account(profiles: Profiles, platform: str) -> str:
    """A least-privilege account for the device, as text with comments. InputError: no such platform."""
    return accounts.text(profiles.get(platform))


def check_text(result: dict[str, Any]) -> str:
    """What `check` found, for people."""
    ending = [f"warning: {text}" for text in result["warnings"]] or ["no warnings"]
    return "\n".join((f"{result['policy']}: {result['rules']} rules for {result['devices']} devices", *ending))


@dataclass(frozen=True, slots=True)
class Report:
    """A policy and an inventory, read together."""

    path: Path | None
    wall: Wall
    inventory: InventorySource
    profiles: Profiles

    def check(self) -> dict[str, Any]:
        """Counts and warnings. InputError when there is no file."""
        if self.path is None:
            raise InputError(
                "there is no policy file, so reads are allowed on every device and nothing else",
                hint="Give one with --policy or NETSSH_POLICY; docs/policy.md has an example.",
            )
        inventory, rules = self.inventory.current(), self.wall.source.current()
        return {
            "policy": str(self.path),
            "rules": len(rules.rules),
            "devices": len(inventory.devices),
            "warnings": [*self._doubts(self.path)],
            "problem": "\n".join(text for text in (inventory.problem, rules.problem) if text),
        }

    def explain(self, device: str, command: str) -> dict[str, Any]:
        """Why the command would be sent to the device, or not. InputError: no such device."""
        inventory = self.inventory.current()
        found = inventory.device(device)
        (row,) = verdict_rows(self.wall, self.profiles, inventory, [found], command)
        facts = dict(zip(VERDICTS, row, strict=True))
        problem = self.wall.problem
        return {"device": device, "command": command, **facts, "problem": problem}

    def _doubts(self, path: Path) -> Iterator[str]:
        if path.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not path.parent.stat().st_mode & stat.S_ISVTX:
            yield f"{path.parent} can be written by others, who could put another file in its place; chmod go-w it"
        inventory = self.inventory.current()
        for place, text in unknown_words(self.wall.source.current(), inventory, self.profiles.get, sure=False):
            yield f"{place}: {text}"
        scopes = self.wall.scopes(inventory)
        for rule, names in scopes:
            if names is None:
                continue  # among the wall's problems, below
            if not names:
                yield f"{rule.place}: its selector {rule.devices!r} matches no device"
            yield from self._without_effect(rule)
        if self.wall.problem:
            yield from self.wall.problem.splitlines()

    def _without_effect(self, rule: Rule) -> Iterator[str]:
        if beyond := sorted((rule.classes or frozenset()) - READS):
            yield f"{rule.place}: no tool of this version sends {', '.join(beyond)} commands, whatever the rule says"
