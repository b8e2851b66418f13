"""Secrets in a running-config reach nobody: answers, kept outputs, rows, events, errors, jobs, audit, spool."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import InputError, PolicyError
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Hang, Script, Text
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import open_app
from tests.devices.house import audit_records, settings, write_inventory
from tests.devices.mcp_house import Answer, House, served

pytestmark = pytest.mark.anyio

LOGIN = "login-W0rd{7}"
SECRETS = ("hx5rVt7rPNoS4wqbXKX7m0", "0822455D0A16", "hidden-ro", "Zebra-77", "QUJDREVGR0hJ", LOGIN, "plain-W0rd")
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlq\n" * 4
CONFIG = f"""hostname r1
enable secret 5 $1$mERr$hx5rVt7rPNoS4wqbXKX7m0
username bob privilege 15 password 7 0822455D0A16
snmp-server community hidden-ro RO
banner motd the login is {LOGIN}
{PEM}-----END RSA PRIVATE KEY-----
router bgp 65000
 neighbor 10.0.0.1 password Zebra-77
end
"""
LONG = CONFIG + "".join(f"! line {number}\n" for number in range(3000))
LINES = {"show running-config": Script.of(CONFIG), "show tech-support": Script.of(LONG)}
HANGING = Script((Text(f"hostname r1\n username x password 0 plain-W0rd\n{PEM[:120]}"), Hang()))
OUTPUTS = {
    **LINES,
    "show archive": HANGING,
    "show snmp community": Script.of("Community name: hidden-ro\nCommunity Index: cisco0\n\n"),
    "show aliases": Script.of("% Invalid input detected: username x password 0 plain-W0rd\n"),
    "show version": Script.of('{"secret": "Zebra-77", "name": "r1"}\n'),
}
SPECS = [DeviceSpec(name, "cisco_ios", password=LOGIN, outputs=OUTPUTS) for name in ("r1", "r2")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


def clean(answer: Answer) -> Answer:
    """The same answer, after looking for every secret in all of it."""
    whole = answer.text + json.dumps(answer.fields)
    assert not [secret for secret in SECRETS if secret in whole]
    return answer


async def test_no_answer_of_any_tool_holds_a_secret(network: RunningNetwork, tmp_path: Path) -> None:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    async with served(inventory, tmp_path) as house:
        await _config(house)
        await _outputs(house)
        await _rows_and_errors(house)
        await _job(house)
    for file in (tmp_path / "audit.jsonl", *(tmp_path / "outputs").glob("*")):
        assert not [secret for secret in SECRETS if secret in file.read_text()]


async def _config(house: House) -> None:
    answer = clean(await house.show("r1,r2", "show running-config", parse="raw"))
    first, second = answer.rows
    assert first["redacted"] == second["redacted"] == 6
    assert "secrets hidden 6" in answer.text
    assert "username bob privilege 15 password 7 <redacted:password:" in first["output"]
    assert " neighbor 10.0.0.1 password <redacted:" in first["output"]
    tags = [re.findall(r"<redacted:[a-z-]+:[0-9a-f]{8}>", row["output"]) for row in (first, second)]
    assert tags[0] == tags[1]
    assert len(set(tags[0])) == 6


async def _outputs(house: House) -> None:
    row = clean(await house.show("r1", "show tech-support", parse="raw")).row
    assert row["truncated"]
    clean(await house.call("read_output", output_id=row["output_id"]))
    found = clean(await house.call("read_output", output_id=row["output_id"], grep="password"))
    assert found.fields["total"] == 2
    assert clean(await house.call("read_output", output_id=row["output_id"], grep="Zebra")).fields["total"] == 0


async def _rows_and_errors(house: House) -> None:
    row = clean(await house.show("r1", "show snmp community")).row
    assert row["ok"]
    assert row["redacted"] == 1
    refused = clean(await house.show("r1", "show aliases")).row
    assert refused["error"]["kind"] == "rejected"
    assert "<redacted:password:" in refused["error"]["line"]
    data = clean(await house.show("r1", "show version", parse="json")).row["data"]
    assert data["name"] == "r1"
    denied = await house.show("r1", "username x password Zebra-77")
    assert denied.row["error"]["kind"] == "denied"  # the caller's own words; the audit has them redacted


async def _job(house: House) -> None:
    going = clean(await house.show("r1", "show archive", parse="raw", wait=1.0))
    job = going.fields["job_id"]
    seen = ""
    with anyio.fail_after(20):
        while "password 0 <redacted:password:" not in seen:
            seen += json.dumps(clean(await house.call("job", action="get", job_id=job)).fields)
    ended = clean(await house.call("job", action="cancel", job_id=job))
    (row,) = ended.fields["rows"]
    assert row["redacted"] == 2


@pytest.mark.parametrize("allowed", [False, True])
async def test_only_where_the_policy_says_so_can_a_person_see_secrets(
    network: RunningNetwork, tmp_path: Path, allowed: bool
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\nrules:\n  - devices: r1\n    reveal: {str(allowed).lower()}\n")
    policy.chmod(0o600)
    chosen = settings(tmp_path, write_inventory(network.ports, SPECS, tmp_path), policy=str(policy))
    asked: dict[str, Any] = {"parse": "raw", "reveal": True}
    async with open_app(replace(chosen, output_cap=100_000)) as app:
        with pytest.raises(InputError, match="one device at a time"):
            await app.commands.show("r1,r2", ["show running-config"], **asked)
        with pytest.raises(PolicyError):
            await app.commands.show("r2", ["show running-config"], **asked)
        if not allowed:
            with pytest.raises(PolicyError):
                await app.commands.show("r1", ["show running-config"], **asked)
            return
        (row,) = (await app.commands.show("r1", ["show running-config"], **asked))["rows"]
        assert row["output"] == CONFIG
        assert row["redacted"] == 0
    assert [record["device"] for record in audit_records(tmp_path) if record.get("event") == "secrets_revealed"] == [
        "r1"
    ]


REVEAL = ["show", "r1", "show running-config", "--parse", "raw", "--reveal"]


def at_home(home: Path) -> dict[str, str]:
    """The environment with another home: host keys are learnt there."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("XDG_")}, "HOME": str(home)}


