"""Jobs on simulated devices: questions are said and answered by the caller alone, what runs can be stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.lab.device import Device, DeviceSpec
from netssh_mcp.lab.faults import Faults, Pause, Script, Text
from netssh_mcp.lab.server import RunningNetwork, start_network
from netssh_mcp.services.app import App, open_app
from tests.devices.direct import until
from tests.devices.house import audit_records, settings, write_inventory
from tests.devices.mcp_house import served

pytestmark = pytest.mark.anyio

SLOW = Script((Text("first\n"), Pause(30.0), Text("last\n")))
SPECS = [
    *(DeviceSpec(name, "cisco_ios", outputs={"show slow": SLOW}, files={"old.bin": b"x"}) for name in ("r1", "r2")),
    DeviceSpec("n1", "cisco_nxos"),
    DeviceSpec("j1", "juniper_junos"),
    DeviceSpec("locked", "cisco_ios", enable="Zebra-77-fox"),
    DeviceSpec("deaf", "cisco_ios", faults=Faults(deaf_to_interrupt=True)),
]
ONE_SESSION = {"r2": {"max_sessions": 1}}


@pytest.fixture
def network() -> Iterator[RunningNetwork]:
    with start_network(SPECS) as running:
        yield running


def _policy(folder: Path) -> Path:
    policy = folder / "policy.yaml"
    policy.write_text("version: 1\nrules:\n  - classes: [read, diagnose, secret-read, change, config, shell]\n")
    policy.chmod(0o600)
    return policy


@asynccontextmanager
async def ready(network: RunningNetwork, folder: Path) -> AsyncIterator[App]:
    inventory = write_inventory(network.ports, SPECS, folder, **ONE_SESSION)
    async with open_app(settings(folder, inventory, policy=str(_policy(folder)))) as app:
        with anyio.fail_after(60):
            yield app


def typed_since(device: Device, command: str) -> bytes:
    """Every byte that came behind the command's own line, without our proofs of a prompt."""
    sent = b"".join(data for _, data in device.writes)
    return re.sub(rb"[!#]\d{16}\n", b"", sent[sent.rindex(command.encode() + b"\n") + len(command) + 1 :])


async def test_a_reload_is_asked_for_shown_and_cancelled_and_the_device_has_not_reloaded(
    network: RunningNetwork, tmp_path: Path
) -> None:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    device = network.device("r1")
    arguments = ("--policy", str(_policy(tmp_path)), "--toolsets", "observe,operate")
    async with served(inventory, tmp_path, *arguments) as house:
        asked = await house.call("run", targets="r1", commands=["reload"])
        (row,) = asked.rows
        assert (row["state"], row["waiting_for"]) == ("waiting", "confirm")
        assert row["question"] == "Proceed with reload? [confirm]"
        assert "nothing" not in row.get("output", "")
        job = asked.fields["job_id"]
        listed = await house.call("job", action="list")
        assert listed.fields["rows"][0][:4] == [job, "reload", "r1", "waiting"]
        assert listed.fields["rows"][0][6] == "confirm (r1)"
        (meanwhile,) = (await house.show("r1", "show clock")).rows
        assert meanwhile["ok"], "another session of the same device"
        assert typed_since(device, "reload").startswith(b"terminal "), "a login, and nothing at the question"
        ended = await house.call("job", action="cancel", job_id=job)
        assert ended.fields["state"] == "cancelled"
        (row,) = ended.fields["rows"]
        assert row["error"]["kind"] == "interrupted"
        assert "the device was asking; it was interrupted and the prompt is back" in row["error"]["message"]
        assert row["error"]["line"] == "Proceed with reload? [confirm]"
        again = await house.call("job", action="cancel", job_id=job)
        assert again.fields["state"] == "cancelled"
        history = await house.call("job", action="history")
        assert [line[1] for line in history.fields["rows"]] == ["reload", "show clock"]
    assert (device.reloads, device.interrupts) == (0, 1)


