"""What a simulated platform is made of: the strict schema of `platforms/*.yaml`, and its loader."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

_PLATFORMS = Path(__file__).parent / "platforms"
_PLACEHOLDER = re.compile(r"\{(\w+)(?::(\d+))?\}")

Wrap = Literal["crlf", "space_cr", "none"]
Echo = Literal["line", "early", "both"]
PipeKind = Literal["include", "exclude", "begin", "count", "section", "last", "nothing", "json", "set", "compare"]
Action = Literal[
    "",
    "enable",
    "page_length",
    "page_width",
    "page_default",
    "save",
    "show_running",
    "show_startup",
    "show_diff",
    "show_candidate",
    "set_line",
    "delete_line",
    "edit",
    "up",
    "top",
    "commit",
    "discard",
    "leave",
    "erase",
    "delete_file",
    "write_file",
    "dir",
    "md5",
    "delete_quietly",
    "storage",
    "reload",
]


class LabError(Exception):
    """The lab was described wrongly: the text names what, and what is allowed."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put `values` into `{name}` and `{name:20}` (cut to 20 characters); what is not a known name stays as it is."""
    if "{" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        known = values.get(match[1])
        if known is None:
            return match[0]
        return known[: int(match[2])] if match[2] else known

    return _PLACEHOLDER.sub(value, text)


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _as_words(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]  # one text: "no" alone would be a YAML boolean


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(_Strict):
    """One step of a dialog. `confirm` reads a key, `yes_no` a word, `line` any text.

    `ask` and what is printed later may hold `{argument}`: the command's own, until a line is answered with another.
    """

    ask: str
    only: Literal["", "unsaved"] = ""  # asked only when the running-config is not the startup-config
    does: Action = ""  # done at once when the answer is yes; a no goes on with the next question then
    said: str = ""  # printed behind a yes
    kind: Literal["confirm", "yes_no", "line"]
    default: Literal["yes", "no", ""] = ""  # what Enter alone means for yes_no
    refused: str = ""  # printed when the answer is no
    nonsense: str = ""  # printed before asking again


class Command(_Strict):
    """A built-in. Syntax words may be abbreviated; `<word>`, `<number>` and `<rest>` stand for arguments."""

    syntax: Strings
    modes: Strings = ()  # empty = every exec mode
    ask: tuple[Question, ...] = ()
    say: str = ""  # printed when the questions are answered with yes
    do: Action = ""
    enter: str = ""  # the mode this leads to
    close: bool = False  # ends the session


class Mode(_Strict):
    """One prompt. In a `config` mode, lines that begin with a word of `vocabulary` go into the config store."""

    prompt: str
    lead: str = ""  # printed before the prompt and part of it, e.g. Junos' empty line and "[edit]"
    kind: Literal["exec", "config"] = "exec"
    parent: str = ""  # config sub-modes: whose vocabulary is valid too
    vocabulary: Words = ()  # every first word the device knows here: abbreviations resolve against it
    opens: dict[str, str] = Field(default_factory=dict)  # first word of a config line -> the sub-mode it opens


class Refusals(_Strict):
    """The device's own words. `{caret}` is a line with ^ under the offending word; `{line}`, `{word}` as typed."""

    unknown: str
    unknown_word: str = ""  # a single first word that is nothing at all (IOS takes it for a host name)
    incomplete: str
    ambiguous: str
    pipe: str = ""  # an unknown word after |
    unconverted: str = ""  # `| json` on a command that has none


class Pager(_Strict):
    more: str
    rows: int = 24  # page length at login, whatever the client's pty says; 0 = the pty's
    erase: str = ""  # sent when a key was pressed, to wipe `more`
    quit_line: str = ""  # printed after `q`


class Editor(_Strict):
    echo: Echo = "line"
    wrap: Wrap = "crlf"
    interrupt: str = ""  # what Ctrl-C prints before newline and prompt


class Enable(_Strict):
    to: str
    prompt: str = "Password: "
    tries: int = 3
    wrong: str = ""  # after each wrong try
    failed: str = "% Bad secrets"
    none_set: str = "% No password set"


class Leave(_Strict):
    """What leaving the candidate with uncommitted changes asks."""

    ask: str
    on_yes: Literal["commit", "discard"]
    on_no: Literal["discard", "stay"]
    otherwise: Literal["discard", "stay"] = "stay"  # Enter alone, or any other word


class Config(_Strict):
    style: Literal["blocks", "set"] = "blocks"
    text: str = "hostname {hostname}\n"
    header: str = ""  # printed above the running-config
    hostname: str = r"^hostname (\S+)"  # regex on the stored text
    replaces: tuple[str, ...] = ()  # a line that begins so takes the place of the earlier one
    candidate: bool = False  # lines wait for a commit
    committed: str = ""
    leave: Leave | None = None


class Platform(_Strict):
    """One simulated operating system, as data."""

    name: str
    title: str
    sources: tuple[str, ...] = ()
    login: str  # the mode after login on a device with an enable secret
    login_privileged: str = ""  # ... and on one without
    modes: dict[str, Mode]
    commands: tuple[Command, ...] = ()
    refusals: Refusals
    comment: str = ""
    pager: Pager
    editor: Editor = Editor()
    enable: Enable | None = None
    config: Config = Config()
    pipes: dict[str, PipeKind] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=dict)  # first words the device resolves by a table of its own
    run_prefix: str = ""  # "do", "run": an exec command from a config mode
    exec_in_config: bool = False  # show works in config modes as it is
    preamble: str = ""  # printed before the text of every show, e.g. XR's clock line
    banner: str = ""
    motd: str = ""
    variables: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _modes_exist(self) -> Platform:
        named = {self.login, self.login_privileged, self.enable.to if self.enable else ""}
        named.update(mode.parent for mode in self.modes.values())
        for mode in self.modes.values():
            named.update(mode.opens.values())
        for command in self.commands:
            named.update((*command.modes, command.enter))
        if missing := named - set(self.modes) - {""}:
            raise ValueError(f"modes not described: {', '.join(sorted(missing))}; there are {', '.join(self.modes)}")
        return self


def platforms() -> tuple[str, ...]:
    """The names of the platforms that can be simulated."""
    return tuple(sorted(path.stem for path in _PLATFORMS.glob("*.yaml")))


@functools.cache
def load_platform(name: str) -> Platform:
    """The platform described in `platforms/<name>.yaml`. Raises LabError naming what is wrong."""
    import yaml  # noqa: PLC0415 - the package's start path must not pay for it

    if name not in platforms():
        raise LabError(f"no simulated platform {name!r}; there are {', '.join(platforms())}")
    path = _PLATFORMS / f"{name}.yaml"
    try:
        return Platform.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as exc:
        raise LabError(f"{path.name}: {exc}") from exc