def typed(command: list[str], answer: str, home: Path) -> tuple[int, str]:
    """Exit code and what a terminal shows of a command whose one question is answered so."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=at_home(home)) as running:
        os.close(theirs)
        seen, asked = b"", False
        while True:
            try:
                got = os.read(ours, 65_536)
            except OSError:  # the other end is closed: the command has ended
                break
            if not got:
                break
            seen += got
            if not asked and b"to go on: " in seen:
                asked = True
                os.write(ours, answer.encode() + b"\n")
    os.close(ours)
    return running.returncode, seen.decode()


def test_only_a_person_at_a_terminal_who_types_the_name_sees_secrets(network: RunningNetwork, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - devices: r1\n    reveal: true\n")
    policy.chmod(0o600)
    chosen = settings(tmp_path, write_inventory(network.ports, SPECS, tmp_path), policy=str(policy))
    files = ["--inventory", str(chosen.inventory[0]), "--policy", str(policy), "--host-keys", "tofu"]
    files += ["--audit", str(tmp_path / "cli.jsonl")]
    command = [sys.executable, "-m", "netssh_mcp", *REVEAL, *files]
    code, seen = typed(command, "r2", tmp_path)
    assert code != 0
    assert "not the device's name" in seen
    assert not [secret for secret in SECRETS if secret in seen]
    code, seen = typed(command, "r1", tmp_path)
    assert code == 0, seen
    assert "username bob privilege 15 password 7 0822455D0A16" in seen
    env = at_home(tmp_path)
    piped = subprocess.run(command, input="r1\n", capture_output=True, text=True, check=False, env=env)
    assert piped.returncode != 0
    assert not [secret for secret in SECRETS if secret in piped.stdout + piped.stderr]