async def test_copying_asks_for_a_name_and_enter_takes_the_one_it_offers(
    network: RunningNetwork, tmp_path: Path
) -> None:
    inventory = write_inventory(network.ports, SPECS, tmp_path)
    arguments = ("--policy", str(_policy(tmp_path)), "--toolsets", "observe,operate")
    async with served(inventory, tmp_path, *arguments) as house:
        asked = await house.call("run", targets="r1", commands=["copy running-config startup-config", "show clock"])
        first, second = asked.rows
        assert (first["state"], first["waiting_for"]) == ("waiting", "filename")
        assert first["question"] == "Destination filename [startup-config]? "
        assert second["state"] == "queued"
        ended = await house.call(
            "job", action="input", job_id=asked.fields["job_id"], cursor=0, text="<enter>", device="r1"
        )
        assert ended.fields["state"] == "done", ended.text
        first, second = ended.fields["rows"]
        assert (first["ok"], first["framing"]) == (True, "proven")
        assert first["output"] == "Destination filename [startup-config]? \nBuilding configuration...\n[OK]\n"
        assert (second["ok"], second["output"]) == (True, "10:15:42.123 UTC Fri Nov 20 2026\n")
    given = [record for record in audit_records(tmp_path) if record.get("event") == "job_input"]
    assert [(record["device"], record["waiting_for"], record["question"].strip()) for record in given] == [
        ("r1", "filename", "Destination filename [startup-config]?")
    ]
    assert "enter" not in str(given)


async def asked(app: App, targets: str, *commands: str, **more: Any) -> dict[str, Any]:
    """A call that ends in a question."""
    result = await app.runs.run(targets, list(commands), **more)
    assert "waiting" in {row["state"] for row in result["rows"]}, result
    return result


