r"""One session on a device: who gets the client's next character.

    reading --line--> playing --more rows than the page--> paging --key--> playing
       ^                 |  \--question--> asking --answer--> playing
       \------prompt-----/

Only reading, asking and paging take characters from the type-ahead; Ctrl-C works in every state.
"""

from __future__ import annotations

import codecs
import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from netssh_mcp.lab.actions import act, dirty
from netssh_mcp.lab.device import Device
from netssh_mcp.lab.dialog import Ask, Asking, enable, leave
from netssh_mcp.lab.editor import NEWLINE, LineEditor, noisy, tty_echo
from netssh_mcp.lab.faults import AfterPrompt, BreakKind, Step, Text, decorated
from netssh_mcp.lab.interpreter import Context, Interpreter, Outcome
from netssh_mcp.lab.model import Command
from netssh_mcp.lab.outlet import Later, Link, Outlet, Timer
from netssh_mcp.lab.player import Player
from netssh_mcp.lab.screen import Screen

_TYPED = re.compile(r"[^\x00-\x1f\x7f?]+")
_ESCAPE = re.compile(r"\[[0-9;?]*[ -/]*[@-~]|O.|.", re.DOTALL)
_HANGS_UP = "\x04"
_NEXT_LINE = 0.005  # seconds until a late log line looks again whether a line has ended


class _State(enum.Enum):
    READING = enum.auto()
    ASKING = enum.auto()
    PLAYING = enum.auto()  # or paging: the player knows
    CLOSED = enum.auto()


