"""Terminals on simulated network devices: the login's own shell, typed into as a person would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp.errors import InputError, SessionLost
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Hang, Pause, Script, Text
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import App, open_app
from tests.devices.house import audit_records, settings, write_inventory

pytestmark = pytest.mark.anyio

LOGIN, ENABLE = "login-W0rd{7}", "enable-W0rd{8}"
LONG = 20.0  # seconds: only to fail
OUTPUTS = {
    "show interfaces": Script.of("".join(f"Gi0/{number} is up\n" for number in range(60))),
    "show slow": Script((Text("the first half"), Pause(0.5), Text(" and the other\n"))),
    "show clock": Script((Text(f"username bob secret {LOGIN[:7]}"), Pause(0.5), Text(f"{LOGIN[7:]}\nend\n"))),
    "show flood": Script((Text("x" * 300_000 + "\n"), Text("the end\n"))),
    "show silence": Script((Text("it begins\n"), Hang())),
}
SPECS = [DeviceSpec(name, "cisco_ios", password=LOGIN, enable=ENABLE, outputs=OUTPUTS) for name in ("r1", "r2")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


@pytest.fixture
async def opened(network: RunningNetwork, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens the services with every class allowed; `more` are keys of the hosts."""
    async with AsyncExitStack() as stack:

        async def make(**more: Any) -> App:
            inventory = write_inventory(network.ports, SPECS, tmp_path, r1=more, r2=more)
            policy = tmp_path / "policy.yaml"
            policy.write_text("version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n")
            policy.chmod(0o600)
            return await stack.enter_async_context(open_app(settings(tmp_path, inventory, policy=str(policy))))

        yield make


class Shell:
    """One terminal."""

    def __init__(self, app: App, answer: dict[str, Any]) -> None:
        self.app, self.shell_id = app, str(answer["shell_id"])
        self.text, self.cursor = str(answer["text"]), int(answer["cursor"])

    @classmethod
    async def on(cls, app: App, device: str = "r1") -> Shell:
        return cls(app, await app.shells.act("open", device=device))

    async def act(self, action: str, **more: Any) -> dict[str, Any]:
        return await self.app.shells.act(action, shell_id=self.shell_id, **more)

    async def send(self, text: str, until: str = r"^r\d(\(.*\))?#$") -> dict[str, Any]:
        answer = await self.act("send", text=text, pattern=until, wait=LONG)
        assert answer["why"] == "pattern", answer
        self.cursor = answer["cursor"]
        return answer


async def test_a_router_is_open_at_its_privileged_prompt_and_answers(opened: Callable[..., Any]) -> None:
    app = await opened()
    shell = await Shell.on(app)
    assert shell.text == "r1#"
    assert (await shell.send("show version"))["text"].startswith("show version\nCisco IOS XE Software")
    assert (await shell.act("screen"))["screen"].endswith("r1#")
    assert (await shell.act("screen", device="r1"))["screen"].endswith("r1#"), "said twice is no contradiction"
    with pytest.raises(InputError, match="device"):
        await shell.act("screen", device="r2")
    (row,) = app.shells.rows()
    assert (row["device"], row["user"], row["last"], row["state"]) == ("r1", "admin", "show version", "open")


async def test_config_mode_is_entered_and_left(opened: Callable[..., Any], network: RunningNetwork) -> None:
    shell = await Shell.on(await opened())
    await shell.send("configure terminal", r"^r1\(config\)#$")
    await shell.send("hostname r1-new", r"^r1-new\(config\)#$")
    await shell.send("hostname r1", r"^r1\(config\)#$")
    answer = await shell.act("key", keys=["ctrl-z"], pattern="^r1#$", wait=LONG)
    assert answer["why"] == "pattern"


async def test_a_pager_is_a_state_and_its_keys_work(opened: Callable[..., Any]) -> None:
    shell = await Shell.on(await opened())
    await shell.send("terminal length 24")
    answer = await shell.send("show interfaces", "--More--")
    assert answer["waiting_for"] == "pager"
    assert "Gi0/59" not in answer["text"]
    answer = await shell.act("key", keys=["space"], pattern="--More--", wait=LONG)  # the old one does not count
    assert answer["why"] == "pattern"
    assert "Gi0/40 is up" in answer["text"]
    answer = await shell.act("key", keys=["q"], pattern="^r1#$", wait=LONG)
    assert answer["why"] == "pattern"


async def test_a_confirmation_waits_and_nothing_but_the_callers_key_is_typed(
    opened: Callable[..., Any], network: RunningNetwork
) -> None:
    shell = await Shell.on(await opened())
    answer = await shell.send("reload", r"\[confirm\]")
    assert answer["waiting_for"] == "confirm"
    before = len(network.device("r1").writes)
    await shell.act("wait", cursor=shell.cursor, quiet=0.3, wait=LONG)
    await shell.act("read", cursor=0)
    await shell.act("screen")
    assert len(network.device("r1").writes) == before
    answer = await shell.act("key", keys=["ctrl-c"], pattern="^r1#$", wait=LONG)
    assert answer["why"] == "pattern"


