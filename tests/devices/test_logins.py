"""Logging in: every way in, each credential once, each secret only where it belongs, and nothing changed by it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import asyncssh
import pytest

from netssh_mcp.errors import AuthenticationFailed, HostKeyChanged, HostKeyUnknown, PromptNotFound, Unreachable
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Faults
from netssh_mcp.lab.model import platforms
from netssh_mcp.lab.server import new_host_key, start_network
from netssh_mcp.wire.turn import Turn
from tests.devices import openssh
from tests.devices.direct import PROFILES, Bench, on, pool_of, until
from tests.devices.house import _secret
from tests.unit.known_hosts_cases import CASES, written

IOS = DeviceSpec("r1", "cisco_ios")
NETWORK_PLATFORMS = [name for name in platforms() if name != "linux"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`plain` and `locked` (passphrase "open sesame"), each with its public half."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind, passphrase in (("plain", "ssh-ed25519", None), ("locked", "ecdsa-sha2-nistp256", "open sesame")):
        key = asyncssh.generate_private_key(kind)
        key.write_private_key(folder / name, passphrase=passphrase, rounds=50)
        (folder / name).chmod(0o600)
        key.write_public_key(folder / f"{name}.pub")
    return folder


def only_key(keys: Path, name: str) -> DeviceSpec:
    return replace(IOS, auth=("publickey",), authorized_keys=((keys / f"{name}.pub").read_text(),))


async def shows_version(bench: Bench) -> None:
    assert "Cisco IOS" in (await bench.run()).output
    assert bench.device().logins == 1


# -- credentials ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_logs_in_by_the_one_method_that_the_server_has(method: str, tmp_path: Path) -> None:
    on([replace(IOS, auth=(method,))], tmp_path, shows_version)  # type: ignore[arg-type]


def test_a_key_file_logs_in(keys: Path, tmp_path: Path) -> None:
    on([only_key(keys, "plain")], tmp_path, shows_version, r1={"key_file": str(keys / "plain")})


def test_a_key_file_with_a_passphrase_logs_in(keys: Path, tmp_path: Path) -> None:
    more = {"key_file": str(keys / "locked"), "key_passphrase": _secret(tmp_path, "phrase", "open sesame")}
    on([only_key(keys, "locked")], tmp_path, shows_version, r1=more)


def test_a_key_file_that_cannot_be_read_is_named_and_is_no_refusal_by_the_device(keys: Path, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        for _ in range(2):
            with pytest.raises(AuthenticationFailed, match=r"key file .*locked cannot be used") as caught:
                await bench.run()
            assert "not tried again" not in str(caught.value)
            assert "wrong phrase" not in f"{caught.value!r} {caught.value.facts()}"
        assert bench.device().auth_failures == 0

    more = {"key_file": str(keys / "locked"), "key_passphrase": _secret(tmp_path, "phrase", "wrong phrase")}
    on([only_key(keys, "locked")], tmp_path, work, r1=more)


@pytest.fixture
def agent(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real ssh-agent that holds `plain`."""
    address = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not Path(address).is_socket():
            assert process.poll() is None
        added = {**os.environ, "SSH_AUTH_SOCK": address}
        subprocess.run(["ssh-add", "-q", str(keys / "plain")], env=added, check=True, capture_output=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", address)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.usefixtures("agent")
def test_an_agents_key_logs_in(keys: Path, tmp_path: Path) -> None:
    on([only_key(keys, "plain")], tmp_path, shows_version, r1={"agent": True})


def test_a_wrong_password_is_sent_once_and_is_in_no_text(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (replace(IOS, password="hunter2-wrong"),)
        for _ in range(3):
            with pytest.raises(AuthenticationFailed) as caught:
                await bench.run()
            assert "hunter2-wrong" not in f"{caught.value!r} {caught.value.facts()} {caught.value.__cause__!r}"
        assert bench.device().auth_failures == 1
        assert bench.device().connections == 1

    on([replace(IOS, auth=("password", "keyboard-interactive"))], tmp_path, work)


def test_a_jump_hosts_refusal_stops_the_tries_of_all_behind_it(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        specs = tuple(replace(spec, password="wrong") if spec.name == "gate" else spec for spec in bench.specs)
        bench.specs = specs
        for name in ("r1", "r2", "r1"):
            with pytest.raises(AuthenticationFailed) as caught:
                await bench.run(name=name)
            assert caught.value.device == "gate"
        assert bench.device("gate").auth_failures == 1

    specs = [DeviceSpec("gate", "cisco_ios"), IOS, replace(IOS, name="r2")]
    on(specs, tmp_path, work, r1={"jump": "gate"}, r2={"jump": "gate"})


# -- enable --------------------------------------------------------------------------------------------------------


def typed(bench: Bench, secret: str) -> int:
    return b"".join(data for _, data in bench.device().writes).count(secret.encode())


def test_the_enable_secret_is_typed_once_at_its_own_question_whatever_the_banner_says(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "enable"
        assert typed(bench, "s3cret") == 1
        assert bench.device().received.count("enable") == 1

    spec = replace(IOS, enable="s3cret", motd="Welcome.\nEnter your password\nPassword:\nPassword: \n")
    on([spec], tmp_path, work)


def test_a_wrong_enable_secret_is_typed_once(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (replace(IOS, enable="wr0ng"),)
        for _ in range(2):
            with pytest.raises(AuthenticationFailed, match="did not grant enable mode") as caught:
                await bench.run()
            assert "wr0ng" not in f"{caught.value!r} {caught.value.facts()}"
        assert typed(bench, "wr0ng") == 1

    on([replace(IOS, enable="s3cret")], tmp_path, work)


def test_a_device_without_an_enable_secret_never_sees_ours(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (replace(IOS, mode="exec", enable="s3cret"),)
        with pytest.raises(AuthenticationFailed, match="asked for no password"):
            await bench.run()
        assert typed(bench, "s3cret") == 0

    on([replace(IOS, mode="exec")], tmp_path, work)


def test_without_a_secret_in_the_inventory_exec_mode_is_used(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.specs = (IOS,)
        await bench.run()
        assert bench.lease is not None
        assert bench.lease.session.connection.mode == "exec"
        assert "enable" not in bench.device().received

    on([replace(IOS, enable="s3cret")], tmp_path, work)


# -- what a login does to a device ---------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", NETWORK_PLATFORMS)
def test_a_login_enters_no_configuration_and_changes_nothing(platform: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        before = bench.device().running.text()
        await bench.run()
        received = [line.strip() for line in bench.device().received]
        assert not [line for line in received if line.split()[:1] in (["configure"], ["conf"], ["system-view"])]
        assert bench.device().running.text() == before
        assert bench.device().early == []

    on([DeviceSpec("r1", platform)], tmp_path, work)


@pytest.mark.parametrize("platform", ["cisco_asa", "cisco_ios", "arista_eos"])
def test_a_platform_with_levels_is_raised_before_it_is_prepared(platform: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        received = [line.strip() for line in bench.device().received]
        assert "login" not in received
        assert "admin" not in received
        if platform == "cisco_asa":
            assert received.index("enable") < received.index("terminal pager 0")
            assert not [line for line in received if "width" in line]

    on([DeviceSpec("r1", platform, enable="s3cret")], tmp_path, work)


@pytest.mark.parametrize("platform", ["cisco_ios", "cisco_nxos", "cisco_xr", "arista_eos", "juniper_junos", "frr"])
def test_a_login_that_lands_in_configuration_mode_leaves_it_unsaved_and_says_so(platform: str, tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        before = (bench.device().running.text(), bench.device().startup)
        reply = await bench.run()
        assert any("configuration mode" in event for event in reply.events)
        assert bench.lease is not None
        assert bench.lease.session.connection.mode != "config"
        assert (bench.device().running.text(), bench.device().startup) == before

    on([DeviceSpec("r1", platform, mode="configuration" if platform == "juniper_junos" else "config")], tmp_path, work)


@pytest.mark.parametrize(
    ("platform", "most"),
    [
        ("cisco_ios", 3),  # width, length, one proof
        ("cisco_nxos", 3),
        ("cisco_xr", 3),
        ("cisco_asa", 4),
        ("arista_eos", 3),
        ("juniper_junos", 5),
        ("frr", 3),  # one proof, length and its own
    ],
)
def test_a_login_asks_the_device_no_more_than_it_needs(platform: str, most: int, tmp_path: Path) -> None:
    """Each write at login is a round trip; a proof that still holds is not asked for again."""

    async def work(bench: Bench) -> None:
        hops = bench.hops()
        async with bench.pool.lease(hops, PROFILES.get(platform), Turn()):
            writes = [data for _, data in bench.device().writes]
        assert len(writes) <= most, writes

    on([DeviceSpec("r1", platform)], tmp_path, work)


@pytest.mark.parametrize("platform", NETWORK_PLATFORMS)
@pytest.mark.parametrize("fault", ["byte-by-byte", "early", "slow"])
def test_every_platform_logs_in_on_a_bad_line(platform: str, fault: str, tmp_path: Path) -> None:
    faults = {"byte-by-byte": Faults(fragment=1), "early": Faults(echo="early"), "slow": Faults(delay=0.05)}[fault]

    async def work(bench: Bench) -> None:
        first = await bench.run()
        assert (await bench.run()).output == first.output
        assert len(first.output) > 20

    on([DeviceSpec("r1", platform, faults=faults)], tmp_path, work)


def test_the_wrong_platform_is_an_error_that_names_the_last_line(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(PromptNotFound) as caught:
            await bench.run()
        assert "platform" in caught.value.hint

    on([DeviceSpec("r1", "juniper_junos")], tmp_path, work, r1={"platform": "paloalto_panos", "connect_timeout": 1})


def test_a_device_whose_sessions_are_all_taken_says_so(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        async with anyio.create_task_group() as tasks:

            async def hold() -> None:
                async with bench.pool.lease(bench.hops(), PROFILES.get("cisco_ios"), Turn()):
                    await anyio.sleep_forever()

            tasks.start_soon(hold)
            await until(lambda: bench.device().sessions_open)
            with pytest.raises(Unreachable, match="refused a shell") as caught:
                await bench.run()
            assert "max_sessions" in caught.value.hint
            tasks.cancel_scope.cancel()

    on([replace(IOS, max_sessions=1)], tmp_path, work)


# -- host keys, end to end -----------------------------------------------------------------------------------------


def test_strict_refuses_an_unknown_key_before_any_credential_is_sent(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(HostKeyUnknown, match="SHA256:"):
            await bench.run()
        assert (bench.device().logins, bench.device().auth_failures) == (0, 0)

    on([IOS], tmp_path, work, mode="strict")


def test_tofu_keeps_the_first_key_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        await bench.run()
        assert len((tmp_path / "known_hosts").read_text().splitlines()) == 1
        key = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().split()
        (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{bench.network.ports['r1']} {key[0]} {key[1]}\n")
        await bench.pool.aclose()
        bench.pool = pool_of(tmp_path)
        with pytest.raises(HostKeyChanged, match=r"known_hosts:1"):
            await bench.run()
        assert bench.device().logins == 1

    on([replace(IOS, host_key=new_host_key())], tmp_path, work)


def test_a_pinned_key_needs_no_file(tmp_path: Path) -> None:
    host_key = new_host_key()
    mine = asyncssh.import_private_key(host_key)

    async def work(bench: Bench) -> None:
        await bench.run()
        assert not (tmp_path / "known_hosts").exists()

    on([replace(IOS, host_key=host_key)], tmp_path, work, mode="strict", r1={"host_key": mine.get_fingerprint()})


def test_openssh_gives_the_same_verdict_on_every_known_hosts_file(tmp_path: Path) -> None:
    openssh.needed()
    mine = new_host_key()
    others = [asyncssh.generate_private_key(kind) for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256")]
    key, other, kind = (
        " ".join(one.export_public_key("openssh").decode().split()[:2])
        for one in (asyncssh.import_private_key(mine), *others)
    )
    found = {}
    with start_network([replace(IOS, host_key=mine)]) as network:
        port = network.ports["r1"]
        for case in CASES:
            text = written(case, f"[127.0.0.1]:{port}", key=key, other=other, kind=kind)
            (tmp_path / "known_hosts").write_bytes(text.encode())
            found[case] = _openssh(tmp_path / "known_hosts", port)
    assert found == {case: "accepted" if verdict == "accepted" else "refused" for case, (_, verdict) in CASES.items()}


def _openssh(known_hosts: Path, port: int) -> str:
    """Whether strict checking lets the client go on to the login, which is refused for want of a method."""
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "PreferredAuthentications": "none",
        "BatchMode": "yes",
    }
    argv = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", *argv, "-p", str(port), "admin@127.0.0.1", "true"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if "Permission denied" in done.stderr:
        return "accepted"
    assert "Host key verification failed" in done.stderr or "REVOKED" in done.stderr, done.stderr
    return "refused"
