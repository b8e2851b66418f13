"""A handle on one SSH session, from the device's side: what a cable, a crash or a broken box would do to it."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def order(control: Path, words: dict[str, Any]) -> Any:
    """Asks the station behind `control`; OSError when it is not there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(control))
        connection.sendall(json.dumps(words).encode())
        answer = bytearray()
        while chunk := connection.recv(65536):
            answer += chunk
    return json.loads(answer)


@dataclass(frozen=True, slots=True)
class Session:
    """`peer` is the client's "address:port", `pid` its sshd's. Methods raise LookupError when it is over."""

    control: Path
    peer: str
    pid: int

    def close(self) -> None:
        """sshd and all under it are killed: the client sees FIN."""
        self._do("kill", reset=False)

    def reset(self) -> None:
        """The same, and the client sees RST."""
        self._do("kill", reset=True)

    def freeze(self) -> None:
        """SIGSTOP: the kernel still acknowledges, nobody answers."""
        self._do("freeze")

    def thaw(self) -> None:
        self._do("thaw")

    def garble(self, junk: bytes) -> None:
        """Sends bytes that are no SSH packet into the encrypted stream."""
        self._do("garble", hex=junk.hex())

    def _do(self, what: str, **words: Any) -> None:
        if not order(self.control, {"do": what, "peer": self.peer, **words}):
            raise LookupError(f"no session from {self.peer}")
