"""Netmiko knows the platform; the reading is ours.

A vendor's Netmiko class runs on our channel, with its polling reads replaced by reads that sleep until bytes arrive.
Pinned by tests/unit/test_drivers.py: the names used here are Netmiko 4.8's.
"""

from __future__ import annotations

import codecs
import logging
import re
import time
from functools import cache
from typing import Any

from netmiko import ssh_dispatcher
from netmiko.base_connection import BaseConnection
from netmiko.channel import Channel
from netmiko.exceptions import NetmikoAuthenticationException, ReadTimeout
from netmiko.ssh_dispatcher import CLASS_MAPPER

from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.wire.framing import Prompt
from netssh_mcp.wire.reader import Reader
from netssh_mcp.wire.sync import prove_prompt
from netssh_mcp.wire.text import clean, last_line

_PROMPT_QUIET = 0.05  # seconds of silence behind something like a prompt that end a read "by timing"
_SETTLED = 1.5  # seconds until a line that was typed must have its prompt; then it is typed on, as Netmiko does
_REMEMBERED = 256  # characters
_PASSWORD_LINE = re.compile(r"(?i)(?:[\w@.'() -]{0,60} )?password ?: *")
_STAYS = 0.03  # seconds that a request for the password must stay last before it is answered
_ASKING = 1.0  # seconds that the rest of it may take to come


class ReaderChannel(Channel):
    """Netmiko's view of our reader. `secret` is typed once, and only at a prompt that asks for a password.

    Netmiko's login dialogues look for "ssword" in what has come, and answer it again and again.
    """

    def __init__(self, reader: Reader, secret: str = "") -> None:
        self.reader = reader
        self._secret = secret
        self._typed = False
        self._tail = ""  # the end of what was read
        self._ahead = ""  # read to see whether the prompt stays, and not given away yet
        self.heard_at = reader.writes  # how many writes there had been when something was last heard
        # Netmiko decodes each read on its own and loses the characters that are split between two reads.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read_buffer(self) -> str:
        """What is there now."""
        ahead, self._ahead = self._ahead, ""
        return ahead + self._read()

    def _read(self) -> str:
        data = self.reader.take()
        if data:
            self.heard_at = self.reader.writes
        text = self._decoder.decode(data)
        self._tail = (self._tail + text)[-_REMEMBERED:]
        return text

    def read_channel(self) -> str:
        """All that is there now."""
        out = []
        while part := self.read_buffer():
            out.append(part)
        return "".join(out)

    def write_channel(self, out_data: str) -> None:
        """Write all of it. NetmikoAuthenticationException where the secret must not be typed."""
        if self._secret and out_data.strip() == self._secret.strip():
            self._see_that_it_is_asked_for()
        self.reader.write(out_data.encode())

    def _see_that_it_is_asked_for(self) -> None:
        if self._typed:
            raise NetmikoAuthenticationException("the password was asked for again")
        until = time.monotonic() + _ASKING
        while (left := until - time.monotonic()) > 0:
            self._ahead += self._read()
            asks = _PASSWORD_LINE.fullmatch(last_line(clean(self._tail.encode()))) is not None
            if asks and self.reader.quiet() >= _STAYS:
                self._typed = True
                return
            self.reader.wait(min(left, _STAYS) if asks else left)
        raise NetmikoAuthenticationException("the password was not asked for where it would have been typed")


