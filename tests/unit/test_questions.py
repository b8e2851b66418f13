"""What devices and programs ask, and what only looks like it. From general knowledge."""

from __future__ import annotations

import pytest

from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.model import WaitReason
from netssh_mcp.wire.questions import question, standing

PROFILES = Profiles.load(None)
IOS = PROFILES.get("cisco_ios")
LOG = "*Nov 20 10:15:42.123: %SYS-5-CONFIG_I: Configured from console by admin on vty0 (192.0.2.50)"

ASKED: dict[str, list[tuple[WaitReason, str]]] = {
    "cisco_ios": [
        ("confirm", "Proceed with reload? [confirm]"),
        ("confirm", "Delete flash:/old.bin? [confirm]"),
        ("confirm", "Erasing the nvram filesystem will remove all configuration files! Continue? [confirm]"),
        ("confirm", "Do you want to over write? [confirm]"),
        ("confirm", 'Clear "show interface" counters on all interfaces [confirm]'),
        ("yes_no", "System configuration has been modified. Save? [yes/no]: "),
        ("yes_no", "Would you like to enter the initial configuration dialog? [yes/no]: "),
        ("yes_no", "% Do you really want to replace them? [yes/no]: "),
        ("yes_no", "% Do you accept this certificate? [yes/no]: "),
        ("filename", "Destination filename [startup-config]? "),
        ("filename", "Source filename []? "),
        ("filename", "Delete filename [old.bin]? "),
        ("other", "Address or name of remote host []? "),
        ("other", "How many bits in the modulus [512]: "),
        ("other", "Protocol [ip]: "),
        ("other", "Target IP address: "),
        ("other", "Repeat count [5]: "),
        ("other", "Username: "),
        ("password", "Password: "),
        ("password", "Enter new password: "),
        ("confirm", "Press RETURN to get started."),
        ("pager", " --More-- "),
    ],
    "cisco_nxos": [
        ("yes_no", "This command will reboot the system. (y/n)?  [n] "),
        ("yes_no", "Do you wish to proceed anyway? (y/n)  [n] "),
        ("yes_no", 'Do you want to delete "/n9000.bin" ? (yes/no/abort)   [y] '),
        ("yes_no", "Warning: There is already a file existing with this name. Do you want to overwrite (y/n)?[n] "),
        ("filename", "Enter destination filename: [running-config] "),
        ("other", "Enter vrf (If no input, current vrf 'default' is considered): "),
        ("other", "Enter username: "),
    ],
    "arista_eos": [
        ("yes_no", "System configuration has been modified. Save? [yes/no/cancel/diff]:"),
        ("confirm", "Proceed with reload? [confirm]"),
    ],
    "cisco_xr": [
        ("yes_no", "Uncommitted changes found, commit them before exiting(yes/no/cancel)? [cancel]: "),
        ("yes_no", "Do you wish to proceed? [no]: "),
        ("confirm", "Proceed with reload? [confirm]"),
        ("confirm", "Delete harddisk:old.log[confirm]"),
    ],
    "cisco_asa": [
        ("yes_no", "System config has been modified. Save? [Y]es/[N]o/[S]ave all/[C]ancel: "),
        ("yes_no", "improve the product? [Y]es, [N]o, [A]sk later: "),
        ("filename", "Source filename [running-config]? "),
        ("confirm", "Proceed with reload? [confirm] "),
    ],
    "juniper_junos": [
        ("yes_no", "Reboot the system ? [yes,no] (no) "),
        ("yes_no", "Exit with uncommitted changes? [yes,no] (yes) "),
        ("yes_no", "Erase all data, including configuration and log files? [yes,no] (no) "),
        ("password", "Retype new password:"),
    ],
    "huawei_vrp": [
        ("yes_no", "Are you sure to continue?[Y/N]:"),
        ("yes_no", "Warning: The current configuration will be written to the device. Continue? [Y/N]:"),
        ("yes_no", "Are you sure to continue? (y/n)[n]:"),
        ("filename", "Please input the file name ( *.cfg, *.zip ) [vrpcfg.zip]:"),
        ("password", "Confirm password:"),
        ("pager", "  ---- More ----"),
    ],
    "hp_comware": [
        ("yes_no", "The current configuration will be written to the device. Are you sure? [Y/N]:"),
        ("yes_no", "flash:/startup.cfg exists, overwrite? [Y/N]:"),
        ("filename", "(To leave the existing filename unchanged, press the enter key):"),
    ],
    "mikrotik_routeros": [
        ("yes_no", "Reboot, yes? [y/N]: "),
        ("yes_no", "Dangerous! Reset anyway? [y/N]: "),
        ("yes_no", "Do you want to see the software license? [Y/n]: "),
        ("password", "new password> "),
    ],
    "fortinet": [("yes_no", "Do you want to continue? (y/n)")],
    "paloalto_panos": [("yes_no", "Do you want to continue? (y or n) ")],
    "dell_os10": [("yes_no", "Proceed to reboot the system? [confirm yes/no]:")],
    "nokia_sros": [
        ("yes_no", "Are you sure you want to reboot (y/n)? "),
        ("pager", "Press any key to continue (Q to quit)"),
    ],
    "vyos": [("yes_no", "Are you sure you want to reboot this system? [y/N] ")],
    "linux": [
        ("yes_no", "Do you want to continue? [Y/n] "),
        ("yes_no", "Is this ok [y/N]: "),
        ("yes_no", "Is this ok [y/d/N]: "),
        ("yes_no", "Proceed (Y/n)? "),
        ("yes_no", "Proceed ([y]/n)? "),
        ("yes_no", "Ok to proceed? (y) "),
        ("yes_no", "Proceed with operation (y|n)? "),
        ("yes_no", "Proceed anyway? (y,N) "),
        ("yes_no", "Do you really want to remove active logical volume vg0/lv1? [y/n]: "),
        ("yes_no", "rm: remove regular file 'x'? "),
        ("yes_no", "rm: remove write-protected regular empty file '/tmp/a b'? "),
        ("yes_no", "cp: overwrite 'b'? "),
        ("yes_no", "mv: replace 'b', overriding mode 0444 (r--r--r--)? "),
        ("yes_no", "Fix<y>? "),
        ("yes_no", "Fix ('a' enables 'yes' to all) <y>? "),
        ("yes_no", "Continue [yN] "),
        ("yes_no", "Yes/No? "),
        ("yes_no", "Are you sure? (Type 'yes' in capital letters): "),
        ("yes_no", "Overwrite? (y/N) "),
        ("yes_no", "Overwrite (y/n)? "),
        ("yes_no", "replace notes.txt? [y]es, [n]o, [A]ll, [N]one, [r]ename: "),
        ("yes_no", "crontab: really delete bob's crontab? (y/n) "),
        ("host_key", "Are you sure you want to continue connecting (yes/no/[fingerprint])? "),
        ("host_key", "Please type 'yes', 'no' or the fingerprint: "),
        ("host_key", "Store key in cache? (y/n, Return cancels connection, i for more info) "),
        ("password", "[sudo] password for bob: "),
        ("password", "bob@192.0.2.7's password: "),
        ("password", "(current) UNIX password: "),
        ("password", "Retype new password: "),
        ("password", "Enter password: "),
        ("password", "Password for 'https://bob@git.example.net': "),
        ("password", "Enter PIN for 'YubiKey PIV': "),
        ("password", "Verification code: "),
        ("passphrase", "Enter passphrase for key '/home/bob/.ssh/id_ed25519': "),
        ("passphrase", "Enter passphrase for /dev/sda1: "),
        ("passphrase", "Enter PEM pass phrase:"),
        ("passphrase", "Passphrase: "),
        ("filename", "Enter file in which to save the key (/root/.ssh/id_ed25519): "),
        ("yes_no", "*** ssh_config (Y/I/N/O/D/Z) [default=N] ? "),
        ("other", "Your selection? "),
        ("other", "Change (N)ame, (C)omment, (E)mail or (O)kay/(Q)uit? "),
        ("other", "Command (m for help): "),
        ("other", "  Enter a value: "),
        ("other", "Select the appropriate number [1-2] then [enter] (press 'c' to cancel): "),
        ("other", "login: "),
        ("other", "What now? "),
        ("confirm", "Press [ENTER] to continue or Ctrl-c to cancel."),
        ("confirm", "Press any key to continue"),
    ],
}

