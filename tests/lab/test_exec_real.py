"""Single commands on the real sshd with the real sudo: streams, ends, questions, passwords, and what a stop stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import (
    AuthenticationFailed,
    CommandFailed,
    CommandInterrupted,
    CommandTimeout,
    FileRefused,
    InputError,
    NetsshError,
    OutputTooLarge,
    PromptNotFound,
    SessionLost,
)
from netssh_mcp.guard import actions, policy
from netssh_mcp.guard.policy import Grant
from netssh_mcp.guard.rules import Terms
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.model import CLASSES, Reply
from netssh_mcp.sessions.executions import execute
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.wire import halting
from netssh_mcp.wire.hostkeys import HostKeys
from netssh_mcp.wire.opener import Opener
from netssh_mcp.wire.order import Answer, Order
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn
from tests.devices.direct import closing, no_threads_left, until
from tests.lab.reallab import RealLab
from tests.lab.reallab.users import User

pytestmark = [pytest.mark.real, pytest.mark.anyio]
PROFILES = Profiles.load(None)
LINUX = PROFILES.get("linux")
EVERY = Terms(classes=frozenset(CLASSES))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Host:
    """The lab's Linux host over one shared connection."""

    def __init__(self, shared: Shared, pool: Pool, user: User) -> None:
        self.shared, self.pool, self.user = shared, pool, user

    def grant(self, line: str, *, shell: bool) -> Grant:
        meaning = actions.read(LINUX, line, "shell" if shell else "command")
        return policy.permit(self.shared.device, LINUX, meaning, terms=EVERY)

    async def run(
        self,
        line: str,
        *,
        argv: bool = False,
        timeout: float = 20.0,
        turn: Turn | None = None,
        byte_limit: int = 64 << 20,
        **order: Any,
    ) -> Reply:
        """Shell text, or with `argv` a plain command."""
        return await execute(
            self.shared,
            self.grant(line, shell=not argv),
            Order(**order),
            timeout=timeout,
            turn=turn or Turn(),
            limiter=self.pool.threads,
            byte_limit=byte_limit,
        )

    async def sudo(self, line: str, **more: Any) -> Reply:
        return await self.run(line, sudo=True, password=self.password, **more)

    @property
    def password(self) -> Secret:
        return Secret.parse(f"file:{self.user.password_file}")

    @asynccontextmanager
    async def under_way(self, line: str, seen: str = "", **more: Any) -> AsyncIterator[tuple[Turn, list[Any]]]:
        """A command that has printed `seen`; at the end of the block its reply, or its error, is in the list."""
        turn, ends = Turn(), list[Any]()

        async def work() -> None:
            try:
                ends.append(await self.run(line, turn=turn, **more))
            except NetsshError as error:
                ends.append(error)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
                await until(lambda: ends or not seen or seen in turn.partial() + turn.errors())
                yield turn, ends

    async def failing(self, error: type[NetsshError], line: str, **more: Any) -> Any:
        with pytest.raises(error) as caught:
            await self.run(line, **more)
        return caught.value


