"""SOCKS 5, 4 and 4a as a server speaks them, no I/O: bytes in, bytes and a request out. RFC 1928; SOCKS4.protocol."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal

Outcome = Literal["ok", "failed", "denied", "network", "host", "refused", "timeout", "command", "kind"]

_V5: Final[dict[Outcome, int]] = {  # RFC 1928, 6
    "ok": 0x00,
    "failed": 0x01,
    "denied": 0x02,
    "network": 0x03,
    "host": 0x04,
    "refused": 0x05,
    "timeout": 0x06,
    "command": 0x07,
    "kind": 0x08,
}
_CONNECT: Final = 1
_LONGEST: Final = 1024  # bytes of a whole dialogue; a user name of version 4 has no length of its own


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client wants to be connected to, in its own spelling."""

    host: str
    port: int


class Refused(Exception):
    """This client cannot be served; `reply` is what it is told before it is closed."""

    def __init__(self, why: str, reply: bytes = b"") -> None:
        super().__init__(why)
        self.reply = reply


class Dialogue:
    """One client's, up to its request. `feed` as long as `wanted` is None; what came too early is in `rest`."""

    def __init__(self) -> None:
        self.wanted: Wanted | None = None
        self.rest = b""
        self._version = 0
        self._greeted = False

    def feed(self, data: bytes) -> bytes:
        """What to answer now. Refused."""
        self.rest += data
        answer = b""
        while self.wanted is None and self.rest:
            before = len(self.rest), self._greeted
            answer += self._step()
            if (len(self.rest), self._greeted) == before:
                break
        if self.wanted is None and len(self.rest) > _LONGEST:
            raise Refused("a SOCKS request without an end")
        return answer

    def reply(self, outcome: Outcome) -> bytes:
        """The answer to the request."""
        if self._version == 4:
            return struct.pack(">BBH4s", 0, 0x5A if outcome == "ok" else 0x5B, 0, bytes(4))
        return struct.pack(">BBBB4sH", 5, _V5[outcome], 0, 1, bytes(4), 0)

    def _step(self) -> bytes:
        self._version = self._version or self.rest[0]
        if self._version == 4:
            return self._request4()
        if self._version != 5:
            raise Refused("what came is not SOCKS")
        if not self._greeted:
            return self._greeting()
        self._request5()
        return b""

    def _greeting(self) -> bytes:
        if len(self.rest) < 2 or len(self.rest) < 2 + self.rest[1]:
            return b""
        methods, self.rest = self.rest[2 : 2 + self.rest[1]], self.rest[2 + self.rest[1] :]
        if 0 not in methods:
            raise Refused("the SOCKS client wants to log in, and there is nothing to log in to", b"\x05\xff")
        self._greeted = True
        return b"\x05\x00"

    def _request5(self) -> None:
        if len(self.rest) < 5:
            return
        version, command, _, kind = self.rest[:4]
        if version != 5:
            raise Refused("what came is not SOCKS")
        if command != _CONNECT:
            raise Refused("only CONNECT is served, neither BIND nor UDP", self.reply("command"))
        if kind not in (1, 3, 4):
            raise Refused("an address of an unknown kind", self.reply("kind"))
        start, size = (5, self.rest[4]) if kind == 3 else (4, {1: 4, 4: 16}[kind])
        end = start + size
        if len(self.rest) < end + 2:
            return
        raw, (port,) = self.rest[start:end], struct.unpack(">H", self.rest[end : end + 2])
        self.rest = self.rest[end + 2 :]
        host = str(IPv4Address(raw)) if kind == 1 else str(IPv6Address(raw)) if kind == 4 else self._name(raw)
        self.wanted = Wanted(host, port)

    def _request4(self) -> bytes:
        head, found, rest = self.rest[8:].partition(b"\0")
        if len(self.rest) < 9 or not found:
            return b""
        _, command, port, raw = struct.unpack(">BBH4s", self.rest[:8])
        if command != _CONNECT:
            raise Refused("only CONNECT is served, not BIND", self.reply("command"))
        host = str(IPv4Address(raw))
        if raw[:3] == bytes(3) and raw[3]:  # 4a: the name stands behind the user's
            head, found, rest = rest.partition(b"\0")
            if not found:
                return b""
            host = self._name(head)
        self.rest, self.wanted = rest, Wanted(host, port)
        return b""

    def _name(self, raw: bytes) -> str:
        try:
            return raw.decode("ascii")
        except UnicodeDecodeError:
            raise Refused("a host name that is not ASCII", self.reply("failed")) from None
