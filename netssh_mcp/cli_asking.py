"""What the modules of the command line share: the settings, one question to the services, an answer on a terminal."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from netssh_mcp.errors import NetsshError

if TYPE_CHECKING:
    from netssh_mcp.knowledge.settings import Settings
    from netssh_mcp.services.app import App

Result = dict[str, Any]  # JSON as services give it

OK, FAILED, USAGE = 0, 1, 2
UNCUT: Final = 1 << 30  # the store that could give the rest of a cut output ends with the process
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def seconds(text: str) -> float:
    """An argument of the command line."""
    found = float(text)
    if not 0 < found <= 3600:
        raise argparse.ArgumentTypeError("between 0 and 3600 seconds")
    return found


def settings(args: argparse.Namespace, *, inventory_required: bool = True) -> Settings:
    """From the arguments, then NETSSH_* in the environment, then the defaults. Logs go to stderr from here on."""
    from netssh_mcp import runner
    from netssh_mcp.knowledge.settings import Settings

    given = {field.name: getattr(args, field.name, None) for field in fields(Settings)}
    chosen = Settings.resolve(given, os.environ, inventory_required=inventory_required)
    runner.log_to_stderr(chosen.log_level, chosen.transport_log_level)
    return chosen


def ask(chosen: Settings, question: Callable[[App], Awaitable[Result]]) -> Result:
    """One question to the services, without a server."""
    from asyncio import CancelledError

    import anyio

    from netssh_mcp.services.app import open_app

    async def asked() -> Result | NetsshError:
        async with open_app(chosen) as app:
            try:
                return await question(app)
            except NetsshError as error:  # carried out by hand: the services' task group would wrap it
                return error

    try:
        answer = anyio.run(asked)
    except CancelledError as interrupted:  # Ctrl-C on Python 3.10, whose tasks do not tell it from another cancel
        raise KeyboardInterrupt from interrupted
    if isinstance(answer, NetsshError):
        raise answer
    return answer


def show_result(args: argparse.Namespace, result: Result, text: Callable[[Result], str]) -> None:
    """As JSON where `--json` says so, else as `text` makes it; nothing of a device's reaches the terminal itself."""
    shown = json.dumps(result, ensure_ascii=False, default=str) if args.json else text(result)
    # A device must not reach the terminal's own commands (ESC, C1), whatever got past the session.
    print(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", shown))
