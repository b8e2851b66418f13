"""The attacks of tests/policy/test_operate_attacks.py over MCP stdio, on a real sshd with a real sudo and a real FRR.

Each attempt would leave a file behind if anything of it ran; and the audit says what was sent.
"""
# ruff: noqa: ASYNC240, S108, S604
# Small local folders are looked at in the tests themselves, and shell text is what is tried.

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.devices.house import audit_records
from tests.devices.mcp_house import Answer, House, served
from tests.devices.test_untrusted_places import MARK, PAYLOADS, outside
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]

READS = ["read", "diagnose", "secret-read"]
EVERYTHING = [*READS, "change", "config", "shell"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def there(real_lab: RealLab) -> Iterator[Path]:
    """A folder that the login user of linux1 may write, seen from both sides."""
    folder = Path(tempfile.mkdtemp(prefix="netssh-attacks-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def operating(
    lab: RealLab, folder: Path, rules: dict[str, Any], *flags: str, limit: float = 120.0
) -> AsyncIterator[House]:
    """The server with all tools, under these rules."""
    folder.mkdir(exist_ok=True)
    (folder / "here").mkdir(exist_ok=True)
    written = {"inventory.yaml": lab.inventory(), "policy.yaml": {"version": 1, "rules": [rules]}}
    for name, text in written.items():
        (folder / name).write_text(json.dumps(text))
        (folder / name).chmod(0o600)
    given = ("--toolsets", "all", "--policy", str(folder / "policy.yaml"), "--allow-dir", str(folder / "here"), *flags)
    async with served(folder / "inventory.yaml", folder, *given, known_hosts=[lab.known_hosts], limit=limit) as house:
        yield house


def denied(answer: Answer) -> bool:
    """Whether nothing of the call was allowed."""
    if "error" in answer.fields:
        return answer.error["kind"] in {"denied", "input"}
    return all(row["error"]["kind"] in {"denied", "input", "skipped"} for row in answer.rows if not row["ok"]) and not (
        any(row["ok"] for row in answer.rows)
    )


def attempts(touch: str, path: str) -> list[dict[str, Any]]:
    """Calls of run; each would make `path`."""
    return [
        {"commands": [touch]},
        {"commands": [touch], "shell": True},
        {"commands": [f"uptime; {touch}"]},
        {"commands": [f"uptime\n{touch}"]},
        {"commands": [f"uptime && {touch}"], "shell": True},
        {"commands": [f"$({touch})"]},
        {"commands": [f"uptime $({touch})"]},
        {"commands": ["uptime", touch], "stop_on_error": False},
        {"commands": [touch], "sudo": True},
        {"commands": ["uptime"], "sudo": True},
        {"commands": ["uptime"], "sudo": True, "sudo_user": "netssh-root"},
        {"commands": ["uptime"], "env": {"LD_PRELOAD": path}},
        {"commands": ["uptime"], "env": {"PATH": f"{path}.d", "BASH_ENV": path}},
        {"commands": ["uptime"], "env": {f"A=1; {touch}; B": "1"}},
        {"commands": ["uptime"], "env": {"TZ": f"$({touch})", "PS4": f"$({touch})"}},
        {"commands": ["./uptime"], "cwd": path},
        {"commands": ["uptime"], "cwd": f"/tmp'; {touch}; '"},
        {"commands": [f"alias uptime='{touch}'", "uptime"], "session": "s1", "stop_on_error": False},
        {"commands": [f"PATH={path}.d uptime"], "session": "s1"},
        {"commands": [f"uptime () {{ {touch}; }}"], "session": "s1"},
        {"commands": ["bash"], "session": "s1", "answers": [{"expect": r"\$ ", "send": touch}]},
        {"commands": ["uptime"], "session": f"s1; {touch}"},
        {"commands": ["less /etc/hosts"], "session": "s1", "answers": [{"expect": ":", "send": f"!{touch}"}]},
        {"commands": ["vtysh -c 'show version' -c 'configure terminal'"]},
        {"commands": [f"find /tmp -maxdepth 0 -exec {touch} +"]},
        {"commands": [f"A=1 {touch}"]},
        {"commands": [f"exec {touch}"]},
        {"commands": [f". {path}"]},
        {"commands": [f"ls -l `{touch}`"]},
        {"commands": [f"ls -l -- '; {touch};'"]},
    ]


async def test_under_reads_alone_no_call_runs_anything_else(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    (there / "evil").write_text(f"#!/bin/sh\ntouch {there}/pwned\n")
    (there / "evil").chmod(0o755)
    touch = f"touch {there}/pwned"
    async with operating(real_lab, tmp_path / "s", {"classes": READS}) as house:
        for arguments in attempts(touch, f"{there}/evil"):
            await house.call("run", targets="linux1", wait=5, **arguments)
        for tool, arguments in (
            ("shell", {"action": "open", "device": "linux1"}),
            ("put_file", {"device": "linux1", "path": f"{there}/pwned", "content": "x"}),
            ("put_file", {"device": "linux1", "path": f"{there}/pwned", "action": "mkdir"}),
            ("put_file", {"device": "linux1", "path": f"{there}/evil", "action": "delete"}),
            ("get_file", {"device": "linux1", "path": f"{there}/evil", "sudo": True}),
            ("get_file", {"device": "linux1", "path": "/etc/shadow"}),
            ("get_file", {"device": "linux1", "path": "/proc/self/environ"}),
            ("get_file", {"device": "linux1", "path": "/proc/self/root/etc/shadow"}),
            ("get_file", {"device": "linux1", "path": "//etc//./shadow"}),
            ("get_file", {"device": "linux1", "path": "/etc/../etc/shadow"}),
            ("forward", {"action": "open", "device": "linux1", "host": "198.18.1.2", "port": 22}),
            ("run", {"targets": "r1", "commands": ["configure terminal"]}),
            ("run", {"targets": "r1", "commands": ["write"]}),
            ("run", {"targets": "r1", "commands": ["do show version"]}),
            ("host", {"action": "add", "name": "x", "values": {"hostname": "192.0.2.1"}}),
        ):
            answer = await house.call(tool, **arguments)
            assert denied(answer), (arguments, answer.text)
    assert sorted(path.name for path in there.iterdir()) == ["evil"]
    assert allowed(tmp_path / "s") == {"uptime"}


def allowed(folder: Path) -> set[str]:
    """What was sent, by the audit."""
    return {record["command"] for record in audit_records(folder) if record.get("verdict") == "allow"}


async def test_under_changes_a_refused_program_runs_in_no_way(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    rules = {"classes": [*READS, "change"], "deny": ["touch", "put_file write /etc/...", "get_file * /etc/ssl/..."]}
    (there / "evil").write_text("not a program\n")
    touch = f"touch {there}/pwned"
    async with operating(real_lab, tmp_path / "s", rules) as house:
        for arguments in attempts(touch, f"{there}/evil"):
            if arguments["commands"][0] != "uptime" or "env" in arguments:
                await house.call("run", targets="linux1", wait=5, **arguments)
        for command in (f"/usr/bin/{touch}", f"/bin/../bin/{touch}", f"nohup {touch}", f"sudo {touch}", f"env {touch}"):
            assert denied(await house.call("run", targets="linux1", commands=[command], wait=5)), command
        kept = {"targets": "linux1", "session": "k", "wait": 5}
        for command in (
            f"alias id='{touch}'",
            f"export PATH={there}",
            "set -o posix",
            f"trap '{touch}' EXIT",
            "exec sh",
        ):
            assert denied(await house.call("run", commands=[command], **kept)), command
        (there / "link").symlink_to("/etc/ssl")
        (there / "motd").symlink_to("/etc/motd")
        (there / "home").symlink_to("/home")
        for tool, arguments in (
            ("get_file", {"path": f"{there}/link/openssl.cnf"}),
            ("get_file", {"path": f"{there}/link", "action": "list"}),
            ("put_file", {"path": f"{there}/motd", "content": "x", "sudo": True}),
            ("put_file", {"path": ".bashrc", "content": touch}),
            ("put_file", {"path": "~/.ssh/authorized_keys", "content": "x", "make_dirs": True}),
            ("put_file", {"path": f"{there}/home/netssh-ops/.profile", "content": "x"}),
            ("put_file", {"path": f"{there}/suid", "content": "x", "mode": "4755"}),
            ("put_file", {"path": f"{there}/suid", "content": "x", "mode": "2755", "sudo": True}),
            ("put_file", {"path": "/etc/sudoers.d/x", "content": "x", "sudo": True}),
            ("put_file", {"path": "/etc/default/x", "content": "x", "sudo": True}),
            ("put_file", {"path": "/etc/systemd/system/x.service", "content": "x", "sudo": True, "make_dirs": True}),
        ):
            answer = await house.call(tool, device="linux1", **arguments)
            assert denied(answer), (arguments, answer.text)
    assert sorted(path.name for path in there.iterdir()) == ["evil", "home", "link", "motd"]


async def test_two_calls_on_one_session_of_a_router_are_each_judged_in_the_mode_that_they_meet(
    real_lab: RealLab, tmp_path: Path
) -> None:
    rules = {"classes": [*READS, "config"], "deny": ["write", "hostname", "show version"]}
    async with operating(real_lab, tmp_path / "s", rules) as house:
        one = {"targets": "r1", "session": "c", "wait": 30, "stop_on_error": False}
        calls = [
            *(["configure terminal", "interface lo", "do write", "hostname evil", "do show version", "end"],) * 3,
            *(["write", "do write", "hostname evil", "show clock", "show version", "do show version"],) * 3,
        ]
        async with anyio.create_task_group() as tasks:
            for commands in calls:
                tasks.start_soon(lambda given: house.call("run", commands=given, **one), commands)
    sent = allowed(tmp_path / "s")
    assert sent >= {"configure terminal", "interface lo", "show clock"}
    assert not [line for line in sent if "write" in line or "hostname" in line or "version" in line], sent
    assert "hostname r1" in real_lab.vtysh("r1", "show running-config")


async def test_without_a_record_no_tool_reaches_a_device(real_lab: RealLab, tmp_path: Path, there: Path) -> None:
    async with operating(real_lab, tmp_path / "s", {"classes": EVERYTHING}, "--edit-hosts") as house:
        shell = (await house.call("shell", action="open", device="linux1")).fields["shell_id"]
        job = (await house.call("run", targets="linux1", commands=["cat"], shell=True, wait=0, timeout=60)).fields[
            "job_id"
        ]
        audit = tmp_path / "s/audit.jsonl"
        audit.rename(tmp_path / "s/kept.jsonl")
        audit.mkdir()
        path = f"{there}/pwned"
        (tmp_path / "s/here/x").write_text("x")
        for tool, arguments in (
            ("run", {"targets": "linux1", "commands": [f"touch {path}"]}),
            ("run", {"targets": "linux1", "commands": [f"touch {path}"], "session": "n"}),
            ("run", {"targets": "r1", "commands": ["show version"]}),
            ("session", {"action": "open", "device": "linux1", "name": "n"}),
            ("shell", {"action": "open", "device": "linux1"}),
            ("shell", {"action": "send", "shell_id": shell, "text": f"touch {path}"}),
            ("shell", {"action": "key", "shell_id": shell, "keys": ["ctrl-d"]}),
            ("get_file", {"device": "linux1", "path": "/etc/hosts"}),
            ("get_file", {"device": "linux1", "path": ".", "action": "list"}),
            ("put_file", {"device": "linux1", "path": path, "content": "x"}),
            ("put_file", {"device": "linux1", "path": path, "action": "mkdir"}),
            ("put_file", {"device": "linux1", "path": path, "action": "upload", "local_path": f"{tmp_path}/s/here/x"}),
            ("forward", {"action": "open", "device": "linux1", "host": "198.18.1.2", "port": 22}),
            ("host", {"action": "test", "name": "linux1"}),
            ("host", {"action": "add", "name": "x", "values": {"hostname": "192.0.2.1"}}),
            ("job", {"action": "input", "job_id": job, "text": "x"}),
            ("job", {"action": "signal", "job_id": job, "text": "TERM"}),
            ("job", {"action": "interrupt", "job_id": job}),
        ):
            answer = await house.call(tool, **arguments)
            assert answer.error["kind"] == "audit", (tool, arguments, answer.text)
        assert (await house.call("shell", action="read", shell_id=shell)).fields["state"] == "open"
        assert (await house.call("job", action="get", job_id=job)).fields["state"] != "done"
        assert list(there.iterdir()) == []
        audit.rmdir()
        (tmp_path / "s/kept.jsonl").rename(audit)


async def _story(house: House, there: Path, name: str) -> list[Answer]:  # noqa: C901 - one call after the other
    """Every tool of operate where the host writes the payload: names, links, output, questions, titles, prompts."""
    answers: list[Answer] = []

    async def call(tool: str, **arguments: Any) -> Answer:
        answers.append(await house.call(tool, **arguments))
        return answers[-1]

    async def run(text: str, **more: Any) -> Answer:
        return await call("run", targets="linux1", commands=[text], shell=True, **{"wait": 10, **more})

    secret = there / name
    say = f"cat {secret}/said"
    for text in (say, f"{say} >&2; false", f"{say}; kill -9 $$", f"ls -l {secret}/", f"cd {secret}/in/* && pwd"):
        await run(text)
    for text in (f"cd {secret}/in/*", "pwd", say, f"{say}; false", f"PS1=$({say})", "id"):
        await run(text, session="kept")
    await call("session", action="list")
    await call("list_devices", view="sessions")
    await run("pwd", cwd=f"{secret}/to")
    for action in ("read", "list", "stat", "download"):
        for path in (f"{secret}/to", f"{secret}/file", f"{secret}/in", f"{secret}/nowhere", f"{secret}/root"):
            local = {"local_path": str(house.folder / "here" / name)} if action == "download" else {}
            await call("get_file", device="linux1", path=path, action=action, **local)
    for action in ("write", "delete", "mkdir"):
        for path in (f"{secret}/nowhere", f"{secret}/root", f"{secret}/to", f"{secret}/file/x", f"{secret}/to/x/y"):
            await call("put_file", device="linux1", path=path, action=action, content="x")
    for answer in [answer for answer in answers if answer.fields.get("output_id")]:
        await call("read_output", output_id=answer.fields["output_id"])
    shell = (await call("shell", action="open", device="linux1")).fields["shell_id"]
    keys = {"shell_id": shell}
    for text in (say, f"printf '\\033]0;%s\\007' \"$({say})\"", f'PS1="$({say}) "', f"cd {secret}/in/*"):
        await call("shell", action="send", text=text, **keys)
    for action in ("read", "screen"):
        await call("shell", action=action, **keys)
    await call("shell", action="wait", pattern="(?i)system", wait=0.3, **keys)
    await call("session", action="list")
    await call("shell", action="close", **keys)
    asked = await run(f"{say} | tr -d '\\n'; printf ' [y/n] '; read x", wait=0.5)
    job = {"job_id": asked.fields["job_id"]}
    await call("job", action="list")
    await call("job", action="get", **job)
    await call("job", action="input", text="maybe", **job)
    await call("job", action="cancel", **job)
    await call("job", action="history")
    opened = await call("forward", action="open", device="linux1", host="198.18.1.2", port=9)
    if not opened.failed:
        await call("forward", action="close", forward_id=opened.fields["forward_id"])
    await call("forward", action="list")
    await call("session", action="close", device="linux1", name="kept")
    return answers


async def test_what_a_host_writes_stands_between_fences_in_every_tool(
    real_lab: RealLab, tmp_path: Path, there: Path
) -> None:
    async with operating(real_lab, tmp_path / "s", {"classes": EVERYTHING}, limit=400.0) as house:
        seen = 0
        for number, payload in enumerate(PAYLOADS):
            name = f"p{number}"
            folder = there / name
            odd = payload.replace("/", "-")
            for made in (folder, folder / "in", folder / "in" / odd):
                made.mkdir()
                made.chmod(0o777)
            (folder / "said").write_text(f"{payload}\n")
            (folder / odd).write_text("text\n")
            (folder / odd).chmod(0o666)
            (folder / "root.d").mkdir(mode=0o755)
            (folder / "root.d" / odd).write_text("root's\n")
            (folder / "root.d" / odd).chmod(0o600)
            for link, target in (
                *(("file", folder / odd), ("to", folder / "in" / odd), ("root", folder / "root.d" / odd)),
                ("nowhere", folder / "gone" / odd),
            ):
                (folder / link).symlink_to(target)
            answers = await _story(house, there, name)
            found = [(at, outside(answer.text)) for at, answer in enumerate(answers) if outside(answer.text)]
            assert found == [], (payload, found)
            messages = [answer.error["message"] + answer.error.get("hint", "") for answer in answers if answer.failed]
            assert not [text for text in messages if MARK.search(text)], payload
            seen += sum(bool(MARK.search(answer.text)) for answer in answers)
        assert seen > 200, seen
        decided = {record["id"] for record in audit_records(house.folder) if record.get("verdict") == "allow"}
        done = {record["id"] for record in audit_records(house.folder) if record["kind"] == "outcome"}
    assert decided <= done
