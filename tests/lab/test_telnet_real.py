"""A real Telnet server: the terminal that every daemon of FRRouting has, one of this test's own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from netssh_mcp.errors import AuthenticationFailed, CommandRejected
from netssh_mcp.guard import policy
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.model import Reply
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import PROFILES, closing, pool_of, until
from tests.lab.conftest import unavailable
from tests.lab.reallab.install import install, why_not

pytestmark = pytest.mark.real
RIPD = Path("/usr/lib/frr/ripd")
PASSWORD, ENABLE = "T3lnet-line", "T3lnet-enable"
CONF = f"hostname ripper\npassword {PASSWORD}\nenable password {ENABLE}\n"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Device, subprocess.Popen[bytes]]]:
    """Its inventory entry, and the daemon. That talks to no zebra and routes nothing."""
    if reason := why_not():
        unavailable(reason)
    install()
    folder = Path(tempfile.mkdtemp(prefix="netssh-telnet-"))  # a short path: sockets are in it
    try:
        (folder / "run").mkdir()
        for path in (folder, folder / "run"):
            path.chmod(0o777)  # it changes to a user of its own
        (folder / "conf").write_text(CONF)
        (folder / "conf").chmod(0o644)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run = folder / "run"
        terminal = ["-A", "127.0.0.1", "-P", str(port), "-f", str(folder / "conf")]
        its_own = ["-i", str(run / "pid"), "--vty_socket", str(run), "-z", str(run / "zserv"), "--log", "stdout"]
        daemon = subprocess.Popen(
            [RIPD, *terminal, *its_own],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            anyio.run(until, lambda: _listens(port))
            secret = Secret.parse(f"plain:{PASSWORD}", allow_plain=True)
            yield Device("ripper", "127.0.0.1", port, "frr", "nobody", password=secret, transport="telnet"), daemon
        finally:
            daemon.terminate()
            daemon.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def ripper(running: tuple[Device, subprocess.Popen[bytes]]) -> Device:
    return running[0]


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == os.EX_OK


def replies(device: Device, folder: Path, *commands: str) -> list[Reply]:
    """What each command gives, in one session."""

    async def main() -> list[Reply]:
        profile = PROFILES.get("frr")
        found = []
        async with closing(pool_of(folder)) as pool:
            for command in commands:
                grant, turn = policy.decide(device, profile, command), Turn()
                async with pool.lease((device,), profile, turn) as lease:
                    found.append(await lease.session.run(grant, timeout=20, turn=turn, limiter=pool.threads))
                    assert await pool.answers(lease.session)
        return found

    return anyio.run(main)


def test_its_commands_are_read_whole_and_their_ends_are_proven(ripper: Device, tmp_path: Path) -> None:
    version, status = replies(ripper, tmp_path, "show version", "show ip rip status")
    assert version.output.startswith("FRRouting")
    assert status.output == "% RIP instance not found\n"
    assert {version.framing, status.framing} == {"proven"}


def test_a_sign_of_life_and_the_command_behind_it_may_come_together(
    running: tuple[Device, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """FRR takes three bytes for every Telnet command, also for one of two: it ate the first letter behind a NOP."""
    device, daemon = running

    async def main() -> Reply:
        profile, turn, found = PROFILES.get("frr"), Turn(), list[Reply]()
        grant = policy.decide(device, profile, "show version")
        async with closing(pool_of(tmp_path)) as pool, pool.lease((device,), profile, turn) as lease:

            async def run() -> None:
                found.append(await lease.session.run(grant, timeout=20, turn=turn, limiter=pool.threads))

            await run()
            reader = lease.session.connection._reader  # type: ignore[attr-defined]
            written = reader.writes
            async with anyio.create_task_group() as tasks:
                daemon.send_signal(signal.SIGSTOP)
                try:
                    assert await pool.answers(lease.session)
                    tasks.start_soon(run)
                    await until(lambda: reader.writes > written)
                finally:
                    daemon.send_signal(signal.SIGCONT)
        first, second = found
        assert second.output == first.output
        return second

    assert anyio.run(main).framing == "proven"


def test_its_enable_password_is_typed_at_its_own_question(ripper: Device, tmp_path: Path) -> None:
    with pytest.raises(CommandRejected):
        replies(ripper, tmp_path, "show running-config")
    enabled = replace(ripper, enable=Secret.parse(f"plain:{ENABLE}", allow_plain=True))
    (config,) = replies(enabled, tmp_path, "show running-config")
    assert "hostname ripper" in config.output


def test_its_wrong_password_is_a_refusal(ripper: Device, tmp_path: Path) -> None:
    wrong = replace(ripper, password=Secret.parse("plain:an0ther-one", allow_plain=True))
    with pytest.raises(AuthenticationFailed, match="by telnet refused"):
        replies(wrong, tmp_path, "show version")
