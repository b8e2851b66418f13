"""A command's output on its way to the screen: steps, pauses, pages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from netssh_mcp.lab.editor import NEWLINE
from netssh_mcp.lab.faults import AfterPrompt, Break, Flood, Hang, Log, Pause, Prompt, Step, Text
from netssh_mcp.lab.model import Pager
from netssh_mcp.lab.outlet import Later, Timer
from netssh_mcp.lab.screen import Screen

_PIECE = 64 * 1024  # characters written before the client's window is looked at
_FLOOD = 200  # lines per turn of the event loop
_ROWS = 24


class Player:
    """Plays one run of steps at a time. `moved` is called after every turn that the client did not cause."""

    def __init__(
        self, screen: Screen, pager: Pager, later: Later, *, prompt: Callable[[], str], moved: Callable[[], None]
    ) -> None:
        self._screen = screen
        self._pager = pager
        self._later = later
        self._prompt = prompt
        self._moved = moved
        self._steps: deque[Step] = deque()
        self._done: Callable[[], None] | None = None  # None = nothing is playing
        self._timer: Timer | None = None
        self._rows = 0  # page length; 0 = no pages
        self._left = 0
        self.paging = False  # the more-prompt stands on the screen
        self.after: list[AfterPrompt] = []  # what the finished run wants said behind the next prompt

    def play(self, steps: Iterable[Step], done: Callable[[], None], *, rows: int) -> None:
        """`done` is called when all is said; it may start the next run."""
        self._steps = deque(steps)
        self._done = done
        self._rows = rows or (_ROWS if self._screen.faults.pager_always else 0)
        self._left = self._rows - 1
        self._advance()

    def stop(self) -> None:
        """Ctrl-C, or the client is gone: what has not been said never will be."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.paging:
            self._screen.write(self._pager.erase)
        self.paging = False
        self._steps.clear()
        self._done = None
        self._screen.outlet.when_ready = None
        self._screen.outlet.drop()

    def key(self, key: str) -> None:
        """A key at the more-prompt: q leaves, Enter gives a line, any other a page."""
        self.paging = False
        self._screen.write(self._pager.erase)
        self._screen.line_start = True
        if key in "qQ":
            self._steps.clear()
            self._screen.write(self._pager.quit_line)
        self._left = 1 if key in "\r\n" else self._rows - 1
        self._advance()

    def _advance(self) -> None:
        """Say what there is to say, until a pause, a full page, a full window or the end."""
        while self._done is not None and not self.paging:
            if not self._screen.outlet.ready:
                self._screen.outlet.when_ready = self._resume
                return
            if not self._steps:
                if self._sent():
                    self._finish()
                return
            if not self._step(self._steps.popleft()):
                return

    def _sent(self) -> bool:
        """Faults of the command's own last until its last byte is out."""
        if self._screen.own_faults:
            self._screen.outlet.flush()
            if not self._screen.outlet.ready:
                self._screen.outlet.when_ready = self._resume
                return False
        return True

    def _finish(self) -> None:
        if not self._screen.line_start:
            self._screen.write(NEWLINE)
        done, self._done = self._done, None
        if done is not None:
            done()

    def _resume(self) -> None:
        self._timer = None
        self._advance()
        self._moved()

    def _wait(self, seconds: float) -> None:
        self._timer = self._later(seconds, self._resume)

    def _step(self, step: Step) -> bool:
        """False when the run waits."""
        if isinstance(step, Text):
            self._text(step.text)
        elif isinstance(step, Pause):
            self._wait(step.seconds)
            return False
        elif isinstance(step, Prompt):
            self._screen.write(self._prompt())
        elif isinstance(step, Log):
            self._screen.log(step.text)
        elif isinstance(step, AfterPrompt):
            self.after.append(step)
        elif isinstance(step, Flood):
            self._screen.write(step.line * _FLOOD)
            self._steps.appendleft(step)
            self._wait(0)
            return False
        elif isinstance(step, Break):
            self._screen.outlet.arm(step.kind, 0)
            return False
        return not isinstance(step, Hang)

    def _text(self, text: str) -> None:
        if self._rows:
            text = self._page(text)
        if len(text) > _PIECE:
            self._steps.appendleft(Text(text[_PIECE:]))
            text = text[:_PIECE]
            self._screen.write(text)
            self._screen.outlet.flush()
        else:
            self._screen.write(text)

    def _page(self, text: str) -> str:
        """The text when it fits on the page; else its first part goes out and the rest waits for a key."""
        end = 0
        for used in range(self._left):
            end = text.find(NEWLINE, end) + 1
            if not end:
                self._left -= used
                return text
        if end == len(text):
            self._left = 0
            return text
        self._screen.write(text[:end] + self._pager.more)
        self._steps.appendleft(Text(text[end:]))
        self.paging = True
        return ""
