"""Simulated devices behind Telnet: the same house on top, a password in the clear below, and what goes wrong there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import AuthenticationFailed, InputError, SessionLost, Unreachable
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Break, Faults, Flood, Hang, Script, Text
from netssh_mcp.lab.server import start_network
from netssh_mcp.services.app import App, open_app
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import Bench, closing, no_threads_left, on, pool_of, until
from tests.devices.gates import PASSWORD as GATE
from tests.devices.gates import Gate
from tests.devices.house import audit_records, opened, settings, write_inventory

TELNET = {"transport": "telnet"}
PASSWORD = "S3cr3t-ÿ-clear"
LONG = "".join(f"line {number} of a long output\n" for number in range(20_000))


def device(**more: Any) -> DeviceSpec:
    return DeviceSpec("r1", "cisco_ios", **{"password": PASSWORD, "telnet": "user", **more})


def test_a_show_comes_whole_with_paging_off_and_enable_mode(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        reply = await bench.run()
        assert "Cisco IOS" in reply.output
        assert reply.framing == "proven"
        assert "interface" in (await bench.run("show running-config")).output
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "enable"
        seen = bench.device()
        assert (seen.logins, seen.auth_failures) == (1, 0)
        assert "terminal length 0" in seen.received
        assert not [line for line in seen.received if PASSWORD in line]

    on([device(enable="3nable")], tmp_path, work, r1=TELNET)


@pytest.mark.parametrize("login", ["line", "open"])
def test_a_line_with_a_password_only_or_none_is_entered(login: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert "Cisco IOS" in (await bench.run()).output

    on([device(telnet=login)], tmp_path, work, r1=TELNET)


@pytest.mark.parametrize("platform", ["cisco_nxos", "arista_eos", "juniper_junos", "cisco_xr"])
def test_other_platforms_are_read_as_over_ssh(platform: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert (await bench.run()).framing == "proven"

    on([DeviceSpec("r1", platform, telnet="user")], tmp_path, work, r1=TELNET)


def test_the_size_of_the_screen_is_told_with_its_255_escaped(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        said = bench.device().negotiated
        assert bytes((250, 31, 1, 255, 255, 1000 >> 8, 1000 & 255, 255, 240)) in said
        assert bytes((250, 24, 0)) + b"vt100" + bytes((255, 240)) in said
        assert bytes((253, 1)) in said, "the device echoes"

    on([device()], tmp_path, work, r1=TELNET)


def test_a_long_output_is_not_cut_and_a_flood_is_stopped(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert (await bench.run("show tech-support")).output.rstrip("\n") == LONG.rstrip("\n")
        with pytest.raises(Exception, match="bytes came back") as caught:
            await bench.run("show logging")
        assert "too_large" in str(getattr(caught.value, "kind", ""))
        assert "Cisco IOS" in (await bench.run()).output

    answers = {"show tech-support": Script.of(LONG), "show logging": Script((Flood("again and again\n"),))}
    on([device(outputs=answers)], tmp_path, work, byte_limit=2_000_000, r1=TELNET)


@pytest.mark.parametrize("faults", [Faults(fragment=3), Faults(nul=True), Faults(newline="\n\r"), Faults(delay=0.05)])
def test_text_in_pieces_and_other_line_ends_change_nothing(faults: Faults, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert "Cisco IOS" in (await bench.run()).output

    on([device(faults=faults)], tmp_path, work, r1=TELNET)


def test_a_wrong_password_is_typed_once_and_never_again(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        (tmp_path / "r1.password").write_text("wr0ng-one")
        for words in ("by telnet refused", "not tried again"):
            with pytest.raises(AuthenticationFailed, match=words) as caught:
                await bench.run()
            assert "wr0ng-one" not in f"{caught.value!r}{caught.value.facts()}"
        assert (bench.device().auth_failures, bench.device().connections) == (1, 1)
        assert caught.value.line == "% Login invalid"

    async def prepared(bench: Bench) -> None:
        bench.fixed = bench.hops()
        await work(bench)

    on([device()], tmp_path, prepared, r1=TELNET)


def test_a_password_that_is_shown_is_not_entered(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(AuthenticationFailed, match="not entered"):
            await bench.run()
        assert (bench.device().auth_failures, bench.device().logins) == (0, 0)

    on([device(telnet_echo=True)], tmp_path, work, r1=TELNET)


def test_further_credential_sets_are_tried_each_over_a_connection_of_its_own(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert "Cisco IOS" in (await bench.run()).output
        assert (bench.device().auth_failures, bench.device().connections) == (1, 2)

    for name, value in (("old", "wr0ng-one"), ("new", PASSWORD)):
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    sets = [{"username": "admin", "password": f"file:{tmp_path / name}"} for name in ("old", "new")]
    on([device()], tmp_path, work, r1={**TELNET, "password": "", "credentials": sets})


@pytest.mark.parametrize("kind", ["tcp", "reset", "garbage"])
def test_a_link_that_ends_in_the_middle_is_named_and_the_next_session_says_so(kind: Any, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        bench.device().set_answer("show clock", Script((Text("10:15\n"), Break(kind))))
        with pytest.raises(SessionLost, match="the link was lost") as caught:
            await bench.run("show clock")
        assert ("without end" in str(caught.value)) is (kind == "garbage")
        assert "10:15" in caught.value.partial
        assert "Cisco IOS" in (await bench.run()).output
        assert bench.reconnected

    on([device()], tmp_path, work, r1=TELNET)


def test_what_speaks_no_telnet_and_says_nothing_is_unreachable(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(Unreachable, match="no Telnet session with"):
            await bench.run()

    on([DeviceSpec("r1", "cisco_ios")], tmp_path, work, r1={**TELNET, "connect_timeout": 1})


def test_an_idle_session_is_knocked_at_and_stays(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        assert await bench.pool.answers(bench.lease.session)
        await until(lambda: bytes((254, 6)) in bench.device().negotiated)  # DONT TIMING-MARK
        bench.device().break_sessions("tcp")
        await until(lambda: bench.lease and not bench.lease.session.connection.alive)
        assert not await bench.pool.answers(bench.lease.session)

    on([device()], tmp_path, work, r1=TELNET)


def test_nothing_that_needs_ssh_is_tried(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(InputError, match="reached by telnet"):
            await bench.pool.share(bench.hops(), Turn())
        with pytest.raises(InputError, match="no files"):
            async with bench.pool.visit(bench.hops(), Turn()):  # what the contents of files go over
                raise AssertionError
        assert bench.device().connections == 0

    on([device()], tmp_path, work, r1=TELNET)


def test_the_way_may_lead_through_a_jump_host_whose_end_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        with Gate() as gate, start_network([device()]) as network, anyio.fail_after(60):
            secret = Secret.parse(f"plain:{PASSWORD}", allow_plain=True)
            theirs = Secret.parse(f"plain:{GATE}", allow_plain=True)
            hop = Device("gate", "127.0.0.1", gate.port, "linux", "admin", password=theirs)
            port = network.ports["r1"]
            r1 = Device("r1", "127.0.0.1", port, "cisco_ios", "admin", password=secret, transport="telnet")
            async with closing(pool_of(tmp_path)) as pool:
                bench = Bench(network, (), tmp_path, pool, fixed=(hop, r1))
                assert "Cisco IOS" in (await bench.run()).output
                assert gate.tunnels == 1
                bench.device().set_answer("show clock", Script((Text("10:15\n"), Hang())))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_lost, bench)
                    await until(lambda: "show clock" in bench.device().received)
                    gate.cut()

    async def _lost(bench: Bench) -> None:
        with pytest.raises(SessionLost, match="jump host gate ended"):
            await bench.run("show clock")

    with no_threads_left():
        anyio.run(main)


# -- the whole house -----------------------------------------------------------------------------------------------


def house(tmp_path: Path, work: Callable[[App], Awaitable[None]], *specs: DeviceSpec, **more: dict[str, Any]) -> None:
    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            async with opened(network, specs, tmp_path, **more) as app:
                await work(app)

    anyio.run(main)


def test_every_row_has_the_warning_and_no_secret_is_anywhere(tmp_path: Path) -> None:
    async def work(app: App) -> None:
        answer = await app.commands.show("*", ["show version", "show nonsense"])
        for row in answer["rows"]:
            assert [warning.split(":")[1].strip() for warning in row["warnings"]] == (
                ["telnet"] if row["device"] == "r1" else []
            )
        assert answer["ok"] == 2
        assert PASSWORD not in repr(answer)

    house(tmp_path, work, device(), DeviceSpec("r2", "cisco_ios"), r1=TELNET)
    assert PASSWORD not in repr(audit_records(tmp_path))


def test_a_terminal_is_typed_into_and_closed_and_a_forward_is_refused(tmp_path: Path) -> None:
    specs = [device(outputs={"show clock": "10:15:42\n"})]

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            policy = tmp_path / "policy.yaml"
            policy.write_text("version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n")
            policy.chmod(0o600)
            inventory = write_inventory(network.ports, specs, tmp_path, r1=TELNET)
            async with open_app(settings(tmp_path, inventory, policy=str(policy))) as app:
                shell = await app.shells.act("open", device="r1")
                assert shell["text"] == "r1#"
                told = {"shell_id": shell["shell_id"], "pattern": "^r1#$", "wait": 20.0}
                assert "10:15:42" in (await app.shells.act("send", text="show clock", **told))["text"]
                assert (await app.shells.act("close", shell_id=shell["shell_id"]))["state"] == "closed"
                await until(lambda: not network.device("r1").sessions_open)
                with pytest.raises(InputError):
                    await app.forwards.act("open", device="r1", host="192.0.2.9", port=80)
                tested = await app.hosts.act("test", "r1")
                assert (tested["login_by"], tested["host_key"]) == ("password by telnet", "")

    anyio.run(main)
