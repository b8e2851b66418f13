"""`run` on a real sshd with real sudo, and on real FRRouting: streams, statuses, jobs, side by side, config mode."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

# ruff: noqa: S108, S604 - `shell` is the tool's argument, and the paths are on the lab's host
from netssh_mcp.services.app import App, open_app
from tests.devices.house import audit_records, settings
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]

EVERYTHING = "  - classes: [read, diagnose, secret-read, change, config, shell]"
EIGHT = [f"h{number}" for number in range(1, 9)]


@asynccontextmanager
async def ready(lab: RealLab, folder: Path, rules: str = EVERYTHING, hosts: dict[str, Any] | None = None) -> Any:
    """The services on the lab, `linux1` as the user who types a password to sudo; `hosts` are more of them."""
    written = lab.inventory()
    ops = {
        "username": lab.ops.name,
        "password": f"file:{lab.ops.password_file}",
        "sudo": f"file:{lab.ops.password_file}",
        "key_file": [],
        "agent": False,
    }
    linux = written["hosts"]["linux1"] | ops
    written["hosts"]["linux1"] = linux
    for name, keys in (hosts or {}).items():
        written["hosts"][name] = linux | keys
    inventory = folder / "inventory.yaml"
    inventory.write_text(json.dumps(written))
    inventory.chmod(0o600)
    policy = folder / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n{rules}\n")
    policy.chmod(0o600)
    async with open_app(settings(folder, inventory, policy=str(policy))) as app:
        with anyio.fail_after(90):
            yield app


@pytest.fixture
async def app(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[App]:
    async with ready(real_lab, tmp_path) as opened:
        yield opened


async def only(app: App, command: str, **more: Any) -> dict[str, Any]:
    """The one row of this command on the Linux host."""
    (row,) = (await app.runs.run("linux1", [command], **more))["rows"]
    return dict(row)


async def test_streams_status_and_signal_are_kept_apart(app: App) -> None:
    row = await only(app, "echo out; echo err >&2; exit 3", shell=True)
    assert (row["ok"], row["output"], row["stderr"], row["exit_status"]) == (False, "out\n", "err\n", 3)
    assert (row["error"]["kind"], row["error"]["effect"]) == ("exit", "possible")
    row = await only(app, "kill -TERM $$", shell=True)
    assert (row["ok"], row["signal"], row["error"]["kind"]) == (False, "TERM", "exit")
    row = await only(app, "hostname")
    assert (row["ok"], row["exit_status"], row["parsed_by"], row["framing"]) == (True, 0, "raw", "proven")
    assert "signal" not in row
    assert "stderr" not in row


async def test_the_first_failure_stops_the_rest_unless_it_shall_go_on(app: App) -> None:
    commands = ["echo one", "ls /nonexistent-netssh", "echo three"]
    result = await app.runs.run("linux1", commands)
    assert [row.get("error", {}).get("kind", "ok") for row in result["rows"]] == ["ok", "exit", "skipped"]
    assert result["rows"][2]["error"]["effect"] == "none"
    assert (result["requested"], result["ok"], result["failed"]) == (3, 1, 2)
    result = await app.runs.run("linux1", commands, stop_on_error=False)
    assert [row["ok"] for row in result["rows"]] == [True, False, True]


async def test_each_command_is_by_itself_with_its_directory_and_variables(app: App) -> None:
    result = await app.runs.run("linux1", ["cd /usr", "pwd"], shell=True)
    assert result["rows"][1]["output"].strip() != "/usr", "nothing is kept without a session"
    row = await only(app, 'pwd; echo "$NETSSH_A $LANG"', shell=True, cwd="/usr/bin", env={"NETSSH_A": "a b;c"})
    assert row["output"].splitlines()[0] == "/usr/bin"
    assert row["output"].splitlines()[1].startswith("a b;c")


async def test_sudo_runs_as_root_or_another_and_its_password_is_nowhere(
    app: App, real_lab: RealLab, tmp_path: Path
) -> None:
    assert (await only(app, "id -u", sudo=True))["output"] == "0\n"
    assert (await only(app, "id -un", sudo=True, sudo_user="nobody"))["output"] == "nobody\n"
    row = await only(app, "ls /nonexistent-netssh", sudo=True)
    assert row["exit_status"] == 2, "the command's own, not sudo's"
    row = await only(app, "printf 'Failed password for root\\nPassword: '", shell=True, sudo=True)
    assert real_lab.ops.password not in json.dumps(row)
    written = (tmp_path / "audit.jsonl").read_text()
    assert real_lab.ops.password not in written
    assert [record["sudo"] for record in audit_records(tmp_path) if "sudo" in record] == [
        *("root", "nobody", "root", "root")
    ]


async def test_what_the_policy_does_not_allow_reaches_no_host(real_lab: RealLab, tmp_path: Path) -> None:
    rules = "  - {classes: [read], allow: [touch /tmp/netssh-run], deny: [cat /etc/shadow]}"
    async with ready(real_lab, tmp_path, rules) as app:
        for command, more in (
            ("uptime", {"sudo": True}),
            ("uptime", {"env": {"LD_PRELOAD": "/tmp/x.so"}}),
            ("uptime", {"env": {"A": "b"}}),
            ("touch /tmp/netssh-run", {"cwd": "/tmp"}),
            ("uptime | wc", {"shell": True}),
            ("reboot", {}),
        ):
            row = await only(app, command, **more)
            assert row["error"]["kind"] == "denied", (command, more)
            assert row["error"]["effect"] == "none"
        assert (await only(app, "uptime", env={"LC_ALL": "C"}, cwd="/usr"))["ok"]
    decided = [record["verdict"] for record in audit_records(tmp_path) if record["kind"] == "decision"]
    assert decided == ["deny"] * 6 + ["allow"]


async def test_a_relative_path_is_refused_as_the_path_that_it_is(real_lab: RealLab, tmp_path: Path) -> None:
    rules = "  - {classes: [read, change], deny: [cat /etc/shadow]}"
    async with ready(real_lab, tmp_path, rules) as app:
        for word, cwd in (("shadow", "/etc"), ("../etc/shadow", "/usr"), ("./shadow", "/etc/")):
            row = await only(app, f"cat {word}", cwd=cwd)
            assert row["error"]["kind"] == "denied", (word, cwd)
            assert "denies 'cat /etc/shadow'" in row["error"]["message"]


async def test_a_known_secret_is_no_variable(app: App, real_lab: RealLab) -> None:
    for _ in range(2):  # before the login has used it, and after
        row = await only(app, "hostname", env={"NETSSH_X": real_lab.ops.password})
        assert row["error"]["kind"] == "input"
        assert "the value of NETSSH_X in `env` is a secret" in row["error"]["message"]
        assert real_lab.ops.password not in json.dumps(row)


async def test_wait_0_is_a_job_at_once_and_a_cancel_stops_it_there(app: App) -> None:
    result = await app.runs.run("linux1", ["sleep 600.25", "echo never"], wait=0)
    assert result["job_id"]
    while (await app.jobs.act("get", result["job_id"]))["state"] != "running":
        await anyio.lowlevel.checkpoint()
    assert (await only(app, "hostname"))["ok"], "the host answers others meanwhile"
    job = await app.jobs.act("cancel", result["job_id"])
    assert job["state"] == "cancelled"
    assert [row["error"]["kind"] for row in job["rows"]] == ["interrupted", "interrupted"]
    assert (await only(app, "pgrep -f '[s]leep 600.25' || echo gone", shell=True))["output"] == "gone\n"


async def test_a_timeout_stops_the_command_and_keeps_its_text(app: App) -> None:
    row = await only(app, "echo before; sleep 600.5", shell=True, timeout=1)
    assert (row["error"]["kind"], row["error"]["effect"]) == ("timeout", "possible")
    assert row["output"] == "before\n"
    assert row["partial"]
    assert (await only(app, "pgrep -f '[s]leep 600.5' || echo gone", shell=True))["output"] == "gone\n"


async def test_eight_hosts_sleep_at_the_same_time_and_another_answers_meanwhile(
    real_lab: RealLab, tmp_path: Path
) -> None:
    hosts: dict[str, Any] = {name: {} for name in EIGHT}
    async with ready(real_lab, tmp_path, hosts=hosts) as app:
        asked = ",".join(EIGHT)
        assert (await app.runs.run(asked, ["hostname"]))["ok"] == 8
        slow = await app.runs.run(asked, ["date +%s.%N; sleep 2; date +%s.%N"], shell=True, wait=0)
        begun = await only(app, "date +%s.%N")
        job = await app.jobs.act("wait", slow["job_id"], wait=60)
        assert [row["ok"] for row in job["rows"]] == [True] * 8
        spans = [tuple(map(float, row["output"].split())) for row in job["rows"]]
        assert max(start for start, _ in spans) < min(end for _, end in spans), "all of them at once"
        assert float(begun["output"]) < min(end for _, end in spans), "nobody waited for those who slept"


async def test_long_outputs_on_both_streams_are_whole(app: App) -> None:
    row = await only(app, "seq 1 720000 & seq 1 450000 >&2; wait", shell=True)  # 5 MB and 3 MB
    assert (row["ok"], row["truncated"], row["stderr_truncated"]) == (True, True, True)
    for key, lines in (("output_id", 720_000), ("stderr_id", 450_000)):
        last: dict[str, Any] = app.outputs.read(row[key], offset=-1)
        assert (last["total"], str(last["text"]).strip()) == (lines, str(lines))


async def test_a_kept_session_keeps_its_directory_and_variables_and_tells_their_loss(
    app: App, real_lab: RealLab
) -> None:
    rows = (await app.runs.run("linux1", ["cd /usr", "export NETSSH_K=kept"], session="work"))["rows"]
    assert [(row["ok"], row["session"]) for row in rows] == [(True, "work")] * 2, rows
    row = await only(app, 'pwd; echo "$NETSSH_K"', session="work", shell=True)
    assert row["output"] == "/usr\nkept\n"
    row = await only(app, "kill -9 $$", session="work", shell=True)
    assert not row["ok"]
    refused = await only(app, "touch netssh-run-elsewhere", session="work")
    assert (refused["error"]["kind"], refused["error"]["effect"]) == ("lost", "none")
    assert (refused["session"], refused["reconnected"]) == ("work", True)
    assert "cwd" in refused["lost"]
    again = await only(app, "ls netssh-run-elsewhere", session="work")
    assert again["exit_status"] == 2, "it was not sent, and not later either"
    assert "lost" not in again


async def test_nothing_in_a_directory_or_a_variable_is_read_by_a_shell(app: App) -> None:
    for hostile in ("/usr; touch /tmp/netssh-run-pwned", "/usr/$(touch /tmp/netssh-run-pwned)", "/usr' -o '"):
        row = await only(app, "hostname", cwd=hostile)
        assert row["error"]["kind"] == "file", row
        row = await only(app, "printenv NETSSH_A", env={"NETSSH_A": hostile})
        assert row["output"] == hostile + "\n"
    assert (await only(app, "ls /tmp/netssh-run-pwned"))["exit_status"] == 2


async def test_an_answer_given_beforehand_is_typed_at_its_question_and_no_other(app: App) -> None:
    ask = 'printf "Delete it? [y/N] "; read -r a; printf "Sure? [y/N] "; read -r b; echo "got $a $b"'
    answers = [{"expect": "Sure", "send": "n"}, {"expect": "Delete", "send": "y"}]
    assert (await only(app, ask, shell=True, answers=answers))["output"].endswith("got y n\n")
    result = await app.runs.run("linux1", [ask], shell=True, answers=answers[1:])
    (row,) = result["rows"]
    assert (row["state"], "Sure?" in row["question"]) == ("waiting", True)
    job = await app.jobs.act("input", result["job_id"], text="n")
    job = await app.jobs.act("wait", result["job_id"]) if job["state"] != "done" else job
    assert job["state"] == "done"


async def test_config_mode_is_kept_in_a_named_session_and_its_lines_are_of_class_config_but_for_what_do_carries(
    real_lab: RealLab, tmp_path: Path
) -> None:
    async with ready(real_lab, tmp_path) as app:
        entered = await app.runs.run("r3", ["configure terminal"], session="edit")
        assert entered["ok"] == 1
        assert "note" not in entered["rows"][0]
        inside = (await app.runs.run("r3", ["do show version"], session="edit"))["rows"][0]
        assert inside["output"].startswith("FRRouting")
        assert (await app.runs.run("r3", ["end"], session="edit"))["ok"] == 1
    decided = [record for record in audit_records(tmp_path) if record.get("verdict") == "allow"]
    assert [record["class"] for record in decided][-2:] == ["read", "config"]
    assert {record["kept_session"] for record in decided} == {"edit"}


async def test_frr_is_configured_in_one_call_and_the_change_is_taken_back(real_lab: RealLab, tmp_path: Path) -> None:
    async with ready(real_lab, tmp_path) as app:
        before = real_lab.vtysh("r3", "show running-config")
        lines = ["configure terminal", "interface eth1", "description netssh-run-test", "end"]
        description = next(
            (line.strip() for line in _block(before, "interface eth1") if "description" in line), "no description"
        )
        try:
            result = await app.runs.run("r3", [*lines, "show running-config"])
            assert [row["ok"] for row in result["rows"]] == [True] * 5, result["rows"]
            assert "description netssh-run-test" in result["rows"][-1]["output"]
            assert all("note" not in row for row in result["rows"])
        finally:
            back = await app.runs.run("r3", [*lines[:2], description, "end"])
        assert back["ok"] == 4
        assert real_lab.vtysh("r3", "show running-config") == before
        left = await app.runs.run("r3", ["configure terminal", "interface nonsense; x", "end"])
        assert [row.get("error", {}).get("kind", "ok") for row in left["rows"]] == ["ok", "denied", "skipped"]
        assert "left in config mode" in left["rows"][1]["note"]


def _block(config: str, first: str) -> list[str]:
    lines = config.splitlines()
    start = lines.index(first) + 1
    return lines[start : start + lines[start:].index("exit")]
