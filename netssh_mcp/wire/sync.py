"""Find out, with proof, which prompt a session shows: after login, and after an interrupt."""

from __future__ import annotations

import re
import time

from netssh_mcp.errors import PromptNotFound
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.refusals import refusal
from netssh_mcp.wire.framing import Prompt, new_nonce
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.text import clean, last_line
from netssh_mcp.wire.turn import Turn

_RETRY = 0.4  # seconds after which an unanswered nonce is asked again; doubled each time
_SHORT = 4  # lines of an answer that refuses a comment
_SETTLE = 0.15  # silence after which a prompt is believed where no comment syntax is known


def prove_prompt(
    reader: Reader, profile: Profile, deadline: float, turn: Turn | None = None, *, before: str = ""
) -> Prompt:
    """The prompt that stands on both sides of a nonce. `deadline` is on the monotonic clock.

    `before` is text already read, at whose end the prompt may stand: without it a second nonce is needed.

    A device that refuses comments is found out here: `comments` is False then.
    Raises PromptNotFound with the text that came, or SessionLost.
    """
    if not profile.comment:
        return _settled_prompt(reader, profile, deadline, turn)
    raw = bytearray(last_line(before).encode())
    retry, now, refused = _RETRY, 0.0, ""
    while True:
        mark = f"{profile.comment}{new_nonce()}\n"
        reader.write(mark.encode())
        until = min(deadline, time.monotonic() + retry)
        while True:
            raw += reader.take()
            if prompt := _prompt_around(clean(bytes(raw[-4096:])), mark, profile):
                return prompt
            if line := _refused_between(clean(bytes(raw[-4096:])), mark, profile):
                if line == refused:
                    return Prompt(line, comments=False)
                refused = line  # once may be the answer to something else that was typed before
            if _stands_behind(clean(bytes(raw[-4096:])), mark, profile):
                break  # what stood before the nonce was read by someone else, or was a log line: ask again at once
            if turn is not None and turn.cancelled:
                raise _not_found(reader, raw, "the call was cancelled before the prompt was proven")
            if (now := time.monotonic()) >= until:
                break
            reader.wait(until - now)
        if time.monotonic() >= deadline:
            raise _not_found(reader, raw, "no prompt could be proven in time")
        if now >= until:
            retry *= 2


def _prompt_around(text: str, mark: str, profile: Profile) -> Prompt | None:
    at = text.rfind(mark)
    if at < 0:
        return None
    line = last_line(text[:at])
    rest = text[at + len(mark) :]
    if not line or not rest.endswith(line):
        return None
    lead = rest[: len(rest) - len(line)]
    allowed = rf"\n?(?:(?:{profile.prompts.lead})\n)?" if profile.prompts.lead else r"\n?"
    return Prompt(line, lead) if re.fullmatch(allowed, lead) else None


def _refused_between(text: str, mark: str, profile: Profile) -> str:
    """The prompt, when the same one stands on both sides of the nonce and of a refusal."""
    at = text.rfind(mark)
    if at < 0:
        return ""
    line = last_line(text[:at])
    *answer, last = text[at + len(mark) :].split("\n")
    if not line or line != last or len(answer) > _SHORT or not re.fullmatch(profile.prompts.pattern, line):
        return ""
    return line if refusal(profile, "\n".join(answer)) else ""


def _stands_behind(text: str, mark: str, profile: Profile) -> bool:
    at = text.rfind(mark)
    return at >= 0 and re.fullmatch(profile.prompts.pattern, last_line(text[at + len(mark) :])) is not None


def _settled_prompt(reader: Reader, profile: Profile, deadline: float, turn: Turn | None) -> Prompt:
    """Without a nonce: an empty line is answered twice by the same prompt, followed by silence."""
    raw = bytearray()
    seen = ""
    while time.monotonic() < deadline and not (turn is not None and turn.cancelled):
        raw.clear()
        reader.write(b"\n")
        until = min(deadline, time.monotonic() + 2.0)
        while time.monotonic() < until:
            data = reader.take()
            raw += data
            line = last_line(clean(bytes(raw[-4096:])))
            if not data and re.fullmatch(profile.prompts.pattern, line) and reader.quiet() >= _SETTLE:
                if line == seen:
                    return Prompt(line)
                seen = line
                break
            reader.wait(min(_SETTLE, until - time.monotonic()))
    raise _not_found(reader, raw, "no prompt could be found in time")


def _not_found(reader: Reader, raw: bytes | bytearray, reason: str) -> PromptNotFound:
    partial = clean(bytes(raw[-4096:]))
    return PromptNotFound(
        reason,
        device=reader.device,
        line=last_line(partial),
        partial=partial,
        hint="Check the platform in the inventory, and whether the login lands in a menu or asks a question.",
    )
