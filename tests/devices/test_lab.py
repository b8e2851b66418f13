"""The simulated devices, seen by a raw asyncssh client that knows nothing of netssh_mcp."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import asyncssh
import paramiko
import pytest

from netssh_mcp.lab.device import Algorithms, DeviceSpec
from netssh_mcp.lab.faults import NO_FAULTS, SYSLOG, Faults, Hang, Pause, Script, Text
from netssh_mcp.lab.model import LabError, Platform, load_platform, platforms
from netssh_mcp.lab.replay import replay
from netssh_mcp.lab.server import Network, new_host_key, start_network

R1 = DeviceSpec("r1", "cisco_ios", motd="")
LINES = "".join(f"line {n}\n" for n in range(100))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


class Client:
    """A terminal: what comes in is kept until it is asked for."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self.seen = b""

    def type(self, text: str) -> None:
        self._process.stdin.write(text.encode())

    async def more(self) -> None:
        data = await asyncio.wait_for(self._process.stdout.read(65536), 10)
        if not data:
            raise EOFError(self.seen)
        self.seen += data

    async def until(self, end: str) -> str:
        """Everything up to where the stream ends with `end`, CR LF as LF."""
        while not self.seen.endswith(end.encode()):
            await self.more()
        text, self.seen = self.seen.decode().replace("\r\n", "\n"), b""
        return text

    async def holding(self, part: str) -> str:
        """Everything once `part` has come."""
        while part.encode() not in self.seen:
            await self.more()
        text, self.seen = self.seen.decode().replace("\r\n", "\n"), b""
        return text

    async def do(self, line: str, prompt: str) -> str:
        """The output of a line, without its echo and the prompt."""
        self.type(f"{line}\r")
        text = await self.until(prompt)
        assert text.startswith(f"{line}\n"), text
        return text.removeprefix(f"{line}\n").removesuffix(prompt.replace("\r\n", "\n"))

    async def to_the_end(self) -> str:
        with contextlib.suppress(EOFError):
            while True:
                await self.more()
        return self.seen.decode().replace("\r\n", "\n")


def connection(net: Network, name: str = "r1", **options: Any) -> Any:
    known: dict[str, Any] = {"username": "admin", "password": "admin", "known_hosts": None, "config": None}
    return asyncssh.connect("127.0.0.1", net.ports[name], **{**known, **options})


@contextlib.asynccontextmanager
async def terminal(spec: DeviceSpec, prompt: str = "r1#", width: int = 200) -> AsyncIterator[tuple[Client, Network]]:
    async with Network([spec]) as net, connection(net, spec.name) as conn:
        process = await conn.create_process(term_type="vt100", term_size=(width, 24), encoding=None)
        client = Client(process)
        if prompt:
            await client.until(prompt)
        yield client, net


# ---- platforms as data


@pytest.mark.parametrize("name", platforms())
def test_every_platform_is_valid_and_named_as_its_file(name: str) -> None:
    assert load_platform(name).name == name


def test_an_unknown_key_in_a_platform_is_an_error() -> None:
    known = load_platform("cisco_ios").model_dump()
    with pytest.raises(ValueError, match="promt"):
        Platform.model_validate({**known, "promt": "x"})


def test_a_mode_that_is_not_described_is_named() -> None:
    known = load_platform("cisco_ios").model_dump()
    with pytest.raises(ValueError, match=r"modes not described: nowhere"):
        Platform.model_validate({**known, "login": "nowhere"})


def test_an_unknown_platform_names_those_there_are() -> None:
    with pytest.raises(LabError, match="arista_eos, cisco_asa"):
        load_platform("cisco_os")


PROMPTS = {
    "cisco_ios": "x1#",
    "cisco_nxos": "x1# ",
    "cisco_xr": "RP/0/RP0/CPU0:x1#",
    "cisco_asa": "x1# ",
    "arista_eos": "x1#",
    "juniper_junos": "admin@x1> ",
    "frr": "x1# ",
}


