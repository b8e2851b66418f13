"""How often a device is logged in to, and by whose secret it is raised to enable mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from netssh_mcp.errors import AuthenticationFailed, ConnectError
from netssh_mcp.guard.limits import Clock
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.wire.breaker import Breaker
from tests.devices.direct import Bench, on

IOS = DeviceSpec("r1", "cisco_ios", enable="3nable-in-the-file")
DEVICE = Device("r1", "192.0.2.1", 22, "cisco_ios", "netops", login_rate=3)


@dataclass
class Time:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


# -- the login rate ------------------------------------------------------------------------------------------------


def test_a_loop_of_logins_is_refused_with_the_seconds_to_wait_and_the_device_sees_none_of_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for _ in range(3):
            await bench.run()
            assert bench.lease is not None
            bench.lease.session.close()
        with pytest.raises(ConnectError, match=r"3 have begun within a minute.*may in \d+ s") as caught:
            await bench.run()
        assert caught.value.retryable
        assert caught.value.effect == "none"
        assert "Only the operator raises `login_rate`" in caught.value.hint
        assert bench.device().connections == 3

    on([IOS], tmp_path, work, r1={"login_rate": 3})


def test_an_open_session_costs_no_login(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for _ in range(5):
            await bench.run()
        assert bench.device().connections == 1

    on([IOS], tmp_path, work, r1={"login_rate": 1})


def test_one_more_may_begin_as_each_becomes_a_minute_old() -> None:
    time = Time()
    breaker = Breaker(Clock(monotonic=time.monotonic))
    for _ in range(3):
        breaker.admit(DEVICE)
        time.now += 10
    for wait in (30, 20):
        with pytest.raises(ConnectError, match=f"may in {wait} s"):
            breaker.admit(DEVICE)
        time.now += 10
    time.now += 10
    breaker.admit(DEVICE)
    with pytest.raises(ConnectError, match="may in 10 s"):
        breaker.admit(DEVICE)


def test_other_names_that_a_caller_gives_an_address_do_not_help_and_another_device_is_free() -> None:
    breaker = Breaker()
    for name in ("r1", "r1-again", "admin@192.0.2.1"):
        breaker.admit(replace(DEVICE, name=name, username=name, origin="added"))
    with pytest.raises(ConnectError):
        breaker.admit(replace(DEVICE, name="one-more", origin="ad_hoc"))
    breaker.admit(replace(DEVICE, name="one-more"))
    breaker.admit(replace(DEVICE, hostname="192.0.2.2", origin="added"))
    breaker.admit(replace(DEVICE, port=2222, origin="added"))
    breaker.admit(replace(DEVICE, jump=("elsewhere",), origin="added"))


# -- whose enable secret -------------------------------------------------------------------------------------------


def test_the_variable_of_the_operator_is_the_enable_secret_whatever_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong").write_text("another-3nable")
    (tmp_path / "wrong").chmod(0o600)
    monkeypatch.setenv("NETSSH_R1_ENABLE", IOS.enable)

    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "enable"

    on([IOS], tmp_path, work, r1={"enable": f"file:{tmp_path / 'wrong'}"})


def test_without_the_variable_the_wrong_secret_of_the_file_is_refused_once(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("another-3nable")
    (tmp_path / "wrong").chmod(0o600)

    async def work(bench: Bench) -> None:
        with pytest.raises(AuthenticationFailed, match="did not grant enable mode"):
            await bench.run()

    on([IOS], tmp_path, work, r1={"enable": f"file:{tmp_path / 'wrong'}"})


def test_each_credential_set_brings_its_own_enable_secret(tmp_path: Path) -> None:
    for name, value in (("pass", IOS.password), ("enable", IOS.enable), ("other", "another-3nable")):
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    both = {"username": "admin", "password": f"file:{tmp_path / 'pass'}", "enable": f"file:{tmp_path / 'enable'}"}

    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "enable"

    on([IOS], tmp_path, work, r1={"password": "", "enable": f"file:{tmp_path / 'other'}", "credentials": [both]})


@pytest.mark.parametrize("name", ["enable", "password", "secret", "credentials"])
def test_no_call_has_an_argument_for_a_secret(name: str) -> None:
    from netssh_mcp.services.commands import Commands
    from netssh_mcp.services.runs import Runs

    for call in (Commands.show, Runs.run):
        assert name not in call.__code__.co_varnames[: call.__code__.co_argcount + call.__code__.co_kwonlyargcount]
