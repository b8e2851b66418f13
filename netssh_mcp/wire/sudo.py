"""sudo's dialogue: a prompt of our own that nothing else can print, one answer on stdin, never a second one.

The password stands in no argument, no environment and no terminal. sudo writes the prompt of SUDO_PROMPT to stderr and
reads the password from stdin with `-S` (sudo(8)); it asks again behind a wrong one, which is where we end it. Unlike
the arguments of `-p`, sudo's environment can be read by root alone, so a command that sudo runs without a password
cannot print the prompt; and a question that is none for a password keeps the text of the PAM module that asks it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from netssh_mcp.errors import AuthenticationFailed, NetsshError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.knowledge.secrets import Secret

_REFUSED_FOR: Final = 900.0  # seconds, as for logins: pam_faillock(8) counts failures of 15 minutes


class SudoPrompt:
    """One command under sudo: `argv` goes before it, or `prompt` into its environment. Feed all of stderr."""

    def __init__(self, device: str, *, user: str = "") -> None:
        """`user` is who the command of `argv` runs as, root unless given."""
        self.prompt = f"netssh-{secrets.token_hex(16)}:"
        self._device = device
        self._user = user
        self._held = bytearray()
        self._answered = self._closed = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The words before a command of ours, which prints nothing that others say: it could see the prompt here.

        -k: a cached permission would leave our answer to the command's own stdin.
        """
        as_user = ("-u", self._user) if self._user else ()
        return ("sudo", "-k", "-S", "-p", self.prompt, *as_user, "--")

    @property
    def answered(self) -> bool:
        """Whether the password has been asked for and given."""
        return self._answered

    def close(self) -> None:
        """The command has begun: from here on nothing is answered."""
        self._closed = True

    def feed(self, data: bytes, reveal: Callable[[], str], write: Callable[[bytes], None]) -> bytes:
        """What of stderr is the command's own. At the prompt, and only there, `write` gets the password and a newline.

        A start of the prompt at the end is held back until more comes. AuthenticationFailed when sudo asks again: it
        was told nothing more, and whoever catches this ends the channel. (Root can read the environment of sudo, so a
        command may print the prompt: then `rest` has the text from there on.)
        """
        if self._closed:
            return self.rest() + data
        self._held += data
        prompt = self.prompt.encode()
        out = bytearray()
        while (at := self._held.find(prompt)) >= 0:
            if self._answered:
                self._held[:0] = out
                raise refused(self._device)
            out += self._held[:at]
            del self._held[: at + len(prompt)]
            self._answered = True
            write(reveal().encode() + b"\n")
        keep = _beginning(self._held, prompt)
        out += self._held[: len(self._held) - keep]
        del self._held[: len(self._held) - keep]
        return bytes(out)

    def rest(self) -> bytes:
        """What was held back when stderr has ended."""
        rest = bytes(self._held)
        self._held.clear()
        return rest


def refused(device: str, line: str = "") -> AuthenticationFailed:
    """The error of a password that sudo did not take."""
    return AuthenticationFailed(
        "sudo did not take the password; the command was not started",
        device=device,
        line=line,
        hint="Check this host's `sudo` reference; it was tried once. The user may also not be in sudoers.",
    )


def not_known(device: str, line: str = "") -> AuthenticationFailed:
    """The error of a sudo that asks where nobody can answer."""
    return AuthenticationFailed(
        "sudo did not start the command: it asks for a password, and none is configured for this host",
        device=device,
        line=line,
        hint="Give this host `sudo`, a reference, in the inventory; or a NOPASSWD rule there.",
    )


class Refusals:
    """The sudo passwords that hosts have refused, one for a process: pam_faillock locks after three. Any thread."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._refused: dict[Device, tuple[bytes, float]] = {}

    def _digest(self, secret: Secret) -> bytes:
        """Tells two values apart and says nothing else of them; b"" for one that is not there."""
        try:
            value = secret.reveal()
        except NetsshError:
            return b""
        return hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def note(self, device: Device, secret: Secret | None) -> None:
        """The host has refused it."""
        if secret is not None:
            digest = self._digest(secret)
            with self._lock:
                self._refused[device] = (digest, time.monotonic())

    def again(self, device: Device, secret: Secret | None) -> AuthenticationFailed | None:
        """What to say instead of trying it; None where it may be tried: another value, or long ago."""
        with self._lock:
            digest, at = self._refused.get(device, (b"", 0.0))
        left = _REFUSED_FOR - (time.monotonic() - at)
        if not digest or secret is None or left <= 0 or self._digest(secret) != digest:
            return None
        return AuthenticationFailed(
            "sudo's password was not tried again: this host has refused it, and nothing was started",
            device=device.name,
            hint="Correct this host's `sudo` reference or what it refers to (that lifts this at once), or wait "
            f"{max(1, round(left / 60))} min; trying on may lock the account there (pam_faillock).",
        )


def _beginning(held: bytearray, prompt: bytes) -> int:
    """How many bytes at the end may be the start of the prompt."""
    for size in range(min(len(prompt) - 1, len(held)), 0, -1):
        if held.endswith(prompt[:size]):
            return size
    return 0
