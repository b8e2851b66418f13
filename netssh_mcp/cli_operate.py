"""The command line's twins of the toolset `operate`: the operator's own settings and policy, as for an agent."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from netssh_mcp.cli_asking import FAILED, OK, UNCUT, Result, ask, seconds, settings, show_result

if TYPE_CHECKING:
    from netssh_mcp.services.app import App

Does = Callable[[argparse.Namespace], int]


class Command(Protocol):
    """Makes a word of the command line, with the options that all of them have."""

    def __call__(self, name: str, does: Does, text: str) -> argparse.ArgumentParser:
        """`does` gives the exit code; `text` is the help."""


def add(command: Command) -> None:
    """Add the words of this module."""
    _add_run(command)


# -- run -----------------------------------------------------------------------------------------------------------


def _add_run(command: Command) -> None:
    run = command("run", _run, "Run commands that the policy allows, in order, on devices and hosts.")
    run.add_argument("targets", metavar="TARGETS", help="as for show")
    run.add_argument("commands", metavar="COMMAND", nargs="+", help="one command, quoted")
    run.add_argument("--sudo", action="store_true", help="Linux: under sudo; its password comes from the inventory")
    run.add_argument("--sudo-user", metavar="USER", default="", help="who instead of root; with --sudo")
    run.add_argument("--cwd", metavar="DIR", default="", help="Linux: absolute working directory")
    run.add_argument(
        "--env", metavar="NAME=VALUE", type=_variable, action="append", default=[], help="Linux; no secrets"
    )
    run.add_argument("--shell", action="store_true", help="Linux: each COMMAND is shell text, for pipes and redirects")
    run.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS", help="for each command (60)")
    run.add_argument("--go-on", action="store_true", help="send the rest to a device where one failed, too")
    run.add_argument("--json", action="store_true", help="print the structured result")


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE")
    return name, value


def _run(args: argparse.Namespace) -> int:
    from netssh_mcp.tools import render

    async def question(app: App) -> Result:
        return await app.runs.run(
            args.targets,
            args.commands,
            sudo=args.sudo,
            sudo_user=args.sudo_user,
            cwd=args.cwd,
            env=dict(args.env),
            shell=args.shell,
            stop_on_error=not args.go_on,
            timeout=args.timeout,
            wait=math.inf,  # the process ends with the answer: nothing can go on as a job
        )

    result = ask(replace(settings(args), output_cap=UNCUT), question)
    if result["job_id"]:  # something asks, and nobody is here who could answer: the session was closed at its question
        result |= {"job_id": "", "next": "The device asks; nothing was answered, and the session is closed."}
    show_result(args, result, render.show)
    return OK if result["ok"] == result["requested"] else FAILED
