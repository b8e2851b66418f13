"""Inventories of other tools: what is read of each, what is left out and said, and that they go through our checks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign import forms
from netssh_mcp.knowledge.foreign.ansible_tree import expanded
from netssh_mcp.knowledge.foreign.forms import Form
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.inventory_report import check_report, list_rows
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.settings import Settings

RECORDED = Path(__file__).parents[1] / "recordings" / "inventories"
PLATFORMS = Profiles.load(None).platforms()

Write = Callable[..., Path]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The recorded inventories, in a folder of this test's own and private."""
    shutil.copytree(RECORDED, tmp_path / "theirs")
    for path in (tmp_path / "theirs").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tmp_path / "theirs"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "mine.yaml", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(dedent(text))
        path.chmod(mode)
        return path

    return _write


def _source(*written: str | Path, overlay: Path | None = None) -> InventorySource:
    """As `--inventory` gives them, each a path or form:path."""
    settings = Settings.resolve({"inventory": [str(each) for each in written]}, {"HOME": "/nonexistent"})
    return InventorySource(settings.inventory, PLATFORMS, foreign=dict(settings.foreign), overlay=overlay)


def _load(*written: str | Path) -> Inventory:
    return _source(*written).current()


def _error(*written: str | Path) -> InputError:
    with pytest.raises(InputError) as caught:
        _load(*written)
    assert "c4n4ry" not in str(caught.value) + caught.value.hint
    return caught.value


def _password(device: Device) -> str:
    return device.password.reference if device.password else ""


# -- which file is read as what


def test_a_prefix_says_what_a_file_is_written_for_and_lists_are_still_split(tmp_path: Path) -> None:
    for name in ("a.yaml", "hosts.yaml", "b.yaml", "netbox"):
        (tmp_path / name).touch()
    a, b, hosts = (tmp_path / name for name in ("a.yaml", "b.yaml", "hosts.yaml"))
    found = Settings.resolve({}, {"NETSSH_INVENTORY": f"{a}:nornir:{hosts}:netmiko+plaintext:{b}"})
    assert found.inventory == (a, hosts, b)
    assert found.foreign == ((hosts, Form("nornir")), (b, Form("netmiko", plaintext=True)))
    by_flag = Settings.resolve({"inventory": [Path(f"ansible:{a}"), str(b)]}, {"HOME": str(tmp_path)})
    assert (by_flag.inventory, by_flag.foreign) == ((a, b), ((a, Form("ansible")),))
    assert list(forms.parts(["netbox:netbox"], os.pathsep)) == ["netbox:netbox"]
    assert forms.taken_apart("./netbox") == (None, "./netbox")


def test_a_folder_is_for_nornir_only(theirs: Path) -> None:
    assert "ber-leaf1" in _load(f"nornir:{theirs / 'nornir'}").devices
    assert "there is no file" in str(_error(f"ansible:{theirs / 'ansible'}"))


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("nornir/config.yaml", "nornir"),
        ("nornir/hosts.yaml", "nornir"),
        ("ansible/hosts.yml", "ansible"),
        ("ansible/hosts.ini", "ansible"),
        ("ansible/listed.json", "ansible"),
        ("containerlab/spine.clab.yml", "containerlab"),
        ("netmiko/netmiko.yml", "netmiko"),
        ("netbox/devices.json", "netbox"),
    ],
)
def test_without_a_prefix_the_error_tells_which_one_it_takes(theirs: Path, path: str, form: str) -> None:
    if path == "ansible/hosts.yml":  # the vault's tag would be the first error
        (theirs / path).write_text((theirs / path).read_text().replace("!vault", ""))
    if path.startswith("netbox"):  # a sign that YAML has no way to write like that
        (theirs / path).write_text((theirs / path).read_text().replace("\\ud83d\\ude00", "x"))
    error = _error(theirs / path)
    assert f"looks like an inventory of {form}" in str(error)
    assert f"--inventory {form}:{theirs / path}" in error.hint


def test_our_own_files_look_like_nothing_else(write: Write) -> None:
    text = "hosts: {r1: {hostname: 192.0.2.1, platform: frr, username: a}, topology: {platform: frr, username: b}}"
    assert list(_load(write(text)).devices) == ["r1", "topology"]


# -- Nornir


