"""What `netssh-mcp secret set NAME` stores and `stored:NAME` finds: in the system's keyring, or a private file.

A keyring cannot list what it holds, so the folder has an empty file for each name that is there. `keyring` is imported
inside the functions that need it: it is an optional extra and slow to load.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.secret_sources import Fetched, Missing, checked, from_file, from_keyring, no_keyring

Place = Literal["keyring", "file"]

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
NAMES: Final = "a name is letters, digits, _ and - (not first), at most 64"
_SERVICE: Final = "netssh-mcp"
_FILE, _MARKER = ".secret", ".keyring"


def folder() -> Path:
    """`$XDG_CONFIG_HOME/netssh-mcp/secrets`, by default below ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~/.config"))  # noqa: PTH111, PTH117
    return home / "netssh-mcp" / "secrets"


def places() -> dict[str, Place]:
    """Each stored name and where its value is, by name."""
    try:
        found = sorted(folder().iterdir())
    except OSError:
        return {}
    kinds: dict[str, Place] = {_FILE: "file", _MARKER: "keyring"}
    return {path.stem: kinds[path.suffix] for path in found if path.suffix in kinds and NAME.fullmatch(path.stem)}


def absent(name: str, reference: str) -> Missing | None:
    """Why there is no such stored secret, or None. Does not fetch it."""
    if name in places():
        return None
    return Missing(
        f"{reference} is not stored; {did_you_mean(name, places())}", f"Store it: netssh-mcp secret set {name}"
    )


def fetch(name: str, reference: str) -> Fetched:
    """The value of a stored secret, or why there is none."""
    match places().get(name):
        case "keyring":
            return from_keyring(_SERVICE, name, reference)
        case "file":
            return from_file(folder() / f"{name}{_FILE}", reference)
    return absent(name, reference) or Missing(f"{reference} has just been stored", "Ask again.")


def put(name: str, value: str) -> Place:
    """Store it under a name, in place of what was there. InputError, which never quotes the value."""
    _named(name)
    wrong = checked(value, "what was typed")
    value = "" if isinstance(wrong, Missing) else value
    if isinstance(wrong, Missing) or not value:
        raise InputError(wrong.message if isinstance(wrong, Missing) else "nothing was typed", hint="Type one line.")
    home = folder()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    if _in_keyring(name, value):
        _write(home / f"{name}{_MARKER}", "")
        (home / f"{name}{_FILE}").unlink(missing_ok=True)
        return "keyring"
    _write(home / f"{name}{_FILE}", value + "\n")
    (home / f"{name}{_MARKER}").unlink(missing_ok=True)
    return "file"


def remove(name: str) -> Place:
    """Forget a stored secret, wherever it is. InputError when there is none."""
    _named(name)
    place = places().get(name)
    if place is None:
        raise InputError(
            f"{name} is not stored; {did_you_mean(name, places())}", hint="`netssh-mcp secret list` shows the names."
        )
    if place == "keyring":
        import keyring
        import keyring.errors

        with contextlib.suppress(keyring.errors.PasswordDeleteError):  # gone already
            keyring.delete_password(_SERVICE, name)
    for ending in (_FILE, _MARKER):
        (folder() / f"{name}{ending}").unlink(missing_ok=True)
    return place


def command(action: str, words: Sequence[str], question: Callable[[str], str] | None) -> str:
    """`netssh-mcp secret ACTION WORDS` as text for people. `question` asks on a terminal, without echo."""
    if action == "list":
        return "\n".join(f"{name}  {place}" for name, place in places().items()) or "nothing is stored"
    if len(words) != 1:
        raise InputError(
            f"one name follows `{action}`, and nothing else",
            hint="A value is never an argument: process lists and shell histories show it. `set` asks for it.",
        )
    (word,) = words
    if action == "test":
        from netssh_mcp.knowledge.secrets import Secret

        secret = Secret.parse(word)
        secret.reveal()
        return f"{secret.reference} gives a value"
    if action == "remove":
        return f"{word} is removed from the {remove(word)}"
    _named(word)
    if question is None:
        raise InputError("`secret set` asks on a terminal, and there is none", hint="Run it by hand.")
    return f"{word} is stored in the {put(word, ask(word, question))}; refer to it as stored:{word}"


def ask(name: str, question: Callable[[str], str]) -> str:
    """The value, typed twice and not shown. InputError when the two differ."""
    first = ""
    try:
        first = question(f"The value of {name} (not shown): ")
        same = question("Again: ") == first
    except EOFError:
        first = ""  # no frame keeps it
        raise InputError("nothing was typed; nothing was stored", hint="Type one line, twice.") from None
    value, first = first if same else "", ""
    if not same:
        raise InputError("the two are not the same; nothing was stored", hint="Type it again.")
    return value


def _named(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError("that is no name for a stored secret", hint=f"{NAMES[0].upper()}{NAMES[1:]}.")


def _in_keyring(name: str, value: str) -> bool:
    """Whether the system has a keyring that took it."""
    if no_keyring():
        return False
    import keyring
    import keyring.errors

    if keyring.get_keyring().priority <= 0:  # keyring's stand-ins for "there is none"
        return False
    try:
        keyring.set_password(_SERVICE, name, value)
    except keyring.errors.KeyringError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    """A whole file of mode 0600 or none: written aside, then renamed."""
    aside = path.with_name(f".{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
