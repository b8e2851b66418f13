"""Transcripts of a kept session and of a terminal on a real host, over MCP stdio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import pytest

from tests.devices.mcp_house import House, served
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]
EVERY = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"


@pytest.fixture
async def house(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[House]:
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    policy = tmp_path / "policy.yaml"
    policy.write_text(EVERY)
    policy.chmod(0o600)
    flags = ("--toolsets", "all", "--policy", str(policy))
    async with served(inventory, tmp_path, *flags, known_hosts=[real_lab.known_hosts]) as opened:
        yield opened


def played(cast: str, folder: Path) -> bytes:
    """What the standard player shows of it."""
    path = folder / "a.cast"
    path.write_text(cast)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-m", "asciinema", "cat", str(path)]
    return subprocess.run(argv, capture_output=True, env=environ, timeout=60, check=True).stdout


async def test_a_kept_session_is_recorded_from_record_to_stop_in_every_form(house: House, tmp_path: Path) -> None:
    async def run(*commands: str) -> None:
        assert not (await house.call("run", targets="linux1", commands=list(commands), session="main")).failed

    await run("echo before")
    started = await house.call("session", action="record", device="linux1", name="main")
    assert started.fields["recording"] is True
    await run("cd /etc", "echo enable secret 0 Tr0ub4dor-and-3")
    listed = await house.call("session", action="list")
    assert "main" in listed.text
    await house.call("session", action="stop", device="linux1", name="main")
    await run("echo after")
    texts = {}
    for form in ("text", "jsonl", "asciicast"):
        answer = await house.call("session", action="transcript", device="linux1", name="main", format=form)
        texts[form] = answer.fields["text"]
        assert "cd /etc" in texts[form]
        assert "redacted" in texts[form]
        for absent in ("before", "after", "Tr0ub4dor", "netssh-mcp"):
            assert absent not in texts[form]
    assert all(json.loads(line)["direction"] in ("in", "out") for line in texts["jsonl"].splitlines())
    shown = await anyio.to_thread.run_sync(played, texts["asciicast"], tmp_path)
    assert b"enable secret" in shown


async def test_a_terminal_is_recorded_as_it_was_seen(house: House, tmp_path: Path) -> None:
    opened = await house.call("shell", action="open", device="linux1")
    name = opened.fields["shell_id"]
    assert not (await house.call("session", action="record", name=name)).failed
    again = await house.call("session", action="record", name=name)
    assert again.error["kind"] == "input"
    await house.call("shell", action="send", shell_id=name, text="printf '\\033[31mred\\033[0m\\n'; echo do''ne")
    waited = await house.call("shell", action="wait", shell_id=name, pattern="done", wait=10)
    assert not waited.failed
    await house.call("shell", action="close", shell_id=name)
    text = (await house.call("session", action="transcript", name=name)).fields
    assert text["recording"] is False
    assert "red\ndone" in text["text"]
    cast = (await house.call("session", action="transcript", name=name, format="asciicast")).fields["text"]
    assert "\x1b[31mred" in (await anyio.to_thread.run_sync(played, cast, tmp_path)).decode()


async def test_what_is_not_there_is_named(house: House) -> None:
    for action in ("record", "stop", "transcript"):
        for more in ({"name": "nobody"}, {"device": "linux1", "name": "nobody"}, {}):
            answer = await house.call("session", action=action, **more)
            assert answer.error["kind"] == "input", answer.text
