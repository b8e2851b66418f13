"""The command line: `netssh-mcp serve` for MCP clients, and its twins for people.

Exit codes: 0 ok, 1 some or all rows failed, 2 usage or configuration. Everything heavy is imported late.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from netssh_mcp import __version__, cli_operate
from netssh_mcp.cli_asking import FAILED, OK, UNCUT, USAGE, Result, ask, seconds, settings, show_result
from netssh_mcp.errors import InputError, NetsshError, PolicyError

if TYPE_CHECKING:
    from netssh_mcp.services.app import App


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry point; leaves the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `netssh-mcp list | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code. A NetsshError is printed as its text and hint."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in {"-h", "--help", "--version"}):
        arguments = ["serve", *arguments]  # the default command: MCP clients start us without arguments
    try:
        if arguments[0] == "lab":  # argparse's REMAINDER does not take an option as the first word (bpo-17050)
            return _lab(arguments[1:])
        args = parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = args.run
        return command(args)
    except NetsshError as error:
        print(f"netssh-mcp: {error}", file=sys.stderr)
        if error.line:
            print(f"the device: {error.facts()['line']}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return USAGE


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="netssh-mcp", description="SSH to network devices and Linux hosts, over MCP.")
    top.add_argument("--version", action="version", version=f"netssh-mcp {__version__}")
    words = top.add_subparsers(metavar="COMMAND", required=True)
    common = _common()

    def command(name: str, does: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = words.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=does)
        return sub

    server = command("serve", _serve, "Serve MCP over stdio (the default command).")
    server.add_argument("--toolsets", metavar="NAMES", help="observe (the default), or observe,operate, or all")
    server.add_argument("--read-only", action="store_true", default=None, help="offer only tools that read")
    folders = server.add_argument("--allow-dir", metavar="DIR", dest="local_roots", action="append")
    folders.help = "a folder here that files may come from and go to; may be given more than once"
    server.add_argument("--format", choices=("text", "json"), dest="answer_format", help="how answers are written")
    show = command("show", _show, "Run read-only commands on devices.")
    show.add_argument("targets", metavar="TARGETS", help="names, comma lists, globs, @group, key=value, & | ! ( )")
    show.add_argument("commands", metavar="COMMAND", nargs="+", help="one command, quoted")
    show.add_argument("--parse", choices=("auto", "raw", "textfsm", "json"), default="auto")
    show.add_argument("--query", default="", help="JMESPath over the parsed rows")
    show.add_argument("--fields", default="", metavar="NAMES", help="comma list of columns to keep")
    show.add_argument("--reveal", action="store_true", help="do not hide secrets; where the policy allows, asks first")
    show.add_argument("--timeout", type=seconds, default=60.0, metavar="SECONDS", help="for each command (60)")
    cli_operate.add(command)
    listing = command("list", _list, "List devices, groups, platforms, open sessions or what the policy says.")
    listing.add_argument("targets", metavar="TARGETS", nargs="?", default="")
    listing.add_argument("--view", choices=("devices", "groups", "platforms", "sessions", "policy"), default="devices")
    inventory = command("inventory", _inventory, "Check or list the inventory.")
    inventory.add_argument("action", choices=("check", "list"))
    rules = command("policy", _policy, "Check the policy file, explain a decision, or print an account for a platform.")
    rules.add_argument("action", choices=("check", "explain", "device-account"))
    rules.add_argument("words", metavar="WORD", nargs="*", help="explain DEVICE COMMAND; device-account PLATFORM")
    harvest = command("harvest", _harvest, "Compare a platform's table of commands with a live device's own `?` help.")
    harvest.add_argument("device", metavar="DEVICE")
    harvest.add_argument("--under", metavar="WORDS", action="append", default=[], help="the words behind these, too")
    harvest.add_argument("--pipes", metavar="COMMAND", default="show version", help="the pipes behind this read")
    platforms = command("platforms", _platforms, "List the platforms that can be used in an inventory.")
    platforms.add_argument("--schema", action="store_true", help="print the JSON schema of a device profile")
    for sub in (show, listing, inventory, rules, harvest, platforms):
        sub.add_argument("--json", action="store_true", help="print the structured result")
    audit = command("audit", _audit, "Check the hash chain of the audit file.")
    audit.add_argument("action", choices=("verify",))
    audit.add_argument("file", metavar="FILE", nargs="?", type=Path)
    secret = command("secret", _secret, "Store secrets for `stored:NAME`, list, test or remove them.")
    secret.add_argument("action", choices=("set", "list", "test", "remove"))
    secret.add_argument("words", metavar="NAME", nargs="*", help="`test` takes any reference; a value is never here")
    command("demo", _demo, "Watch an MCP client ask a simulated network.")
    words.add_parser("lab", help="Run simulated devices.", add_help=False)  # `run` takes it before argparse does
    return top


def _common() -> argparse.ArgumentParser:
    """Options of every command; what is not given comes from NETSSH_*, then from the defaults."""
    common = argparse.ArgumentParser(add_help=False)
    files = common.add_argument_group("configuration, each also as NETSSH_<NAME> in the environment")
    files.add_argument(
        "--inventory",
        metavar="FILE",
        type=Path,
        action="append",
        help="FILE, or nornir:FILE, ansible:, containerlab:, netmiko:, netbox:; several",
    )
    files.add_argument("--policy", metavar="FILE", type=Path, help="what may be sent to which device: docs/policy.md")
    files.add_argument("--profiles", metavar="DIR", type=Path, help="your device profiles; they win over the shipped")
    files.add_argument(
        "--ssh-config",
        metavar="FILE",
        nargs="?",
        const="on",
        help="complete the inventory from this ssh_config, or ~/.ssh/config (write --ssh-config=FILE)",
    )
    files.add_argument("--env-file", metavar="FILE", type=Path, help="NAME=VALUE lines: secrets, and values per host")
    files.add_argument(
        "--edit-hosts",
        metavar="FILE",
        nargs="?",
        const="on",
        help="let the `host` tool add hosts, in FILE or inventory.added.yaml (write --edit-hosts=FILE)",
    )
    files.add_argument("--ad-hoc", action="store_true", default=None, help="targets may be user@host:port, unlisted")
    files.add_argument("--templates", metavar="DIR", type=Path, help="your TextFSM templates")
    files.add_argument("--audit", metavar="FILE", type=Path, help="where each command and its outcome is recorded")
    files.add_argument(
        "--host-keys",
        choices=("strict", "tofu", "pinned"),
        help="strict: known hosts only; tofu: trust the first; pinned: only the inventory's `host_key`",
    )
    return common


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _serve(args: argparse.Namespace) -> int:
    from netssh_mcp import runner

    runner.before_imports()
    if sys.stdin.isatty():
        print("netssh-mcp speaks MCP on stdin now; Ctrl-C ends it. For people: netssh-mcp --help", file=sys.stderr)
    # Without an inventory the server starts too: the client's user sees what is missing in the first answer.
    chosen = settings(args, inventory_required=False)
    from netssh_mcp.server import serve
    from netssh_mcp.services.app import open_app

    serve(chosen, open_app)


def _show(args: argparse.Namespace) -> int:
    from netssh_mcp.tools import render

    async def question(app: App) -> Result:
        if args.reveal:
            _confirmed(app.commands.check_reveal(args.targets))
        return await app.commands.show(
            args.targets,
            args.commands,
            parse=args.parse,
            query=args.query,
            fields=_words(args.fields),
            timeout=args.timeout,
            wait=math.inf,  # the process ends with the answer: nothing can go on as a job
            reveal=args.reveal,
        )

    # All of it: the store that could give the rest of a cut output ends with this process.
    result = ask(replace(settings(args), output_cap=UNCUT), question)
    show_result(args, result, render.show)
    return OK if result["ok"] == result["requested"] else FAILED


def _confirmed(device: str) -> None:
    """Only a person at a terminal types the device's name. PolicyError for anything else."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise PolicyError("what is hidden is revealed only to a person at a terminal", device=device)
    print(
        f"The secrets of {device} will be shown. Type the device's name to go on: ", end="", file=sys.stderr, flush=True
    )
    if sys.stdin.readline().strip() != device:
        raise PolicyError("nothing was sent: that is not the device's name", device=device)


