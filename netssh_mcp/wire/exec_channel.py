"""What Paramiko leaves out of exec channels: the signal that ended a command, a request without a wait, signals.

Pinned by tests/unit/test_exec.py: the private names used are Paramiko 5.1's.
"""

from __future__ import annotations

import re
from typing import Any, Final

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, cMSG_CHANNEL_REQUEST

from netssh_mcp.wire.telnet import TelnetChannel

_NAME: Final = re.compile(r"[A-Z][A-Z0-9+-]{1,15}(?:@[a-z0-9.-]{1,40})?")  # RFC 4254, 6.10; a vendor's own has an @


def _request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """`exit-signal` (RFC 4254, 6.10) is kept where Paramiko only logs it; the rest is Paramiko's."""
    if message.get_text() == "exit-signal":
        message.get_boolean()
        name = message.get_string().decode("ascii", "replace")  # any text: it stands in what we say
        channel.exit_signal = name if _NAME.fullmatch(name) else "unknown"  # type: ignore[attr-defined]  # ours
        channel.status_event.set()
        return
    message.rewind()
    message.get_int()  # the channel's number
    channel._handle_request(message)  # type: ignore[attr-defined]  # noqa: SLF001


HANDLERS: Final[dict[int, Any]] = {
    **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001
    MSG_CHANNEL_REQUEST: _request,
}


def start(channel: paramiko.Channel, line: str, stdin: bytes) -> None:
    """Ask for `line` and send its first input in the same flight: no round trip lies between them.

    A refusal closes the channel, without an exit status.
    """
    message = _head(channel, "exec", reply=True)
    message.add_string(line)
    _send(channel, message)
    channel.sendall(stdin)


def send_signal(channel: paramiko.Channel, name: str) -> None:
    """A signal to the command's process group, by sshd itself (OpenSSH 7.9 and later); nothing says whether it went."""
    message = _head(channel, "signal", reply=False)
    message.add_string(name)
    _send(channel, message)


def exit_status(channel: paramiko.Channel | TelnetChannel) -> int | None:
    """None while it runs, and when a signal ended it."""
    return None if channel.exit_status < 0 else channel.exit_status


def exit_signal(channel: paramiko.Channel | TelnetChannel) -> str:
    """What ended it ("TERM"), or ""."""
    return str(getattr(channel, "exit_signal", ""))


def _head(channel: paramiko.Channel, kind: str, *, reply: bool) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string(kind)
    message.add_boolean(reply)
    return message


def _send(channel: paramiko.Channel, message: paramiko.Message) -> None:
    channel.transport._send_user_message(message)  # type: ignore[union-attr]  # noqa: SLF001
