"""What variables say of a host, and the env file: dotenv's lines, privacy, and who gets which secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge import overrides
from netssh_mcp.knowledge.env_file import Environment
from netssh_mcp.knowledge.inventory import Inventory, InventorySource
from netssh_mcp.knowledge.inventory_report import list_rows
from netssh_mcp.knowledge.settings import variables
from netssh_mcp.knowledge.vault import Vault

PLATFORMS = {"linux": "linux", "cisco_ios": "cisco_ios", "ios": "cisco_ios"}
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NETSSH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "inventory.yaml", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text))
        path.chmod(mode)
        return path

    return _write


def load(*paths: Path, overlay: Path | None = None, env_file: Path | None = None, ad_hoc: bool = False) -> Inventory:
    source = InventorySource(paths, PLATFORMS, overlay=overlay, env_file=env_file, ad_hoc=ad_hoc)
    return source.current()


# -- the env file ------------------------------------------------------------------------------------------------------


def test_the_lines_of_an_env_file_mean_what_dotenv_files_mean(write: Write) -> None:
    path = write(
        r"""
        # a comment
        PLAIN=value
          export EXPORTED = spaced out   # a comment
        HASH=a#b
        EMPTY=
        SINGLE='as $it "is" \n # here'   # gone
        DOUBLE="tab\tquote\" back\\slash \# $HOME"
        EQUALS=a=b==
        """,
        "env",
    )
    assert dict(Environment(path).file()) == {
        "PLAIN": "value",
        "EXPORTED": "spaced out",
        "HASH": "a#b",
        "EMPTY": "",
        "SINGLE": 'as $it "is" \\n # here',
        "DOUBLE": 'tab\tquote" back\\slash # $HOME',
        "EQUALS": "a=b==",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("c4n4ry\n", "line 1 is not NAME=VALUE"),
        ("A=1\n1B=c4n4ry\n", "line 2 is not NAME=VALUE"),
        ("A='c4n4ry\n", "the quotes of A are not closed"),
        ('A="c4n4ry" more\n', "the quotes of A are not closed, or something follows"),
        ("A=c4n4ry\nA=2\n", "line 2: A is there already"),
        ("A=\udcff", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_quoted(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "env"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(InputError, match=why) as caught:
        Environment(path).file()
    seen = []
    trace = caught.value.__traceback__
    while trace is not None:
        seen.append(repr(trace.tb_frame.f_locals) if "netssh_mcp" in trace.tb_frame.f_code.co_filename else "")
        trace = trace.tb_next
    assert "c4n4ry" not in "".join(seen) + str(caught.value) + caught.value.hint


def test_an_env_file_that_others_may_read_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match=r"is open to others \(mode 0640\)"):
        load(write("hosts: {a: {platform: linux, username: u}}"), env_file=write("A=1\n", "env", mode=0o640))


def test_the_file_is_read_again_when_it_changes_and_its_secrets_are_known_to_redaction(write: Write) -> None:
    path = write("A=first-secret\nNETSSH_A_HOST=192.0.2.1\nNETSSH_LOG_LEVEL=debug\n", "env")
    vault = Vault()
    environment = Environment(path, vault)
    assert environment.get("A") == "first-secret"
    write("A=second-secret!\n", "env")
    assert environment.get("A") == "second-secret!"
    assert vault.values() == ("second-secret!", "first-secret")


def test_references_look_into_the_file_first_and_children_see_none_of_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_PASSWORD", "of-the-process")
    inventory = write("hosts: {a: {platform: linux, username: u, password: 'env:LAB_PASSWORD'}}")
    assert _password(load(inventory), "a") == "of-the-process"
    mine = load(inventory, env_file=write("LAB_PASSWORD=of-the-file\nOTHER=hidden-from-all\n", "env"))
    assert _password(mine, "a") == "of-the-file"
    child = [sys.executable, "-c", "import os; print(os.environ)"]
    seen = subprocess.run(child, capture_output=True, text=True, check=True).stdout
    assert "of-the-file" not in seen
    assert "hidden-from-all" not in seen


def test_a_file_that_breaks_later_gives_no_old_value(write: Write) -> None:
    inventory = write("hosts: {a: {platform: linux, username: u, password: 'env:LAB_PASSWORD'}}")
    device = load(inventory, env_file=write("LAB_PASSWORD=of-the-file\n", "env")).device("a")
    write("LAB_PASSWORD='c4n4ry\n", "env")
    assert device.password is not None
    with pytest.raises(InputError, match=r"env:LAB_PASSWORD: .*env: line 1") as caught:
        device.password.reveal()
    assert "c4n4ry" not in str(caught.value)


# -- overrides ---------------------------------------------------------------------------------------------------------


def _password(inventory: Inventory, name: str) -> str:
    secret = inventory.device(name).password
    assert secret is not None
    return secret.reveal()


def test_each_of_the_seven_variables_wins_over_the_file_and_what_it_inherits(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = write(
        """
        defaults: {username: netops, password: env:OF_ALL, key_file: /etc/all.key, port: 2222}
        hosts: {web-1.ber: {hostname: 192.0.2.1, platform: linux, sudo: env:SUDO}}
        """
    )
    env_file = write(
        """
        NETSSH_WEB_1_BER_HOST=192.0.2.9
        NETSSH_WEB_1_BER_PORT=22
        NETSSH_WEB_1_BER_KEY=keys/web
        NETSSH_WEB_1_BER_PASSWORD=from-the-file
        NETSSH_WEB_1_BER_ENABLE='enable me'
        """,
        "env",
    )
    monkeypatch.setenv("NETSSH_WEB_1_BER_USER", "root")
    monkeypatch.setenv("NETSSH_WEB_1_BER_SUDO", "sudo me")
    monkeypatch.setenv("NETSSH_WEB_1_BER_PASSWORD", "of the process")
    source = InventorySource([inventory], PLATFORMS, env_file=env_file)
    device = source.current().device("web-1.ber")
    assert (device.hostname, device.port, device.username) == ("192.0.2.9", 22, "root")
    assert device.key_files == (tmp_path / "keys" / "web",)
    assert {key: secret.reveal() for key, secret in device.secrets.items()} == {
        "password": "from-the-file",
        "enable": "enable me",
        "sudo": "sudo me",
    }
    assert len(device.overridden) == len(overrides.KEYS)
    (row,) = list_rows(source.current())
    assert row["overridden"] == "HOST, PORT, USER, PASSWORD, KEY, SUDO, ENABLE"
    shown = f"{device!r} {row} {source.vault!r}"
    assert not [value for value in ("from-the-file", "enable me", "sudo me") if value in shown]
    assert set(source.vault.values()) == {"from-the-file", "enable me", "sudo me"}


def test_variables_of_nobody_and_empty_ones_change_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSSH_WEB2_HOST", "192.0.2.9")
    monkeypatch.setenv("NETSSH_WEB1_HOST", "")
    monkeypatch.setenv("NETSSH_PASSWORD", "x" * 8)
    device = load(write("hosts: {web1: {platform: linux, username: u}}")).device("web1")
    assert (device.hostname, device.overridden, device.secrets) == ("web1", (), {})


def test_a_variable_that_means_two_hosts_is_an_error_that_names_both(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = write("hosts: {web-1: {platform: linux, username: u}, web.1: {platform: linux, username: u}}")
    assert list(load(inventory).devices) == ["web-1", "web.1"]
    monkeypatch.setenv("NETSSH_WEB_1_USER", "root")
    with pytest.raises(InputError, match=r"hosts\.web\.1: NETSSH_WEB_1_\.\.\. variables .* this host's and web-1's"):
        load(inventory)


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("NETSSH_A_PORT", "c4n4ry", "NETSSH_A_PORT must be a whole number from 1 to 65535"),
        ("NETSSH_A_PORT", "0", "NETSSH_A_PORT must be a whole number from 1 to 65535"),
        ("NETSSH_A_HOST", "-oProxyCommand=c4n4ry", "NETSSH_A_HOST must be a host name or an address"),
        ("NETSSH_A_USER", "-c4n4ry", "NETSSH_A_USER must be a login name"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_that_names_the_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=why) as caught:
        load(write("hosts: {a: {platform: linux, username: u}}"))
    assert "c4n4ry" not in str(caught.value)


def test_a_secret_of_two_lines_is_refused_where_it_is_used(write: Write) -> None:
    device = load(
        write("hosts: {a: {platform: linux, username: u}}"), env_file=write('NETSSH_A_PASSWORD="a\\nb"\n', "env")
    ).device("a")
    assert device.password is not None
    with pytest.raises(InputError, match="NETSSH_A_PASSWORD gives more than one line"):
        device.password.reveal()


def test_no_setting_of_the_server_can_be_taken_for_a_hosts_variable() -> None:
    assert [name for name in variables() if name.rpartition("_")[2] in overrides.KEYS] == []


# -- hosts that the operator did not write -------------------------------------------------------------------------

ADDED = "hosts: {web9: {hostname: 203.0.113.66, platform: linux, username: u}}"


@pytest.mark.parametrize("key", ["PASSWORD", "SUDO", "ENABLE"])
def test_a_secret_for_an_added_host_counts_only_with_an_address_by_the_operator(
    write: Write, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    inventory, overlay = write("hosts: {}"), write(ADDED, "added.yaml")
    monkeypatch.setenv(f"NETSSH_WEB9_{key}", "s3cret-of-9")
    monkeypatch.setenv("NETSSH_WEB9_USER", "ops")
    device = load(inventory, overlay=overlay).device("web9")
    assert (device.secrets, device.username) == ({}, "ops")
    assert device.withheld == (f"NETSSH_WEB9_{key}",)
    monkeypatch.setenv("NETSSH_WEB9_HOST", "192.0.2.9")
    bound = load(inventory, overlay=overlay).device("web9")
    assert (bound.hostname, bound.withheld) == ("192.0.2.9", ())
    assert list(bound.secrets) == [key.lower()]


def test_the_defaults_secrets_reach_no_added_host_unless_the_operator_lists_them(write: Write) -> None:
    text = """
        unlisted: {secrets: %s}
        defaults:
          username: netops
          password: env:OF_ALL
          sudo: stored:sudo-all
          key_passphrase: env:PHRASE
          key_file: /etc/all.key
          credentials: [{password: env:SECOND}, {key_file: /etc/second.key, key_passphrase: env:PHRASE}]
        hosts: {r1: {platform: linux}}
        """
    overlay = write("hosts: {web9: {hostname: 203.0.113.66, platform: linux}}", "added.yaml")
    device = load(write(text % "[]"), overlay=overlay).device("web9")
    assert list(device.secrets) == ["key_passphrase"], "it opens a file here and goes nowhere"
    assert [each.password for each in device.credentials] == [None]
    assert device.withheld == ("password", "sudo", "credentials")
    assert len(load(write(text % "[]"), overlay=overlay).device("r1").secrets) == 3
    some = load(write(text % "['stored:sudo-*']"), overlay=overlay).device("web9")
    assert list(some.secrets) == ["sudo", "key_passphrase"]


def test_an_unlisted_target_gets_keys_and_times_of_the_defaults_and_no_secret(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = write(
        """
        defaults: {username: netops, password: env:OF_ALL, key_file: /etc/all.key, timeout: 9, data: {site: ber}}
        hosts: {r1: {platform: cisco_ios, hostname: 192.0.2.1}}
        """
    )
    device = load(inventory, ad_hoc=True).device("ops@192.0.2.7:2222")
    assert (device.name, device.platform, device.origin) == ("ops@192.0.2.7:2222", "linux", "ad_hoc")
    assert (device.hostname, device.port, device.username) == ("192.0.2.7", 2222, "ops")
    assert (device.key_files, device.timeout, device.data) == ((Path("/etc/all.key"),), 9.0, {})
    assert (device.secrets, device.withheld) == ({}, ("password",))

    monkeypatch.setenv("NETSSH_OPS_DB_EXAMPLE_COM_PASSWORD", "for-the-database")
    assert load(inventory, ad_hoc=True).device("ops@db.example.com").secrets == {}
    monkeypatch.setenv("NETSSH_OPS_DB_EXAMPLE_COM_HOST", "db.example.com")
    meant = load(inventory, ad_hoc=True)
    assert list(meant.device("ops@db.example.com").secrets) == ["password"]
    assert meant.device("ops@db-example.com").secrets == {}, "another host with the same variables"
