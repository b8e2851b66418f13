"""What a directory and variables do to the class of a command, and to the entries of the policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from netssh_mcp.errors import CommandDenied
from netssh_mcp.guard.policy import Grant
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.profiles import Profiles

HOST = Device("h1", "192.0.2.1", 22, "linux", "ops")
LINUX = Profiles.load(None).get("linux")
INVENTORY = Inventory({"h1": HOST}, {})


def decide(folder: Path, rules: str, text: str, *, cwd: str = "", env: tuple[str, ...] = ()) -> Grant:
    path = folder / "policy.yaml"
    path.write_text(f"version: 1\nrules:\n{rules}\n")
    path.chmod(0o600)
    return Wall(PolicySource(path)).decide_any(INVENTORY, HOST, LINUX, text, cwd=cwd, env=env)


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "TZ", "TERM", "COLUMNS", "DEBIAN_FRONTEND"])
def test_a_variable_that_names_no_code_changes_nothing(tmp_path: Path, name: str) -> None:
    assert decide(tmp_path, "  - classes: [read]", "uptime", env=(name,)).command_class == "read"


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "BASH_ENV", "PYTHONPATH", "GIT_SSH_COMMAND", "PAGER", "MANPAGER"]
)
def test_a_variable_that_is_run_or_loaded_makes_any_command_of_class_shell(tmp_path: Path, name: str) -> None:
    everything_else = "  - {classes: [read, diagnose, secret-read, change, config], allow: [uptime]}"
    with pytest.raises(CommandDenied, match=f"with {name} set"):
        decide(tmp_path, everything_else, "uptime", env=("LANG", name))
    assert decide(tmp_path, "  - classes: [shell]", "uptime", env=(name,)).command_class == "shell"


def test_any_other_variable_makes_a_read_a_change(tmp_path: Path) -> None:
    with pytest.raises(CommandDenied, match="a change at least"):
        decide(tmp_path, "  - classes: [read]", "uptime", env=("APP_MODE",))
    assert decide(tmp_path, "  - classes: [change]", "uptime", env=("APP_MODE",)).command_class == "change"


def test_an_allow_entry_holds_for_the_command_alone(tmp_path: Path) -> None:
    rules = "  - {classes: [read], allow: [make deploy]}"
    assert decide(tmp_path, rules, "make deploy").command == "make deploy"
    for more in ({"cwd": "/srv/other"}, {"env": ("APP_MODE",)}):
        with pytest.raises(CommandDenied):
            decide(tmp_path, rules, "make deploy", **more)


@pytest.mark.parametrize(
    ("text", "cwd"),
    [("cat shadow", "/etc"), ("cat ../etc/shadow", "/usr"), ("cat -- hosts shadow", "/etc"), ("cat ./shadow", "/etc/")],
)
def test_a_refusal_holds_for_a_relative_path_as_the_path_that_it_is(tmp_path: Path, text: str, cwd: str) -> None:
    rules = "  - {classes: [read, change], deny: [... /etc/shadow ...]}"
    with pytest.raises(CommandDenied, match="denies"):
        decide(tmp_path, rules, text, cwd=cwd)