@pytest.mark.parametrize("name", platforms())
def test_login_shows_the_platform_prompt_and_show_version_runs_abbreviated(name: str) -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", name), PROMPTS[name]) as (client, _):
            for off in ("terminal length 0", "terminal pager 0", "set cli screen-length 0"):
                await client.do(off, PROMPTS[name])
            full = await client.do("show version", PROMPTS[name])
            assert len(full.splitlines()) > 1
            assert await client.do("sh ver", PROMPTS[name]) == full

    run(test())


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("cisco_ios", "% Invalid input detected at '^' marker."),
        ("cisco_nxos", "% Invalid command at '^' marker."),
        ("cisco_xr", "% Invalid input detected at '^' marker."),
        ("cisco_asa", "ERROR: % Invalid input detected at '^' marker."),
        ("arista_eos", "% Invalid input"),
        ("juniper_junos", "syntax error, expecting <command>."),
        ("frr", "% Unknown command: show bogus"),
    ],
)
def test_a_wrong_word_is_refused_in_the_platforms_own_words(name: str, refusal: str) -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", name), PROMPTS[name]) as (client, _):
            assert refusal in await client.do("show bogus", PROMPTS[name])

    run(test())


# ---- words


def test_the_caret_stands_under_the_first_character_that_fits_nothing() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, _):
            client.type("show verXion\r")
            shown = (await client.until("r1#")).splitlines()
            assert "r1#" + shown[0][: len("show ver")] == "r1#show ver"
            assert shown[1].index("^") == len("r1#show ver")

    run(test())


def test_ambiguous_and_incomplete_lines_are_told_apart() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, _):
            assert '% Ambiguous command:  "s"' in await client.do("s", "r1#")
            assert "% Incomplete command." in await client.do("show ip", "r1#")
            assert "% Unknown command" in await client.do("qwerty", "r1#")

    run(test())


def test_help_is_executed_at_once_and_leaves_the_line_in_the_buffer() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            client.type("show ver?")
            shown = await client.holding("r1#show ver")
            assert "  version\n" in shown
            client.type("\r")
            assert "Cisco IOS" in await client.until("r1#")
            assert net.device("r1").received == ["show ver"]

    run(test())


def test_tab_completes_the_only_word_that_fits() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            client.type("show cl\t\r")
            assert "10:15:42" in await client.until("r1#")
            assert net.device("r1").received == ["show clock "]

    run(test())


@pytest.mark.parametrize(("name", "sign"), [("cisco_ios", "!"), ("juniper_junos", "#"), ("frr", "!")])
def test_a_comment_prints_only_a_new_prompt(name: str, sign: str) -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", name), PROMPTS[name]) as (client, _):
            assert (await client.do(f"{sign}f3a9b2", PROMPTS[name])).strip() == ""

    run(test())


def test_backspace_and_control_u_edit_the_line() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            client.type("nonsense\x15show clocl\x08k\r")
            await client.until("r1#")
            assert net.device("r1").received == ["show clock"]

    run(test())


# ---- modes


def test_enable_checks_the_secret_three_times() -> None:
    async def test() -> None:
        async with terminal(replace(R1, enable="s3cret"), "r1>") as (client, net):
            client.type("enable\r")
            for _ in range(3):
                await client.until("Password: ")
                client.type("wrong\r")
            shown = await client.until("r1>")
            assert "% Bad secrets" in shown
            assert "wrong" not in shown
            client.type("enable\r")
            await client.until("Password: ")
            client.type("s3cret\r")
            await client.until("r1#")
            assert net.device("r1").received == ["enable", "enable"]

    run(test())


def test_enable_without_a_secret_on_the_device_is_refused_without_asking() -> None:
    async def test() -> None:
        async with terminal(replace(R1, mode="exec"), "r1>") as (client, _):
            assert "% No password set" in await client.do("enable", "r1>")

    run(test())


