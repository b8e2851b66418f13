"""A private FIFO on a host that a command reads instead of /dev/null, fed over a channel of its own.

What is typed for a command goes there and nowhere else: an answer that comes too late is thrown away with the FIFO,
and can never be read by the shell behind it and run.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import SessionLost, TransferBroken
from netssh_mcp.wire.framing import new_nonce
from netssh_mcp.wire.reader import Reader

if TYPE_CHECKING:
    from netssh_mcp.wire.shared import Shared

_OPENING: Final = 10.0  # seconds that it may take to make one
# Opened for reading, too: opening it for writing only would wait for the reader. What is not read goes with it, as the
# end of our channel ends `cat`, however that comes about. No single quotes and no line breaks: the login shell that
# reads this may be any, csh for one.
_SCRIPT: Final = (
    'umask 077; d=$(mktemp -d) || exit 1; trap "exit 1" HUP INT TERM PIPE; trap "rm -rf \\"$d\\"" EXIT; '
    'mkfifo -m 600 "$d/in" && exec 3<>"$d/in" && echo "{hello} $d/in" && exec 1>/dev/null 2>&1 && cat >&3'
)


class Fifo:
    """Blocking; closed by whoever made it. `path` is on the host."""

    def __init__(self, shared: Shared, deadline: float) -> None:
        """TransferBroken when the host makes none; else as `Shared.channel`."""
        until = min(deadline, time.monotonic() + _OPENING)
        channel = shared.channel(until)
        self._reader = Reader(channel, shared.device.name)
        self.open = True
        hello = f"netssh-{new_nonce()}"  # a login may print something of its own first
        channel.exec_command(f"exec /bin/sh -c '{_SCRIPT.replace('{hello}', hello)}'")
        self.path = self._told(re.compile(rf"{hello} (/[^\n]*/in)\n".encode()), until)
        if not self.path:
            self.close()
            raise TransferBroken(
                "the host made no FIFO for what the command is to read",
                device=shared.device.name,
                effect="none",
                hint="It needs mktemp and mkfifo and a folder for temporary files (TMPDIR); without `answers` and "
                "without a password for sudo none is needed.",
            )

    def _told(self, path: re.Pattern[bytes], until: float) -> str:
        said = b""
        with contextlib.suppress(SessionLost):
            while (left := until - time.monotonic()) > 0:
                said += self._reader.take()
                if found := path.search(said):
                    return found[1].decode("utf-8", "replace")
                self._reader.wait(left)
        return ""

    def write(self, data: bytes) -> None:
        """Type this. Nothing when it has ended: then nobody reads."""
        if self.open:
            self._reader.write(data)

    def end(self) -> None:
        """Nothing more comes: the command reads the end of its input."""
        if self.open:
            self.open = False
            with contextlib.suppress(OSError, EOFError):
                self._reader.channel.shutdown_write()

    def close(self) -> None:
        """Throw it away, with what was not read."""
        self.end()
        with contextlib.suppress(OSError, EOFError):
            self._reader.channel.close()
