"""The command line: the same services and words without MCP, exit codes that scripts can use, never a traceback."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from netssh_mcp import cli_asking
from netssh_mcp.guard.audit import Audit
from netssh_mcp.knowledge.profiles import schema

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "netssh_mcp"]
EXAMPLE = ["--inventory", str(ROOT / "inventory.example.yaml")]
LONG = 60  # seconds: only to fail


def environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


def ran(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=LONG,
    )


@pytest.mark.parametrize("arguments", [["list"], ["show", "r1", "show version"], ["inventory", "check"]])
def test_without_an_inventory_the_error_says_where_it_was_looked_for_and_how_to_begin(
    tmp_path: Path, arguments: list[str]
) -> None:
    done = ran(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    first, hint = done.stderr.splitlines()
    assert first.startswith("netssh-mcp: there is no inventory")
    assert str(tmp_path / "inventory.yaml") in first
    assert "netssh-mcp demo" in hint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shw"], "invalid choice: 'shw'"),
        (["--toolsets", "obsrve"], "did you mean observe?"),
        (["--inventory", "nowhere.yaml"], "there is no file"),
        (["serve", "--host-keys", "any"], "invalid choice: 'any'"),
        (["show", "r1", "x", "--timeout", "0"], "between 0 and 3600"),
        (["show", "nowhere", "show version", *EXAMPLE], "there is no device 'nowhere'"),
        (["audit", "verify", "nowhere.jsonl"], "cannot be read"),
    ],
)
def test_a_usage_or_configuration_error_exits_2_with_its_text_on_stderr(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = ran(tmp_path, *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_refused_command_is_a_failed_row_and_exits_1(tmp_path: Path) -> None:
    text = ran(tmp_path, "show", "leaf1", "reload", *EXAMPLE)
    assert text.returncode == 1
    assert "# leaf1 (arista_eos): reload\nFAILED" in text.stdout
    assert "\nERROR denied" in text.stdout
    fields = ran(tmp_path, "show", "leaf1", "reload", "--json", *EXAMPLE)
    assert fields.returncode == 1
    result = json.loads(fields.stdout)
    assert (result["requested"], result["ok"], result["failed"]) == (1, 0, 1)
    assert result["rows"][0]["error"]["effect"] == "none"
    assert text.stderr == fields.stderr == ""


def test_list_shows_devices_and_groups_as_text_and_as_json(tmp_path: Path) -> None:
    text = ran(tmp_path, "list", "leaf1", *EXAMPLE)
    assert text.returncode == 0
    assert "leaf1" in text.stdout
    assert "frr1" not in text.stdout
    groups = json.loads(ran(tmp_path, "list", "--view", "groups", "--json", *EXAMPLE).stdout)
    assert groups["view"] == "groups"
    assert "berlin" in [row[0] for row in groups["rows"]]


def test_inventory_check_counts_and_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    good = ran(tmp_path, "inventory", "check", *EXAMPLE)
    assert good.returncode == 0
    assert "11 hosts" in good.stdout
    broken = tmp_path / "inventory.yaml"
    broken.write_text("hosts:\n  r1:\n    platfrm: frr\n", encoding="utf-8")
    done = ran(tmp_path, "inventory", "check")
    assert done.returncode == 2
    assert f"{broken}" in done.stderr
    assert "platfrm" in done.stderr
    assert "did you mean platform" in done.stderr


def test_inventory_list_names_where_credentials_come_from(tmp_path: Path) -> None:
    done = ran(tmp_path, "inventory", "list", *EXAMPLE)
    assert done.returncode == 0
    assert "env:NETSSH_PASSWORD" in done.stdout


def test_platforms_lists_the_profiles_and_gives_their_schema(tmp_path: Path) -> None:
    listed = json.loads(ran(tmp_path, "platforms", "--json").stdout)
    assert {"frr", "linux", "arista_eos"} <= {row[0] for row in listed["rows"]}
    assert json.loads(ran(tmp_path, "platforms", "--schema").stdout) == schema()


def test_audit_verify_tells_a_whole_chain_from_an_edited_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    audit.record_event("started", by="test")
    audit.record_event("ended", by="test")
    audit.close()
    whole = ran(tmp_path, "audit", "verify", str(path))
    assert whole.returncode == 0
    assert "2 records, the chain is whole" in whole.stdout
    path.write_bytes(path.read_bytes().replace(b"started", b"stopped"))
    edited = ran(tmp_path, "audit", "verify", str(path))
    assert edited.returncode == 1
    assert "line 1: its hash does not fit its content: it was edited" in edited.stderr


def test_the_default_command_serves_until_its_stdin_ends(tmp_path: Path) -> None:
    done = ran(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "platforms", "--schema"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(LONG) == 0


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert ran(tmp_path, "--version").stdout == "netssh-mcp 0.1.0\n"


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli_asking.show_result(argparse.Namespace(json=False), {}, lambda _: "a\x1b[31mb\x9b\tc\nd\xe9")
    assert capsys.readouterr().out == "a\\x1b[31mb\\x9b\tc\nd\xe9\n"


def policy(home: Path, rules: str) -> list[str]:
    path = home / "policy.yaml"
    path.write_text(f"version: 1\nrules:\n{rules}\n", encoding="utf-8")
    path.chmod(0o600)
    return ["--policy", str(path), *EXAMPLE]


def test_policy_check_counts_and_warns(tmp_path: Path) -> None:
    rules = "  - {devices: 'nothing*', classes: [read, change]}\n  - {devices: '@nowhere', deny: [show clock]}"
    done = ran(tmp_path, "policy", "check", *policy(tmp_path, rules))
    assert done.returncode == 0, done.stderr
    first, *warnings = done.stdout.splitlines()
    assert first == f"{tmp_path / 'policy.yaml'}: 2 rules for 11 devices"
    assert [warning.startswith("warning: policy.yaml:") for warning in warnings] == [True] * 3
    assert "matches no device" in done.stdout
    assert "no tool of this version sends change commands" in done.stdout
    assert "there is no group '@nowhere'" in done.stdout
    fields = json.loads(ran(tmp_path, "policy", "check", "--json", *policy(tmp_path, rules)).stdout)
    assert len(fields["warnings"]) == 3


def test_policy_check_warns_of_a_word_that_looks_misspelt_where_any_program_may_be_meant(tmp_path: Path) -> None:
    done = ran(tmp_path, "policy", "check", *policy(tmp_path, "  - deny: [shwo running-config]"))
    assert "'shwo running-config': no command of" in done.stdout
    assert "did you mean show?" in done.stdout


@pytest.mark.parametrize(
    "words", [["policy", "check"], ["serve"], ["show", "leaf1", "show version"], ["policy", "explain", "leaf1", "x"]]
)
def test_a_bad_rule_ends_every_start_with_its_place(tmp_path: Path, words: list[str]) -> None:
    for rule, said in (
        ("{deyn: [show clock]}", "rules.0.deyn: there is no such key; did you mean deny"),
        ("{devices: leaf1, deny: [shwo clock]}", "no command of arista_eos begins with 'shwo'; did you mean show?"),
    ):
        done = ran(tmp_path, *words, *policy(tmp_path, f"  - {rule}"))
        assert done.returncode == 2
        assert said in done.stderr
        assert "policy.yaml:3" in done.stderr
        assert done.stdout == ""


def test_a_policy_file_that_others_can_write_ends_the_start(tmp_path: Path) -> None:
    arguments = policy(tmp_path, "  - {classes: [read]}")
    (tmp_path / "policy.yaml").chmod(0o664)
    done = ran(tmp_path, "serve", *arguments)
    assert done.returncode == 2
    assert "can be written by others (mode 0664)" in done.stderr
    assert f"chmod go-w {tmp_path / 'policy.yaml'}" in done.stderr


def test_policy_explain_gives_verdict_rule_and_canonical_form_and_an_exit_code(tmp_path: Path) -> None:
    arguments = policy(tmp_path, "  - {devices: leaf1, deny: [show running-config]}")
    denied = ran(tmp_path, "policy", "explain", "leaf1", "sh run | i x", *arguments)
    assert denied.returncode == 1
    assert 'canonical: "show running-config | include x"' in denied.stdout
    assert "policy.yaml:3 denies 'show running-config'" in denied.stdout
    allowed = ran(tmp_path, "policy", "explain", "leaf1", "sh ver", "--json", *arguments)
    assert allowed.returncode == 0
    facts = json.loads(allowed.stdout)
    assert (facts["verdict"], facts["class"], facts["canonical"]) == ("allow", "read", "show version")
    without = ran(tmp_path, "policy", "explain", "leaf1", "reload", *EXAMPLE)
    assert without.returncode == 1
    assert "no read command" in without.stdout


@pytest.mark.parametrize(
    ("platform", "parts"),
    [
        (
            "cisco_ios",
            ["parser view NETSSH", "commands exec include all show", "exclude show running-config", "cmd = "],
        ),
        ("cisco_xe", ["parser view NETSSH"]),
        ("cisco_nxos", ["role name netssh", "permit command show *", "deny command show running-config *"]),
        ("cisco_xr", ["taskgroup NETSSH", "usergroup NETSSH", "cmd = show {"]),
        ("cisco_asa", ["privilege cmd level 3 mode exec command show"]),
        ("arista_eos", ["role netssh", "deny mode exec command show running-config.*", "deny command .*"]),
        ("juniper_junos", ["class NETSSH permissions view", "deny-commands", "start shell", "allow-commands"]),
        ("fortinet", ["config system accprofile", "set authgrp none"]),
        ("nokia_sros", ["default-action deny-all", 'match "show"']),
        ("huawei_vrp", ["privilege level 1"]),
        ("frr", ["vtysh -u", "frrvty"]),
        ("linux", ["sudoers", "restrict,from="]),
        ("aruba_aoscx", ["There is no template", "cmd = show {", 'deny "^running-config"']),
        ("mikrotik_routeros", ["/user group add", "!write", "!policy", "!sensitive"]),
    ],
)
def test_policy_device_account_prints_what_to_type_on_the_device(
    tmp_path: Path, platform: str, parts: list[str]
) -> None:
    done = ran(tmp_path, "policy", "device-account", platform)
    assert done.returncode == 0, done.stderr
    for part in parts:
        assert part in done.stdout
    assert "{" + "words}" not in done.stdout
    assert "cmd = ..." not in done.stdout  # a phrase of every menu is no word of the device
    assert "CHANGE-ME" in done.stdout or platform == "aruba_aoscx"


def test_policy_device_account_of_an_unknown_platform_names_near_ones(tmp_path: Path) -> None:
    unknown = ran(tmp_path, "policy", "device-account", "cisco_iso")
    assert unknown.returncode == 2
    assert "unknown platform 'cisco_iso'" in unknown.stderr


def test_policy_check_without_a_file_says_what_holds_then(tmp_path: Path) -> None:
    done = ran(tmp_path, "policy", "check", *EXAMPLE)
    assert done.returncode == 2
    assert "there is no policy file, so reads are allowed on every device and nothing else" in done.stderr
    wrong = ran(tmp_path, "policy", "explain", "leaf1", *EXAMPLE)
    assert wrong.returncode == 2
    assert "policy explain takes 2 words, not 1" in wrong.stderr
