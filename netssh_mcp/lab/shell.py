"""One session on a device: a state machine between the line editor, a running command, the pager and dialogs.

    READING --line--> RUNNING --more rows than the page--> PAGING --key--> RUNNING
       ^                 |  \\--question--> ASKING --answer--> RUNNING
       \\------prompt-----/

Only READING, PAGING and ASKING take input from the type-ahead; Ctrl-C works in every state.
"""

from __future__ import annotations

import codecs
import enum
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netssh_mcp.lab.actions import act, dirty
from netssh_mcp.lab.device import Device
from netssh_mcp.lab.editor import NEWLINE, LineEditor, noisy, tty_echo
from netssh_mcp.lab.faults import (
    AfterPrompt,
    Break,
    BreakKind,
    Faults,
    Flood,
    Hang,
    Log,
    Pause,
    Prompt,
    Step,
    Text,
    decorated,
)
from netssh_mcp.lab.interpreter import Context, Interpreter, Outcome
from netssh_mcp.lab.model import Command, Question
from netssh_mcp.lab.outlet import Later, Link, Outlet, Timer

_TYPED = re.compile(r"[^\x00-\x1f\x7f?]+")
_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
_PIECE = 64 * 1024  # characters written before the client's window is looked at
_FLOOD = 200  # lines per turn of the event loop


class _State(enum.Enum):
    READING = enum.auto()
    RUNNING = enum.auto()
    PAGING = enum.auto()
    ASKING = enum.auto()
    CLOSED = enum.auto()


@dataclass(frozen=True, slots=True)
class _Ask:
    """A question on the screen: one key or one line is handed to `answered`."""

    answered: Callable[[str], None]
    shown: bool = True  # echo
    key: bool = False


