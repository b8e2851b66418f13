"""What the operator decides when the server starts: flags beat `NETSSH_*` variables, these beat the defaults."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, TypeVar

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign import forms
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.shipped import shipped

AnswerFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

TOOLSETS: Final = ("observe", "operate")  # what this version has; `all` is all of it
DEFAULT_TOOLSETS: Final = ("observe",)
RESERVED_TOOLSETS: Final = ("change",)
_ENVIRONMENT: Final = "NETSSH_"
_CALLED: Final = {"local_roots": "allow_dir", "answer_format": "format"}  # where flag and variable are not the field
ADDED: Final = "inventory.added.yaml"  # the overlay, beside the last inventory file
_LEVELS: Final[Mapping[str, LogLevel]] = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}
_HostKeys = Literal["strict", "tofu", "pinned"]
_MODES: Final[Mapping[str, _HostKeys]] = {"strict": "strict", "tofu": "tofu", "pinned": "pinned"}
_FORMATS: Final[Mapping[str, AnswerFormat]] = {"text": "text", "json": "json"}
_TRUTH: Final = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
HOW_TO_BEGIN: Final = (
    f"Copy {shipped('inventory.example.yaml')} to ./inventory.yaml and edit it, give another path with --inventory or "
    "NETSSH_INVENTORY, or run `netssh-mcp demo` to look around without devices."
)

_Word = TypeVar("_Word")


@dataclass(frozen=True, slots=True)
class Settings:
    """All paths are absolute. `output_cap` is bytes; `spill` is the folder for outputs that do not fit in memory."""

    inventory: tuple[Path, ...]
    known_hosts: tuple[Path, ...]  # all are read; the last is ours, where `tofu` adds keys
    spill: Path
    policy: Path | None = None
    profiles: Path | None = None
    templates: Path | None = None
    audit: Path | None = None
    ssh_config: Path | None = None  # None: not read
    env_file: Path | None = None  # secrets and overrides per host, besides the process's environment
    edit_hosts: Path | None = None  # the overlay that the `host` tool writes; None: it may not
    ad_hoc: bool = False  # targets such as user@host:port that are in no inventory
    local_roots: tuple[Path, ...] = ()  # folders on this side that files may come from and go to
    answer_format: AnswerFormat = "text"
    toolsets: tuple[str, ...] = DEFAULT_TOOLSETS
    foreign: tuple[tuple[Path, forms.Form], ...] = ()  # the inventory files of other tools, by their prefixes
    read_only: bool = False
    host_keys: _HostKeys = "strict"
    output_cap: int = 20_000
    log_level: LogLevel = "warning"
    transport_log_level: LogLevel = "error"  # of the SSH library: below `info` it may show what is typed

    @classmethod
    def resolve(
        cls, arguments: Mapping[str, object], environ: Mapping[str, str], *, inventory_required: bool = True
    ) -> Settings:
        """Settings from arguments named as the fields (None, "" and () are not given) and the environment.

        InputError: an unknown argument or word, a path that is not there, or no inventory although one is required.
        """
        given = _Given(arguments, environ)
        state = given.folder("XDG_STATE_HOME", ".local/state")
        unlisted = given.asked("edit_hosts") or given.flag("ad_hoc")
        inventory, foreign = given.inventory(required=inventory_required and not unlisted)
        found = cls(
            inventory=inventory,
            foreign=foreign,
            known_hosts=given.paths("known_hosts") or (given.home / ".ssh" / "known_hosts", state / "known_hosts"),
            spill=given.path("spill") or state / "outputs",
            policy=given.existing("policy", Path.is_file, "file"),
            profiles=given.existing("profiles", Path.is_dir, "folder"),
            templates=given.existing("templates", Path.is_dir, "folder"),
            audit=given.path("audit") or state / "audit.jsonl",
            ssh_config=given.ssh_config(),
            env_file=given.existing("env_file", Path.is_file, "file"),
            edit_hosts=given.edit_hosts(inventory),
            ad_hoc=given.flag("ad_hoc"),
            local_roots=given.folders("local_roots"),
            answer_format=given.word("answer_format", _FORMATS, "text"),
            toolsets=given.toolsets(),
            read_only=given.flag("read_only"),
            host_keys=given.word("host_keys", _MODES, "strict"),
            output_cap=given.number("output_cap", 20_000, least=1_000, most=2_000_000),
            log_level=given.word("log_level", _LEVELS, "warning"),
            transport_log_level=given.word("transport_log_level", _LEVELS, "error"),
        )
        _apart(found)
        _outside(found, given.home / ".ssh", given.folder("XDG_CONFIG_HOME", ".config"))
        return found


class _Given:
    """What was given, by flag or by variable; every error names the one it came from."""

    def __init__(self, arguments: Mapping[str, object], environ: Mapping[str, str]) -> None:
        known = [field.name for field in fields(Settings)]
        for name in arguments:
            if name not in known:
                raise InputError(f"there is no setting {name!r}; {did_you_mean(name, known)}")
        self._arguments = arguments
        self._environ = environ
        self.home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()

    def folder(self, variable: str, otherwise: str) -> Path:
        """Our folder below an XDG base folder; the XDG specification says to ignore relative ones."""
        base = Path(self._environ.get(variable, ""))
        return (base if base.is_absolute() else self.home / otherwise) / "netssh-mcp"

    def inventory(self, *, required: bool) -> tuple[tuple[Path, ...], tuple[tuple[Path, forms.Form], ...]]:
        """The files, and which of them are written for another tool."""
        found = [forms.taken_apart(text) for text in forms.parts(self._texts("inventory", ""), os.pathsep)]
        if given := [(self._absolute(text), form) for form, text in found]:
            for path, form in given:
                if not (path.is_file() or (form and form.name in forms.FOLDERS and path.is_dir())):
                    raise InputError(f"{self._origin('inventory')}: there is no file {path}", hint=HOW_TO_BEGIN)
            return tuple(path for path, _ in given), tuple((path, form) for path, form in given if form)
        usual = (Path.cwd() / "inventory.yaml", self.folder("XDG_CONFIG_HOME", ".config") / "inventory.yaml")
        there = tuple(path for path in usual if path.is_file())[:1]
        if not there and required:
            raise InputError(f"there is no inventory: neither {usual[0]} nor {usual[1]} exists", hint=HOW_TO_BEGIN)
        return there, ()

    def asked(self, name: str) -> bool:
        """Whether a setting that is off, on or a path is not off."""
        texts = self._texts(name, "")
        return bool(texts) and _TRUTH.get(texts[0].lower(), True)

    def on_or_path(self, name: str, usual: Path) -> Path | None:
        """Off unless asked for: a path, or a word of truth for the usual one."""
        word = (self._texts(name, "") or ("off",))[0].lower()
        if word in _TRUTH:
            return usual if _TRUTH[word] else None
        return self.path(name)

    def edit_hosts(self, inventory: Sequence[Path]) -> Path | None:
        path = self.on_or_path("edit_hosts", (inventory[-1].parent if inventory else Path.cwd()) / ADDED)
        if path is not None and not path.parent.is_dir():
            raise InputError(
                f"{self._origin('edit_hosts')}: there is no folder {path.parent}", hint="Make it, or give another path."
            )
        return path

    def folders(self, name: str) -> tuple[Path, ...]:
        found = self.paths(name)
        for path in found:
            if not path.is_dir():
                raise InputError(f"{self._origin(name)}: there is no folder {path}", hint="Make it, or leave it out.")
        return found

    def ssh_config(self) -> Path | None:
        path = self.on_or_path("ssh_config", self.home / ".ssh" / "config")
        if path is not None and not path.is_file():
            raise InputError(
                f"{self._origin('ssh_config')}: there is no file {path}", hint="Correct the path or leave it out."
            )
        return path

    def existing(self, name: str, is_there: Callable[[Path], bool], what: str) -> Path | None:
        path = self.path(name)
        if path is not None and not is_there(path):
            raise InputError(
                f"{self._origin(name)}: there is no {what} {path}", hint="Correct the path or leave it out."
            )
        return path

    def path(self, name: str) -> Path | None:
        found = self.paths(name, several=False)
        return found[0] if found else None

    def paths(self, name: str, *, several: bool = True) -> tuple[Path, ...]:
        return tuple(self._absolute(text) for text in self._texts(name, os.pathsep if several else ""))

    def toolsets(self) -> tuple[str, ...]:
        asked = self._texts("toolsets", ",") or DEFAULT_TOOLSETS
        for word in asked:
            if word in RESERVED_TOOLSETS:
                wrong = f"{self._origin('toolsets')}: toolset {word!r} is not in this version"
                raise InputError(wrong, hint=f"Use {', '.join(TOOLSETS)}.")
            if word not in (*TOOLSETS, "all"):
                near = did_you_mean(word, (*TOOLSETS, "all"))
                raise InputError(f"{self._origin('toolsets')}: there is no toolset {word!r}; {near}")
        return TOOLSETS if "all" in asked else tuple(dict.fromkeys(asked))

    def flag(self, name: str) -> bool:
        """Set by the flag or by the variable: neither can take back what the other restricts."""
        return self._arguments.get(name) is True or self.word(name, _TRUTH, otherwise=False)

    def word(self, name: str, allowed: Mapping[str, _Word], otherwise: _Word) -> _Word:
        texts = self._texts(name, "")
        if not texts:
            return otherwise
        word = texts[0].lower()
        if word not in allowed:
            hint = "accept_any is for single hosts, in the inventory file." if word == "accept_any" else ""
            near = did_you_mean(word, allowed)
            raise InputError(f"{self._origin(name)}: {texts[0]!r} is not allowed; {near}", hint=hint)
        return allowed[word]

    def number(self, name: str, otherwise: int, *, least: int, most: int) -> int:
        texts = self._texts(name, "")
        if not texts:
            return otherwise
        if not (texts[0].isascii() and texts[0].isdigit() and least <= int(texts[0]) <= most):
            raise InputError(f"{self._origin(name)}: {texts[0]!r} is not a whole number from {least} to {most}")
        return int(texts[0])

    def _texts(self, name: str, separator: str) -> tuple[str, ...]:
        """One text, or several: a flag may be repeated or, like the variable, hold a list."""
        value = self._value(name)
        if value is None:
            return ()
        if isinstance(value, (str, int, os.PathLike)):
            value = (value,)
        if not isinstance(value, Iterable):
            raise InputError(f"{self._origin(name)}: {type(value).__name__} is not text")
        texts = [os.fspath(each) if isinstance(each, os.PathLike) else str(each) for each in value]
        split = [part for text in texts for part in (text.split(separator) if separator else [text])]
        return tuple(part.strip() for part in split if part.strip())

    def _value(self, name: str) -> object:
        """The flag's value, else the variable's, else None. An empty one, or False, counts as not given."""
        if self._by_flag(name):
            return self._arguments[name]
        return self._environ.get(variable(name), "").strip() or None

    def _by_flag(self, name: str) -> bool:
        value = self._arguments.get(name)
        return not (value is None or value is False or value in ("", (), []))

    def _origin(self, name: str) -> str:
        return _flag(name) if self._by_flag(name) else variable(name)

    def _absolute(self, text: str) -> Path:
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return Path.cwd() / text


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _ENVIRONMENT + _CALLED.get(name, name).upper()


def variables() -> frozenset[str]:
    """Every variable that is a setting's."""
    return frozenset(variable(field.name) for field in fields(Settings))


