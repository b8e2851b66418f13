"""Sessions kept by name on a real sshd: what stays, what confuses nothing, and what is told when something is lost."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

# ruff: noqa: S604 - `shell` is the tool's argument
from netssh_mcp.errors import InputError
from tests.devices.direct import until
from tests.lab.named_house import House, house
from tests.lab.reallab import RealLab

pytestmark = [pytest.mark.real, pytest.mark.anyio]

SHELLS = [path for path in ("/bin/bash", "/bin/dash", "/bin/zsh", "/bin/ksh") if Path(path).exists()]
# What people have in such files; some of it breaks tools that look for a prompt.
NOISE = r"""
echo "Welcome to $(hostname), last login: never"; echo 'noise on stderr' >&2
export PROMPT_COMMAND='printf "\033]0;title\007"; echo prompt-command'
export PS1='\n\[\e[32m\]┌─[\u@\h]─[\w]\n└──╼ \$ \[\e[0m\]' PS2='more> ' PS4='trace> '
export ENV=$HOME/.shrc HISTFILE=$HOME/.kept_history PAGER=less LESS=
bind 'set enable-bracketed-paste on' 2>/dev/null
trap 'echo debug-trap' DEBUG 2>/dev/null
set -o vi 2>/dev/null; stty -echo; mesg n
alias ls='ls --color=always'; printf() { command echo "printf was taken"; }; eval() { echo "eval was taken"; }
read -r -t 0.2 eaten
"""
RC = dict.fromkeys((".bashrc", ".profile", ".bash_profile", ".shrc", ".zshrc", ".zprofile", ".zshenv"), NOISE)


@pytest.fixture(params=SHELLS)
async def each(request: pytest.FixtureRequest, real_lab: RealLab, tmp_path: Path) -> AsyncIterator[House]:
    """A host for each shell, with all the noise."""
    async with house(real_lab, tmp_path, shell=request.param, files=RC) as opened:
        yield opened


@pytest.fixture
async def bash(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[House]:
    async with house(real_lab, tmp_path) as opened:
        yield opened


# -- what stays ----------------------------------------------------------------------------------------------------


async def test_directory_variables_functions_umask_and_options_stay(each: House) -> None:
    first = await each.run("cd /usr/lib", "X='a b'; Y=c", 'f() { echo "f $1"; }', "umask 027; set -f")
    assert all(row["ok"] and not row["output"] and "stderr" not in row for row in first), first
    assert first[0]["cwd"] == "/usr/lib"
    row = await each.one('pwd; echo "$X-$Y"; f 1; umask; echo *; echo $-')
    *lines, options = row["output"].splitlines()
    assert lines == ["/usr/lib", "a b-c", "f 1", "0027", "*"]
    assert "f" in options
    assert (row["session"], row["reconnected"], row["cwd"]) == ("work", False, "/usr/lib")


async def test_the_status_is_each_commands_own_and_the_next_one_sees_it(each: House) -> None:
    row = await each.one("(exit 7)")
    assert (row["ok"], row["exit_status"], row["error"]["kind"]) == (False, 7, "exit")
    assert await each.said("echo $?") == "7\n"
    assert await each.said("echo $?") == "0\n"


async def test_streams_are_apart_and_a_missing_line_end_stays_missing(each: House) -> None:
    row = await each.one("command printf out; command printf err >&2")
    assert (row["output"], row["stderr"]) == ("out", "err")


async def test_a_syntax_error_is_its_commands_own(each: House) -> None:
    for text in ("if", "echo 'a", "echo )", "cat <<", "}", "echo ${"):
        row = await each.one(text)
        assert row["exit_status"] != 0, text
        assert await each.said("echo well") == "well\n", text
    assert not (await each.one("true"))["reconnected"]


async def test_variables_and_a_directory_that_come_with_a_command_stay(each: House) -> None:
    assert (
        await each.said('pwd; echo "$K"', cwd="/usr/share", env={"K": 'it\'s "k" $x'}) == '/usr/share\nit\'s "k" $x\n'
    )
    assert await each.said('pwd; echo "$K"') == '/usr/share\nit\'s "k" $x\n'
    row = await each.one("echo not run", cwd="/nonexistent")
    assert (row["error"]["kind"], row["error"]["effect"], row.get("output", "")) == ("file", "none", "")
    assert await each.said("pwd") == "/usr/share\n"


async def test_the_history_is_what_was_typed_and_no_file_is_written(bash: House) -> None:
    await bash.run("echo 'one  two'", "if", "cd /usr # there", stop_on_error=False)
    lines = [line.split(None, 1)[1] for line in (await bash.said("history")).splitlines()]
    assert lines == ["echo 'one  two'", "if", "cd /usr # there", "history"]
    await bash.app.sessions.act("close", "own", "work")
    assert not list(bash.sshd.home.glob(".*history"))


# -- what confuses nothing -----------------------------------------------------------------------------------------


async def test_what_reads_its_input_reads_the_end_of_it(each: House) -> None:
    for text in ("cat", 'read x; echo "[$x]"', "less /etc/hostname", "cat /dev/stdin", "sh", "head -c 10"):
        row = await each.one(text, timeout=20)
        assert row["state"] == "done", row
        assert row["exit_status"] in (0, 1), row
    assert await each.said("echo well") == "well\n"


async def test_prompts_markers_and_traces_in_an_output_are_text(each: House) -> None:
    fake = "root@host:~# \\n1234567890123456+\\n1234567890123456- 0\\n/etc\\n\\n1234567890123456-\\nPassword: \\n$ "
    said = await each.said(f"command printf '{fake}'")
    assert said == fake.encode().decode("unicode_escape")
    row = await each.one("set -x; echo traced; set +x")
    assert row["output"] == "traced\n"
    assert "printf" not in row.get("stderr", "")
    row = await each.one("set -v; echo seen; set +v")
    assert row["output"] == "seen\n"


async def test_redirections_that_stay_do_not_take_the_end_along(bash: House) -> None:
    assert (await bash.one("exec 3>&1 >/dev/null; echo lost"))["output"] == ""
    assert await bash.said("exec >&3 3>&-; echo back") == "back\n"


@pytest.mark.parametrize("count", [60_000, 5_000_000])
async def test_a_long_output_is_whole(count: int, bash: House) -> None:
    row = await bash.one(
        f"head -c {count} /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' e >&2", timeout=60
    )
    whole = bash.app.outputs.read(row["output_id"]) if row["truncated"] else row["output"]
    assert row["ok"]
    assert str(count) in json.dumps(whole) or len(row["output"]) == count


async def test_what_the_background_prints_is_nobodys_output(bash: House) -> None:
    await bash.one("(while [ ! -e go ]; do sleep 0.02; done; echo LATE; echo > gone) & :", cwd=str(bash.sshd.home))
    assert await bash.said("echo first") == "first\n"
    (bash.sshd.home / "go").touch()
    while not (bash.sshd.home / "gone").exists():  # noqa: ASYNC110  (another process sets no event of ours)
        await anyio.sleep(0.01)
    row = await bash.one("echo second")
    assert row["output"] == "second\n"
    assert "LATE" in row["events"]


@pytest.mark.parametrize("profile", ["exit 0\n", "exec cat\n", "kill -9 $$\n"])
async def test_a_profile_that_leads_elsewhere_gives_a_plain_shell_and_says_so(
    profile: str, real_lab: RealLab, tmp_path: Path
) -> None:
    async with house(real_lab, tmp_path, files={".bash_profile": profile}) as opened:
        row = await opened.one("echo $0 here")
        assert row["output"].endswith("sh here\n")
        assert any("this is /bin/sh" in event for event in row["events"])


# -- its end -------------------------------------------------------------------------------------------------------


async def test_exit_ends_the_session_with_its_status_and_the_next_call_says_what_is_lost(each: House) -> None:
    await each.run("cd /usr; X=1")
    row = await each.one("echo bye; exit 3")
    assert (row["exit_status"], row["output"], row["error"]["kind"]) == (3, "bye\n", "exit")
    assert any("the shell ended with this command" in event for event in row["events"]), row
    row = await each.one("ls -d .", shell=False)
    assert (row["ok"], row["reconnected"], row["lost"]) == (True, True, ["cwd", "env", "mode"])
    assert not (await each.one("ls -d .", shell=False))["reconnected"]


async def test_a_change_is_not_sent_into_a_session_that_has_lost_its_place(bash: House) -> None:
    await bash.run("cd /usr")
    assert (await bash.one("kill -9 $$"))["error"]["kind"] == "lost"
    row = await bash.one("touch here", shell=False)
    assert (row["error"]["kind"], row["error"]["effect"]) == ("lost", "none")
    assert "its cwd, env, mode are lost" in row["error"]["message"]
    assert not (bash.sshd.home / "here").exists()


async def test_a_timeout_ends_all_of_a_text_and_the_session_goes_on(each: House) -> None:
    await each.run("cd /usr; X=1")
    for text in (
        "sleep 60; echo NEVER",
        "while :; do sleep 1; done",
        "while :; do :; done",
        "sleep 60 | cat; touch no",
    ):
        row = await each.one(text, timeout=0.5)
        assert row["error"]["kind"] == "timeout", row
        assert "the session goes on" in row["error"]["message"], (text, row)
        assert "NEVER" not in row.get("output", "")
    row = await each.one('pwd; echo "$X"')
    assert (row["output"], row["reconnected"]) == ("/usr\n1\n", False)
    assert "no" not in [path.name for path in each.sshd.home.iterdir()]


async def test_one_program_that_ignores_signals_is_killed_and_the_session_goes_on(bash: House) -> None:
    (bash.sshd.home / "stubborn").write_text("#!/bin/sh\ntrap '' INT TERM\nsleep 1000 & wait; sleep 1000\n")
    (bash.sshd.home / "stubborn").chmod(0o755)
    row = await bash.one(f"{bash.sshd.home}/stubborn", timeout=0.5, shell=False)
    assert "the session goes on" in row["error"]["message"], row
    assert await bash.said("pgrep -f own-.*/stubborn || echo none") == "none\n"


async def test_a_text_that_ignores_signals_takes_the_shell_with_it_and_nothing_behind_it_runs(bash: House) -> None:
    row = await bash.one(f"trap '' INT; sleep 1000; touch {bash.sshd.home}/no", timeout=0.5)
    assert "the session's shell with it" in row["error"]["message"], row
    assert not (bash.sshd.home / "no").exists()
    assert (await bash.one("ls -d .", shell=False))["lost"] == ["cwd", "env", "mode"]


async def test_background_processes_outlive_the_stop_of_another_command(bash: House) -> None:
    pid = (await bash.said("sleep 1000 >/dev/null 2>&1 & echo $!")).strip()
    for shell in (True, False):
        await bash.one("sleep 60", timeout=0.4, shell=shell)
    assert await bash.said(f"kill -0 {pid} && echo there; kill {pid}") == "there\n"


# -- answers -------------------------------------------------------------------------------------------------------


async def test_an_answer_given_beforehand_is_read_by_the_command(each: House) -> None:
    ask = "command printf 'Your name? '; read -r name; echo \"hello $name\""
    row = await each.one(ask, answers=[{"expect": "name\\?", "send": "bob; touch no"}])
    assert row.get("output") == "Your name? hello bob; touch no\n"
    assert await each.said('echo "$name"') == "bob; touch no\n"


async def test_an_answer_that_comes_too_late_is_never_run(bash: House) -> None:
    text = "command printf 'Go on? '; sleep 0.5"  # it asks, and ends without reading
    row = await bash.one(text, answers=[{"expect": "Go on", "send": "touch no"}])
    assert row["ok"]
    assert await bash.said("pwd; ls") == f"{await bash.said('pwd')}" + await bash.said("ls")
    assert not (bash.sshd.home / "no").exists()
    assert await bash.said("ls -A $TMPDIR; echo none") == "none\n"


async def test_a_job_can_be_answered_where_answers_were_given_too(bash: House) -> None:
    app = bash.app
    text = "printf 'A? '; read -r a; printf 'Which disk? '; read -r b; echo \"$a $b\""
    asked = await app.runs.run(
        "own", [text], session="work", shell=True, answers=[{"expect": "^A\\?", "send": "x"}], wait=20
    )
    (row,) = asked["rows"]
    assert (row["state"], row["question"].endswith("Which disk? ")) == ("waiting", True), row
    done = await app.jobs.act("input", asked["job_id"], text="sda")
    assert "x sda" in json.dumps(done), done


# -- sudo ----------------------------------------------------------------------------------------------------------


async def test_sudo_runs_one_command_and_the_session_stays_the_users(bash: House, real_lab: RealLab) -> None:
    rows = await bash.run("id -un", "exit 7", "pwd; cat; echo done", sudo=True, cwd="/usr", stop_on_error=False)
    assert [row.get("output", "") for row in rows] == ["root\n", "", "/usr\ndone\n"]
    assert rows[1]["exit_status"] == 7
    assert await bash.said("id -un") == f"{real_lab.ops.name}\n"
    row = await bash.one("id -un", sudo=True, sudo_user="nobody", shell=False)
    assert row["output"] == "nobody\n"
    assert real_lab.ops.password not in json.dumps([rows, await bash.one("history; env; set")])


async def test_tracing_shows_neither_sudos_prompt_nor_the_password(bash: House, real_lab: RealLab) -> None:
    await bash.one("set -x")
    row = await bash.one("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'", sudo=True)
    assert "sudo" in row["output"]
    assert real_lab.ops.password not in json.dumps(row)
    row = await bash.one("echo Failed password for root; echo 'Password: ' >&2; cat", sudo=True)
    assert row["output"] == "Failed password for root\n"
    assert real_lab.ops.password not in json.dumps([row, await bash.one("set; history")])


async def test_a_wrong_password_is_tried_once_and_the_session_goes_on(real_lab: RealLab, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wr0ng-password")
    (tmp_path / "wrong").chmod(0o600)
    async with house(real_lab, tmp_path, host={"sudo": f"file:{tmp_path}/wrong"}) as opened:
        await opened.run("cd /usr")
        row = await opened.one("id -u", sudo=True)
        assert (row["error"]["kind"], row.get("output", "")) == ("auth", ""), row
        assert await opened.said("pwd") == "/usr\n"


async def test_without_a_password_to_give_sudo_is_told_so(real_lab: RealLab, tmp_path: Path) -> None:
    async with house(real_lab, tmp_path, sudo=False) as opened:
        row = await opened.one("id -u", sudo=True)
        assert (row["error"]["kind"], "none is configured" in row["error"]["message"]) == ("auth", True), row
        assert await opened.said("echo well") == "well\n"


async def test_what_runs_as_root_is_stopped_and_the_session_goes_on(bash: House) -> None:
    row = await bash.one("sleep 4321; touch no", sudo=True, timeout=1.5)
    assert (row["error"]["kind"], "the session goes on" in row["error"]["message"]) == ("timeout", True), row
    assert await bash.said("pgrep -f '[s]leep 4321' || echo none") == "none\n"


# -- one at a time, names, the list --------------------------------------------------------------------------------


async def test_commands_of_one_session_wait_for_each_other_and_other_sessions_do_not(bash: House) -> None:
    await bash.run("i=0")
    await bash.run("i=0", session="other")
    held = bash.sshd.home / "held"

    async def add() -> None:
        assert (await bash.one("j=$i; sleep 0.05; i=$((j + 1))"))["ok"]

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(add)
        tasks.start_soon(bash.one, f"while [ ! -e {held} ]; do sleep 0.02; done")
        assert await bash.said("echo free", session="other") == "free\n"
        held.touch()
    assert await bash.said("echo $i") == "8\n"


async def test_who_waits_for_a_session_can_be_cancelled(bash: House) -> None:
    await bash.run("cd /usr")
    first = await bash.app.runs.run("own", ["sleep 60"], session="work", shell=True, wait=0)
    await bash.busy("work")
    second = await bash.app.runs.run("own", ["touch no"], session="work", shell=True, wait=0)
    ended = await bash.app.jobs.act("cancel", second["job_id"])
    assert (ended["rows"][0]["error"]["kind"], ended["rows"][0]["error"]["effect"]) == ("interrupted", "none"), ended
    ended = await bash.app.jobs.act("cancel", first["job_id"])
    assert "the session goes on" in ended["rows"][0]["error"]["message"], ended
    assert await bash.said("pwd") == "/usr\n"


async def test_names_are_chosen_in_the_style_that_devices_may_be_named_in(bash: House, real_lab: RealLab) -> None:
    style = f"{real_lab.ops.name}@127.0.0.1:{bash.sshd.port}"
    first = await bash.app.sessions.act("open", style)
    second = await bash.app.sessions.act("open", "own")
    assert (first["device"], first["session"], second["session"]) == ("own", style, f"{style}#2")
    assert first["cwd"].startswith("/home/")
    assert await bash.said("echo $$", session=style) != await bash.said("echo $$", session=f"{style}#2")
    with pytest.raises(InputError, match="no device of the inventory"):
        await bash.app.sessions.act("open", "nobody@127.0.0.1:1")


async def test_the_list_says_what_each_session_is_and_does(bash: House) -> None:
    await bash.run("cd /usr", "echo 'password hunter2'")
    await bash.run("true", session="busy-one")
    job = await bash.app.runs.run("own", ["sleep 60"], session="busy-one", shell=True, wait=0)
    await anyio.lowlevel.checkpoint()
    shell = await bash.app.shells.act("open", device="own")
    await bash.busy("busy-one")
    work, busy, terminal = await bash.sessions()
    assert {
        key: work[key] for key in ("device", "name", "state", "mode", "cwd", "commands", "forwards", "recording")
    } == {
        "device": "own",
        "name": "work",
        "state": "idle",
        "mode": "shell",
        "cwd": "/usr",
        "commands": 2,
        "forwards": 0,
        "recording": False,
    }
    assert (busy["name"], busy["idle"], busy["last"]) == ("busy-one", 0.0, "sleep 60")
    assert (terminal["name"], terminal["state"], terminal["platform"]) == (shell["shell_id"], "open", "linux")
    listed = bash.app.devices.list(view="sessions")
    names = [row[listed["columns"].index("name")] for row in listed["rows"]]
    assert names == ["work", "busy-one", shell["shell_id"], "connection"]
    closed = await bash.app.sessions.act("close_all")
    assert (closed["named"], closed["shells"], await bash.sessions()) == (2, 1, [])
    ended = await bash.app.jobs.act("wait", job["job_id"], wait=10)
    assert "was closed while the command ran" in ended["rows"][0]["error"]["message"], ended


async def test_the_connection_that_single_commands_share_is_listed_and_closed_when_nothing_uses_it(
    bash: House, real_lab: RealLab
) -> None:
    await bash.run("true", session="")
    (row,) = await bash.listed()
    assert {key: row[key] for key in ("session", "name", "device", "user", "state", "uses", "platform")} == {
        "session": "connection",
        "name": "connection",
        "device": "own",
        "user": real_lab.ops.name,
        "state": "idle",
        "uses": 0,
        "platform": "linux",
    }
    await bash.run("cd /usr")
    (row,) = [row for row in await bash.listed() if row["session"] == "connection"]
    assert (row["state"], row["uses"]) == ("busy", 1)
    shared = await bash.shared()
    transport = shared.transport
    shared.close()
    closed = await bash.app.sessions.act("close_all", "own")
    assert (closed["named"], closed["connections"]) == (1, 1)
    await until(lambda: not transport.is_active())  # the shell that was closed leaves it in a thread of its own
    assert await bash.listed() == []

    assert not (await bash.one("true", session=""))["reconnected"]  # it was closed, not lost
    assert (await bash.app.sessions.act("close", "own", "connection"))["state"] == "closed"
    assert await bash.listed() == []
    with pytest.raises(InputError, match="no shared connection"):
        await bash.app.sessions.act("close", "own", "connection")
    with pytest.raises(InputError, match="which host"):
        await bash.app.sessions.act("close", name="connection")


async def _lose(host: House) -> None:
    """The connection breaks, and somebody is on it who goes only when there is a new one."""
    shared = await host.shared()
    shared._bastion.link.sockets[0].shutdown(socket.SHUT_RDWR)
    await until(lambda: not shared.alive)
    (await host.shared()).close()
    shared.close()


@pytest.mark.parametrize("first", ["command", "file", "session"])
async def test_a_lost_connection_is_told_once_by_the_first_answer_over_the_new_one(
    first: str, real_lab: RealLab, tmp_path: Path
) -> None:
    async with house(real_lab, tmp_path, lines="Subsystem sftp internal-sftp\n") as host:
        await host.run("cd /usr")
        await _lose(host)
        if first == "file":
            assert (await host.app.files.get("own", "/etc/hostname"))["reconnected"]
        else:
            assert (await host.one("true", session="" if first == "command" else "work"))["reconnected"]
        assert not (await host.one("true", session=""))["reconnected"]
        assert "reconnected" not in await host.app.files.get("own", "/etc/hostname")
        await host.app.sessions.act("close_all")
        assert not (await host.one("true", session=""))["reconnected"]  # the loss is an old one


async def test_a_connection_in_use_closes_behind_its_last_user(bash: House) -> None:
    await bash.run("true", session="")
    shared = await bash.shared()
    closed = await bash.app.sessions.act("close", "own", "connection")
    assert (closed["state"], shared.alive) == ("busy", True)
    assert await bash.said("echo new", session="") == "new\n"
    assert shared.alive
    transport = shared.transport
    shared.close()
    assert not transport.is_active()


async def test_closing_a_session_kills_what_runs_in_it_and_a_new_one_begins_anew(bash: House) -> None:
    await bash.run("cd /usr")
    job = await bash.app.runs.run("own", ["sleep 4322"], session="work", shell=True, wait=0)
    await bash.busy("work")
    assert (await bash.app.sessions.act("close", name="work"))["state"] == "closed"
    assert (await bash.app.jobs.act("wait", job["job_id"], wait=10))["state"] == "done"
    row = await bash.one("pwd")
    assert (row["output"] != "/usr\n", row["reconnected"]) == (True, False)
    with anyio.fail_after(5):
        while await bash.said("pgrep -f '[s]leep 4322' || echo none") != "none\n":  # noqa: ASYNC110  (a process)
            await anyio.sleep(0.05)


async def test_eight_named_sessions_are_the_most_on_a_host_and_the_ninth_is_told_who_has_them(bash: House) -> None:
    for number in range(8):
        await bash.run("true", session=f"s{number}")
    (row,) = await bash.run("true", session="ninth")
    assert row["error"]["kind"] == "input"
    assert "'s0', 's1'" in row["error"]["message"]
    row = dict((await bash.app.runs.run("own", ["true"]))["rows"][0])
    assert row["ok"], "single commands have channels of their own"
    await bash.app.sessions.act("close", "own", "s3")
    assert await bash.said("echo in", session="ninth") == "in\n"


async def test_where_the_shell_is_counts_in_the_class_of_its_commands(real_lab: RealLab, tmp_path: Path) -> None:
    async with house(real_lab, tmp_path) as opened:
        policy = tmp_path / "policy.yaml"
        policy.write_text("version: 1\nrules:\n  - classes: [read]\n    allow: [cd ..., cat passwd]\n")
        row = await opened.one("cat passwd", shell=False)
        assert row["error"]["kind"] == "exit"
        assert (await opened.one("cd /etc", shell=False))["ok"]
        assert (await opened.one("cat passwd", shell=False))["error"]["kind"] == "denied"
        for text in ("alias ls=rm", "export PATH=/tmp", "eval id", ". x", "PATH=/tmp"):
            assert (await opened.one(text, shell=False))["error"]["kind"] == "denied", text
