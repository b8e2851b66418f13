"""Faults that were measured in SSH servers for MCP before this one, each as a test that this one passes.

On a real sshd with a real sudo, through the real tools over stdio. Which test stands for which fault: docs/faults.md.
Faults on network devices: tests/devices/test_peer_faults_network.py.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

# ruff: noqa: S108, S604, ASYNC240 - paths on the lab's host; `shell` is the tool's argument; files are looked at here
from tests.devices.mcp_house import served
from tests.lab.far_side import EVERYTHING, Far, Sampler, Sshd, alive, home, listening, write
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]

EIGHT = [f"h{number}" for number in range(1, 9)]
ADDED = [f"added{number}" for number in range(8)]
NOISE = "Phoenix BIOS 4.0: ios-like eos.example.net, lede, RouterOS, NX-OS\n"
THEME = r"PS1='\[\e[32m\]\u@\h\[\e[0m\] \w (main) # > Password:\n\$ '"
BUILD = "trap 'echo killed; exit 9' INT TERM HUP; sleep 32; echo built"
SECRET = re.compile(r"(?i)pass|secret|token|phrase|credential")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def noisy(real_lab: RealLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path]]:
    """A host with a banner, a message of the day and a themed prompt of two lines; and its user's home."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "banner").write_text(NOISE)
    with home(real_lab.ops.name, bash_profile=f"echo '{NOISE}'\n. ~/.bashrc\n", bashrc=f"{THEME}\n") as place:
        lines = (f"Banner {folder}/banner", f"SetEnv HOME={place}", f"AllowUsers {real_lab.ops.name}")
        with Sshd(folder, "noisy", *lines) as sshd:
            yield sshd, place