@pytest.fixture
async def make(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    with no_threads_left():
        async with closing(Pool(Opener(HostKeys("tofu", (), tmp_path / "known_hosts")), byte_limit=64 << 20)) as pool:

            async def of(user: User | None, *, written: Any = None, node: str = "linux1") -> Host:
                written = written or real_lab.inventory()
                if user is not None:
                    more = {"username": user.name, "password": f"file:{user.password_file}"}
                    written["hosts"]["linux1"] |= {**more, "key_file": [], "agent": False}
                path = tmp_path / "inventory.yaml"
                path.write_text(json.dumps(written))
                path.chmod(0o600)
                device = InventorySource([path], PROFILES.platforms()).current().device(node)
                return Host(await pool.share((device,), Turn()), pool, user or real_lab.admin)

            yield of


@pytest.fixture
async def ops(make: Callable[..., Any], real_lab: RealLab) -> Host:
    """Logged in as who types a password to sudo."""
    host: Host = await make(real_lab.ops)
    return host


@pytest.fixture
async def root(make: Callable[..., Any], real_lab: RealLab) -> Host:
    """Logged in as who needs no password for sudo."""
    host: Host = await make(real_lab.root)
    return host


@pytest.fixture(params=["ops", "root"])
async def sudoer(request: pytest.FixtureRequest, make: Callable[..., Any], real_lab: RealLab) -> Host:
    """Each of them."""
    host: Host = await make(getattr(real_lab, request.param))
    return host


def some_sleep() -> str:
    """A command of which there is one in the world."""
    return f"sleep {80_000 + secrets.randbelow(9_000)}.{secrets.randbelow(10**9)}"


def processes(words: str) -> list[int]:
    """Those that run with exactly these arguments; namespaces do not hide them from this machine's root."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _words(path) == words]


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder in which everybody may write."""
    folder = tmp_path / "marks"
    folder.mkdir()
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)
    folder.chmod(0o777)
    return folder


@pytest.fixture
def wrong(tmp_path: Path) -> Secret:
    """A password that is none."""
    path = tmp_path / "wrong"
    path.write_text("wr0ng-" + secrets.token_hex(8))
    path.chmod(0o600)
    return Secret.parse(f"file:{path}")


def arguments() -> bytes:
    """Of everything that runs."""
    return _all("cmdline")


def environments() -> bytes:
    """Of everything that runs."""
    return _all("environ")


def _all(name: str) -> bytes:
    found = b""
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found += path.read_bytes()
    return found


def _words(path: Path) -> str:
    try:
        state = path.with_name("stat").read_text().rpartition(") ")[2][:1]
        return "" if state == "Z" else path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:  # it has ended meanwhile
        return ""


# -- streams and ends ----------------------------------------------------------------------------------------------


async def test_both_streams_and_the_exit_status_are_the_commands_own(ops: Host) -> None:
    reply = await ops.run("echo out; echo err >&2; printf 'no newline'")
    assert (reply.output, reply.stderr) == ("out\nno newline", "err\n")
    assert (reply.exit_status, reply.signal, reply.framing, reply.events) == (0, "", "proven", ())


async def test_an_argv_is_run_as_it_is_and_shell_text_by_a_shell(ops: Host) -> None:
    assert (await ops.run("printf '%s,' 'a b' '(c)'", argv=True)).output == "a b,(c),"
    assert (await ops.run("for x in 'a b' $((2 * 3))\ndo\n  echo \"<$x>\"\ndone # end")).output == "<a b>\n<6>\n"
    assert (await ops.run("type cd", argv=True)).output.startswith("cd is a shell builtin")


async def test_shell_text_finds_no_variable_and_no_argument_of_ours(ops: Host) -> None:
    assert "netssh_" not in (await ops.run("set; env")).output.replace("netssh-", "")
    assert (await ops.run('echo "$#" "${1-none}"')).output == "0 none\n"


@pytest.mark.parametrize("status", [1, 2, 7, 126, 127, 255])
async def test_exit_codes_are_kept(status: int, ops: Host) -> None:
    error = await ops.failing(CommandFailed, f"echo so far; echo why >&2; exit {status}")
    assert (error.exit_status, error.partial, error.stderr, error.line) == (status, "so far\n", "why\n", "why")


async def test_a_command_that_is_not_there_is_127_with_the_shells_line(ops: Host) -> None:
    error = await ops.failing(CommandFailed, "netssh-no-such-program -x", argv=True)
    assert error.exit_status == 127
    assert "not found" in error.line


@pytest.mark.parametrize("name", ["TERM", "KILL", "HUP", "ABRT"])
async def test_a_signal_that_ended_the_command_is_named(name: str, ops: Host) -> None:
    error = await ops.failing(CommandFailed, f"echo so far; kill -{name} $$")
    assert (error.signal, error.exit_status, error.partial) == (name, None, "so far\n")
    assert f"was ended by signal {name}" in str(error)


