"""A command under sudo inside a kept shell: the same rules as wire/exec.py, with a FIFO in place of stdin.

sudo's prompt is a random word in its environment; the password goes into the FIFO at that prompt on stderr, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from netssh_mcp.errors import AuthenticationFailed
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.order import Order
from netssh_mcp.wire.script import checked_user
from netssh_mcp.wire.sudo import Refusals, SudoPrompt, not_known, refused

_REFUSAL: Final = 4.0  # seconds after which sudo has taken the password: PAM waits 2 to 3 before it says no


class Superuser:
    """sudo for one command. `asks` is not known before: whether it wants a password is tried on the host."""

    def __init__(self, device: Device, order: Order, refusals: Refusals) -> None:
        """InputError for a user that is none."""
        checked_user(order.sudo_user)
        self._device, self._order, self._refusals = device, order, refusals
        self._again = refusals.again(device, order.password)
        self._prompt = SudoPrompt(device.name) if order.password is not None and self._again is None else None
        self.refusal: AuthenticationFailed | None = None
        self._answered_at = 0.0
        self._spoke = False

    @property
    def needs_input(self) -> bool:
        """Whether there may be a password to type."""
        return self._prompt is not None

    @property
    def exported(self) -> str:
        """Before the command and out of its sight: not in the text, which `set -x` would show on stderr."""
        return f"export SUDO_PROMPT={self._prompt.prompt}; " if self._prompt is not None else ""

    @property
    def removed(self) -> str:
        """Behind it."""
        return "; unset SUDO_PROMPT" if self._prompt is not None else ""

    def text(self, line: str, stdin: str, fifo: str) -> str:
        """The shell's text. `stdin` is what the command reads where sudo asks for nothing, `fifo` where it does.

        Where it does not ask it is started so that it cannot, and a prompt that the command prints is text.
        """
        order = self._order
        as_user = f" -u {_word(order.sudo_user)}" if order.sudo_user else ""
        keep = f" --preserve-env={','.join(order.env)}" if order.env else ""
        command = f"{keep}{as_user} -- " + (f"/bin/sh -c {_word(line)}" if order.shell else line)
        if self._prompt is None:
            return f"sudo -k -n{command} <{_word(stdin)}"
        return (
            f"if sudo -k -n{as_user} -- true </dev/null >/dev/null 2>&1; then sudo -k -n{command} <{_word(stdin)}; "
            f"else sudo -k -S{command} <{_word(fifo)}; fi"
        )

    def heard(self, data: bytes, write: Callable[[bytes], None]) -> bytes:
        """What of stderr is not sudo's question; `refusal` is set when it asks again."""
        password = self._order.password
        if self._prompt is None or password is None:
            return data

        def tell(answer: bytes) -> None:
            write(answer)
            self._answered_at = time.monotonic()

        try:
            return self._prompt.feed(data, password.reveal, tell)
        except AuthenticationFailed as error:
            self._refusals.note(self._device, password)
            self.refusal = error
            self._prompt.close()  # it is told nothing more, whatever it asks
            return self._prompt.rest()

    def spoke(self) -> None:
        """The command has printed something, so it has begun: from here on no password is told."""
        self._spoke = True
        if self._prompt is not None:
            self._prompt.close()

    @property
    def listens(self) -> bool:
        """Whether what is typed is the command's: never while it could be taken for a password."""
        return (
            self._prompt is None
            or self._spoke
            or bool(self._answered_at and time.monotonic() - self._answered_at > _REFUSAL)
        )

    @property
    def answered(self) -> bool:
        """Whether the password was asked for and given."""
        return bool(self._answered_at)

    def judge(self, status: int, out: str, err: str) -> None:
        """AuthenticationFailed when sudo says itself that it did not start the command for want of a password."""
        last = err.strip().rpartition("\n")[2]
        if status != 1 or out or not last.startswith("sudo: "):
            return
        if self.answered and last.removeprefix("sudo: ")[:1].isdigit():  # sudo: 1 incorrect password attempt
            self._refusals.note(self._device, self._order.password)
            raise refused(self._device.name, last)
        if self._prompt is None and err.strip() == last:
            raise self._again or not_known(self._device.name, last)


def _word(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
