"""Device profiles: one YAML file per platform says what we know that Netmiko does not.

Source of the field set: the house's "a new platform is a YAML file". The JSON schema for editors is
`netssh-mcp platforms --schema`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _compiles(pattern: str) -> str:
    re.compile(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(_Strict):
    """How this platform's prompt looks. `examples` are tests: each must match `pattern` and have the mode named."""

    pattern: Pattern = r"[\w.\-@/:~\[\]()+*{}<> ]{1,80}[>#$%\]]\s?"  # the whole last line, fullmatch
    lead: Pattern = ""  # line above the prompt that belongs to it, e.g. Junos "{master:0}"
    modes: dict[str, Pattern] = Field(default_factory=dict)  # mode -> regex searched in the prompt line; first wins
    examples: dict[str, str] = Field(default_factory=dict)  # prompt text -> mode


class Pager(_Strict):
    """The paging prompt that may come in spite of paging being off; keys are sent only when the caller asks."""

    pattern: Pattern = r"--\s?[Mm]ore\s?--|<--- More --->|---\(more.*\)---|lines \d+-\d+"
    next: str = " "
    quit: str = "q"


class Pipes(_Strict):
    """First words after `|`. `all` is the platform's complete list: an abbreviation resolves against it."""

    safe: tuple[str, ...] = ()
    all: tuple[str, ...] = ()


class Json(_Strict):
    """How the device itself gives JSON: `append` is put behind the command (" | json", " json", ...).

    `commands` are the regexes (fullmatch on the canonical command) that are known to support it; empty = try none.
    """

    append: str = ""
    commands: tuple[Pattern, ...] = ()


class Profile(_Strict):
    """What is known of one platform. Frozen; unknown keys are errors."""

    name: str
    title: str = ""
    sources: tuple[str, ...] = ()  # where the facts of this file come from
    driver: Literal["network", "linux"] = "network"
    aliases: tuple[str, ...] = ()  # other names an inventory may use for this platform
    netmiko_device_type: str = ""
    ntc_templates_platform: str = ""

    prompts: Prompts = Field(default_factory=Prompts)
    pager: Pager = Field(default_factory=Pager)
    setup: tuple[str, ...] = ()  # lines sent once after login, besides what the Netmiko driver sends
    comment: str = ""  # starts a line the exec parser ignores; empty = no end proof, framing "prompt"
    pipelined: bool = False  # the proof may be sent with the command: line editor known not to echo type-ahead early
    quiet: float = 0.05  # seconds of silence that end a command where there is no comment
    rejected_when: tuple[Pattern, ...] = ()  # regexes, re.match on a whole output line
    not_rejected: tuple[Pattern, ...] = ()  # lines that look like a refusal and are not
    log_line: Pattern = ""  # an unsolicited log line (syslog), re.match on a line
    log_commands: tuple[Pattern, ...] = ()  # commands whose own output is such lines; fullmatch on the canonical form

    read_only: tuple[str, ...] = ()  # first words of class read
    diagnose: tuple[str, ...] = ()  # first words of class diagnose; need an argument
    vocabulary: tuple[str, ...] = ()  # complete exec-mode first words, so that abbreviations resolve as the device does
    shorthand: dict[str, str] = Field(default_factory=dict)  # abbreviations the device resolves against its own table
    denied: tuple[Pattern, ...] = ()  # fullmatch on the canonical command: reads by name that write, run or fetch
    pipes: Pipes = Field(default_factory=Pipes)
    argv: tuple[Pattern, ...] = ()  # linux: fullmatch on shlex.join(argv) of allowed read commands
    json_output: Json = Field(default_factory=Json)

    login_writes: str = ""  # what a login changes on the device, if anything; shown by list_devices
    notes: str = ""

    def mode(self, prompt: str) -> str:
        """The mode a prompt line shows, or "" when none of `modes` fits."""
        return next((mode for mode, pattern in self.prompts.modes.items() if re.search(pattern, prompt)), "")
