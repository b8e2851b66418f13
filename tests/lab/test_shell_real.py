"""Terminals on a real sshd and on real FRRouting: programs that need one, cursor reads, ends, what is on record."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import CommandDenied, InputError, SessionLost
from netssh_mcp.services.app import App, open_app
from netssh_mcp.services.shells import PER_DEVICE
from netssh_mcp.services.shells import Shells as Service
from tests.devices.house import audit_records, settings
from tests.devices.mcp_house import served
from tests.lab.reallab import RealLab
from tests.lab.test_sessions_real import _running

pytestmark = [pytest.mark.real, pytest.mark.anyio]
POLICY = "version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n"
LONG = 30.0  # seconds: only to fail
PROMPT = r"^ready\$ $"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Shell:
    """One terminal, driven as an agent would."""

    def __init__(self, service: Service, opened: dict[str, Any]) -> None:
        self.service, self.opened = service, opened
        self.shell_id = str(opened["shell_id"])
        self.cursor = int(opened["cursor"])
        self.text = str(opened["text"])

    async def act(self, action: str, **more: Any) -> dict[str, Any]:
        return await self.service.act(action, shell_id=self.shell_id, **more)

    async def send(self, text: str, *, until: str = PROMPT, **more: Any) -> str:
        """Type a line and wait for the pattern behind it; the new text."""
        return await self._did(await self.act("send", text=text, pattern=until, wait=LONG, **more))

    async def key(self, *names: str, until: str = PROMPT) -> str:
        return await self._did(await self.act("key", keys=names, pattern=until, wait=LONG))

    async def wait(self, until: str) -> str:
        return await self._did(await self.act("wait", cursor=self.cursor, pattern=until, wait=LONG))

    async def _did(self, answer: dict[str, Any]) -> str:
        assert answer["why"] == "pattern", answer
        text = str(answer["text"])
        while answer["more"]:
            answer = await self.act("read", cursor=answer["cursor"])
            text += answer["text"]
        self.cursor = answer["cursor"]
        return text

    async def screen(self, *, showing: str) -> dict[str, Any]:
        """The screen, as soon as it shows this."""
        with anyio.fail_after(LONG):
            while True:
                shown = await self.act("screen")
                if re.search(showing, shown["screen"], re.MULTILINE):
                    return shown
                await self.act("wait", cursor=self.cursor, quiet=0.05, wait=1)


class Lab:
    """An App on the real lab, and the shells opened in it."""

    def __init__(self, app: App, lab: RealLab, folder: Path) -> None:
        self.app, self.lab, self.folder = app, lab, folder

    async def shell(self, device: str = "linux1") -> Shell:
        """A bash with a prompt that cannot be mistaken; a router as it is."""
        opened = Shell(self.app.shells, await self.app.shells.act("open", device=device))
        if device == "linux1":
            await opened.send("PS1='ready''$ '; unset PROMPT_COMMAND HISTFILE; bind 'set enable-bracketed-paste off'")
        return opened

    def typed(self) -> list[str]:
        """What the audit says was typed."""
        return [record["typed"] for record in audit_records(self.folder) if "typed" in record]


@pytest.fixture
async def opened(real_lab: RealLab, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens the services; closes them."""
    async with AsyncExitStack() as stack:

        async def make(policy: str = POLICY, **host: Any) -> Lab:
            written = real_lab.inventory()
            written["hosts"]["linux1"] |= host
            (tmp_path / "inventory.yaml").write_text(json.dumps(written))
            (tmp_path / "policy.yaml").write_text(policy)
            for name in ("inventory.yaml", "policy.yaml"):
                (tmp_path / name).chmod(0o600)
            given = settings(tmp_path, tmp_path / "inventory.yaml", policy=str(tmp_path / "policy.yaml"))
            return Lab(await stack.enter_async_context(open_app(given)), real_lab, tmp_path)

        yield make


Opened = Callable[..., Any]


