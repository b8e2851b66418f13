"""The file of added hosts: what may stand in it, and that nothing is lost when several write it."""

from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import Inventory, InventorySource
from netssh_mcp.knowledge.overlay import Hosts, Overlay
from netssh_mcp.knowledge.profiles import Profiles

PLATFORMS = {"linux": "linux", "cisco_ios": "cisco_ios"}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "inventory.yaml", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text))
        path.chmod(mode)
        return path

    return _write


def load(inventory: Path, overlay: Path, **more: Any) -> Inventory:
    return InventorySource([inventory], PLATFORMS, overlay=overlay, **more).current()


def unchecked(_path: Path) -> None:
    """Any content will do."""


# -- the file ----------------------------------------------------------------------------------------------------------


def test_an_edit_makes_a_private_file_that_is_read_as_an_inventory(tmp_path: Path) -> None:
    overlay = Overlay(tmp_path / "added.yaml")
    values = {"hostname": "192.0.2.9", "platform": "linux", "username": "no", "data": {"rd": "65000:10", "on": True}}
    overlay.edit(lambda hosts: hosts.update(web9=values), unchecked)
    assert stat.S_IMODE(overlay.path.stat().st_mode) == 0o600
    assert overlay.hosts() == {"web9": values}
    inventory = InventorySource([], PLATFORMS, overlay=overlay.path).current()
    assert dict(inventory.device("web9").data) == {"rd": "65000:10", "on": True}


def test_what_goes_wrong_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    overlay = Overlay(tmp_path / "added.yaml")
    overlay.edit(lambda hosts: hosts.update(a={}), unchecked)
    before = overlay.path.read_bytes(), overlay.path.stat().st_ino

    def bad(_hosts: Hosts) -> None:
        raise InputError("not so")

    def refused(new: Path) -> None:
        assert "b:" in new.read_text()
        raise InputError("not so")

    for change, check in ((bad, unchecked), (lambda hosts: hosts.update(b={}), refused)):
        with pytest.raises(InputError, match="not so"):
            overlay.edit(change, check)
    assert (overlay.path.read_bytes(), overlay.path.stat().st_ino) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".added.yaml.lock", "added.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "added.yaml").symlink_to(tmp_path / "real" / "hosts.yaml")
    Overlay(tmp_path / "added.yaml").edit(lambda hosts: hosts.update(a={}), unchecked)
    assert (tmp_path / "added.yaml").is_symlink()
    assert "a:" in (tmp_path / "real" / "hosts.yaml").read_text()


def test_a_folder_that_cannot_be_written_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was changed") as caught:
        Overlay(tmp_path / "absent" / "added.yaml").edit(lambda hosts: hosts.update(a={}), unchecked)
    assert "--edit-hosts" in caught.value.hint


def _worker(folder: str, number: int) -> None:
    overlay = Overlay(Path(folder) / "added.yaml")
    for at in range(25):
        overlay.edit(lambda hosts, at=at: hosts.update({f"h{number}-{at}": {"platform": "linux"}}), unchecked)  # type: ignore[misc]
        overlay.edit(lambda hosts: hosts["shared"].update(count=hosts["shared"]["count"] + 1), unchecked)


def test_eight_processes_that_edit_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    overlay = Overlay(tmp_path / "added.yaml")
    overlay.edit(lambda hosts: hosts.update(shared={"count": 0}), unchecked)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker, args=(str(tmp_path), number)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 8
    hosts = overlay.hosts()
    assert hosts.pop("shared") == {"count": 200}
    assert set(hosts) == {f"h{number}-{at}" for number in range(8) for at in range(25)}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".added.yaml.lock", "added.yaml"]


# -- what may stand in it ----------------------------------------------------------------------------------------------

MINE = """
    unlisted: {secrets: ["stored:lab-*", "env:LAB_*"], groups: [lab]}
    defaults: {username: netops}
    groups:
      lab: {data: {site: lab}}
      core: {password: env:CORE}
    hosts:
      r1: {hostname: 192.0.2.1, platform: cisco_ios, key_file: keys/r1, groups: [core]}
      bastion: {hostname: 192.0.2.2, platform: linux}
    """


