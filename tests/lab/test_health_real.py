"""Links that die under a kept session, on real sshd and real FRRouting: named in time, and what was lost is told."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

# ruff: noqa: S604 - `shell` is the tool's argument
from netssh_mcp.services.app import App, open_app
from tests.devices.house import settings
from tests.lab.named_house import House, house
from tests.lab.reallab import RealLab
from tests.lab.reallab.session import Session

pytestmark = [pytest.mark.real, pytest.mark.anyio]

LIMIT, MORE = 1.5, 2.0  # seconds: of the command or the login, and what naming its end may take on top
GONE = ["cwd", "env", "mode"]


@pytest.fixture
async def host(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[House]:
    async with house(real_lab, tmp_path) as opened:
        yield opened


async def _told(host: House, name: str = "work") -> None:
    """The next call has a new session and says so, the one after that says nothing."""
    row = await host.one("ls -d .", shell=False, session=name)
    assert (row["ok"], row["reconnected"], row["lost"]) == (True, True, GONE), row
    row = await host.one("pwd", session=name)
    assert (row["ok"], row["reconnected"], "lost" in row) == (True, False, False), row


def _quiet(app: App, name: str, device: str = "own", seconds: float = 10.0) -> None:
    """As if the session had been used last so long ago: within a few seconds it is used without being asked."""
    kept = app.pool.named.find(device, name)
    assert kept is not None
    assert kept.session is not None
    kept.session.used_at -= seconds


async def test_killing_sshd_under_a_command_is_a_lost_link_with_the_text_so_far(host: House) -> None:
    await host.run("cd /usr; X=1")
    job = await host.app.runs.run("own", ["echo begun; sleep 60; echo never"], session="work", shell=True, wait=0)
    await host.busy("work")
    with anyio.fail_after(5):
        while "begun" not in json.dumps(await host.app.jobs.act("get", job["job_id"])):  # noqa: ASYNC110  (polled)
            await anyio.sleep(0.02)
    host.sshd.kill()
    with anyio.fail_after(MORE):
        (row,) = (await host.app.jobs.act("wait", job["job_id"], wait=MORE))["rows"]
    assert (row["error"]["kind"], row["error"]["effect"], row["partial"]) == ("lost", "possible", True), row
    assert row["output"] == "begun\n"
    assert [session["state"] for session in await host.sessions()] == ["lost"]
    await _told(host)


async def test_a_host_that_falls_silent_under_a_command_costs_its_limit_and_not_more(host: House) -> None:
    await host.run("cd /usr")
    job = await host.app.runs.run("own", ["sleep 60"], session="work", shell=True, timeout=LIMIT, wait=0)
    await host.busy("work")
    host.sshd.freeze()
    with anyio.fail_after(LIMIT + MORE):
        (row,) = (await host.app.jobs.act("wait", job["job_id"], wait=LIMIT + MORE + 1))["rows"]
    assert row["error"]["kind"] == "timeout", row
    assert "stopping it is not confirmed" in row["error"]["message"]
    assert "process group" in row["error"]["hint"]
    host.sshd.thaw()
    await _told(host)


async def test_a_host_that_fell_silent_while_nobody_asked_is_lost_in_the_list_and_the_next_call_says_so(
    host: House,
) -> None:
    await host.run("cd /usr")
    await host.run("cd /usr", session="other")
    for name in ("work", "other"):
        _quiet(host.app, name)
    assert [session["state"] for session in await host.sessions()] == ["idle", "idle"]
    shared = await host.shared()
    shared._bastion.proven_at -= 10.0  # an answer counts as a sign of life for some seconds
    shared.close()
    host.sshd.freeze()
    with anyio.fail_after(3.0 + MORE):
        assert {session["state"] for session in await host.sessions()} == {"lost"}
    with anyio.fail_after(15.0 + MORE):
        await _told(host)
    host.sshd.thaw()
    with anyio.fail_after(20):  # it wakes up when it gets the processor
        while any(session["state"] == "lost" for session in await host.sessions()):
            pass
    row = await host.one("pwd", session="other")
    assert row["ok"], ("the list has closed nothing: what came back may be used again", row)


async def test_a_host_that_is_silent_from_the_start_costs_connect_timeout_and_not_more(
    real_lab: RealLab, tmp_path: Path
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        keys = {"port": deaf.getsockname()[1], "connect_timeout": LIMIT}
        async with house(real_lab, tmp_path, host=keys) as opened:
            with anyio.fail_after(LIMIT + MORE):
                row = await opened.one("true")
            assert row["error"]["kind"] == "connect", row
            assert await opened.sessions() == []


async def test_a_profile_that_never_ends_costs_half_of_connect_timeout(real_lab: RealLab, tmp_path: Path) -> None:
    files = {".bash_profile": "sleep 4323\n"}
    async with house(real_lab, tmp_path, host={"connect_timeout": 2}, files=files) as opened:
        row = await opened.one("echo $0; pgrep -f '[s]leep 4323' || echo none", timeout=20)
        assert row["output"].endswith("sh\nnone\n"), row


async def test_a_session_that_nobody_uses_expires_and_its_next_caller_is_told(host: House) -> None:
    await host.run("cd /usr")
    now = time.monotonic()
    host.app.pool.expire(now + 7190)
    assert (await host.sessions())[0]["state"] == "idle"
    host.app.pool.expire(now + 7290)
    (listed,) = await host.sessions()
    assert (listed["state"], listed["cwd"]) == ("expired", "/usr")
    await _told(host)
    await host.app.sessions.act("close", name="work")
    assert not (await host.one("pwd"))["reconnected"], "a closed one is no lost one"


async def test_a_busy_session_does_not_expire(host: House) -> None:
    job = await host.app.runs.run("own", ["sleep 60"], session="work", shell=True, wait=0)
    await host.busy("work")
    host.app.pool.expire(time.monotonic() + 9999)
    assert (await host.sessions())[0]["state"] == "busy"
    await host.app.jobs.act("cancel", job["job_id"])


# -- routers -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def routers(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[App]:
    inventory, policy = real_lab.write_inventory(tmp_path / "inventory.yaml"), tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - classes: [read, change, config]\n")
    policy.chmod(0o600)
    async with open_app(settings(tmp_path, inventory, policy=str(policy))) as app:
        with anyio.fail_after(60):
            yield app


def _of(lab: RealLab, app: App, name: str) -> Session:
    """The lab's handle on the connection of a session on r2, and on no other."""
    kept = app.pool.named.find("r2", name)
    assert kept is not None
    assert kept.session is not None
    connection: Any = kept.session.connection
    return lab.session("r2", connection._link.sockets[0].getsockname()[:2])


