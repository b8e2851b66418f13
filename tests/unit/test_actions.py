"""Files, forwards, shell text and config mode under the operator's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.policy import Grant, required
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.profiles import Profiles

PROFILES = Profiles.load(None)
HOST = Device("h1", "192.0.2.1", 22, "linux", "ops")
ROUTER = Device("r1", "192.0.2.2", 22, "cisco_ios", "ops")
INVENTORY = Inventory({"h1": HOST, "r1": ROUTER}, {})


def wall(folder: Path, rules: str) -> Wall:
    path = folder / "policy.yaml"
    path.write_text(f"version: 1\nrules:\n{rules}")
    path.chmod(0o600)
    return Wall(PolicySource(path))


def act(the: Wall, *words: str, kind: str = "secret-read", device: Device = HOST) -> Grant:
    return the.decide_action(INVENTORY, device, PROFILES.get(device.platform), words, kind)  # type: ignore[arg-type]


def say(the: Wall, text: str, *, device: Device = HOST, form: str = "command", **more: object) -> Grant:
    return the.decide_any(INVENTORY, device, PROFILES.get(device.platform), text, form=form, **more)  # type: ignore[arg-type]


def test_without_a_policy_files_are_read_and_nothing_is_written_forwarded_or_typed() -> None:
    the = Wall(PolicySource(None))
    assert act(the, "get_file", "read", "/etc/hosts").command == "get_file read /etc/hosts"
    for words, kind in (
        (("put_file", "write", "/etc/hosts"), "change"),
        (("forward", "local", "192.0.2.9:5432"), "change"),
        (("shell", "open"), "shell"),
        (("get_file", "read", "/etc/shadow"), "shell"),
    ):
        with pytest.raises(CommandDenied, match="of class"):
            act(the, *words, kind=kind)
    for text in ("systemctl restart nginx", "uptime"):
        with pytest.raises(CommandDenied):
            say(the, text, sudo=True)
    with pytest.raises(CommandDenied, match="shell text"):
        say(the, "uptime | wc -l", form="shell")
    with pytest.raises(CommandDenied, match="config mode"):
        say(the, "no router bgp 65000", device=ROUTER, form="config")


def test_an_entry_may_name_a_folder_and_all_below_it(tmp_path: Path) -> None:
    the = wall(tmp_path, "  - classes: []\n    allow: [get_file read /var/log/..., put_file write /srv/app/conf]\n")
    assert act(the, "get_file", "read", "/var/log/a/b.log").command_class == "secret-read"
    assert act(the, "put_file", "write", "/srv/app/conf", kind="change").command_class == "change"
    for words in (
        ("get_file", "read", "/var/logs"),
        ("get_file", "read", "/var/log/../../etc/shadow"),
        ("get_file", "download", "/var/log/a"),
        ("put_file", "write", "/srv/app/conf2"),
        ("put_file", "delete", "/srv/app/conf"),
    ):
        with pytest.raises(CommandDenied):
            act(the, *words, kind="change")


def test_a_refusal_of_a_folder_holds_for_all_below_and_for_names_with_blanks(tmp_path: Path) -> None:
    the = wall(tmp_path, "  - classes: [read, secret-read, change]\n    deny: [get_file * /srv/keys/..., put_file]\n")
    assert act(the, "get_file", "read", "/srv/keys2/x").command_class == "secret-read"
    for path in ("/srv/keys", "/srv/keys/a", "/srv/keys/a b/c"):
        with pytest.raises(CommandDenied, match="denies"):
            act(the, "get_file", "read", path)
    with pytest.raises(CommandDenied, match="denies"):
        act(the, "put_file", "mkdir", "/srv/x", kind="change")


def test_shell_text_is_of_class_shell_and_denied_programs_are_found_in_it(tmp_path: Path) -> None:
    the = wall(tmp_path, "  - classes: [read, change, shell]\n    deny: [systemctl stop, rm]\n")
    grant = say(the, "for i in 1 2; do\n  uptime\ndone | tail -1", form="shell")
    assert grant.command_class == "shell"
    assert grant.line == "for i in 1 2; do\n  uptime\ndone | tail -1"
    for text in (
        "true; rm -rf /tmp/x",
        "if true; then systemctl stop nginx; fi",
        "echo $(rm /tmp/x)",
        "echo `rm /tmp/x`",
        "X=1 sudo -n rm /tmp/x",
        "(cd /tmp && rm x)",
        "true\nrm x",
    ):
        with pytest.raises(CommandDenied, match="denies"):
            say(the, text, form="shell")
    for text, error in (("", InputError), ("a\x1b[2Jb", CommandDenied), ("x" * 70_000, CommandDenied)):
        with pytest.raises(error):
            say(the, text, form="shell")
    with pytest.raises(InputError, match="no POSIX shell"):
        say(the, "show version", device=ROUTER, form="shell")


def test_under_sudo_a_read_is_a_change_and_both_forms_can_be_denied(tmp_path: Path) -> None:
    the = wall(tmp_path, "  - classes: [read, change]\n    deny: [systemctl stop, sudo -u postgres]\n")
    assert say(the, "uptime").command_class == "read"
    assert say(the, "uptime", sudo=True).command_class == "change"
    for text, user in (("systemctl stop nginx", ""), ("uptime", "postgres")):
        with pytest.raises(CommandDenied, match="denies"):
            say(the, text, sudo=True, sudo_user=user)


def test_in_config_mode_a_line_is_config_and_what_it_would_be_outside_can_be_denied(tmp_path: Path) -> None:
    the = wall(tmp_path, "  - classes: [read, config]\n    deny: [show tech-support, no router bgp, reload]\n")
    assert say(the, "description to core", device=ROUTER, form="config").command_class == "config"
    for text in ("do show tech-support", "do sh tech", "no router bgp 65000", "do reload", "reload in 5"):
        with pytest.raises(CommandDenied, match="denies"):
            say(the, text, device=ROUTER, form="config")
    with pytest.raises(CommandDenied):
        say(the, "do tclsh", device=ROUTER, form="config")
    with pytest.raises(CommandDenied):
        say(the, "description a\nno router bgp 1", device=ROUTER, form="config")


def test_only_a_grant_is_a_grant() -> None:
    with pytest.raises(TypeError, match="takes a Grant"):
        required("get_file read /etc/hosts")  # type: ignore[arg-type]
