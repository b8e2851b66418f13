"""What a job gives out of its rows: each text once, within bounds, and what was run is remembered."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.model import WaitReason
from netssh_mcp.services import typed
from netssh_mcp.services.history import KEPT, PAGE, History
from netssh_mcp.services.job_actions import JobActions
from netssh_mcp.services.jobs import Job, Jobs, Row, running_answer

PROFILES = Profiles.load(None)
REDACTOR = Redactor(Vault())


def row(
    name: str = "r1",
    platform: str = "cisco_ios",
    *,
    asks: WaitReason | str = "",
    line: str = "? ",
    any_input: bool = True,
) -> Row:
    """A row whose command runs, and asks."""
    made = Row(
        Device(name, "192.0.2.1", 22, platform, "admin"),
        PROFILES.get(platform),
        "do it",
        REDACTOR,
        running=True,
        any_input=any_input,
    )
    if asks:
        made.turn.ask(asks, line)  # type: ignore[arg-type]  # one of the reasons
    return made


def shows(made: Row, text: str) -> Row:
    """Its first stream so far."""
    made.turn.partial = lambda: text
    return made


def test_a_page_prompt_that_is_erased_again_costs_none_of_the_text_behind_it() -> None:
    made = shows(row(asks="pager", line=" --More-- "), "one\n --More-- ")
    assert made.new(made.texts()) == {"text": "one\n"}
    made.turn.send(" ")
    shows(made, "one\ntwo\nthree\n")
    assert made.new(made.texts()) == {"text": "two\nthree\n"}


def test_a_half_line_is_given_when_it_is_whole_and_a_question_in_its_own_field() -> None:
    job = Job("j", "do it", [shows(row(), "first\nenable secret 9 $9$ab")])
    job.collect()
    assert running_answer(job.rows[0])["output"] == "first\n"
    shows(job.rows[0], "first\nenable secret 9 $9$abcdefghijklmn$opqrstuvwxyz0123456789\nSave? [yes/no]: ")
    job.rows[0].turn.ask("yes_no", "Save? [yes/no]: ")
    job.collect()
    new = job.pieces[1]["text"]
    assert new.startswith("enable secret 9 <redacted:")
    assert "$9$" not in new
    assert "Save" not in new
    assert running_answer(job.rows[0])["question"] == "Save? [yes/no]: "


def test_the_text_that_can_be_read_again_is_bounded_and_a_gap_is_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            jobs = Jobs(tasks)
            job = Job("j", "do it", [row()])
            jobs.give_out(job)
            actions = JobActions(jobs, Audit(tmp_path / "audit.jsonl"), Vault())
            for number in range(100):
                shows(job.rows[0], "".join(f"line {at}\n" for at in range(number + 1)))
                report = await actions.act("get", "j", cursor=number)
                assert [piece["text"] for piece in report["text"]] == [f"line {number}\n"]
            again = await actions.act("get", "j")
            assert again["truncated"]
            assert len(again["text"]) == 64
            await job.finish(job.rows[0], {"ok": True})
            ended = await actions.act("get", "j")
            assert (ended["text"], ended["rows"]) == ([], [{"ok": True}])

    anyio.run(work)


def test_the_history_is_bounded_and_its_pages_hold_still_while_new_ones_come() -> None:
    history = History()

    def add(number: int) -> None:
        history.add(
            "",
            f"command {number}",
            row().partial,
            devices=[f"r{at}" for at in range(5)],
            state="done",
            answers=[{"ok": True, "exit_status": 0}, {"ok": False, "exit_status": 3}, {"ok": True, "exit_status": 0}],
            started=datetime(2026, 11, 20, 10, 15, tzinfo=timezone.utc),
            seconds=1.5,
        )

    for number in range(KEPT + 10):
        add(number)
    cursor, titles = 0, list[Any]()
    while True:
        page = history.page(cursor)
        titles += [line[1] for line in page["rows"]]
        cursor = page["cursor"]
        add(-1)
        if not page["next"]:
            break
        assert len(page["rows"]) == PAGE
    assert titles[0] == f"command {KEPT + 9}"
    assert len(titles) == len(set(titles)) > KEPT - 2 * PAGE
    assert history.page(0)["rows"][1][2:8] == ["r0, r1, r2 and 2 more", "done", 3, 2, 1, "2 x 0, 1 x 3"]


def test_a_title_is_shown_without_the_secrets_that_are_known_by_then() -> None:
    vault = Vault()
    made = Row(Device("r1", "192.0.2.1", 22, "cisco_ios", "admin"), PROFILES.get("cisco_ios"), "x", Redactor(vault))
    history = History()
    now = datetime.now(timezone.utc)
    history.add("", "test Zebra-77-fox", made.partial, devices=[], state="done", answers=[], started=now, seconds=0.0)
    vault.learn("Zebra-77-fox")
    assert "Zebra" not in str(history.page(0))


@pytest.mark.parametrize(
    ("reason", "line", "text", "keys"),
    [
        ("filename", "Destination filename [x]? ", "", "\n"),
        ("filename", "Destination filename [x]? ", "a b", "a b\n"),
        ("filename", "Destination filename [x]? ", "<ctrl-c>", "\x03"),
        ("confirm", "Reload? [confirm]", "", "\n"),
        ("confirm", "Reload? [confirm]", "<enter>", "\n"),
        ("confirm", "Reload? [confirm]", "y", "y"),
        ("confirm", "Reload? [confirm]", "n", "n"),
        ("yes_no", "Save? [yes/no/cancel/diff]:", "diff", "diff\n"),
        ("yes_no", "Save? [yes/no]: ", "", "\n"),
        ("yes_no", "Save? [yes/no]: ", "YES", "YES\n"),
        ("yes_no", "[Y]es/[N]o/[S]ave all/[C]ancel: ", "s", "s\n"),
        ("pager", "--More--", "space", " "),
        ("pager", "--More--", "<enter>", "\n"),
        ("password", "Password: ", "a<b", "a<b\n"),
    ],
)
def test_what_is_typed_at_a_question(reason: str, line: str, text: str, keys: str) -> None:
    assert typed.keys(row(asks=reason, line=line), text) == keys


@pytest.mark.parametrize(
    ("reason", "line", "text"),
    [
        ("confirm", "Reload? [confirm]", "yes"),
        ("confirm", "Reload? [confirm]", "y\nreload"),
        ("yes_no", "Save? [yes/no]: ", "yreload"),
        ("yes_no", "Save? [yes/no]: ", "y<enter>reload"),
        ("filename", "Name? ", "a\nreload"),
        ("filename", "Name? ", "a<ctrl-m>reload"),
        ("filename", "Name? ", "a<enter>reload"),
        ("filename", "Name? ", "a\x00"),
        ("pager", "--More--", "reload"),
        ("other", "Who? ", "x<ctrl-z>reload"),
    ],
)
def test_no_more_than_the_answer_is_typed_at_a_network_device(reason: str, line: str, text: str) -> None:
    with pytest.raises(InputError):
        typed.keys(row(asks=reason, line=line), text)


@pytest.mark.parametrize(
    ("text", "keys"), [("a", "a\n"), ("a\nb", "a\nb\n"), ("a\nb\n", "a\nb\n"), ("<ctrl-d>", "\x04"), ("", "\n")]
)
def test_a_program_on_linux_gets_all_that_is_meant_for_it(text: str, keys: str) -> None:
    assert typed.keys(row(platform="linux"), text) == keys


def test_what_was_typed_at_a_password_prompt_is_not_in_the_error_that_refuses_it() -> None:
    with pytest.raises(InputError) as refused:
        typed.keys(row(asks="password", line="Password: "), "Zebra-77\nfox")
    assert "Zebra" not in str(refused.value)


def test_rows_that_ask_the_same_are_answered_together() -> None:
    same = [row("r1", asks="confirm"), row("r2", asks="confirm"), row("r3")]
    assert typed.asked(same, "") == same[:2]
    assert typed.asked(same, "r2") == [same[1]]
    with pytest.raises(InputError):
        typed.asked(same, "r3")
    with pytest.raises(InputError, match="different things"):
        typed.asked([row("r1", asks="other", line="One? "), row("r2", asks="other", line="Two? ")], "")
    linux = [row("h1", "linux"), row("h2", "linux")]
    with pytest.raises(InputError, match="none of these"):
        typed.asked(linux, "")
    assert typed.asked(linux, "h2") == [linux[1]]
    with pytest.raises(InputError):
        typed.asked([row("h1", "linux", any_input=False)], "")


def test_signals_are_for_linux_and_for_commands_with_a_shell_of_their_own() -> None:
    assert typed.signal_name(row(platform="linux"), "SIGterm ") == "TERM"
    for made, text in (
        (row(), "TERM"),
        (row(platform="linux"), "BOOM"),
        (row(platform="linux", any_input=False), "KILL"),
    ):
        with pytest.raises(InputError):
            typed.signal_name(made, text)


def test_a_job_waits_when_nothing_of_it_goes_on() -> None:
    rows = [row("r1", asks="confirm"), row("r1"), row("r2")]
    rows[1].running = False
    job = Job("j", "x", rows)
    assert job.state == "running", "r2 goes on"
    rows[2].answer = {"ok": True}
    assert job.state == "waiting", "what is behind the question on r1 does not"


def test_the_note_of_a_queued_row_names_only_what_holds_its_own_session() -> None:
    def going(command: str, platform: str, session: str | None) -> Row:
        made = row("h1", platform)
        made.command = command
        if session is not None:  # of `run`
            made.facts["session"] = session
        return made

    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            never = anyio.Event()
            for platform in ("linux", "cisco_ios"):
                jobs = Jobs(tasks)
                queued = {key: going("mine", platform, key) for key in ("work", None)}
                for made in queued.values():
                    made.turn.queued = True
                held = [("single", ""), ("in work", "work"), ("in other", "other"), ("shown", None)]
                rows = [*queued.values(), *(going(command, platform, session) for command, session in held)]
                jobs.start("t", rows, lambda _: never.wait(), None)
                await anyio.lowlevel.checkpoint()
                notes = {key: made.note for key, made in queued.items()}
                assert "the kept session 'work' is in use, by 'in work' (another call" in notes["work"]
                assert not any(word in notes["work"] for word in ("'single'", "'in other'", "'shown'", "max_sessions"))
                taken = [command for command, _ in held if f"'{command}'" in notes[None]]
                # Of a host only `show` takes one of max_sessions; on a device all do, and three are named.
                assert taken == (["shown"] if platform == "linux" else ["single", "in work", "in other"])
                assert "max_sessions" in notes[None]
            never.set()

    anyio.run(work)
