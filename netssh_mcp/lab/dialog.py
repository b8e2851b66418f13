"""Questions a device asks before it does something: confirm keys, yes or no, file names, the enable secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from netssh_mcp.lab.actions import act
from netssh_mcp.lab.device import Device
from netssh_mcp.lab.interpreter import Context
from netssh_mcp.lab.model import Command, Question

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


def questions(talk: Talk, left: tuple[Question, ...], done: Then, refused: Then) -> None:
    """Ask one after the other; the first no ends it."""
    if not left:
        done()
        return
    question = left[0]

    def answered(answer: str) -> None:
        word = answer.strip().lower() or (question.default if question.kind == "yes_no" else "")
        if question.kind == "line" or word in ("y", "yes") or (question.kind == "confirm" and not word):
            questions(talk, left[1:], done, refused)
        elif question.kind == "confirm" or word in ("n", "no"):
            talk.say(question.refused, refused)
        else:
            talk.say(question.nonsense, lambda: questions(talk, left, done, refused))

    talk.ask(Ask(question.ask, answered, key=question.kind == "confirm"))


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
