"""A device's terminal without a network: its line editor, its echo, and a command's output with pauses in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from netssh_mcp.wire.framing import Exchange

Echo = Literal["line", "early", "both"]


class Terminal:
    """Runs one command whose output is `segments`; between two segments the device is silent for a while."""

    def __init__(
        self,
        segments: Sequence[str],
        *,
        echo: Echo = "line",
        prompt: str = "R1#",
        lead: str = "",
        after_prompt: str = "",
        new_prompt: str = "",
    ) -> None:
        self.segments = segments
        self.echo = echo
        self.prompt = prompt
        self.next_prompt = new_prompt or prompt
        self.lead = lead
        self.after_prompt = after_prompt
        self.pending = b""
        self.out = b""
        self.running: Iterator[str] | None = None
        self.lines: list[bytes] = []

    def receive(self, data: bytes) -> None:
        """What the other side typed."""
        if self.echo == "early" or (self.echo == "both" and self.running is not None):
            self.out += data.replace(b"\n", b"\r\n")
        self.pending += data
        self._read()

    def pause(self) -> bool:
        """Time passes: the running command prints its next segment. False when nothing more will come by itself."""
        if self.running is None:
            return False
        segment = next(self.running, None)
        if segment is None:
            self.running = None
            self.prompt = self.next_prompt
            self._show_prompt()
            self.out += self.after_prompt.encode()
            self.after_prompt = ""
            self._read()
        else:
            self.out += segment.replace("\n", "\r\n").encode()
        return True

    def _show_prompt(self) -> None:
        self.out += (self.lead + self.prompt).replace("\n", "\r\n").encode()

    def _read(self) -> None:
        while self.running is None and b"\n" in self.pending:
            line, self.pending = self.pending.split(b"\n", 1)
            if self.echo != "early":
                self.out += line + b"\r\n"
            self.lines.append(line)
            if line[:1] in (b"!", b"#"):
                self._show_prompt()
            else:
                self.running = iter(self.segments)


def drive(exchange: Exchange, terminal: Terminal, *, chunk: int = 0, patience: int = 2000) -> None:
    """Let the exchange talk with the terminal until it says that the command's end is proven.

    Bytes arrive `chunk` at a time (0: all there are); silence is counted, not slept.
    """
    terminal.receive(exchange.first())
    quiet = 0.0
    for _ in range(patience * max(1, len(terminal.segments))):
        if terminal.out:
            size = chunk or len(terminal.out)
            piece, terminal.out = terminal.out[:size], terminal.out[size:]
            exchange.feed(piece)
            quiet = 0.0
        step = exchange.step(quiet)
        if step.done:
            return
        if step.send:
            terminal.receive(step.send)
            quiet = 0.0
        elif not terminal.out:
            if step.wait is not None and quiet < step.wait <= 0.1:
                quiet = step.wait
            elif not terminal.pause():
                quiet = quiet + 0.1 if step.wait is None else max(quiet + 0.05, step.wait)
            else:
                quiet = 0.0
    raise AssertionError(f"the exchange never ended: {bytes(exchange.raw)!r}")
