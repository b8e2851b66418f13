"""25 canary credentials through every tool of `operate`, over MCP stdio: answers, audit, spool, log, /proc.

The hosts take these passwords, run real shells, ask by a sudo that a test wrote, and hold the secrets in files that are
read. While all of it goes on, the arguments and environments of the server and of all that runs on the far side
are looked at.
"""
# ruff: noqa: S604 - shell text is what is tried

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest

from tests.devices import openssh
from tests.devices.hostile_host import HostileHost, Process, entry, running
from tests.devices.mcp_house import House, served
from tests.secrets.canaries import CANARIES, Canary, hits

pytestmark = pytest.mark.anyio

# As sudo -S: it asks with SUDO_PROMPT, reads one line, and runs what stands behind `--`.
SUDO = """\
#!{python}
import os, sys
words = sys.argv[1:]
if "-S" not in words:
    sys.exit(1)
sys.stderr.write(os.environ.pop("SUDO_PROMPT"))
sys.stderr.flush()
given = b""
while not given.endswith(b"\\n"):
    given += os.read(0, 1)
if given.decode().rstrip("\\n") != open({folder!r} + "/sudo." + os.environ["USER"]).read():
    sys.stderr.write("Sorry, try again.\\n")
    sys.exit(1)
command = words[words.index("--") + 1 :]
os.execvp(command[0], command)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def ours(folder: Path) -> Iterator[bytes]:
    """Arguments and environment of each process that works in `folder` or has its name: the server's, the hosts'."""
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found = b"\0\0".join(Path(f"/proc/{number}/{name}").read_bytes() for name in ("cmdline", "environ"))
            if os.fsencode(folder) in found + os.fsencode(Path(f"/proc/{number}/cwd").readlink()):
                yield found


class Spilled:
    """All that came out, and what of it holds a canary."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.places: set[str] = set()

    def add(self, where: str, text: str) -> None:
        self.texts[f"{where} ({len(self.texts)})"] = text

    @contextmanager
    def processes(self, folder: Path) -> Iterator[None]:
        """Arguments and environments of our processes, again and again, while the block runs."""
        done, seen = threading.Event(), set[bytes]()

        def look() -> None:
            while not done.wait(0.002):
                seen.update(ours(folder))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            assert len(seen) > 50
            self.add("processes", "\n".join(each.decode("utf-8", "replace") for each in seen))

    def files(self, folder: Path) -> None:
        """All that the server wrote."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(str(path), path.read_bytes().decode("utf-8", "replace"))

    def check(self, least: int) -> None:
        assert len(self.texts) >= least, len(self.texts)
        found = {where: each for where, text in self.texts.items() if (each := hits(text))}
        assert not found, json.dumps(found, ensure_ascii=False)[:3000]


def name(canary: Canary) -> str:
    return f"h{canary.number:02}"


async def pump(read: Callable[[int], Awaitable[bytes]], to: Any) -> None:
    """Bytes from the one to the other, until the end of either."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await read(65_536):
            to.write(data)
            await to.drain()
        if isinstance(to, asyncio.StreamWriter):
            to.close()