NOT_ASKED = {
    "cisco_ios": [
        "Building configuration...",
        "Sending 5, 100-byte ICMP Echos to 192.0.2.1, timeout is 2 seconds:",
        "!!!!.",
        "Enter configuration commands, one per line.  End with CNTL/Z.",
        "Loading image.bin from 192.0.2.9 (via GigabitEthernet0/0): !!!",
        "Route mapping:",
        "spinning: ",
        "username admin password 7 0822455D0A16",
        "Interface GigabitEthernet0/1 is up (no)",
        'Type "show ?" for a list of subcommands',
        "r1#",
        "r1(config)#",
        "line 4 [up]",
    ],
    "linux": [
        "mysql> ",
        ">>> ",
        "sshd[1234]: ",
        "Nov 20 10:15:42 host1 sudo[77]:",
        "Failed password for root from 192.0.2.66 port 22 ssh2",
        "rm: cannot remove 'x': No such file or directory",
        "Reading package lists... Done",
        "Get:1 http://deb.example.net stable InRelease [151 kB]",
        "100% [Working]",
        "enabled (yes)",
        "drwxr-xr-x 2 root root 4096 Nov 20 file name.txt",
        "shopping list:",
    ],
    "juniper_junos": ["admin@edge1> ", "[edit]", "Users currently editing the configuration:"],
    "huawei_vrp": ["<HUAWEI>", "[HUAWEI-GigabitEthernet0/0/1]", "Now saving the current configuration to the slot 0.."],
}


