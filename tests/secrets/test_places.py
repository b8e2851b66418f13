"""Where secrets may live besides files and variables: our own store, Netmiko's encrypted values, plug-ins, logs not."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest
from netmiko.encryption_handling import encrypt_value

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import secret_store
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.log_scrubbing import scrubbed_logs
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.vault import Vault
from tests.keyrings import MemoryKeyring, in_memory

CANARY = "c4n4ry\\'\"é%{p}"


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    with in_memory() as ours:
        yield ours


@pytest.fixture
def no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]  # keyring's own
    yield
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "netssh-mcp" / "secrets"


# -- netssh-mcp secret ---------------------------------------------------------------------------------------------


def set_(name: str, *answers: str) -> str:
    left = list(answers)
    return secret_store.command("set", [name], lambda _question: left.pop(0))


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_the_value_goes_into_a_private_file(config: Path) -> None:
    said = set_("lab", CANARY, CANARY)
    assert said == "lab is stored in the file; refer to it as stored:lab"
    (path,) = config.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert config.stat().st_mode & 0o777 == 0o700
    assert Secret.parse("stored:lab").reveal() == CANARY
    assert secret_store.command("list", [], None) == "lab  file"
    assert secret_store.command("test", ["stored:lab"], None) == "stored:lab gives a value"
    path.chmod(0o644)
    with pytest.raises(InputError, match="is open to others"):
        Secret.parse("stored:lab").reveal()


def test_with_a_keyring_only_the_name_is_on_disk(memory_keyring: MemoryKeyring, config: Path) -> None:
    assert "in the keyring" in set_("lab", CANARY, CANARY)
    assert memory_keyring.stored == {("netssh-mcp", "lab"): CANARY}
    assert [path.read_bytes() for path in config.iterdir()] == [b""]
    assert Secret.parse("stored:lab").reveal() == CANARY
    assert Secret.parse("stored:lab").missing() == ""
    assert secret_store.command("remove", ["lab"], None) == "lab is removed from the keyring"
    assert (memory_keyring.stored, list(config.iterdir())) == ({}, [])
    with pytest.raises(InputError, match="stored:lab is not stored"):
        Secret.parse("stored:lab").reveal()


def test_a_locked_keyring_is_stood_in_for_and_a_new_value_takes_the_old_ones_place(
    memory_keyring: MemoryKeyring,
) -> None:
    memory_keyring.locked = True
    assert "in the file" in set_("lab", "one", "one")
    memory_keyring.locked = False
    assert "in the keyring" in set_("lab", CANARY, CANARY)
    assert secret_store.places() == {"lab": "keyring"}
    assert Secret.parse("stored:lab").reveal() == CANARY


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize(
    ("words", "answers", "why"),
    [
        (["lab"], ["a", "b"], "the two are not the same"),
        (["lab"], ["", ""], "nothing was typed"),
        (["lab"], ["c4n4ry\n", "c4n4ry\n"], "more than one line"),
        (["lab"], ["c4n4ry\x15", "c4n4ry\x15"], "a control character"),
        (["lab", "c4n4ry"], [], "one name follows"),
        ([], [], "one name follows"),
        (["../lab"], [], "no name"),
        (["-lab"], [], "no name"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_not_quoted(words: list[str], answers: list[str], why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        secret_store.command("set", words, lambda _question: answers.pop(0))
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    assert "c4n4ry" not in shown.replace(__file__, "")
    assert secret_store.places() == {}


def test_removing_what_is_not_stored_names_what_is() -> None:
    with pytest.raises(InputError, match="lab is not stored"):
        secret_store.command("remove", ["lab"], None)
    assert secret_store.command("list", [], None) == "nothing is stored"


def test_without_a_terminal_nothing_is_read() -> None:
    command = [sys.executable, "-m", "netssh_mcp", "secret", "set", "lab"]
    ran = subprocess.run(command, input="c4n4ry\n" * 2, text=True, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert "asks on a terminal" in ran.stderr
    assert secret_store.places() == {}


def test_on_a_terminal_nothing_is_echoed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    process = subprocess.Popen(
        [sys.executable, "-m", "netssh_mcp", "secret", "set", "lab"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=environment,
    )
    os.close(theirs)
    shown = b""
    for question in (b"The value of lab (not shown): ", b"Again: "):
        while question not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"c4n4ry\n")
    while b"stored:lab" not in shown:
        shown += os.read(ours, 4096)
    assert process.wait(20) == 0
    os.close(ours)
    assert b"c4n4ry" not in shown
    assert Secret.parse("stored:lab").reveal() == "c4n4ry"


@pytest.mark.parametrize("before", [b"", b"c4n4ry\n"], ids=["first", "again"])
@pytest.mark.parametrize(
    ("key", "status", "said"),
    [(b"\x04", 2, b"nothing was typed; nothing was stored"), (b"\x03", 130, b"interrupted")],
    ids=["ctrl-d", "ctrl-c"],
)
def test_ctrl_d_and_ctrl_c_end_the_question_with_words(before: bytes, key: bytes, status: int, said: bytes) -> None:
    ours, theirs = pty.openpty()
    # Ctrl-C is a signal only on a terminal that controls its session.
    program = "import fcntl, runpy, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); sys.argv[0] = 'netssh-mcp'; "
    program += "runpy.run_module('netssh_mcp', run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "secret", "set", "lab"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for question, answer in ((b"(not shown): ", before or key), (b"Again: ", key))[: 2 if before else 1]:
        while question not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, answer)
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while data := os.read(ours, 4096):
            shown += data
    assert process.wait(20) == status
    os.close(ours)
    assert said in shown
    assert b"Traceback" not in shown
    assert b"c4n4ry" not in shown
    assert secret_store.places() == {}


# -- Netmiko's encrypted values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fernet", "aes128"])
def test_a_value_that_netmiko_encrypted_is_read_with_netmikos_key(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = encrypt_value(CANARY, b"boss", kind)
    secret = Secret.parse(written)
    monkeypatch.delenv("NETMIKO_TOOLS_KEY", raising=False)
    with pytest.raises(InputError, match="NETMIKO_TOOLS_KEY is not set"):
        secret.reveal()
    assert "NETMIKO_TOOLS_KEY is not set" in secret.missing()
    monkeypatch.setenv("NETMIKO_TOOLS_KEY", "boss")
    assert secret.reveal() == CANARY
    assert written not in f"{secret!r}{secret.reference}"
    monkeypatch.setenv("NETMIKO_TOOLS_KEY", "another")
    with pytest.raises(InputError, match="cannot be opened with the key"):
        secret.reveal()


@pytest.mark.parametrize("written", ["__encrypt__", "__encrypt__x", "__encrypt__!:!", "__encrypt__AAAA:AAAA"])
def test_what_only_looks_like_it_is_named(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMIKO_TOOLS_KEY", "boss")
    with pytest.raises(InputError, match=r"cannot be opened|is empty"):
        Secret.parse(written).reveal()


def test_commands_do_not_see_netmikos_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMIKO_TOOLS_KEY", "boss")
    program = "import os; print(os.environ.get('NETMIKO_TOOLS_KEY', 'withheld'))"
    assert Secret.parse({"cmd": [sys.executable, "-c", program]}).reveal() == "withheld"


# -- plug-ins ------------------------------------------------------------------------------------------------------


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that resolves `lockbox:`."""
    site = tmp_path / "site"
    folder = site / "lockbox-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lockbox\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[netssh_mcp.secrets]\nlockbox = netssh_test_lockbox:resolve\n")
    (site / "netssh_test_lockbox.py").write_text(
        "def resolve(reference):\n"
        "    if reference == 'none':\n"
        "        return None\n"
        "    return {'team/routers': 'c4n4ry from the box', 'two': 'c4n4ry\\nlines'}[reference]\n"
    )
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("plugin")
def test_a_plug_in_resolves_its_own_scheme() -> None:
    secret = Secret.parse("lockbox:team/routers")
    assert secret.reveal() == "c4n4ry from the box"
    assert secret.reference == "lockbox:team/routers"
    for reference, why in (
        ("absent", "failed \\(KeyError\\)"),
        ("none", "gave no text"),
        ("two", "more than one line"),
    ):
        with pytest.raises(InputError, match=why) as caught:
            Secret.parse(f"lockbox:{reference}").reveal()
        assert "c4n4ry" not in str(caught.value)


