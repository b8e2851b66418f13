"""25 canary credentials through every tool and failure: results, logs, audit, spool, children, errors with locals.

Devices that take them and devices that write them wherever a device can. All that comes out is searched in spellings
that the tests write out themselves.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest
from mcp import Client

from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import AfterPrompt, Break, Faults, Hang, Log, Script, Text
from netssh_mcp.lab.server import RunningNetwork, new_host_key, start_network
from netssh_mcp.server import build_server
from netssh_mcp.services.app import App, open_app
from tests.devices.house import settings, write_inventory
from tests.secrets.canaries import CANARIES, PURPOSES, Canary, encoded, hits, written
from tests.secrets.canary_devices import secrets_of, spec

ROOT = Path(__file__).parents[2]
Keys = Mapping[str, Mapping[str, Any]]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that any logger has to say, at DEBUG."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    names = ("", "netssh_mcp", "paramiko", "netmiko", "asyncio", "mcp")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)  # the devices' side
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


class Spilled:
    """Collects all that came out, and says what of it holds a canary."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, where: str, text: object) -> None:
        self.texts[f"{where} ({len(self.texts)})"] = text if isinstance(text, str) else repr(text)

    def files(self, folder: Path) -> None:
        """The audit file, the spool, known_hosts: all but the secrets' own files."""
        own = tuple(PURPOSES)
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.endswith(own):
                self.add(str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace"))

    def check(self, least: int = 1) -> None:
        assert len(self.texts) >= least
        assert {where: found for where, text in self.texts.items() if (found := hits(text))} == {}


@asynccontextmanager
async def served(folder: Path, inventory: Path, spilled: Spilled, **more: Any) -> AsyncIterator[Client]:
    """A client of a server in this process; its objects are looked at when it ends."""
    apps: list[App] = []

    @asynccontextmanager
    async def opened(chosen: Any) -> AsyncIterator[App]:
        async with open_app(chosen) as app:
            apps.append(app)
            yield app

    chosen = settings(folder, inventory, **more)
    async with Client(build_server(chosen, opened)) as client:
        yield client
        (app,) = apps
        for part in (app, app.pool, app.commands, app.devices, chosen, app.pool.__dict__, vars(app.commands)):
            spilled.add("repr", repr(part))
        devices = app.devices._inventory.current().devices
        spilled.add("repr", devices)
        spilled.add("str", [str(device) for device in devices.values()])
        spilled.add("asdict", [dataclasses.asdict(replace(device, data={})) for device in devices.values()])
        spilled.add("json", json.dumps({name: device.secrets for name, device in devices.items()}, default=repr))


async def ask(client: Client, spilled: Spilled, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    spilled.add(tool, result.model_dump_json())
    spilled.add(tool, "".join(part.text for part in result.content if part.type == "text"))
    fields: dict[str, Any] = result.structured_content or {}
    return fields


async def every_tool(client: Client, spilled: Spilled, *commands: str, **more: Any) -> dict[str, Any]:
    """`show` and all the other tools on what it gave; the answer of `show`."""
    offered = {tool.name for tool in (await client.list_tools()).tools}
    assert offered == {"show", "list_devices", "read_output", "job"}, "a new tool: let the canaries through it"
    fields = await ask(client, spilled, "show", targets="*", commands=list(commands), wait=60, **more)
    for view in ("devices", "groups", "platforms", "sessions", "policy"):
        await ask(client, spilled, "list_devices", view=view)
    await ask(client, spilled, "list_devices", view="policy", targets="r00", command="show version")
    for action in ("list", "history"):
        await ask(client, spilled, "job", action=action)
    for action in ("get", "wait", "cancel", "input"):
        await ask(client, spilled, "job", action=action, job_id="none", text="q")
    for row in fields.get("rows", [])[:3]:
        if output := row.get("output_id"):
            await ask(client, spilled, "read_output", output_id=output)
    await ask(client, spilled, "read_output", output_id="none")
    await ask(client, spilled, "show", targets="nowhere", commands=["show version"])
    await ask(client, spilled, "show", targets="r00", commands=["configure terminal"])
    return fields


def through(
    specs: Sequence[DeviceSpec],
    folder: Path,
    logged: io.StringIO,
    *commands: str,
    keys: Callable[[RunningNetwork, dict[str, dict[str, Any]]], object] = lambda _network, _keys: None,
    before: Callable[[RunningNetwork], object] = lambda _network: None,
    **more: Any,
) -> dict[str, Any]:
    """Every tool on these devices, and everything that came out of it searched; the answer of `show`."""
    spilled, answers = Spilled(), list[dict[str, Any]]()

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(100):
            entries = secrets_of(folder)
            keys(network, entries)
            before(network)
            inventory = write_inventory(network.ports, specs, folder, **entries)
            async with served(folder, inventory, spilled) as client:
                answers.append(await every_tool(client, spilled, *(commands or ("show version",)), **more))

    anyio.run(main)
    spilled.files(folder)
    spilled.add("log", logged.getvalue())
    spilled.check(least=20)
    return answers[0]


# -- success and every failure -------------------------------------------------------------------------------------


def test_there_are_25_and_each_is_found_in_every_spelling() -> None:
    assert len(CANARIES) == 25
    for canary in CANARIES:
        for spelling in Vault.spellings(canary.of("password")):
            assert hits(spelling), "redaction knows a spelling that is not searched for"
        for spelling in written(canary.of("password")):
            assert hits(f"... {spelling} ...")


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_success(method: Any, tmp_path: Path, logged: io.StringIO) -> None:
    specs = [spec(canary, auth=(method,)) for canary in CANARIES]
    result = through(specs, tmp_path, logged, "show version", "show ip interface brief")
    assert result["ok"] == 2 * len(CANARIES), result
    assert "netmiko DEBUG write_channel" in logged.getvalue()
    assert "paramiko.transport DEBUG" in logged.getvalue()


def test_a_wrong_password(tmp_path: Path, logged: io.StringIO) -> None:
    result = through([spec(canary, password="other") for canary in CANARIES], tmp_path, logged)
    assert {row["error"]["kind"] for row in result["rows"]} == {"auth"}


def test_a_wrong_enable_secret(tmp_path: Path, logged: io.StringIO) -> None:
    result = through([spec(canary, enable="other") for canary in CANARIES], tmp_path, logged)
    assert {row["error"]["kind"] for row in result["rows"]} == {"auth"}


def _telnet(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
    for entry in keys.values():
        entry["transport"] = "telnet"


@pytest.mark.parametrize("right", [True, False])
def test_by_telnet(right: bool, tmp_path: Path, logged: io.StringIO) -> None:
    wrong = {} if right else {"password": "other"}
    specs = [spec(canary, telnet="user", **wrong) for canary in CANARIES]
    result = through(specs, tmp_path, logged, keys=_telnet)
    assert [row["ok"] for row in result["rows"]] == [right] * len(CANARIES), result


def test_a_changed_host_key(tmp_path: Path, logged: io.StringIO) -> None:
    other = asyncssh.import_private_key(new_host_key()).export_public_key("openssh").decode().strip()

    def known(network: RunningNetwork) -> None:
        lines = [f"[127.0.0.1]:{port} {other}\n" for port in network.ports.values()]
        (tmp_path / "known_hosts").write_text("".join(lines))

    result = through([spec(canary) for canary in CANARIES], tmp_path, logged, before=known)
    assert {row["error"]["kind"] for row in result["rows"]} == {"hostkey"}


def test_a_timeout(tmp_path: Path, logged: io.StringIO) -> None:
    specs = [spec(canary, outputs={"show version": Script((Text("so far\n"), Hang()))}) for canary in CANARIES]
    result = through(specs, tmp_path, logged, timeout=0.5)
    assert {row["error"]["kind"] for row in result["rows"]} == {"timeout"}


def test_a_link_that_ends_under_the_command(tmp_path: Path, logged: io.StringIO) -> None:
    specs = [spec(canary, outputs={"show version": Script((Text("so far\n"), Break("reset")))}) for canary in CANARIES]
    result = through(specs, tmp_path, logged)
    assert result["ok"] == 0


def test_a_device_that_hangs_in_its_login(tmp_path: Path, logged: io.StringIO) -> None:
    def short(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry["connect_timeout"] = 2

    specs = [spec(canary, faults=Faults(deaf_to_interrupt=True, hang="silent")) for canary in CANARIES[:4]]
    through(specs, tmp_path, logged, keys=short, timeout=1)


def test_a_platform_that_it_is_not(tmp_path: Path, logged: io.StringIO) -> None:
    def wrong(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry |= {"platform": "juniper_junos", "connect_timeout": 2}

    result = through([spec(canary) for canary in CANARIES], tmp_path, logged, keys=wrong)
    assert result["ok"] == 0


def test_a_port_that_nobody_listens_on(tmp_path: Path, logged: io.StringIO) -> None:
    def closed(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry["port"] = 1

    result = through([spec(canary) for canary in CANARIES], tmp_path, logged, keys=closed)
    assert result["ok"] == 0


def test_a_key_file_with_another_passphrase(tmp_path: Path, logged: io.StringIO) -> None:
    key = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key, passphrase="other", rounds=50)
    key.chmod(0o600)

    def keyed(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry["key_file"] = str(key)

    result = through([spec(canary) for canary in CANARIES], tmp_path, logged, keys=keyed)
    assert all("cannot be used" in row["error"]["message"] for row in result["rows"])


def test_further_sets_that_are_wrong(tmp_path: Path, logged: io.StringIO) -> None:
    def sets(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry |= {"credentials": [{"password": entry["sudo"], "username": "other"}]}

    result = through([spec(canary, password="other") for canary in CANARIES], tmp_path, logged, keys=sets)
    assert all("none of 2 credential sets" in row["error"]["message"] for row in result["rows"])


def test_plain_text_in_the_inventory(tmp_path: Path, logged: io.StringIO) -> None:
    specs, spilled = [spec(canary) for canary in CANARIES], Spilled()
    entries = {
        one.name: {"password": f"plain:{canary.of('password')}", "enable": f"plain:{canary.of('enable')}"}
        for one, canary in zip(specs, CANARIES, strict=True)
    }

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            path = write_inventory(network.ports, specs, tmp_path, **entries)
            path = path.rename(tmp_path / "inventory.password")  # which is not searched
            path.write_text("allow_plaintext: true\n" + path.read_text())
            path.chmod(0o600)
            async with served(tmp_path, path, spilled) as client:
                result = await every_tool(client, spilled, "show version")
                assert result["ok"] == len(specs), result
                path.write_text(path.read_text().replace("port:", "prot:"))
                broken = await every_tool(client, spilled, "show version")
                assert broken["ok"] == len(specs)

    anyio.run(main)
    spilled.files(tmp_path)
    spilled.add("log", logged.getvalue())
    spilled.check()
    assert "there is no such key" in logged.getvalue()


# -- devices that write what they were told ------------------------------------------------------------------------


def echoing(canary: Canary, **more: Any) -> DeviceSpec:
    """A device that has its password in every text."""
    secret = canary.of("password")
    event = f"*Nov 20 10:15:42.123: %SYS-5-CONFIG_I: {secret}"
    spelled = "".join(f"{spelling}\n" for spelling in encoded(secret))
    outputs = {
        "show version": Script((Log(event), Text(f"the password is {secret}.\n{secret}\n"), AfterPrompt(event))),
        "show aliases": Script.of(f"% Invalid input detected: {secret}\n"),
        "show inventory": Script.of(json.dumps({secret: [secret, {"k": secret}]}) + "\n"),
        "show clock": Script.of(f'{{"a": 1}} {secret}\n'),
        "show tech-support": Script.of(f"{spelled}{'x' * 90}\n" + f"{secret} and {'y' * 90}\n" * 300 + secret),
        "show banner motd": Script((Text(f"{secret} so far\n"), Hang())),
        "show archive": Script((Text(f"one\n{secret}: {secret} [confirm]"), Hang())),
    }
    return spec(canary, outputs=outputs, banner=f"{secret}\n", motd=f"{secret}\n", **more)


ECHOED = ("show version", "show aliases", "show inventory", "show clock", "show tech-support", "show banner motd")


@pytest.mark.parametrize("parse", ["auto", "json"])
def test_a_device_that_echoes_its_password_in_outputs_banner_errors_and_events(
    parse: str, tmp_path: Path, logged: io.StringIO
) -> None:
    specs = [echoing(canary) for canary in CANARIES]
    result = through(specs, tmp_path, logged, *ECHOED, parse=parse, timeout=1.5)
    kinds = {row["command"]: row.get("error", {}).get("kind", "") for row in result["rows"]}
    assert kinds["show aliases"] == "rejected"
    assert kinds["show banner motd"] == "timeout"
    assert all(row["redacted"] for row in result["rows"]), "a text that did not have the password"


def test_a_device_that_has_its_password_in_a_question(tmp_path: Path, logged: io.StringIO) -> None:
    specs, spilled = [echoing(canary) for canary in CANARIES], Spilled()

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(100):
            inventory = write_inventory(network.ports, specs, tmp_path, **secrets_of(tmp_path))
            async with served(tmp_path, inventory, spilled) as client:
                going = await ask(client, spilled, "show", targets="*", commands=["show archive"], wait=20)
                assert {row["state"] for row in going["rows"]} == {"waiting"}
                assert all("<redacted:" in row["question"] for row in going["rows"])
                for action in ("get", "wait", "input", "cancel", "wait", "get"):
                    await ask(client, spilled, "job", action=action, job_id=going["job_id"], text="q")
                await ask(client, spilled, "list_devices", view="sessions")
                await ask(client, spilled, "job", action="history")
                short = await ask(client, spilled, "show", targets="*", commands=["show archive"], timeout=1, wait=20)
                assert {row["error"]["kind"] for row in short["rows"] if "error" in row} <= {"timeout"}

    anyio.run(main)
    spilled.files(tmp_path)
    spilled.add("log", logged.getvalue())
    spilled.check(least=10)


@pytest.mark.parametrize("hostname", ["{}", "r1-{}", "{}.example"])
def test_a_device_whose_prompt_is_its_password(hostname: str, tmp_path: Path, logged: io.StringIO) -> None:
    """Where it can be a prompt there is a session; elsewhere the login fails, and quotes it in its error."""

    def short(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for entry in keys.values():
            entry["connect_timeout"] = 2

    names = [(canary, hostname.format(canary.of("password"))) for canary in CANARIES]
    # The simulated device takes the first word of its name: half a password, which is nobody's secret.
    specs = [echoing(canary, hostname=name) for canary, name in names if len(name.split()) == 1]
    assert len(specs) >= 22
    result = through(specs, tmp_path, logged, "show version", "show aliases", keys=short, timeout=3)
    assert {row.get("error", {}).get("kind", "") for row in result["rows"]} >= {"prompt"}


# -- processes -----------------------------------------------------------------------------------------------------

LOOK = """
import glob, os, sys
with open(sys.argv[2], "ab") as seen:
    for path in [*glob.glob("/proc/[0-9]*/cmdline"), "/proc/self/environ"]:
        try:
            seen.write(open(path, "rb").read() + b"\\0")
        except OSError:
            pass
sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
"""


def test_children_see_no_secret_in_their_environment_nor_in_the_process_list(
    tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, seen = tmp_path / "look.py", tmp_path / "seen"
    look.write_text(LOOK)
    for canary in CANARIES:
        monkeypatch.setenv(f"NETSSH_CANARY_{canary.number}", canary.of("enable"))

    def commanded(_network: RunningNetwork, keys: dict[str, dict[str, Any]]) -> None:
        for canary, entry in zip(CANARIES, keys.values(), strict=True):
            secret = entry["password"].removeprefix("file:")
            entry |= {
                "password": {"cmd": [sys.executable, str(look), secret, str(seen)]},
                "enable": f"env:NETSSH_CANARY_{canary.number}",
            }

    result = through([spec(canary) for canary in CANARIES], tmp_path, logged, keys=commanded)
    assert result["ok"] == len(CANARIES), result
    assert seen.read_bytes().count(b"look.py") >= len(CANARIES)


def test_a_proxy_command_sees_none_either(tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, seen, config = tmp_path / "relay.py", tmp_path / "seen", tmp_path / "ssh_config"
    relay.write_text(
        LOOK.rsplit("\n", 2)[0]
        + """
import socket, threading
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def back():
    while data := link.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    link.sendall(data)
"""
    )
    line = shlex.join([sys.executable, str(relay)])
    config.write_text(f"Host *\n  ProxyCommand {line} %p {seen}\n")
    config.chmod(0o600)
    spilled, chosen = Spilled(), CANARIES[:6]
    for canary in chosen:
        monkeypatch.setenv(f"NETSSH_CANARY_{canary.number}", canary.of("password"))
    specs = [spec(canary) for canary in chosen]
    entries = {
        one.name: {**secrets_of(tmp_path)[one.name], "password": f"env:NETSSH_CANARY_{canary.number}"}
        for one, canary in zip(specs, chosen, strict=True)
    }

    async def main() -> None:
        with start_network(specs) as network, anyio.fail_after(60):
            inventory = write_inventory(network.ports, specs, tmp_path, **entries)
            async with served(tmp_path, inventory, spilled, ssh_config=str(config)) as client:
                result = await every_tool(client, spilled, "show version")
                assert result["ok"] == len(specs), result

    anyio.run(main)
    assert b"relay.py" in seen.read_bytes()
    spilled.files(tmp_path)
    spilled.add("log", logged.getvalue())
    spilled.check()


@pytest.mark.parametrize("right", [True, False])
def test_the_command_line_at_debug_writes_none(right: bool, tmp_path: Path) -> None:
    specs = [spec(canary, **({} if right else {"password": "other"})) for canary in CANARIES]
    with start_network(specs) as network:
        inventory = write_inventory(network.ports, specs, tmp_path, **secrets_of(tmp_path))
        environment = {
            **{name: os.environ[name] for name in ("PATH",)},
            "HOME": str(tmp_path),
            "NETSSH_LOG_LEVEL": "debug",
            "NETSSH_TRANSPORT_LOG_LEVEL": "debug",
            "NETSSH_KNOWN_HOSTS": str(tmp_path / "known_hosts"),
            "NETSSH_SPILL": str(tmp_path / "outputs"),
        }
        command = [sys.executable, "-m", "netssh_mcp", "show", "*", "show version", "--json", "--host-keys", "tofu"]
        ran = subprocess.run(
            [*command, "--inventory", str(inventory), "--audit", str(tmp_path / "audit.jsonl")],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    assert ran.returncode == (0 if right else 1), ran.stderr[-2000:]
    assert "DEBUG paramiko" in ran.stderr
    spilled = Spilled()
    spilled.add("stdout", ran.stdout)
    spilled.add("stderr", ran.stderr)
    spilled.files(tmp_path)
    spilled.check(least=4)
