"""Questions a device asks before it does something: confirm keys, yes or no, file names, the enable secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from netssh_mcp.lab.actions import act
from netssh_mcp.lab.device import Device
from netssh_mcp.lab.interpreter import Context
from netssh_mcp.lab.model import Command, Question, fill

Then = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question on the screen: one line, or one key, is handed to `answered`."""

    text: str
    answered: Callable[[str], None]
    shown: bool = True  # echo
    key: bool = False


class Talk(Protocol):
    """The session, as far as a dialog needs it."""

    def ask(self, ask: Ask) -> None: ...

    def say(self, text: str, then: Then) -> None: ...


@dataclass(slots=True)
class Asking:
    """The questions of one command. `argument` is what it is about; a line that is answered takes its place."""

    talk: Talk
    device: Device
    context: Context
    argument: str
    refused: Then

    def go_on(self, left: tuple[Question, ...], done: Then) -> None:
        """Ask one after the other; the first no ends it."""
        while left and left[0].only == "unsaved" and self.device.running.flat() == self.device.startup:
            left = left[1:]
        if not left:
            done()
            return
        question = left[0]

        def answered(answer: str) -> None:
            self._answered(answer.strip(), left, done)

        self.talk.ask(Ask(fill(question.ask, {"argument": self.argument}), answered, key=question.kind == "confirm"))

    def _answered(self, answer: str, left: tuple[Question, ...], done: Then) -> None:
        question = left[0]
        word = answer.lower() or (question.default if question.kind == "yes_no" else "")
        if question.kind == "line":
            self.argument = answer or self.argument
            self.go_on(left[1:], done)
        elif word in ("y", "yes") or (question.kind == "confirm" and not word):
            done_at_once = Command(syntax=(question.ask,), do=question.does, say=question.said)
            said = act(done_at_once, self.device, self.context, (self.argument,))
            self.talk.say(said, lambda: self.go_on(left[1:], done))
        elif question.does and word in ("n", "no"):
            self.go_on(left[1:], done)
        elif question.kind == "confirm" or word in ("n", "no"):
            self.talk.say(fill(question.refused, {"argument": self.argument}), self.refused)
        else:
            self.talk.say(question.nonsense, lambda: self.go_on(left, done))


def enable(talk: Talk, device: Device, context: Context, then: Then, used: int = 0) -> None:
    """The secret is checked; after the last wrong try the session stays where it was."""
    rules = device.platform.enable
    if rules is None:
        then()
        return
    if not device.spec.enable:
        # Without a secret a device either lets everybody in or nobody.
        if not rules.none_set:
            context.mode = rules.to
        talk.say(f"{rules.none_set}\n" if rules.none_set else "", then)
        return

    def answered(secret: str) -> None:
        if secret == device.spec.enable:
            context.mode = rules.to
            then()
        elif used + 1 < rules.tries:
            talk.say(rules.wrong, lambda: enable(talk, device, context, then, used + 1))
        else:
            talk.say(f"{rules.wrong}{rules.failed}\n", then)

    talk.ask(Ask(rules.prompt, answered, shown=False))


def leave(talk: Talk, device: Device, context: Context, done: Then, then: Then) -> None:
    """Out of a candidate with uncommitted lines: commit, throw away, or stay."""
    rules = device.platform.config.leave
    if rules is None:
        done()
        return

    def answered(answer: str) -> None:
        word = answer.strip().lower()
        choice = rules.on_yes if word in ("y", "yes") else rules.on_no if word in ("n", "no") else rules.otherwise
        if choice == "commit":
            act(Command(syntax=("commit",), do="commit"), device, context, ())
        if choice == "stay":
            then()
        else:
            done()

    talk.ask(Ask(rules.ask, answered))