def _flag(name: str) -> str:
    return f"--{_CALLED.get(name, name).replace('_', '-')}"


def _apart(settings: Settings) -> None:
    """What we write may not be one of the files that decide: a tool's output would become a rule."""
    deciding = _deciding(settings)
    written = {"audit": settings.audit, "spill": settings.spill, "edit_hosts": settings.edit_hosts}
    for name, path in written.items():
        others = deciding | {other: (file,) for other, file in written.items() if file and other != name}
        for other, files in others.items():
            if path is not None and any(_same(path, file) for file in files):
                raise InputError(
                    f"{name} and {other} are the same file, {path}: the server writes the one and obeys the other",
                    hint=f"Give another path with {_flag(name)} or {variable(name)}.",
                )


def _deciding(settings: Settings) -> dict[str, tuple[Path, ...]]:
    single = {
        "policy": settings.policy,
        "ssh_config": settings.ssh_config,
        "env_file": settings.env_file,
        "profiles": settings.profiles,
        "templates": settings.templates,
    }
    beside = tuple(other for path, form in settings.foreign for other in forms.beside(form, path))
    found = {"inventory": (*settings.inventory, *beside), "known_hosts": settings.known_hosts}
    return found | {name: (path,) for name, path in single.items() if path is not None}


def _outside(settings: Settings, keys: Path, config: Path) -> None:
    """A folder that files may come to holds nothing that decides, and is not below a folder that does."""
    kept = dict(_deciding(settings))
    kept |= {"audit": (settings.audit,) if settings.audit else (), "spill": (settings.spill,)}
    kept |= {"edit_hosts": (settings.edit_hosts,) if settings.edit_hosts else ()}
    program = (Path(__file__).resolve().parents[1], shipped("device_profiles"), shipped("templates"))
    kept |= {"keys": (keys,), "stored secrets": (config,), "program": program}
    for root in settings.local_roots:
        real = Path(os.path.realpath(root))
        for name, paths in kept.items():
            for path in paths:
                there = Path(os.path.realpath(path))
                if there.is_relative_to(real) or (there.is_dir() and real.is_relative_to(there)):
                    raise InputError(
                        f"{_flag('local_roots')}: {root} and {path} ({name}) are in each other: a transfer could read "
                        "or replace what the server obeys",
                        hint="Make a folder that is for transfers alone, and allow that.",
                    )


def _same(one: Path, other: Path) -> bool:
    """By name, through links, or as the same file on disk."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False
