"""Jump hosts: one connection for all who go through it, and what happens to them when it goes."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import paramiko
import pytest

from netssh_mcp.errors import (
    AddressDenied,
    AuthenticationFailed,
    ConnectError,
    ForwardingRefused,
    NetsshError,
    SessionLost,
    Unreachable,
)
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import Device, InventorySource, ProxyCommand
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Hang, Script, Text
from netssh_mcp.lab.server import start_network
from netssh_mcp.services.devices import Devices
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.opener import Opener
from netssh_mcp.wire.transport import Link
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import PROFILES, Bench, closing, no_threads_left, until
from tests.devices.gates import PASSWORD, Gate
from tests.devices.house import _secret

IOS = DeviceSpec("r1", "cisco_ios", outputs={"show it": Script((Text("begun\n"), Hang()))})


class Street:
    """A simulated router, gates on the way to it, and a pool."""

    def __init__(self, network: Any, gates: tuple[Gate, ...], folder: Path, **opener: Any) -> None:
        self.network, self.gates, self.folder = network, gates, folder
        self.opener = Opener(HostKeys("tofu", (), folder / "known_hosts"), **opener)
        self.pool = Pool(self.opener, byte_limit=1 << 20)
        self.hops = tuple(self.entry(f"gate{number}", gate.port, PASSWORD) for number, gate in enumerate(gates))
        self.r1 = replace(self.entry("r1", network.ports["r1"], "admin"), platform="cisco_ios")

    @property
    def gate(self) -> Gate:
        return self.gates[0]

    def entry(self, name: str, port: int, password: str, **more: Any) -> Device:
        secret = Secret.parse(_secret(self.folder, f"{name}.password", password))
        more = {"login_rate": 6000, **more}  # some tests are loops of logins
        return Device(name, "127.0.0.1", port, "linux", "admin", password=secret, **more)

    def named(self, name: str, **more: Any) -> Device:
        """The same router under another name."""
        return replace(self.r1, name=name, **more)

    async def show(
        self, *way: Device, command: str = "show version", turn: Turn | None = None, pool: Pool | None = None
    ) -> str:
        bench = Bench(self.network, (IOS,), self.folder, pool or self.pool, fixed=way or (*self.hops, self.r1))
        return (await bench.run(command, turn=turn)).output

    async def errors(self, *ways: tuple[Device, ...]) -> list[NetsshError]:
        """What all of them at once get, each an error."""
        found: list[NetsshError] = []

        async def one(way: tuple[Device, ...]) -> None:
            try:
                await self.show(*way)
            except NetsshError as error:
                found.append(error)

        async with anyio.create_task_group() as tasks:
            for way in ways:
                tasks.start_soon(one, way)
        assert len(found) == len(ways)
        return found


Work = Callable[[Street], Awaitable[None]]


@pytest.fixture
def street(tmp_path: Path) -> Callable[..., None]:
    def run(work: Work, gates: int = 1, **opener: Any) -> None:
        async def main() -> None:
            with ExitStack() as stack:
                all_gates = tuple(stack.enter_context(Gate()) for _ in range(gates))
                network = stack.enter_context(start_network([IOS]))
                street = Street(network, all_gates, tmp_path, **opener)
                with anyio.fail_after(60):
                    async with closing(street.pool):
                        await work(street)
                await until(lambda: not any(gate.open for gate in all_gates))

        with no_threads_left():
            anyio.run(main)

    return run


# -- sharing -------------------------------------------------------------------------------------------------------


def test_fifty_devices_behind_one_jump_host_are_one_login_to_it(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(here.show, *(*here.hops, here.named(f"d{number}")))
        assert (here.gate.logins, here.gate.connections, here.gate.tunnels) == (1, 1, 50)

    street(work)


def test_three_hops_are_logged_in_to_once_each_for_two_devices(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        assert "Cisco IOS" in await here.show()
        assert "Cisco IOS" in await here.show(*here.hops, here.named("r2"))
        assert [gate.logins for gate in here.gates] == [1, 1, 1]
        assert [gate.tunnels for gate in here.gates] == [1, 1, 2]
        assert "Cisco IOS" in await here.show(*here.hops[:2], here.named("r3"))
        assert [gate.tunnels for gate in here.gates] == [1, 2, 2]

    street(work, gates=3)


def test_another_entry_of_a_jump_host_is_another_connection(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        await here.show(replace(here.hops[0], keepalive=7.0), here.named("r2"))
        assert here.gate.logins == 2

    street(work)


def test_a_connection_nobody_uses_is_kept_for_its_idle_time_and_one_in_use_for_ever(
    street: Callable[..., None],
) -> None:
    async def work(here: Street) -> None:
        await here.show()
        (session, _), *_ = here.pool.sessions()
        here.opener.expire(session.used_at + 3600)
        assert len(here.gate.open) == 1
        session.close()
        await here.show()
        assert here.gate.logins == 1
        here.pool.sessions()[0][0].close()
        here.opener.expire(session.used_at + 3600)
        await until(lambda: not here.gate.open)

    street(work)


def test_without_an_idle_time_it_ends_with_its_last_user(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        await here.show(*here.hops, here.named("r2"))
        for number, (session, _) in enumerate(here.pool.sessions()):
            assert len(here.gate.open) == 1, number
            session.close()
        await until(lambda: not here.gate.open)

    street(work, bastion_idle=0)


def test_the_sessions_view_shows_the_way(street: Callable[..., None], tmp_path: Path) -> None:
    async def work(here: Street) -> None:
        port, gate = here.r1.port, here.gate.port
        (tmp_path / "inventory.yaml").write_text(
            f"defaults: {{username: admin, password: 'file:r1.password'}}\nhosts:\n"
            f"  gate0: {{hostname: 127.0.0.1, platform: linux, port: {gate}, password: 'file:gate0.password'}}\n"
            f"  r1: {{hostname: 127.0.0.1, platform: cisco_ios, port: {port}, jump: gate0}}"
        )
        source = InventorySource([tmp_path / "inventory.yaml"], PROFILES.platforms())
        inventory = source.current()
        await here.show(*inventory.way(inventory.device("r1")))
        listed = Devices(source, PROFILES, here.pool, Wall(PolicySource(None))).list(view="sessions")
        assert [row[listed["columns"].index("via")] for row in listed["rows"]] == [["gate0"]]

    street(work)


# -- cancelling ----------------------------------------------------------------------------------------------------


def in_threads(here: Street, turns: list[Turn]) -> tuple[list[threading.Thread], list[object]]:
    """Each reaches for the first gate; what came of it."""
    came: list[object] = []

    def reach(turn: Turn) -> None:
        try:
            came.append(here.opener.reach(here.hops[:1], turn=turn))
        except ConnectError as error:
            came.append(error)

    threads = [threading.Thread(target=reach, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    return threads, came


def test_a_cancelled_login_leaves_the_jump_host_to_those_who_wait_for_it(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        here.gate.let_in.clear()
        first, second = Turn(), Turn()
        threads, came = in_threads(here, [first, second])
        await until(lambda: here.gate.connections)
        (bastion,) = here.opener._bastions._open.values()
        await until(lambda: len(bastion.users) == 2)
        first.cancel()
        await until(lambda: came)
        assert isinstance(came[0], ConnectError)
        assert "broken off" in str(came[0])
        here.gate.let_in.set()
        await until(lambda: len(came) == 2)
        assert not isinstance(came[1], ConnectError)
        assert (here.gate.connections, here.gate.logins) == (1, 1)
        for thread in threads:
            thread.join()

    street(work)


def test_a_login_that_nobody_waits_for_any_more_is_given_up(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        here.gate.let_in.clear()
        turns = [Turn(), Turn()]
        threads, came = in_threads(here, turns)
        await until(lambda: here.gate.connections)
        for turn in turns:
            turn.cancel()
        await until(lambda: len(came) == 2 and not here.gate.open)
        for thread in threads:
            thread.join()
        here.gate.let_in.set()
        assert "Cisco IOS" in await here.show()

    street(work)


def test_a_cancelled_task_leaves_the_jump_host_to_the_next(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        here.gate.let_in.clear()
        shown: list[str] = []

        async def other() -> None:
            shown.append(await here.show(*here.hops, here.named("r2")))

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(other)
                await anyio.lowlevel.checkpoint()
                async with anyio.create_task_group() as inner:
                    inner.start_soon(here.show)
                    await until(lambda: here.gate.connections)
                    scope.cancel()
            here.gate.let_in.set()
        assert "Cisco IOS" in shown[0]

    street(work)


def test_a_tunnel_that_is_given_up_leaves_nothing_on_the_jump_host(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        here.gate.let_through.clear()
        turn, ended = Turn(), list[NetsshError]()

        async def wait() -> None:
            try:
                await here.show(*here.hops, here.named("r2"), turn=turn)
            except NetsshError as error:
                ended.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: here.gate.tunnels == 2)
            turn.cancel()
            await until(lambda: ended)
        assert "broken off" in str(ended[0])
        assert here.gate.tunnels_open == 1
        here.gate.let_through.set()
        await until(lambda: here.network.device("r1").connections == 2 and here.gate.tunnels_open == 1)
        assert "Cisco IOS" in await here.show()
        assert here.gate.logins == 1

    street(work)


def test_cancels_at_random_points_leave_no_connection_no_tunnel_and_no_descriptor(
    street: Callable[..., None],
) -> None:
    chance = random.Random(20261121)  # noqa: S311  (repeatable)

    async def one(here: Street, name: str) -> None:
        with anyio.move_on_after(chance.choice([0.001, 0.02, 0.05, 0.1, 0.2, 5])):
            assert "Cisco IOS" in await here.show(*here.hops, here.named(name))

    async def work(here: Street) -> None:
        for number in range(12):
            async with anyio.create_task_group() as tasks:
                for each in range(6):
                    tasks.start_soon(one, here, f"d{number % 4}-{each}")
            for session, _ in here.pool.sessions():
                session.close()
            if number % 3 == 2:
                here.opener.expire(session.used_at + 3600)
        await here.pool.aclose()
        await until(lambda: not any(gate.open or gate.tunnels_open for gate in here.gates))
        assert not here.opener._bastions._open

    descriptors = len(os.listdir("/proc/self/fd"))
    street(work, gates=2)
    assert len(os.listdir("/proc/self/fd")) <= descriptors


# -- the end of a jump host ----------------------------------------------------------------------------------------


def test_what_a_thread_still_wants_to_say_behind_a_channels_end_does_not_end_the_others(
    street: Callable[..., None],
) -> None:
    async def work(here: Street) -> None:
        await here.show()
        (bastion,) = here.opener._bastions._open.values()
        link = Link()
        tunnel = await anyio.to_thread.run_sync(bastion.tunnel, here.r1, link, time.monotonic() + 5)
        tunnel.close()
        await until(lambda: here.gate.tunnels_open == 1)
        late = paramiko.Message()
        late.add_byte(paramiko.common.cMSG_CHANNEL_DATA)
        late.add_int(tunnel.remote_chanid)
        late.add_string(b"built before the end, sent behind it")
        orderly: Any = tunnel.transport
        orderly._send_user_message(late)
        assert "Cisco IOS" in await here.show(*here.hops, here.named("r2"))
        assert "Cisco IOS" in await here.show()
        assert here.gate.connections == 1
        link.close()

    street(work)


@pytest.mark.parametrize("dies", [0, 1])
def test_the_end_of_a_jump_host_ends_the_sessions_through_it_and_is_named(
    dies: int, street: Callable[..., None]
) -> None:
    async def work(here: Street) -> None:
        turn, ended = Turn(), list[SessionLost]()

        async def wait() -> None:
            try:
                await here.show(command="show it", turn=turn)
            except SessionLost as error:
                ended.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: "begun" in turn.partial())
            here.gates[dies].cut()
        assert f"the connection to the jump host gate{dies} ended" in str(ended[0])
        assert ended[0].partial.strip() == "begun"
        assert "Cisco IOS" in await here.show()
        assert here.gates[dies].logins == 2

    street(work, gates=2)


def test_a_jump_host_that_ends_during_a_login_is_no_verdict_on_the_devices_credential(
    street: Callable[..., None],
) -> None:
    async def work(here: Street) -> None:
        here.gates[1].let_in.clear()
        ended: list[NetsshError] = []

        async def wait() -> None:
            try:
                await here.show()
            except NetsshError as error:
                ended.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: here.gates[1].asked)
            here.gates[0].cut()
        assert isinstance(ended[0], Unreachable)
        assert "the connection to the jump host gate0 was lost during the login" in str(ended[0])
        here.gates[1].let_in.set()
        assert "Cisco IOS" in await here.show()

    street(work, gates=2)


def test_a_dead_connection_is_replaced_without_an_error(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        session = here.pool.sessions()[0][0]
        here.gate.cut()
        await until(lambda: not session.usable)
        assert "Cisco IOS" in await here.show(*here.hops, here.named("r2"))
        assert here.gate.logins == 2

    street(work)


def test_a_jump_host_that_does_not_answer_any_more_is_replaced_at_the_next_login(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        here.gate.freeze()
        (bastion,) = here.opener._bastions._open.values()
        bastion.proven_at -= 60
        assert "Cisco IOS" in await here.show(*here.hops, here.named("r2", connect_timeout=4.0))
        assert here.gate.logins == 2
        here.gate.thaw()

    street(work)


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says", "hint", "retryable"),
    [
        (1, "the jump host gate0 refuses to forward to 127.0.0.1:", "AllowTcpForwarding", False),
        (2, "the jump host gate0 cannot connect to 127.0.0.1:", "as seen from gate0", True),
        (3, "the jump host gate0 does not forward connections", "use another jump host", False),
        (4, "the jump host gate0 has no room", "fewer devices", True),
    ],
)
def test_a_refused_tunnel_names_the_hop_and_what_to_do(
    code: int, says: str, hint: str, retryable: bool, street: Callable[..., None]
) -> None:
    async def work(here: Street) -> None:
        here.gate.refuses = (code, "open failed\x1b[2J")
        with pytest.raises(ForwardingRefused) as caught:
            await here.show()
        assert says in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert hint in caught.value.hint
        assert (caught.value.device, caught.value.retryable) == ("r1", retryable)
        here.gate.refuses = None
        assert "Cisco IOS" in await here.show()
        assert here.gate.logins == 1

    street(work)


def test_a_wrong_credential_of_a_jump_host_is_tried_once_for_all_behind_it(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        wrong = here.entry("gate0", here.gate.port, "wrong")
        errors = await here.errors(*((wrong, here.named(f"d{number}")) for number in range(12)))
        assert {type(error) for error in errors} == {AuthenticationFailed}
        assert {error.device for error in errors} == {"gate0"}
        assert here.gate.auth_failures == 1

    street(work)


def test_a_credential_that_is_refused_after_it_was_taken_is_tried_once_too(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        await here.show()
        _secret(here.folder, "gate0.password", "changed meanwhile")
        here.gate.cut()
        await until(lambda: not here.gate.open)
        ways = [(*here.hops, here.named(f"d{number}")) for number in range(80)]  # more than logins at once
        errors = await here.errors(*ways)
        assert {type(error) for error in errors} == {AuthenticationFailed}
        assert here.gate.auth_failures == 1

    street(work)


def test_who_waits_for_a_jump_host_that_is_down_gets_the_error_of_the_one_try(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
            port = silent.listeners[0].extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610
            down = replace(here.hops[0], port=port, connect_timeout=0.5)
            with anyio.fail_after(5):  # each its own try would be 20 s
                errors = await here.errors(*((down, here.named(f"d{number}")) for number in range(40)))
        assert {type(error) for error in errors} == {Unreachable}
        assert {error.device for error in errors} == {"gate0"}

    street(work)


def test_an_address_that_is_not_allowed_is_not_connected_to(street: Callable[..., None]) -> None:
    asked: list[tuple[str, str]] = []

    def allowed(device: Device, address: str) -> bool:
        asked.append((device.name, address))
        return device.name != "r2" and address != "localhost"

    async def work(here: Street) -> None:
        await here.show(replace(here.hops[0], hostname="localhost"), here.r1)
        assert [each for each in asked if each[0] == "gate0"] in (
            [("gate0", "127.0.0.1")],
            [("gate0", "::1"), ("gate0", "127.0.0.1")],
            [("gate0", "127.0.0.1"), ("gate0", "::1")],
        )
        assert asked[-1] == ("r1", "127.0.0.1")
        with pytest.raises(AddressDenied, match="no connection to localhost") as caught:
            await here.show(*here.hops, here.named("r3", hostname="localhost"))  # a tunnel's target is taken as written
        assert caught.value.facts()["kind"] == "denied"
        with pytest.raises(AddressDenied, match=r"no connection to .*127\.0\.0\.1"):
            await here.show(here.named("r2", hostname="localhost"))
        assert here.gate.tunnels == 1
        assert here.network.device("r1").connections == 1

    street(work, allowed=allowed)


# -- ProxyCommand --------------------------------------------------------------------------------------------------

RELAY = """
import os, select, socket, sys
open(sys.argv[2], "w").write(f"{os.getpid()} {os.environ.get('CANARY', 'withheld')}")
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    for ready in select.select([0, sock], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else sock.recv(65536)
        if not data:
            sys.exit()
        sock.sendall(data) if ready == 0 else os.write(1, data)
"""


def test_a_proxy_command_is_the_connection_sees_no_secret_and_ends_with_it(
    street: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "hunter2")
    (tmp_path / "relay.py").write_text(RELAY)

    async def work(here: Street) -> None:
        line = f"{sys.executable} {tmp_path}/relay.py {here.r1.port} {tmp_path}/said"
        proxied = replace(here.r1, port=1, proxy_command=ProxyCommand(line, frozenset({"CANARY"})))
        assert line not in repr(proxied)
        assert "Cisco IOS" in await here.show(proxied)
        pid, canary = (tmp_path / "said").read_text().split()
        assert canary == "withheld"
        here.pool.sessions()[0][0].close()
        await until(lambda: not os.path.exists(f"/proc/{pid}"))

    street(work)


def test_a_proxy_command_that_fails_is_an_error_without_its_line(street: Callable[..., None]) -> None:
    async def work(here: Street) -> None:
        proxied = replace(here.r1, proxy_command=ProxyCommand("false --password hunter2"))
        with pytest.raises(Unreachable, match="ProxyCommand") as caught:
            await here.show(proxied)
        assert "hunter2" not in f"{caught.value!r} {caught.value.facts()}"

    street(work)