def test_config_lines_change_the_store_and_the_hostname_is_in_the_next_prompt() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            await client.do("conf t", "r1(config)#")
            await client.do("interface gi0/1", "r1(config-if)#")
            await client.do("desc to the core", "r1(config-if)#")
            assert "% Invalid input" in await client.do("bogus line", "r1(config-if)#")
            await client.do("hostname edge9", "edge9(config)#")
            await client.do("do show clock", "edge9(config)#")
            await client.do("end", "edge9#")
            shown = await client.do("show run | section interface GigabitEthernet0/1", "edge9#")
            assert " description to the core\n" in shown
            assert net.device("r1").hostname == "edge9"

    run(test())


def test_a_long_hostname_is_cut_in_config_prompts_only() -> None:
    async def test() -> None:
        name = "a-hostname-of-more-than-twenty"
        async with terminal(replace(R1, hostname=name), f"{name}#") as (client, _):
            await client.do("configure terminal", f"{name[:20]}(config)#")

    run(test())


def test_control_z_leaves_the_configuration() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, _):
            await client.do("configure terminal", "r1(config)#")
            client.type("\x1a")
            await client.until("r1#")

    run(test())


def test_xr_asks_before_uncommitted_lines_are_lost_and_commits_on_yes() -> None:
    async def test() -> None:
        prompt = "RP/0/RP0/CPU0:x1"
        async with terminal(DeviceSpec("x1", "cisco_xr"), f"{prompt}#") as (client, net):
            await client.do("configure", f"{prompt}(config)#")
            await client.do("interface GigabitEthernet0/0/0/0", f"{prompt}(config-if)#")
            await client.do("description new", f"{prompt}(config-if)#")
            assert "+ description new" in await client.do("show configuration", f"{prompt}(config-if)#")
            assert "description new" not in net.device("x1").running.text()
            client.type("end\r")
            await client.holding("[cancel]: ")
            client.type("yes\r")
            await client.until(f"{prompt}#")
            assert "description new" in net.device("x1").running.text()

    run(test())


def test_junos_sets_compares_commits_and_changes_its_name() -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", "juniper_junos"), "admin@x1> ") as (client, _):
            await client.do("configure", "[edit]\r\nadmin@x1# ")
            await client.do("set system host-name edge9", "admin@x1# ")
            assert "+set system host-name edge9" in await client.do("show | compare", "admin@x1# ")
            assert "host-name edge9;" in await client.do("show", "admin@x1# ")
            assert "commit complete" in await client.do("commit", "admin@edge9# ")
            await client.do("exit", "admin@edge9> ")
            shown = await client.do("show configuration | display set", "admin@edge9> ")
            assert "set system host-name edge9\n" in shown
            assert "set system services ssh" in await client.do(
                "show configuration | display set | match services", "admin@edge9> "
            )

    run(test())


# ---- dialogs


def test_reload_asks_for_a_key_and_drops_every_session_on_enter() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, _):
            client.type("reload\r")
            await client.holding("[confirm]")
            client.type("n")
            await client.until("r1#")
            client.type("reload\r")
            await client.holding("[confirm]")
            client.type("\r")
            await client.to_the_end()

    run(test())


def test_copy_asks_for_the_filename_and_saves() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            await client.do("configure terminal", "r1(config)#")
            await client.do("hostname kept", "kept(config)#")
            await client.do("end", "kept#")
            assert "kept" not in net.device("r1").startup
            client.type("copy run start\r")
            await client.holding("Destination filename [startup-config]? ")
            client.type("\r")
            assert "[OK]" in await client.until("kept#")
            assert "hostname kept" in net.device("r1").startup

    run(test())


def test_a_yes_no_question_takes_its_default_on_enter() -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", "cisco_nxos"), "x1# ") as (client, _):
            client.type("reload\r")
            await client.holding("(y/n)?  [n] ")
            client.type("\r")
            await client.until("x1# ")

    run(test())


# ---- pager, width, interrupt


