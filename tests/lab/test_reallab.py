"""The lab keeps its promises, and real vtysh, sshd and sudo behave as our code assumes. Paramiko only."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from tests.lab.raw import Raw, Shell
from tests.lab.reallab import RealLab
from tests.lab.reallab.build import until
from tests.lab.reallab.topology import NODES

pytestmark = pytest.mark.real
PROMPT = rb"\r\nr1# "


@pytest.fixture
def r1(real_lab: RealLab) -> Iterator[Shell]:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        shell = raw.shell()
        shell.until(PROMPT)
        yield shell


# -- the lab ------------------------------------------------------------------------------------------------------


def test_a_router_lets_the_administrator_in_with_password_and_with_key(real_lab: RealLab) -> None:
    for with_key in (False, True):
        with Raw(real_lab, "r1", real_lab.admin, with_key=with_key) as raw:
            assert b"Hello, this is FRRouting" in raw.shell().until(PROMPT)
            assert raw.transport.get_banner() == b"Lab: authorised use only\n"


def test_a_wrong_password_is_refused(real_lab: RealLab, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not-the-password")
    with pytest.raises(paramiko.AuthenticationException):
        Raw(real_lab, "r1", type(real_lab.admin)(real_lab.admin.name, tmp_path / "wrong"))


def test_known_hosts_names_every_node_with_both_keys(real_lab: RealLab) -> None:
    known = paramiko.HostKeys(str(real_lab.known_hosts))
    for node in NODES:
        assert set(known[f"[127.0.0.1]:{real_lab.port(node.name)}"]) == {"ssh-ed25519", "ssh-rsa"}
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        assert known.check(f"[127.0.0.1]:{real_lab.port('r1')}", raw.transport.get_remote_server_key())


def test_the_network_has_converged(real_lab: RealLab, r1: Shell) -> None:
    assert len(r1.ask("show ip route").splitlines()) >= 150
    peers = json.loads(r1.ask("show ip bgp summary json"))["ipv4Unicast"]["peers"]
    assert {peer["state"] for peer in peers.values()} == {"Established"}
    assert r1.ask("show ip ospf neighbor").count(" Full/") == 2


def test_bringing_it_up_again_changes_nothing(real_lab: RealLab) -> None:
    before = real_lab.inventory(), real_lab.admin.password
    RealLab().up()
    assert (real_lab.inventory(), real_lab.admin.password) == before


def test_the_inventory_holds_references_and_no_secret(real_lab: RealLab, tmp_path: Path) -> None:
    path = real_lab.write_inventory(tmp_path / "inventory.yaml")
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(text)["hosts"]) == {"r1", "r2", "r3", "linux1"}
    for user in real_lab.users.values():
        assert user.password not in text
        assert user.password not in repr(user)
        assert stat.S_IMODE(user.password_file.stat().st_mode) == 0o600


# -- the Linux host -----------------------------------------------------------------------------------------------


def test_sudo_takes_the_password_on_stdin(real_lab: RealLab) -> None:
    with Raw(real_lab, "linux1", real_lab.ops) as raw:
        status, out, err = raw.run("sudo -k -S -p '' id -u", real_lab.ops.password + "\n")
    assert (status, out.strip(), err) == (0, "0", "")


def test_sudo_asks_in_a_terminal_and_refuses_a_wrong_password(real_lab: RealLab) -> None:
    with Raw(real_lab, "linux1", real_lab.ops) as raw:
        shell = raw.shell()
        shell.until(rb"\$ ")
        shell.send(b"sudo -k id -u\n")
        shell.until(rb"\[sudo\] password for netssh-ops: ")
        shell.send(b"wrong\n")
        shell.until(rb"Sorry, try again")


def test_sudo_without_password_for_whom_it_is_granted(real_lab: RealLab) -> None:
    with Raw(real_lab, "linux1", real_lab.root) as raw:
        assert raw.run("sudo -n id -u")[:2] == (0, "0\n")


def test_sftp_lists_writes_and_reads(real_lab: RealLab) -> None:
    with Raw(real_lab, "linux1", real_lab.ops) as raw, raw.sftp() as sftp:
        with sftp.open("note.txt", "wb") as file:
            file.write(b"x" * 100_000)
        assert "note.txt" in sftp.listdir(".")
        with sftp.open("note.txt", "rb") as file:
            assert file.read() == b"x" * 100_000
        sftp.remove("note.txt")


def test_a_router_behind_the_jump_host_is_reached_through_it_only(real_lab: RealLab) -> None:
    with Raw(real_lab, "linux1", real_lab.ops, address=("198.18.0.2", 22)) as jump:
        tunnel = jump.transport.open_channel("direct-tcpip", ("198.18.1.2", 22), ("127.0.0.1", 0), timeout=5)
        inner = paramiko.Transport(tunnel)
        inner.connect(username=real_lab.admin.name, password=real_lab.admin.password)
        assert inner.is_authenticated()
        inner.close()


# -- lost links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_killed_sshd_is_seen_as_the_end_of_the_session(real_lab: RealLab, how: str) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        shell = raw.shell()
        shell.until(PROMPT)
        getattr(real_lab.session("r1", raw.client), how)()
        with pytest.raises(EOFError):
            shell.until(rb"never")


def test_a_frozen_session_answers_only_after_the_thaw(real_lab: RealLab) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        shell = raw.shell()
        shell.until(PROMPT)
        session = real_lab.session("r1", raw.client)
        session.freeze()
        shell.send(b"!thawed\n")
        with pytest.raises(TimeoutError):
            shell.until(PROMPT, timeout=0.3)
        session.thaw()
        assert b"!thawed" in shell.until(PROMPT)


def test_a_cut_link_is_a_black_hole_and_heals(real_lab: RealLab) -> None:
    with Raw(real_lab, "r3", real_lab.admin, address=("198.18.0.6", 22)) as raw:
        shell = raw.shell()
        shell.until(rb"r3# ")
        with real_lab.cut("r3"):
            shell.send(b"!through\n")
            with pytest.raises(TimeoutError):
                shell.until(rb"!through", timeout=0.3)
        shell.until(rb"!through\r\nr3# ")  # TCP sends again


def test_routing_notices_a_cut_link_and_recovers(real_lab: RealLab, r1: Shell) -> None:
    with real_lab.cut("r1-r2"):
        until(lambda: " Full/" not in r1.ask("show ip ospf neighbor eth1"), "OSPF's dead interval")
        assert "172.16.2.0/24" in r1.ask("show ip route")  # the long way round, or still the old one
    real_lab.await_convergence()
    assert r1.ask("show ip ospf neighbor").count(" Full/") == 2


# -- FRR's quirks, as raw facts -----------------------------------------------------------------------------------


def test_width_is_unknown_to_vtysh_and_length_is_not(r1: Shell) -> None:
    assert r1.ask("show nonsense") == "% Unknown command: show nonsense"
    assert r1.ask("terminal width 511") == "% Unknown command: terminal width 511"
    assert r1.ask("show ip") == "% Command incomplete: show ip"
    r1.send(b"terminal length 0\n")
    assert r1.until(rb"r1# ") == b"terminal length 0\r\nr1# "


def test_a_comment_is_echoed_and_changes_nothing_in_any_mode(r1: Shell) -> None:
    for line, prompt in ((b"!f3a9", b"r1# "), (b"configure terminal", b"r1(config)# "), (b"!f3a9", b"r1(config)# ")):
        r1.send(line + b"\n")
        assert r1.until(rb"\r\nr1[^ ]*# ") == line + b"\r\n" + prompt


def test_type_ahead_in_the_same_write_is_not_echoed_early(r1: Shell) -> None:
    for number in range(50):
        nonce = b"!%08x" % number
        r1.send(b"show ip route\n" + nonce + b"\n")
        text = r1.until(rb"r1# " + nonce + rb"\r\nr1# ")
        assert text.count(nonce) == 1


def test_type_ahead_while_a_command_runs_is_echoed_early(r1: Shell) -> None:
    r1.send(b"ping 10.0.12.2\n")
    r1.until(rb"icmp_seq=1 ")
    r1.send(b"!early\n")
    assert b"r1# " not in r1.until(rb"!early\r\n")
    r1.send(b"\x03")  # also throws the type-ahead away
    assert b"!early" not in r1.until(rb"ping statistics ---[^#]*\r\nr1# ")


def test_ping_never_ends_and_control_c_ends_it_with_a_log_line_behind_the_prompt(r1: Shell) -> None:
    r1.send(b"ping 10.0.12.2\n")
    r1.until(rb"icmp_seq=7 ")  # vtysh complains about what ran longer than 5 s
    r1.send(b"\x03")
    r1.until(rb"packets transmitted[^#]*\r\nr1# ")
    assert r1.until(rb"STARVATION[^\n]*\n").endswith(b"\r\n")
    r1.send(b"!back\n")
    assert r1.until(rb"r1# ") == b"!back\r\nr1# "


def test_paginate_brings_less_with_its_alternate_screen(real_lab: RealLab) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        shell = raw.shell(width=80, height=24, term="xterm")
        shell.until(PROMPT)
        shell.ask("terminal paginate")
        shell.send(b"show ip route\n")
        assert b"\x1b[?1049h" in shell.until(rb"\r\n:\x1b\[K")
        shell.send(b"q")
        assert b"\x1b[?1049l" in shell.until(rb"r1# ")
        shell.send(b"terminal length 0\n")
        shell.until(rb"r1# ")
        assert len(shell.ask("show ip route").splitlines()) >= 150


def test_write_memory_succeeds_with_a_warning_that_looks_like_a_refusal(r1: Shell) -> None:
    text = r1.ask("write memory")
    assert "\r\n% Warning: can't chown" in text
    assert text.rstrip().splitlines()[-1].startswith("Integrated configuration saved to ")


def test_the_running_config_shows_the_enable_password_in_clear_text(real_lab: RealLab, r1: Shell) -> None:
    assert f"enable password {real_lab.enable_password}" in r1.ask("show running-config").splitlines()


def test_a_new_hostname_is_in_the_very_next_prompt(real_lab: RealLab) -> None:
    with Raw(real_lab, "r2", real_lab.admin) as raw:
        shell = raw.shell()
        shell.until(rb"r2# ")
        try:
            shell.send(b"configure terminal\nhostname edge\n")
            shell.until(rb"\r\nedge\(config\)# ")
        finally:
            shell.send(b"hostname r2\nend\n")
            shell.until(rb"\r\nr2# ")


def test_a_line_as_wide_as_the_terminal_is_drawn_anew(real_lab: RealLab) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        shell = raw.shell(width=80, height=24, term="xterm")
        shell.until(PROMPT)
        shell.send(b"!" + b"k" * 120 + b"\n")
        assert b"k\rk" in shell.until(PROMPT)  # the wrap: one character twice, with a carriage return between


def test_an_exec_request_says_what_vtysh_says_and_how_it_ended(real_lab: RealLab) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw:
        assert raw.run("bogus command") == (1, "% Unknown command: bogus command\n", "")
        status, out, _ = raw.run("show ip route")
    assert (status, out.count("\n") >= 150) == (0, True)


def test_sftp_as_the_vtysh_user_is_no_clean_refusal(real_lab: RealLab) -> None:
    with Raw(real_lab, "r1", real_lab.admin) as raw, pytest.raises(paramiko.SFTPError, match="Garbage"):
        raw.sftp()


def test_sudo_complains_before_it_asks_where_no_hosts_file_names_the_host(real_lab: RealLab) -> None:
    with Raw(real_lab, "r3", real_lab.ops) as raw:
        shell = raw.shell()
        shell.until(rb"\$ ")
        shell.send(b"sudo -k id -u\n")
        assert b"sudo: unable to resolve host r3" in shell.until(rb"\[sudo\] password for netssh-ops: ")