class Shell:
    """`feed` takes the client's bytes; what the device says goes to the link. Runs on one event loop, no threads."""

    def __init__(self, device: Device, link: Link, later: Later, *, user: str, rows: int = 24, width: int = 80) -> None:
        self._device = device
        self._platform = device.platform
        self._link = link
        self._later = later
        page = self._platform.pager.rows or rows
        self._context = Context(device.login_mode, user, page, width)
        self._interpreter = Interpreter(device, self._context)
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._outlet = Outlet(link, later, f"{device.faults.seed}:{device.logins}")
        self._state = _State.RUNNING
        self._input = ""  # type-ahead
        self._after_cr = False  # a LF or NUL right behind a CR belongs to it
        self._ask: _Ask | None = None
        self._steps: deque[Step] = deque()
        self._then: Callable[[], None] = self._prompt
        self._paged = True
        self._page_left = 0
        self._line_start = True  # the cursor is in the first column
        self._after: list[AfterPrompt] = []
        self._timer: Timer | None = None
        self._late: set[Timer] = set()
        self._script_faults: Faults | None = None
        self.failed = False  # the last command was refused: the exit status of an exec request

    # ---- life

    def start(self) -> None:
        self._device.opened(self)
        self.faults_changed()
        motd = self._platform.motd if self._device.spec.motd is None else self._device.spec.motd
        self._run((Text(motd),) if motd else (), self._prompt, paged=False)
        self._outlet.flush()

    def run_once(self, line: str) -> None:
        """An exec request: one command without echo, prompt and pager, then the end with an exit status."""
        self._device.opened(self)
        self.faults_changed()
        self._context.rows = 0
        self._device.received.append(line)
        self._do(self._interpreter.interpret(line), self._end_of_exec)
        self._outlet.flush()

    def _end_of_exec(self) -> None:
        self._outlet.flush()
        self._close(1 if self.failed else 0)

    def closed(self) -> None:
        """The client is gone."""
        self._state = _State.CLOSED
        for timer in [self._timer, *self._late]:
            if timer:
                timer.cancel()
        self._outlet.stop()
        self._device.closed(self)

    def _close(self, status: int) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._outlet.flush()
            self._link.end(status)

    # ---- what the device itself may do at any time

    def unsolicited(self, text: str, *, redraw: bool = False) -> None:
        if self._state is _State.CLOSED:
            return
        self._log(text)
        if redraw and self._state is _State.READING:
            self._write(self._context.prompt(self._device) + self._editor.text)
        self._outlet.flush()

    def faults_changed(self) -> None:
        faults = self._device.faults
        self._outlet.shape(faults)
        self._outlet.disarm()
        if faults.break_with:
            self._outlet.arm(faults.break_with, faults.break_after)

    def break_off(self, kind: BreakKind) -> None:
        self._outlet.flush()
        self._outlet.break_now(kind)

    def hold(self) -> None:
        self._outlet.hold()

    def release(self) -> None:
        self._outlet.release()

    @property
    def _faults(self) -> Faults:
        return self._script_faults or self._device.faults

    # ---- input

    def feed(self, data: bytes) -> None:
        self._device.heard(data, busy=self._state is _State.RUNNING)
        text = self._decoder.decode(data)
        if "\x03" not in text:
            self._accept(text)
        else:
            *before, last = text.split("\x03")
            for part in before:
                self._accept(part)
                self._interrupt()
            self._accept(last)
        self._outlet.flush()

    def _accept(self, text: str) -> None:
        if not text:
            return
        style = self._faults.echo or self._platform.editor.echo
        waiting = self._state in (_State.READING, _State.ASKING)
        if (style == "early" and (self._ask is None or self._ask.shown)) or (style == "both" and not waiting):
            self._write(tty_echo(text))
        self._input += text
        self._pump()

    def _pump(self) -> None:
        """Hand the type-ahead to whoever reads, until nobody does."""
        while self._input:
            if self._after_cr:
                self._after_cr = False
                if self._input[0] in "\n\x00":
                    self._input = self._input[1:]
                    continue
            if self._state is _State.PAGING:
                key, self._input = self._input[0], self._input[1:]
                self._page_key(key)
            elif self._state is _State.READING or self._state is _State.ASKING:
                self._read()
            else:
                return

    def _read(self) -> None:
        if self._ask and self._ask.key:
            key, self._input = self._input[0], self._input[1:]
            self._after_cr = key == "\r"
            self._answer("" if key in "\r\n" else key)
            return
        typed = _TYPED.match(self._input)
        if typed:
            self._input = self._input[typed.end() :]
            self._echo(self._editor.insert(typed[0]))
            return
        char, self._input = self._input[0], self._input[1:]
        if char in "\r\n":
            self._after_cr = char == "\r"
            self._entered()
        else:
            self._control(char)

    def _control(self, char: str) -> None:
        editor = self._editor
        if char == "?":
            self._help() if self._ask is None else self._echo(editor.insert(char))
        elif char in "\x08\x7f":
            self._echo(editor.erase())
        elif char == "\x15":
            self._echo(editor.erase(len(editor.text)))
        elif char == "\x17":
            self._echo(editor.erase_word())
        elif char == "\t" and self._ask is None:
            self._echo(editor.insert(self._interpreter.complete(editor.text)))
        elif char == "\x1a" and self._platform.modes[self._context.mode].kind == "config":
            self._echo(editor.insert("end"))
            self._entered()
        elif char == "\x1b":
            self._input = self._input[_ESCAPE.match("\x1b" + self._input).end() - 1 :]  # type: ignore[union-attr]

    def _entered(self) -> None:
        line = self._editor.text
        if (self._faults.echo or self._platform.editor.echo) != "early" or (self._ask and not self._ask.shown):
            self._write(NEWLINE)
        self._line_start = True
        if self._ask:
            self._answer(line)
        else:
            self._device.received.append(line)
            self._execute(line)

    def _echo(self, shown: str) -> None:
        style = self._faults.echo or self._platform.editor.echo
        if style != "early" and (self._ask is None or self._ask.shown):
            self._write(noisy(shown, self._faults.echo_noise))

    def _help(self) -> None:
        typed = self._editor.text
        self._write(f"?{NEWLINE}{self._interpreter.help(typed)}{NEWLINE}{self._context.prompt(self._device)}{typed}")

    # ---- commands

    def _execute(self, line: str) -> None:
        text = line.strip()
        if not text or (self._platform.comment and text.startswith(self._platform.comment)):
            self._prompt()
            return
        self._do(self._interpreter.interpret(line), self._prompt)

    def _do(self, outcome: Outcome, then: Callable[[], None]) -> None:
        self.failed = not outcome.ok
        if outcome.command is not None:
            self._begin(outcome.command, outcome.arguments, then)
        elif outcome.script is not None:
            self._script_faults = outcome.script.faults
            if self._script_faults:
                self._start_script_faults(self._script_faults)
            steps = outcome.script.steps
            if self._script_faults and len(steps) == 1 and isinstance(steps[0], Text):
                steps = decorated(steps[0].text, self._script_faults)
            self._run(steps, then)
        else:
            self._run(decorated(outcome.text, self._device.faults), then)

    def _start_script_faults(self, faults: Faults) -> None:
        self._outlet.shape(faults)
        if faults.break_with:
            self._outlet.arm(faults.break_with, faults.break_after)

    def _begin(self, command: Command, arguments: tuple[str, ...], then: Callable[[], None]) -> None:
        if command.do == "enable":
            self._enable(then)
        elif command.do == "leave" and dirty(self._device, self._context):
            self._leave(command, then)
        else:
            self._questions(command.ask, lambda: self._finish(command, arguments, then), then)

    def _finish(self, command: Command, arguments: tuple[str, ...], then: Callable[[], None]) -> None:
        said = act(command, self._device, self._context, arguments)
        if command.do == "reload":
            self._outlet.flush()
            self._device.reload()
        elif command.close:
            self._run((Text(said),) if said else (), lambda: self._close(0))
        else:
            self._run((Text(said),) if said else (), then)

    def _enable(self, then: Callable[[], None], used: int = 0) -> None:
        rules = self._platform.enable
        if rules is None or not self._device.spec.enable:
            said = f"{rules.none_set}\n" if rules and rules.none_set else ""
            if rules and not said:
                self._context.mode = rules.to
            self._run((Text(said),) if said else (), then)
            return

        def answered(secret: str) -> None:
            if secret == self._device.spec.enable:
                self._context.mode = rules.to
                self._run((), then)
            elif used + 1 < rules.tries:
                self._write(rules.wrong)
                self._enable(then, used + 1)
            else:
                self._run((Text(f"{rules.failed}\n"),), then)

        self._question(rules.prompt, _Ask(answered, shown=False))

    def _leave(self, command: Command, then: Callable[[], None]) -> None:
        rules = self._platform.config.leave
        if rules is None:
            self._finish(command, (), then)
            return

        def answered(answer: str) -> None:
            word = answer.strip().lower()
            choice = rules.on_yes if word in ("y", "yes") else rules.on_no if word in ("n", "no") else "stay"
            if choice == "commit":
                act(Command(syntax=("commit",), do="commit"), self._device, self._context, ())
            if choice == "stay":
                self._run((), then)
            else:
                self._finish(command, (), then)

        self._question(rules.ask, _Ask(answered))

    def _questions(self, left: tuple[Question, ...], done: Callable[[], None], refused: Callable[[], None]) -> None:
        if not left:
            done()
            return
        question = left[0]

        def answered(answer: str) -> None:
            word = answer.strip().lower() or (question.default if question.kind == "yes_no" else "")
            if question.kind == "line" or word in ("y", "yes") or (question.kind == "confirm" and not word):
                self._questions(left[1:], done, refused)
            elif question.kind == "confirm" or word in ("n", "no"):
                self._run((Text(question.refused),) if question.refused else (), refused)
            else:
                self._write(question.nonsense)
                self._questions(left, done, refused)

        self._question(question.ask, _Ask(answered, key=question.kind == "confirm"))

    def _question(self, text: str, ask: _Ask) -> None:
        self._write(text)
        self._editor.start(text)
        self._ask = ask
        self._state = _State.ASKING

    def _answer(self, answer: str) -> None:
        ask, self._ask = self._ask, None
        if ask is None:
            return
        if ask.key:
            self._write(NEWLINE)
        self._state = _State.RUNNING
        ask.answered(answer)

    # ---- output

    def _run(self, steps: Iterable[Step], then: Callable[[], None], *, paged: bool = True) -> None:
        self._steps = deque(steps)
        self._then = then
        self._paged = paged and (self._context.rows > 0 or self._faults.pager_always)
        self._page_left = self._page_size()
        self._state = _State.RUNNING
        self._advance()

    def _page_size(self) -> int:
        return (self._context.rows or self._platform.pager.rows or 24) - 1

    def _advance(self) -> None:
        """Send what there is to send, until a pause, a full page, a full window or the end."""
        while self._state is _State.RUNNING:
            if not self._outlet.ready:
                self._outlet.when_ready = self._resume
                return
            if not self._steps:
                self._end_of_run()
                return
            if not self._step(self._steps.popleft()):
                return

    def _step(self, step: Step) -> bool:
        """False when the run waits for a timer."""
        if isinstance(step, Text):
            self._text(step.text)
        elif isinstance(step, Pause):
            self._timer = self._later(step.seconds, self._resume)
            return False
        elif isinstance(step, Prompt):
            self._write(self._context.prompt(self._device))
        elif isinstance(step, Log):
            self._log(step.text)
        elif isinstance(step, AfterPrompt):
            self._after.append(step)
        elif isinstance(step, Flood):
            self._write(step.line * _FLOOD)
            self._steps.appendleft(step)
            self._timer = self._later(0, self._resume)
            return False
        elif isinstance(step, Break):
            self.break_off(step.kind)
            return False
        return not isinstance(step, Hang)

    def _resume(self) -> None:
        self._timer = None
        self._advance()
        self._pump()
        self._outlet.flush()

    def _text(self, text: str) -> None:
        if self._paged:
            text = self._page(text)
        if len(text) > _PIECE:
            self._steps.appendleft(Text(text[_PIECE:]))
            text = text[:_PIECE]
            self._write(text)
            self._outlet.flush()
        else:
            self._write(text)

    def _page(self, text: str) -> str:
        """The part that fits on the page; the rest waits for a key."""
        end = 0
        for _ in range(self._page_left):
            end = text.find("\n", end) + 1
            if not end:
                break
            self._page_left -= 1
        if not end or end == len(text):
            return text
        self._write(text[:end])
        self._steps.appendleft(Text(text[end:]))
        self._write(self._platform.pager.more)
        self._state = _State.PAGING
        return ""

    def _page_key(self, key: str) -> None:
        self._write(self._platform.pager.erase)
        self._line_start = True
        if key in "qQ":
            self._quit_page()
            return
        self._after_cr = key == "\r"
        self._page_left = 1 if key in "\r\n" else self._page_size()
        self._state = _State.RUNNING
        self._advance()

    def _quit_page(self) -> None:
        self._steps.clear()
        self._write(self._platform.pager.quit_line)
        self._state = _State.RUNNING
        self._advance()

    def _end_of_run(self) -> None:
        if not self._line_start:
            self._write(NEWLINE)
        if self._script_faults:
            self._script_faults = None
            self._outlet.shape(self._device.faults)
            self._outlet.disarm()
        self._then()

    def _prompt(self) -> None:
        prompt = self._context.prompt(self._device)
        self._editor.width = self._context.width
        self._editor.wrap = self._faults.wrap or self._platform.editor.wrap
        self._editor.start(prompt)
        self._write(self._context.lead(self._device) + prompt)
        self._state = _State.READING
        late, self._after = self._after, []
        for step in late:
            self._log_later(step)

    def _log_later(self, step: AfterPrompt) -> None:
        if not step.seconds:
            self.unsolicited(step.text, redraw=step.redraw)
            return

        def now() -> None:
            self._late.discard(timer)
            self.unsolicited(step.text, redraw=step.redraw)

        timer = self._later(step.seconds, now)
        self._late.add(timer)

    def _interrupt(self) -> None:
        if self._state is _State.CLOSED:
            return
        self._device.interrupts += 1
        if self._faults.deaf_to_interrupt:
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._state is _State.PAGING:
            self._write(self._platform.pager.erase)
        self._outlet.drop()
        self._outlet.when_ready = None
        self._steps.clear()
        self._ask, self._input = None, ""
        self._write(self._platform.editor.interrupt + NEWLINE)
        self._state = _State.RUNNING
        self._then = self._prompt
        self._end_of_run()

    def _log(self, text: str) -> None:
        self._write(f"{'' if self._line_start else NEWLINE}{text}{NEWLINE}")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._line_start = text.endswith("\n")
        faults = self._faults
        if "\r\n" in text:
            text = text.replace("\r\n", "\n")
        end = f"\0{faults.newline}" if faults.nul else faults.newline
        self._outlet.write(text.replace("\n", end).encode("utf-8", "surrogateescape"))
