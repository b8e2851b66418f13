"""Every error says what happened, on which device, whether the device may have changed, and what to do next.

NetsshError                     effect    meaning
├── InputError                  none      no such device, job, output; the text lists what exists
├── PolicyError                 none      refused here; nothing was sent
│   ├── CommandDenied
│   └── AddressDenied
├── ConnectError                none      no session
│   ├── Unreachable
│   │   └── ForwardingRefused
│   ├── AuthenticationFailed
│   │   └── CredentialStopped
│   ├── HostKeyUnknown
│   ├── HostKeyChanged
│   └── AlgorithmMismatch
├── SessionError                possible  a session broke
│   ├── CommandTimeout
│   ├── CommandInterrupted
│   │   └── NotSent
│   ├── SessionLost
│   ├── PromptNotFound
│   ├── TransferBroken
│   └── OutputTooLarge
├── DeviceError                 none      the device answered no
│   ├── CommandRejected
│   ├── CommandFailed
│   └── FileRefused
├── Skipped                     none      not sent, since a command before it failed
└── AuditError                  none      the audit record could not be written, so nothing was sent
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

Effect = Literal["none", "possible", "done"]


# First and last of each range that `visible` escapes; what they are and why: knowledge/untrusted.py. The function is
# here since errors quote devices too.
CONTROLS = ((0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F))  # C0 but tab and newline, DEL, C1
IGNORABLE = (  # Default_Ignorable_Code_Point, DerivedCoreProperties.txt of Unicode 16.0; the same in 17.0
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
FORMATS = (  # line and paragraph separator, interlinear annotation, joiners of hieroglyphs, surrogates
    *((0x2028, 0x2029), (0xFFF9, 0xFFFB), (0x13430, 0x1343F), (0xD800, 0xDFFF)),
)
_HIDDEN = re.compile(
    "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in (*CONTROLS, *IGNORABLE, *FORMATS)) + "]"
)
_HIDDEN_ASCII = bytes(code for code in (*range(32), 127) if code not in b"\t\n")


def visible(text: str) -> str:
    """The text with every hidden character as `\\u{202e}`. ASCII without any costs a nanosecond per character."""
    if text.isascii():
        raw = text.encode("ascii")
        if len(raw.translate(None, _HIDDEN_ASCII)) == len(raw):
            return text
    return _HIDDEN.sub(lambda hidden: f"\\u{{{ord(hidden[0]):x}}}", text)


class NetsshError(Exception):
    """Anticipated: its text is written for the reader, who may be a model or an engineer.

    `hint` is the next step; `retryable` says that the same call may succeed later unchanged; `line` is the device's
    own line where it gave one (untrusted text); `partial` is what the device had sent before it went wrong.
    """

    kind: ClassVar[str] = "error"
    effect: Effect = "none"
    retryable: bool = False
    hint: str = ""

    def __init__(
        self,
        message: str,
        *,
        device: str = "",
        hint: str = "",
        effect: Effect | None = None,
        retryable: bool | None = None,
        line: str = "",
        partial: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.device = device
        self.line = line
        self.partial = partial
        self.events: tuple[str, ...] = ()  # lines that the device sent unasked meanwhile
        self.hint = hint or type(self).hint
        self.effect = type(self).effect if effect is None else effect
        self.retryable = type(self).retryable if retryable is None else retryable

    def __str__(self) -> str:
        where = f"{self.device}: " if self.device else ""
        return visible(f"{where}{self.message}")

    def facts(self) -> dict[str, Any]:
        """The same facts as fields, hidden characters shown: kind, message, effect, hint, retryable, line."""
        return {
            "kind": self.kind,
            "message": str(self),
            "effect": self.effect,
            "hint": visible(self.hint),
            "retryable": self.retryable,
            "line": visible(self.line),
        }


class InputError(NetsshError):
    """The caller named something that does not exist or cannot be read; the text lists what does."""

    kind = "input"


class PolicyError(NetsshError):
    """Refused here; nothing was sent."""

    kind = "denied"


class CommandDenied(PolicyError):
    """The command is not one that the policy allows on this device."""

    kind = "denied"


class AddressDenied(PolicyError):
    """The operator's rules do not allow a connection to this address; none was made."""

    kind = "denied"


class AuditError(NetsshError):
    """The audit record could not be written; nothing was sent."""

    kind = "audit"
    hint = "Free space or repair the audit file's folder; no command is sent without a record."


class Skipped(NetsshError):
    """Not sent, since a command before it in the same call failed."""

    kind = "skipped"


class ConnectError(NetsshError):
    """There is no session; no command was sent."""

    kind = "connect"


class Unreachable(ConnectError):
    """No TCP connection, or no SSH banner, in time."""

    kind = "connect"
    retryable = True


class ForwardingRefused(Unreachable):
    """A jump host is logged in to, and does not open the connection to the next host."""

    kind = "connect"


class AuthenticationFailed(ConnectError):
    """The device refused the credentials; they are not tried again on their own."""

    kind = "auth"


class CredentialStopped(AuthenticationFailed):
    """The credentials were not tried here, since other devices have refused the same ones."""

    kind = "auth"


class HostKeyUnknown(ConnectError):
    """The device's host key is in no known_hosts file and the mode is strict."""

    kind = "hostkey"


class HostKeyChanged(ConnectError):
    """The device's host key differs from the one on record."""

    kind = "hostkey"


class AlgorithmMismatch(ConnectError):
    """Both sides share no key exchange, cipher, MAC or host key algorithm."""

    kind = "algorithm"


class SessionError(NetsshError):
    """A session broke while a command was under way; the command may have run."""

    kind = "session"
    effect: Effect = "possible"


class CommandTimeout(SessionError):
    """No proven end in time; the command may still be running."""

    kind = "timeout"
    retryable = True
    hint = "Raise `timeout`, or narrow the command."


class CommandInterrupted(SessionError):
    """The caller cancelled; the message says whether the device really stopped."""

    kind = "interrupted"
    hint = "What it did until then is done: look, where it changes something, before running it again."


class NotSent(CommandInterrupted):
    """The caller cancelled before anything of the command was sent."""

    effect: Effect = "none"
    hint = "Run it again when it is wanted."


class SessionLost(SessionError):
    """The link broke: closed, reset or garbled by the other side."""

    kind = "lost"
    retryable = True


class NothingSent(SessionLost):
    """The link had ended, unseen, before anything of the command went out on it."""

    effect = "none"


class PromptNotFound(SessionError):
    """No prompt could be proven after login, or after an interrupt."""

    kind = "prompt"


class OutputTooLarge(SessionError):
    """The output went over the session's byte limit; the command was interrupted, what came is kept."""

    kind = "too_large"
    hint = "Narrow the command, so that it prints less."


class TransferBroken(SessionError):
    """A file did not arrive whole; the message says what is left of it there."""

    kind = "transfer"
    retryable = True


class DeviceError(NetsshError):
    """The device answered no."""

    kind = "device"


class CommandRejected(DeviceError):
    """The device refused the command (`% Invalid input` and its like); `line` is its own word."""

    kind = "rejected"


class CommandFailed(DeviceError):
    """A Linux command ended with another exit status than 0, or by a signal ("TERM"); its output is complete, in
    `partial` and `stderr`."""

    kind = "exit"
    exit_status: int | None = 0
    signal: str = ""
    stderr: str = ""


class FileRefused(DeviceError):
    """The host did not do what was asked with a file: not there, no permission, no space, it exists."""

    kind = "file"