async def _row(app: App, command: str, **more: Any) -> dict[str, Any]:
    (row,) = (await app.runs.run("r2", [command], session="edit", **more))["rows"]
    return dict(row)


async def test_a_routers_session_that_is_reset_has_lost_its_mode(real_lab: RealLab, routers: App) -> None:
    assert (await _row(routers, "configure terminal"))["ok"]
    _of(real_lab, routers, "edit").reset()
    kept = routers.pool.named.find("r2", "edit")
    assert kept is not None
    with anyio.fail_after(20):
        while kept.session is not None and kept.session.usable:  # the reset is on its way to us
            await anyio.lowlevel.checkpoint()
    row = await _row(routers, "show version")
    assert (row["ok"], row["reconnected"], row["lost"]) == (True, True, ["mode"]), row
    assert not (await _row(routers, "show version"))["reconnected"]


async def test_a_router_that_falls_silent_is_lost_in_the_list_and_reached_anew(real_lab: RealLab, routers: App) -> None:
    assert (await _row(routers, "configure terminal"))["ok"]
    session = _of(real_lab, routers, "edit")
    session.freeze()
    try:
        _quiet(routers, "edit", "r2")
        with anyio.fail_after(3.0 + MORE):
            sheet = (await routers.sessions.act("list"))["sessions"]
        (listed,) = [dict(zip(sheet["columns"], row, strict=True)) for row in sheet["rows"]]
        assert (listed["state"], listed["mode"]) == ("lost", "config")
        with anyio.fail_after(15.0 + MORE):
            row = await _row(routers, "show version")
        assert (row["ok"], row["reconnected"], row["lost"]) == (True, True, ["mode"]), row
    finally:
        session.thaw()


async def test_a_router_that_falls_silent_under_a_command_costs_its_limit_and_not_more(
    real_lab: RealLab, routers: App
) -> None:
    assert (await _row(routers, "show version"))["ok"]
    session = _of(real_lab, routers, "edit")
    session.freeze()
    try:
        with anyio.fail_after(LIMIT + MORE):
            row = await _row(routers, "show version", timeout=LIMIT)
        assert row["error"]["kind"] == "timeout", row
    finally:
        session.thaw()
    assert (await _row(routers, "show version"))["lost"] == ["mode"]