class Shell:
    """`feed` takes the client's bytes; what the device says goes to the link. Runs on one event loop, no threads."""

    def __init__(self, device: Device, link: Link, later: Later, *, user: str, rows: int = 24, width: int = 80) -> None:
        self._device = device
        self._platform = device.platform
        self._link = link
        self._later = later
        self._context = Context(device.login_mode, user, self._platform.pager.rows or rows, width)
        self._interpreter = Interpreter(device, self._context)
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._screen = Screen(device, Outlet(link, later, f"{device.faults.seed}:{device.logins}"))
        self._player = Player(
            self._screen,
            self._platform.pager,
            later,
            prompt=lambda: self._context.prompt(device),
            moved=self._moved,
        )
        self._state = _State.PLAYING
        self._input = ""  # type-ahead
        self._after_cr = False  # a LF or NUL right behind a CR belongs to it
        self._ask: Ask | None = None
        self._late: set[Timer] = set()
        self._then: Callable[[], None] = self._prompt  # what follows a command: a prompt, or an exec request's end
        self._refused = False  # the last command was refused: the exit status of an exec request

    # ---- life

    def start(self) -> None:
        self._device.opened(self)
        self._screen.device_faults_changed()
        motd = self._platform.motd if self._device.spec.motd is None else self._device.spec.motd
        self._screen.write(self._context.filled(motd, self._device))
        self._prompt()
        self._screen.outlet.flush()

    def run_once(self, line: str) -> None:
        """An exec request: one command without echo, prompt and pager, then the end with an exit status."""
        self._device.opened(self)
        self._screen.device_faults_changed()
        self._context.rows = 0
        self._then = lambda: self._end(1 if self._refused else 0)
        self._device.received.append(line)
        self._do(self._interpreter.interpret(line))
        self._screen.outlet.flush()

    def closed(self) -> None:
        """The client is gone."""
        self._state = _State.CLOSED
        self._player.stop()
        for timer in self._late:
            timer.cancel()
        self._screen.outlet.stop()
        self._device.closed(self)

    def _end(self, status: int) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._screen.outlet.flush()
            self._link.end(status)

    # ---- what may happen at any time

    def unsolicited(self, text: str, *, redraw: bool = False) -> None:
        if self._state is _State.CLOSED:
            return
        self._screen.log(text)
        if redraw and self._state is _State.READING:
            self._screen.write(self._context.prompt(self._device) + self._editor.text)
        self._screen.outlet.flush()

    def faults_changed(self) -> None:
        self._screen.device_faults_changed()

    def break_off(self, kind: BreakKind) -> None:
        self._screen.outlet.arm(kind, 0)

    def hold(self) -> None:
        self._screen.outlet.hold()

    def release(self) -> None:
        self._screen.outlet.release()

    def _moved(self) -> None:
        self._pump()
        self._screen.outlet.flush()

    def _interrupt(self) -> None:
        if self._state is _State.CLOSED:
            return
        self._device.interrupts += 1
        if self._screen.faults.deaf_to_interrupt:
            return
        self._player.stop()
        self._forget_command_faults()
        self._ask, self._input = None, ""
        self._screen.write(self._platform.editor.interrupt + NEWLINE)
        self._prompt()

    # ---- input

    def feed(self, data: bytes) -> None:
        self._device.heard(data, busy=self._state is _State.PLAYING and not self._player.paging)
        first, *after = self._decoder.decode(data).split("\x03")
        self._accept(first)
        for text in after:
            self._interrupt()
            self._accept(text)
        self._screen.outlet.flush()

    def _accept(self, text: str) -> None:
        if not text:
            return
        style = self._screen.echo
        waiting = self._state in (_State.READING, _State.ASKING)
        if (style == "early" and (self._ask is None or self._ask.shown)) or (style == "both" and not waiting):
            self._screen.write(tty_echo(text))
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
            if self._player.paging:
                self._player.key(self._next())
            elif self._state is _State.READING:
                self._read()
            elif self._state is _State.ASKING:
                self._read_answer()
            else:
                return

    def _next(self) -> str:
        char, self._input = self._input[0], self._input[1:]
        self._after_cr = char == "\r"
        return char

    def _read_answer(self) -> None:
        if self._ask and self._ask.key:
            key = self._next()
            self._screen.write(NEWLINE)
            self._answer("" if key in "\r\n" else key)
        else:
            self._read()

    def _read(self) -> None:
        typed = _TYPED.match(self._input)
        if typed:
            self._input = self._input[typed.end() :]
            self._echo(self._editor.insert(typed[0]))
            return
        char = self._next()
        if char in "\r\n":
            self._entered()
        elif char == "?" and self._ask is None:
            self._help()
        else:
            self._control(char)

    def _control(self, char: str) -> None:
        editor = self._editor
        if char == "?":
            self._echo(editor.insert(char))
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
        elif char == "\x1b" and (sequence := _ESCAPE.match(self._input)):
            self._input = self._input[sequence.end() :]
        elif char == _HANGS_UP and not editor.text:
            self._end(0)

    def _echo(self, shown: str) -> None:
        if self._screen.echo != "early" and (self._ask is None or self._ask.shown):
            self._screen.write(noisy(shown, self._screen.faults.echo_noise))

    def _entered(self) -> None:
        line = self._editor.text
        if self._screen.echo != "early" or (self._ask and not self._ask.shown):
            self._screen.write(NEWLINE)
        self._screen.line_start = True
        if self._ask:
            self._answer(line)
        else:
            self._device.received.append(line)
            self._execute(line)

    def _help(self) -> None:
        typed = self._editor.text
        prompt = self._context.prompt(self._device)
        self._screen.write(f"?{NEWLINE}{self._interpreter.help(typed)}{NEWLINE}{prompt}{typed}")

    # ---- commands

    def _execute(self, line: str) -> None:
        text = line.strip()
        if not text or (self._platform.comment and text.startswith(self._platform.comment)):
            self._prompt()
        else:
            self._do(self._interpreter.interpret(line))

    def _do(self, outcome: Outcome) -> None:
        self._refused = not outcome.ok
        if outcome.command is not None:
            self._built_in(outcome.command, outcome.arguments)
        elif outcome.script is None:
            self._play(decorated(outcome.text, self._screen.faults))
        else:
            steps, faults = outcome.script.steps, outcome.script.faults
            self._state = _State.PLAYING
            self._screen.take_faults(faults)
            if len(steps) == 1 and isinstance(steps[0], Text):
                steps = decorated(steps[0].text, self._screen.faults)
            self._play(steps)

    def _play(self, steps: Iterable[Step], then: Callable[[], None] | None = None) -> None:
        self._state = _State.PLAYING
        self._player.play(steps, then or self._command_done, rows=self._context.rows)

    def _command_done(self) -> None:
        self._forget_command_faults()
        self._then()

    def _forget_command_faults(self) -> None:
        if self._screen.own_faults:
            self._screen.take_faults(None)
            self._screen.device_faults_changed()

    def _built_in(self, command: Command, arguments: tuple[str, ...]) -> None:
        def done() -> None:
            self._finish(command, arguments)

        if command.do == "enable":
            enable(self, self._device, self._context, self._command_done)
        elif command.do == "leave" and dirty(self._device, self._context):
            leave(self, self._device, self._context, done, self._command_done)
        else:
            name = arguments[-1].removeprefix("flash:").lstrip("/") if arguments else ""
            asking = Asking(self, self._device, self._context, name, self._command_done)
            asking.go_on(command.ask, lambda: self._finish(command, (asking.argument,) if command.ask else arguments))

    def _finish(self, command: Command, arguments: tuple[str, ...]) -> None:
        said = act(command, self._device, self._context, arguments)
        if command.do == "reload":
            self._device.reload()
        elif command.close:
            self.say(said, lambda: self._end(0))
        else:
            self.say(said, self._command_done)

    # ---- what a dialog needs of the session

    def ask(self, ask: Ask) -> None:
        self._screen.write(ask.text)
        self._editor.start(ask.text)
        self._ask = ask
        self._state = _State.ASKING

    def say(self, text: str, then: Callable[[], None]) -> None:
        self._play((Text(text),) if text else (), then)

    def _answer(self, answer: str) -> None:
        ask, self._ask = self._ask, None
        self._state = _State.PLAYING
        if ask is not None:
            ask.answered(answer)

    # ---- the prompt

    def _prompt(self) -> None:
        prompt = self._context.prompt(self._device)
        self._editor.width = self._context.width
        self._editor.wrap = self._screen.faults.wrap or self._platform.editor.wrap
        self._editor.start(prompt)
        self._screen.write(self._context.lead(self._device) + prompt)
        self._state = _State.READING
        late, self._player.after = self._player.after, []
        for step in late:
            self._log_later(step)

    def _log_later(self, step: AfterPrompt) -> None:
        if not step.seconds:
            self.unsolicited(step.text, redraw=step.redraw)
            return

        def now() -> None:
            self._late.discard(timer)
            # Between lines, as a device's logger does it: the next command may be in the middle of one by now.
            if self._state is _State.PLAYING and not self._screen.line_start:
                self._log_later(replace(step, seconds=_NEXT_LINE))
            else:
                self.unsolicited(step.text, redraw=step.redraw)

        timer = self._later(step.seconds, now)
        self._late.add(timer)
