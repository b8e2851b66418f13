"""Nothing is said on a tunnel behind its end.

Paramiko builds a channel's message under the channel's lock and sends it outside of it, so that data of one thread can
go out behind the CLOSE of another. The server has given the number up by then: OpenSSH ends the whole connection
("packet referred to nonexistent channel"), with everybody who shares it, or takes it for the next channel of that
number. Seen with Paramiko 5.1 in tests/devices/test_bastions.py, whose cancels ended the jump host's connection.
"""

from __future__ import annotations

import threading

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_EOF


class Orderly:
    """A transport as one of its channels sees it: what the channel sends goes out in order, and its end is the last."""

    def __init__(self, transport: paramiko.Transport) -> None:
        self._transport = transport
        self._order = threading.Lock()
        self._ended = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def _send_user_message(self, message: paramiko.Message) -> None:
        # The transport's own thread, which answers a CLOSE, must never wait: it is what a key exchange waits for.
        if threading.current_thread() is self._transport:
            threading.Thread(target=self._send, args=(message,), name="netssh-tunnel-end", daemon=True).start()
        else:
            self._send(message)

    def _send(self, message: paramiko.Message) -> None:
        kind = message.asbytes()[:1]
        with self._order:
            if self._ended:
                return
            self._ended = kind == cMSG_CHANNEL_CLOSE
            try:
                self._transport._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001
            except (OSError, EOFError, paramiko.SSHException):
                if kind not in (
                    cMSG_CHANNEL_EOF,
                    cMSG_CHANNEL_CLOSE,
                ):  # of a connection that has ended, the end is known
                    raise
