"""What a model that was talked into something may try with the tools of `operate`, under rules that allow it less.

First what is decided, then the same on the real server: MCP over stdio, a real sshd with a real sudo, simulated
routers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import CommandDenied
from netssh_mcp.guard.policy import Grant
from netssh_mcp.guard.wall import PolicySource, Wall
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.profiles import Profiles

PROFILES = Profiles.load(None)
PLATFORMS = ("linux", "cisco_ios", "cisco_nxos", "juniper_junos", "huawei_vrp", "frr", "arista_eos", "vyos")
DEVICES = {name: Device(name, "192.0.2.1", 22, name, "ops") for name in PLATFORMS}
INVENTORY = Inventory(DEVICES, {})
CHANGES = "  - classes: [read, diagnose, secret-read, change]\n"
EVERYTHING = "  - classes: [read, diagnose, secret-read, change, config, shell]\n"


def wall(folder: Path, rules: str) -> Wall:
    path = folder / "policy.yaml"
    path.write_text(f"version: 1\nrules:\n{rules}")
    path.chmod(0o600)
    return Wall(PolicySource(path))


def say(the: Wall, platform: str, text: str, **more: Any) -> Grant:
    return the.decide_any(INVENTORY, DEVICES[platform], PROFILES.get(platform), text, **more)


# -- Linux: what is a shell, and what is refused in other words ------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("A=1 bash -c id", "A=1 reboot", "PATH=/tmp/x ls", "LD_PRELOAD=/tmp/x.so ls", "a[0]=1 id", "A+=1 id"),
        *("exec bash", "eval id", "command bash", "builtin eval id", "source /tmp/x", ". /tmp/x", "coproc bash"),
        *("alias ls=reboot", "trap reboot EXIT", "hash -p /tmp/x ls", "enable -f /tmp/x.so y", "set -x", "shopt -s x"),
        *("export PATH=/tmp", "export LD_PRELOAD=/tmp/x.so", "unset HOME", "declare -x PATH=/tmp", "time bash"),
        *("if reboot", "while reboot", "function ls", "python3.11 -c 1", "perl5.36.0 -e 1", "/usr/bin/python3 -c 1"),
        *("/bin/busybox sh", "/lib64/ld-linux-x86-64.so.2 /bin/bash", "/lib/ld-musl-x86_64.so.1 /bin/sh"),
        *(
            "nice bash",
            "ionice -c 3 bash",
            "setsid bash",
            "stdbuf -o0 bash",
            "setpriv bash",
            "systemd-run id",
            "at now",
        ),
        *("crontab /tmp/x", "pkexec id", "vi /etc/motd", "less /etc/motd", "man ls", "psql", "sqlite3 /tmp/x", "ftp h"),
        *("socat - tcp:h:22", "nc h 22", "telnet h", "scp a b", "gawk x", "mawk x", "node x", "nodejs x", "su - x"),
    ],
)
def test_what_runs_other_programs_on_linux_is_of_class_shell(tmp_path: Path, text: str) -> None:
    with pytest.raises(CommandDenied):
        say(wall(tmp_path, CHANGES), "linux", text)
    assert say(wall(tmp_path, EVERYTHING), "linux", text).command_class == "shell"


@pytest.mark.parametrize(
    "text", ["systemctl restart nginx", "touch /tmp/x", "export LANG=C", "cd /srv", "/opt/app/bin/deploy"]
)
def test_other_programs_are_changes(tmp_path: Path, text: str) -> None:
    assert say(wall(tmp_path, CHANGES), "linux", text).command_class == "change"


@pytest.mark.parametrize(
    "text",
    [
        *("reboot", "/sbin/reboot", "/usr/sbin/../sbin/reboot", "'reboot'", "A=1 reboot", "nice -n 5 reboot -f"),
        *("time reboot", "nohup /sbin/reboot", "env A=1 B=2 reboot now", "exec reboot", "timeout -s KILL 5s reboot"),
        *("xargs reboot", "setsid -f reboot", "sudo -n reboot", "stdbuf -o0 reboot", "ionice -c 3 nice reboot"),
    ],
)
def test_a_refused_program_is_refused_by_its_path_and_behind_words_that_run_it(tmp_path: Path, text: str) -> None:
    the = wall(tmp_path, f"{EVERYTHING}    deny: [reboot]\n")
    for form in ("command", "shell"):
        with pytest.raises(CommandDenied, match="denies 'reboot'"):
            say(the, "linux", text, form=form)


# -- config mode: what is carried into it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("cisco_ios", "do rel"),  # reload or release: a device with one of them takes it
        ("cisco_ios", "do do reload"),
        ("cisco_ios", "do unknown"),
        ("cisco_ios", "do show running-config | redirect tftp://192.0.2.9/x"),
        ("cisco_ios", "do show running-config | append flash:x"),
        ("cisco_ios", "do copy running-config tftp://192.0.2.9/x"),
        ("cisco_ios", "do clear ip bgp *"),
        ("cisco_ios", "do-exec reload"),
        ("cisco_ios", "DO  WRITE ERASE"),
        ("cisco_nxos", "show running-config | redirect bootflash:x"),
        ("cisco_nxos", "run bash"),
        ("cisco_nxos", "copy running-config tftp://192.0.2.9/x"),
        ("huawei_vrp", "run reboot"),
        ("frr", "do write"),
        ("juniper_junos", "ru request system reboot"),
        ("juniper_junos", "run request system reboot"),
        ("juniper_junos", "top run request system reboot"),
        ("juniper_junos", "up 2 run request system reboot"),
        ("juniper_junos", "run run request system reboot"),
        ("juniper_junos", "run start shell"),
        ("juniper_junos", "run show configuration | save /var/tmp/x"),
        ("juniper_junos", "show | save /var/tmp/x"),
        ("vyos", "run reboot"),
        ("vyos", "sudo reboot"),
        ("vyos", "vbash"),
        ("vyos", "python3 -c 1"),
        ("vyos", "/bin/sh"),
    ],
)
def test_config_mode_carries_nothing_that_is_not_allowed_outside(tmp_path: Path, platform: str, text: str) -> None:
    with pytest.raises(CommandDenied):
        say(wall(tmp_path, "  - classes: [read, diagnose, secret-read, config]\n"), platform, text, form="config")


@pytest.mark.parametrize(
    ("platform", "text", "kind"),
    [
        ("cisco_ios", "do show version", "read"),
        ("cisco_ios", "do reload in 5", "change"),
        ("cisco_ios", "description a | b", "config"),
        ("cisco_ios", "ip as-path access-list 1 permit _65001_|_65002_", "config"),
        ("juniper_junos", "run show version", "read"),
        ("juniper_junos", "show | compare", "config"),
        ("juniper_junos", "set system host-name r1", "config"),
        ("frr", "do show ip route", "read"),
        ("vyos", "set system host-name r1", "config"),
        ("vyos", "commit", "config"),
    ],
)
def test_what_config_mode_carries_is_of_the_class_that_it_has_outside(
    tmp_path: Path, platform: str, text: str, kind: str
) -> None:
    assert say(wall(tmp_path, EVERYTHING), platform, text, form="config").command_class == kind


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("juniper_junos", "run req sys reb"),
        ("juniper_junos", "ru request system reboot"),
        ("juniper_junos", "top run request system reboot"),
        ("cisco_ios", "do-exec wr er"),
        ("cisco_ios", "do  WRITE  ERASE"),
    ],
)
def test_what_is_refused_outside_is_refused_in_config_mode(tmp_path: Path, platform: str, text: str) -> None:
    the = wall(tmp_path, f"{EVERYTHING}    deny: [request system reboot, write erase]\n")
    with pytest.raises(CommandDenied, match="denies"):
        say(the, platform, text, form="config")


@pytest.mark.parametrize(
    "platform", ["cisco_ios", "cisco_nxos", "juniper_junos", "huawei_vrp", "frr", "arista_eos", "vyos"]
)
@pytest.mark.parametrize("program", ["telnet", "ssh"])
def test_another_devices_command_line_is_a_shell(tmp_path: Path, platform: str, program: str) -> None:
    """Behind it, answers would be commands on a device that has rules of its own."""
    with pytest.raises(CommandDenied):
        say(wall(tmp_path, CHANGES), platform, f"{program} 192.0.2.7")
