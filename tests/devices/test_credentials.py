"""Several ways to log in, and no account locked by trying them: what devices count is what is asserted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest
from asyncssh.auth import KbdIntChallenge

from netssh_mcp.errors import AuthenticationFailed, ConnectError, CredentialStopped, ForwardingRefused, NetsshError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.lab import server
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import start_network
from netssh_mcp.wire import breaker as breakers
from netssh_mcp.wire.bastions import Bastions
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.credentials import asks_for_password
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.transport import Link, connect
from tests.devices.direct import Bench, no_threads_left, on
from tests.devices.house import _secret, audit_records, opened
from tests.unit.wires import Clock

IOS = DeviceSpec("r1", "cisco_ios", username="netops", password="right")


def credential(folder: Path, name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"password": _secret(folder, name, value), **more}


def failures(bench: Bench, specs: Sequence[DeviceSpec]) -> list[int]:
    return [bench.device(spec.name).auth_failures for spec in specs]


# -- sets ----------------------------------------------------------------------------------------------------------


def test_the_first_set_that_a_device_takes_is_used_and_tried_first_from_then_on(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (replace(IOS, password="wrong"),)
        await bench.run()
        assert bench.lease is not None
        assert (bench.device().logins, bench.device().auth_failures) == (1, 1)
        bench.lease.session.close()
        await bench.run()
        assert (bench.device().logins, bench.device().auth_failures) == (2, 1)

    on([IOS], tmp_path, work, r1={"credentials": [credential(tmp_path, "p2", "right")]})


def test_a_set_brings_its_own_user_and_its_own_enable_secret(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "enable"
        assert bench.device().auth_failures == 1

    spec = replace(IOS, username="netadmin", enable="s3cret")
    own = {"username": "netops", "enable": _secret(tmp_path, "e1", "wr0ng")}
    second = credential(tmp_path, "p2", "right", username="netadmin", enable=_secret(tmp_path, "e2", "s3cret"))
    on([spec], tmp_path, work, r1={**own, "credentials": [second]})


def test_when_no_set_is_taken_each_was_tried_once_and_the_error_says_all(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (replace(IOS, password="wr0ng-1"),)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed, match="none of 3 credential sets was taken") as caught:
                await bench.run()
            assert "netadmin" in str(caught.value)
            assert "wr0ng" not in f"{caught.value!r} {caught.value.facts()}"
        assert bench.device().auth_failures == 3

    sets = [credential(tmp_path, "p2", "wr0ng-2"), credential(tmp_path, "p3", "wr0ng-3", username="netadmin")]
    on([IOS], tmp_path, work, r1={"credentials": sets})


def test_a_jump_host_has_sets_too(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = tuple(replace(spec, password="wrong") if spec.name == "gate" else spec for spec in bench.specs)
        with pytest.raises(ForwardingRefused):  # it lets us in, and simulated devices forward nothing
            await bench.run()
        assert (bench.device("gate").auth_failures, bench.device("gate").logins) == (1, 1)

    specs = [replace(IOS, name="gate"), IOS]
    gate = {"credentials": [credential(tmp_path, "p2", "right")]}
    on(specs, tmp_path, work, gate=gate, r1={"jump": "gate"})


def test_sets_can_be_all_that_a_host_has(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.device().auth_failures == 0

    on([IOS], tmp_path, work, r1={"password": "", "credentials": [credential(tmp_path, "p2", "right")]})


# -- the breaker ---------------------------------------------------------------------------------------------------


def wrong_for_all(folder: Path, specs: Sequence[DeviceSpec], **more: Any) -> dict[str, Mapping[str, Any]]:
    return {spec.name: {"password": _secret(folder, f"{spec.name}.wrong", "wr0ng"), **more} for spec in specs}


def test_a_wrong_password_on_a_whole_fleet_is_tried_on_two_devices_and_the_other_rows_say_so(tmp_path: Path) -> None:
    count = 200
    specs = [replace(IOS, name=f"r{number}") for number in range(count)]

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(120):
            async with opened(network, specs, tmp_path, **wrong_for_all(tmp_path, specs)) as app:
                result = await app.commands.show("*", ["show version"], wait=100)
                rows = result["rows"]
                counted = [network.device(spec.name).auth_failures for spec in specs]
                assert sum(counted) == 2
                assert max(counted) == 1
                assert (result["failed"], len(rows)) == (count, count)
                stopped = [row for row in rows if "was not tried here" in row["error"]["message"]]
                assert len(stopped) == count - 2
                refusers = [spec.name for spec, tries in zip(specs, counted, strict=True) if tries]
                assert all(name in stopped[0]["error"]["message"] for name in refusers)
                again = await app.commands.show("*", ["show version"], wait=100)
                assert again["failed"] == count
                assert sum(network.device(spec.name).auth_failures for spec in specs) == 2

    with no_threads_left():
        anyio.run(main)
    assert "wr0ng" not in repr(audit_records(tmp_path))


def test_each_wrong_set_is_tried_twice_in_all_and_the_right_one_logs_in_everywhere(tmp_path: Path) -> None:
    specs = [replace(IOS, name=f"r{number}") for number in range(30)]
    more = wrong_for_all(tmp_path, specs, credentials=[credential(tmp_path, "p2", "right")])

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            async with opened(network, specs, tmp_path, **more) as app:
                result = await app.commands.show("*", ["show version"], wait=50)
                assert result["ok"] == len(specs)
                counted = [network.device(spec.name).auth_failures for spec in specs]
                assert sum(counted) <= 2
                assert max(counted) == 1

    anyio.run(main)


def test_a_wrong_enable_secret_is_typed_on_two_devices_of_a_fleet(tmp_path: Path) -> None:
    specs = [replace(IOS, name=f"r{number}", enable="s3cret") for number in range(20)]
    more = {spec.name: {"enable": _secret(tmp_path, f"{spec.name}.no", "wr0ng-enable")} for spec in specs}

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            async with opened(network, specs, tmp_path, **more) as app:
                result = await app.commands.show("*", ["show version"], wait=50)
                assert result["failed"] == len(specs)
                typed = [b"".join(data for _, data in network.device(spec.name).writes) for spec in specs]
                assert sum(text.count(b"wr0ng-enable") for text in typed) == 2

    anyio.run(main)


def test_a_corrected_password_lifts_the_stop_at_once(tmp_path: Path) -> None:
    specs = [replace(IOS, name=f"r{number}") for number in range(4)]

    async def work(bench: Bench) -> None:
        bench.specs = tuple(replace(spec, password="wr0ng") for spec in specs)
        for spec in specs:
            with pytest.raises(AuthenticationFailed):
                await bench.run(name=spec.name)
        assert failures(bench, specs) == [1, 1, 0, 0]
        bench.specs = tuple(specs)
        for spec in specs:
            await bench.run(name=spec.name)
        assert failures(bench, specs) == [1, 1, 0, 0]

    on(specs, tmp_path, work)


def test_devices_that_have_taken_a_credential_are_not_stopped_by_others_that_refuse_it(tmp_path: Path) -> None:
    specs = [IOS, replace(IOS, name="r2", password="another"), replace(IOS, name="r3", password="another")]

    async def work(bench: Bench) -> None:
        bench.specs = tuple(replace(spec, password="right") for spec in specs)
        await bench.run()
        for name in ("r2", "r3"):
            with pytest.raises(AuthenticationFailed):
                await bench.run(name=name)
        assert bench.lease is not None
        bench.lease.session.close()
        await bench.run()
        assert failures(bench, specs) == [0, 1, 1]

    on(specs, tmp_path, work)


class _Bench:
    """A breaker on a clock that counts instead of running."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.breaker = Breaker()
        self.identity = self.breaker.identity("login", "netops", "pw")

    def attempt(self, name: str, taken: bool | None) -> NetsshError | None:
        device = Device(name, name, 22, "cisco_ios", "netops")
        try:
            with self.breaker.trial(
                device, self.identity, "the login", deadline=self.clock.now, given_up=lambda: False
            ) as trial:
                trial.taken = taken
        except NetsshError as error:
            return error
        return None


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> _Bench:
    clock = Clock()
    monkeypatch.setattr(breakers, "time", clock)
    return _Bench(clock)


