"""The sudo dialogue with the real sudo, over a real sshd: where the password is, and where it is not."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import AuthenticationFailed
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.sudo import SudoPrompt
from tests.devices.direct import no_threads_left
from tests.lab.reallab import RealLab
from tests.lab.test_sessions_real import Line

pytestmark = pytest.mark.real


@pytest.fixture
def ops(real_lab: RealLab, tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Opens lines to the Linux host as the user who types a password to sudo, or as `user`."""
    opened: list[Line] = []

    def make(user: Any = None) -> Line:
        who = user or real_lab.ops
        more: dict[str, Any] = {
            "username": who.name,
            "password": f"file:{who.password_file}",
            "key_file": [],
            "agent": False,
        }
        opened.append(Line(real_lab, "linux1", tmp_path, linux1=more))
        return opened[-1]

    with no_threads_left():
        yield make
        for line in opened:
            line.connection.close()
            line.opener.close()


class Ran:
    """What a command under sudo did: its streams, its status, and how often the password was asked for."""

    def __init__(self, line: Line, command: str, password: str, *, user: str = "", stdin: bytes = b"") -> None:
        self.dialogue = SudoPrompt("linux1", user=user)
        self.asked = 0
        channel = line.connection._link.transport.open_session(timeout=10)
        channel.exec_command(f"{shlex.join(self.dialogue.argv)} /bin/sh -c {shlex.quote(command)}")
        reader = Reader(channel, "linux1")

        def reveal() -> str:
            self.asked += 1
            return password

        def write(data: bytes) -> None:
            channel.sendall(data + stdin)
            channel.shutdown_write()

        self.out, self.err = b"", b""
        until = time.monotonic() + 20
        try:
            while not (channel.exit_status_ready() and channel.eof_received):
                assert time.monotonic() < until
                self._read(channel, reveal, write)
                reader.wait(0.05)
            self._read(channel, reveal, write)
            self.err += self.dialogue.rest()
            self.status = channel.recv_exit_status()
        finally:
            channel.close()

    def _read(self, channel: Any, reveal: Callable[[], str], write: Callable[[bytes], None]) -> None:
        while channel.recv_ready():
            self.out += channel.recv(65536)
        while channel.recv_stderr_ready():
            self.err += self.dialogue.feed(channel.recv_stderr(65536), reveal, write)


def test_the_password_is_asked_for_once_and_the_command_runs_as_root(
    real_lab: RealLab, ops: Callable[..., Line]
) -> None:
    line = ops()
    for _ in range(2):  # the second one, too: no permission is kept
        ran = Ran(line, "id -u", real_lab.ops.password)
        assert (ran.out, ran.status, ran.asked) == (b"0\n", 0, 1)
        assert real_lab.ops.password.encode() not in ran.err
        assert ran.dialogue.argv[4].encode() not in ran.err


def test_another_user_can_be_named_and_stdin_behind_the_password_is_the_commands(
    real_lab: RealLab, ops: Callable[..., Line]
) -> None:
    ran = Ran(ops(), "id -un; cat", real_lab.ops.password, user="nobody", stdin=b"the rest\n")
    assert ran.out == b"nobody\nthe rest\n"


def test_the_password_is_in_no_argument_and_no_environment_while_the_command_runs(
    real_lab: RealLab, ops: Callable[..., Line]
) -> None:
    look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    ran = Ran(ops(), look, real_lab.ops.password)
    assert b"sudo" in ran.out
    assert real_lab.ops.password.encode() not in ran.out


def test_a_wrong_password_is_given_once_and_the_second_question_ends_it(
    real_lab: RealLab, ops: Callable[..., Line]
) -> None:
    with pytest.raises(AuthenticationFailed, match="sudo did not take the password"):
        Ran(ops(), "id -u", "wr0ng")


def test_who_needs_no_password_is_not_asked(real_lab: RealLab, ops: Callable[..., Line]) -> None:
    ran = Ran(ops(real_lab.root), "id -u", "never")
    assert (ran.out, ran.asked) == (b"0\n", 0)


def test_a_command_that_prints_a_usual_prompt_gets_nothing(real_lab: RealLab, ops: Callable[..., Line]) -> None:
    command = "printf '[sudo] password for root: Password: ' >&2; cat"
    ran = Ran(ops(), command, real_lab.ops.password)
    assert ran.asked == 1
    assert ran.out == b""
