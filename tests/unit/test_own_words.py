"""What this program says itself is redacted like a device's words, since errors quote; it must come through whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.knowledge.vault import Vault

PACKAGE = Path(__file__).parents[2] / "netssh_mcp"
OTHERS = ("lab", "demo.py", "demo_story.py")  # devices of our own, and what is told about them
# Harmless words for what a text quotes: a name, a number, a command, a fingerprint, a path.
FILLERS = (
    "core1",
    "7",
    "'show version'",
    "ssh-ed25519 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8",
    "/etc/netssh/known_hosts",
)
SENT = ("wire/markers.py", "wire/sudo_files.py")  # lines for a host's shell, which nobody is told
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def texts(tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each literal of two words and more, but docstrings and regexes; placeholders are filled."""
    nodes, lines = list(ast.walk(tree)), source.encode().splitlines()
    skipped = {id(each) for node in nodes if isinstance(node, DOCUMENTED) for each in ast.walk(_docstring(node))}
    skipped |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in nodes if isinstance(node, ast.JoinedStr)
    }
    skipped |= {id(spec) for node in nodes if isinstance(node, ast.FormattedValue) for spec in [node.format_spec]}
    for node in nodes:
        if id(node) in skipped or not isinstance(node, (ast.Constant, ast.JoinedStr)):
            continue
        if b"r" in lines[node.lineno - 1][node.col_offset :].split(b'"')[0]:
            continue
        for filler in FILLERS if isinstance(node, ast.JoinedStr) else FILLERS[:1]:
            if " " in (text := _filled(node, filler)).strip():
                yield node.lineno, text


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    return node.body[0] if node.body and isinstance(node.body[0], ast.Expr) else ast.Pass()


def _filled(node: ast.Constant | ast.JoinedStr, filler: str) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = (part.value if isinstance(part, ast.Constant) else filler for part in node.values)
    return "".join(map(str, parts))


@lru_cache(maxsize=1)
def everything() -> dict[str, str]:
    """`file:line (filler)` -> text."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        if where.parts[0] not in OTHERS:
            source = path.read_text()
            for line, text in texts(ast.parse(source), source):
                found[f"{where}:{line} {len(found)}"] = text
    return found


PROFILES = Profiles.load(None)
PLATFORMS = sorted(str(row["platform"]) for row in PROFILES.rows() if row["origin"] != "netmiko")


@pytest.mark.parametrize("platform", ["", *PLATFORMS])
def test_no_text_of_ours_is_changed_by_redaction(platform: str) -> None:
    redactor, profile = Redactor(Vault()), PROFILES.get(platform) if platform else None
    changed = {
        where: f"{text!r} -> {shown!r}"
        for where, text in everything().items()
        if not where.startswith(SENT) and (shown := redactor.text(text, profile)) != text
    }
    assert changed == {}


def test_the_walk_sees_messages_hints_and_f_strings() -> None:
    found = set(everything().values())
    assert "no command was given" in found
    assert "Narrow `targets`, or ask in several calls." in found
    assert "there is no view core1" not in found
    assert any("the host key changed: the device shows ssh-ed25519 SHA256:" in text for text in found)
    assert len(found) > 800