def test_two_refusals_in_a_row_stop_a_credential_for_a_quarter_of_an_hour_and_then_one_may_try(bench: _Bench) -> None:
    assert bench.attempt("r1", taken=False) is None
    assert bench.attempt("r2", taken=False) is None
    assert isinstance(bench.attempt("r3", taken=True), CredentialStopped)
    bench.clock.now += 901
    assert bench.attempt("r3", taken=False) is None
    assert isinstance(bench.attempt("r4", taken=False), CredentialStopped)


def test_a_device_that_takes_it_between_two_refusals_keeps_a_credential_going(bench: _Bench) -> None:
    for number in range(10):
        assert bench.attempt(f"good{number}", taken=True) is None
        assert bench.attempt(f"bad{number}", taken=False) is None


def test_no_answer_is_no_refusal(bench: _Bench) -> None:
    for number in range(5):
        assert bench.attempt(f"r{number}", taken=None) is None


def test_one_device_tries_a_credential_once_in_a_quarter_of_an_hour(bench: _Bench) -> None:
    assert bench.attempt("r1", taken=False) is None
    error = bench.attempt("r1", taken=True)
    assert isinstance(error, AuthenticationFailed)
    assert not isinstance(error, CredentialStopped)
    bench.clock.now += 901
    assert bench.attempt("r1", taken=True) is None


