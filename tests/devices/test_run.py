"""`run` on simulated network devices: modes, refusals, questions, the policy, and what may not be asked there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from netssh_mcp.errors import InputError, PolicyError
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import App, open_app
from tests.devices.house import audit_records, settings, write_inventory

pytestmark = pytest.mark.anyio

SPECS = [
    DeviceSpec("ios1", "cisco_ios"),
    DeviceSpec("ios2", "cisco_ios"),
    DeviceSpec("mx1", "juniper_junos"),
]
EVERYTHING = "  - classes: [read, diagnose, secret-read, change, config, shell]"


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


@asynccontextmanager
async def ready(network: RunningNetwork, folder: Path, rules: str = EVERYTHING, **more: Any) -> AsyncIterator[App]:
    """The services with this policy on the three devices."""
    policy = folder / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n{rules}\n")
    policy.chmod(0o600)
    inventory = write_inventory(network.ports, SPECS, folder)
    async with open_app(settings(folder, inventory, policy=str(policy), **more)) as app:
        with anyio.fail_after(60):
            yield app


def sent(network: RunningNetwork, name: str, since: int = 0) -> list[str]:
    """The lines that the device got, without our proofs and what a login sends."""
    setup = ("terminal ", "set cli ", "!", "#")
    return [line for line in network.device(name).received[since:] if not line.startswith(setup)]


async def test_config_mode_lasts_through_one_call_and_the_lines_are_in_the_configuration(
    network: RunningNetwork, tmp_path: Path
) -> None:
    lines = ["configure terminal", "interface Loopback0", "description by run", "end", "show running-config"]
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("ios1", lines)
        assert (result["requested"], result["ok"], result["failed"]) == (5, 5, 0)
        assert "description by run" in result["rows"][-1]["output"]
        assert all("note" not in row for row in result["rows"])
        assert network.device("ios1").logins == 1
    assert sent(network, "ios1") == lines
    decided = [record for record in audit_records(tmp_path) if record["kind"] == "decision"]
    assert [record["class"] for record in decided] == ["config", "config", "config", "config", "secret-read"]
    ended = {record["id"] for record in audit_records(tmp_path) if record["kind"] == "outcome"}
    assert ended == {record["id"] for record in decided}


async def test_a_session_left_in_config_mode_is_closed_and_the_last_row_says_so(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("ios1", ["configure terminal", "interface Loopback0"])
        assert [row["ok"] for row in result["rows"]] == [True, True]
        assert "note" not in result["rows"][0]
        assert "left in config mode" in result["rows"][1]["note"]
        assert app.pool.sessions() == []
        shown = (await app.commands.show("ios1", ["show clock"]))["rows"][0]
        assert shown["ok"]
        assert not shown["reconnected"], "it was closed by us, not lost"
    assert network.device("ios1").logins == 2


async def test_what_no_prompt_shows_is_not_left_for_the_next_user_either(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        assert (await app.runs.run("ios1", ["terminal length 5"]))["ok"] == 1
        shown = (await app.commands.show("ios1", ["show running-config"], parse="raw"))["rows"][0]
        assert shown["ok"], shown
        reads = await app.runs.run("ios1", ["show clock", "show version"])
        assert reads["ok"] == 2
        assert len(app.pool.sessions()) == 1, "a session that has only read is kept"
    assert network.device("ios1").logins == 2


async def test_a_line_in_config_mode_needs_the_class_config_and_refusals_hold_behind_do(
    network: RunningNetwork, tmp_path: Path
) -> None:
    rules = "  - {classes: [read, config], deny: [reload, no router]}"
    async with ready(network, tmp_path, rules) as app:
        result = await app.runs.run(
            "ios1", ["configure terminal", "do reload", "no router bgp 65000", "do show clock"], stop_on_error=False
        )
        kinds = [row.get("error", {}).get("kind", "ok") for row in result["rows"]]
        assert kinds == ["ok", "denied", "denied", "ok"]
        assert "left in config mode" in result["rows"][-1]["note"]
    assert sent(network, "ios1") == ["configure terminal", "do show clock"]


async def test_without_a_policy_only_reads_are_sent_and_a_refusal_logs_in_nowhere(
    network: RunningNetwork, tmp_path: Path
) -> None:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    async with open_app(settings(tmp_path, inventory)) as app:
        with anyio.fail_after(60):
            result = await app.runs.run("ios1,ios2", ["configure terminal", "show clock"])
            assert [row["error"]["kind"] for row in result["rows"]] == ["denied", "skipped"] * 2
            assert {network.device(name).logins for name in ("ios1", "ios2")} == {0}
            assert (await app.runs.run("ios1", ["sh clock"]))["rows"][0]["command"] == "show clock"
    denied = [record for record in audit_records(tmp_path) if record.get("verdict") == "deny"]
    assert [record["device"] for record in denied] == ["ios1", "ios2"]


async def test_a_refused_line_stops_the_rest_of_its_device_and_no_other_device(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        before = len(network.device("ios1").received)
        result = await app.runs.run("ios*", ["show clock", "show nonsense", "show version"])
        for name in ("ios1", "ios2"):
            first, refused, rest = (row for row in result["rows"] if row["device"] == name)
            assert first["ok"]
            assert refused["error"]["kind"] == "rejected"
            assert refused["error"]["line"].startswith("%")
            assert (rest["error"]["kind"], rest["error"]["effect"]) == ("skipped", "none")
            assert "'show nonsense' failed before it" in rest["error"]["message"]
        assert sent(network, "ios1", before) == ["show clock", "show nonsense"]
        went_on = await app.runs.run("ios1", ["show nonsense", "show clock"], stop_on_error=False)
        assert [row["ok"] for row in went_on["rows"]] == [False, True]


async def test_a_question_is_shown_and_reload_is_never_confirmed_by_us(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("ios1", ["reload"], wait=20)
        row = result["rows"][0]
        assert (row["state"], row["ok"]) == ("waiting", False)
        assert row["question"]
        assert "job(action='input'" in result["next"]
        job = await app.jobs.act("cancel", result["job_id"])
        ended = next(row for row in job["rows"] if row["command"] == "reload")
        assert (ended["error"]["kind"], ended["error"]["effect"]) == ("interrupted", "possible")
        assert (await app.runs.run("ios1", ["show clock"]))["ok"] == 1, "the device was not reloaded"
    typed = b"".join(data for _, data in network.device("ios1").writes)
    after = typed[typed.index(b"reload\n") + len(b"reload\n") :]
    assert after.startswith(b"\x03"), "the first thing behind the question is the interrupt that the caller asked for"


async def test_a_command_that_was_cancelled_with_its_call_is_interrupted(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.runs.run, "ios1", ["reload"])
            while "reload" not in network.device("ios1").received:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert network.device("ios1").interrupts == 1
        assert (await app.jobs.act("list"))["rows"] == []
        assert (await app.runs.run("ios1", ["show clock"]))["ok"] == 1


async def test_junos_is_configured_in_one_call(network: RunningNetwork, tmp_path: Path) -> None:
    lines = ["configure", "set interfaces lo0 description x", "show | compare", "rollback 0", "exit"]
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("mx1", lines)
        assert [row["ok"] for row in result["rows"]] == [True] * 5, result["rows"]
        assert "description" in result["rows"][2]["output"]
        assert "note" not in result["rows"][-1]


@pytest.mark.parametrize(
    ("given", "named"),
    [({"sudo": True}, "sudo"), ({"cwd": "/usr"}, "cwd"), ({"env": {"A": "b"}}, "env"), ({"shell": True}, "shell")],
)
async def test_what_only_a_linux_host_can_do_is_refused_by_its_name_before_a_login(
    network: RunningNetwork, tmp_path: Path, given: dict[str, Any], named: str
) -> None:
    async with ready(network, tmp_path) as app:
        row = (await app.runs.run("ios1", ["show clock"], **given))["rows"][0]
        assert row["error"]["kind"] == "input"
        assert f"`{named}` is for Linux hosts, and this is cisco_ios" in row["error"]["message"]
    assert network.device("ios1").logins == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sudo_user": "db"}, "sudo is not set"),
        ({"sudo": True, "sudo_user": "-i"}, "no user's name"),
        ({"sudo": True, "sudo_user": "a b"}, "no user's name"),
        ({"cwd": "tmp"}, "no absolute path"),
        ({"cwd": "~/x"}, "no absolute path"),
        ({"cwd": "/usr\n/x"}, "no absolute path"),
        ({"env": {"A-B": "x"}}, "no name of a variable"),
        ({"env": {"1A": "x"}}, "no name of a variable"),
        ({"env": {"A": "x\0y"}}, "control characters"),
        ({"session": "a b"}, "no name for a session"),
        ({"answers": [{"expect": "x"}]}, "needs `expect` and `send`"),
        ({"answers": [{"expect": "x", "send": "y", "sned": "z"}]}, "there is nothing called 'sned'"),
        ({"answers": [{"expect": "(", "send": "y"}]}, "no regular expression"),
        ({"answers": [{"expect": ".*", "send": "y"}]}, "matches everything"),
        ({"answers": [{"expect": "confirm", "send": "y\nreload"}]}, "one line or one key"),
        ({"answers": [{"expect": "confirm", "send": "y<enter>reload"}]}, "one line or one key"),
        ({"answers": [{"expect": "confirm", "send": "<ctrl-c>reload<enter>"}]}, "one line or one key"),
    ],
)
async def test_what_cannot_be_meant_is_refused_with_its_name(
    network: RunningNetwork, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    async with ready(network, tmp_path) as app:
        with pytest.raises(InputError, match=re.escape(said)) as caught:
            await app.runs.run("ios1", ["show clock"], **given)
        assert caught.value.hint or "nothing called" in said  # which names the nearest
    assert network.device("ios1").logins == 0


async def test_more_devices_than_a_rule_allows_are_refused_as_a_whole(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path, "  - {max_devices: 1, classes: [read, change]}") as app:
        with pytest.raises(PolicyError, match="2 devices in one call"):
            await app.runs.run("ios*", ["show clock"])


async def test_the_longest_time_of_the_policy_holds_and_wait_0_gives_a_job_at_once(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("ios1", ["show clock"], wait=0)
        assert result["rows"][0]["state"] in ("queued", "running")
        job = await app.jobs.act("wait", result["job_id"], wait=30)
        assert job["state"] == "done"
        assert job["rows"][0]["ok"]


def twin(network: RunningNetwork, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`netssh-mcp run` with these words, in a process of its own."""
    policy = folder / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n{EVERYTHING}\n")
    policy.chmod(0o600)
    inventory = write_inventory(network.ports, SPECS, folder)
    files = ("--inventory", str(inventory), "--policy", str(policy), "--audit", str(folder / "audit.jsonl"))
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "netssh_mcp", "run", *files, "--host-keys", "tofu", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_runs_the_same_and_says_by_its_exit_code_how_it_went(
    network: RunningNetwork, tmp_path: Path
) -> None:
    done = twin(network, tmp_path, "ios1", "configure terminal", "interface Loopback0", "end", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, 3), done.stderr
    failed = twin(network, tmp_path, "ios1", "show nonsense", "show clock")
    assert failed.returncode == 1
    assert "not sent: 'show nonsense' failed before it" in failed.stdout
    assert twin(network, tmp_path, "ios1", "show nonsense", "show clock", "--go-on").stdout.count("\nok") == 1
    assert twin(network, tmp_path, "nobody", "show clock").returncode == 2
    assert twin(network, tmp_path, "ios1", "show clock", "--env", "A").returncode == 2


def test_a_question_on_the_command_line_is_answered_by_nobody(network: RunningNetwork, tmp_path: Path) -> None:
    asked = twin(network, tmp_path, "ios1", "reload")
    assert asked.returncode == 1
    assert "nothing was answered, and the session is closed" in asked.stdout
    assert b"\n\n" not in b"".join(data for _, data in network.device("ios1").writes)
