"""A simulated device behind Telnet: options, a login in the clear, and the same shell as behind SSH."""

from __future__ import annotations

import asyncio
import hmac
import socket
import struct
from collections.abc import Callable

from netssh_mcp.lab.device import Device
from netssh_mcp.lab.faults import BreakKind
from netssh_mcp.lab.outlet import Timer
from netssh_mcp.lab.shell import Shell

_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
_ECHO, _SGA, _TTYPE, _NAWS = 1, 3, 24, 31
# What IOS asks for when a vty is opened.
_GREETING = bytes((_IAC, _WILL, _ECHO, _IAC, _WILL, _SGA, _IAC, _DO, _TTYPE, _IAC, _DO, _NAWS))
_TRIES = 3
_HIGH_WATER = 256 * 1024
_SETTLE = 0.02  # seconds that sent bytes get to leave before the link is broken


class _Line(asyncio.Protocol):
    """One connection. It is the shell's `Link`."""

    def __init__(self, device: Device, lines: set[_Line]) -> None:
        self._device = device
        self._lines = lines
        self._transport: asyncio.Transport | None = None
        self._shell: Shell | None = None
        self._held = b""  # the start of a command that is not whole yet
        self._size = (80, 24)
        self._typed = ""
        self._user = ""
        self._asked = ""  # user, password, or "" behind the login
        self._tries = 0

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._transport = transport
        self._lines.add(self)
        self._device.connections += 1
        transport.write(_GREETING)
        if self._device.spec.telnet == "open":
            self._enter()
            return
        self.send(b"\r\n\r\nUser Access Verification\r\n\r\n")
        self._ask("user" if self._device.spec.telnet == "user" else "password")

    def data_received(self, data: bytes) -> None:
        text = self._without_commands(self._held + data)
        if not text:
            return
        if self._shell:
            self._shell.feed(text)
        else:
            self._login(text.decode("utf-8", "replace").replace("\r\0", "\r").replace("\r\n", "\r"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lines.discard(self)
        if self._shell:
            self._shell.closed()

    def pause_writing(self) -> None:
        if self._shell:
            self._shell.hold()

    def resume_writing(self) -> None:
        if self._shell:
            self._shell.release()

    # ---- options

    def _without_commands(self, data: bytes) -> bytes:
        text, at = bytearray(), 0
        self._held = b""
        while (escape := data.find(_IAC, at)) >= 0:
            text += data[at:escape]
            end = self._command_end(data, escape)
            if end < 0:
                self._held = data[escape:]
                return bytes(text)
            if data[escape + 1] == _IAC:
                text.append(_IAC)
            else:
                self._heard(data[escape + 1 : end])
            at = end
        return bytes(text + data[at:])

    def _command_end(self, data: bytes, start: int) -> int:
        if len(data) < start + 2:
            return -1
        command = data[start + 1]
        if command == _SB:
            at = start + 2
            while (at := data.find(_IAC, at)) >= 0 and data[at + 1 : at + 2] == b"\xff":
                at += 2
            return at + 2 if at >= 0 and len(data) > at + 1 else -1
        if command in (_WILL, _WONT, _DO, _DONT):
            return start + 3 if len(data) > start + 2 else -1
        return start + 2

    def _heard(self, command: bytes) -> None:
        self._device.negotiated.append(command)
        if command == bytes((_WILL, _TTYPE)) and self._transport:
            self._transport.write(bytes((_IAC, _SB, _TTYPE, 1, _IAC, _SE)))
        if command[:2] == bytes((_SB, _NAWS)):
            size = command[2:-2].replace(b"\xff\xff", b"\xff")
            if len(size) == 4:
                self._size = struct.unpack(">HH", size)

    # ---- the login

    def _ask(self, what: str) -> None:
        self._asked = what
        self.send(b"Username: " if what == "user" else b"Password: ")

    def _login(self, text: str) -> None:
        for char in text:
            if self._shell:
                self._shell.feed(char.encode())
            elif char != "\r":
                self._typed += char
                if self._asked == "user" or self._device.spec.telnet_echo:
                    self.send(char.encode())
            else:
                typed, self._typed = self._typed, ""
                self.send(b"\r\n")
                self._answered(typed)

    def _answered(self, typed: str) -> None:
        spec = self._device.spec
        if self._asked == "user":
            self._user = typed
            self._ask("password")
            return
        named = spec.telnet == "line" or self._user == spec.username
        if named and hmac.compare_digest(typed.encode(), spec.password.encode()):
            self._enter()
            return
        self._device.auth_failures += 1
        self._tries += 1
        self.send(b"% Login invalid\r\n\r\n" if spec.telnet == "user" else b"")
        if self._tries >= _TRIES:
            self.send(b"% Bad passwords\r\n")
            self.end(1)
        else:
            self._ask("user" if spec.telnet == "user" else "password")

    def _enter(self) -> None:
        self._asked = ""
        self._device.logins += 1
        later = asyncio.get_running_loop().call_later

        def call_later(seconds: float, work: Callable[[], None]) -> Timer:
            return later(seconds, work)

        width, rows = self._size
        self._shell = Shell(self._device, self, call_later, user=self._user, rows=rows, width=width)
        self._shell.start()

    # ---- the shell's side

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data.replace(b"\xff", b"\xff\xff"))

    def end(self, status: int) -> None:
        del status
        if self._transport is not None:
            asyncio.get_running_loop().call_later(_SETTLE, self._transport.close)

    def break_off(self, kind: BreakKind) -> None:
        transport = self._transport
        if transport is None:
            return
        if kind == "freeze":
            transport.pause_reading()
        elif kind == "garbage":
            transport.write(bytes((_IAC, _WILL, _ECHO, _IAC, _WONT, _ECHO)) * 1000)  # options without end
        else:
            if kind == "reset":
                sock: socket.socket = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asyncio.get_running_loop().call_later(_SETTLE, transport.abort)

    def abort(self) -> None:
        """The device is switched off."""
        if self._transport is not None:
            self._transport.abort()


class TelnetListener:
    """A device with its open port."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self.device, self._lines), host, port)
        name: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return name[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for line in tuple(self._lines):
            line.abort()
        await asyncio.sleep(0)  # aborts are heard of in the next turn of the loop
