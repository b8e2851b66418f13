"""The command line's twins of the toolset `operate`: the operator's own settings and policy, as for an agent."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from netssh_mcp.cli_asking import FAILED, OK, UNCUT, Result, ask, seconds, settings, show_result
from netssh_mcp.errors import InputError

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
    _add_files(command)
    _add_forward(command)
    _add_host(command)


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


# -- files ---------------------------------------------------------------------------------------------------------


def _add_files(command: Command) -> None:
    get = command("get", _get, "Read, list or download a file of a device.")
    get.add_argument("device", metavar="DEVICE")
    get.add_argument("path", metavar="PATH", help="absolute, or flash:name and the like")
    get.add_argument("local", metavar="LOCAL", nargs="?", help="download to this file; without it the text is printed")
    how = get.add_mutually_exclusive_group()
    how.add_argument("--list", dest="action", action="store_const", const="list", help="the entries of a folder")
    how.add_argument("--stat", dest="action", action="store_const", const="stat", help="size, owner, mode, time")
    get.add_argument("--hidden", action="store_true", help="list names with a leading dot, too")
    get.add_argument("--overwrite", action="store_true", help="replace LOCAL")
    put = command("put", _put, "Write a file of a device, make a folder, or delete one.")
    put.add_argument("device", metavar="DEVICE")
    put.add_argument("path", metavar="PATH", help="absolute, or flash:name and the like")
    put.add_argument("local", metavar="LOCAL", nargs="?", help="upload this file; - for text from standard input")
    how = put.add_mutually_exclusive_group()
    how.add_argument("--mkdir", dest="action", action="store_const", const="mkdir", help="make the folder PATH")
    how.add_argument("--delete", dest="action", action="store_const", const="delete", help="a file or an empty folder")
    put.add_argument("--mode", default="", help="permissions in octal, such as 0644")
    put.add_argument("--append", action="store_true", help="add text to the end")
    put.add_argument("--no-overwrite", action="store_true", help="refuse where PATH exists")
    put.add_argument("--make-dirs", action="store_true", help="make missing parents")
    for sub in (get, put):
        sub.add_argument("--sudo", action="store_true", help="Linux: where SFTP may not, through sudo")
        sub.add_argument("--json", action="store_true", help="print the structured result")


def _get(args: argparse.Namespace) -> int:
    local = Path(args.local).absolute() if args.local else None
    action = args.action or ("download" if local else "read")

    async def question(app: App) -> Result:
        return await app.files.get(
            args.device,
            args.path,
            action=action,
            local_path=str(local or ""),
            sudo=args.sudo,
            hidden=args.hidden,
            overwrite=args.overwrite,
        )

    return _done(args, question, local)


def _put(args: argparse.Namespace) -> int:
    local = Path(args.local).absolute() if args.local not in (None, "-") else None
    if not args.local and not args.action:
        raise InputError("what is to be written? LOCAL is missing", hint="A file's name, or - for standard input.")
    action = args.action or ("upload" if local else "write")
    content = sys.stdin.read() if action == "write" else ""

    async def question(app: App) -> Result:
        return await app.files.put(
            args.device,
            args.path,
            action=action,
            content=content,
            local_path=str(local or ""),
            mode=args.mode,
            sudo=args.sudo,
            append=args.append,
            overwrite=not args.no_overwrite,
            make_dirs=args.make_dirs,
        )

    return _done(args, question, local)


def _done(args: argparse.Namespace, question: Callable[[App], Awaitable[Result]], local: Path | None = None) -> int:
    from netssh_mcp.tools import render

    chosen = replace(settings(args), output_cap=UNCUT)
    if local is not None:  # a person has named it
        chosen = replace(chosen, local_roots=(local.parent.resolve(), *chosen.local_roots))
        local = local.parent.resolve() / local.name
    show_result(args, ask(chosen, question), render.document)
    return OK


# -- forward -------------------------------------------------------------------------------------------------------


def _add_forward(command: Command) -> None:
    forward = command("forward", _forward, "Hold a TCP forward through a Linux host open until Ctrl-C.")
    forward.add_argument("device", metavar="DEVICE")
    forward.add_argument("to", metavar="HOST:PORT", nargs="?", default="", help="where to; none with --dynamic")
    kind = forward.add_mutually_exclusive_group()
    kind.add_argument("--remote", dest="kind", action="store_const", const="remote", help="listen on DEVICE, lead here")
    kind.add_argument("--dynamic", dest="kind", action="store_const", const="dynamic", help="SOCKS")
    forward.add_argument("--listen", type=int, default=0, metavar="PORT", help="0: a free one")
    forward.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS")
    forward.add_argument("--lifetime", type=seconds, default=3600.0, metavar="SECONDS")
    forward.add_argument("--json", action="store_true", help="print the structured result")


def _forward(args: argparse.Namespace) -> int:
    host, _, port = args.to.rpartition(":")
    if args.kind != "dynamic" and not (host and port.isdigit()):
        raise InputError("where to? HOST:PORT is missing", hint="netssh-mcp forward web1 10.0.0.5:5432")

    async def question(app: App) -> Result:
        import anyio

        from netssh_mcp.tools import render

        opened = await app.forwards.act(
            "open",
            device=args.device,
            kind=args.kind or "local",
            host=host.strip("[]"),
            port=int(port or 0),
            listen=args.listen,
            bind=args.bind,
            lifetime=args.lifetime,
        )
        show_result(args, opened, render.document)
        sys.stdout.flush()
        while app.forwards.count(args.device):  # noqa: ASYNC110 - its lifetime and its link end it in other threads
            await anyio.sleep(1)
        return await app.forwards.act("list")

    result = ask(settings(args), question)
    from netssh_mcp.tools import render

    show_result(args, result, render.document)
    return OK


# -- host ----------------------------------------------------------------------------------------------------------


def _add_host(command: Command) -> None:
    host = command("host", _host, "Add, edit or remove a host of the overlay (--edit-hosts), or test any.")
    host.add_argument("action", choices=("add", "edit", "remove", "test"))
    host.add_argument("name", metavar="NAME")
    host.add_argument("values", metavar="KEY=VALUE", nargs="*", help="keys of an inventory entry; values are YAML")
    host.add_argument("--json", action="store_true", help="print the structured result")


def _host(args: argparse.Namespace) -> int:
    import yaml

    values = {}
    for text in args.values:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{key[:40]!r} has no value", hint="KEY=VALUE, for example platform=linux.")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"the value of {key!r} is no YAML", hint="Put it in quotes.") from error

    async def question(app: App) -> Result:
        return await app.hosts.act(args.action, args.name, values)

    return _done(args, question)