async def a_file() -> str:
    """The name of a file that the host's user may write; the host has this machine's files."""
    return f"/var/tmp/netssh-shell-{secrets.token_hex(6)}"  # noqa: S108


# -- programs that need a terminal


async def test_a_shell_keeps_directory_and_variables_and_shows_its_prompt(opened: Opened) -> None:
    shell = await (await opened()).shell()
    assert re.search(r"netssh-ops@linux1:~\$ $", shell.text)
    await shell.send("cd /tmp && mark=kept")
    assert await shell.send('echo "$PWD $mark $TERM"') == 'echo "$PWD $mark $TERM"\n/tmp kept xterm-256color\nready$ '


async def test_a_file_is_edited_in_vi_with_keys(opened: Opened, tmp_path: Path) -> None:
    shell = await (await opened()).shell()
    name = await a_file()
    try:
        await shell.send(f"printf 'one\\nthree\\n' > {name}; vi {name}", until="three")
        shown = await shell.screen(showing="^three")
        assert shown["alternate"]
        assert shown["screen"].startswith("one\nthree\n~\n")
        assert (shown["cursor_row"], shown["cursor_column"]) == (1, 1)
        await shell.act("key", keys=["o"])
        await shell.act("send", text="two", enter=False)
        await shell.act("key", keys=["esc"])
        shown = await shell.screen(showing="^two")
        assert shown["screen"].startswith("one\ntwo\nthree\n~\n")
        await shell.act("key", keys=["down", "end"])
        shown = await shell.screen(showing="^two")
        assert shown["cursor_row"] == 3
        await shell.act("key", keys=["A"])
        await shell.act("send", text="!", enter=False)
        await shell.act("key", keys=["<Esc>"])
        await shell.send(":wq")
        assert "one\ntwo\nthree!\n" in await shell.send(f"cat {name}")
        assert not (await shell.act("screen"))["alternate"]
    finally:
        await anyio.Path(name).unlink(missing_ok=True)


