"""The end of a command is proven, not guessed. No I/O here: bytes in, decisions out.

When this session's exact prompt stands last, two comments with random nonces are sent in one write; only *prompt, first
echo, prompt, second echo, prompt* at the very end closes the command. Three ways devices echo have to give the same:

    line    the line editor echoes when it reads:     ...output PROMPT !1 CRLF PROMPT !2 CRLF PROMPT
    both    the terminal and then the line editor:    ...out !1 CRLF !2 CRLF put PROMPT !1 CRLF PROMPT !2 CRLF PROMPT
    early   the terminal echoes on arrival, once:     ...out !1 CRLF !2 CRLF put PROMPT PROMPT PROMPT

A look-alike of the prompt inside the output costs an early pair, never a wrong end: a terminal echoes the pair in one
piece, so no prompt stands between the two, it is taken out of the text again, and the next pair decides. On `early`
terminals the pair in one piece and then two prompts close it, when it happens twice in a row with a silence behind.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Framing, WaitReason
from netssh_mcp.wire.echo import after_echo, search_echo
from netssh_mcp.wire.questions import paged, standing
from netssh_mcp.wire.text import clean, last_line, line_slices

_TAIL = 2048  # bytes at the end that are looked at after each read: prompts and nonces are far shorter
_PART = 1 << 18  # bytes: what is longer is decoded in parts, and is in memory twice then, not five times
_LOG_LINE = 400  # characters of a line in which it shows that it is one
_LOG_LINES_UP_TO = 4_000_000  # characters; past this, log lines stay in the text: cutting them costs more than it helps

# Silences, in seconds. None of them ends a command where there is a nonce; they only say when to ask for the proof.
_MID_LINE = 0.03  # the prompt stands last, but not on a line of its own
_AFTER_LOG_LINE = 0.15  # a log line came behind the prompt and no new prompt was drawn
_OTHER_PROMPT = 0.25  # something like a prompt, but not ours (the hostname changed)
_SUSPICIOUS = 0.05  # behind the proof of a terminal that echoes on arrival
_LOST_NONCE = 0.5  # the prompt stands, and the nonce was not echoed
WAITING = 0.15  # a question stands last
_PERHAPS = 0.5  # ... or a line that ends like one: an output may stop there for a moment
_MAX_NONCES = 64


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact last line that this session's device shows when it is ready, and the lines that belong above it."""

    line: str
    lead: str = ""  # e.g. "\n{master:0}\n" on Junos: as seen between a nonce and the prompt
    comments: bool = True  # False: this device answered a comment with a refusal, whatever its profile says


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: `send` these bytes, or be `done`, or else wait for bytes or `wait` seconds (None = for ever)."""

    send: bytes = b""
    done: bool = False
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """A finished exchange, taken apart."""

    output: str
    events: tuple[str, ...]
    framing: Framing
    prompt: Prompt
    echo_seen: bool
    pager_hit: bool  # a nonce may have answered a pager: the output cannot be trusted to be whole


def new_nonce() -> str:
    """16 random decimal digits (53 bits): no letter of it can answer a pager or a yes/no question."""
    return f"{secrets.randbelow(10**16):016d}"


@dataclass(slots=True)
class Exchange:
    """One command on a line-oriented session, from the first byte written to the proven end."""

    profile: Profile
    prompt: Prompt
    line: str
    nonce: Callable[[], str] = new_nonce
    reads_logs: bool = False
    raw: bytearray = field(default_factory=bytearray)
    nonces: list[str] = field(default_factory=list)
    asked_at: int = 0  # bytes received when the first nonce went out
    waiting: WaitReason | Literal[""] = ""
    question: str = ""
    _prompt_bytes: bytes = b""
    _tail: str = ""
    _stale: bool = True
    _early: bool = False
    _changed: str = ""  # another prompt that answered a pair on arrival
    _arrived: int = 0  # nonces sent when a pair was last answered as on a terminal that echoes on arrival
    _other: str = ""
    _other_lead: str | None = None  # as seen behind the last nonce
    _parts: list[str] = field(default_factory=list)  # the output, once `split` has it

    def __post_init__(self) -> None:
        self._prompt_bytes = self.prompt.line.encode()

    # -- bytes in ------------------------------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> None:
        """Add what the device sent."""
        self.raw += chunk
        self._stale = True
        self.waiting = ""

    def first(self) -> bytes:
        """The bytes that start the exchange; pipelined platforms get the proof's nonce along."""
        out = self.line.encode() + b"\n"
        return out + self._mark() if self.profile.pipelined and self.profile.comment else out

    def _mark(self) -> bytes:
        if not self.nonces:
            self.asked_at = len(self.raw)
        self.nonces += (self.nonce(), self.nonce())
        return "".join(f"{self.profile.comment}{nonce}\n" for nonce in self.nonces[-2:]).encode()

    def tail(self) -> str:
        """The last lines as text; what the decisions look at."""
        if self._stale:
            self._tail = clean(memoryview(self.raw)[-_TAIL:])
            self._stale = False
        return self._tail

    # -- decisions -----------------------------------------------------------------------------------------------

    def step(self, quiet: float) -> Step:
        """What to do after `quiet` seconds of silence."""
        if not self.profile.comment:
            return self._step_by_prompt(quiet)
        if self.nonces and self._proof_stands():
            return self._proven(quiet)
        if self._prompt_stands():
            return self._ask(quiet)
        return self._no_prompt(quiet)

    def _prompt_stands(self) -> bool:
        if self.raw.endswith(self._prompt_bytes):
            return True
        # Colours, backspaces or blanks around the prompt: only then look at the cleaned text.
        if bytes(self.raw[-1:]) in (b"m", b"K", b"\b", b"\x00", b"h", b"l", b"\x07"):
            return self.tail().endswith(self.prompt.line)
        return False

    def _own_line(self) -> bool:
        """The prompt that stands last has a line of its own."""
        text = self.tail()
        start = len(text) - len(self.prompt.line)
        return start == 0 or text[start - 1] == "\n"

    def _ask(self, quiet: float) -> Step:
        if not self.nonces:
            return Step(send=self._mark()) if self._own_line() or quiet >= _MID_LINE else Step(wait=_MID_LINE)
        if len(self.nonces) >= _MAX_NONCES:
            return Step()
        if not self._echoed(self.nonces[-1]):
            # The device will echo it when it reads its next line; only a swallowed nonce is sent anew.
            return Step(send=self._mark()) if quiet >= _LOST_NONCE else Step(wait=_LOST_NONCE)
        # Echoed, but not around this prompt: the last pair was asked for by a look-alike, or its second echo is still
        # on its way. Ask again, ever more slowly.
        due = min(0.5, _MID_LINE * len(self.nonces) / 2)
        return Step(send=self._mark()) if quiet >= due else Step(wait=due)

    def _echoed(self, nonce: str) -> bool:
        return self.raw.rfind(nonce.encode(), self.asked_at) >= 0

    def _proof_stands(self) -> bool:
        """The last pair's echoes and prompts stand at the very end, in the order that only a ready device gives."""
        first, second = (f"{self.profile.comment}{nonce}\n" for nonce in self.nonces[-2:])
        text = self.tail()
        at = text.rfind(second)
        if at < 0:
            return False
        before, rest = text[:at], text[at + len(second) :]
        self._other, self._early = "", False
        if self._read_in_turn(before, rest, first, self.prompt.line):
            return True
        other = last_line(before)
        if re.fullmatch(self.profile.prompts.pattern, other) and self._read_in_turn(before, rest, first, other):
            self._other = other  # the same new prompt around both: it changed
            self._other_lead = rest[: len(rest) - len(other)]  # Junos: [edit] comes with the mode, or goes with it
            return True
        for line in (self.prompt.line, self._changed, last_line(before.removesuffix(first))):
            if not re.fullmatch(self.profile.prompts.pattern, line) and line != self.prompt.line:
                continue
            if self._echoed_on_arrival(before, rest, first, line):
                self._early = True
                self._other = self._changed = "" if line == self.prompt.line else line
                break
        return self._early

    def _proven(self, quiet: float) -> Step:
        """Read in turn: that is the end. Echoed on arrival: two pairs in a row must be answered so."""
        if not self._early:
            return Step(done=True)
        if quiet < _SUSPICIOUS:
            return Step(wait=_SUSPICIOUS)
        if self._arrived and self._arrived + 2 == len(self.nonces):
            return Step(done=True)
        self._arrived = len(self.nonces)
        return Step(send=self._mark())

    def _read_in_turn(self, before: str, rest: str, first: str, line: str) -> bool:
        """*prompt, first, prompt, second, prompt*: each was echoed when it was read."""
        at = before.rfind(first)
        if at < 0 or not line or not before[:at].endswith(line):
            return False
        return self._is_prompt(before[at + len(first) :], line) and self._is_prompt(rest, line)

    def _echoed_on_arrival(self, before: str, rest: str, first: str, line: str) -> bool:
        """*prompt, first, second, prompt, prompt*: a terminal that echoes at once, and a line editor that does not."""
        if not before.endswith(line + first) or not rest.endswith(line):
            return False
        inner = rest[: len(rest) - len(line)]
        at = inner.find(line)
        return at >= 0 and self._is_prompt(inner[: at + len(line)], line) and self._is_lead(inner[at + len(line) :])

    def _is_prompt(self, rest: str, line: str) -> bool:
        return rest.endswith(line) and self._is_lead(rest[: len(rest) - len(line)])

    def _is_lead(self, lead: str) -> bool:
        if lead in ("", self.prompt.lead) or (lead == "\n" and self.profile.prompts.lead):
            return True
        return re.fullmatch(_lead_pattern(self.profile), lead) is not None

    def _no_prompt(self, quiet: float) -> Step:
        text = self.tail()
        if not text:
            return Step()
        reason, asked = standing(self.profile, text)
        if reason:
            return self._asked(reason, asked, quiet)
        line = last_line(text)
        if not line:
            # Only a finished log line may stand behind a prompt that was there: then the prompt is not drawn anew.
            return self._ask_after(_AFTER_LOG_LINE, quiet) if self._log_behind_prompt(text) else Step()
        if re.fullmatch(self.profile.prompts.pattern, line):
            return self._ask_after(_OTHER_PROMPT, quiet)
        return Step()

    def _asked(self, reason: WaitReason, line: str, quiet: float) -> Step:
        """A question stands last. Nothing is sent, and it is one when nothing follows it for a moment."""
        due = _PERHAPS if reason == "other" else WAITING
        if quiet < due:
            return Step(wait=due)
        self.waiting, self.question = reason, line
        return Step()

    def _ask_after(self, silence: float, quiet: float) -> Step:
        """Ask for the proof after a silence, longer each time."""
        if len(self.nonces) >= _MAX_NONCES:
            return Step()
        due = silence * (1 + len(self.nonces))
        return Step(send=self._mark()) if quiet >= due else Step(wait=due)

    def _log_behind_prompt(self, text: str) -> bool:
        pattern = self.profile.log_line
        if not pattern:
            return False
        start = text.rfind(self.prompt.line)
        if start < 0:
            return False
        lines = text[start + len(self.prompt.line) :].strip("\n").split("\n")
        return all(not item or re.match(pattern, item) for item in lines)

    def _step_by_prompt(self, quiet: float) -> Step:
        """No comment syntax is known: the exact prompt, then silence."""
        if self._prompt_stands():
            due = self.profile.quiet if self._own_line() else 4 * self.profile.quiet
            return Step(done=True) if quiet >= due else Step(wait=due)
        reason, asked = standing(self.profile, self.tail())
        line = last_line(self.tail())
        if reason:
            return self._asked(reason, asked, quiet)
        if line and re.fullmatch(self.profile.prompts.pattern, line):
            if quiet >= 1.0:  # another prompt than ours, for a whole second: the hostname or the mode changed
                self._other = line
                return Step(done=True)
            return Step(wait=1.0)
        return Step()

    # -- the result ----------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """Take a finished exchange apart into the command's own output and what the device sent unasked. Once only."""
        lead = self.prompt.lead if self._other_lead is None else self._other_lead
        prompt = Prompt(self._other, lead) if self._other else self.prompt
        events: list[str] = []
        parts, echo_seen = self._in_parts(events)
        pager_hit = (self.profile.pipelined or self._false_end()) and paged(
            self.profile, self.raw, line_slices(self.raw, _PART)
        )
        tail = parts.pop()
        while parts and self._end_reaches(tail, prompt):
            tail = parts.pop() + tail
        tail = self._without_end(tail, prompt, events)
        self._parts = [*parts, tail]
        self.raw, parts, tail = bytearray(), [], ""  # before the text is put together: two copies are enough
        body = "".join(self._parts)
        if not self.reads_logs:
            body = self._without_log_lines(body, events)
        for nonce in self.nonces:  # last: a log line behind an early echo is a line of its own only while that is there
            body = body.replace(f"{self.profile.comment}{nonce}\n", "")
        self._parts = [body]
        framing: Framing = "proven" if self.profile.comment and echo_seen else "prompt"
        return Split(body, tuple(events), framing, prompt, echo_seen, pager_hit)

    def _in_parts(self, events: list[str]) -> tuple[list[str], bool]:
        """The text without the command's echo, cut at line ends when it is long."""
        if len(self.raw) < 2 * _PART or b"\x1b" in self.raw:  # an escape may go on over a line end
            body, echo_seen = self._without_echo(self.raw, events)
            return [body], echo_seen
        first, *others = line_slices(self.raw, _PART)
        head, echo_seen = self._without_echo(self.raw[slice(*first)], events)
        return [head, *(clean(memoryview(self.raw)[slice(*bounds)]) for bounds in others)], echo_seen

    def _end_reaches(self, tail: str, prompt: Prompt) -> bool:
        """Whether what is peeled off the end may begin before `tail`: its first line is of that kind itself."""
        line = tail[: tail.find("\n")]
        own = line.startswith(prompt.line) or line.removeprefix(self.profile.comment) in self.nonces
        return own or bool(self.profile.log_line and re.match(self.profile.log_line, line))

    def partial(self) -> str:
        """What came so far, without the echo and without our own nonces. May be called from another thread."""
        if parts := self._parts:
            return "".join(parts)
        body, _ = self._without_echo(bytes(self.raw), [])
        for nonce in tuple(self.nonces):
            body = body.replace(f"{self.profile.comment}{nonce}\n", "")
        return body

    def _false_end(self) -> bool:
        """More came after the first nonce than echoes and prompts: it was sent while the command still ran."""
        own = len(self._prompt_bytes) + len(self.prompt.lead) + 40
        return bool(self.nonces) and len(self.raw) - self.asked_at > own * (len(self.nonces) + 1)

    def _without_echo(self, raw: bytes | bytearray, events: list[str]) -> tuple[str, bool]:
        head = bytes(raw[: 4 * len(self.line) + 256])
        at = after_echo(head, self.line)
        if at is not None:
            return clean(memoryview(raw)[at:]), True
        return search_echo(clean(raw), self.line, self.prompt.line, self.profile.log_line, events)

    def _without_end(self, body: str, prompt: Prompt, events: list[str]) -> str:
        """Peel prompts, nonces and log lines off the end.

        Each line that the device read showed one prompt, whatever its echo style: one for the command and one for each
        nonce. So no more are taken, and a look-alike at the end of the output stays.
        """
        marks = tuple(f"{self.profile.comment}{nonce}\n" for nonce in self.nonces)
        left = 1 + len(marks)
        best, logs, last = body, list[str](), ""
        while left:
            if body.endswith(prompt.line):
                body = best = self._cut(body, prompt)
                events[len(events) :], logs, left, last = logs, [], left - 1, "prompt"
            elif body.endswith(marks):
                body, last = body.removesuffix(next(mark for mark in marks if body.endswith(mark))), "nonce"
            elif log := self._last_log_line(body):
                logs.insert(0, log)
                body = body[: -len(log) - 1]
                body = body.removesuffix("\n") if body.endswith(prompt.line + "\n") else body
                if last == "prompt":
                    left += 1  # the prompt was drawn anew behind the log line
                last = "log"
            else:
                break
        return self._without_logs_behind_prompt(best, prompt, events)

    def _last_log_line(self, body: str) -> str:
        if not self.profile.log_line or not body.endswith("\n"):
            return ""
        line = last_line(body[:-1])
        return line if line and re.match(self.profile.log_line, line) else ""

    def _cut(self, body: str, prompt: Prompt) -> str:
        """One prompt, with the lines above that belong to it, off the end."""
        if not body.endswith(prompt.line):
            return body
        body = body[: len(body) - len(prompt.line)]
        if prompt.lead and body.endswith(prompt.lead):
            return body[: len(body) - len(prompt.lead)]
        if not self.profile.prompts.lead:
            return body
        return re.sub(r"(?:^|(?<=\n))" + _lead_pattern(self.profile) + r"\Z", "", body)

    def _without_logs_behind_prompt(self, body: str, prompt: Prompt, events: list[str]) -> str:
        if not self.profile.log_line:
            return body
        at = body.rfind("\n" + prompt.line)
        start = at + 1 if at >= 0 else (0 if body.startswith(prompt.line) else -1)
        if start < 0:
            return body
        lines = [line for line in body[start + len(prompt.line) :].split("\n") if line]
        lines = [line for line in lines if line.removeprefix(self.profile.comment) not in self.nonces]
        if not lines or not all(re.match(self.profile.log_line, line) for line in lines):
            return body
        events.extend(lines)
        return self._cut(body[: start + len(prompt.line)], prompt)

    def _without_log_lines(self, body: str, events: list[str]) -> str:
        """Whole lines only: what comes into the middle of a line cannot be told from a line that quotes a log line."""
        if not self.profile.log_line or len(body) > _LOG_LINES_UP_TO:
            return body
        match = re.compile(self.profile.log_line).match
        kept: list[str] = []
        found = len(events)
        for line in body.split("\n"):
            (events if match(line[:_LOG_LINE]) else kept).append(line)
        return body if len(events) == found else "\n".join(kept)


def _lead_pattern(profile: Profile) -> str:
    return rf"(?:\n?(?:{profile.prompts.lead})\n)" if profile.prompts.lead else r"(?!)"
