"""Recording a kept session or a terminal: what `session` does with record, stop and transcript."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.desk import Desk

Screen = tuple[Profile, int, int]  # how its text is redacted, columns, lines


class Recordings:
    """`key` names a terminal, or a kept session with its device."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def start(self, key: str, screen: Screen | None) -> dict[str, Any]:
        """From now on. InputError where there is no such session, or it is recorded already."""
        if screen is None:
            raise InputError(
                f"there is no open session or shell {key[:80]!r}", hint="session(action='list') shows what is open."
            )
        profile, width, height = screen
        found = self._desk.transcripts.start(key, profile, width=width, height=height)
        self._desk.audit.record_event("recording_started", session=key)
        return {"action": "record", "session": key, **found.facts(), "next": "session(action='stop') ends it."}

    def stop(self, key: str) -> dict[str, Any]:
        """InputError when it is not recorded."""
        found = self._desk.transcripts.stop(key)
        self._desk.audit.record_event("recording_stopped", session=key)
        return {"action": "stop", "session": key, **found.facts(), "next": "session(action='transcript') fetches it."}

    async def fetch(self, key: str, form: str) -> dict[str, Any]:
        """What was recorded so far, without secrets; the whole is behind `output_id` where it is long."""
        text, found = await anyio.to_thread.run_sync(
            partial(self._desk.transcripts.fetch, key, form), limiter=self._desk.pool.threads
        )
        kept = self._desk.outputs.keep(text, cap=self._desk.outputs.cap, device=key, command=f"transcript, {form}")
        facts = {"action": "transcript", "session": key, "format": form, **found.facts()}
        more = f"read_output(output_id='{kept.output_id}') has all of it." if kept.truncated else ""
        return {**facts, "text": kept.shown, "truncated": kept.truncated, "output_id": kept.output_id, "next": more}