def all_at_once(bench: _Bench, names: Sequence[str], *, taken: bool) -> int:
    """How many of the devices got to try it, before the first of them has answered."""
    with contextlib.ExitStack() as held:
        trying = []
        for name in names:
            device = Device(name, name, 22, "cisco_ios", "netops")
            trial = bench.breaker.trial(
                device, bench.identity, "the login", deadline=bench.clock.now, given_up=lambda: False
            )
            with contextlib.suppress(ConnectError, CredentialStopped):
                trying.append(held.enter_context(trial))
        for each in trying:
            each.taken = taken
    return len(trying)


def test_a_password_that_was_changed_behind_our_back_is_refused_twice_by_a_whole_fleet_that_had_taken_it(
    bench: _Bench,
) -> None:
    names = [f"r{number}" for number in range(20)]
    for name in names:
        assert bench.attempt(name, taken=True) is None
    assert all_at_once(bench, names, taken=True) == 20  # it has worked just now
    bench.clock.now += 3600
    assert all_at_once(bench, names, taken=False) == 2
    assert all_at_once(bench, names[2:], taken=False) == 0
    for name in names[2:]:
        assert isinstance(bench.attempt(name, taken=False), CredentialStopped)


def test_after_a_pause_the_first_device_that_takes_it_opens_the_way_for_all(bench: _Bench) -> None:
    names = [f"r{number}" for number in range(20)]
    assert bench.attempt("r0", taken=True) is None
    bench.clock.now += 3600
    assert all_at_once(bench, names, taken=True) == 2
    assert all_at_once(bench, names, taken=True) == 20


def test_two_odd_devices_stop_it_for_the_others_only_until_one_that_knows_it_has_taken_it(bench: _Bench) -> None:
    for name in ("r1", "r2", "r3"):
        assert bench.attempt(name, taken=True) is None
    for name in ("odd1", "odd2"):
        assert bench.attempt(name, taken=False) is None
    assert isinstance(bench.attempt("new", taken=True), CredentialStopped)
    assert all_at_once(bench, ["r1", "r2", "r3"], taken=True) == 1
    assert bench.attempt("new", taken=True) is None


def test_who_gets_no_turn_in_time_has_not_tried(bench: _Bench) -> None:
    device = Device("r0", "r0", 22, "cisco_ios", "netops")
    both = [
        bench.breaker.trial(device, bench.identity, "the login", deadline=bench.clock.now, given_up=lambda: False)
        for _ in range(2)
    ]
    with both[0], both[1]:
        error = bench.attempt("r1", taken=True)
    assert isinstance(error, ConnectError)
    assert error.retryable
    assert bench.attempt("r1", taken=True) is None


# -- keyboard-interactive ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    ["Password: ", "password:", "(netops@r1) Password:", "netops@r1's password: ", "LDAP Password:", "Passwort: "],
)
def test_a_question_for_the_password_is_known(question: str) -> None:
    assert asks_for_password(question)


@pytest.mark.parametrize(
    "question",
    [
        "Verification code: ",
        "One-time password (OATH) for `netops': ",
        "Enter PASSCODE: ",
        "PIN: ",
        "New password: ",
        "Retype password: ",
        "Token: ",
        "Duo passcode or option: ",
        "Username: ",
        "",
    ],
)
def test_a_question_for_something_else_is_not_taken_for_it(question: str) -> None:
    assert not asks_for_password(question)