def added(write: Write, **values: object) -> Inventory:
    host = {"hostname": "203.0.113.66", "platform": "linux", **values}
    return load(write(MINE), write(yaml.safe_dump({"hosts": {"web9": host}}), "added.yaml"))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("password", "c4n4ry", "clear text, files and programs are refused"),
        ("password", "plain:c4n4ry", "clear text, files and programs are refused"),
        ("password", "file:/etc/c4n4ry", "clear text, files and programs are refused"),
        ("sudo", 'cmd:["c4n4ry"]', "clear text, files and programs are refused"),
        ("enable", {"cmd": ["c4n4ry"]}, "clear text, files and programs are refused"),
        ("password", "__encrypt__c4n4ry", "clear text, files and programs are refused"),
        ("password", "stored:core", "is not open to added hosts"),
        ("password", "env:CORE", "is not open to added hosts"),
        ("key_passphrase", "env:CORE", "is not open to added hosts"),
        ("key_file", "/root/.ssh/id_ed25519", "only files that the operator's inventory names"),
        ("key_file", ["keys/r1", "keys/r2"], "only files that the operator's inventory names"),
        ("certificate", "keys/r2-cert.pub", "only files that the operator's inventory names"),
        ("groups", ["core"], "'core' is not open to added hosts; `unlisted: groups` allows: lab"),
        ("host_keys", "accept_any", "is not for added hosts"),
        ("host_keys", "tofu", "is not for added hosts"),
        ("host_key", "SHA256:" + "a" * 43, "is not for added hosts"),
        ("legacy", True, "is not for added hosts"),
        ("transport", "telnet", "is not for added hosts"),
        ("transport", "ssh", "is not for added hosts"),
        ("login_rate", 6000, "is not for added hosts"),
        ("credentials", [{"password": "env:LAB_A"}], "is not for added hosts"),
        ("ssh_config", "bastion", "is not for added hosts"),
        ("jump", "web8", "there is no host 'web8' to jump through"),
        ("hostnam", "x", "there is no such key; did you mean hostname"),
        ("platform", "linus", "did you mean linux"),
    ],
)
def test_what_an_added_host_may_not_have_is_refused_and_no_secret_is_quoted(
    write: Write, key: str, value: object, why: str
) -> None:
    with pytest.raises(InputError) as caught:
        added(write, **{key: value})
    assert why in str(caught.value)
    assert f"hosts.web9.{key}" in str(caught.value)
    assert "c4n4ry" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "stored:lab-1"),
        ("sudo", "env:LAB_SUDO"),
        ("key_file", "keys/r1"),
        ("groups", ["lab"]),
        ("jump", "bastion"),
        ("host_keys", "strict"),
        ("password", ""),
        ("timeout", 0.5),
    ],
)
def test_what_the_operator_opened_to_added_hosts_may_be_used(write: Write, key: str, value: object) -> None:
    device = added(write, **{key: value}).device("web9")
    assert (device.origin, device.username) == ("added", "netops")


def test_an_added_host_is_on_nobodys_way(write: Write) -> None:
    hosts = {
        "evil": {"hostname": "203.0.113.66", "platform": "linux"},
        "web9": {"hostname": "192.0.2.9", "platform": "linux", "jump": "evil"},
    }
    with pytest.raises(InputError, match=r"hosts\.web9\.jump: evil is an added host itself"):
        load(write(MINE), write(yaml.safe_dump({"hosts": hosts}), "added.yaml"))
    config = write("Host r1\n  ProxyJump evil\n", "ssh_config")
    del hosts["web9"]
    with pytest.raises(InputError, match=r"hosts\.evil: ssh_config has a jump host of this name"):
        load(write(MINE), write(yaml.safe_dump({"hosts": hosts}), "added.yaml"), ssh_config=config)


def test_an_added_host_never_takes_the_place_of_the_operators(write: Write) -> None:
    overlay = write("hosts: {r1: {hostname: 203.0.113.66, platform: linux}}", "added.yaml")
    inventory = load(write(MINE), overlay)
    assert (inventory.device("r1").hostname, inventory.device("r1").origin) == ("192.0.2.1", "file")
    assert any("r1 in" in doubt and "passed over" in doubt for doubt in inventory.doubts)


@pytest.mark.parametrize("text", ["defaults: {password: env:A}", "groups: {core: {}}", "unlisted: {groups: [core]}"])
def test_the_file_of_added_hosts_holds_hosts_only(write: Write, text: str) -> None:
    with pytest.raises(InputError, match="only `hosts` may stand in a file of added hosts"):
        load(write(MINE), write(text, "added.yaml"))


