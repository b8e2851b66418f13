"""What README and docs claim is run here: commands, snippets, tables, links."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netssh_mcp import cli, errors
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.lab.demo_network import PASSWORD_VARIABLE
from tests import docs_drift
from tests.conformance import contract

tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # pytest brings tomli
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LONG = 60  # seconds: only to fail
TRY = README.partition("## Try it")[2].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Every line of its shell blocks that starts the command."""
    lines = "\n".join(blocks(text, "sh")).splitlines()
    return [line for line in lines if line.startswith("netssh-mcp ")]


def parsed(line: str) -> Any:
    """The command line as the program reads it; SystemExit where it does not."""
    words = shlex.split(line, comments=True)[1:]
    return cli.parser().parse_args(words[: words.index(">")] if ">" in words else words)


# -- commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [line for line in commands(README) if not line.startswith("netssh-mcp lab")])
def test_every_command_of_the_readme_is_one(line: str) -> None:
    assert parsed(line).run


def test_the_network_to_play_with_answers_every_command_of_the_readme(tmp_path: Path) -> None:
    start, *asks = commands(TRY)
    assert start == "netssh-mcp lab --print-inventory > inventory.yaml"
    variables = dict(re.findall(r"(NETSSH_\w+)=(\S+)", next(line for line in TRY.splitlines() if "$PWD" in line)))
    environment = {
        **{name: value.replace("$PWD", str(tmp_path)) for name, value in variables.items()},
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
    }
    ours = [sys.executable, "-W", "error", "-m", "netssh_mcp"]
    pipes: Any = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        (tmp_path / "inventory.yaml").open("w") as inventory,
        subprocess.Popen(
            [*ours, "lab", "--print-inventory"], cwd=tmp_path, env=environment, stdout=inventory, **pipes
        ) as lab,
    ):
        assert lab.stdin is not None
        assert lab.stderr is not None
        export = lab.stderr.readline().split()
        assert export[0] == "export"
        name, _, environment[PASSWORD_VARIABLE] = export[1].partition("=")
        assert name == PASSWORD_VARIABLE
        answers = {line: _answer([*ours, *shlex.split(line)[1:]], tmp_path, environment) for line in asks}
        lab.stdin.close()
        assert lab.wait(LONG) == 0
    assert {line: done.stderr for line, done in answers.items() if done.stderr} == {}
    # fw1 speaks no BGP, but it is no `site=ber & !@edge`; every command is answered by all that it asks
    assert {line: done.stdout for line, done in answers.items() if done.returncode} == {}
    said = "".join(done.stdout for done in answers.values())
    assert "8 requested, 8 ok, 0 failed" in said
    assert "4.29.5M" in said
    assert "18291" in said
    assert "the chain is whole" in said


def _answer(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=LONG
    )


def test_the_table_of_commands_is_the_programs_own() -> None:
    table = README.partition("## The command line")[2].partition("\n## ")[0]
    named = {line.split("`")[1].split()[1] for line in table.splitlines() if line.startswith("| `netssh-mcp")}
    words = next(action.choices for action in cli.parser()._actions if isinstance(action.choices, dict))
    assert named == set(words)


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = "".join(_text(page) for page in PAGES)
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets


# -- snippets ------------------------------------------------------------------------------------------------------


def test_the_minimal_inventory_is_one(tmp_path: Path) -> None:
    (block,) = blocks(README, "yaml")
    path = tmp_path / "inventory.yaml"
    path.write_text(block, encoding="utf-8")
    devices = InventorySource((path,), Profiles.load(None).platforms).current().select("*")
    assert [device.name for device in devices] == ["core1", "leaf1", "web1"]


def servers() -> Iterator[dict[str, Any]]:
    """What each client snippet would start."""
    for text in blocks(README, "json"):
        (group,) = json.loads(text).values()
        yield from group.values()
    for text in blocks(README, "toml"):
        yield from tomllib.loads(text)["mcp_servers"].values()
    for words in (shlex.split(line) for line in "\n".join(blocks(README, "sh")).splitlines()):
        if words[:3] == ["claude", "mcp", "add"]:
            command, *arguments = words[words.index("--") + 1 :]
            yield {"command": command, "args": arguments}


