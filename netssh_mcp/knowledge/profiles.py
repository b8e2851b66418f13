"""Device profiles: one YAML file per platform says what we know that Netmiko does not.

`Profile` is the file's schema (for editors: `schema()`, published as docs/device_profile.schema.json). `Profiles` finds
them: the user's folder over the shipped one, and a family's rules for every other Netmiko type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.abbreviations import completed
from netssh_mcp.knowledge.near import near
from netssh_mcp.knowledge.profile_files import explained, read_profile, yaml_files
from netssh_mcp.knowledge.redaction_rules import compile_rule
from netssh_mcp.knowledge.shipped import shipped
from netssh_mcp.model import READS, CommandClass

_HERE = Path(__file__).parent
_NOT_SSH = ("_telnet", "_serial")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as exc:
        raise ValueError(f"not a regular expression: {exc}") from exc
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
Abbreviated = Annotated[str, AfterValidator(lambda pattern: _compiles(completed(pattern)))]  # `ro[[ute]]`


def _marks_a_secret(rule: str) -> str:
    re.compile(compile_rule(rule).line)
    return rule


Secret = Annotated[str, AfterValidator(_marks_a_secret)]  # `username * secret @password`


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
    """First words after `|`. `all` is the platform's complete list: an abbreviation resolves against it.

    `args` says what may follow a safe pipe (fullmatch, "" for nothing); a pipe it does not name takes any text. Needed
    where the device hands the words to a real program (`| sort -o FILE`). `alternation`: a `|` glued between two
    characters of a pipe's argument is the device's regexp "or" (`| include up|down` on IOS).
    """

    safe: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    args: dict[str, Pattern] = Field(default_factory=dict)
    several: bool = False  # more than one pipe in a line
    alternation: bool = False
    any_program: bool = False  # after an unquoted bar any program of the device's Linux runs


class Json(_Strict):
    """How the device itself gives JSON: `append` is put behind the command (" | json", " json", ...).

    `commands` are the regexes (fullmatch on the canonical command) that are known to support it; empty = try none.
    `on_request` support it too, but only parse="json" uses it: a template makes the same rows of a far shorter text.
    Both know ntc-templates' notation `ro[[ute]]` for a word that may be abbreviated.
    """

    append: str = ""
    commands: tuple[Abbreviated, ...] = ()
    on_request: tuple[Abbreviated, ...] = ()
    native: tuple[Pattern, ...] = ()  # commands whose own output is JSON already (`ip -j route`); fullmatch


class Files(_Strict):
    """Files of a network device: SCP for contents, exec commands for the rest. Without `systems` nothing is known.

    Commands may hold `{system}` ("flash:", "/var/tmp"), `{name}` below it, `{path}` (`{system}/{name}`) and `{scp}`,
    the path as SCP takes it. Patterns are searched in the command's output.
    """

    systems: dict[str, str] = Field(default_factory=dict)  # where files may be -> how SCP calls that place
    readable: dict[str, str] = Field(default_factory=dict)  # the same, never written: configurations live there
    folder: str = "dir {path}"  # lists
    file: str = "dir {path}"  # shows one file's size
    entry: Pattern = ""  # one line of a listing, fullmatch; groups `name`, `size`, and `mode`, `mtime` where there are
    missing: Pattern = r"(?i)no such file|does not exist|cannot access|error opening|file not found"
    free: str = "dir {system}"
    free_bytes: tuple[Pattern, ...] = ()  # group 1: what is free, in `unit` bytes; the first that is found
    unit: int = 1
    md5: str = ""
    md5_sum: Pattern = r"(?m)(?:= *|^)([0-9a-fA-F]{32})\b"  # group 1
    delete: str = ""  # must ask nothing
    private: tuple[Pattern, ...] = ()  # fullmatch on `{path}`, upper or lower case: class shell, keys and boot scripts
    configuration: tuple[Pattern, ...] = ()  # the same: a configuration under another name, not written as a file
    enable: str = ""  # how a person turns SCP on there; never sent


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
    prepare: Literal["netmiko", "setup"] = "netmiko"  # who prepares the session: the driver, or only `setup` below
    setup: tuple[str, ...] = ()  # lines sent once after login, besides what the Netmiko driver sends
    comment: str = ""  # starts a line the exec parser ignores; empty = no end proof, framing "prompt"
    pipelined: bool = False  # the proof may be sent with the command: line editor known not to echo type-ahead early
    quiet: float = 0.05  # seconds of silence that end a command where there is no comment
    rejected_when: tuple[Pattern, ...] = ()  # regexes, re.match on a whole output line
    not_rejected: tuple[Pattern, ...] = ()  # lines that look like a refusal and are not
    log_line: Pattern = ""  # an unsolicited log line (syslog), re.match on a line
    log_commands: tuple[Pattern, ...] = ()  # commands whose own output is such lines; fullmatch on the canonical form

    # The exec vocabulary by class: first words, or phrases where the first word alone says too little (`admin show`,
    # `request support information`). Complete once it names more than reads; then words may be abbreviated.
    commands: dict[CommandClass, tuple[str, ...]] = Field(default_factory=dict)
    forms: dict[str, Pattern] = Field(
        default_factory=dict
    )  # verb -> what may follow it (fullmatch), where not anything
    menus: tuple[str, ...] = ()  # where the verb comes last (RouterOS): every menu path, to which `... print` refers
    lines: dict[CommandClass, tuple[Pattern, ...]] = Field(
        default_factory=dict
    )  # whole commands where no verb comes first (MikroTik); fullmatch
    config_words: tuple[str, ...] = ()  # the only first words in config mode where any other runs a program (VyOS)
    advice: dict[str, str] = Field(default_factory=dict)  # refused first word -> what to do instead
    shorthand: dict[str, str] = Field(default_factory=dict)  # abbreviations the device resolves against its own table
    denied: tuple[Pattern, ...] = ()  # fullmatch on the canonical command: reads by name that write, run or fetch
    refuse: tuple[
        str, ...
    ] = ()  # as `denied`, in words: any abbreviation of each matches; `*` a word, `...` any number
    secret_read: tuple[str, ...] = ()  # same notation: reads that show secrets, class secret-read
    refused_chars: str = ";&$<>`\\"  # separators and shell characters, also inside quotes
    max_line: int = 254  # characters; IOS takes 254
    pipes: Pipes = Field(default_factory=Pipes)
    argv: tuple[Pattern, ...] = ()  # linux: fullmatch on shlex.join(argv) of allowed read commands
    inner: dict[str, str | SkipJsonSchema[Profile]] = Field(
        default_factory=dict
    )  # linux: program -> platform of its -c
    json_output: Json = Field(default_factory=Json)
    parsed_as: dict[str, Pattern] = Field(default_factory=dict)  # command with a template -> others like it

    files: Files = Field(default_factory=Files)  # what `get_file` and `put_file` need to know
    redact: tuple[Secret, ...] = ()  # where this platform's secrets stand, besides redaction.yaml; same notation

    login_writes: str = ""  # what a login changes on the device, if anything; shown by list_devices
    notes: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Profile:
        """Tables that contradict each other would be resolved wrongly."""
        phrases = [phrase for known in self.commands.values() for phrase in known]
        if doubled := sorted({phrase for phrase in phrases if phrases.count(phrase) > 1}):
            raise ValueError(f"commands names more than once: {', '.join(doubled)}")
        if odd := [phrase for phrase in phrases if phrase != " ".join(phrase.lower().split())]:
            raise ValueError(f"commands are lower-case words with single spaces: {', '.join(odd)}")
        if missing := set(self.shorthand.values()) - {phrase.split()[0] for phrase in phrases}:
            raise ValueError(f"commands lacks what shorthand stands for: {', '.join(sorted(missing))}")
        if missing := set(self.pipes.safe) - set(self.pipes.all):
            raise ValueError(f"pipes.all lacks {', '.join(sorted(missing))}")
        if missing := set(self.pipes.args) - set(self.pipes.safe):
            raise ValueError(f"pipes.args names pipes that are not safe: {', '.join(sorted(missing))}")
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        """The phrases that read, in the order of the file."""
        return tuple(phrase for kind in ("read", "secret-read") for phrase in self.commands.get(kind, ()))

    @property
    def complete(self) -> bool:
        """Whether `commands` is the platform's whole vocabulary, so that abbreviations resolve as the device does."""
        return any(kind not in READS for kind in self.commands)

    def __hash__(self) -> int:
        """By name, so that a profile can be a cache key (its dicts cannot be hashed)."""
        return hash(self.name)

    def mode(self, prompt: str) -> str:
        """The mode a prompt line shows, or "" when none of `modes` fits."""
        return next((mode for mode, pattern in self.prompts.modes.items() if re.search(pattern, prompt)), "")