@pytest.mark.parametrize(
    ("platform", "reason", "line"),
    [(platform, reason, line) for platform, lines in ASKED.items() for reason, line in lines],
)
def test_a_question_is_named_for_what_it_asks(platform: str, reason: WaitReason, line: str) -> None:
    assert question(PROFILES.get(platform), line) == reason


@pytest.mark.parametrize(
    ("platform", "line"), [(platform, line) for platform, lines in NOT_ASKED.items() for line in lines]
)
def test_what_is_no_question_is_not_taken_for_one(platform: str, line: str) -> None:
    assert question(PROFILES.get(platform), line) == ""


@pytest.mark.parametrize("lines", [x for lines in ASKED.values() for _, x in lines])
def test_a_question_that_was_answered_on_its_line_is_none_any_more(lines: str) -> None:
    assert question(IOS, f"{lines} 42") == "" or lines.startswith(("Press", "Store"))


def test_a_log_line_behind_a_question_does_not_hide_it() -> None:
    asked = "Proceed with reload? [confirm]"
    assert standing(IOS, f"text\n{asked}") == ("confirm", asked)
    assert standing(IOS, f"text\n{asked}\n{LOG}\n") == ("confirm", asked)
    assert standing(IOS, f"text\n{asked}\n{LOG}\n\n{LOG}\n") == ("confirm", asked)


@pytest.mark.parametrize("text", ["", "text\n", "Who knows?\n", f"Who knows?\n{LOG}\n", "Save? [yes/no]: no\n"])
def test_a_line_that_has_ended_asks_nothing(text: str) -> None:
    assert standing(IOS, text) == ("", "")


def test_a_long_line_costs_no_time() -> None:
    for text in ("y/" * 60_000, "[" * 60_000, "password " * 20_000, "enter " * 20_000, "file name " * 20_000):
        assert question(IOS, text) == ""