def test_every_client_snippet_starts_the_server_with_arguments_that_it_has() -> None:
    found = list(servers())
    assert len(found) == 4
    for server in found:
        assert server["command"] == "netssh-mcp"
        assert parsed(shlex.join(["netssh-mcp", *server["args"]])).run is parsed("netssh-mcp serve").run
        assert str(parsed(shlex.join(["netssh-mcp", *server["args"]])).inventory[0]).startswith("/")


# -- tables --------------------------------------------------------------------------------------------------------


def test_the_generated_documents_are_what_the_code_gives() -> None:
    assert [path.name for path, wanted in docs_drift.generated() if _text(path) != wanted] == []
    assert all(f"`{tool['name']}`" in README for tool in contract.tools())


def test_the_table_of_platforms_has_every_shipped_profile() -> None:
    table = README.partition("## Platforms")[2].partition("\n## ")[0]
    shipped = {row["platform"] for row in Profiles.load(None).rows() if row["origin"] == "shipped"}
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert named == shipped


def test_every_kind_of_error_is_described_with_its_effect() -> None:
    described: dict[str, tuple[str, str, str]] = {}
    for line in _text(ROOT / "docs" / "errors.md").splitlines():
        if line.startswith("| `"):
            kind, classes, effect, retryable, *_ = (cell.strip(" `") for cell in line.strip("|").split("|"))
            described |= {name.strip(): (kind, effect, retryable) for name in classes.split(",")}
    classes_there = inspect.getmembers(errors, inspect.isclass)
    known = {name: cls for name, cls in classes_there if issubclass(cls, errors.NetsshError)}
    assert described.keys() == known.keys()
    for name, cls in known.items():
        kind, effect, retryable = described[name]
        assert kind == cls.kind, name
        if name != "NetsshError":  # as it is raised for our own bugs
            assert effect == cls.effect, name
        if name != "ConnectError":  # shares its line with Unreachable
            assert (retryable == "yes") == cls.retryable, name


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    project = tomllib.loads(_text(ROOT / "pyproject.toml"))
    extras = project["project"]["optional-dependencies"].values()
    groups = project["dependency-groups"].values()
    asked = [*project["project"]["dependencies"], *(one for group in (*extras, *groups) for one in group)]
    wanted = {re.split(r"[<>=\[ ]", one)[0] for one in asked} - {project["project"]["name"]}
    assert set(re.findall(r"^\| `([\w-]+)` \|", _text(ROOT / "docs" / "dependencies.md"), re.MULTILINE)) == wanted


def test_every_file_that_the_architecture_names_exists() -> None:
    text = _text(ROOT / "docs" / "architecture.md")
    named = set(re.findall(r"`((?:\w+/)*\w+(?:\.py|/))`", text))
    assert "wire/framing.py" in named
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "netssh_mcp" / name).exists()] == []


def test_the_floors_are_those_of_the_contract() -> None:
    text = _text(ROOT / "docs" / "architecture.md").partition("## Floors")[2].partition("More contracts")[0]
    floors = tomllib.loads(_text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [floor.removeprefix("netssh_mcp.") for floor in floors if floor != "netssh_mcp.demo_story"]
    assert [word for word in re.findall(r"`(\w+)`", text) if word != "pyproject"] == names


# -- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_carries_the_registrys_marker() -> None:
    assert "<!-- mcp-name: io.github.netssh-mcp/netssh-mcp -->" in README


def _text(path: Path) -> str:
    return path.read_text("utf-8")


# -- the threat model ----------------------------------------------------------------------------------------------


def test_every_attack_of_the_threat_model_names_tests_that_exist() -> None:
    text = _text(ROOT / "SECURITY.md")
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 16))
    for number, row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, number
        for file, test in named:
            assert re.search(rf"def {test}\(", (ROOT / file).read_text("utf-8")), f"{number}: {file}::{test}"
