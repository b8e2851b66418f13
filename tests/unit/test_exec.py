"""The script around one command, what it tells of itself, and what Paramiko leaves out of exec channels."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paramiko.common import MSG_CHANNEL_REQUEST

from netssh_mcp.wire import exec_channel, script
from netssh_mcp.wire.halting import Halt, processes_of
from netssh_mcp.wire.script import Head
from netssh_mcp.wire.userauth import Transport

NONCE = "0123456789abcdef"
SHELLS = [shell for shell in ("bash", "dash", "busybox", "ksh", "mksh", "zsh", "fish", "tcsh") if shutil.which(shell)]
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)


def plain(line: str, *, cwd: str = "", env: dict[str, str] | None = None, text: bool = True) -> bytes:
    return script.plain(NONCE, line, shell=text, cwd=cwd, env=env or {})


def ran(stdin: bytes, *, login: str = "bash") -> tuple[bytes, Head, bytes]:
    """Stdout and stderr of the command, as sshd would start it: the login shell with the line."""
    argv = [login, "sh", "-c"] if login == "busybox" else [login, "-c"]
    done = subprocess.run([*argv, script.BOOTSTRAP], input=stdin, capture_output=True, check=False, timeout=20)
    head = Head(NONCE)
    return head.out(done.stdout), head, head.err(done.stderr)


def test_the_request_has_nothing_that_a_login_shell_gives_a_meaning_to_inside_single_quotes() -> None:
    inner = re.fullmatch(r"exec /bin/sh -c '([^']+)'", script.BOOTSTRAP)
    assert inner is not None
    assert not set("\\!\n'") & set(inner[1])


@pytest.mark.parametrize("login", SHELLS)
def test_every_login_shell_runs_it_and_the_rest_of_stdin_is_the_commands(login: str) -> None:
    text = plain("cat; echo err >&2", cwd="/usr")
    out, head, err = ran(text + b"for the command\nno newline", login=login)
    assert (out, err) == (b"for the command\nno newline", b"err\n")
    assert head.pid > 1


@settings(max_examples=60, deadline=None)
@given(value=TEXT, text=TEXT)
def test_any_text_arrives_as_it_is(value: str, text: str) -> None:
    line = f"printf %s \"$NETSSH_VALUE\" '{text}'" if "'" not in text else 'printf %s "$NETSSH_VALUE"'
    out, head, err = ran(plain(line, env={"NETSSH_VALUE": value}))
    assert out.decode() == value + ("" if "'" in text else text)
    assert (head.begun, err) == ("go", b"")


def test_the_script_is_one_line() -> None:
    text = plain("a\nb\n'c'", cwd="/x\ny", env={"A": "1\n2"})
    assert text.count(b"\n") == 1
    assert script.under_sudo(NONCE, "a\nb", shell=bool(text), cwd="", env={}, user="x", prompt="p").count(b"\n") == 1


def test_a_directory_that_is_not_there_is_told_and_nothing_runs() -> None:
    out, head, err = ran(plain("echo ran", cwd="/no/such", text=False))
    assert (out, err, head.no_directory, head.begun) == (b"", b"", True, "")
    assert b"/no/such" in head.rest()


@given(noise=st.binary(max_size=80), more=st.binary(max_size=80), own=st.binary(max_size=200), size=st.integers(1, 50))
def test_wherever_it_is_cut_noise_before_and_output_behind_are_kept_apart(
    noise: bytes, more: bytes, own: bytes, size: int
) -> None:
    mark = NONCE.encode()
    if mark in noise or mark in more:
        return
    head = Head(NONCE)
    err = noise + mark + b" 4711\n" + more + mark + b" asks\n" + own
    out = noise + mark + b"\n" + own
    assert b"".join(head.err(err[at : at + size]) for at in range(0, len(err), size)) == own
    assert b"".join(head.out(out[at : at + size]) for at in range(0, len(out), size)) == own
    assert (head.pid, head.begun) == (4711, "asks")


def test_behind_the_beginning_nothing_is_read_any_more() -> None:
    head = Head(NONCE)
    head.err(f"{NONCE} 12\n{NONCE} go\n".encode())
    assert head.err(f"{NONCE} 13\n{NONCE} cd\n".encode()) == f"{NONCE} 13\n{NONCE} cd\n".encode()
    assert (head.pid, head.no_directory) == (12, False)


def test_processes_are_told_apart_whatever_they_are_called() -> None:
    listing = b"7 (a) S 1 7 7 0 -1\n8 () R 2 3 4 (x) Z 7 7 7 0 -1\n9 (c) Z 7 7 7 0 -1\n7 cut"
    found = processes_of(listing)
    assert sorted(found) == [7, 8, 9]
    assert [(each.parent, each.group, each.session) for each in found.values()] == [(1, 7, 7), (7, 7, 7), (7, 7, 7)]
    assert [each.alive for each in found.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("halt", "words"),
    [
        (Halt(True), "it was stopped"),
        (Halt(True, left=(5, 6)), "still runs, pid 5, 6"),
        (Halt(True, apart=(7,)), "in a session of its own still runs, pid 7"),
        (Halt(False), "it may still run, pid 4"),
    ],
)
def test_what_became_of_a_command_is_said_as_it_is(halt: Halt, words: str) -> None:
    assert halt.words(4).endswith(words)
    assert halt.stopped == (halt == Halt(True))


def _told(kind: str, *, signal: str = "", status: int = 0) -> paramiko.Channel:
    channel = paramiko.Channel(3)
    near, far = socket.socketpair()
    with near, far:
        channel._set_transport(Transport(near))  # type: ignore[attr-defined]  # never started
    message = paramiko.Message()
    message.add_int(3)
    message.add_string(kind)
    message.add_boolean(False)
    message.add_string(signal) if signal else message.add_int(status)
    message.rewind()
    message.get_int()
    Transport._channel_handler_table[MSG_CHANNEL_REQUEST](channel, message)
    return channel


def test_the_signal_and_the_status_that_sshd_tells_are_both_kept() -> None:
    channel = _told("exit-signal", signal="TERM")
    assert (exec_channel.exit_signal(channel), exec_channel.exit_status(channel)) == ("TERM", None)
    assert channel.exit_status_ready()
    channel = _told("exit-status", status=7)
    assert (exec_channel.exit_signal(channel), exec_channel.exit_status(channel)) == ("", 7)
