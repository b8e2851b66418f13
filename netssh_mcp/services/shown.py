"""The one place between sessions and everything above them: what a device said, without its secrets.

Replies and errors pass here before they are parsed, kept, put into a row or told; the text of a running command before
it is given out. A long text is redacted in a worker thread; of what was stopped, only both ends of a very long one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio
import anyio.to_thread

from netssh_mcp.errors import CommandFailed, NetsshError, SessionError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.guard.secret_tables import begins
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import Reply

T = TypeVar("T")

_INLINE = 20_000  # characters that are redacted in a millisecond or two, without another thread
_LINE = 400  # characters of the device's own line; cut last, since half a secret would be no known one
_OPENS = tuple("{[(>:|\\")
_OPENERS = 4  # lines held back that only open something
_FAR = 400_000  # characters that a key or a table may be long
EACH_END = 2 << 20  # characters at either end of what was stopped: a second or two of looking for secrets
_BEFORE = 16_000  # characters before a running command's new text, so that a section or a key is seen as one


class Shown:
    """Replies and errors as they may be shown, and how many secrets were taken out of each."""

    def __init__(self, redactor: Redactor, limiter: anyio.CapacityLimiter) -> None:
        self._redactor = redactor
        self._limiter = limiter
        self._warm = False  # the first text waits for the rules to be read

    async def reply(self, reply: Reply, profile: Profile) -> tuple[Reply, int]:
        """The same reply without secrets."""
        return await self._work(len(reply.output) + len(reply.stderr), lambda: self._reply(reply, profile))

    async def error(self, error: NetsshError, profile: Profile) -> tuple[NetsshError, int]:
        """A copy of the error without secrets; the error itself is not for others' eyes."""
        return await self._work(len(error.partial), lambda: self._error(error, profile))

    def line(self, text: str, profile: Profile | None = None) -> str:
        """A command for the audit, a reason, a question: short, at once."""
        return self._redactor.text(text, profile)

    async def _work(self, size: int, work: Callable[[], T]) -> T:
        if self._warm and size <= _INLINE:
            return work()
        result = await anyio.to_thread.run_sync(work, limiter=self._limiter)
        self._warm = True
        return result

    def _reply(self, reply: Reply, profile: Profile) -> tuple[Reply, int]:
        counter = _Counter(self._redactor, profile)
        shown = replace(
            reply,
            output=counter.text(reply.output),
            stderr=counter.text(reply.stderr),
            events=counter.lines(reply.events),
        )
        return shown, counter.count

    def _error(self, error: NetsshError, profile: Profile) -> tuple[NetsshError, int]:
        counter = _Counter(self._redactor, profile)
        shown = copy.copy(error)
        # A command that was stopped is to be answered at once, and may have sent megabytes by then.
        both_ends = isinstance(error, SessionError) and len(error.partial) > 2 * EACH_END
        shown.partial = counter.ends(error.partial) if both_ends else counter.text(error.partial)
        shown.events = counter.lines(error.events)
        if isinstance(shown, CommandFailed):
            shown.stderr = counter.text(shown.stderr)
        told = counter.count
        shown.message, shown.hint, line = map(counter.text, (error.message, error.hint, error.line))
        shown.line = line if len(line) <= _LINE else f"{line[: _LINE // 2]} [...] {line[-_LINE // 2 :]}"
        if both_ends:  # in our own words: what stands in the text, a device can write too
            shown.message += f"; {counter.left_out} bytes in the middle of its output are left out"
        return shown, told if error.partial else counter.count  # they quote what is counted already


@dataclass(slots=True)
class _Counter:
    redactor: Redactor
    profile: Profile
    count: int = 0
    left_out: int = 0  # bytes

    def text(self, text: str) -> str:
        if not text:
            return text
        redacted = self.redactor.redact(text, self.profile)
        self.count += redacted.count
        return redacted.text

    def ends(self, text: str) -> str:
        """The first and the last of the text, in whole lines where it has some; between them how much is missing."""
        last = len(text) - EACH_END
        head = text.rfind("\n", EACH_END // 2, EACH_END) + 1 or text.rfind(" ", EACH_END - _LINE, EACH_END) + 1
        tail = text.find("\n", last, last + EACH_END // 2) + 1 or text.find(" ", last, last + _LINE) + 1
        head, tail = head or EACH_END, tail or last
        self.left_out += len(text[head:tail].encode("utf-8", "surrogatepass"))
        after, _ = Partial(self.redactor, self.profile).new(text, tail, len(text), EACH_END)
        self.count += max(0, after.count("redacted:") - text.count("redacted:", tail))
        notice = f"[... {self.left_out} bytes are left out here: of what is stopped, both ends are kept ...]"
        before = self.text(text[:head])
        return f"{before}{'' if before.endswith(chr(10)) else chr(10)}{notice}\n{after}"

    def lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self.text, lines))


@dataclass(frozen=True, slots=True)
class Partial:
    """What may be shown of a command that runs: whole lines, and the last one only when the device waits in it."""

    redactor: Redactor
    profile: Profile

    def line(self, text: str) -> str:
        """A question, a reason: short, at once."""
        return self.redactor.text(text, self.profile)

    def end(self, text: str, *, waiting: bool) -> int:
        """How much of the text may be shown: half a line may hold half a secret."""
        end = len(text) if waiting else text.rfind("\n") + 1
        for _ in range(_OPENERS if not waiting else 0):  # what a line opens may tell what it is
            before = text.rfind("\n", 0, max(0, end - 1)) + 1
            if text[before:end].rstrip()[-1:] not in _OPENS:
                break
            end = before
        return end

    def new(self, text: str, given: int, end: int, most: int) -> tuple[str, int]:
        """What came between `given` and `end`, at most the last `most` characters; and how many were left out."""
        left_out = max(0, end - given - most)
        start = given + left_out
        context = text[_open_at(text, max(0, start - _BEFORE)) : start]
        before = self.redactor.text(context, self.profile)
        whole = self.redactor.text(context + text[start:end], self.profile)
        return whole[_shared(before, whole) :], left_out


def _open_at(text: str, at: int) -> int:
    """Where the private key or the table begins that is open at `at`; `at` itself when none is, or it is far away."""
    far = max(0, at - _FAR)
    begin = text.rfind("BEGIN ", far, at)
    key = text.rfind("\n", 0, begin) + 1 if begin >= 0 and text.find("END ", begin, at) < 0 else at
    first = min(key, begins(text, at, far))
    return first if at - first <= _FAR else at


def _shared(before: str, whole: str) -> int:
    """Where what is new begins: a key that goes on has another tag now, so its mark is shown once more."""
    if whole.startswith(before):
        return len(before)
    differs = next(
        (at for at, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other),
        min(len(before), len(whole)),
    )
    return whole.rfind("\n", 0, differs) + 1
