"""Secrets: every source, every wall, every refusal."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import secret_sources
from netssh_mcp.knowledge.secrets import Secret
from tests.keyrings import MemoryKeyring, in_memory

CANARY = "c4n4ry\\'\"é%{p}"


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    with in_memory() as ours:
        yield ours


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(CANARY + "\n")
    path.chmod(0o600)
    return path


def _python(program: str) -> Secret:
    return Secret.parse({"cmd": [sys.executable, "-c", program]})


def _refusal(secret: Secret) -> InputError:
    """The error of `reveal`, checked to hold the canary nowhere: not in its text, chain or traceback."""
    with pytest.raises(InputError) as caught:
        secret.reveal()
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts())
    assert "c4n4ry" not in everything
    assert caught.value.__context__ is None or "c4n4ry" not in repr(vars(caught.value.__context__))
    assert caught.value.hint
    return caught.value


def test_a_plain_secret_never_shows_its_value_in_any_form() -> None:
    secret = Secret.parse(CANARY, allow_plain=True)

    @dataclasses.dataclass(frozen=True)
    class Holder:
        secret: Secret

    shown = (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!a}",
        repr(Holder(secret)),
        secret.reference,
    )
    assert not [text for text in shown if "c4n4ry" in text]
    assert secret.reveal() == CANARY
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret
    assert not hasattr(secret, "__dict__")
    for refused in (lambda: pickle.dumps(secret), lambda: json.dumps(secret), lambda: json.dumps(vars(secret))):
        with pytest.raises(TypeError) as caught:
            refused()
        assert "c4n4ry" not in str(caught.value)


def test_a_secret_does_not_change() -> None:
    secret = Secret.parse("env:A")
    with pytest.raises(AttributeError):
        secret.reference = "env:B"
    with pytest.raises(AttributeError):
        del secret.reference


def test_equal_references_are_equal_and_plain_values_compare_without_showing() -> None:
    assert Secret.parse("env:A") == Secret.parse("env:A")
    assert Secret.parse("env:A") != Secret.parse("env:B")
    assert Secret.parse("x", allow_plain=True) != Secret.parse("y", allow_plain=True)
    assert Secret.parse("x", allow_plain=True) == Secret.parse("x", allow_plain=True)
    assert len({Secret.parse("env:A"), Secret.parse("env:A")}) == 1
    assert Secret.parse("env:A") != "env:A"


def test_env_is_read_at_the_moment_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret.parse("env:NETSSH_TEST_SECRET")
    assert secret.reference == "env:NETSSH_TEST_SECRET"
    assert secret.variable == "NETSSH_TEST_SECRET"
    assert "is not set" in str(_refusal(secret))
    assert "is not set" in secret.missing()
    monkeypatch.setenv("NETSSH_TEST_SECRET", CANARY)
    assert secret.reveal() == CANARY
    assert secret.missing() == ""
    monkeypatch.setenv("NETSSH_TEST_SECRET", "")
    assert "is empty" in str(_refusal(secret))


def test_a_secret_of_more_than_one_line_is_refused_for_it_would_type_a_second_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETSSH_TEST_SECRET", f"{CANARY}\nwrite erase")
    assert "more than one line" in str(_refusal(Secret.parse("env:NETSSH_TEST_SECRET")))
    with pytest.raises(InputError, match="more than one line"):
        Secret.parse("a\nb", allow_plain=True)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_private_file_gives_its_one_line(private: Path, ending: str) -> None:
    private.write_bytes((CANARY + ending).encode())
    assert Secret.parse(f"file:{private}").reveal() == CANARY


def test_a_relative_file_starts_at_the_inventory_s_folder_and_home_is_expanded(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Secret.parse("file:secret", folder=private.parent).reveal() == CANARY
    monkeypatch.setenv("HOME", str(private.parent))
    assert Secret.parse("file:~/secret", folder=Path("/")).reveal() == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(private: Path, mode: int) -> None:
    private.chmod(mode)
    secret = Secret.parse(f"file:{private}")
    error = _refusal(secret)
    assert f"{mode:04o}" in str(error)
    assert f"chmod 600 {private}" in error.hint
    assert f"{mode:04o}" in secret.missing()


def test_a_file_of_another_user_is_refused(private: Path) -> None:
    path = Path("/etc/passwd")
    if os.geteuid() == 0:
        os.chown(private, 54321, -1)
        path = private
    assert "another user" in str(_refusal(Secret.parse(f"file:{path}")))


def test_what_is_not_a_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        assert "not a regular file" in str(_refusal(Secret.parse(f"file:{tmp_path / name}")))
    assert "No such file" in str(_refusal(Secret.parse(f"file:{tmp_path / 'absent'}")))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"c4n4ry\n\n", "more than one line"),
        (b"c4n4ry\xff", "not UTF-8"),
        (b"c4n4ry" * 20_000, "more than 65536 bytes"),
    ],
)
def test_a_file_without_one_short_line_is_refused(private: Path, content: bytes, why: str) -> None:
    private.write_bytes(content)
    assert why in str(_refusal(Secret.parse(f"file:{private}")))


@pytest.mark.parametrize("form", ["list", "text"])
def test_a_command_runs_without_a_shell(form: str) -> None:
    argv = [sys.executable, "-c", "import sys; print(sys.argv[1])", "$HOME; `id`"]
    secret = Secret.parse({"cmd": argv} if form == "list" else f"cmd:{json.dumps(argv)}")
    assert secret.reveal() == "$HOME; `id`"
    assert secret.reference == f"cmd:{Path(sys.executable).name}"
    assert "$HOME" not in repr(secret)


def test_a_failing_command_shows_neither_its_output_nor_its_messages() -> None:
    program = "import sys; print('c4n4ry'); print('c4n4ry', file=sys.stderr); sys.exit(3)"
    assert "exit status 3" in str(_refusal(_python(program)))


def test_a_command_that_does_not_exist_is_named() -> None:
    secret = Secret.parse('cmd:["netssh-no-such-program", "arg"]')
    assert "cmd:netssh-no-such-program cannot be started" in str(_refusal(secret))
    assert "no such program" in secret.missing()


def test_a_command_that_hangs_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secret_sources, "CMD_SECONDS", 0.5)
    os.mkfifo(tmp_path / "alive")  # its write end is held by the child, so reading it ends when the child has
    program = 'tail -f /dev/null >"$0" & echo c4n4ry; wait'
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    secret = Secret.parse({"cmd": ["/bin/sh", "-c", program, str(tmp_path / "alive")]})
    assert "no answer within" in str(_refusal(secret))
    os.set_blocking(alive, True)
    assert os.read(alive, 1) == b""  # the end of the file: nobody holds it any more
    os.close(alive)


def test_a_command_that_never_stops_printing_is_stopped() -> None:
    assert "far too long" in str(_refusal(Secret.parse({"cmd": ["yes", "c4n4ry"]})))


def test_a_command_does_not_see_the_variables_that_hold_other_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSSH_TEST_SECRET", CANARY)
    secret = _python("import os; print(os.environ.get('NETSSH_TEST_SECRET', 'withheld'))")
    assert secret.reveal() == CANARY
    assert secret.withholding(frozenset({"NETSSH_TEST_SECRET"})).reveal() == "withheld"
    assert Secret.parse("env:A").withholding(frozenset({"A"})) == Secret.parse("env:A")


def test_a_command_cannot_read_our_input_which_is_the_mcp_stream() -> None:
    assert _python("import sys; print('read:' + sys.stdin.read())").reveal() == "read:"


def test_the_keyring_gives_the_password_of_service_and_user(memory_keyring: MemoryKeyring) -> None:
    memory_keyring.stored["team/net", "admin"] = CANARY
    secret = Secret.parse("keyring:team/net/admin")
    assert secret.reveal() == CANARY
    assert secret.missing() == ""
    memory_keyring.locked = True
    assert "KeyringLocked" in str(_refusal(secret))
    memory_keyring.locked = False
    assert "not in the keyring" in str(_refusal(Secret.parse("keyring:team/nobody")))


def test_without_the_keyring_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    secret = Secret.parse("keyring:a/b")
    assert "netssh-mcp[keyring]" in _refusal(secret).hint
    assert "keyring package" in secret.missing()


@pytest.mark.parametrize(
    "written",
    [
        "env:",
        "env:c4n4ry-1",
        "env:A=c4n4ry",
        "file:",
        "file:c4n4ry\0",
        "cmd:",
        "cmd:c4n4ry",
        'cmd:"c4n4ry"',
        "cmd:[]",
        'cmd:["", "c4n4ry"]',
        'cmd:["c4n4ry", 1]',
        "keyring:c4n4ry",
        "keyring:/c4n4ry",
        "c4n4ry",
        "plain:c4n4ry",
        "evn:c4n4ry",
        {"cmd": "c4n4ry"},
        {"env": "c4n4ry"},
        {"cmd": ["c4n4ry"], "more": 1},
        ["c4n4ry"],
        4711,
        None,
        True,
    ],
)
def test_what_is_not_a_reference_is_refused_and_never_quoted(written: object) -> None:
    with pytest.raises(InputError) as caught:
        Secret.parse(written)
    assert "c4n4ry" not in str(caught.value) + caught.value.hint + repr(caught.value.__context__)
    assert "Write" in caught.value.hint


def test_plain_is_a_way_to_write_a_password_that_looks_like_a_reference() -> None:
    assert Secret.parse("plain:env:HOME", allow_plain=True).reveal() == "env:HOME"