class EventReads(BaseConnection):
    """Netmiko's polling reads replaced by reads that sleep until bytes arrive; all else is the vendor's class."""

    reader: Reader
    profile: Profile
    deadline: float
    proven: Prompt | None = None  # by the last `find_prompt`, when the reader had counted `proven_at` writes
    proven_at: int = -1
    _held: str = ""
    _read: str = ""  # the end of what `read_until_pattern` gave away: a prompt may be in it

    def attach(self, reader: Reader, profile: Profile, deadline: float) -> None:
        """Use this reader until `deadline` (monotonic) for all that the vendor's class wants to read."""
        self.reader, self.profile, self.deadline = reader, profile, deadline
        self.remote_conn = reader.channel
        self.channel = ReaderChannel(reader, self.password or "")

    def unread(self, text: str) -> None:
        """Give text back that was read before this driver began."""
        self._read_buffer = text

    def detach(self) -> None:
        """Forget the credentials: Netmiko registers a log filter that holds them for ever otherwise."""
        logging.getLogger("netmiko").removeFilter(self._secrets_filter)

    def read_channel(self) -> str:
        """What is there now, normalised; a carriage return at the end waits for its newline."""
        data = self._held + self.channel.read_channel()
        self._held = ""
        if data.endswith("\r"):
            data, self._held = data[:-1], "\r"
        if not self.disable_lf_normalization:
            data = self.normalize_linefeeds(data)
        if self.ansi_escape_codes:
            data = self.strip_ansi_escape_codes(data)
        out, self._read_buffer = self._read_buffer + data, ""
        return out

    def _until(self, seconds: float) -> float:
        return min(self.deadline, time.monotonic() + seconds) if seconds else self.deadline

    def _settle(self) -> None:
        """Let what was typed end in something like a prompt: Netmiko types on at the echo, into what still runs."""
        if not self.reader.writes:
            return
        until = self._until(_SETTLED)
        while (left := until - time.monotonic()) > 0:
            self._read_buffer = self.read_channel()
            line = last_line(clean((self._read + self._read_buffer)[-512:].encode()))
            if self._heard() and re.fullmatch(self.profile.prompts.pattern, line):
                return
            self.reader.wait(left)

    def _heard(self) -> bool:
        return self.reader.writes in (self.proven_at, getattr(self.channel, "heard_at", 0))

    def set_terminal_width(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401  (the vendors' signatures differ)
        """As the vendor's class does it, at a prompt."""
        self._settle()
        return super().set_terminal_width(*args, **kwargs)

    def disable_paging(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        """As the vendor's class does it, at a prompt."""
        self._settle()
        return super().disable_paging(*args, **kwargs)

    def read_until_pattern(
        self, pattern: str = "", read_timeout: float = 10.0, re_flags: int = 0, max_loops: int | None = None
    ) -> str:
        """Text up to and including `pattern`; what follows waits for the next read."""
        until = self._until(read_timeout)
        output = ""
        while True:
            output += self.read_channel()
            # Line editors redraw the echo that Netmiko waits for.
            text = clean(output.encode()) if "\b" in output or "\x1b" in output else output
            if match := re.search(pattern, text, flags=re_flags):
                self._read_buffer = text[match.end() :] + self._read_buffer
                self._read = (self._read + text[: match.end()])[-_REMEMBERED:]
                return text[: match.end()]
            left = until - time.monotonic()
            if left <= 0:
                raise ReadTimeout(f"Pattern not detected: {pattern!r}")
            self.reader.wait(left)

    def read_channel_timing(
        self,
        last_read: float = 2.0,
        read_timeout: float = 120.0,
        delay_factor: float | None = None,
        max_loops: int | None = None,
    ) -> str:
        """Text until silence: `last_read` seconds, or far less once something like a prompt stands last."""
        until = self._until(read_timeout)
        output = ""
        while True:
            output += self.read_channel()
            quiet = self.reader.quiet()
            if output:
                line = last_line(clean(output[-512:].encode()))
                due = _PROMPT_QUIET if re.fullmatch(self.profile.prompts.pattern, line) else last_read
                if quiet >= due:
                    return output
                self.reader.wait(due - quiet)
            elif time.monotonic() < until:
                self.reader.wait(until - time.monotonic())
            if time.monotonic() >= until:
                if output:
                    return output
                raise ReadTimeout("Nothing was received.")

    def clear_buffer(self, backoff: bool = True, backoff_max: float = 3.0, delay_factor: float | None = None) -> str:
        """Take what is there; nothing is slept for, since every prompt is proven afterwards."""
        return self.read_channel()

    def find_prompt(self, delay_factor: float = 1.0, pattern: str | None = None) -> str:
        """The prompt, proven by a nonce where the platform has comments."""
        self._settle()
        seen = self._read + self.clear_buffer()
        prompt = prove_prompt(self.reader, self.profile, self._until(10.0), before=seen)
        if not prompt.comments:  # see Login: this device refuses comments
            self.profile = self.profile.model_copy(update={"comment": "", "pipelined": False})
            prompt = prove_prompt(self.reader, self.profile, self._until(10.0))
        self.proven, self.proven_at = prompt, self.reader.writes
        self._read = prompt.line
        return prompt.line.strip()

    def asa_login(self) -> None:
        """Nothing: ASA's second login types the password again. Enable mode is `Login`'s, with its own secret."""

    def _test_channel_read(self, count: int = 40, pattern: str = "") -> str:
        return self.read_until_pattern(pattern=pattern or r"\S", read_timeout=20)


@cache
def _class_of(device_type: str) -> type[EventReads]:
    vendor: Any = ssh_dispatcher(device_type)
    return type(f"EventDriven{vendor.__name__}", (EventReads, vendor), {})


def driver(device_type: str, *, username: str, password: str) -> EventReads:
    """A Netmiko connection of this type that is not connected: `attach` gives it its channel.

    `allow_auto_change` is off: no login writes configuration where the driver can be told not to.
    """
    return _class_of(device_type)(
        device_type=device_type,
        host="attached",
        username=username,
        password=password,
        auto_connect=False,
        allow_auto_change=False,
        fast_cli=True,
    )


def over_telnet(device_type: str) -> str:
    """Netmiko's Telnet driver of this type, where it has one; else the type itself, whose preparation is the same."""
    name = f"{device_type}_telnet"
    return name if name in CLASS_MAPPER else device_type


def needs_password(device_type: str) -> bool:
    """Whether this driver has a login dialogue of its own inside the channel (Cisco WLC and its like)."""
    return _class_of(device_type).special_login_handler is not BaseConnection.special_login_handler
