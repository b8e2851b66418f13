"""Device profiles: the shipped files, the user's folder, the families, the schema."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.profiles import Profile, Profiles, schema
from netssh_mcp.knowledge.shipped import shipped

ROOT = Path(__file__).parents[2]
FIRST_WAVE = {
    "arista_eos",
    "cisco_asa",
    "cisco_ios",
    "cisco_nxos",
    "cisco_xe",
    "cisco_xr",
    "frr",
    "juniper_junos",
    "linux",
}
PROFILES = Profiles.load(None)
SHIPPED = sorted(path.stem for path in shipped("device_profiles").glob("*.yaml"))
EXAMPLES = [(name, prompt, mode) for name in SHIPPED for prompt, mode in PROFILES.get(name).prompts.examples.items()]
LOG_LINES = [
    ("cisco_ios", "*Mar  1 00:00:00.000: %SYS-5-CONFIG_I: Configured from console by vty0 (192.0.2.1)"),
    ("cisco_ios", "000123: *Mar  1 00:00:00.000 UTC: %LINK-3-UPDOWN: Interface Gi0/1, changed state to up"),
    ("cisco_ios", "Nov 20 2026 12:00:00.123 CET: %LINEPROTO-5-UPDOWN: Line protocol on Gi0/1"),
    ("cisco_ios", "R1: 000042: Nov 20 12:00:00: %OSPF-5-ADJCHG: Process 1, Nbr 192.0.2.2"),
    ("cisco_ios", ".Nov 20 12:00:00.123: %SEC_LOGIN-5-LOGIN_SUCCESS: Login Success"),
    ("cisco_ios", "1d02h: %LINK-3-UPDOWN: Interface FastEthernet0/1, changed state to down"),
    ("cisco_ios", "*Mar  1 00:00:00.000: BGP: 192.0.2.2 went from Idle to Active"),
    ("cisco_xe", "*Nov 20 12:00:00.123: %IOSXE-3-PLATFORM: R0/0: kernel: x"),
    ("cisco_nxos", "2026 Nov 20 12:00:00 nx1 %$ VDC-1 %$ %ETHPORT-5-IF_UP: Interface Ethernet1/1 is up"),
    ("cisco_nxos", "2026 Nov 20 12:00:00.123 nx1 %VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty"),
    ("cisco_xr", "RP/0/RSP0/CPU0:Nov 20 12:00:00.123 CET: config[65737]: %MGBL-SYS-5-CONFIG_I : Configured"),
    ("cisco_xr", "LC/0/0/CPU0:Nov 20 12:00:00.123 : ifmgr[210]: %PKT_INFRA-LINK-3-UPDOWN : Interface"),
    ("cisco_asa", "%ASA-5-111008: User 'admin' executed the 'enable' command."),
    ("cisco_asa", "Nov 20 2026 12:00:00 asa1 : %ASA-6-302013: Built inbound TCP connection"),
    ("arista_eos", "Nov 20 12:00:00 leaf1 Ebra: %LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet1"),
    ("arista_eos", "Nov 20 12:00:00 leaf1 ConfigAgent: 12: %SYS-5-CONFIG_I: Configured from console"),
    ("juniper_junos", "*** messages ***"),
    ("juniper_junos", "Message from syslogd@mx1 at Nov 20 12:00:00  ..."),
    ("juniper_junos", "Nov 20 12:00:00 mx1 rpd[1234]: bgp_hold_timeout: peer 192.0.2.2"),
    ("frr", "2026/11/20 12:00:00 ZEBRA: [EC 4043309121] Client 'bgp' encountered an error"),
    ("frr", "[VTYSH] lost connection to bgpd"),
    ("frr", "% STARVATION: task vtysh_rl_read (5581) ran for 8012ms"),
    ("linux", "Broadcast message from root@host1 (pts/0) (Fri Nov 20 12:00:00 2026):"),
]
PLAIN_LINES = [
    "GigabitEthernet0/1 is up, line protocol is up",
    "interface Loopback0",
    "Building configuration...",
    "10.0.0.0/24 via 192.0.2.1, eth0, 00:00:05",
    " description to R2# port 7",
    "Nov 20 2026",
    "12:00:00.123 UTC Fri Nov 20 2026",
    "[edit]",
]


def test_the_first_wave_is_shipped_and_every_file_is_valid() -> None:
    profiles = Profiles.load(None)
    profiles.check()
    assert set(profiles.names()) >= FIRST_WAVE
    for name in FIRST_WAVE:
        assert profiles.get(name).sources, name


@pytest.mark.parametrize(("name", "prompt", "mode"), EXAMPLES)
def test_every_prompt_example_matches_and_shows_its_mode(name: str, prompt: str, mode: str) -> None:
    profile = PROFILES.get(name)
    assert re.fullmatch(profile.prompts.pattern, prompt)
    assert profile.mode(prompt) == mode


@pytest.mark.parametrize("name", SHIPPED)
def test_every_mode_has_an_example(name: str) -> None:
    prompts = PROFILES.get(name).prompts
    assert set(prompts.examples.values()) == set(prompts.modes)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(
    "line",
    [
        *(line for _, line in LOG_LINES),
        "Password:",
        "Password: ",
        "Enter password for admin#",
        "[sudo] password for ops: ",
        "--More--",
        "Proceed with reload? [confirm]",
        "Are you sure? [yes/no]: ",
        "% Invalid input detected at '^' marker.",
        "",
    ],
)
def test_a_prompt_pattern_matches_no_log_line_and_no_question(name: str, line: str) -> None:
    if (name, line) != ("linux", "Enter password for admin#"):  # a shell prompt may hold words
        assert not re.fullmatch(PROFILES.get(name).prompts.pattern, line)


@pytest.mark.parametrize(("name", "line"), LOG_LINES)
def test_log_lines_are_known_as_such(name: str, line: str) -> None:
    assert re.match(PROFILES.get(name).log_line, line)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("line", PLAIN_LINES)
def test_plain_output_is_no_log_line(name: str, line: str) -> None:
    assert not re.match(PROFILES.get(name).log_line, line)


@pytest.mark.parametrize("name", SHIPPED)
def test_patterns_that_meet_device_text_answer_on_long_hostile_lines(name: str) -> None:
    # An exponential pattern would not come back; polynomial ones are kept short by bounded repeats.
    profile = PROFILES.get(name)
    patterns = [profile.prompts.pattern, profile.prompts.lead, profile.pager.pattern, profile.log_line]
    patterns += [*profile.rejected_when, *profile.not_rejected, *profile.prompts.modes.values()]
    for text in ("a" * 20_000, "a-/.:" * 4_000, "(" * 20_000, " " * 20_000, "0:" * 10_000, "%A-" * 7_000):
        for pattern in patterns:
            re.search(pattern, text[-2_000:])
            re.fullmatch(pattern, text)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cisco_ios", "% Invalid input detected at '^' marker."),
        ("cisco_ios", "% Incomplete command."),
        ("cisco_ios", '% Ambiguous command:  "s"'),
        ("cisco_nxos", "% Invalid command at '^' marker."),
        ("cisco_asa", "ERROR: % Invalid input detected at '^' marker."),
        ("arista_eos", "% Invalid input"),
        ("juniper_junos", "syntax error, expecting <command>."),
        ("juniper_junos", "unknown command."),
        ("frr", "% Unknown command: shwo version"),
        ("frr", "% Command incomplete: show ip"),
        ("frr", "% Ambiguous command: s"),
        ("frr", "% There is no matched command."),
    ],
)
def test_a_refusal_of_the_device_is_recognised(name: str, line: str) -> None:
    profile = PROFILES.get(name)
    assert any(re.match(pattern, line) for pattern in profile.rejected_when)
    assert not any(re.match(pattern, line) for pattern in profile.not_rejected)


@pytest.mark.parametrize(
    "line",
    [
        "% Warning: can't chown /etc/frr/frr.conf: Operation not permitted",
        "Warning: attempting direct configuration write without /etc/frr/.vtysh.lock",
    ],
)
def test_what_write_memory_prints_on_frr_is_no_refusal(line: str) -> None:
    profile = PROFILES.get("frr")
    refused = any(re.match(pattern, line) for pattern in profile.rejected_when)
    assert not refused or any(re.match(pattern, line) for pattern in profile.not_rejected)


@pytest.mark.parametrize("name", sorted(FIRST_WAVE - {"linux", "frr"}))
def test_show_logging_is_known_to_print_log_lines(name: str) -> None:
    assert any(
        re.fullmatch(pattern, "show logging" if name != "juniper_junos" else "show log messages")
        for pattern in PROFILES.get(name).log_commands
    )


@pytest.mark.parametrize(
    ("name", "ntc"),
    [
        ("huawei", "huawei_vrp"),
        ("juniper", "juniper_junos"),
        ("nokia_sros", "alcatel_sros"),
        ("cisco_wlc", "cisco_wlc_ssh"),
        ("cisco_xe", "cisco_ios"),
        ("cisco_ios", "cisco_ios"),
        ("dell_os9", "dell_force10"),
        ("fortinet", "fortinet"),
    ],
)
def test_the_parsers_platform_name_is_known(name: str, ntc: str) -> None:
    assert PROFILES.get(name).ntc_templates_platform == ntc


def test_every_parser_alias_is_a_platform_of_ntc_templates() -> None:
    import ntc_templates
    import yaml

    families = yaml.safe_load((ROOT / "netssh_mcp/knowledge/families.yaml").read_text())
    index = (Path(ntc_templates.__file__).parent / "templates" / "index").read_text()
    patterns = {line.split(",")[2].strip() for line in index.splitlines() if line.count(",") >= 3}
    for device_type, ntc in families["ntc_templates"].items():
        assert device_type in PROFILES.types(), device_type
        assert any(re.fullmatch(pattern, ntc) for pattern in patterns), ntc


def test_families_name_only_types_that_netmiko_has() -> None:
    import yaml

    families = yaml.safe_load((ROOT / "netssh_mcp/knowledge/families.yaml").read_text())
    named = [name for family in families["families"] for name in family["types"]] + list(families["login_writes"])
    assert set(named) <= PROFILES.types()


def test_the_list_of_device_types_has_all_that_netmiko_reaches_over_ssh() -> None:
    dispatcher = importlib.import_module("netmiko.ssh_dispatcher")
    ours = PROFILES.types()
    theirs = {name.removesuffix("_ssh") for name in dispatcher.platforms if not name.endswith(("_telnet", "_serial"))}
    assert ours <= theirs  # a newer Netmiko may know more
    if importlib.import_module("netmiko").__version__.startswith("4.8"):
        assert ours == theirs


def test_every_netmiko_type_works_without_a_profile_of_its_own() -> None:
    for device_type in PROFILES.types():
        profile = PROFILES.get(device_type)
        assert profile.netmiko_device_type
        assert PROFILES.get(f"{device_type}_ssh") is profile
        assert PROFILES.knows(device_type)
    assert PROFILES.get("huawei_olt").reads == ("display",)
    assert PROFILES.get("generic").reads == ()


def test_a_login_that_writes_is_said() -> None:
    for name in ("fortinet", "cisco_asa", "huawei", "cisco_wlc", "nec_ix"):
        assert PROFILES.get(name).login_writes, name


@pytest.mark.parametrize(
    ("name", "said"),
    [("cisco_io", "cisco_ios"), ("juniper_jnos", "juniper_junos"), ("cisco_ios_telnet", "transport: telnet")],
)
def test_an_unknown_platform_is_refused_with_near_words(name: str, said: str) -> None:
    assert not PROFILES.knows(name)
    with pytest.raises(InputError) as refusal:
        PROFILES.get(name)
    assert said in refusal.value.hint


def test_the_users_folder_wins_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "cisco_ios.yaml").write_text(
        "name: cisco_ios\ntitle: ours\ncommands: {read: [show]}\naliases: [edge]\n"
    )
    profiles = Profiles.load(tmp_path)
    assert profiles.get("cisco_ios").title == "ours"
    assert profiles.get("edge") is profiles.get("cisco_ios")
    assert profiles.get("frr").title == PROFILES.get("frr").title
    origins = {row["platform"]: row["origin"] for row in profiles.rows()}
    assert (origins["cisco_ios"], origins["frr"], origins["huawei_olt"]) == ("user", "shipped", "netmiko")


def test_a_missing_user_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Profiles.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("name: x\ncommandss: {}\n", 2, "commandss"),
        ("name: x\nprompts:\n  patern: x\n", 3, "prompts.patern"),
        ("name: x\ndenied: ['(']\n", 2, "denied.0"),
        ("name: x\ndriver: telnet\n", 2, "driver"),
        ("name: y\n", 1, "name must be 'x'"),
        ("name: x\nname: x\n", 2, "already"),
        ("name: x\ncommands: {read: [show], change: [show]}\n", 1, "commands names more than once: show"),
        ("name: [x\n", 2, "YAML"),
        ("- name\n", 1, "mapping"),
        ("name: x\ninner: {a: x}\n", 2, "itself"),
    ],
)
def test_a_broken_file_is_named_with_line_and_key(tmp_path: Path, text: str, line: int, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError) as refusal:
        Profiles.load(tmp_path).get("x")
    assert f"x.yaml:{line}:" in refusal.value.message
    assert said in refusal.value.message


def test_an_unknown_key_lists_the_allowed_ones(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: x\ncommandss: {}\n")
    with pytest.raises(InputError) as refusal:
        Profiles.load(tmp_path).get("x")
    assert "commands" in refusal.value.hint


def test_platforms_maps_every_name_to_the_platforms_own() -> None:
    names = PROFILES.platforms()
    assert names["juniper"] == "juniper_junos"
    assert names["junos"] == "juniper_junos"
    assert names["cisco_ios_ssh"] == "cisco_ios"
    assert names["huawei"] == "huawei_vrp"
    assert names["huawei_vrpv8"] == "huawei_vrpv8"
    for own in set(names.values()):
        assert PROFILES.get(own).name == own


def test_the_program_inside_a_program_is_judged_by_its_own_profile() -> None:
    assert isinstance(PROFILES.get("linux").inner["vtysh"], Profile)


def test_rows_list_every_platform_once() -> None:
    rows = PROFILES.rows()
    names = [row["platform"] for row in rows]
    assert len(names) == len(set(names))
    assert len({*names, *PROFILES.names()}) >= 175


def test_the_published_schema_is_the_code() -> None:
    published = json.loads((ROOT / "docs" / "device_profile.schema.json").read_text())
    assert published == schema()


def test_the_documentation_describes_every_key() -> None:
    text = (ROOT / "docs" / "profiles.md").read_text()
    assert [key for key in Profile.model_fields if f"`{key}`" not in text] == []


def test_importing_and_listing_needs_neither_yaml_nor_netmiko() -> None:
    code = (
        "import sys; from netssh_mcp.knowledge.profiles import Profiles; p = Profiles.load(None);"
        "assert p.knows('cisco_ios') and p.knows('huawei'); import netssh_mcp.guard.policy;"
        "print([m for m in ('yaml', 'netmiko', 'paramiko', 'textfsm', 'ntc_templates') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_files_are_named_after_their_platform() -> None:
    for name in SHIPPED:
        assert PROFILES.get(name).name == name
    assert set(SHIPPED) >= FIRST_WAVE
