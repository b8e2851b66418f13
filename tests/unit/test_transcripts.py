"""Recordings of sessions: bounded, without secrets, in three forms, one of which asciinema plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netssh_mcp.errors import InputError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.services import transcripts
from netssh_mcp.services.transcripts import Transcripts

LINUX = Profiles.load(None).get("linux")
PROMPT = b"\x1b[32mops@web1\x1b[0m:~$ "


def recorded(*events: tuple[float, str, bytes], vault: Vault | None = None) -> Transcripts:
    found = Transcripts(Redactor(vault or Vault()))
    start = found.start("web1/main", LINUX, width=100, height=30).started
    for at, direction, data in events:
        found.note("web1/main", direction, data, start + at)  # type: ignore[arg-type]
    return found


def story() -> Transcripts:
    return recorded(
        (0.5, "out", PROMPT),
        (2.0, "in", b"uptime\n"),
        (2.1, "out", b"uptime\r\n 10:00 up 3 days\r\n" + PROMPT),
        (5.0, "in", b"\x03"),
        (5.1, "out", b"^C\r\n" + PROMPT),
    )


def test_the_text_is_what_was_shown_and_typed() -> None:
    text, found = story().fetch("web1/main", "text")
    assert "ops@web1:~$ " in text
    assert "> uptime\n" in text
    assert " 10:00 up 3 days\n" in text
    assert "\x1b" not in text
    assert found.facts()["recording"] is True


def test_json_lines_have_a_time_a_direction_and_a_text_each() -> None:
    text, _ = story().fetch("web1/main", "jsonl")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["direction"] for line in lines].count("in") == 2
    assert all(set(line) == {"at", "direction", "text"} for line in lines)
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


def test_a_cast_has_the_header_of_version_two_and_plays_in_asciinema(tmp_path: Path) -> None:
    text, _ = story().fetch("web1/main", "asciicast")
    header, *events = map(json.loads, text.splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, 100, 30)
    assert {event[1] for event in events} == {"o", "i"}
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    shown = "".join(event[2] for event in events if event[1] == "o")
    assert shown == (PROMPT + b"uptime\r\n 10:00 up 3 days\r\n" + PROMPT + b"^C\r\n" + PROMPT).decode()
    cast = tmp_path / "story.cast"
    cast.write_text(text)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    played = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", str(cast)], capture_output=True, env=environ, timeout=60, check=True
    )
    assert b"10:00 up 3 days" in played.stdout


@pytest.mark.parametrize("form", transcripts.FORMS)
def test_no_secret_is_in_any_form_also_where_it_comes_in_pieces(form: str) -> None:
    vault = Vault()
    vault.learn("S3cr3t-of-web1-xyz")
    found = recorded(
        (0.1, "in", b"echo S3cr3t-of-web1-xyz\n"),
        (0.2, "out", b"echo S3cr3t-of"),
        (2.2, "out", b"-web1-xyz\r\nS3cr3t-of-web1"),
        (4.2, "out", b"-xyz\r\n"),
        (6.2, "out", b"enable secret 5 $1$abcd$0123456789abcdefghijkl\r\n"),
        (8.2, "out", b"-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAA\r\n"),
        (10.2, "out", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\r\n-----END OPENSSH PRIVATE KEY-----\r\n$ "),
        vault=vault,
    )
    text, _ = found.fetch("web1/main", form)
    for secret in ("web1-xyz", "S3cr3t", "$1$abcd", "b3BlbnNzaC1", "AAECAwQFBgcICQ"):
        assert secret not in text
    assert "redacted" in text


def test_a_recording_is_bounded_and_says_what_it_left_out() -> None:
    found = recorded(*((float(at), "out", b"x" * 99 + b"\n") for at in range(50_000)))
    transcript = found.stop("web1/main")
    assert transcript.size <= 4 << 20
    assert transcript.left_out == 5_000_000 - transcript.size
    assert transcript.facts()["left_out"] == transcript.left_out


def test_what_is_not_recorded_is_not_kept_and_errors_name_what_there_is() -> None:
    found = story()
    found.note("other", "out", b"nothing")
    with pytest.raises(InputError, match="already"):
        found.start("web1/main", LINUX)
    with pytest.raises(InputError, match="did you mean web1/main"):
        found.fetch("web1/mainn", "text")
    with pytest.raises(InputError, match="did you mean jsonl"):
        found.fetch("web1/main", "json")
    found.ended("web1/main")
    assert not found.recording("web1/main")
    assert "uptime" in found.fetch("web1/main", "text")[0]
    with pytest.raises(InputError, match="not being recorded"):
        found.stop("web1/main")