async def test_a_confirmed_reload_ends_the_session_and_the_error_says_that_it_may_have_worked(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        result = await asked(app, "r1", "reload")
        ended = await app.jobs.act("input", result["job_id"])
        assert ended["state"] == "done"
        error = ended["rows"][0]["error"]
        assert (error["kind"], error["effect"], error["retryable"]) == ("lost", "possible", False)
        assert "reload" in error["hint"]
    assert network.device("r1").reloads == 1
    assert typed_since(network.device("r1"), "reload") == b"\n"


async def test_a_dialogue_of_two_questions_is_answered_one_by_one(network: RunningNetwork, tmp_path: Path) -> None:
    device = network.device("r1")
    async with ready(network, tmp_path) as app:
        assert (await app.runs.run("r1", ["configure terminal", "hostname r1b", "end"]))["ok"] == 3
        result = await asked(app, "r1", "reload")
        assert result["rows"][0]["waiting_for"] == "yes_no"
        job = result["job_id"]
        with pytest.raises(InputError, match="does not offer"):
            await app.jobs.act("input", job, text="reload")
        report = await app.jobs.act("input", job, text="no")
        assert (report["state"], report["waiting"][0]["waiting_for"]) == ("waiting", "confirm")
        with pytest.raises(InputError, match="one character"):
            await app.jobs.act("input", job, text="yes")
        report = await app.jobs.act("input", job, text="n")
        assert report["state"] == "done"
        assert report["rows"][0]["ok"]
        assert "[yes/no]: no\n" in report["rows"][0]["output"]
    assert device.reloads == 0
    assert typed_since(device, "reload") == b"no\nn"


async def test_delete_names_its_file_twice_and_the_output_is_the_dialogue(
    network: RunningNetwork, tmp_path: Path
) -> None:
    device = network.device("r1")
    async with ready(network, tmp_path) as app:
        result = await asked(app, "r1", "delete flash:old.bin")
        report = await app.jobs.act("input", result["job_id"])
        assert report["waiting"][0]["question"] == "Delete flash:/old.bin? [confirm]"
        assert [piece["text"] for piece in report["text"]] == ["Delete filename [old.bin]? \n"]
        report = await app.jobs.act("input", result["job_id"], report["cursor"], "y")
        assert report["rows"][0]["output"] == "Delete filename [old.bin]? \nDelete flash:/old.bin? [confirm]\n"
    assert not device.flash.contents


async def test_answers_given_beforehand_are_typed_each_at_its_question_and_no_other(
    network: RunningNetwork, tmp_path: Path
) -> None:
    device = network.device("r1")
    beforehand = [{"expect": "filename", "send": ""}, {"expect": "confirm", "send": "y"}, {"expect": "#", "send": "x"}]
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("r1", ["delete flash:old.bin"], answers=beforehand)
        assert result["ok"] == 1, result
        assert "Delete flash:/old.bin? [confirm]\n" in result["rows"][0]["output"]
    assert not device.flash.contents
    assert "x" not in device.received
    assert typed_since(device, "delete flash:old.bin") == b"\ny"


async def test_a_log_line_behind_a_question_neither_hides_it_nor_takes_its_answer(
    network: RunningNetwork, tmp_path: Path
) -> None:
    device = network.device("r1")
    log = "*Nov 20 10:15:42.123: %SYS-5-CONFIG_I: Configured from console by admin on vty0"
    async with ready(network, tmp_path) as app:
        result = await asked(app, "r1", "erase startup-config")
        device.emit(log)
        report = await app.jobs.act("input", result["job_id"])
        assert report["state"] == "done", report
        assert report["rows"][0]["output"].endswith("[OK]\nErase of nvram: complete\n")
    assert device.startup == ""


async def test_a_device_that_does_not_take_ctrl_c_at_its_question_is_left_without_another_byte(
    network: RunningNetwork, tmp_path: Path
) -> None:
    device = network.device("deaf")
    async with ready(network, tmp_path) as app:
        for stop in ("cancel", "timeout"):
            result = await asked(
                app, "deaf", "copy running-config startup-config", timeout=60.0 if stop == "cancel" else 1.0
            )
            report = await app.jobs.act(stop if stop == "cancel" else "get", result["job_id"])
            while not report["rows"]:
                report = await app.jobs.act("get", result["job_id"])
            row = report["rows"][0]
            assert row["error"]["effect"] == "possible"
            assert "nothing else was typed" in row["error"]["message"]
            sent = b"".join(data for _, data in device.writes)
            assert sent.endswith(b"\n\x03"), "the command, Ctrl-C, and the end of the session"
    assert device.interrupts == 2


@pytest.mark.parametrize(("name", "command"), [("n1", "reload"), ("j1", "request system reboot")])
async def test_other_platforms_ask_and_are_answered(
    name: str, command: str, network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        result = await asked(app, name, command)
        assert result["rows"][0]["waiting_for"] == "yes_no"
        report = await app.jobs.act("input", result["job_id"], text="n")
        assert (report["state"], report["rows"][0]["ok"]) == ("done", True)
        result = await asked(app, name, command)
        report = await app.jobs.act("input", result["job_id"], text="yes")
        assert report["rows"][0]["error"]["kind"] == "lost"
    assert network.device(name).reloads == 1


async def test_an_input_goes_to_all_that_ask_the_same_or_to_the_one_that_is_named(
    network: RunningNetwork, tmp_path: Path
) -> None:
    async with ready(network, tmp_path) as app:
        result = await asked(app, "r1,n1", "reload")
        with pytest.raises(InputError, match="ask different things"):
            await app.jobs.act("input", result["job_id"], text="y")
        await app.jobs.act("cancel", result["job_id"])
        result = await asked(app, "r1,r2", "erase startup-config")
        report = await app.jobs.act("input", result["job_id"], device="r2", text="y")
        assert [row["device"] for row in report["rows"]] == ["r2"]
        assert [row["device"] for row in report["waiting"]] == ["r1"]
        with pytest.raises(InputError, match="no device"):
            await app.jobs.act("input", result["job_id"], device="r9")
        assert (await app.jobs.act("input", result["job_id"]))["state"] == "done"
        with pytest.raises(InputError, match="nothing of this job waits"):
            await app.jobs.act("input", result["job_id"])
    assert [network.device(name).reloads for name in ("r1", "n1")] == [0, 0]


async def test_who_waits_for_a_session_is_told_who_has_it(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path) as app:
        result = await asked(app, "r2", "reload")
        behind = await app.commands.show("r2", ["show clock"], wait=0.3)
        (row,) = behind["rows"]
        assert row["state"] == "queued"
        assert "max_sessions 1" in row["note"]
        assert f"'reload' (job {result['job_id']}, confirm)" in row["note"]
        assert "'reload'" in (await app.jobs.act("get", behind["job_id"]))["note"]
        await app.jobs.act("cancel", result["job_id"])
        ended = await app.jobs.act("wait", behind["job_id"])
        assert ended["rows"][0]["ok"]


async def test_an_interrupt_ends_the_command_and_the_rest_of_the_job_goes_on(
    network: RunningNetwork, tmp_path: Path
) -> None:
    device = network.device("r1")
    async with ready(network, tmp_path) as app:
        result = await app.runs.run("r1", ["show slow", "show clock"], wait=0)
        job = result["job_id"]
        await until(lambda: "show slow" in device.received)
        cursor, text = 0, ""
        while "first\n" not in text:
            report = await app.jobs.act("get", job, cursor)
            cursor = report["cursor"]
            text += "".join(piece["text"] for piece in report["text"])
        assert text == "first\n", "given once"
        with pytest.raises(InputError, match="no signals"):
            await app.jobs.act("signal", job, text="TERM")
        await app.jobs.act("interrupt", job)
        ended = await app.jobs.act("wait", job, cursor)
        assert ended["state"] == "done"
        slow, clock = ended["rows"]
        assert (slow["ok"], slow["output"].strip(), clock["ok"]) == (True, "first", True)
        assert any("Ctrl-C was typed" in event for event in slow["events"])
    assert device.interrupts == 1
    assert [record["signal"] for record in audit_records(tmp_path) if record.get("event") == "job_interrupt"] == ["INT"]


async def test_cancel_all_stops_every_job_and_says_how(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path) as app:
        await asked(app, "r1,r2", "reload")
        await asked(app, "deaf", "reload")
        summary = await app.jobs.act("cancel_all")
        assert summary["columns"][2:] == ["state", "rows", "stopped", "may still run", "not ended"]
        assert [row[1:] for row in summary["rows"]] == [
            ["reload", "cancelled", 1, 0, 1, 0],
            ["reload", "cancelled", 2, 2, 0, 0],
        ]
        assert (await app.jobs.act("cancel_all"))["rows"] == []
    assert [network.device(spec.name).reloads for spec in SPECS] == [0] * len(SPECS)


async def test_leaving_with_a_question_open_answers_nothing(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path) as app:
        await asked(app, "r1,n1", "reload")
    for name in ("r1", "n1"):
        assert typed_since(network.device(name), "reload") in (b"", b"\x03")
        assert network.device(name).reloads == 0


async def test_the_history_has_every_command_in_pages_newest_first(network: RunningNetwork, tmp_path: Path) -> None:
    async with ready(network, tmp_path) as app:
        for number in range(60):
            await app.commands.show("r1", ["show nonsense" if number == 59 else "show clock"])
        result = await asked(app, "r1,r2", "reload")
        await app.jobs.act("cancel", result["job_id"])
        page = await app.jobs.act("history")
        rows = [dict(zip(page["columns"], row, strict=True)) for row in page["rows"]]
        assert len(rows) == 50
        first = rows[0]
        assert (first["job_id"], first["command"], first["devices"]) == (result["job_id"], "reload", "r1, r2")
        assert (first["state"], first["rows"], first["ok"], first["failed"]) == ("cancelled", 2, 0, 2)
        assert (rows[1]["command"], rows[1]["job_id"], rows[1]["ok"], rows[1]["failed"]) == ("show nonsense", "", 0, 1)
        await app.commands.show("r1", ["show version"])
        assert f"cursor={page['cursor']}" in page["next"]
        older = await app.jobs.act("history", cursor=page["cursor"])
        assert (len(older["rows"]), older["next"]) == (11, "")


async def test_a_password_that_is_typed_is_a_secret_from_then_on(network: RunningNetwork, tmp_path: Path) -> None:
    device = network.device("locked")
    device.set_answer("show note", "somebody typed Walrus-55-owl\n")
    async with ready(network, tmp_path) as app:
        result = await asked(app, "locked", "disable", "enable")
        assert result["rows"][1]["waiting_for"] == "password"
        report = await app.jobs.act("input", result["job_id"], text="Walrus-55-owl")
        assert report["waiting"][0]["waiting_for"] == "password", "it was wrong, and is asked for again"
        report = await app.jobs.act("input", result["job_id"], report["cursor"], "Zebra-77-fox")
        assert report["rows"][0]["ok"]
        assert "Walrus" not in str(report)
        shown = await app.commands.show("locked", ["show note"])
        assert "somebody typed <redacted:" in shown["rows"][0]["output"]
    assert b"enable\nWalrus-55-owl\nZebra-77-fox\n" in b"".join(data for _, data in device.writes)
    audit = (tmp_path / "audit.jsonl").read_text()
    assert "Walrus" not in audit
    assert "Zebra" not in audit