def _list(args: argparse.Namespace) -> int:
    return _view(args, args.targets, args.view)


def _view(args: argparse.Namespace, targets: str, view: str) -> int:
    from netssh_mcp.tools import render

    async def question(app: App) -> Result:
        return app.devices.list(targets, view)

    result = ask(settings(args, inventory_required=view != "platforms"), question)
    show_result(args, result, render.document)
    return USAGE if result.get("problem") else OK


def _inventory(args: argparse.Namespace) -> int:
    from netssh_mcp.knowledge.inventory import InventorySource
    from netssh_mcp.knowledge.inventory_report import COLUMNS, check_report, list_rows
    from netssh_mcp.knowledge.profiles import Profiles
    from netssh_mcp.tools import render

    chosen = settings(args)
    platforms = Profiles.load(chosen.profiles).platforms
    source = InventorySource.of(chosen, platforms)
    if args.action == "check":
        print(check_report(source))
        return OK
    rows = [[row[column] for column in COLUMNS] for row in list_rows(source.current())]
    show_result(
        args, {"columns": list(COLUMNS), "rows": rows}, lambda listed: render.table(listed["columns"], listed["rows"])
    )
    return OK


def _policy(args: argparse.Namespace) -> int:
    from netssh_mcp.knowledge.profiles import Profiles
    from netssh_mcp.services import policy_report as report
    from netssh_mcp.tools import render

    wanted = {"check": 0, "explain": 2, "device-account": 1}[args.action]
    if len(args.words) != wanted:
        raise InputError(f"policy {args.action} takes {wanted} words, not {len(args.words)}", hint=_POLICY_USAGE)
    if args.action == "device-account":
        chosen = settings(args, inventory_required=False)
        print(report.device_account(Profiles.load(chosen.profiles), args.words[0]))
        return OK
    opened = report.open_wall(settings(args))
    if args.action == "check":
        result = opened.check()
        show_result(args, result, report.check_text)
        return OK if not result["problem"] else USAGE
    result = opened.explain(*args.words)
    show_result(args, result, render.document)
    return OK if result["verdict"] == "allow" else FAILED