async def test_top_is_seen_as_a_screen_and_left_with_its_key(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.act("send", text="top")
    shown = await shell.screen(showing=r"^ *PID +USER")
    assert shown["screen"].startswith("top - ")
    assert (shown["width"], shown["height"]) == (120, 40)
    await shell.key("q")
    assert "back" in await shell.send("echo back")


async def test_a_pager_is_turned_with_keys(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.act("send", text="seq 1 3000 | less")
    assert (await shell.screen(showing="^39$"))["screen"].startswith("1\n2\n3\n")
    await shell.act("key", keys=["pgdn"])
    assert "\n60\n" in (await shell.screen(showing="^78$"))["screen"]
    await shell.act("key", keys=["up"])  # less asks for the application form of the cursor keys
    assert (await shell.screen(showing=r"\A39$"))["screen"].startswith("39\n40\n")
    await shell.key("q")


async def test_a_program_that_asks_gets_its_answer(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send("python3 -c 'print(input(\"your name? \")[::-1])'", until="^your name")
    assert "eva\n" in await shell.send("ave")


async def test_ctrl_c_stops_and_arrow_up_brings_the_line_back(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send("sleep 86000", until="sleep 86000")
    assert "^C" in await shell.key("ctrl-c")
    assert await shell.key("up", until="sleep 86000$") == "sleep 86000"
    await shell.key("ctrl-c")
    assert (await shell.send("echo gone; pgrep -f 'sleep 8600[0]' || echo none")).splitlines()[1:3] == ["gone", "none"]


async def test_a_progress_bar_is_one_readable_line(opened: Opened) -> None:
    shell = await (await opened()).shell()
    text = await shell.send("for n in 10 50 100; do printf '\\r%s%% of it\\033[K' $n; done; printf '\\rdone\\033[K\\n'")
    assert text.splitlines()[-2:] == ["done", "ready$ "]


async def test_a_long_line_that_is_typed_comes_back_in_one_piece(opened: Opened) -> None:
    shell = await (await opened()).shell()
    line = "echo " + " ".join(f"word{number}" for number in range(60))
    assert (await shell.send(line)).splitlines() == [line, line.removeprefix("echo "), "ready$ "]


async def test_the_screen_after_clear_is_empty_but_for_the_prompt(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send("seq 1 100")
    await shell.act("send", text="clear")
    shown = await shell.screen(showing=r"\Aready\$")
    assert (shown["screen"], shown["cursor_row"], shown["cursor_column"]) == ("ready$", 1, 8)


async def test_questions_of_a_program_about_its_terminal_are_answered(opened: Opened) -> None:
    shell = await (await opened()).shell()
    text = await shell.send("clear; IFS= read -rs -d R -p $'\\e[6n' where; echo \"${where@Q}\"")
    assert "$'\\E[1;1'" in text


# -- reading by cursor


async def test_six_hundred_kilobytes_are_read_by_cursor_with_nothing_lost_or_sent_again(opened: Opened) -> None:
    shell = await (await opened()).shell()
    start = shell.cursor
    await shell.act("send", text="seq 100000 185700", pattern="^185700$", wait=LONG)
    answer, text = await shell.act("read", cursor=start), ""
    while True:
        assert answer["dropped"] == 0
        assert len(answer["text"]) <= 20_000
        text += answer["text"]
        if not answer["more"] and text.endswith("ready$ "):
            break
        answer = await shell.act("read", cursor=answer["cursor"])
    assert text.splitlines() == ["seq 100000 185700", *map(str, range(100_000, 185_701)), "ready$ "]
    assert (await shell.act("read", cursor=answer["cursor"]))["text"] == ""


async def test_what_rolled_out_of_the_buffer_is_told_and_the_rest_begins_with_a_whole_line(opened: Opened) -> None:
    shell = await (await opened()).shell()
    start = shell.cursor
    await shell.act("send", text="seq 1000000 1399999", pattern="^1399999$", wait=LONG)
    answer = await shell.act("read", cursor=start)
    first = int(answer["text"].split("\n")[0])
    assert answer["dropped"] == len("seq 1000000 1399999\r\n") + (first - 1_000_000) * 9
    kept = 0
    while answer["more"]:
        kept += len(answer["text"])
        answer = await shell.act("read", cursor=answer["cursor"])
        assert answer["dropped"] == 0
    assert kept >= 500_000


async def test_a_flood_neither_fills_the_memory_nor_holds_up_others(opened: Opened) -> None:
    lab = await opened()
    shell, other = await lab.shell(), await lab.shell()
    await shell.act("send", text="yes", pattern="^y$", wait=LONG)
    for _ in range(5):
        assert "still here" in await other.send("echo still here")
    terminal = lab.app.shells._shells[shell.shell_id].terminal
    first, last = terminal.span
    assert last - first < 2_000_000
    await shell.act("key", keys=["ctrl-c"], pattern=PROMPT, wait=LONG)
    assert "\non\nready$ " in await shell.send("echo o''n")


async def test_without_a_cursor_reading_goes_on_where_the_last_answer_ended(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send("echo wanted")
    answer = await shell.act("wait", pattern="wanted", quiet=0.3, wait=LONG)
    assert (answer["why"], answer["text"]) == ("quiet", "")
    await shell.act("send", text="sleep 0.5; echo found", pattern="echo found", wait=LONG)
    assert (await shell.act("wait", pattern="^found$", wait=LONG))["why"] == "pattern"
    assert "wanted" in (await shell.act("read", cursor=0))["text"]


async def test_a_pattern_is_not_found_in_text_before_the_cursor(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send("echo wanted; echo more")
    answer = await shell.act("wait", cursor=shell.cursor, pattern="wanted", quiet=0.3, wait=LONG)
    assert (answer["why"], answer["text"]) == ("quiet", "")
    await shell.act("send", text="sleep 0.2; echo wan''ted")
    answer = await shell.act("wait", cursor=shell.cursor, pattern="^wanted$", wait=LONG)
    assert (answer["why"], answer["line"]) == ("pattern", "wanted")


async def test_waiting_says_when_it_was_the_time_that_ended_it(opened: Opened) -> None:
    shell = await (await opened()).shell()
    answer = await shell.act("wait", cursor=shell.cursor, pattern="never", wait=0.05)
    assert answer["why"] == "time"


async def test_a_pattern_that_would_backtrack_for_hours_is_answered(opened: Opened) -> None:
    shell = await (await opened()).shell()
    await shell.send(f"echo {'a' * 60}")
    assert (await shell.act("wait", pattern="(a+)+!", quiet=0.1, wait=LONG))["why"] == "quiet"


# -- ends


async def test_an_exit_status_is_told_and_the_buffer_stays_readable(opened: Opened) -> None:
    shell = await (await opened()).shell()
    answer = await shell.act("send", text="echo last words; exit 7", pattern="never", wait=LONG)
    assert (answer["why"], answer["state"], answer["exit_status"]) == ("ended", "ended", 7)
    assert "last words\n" in (await shell.act("read", cursor=0))["text"]
    assert "last words" in (await shell.act("screen"))["screen"]
    with pytest.raises(SessionLost, match="exit status 7; nothing was typed") as caught:
        await shell.act("send", text="echo more")
    assert caught.value.facts()["effect"] == "none"


async def test_a_shell_that_is_killed_says_so(opened: Opened) -> None:
    shell = await (await opened()).shell()
    answer = await shell.act("send", text="kill -9 $$", pattern="never", wait=LONG)
    assert (answer["why"], answer["state"]) == ("ended", "ended")
    assert "exit_status" not in answer
    assert answer["reason"] == "its program was ended by the signal KILL"


async def test_closing_hangs_up_what_runs_in_it_and_the_far_side_confirms(opened: Opened) -> None:
    lab = await opened()
    shell, other = await lab.shell(), await lab.shell()
    await shell.send("sleep 85999", until="sleep 85999")
    answer = await shell.act("close")
    assert (answer["state"], answer["remote_closed"]) == ("closed", True)
    assert "none" in await other.send("pgrep -f 'sleep 8599[9]' || echo none")
    with pytest.raises(InputError, match=f"did you mean {other.shell_id}"):
        await shell.act("read")


async def test_a_program_that_ignores_the_hangup_is_not_called_closed(opened: Opened) -> None:
    lab = await opened()
    shell, other = await lab.shell(), await lab.shell()
    await shell.send("trap '' HUP; exec sleep 85998", until="exec sleep")
    try:
        answer = await shell.act("close")
        assert answer["remote_closed"] is False
        assert "may still run" in answer["note"]
    finally:
        await other.send("pkill -f 'sleep 8599[8]'")


async def test_all_shells_are_hung_up_with_the_services(real_lab: RealLab, opened: Opened, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        real_lab.write_inventory(tmp_path / "first.yaml")
        (tmp_path / "first-policy.yaml").write_text(POLICY)
        (tmp_path / "first-policy.yaml").chmod(0o600)
        given = settings(tmp_path, tmp_path / "first.yaml", policy=str(tmp_path / "first-policy.yaml"))
        first = Lab(await stack.enter_async_context(open_app(given)), real_lab, tmp_path)
        await (await first.shell()).send("sleep 85997", until="sleep 85997")
    second = await (await opened()).shell()
    assert "none" in await second.send("pgrep -f 'sleep 8599[7]' || echo none")


async def test_a_shell_that_nobody_uses_is_closed_after_the_devices_idle_timeout(opened: Opened) -> None:
    lab = await opened(idle_timeout=3600)
    shell = await lab.shell()
    shells = lab.app.shells
    used = shells._shells[shell.shell_id].used_at
    await shells.expire(used + 3599)
    assert [row["state"] for row in shells.rows()] == ["open"]
    await shells.expire(used + 3601)
    answer = await shell.act("read", cursor=0)
    assert answer["state"] == "ended"
    assert "nobody used it for 3600 s" in answer["reason"]
    await shells.expire(used + 3601 + 700)
    assert shells.rows() == []


# -- limits, the policy, the record


async def test_without_class_shell_in_the_policy_no_terminal_is_opened(opened: Opened) -> None:
    lab = await opened("version: 1\nrules:\n  - classes: [read, diagnose, change]\n")
    with pytest.raises(CommandDenied, match="shell"):
        await lab.app.shells.act("open", device="linux1")
    assert [record["verdict"] for record in audit_records(lab.folder) if record["kind"] == "decision"] == ["deny"]


async def test_a_policy_that_takes_the_class_away_stops_an_open_shell(opened: Opened) -> None:
    lab = await opened()
    shell = await lab.shell()
    (lab.folder / "policy.yaml").write_text("version: 1\nrules:\n  - classes: [read]\n")
    with pytest.raises(CommandDenied):
        await shell.act("send", text="id")
    assert (await shell.act("close"))["remote_closed"] is True


async def test_a_device_has_a_cap_and_a_closed_shell_makes_room(opened: Opened) -> None:
    lab = await opened()
    shells = [await lab.shell() for _ in range(PER_DEVICE)]
    with pytest.raises(InputError, match="4 shells are open on this device"):
        await lab.shell()
    await shells[0].act("close")
    await lab.shell()


async def test_what_is_typed_is_on_record_and_a_password_at_a_prompt_is_not(opened: Opened) -> None:
    lab = await opened()
    shell = await lab.shell()
    secret = f"Unheard-{secrets.token_hex(6)}"
    lab.app.shells._desk.transcripts.start(shell.shell_id, *lab.app.shells.recordable(shell.shell_id)[:1])
    await shell.send("stty -echo; read -p 'Passphrase for key: ' it; stty echo; echo; echo ${#it}", until="key: $")
    assert (await shell.act("read", cursor=shell.cursor))["waiting_for"] == "passphrase"
    assert f"{len(secret)}\n" in await shell.send(secret)
    await shell.act("send", text="sudo -k true")  # and at once, before its prompt is there
    await shell.act("send", text=secret, wait=0)
    await shell.key("ctrl-c", until=r"ready\$ $|try again")
    assert secret not in (lab.folder / "audit.jsonl").read_text()
    assert not any(secret in str(row) for row in lab.app.shells.rows())
    assert secret not in str(lab.app.shells._desk.transcripts.fetch(shell.shell_id, "jsonl"))
    typed = lab.typed()
    assert "sudo -k true" in typed
    assert sum("not recorded" in line for line in typed) == 2
    assert "ctrl-c" in typed


async def test_a_known_secret_is_shown_in_no_way(opened: Opened) -> None:
    lab = await opened()
    shell, known = await lab.shell(), lab.lab.ops.password
    await shell.send("stty cols 30")
    half = len(known) // 2
    text = await shell.send(f"printf %s {known[:half]}; sleep 0.3; printf '%s\\n' {known[half:]}")
    text += await shell.send(f"echo {known}; printf '\\033]0;{known}\\007'")
    shown = await shell.act("screen")
    assert known not in text.replace("\n", "")
    assert known not in str(shown).replace("\\n", "")
    assert "<redacted:" in text
    assert "<redacted:" in shown["title"]
    assert known not in (lab.folder / "audit.jsonl").read_text()
    assert known not in str(lab.app.shells.rows())


async def test_control_characters_in_text_are_refused_and_unknown_keys_named(opened: Opened) -> None:
    shell = await (await opened()).shell()
    with pytest.raises(InputError, match="control character"):
        await shell.act("send", text="a\x03")
    with pytest.raises(InputError, match="did you mean pgdn"):
        await shell.act("key", keys=["pgdwn"])
    assert (await shell.send("echo clean")).startswith("echo clean\n")


# -- routers


async def test_a_router_is_worked_on_in_its_own_shell(opened: Opened) -> None:
    lab = await opened()
    shell = await lab.shell("r3")
    assert shell.text == "r3# "
    assert "FRRouting" in await shell.send("show version", until="^r3# $")
    await shell.send("configure terminal", until=r"^r3\(config\)# $")
    await shell.key("ctrl-z", until="^r3# $")
    assert await shell.key("up", until="configure") == "configure terminal"
    await shell.key("ctrl-c", until="^r3# $")
    answer = await shell.act("send", text="exit", pattern="never", wait=LONG)
    assert (answer["why"], answer["exit_status"]) == ("ended", 0)
    await lab.app.shells.expire(0.0)
    assert [row["state"] for row in lab.app.shells.rows()] == ["ended"]


async def test_a_broken_link_is_the_reason_of_the_end(opened: Opened, real_lab: RealLab) -> None:
    lab = await opened()
    shell = await lab.shell("r3")
    channel = lab.app.shells._shells[shell.shell_id].terminal._channel
    real_lab.session("r3", channel.get_transport().sock.getsockname()[:2]).reset()
    answer = await shell.act("wait", cursor=shell.cursor, wait=LONG)
    assert answer["why"] == "ended"
    assert "reset" in answer["reason"] or "closed" in answer["reason"]


# -- as an agent has it


async def test_an_agent_edits_a_file_over_mcp(real_lab: RealLab, tmp_path: Path) -> None:
    inventory = real_lab.write_inventory(tmp_path / "inventory.yaml")
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    policy.chmod(0o600)
    name = await a_file()
    more = ("--toolsets", "observe,operate", "--policy", str(policy))
    try:
        async with served(inventory, tmp_path, *more, known_hosts=[real_lab.known_hosts]) as house:
            opened = await house.call("shell", action="open", device="linux1")
            assert not opened.failed, opened.text
            shell: dict[str, Any] = {"shell_id": opened.fields["shell_id"]}
            assert "shell_id: shell-1" in opened.text
            edited = await house.call("shell", action="send", text=f"vi {name}", **shell, pattern="New", wait=20)
            assert edited.fields["why"] == "pattern"
            await house.call("shell", action="key", keys=["i"], **shell)
            await house.call("shell", action="send", text="typed over MCP", enter=False, **shell)
            await house.call("shell", action="key", keys=["esc"], **shell)
            screen = await house.call("shell", action="screen", **shell)
            assert screen.fields["screen"].startswith("typed over MCP\n~")
            await house.call("shell", action="send", text=":wq", **shell)
            asked = await house.call("shell", action="send", text=f"cat {name}; echo 'en''d'", pattern="^end$", **shell)
            assert "\ntyped over MCP\nend\n" in asked.fields["text"]
            closed = await house.call("shell", action="close", **shell)
            assert closed.fields["remote_closed"] is True
            left = await house.call("shell", action="open", device="linux1")
            await house.call("shell", action="send", shell_id=left.fields["shell_id"], text="sleep 85996")
            assert _running("sleep 85996")
        async with served(inventory, tmp_path, *more, known_hosts=[real_lab.known_hosts]) as house:
            opened = await house.call("shell", action="open", device="linux1")
            text = "while pgrep -f 'sleep 8599[6]'; do sleep 0.1; done; echo all go''ne"
            shell = {"shell_id": opened.fields["shell_id"]}
            gone = await house.call("shell", action="send", text=text, pattern="^all gone$", wait=20, **shell)
            assert gone.fields["why"] == "pattern"  # the server before hung up what was open at its end
    finally:
        await anyio.Path(name).unlink(missing_ok=True)
