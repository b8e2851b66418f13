"""The hostile mix: is what was returned the command's own text, and all of it? The same commands for each library.

Netmiko and Scrapli are used as carefully as their callers can: after any error they log in again, and what their
options leave in a text (echo, prompt, log lines, line ends) is not held against them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks import ours, references
from benchmarks.devices import Target, served, target
from benchmarks.measure import Bench
from benchmarks.report import Figure, not_run
from netssh_mcp.errors import NetsshError
from netssh_mcp.lab.hostile import SHORT_TIMEOUT, HostileCommand
from tests.devices.hostile_run import mixes, specs
from tests.devices.house import write_inventory

_COMMANDS = 240
_SESSIONS = 18  # 3 echo styles times 6 ways of cutting what is sent into pieces
_SEED = 20261120
_LONG_TIMEOUT = 10.0
_LOG = re.compile(r"\*Nov 20 10:15:4\d\.\d+: %[^\r\n]*")

Verdict = Literal["right", "wrong", "other", "error", "expected"]
Ask = Callable[[str, float], str]  # line and timeout in, output out; raises what its library raises


@dataclass(slots=True)
class Tally:
    """`wrong`: cut or altered, `other`: with another command's text, both as success; `error`: where an end was due."""

    right: int = 0
    wrong: int = 0
    other: int = 0
    error: int = 0
    expected: int = 0  # errors that were due

    def add(self, verdict: Verdict) -> None:
        """One more."""
        setattr(self, verdict, getattr(self, verdict) + 1)


def run(bench: Bench) -> Iterator[Figure]:
    """Wrong results of each library, ours first."""
    count = max(_SESSIONS, bench.rounds(_COMMANDS))
    mine = _ours(bench.subfolder("hostile"), count)
    yield from _figures(mine, "Netmiko send_command", _others(count, _Netmiko))
    if reason := references.no_scrapli():
        yield not_run("hostile mix, wrong but reported as success", f"of {count}", "Scrapli send_input", reason)
    else:
        yield from _figures(mine, "Scrapli send_input", _others(count, _Scrapli))


def _figures(mine: Tally, reference: str, others: Tally) -> Iterator[Figure]:
    unit = f"of {mine.right + mine.wrong + mine.other + mine.error + mine.expected}"

    def figure(name: str, value: int, reference_value: int, bar: int | None = None) -> Figure:
        ratio = value / reference_value if reference_value else None
        shown, holds = ("", None) if bar is None else (f"= {bar}", value == bar)
        return Figure(f"hostile mix, {name}", value, unit, reference, reference_value, ratio, shown, holds)

    yield figure("wrong but reported as success", mine.wrong + mine.other, others.wrong + others.other, 0)
    yield figure("of these another command's text", mine.other, others.other)
    yield figure("error where an end was due", mine.error, others.error)


def judged(command: HostileCommand, output: str) -> Verdict:
    """A result that was reported as success."""
    if _bare(output, command) == _bare(command.expected_output, command):
        return "right"
    number = command.line.split()[-1]
    tags = set(re.findall(r"TAG (\d+) ", output))
    return "other" if tags - {number} else "wrong"


def _bare(text: str, command: HostileCommand) -> str:
    """Without log lines, white space, echoes and prompts: only the lines' own text is compared."""
    text = re.sub(r"[\w.\-]+#", "", _LOG.sub("", text)).replace(command.line, "")
    return "".join(text.split())


def _ours(folder: Path, count: int) -> Tally:
    devices = specs(_SEED, count, _SESSIONS)
    with served(devices) as ports:
        inventory = write_inventory(ports, devices, folder)
        with ours.house(folder, inventory) as house:

            def ask(name: str) -> Ask:
                return lambda line, timeout: house.run(name, line, timeout=timeout)[0].output

            return _all(devices, count, [ask(spec.name) for spec in devices])


def _others(count: int, library: Callable[[Target], _Library]) -> Tally:
    devices = specs(_SEED, count, _SESSIONS)
    with served(devices) as ports:
        clients = [library(target(spec, ports)) for spec in devices]
        try:
            return _all(devices, count, [client.ask for client in clients])
        finally:
            for client in clients:
                client.forget()


def _all(devices: Sequence[object], count: int, asks: Sequence[Ask]) -> Tally:
    tally = Tally()

    def one(mix: Sequence[HostileCommand], ask: Ask) -> list[Verdict]:
        return [_verdict(command, ask) for command in mix]

    with ThreadPoolExecutor(len(devices)) as threads:
        for verdicts in threads.map(one, mixes(_SEED, count, _SESSIONS), asks):
            for verdict in verdicts:
                tally.add(verdict)
    return tally


def _verdict(command: HostileCommand, ask: Ask) -> Verdict:
    try:
        output = ask(command.line, _LONG_TIMEOUT if command.ends else SHORT_TIMEOUT)
    except (NetsshError, LibraryError):
        return "error" if command.ends else "expected"
    return judged(command, output)


class LibraryError(Exception):
    """The library raised; after that its connection is closed."""


class _Library:
    """A connection that is opened when it is needed."""

    def __init__(self, to: Target, *errors: type[Exception]) -> None:
        self.to = to
        self.errors: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, *errors)
        self.connection: Any = None

    def ask(self, line: str, timeout: float) -> str:
        """The output, or LibraryError."""
        try:
            if self.connection is None:
                self.connection = self.open()
            return self.send(line, timeout)
        except self.errors as error:
            self.forget()
            raise LibraryError from error

    def forget(self) -> None:
        """Close what is open; the next command logs in again."""
        if self.connection is not None:
            with suppress(*self.errors):
                self.close()
            self.connection = None

    def open(self) -> Any:  # noqa: ANN401
        """Log in."""
        raise NotImplementedError

    def send(self, line: str, timeout: float) -> str:
        """One command."""
        raise NotImplementedError

    def close(self) -> None:
        """Log out."""
        raise NotImplementedError


class _Netmiko(_Library):
    def __init__(self, to: Target) -> None:
        from netmiko.exceptions import ReadException
        from paramiko import SSHException

        super().__init__(to, ReadException, SSHException)

    def open(self) -> Any:  # noqa: ANN401
        return references.netmiko(self.to)

    def send(self, line: str, timeout: float) -> str:
        return str(self.connection.send_command(line, read_timeout=timeout))

    def close(self) -> None:
        self.connection.remote_conn_pre.close()  # not disconnect(): that sends `exit` and waits


class _Scrapli(_Library):
    def __init__(self, to: Target) -> None:
        from scrapli.exceptions import ScrapliException

        super().__init__(to, ScrapliException)

    def open(self) -> Any:  # noqa: ANN401
        return references.scrapli(self.to)

    def send(self, line: str, timeout: float) -> str:
        return str(self.connection.send_input(line, operation_timeout_ns=int(timeout * 1e9)).result)

    def close(self) -> None:
        self.connection.close(force=True)