_POLICY_USAGE = "policy check | policy explain DEVICE 'COMMAND' | policy device-account PLATFORM"


def _harvest(args: argparse.Namespace) -> int:
    from netssh_mcp.services.harvest import Harvest

    found: list[Harvest] = []

    async def question(app: App) -> Result:
        found.append(await app.harvester.harvest(args.device, under=args.under, pipes=args.pipes))
        return found[0].facts()

    show_result(args, ask(settings(args), question), lambda _facts: found[0].report())
    return OK if found[0].agrees else FAILED


def _platforms(args: argparse.Namespace) -> int:
    if args.schema:
        from netssh_mcp.knowledge.profiles import schema

        print(json.dumps(schema(), indent=2))
        return OK
    return _view(args, "", "platforms")


def _audit(args: argparse.Namespace) -> int:
    from netssh_mcp.guard.audit import verify

    path = args.file or settings(args, inventory_required=False).audit
    if path is None:
        raise InputError("there is no audit file to verify", hint="Name it: netssh-mcp audit verify FILE.")
    found = verify(path)
    if found.ok:
        print(f"{path}: {found.records} records, the chain is whole; last hash {found.last_hash}")
        return OK
    print(f"{path}: line {found.first_bad_line}: {found.reason} ({found.records} good records before)", file=sys.stderr)
    return FAILED


def _secret(args: argparse.Namespace) -> int:
    from getpass import getpass

    from netssh_mcp.knowledge import secret_store

    question = getpass if sys.stdin.isatty() else None
    try:
        print(secret_store.command(args.action, args.words, question))
    except KeyboardInterrupt:
        print("\nnetssh-mcp: interrupted; nothing was changed", file=sys.stderr)
        raise
    return OK


def _demo(_args: argparse.Namespace) -> int:
    with _lab_extra():
        from netssh_mcp import demo

        return demo.main()


def _lab(arguments: list[str]) -> int:
    with _lab_extra():
        from netssh_mcp.lab.__main__ import main as lab

        return lab(arguments)


@contextlib.contextmanager
def _lab_extra() -> Iterator[None]:
    """The simulated devices need asyncssh, which is an extra of the package."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name != "asyncssh":
            raise
        raise InputError("the simulated devices need asyncssh", hint="pip install 'netssh-mcp[lab]'") from missing