def test_a_file_of_added_hosts_that_others_may_write_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="must be a file of your own with mode 0600; it is 0666"):
        load(write(MINE), write("hosts: {}", "added.yaml", mode=0o666))


def test_hosts_added_by_another_process_are_there_at_the_next_look(write: Write, tmp_path: Path) -> None:
    source = InventorySource([write("hosts: {}")], PLATFORMS, overlay=tmp_path / "added.yaml")
    assert not source.current().devices
    values = {"hostname": "192.0.2.9", "platform": "linux", "username": "u"}
    Overlay(tmp_path / "added.yaml").edit(lambda hosts: hosts.update(web9=values), unchecked)
    assert list(source.current().devices) == ["web9"]
    os.unlink(tmp_path / "added.yaml")
    assert not source.current().devices


# -- targets that are in no file ---------------------------------------------------------------------------------------

LISTED = """
    defaults: {username: ops}
    hosts:
      web1: {hostname: 192.0.2.1, platform: linux}
      web2: {hostname: web2.example.net, platform: linux, port: 2222}
      v6: {hostname: "2001:db8:0::1", platform: cisco_ios}
      twin1: {hostname: 192.0.2.5, platform: linux}
      twin2: {hostname: 192.0.2.5, platform: cisco_ios}
    """


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("ops@192.0.2.1", "web1"),
        ("ops@192.0.2.1:22", "web1"),
        ("linux/ops@192.0.2.1", "web1"),
        ("ops@web1", "web1"),
        ("ops@WEB2.example.net:2222", "web2"),
        ("ops@web2", "web2"),
        ("ops@[2001:db8::1]", "v6"),
        ("cisco_ios/ops@192.0.2.5", "twin2"),
    ],
)
def test_user_at_host_means_the_one_device_that_it_describes(write: Write, target: str, name: str) -> None:
    for ad_hoc in (False, True):
        inventory = InventorySource([write(LISTED)], PLATFORMS, ad_hoc=ad_hoc).current()
        assert inventory.device(target).name == name
        assert [device.name for device in inventory.select(f"{target}, web1")] == list(dict.fromkeys(("web1", name)))


def test_what_is_in_no_file_is_refused_with_the_way_to_allow_it(write: Write) -> None:
    inventory = InventorySource([write(LISTED)], PLATFORMS).current()
    for ask in (inventory.device, inventory.select):
        with pytest.raises(InputError, match=r"no device of the inventory is 'root@192\.0\.2\.1'") as caught:
            ask("root@192.0.2.1")
        assert "--ad-hoc" in caught.value.hint
    with pytest.raises(InputError, match="is several devices of the inventory: twin1, twin2"):
        inventory.device("ops@192.0.2.5")


@pytest.mark.parametrize(
    ("target", "name", "where"),
    [
        ("root@192.0.2.1", "root@192.0.2.1", ("192.0.2.1", 22, "linux")),
        ("ops@Other.Example:22", "ops@other.example", ("other.example", 22, "linux")),
        ("ops@[2001:db8:0:0::2]:2022", "ops@[2001:db8::2]:2022", ("2001:db8::2", 2022, "linux")),
        ("cisco_ios/ops@192.0.2.9", "cisco_ios/ops@192.0.2.9", ("192.0.2.9", 22, "cisco_ios")),
    ],
)
def test_an_unlisted_target_is_made_where_that_is_allowed(
    write: Write, target: str, name: str, where: tuple[str, int, str]
) -> None:
    inventory = InventorySource([write(LISTED)], PLATFORMS, ad_hoc=True).current()
    device = inventory.device(target)
    assert (device.name, device.hostname, device.port, device.platform) == (name, *where)
    assert inventory.device(device.name) == device
    assert [each.name for each in inventory.select(f"{target}, web1")] == ["web1", name]
    assert name not in inventory.devices


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("ops@192.0.2.9:70000", "a port is a number from 1 to 65535"),
        ("ops@[::gg]", "there is no device"),
        ("ops@[1:2]", "there is no IPv6 address in the brackets"),
        ("linus/ops@192.0.2.9", "did you mean linux"),
        ("-oProxyCommand=x@192.0.2.9", "there is no"),
        ("ops@-oProxyCommand", "there is no device"),
    ],
)
def test_what_is_no_target_is_an_error(write: Write, target: str, why: str) -> None:
    inventory = InventorySource([write(LISTED)], PLATFORMS, ad_hoc=True).current()
    with pytest.raises(InputError, match=why):
        inventory.device(target)