async def test_a_signal_that_ended_a_child_is_the_shells_exit_status(ops: Host) -> None:
    error = await ops.failing(CommandFailed, "sh -c 'kill -KILL $$'; exit $?")
    assert (error.signal, error.exit_status) == ("", 137)


@pytest.mark.parametrize("size", [60_000, 5_000_000])
async def test_a_long_output_is_whole(size: int, ops: Host) -> None:
    reply = await ops.run(f"yes 0123456789abcde | head -c {size}")
    assert reply.output == ("0123456789abcde\n" * (size // 16 + 1))[:size]


async def test_three_megabytes_on_stderr_and_five_on_stdout_at_once_are_whole(ops: Host) -> None:
    reply = await ops.run("yes 0123456789abcde | head -c 3000000 >&2 & yes fedcba987654321 | head -c 5000000; wait")
    assert reply.stderr == "0123456789abcde\n" * 187_500
    assert reply.output == "fedcba987654321\n" * 312_500


async def test_more_than_the_limit_is_an_error_with_the_text_and_the_command_is_stopped(ops: Host) -> None:
    words = some_sleep()
    error = await ops.failing(OutputTooLarge, f"yes; {words}", byte_limit=100_000)
    assert error.partial.startswith("y\ny\n")
    assert "it was stopped" in str(error)
    assert not processes(words)


@pytest.mark.parametrize("pager", ["less", "more"])
async def test_a_pager_without_a_terminal_gives_all(pager: str, ops: Host) -> None:
    reply = await ops.run(f"command -v {pager} >/dev/null || exec seq 1 3000; seq 1 3000 | {pager}")
    assert reply.output == "".join(f"{number}\n" for number in range(1, 3001))


async def test_what_a_command_prints_cannot_be_taken_for_its_end_or_its_beginning(ops: Host) -> None:
    text = "cat /proc/$$/cmdline /proc/$PPID/cmdline | tr '\\0' '\\n'; printf '%s go\\n' 0123456789abcdef >&2; exit 3"
    error = await ops.failing(CommandFailed, text)
    assert error.exit_status == 3
    assert error.stderr == "0123456789abcdef go\n"


async def test_what_a_background_child_prints_later_is_not_waited_for_and_that_is_said(ops: Host) -> None:
    words = some_sleep()
    reply = await ops.run(f"{words} & echo done")
    try:
        assert reply.output == "done\n"
        assert "left in the background" in reply.events[0]
        assert processes(words)
    finally:
        kill(processes(words))
    assert not (await ops.run("sleep 0.01 >/dev/null 2>&1 </dev/null & echo done")).events


async def test_a_background_child_that_never_is_silent_does_not_hold_it_up_either(ops: Host) -> None:
    tag = secrets.token_hex(8)
    reply = await ops.run(f"sh -c 'while sleep 0.01; do echo more; done' {tag} & echo done")
    assert reply.output.startswith("done\n")
    assert reply.events
    await until(lambda: not processes(f"sh -c while sleep 0.01; do echo more; done {tag}"))  # SIGPIPE: nobody reads


async def test_streams_that_the_command_closes_are_not_its_end(ops: Host) -> None:
    error = await ops.failing(CommandFailed, "echo so far; exec >&- 2>&-; sleep 0.3; exit 5")
    assert (error.exit_status, error.partial) == (5, "so far\n")


# -- where and with what it runs -----------------------------------------------------------------------------------


async def test_the_directory_and_the_variables_are_its_own(ops: Host) -> None:
    odd = "a'b\"c $HOME `id` \\ !x\n\tü # end"
    reply = await ops.run('pwd; printf "%s" "$NETSSH_ODD"', cwd="/usr/share", env={"NETSSH_ODD": odd})
    assert reply.output == f"/usr/share\n{odd}"
    assert (await ops.run("pwd", argv=True, cwd="/")).output == "/\n"


async def test_a_directory_that_is_not_there_is_named_and_nothing_is_started(
    ops: Host, marks: Path, wrong: Secret
) -> None:
    error = await ops.failing(FileRefused, f"touch {marks}/ran", cwd="/no/such place")
    assert error.effect == "none"
    assert "'/no/such place'" in str(error)
    assert "cd" in error.line
    assert not os.listdir(marks)


async def test_variables_that_are_none_are_refused_before_anything_is_sent(ops: Host) -> None:
    for env in ({"A B": "x"}, {"1A": "x"}, {"A=B": "x"}, {"": "x"}, {"A": "x\0y"}):
        assert (await ops.failing(InputError, "true", env=env)).effect == "none"


@pytest.mark.parametrize("user", ["-u root", "--shell", "a b", "root;id"])
async def test_a_user_that_sudo_might_take_for_an_option_is_refused(user: str, ops: Host) -> None:
    await ops.failing(InputError, "true", sudo=True, sudo_user=user)


async def test_variables_directory_and_shell_text_stand_in_no_arguments(ops: Host) -> None:
    value, words = secrets.token_hex(12), some_sleep()
    line = f": {value}; cd /; echo up; {words}; :"
    async with ops.under_way(line, "up\n", env={"NETSSH_VALUE": value}) as (turn, ends):
        await until(lambda: processes(words))
        everywhere = arguments()
        turn.cancel()
    assert words.replace(" ", "\0").encode() in everywhere
    assert value.encode() not in everywhere
    assert isinstance(ends[0], CommandInterrupted)


# -- what it asks --------------------------------------------------------------------------------------------------


async def test_a_question_is_named_and_the_callers_input_goes_to_it(ops: Host) -> None:
    async with ops.under_way("printf 'Proceed? [y/N] '; read x; echo \"<$x>\"; cat", "[y/N] ") as (turn, ends):
        await until(lambda: turn.waiting)
        assert (turn.waiting, turn.question) == ("yes_no", "Proceed? [y/N] ")
        assert turn.send("n\n")
        await until(lambda: "<n>\n" in turn.partial() + turn.errors())
        await until(lambda: not turn.waiting)
        assert turn.send("more\n")
        await until(lambda: "more\n" in turn.partial() + turn.errors())
        assert turn.send("\x04")
        await until(lambda: ends)
    assert ends[0].output == "Proceed? [y/N] <n>\nmore\n"


async def test_a_question_on_stderr_is_one_too_and_nobody_answers_it(ops: Host) -> None:
    async with ops.under_way("echo first; printf 'Password: ' >&2; cat", "Password: ") as (turn, ends):
        await until(lambda: turn.waiting)
        assert turn.waiting == "password"
        turn.cancel()
    assert ends[0].partial == "first\nPassword: "


async def test_prepared_answers_are_typed_each_once_and_only_behind_their_line(ops: Host) -> None:
    script = "printf 'Name? '; read a; printf 'Sure? '; read b; printf 'Name? '; read c; echo \"<$a$b$c>\""
    answers = (Answer(re.compile("Sure"), b"yes\n"), Answer(re.compile("Name"), b"x\n"))
    async with ops.under_way(script, answers=answers) as (turn, ends):
        await until(lambda: turn.waiting)  # the second time it asks for the name
        assert turn.partial() == "Name? Sure? Name? "
        turn.send("y\n")
    assert ends[0].output.endswith("<xyesy>\n")


async def test_text_that_looks_like_a_question_in_the_middle_is_none(ops: Host) -> None:
    reply = await ops.run("printf 'Password:\\nContinue? [y/N]\\n--More--\\n:\\n'")
    assert reply.output == "Password:\nContinue? [y/N]\n--More--\n:\n"


async def test_a_signal_reaches_the_command_and_it_goes_on(ops: Host) -> None:
    script = "trap 'echo got it' USR1; echo up; while :; do read x && break; done; echo end"
    async with ops.under_way(script, "up\n") as (turn, ends):
        turn.signal("USR1")
        await until(lambda: "got it\n" in turn.partial() + turn.errors())
        turn.send("\n")
    assert ends[0].output == "up\ngot it\nend\n"


async def test_a_signal_reaches_what_runs_as_root(sudoer: Host) -> None:
    host = sudoer
    words = some_sleep()
    async with host.under_way(words, argv=True, sudo=True, password=host.password) as (turn, ends):
        await until(lambda: processes(words))
        turn.signal("TERM")
    assert ends[0].signal == "TERM"


async def test_a_signal_that_is_none_is_said_and_not_sent(ops: Host) -> None:
    async with ops.under_way("echo up; cat", "up\n") as (turn, ends):
        turn.signal("TERM -1; id")
        await until(lambda: not turn._signal)
        turn.send("\x04")
    assert "was not sent" in ends[0].events[0]


# -- stopping ------------------------------------------------------------------------------------------------------


async def test_a_timeout_ends_the_process(ops: Host) -> None:
    words = some_sleep()
    error = await ops.failing(CommandTimeout, f"echo so far; {words}", timeout=0.5)
    assert "it was stopped" in str(error)
    assert error.partial == "so far\n"
    assert not processes(words)


async def test_what_ignores_the_signals_is_killed_with_its_children(ops: Host) -> None:
    words = [some_sleep() for _ in range(3)]
    script = f"trap '' INT TERM HUP; {words[0]} & sh -c 'trap \"\" TERM; {words[1]}; :' & {words[2]}; wait"
    error = await ops.failing(CommandTimeout, script, timeout=0.5)
    assert "it was stopped" in str(error)
    assert not [each for each in words if processes(each)]


async def test_a_cancel_ends_it_and_reads_have_no_effect_then(ops: Host) -> None:
    words = some_sleep()
    async with ops.under_way(f"echo up; {words}", "up\n") as (turn, ends):
        turn.cancel()
    assert isinstance(ends[0], CommandInterrupted)
    assert (ends[0].partial, ends[0].effect) == ("up\n", "possible")  # of shell text nothing is known
    assert "timeout" not in ends[0].hint
    assert "look" in ends[0].hint
    assert not processes(words)
    async with ops.under_way("ping -c 87 127.0.0.1", argv=True) as (turn, ends):
        await until(lambda: processes("ping -c 87 127.0.0.1"))
        turn.cancel()
    assert "it was stopped" in str(ends[0])
    assert ends[0].effect == "none"


async def test_a_cancelled_task_ends_it_too(ops: Host) -> None:
    words = some_sleep()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ops.run, words)
            await until(lambda: processes(words))
            scope.cancel()
    assert not processes(words)


def is_sent(turn: Turn) -> bool:
    return turn.partial is not str


async def test_a_cancel_in_its_first_moments_waits_until_it_is_known_who_is_to_be_stopped(ops: Host) -> None:
    for _ in range(10):
        words = some_sleep()
        async with ops.under_way(words) as (turn, ends):
            await until(partial(is_sent, turn))
            turn.cancel()
        assert isinstance(ends[0], CommandInterrupted)
        assert not processes(words), ends[0]


async def test_before_it_is_sent_a_cancel_sends_nothing(ops: Host, marks: Path) -> None:
    turn = Turn()
    turn.cancel()
    error = await ops.failing(CommandInterrupted, f"touch {marks}/ran", turn=turn)
    assert error.effect == "none"
    assert not os.listdir(marks)


async def test_what_has_left_its_session_is_said_to_run_with_its_pid(ops: Host) -> None:
    words = some_sleep()
    error = await ops.failing(CommandTimeout, f"setsid {words} & wait", timeout=0.5)
    left = processes(words)
    try:
        assert len(left) == 1
        assert f"still runs, pid {left[0]}" in str(error)
        assert error.hint == f"Look at process {left[0]} there before running it again."
        assert error.effect == "possible"
    finally:
        kill(left)


@pytest.mark.parametrize("user", ["", "nobody"])
async def test_what_runs_under_sudo_is_stopped_through_sudo(user: str, sudoer: Host) -> None:
    host = sudoer
    words = [some_sleep(), some_sleep()]
    script = f"trap '' INT TERM; {words[0]} & {words[1]}; :"
    async with host.under_way(script, sudo=True, sudo_user=user, password=host.password) as (turn, ends):
        await until(lambda: processes(words[1]))
        turn.cancel()
    assert "it was stopped" in str(ends[0])
    assert not [each for each in words if processes(each)]


@pytest.mark.parametrize("as_root", [False, True])
async def test_where_processes_are_not_shown_the_end_of_the_streams_proves_the_stop(
    as_root: bool, ops: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halting, "_LOOK", ":")
    words = some_sleep()
    more: dict[str, Any] = {"sudo": True, "password": ops.password} if as_root else {}
    error = await ops.failing(CommandTimeout, f"trap '' TERM; {words}; :", timeout=1.0, **more)
    assert "it was stopped" in str(error)
    assert not processes(words)
    text = f"setsid sh -c 'trap \"\" TERM; {words}; :' & wait"
    error = await ops.failing(CommandTimeout, text, timeout=1.0, **more)
    try:
        assert "stopping it was not confirmed: it may still run, pid " in str(error)
    finally:
        kill(processes(words))


async def test_where_no_shell_answers_that_is_said(make: Callable[..., Any], real_lab: RealLab, tmp_path: Path) -> None:
    written = real_lab.inventory()
    written["hosts"]["r1"] |= {"connect_timeout": 2.0}  # whose users are in vtysh, whatever they ask for
    host: Host = await make(None, written=written, node="r1")
    error = await host.failing(PromptNotFound, "echo hi")
    assert "no POSIX shell" in str(error)


async def test_a_link_that_breaks_is_said_with_the_pid_and_the_text_so_far(ops: Host, real_lab: RealLab) -> None:
    client = ops.shared._bastion.link.sockets[0].getsockname()[:2]
    words = some_sleep()
    async with ops.under_way(f"echo so far; exec {words}", "so far\n") as (_, ends):
        await until(lambda: processes(words))
        left = processes(words)
        real_lab.session("linux1", client).reset()
    try:
        assert isinstance(ends[0], SessionLost)
        assert ends[0].partial == "so far\n"
        assert ends[0].effect == "possible"
        assert f"may still run there, pid {left[0]}" in str(ends[0])
    finally:
        kill(left)


# -- sudo ----------------------------------------------------------------------------------------------------------


async def test_under_sudo_it_is_root_or_another_user(sudoer: Host) -> None:
    host = sudoer
    assert (await host.sudo("id -u", argv=True)).output == "0\n"
    assert (await host.sudo("echo $(id -un) | cat", sudo_user="nobody")).output == "nobody\n"
    assert (await host.sudo('echo "$A$B"', env={"A": "1 ", "B": "'2'"})).output == "1 '2'\n"
    assert (await host.sudo("pwd", argv=True, cwd="/usr")).output == "/usr\n"


async def test_exit_codes_streams_and_signals_are_kept_under_sudo(sudoer: Host) -> None:
    host = sudoer
    more: dict[str, Any] = {"sudo": True, "password": host.password}
    assert (await host.failing(CommandFailed, "false", argv=True, **more)).exit_status == 1
    error = await host.failing(CommandFailed, "echo out; echo err >&2; exit 7", **more)
    assert (error.exit_status, error.partial, error.stderr) == (7, "out\n", "err\n")
    assert (await host.failing(CommandFailed, "kill -KILL $$", **more)).signal == "KILL"


async def test_output_about_passwords_is_text(ops: Host, root: Host) -> None:
    log = "Nov 20 sshd[1]: Failed password for root from 192.0.2.1\n[sudo] password for root: \nPassword:\n"
    for host in (ops, root):
        reply = await host.sudo(f"printf '{log}'; printf '{log}' >&2")
        assert (reply.output, reply.stderr) == (log, log)


# Whoever sudo runs may read its arguments, and root its environment; where no password is asked for, all is there.
FAKE = (
    "tr '\\0' '\\n' </proc/$PPID/cmdline >&2; grep -z SUDO_PROMPT /proc/$PPID/environ >&2; "
    "for p in '[sudo] password for root: ' 'Password: ' "
    "$(tr '\\0' '\\n' </proc/$PPID/environ | sed -n s/SUDO_PROMPT=//p); "
    'do printf %s "$p" >&2; bash -c \'read -r -t 0.5 x; printf "<%s>" "$x"\'; done'
)


@pytest.mark.parametrize("user", ["", "nobody"])
async def test_a_prompt_that_the_command_prints_gets_no_password(user: str, sudoer: Host) -> None:
    host = sudoer
    reply = await host.sudo(FAKE, sudo_user=user)
    assert set(reply.output) <= set("<>")
    assert reply.output.startswith("<><>")
    assert host.user.password not in repr(reply)


async def test_a_shell_without_a_password_to_give_prints_prompts_in_vain(ops: Host) -> None:
    assert (await ops.run(FAKE.replace("$PPID", "$$"), password=ops.password)).output == "<><>"


async def test_a_wrong_password_is_given_once_and_nothing_is_started(ops: Host, marks: Path, wrong: Secret) -> None:
    tag = secrets.token_hex(8)
    more: dict[str, Any] = {"sudo": True, "password": wrong}
    error = await ops.failing(AuthenticationFailed, f"touch {marks}/ran {tag}", argv=True, **more)
    assert error.effect == "none"
    assert "sudo did not take the password" in str(error)
    assert "wr0ng" not in f"{error!r}{error.facts()}{error.partial}"
    assert not os.listdir(marks)
    await until(lambda: not processes(f"sudo -k -S -- touch {marks}/ran {tag}"))


async def test_without_a_password_where_one_is_needed_the_hint_names_the_key(ops: Host) -> None:
    error = await ops.failing(AuthenticationFailed, "id", sudo=True)
    assert error.effect == "none"
    assert "`sudo`" in error.hint
    assert error.line.startswith("sudo: ")


async def test_without_a_password_where_none_is_needed_it_runs(root: Host) -> None:
    assert (await root.run("id -u", argv=True, sudo=True)).output == "0\n"


async def test_what_sudo_says_no_to_is_in_the_line(ops: Host) -> None:
    error = await ops.failing(CommandFailed, "id", sudo=True, sudo_user="no_such_user_here", password=ops.password)
    assert error.exit_status == 1
    assert error.stderr.startswith("sudo: unknown user no_such_user_here\n")
    assert error.line.startswith("sudo: ")


async def test_input_for_a_command_under_sudo_comes_behind_the_password(ops: Host) -> None:
    text = f"echo up; cat; echo end; : {secrets.token_hex(8)}"
    async with ops.under_way(text, sudo=True, password=ops.password) as (turn, ends):
        await until(lambda: processes(f"sudo -k -S -- /bin/sh -c {text}"))
        turn.send("for the command\n")  # while sudo asks, or has not taken the answer
        await until(lambda: "for the command\n" in turn.partial() + turn.errors())
        turn.send("\x04")
    assert ends[0].output == "up\nfor the command\nend\n"


async def test_the_password_is_in_no_argument_and_no_environment_while_it_runs(ops: Host) -> None:
    words = some_sleep()
    password = ops.user.password.encode()
    async with ops.under_way(f"echo up; {words}", "up\n", sudo=True, password=ops.password) as (turn, ends):
        await until(lambda: processes(words))
        found = arguments() + environments()
        turn.cancel()
    assert words.replace(" ", "\0").encode() in found
    assert password not in found
    assert password.decode() not in f"{ends[0]!r}{ends[0].facts()}{ends[0].partial}"
