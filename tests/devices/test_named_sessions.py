"""Sessions kept by name on simulated network devices: modes that stay, the cap, who waits, how a loss is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import CommandInterrupted, InputError, NetsshError
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Faults, Hang, Script
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import App, open_app
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import until
from tests.devices.house import audit_records, settings, write_inventory

pytestmark = pytest.mark.anyio

SPECS = [
    DeviceSpec("r1", "cisco_ios", outputs={"show hang": Script((Hang(),), Faults(deaf_to_interrupt=True))}),
    DeviceSpec("r2", "cisco_ios"),
    DeviceSpec("mx", "juniper_junos"),
]
POLICY = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


class House:
    def __init__(self, app: App, folder: Path, network: RunningNetwork) -> None:
        self.app, self.folder, self.network = app, folder, network

    def describe(self, **more: Any) -> None:
        """Write the inventory again."""
        write_inventory(self.network.ports, SPECS, self.folder, **more)

    async def run(self, *commands: str, session: str = "work", on: str = "r1", **more: Any) -> list[dict[str, Any]]:
        return list((await self.app.runs.run(on, list(commands), session=session, **more))["rows"])

    async def one(self, command: str, **more: Any) -> dict[str, Any]:
        (row,) = await self.run(command, **more)
        return row

    async def show(self, command: str = "show version", on: str = "r1", **more: Any) -> dict[str, Any]:
        (row,) = (await self.app.commands.show(on, [command], **more))["rows"]
        return dict(row)

    async def sessions(self) -> dict[str, dict[str, Any]]:
        """Name -> what the list says of it; of those without a name the number."""
        sheet = (await self.app.sessions.act("list"))["sessions"]
        rows = [dict(zip(sheet["columns"], row, strict=True)) for row in sheet["rows"]]
        return {row["name"] or str(row["session"]): row for row in rows}

    @asynccontextmanager
    async def leased(self, name: str = "work", turn: Turn | None = None) -> AsyncIterator[Any]:
        place = self.app.sessions._place("r1")
        async with self.app.pool.lease_named(place.hops, place.profile, name, turn or Turn()) as lease:
            yield lease


@asynccontextmanager
async def opened(network: RunningNetwork, folder: Path, **more: dict[str, Any]) -> AsyncIterator[House]:
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "policy.yaml").chmod(0o600)
    inventory = write_inventory(network.ports, SPECS, folder, **more)
    async with open_app(settings(folder, inventory, policy=str(folder / "policy.yaml"))) as app:
        with anyio.fail_after(60):
            yield House(app, folder, network)


@pytest.fixture
async def house(network: RunningNetwork, tmp_path: Path) -> AsyncIterator[House]:
    """Three sessions per device: two may be kept."""
    async with opened(network, tmp_path, r1={"max_sessions": 3}) as ready:
        yield ready


# -- what stays ----------------------------------------------------------------------------------------------------


async def test_a_mode_stays_from_call_to_call_and_others_do_not_meet_it(house: House) -> None:
    assert (await house.one("configure terminal"))["ok"]
    assert (await house.one("hostname changed"))["ok"]
    assert (await house.sessions())["work"]["mode"] == "config"
    assert (await house.show())["ok"], "shared sessions are at their own prompt"
    assert (await house.one("end"))["session"] == "work"
    assert (await house.one("show version"))["ok"]
    assert house.network.device("r1").logins == 2


async def test_sessions_of_one_name_on_several_devices_are_each_devices_own(house: House) -> None:
    await house.run("configure terminal", on="r1")
    rows = await house.run("show version", on="r1, r2")
    assert [row["device"] for row in rows] == ["r1", "r2"]
    with pytest.raises(InputError, match="'work' on r1, r2"):
        await house.app.sessions.act("close", name="work")
    await house.app.sessions.act("close", "r1", "work")
    assert list(await house.sessions()) == ["work"]


# -- what is lost --------------------------------------------------------------------------------------------------


async def test_after_a_lost_link_the_next_call_says_so_once_and_nothing_is_sent_again(house: House) -> None:
    device = house.network.device("r1")
    await house.run("configure terminal", "interface Loopback0")
    before = len(device.received)
    device.break_sessions("disconnect")
    await until(lambda: device.sessions_open == 0)
    row = await house.one("show version")
    assert (row["ok"], row["reconnected"], row["lost"]) == (True, True, ["mode"])
    row = await house.one("show version")
    assert (row["reconnected"], "lost" in row) == (False, False)
    assert "interface Loopback0" not in device.received[before:]
    assert "configure terminal" not in device.received[before:]


async def test_a_change_meant_for_the_mode_that_is_gone_is_not_sent(house: House) -> None:
    device = house.network.device("r1")
    await house.run("configure terminal")
    device.break_sessions("reset")
    await until(lambda: device.sessions_open == 0)
    row = await house.one("hostname nowhere")
    assert (row["ok"], row["error"]["effect"]) == (False, "none")
    assert "hostname nowhere" not in device.received


async def test_a_timeout_that_costs_the_session_is_told_to_the_next_call(house: House) -> None:
    await house.run("configure terminal", "end")
    row = await house.one("show hang", timeout=0.3)
    assert (row["error"]["kind"], "session was closed" in row["error"]["message"]) == ("timeout", True)
    assert (await house.sessions())["work"]["state"] == "lost"
    assert (await house.one("show version"))["lost"] == ["mode"]


async def test_a_session_that_expired_is_told_and_a_closed_one_is_new(house: House) -> None:
    await house.run("configure terminal")
    house.app.pool.expire(anyio.current_time() + 10_000)
    assert (await house.sessions())["work"]["state"] == "expired"
    await until(lambda: house.network.device("r1").sessions_open == 0)
    assert (await house.one("show version"))["lost"] == ["mode"]
    await house.app.sessions.act("close", name="work")
    assert not (await house.one("show version"))["reconnected"]


async def test_another_entry_in_the_inventory_is_another_session(house: House) -> None:
    await house.run("configure terminal")
    house.describe(r1={"max_sessions": 2})
    row = await house.one("show version")
    assert (row["ok"], row["lost"]) == (True, ["mode"])
    await until(lambda: house.network.device("r1").sessions_open == 1)


async def test_a_name_that_never_had_a_session_is_none(network: RunningNetwork, tmp_path: Path) -> None:
    async with opened(network, tmp_path, r1={"port": 1}) as house:
        assert (await house.one("show version"))["error"]["kind"] == "connect"
        assert await house.sessions() == {}


# -- the cap -------------------------------------------------------------------------------------------------------


async def test_one_session_stays_free_for_everybody_and_who_is_one_too_many_hears_who_has_them(house: House) -> None:
    await house.run("show version", session="one")
    await house.run("show version", session="two")
    row = await house.one("show version", session="three")
    assert row["error"]["kind"] == "input"
    assert "the session 'one', the session 'two'" in row["error"]["message"]
    assert "`max_sessions` (3)" in row["error"]["message"]
    assert (await house.show())["ok"]
    assert house.network.device("r1").sessions_open == 3
    await house.app.sessions.act("close", name="one")
    assert (await house.one("show version", session="three"))["ok"]


async def test_where_there_is_one_session_it_may_be_kept_and_show_fails_at_once_with_its_holder(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with opened(network, tmp_path, r1={"max_sessions": 1}) as house:
        assert (await house.show())["ok"]
        assert (await house.one("configure terminal"))["ok"], "the idle one makes room"
        assert network.device("r1").sessions_open == 1
        with anyio.fail_after(5):
            row = await house.show()
        assert (row["error"]["kind"], row["error"]["effect"]) == ("connect", "none")
        assert "the session 'work' has all" in row["error"]["message"]
        await house.app.sessions.act("close", name="work")
        assert (await house.show())["ok"]


async def test_terminals_count_too(house: House) -> None:
    shell = (await house.app.shells.act("open", device="r1"))["shell_id"]
    await house.run("show version")
    row = await house.one("show version", session="more")
    assert f"{shell}, the session 'work'" in row["error"]["message"]
    await house.app.shells.act("close", shell_id=shell)
    assert (await house.one("show version", session="more"))["ok"]


async def test_what_is_held_has_a_login_of_its_own_until_it_is_released(house: House) -> None:
    pool, place = house.app.pool, house.app.sessions._place("r1")
    held = [await pool.hold(place.hops, place.profile, Turn(), holder=f"holder {number}") for number in (1, 2)]
    with pytest.raises(InputError, match="holder 1, holder 2 already have"):
        await pool.hold(place.hops, place.profile, Turn())
    async with AsyncExitStack() as stack:
        lease = await stack.enter_async_context(pool.lease(place.hops, place.profile, Turn()))
        assert lease.session not in held
    for session in held:
        pool.release(session)
    await until(lambda: house.network.device("r1").sessions_open == 1)
    pool.release(await pool.hold(place.hops, place.profile, Turn()))


# -- one at a time -------------------------------------------------------------------------------------------------


async def test_one_user_at_a_time_and_who_waits_can_leave(house: House) -> None:
    turn, seen = Turn(), list[str]()

    async def second() -> None:
        try:
            async with house.leased(turn=turn):
                seen.append("held")
        except CommandInterrupted as error:
            seen.append(error.effect)

    async with house.leased(), anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        await until(lambda: turn.queued)
        turn.cancel()
    assert seen == ["none"]
    async with house.leased() as lease:
        assert not lease.reconnected


async def test_closing_a_session_sends_away_who_waits_for_it(house: House) -> None:
    turn, errors = Turn(), list[NetsshError]()

    async def second() -> None:
        try:
            async with house.leased(turn=turn):
                raise AssertionError("it is closed")
        except NetsshError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks, house.leased():
        tasks.start_soon(second)
        await until(lambda: turn.queued)
        await house.app.sessions.act("close", name="work")
    assert "was closed meanwhile" in errors[0].message
    assert (await house.sessions()) == {}
    assert (await house.one("show version"))["ok"]


# -- the tool ------------------------------------------------------------------------------------------------------


async def test_names_are_chosen_and_shown_and_everything_is_closed_at_once(house: House) -> None:
    port = house.network.ports["r1"]
    first = await house.app.sessions.act("open", "r1")
    second = await house.app.sessions.act("open", f"{first['username']}@127.0.0.1:{port}")
    style = f"{first['username']}@127.0.0.1:{port}"
    assert (first["session"], second["session"], second["device"]) == (style, f"{style}#2", "r1")
    assert (first["mode"], first["cwd"], first["reconnected"]) == ("enable", "", False) or first["mode"] == "exec"
    await house.show()
    listed = house.app.devices.list(view="sessions")
    assert [row[listed["columns"].index("name")] for row in listed["rows"]] == ["", style, f"{style}#2"]
    closed = await house.app.sessions.act("close_all")
    assert (closed["named"], closed["idle"], await house.sessions()) == (2, 1, {})
    await until(lambda: house.network.device("r1").sessions_open == 0)
    kinds = [record for record in audit_records(house.folder) if record.get("event") == "session_closed"]
    assert [record["kept_session"] for record in kinds] == [style, f"{style}#2"]


async def test_names_that_are_none_and_sessions_that_are_not_there_are_named(house: House) -> None:
    with pytest.raises(InputError, match="no name for a session"):
        await house.app.sessions.act("open", "r1", "a b")
    with pytest.raises(InputError, match="`device` is empty"):
        await house.app.sessions.act("open")
    await house.run("show version")
    with pytest.raises(InputError, match="did you mean work"):
        await house.app.sessions.act("close", name="wrk")
    with pytest.raises(InputError, match="no action"):
        await house.app.sessions.act("explode")


async def test_an_opening_is_on_record_and_the_policy_may_refuse_it(house: House) -> None:
    await house.app.sessions.act("open", "r1", "work")
    (decided,) = [record for record in audit_records(house.folder) if record["kind"] == "decision"]
    assert (decided["command"], decided["verdict"], decided["kept_session"]) == ("session open work", "allow", "work")
    (house.folder / "policy.yaml").write_text("version: 1\nrules:\n  - classes: []\n")
    with pytest.raises(NetsshError, match="class read"):
        await house.app.sessions.act("open", "r1", "more")
    assert list(await house.sessions()) == ["work"]