def test_the_pager_takes_space_enter_and_q() -> None:
    async def test() -> None:
        async with terminal(replace(R1, outputs={"show long": LINES})) as (client, _):
            client.type("show long\r")
            first = await client.until(" --More-- ")
            assert first.count("line ") == 23
            client.type("\r")
            assert (await client.until(" --More-- ")).count("line ") == 1
            client.type(" ")
            assert (await client.until(" --More-- ")).count("line ") == 23
            client.type("q")
            assert "line " not in await client.until("r1#")

    run(test())


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("cisco_ios", "terminal length 0"),
        ("cisco_nxos", "term len 0"),
        ("cisco_asa", "terminal pager 0"),
        ("arista_eos", "terminal length 0"),
        ("juniper_junos", "set cli screen-length 0"),
    ],
)
def test_paging_is_turned_off_by_the_platforms_own_command(name: str, off: str) -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", name, outputs={"show long": LINES}), PROMPTS[name]) as (client, _):
            await client.do(off, PROMPTS[name])
            assert (await client.do("show long", PROMPTS[name])).count("line ") == 100

    run(test())


@pytest.mark.parametrize(("wrap", "mark"), [("crlf", b"\r\n"), ("space_cr", b" \r")])
def test_the_echo_of_a_long_line_wraps_at_the_terminal_width(wrap: Any, mark: bytes) -> None:
    async def test() -> None:
        async with terminal(replace(R1, faults=Faults(wrap=wrap)), width=40) as (client, net):
            line = "show " + "x" * 60
            client.type(f"{line}\r")
            while not client.seen.endswith(b"r1#"):
                await client.more()
            first, _, rest = client.seen.partition(mark)
            assert first == line[:37].encode()
            assert rest.startswith(line[37:].encode())
            assert net.device("r1").received == [line]

    run(test())


def test_terminal_width_zero_ends_the_wrapping() -> None:
    async def test() -> None:
        async with terminal(R1, width=40) as (client, _):
            await client.do("terminal width 511", "r1#")
            await client.do("show " + "x" * 60, "r1#")

    run(test())


@pytest.mark.parametrize("hang", ["silent", "flood"])
def test_control_c_ends_a_command_that_never_does(hang: Any) -> None:
    async def test() -> None:
        script = Script.of("again\n", Faults(hang=hang))
        async with terminal(replace(R1, outputs={"show never": script})) as (client, net):
            client.type("show never\r")
            await client.holding("show never")
            client.type("\x03")
            await client.until("r1#")
            assert "10:15:42" in await client.do("show clock", "r1#")
            assert net.device("r1").interrupts == 1

    run(test())


# ---- pipes and JSON


def test_pipes_filter_as_the_device_does() -> None:
    async def test() -> None:
        async with terminal(replace(R1, outputs={"show long": LINES})) as (client, _):
            assert await client.do("show long | inc 9$", "r1#") == "".join(f"line {n}9\n" for n in ("", *range(1, 10)))
            assert await client.do("show long | begin 99", "r1#") == "line 99\n"
            assert "regexp = 10" in await client.do("show long | count 9$", "r1#")
            assert "% Invalid" in await client.do("show long | redirect flash:x", "r1#")

    run(test())


def test_json_comes_where_the_device_has_it() -> None:
    async def test() -> None:
        async with terminal(DeviceSpec("x1", "arista_eos"), "x1#") as (client, _):
            assert '"version": "4.31.2F"' in await client.do("show version | json", "x1#")
            assert "unconverted" in await client.do("show clock | json", "x1#")

    run(test())


# ---- access


def test_a_wrong_password_is_counted_and_no_login() -> None:
    async def test() -> None:
        async with Network([R1]) as net:
            with pytest.raises(asyncssh.PermissionDenied):
                await connection(net, password="wrong", preferred_auth="password")
            assert net.device("r1").auth_failures == 1
            assert net.device("r1").logins == 0

    run(test())


def test_keyboard_interactive_alone_is_enough() -> None:
    async def test() -> None:
        async with Network([replace(R1, auth=("keyboard-interactive",))]) as net, connection(net):
            assert net.device("r1").logins == 1

    run(test())


