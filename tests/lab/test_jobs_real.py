"""Jobs on a real host: input where no question is known, the end of input, signals, interrupts, two streams."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

# ruff: noqa: S604 - `shell` is the tool's argument
from netssh_mcp.errors import InputError
from netssh_mcp.services.app import App
from tests.lab.test_run_real import app

__all__ = ["app"]

pytestmark = [pytest.mark.real, pytest.mark.anyio]


async def started(app: App, command: str, **more: Any) -> str:
    """A job that has begun."""
    result = await app.runs.run("linux1", [command], wait=0, **more)
    return str(result["job_id"])


async def came(app: App, job: str, text: str, key: str = "text") -> int:
    """Wait until the job has given this text, and each piece of it only once; the cursor behind it."""
    cursor, seen = 0, ""
    with anyio.fail_after(20):
        while text not in seen:
            report = await app.jobs.act("get", job, cursor)
            cursor = report["cursor"]
            seen += "".join(piece.get(key, "") for piece in report["text"])
    assert seen == text
    return cursor


async def test_what_reads_without_asking_is_answered_all_the_same(app: App) -> None:
    job = await started(app, "echo ready; read x; echo got $x", shell=True)
    cursor = await came(app, job, "ready\n")
    ended = await app.jobs.act("input", job, cursor, "forty two")
    assert ended["rows"][0]["output"] == "ready\ngot forty two\n"


async def test_a_question_is_named_and_its_answer_typed(app: App) -> None:
    result = await app.runs.run("linux1", ["printf 'Continue? [y/N] '; read x; echo; echo got $x"], shell=True)
    (row,) = result["rows"]
    assert (row["state"], row["waiting_for"], row["question"]) == ("waiting", "yes_no", "Continue? [y/N] ")
    ended = await app.jobs.act("input", result["job_id"], text="y")
    assert ended["rows"][0]["output"] == "Continue? [y/N] \ngot y\n"


async def test_several_lines_and_the_end_of_input(app: App) -> None:
    job = await started(app, "echo ready; cat", shell=True)
    cursor = await came(app, job, "ready\n")
    await app.jobs.act("input", job, cursor, "one\ntwo")
    ended = await app.jobs.act("input", job, cursor, "<ctrl-d>")
    assert ended["rows"][0]["output"] == "ready\none\ntwo\n"
    assert ended["rows"][0]["exit_status"] == 0


async def test_a_signal_goes_to_the_command_and_the_job_stays(app: App) -> None:
    job = await started(app, "trap 'echo caught' USR1; echo ready; while :; do sleep 0.1; done", shell=True)
    await came(app, job, "ready\n")
    with pytest.raises(InputError, match="not a signal"):
        await app.jobs.act("signal", job, text="BOOM")
    assert (await app.jobs.act("signal", job, text="sigusr1"))["state"] == "running"
    await came(app, job, "ready\ncaught\n")
    ended = await app.jobs.act("signal", job, text="TERM")
    assert ended["state"] == "done"
    assert ended["rows"][0]["signal"] == "TERM"


async def test_an_interrupt_reaches_a_command_of_run_and_one_of_show(app: App) -> None:
    job = await started(app, "echo ready; sleep 60", shell=True)
    await came(app, job, "ready\n")
    await app.jobs.act("interrupt", job)
    assert (await app.jobs.act("wait", job))["state"] == "done"
    result = await app.commands.show("linux1", ["ping -c 60 198.18.0.2"], wait=1.0)
    await app.jobs.act("interrupt", result["job_id"])
    ended = await app.jobs.act("wait", result["job_id"])
    assert ended["state"] == "done", ended
    assert "packets transmitted" in str(ended["rows"])


async def test_the_two_streams_of_a_running_command_are_given_apart_and_once(app: App) -> None:
    job = await started(app, "echo one; echo bad >&2; read x; echo two; read x", shell=True)
    cursor = await came(app, job, "bad\n", "stderr")
    report = await app.jobs.act("input", job, cursor, "")
    with anyio.fail_after(20):
        while not report["text"]:
            report = await app.jobs.act("get", job, cursor)
    assert [(piece.get("text"), piece.get("stderr")) for piece in report["text"]] == [("two\n", None)]
    await app.jobs.act("cancel", job)


async def test_the_cursor_of_the_calls_own_answer_goes_on_behind_its_text(app: App) -> None:
    result = await app.runs.run("linux1", ["echo one; read x; echo two; read x; echo three"], shell=True, wait=1)
    job, cursor, seen = str(result["job_id"]), int(result["cursor"]), str(result["rows"][0].get("output", ""))
    for wanted in ("one\n", "one\ntwo\n"):
        with anyio.fail_after(20):
            while seen != wanted:
                assert wanted.startswith(seen), "nothing is sent again"
                report = await app.jobs.act("get", job, cursor)
                cursor, seen = report["cursor"], seen + "".join(piece["text"] for piece in report["text"])
        report = await app.jobs.act("input", job, cursor, "")
        cursor, seen = report["cursor"], seen + "".join(piece["text"] for piece in report["text"])
    assert report["state"] == "done"
    assert report["rows"][0]["output"] == "one\ntwo\nthree\n", "once as a whole"
    behind = await app.jobs.act("get", job, cursor)
    assert (behind["text"], behind["rows"]) == ([], [])
