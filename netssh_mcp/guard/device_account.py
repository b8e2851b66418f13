"""Accounts for the devices that may only read, made from the same tables as the wall. Templates are data.

The device is the only boundary that holds when everything here fails; the wall then is the second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netssh_mcp import knowledge
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.yaml_lines import read
from netssh_mcp.model import READS

_TEMPLATES = "device_accounts.yaml"
_STEP = 10
_NEEDED = frozenset({"exit", "quit", "logout", "set", "set cli", "terminal", "help"})  # a session's own lines, harmless


def text(profile: Profile) -> str:
    """What to type on the device, or why there is nothing of its own, as text with comments."""
    templates = _templates()
    names = {profile.name, *profile.aliases}
    account = next((each for each in templates["accounts"] if names & set(each["platforms"])), None)
    comment = profile.comment or ("!" if profile.name.startswith(("cisco", "arista")) else "#")
    title = account["title"] if account else "no template of its own"
    lines = [
        f"{comment} An account for netssh-mcp on {profile.name}: {title}.",
        f"{comment} Made from the profile's tables by `netssh-mcp policy device-account {profile.name}`; not tried on",
        f"{comment} a device. Read it, change CHANGE-ME, and try it with `netssh-mcp policy explain` beside it.",
    ]
    lists = _lists(profile)
    counter = iter(range(_STEP, 10_000, _STEP))
    for part in (account or templates["other"])["parts"]:
        lines += _part(part, lists, profile, counter)
    return "\n".join(lines) + "\n"


def platforms() -> tuple[str, ...]:
    """Those that have a template."""
    return tuple(name for each in _templates()["accounts"] for name in each["platforms"])


def _templates() -> Mapping[str, Any]:
    content = read(Path(str(knowledge.__file__)).with_name(_TEMPLATES)).content
    assert isinstance(content, dict)
    return content


def _part(
    part: Mapping[str, Any], lists: Mapping[str, Sequence[str]], profile: Profile, counter: Iterator[int]
) -> Iterator[str]:
    if "text" in part:
        yield part["text"].rstrip("\n").replace("{platform}", profile.name)
    elif "each" in part:
        for words in lists[part["each"]]:
            number = str(next(counter)) if "{n}" in part["line"] else ""
            yield part["line"].replace("{words}", words).replace("{n}", number)
    elif "joined" in part:
        if words := part["by"].join(lists[part["joined"]]):
            yield part["line"].replace("{words}", words)
    else:
        yield from _tacacs(lists, part["comment"])


def _lists(profile: Profile) -> dict[str, list[str]]:
    """The profile's phrases by what an account may do with them."""
    every = {kind: list(phrases) for kind, phrases in profile.commands.items()}
    secrets = [*every.get("secret-read", []), *(line for line in profile.secret_read if not set(line) & set("*."))]
    reads = every.get("read", [])
    firsts = {phrase.split()[0] for phrase in (*reads, *every.get("diagnose", []))}
    refused = [phrase for kind, phrases in every.items() if kind not in READS for phrase in phrases]
    return {
        "reads": reads,
        "diagnoses": every.get("diagnose", []),
        "secrets": list(dict.fromkeys(secrets)),
        "refused": sorted(phrase for phrase in refused if phrase not in firsts and phrase not in _NEEDED),
    }


def _tacacs(lists: Mapping[str, Sequence[str]], comment: str) -> Iterator[str]:
    """A command set in tac_plus's words; the device expands abbreviations before it asks."""
    yield f"{comment} The same as a TACACS+ command set (tac_plus); everything that is not named is denied."
    behind: dict[str, list[str]] = {}
    for phrase in lists["secrets"]:
        first, _, rest = phrase.partition(" ")
        behind.setdefault(first, []).append(f'        deny "^{rest}"' if rest else "        deny .*")
    for phrase in (*lists["reads"], *lists["diagnoses"]):
        first, _, rest = phrase.partition(" ")
        behind.setdefault(first, []).append(f'        permit "^{rest}"' if rest else "        permit .*")
    yield "group = netssh {"
    yield "    default service = deny"
    yield "    service = exec { priv-lvl = 15 }"
    for first, rules in behind.items():
        yield f"    cmd = {first} {{"
        yield from rules
        yield "    }"
    yield "    cmd = terminal {"
    yield '        permit "^(length|width) "'
    yield "    }"
    yield "}"