def test_a_public_key_opens_the_device() -> None:
    async def test() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        spec = replace(R1, auth=("publickey",), authorized_keys=(key.export_public_key().decode(),))
        async with Network([spec]) as net:
            async with connection(net, password=None, client_keys=[key]):
                assert net.device("r1").logins == 1
            with pytest.raises(asyncssh.PermissionDenied):
                await connection(net, password=None, client_keys=[asyncssh.generate_private_key("ssh-ed25519")])

    run(test())


def test_a_device_shows_its_own_host_key() -> None:
    async def test() -> None:
        private = new_host_key("ssh-rsa")
        async with Network([replace(R1, host_key=private)]) as net, connection(net) as conn:
            shown = conn.get_server_host_key()
            assert shown is not None
            assert shown.public_data == asyncssh.import_private_key(private).public_data

    run(test())


def test_a_legacy_device_offers_only_what_it_is_told_to() -> None:
    async def test() -> None:
        old = Algorithms(kex=("ecdh-sha2-nistp256",), ciphers=("aes128-cbc",), host_key=("ssh-rsa",))
        async with Network([replace(R1, host_key=new_host_key("ssh-rsa"), algorithms=old)]) as net:
            with pytest.raises(asyncssh.KeyExchangeFailed):
                await connection(net, kex_algs=["curve25519-sha256"])
            offer: dict[str, Any] = {"kex_algs": ["ecdh-sha2-nistp256"], "encryption_algs": ["aes128-cbc"]}
            async with connection(net, server_host_key_algs=["ssh-rsa"], **offer) as conn:
                assert conn.get_extra_info("send_cipher") == "aes128-cbc"

    run(test())


def test_a_session_too_many_is_refused_cleanly() -> None:
    async def test() -> None:
        async with Network([replace(R1, max_sessions=1)]) as net, connection(net) as conn:
            await Client(await conn.create_process(term_type="vt100", encoding=None)).until("r1#")
            with pytest.raises(asyncssh.ChannelOpenError):
                await conn.create_process(term_type="vt100", encoding=None)

    run(test())


def test_an_exec_request_runs_one_command_and_gives_an_exit_status() -> None:
    async def test() -> None:
        async with Network([R1]) as net, connection(net) as conn:
            done = await conn.run("show clock")
            assert "10:15:42" in str(done.stdout)
            assert done.exit_status == 0
            assert (await conn.run("show bogus")).exit_status == 1

    run(test())


def test_sftp_reads_and_writes_below_its_own_root() -> None:
    async def test() -> None:
        spec = replace(R1, sftp=True, files={"flash/image.bin": b"\x00\x01"})
        async with Network([spec]) as net, connection(net) as conn, conn.start_sftp_client() as sftp:
            async with sftp.open("/flash/image.bin", "rb") as file:
                assert await file.read() == b"\x00\x01"
            async with sftp.open("/flash/new.txt", "wb") as file:
                await file.write(b"hello")
            assert sorted(await sftp.listdir("/flash"))[2:] == ["image.bin", "new.txt"]
            assert not await sftp.exists("/../etc/passwd")

    run(test())


# ---- echo styles and type-ahead


@pytest.mark.parametrize(
    ("style", "order"),
    [
        ("line", ["show slow", "first", "second", "r1#", "show clock", "10:15:42"]),
        ("early", ["show slow", "first", "show clock", "second", "r1#", "10:15:42"]),
        ("both", ["show slow", "first", "show clock", "second", "r1#", "show clock", "10:15:42"]),
    ],
)
def test_type_ahead_is_echoed_in_the_style_of_the_device(style: Any, order: list[str]) -> None:
    async def test() -> None:
        slow = Script((Text("first\n"), Pause(0.05), Text("second\n")))
        spec = replace(R1, faults=Faults(echo=style), outputs={"show slow": slow})
        async with terminal(spec) as (client, net):
            client.type("show slow\r")
            await client.until("first\r\n")
            client.type("show clock\r")
            while client.seen.count(b"r1#") < 2:
                await client.more()
            shown = "show slow\nfirst\n" + client.seen.decode()
            assert re.findall("|".join(sorted(set(order))), shown) == [*order, "r1#"]
            assert net.device("r1").early == [b"show clock\r"]

    run(test())