def test_nornir_hosts_inherit_from_their_groups_and_the_defaults_as_in_nornir(theirs: Path) -> None:
    inventory = _load(f"nornir:{theirs / 'nornir' / 'config.yaml'}")
    leaf, spine = inventory.device("ber-leaf1"), inventory.device("ber-spine1")
    assert (leaf.hostname, leaf.port, leaf.platform, leaf.username) == ("192.0.2.11", 2222, "cisco_nxos", "netops")
    assert leaf.groups == ("leaf", "global", "ber")
    assert leaf.enable
    assert leaf.enable.reference == "env:LEAF_ENABLE"
    assert leaf.key_files == (theirs / "nornir" / "keys" / "leaf",)
    assert (spine.platform, spine.username, spine.port) == ("arista_eos", "fallback", 22)
    assert [device.name for device in inventory.select("site=ber & role=leaf & tenant=core")] == ["ber-leaf1"]
    assert [device.name for device in inventory.select("nested.vlan=10")] == ["ber-leaf1"]
    assert [device.name for device in inventory.select("@global")] == ["ber-leaf1"]


def test_what_is_called_a_secret_in_their_data_does_not_become_a_fact(theirs: Path) -> None:
    loaded = (
        _load(f"nornir:{theirs / 'nornir'}"),
        _load(f"ansible:{theirs / 'ansible' / 'hosts.yml'}"),
        _load(f"netbox:{theirs / 'netbox' / 'devices.json'}", _with_user(theirs)),
    )
    assert "c4n4ry" not in repr([dict(device.data) for each in loaded for device in each.devices.values()])


def test_nornirs_files_stay_below_the_folder_of_the_config(theirs: Path) -> None:
    config = theirs / "nornir" / "config.yaml"
    config.write_text(config.read_text().replace("host_file: hosts.yaml", "host_file: ../ansible/hosts.yml"))
    assert "host_file is outside of the config's folder" in str(_error(f"nornir:{config}"))


def test_a_nornir_config_with_another_plugin_is_refused(theirs: Path) -> None:
    config = theirs / "nornir" / "config.yaml"
    config.write_text("inventory: {plugin: NetBoxInventory2}")
    assert "only SimpleInventory is read" in str(_error(f"nornir:{config}"))


# -- Ansible


def test_ansible_variables_win_in_ansibles_order(theirs: Path) -> None:
    inventory = _load(f"ansible:{theirs / 'ansible' / 'hosts.yml'}")
    assert list(inventory.devices) == ["leaf01", "leaf02", "leaf03", "leaf04", "edge1", "web1"]
    leaf, edge, web = (inventory.device(name) for name in ("leaf04", "edge1", "web1"))
    assert (leaf.hostname, leaf.port, leaf.platform, leaf.username) == ("192.0.2.24", 2222, "arista_eos", "ops")
    assert _password(leaf) == "env:LEAF_PASSWORD"
    assert (edge.platform, edge.username, edge.data["site"]) == ("juniper_junos", "edgeops", "ham")
    assert (web.hostname, web.platform) == ("web1.example.net", "linux")
    assert web.sudo
    assert web.sudo.reference == "env:WEB_SUDO"
    assert inventory.groups["network"] == ("leaf01", "leaf02", "leaf03", "leaf04", "edge1")
    assert [device.name for device in inventory.select("role=leaf & @monitored")] == ["leaf01"]


def test_ansibles_ini_is_read_with_ranges_ports_and_group_variables(theirs: Path) -> None:
    inventory = _load(f"ansible:{theirs / 'ansible' / 'hosts.ini'}", _with_user(theirs))
    found = {name: (device.hostname, device.port, device.platform) for name, device in inventory.devices.items()}
    assert found == {
        "bastion": ("192.0.2.5", 2200, "linux"),
        "leaf01": ("leaf01", 22, "cisco_nxos"),
        "leaf02": ("leaf02", 22, "cisco_nxos"),
        "leaf03": ("192.0.2.43", 2222, "cisco_nxos"),
        "spinea.example.net": ("spinea.example.net", 22, "cisco_xr"),
        "spineb.example.net": ("spineb.example.net", 22, "cisco_xr"),
    }
    assert inventory.device("leaf01").username == "net ops"
    assert inventory.device("bastion").username == "someone"