# -- the policy --------------------------------------------------------------------------------------------------------

POLICY = """
    version: 1
    rules:
      - classes: [read]
      - devices: "@core"
        deny: [ip route]
      - devices: "web*"
        classes: [read, change]
      - devices: "site=lab"
        classes: [read, change]
      - devices: "!@core"
        classes: [read, change]
      - devices: "@lab"
        classes: [read, diagnose]
      - devices: "deploy@192.0.2.7"
        classes: [read, diagnose, change]
    """


def wall(write: Write, tmp_path: Path, overlay: str) -> tuple[Wall, Inventory, Profiles]:
    text = MINE + "  web1: {hostname: 192.0.2.11, platform: linux, data: {site: lab}}\n    "
    source = InventorySource([write(text)], PLATFORMS, overlay=write(overlay, "added.yaml"), ad_hoc=True)
    return (
        Wall(PolicySource(write(POLICY, "policy.yaml")), inventory=source.current),
        source.current(),
        Profiles.load(None),
    )


def classes(guard: Wall, inventory: Inventory, name: str) -> list[str]:
    return sorted(guard.terms(inventory, inventory.device(name)).classes)


def test_no_permission_is_had_by_a_name_data_or_by_not_being_something(write: Write, tmp_path: Path) -> None:
    hosts = (
        "hosts: {web9: {hostname: 192.0.2.1, platform: linux, data: {site: lab}}, in: {platform: linux, groups: [lab]}}"
    )
    guard, inventory, profiles = wall(write, tmp_path, hosts)
    assert classes(guard, inventory, "web1") == ["change", "read"]
    assert classes(guard, inventory, "web9") == ["read"]
    with pytest.raises(CommandDenied, match="denies 'ip route'"):
        guard.decide(inventory, inventory.device("web9"), profiles.get("linux"), "ip route")
    guard.decide(inventory, inventory.device("web1"), profiles.get("linux"), "ip route")


def test_a_group_that_the_operator_opened_brings_its_rules(write: Write, tmp_path: Path) -> None:
    policy = "version: 1\nrules:\n  - classes: [read]\n  - devices: '@lab'\n    classes: [read, change]\n"
    text = "hosts: {in: {platform: linux, groups: [lab]}, out: {platform: linux}}"
    source = InventorySource([write(MINE)], PLATFORMS, overlay=write(text, "added.yaml"))
    guard = Wall(PolicySource(write(policy, "policy.yaml")), inventory=source.current)
    assert classes(guard, source.current(), "in") == ["change", "read"]
    assert classes(guard, source.current(), "out") == ["read"]


def test_a_rule_can_name_an_unlisted_target_which_is_its_address(write: Write, tmp_path: Path) -> None:
    policy = "version: 1\nrules:\n  - classes: [read]\n  - devices: 'deploy@192.0.2.7'\n    classes: [read, change]\n"
    source = InventorySource([write(MINE)], PLATFORMS, ad_hoc=True)
    guard = Wall(PolicySource(write(policy, "policy.yaml")), inventory=source.current)
    inventory = source.current()
    assert not guard.problem
    assert classes(guard, inventory, "deploy@192.0.2.7") == ["change", "read"]
    assert classes(guard, inventory, "deploy@192.0.2.7:2222") == ["read"]
    assert classes(guard, inventory, "root@192.0.2.7") == ["read"]


def test_networks_and_limits_hold_for_unlisted_targets(write: Write) -> None:
    policy = "version: 1\nrules:\n  - devices: '@core'\n    networks: [192.0.2.0/24]\n    max_devices: 1\n"
    source = InventorySource([write(MINE)], PLATFORMS, ad_hoc=True)
    guard = Wall(PolicySource(write(policy, "policy.yaml")), inventory=source.current)
    inventory = source.current()
    device = inventory.device("ops@far.example")
    assert guard.may_connect(device, "192.0.2.9")
    assert not guard.may_connect(device, "203.0.113.66")
    with pytest.raises(Exception, match="2 devices in one call"):
        guard.check_call(inventory, inventory.select("ops@a.example, ops@b.example"), 1)