def test_without_the_plug_in_it_is_plain_text_and_refused() -> None:
    with pytest.raises(InputError, match="plain text is refused"):
        Secret.parse("lockbox:team/routers")


# -- the vault and the logs ----------------------------------------------------------------------------------------


def test_each_value_that_an_inventory_reveals_is_known_to_its_vault(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "allow_plaintext: true\ndefaults: {username: u, platform: linux}\nhosts:\n"
        "  h1: {password: c4n4ry-1, credentials: [{password: c4n4ry-2}]}\n"
    )
    path.chmod(0o600)
    vault = Vault()
    device = InventorySource([path], {"linux"}, vault).current().device("h1")
    assert vault.values() == ()
    for each in device.sets():
        assert each.password is not None
        each.password.reveal()
    assert set(vault.values()) == {"c4n4ry-1", "c4n4ry-2"}


def test_a_problem_of_an_inventory_leaves_no_plain_text_in_its_tracebacks_locals(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "allow_plaintext: true\ndefaults: {username: u, platform: linux, password: c4n4ry-0}\nhosts:\n"
        "  h1: {password: plain:c4n4ry-1, port: c4n4ry-2, credentials: [{password: c4n4ry-3, nonsense: c4n4ry-4}]}\n"
    )
    path.chmod(0o600)
    with pytest.raises(InputError) as caught:
        InventorySource([path], {"linux"}).current()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "c4n4ry" not in shown.replace("tests/secrets", "")
    assert "nonsense: there is no such key" in str(caught.value)


def test_log_lines_their_arguments_and_tracebacks_are_scrubbed_in_every_spelling() -> None:
    vault, stream = Vault(), io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("netssh_mcp.test.scrubbing")
    logging.getLogger().addHandler(handler)
    try:
        with scrubbed_logs(vault):
            vault.learn(CANARY)
            log.warning("raw %s repr %r bytes %r", CANARY, CANARY, CANARY.encode())
            for spelling in Vault.spellings(CANARY):
                log.warning("it is %s.", spelling)
            try:
                int(CANARY)
            except ValueError:
                log.exception("failed with %(what)s", {"what": (CANARY,)})
            log.warning("no arguments fit: %s %s", stack_info=True)
    finally:
        logging.getLogger().removeHandler(handler)
    shown = stream.getvalue()
    assert "raw <redacted> repr '<redacted>'" in shown.replace('"<', "'<").replace('>"', ">'")
    assert "c4n4ry" not in shown.replace(__file__, "")
    assert "ValueError: invalid literal" in shown
    assert "no arguments fit" in shown