def test_the_output_of_ansible_inventory_list_is_read_and_nothing_is_run(theirs: Path) -> None:
    inventory = _load(f"ansible:{theirs / 'ansible' / 'listed.json'}")
    assert {name: device.platform for name, device in inventory.devices.items()} == {"r1": "cisco_ios", "r2": "frr"}
    script = theirs / "ansible" / "inventory.py"
    script.write_text("#!/bin/sh\ntouch ran\n")
    script.chmod(0o700)
    assert "ansible-inventory --list" in str(_error(f"ansible:{script}"))
    plugin = theirs / "ansible" / "aws.yml"
    plugin.write_text("plugin: amazon.aws.aws_ec2\n")
    assert "asks a plugin" in str(_error(f"ansible:{plugin}"))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("leaf[01:03]", ["leaf01", "leaf02", "leaf03"]),
        ("r[8:10]", ["r8", "r9", "r10"]),
        ("r[1:9:4]x", ["r1x", "r5x", "r9x"]),
        ("[a:b][1:2]", ["a1", "a2", "b1", "b2"]),
        ("plain", ["plain"]),
    ],
)
def test_a_range_of_hosts_is_written_out(pattern: str, names: list[str]) -> None:
    assert list(expanded(pattern)) == names


@pytest.mark.parametrize("pattern", ["r[5:1]", "r[a:1]", "r[1:9:0]", "r[c:a]", "[1:99999999][5:1]"])
def test_a_range_of_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(InputError, match="range of nothing"):
        list(expanded(pattern))


def test_more_hosts_than_anybody_has_are_refused(write: Write) -> None:
    many = write("[all]\nr[0:99999999]\n", "many.ini")
    text = str(_error(f"ansible:{many}"))
    assert "more than 20000 hosts" in text
    assert "many.ini" in text


def test_groups_that_are_in_themselves_are_an_error(write: Write) -> None:
    loop = write("[a:children]\nb\n[b:children]\na\n[b]\nr1\n", "loop.ini")
    assert "a group is in itself" in str(_error(f"ansible:{loop}"))
    alias = write("a: &a\n  hosts: {r1: }\n  children:\n    b: {children: {a: *a}}\n", "alias.yml")
    assert "in each other too often" in str(_error(f"ansible:{alias}"))