@pytest.mark.parametrize("noise", ["backspace", "ansi"])
def test_a_restless_echo_shows_the_same_text(noise: Any) -> None:
    async def test() -> None:
        async with terminal(replace(R1, faults=Faults(echo_noise=noise))) as (client, net):
            client.type("show clock\r")
            shown = await client.until("r1#")
            assert not shown.startswith("show clock")
            assert re.sub(r" \x08|\x1b\[\w", "", shown).startswith("show clock\n")
            assert net.device("r1").received == ["show clock"]

    run(test())


# ---- faults


@pytest.mark.parametrize("size", [1, 7])
def test_fragments_come_in_order_and_whole(size: int) -> None:
    async def test() -> None:
        spec = replace(R1, outputs={"show long": LINES}, faults=Faults(fragment=size, seed=5))
        async with terminal(spec) as (client, _):
            await client.do("terminal length 0", "r1#")
            assert await client.do("show long", "r1#") == LINES

    run(test())


def test_a_character_of_several_bytes_is_split_between_two_packets() -> None:
    async def test() -> None:
        spec = replace(R1, outputs={"show name": Script.of("Zürich\n", Faults(split_utf8=0.01))})
        async with terminal(spec) as (client, _):
            client.type("show name\r")
            while not client.seen.endswith(b"Z\xc3"):
                await client.more()
            assert (await client.until("r1#")).endswith("Zürich\nr1#")

    run(test())


def test_line_ends_and_nul_bytes_are_as_asked_for() -> None:
    async def test() -> None:
        async with terminal(replace(R1, faults=Faults(newline="\r\r\n", nul=True))) as (client, _):
            client.type("show clock\r")
            while not client.seen.endswith(b"r1#"):
                await client.more()
            assert client.seen.startswith(b"show clock\0\r\r\n10:15:42.123 UTC Fri Nov 20 2026\0\r\r\n")

    run(test())


def test_a_lookalike_prompt_stands_alone_at_the_line_start_before_the_rest_comes() -> None:
    async def test() -> None:
        trap = Script.of("one\ntwo\n", Faults(lookalike="line_start", lookalike_pause=0.05))
        async with terminal(replace(R1, outputs={"show trap": trap})) as (client, _):
            client.type("show trap\r")
            assert await client.until("r1#") == "show trap\none\nr1#"
            assert await client.until("r1#") == " port 7\ntwo\nr1#"

    run(test())


def test_syslog_lines_come_in_the_output_before_and_after_the_prompt() -> None:
    async def test() -> None:
        spec = replace(R1, faults=Faults(syslog=("in_output", "before_prompt", "after_prompt")))
        async with terminal(spec) as (client, _):
            client.type("show ip interface brief\r")
            shown = await client.until(f"r1#\r\n{SYSLOG}\r\n")
            assert shown.count(SYSLOG) == 3
            assert shown.endswith(f"\n{SYSLOG}\nr1#\n{SYSLOG}\n")

    run(test())


def test_a_device_says_something_unasked_to_its_sessions() -> None:
    async def test() -> None:
        async with terminal(R1) as (client, net):
            net.device("r1").emit(SYSLOG, redraw=True)
            assert await client.until("\r\nr1#") == f"\n{SYSLOG}\nr1#"

    run(test())


def test_it_pages_although_paging_was_turned_off() -> None:
    async def test() -> None:
        async with terminal(replace(R1, outputs={"show long": LINES})) as (client, net):
            await client.do("terminal length 0", "r1#")
            net.device("r1").set_faults(Faults(pager_always=True))
            client.type("show long\r")
            await client.until(" --More-- ")
            client.type("\x03")
            await client.until("r1#")

    run(test())


