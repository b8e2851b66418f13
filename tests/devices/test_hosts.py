"""The `host` service, variables per host, unlisted targets: what is sent where, and what is not."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import AuthenticationFailed, HostKeyUnknown, InputError, PolicyError, Unreachable
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, new_host_key, start_network
from netssh_mcp.services.app import App, open_app
from tests.devices import house

R1 = DeviceSpec("r1", "cisco_ios", password="pass-of-r1", enable="enable-of-r1")
EVIL = DeviceSpec("evil", "cisco_ios", password="whatever")
Work = Callable[[App, RunningNetwork], Awaitable[None]]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NETSSH_")]:
        monkeypatch.delenv(name)


def on(
    folder: Path,
    work: Work,
    *specs: DeviceSpec,
    inventory: str = "hosts: {}\n",
    env: str = "",
    **more: Any,
) -> None:
    """Run `work` on a server with this inventory, in which hosts may be added."""

    async def main() -> None:
        (folder / "inventory.yaml").write_text(inventory)
        with start_network(specs or (R1,)) as network:
            if env:
                (folder / "env").write_text(env)
                (folder / "env").chmod(0o600)
                more["env_file"] = str(folder / "env")
            given = {"edit_hosts": "on", **more}
            settings = house.settings(folder, folder / "inventory.yaml", **given)
            with anyio.fail_after(60):
                async with open_app(settings) as app:
                    await work(app, network)

    anyio.run(main)


def entry(network: RunningNetwork, name: str = "r1", **more: Any) -> dict[str, Any]:
    return {
        "hostname": "127.0.0.1",
        "port": network.ports[name],
        "platform": "cisco_ios",
        "username": "admin",
        **more,
    }


MINE = "NETSSH_R9_HOST=127.0.0.1\nNETSSH_R9_PASSWORD='pass-of-r1'\nNETSSH_R9_ENABLE=enable-of-r1\n"


def test_from_an_empty_inventory_a_host_is_added_tested_asked_changed_and_removed(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        added = await app.hosts.act("add", "r9", entry(network, data={"site": "ber"}))
        assert (added["state"], added["withheld"]) == ("added", [])
        assert added["overridden"] == ["NETSSH_R9_HOST", "NETSSH_R9_PASSWORD", "NETSSH_R9_ENABLE"]
        tested = await app.hosts.act("test", "r9")
        assert (tested["state"], tested["address"], tested["mode"]) == ("works", "127.0.0.1", "enable")
        assert tested["host_key"].startswith("ssh-ed25519 SHA256:")
        assert tested["host_key_verdict"] == "new: trusted at first sight and kept"
        assert tested["login_by"] == "password"
        assert tested["prompt_line"] == "r1#"
        phases = ("connect_ms", "key_exchange_ms", "login_ms", "prompt_ms")
        assert all(isinstance(tested[phase], float) and tested[phase] >= 0 for phase in phases)
        assert app.pool.sessions() == [], "it left"
        again = await app.hosts.act("test", "r9")
        assert again["host_key_verdict"] == "known"

        shown = await app.commands.show("site=ber", ["show version"])
        assert shown["rows"][0].get("error") is None
        changed = await app.hosts.act("edit", "r9", {"data": None, "timeout": 5})
        assert changed["state"] == "changed"
        assert "data" not in (tmp_path / "inventory.added.yaml").read_text()
        removed = await app.hosts.act("remove", "r9")
        assert (removed["state"], removed["next"]) == ("removed", "")
        assert app.pool.sessions() == [], "its sessions are closed"
        with pytest.raises(InputError, match="there is no device 'r9'"):
            await app.commands.show("r9", ["show version"])

    on(tmp_path, work, env=MINE)
    edits = [each for each in house.audit_records(tmp_path) if str(each.get("command", "")).startswith("host ")]
    assert [each["command"].split()[1] for each in edits] == ["add", "test", "test", "edit", "remove"]
    assert {each["verdict"] for each in edits} == {"allow"}
    for secret in ("pass-of-r1", "enable-of-r1"):
        assert secret not in (tmp_path / "audit.jsonl").read_text() + (tmp_path / "inventory.added.yaml").read_text()


def test_a_new_host_is_asked_without_a_restart_and_by_its_new_address_after_an_edit(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        await app.hosts.act("add", "r9", entry(network, "evil", username="admin"))
        with pytest.raises(AuthenticationFailed):
            await app.hosts.act("test", "r9")
        await app.hosts.act("edit", "r9", {"port": network.ports["r1"]})
        assert (await app.hosts.act("test", "r9"))["state"] == "works"

    on(tmp_path, work, R1, EVIL, env=MINE)


def test_a_password_goes_only_to_the_address_that_the_operator_wrote(tmp_path: Path) -> None:
    """The model adds a host under a name whose password the operator keeps, at an address of its own choice."""

    async def work(app: App, network: RunningNetwork) -> None:
        added = await app.hosts.act("add", "core-router", entry(network, "evil"))
        assert added["withheld"] == ["password", "NETSSH_CORE_ROUTER_PASSWORD"]
        assert "NETSSH_CORE_ROUTER_HOST" in added["next"]
        with pytest.raises(AuthenticationFailed) as caught:
            await app.hosts.act("test", "core-router")
        assert "Not used for this host: password, NETSSH_CORE_ROUTER_PASSWORD" in caught.value.hint
        assert network.device("evil").auth_failures == 0, "no password was tried"
        for reference in ("env:OF_ALL", "env:NETSSH_CORE_ROUTER_PASSWORD", "stored:core"):
            with pytest.raises(PolicyError, match="is not open to added hosts"):
                await app.hosts.act("edit", "core-router", {"password": reference})

    mine = "defaults: {password: env:OF_ALL}\nhosts: {}\n"
    on(tmp_path, work, R1, EVIL, inventory=mine, env="NETSSH_CORE_ROUTER_PASSWORD=core-secret\nOF_ALL=all-secret\n")


def test_nothing_is_written_unless_the_whole_inventory_can_be_read(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        good = entry(network)
        for values, why in (
            ({**good, "hostnam": "x"}, "did you mean hostname"),
            ({**good, "platform": "cisco_iso"}, "did you mean cisco_ios"),
            ({"hostname": "x", "platform": "cisco_ios"}, "there is no username"),
            ({**good, "port": "22"}, "must be a whole number"),
            ({**good, "jump": "r8"}, "there is no host 'r8' to jump through"),
        ):
            with pytest.raises(InputError, match=why) as caught:
                await app.hosts.act("add", "r9", values)
            assert "nothing was changed" in str(caught.value)
            assert ".inventory.added" not in str(caught.value), "no name of a file that is gone"
        assert not (tmp_path / "inventory.added.yaml").exists()
        for name in ("and", "a b", "", "x" * 200):
            with pytest.raises(InputError):
                await app.hosts.act("add", name, good)
        await app.hosts.act("add", "r.9", good)
        with pytest.raises(InputError, match=r"hosts\.r-9: NETSSH_R_9_"):
            await app.hosts.act("add", "r-9", good)
        assert list(app.hosts._desk.inventory.current().devices) == ["r.9"]

    on(tmp_path, work, env="NETSSH_R_9_USER=admin\n")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"password": "c4n4ry-text"}, "clear text, files and programs are refused"),
        ({"sudo": 'cmd:["/bin/c4n4ry-text"]'}, "clear text, files and programs are refused"),
        ({"password": "file:/etc/c4n4ry-text"}, "clear text, files and programs are refused"),
        ({"host_key": "SHA256:" + "a" * 43}, "host_key"),
        ({"host_keys": "accept_any"}, "host_keys"),
        ({"legacy": True}, "legacy"),
        ({"key_file": "/etc/passwd"}, "InputError"),
    ],
)
def test_what_weakens_or_reads_this_side_is_refused_and_on_record_without_the_value(
    tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        with pytest.raises((PolicyError, InputError)) as caught:
            await app.hosts.act("add", "r9", entry(network, **values))
        assert why in f"{caught.value} {type(caught.value).__name__} InputError"
        assert "c4n4ry" not in f"{caught.value} {caught.value.hint}"

    on(tmp_path, work)
    (record,) = [each for each in house.audit_records(tmp_path) if each.get("verdict") == "deny"]
    assert record["command"].startswith("host add r9")
    assert "c4n4ry" not in (tmp_path / "audit.jsonl").read_text()
    assert not (tmp_path / "inventory.added.yaml").exists()


def test_the_operators_own_hosts_are_not_changed_and_not_replaced(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        with pytest.raises(InputError, match=r"there is a host 'r1' already: the operator's own"):
            await app.hosts.act("add", "r1", entry(network))
        for action, values in (("edit", {"port": 23}), ("remove", {})):
            with pytest.raises(PolicyError, match="which no tool changes"):
                await app.hosts.act(action, "r1", values)
        await app.hosts.act("add", "r9", entry(network))
        with pytest.raises(InputError, match=r"there is a host 'r9' already: an added host"):
            await app.hosts.act("add", "r9", entry(network))
        with pytest.raises(InputError, match=r"there is no added host 'r8'; known: r9"):
            await app.hosts.act("edit", "r8", {"port": 23})

    mine = "hosts: {r1: {hostname: 127.0.0.1, platform: cisco_ios, username: admin}}\n"
    on(tmp_path, work, inventory=mine)


def test_without_the_operators_word_no_host_is_added_but_any_can_be_tested(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        for action in ("add", "edit", "remove"):
            with pytest.raises(PolicyError, match="adds, edits and removes no hosts") as caught:
                await app.hosts.act(action, "r9", entry(network) if action != "remove" else {})
            assert "--edit-hosts" in caught.value.hint
        with pytest.raises(InputError, match="`values` are for add and edit"):
            await app.hosts.act("test", "r1", {"port": 1})
        with pytest.raises(Unreachable):
            await app.hosts.act("test", "r1")

    mine = "hosts: {r1: {hostname: 127.0.0.1, port: 1, platform: cisco_ios, username: admin}}\n"
    on(tmp_path, work, inventory=mine, edit_hosts=None)


def test_an_unknown_key_in_strict_mode_is_shown_with_what_a_person_has_to_do(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        await app.hosts.act("add", "r9", entry(network))
        with pytest.raises(HostKeyUnknown, match="SHA256:") as caught:
            await app.hosts.act("test", "r9")
        assert "known_hosts" in caught.value.hint
        assert network.device("r1").logins == 0

    on(tmp_path, work, env=MINE, host_keys="strict")


def test_edits_of_many_tasks_at_once_are_all_there(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(app.hosts.act, "add", f"h{number}", entry(network))
        assert len(app.hosts._desk.inventory.current().devices) == 20

    on(tmp_path, work)


# -- unlisted targets --------------------------------------------------------------------------------------------------


def test_an_unlisted_target_is_asked_like_any_other_where_that_is_allowed(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        target = f"cisco_ios/admin@127.0.0.1:{network.ports['r1']}"
        shown = await app.commands.show(target, ["show version"])
        assert (shown["rows"][0]["device"], shown["rows"][0].get("error")) == (target, None)
        again = await app.commands.show(target, ["show version"])
        assert again["rows"][0].get("error") is None
        assert network.device("r1").logins == 1, "its session is kept like any other"
        assert [row[1] for row in app.devices.list(view="sessions")["rows"]] == [target], "and shown"
        assert (await app.hosts.act("test", target))["state"] == "works"
        with pytest.raises(InputError, match="there is no added host"):
            await app.hosts.act("remove", target)

    def env(port: int) -> str:
        alias = f"CISCO_IOS_ADMIN_127_0_0_1_{port}"
        pairs = {"HOST": "127.0.0.1", "PASSWORD": "pass-of-r1", "ENABLE": "enable-of-r1"}
        return "".join(f"NETSSH_{alias}_{key}={value}\n" for key, value in pairs.items())

    with start_network([R1]) as found:
        port = found.ports["r1"]
    on(tmp_path, work, replace(R1, port=port), env=env(port), ad_hoc=True)


def test_no_password_of_the_inventory_is_sent_to_an_unlisted_target(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        shown = await app.commands.show(f"cisco_ios/admin@127.0.0.1:{network.ports['evil']}", ["show version"])
        assert shown["rows"][0]["error"]["kind"] == "auth"
        assert network.device("evil").auth_failures == 0

    mine = "defaults: {password: env:OF_ALL, enable: env:OF_ALL}\nhosts: {}\n"
    on(tmp_path, work, EVIL, inventory=mine, env="OF_ALL=whatever\n", ad_hoc=True)


def test_a_target_that_is_a_device_of_the_inventory_is_that_device(tmp_path: Path) -> None:
    async def work(app: App, network: RunningNetwork) -> None:
        shown = await app.commands.show(f"admin@127.0.0.1:{network.ports['r1']}", ["show version"])
        assert (shown["rows"][0]["device"], shown["rows"][0].get("error")) == ("core", None)

    with start_network([R1]) as found:
        port = found.ports["r1"]
    mine = f"hosts: {{core: {{hostname: 127.0.0.1, port: {port}, platform: cisco_ios, username: admin}}}}\n"
    env = "NETSSH_CORE_PASSWORD=pass-of-r1\nNETSSH_CORE_ENABLE=enable-of-r1\n"
    on(tmp_path, work, replace(R1, port=port), inventory=mine, env=env)


def test_what_a_device_prints_of_the_env_file_is_hidden(tmp_path: Path) -> None:
    secret = "x9-Trub4dor&3-horse"
    spec = replace(R1, outputs={"show clock": f"the secret is {secret} and {new_host_key()[:5]}"}, enable="")

    async def work(app: App, network: RunningNetwork) -> None:
        await app.hosts.act("add", "r9", entry(network))
        shown = await app.commands.show("r9", ["show clock"], parse="raw")
        assert shown["rows"][0].get("error") is None
        assert secret not in str(shown)
        assert "<redacted:" in str(shown["rows"][0])

    on(tmp_path, work, spec, env=f"{MINE}NOBODY_USES='{secret}'\n")