def host_of(folder: Path) -> HostileHost:
    """Real programs behind each channel, with the sudo of the test."""

    async def run(process: Process, *argv: str) -> None:
        user = str(process.get_extra_info("username"))
        env = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder / "far"), "USER": user}
        ran = await asyncio.create_subprocess_exec(
            *argv,
            env=env,
            cwd=folder / "far",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert ran.stdin is not None
        assert ran.stdout is not None
        assert ran.stderr is not None
        pumps = [
            asyncio.create_task(pump(process.stdin.read, ran.stdin)),
            asyncio.create_task(pump(ran.stdout.read, process.stdout)),
            asyncio.create_task(pump(ran.stderr.read, process.stderr)),
        ]
        try:
            await asyncio.gather(*pumps[1:])
            process.exit(await ran.wait())
        finally:
            pumps[0].cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(ran.pid, signal.SIGKILL)
            await ran.wait()

    async def command(process: Process) -> None:
        await run(process, "/bin/sh", "-c", str(process.command))

    async def shell(process: Process) -> None:
        await run(process, "/bin/sh", "-i")

    async def sftp(process: Process) -> None:
        await run(process, openssh.sftp_server())

    return HostileHost(sftp=sftp, command=command, shell=shell)


@asynccontextmanager
async def house(folder: Path, spilled: Spilled) -> AsyncIterator[House]:
    """A server that knows the secrets of 25 hosts: half by files, half by overrides of an env file."""
    own, far, private = folder / "own", folder / "far", folder / "private"
    for made in (own, own / "here", far, private, folder / "bin"):
        made.mkdir()
    (folder / "bin/sudo").write_text(SUDO.format(python=sys.executable, folder=str(private)))
    (folder / "bin/sudo").chmod(0o755)
    hosts, lines = dict[str, Any](), list[str]()
    with running(host_of(folder), {name(each): each.of("password") for each in CANARIES}) as port:
        for canary in CANARIES:
            host = name(canary)
            given: dict[str, Any] = {}
            (private / f"sudo.{host}").write_text(canary.of("sudo"))
            for key, purpose in (("password", "password"), ("sudo", "sudo"), ("enable", "enable")):
                value = canary.of(purpose)
                if canary.number % 2:
                    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
                    lines.append(f'NETSSH_{host.upper()}_{key.upper()}="{quoted}"')
                else:
                    (private / f"{host}.{purpose}").write_text(value)
                    (private / f"{host}.{purpose}").chmod(0o600)
                    given[key] = f"file:{private / f'{host}.{purpose}'}"
            hosts[host] = entry(port, **given) | {"username": host, "login_rate": 1000}
            known = (
                ("password", "sudo", "enable") if canary.number % 2 else ("password", "sudo")
            )  # what was used, or read
            (far / f"{host}.conf").write_text("".join(f"{purpose} = {canary.of(purpose)}\n" for purpose in known))
        env_file = private / "secrets.env"
        env_file.write_text("\n".join(lines) + "\n")
        (own / "inventory.yaml").write_text(json.dumps({"hosts": hosts}))
        classes = ["read", "diagnose", "secret-read", "change", "config", "shell"]
        (own / "policy.yaml").write_text(json.dumps({"version": 1, "rules": [{"classes": classes}]}))
        for path in (env_file, own / "policy.yaml", own / "inventory.yaml"):
            path.chmod(0o600)
        usual = ("--toolsets", "all", "--policy", str(own / "policy.yaml"), "--env-file", str(env_file))
        flags = (*usual, "--edit-hosts", "--ad-hoc", "--allow-dir", str(own / "here"))
        loud = {"NETSSH_LOG_LEVEL": "debug", "NETSSH_TRANSPORT_LOG_LEVEL": "debug"}
        asyncssh.set_log_level("CRITICAL")
        with spilled.processes(folder):
            async with served(
                own / "inventory.yaml", own, *flags, environ=loud, log=own / "stderr.log", limit=300.0
            ) as opened:
                yield opened
    spilled.files(own)


async def drive(house: House, spilled: Spilled, canary: Canary, far: Path) -> None:  # noqa: C901 - one call after the other
    """Every tool on one host, in success, error, timeout and cancel."""
    host = name(canary)

    async def call(tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await house.call(tool, **arguments)
        spilled.add(f"{host} {tool}", answer.text)
        spilled.add(f"{host} {tool}", json.dumps(answer.fields, ensure_ascii=False))
        return answer.fields

    async def run(*commands: str, **more: Any) -> dict[str, Any]:
        return await call("run", targets=host, commands=list(commands), **{"wait": 10, "timeout": 10, **more})

    first = await run("id", "uname -a")
    assert first["ok"] == 2, json.dumps(first)
    done = await run("id -un", sudo=True)
    assert done["ok"] == 1, done
    conf = f"{far}/{host}.conf"
    await run(f"cat {conf}; cat {conf} >&2; exit 3", "env", shell=True, stop_on_error=False)
    await run(f"cat {conf}; env; cat /proc/self/environ | tr '\\0' '\\n'; sleep 30", shell=True, sudo=True, timeout=1)
    await call("session", action="open", device=host, name="kept")
    await call("session", action="record", device=host, name="kept")
    await run(f"cat {conf}", "env", "history", shell=True, session="kept", stop_on_error=False)
    await call("session", action="list")
    for form in ("text", "jsonl", "asciicast"):
        await call("session", action="transcript", device=host, name="kept", format=form)
    await call("session", action="stop", device=host, name="kept")
    await call("session", action="close", device=host, name="kept")
    for action in ("read", "stat", "list"):
        for sudo in (False, True):
            await call("get_file", device=host, path=conf, action=action, sudo=sudo)
    for encoding in ("latin-1", "utf-16-le", "cp500"):
        await call("get_file", device=host, path=conf, encoding=encoding)
    await call("get_file", device=host, path=f"{far}/nowhere", sudo=True)
    await call("put_file", device=host, path=f"{far}/{host}.new", content="x\n", sudo=True)
    await call("put_file", device=host, path=f"{far}/{host}.new", action="delete")
    opened = await call("shell", action="open", device=host)
    if shell := opened.get("shell_id"):
        await call("session", action="record", device=host, name=shell)
        for text in (f"cat {conf}", "env", f"printf 'Password: '; cat {conf}"):
            await call("shell", action="send", shell_id=shell, text=text)
        for action in ("read", "screen"):
            await call("shell", action=action, shell_id=shell)
        await call("session", action="transcript", device=host, name=shell, format="asciicast")
        await call("session", action="list")
        await call("shell", action="close", shell_id=shell)
    asked = await run(f"cat {conf}; printf 'Password: '; read x; echo $x", shell=True, wait=1)
    if job := asked.get("job_id"):
        for action in ("get", "list", "wait", "cancel", "get", "history"):
            await call("job", action=action, job_id=job)
    forward = await call("forward", action="open", device=host, host="192.0.2.9", port=22)
    await call("forward", action="list")
    if forward.get("forward_id"):
        await call("forward", action="close", forward_id=forward["forward_id"])
    await call("host", action="test", name=host)
    await call("host", action="add", name=f"{host}x", values={"hostname": "127.0.0.1", "platform": "linux"})
    await call("host", action="edit", name=f"{host}x", values={"port": 1})
    await call("host", action="remove", name=f"{host}x")
    await call("run", targets=f"linux/{host}@127.0.0.1:1", commands=["id"], wait=2)


async def test_no_tool_spills_a_credential(tmp_path: Path) -> None:
    openssh.sftp_server()
    spilled = Spilled()
    async with house(tmp_path, spilled) as opened, anyio.create_task_group() as tasks:
        limit = anyio.CapacityLimiter(4)

        async def one(canary: Canary) -> None:
            async with limit:
                await drive(opened, spilled, canary, tmp_path / "far")

        for canary in CANARIES:
            tasks.start_soon(one, canary)
    assert "DEBUG" in (tmp_path / "own/stderr.log").read_text().upper()
    spilled.check(least=1000)