async def test_half_a_line_is_given_when_it_has_been_quiet_and_whole_lines_at_once(opened: Callable[..., Any]) -> None:
    shell = await Shell.on(await opened())
    await shell.act("send", text="show slow", wait=0)
    answer = await shell.act("wait", cursor=shell.cursor, pattern="^the first half and the other$", wait=LONG)
    assert answer["why"] == "pattern"
    assert answer["line"] == "the first half and the other"


async def test_a_known_secret_in_two_halves_is_never_put_together(opened: Callable[..., Any]) -> None:
    shell = await Shell.on(await opened())
    start, text = shell.cursor, ""
    await shell.act("send", text="show clock", wait=0)
    while "end\n" not in text:
        answer = await shell.act("wait", cursor=start, quiet=0.05, wait=LONG)
        text, start = text + answer["text"], answer["cursor"]
    assert LOGIN not in text
    assert LOGIN not in text.replace("\n", "")
    assert "<redacted:" in text


async def test_a_line_longer_than_an_answer_is_read_in_pieces(opened: Callable[..., Any]) -> None:
    shell = await Shell.on(await opened())
    start, text = shell.cursor, ""
    await shell.act("send", text="show flood", pattern="^the end$", wait=LONG)
    answer = await shell.act("wait", cursor=start, quiet=0.3, wait=LONG)
    while answer["more"]:
        assert len(answer["text"]) <= 20_000
        text += answer["text"]
        answer = await shell.act("read", cursor=answer["cursor"])
    assert text + answer["text"] == "show flood\n" + "x" * 300_000 + "\nthe end\nr1#"


async def test_a_shell_takes_one_of_the_devices_sessions_and_leaves_one(opened: Callable[..., Any]) -> None:
    app = await opened(max_sessions=2)
    shell = await Shell.on(app)
    with pytest.raises(InputError, match="max_sessions"):
        await Shell.on(app)
    shown = await app.commands.show("r1", ["show version"])
    assert shown["ok"] == 1
    assert (await shell.act("close"))["state"] == "closed"
    assert (await Shell.on(app)).text == "r1#"


async def test_a_broken_link_ends_the_shell_and_what_came_can_be_read(
    opened: Callable[..., Any], network: RunningNetwork
) -> None:
    app = await opened()
    shell = await Shell.on(app, "r2")
    await shell.send("show silence", "it begins")
    network.device("r2").break_sessions("reset")
    answer = await shell.act("wait", cursor=shell.cursor, wait=LONG)
    assert (answer["why"], answer["state"]) == ("ended", "ended")
    assert "reset" in answer["reason"]
    assert "it begins" in (await shell.act("read", cursor=0))["text"]
    with pytest.raises(SessionLost, match="nothing was typed"):
        await shell.act("key", keys=["enter"])
    assert app.shells.rows()[0]["state"] == "ended"
    await app.shells.expire(0.0)
    assert (await Shell.on(app, "r2")).text == "r2#"


async def test_a_password_typed_at_a_routers_prompt_is_on_no_record(opened: Callable[..., Any], tmp_path: Path) -> None:
    app = await opened()
    shell = await Shell.on(app)
    await shell.send("disable", "^r1>$")
    answer = await shell.send("enable", "^Password: ?$")
    assert answer["waiting_for"] == "password"
    await shell.send(ENABLE)
    assert ENABLE not in (tmp_path / "audit.jsonl").read_text()
    typed = [record["typed"] for record in audit_records(tmp_path) if "typed" in record]
    assert typed[-2:] == ["enable", "(not recorded: it was typed at a question for a secret)"]
    assert "not recorded" in app.shells.rows()[0]["last"]


async def test_a_connection_that_was_handed_over_runs_no_command(opened: Callable[..., Any]) -> None:
    app = await opened()
    shell = await Shell.on(app)
    ((session, _),) = [item for item in app.pool._held.items() if item[0].device.name == "r1"]
    assert not session.usable
    with pytest.raises(SessionLost, match="not open"):
        session.connection.help("show", deadline=0.0, turn=_turn())
    assert (await shell.send("show version"))["why"] == "pattern"


def _turn() -> Any:
    from netssh_mcp.wire.turn import Turn

    return Turn()


@pytest.mark.parametrize("action", ["send", "key", "read", "screen", "wait", "close"])
async def test_an_unknown_shell_is_refused_with_what_there_is(action: str, opened: Callable[..., Any]) -> None:
    app = await opened()
    shell = await Shell.on(app)
    with pytest.raises(InputError, match=f"did you mean {shell.shell_id}"):
        await app.shells.act(action, shell_id="shell-", **({"keys": ["enter"]} if action == "key" else {}))


async def test_a_cursor_of_another_shell_and_a_bad_pattern_are_refused(opened: Callable[..., Any]) -> None:
    shell = await Shell.on(await opened())
    with pytest.raises(InputError, match="beyond"):
        await shell.act("read", cursor=10_000)
    with pytest.raises(InputError):
        await shell.act("wait", pattern="(", wait=1)
