"""The server ends when its client, its parent or a signal says so, busy or idle, with its services closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from netssh_mcp.knowledge.settings import TOOLSETS
from netssh_mcp.server import instructions
from tests.conformance import contract, fake_app

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, "-W", "error", "-m", "tests.conformance.lifecycle_server"]
LONG = 30  # seconds: only to fail, never to measure

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
SHOW = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "show", "arguments": {"targets": "r1", "commands": ["show version"]}},
}
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def appears(path: Path) -> None:
    """A file is the only thing that a child without a wire can show; looked for until it is there."""
    until = time.monotonic() + LONG
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} never came"
        os.sched_yield()


@contextmanager
def spoken_to(folder: Path, how: str = "", *, busy: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has answered `initialize`, and with `busy` is in a call that never ends."""
    with subprocess.Popen(
        [*SCRIPT, str(folder), how],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            say(process, HELLO)
            assert process.stdout
            answer = json.loads(process.stdout.readline())
            assert answer["result"]["instructions"] == instructions(TOOLSETS)
            say(process, READY)
            if busy:
                say(process, SHOW)
                appears(folder / "running")
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def asked(process: subprocess.Popen[bytes], message: dict[str, Any]) -> dict[str, Any]:
    say(process, message)
    assert process.stdout
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def left(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What was still written to stdout and stderr."""
    assert process.stdout
    assert process.stderr
    assert process.wait(LONG) == 0
    return process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_server_with_its_services_closed(tmp_path: Path, number: signal.Signals, busy: bool) -> None:
    with spoken_to(tmp_path, busy=busy) as process:
        process.send_signal(number)
        out, err = left(process)
    assert (tmp_path / "closed").exists()
    assert (tmp_path / "cancelled").exists() == busy
    assert err == b""
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in out.splitlines()), "nothing but the protocol"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_end_of_stdin_ends_the_server_with_its_services_closed(tmp_path: Path, busy: bool) -> None:
    with spoken_to(tmp_path, busy=busy) as process:
        assert process.stdin
        process.stdin.close()
        _, err = left(process)
    assert (tmp_path / "closed").exists()
    assert (tmp_path / "cancelled").exists() == busy
    assert err == b""


@pytest.mark.parametrize("how", ["eof", "signal"])
def test_a_call_that_heeds_no_cancel_cannot_hold_the_server(tmp_path: Path, how: str) -> None:
    with spoken_to(tmp_path, "stuck", busy=True) as process:
        assert process.stdin
        if how == "eof":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        left(process)
    assert (tmp_path / "closed").exists()


def test_a_second_signal_ends_a_server_whose_services_do_not_close(tmp_path: Path) -> None:
    with spoken_to(tmp_path, "slow") as process:
        process.send_signal(signal.SIGTERM)
        appears(tmp_path / "closing")
        process.send_signal(signal.SIGTERM)
        left(process)
    assert not (tmp_path / "closed").exists()


def test_services_whose_closing_blocks_the_whole_process_cannot_hold_it(tmp_path: Path) -> None:
    with spoken_to(tmp_path, "blocked") as process:
        process.send_signal(signal.SIGTERM)
        left(process)
    assert not (tmp_path / "closed").exists()


def test_a_bug_that_ends_the_services_ends_the_process_and_is_in_its_log(tmp_path: Path) -> None:
    with spoken_to(tmp_path, "bug", busy=True) as process:
        assert process.wait(LONG) == 1
        assert process.stderr
        assert b"ZeroDivisionError: a bug" in process.stderr.read()


def test_a_client_that_only_stops_reading_is_gone_too(tmp_path: Path) -> None:
    with spoken_to(tmp_path) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(LONG) == 0
    assert (tmp_path / "closed").exists()


def test_a_cancel_over_the_wire_reaches_the_service_and_the_server_goes_on(tmp_path: Path) -> None:
    with spoken_to(tmp_path, busy=True) as process:
        say(process, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}})
        appears(tmp_path / "cancelled")
        answer = asked(process, {"jsonrpc": "2.0", "id": 3, "method": "ping"})
        while answer["id"] == 2:  # before 2026-07-28 the SDK answers a cancelled request with an error
            assert process.stdout
            answer = json.loads(process.stdout.readline())
        assert (answer["id"], answer["result"]) == (3, {})


def test_a_line_that_is_no_message_is_survived(tmp_path: Path) -> None:
    with spoken_to(tmp_path) as process:
        assert process.stdin
        process.stdin.write(b"\xff\x00 garbage\n{}\n")
        answer = asked(process, {"jsonrpc": "2.0", "id": 3, "method": "ping"})
        assert (answer["id"], answer["result"]) == (3, {})


def test_what_anything_writes_to_stdout_does_not_reach_the_wire(tmp_path: Path) -> None:
    with spoken_to(tmp_path, "noisy", busy=True) as process:
        answer = asked(process, {"jsonrpc": "2.0", "id": 3, "method": "ping"})
        assert answer["id"] == 3
        process.send_signal(signal.SIGTERM)
        out, err = left(process)
    assert b"stray" not in out
    assert err.count(b"stray") >= 2


def test_the_parents_death_ends_the_server_though_its_stdin_stays_open(tmp_path: Path) -> None:
    """The test holds the pipe's writing end; a parent in between starts the server and is killed."""
    reading, writing = os.pipe()
    start = f"import subprocess; subprocess.Popen({[*SCRIPT, str(tmp_path)]!r}).wait()"
    with subprocess.Popen(
        [sys.executable, "-c", start], cwd=ROOT, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        os.close(reading)
        os.write(writing, json.dumps(HELLO).encode() + b"\n")
        assert parent.stdout
        assert b"serverInfo" in parent.stdout.readline()
        parent.kill()
        appears(tmp_path / "closed")
        assert parent.stdout.read() == b"", "the server has gone too: the last writer of the pipe is closed"
        os.close(writing)


def test_services_that_cannot_open_are_said_on_stderr_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [*SCRIPT, str(tmp_path), "broken"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        capture_output=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"netssh-mcp: the services cannot open\nDo this next.\n"
    assert done.stdout == b""


@pytest.mark.anyio
async def test_both_eras_work_over_real_pipes(tmp_path: Path, mode: str) -> None:
    parameters = StdioServerParameters(command=SCRIPT[0], args=[*SCRIPT[1:], str(tmp_path)], cwd=ROOT)
    with anyio.fail_after(LONG):
        async with Client(parameters, mode=mode) as client:
            listed = await client.list_tools()
            devices = await client.call_tool("list_devices", {})
            wrong = await client.call_tool("show", {"targets": "r1", "commands": ["x"], "timout": 1})
    assert [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools] == contract_tools()
    assert devices.structured_content == fake_app.DEVICES
    assert wrong.is_error
    assert (tmp_path / "closed").exists()


def contract_tools() -> list[dict[str, Any]]:
    return [json.loads((contract.FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES]


NAMES = (
    *("list_devices", "show", "read_output", "job"),
    *("run", "session", "shell", "get_file", "put_file", "forward", "host"),
)