@pytest.mark.parametrize(
    "prompts",
    [
        [("Verification code: ", False)],
        [("Password: ", True)],  # shown
        [("Password: ", False), ("Verification code: ", False)],
        [("Username: ", True)],
    ],
)
def test_nothing_but_one_hidden_question_for_the_password_is_answered(
    prompts: list[tuple[str, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Sequence[str]] = []

    def challenge(self: Any, username: str, lang: str, submethods: str) -> KbdIntChallenge:
        return "", "", "en", prompts

    def validate(self: Any, username: str, responses: Sequence[str]) -> bool:
        answers.append(responses)
        return False

    monkeypatch.setattr(server._Server, "get_kbdint_challenge", challenge)
    monkeypatch.setattr(server._Server, "validate_kbdint_response", validate)

    async def work(bench: Bench) -> None:
        with pytest.raises(AuthenticationFailed, match="it asked"):
            await bench.run()
        assert [list(answer) for answer in answers] == [["" for _ in prompts]]

    on([replace(IOS, auth=("keyboard-interactive",))], tmp_path, work)


# -- keys and certificates -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca`, `user` with `user-cert.pub` beside it, `other` with its certificate elsewhere, `stranger`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ca", "user", "other", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True)
    for name in ("user", "other"):
        sign = ["ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", name, "-n", "netops", str(folder / f"{name}.pub")]
        subprocess.run(sign, check=True, capture_output=True)
    (folder / "elsewhere").mkdir()
    (folder / "other-cert.pub").rename(folder / "elsewhere" / "signed.pub")
    return folder


@asynccontextmanager
async def sshd(trusted: str) -> AsyncIterator[int]:
    """The port of an SSH server that trusts these lines of authorized_keys."""
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(trusted),
        encoding=None,
    )
    try:
        yield acceptor.get_port()
    finally:
        acceptor.close()


def logs_in(trusted: str, tmp_path: Path, **entry: Any) -> str:
    """ "" when the login was taken, else the error's text."""

    async def main() -> str:
        async with sshd(trusted) as port:
            device = Device("h1", "127.0.0.1", port, "linux", "netops", **entry)
            host_keys = HostKeys("tofu", (), tmp_path / "known_hosts")
            link = Link()

            def login() -> str:
                try:
                    connect([device], host_keys, time.monotonic() + 20, link, Bastions(host_keys))
                except NetsshError as error:
                    return str(error)
                return ""

            try:
                return await anyio.to_thread.run_sync(login)
            finally:
                link.close()

    with no_threads_left():
        return anyio.run(main)


def authority(keys: Path) -> str:
    return f"cert-authority {(keys / 'ca.pub').read_text()}"


def test_a_certificate_beside_the_key_logs_in_where_only_the_authority_is_trusted(keys: Path, tmp_path: Path) -> None:
    assert logs_in(authority(keys), tmp_path, key_files=(keys / "user",)) == ""


def test_a_named_certificate_logs_in_with_the_key_it_is_of(keys: Path, tmp_path: Path) -> None:
    files = {"key_files": (keys / "user", keys / "other"), "certificates": (keys / "elsewhere" / "signed.pub",)}
    assert logs_in(authority(keys), tmp_path, **files) == ""
    without = logs_in(authority(keys), tmp_path, key_files=(keys / "other",))
    assert "refused (key file other" in without


def test_the_plain_key_is_offered_behind_its_certificate(keys: Path, tmp_path: Path) -> None:
    assert logs_in((keys / "user.pub").read_text(), tmp_path, key_files=(keys / "user",)) == ""


def test_a_certificate_of_no_key_and_a_file_that_is_none_are_named(keys: Path, tmp_path: Path) -> None:
    signed = keys / "elsewhere" / "signed.pub"
    said = logs_in(authority(keys), tmp_path, key_files=(keys / "user",), certificates=(signed,))
    assert f"{signed} is of none of the keys" in said
    said = logs_in(authority(keys), tmp_path, key_files=(keys / "user",), certificates=(keys / "ca.pub",))
    assert "is no OpenSSH user certificate" in said


def test_several_keys_are_tried_in_order(keys: Path, tmp_path: Path) -> None:
    trusted = (keys / "other.pub").read_text()
    assert logs_in(trusted, tmp_path, key_files=(keys / "stranger", keys / "other")) == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_that_others_may_read_is_refused_as_ssh_does(mode: int, keys: Path, tmp_path: Path) -> None:
    own = tmp_path / "key"
    own.write_bytes((keys / "other").read_bytes())
    own.chmod(mode)
    said = logs_in((keys / "other.pub").read_text(), tmp_path, key_files=(own,))
    assert f"is open to others (mode {mode:04o})" in said
    own.chmod(0o400)
    assert logs_in((keys / "other.pub").read_text(), tmp_path, key_files=(own,)) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_key_file_of_another_user_is_refused(keys: Path, tmp_path: Path) -> None:
    own = tmp_path / "key"
    own.write_bytes((keys / "other").read_bytes())
    own.chmod(0o600)
    os.chown(own, 54321, -1)
    said = logs_in((keys / "other.pub").read_text(), tmp_path, key_files=(own,))
    assert "belongs to another user" in said