class Profiles:
    """All platforms by name, read on first use and kept. A file's name is its platform's name."""

    def __init__(self, files: Mapping[str, Path], user: frozenset[str]) -> None:
        self._files = dict(files)
        self._user = user
        self._known: dict[str, Profile] = {}
        self._alias: dict[str, str] | None = None
        self._family_rules: dict[str, Any] | None = None
        self._types: frozenset[str] | None = None

    @classmethod
    def load(cls, user_dir: Path | None) -> Profiles:
        """List both folders; nothing is parsed yet. InputError when the user's folder is not there."""
        if user_dir is not None and not user_dir.is_dir():
            raise InputError(f"profile folder {user_dir} does not exist", hint="Create it or leave --profiles out.")
        files = yaml_files(shipped("device_profiles"))
        mine = yaml_files(user_dir) if user_dir is not None else {}
        return cls(files | mine, frozenset(mine))

    def get(self, platform: str) -> Profile:
        """By profile name, alias or Netmiko device_type. InputError, with near words, for anything else."""
        if platform not in self._known:
            self._known[platform] = self._find(platform)
        return self._known[platform]

    def knows(self, platform: str) -> bool:
        """Whether `get` will find it; cheap, because it parses no profile unless only an alias can be meant."""
        base = platform.removesuffix("_ssh")
        return platform in self._files or base in self._files or base in self.types() or base in self._aliases()

    def names(self) -> tuple[str, ...]:
        """Profiles and their aliases, sorted; Netmiko's other types are in `types()`."""
        return tuple(sorted({*self._files, *self._aliases()}))

    def types(self) -> frozenset[str]:
        """Netmiko's SSH device types, without the `_ssh` twins."""
        if self._types is None:
            self._types = frozenset((_HERE / "netmiko_types.txt").read_text("ascii").split())
        return self._types

    def platforms(self) -> dict[str, str]:
        """Every name an inventory may use -> the platform's own name. Parses every profile, for the aliases."""
        every = {name: name for name in self.types()} | self._aliases() | {name: name for name in self._files}
        return every | {f"{name}_ssh": own for name, own in every.items() if name in self.types()}

    def check(self) -> None:
        """Parse every file, so that a broken one is reported before a device needs it."""
        for name in self._files:
            self.get(name)
        self._aliases()

    def rows(self) -> list[dict[str, str]]:
        """One row per platform for people and programs, profiles first."""
        aliases = self._aliases()
        rest = sorted(self.types() - set(self._files) - set(aliases))
        return [self._row(name) for name in (*sorted(self._files), *rest)]

    def _row(self, name: str) -> dict[str, str]:
        profile = self.get(name)
        origin = "user" if name in self._user else "shipped" if name in self._files else "netmiko"
        return {
            "platform": name,
            "title": profile.title,
            "aliases": ", ".join(profile.aliases),
            "netmiko": profile.netmiko_device_type,
            "ntc_templates": profile.ntc_templates_platform,
            "reads": ", ".join(profile.reads) or ("patterns" if profile.argv or profile.lines else "none"),
            "framing": "proven" if profile.comment or profile.driver == "linux" else "prompt",
            "login_writes": profile.login_writes,
            "origin": origin,
        }

    def _find(self, platform: str) -> Profile:
        if platform in self._files:
            return self._read(platform)
        if platform in (aliases := self._aliases()):
            return self.get(aliases[platform])
        if platform in self.types():
            return self._synthesize(platform)
        if platform.endswith("_ssh") and self.knows(base := platform.removesuffix("_ssh")):
            return self.get(base)
        raise self._unknown(platform)

    def _unknown(self, platform: str) -> InputError:
        for suffix in _NOT_SSH:
            if platform.endswith(suffix) and (base := platform.removesuffix(suffix)):
                more = ", and at the host `transport: telnet`" if suffix == "_telnet" else ""
                return InputError(
                    f"a platform is named as for SSH, and {platform!r} is not", hint=f"Write `platform: {base}`{more}."
                )
        nearest = near(platform, sorted({*self.names(), *self.types()}), n=4)
        hint = f"Near: {', '.join(nearest)}." if nearest else "`netssh-mcp platforms` lists them all."
        return InputError(f"unknown platform {platform!r}", hint=hint)

    def _aliases(self) -> dict[str, str]:
        if self._alias is None:
            found: dict[str, str] = {}
            for name in sorted(self._files, key=lambda name: name not in self._user):  # the user's own aliases first
                for alias in self.get(name).aliases:
                    if alias not in self._files:
                        found.setdefault(alias, name)
            self._alias = found
        return self._alias

    def _read(self, name: str) -> Profile:
        fields, found = read_profile(self._files[name])
        if fields.get("name") != name:
            raise InputError(f"{found.path}:{found.line('name')}: name must be {name!r}, as the file is called")
        inner = fields.get("inner")
        if isinstance(inner, dict) and all(isinstance(platform, str) for platform in inner.values()):
            if name in inner.values():
                raise InputError(f"{found.path}:{found.line('inner')}: inner names the profile itself")
            fields = {**fields, "inner": {program: self.get(platform) for program, platform in inner.items()}}
        try:
            return Profile.model_validate(fields)
        except ValidationError as exc:
            raise explained(exc, Profile, found) from exc

    def _synthesize(self, device_type: str) -> Profile:
        """A type without a file: its driver, its family's read verb, nothing else."""
        rules = self._families()
        family = next((row for row in rules["families"] if device_type in row.get("types", ())), rules["default"])
        fields = {key: value for key, value in family.items() if key not in {"types", "like"}}
        if like := family.get("like"):
            return self.get(like).model_copy(
                update={"name": device_type, "aliases": (), "netmiko_device_type": device_type} | fields
            )
        fields.setdefault("secret_read", rules["secret_read"])
        fields["login_writes"] = rules["login_writes"].get(device_type, "")
        fields["ntc_templates_platform"] = rules["ntc_templates"].get(device_type, device_type)
        return Profile.model_validate({"name": device_type, "netmiko_device_type": device_type} | fields)

    def _families(self) -> dict[str, Any]:
        if self._family_rules is None:
            self._family_rules, _ = read_profile(_HERE / "families.yaml")
        return self._family_rules


def schema() -> dict[str, Any]:
    """The JSON schema of a profile file, for editors; published as docs/device_profile.schema.json."""
    made = Profile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "netssh-mcp device profile"}
