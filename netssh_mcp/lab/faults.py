"""What can go wrong on a simulated device, on demand and repeatably; and scripted answers, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netssh_mcp.lab.model import Echo, Wrap

# channel: the SSH channel closes. disconnect: an SSH disconnect message. tcp: the socket closes without a word.
# reset: TCP RST. garbage: bytes that are no SSH packet. freeze: nothing is sent or read any more, nothing is closed.
BreakKind = Literal["channel", "disconnect", "tcp", "reset", "garbage", "freeze"]
SyslogPlace = Literal["before_prompt", "after_prompt", "in_output"]

SYSLOG = "*Nov 20 10:15:42.123: %LINEPROTO-5-UPDOWN: Line protocol on Interface Gi0/7, changed state to down"


@dataclass(frozen=True, slots=True)
class Faults:
    """Misbehaviour of a device, or of one command (`Script.faults`). All chance comes from `seed`. Times in seconds."""

    seed: int = 0
    delay: float = 0.0  # before the first byte of an output
    line_delay: float = 0.0  # between the lines of an output
    fragment: int = 0  # everything sent is cut into pieces of 1..n bytes; 1 = byte by byte
    fragment_gap: float = 0.0  # between two pieces; 0 = the next turn of the event loop
    split_utf8: float = 0.0  # pause in the middle of every character that is longer than one byte
    echo: Echo | None = None  # None = as the platform does
    wrap: Wrap | None = None
    echo_noise: Literal["", "backspace", "ansi"] = ""
    lookalike: Literal["", "inline", "line_start"] = ""  # the exact prompt inside the output, then a pause
    lookalike_pause: float = 0.1
    syslog: tuple[SyslogPlace, ...] = ()
    syslog_text: str = SYSLOG
    syslog_delay: float = 0.0  # after_prompt: how long after
    syslog_redraw: bool = False  # the prompt is printed again after the line ("logging synchronous")
    pager_always: bool = False  # pages although paging was turned off
    hang: Literal["", "silent", "flood"] = ""  # instead of output, until Ctrl-C
    break_with: BreakKind | Literal[""] = ""
    break_after: int = 0  # bytes: of this command's output, or of the session since the fault was set
    newline: Literal["\r\n", "\r\r\n", "\n", "\n\r"] = "\r\n"
    nul: bool = False  # a NUL byte before every newline
    deaf_to_interrupt: bool = False  # Ctrl-C does nothing


NO_FAULTS = Faults()


@dataclass(frozen=True, slots=True)
class Text:
    """Output. Lines end with \\n here; what goes out is the device's own line end."""

    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact prompt of the session, as a part of the output."""


@dataclass(frozen=True, slots=True)
class Log:
    """A line the device sends unasked."""

    text: str = SYSLOG


@dataclass(frozen=True, slots=True)
class AfterPrompt:
    """A line the device sends unasked, `seconds` after the prompt that ends this command."""

    text: str = SYSLOG
    seconds: float = 0.0
    redraw: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence until Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Flood:
    """`line` again and again until Ctrl-C; the client's window holds it back."""

    line: str


@dataclass(frozen=True, slots=True)
class Break:
    kind: BreakKind


Step = Text | Pause | Prompt | Log | AfterPrompt | Hang | Flood | Break


@dataclass(frozen=True, slots=True)
class Script:
    """An answer in steps, sent literally (no `{variables}`), with faults of its own instead of the device's."""

    steps: tuple[Step, ...]
    faults: Faults | None = None

    @classmethod
    def of(cls, text: str, faults: Faults | None = None) -> Script:
        return cls((Text(text),), faults)


def decorated(text: str, faults: Faults) -> tuple[Step, ...]:
    """The steps that send `text` with the faults that act on whole lines."""
    if faults.hang:
        return (Hang(),) if faults.hang == "silent" else (Flood(text or "flood\n"),)
    plain = not (faults.delay or faults.line_delay or faults.lookalike or faults.syslog)
    if plain:
        return (Text(text),) if text else ()
    steps: list[Step] = [Pause(faults.delay)] if faults.delay else []
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if number and faults.line_delay:
            steps.append(Pause(faults.line_delay))
        if number == len(lines) // 2:
            steps += _between(faults)
        steps.append(Text(line))
    if "before_prompt" in faults.syslog:
        steps.append(Log(faults.syslog_text))
    if "after_prompt" in faults.syslog:
        steps.append(AfterPrompt(faults.syslog_text, faults.syslog_delay, faults.syslog_redraw))
    return tuple(steps)


def _between(faults: Faults) -> list[Step]:
    steps: list[Step] = []
    if faults.lookalike:
        before = "description to " if faults.lookalike == "inline" else ""
        steps += [Text(before), Prompt(), Pause(faults.lookalike_pause), Text(" port 7\n")]
    if "in_output" in faults.syslog:
        steps.append(Log(faults.syslog_text))
    return steps