@contextmanager
def silence() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
async def far(
    real_lab: RealLab, noisy: tuple[Sshd, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Far]:
    """One server for all tests here. Every host of it but `noisy` and `dead` is the same Linux host by another name."""
    sshd, place = noisy
    folder = tmp_path_factory.mktemp("server")
    password = f"file:{real_lab.ops.password_file}"
    ops = {"username": real_lab.ops.name, "password": password, "sudo": password, "key_file": [], "agent": False}
    linux = {"hostname": "127.0.0.1", "port": real_lab.port("linux1"), "platform": "linux", **ops}
    names = ["linux1", "other", "builder", "fresh", "doomed", *EIGHT]
    hosts: dict[str, Any] = dict.fromkeys(names, linux)
    hosts["frozen"] = {**linux, "keepalive": 1}
    hosts["free"] = {**linux, "username": real_lab.root.name, "password": f"file:{real_lab.root.password_file}"}
    hosts["noisy"] = {**linux, "port": sshd.port}
    known = folder / "known_hosts"
    known.write_text(sshd.known_hosts_line())
    with silence() as port:
        hosts["dead"] = {**linux, "port": port, "connect_timeout": 60}
        inventory = write(folder, "inventory.yaml", {"hosts": hosts})
        # The operator says which secret goes to which of the hosts that a test adds.
        variables = "".join(
            f"NETSSH_{name.upper()}_HOST=127.0.0.1\nNETSSH_{name.upper()}_PASSWORD='{real_lab.ops.password}'\n"
            for name in ADDED
        )
        secrets = write(tmp_path_factory.mktemp("operator"), "secrets.env", variables)
        policy = write(folder, "policy.yaml", EVERYTHING)
        flags = ("--toolsets", "all", "--policy", str(policy), "--edit-hosts", "--env-file", str(secrets))
        log = folder / "stderr.log"
        environ = {"NETSSH_LOG_LEVEL": "debug"}
        async with served(
            inventory,
            folder,
            *flags,
            known_hosts=[real_lab.known_hosts, known],
            log=log,
            limit=230.0,
            environ=environ,
        ) as house:
            yield Far(house, real_lab, folder, log, place)


@pytest.fixture(scope="module")
async def build(far: Far) -> tuple[str, int]:
    """A job that takes longer than the half minute after which peers gave up on one, or killed it; and its pid."""
    job = await far.started(f"echo $$; {BUILD}", on="builder", timeout=120)
    (pid,) = await far.said(job)
    return job, int(pid)


@pytest.fixture(autouse=True)
async def _clean(far: Far, build: tuple[str, int]) -> AsyncIterator[None]:
    """Every test here has the long job run beside it, and leaves no session behind."""
    yield
    assert not (await far.call("session", action="close_all")).failed


# -- lost, mixed or wrong output


async def test_sixty_kilobytes_come_whole_and_the_command_is_not_interrupted(far: Far) -> None:
    """A peer sent Ctrl-C to a command whose output passed 60 KB, and lost the output."""
    wanted = "".join(f"{number:099d}\n" for number in range(614))
    command = "trap 'echo trapped' INT; i=0; while [ $i -lt 614 ]; do printf '%099d\\n' $i; i=$((i+1)); done"
    for more in ({}, {"session": "sixty"}):
        row = await far.row(command, **more)
        assert (row["ok"], row["exit_status"], row["truncated"]) == (True, 0, True), row
        assert await far.whole(row["output_id"]) == wanted


async def test_five_megabytes_are_whole_cut_in_the_answer_and_read_on_by_cursor(far: Far) -> None:
    """A peer never returned 5 MB; another put all of them into the model's context; a third hung on more than 2 MB."""
    for more in ({}, {"session": "five"}):
        row = await far.row("seq 1 720000", **more)
        assert (row["ok"], row["exit_status"], row["truncated"]) == (True, 0, True), row
        assert len(json.dumps(row)) < 50_000
        assert await far.lines(row["output_id"]) == (720_000, "1", "720000")
        assert (await far.row("echo next", **more))["output"] == "next\n"


async def test_three_megabytes_on_the_second_stream_do_not_stop_the_first(far: Far) -> None:
    """A peer read stdout to its end before it looked at stderr, and both sides waited for each other."""
    row = await far.row("seq 1 450000 >&2; echo out")
    assert (row["ok"], row["output"], row["stderr_truncated"]) == (True, "out\n", True), row
    assert await far.lines(row["stderr_id"]) == (450_000, "1", "450000")


async def test_no_reply_has_an_echo_or_a_marker_of_ours(far: Far) -> None:
    """Every reply of a peer carried the echoed command, its own sentinel code, or bracketed-paste codes."""
    for on in ("linux1", "noisy"):
        for more in ({}, {"session": "plain"}):
            for _ in range(2):
                row = await far.row("echo one; echo 'two  three'", on=on, **more)
                assert (row["output"], row.get("stderr", ""), row["events"]) == ("one\ntwo  three\n", "", []), row
    listed = await far.call("session", action="list")
    assert "\x1b" not in json.dumps(listed.fields)
    assert "\\u{1b}" not in listed.text, "a peer's working directory had the prompt's colours in it"


async def test_under_sudo_the_exit_status_is_the_commands_own(far: Far) -> None:
    """A peer's sudo path reported exit 0 for everything."""
    for on in ("linux1", "free"):
        row = await far.row("false", on=on, sudo=True, shell=False)
        assert (row["ok"], row["exit_status"], row["error"]["kind"]) == (False, 1, "exit"), row
        assert (await far.row("exit 7", on=on, sudo=True))["exit_status"] == 7
        assert (await far.row("id -u", on=on, sudo=True))["output"] == "0\n"


async def test_words_in_a_banner_or_message_of_the_day_change_nothing(far: Far) -> None:
    """A peer found "ios" in the word BIOS of a message of the day and took the host for a router: exit 0 for ever."""
    for more in ({}, {"session": "bios"}, {"sudo": True}):
        row = await far.row("(exit 3)", on="noisy", **more)
        assert (row["platform"], row["exit_status"], row["ok"]) == ("linux", 3, False), row
        row = await far.row(f"printf '{NOISE.strip()}\\n'", on="noisy", **more)
        assert (row["output"], row["exit_status"]) == (NOISE, 0)


async def test_a_pager_does_not_eat_the_output(far: Far) -> None:
    """A peer answered pagers with `q` and gave 46 of 3000 lines as the whole, its own sentinel typed into less."""
    wanted = "".join(f"{number}\n" for number in range(1, 3001))
    for more in ({}, {"session": "pager"}):
        row = await far.row("seq 1 3000 | less", **more)
        assert row["exit_status"] == 0, row
        text = await far.whole(row["output_id"]) if row["truncated"] else row["output"]
        assert text == wanted


async def test_a_line_that_looks_like_a_question_blocks_nothing(far: Far) -> None:
    """A peer took a line that ends in `Password:`, or a lone `:`, for a question and refused all later commands."""
    for more in ({}, {"session": "asks"}):
        for line in ("Password:", ":", "[sudo] password for root:", "Continue? [y/N]", "--More--", "(END)"):
            row = await far.row(f"printf '%s\\n' '{line}'; echo done", **more)
            assert (row["state"], row["ok"], row["output"]) == ("done", True, f"{line}\ndone\n"), row
            row = await far.row(f"printf %s '{line}'", **more)
            assert (row["state"], row["ok"], row["output"]) == ("done", True, line), row
            assert (await far.row("echo next", **more))["output"] == "next\n"


async def test_a_program_that_stops_at_such_a_line_is_shown_as_waiting_and_others_go_on(far: Far) -> None:
    """The same fault, with a command that goes on by itself: it is a state of that command, and of nothing else."""
    for line in ("Password:", "Continue? [y/N] "):
        answer = await far.run(f"printf '{line}'; sleep 1; echo; echo went on", shell=True)
        assert answer.row["state"] == "waiting"
        assert (await far.row("echo next"))["output"] == "next\n"
        report = await far.job("wait", answer.fields["job_id"])
        while report["state"] != "done":  # `wait` answers at once while something asks
            report = await far.job("wait", answer.fields["job_id"])
        assert report["rows"][0]["output"] == f"{line}\nwent on\n"


async def test_the_first_command_after_a_login_has_no_noise_of_the_login(far: Far) -> None:
    """A peer's first reply after start or reconnect was the message of the day and its own set-up lines."""
    for name in ("first", "second"):
        row = await far.row("echo hello", on="noisy", session=name)
        assert row["output"] == "hello\n"
        assert "BIOS" not in json.dumps(row)


async def test_a_program_that_reads_its_input_neither_ends_early_nor_shifts_the_next_reply(far: Far) -> None:
    """In a peer `cat` echoed the marker that was typed behind it: it "ended", and every later reply was one late."""
    answer = await far.run("cat", shell=True, wait=0.5)
    assert answer.row["state"] == "running", answer.text
    assert answer.row.get("output", "") == ""
    job = answer.fields["job_id"]
    assert (await far.row("echo beside"))["output"] == "beside\n"
    assert (await far.job("input", job, text="typed"))["state"] == "running"
    report = await far.job("input", job, text="<ctrl-d>")
    if report["state"] != "done":
        report = await far.job("wait", job)
    (row,) = report["rows"]
    assert (row["ok"], row["exit_status"], row["output"]) == (True, 0, "typed\n"), row
    # In a kept session a command that nobody has answers for reads an empty input: the shell's own is not its to read.
    for command, wanted in (
        ("cat", ""),
        ("read x || echo nothing to read", "nothing to read\n"),
        ("echo one", "one\n"),
    ):
        row = await far.row(command, session="reads")
        assert (row["output"], row["state"]) == (wanted, "done"), row


async def test_a_terminals_wait_does_not_match_an_old_prompt_and_nothing_is_sent_twice(far: Far) -> None:
    """A peer's wait matched a prompt that was there before; its reads sent the tail again, with escape codes."""
    opened = (await far.call("shell", action="open", device="linux1")).fields
    shell = opened["shell_id"]
    await far.call("shell", action="send", shell_id=shell, text="PS1='ready''$ '", pattern=r"ready\$ $", wait=20)
    sent = await far.call("shell", action="send", shell_id=shell, text="read x; echo got $x", pattern="read x", wait=20)
    cursor = sent.fields["cursor"]
    none = (
        await far.call("shell", action="wait", shell_id=shell, cursor=cursor, pattern=r"ready\$ $", wait=0.5)
    ).fields
    assert none["why"] != "pattern", none
    sent = await far.call("shell", action="send", shell_id=shell, text="it", pattern=r"ready\$ $", wait=20)
    assert sent.fields["why"] == "pattern"
    assert sent.fields["text"].count("got it") == 1
    again = (await far.call("shell", action="read", shell_id=shell, cursor=sent.fields["cursor"])).fields
    assert "got it" not in again["text"], "nothing is sent again"
    coloured = await far.call(
        "shell", action="send", shell_id=shell, text=r"printf '\033[31mred\033[0m\n'", pattern=r"ready\$ $", wait=20
    )
    assert "red\n" in coloured.fields["text"]
    assert "\x1b" not in json.dumps(coloured.fields)
    assert not (await far.call("shell", action="close", shell_id=shell)).failed


async def test_what_does_not_exist_is_a_clear_error(far: Far) -> None:
    """A peer answered an unknown or dead session with "cannot access local variable 'stdout'"."""
    for tool, arguments, said in (
        ("shell", {"action": "read", "shell_id": "s-none"}, "s-none"),
        ("session", {"action": "close", "name": "no-such"}, "no-such"),
        ("job", {"action": "get", "job_id": "j-none"}, "j-none"),
        ("forward", {"action": "close", "forward_id": "f-none"}, "f-none"),
        ("read_output", {"output_id": "o-none"}, "o-none"),
        ("run", {"targets": "nowhere", "commands": ["id"]}, "nowhere"),
        ("get_file", {"device": "nowhere", "path": "/etc/hosts"}, "nowhere"),
    ):
        answer = await far.call(tool, **arguments)
        assert answer.failed, tool
        assert (answer.error["kind"], answer.error["effect"]) == ("input", "none"), answer.text
        assert said in answer.error["message"]
        assert answer.error["hint"]


# -- hangs


async def test_a_timeout_says_so_keeps_the_text_so_far_and_holds_in_every_kind_of_session(far: Far) -> None:
    """A peer's timeout error was an empty string without the partial text; two ignored their timeout; one had none."""
    for more in ({}, {"session": "late"}, {"sudo": True}):
        with anyio.fail_after(15):
            row = await far.row("echo before; sleep 600.75; echo after", timeout=1, **more)
        assert (row["ok"], row["error"]["kind"], row["error"]["effect"]) == (False, "timeout", "possible"), row
        assert len(row["error"]["message"]) > 20
        assert row["error"]["hint"]
        assert (row["output"], row["partial"]) == ("before\n", True)
        assert (await far.row("echo next", **more))["output"] == "next\n"
    with anyio.fail_after(20):  # a peer did not read more than 2 MB, and waited in vain for the end
        row = await far.row("seq 1 400000; sleep 600", timeout=2)
    assert (row["error"]["kind"], row["truncated"]) == ("timeout", True), row
    assert await far.lines(row["output_id"]) == (400_000, "1", "400000")


async def test_an_endless_output_keeps_nobody_waiting(real_lab: RealLab, tmp_path: Path) -> None:
    """The same fault from another side: a peer's server was dead after an output that it could not take."""
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    flags = ("--toolsets", "all", "--policy", str(write(tmp_path, "policy.yaml", EVERYTHING)))
    late = False
    async with served(inventory, tmp_path, *flags, known_hosts=[real_lab.known_hosts]) as house:
        await house.show("r1", "show version")
        flood = await house.call("run", targets="linux1", commands=["yes"], timeout=1, wait=0)
        try:
            while (await house.call("job", action="get", job_id=flood.fields["job_id"])).fields["state"] != "done":
                with anyio.fail_after(1.5):
                    assert not (await house.call("list_devices")).failed
                    assert (await house.show("r1", "show version")).row["ok"]
        except TimeoutError:
            late = True
    assert not late


async def test_a_call_with_wait_2_answers_then_and_nobody_else_waits_for_it(far: Far) -> None:
    """One `sleep 30` froze a peer's whole server for 29 s; another's list of hosts waited for the running command."""
    for name in ("linux1", "other"):
        assert (await far.row("echo warm", on=name))["ok"]
    answers: list[Any] = []
    async with anyio.create_task_group() as tasks:

        async def sleeper() -> None:
            with anyio.fail_after(6):  # it answers after 2 s; the rest is for a busy machine
                answers.append(await far.run("echo so far; sleep 30", shell=True, wait=2))

        tasks.start_soon(sleeper)
        for _ in range(3):
            with anyio.fail_after(1.5):  # all of this is over before the sleeper's call is
                assert (await far.row("echo at once", on="other"))["output"] == "at once\n"
                assert (await far.row("echo at once"))["output"] == "at once\n"
                assert not (await far.call("list_devices")).failed
                assert not (await far.call("list_devices", view="sessions")).failed
                assert not (await far.call("session", action="list")).failed
            assert not answers
    (answer,) = answers
    assert (answer.row["state"], answer.row["output"]) == ("running", "so far\n")
    cancelled = await far.job("cancel", answer.fields["job_id"])
    assert cancelled["state"] == "cancelled"


async def test_eight_sleeps_of_two_seconds_on_eight_hosts_take_2_1_seconds(far: Far) -> None:
    """A peer took 16 s for them, one after the other; another 4 s, with a pool of six threads.

    The one test here with a bound, since the figure is what was asked for: 0.1 s for eight commands on warm sessions.
    Three tries, as other work on the machine may take that time from one: a pool that is too small fails all three.
    """
    targets = ",".join(EIGHT)
    assert (await far.run("true", on=targets)).fields["ok"] == 8
    for _ in range(3):
        with anyio.move_on_after(2.1):
            assert (await far.run("sleep 2", on=targets)).fields["ok"] == 8
            return
    pytest.fail("no try of three was done within 2.1 s")


async def test_six_stuck_commands_do_not_keep_a_new_host_from_being_connected_to(far: Far) -> None:
    """Six stuck commands filled a peer's thread pool, and even its connect call waited behind them."""
    jobs = [await far.started("echo stuck; sleep 600", on=name) for name in EIGHT]
    for job in jobs:
        await far.said(job)
    with anyio.fail_after(10):
        assert (await far.row("echo fresh", on="fresh"))["output"] == "fresh\n"
        assert (await far.call("session", action="open", device="fresh", name="new")).fields["state"] == "idle"
    for job in jobs:
        assert (await far.job("cancel", job))["state"] == "cancelled"


async def test_a_dead_host_keeps_nobody_waiting(far: Far) -> None:
    """A peer held a lock while it connected: one dead host stopped lists and commands of all others for 30 s."""
    job = await far.started("id", on="dead")
    with anyio.fail_after(10):
        assert (await far.row("echo beside", on="other"))["output"] == "beside\n"
        assert not (await far.call("list_devices", view="sessions")).failed
        assert (await far.call("session", action="open", device="other", name="beside")).fields["state"] == "idle"
        assert (await far.job("get", job))["state"] == "running"
        report = await far.job("cancel", job)
    assert report["state"] == "cancelled"
    assert report["rows"][0]["error"]["effect"] == "none"


async def test_a_host_that_stops_answering_costs_its_callers_a_timeout_and_others_nothing(far: Far) -> None:
    """A peer started its clock after it had waited for the link, so a wedged link hung every later call."""
    address, port = (await far.row("echo $SSH_CONNECTION", on="frozen"))["output"].split()[:2]
    session = far.lab.session("linux1", (address, int(port)))
    session.freeze()
    try:
        for _ in range(2):
            with anyio.fail_after(20):
                row = await far.row("echo anybody", on="frozen", timeout=2)
            assert row["error"]["kind"] in ("timeout", "lost", "connect"), row
            assert row["error"]["hint"]
        assert (await far.row("echo beside", on="other"))["output"] == "beside\n"
    finally:
        session.close()
    row = await far.row("echo again", on="frozen")
    assert row.get("output") == "again\n", json.dumps(row)


@pytest.mark.parametrize("more", [{}, {"sudo": True}, {"session": "stopped"}], ids=["exec", "sudo", "session"])
async def test_a_command_is_gone_on_the_host_after_its_timeout_and_after_a_cancel(
    far: Far, more: dict[str, Any]
) -> None:
    """After a timeout the command still ran in six of nine peers."""
    command = "echo $$; trap '' HUP; sleep 600; echo never"
    row = await far.row(command, timeout=1, **more)
    timed_out = int(row["output"])
    assert not alive(timed_out) or more.get("session"), row["error"]["message"]
    assert not _sleeps_under(timed_out), row["error"]["message"]
    job = await far.started(command, **more)
    (pid,) = await far.said(job)
    assert alive(int(pid))
    report = await far.job("cancel", job)
    assert report["state"] == "cancelled"
    assert not alive(int(pid)) or more.get("session"), report
    assert not _sleeps_under(int(pid)), report


def _sleeps_under(pid: int) -> list[int]:
    """Children of this process that still run."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid and alive(int(name)):
            found.append(int(name))
    return found


async def test_a_new_command_never_ends_an_earlier_one(far: Far) -> None:
    """A peer sent Ctrl-C to the command before, once that was over 30 s old (see the last test, for its age)."""
    gate = far.home / "gate"
    for more in ({}, {"session": "busy"}):
        trap = "trap 'echo hit; exit 9' INT TERM HUP"
        job = await far.started(f"({trap}; echo up; while [ ! -e {gate} ]; do sleep 0.05; done; echo whole)", **more)
        await far.said(job)
        beside = [await far.started("echo second", **more) for _ in range(2)]
        assert (await far.job("get", job))["state"] == "running"
        gate.touch()
        report = await far.job("wait", job)
        gate.unlink()
        assert report["rows"][0]["output"] == "up\nwhole\n", report
        for other in beside:
            report = await far.job("wait", other)
            assert report["rows"][0]["output"] == "second\n"


# -- state lost on a reconnect


async def test_a_killed_sshd_is_an_error_and_what_was_lost_with_it_is_told(far: Far) -> None:
    """Two peers answered the next command from a fresh shell in another directory, exit 0, and not a word about it."""
    first = await far.run("cd /usr", "export NETSSH_FAULT=kept", on="doomed", session="work")
    assert first.fields["ok"] == 2
    connection = (await far.row("echo $SSH_CONNECTION", on="doomed", session="work"))["output"].split()
    job = await far.started("echo up; sleep 600", on="doomed")
    await far.said(job)
    far.lab.session("linux1", (connection[0], int(connection[1]))).close()
    report = await far.job("wait", job)
    (row,) = report["rows"]
    assert (row["ok"], row["error"]["kind"], row["error"]["effect"]) == (False, "lost", "possible"), row
    assert row["output"] == "up\n"
    assert row["error"]["hint"]
    single = await far.row("echo again", on="doomed")
    assert single["output"] == "again\n"
    assert single["reconnected"], single
    kept = await far.row("pwd", on="doomed", session="work", shell=False)
    assert kept["reconnected"], kept
    assert "cwd" in kept["lost"]
    assert "env" in kept["lost"]
    later = await far.row('pwd; echo "[$NETSSH_FAULT]"', on="doomed", session="work")
    assert not later["reconnected"]
    assert later["output"].splitlines()[1] == "[]"


async def test_a_connection_that_ends_before_a_command_goes_out_on_it_costs_nothing(far: Far) -> None:
    """Nothing of it was sent on that one, so it is not sent a second time, and may be of any class."""
    log = (await far.row("mktemp"))["output"].strip()
    for number in range(1, 6):
        address, port = (await far.row("echo $SSH_CONNECTION", on="doomed"))["output"].split()[:2]
        session = far.lab.session("linux1", (address, int(port)))
        session.freeze()  # it waits for a channel
        job = await far.started(f"echo {number} | tee -a {log}", on="doomed")
        session.close()
        (row,) = (await far.job("wait", job))["rows"]
        assert (row["ok"], row["reconnected"], row["output"]) == (True, True, f"{number}\n"), row
    kept = (await far.row(f"cat {log}; rm {log}"))["output"]
    assert kept.split() == [str(number) for number in range(1, 6)]


# -- secrets


async def test_no_prompt_but_sudos_own_gets_the_password(far: Far) -> None:
    """A peer typed sudo's password whenever "password for" was printed: it came back in the reply, in the shell's
    history and in a log that all could read. Two had it in the arguments of a remote `echo`."""
    password = far.lab.ops.password
    reads = 'x=$(timeout 0.5 head -c 200); echo; echo "[$x]"'
    with Sampler(password) as sampler, Sampler("seen-by-the-sampler") as control:
        for command in (
            "echo 'Failed password for root from 192.0.2.7 port 22 ssh2'",
            f"printf '[sudo] password for root: '; {reads}",
            f"printf 'Password: ' >&2; {reads}",
            f"sudo -k; printf '[sudo] password for {far.lab.ops.name}: ' >&2; {reads}",
        ):
            for more in ({}, {"session": "kept"}):
                answer = await far.run(command, shell=True, sudo=True, **more)
                while answer.fields.get("job_id") and answer.fields.get("state") != "done":
                    assert password not in answer.text + json.dumps(answer.fields)
                    answer = await far.call("job", action="wait", job_id=answer.fields["job_id"])
                assert password not in answer.text + json.dumps(answer.fields)
                (row,) = answer.fields["rows"]
                assert row["ok"], row
                assert "[$x]" not in command or "\n[]\n" in row["output"], "nothing was typed into it"
        job = await far.started("echo reads; cat", sudo=True)
        await far.said(job)
        report = await far.job("input", job, text="<ctrl-d>")
        if report["state"] != "done":
            report = await far.job("wait", job)
        assert report["rows"][0]["output"] == "reads\n"
        assert (await far.row("sleep 0.5; echo seen-by-the-sampler", sudo=True))["ok"]
    assert control.found, "it sees what stands in the arguments of a process"
    assert sampler.found == set()
    for on in ("linux1", "noisy"):  # and what its shells remember when they end
        assert (await far.row("history -a; sudo -n true || echo asks", on=on, session="kept"))["output"] == "asks\n"
        assert not (await far.call("session", action="close", device=on, name="kept")).failed
    assert far.log.stat().st_size, "it was asked to tell everything"
    remembered = (Path(f"~{far.lab.ops.name}").expanduser() / ".bash_history", far.home / ".bash_history")
    for file in (*remembered, *far.folder.rglob("*")):
        assert not file.is_file() or password.encode() not in file.read_bytes(), file


async def test_no_tool_takes_a_password_and_a_host_with_one_in_clear_is_refused(far: Far) -> None:
    """In a peer passwords were tool arguments, in the model's context; three kept them in plain files."""
    for tool in (await far.house.client.list_tools()).tools:
        assert not [name for name in tool.input_schema["properties"] if SECRET.search(name)], tool.name
    values = {"hostname": "127.0.0.1", "platform": "linux", "username": "x", "password": "Clear-text-77"}
    answer = await far.call("host", action="add", name="clear", values=values)
    assert answer.failed
    for file in far.folder.rglob("*"):
        assert not file.is_file() or b"Clear-text-77" not in file.read_bytes(), file


async def test_what_any_way_of_reading_shows_is_without_known_secrets(far: Far) -> None:
    """In a peer raw commands went past the redaction that its file tool had."""
    secret = far.lab.ops.password
    path = far.home / "leak"
    path.write_text(f"the login is {secret}\n")
    for command in (f"cat {path}", f"cat {path} >&2; exit 1"):
        for more in ({}, {"session": "leak"}, {"sudo": True}):
            answer = await far.run(command, shell=True, **more)
            assert secret not in answer.text + json.dumps(answer.fields)
            assert "<redacted:" in answer.text
    read = await far.call("get_file", device="linux1", path=str(path))
    assert secret not in read.text + json.dumps(read.fields)
    opened = await far.call("shell", action="open", device="linux1")
    shell = opened.fields["shell_id"]
    sent = await far.call(
        "shell", action="send", shell_id=shell, text=f"cat {path}; echo e''nd", pattern="end", wait=20
    )
    assert "the login is <redacted:" in sent.fields["text"]
    screen = await far.call("shell", action="screen", shell_id=shell)
    assert secret not in sent.text + screen.text + json.dumps(screen.fields)
    await far.call("shell", action="close", shell_id=shell)


async def test_the_server_listens_nowhere(far: Far) -> None:
    """A peer's HTTP mode listened on all addresses, without a login. There is none here: stdio only."""
    ours = str(far.folder / "inventory.yaml").encode()
    pids = [
        int(name)
        for name in filter(str.isdigit, os.listdir("/proc"))
        if (words := _words(name)) and b"netssh_mcp" in words and ours in words
    ]
    assert pids
    assert listening(pids) == []


def _words(pid: str) -> list[bytes]:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


# -- host keys


async def test_a_changed_host_key_is_refused_before_any_credential_is_sent(real_lab: RealLab, tmp_path: Path) -> None:
    """Seven of nine peers connected to a host whose key had changed, and sent it the password."""
    ops = real_lab.ops
    linux = {"hostname": "127.0.0.1", "platform": "linux", "username": ops.name, "key_file": [], "agent": False}
    linux["password"] = f"file:{ops.password_file}"
    with Sshd(tmp_path, "changed") as changed, Sshd(tmp_path, "same") as same:
        known = write(tmp_path, "known", changed.known_hosts_line(same.key) + same.known_hosts_line())
        hosts = {"changed": {**linux, "port": changed.port}, "same": {**linux, "port": same.port}}
        inventory = write(tmp_path, "inventory.yaml", {"hosts": hosts})
        flags = ("--toolsets", "all", "--policy", str(write(tmp_path, "policy.yaml", EVERYTHING)))
        async with served(inventory, tmp_path, *flags, known_hosts=[known]) as house:
            for tool, arguments in (
                ("run", {"targets": "changed", "commands": ["id"]}),
                ("run", {"targets": "changed", "commands": ["id"], "session": "s"}),
                ("show", {"targets": "changed", "commands": ["uptime"]}),
                ("session", {"action": "open", "device": "changed"}),
                ("shell", {"action": "open", "device": "changed"}),
                ("get_file", {"device": "changed", "path": "/etc/hosts"}),
                ("host", {"action": "test", "name": "changed"}),
                ("forward", {"action": "open", "device": "changed", "host": "192.0.2.1", "port": 80}),
            ):
                answer = await house.call(tool, **arguments)
                assert answer.failed, tool
                assert (answer.error["kind"], answer.error["effect"]) == ("hostkey", "none"), (tool, answer.text)
            control = await house.call("run", targets="same", commands=["id -un"])
            assert control.row["output"] == f"{ops.name}\n", control.text
        assert "userauth-request" in same.log, "so its log would show one"
        assert "Connection from" in changed.log or "kex" in changed.log
        assert "userauth-request" not in changed.log


# -- around the policy


async def test_what_only_looks_dangerous_is_not_refused_and_what_is_dangerous_has_no_second_door(
    real_lab: RealLab, tmp_path: Path
) -> None:
    """A peer's word lists refused `cat nohup.out`, and its asynchronous tool asked nobody. Others took `env sudo` and
    `find -exec` for reads, or let a newline in an argument run a second command as root."""
    harmless = tmp_path / "nohup.out"
    mark = Path("/var/tmp") / f"netssh-fault-{tmp_path.name}"
    allowed = f"allow: [cat {harmless}, echo ..., ls ...]"
    policy = f"version: 1\nrules:\n  - {{classes: [read, diagnose, secret-read], {allowed}}}\n"
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    flags = ("--toolsets", "all", "--policy", str(write(tmp_path, "policy.yaml", policy)))
    async with served(inventory, tmp_path, *flags, known_hosts=[real_lab.known_hosts]) as house:

        async def run(command: str, **more: Any) -> dict[str, Any]:
            return (await house.call("run", targets="linux1", commands=[command], **more)).row

        row = await run(f"cat {harmless}")
        assert row["error"]["kind"] == "exit", "it was sent; that the login user may not read it is another matter"
        for text in ("nohup tmux rm -rf reboot shutdown", "sudo env find -exec", "Password:"):
            row = await run(f"echo {text}")
            assert row["ok"], row["error"]
            assert row["output"] == text + "\n"
        for command in (
            *(f"env sudo touch {mark}", f"find /var/tmp -maxdepth 0 -exec touch {mark} +", "find /var/tmp -delete"),
            *(
                f"ls\ntouch {mark}",
                f"ls; touch {mark}",
                f"ls && touch {mark}",
                f"ls $(touch {mark})",
                f"ls `touch {mark}`",
            ),
            *(f"ls | tee {mark}", f"ls > {mark}", f"nohup touch {mark}", f"xargs touch {mark}", f"touch {mark}"),
            *(f"sudo touch {mark}", f"nice touch {mark}", f"timeout 5 touch {mark}", f"sh -c 'touch {mark}'"),
        ):
            for more in ({}, {"wait": 0}, {"session": "s"}, {"shell": True}):
                answer = await house.call("run", targets="linux1", commands=[command], **more)
                if answer.fields.get("job_id"):
                    answer = await house.call("job", action="wait", job_id=answer.fields["job_id"])
                    (row,) = answer.fields["rows"]
                else:
                    row = answer.row
                quoted = row["ok"] and "touch" in row["command"] and row["command"].startswith(("ls", "echo"))
                assert quoted or row["error"]["kind"] in ("denied", "exit", "input"), (command, more, row)
                assert not mark.exists(), (command, more)
            shown = (await house.show("linux1", command)).row
            assert shown["error"]["kind"] in ("denied", "exit"), (command, shown)
            assert not mark.exists(), command


async def test_a_newline_or_a_shell_character_in_any_argument_runs_no_second_command(far: Far) -> None:
    """A peer ran what stood behind a newline in a description, as root; others did not quote arguments of "reads"."""
    mark = far.home / "second"
    for evil in (
        f"x\ntouch {mark}\n",
        f"x; touch {mark} #",
        f"$(touch {mark})",
        f"`touch {mark}`",
        f"' ; touch {mark} '",
    ):
        run = {"targets": "linux1", "commands": ["echo hi"]}
        for tool, arguments in (
            ("run", {"targets": "linux1", "commands": [f"echo {evil}"]}),
            ("run", {**run, "cwd": f"/usr/{evil}"}),
            ("run", {**run, "env": {"NETSSH_X": evil}}),
            ("run", {**run, "env": {f"A{evil}": "x"}}),
            ("run", {**run, "sudo": True, "sudo_user": evil}),
            ("run", {**run, "session": evil}),
            ("run", {**run, "targets": evil}),
            ("show", {"targets": "linux1", "commands": [f"cat /etc/hosts {evil}"]}),
            ("session", {"action": "open", "device": "linux1", "name": evil}),
            ("get_file", {"device": "linux1", "path": f"/etc/{evil}", "sudo": True}),
            ("get_file", {"device": "linux1", "path": f"/etc/{evil}", "action": "list", "sudo": True}),
            ("put_file", {"device": "linux1", "path": f"/nowhere/{evil}", "content": evil, "sudo": True}),
            ("put_file", {"device": "linux1", "path": str(far.home / "plain"), "content": "x", "mode": evil}),
            ("forward", {"action": "open", "device": "linux1", "host": evil, "port": 80}),
            ("host", {"action": "test", "name": evil}),
        ):
            answer = await far.call(tool, **arguments)
            assert answer.fields.get("error", {}).get("kind") != "internal", (tool, arguments, answer.text)
            assert not mark.exists(), (tool, arguments)


# -- races


async def test_eight_hosts_added_at_the_same_time_are_all_usable(far: Far) -> None:
    """Two of eight were left after a peer's parallel read-modify-write of its host file."""
    port = far.lab.port("linux1")
    values = {"hostname": "127.0.0.1", "port": port, "platform": "linux", "username": far.lab.ops.name}
    added: list[Any] = []

    async def add(name: str) -> None:
        added.append(await far.call("host", action="add", name=name, values={**values, "data": {"added": name}}))

    async with anyio.create_task_group() as tasks:
        for name in ADDED:
            tasks.start_soon(add, name)
    assert [answer.text for answer in added if answer.failed] == []
    listed = (await far.call("list_devices", targets="added*")).fields["rows"]
    assert sorted(row[0] for row in listed) == ADDED
    overlay = far.folder / "inventory.added.yaml"
    assert overlay.stat().st_mode & 0o777 == 0o600
    opened: list[Any] = []

    async def use(name: str) -> None:
        opened.append(await far.call("session", action="open", device=name, name="mine"))
        opened.append(await far.run("id -un", on=name, session="mine"))

    async with anyio.create_task_group() as tasks:
        for name in ADDED:
            tasks.start_soon(use, name)
    assert [answer.text for answer in opened if answer.failed] == []


# -- and at last the long job


async def test_a_job_of_more_than_half_a_minute_is_neither_cut_nor_ended_by_those_after_it(
    far: Far, build: tuple[str, int]
) -> None:
    """A peer's timeout was silently 30 s at most; in another the next command killed one that was over 30 s old."""
    job, pid = build
    assert (await far.row("echo one more", on="builder"))["ok"]
    with anyio.fail_after(45):
        while (report := await far.job("wait", job))["state"] != "done":
            assert alive(pid)
            assert (await far.row("echo one more", on="builder"))["ok"]
    (row,) = report["rows"]
    assert (row["ok"], row["exit_status"], row["output"]) == (True, 0, f"{pid}\nbuilt\n")
    assert report["seconds"] > 31