def test_an_encrypted_vars_file_is_passed_over_and_said(theirs: Path) -> None:
    (theirs / "ansible" / "group_vars" / "leafs").mkdir()
    (theirs / "ansible" / "group_vars" / "leafs" / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n6364\n")
    inventory = _load(f"ansible:{theirs / 'ansible' / 'hosts.yml'}")
    assert any("vault.yml is encrypted by ansible-vault" in each for each in inventory.doubts)
    assert "leaf01" in inventory.devices


# -- containerlab


def test_a_deployed_lab_has_its_nodes_by_their_long_names_and_addresses(theirs: Path) -> None:
    inventory = _load(f"containerlab:{theirs / 'containerlab' / 'spine.clab.yml'}")
    found = {name: (device.hostname, device.platform, device.username) for name, device in inventory.devices.items()}
    assert found == {
        "clab-spine-srl1": ("172.20.20.2", "nokia_srlinux", "admin"),
        "clab-spine-eos1": ("172.20.20.9", "arista_eos", "admin"),
        "clab-spine-xr1": ("2001:db8::3", "cisco_xr", "clab"),
        "clab-spine-vj1": ("clab-spine-vj1", "juniper_junos", "admin"),
        "clab-spine-r1": ("clab-spine-r1", "frr", "root"),
    }
    assert [device.name for device in inventory.select("@edge")] == ["clab-spine-xr1"]
    assert [device.name for device in inventory.select("role=leaf & lab=spine")] == ["clab-spine-srl1"]
    assert not any(device.password for device in inventory.devices.values())


def test_the_documented_passwords_of_a_lab_are_used_when_the_operator_says_so(theirs: Path) -> None:
    topology = theirs / "containerlab" / "spine.clab.yml"
    topology.chmod(0o644)  # no password stands in it
    inventory = _load(f"containerlab+plaintext:{topology}")
    xrd = inventory.device("clab-spine-xr1").password
    assert xrd is not None
    assert (xrd.kind, xrd.reveal()) == ("plain", "clab@123")


def test_the_ansible_inventory_of_a_lab_has_addresses_too(theirs: Path) -> None:
    folder = theirs / "containerlab" / "clab-spine"
    (folder / "topology-data.json").unlink()
    (folder / "ansible-inventory.yml").write_text(
        "all: {children: {cisco_xrd: {hosts: {clab-spine-xr1: {ansible_host: 172.20.20.4}}}}}"
    )
    inventory = _load(f"containerlab:{theirs / 'containerlab' / 'spine.clab.yml'}")
    assert inventory.device("clab-spine-xr1").hostname == "172.20.20.4"


@pytest.mark.parametrize(("prefix", "name"), [("''", "r1"), ("__lab-name", "x-r1"), ("mine", "mine-x-r1")])
def test_a_lab_names_its_nodes_by_its_prefix(write: Write, prefix: str, name: str) -> None:
    text = f"name: x\nprefix: {prefix}\ntopology: {{nodes: {{r1: {{kind: vr-sros}}}}}}\n"
    inventory = _load(f"containerlab:{write(text, 'x.clab.yml')}")
    assert {device.name: device.platform for device in inventory.devices.values()} == {name: "nokia_sros"}


# -- Netmiko's tools and NetBox


def test_netmikos_devices_groups_and_encrypted_values_are_taken_over(theirs: Path) -> None:
    inventory = _load(f"netmiko:{theirs / 'netmiko' / 'netmiko.yml'}")
    router = inventory.device("rtr1")
    assert (router.hostname, router.port, router.platform) == ("192.0.2.61", 8022, "cisco_xe")
    assert router.password
    assert router.enable
    assert {router.password.kind, router.enable.kind} == {"netmiko"}
    assert inventory.device("sw1").platform == "arista_eos"
    assert inventory.groups == {"cisco": ("rtr1",), "everything": ("rtr1", "sw1", "plain1")}
    doubts = "\n".join(inventory.doubts)
    assert "no platform 'cisco_ios_telnet'; only SSH is taken over from here (old1)" in doubts
    assert "the group everything names what is no device of the file (gone1)" in doubts


def _with_user(folder: Path) -> Path:
    path = folder / "user.yaml"
    path.write_text("defaults: {username: someone}\n")
    return path


def test_netboxes_export_gives_addresses_platforms_and_facts(theirs: Path) -> None:
    export = theirs / "netbox" / "devices.json"
    inventory = _load(f"netbox:{export}", _with_user(theirs))
    core, edge = inventory.device("ber-core1"), inventory.device("ber-xr1")
    assert (core.hostname, core.platform, core.username) == ("192.0.2.71", "arista_eos", "someone")
    assert (edge.hostname, edge.platform, edge.data["role"]) == ("2001:db8::72", "cisco_xr", "edge")
    wanted = "site=ber & tenant=blue & tags=prod & contract=gold & status=active"
    assert [device.name for device in inventory.select(wanted)] == ["ber-core1"]
    doubts = "\n".join(inventory.doubts)
    assert "the file has no platform for it (ber-unknown)" in doubts
    assert "no primary address for it (patch panel 1)" in doubts
    assert "devices without a name are left out" in doubts
    text = str(_error(f"netbox:{export}"))
    assert f"{export}:1: hosts.ber-core1: there is no username" in text


def test_a_page_of_an_export_is_said_to_be_one(theirs: Path) -> None:
    export = theirs / "netbox" / "devices.json"
    export.write_text(export.read_text().replace('"next": null', '"next": "https://netbox/?offset=50"'))
    inventory = _load(f"netbox:{export}", _with_user(theirs))
    assert any("it has 5 of 5 devices; export the others too" in each for each in inventory.doubts)


# -- passwords


def test_passwords_in_clear_text_are_left_out_and_said(theirs: Path) -> None:
    inventory = _load(f"netmiko:{theirs / 'netmiko' / 'netmiko.yml'}")
    assert inventory.device("plain1").password is None
    doubt = next(each for each in inventory.doubts if "clear text" in each)
    assert "netmiko+plaintext:" in doubt
    assert "c4n4ry" not in doubt


def test_passwords_in_clear_text_are_taken_from_a_private_file_when_the_operator_says_so(theirs: Path) -> None:
    path = theirs / "netmiko" / "netmiko.yml"
    source = _source(f"netmiko+plaintext:{path}")
    secret = source.current().device("plain1").password
    assert secret is not None
    assert (secret.kind, secret.reveal()) == ("plain", "c4n4ry-plain")
    assert "c4n4ry" not in repr(source.current())
    assert "password is in plain text in the file" in check_report(source)
    path.chmod(0o640)
    error = _error(f"netmiko+plaintext:{path}")
    assert "must be a file of your own with mode 0600; it is 0640" in str(error)
    assert f"chmod 600 {path}" in error.hint


def test_the_file_that_holds_the_password_is_the_one_that_has_to_be_private(theirs: Path) -> None:
    variables = theirs / "ansible" / "group_vars" / "leafs.yml"
    variables.write_text("ansible_password: c4n4ry-plain\n")
    hosts = theirs / "ansible" / "hosts.yml"
    hosts.chmod(0o644)
    assert _password(_load(f"ansible+plaintext:{hosts}").device("leaf01")) == "plain text"
    variables.chmod(0o644)
    assert str(variables) in str(_error(f"ansible+plaintext:{hosts}"))


def test_a_password_that_looks_like_a_program_or_a_file_is_not_taken_for_one(write: Write) -> None:
    text = """
        r1: {device_type: linux, host: r1, username: a, password: 'cmd:["touch", "x"]'}
        r2: {device_type: linux, host: r2, username: a, password: 'file:/etc/hostname'}
        r3: {device_type: linux, host: r3, username: a, password: 'stored:lab'}
        r4: {device_type: linux, host: r4, username: a, password: 12345}
    """
    inventory = _load(f"netmiko:{write(text, 'n.yml')}")
    assert [_password(device) for device in inventory.devices.values()] == ["", "", "stored:lab", ""]
    assert any("references here are env:, stored: and keyring:" in each for each in inventory.doubts)
    assert any("put it in quotes (r4)" in each for each in inventory.doubts)


def test_vault_values_and_templates_are_refused_with_a_hint(theirs: Path) -> None:
    inventory = _load(f"ansible:{theirs / 'ansible' / 'hosts.yml'}")
    doubts = "\n".join(inventory.doubts)
    assert "ansible_password not taken: it is encrypted (!vault), give a reference" in doubts
    assert "of Jinja only {{ lookup('env', 'NAME') }} is read" in doubts
    assert "no platform 'acme.thing.thing'" in doubts
    assert "ansible_connection 'winrm' is no SSH (winbox)" in doubts
    assert inventory.device("edge1").password is None


# -- beside our own files


def test_a_later_file_of_ours_completes_and_replaces_what_theirs_say(theirs: Path, write: Write) -> None:
    mine = write("""
        defaults: {password: env:LAB, keepalive: 5}
        groups: {cisco: {password: env:CISCO}}
        hosts: {sw1: {hostname: 192.0.2.99, platform: arista_eos, username: me}}
    """)
    inventory = _load(f"netmiko:{theirs / 'netmiko' / 'netmiko.yml'}", mine)
    assert _password(inventory.device("plain1")) == "env:LAB"
    assert _password(inventory.device("rtr1")) == "Netmiko's encrypted value"
    assert inventory.device("sw1").hostname == "192.0.2.99"
    assert inventory.device("rtr1").keepalive == 5


def test_an_added_host_stands_beside_theirs(theirs: Path, write: Write) -> None:
    added = write("hosts: {extra: {hostname: 192.0.2.200, platform: linux, username: x}}", "added.yaml")
    path = theirs / "netmiko" / "netmiko.yml"
    inventory = _source(f"netmiko:{path}", overlay=added).current()
    assert inventory.device("extra").origin == "added"
    assert inventory.device("rtr1").origin == "file"


def test_our_checks_name_the_file_the_line_and_the_host(write: Write) -> None:
    path = write("ok: {device_type: linux, host: ok, username: a}\nr1:\n  device_type: linux\n  host: a b\n", "n.yml")
    text = str(_error(f"netmiko:{path}"))
    assert f"{path}:2: hosts.r1.hostname: must be a host name or an address" in text
    ini = write("[a]\nok ansible_user=x\nr1 ansible_port=no ansible_user=x\n", "hosts.ini")
    assert f"{ini}:3: hosts.r1.port: must be a whole number" in str(_error(f"ansible:{ini}"))
    twice = write("r1: {device_type: linux}\nr1: {device_type: linux}\n", "t.yml")
    assert f"{twice}:2: r1: this key is there already, in line 1" in str(_error(f"netmiko:{twice}"))


def test_a_change_in_any_file_that_was_read_is_seen_at_the_next_call(theirs: Path) -> None:
    source = _source(f"ansible:{theirs / 'ansible' / 'hosts.yml'}")
    assert source.current() is source.current()
    assert source.current().device("leaf02").data["role"] == "leaf"
    new = theirs / "ansible" / "host_vars" / "leaf02.yml"
    new.write_text("role: border\n")
    assert source.current().device("leaf02").data["role"] == "border"
    new.write_text("role: border-leaf\n")
    assert source.current().device("leaf02").data["role"] == "border-leaf"
    (theirs / "ansible" / "group_vars" / "all.yml").write_text("- no mapping\n")
    assert "all.yml is no mapping of variables" in source.current().problem
    assert source.current().device("leaf02").data["role"] == "border-leaf"
    (theirs / "ansible" / "group_vars" / "all.yml").write_text("tenant: blue\n")
    assert (source.current().problem, source.current().device("leaf02").data["tenant"]) == ("", "blue")


def test_a_groups_file_that_comes_later_is_seen_too(write: Write) -> None:
    hosts = write("r1: {hostname: 192.0.2.1, platform: ios, username: a, groups: [core]}\n", "hosts.yaml")
    source = _source(f"nornir:{hosts}")
    assert source.current().device("r1").groups == ()
    assert any("its group 'core' is in no groups file (r1)" in each for each in source.current().doubts)
    write("core: {data: {site: ber}}\n", "groups.yaml")
    assert (source.current().device("r1").groups, source.current().device("r1").data["site"]) == (("core",), "ber")


def test_check_and_list_show_what_they_come_to(theirs: Path) -> None:
    source = _source(f"netmiko:{theirs / 'netmiko' / 'netmiko.yml'}")
    report = check_report(source)
    assert "3 hosts, 2 groups" in report
    assert "only SSH is taken over from here (old1)" in report
    assert [row["name"] for row in list_rows(source.current())] == ["rtr1", "sw1", "plain1"]
    (theirs / "netmiko" / "netmiko.yml").chmod(0o622)
    assert "can be written by others" in check_report(source)


def test_no_host_at_all_is_an_error_that_says_why(write: Write) -> None:
    text = str(_error(f"netmiko:{write('r1: {device_type: cisco_ios_telnet}', 'n.yml')}"))
    assert "there are no hosts" in text
    assert "only SSH is taken over from here (r1)" in text


def test_a_folder_for_transfers_may_not_be_one_that_variables_are_read_from(theirs: Path) -> None:
    hosts = theirs / "ansible" / "hosts.yml"
    with pytest.raises(InputError, match="are in each other"):
        Settings.resolve(
            {"inventory": [f"ansible:{hosts}"], "local_roots": [theirs / "ansible" / "group_vars"]}, {"HOME": "/x"}
        )


@pytest.mark.parametrize("form", forms.NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[1, [2], {a: b}]",
        "text",
        "a: 1",
        "a: [1, {b: c}]",
        "all: {hosts: [x], children: 3}",
        "all: {hosts: {1: 2, x: [y]}, vars: [z]}",
        '{"results": [1, null, {"name": 3, "primary_ip": 7}]}',
        '{"_meta": {"hostvars": 1}, "g": {"hosts": 2}}',
        "name: x\ntopology: {nodes: {a: [1], b: {kind: [x]}, c: {kind: linux, labels: 3}}}",
        "a: {device_type: [x], host: {y: z}}\nb: {device_type: linux, port: {}, groups: 3, host: 5}",
        "a: {platform: linux, hostname: [1], groups: [1, {}], data: [x], connection_options: {netmiko: 3}}",
        "inventory: {options: [x]}",
        "!vault x",
        "a: !vault {b: c}",
        "\x00",
        "[unclosed",
        "[g:vars]\nx",
        "[g:nothing]\n",
        'r1 a="b',
    ],
)
def test_what_is_no_inventory_is_an_error_that_names_the_file(write: Write, form: str, text: str) -> None:
    path = write("", f"{form}-file.{'json' if form == 'netbox' else 'yml'}")
    path.write_text(text)
    said = str(path)
    try:
        found = _load(f"{form}:{path}")
    except InputError as error:
        said = str(error)
    else:
        assert all(device.platform for device in found.devices.values())
    assert str(path.parent) in said
