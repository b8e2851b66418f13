"""Simulated devices whose credentials are the canaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netssh_mcp.lab.device import DeviceSpec
from tests.devices.house import _secret
from tests.secrets.canaries import CANARIES, PURPOSES, Canary


def spec(canary: Canary, **more: Any) -> DeviceSpec:
    given = {"password": canary.of("password"), "enable": canary.of("enable"), **more}
    return DeviceSpec(f"r{canary.number:02}", "cisco_ios", **given)


def secrets_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Inventory keys of every device: its secrets, those that are never needed too."""
    return {
        f"r{canary.number:02}": {
            key: _secret(folder, f"{canary.number}.{purpose}", canary.of(purpose))
            for key, purpose in zip(("password", "enable", "key_passphrase", "sudo"), PURPOSES, strict=True)
        }
        for canary in CANARIES
    }
