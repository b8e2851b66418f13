"""The whole house below MCP, opened on simulated devices: inventory, known_hosts, audit, services."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from netssh_mcp.knowledge.settings import Settings
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork
from netssh_mcp.services.app import App, open_app

PASSWORD_VARIABLE = "NETSSH_TEST_PASSWORD"


def write_inventory(
    ports: Mapping[str, int], specs: Iterable[DeviceSpec], folder: Path, **more: Mapping[str, Any]
) -> Path:
    """An inventory of simulated devices, secrets in files; `more` are further keys per host."""
    hosts: dict[str, Any] = {}
    for spec in specs:
        hosts[spec.name] = {
            "hostname": "127.0.0.1",
            "port": ports[spec.name],
            "platform": spec.platform,
            "username": spec.username,
            "password": _secret(folder, f"{spec.name}.password", spec.password),
            **({"enable": _secret(folder, f"{spec.name}.enable", spec.enable)} if spec.enable else {}),
            **more.get(spec.name, {}),
        }
    path = folder / "inventory.yaml"
    path.write_text(yaml.safe_dump({"hosts": hosts}, sort_keys=False))
    return path


def _secret(folder: Path, name: str, value: str) -> str:
    path = folder / name
    path.write_text(value)
    path.chmod(0o600)
    return f"file:{path}"


def settings(folder: Path, inventory: Path, **more: Any) -> Settings:
    """Settings that keep everything in `folder` and learn host keys there."""
    given = {
        "inventory": (str(inventory),),
        "known_hosts": (str(folder / "known_hosts"),),
        "audit": str(folder / "audit.jsonl"),
        "spill": str(folder / "outputs"),
        "host_keys": "tofu",
        **more,
    }
    return Settings.resolve(given, {"HOME": str(folder)})


@asynccontextmanager
async def opened(
    network: RunningNetwork, specs: Iterable[DeviceSpec], folder: Path, **more: Mapping[str, Any]
) -> AsyncIterator[App]:
    """The services on these devices."""
    async with open_app(settings(folder, write_inventory(network.ports, specs, folder, **more))) as app:
        yield app


def audit_records(folder: Path) -> list[dict[str, Any]]:
    """What the audit file holds."""
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
