"""The life of a stdio server: it ends within a second, sessions closed, whoever ends it; within 3 s where commands that
are under way have to be stopped at the far side first.

The SDK's own `run("stdio")` waits for its stdin thread and for threads of running calls, dies on SIGTERM without
cleanup and survives its parent (modelcontextprotocol/python-sdk#2231). Here the services are opened and closed by a
task that nothing cancels, the wire runs beside it, and `os._exit` ends what cannot be joined.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TypeVar

import anyio

from netssh_mcp.errors import NetsshError
from netssh_mcp.knowledge.importing import ONE_AT_A_TIME

if TYPE_CHECKING:  # 0.4 s: only what serves pays for it
    from mcp.server import MCPServer

log = logging.getLogger(__name__)
AppT = TypeVar("AppT")
Open = Callable[[], AbstractAsyncContextManager[AppT]]
Build = Callable[[AppT], "MCPServer[AppT]"]

CLOSING = 3.0  # seconds that stopping commands, closing sessions and flushing the audit may take
WATCH = 0.25  # seconds between looks at the parent and at stdin
WARM_AFTER = 0.25  # seconds: a client's first `tools/list` comes before
# What the first command needs and the start must not pay for (0.3 s together). By name: only `wire` imports them.
WARM = ("yaml", "jmespath", "paramiko", "netmiko", "textfsm", "ntc_templates.parse")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def before_imports() -> None:
    """Call first: until the server listens nothing is open, so a signal just ends the process, without a traceback."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        os._exit(0)

    for number in _heeded():
        signal.signal(number, leave)
    gc.disable()  # imports make only long-lived objects; collecting among them costs 50 ms


def run(open_app: Open[AppT], build: Build[AppT]) -> NoReturn:
    """Serve until EOF, a signal or the parent's end, then leave the process: 0, 1 wire broken, 2 no start."""
    gc.freeze()
    gc.enable()
    anyio.run(partial(_life, open_app, build))
    raise AssertionError("unreachable: _life leaves the process")


def warm() -> None:
    """Import what the first command will need; a missing module is reported by the command that needs it."""
    for name in WARM:
        with ONE_AT_A_TIME, contextlib.suppress(ImportError):
            importlib.import_module(name)


def log_to_stderr(level: str, transport_level: str = "error") -> None:
    """Call before MCPServer(): where rich is importable the SDK would box every line at 80 columns.

    Netmiko logs what it writes, passwords included, and Paramiko prints tracebacks of errors that we report ourselves:
    at their default of "error" both are silent.
    """
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for library in ("netmiko", "paramiko"):
        quiet = transport_level == "error"
        logging.getLogger(library).setLevel(logging.CRITICAL if quiet else transport_level.upper())


class _Wire:
    """The MCP connection as a task: `stop` is set when it ends, however it ends."""

    def __init__(self, stop: anyio.Event) -> None:
        self.stop = stop
        self.scope = anyio.CancelScope()
        self.broken = False

    async def serve(self, server: MCPServer[AppT]) -> None:
        from netssh_mcp.stdio import serve  # noqa: PLC0415  (with the SDK, after `before_imports`)

        self.broken = True
        try:
            with self.scope:
                await serve(server)
            self.broken = False
        finally:
            if self.broken:
                log.error("the MCP connection broke", exc_info=log.isEnabledFor(logging.DEBUG))
            self.stop.set()


async def _life(open_app: Open[AppT], build: Build[AppT]) -> None:
    stop = anyio.Event()
    wire = _Wire(stop)
    wires = os.dup(0), os.dup(1)  # now: the SDK will point 0 and 1 elsewhere
    async with anyio.create_task_group() as beside:  # never left: the SDK's stdin thread cannot be joined
        with anyio.CancelScope(shield=True) as closing:
            try:
                async with open_app() as app:
                    beside.start_soon(wire.serve, build(app))
                    beside.start_soon(_watch_signals, stop)
                    beside.start_soon(_watch_client, stop, wires)
                    _later(WARM_AFTER, warm)
                    await stop.wait()
                    wire.scope.cancel()
                    closing.deadline = anyio.current_time() + CLOSING
                    _later(CLOSING + 1, os._exit, 0)  # should closing block in a thread or in a system call
            except NetsshError as error:
                sys.stderr.write(f"netssh-mcp: {error}\n{error.hint}\n".replace("\n\n", "\n"))
                _leave(2)
            except Exception:  # a bug of ours: leave, for the group outside would wait for the SDK's stdin thread
                log.exception("the server ended by an error of its own")
                _leave(1)
        _leave(1 if wire.broken and not wire.scope.cancel_called else 0)


async def _watch_signals(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(*_heeded()) as signals:
        async for _ in signals:
            if stop.is_set():  # the second one: at once
                _leave(0)
            stop.set()


async def _watch_client(stop: anyio.Event, wires: Sequence[int]) -> None:
    """The parent's death, and pipes whose other end is gone though the SDK, in a call or a blocked thread, goes on."""
    parent = os.getppid()
    poll = select.poll()
    for wire in wires:
        poll.register(wire, 0)  # nothing asked for: a hang-up is reported anyway
    hung_up = 0
    while hung_up < 2 and os.getppid() == parent:  # at the first look the SDK may still be answering what it has read
        await anyio.sleep(WATCH)
        hung_up = hung_up + 1 if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)) else 0
    stop.set()


def _heeded() -> list[signal.Signals]:
    """A signal that our starter ignores (nohup) stays ignored."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _later(seconds: float, do: Callable[..., object], *arguments: object) -> None:
    timer = threading.Timer(seconds, do, arguments)
    timer.daemon = True
    timer.start()


def _leave(code: int) -> NoReturn:
    with contextlib.suppress(OSError, ValueError):  # stderr may be gone with the client
        logging.shutdown()
        sys.stderr.flush()
    os._exit(code)