@pytest.mark.parametrize("kind", ["channel", "disconnect", "tcp", "reset", "garbage"])
def test_a_cut_link_gives_the_bytes_before_it_and_then_the_end(kind: Any) -> None:
    async def test() -> None:
        cut = Script.of(LINES, Faults(break_with=kind, break_after=50))
        async with terminal(replace(R1, outputs={"show cut": cut})) as (client, _):
            await client.do("terminal length 0", "r1#")
            client.type("show cut\r")
            try:
                shown = await client.to_the_end()
            except (asyncssh.Error, ConnectionError):
                shown = client.seen.decode().replace("\r\n", "\n")
            assert "line 1\n" in shown
            assert "line 20" not in shown

    run(test())


def test_a_frozen_device_is_silent_and_does_not_answer_keepalives() -> None:
    async def test() -> None:
        async with Network([R1]) as net:
            conn = await connection(net, keepalive_interval=0.05, keepalive_count_max=2)
            client = Client(await conn.create_process(term_type="vt100", encoding=None))
            await client.until("r1#")
            net.device("r1").break_sessions("freeze")
            client.type("show clock\r")
            with pytest.raises((asyncssh.ConnectionLost, EOFError)):
                await client.until("r1#")
            assert net.device("r1").received == []

    run(test())


def test_faults_of_one_command_end_with_it() -> None:
    async def test() -> None:
        spec = replace(R1, outputs={"show slow": Script.of("a\nb\n", Faults(line_delay=0.01, newline="\n"))})
        async with terminal(spec) as (client, net):
            await client.do("show slow", "r1#")
            client.type("show clock\r")
            while not client.seen.endswith(b"r1#"):
                await client.more()
            assert client.seen.startswith(b"show clock\r\n")
            assert net.device("r1").faults == NO_FAULTS

    run(test())


def test_a_deaf_device_goes_on_after_control_c() -> None:
    async def test() -> None:
        slow = Script((Text("a\n"), Pause(0.05), Text("b\n")), Faults(deaf_to_interrupt=True))
        async with terminal(replace(R1, outputs={"show slow": slow, "show hang": Script((Hang(),))})) as (client, _):
            client.type("show slow\r")
            await client.until("a\r\n")
            client.type("\x03")
            assert await client.until("r1#") == "b\nr1#"

    run(test())


# ---- many, and threads


def test_a_replayed_capture_comes_back_byte_for_byte() -> None:
    async def test() -> None:
        text = "Fri {hostname} {x}\n  indented\n\n\ttab  \n"
        async with terminal(replay("cisco_xr", {"show  captured": text}), "CPU0:replay#") as (client, _):
            assert await client.do("show captured", "RP/0/RP0/CPU0:replay#") == text

    run(test())


def test_a_flooding_device_is_held_back_by_the_clients_window() -> None:
    async def test() -> None:
        text = "x" * 99 + "\n"
        async with terminal(replace(R1, outputs={"show big": text * 30_000})) as (client, _):
            await client.do("terminal length 0", "r1#")
            assert len(await client.do("show big", "r1#")) == 3_000_000

    run(test())


def test_two_devices_of_one_name_are_refused() -> None:
    with pytest.raises(LabError, match="used twice: r1"):
        Network([R1, R1])


def test_a_network_in_a_thread_serves_a_blocking_client() -> None:
    with start_network([R1]) as net:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.WarningPolicy())  # noqa: S507 - loopback
        with pytest.warns(UserWarning, match="host key"):
            client.connect(
                "127.0.0.1", net.ports["r1"], "admin", "admin", look_for_keys=False, allow_agent=False, timeout=10
            )
        shell = client.invoke_shell(width=200)
        shell.settimeout(10)
        shell.sendall(b"show clock\n")
        seen = b""
        while b"UTC" not in seen:
            seen += shell.recv(4096)
        client.close()
        assert net.device("r1").received == ["show clock"]


def test_a_busy_port_is_said_by_start_network() -> None:
    with start_network([R1]) as net, pytest.raises(OSError, match="in use"):
        start_network([replace(R1, port=net.ports["r1"])])


def test_no_secret_is_in_the_repr_of_a_spec() -> None:
    shown = repr(DeviceSpec("r1", "cisco_ios", password="hunter2", enable="hunter3", host_key="hunter4"))
    assert "hunter" not in shown
