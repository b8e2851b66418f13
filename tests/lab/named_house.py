"""The services on one real host of a test's own, whose sessions are kept by name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from netssh_mcp.services.app import App, open_app
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn
from tests.devices.house import settings
from tests.lab.own_sshd import OwnSshd, own_sshd
from tests.lab.reallab import RealLab

EVERYTHING = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"


class House:
    """`run` gives the rows of commands in the session "work"."""

    def __init__(self, app: App, sshd: OwnSshd) -> None:
        self.app, self.sshd = app, sshd

    async def run(self, *commands: str, session: str = "work", shell: bool = True, **more: Any) -> list[dict[str, Any]]:
        result = await self.app.runs.run("own", list(commands), session=session, shell=shell, **more)
        return list(result["rows"])

    async def one(self, command: str, **more: Any) -> dict[str, Any]:
        (row,) = await self.run(command, **more)
        return row

    async def said(self, command: str, **more: Any) -> str:
        """The output of a command that went well."""
        row = await self.one(command, **more)
        assert row["ok"], row
        return str(row["output"])

    async def shared(self) -> Shared:
        """A place on the connection to the host; the caller closes it, or all are."""
        place = self.app.sessions._desk.place("own")
        return await self.app.pool.share(place.hops, Turn())

    async def busy(self, name: str) -> None:
        """Wait until a command of that session runs."""
        while True:
            kept = self.app.pool.named.find("own", name)
            if kept is not None and kept.session is not None and kept.session.state == "running":
                return
            await anyio.sleep(0.01)

    async def sessions(self) -> list[dict[str, Any]]:
        return [row for row in await self.listed() if row["session"] != "connection"]

    async def listed(self) -> list[dict[str, Any]]:
        """With the connection that all of them share."""
        sheet = (await self.app.sessions.act("list"))["sessions"]
        return [dict(zip(sheet["columns"], row, strict=True)) for row in sheet["rows"]]


@asynccontextmanager
async def house(
    lab: RealLab, folder: Path, *, host: dict[str, Any] | None = None, sudo: bool = True, **sshd: Any
) -> AsyncIterator[House]:
    """`host` are further keys of the inventory's entry; `sshd` as `own_sshd`. Ninety seconds at most."""
    with own_sshd(lab, **sshd) as own:
        entry: dict[str, Any] = {
            "hostname": "127.0.0.1",
            "port": own.port,
            "platform": "linux",
            "username": lab.ops.name,
            "key_file": str(lab.client_key),
            **({"sudo": f"file:{lab.ops.password_file}"} if sudo else {}),
            **(host or {}),
        }
        inventory, policy = folder / "inventory.yaml", folder / "policy.yaml"
        inventory.write_text(json.dumps({"hosts": {"own": entry}}))
        policy.write_text(EVERYTHING)
        inventory.chmod(0o600)
        policy.chmod(0o600)
        async with open_app(settings(folder, inventory, policy=str(policy))) as app:
            with anyio.fail_after(90):
                yield House(app, own)
