"""Nothing is sent without a record, and no record can be changed unseen."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from netssh_mcp.errors import AuditError
from netssh_mcp.guard.audit import GENESIS, Audit, verify


def decide(audit: Audit, command: str = "show version") -> str:
    return audit.record_decision(
        device="r1", command=command, command_class="read", verdict="allow", rule="first word 'show'"
    )


def filled(path: Path, pairs: int = 20) -> list[bytes]:
    audit = Audit(path)
    for number in range(pairs):
        decision = decide(audit, f"show interface Ethernet{number}")
        audit.record_outcome(decision, outcome="ok", received=1000 + number, seconds=0.25)
    audit.close()
    return path.read_bytes().splitlines(keepends=True)


def test_decision_and_outcome_are_one_line_each_with_all_facts(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    audit = Audit(path, session="s1")
    decision = audit.record_decision(
        device="r1", command="show version", command_class="read", verdict="allow", rule="verb show", user="ops"
    )
    audit.record_outcome(decision, outcome="error", received=12, seconds=1.5, error="timeout")
    audit.record_event("stop", reason="SIGTERM")
    first, second, third = map(json.loads, path.read_text().splitlines())
    assert first["prev"] == GENESIS
    assert (first["kind"], first["session"], first["device"], first["command"]) == (
        "decision", "s1", "r1", "show version",
    )  # fmt: skip
    assert (first["class"], first["verdict"], first["rule"], first["user"]) == ("read", "allow", "verb show", "ops")
    assert first["time"].endswith("+00:00")
    assert first["mono"] <= second["mono"]
    assert (second["kind"], second["id"], second["prev"]) == ("outcome", first["id"], first["hash"])
    assert (second["outcome"], second["bytes"], second["seconds"], second["error"]) == ("error", 12, 1.5, "timeout")
    assert (third["event"], third["reason"], third["seq"]) == ("stop", "SIGTERM", 3)
    assert verify(path).last_hash == third["hash"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(0o644)
    Audit(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_values_cannot_make_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    evil = 'x"}\n{"kind":"decision","verdict":"allow"}\r\n\u2028\x1b[2J\ud800'
    audit = Audit(path)
    decide(audit, evil)
    assert path.read_bytes().count(b"\n") == 1
    assert path.read_bytes().isascii()
    assert json.loads(path.read_text())["command"] == evil
    assert verify(path).ok


def test_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 5)
    filled(path, 5)
    found = verify(path)
    assert (found.ok, found.records, found.first_bad_line) == (True, 20, 0)
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == list(range(1, 21))


def test_any_of_a_hundred_edits_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    whole = b"".join(filled(path))
    chance = random.Random(7)  # noqa: S311 - a test's variety, not a secret
    for _ in range(100):
        at = chance.randrange(len(whole))
        put = bytes([chance.choice([byte for byte in b'0aZ"{},: \n' if byte != whole[at]])])
        edited = chance.choice([whole[:at] + put + whole[at + 1 :], whole[:at] + put + whole[at:]])
        path.write_bytes(edited)
        found = verify(path)
        assert not found.ok, (at, put)
        assert found.first_bad_line in (whole[:at].count(b"\n") + 1, whole[:at].count(b"\n") + 2)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: lines[:7] + lines[8:], 8),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], 5),
        (lambda lines: [*lines[:9], lines[3], *lines[9:]], 10),
        (lambda lines: [*lines[:9], b"\n", *lines[9:]], 10),
        (lambda lines: [*lines[:-1], lines[-1][:-5]], 40),
        (lambda lines: [*lines, b'{"half":'], 41),
        (lambda lines: [*lines, b"[" * 100_000 + b"\n"], 41),
    ],
)
def test_deletion_move_insertion_and_torn_end_are_found(tmp_path: Path, change: object, line: int) -> None:
    path = tmp_path / "audit.jsonl"
    lines = filled(path)
    assert callable(change)
    path.write_bytes(b"".join(change(lines)))
    found = verify(path)
    assert (found.ok, found.first_bad_line, found.records) == (False, line, line - 1)
    assert found.reason


def test_last_hash_shows_whole_lines_cut_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = filled(path)
    noted = verify(path).last_hash
    path.write_bytes(b"".join(lines[:-2]))
    assert verify(path).ok
    assert verify(path).last_hash != noted


def test_lines_cut_from_the_end_under_a_running_server_show_at_its_next_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    for _ in range(4):
        decide(audit)
    lines = path.read_bytes().splitlines(keepends=True)
    os.truncate(path, len(b"".join(lines[:2])))
    decide(audit)
    found = verify(path)
    assert (found.ok, found.first_bad_line) == (False, 3)


def test_torn_line_of_a_crash_is_taken_away_and_said(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = filled(path, 2)
    path.write_bytes(b"".join(lines) + b'{"command":"show')
    decide(Audit(path))
    assert verify(path).ok
    repaired = json.loads(path.read_text().splitlines()[4])
    assert (repaired["event"], repaired["reason"]) == ("repaired", "torn line of 16 bytes taken away")


def test_file_whose_last_line_is_not_a_record_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("somebody's notes\n")
    with pytest.raises(AuditError, match="its last line is not a record"):
        Audit(path)
    assert path.read_text() == "somebody's notes\n"


def test_rotated_file_is_followed_and_the_chain_goes_on_in_the_new_one(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.1"
    audit = Audit(path)
    decide(audit)
    path.rename(old)
    decide(audit)
    first = json.loads(path.read_text().splitlines()[0])
    assert (first["event"], first["prev"]) == ("continued", verify(old).last_hash)
    assert (verify(path).ok, verify(path).records) == (True, 2)


def test_records_longer_than_a_page_are_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    decide(Audit(path), "show " + "x" * 100_000)
    decide(Audit(path))
    assert (verify(path).ok, verify(path).records) == (True, 2)


def refused(audit: Audit) -> AuditError:
    with pytest.raises(AuditError) as caught:
        decide(audit)
    assert caught.value.effect == "none"
    assert "nothing was sent" in str(caught.value)
    return caught.value


def test_removed_folder_refuses_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    audit = Audit(folder / "audit.jsonl")
    decide(audit)
    folder.rename(tmp_path / "away")
    refused(audit)
    refused(audit)
    (tmp_path / "away").rename(folder)
    decide(audit)
    assert (verify(audit.path).ok, verify(audit.path).records) == (True, 2)


def test_link_folder_or_pipe_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(AuditError, match="cannot be written"):
            Audit(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_full_disk_refuses_and_leaves_no_torn_line(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the same short write, then the same error, from the kernel."""
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    decide(audit)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in (size, size + 1, size + 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            error = refused(audit)
            assert isinstance(error.__cause__, OSError)
            assert error.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
            assert path.stat().st_size == size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    decide(audit)
    assert (verify(path).ok, verify(path).records) == (True, 2)


def test_lost_outcome_says_that_the_command_was_sent(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    audit = Audit(folder / "audit.jsonl")
    decision = decide(audit)
    folder.rename(tmp_path / "away")
    with pytest.raises(AuditError, match="its outcome is not on record") as caught:
        audit.record_outcome(decision, outcome="ok")
    assert caught.value.effect == "possible"


def test_infinite_seconds_are_refused_rather_than_written_as_no_json(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    with pytest.raises(AuditError, match="JSON"):
        audit.record_outcome("x", outcome="ok", seconds=float("inf"))


def test_several_processes_and_threads_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys; from pathlib import Path; from netssh_mcp.guard.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "for i in range(100): audit.record_event('e', number=str(i))"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    audit = Audit(path)
    threads = [threading.Thread(target=lambda: [decide(audit) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [worker.wait(30) for worker in workers] == [0, 0, 0]
    found = verify(path)
    assert (found.ok, found.records, found.reason) == (True, 500, "")
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == list(range(1, 501))


def test_change_is_on_disk_before_it_is_sent_and_a_read_need_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    audit = Audit(tmp_path / "audit.jsonl")
    decide(audit)
    assert synced == []
    audit.record_decision(device="r1", command="reload", command_class="change", verdict="deny", rule="r")
    assert len(synced) == 1


def test_file_that_cannot_be_read_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be read"):
        verify(tmp_path / "none")


def test_empty_file_is_a_whole_chain_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    Audit(path).close()
    assert (verify(path).ok, verify(path).records, verify(path).last_hash) == (True, 0, GENESIS)
