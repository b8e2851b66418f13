"""The operator's policy file: its schema, and from YAML to `Rules`. Every error names file, line and key.

Pydantic and YAML are imported with this module, which only a server with a policy file does. Language: docs/policy.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from netssh_mcp.errors import InputError
from netssh_mcp.guard import destinations
from netssh_mcp.guard.limits import Hours, Rate, Window
from netssh_mcp.guard.rules import Entry, ForwardBind, Network, Rule, Rules
from netssh_mcp.knowledge.inventory_schema import explained
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.selectors import check_syntax
from netssh_mcp.knowledge.yaml_lines import Document, Problem, read
from netssh_mcp.model import READS, CommandClass

MOST_PROBLEMS: Final = 10
MOST_WORDS: Final = 40  # of one entry
_HINT: Final = "Correct the file; `netssh-mcp policy check` reads it now. The language: docs/policy.md."
_ENTRY: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
_FORBIDDEN: Final = re.compile(r"[\"'`;\\<>?]")


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _selector(value: object) -> str:
    """A selector, or a list of them: any of these."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a selector, such as '@core & site=ber', or a list of them")
    for text in texts:
        try:
            check_syntax(text)
        except InputError as error:
            said = error.message
        else:
            continue
        raise ValueError(said)
    return ",".join(texts)


def _command(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text, the words of a command; put it in quotes")  # noqa: TRY004 - pydantic's way
    if not _ENTRY.fullmatch(value):
        raise ValueError("must be words of printable ASCII with one space between them")
    if found := _FORBIDDEN.search(value):
        raise ValueError(f"{found[0]!r} cannot be in it: entries are compared with words, without quotes")
    if value.split().count("...") > 2 or len(value.split()) > MOST_WORDS:
        raise ValueError(f"at most two `...` and {MOST_WORDS} words")
    return value


def _permission(value: object) -> str:
    text = _command(value)
    if text.split()[0] in ("...", "*"):
        raise ValueError("what is allowed begins with a word of its own: `...` or `*` first would allow anything")
    return text


def _network(value: object) -> Network:
    try:
        return ip_network(str(value))
    except ValueError as error:
        said = str(error)
    raise ValueError(f"must be a network such as 10.0.0.0/8 or 2001:db8::/32: {said}")


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise ValueError(
        f"there is no time zone {str(value)[:40]!r} here; names are such as Europe/Berlin or UTC (package tzdata)"
    )


def _seconds(value: object) -> object:
    """`yaml_lines` leaves 0.5 as text, so that a version 17.10 stays itself."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d+\.\d+", value) else value


def _spot(value: object) -> destinations.Spot:
    return destinations.spot(str(value))


def _rate(value: object) -> Rate:
    return Rate.parse(str(value))


def _window(value: object) -> Window:
    return Window.parse(str(value))


_Denials = Annotated[list[Annotated[str, BeforeValidator(_command)]], BeforeValidator(_one_or_more)]
_Permissions = Annotated[list[Annotated[str, BeforeValidator(_permission)]], BeforeValidator(_one_or_more)]
_Networks = Annotated[list[Annotated[Network, BeforeValidator(_network)]], BeforeValidator(_one_or_more)]
_Spots = Annotated[list[Annotated[destinations.Spot, BeforeValidator(_spot)]], BeforeValidator(_one_or_more)]
_Rate = Annotated[Rate, BeforeValidator(_rate)]
_Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class RuleFile(_Strict):
    """One rule as the file has it; what is not given is not named by the rule. A key without a value is an error:
    `networks:` over a list that is commented out would be no limit at all."""

    name: str = ""  # for people
    devices: Annotated[str, BeforeValidator(_selector)] = "*"
    classes: Annotated[list[CommandClass] | None, BeforeValidator(_one_or_more)] = None
    secret_read: Literal["allow", "deny"] | None = None
    allow: _Permissions = Field(default_factory=list)
    deny: _Denials = Field(default_factory=list)
    deny_always: _Denials = Field(default_factory=list)
    max_devices: _Count | None = None
    max_commands: _Count | None = None
    max_seconds: Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86_400)] | None = None
    rate: _Rate | None = None
    rate_total: _Rate | None = None
    hours: Annotated[list[Annotated[Window, BeforeValidator(_window)]], BeforeValidator(_one_or_more)] | None = None
    timezone: _Zone | None = None
    networks: _Networks | None = None
    destinations: _Networks | None = None
    forward_to: _Spots | None = None
    forward_here: _Spots | None = None
    forward_bind: ForwardBind | None = None
    reveal: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_empty_keys(cls, content: object) -> object:
        if isinstance(content, dict) and (empty := [str(key) for key, value in content.items() if value is None]):
            raise ValueError(f"{empty[0]} has no value; give it one, or leave it out")
        return content

    @model_validator(mode="after")
    def _says_something(self) -> RuleFile:
        if not self.model_fields_set - {"name", "devices", "timezone"}:
            raise ValueError("the rule says nothing; give it classes, allow, deny or a limit, or take it out")
        if self.hours == []:
            raise ValueError("hours is empty, which would be never; to forbid everything write classes: []")
        if empty := [key for key in ("networks", "destinations") if getattr(self, key) == []]:
            raise ValueError(f"{empty[0]} is empty, which would be nowhere; leave the key out for anywhere")
        return self


class File(_Strict):
    """The top level; the rules are checked one by one."""

    version: Literal[1]
    default: Literal["read", "deny"] = "read"
    timezone: _Zone | None = None
    rules: list[object] = Field(default_factory=list)


Words = Callable[[Rules], Iterable[tuple[str, str]]]  # what is wrong with which place, by the inventory's platforms


def load(path: Path) -> Rules:
    """The rules of a file. InputError lists up to 10 problems; a file that others can write is one."""
    refuse_writable(path)
    document = read(path)
    problems = list(document.doubled)
    top = _top(document, problems)
    rules: list[Rule] = []
    for number, content in enumerate(top.rules if top else ()):
        spec = _checked(RuleFile, document, content, problems, "rules", number)
        if isinstance(spec, RuleFile) and top is not None:
            rules.append(_rule(document, number, spec, top, problems))
    if problems:
        raise_problems(problems)
    assert top is not None
    start = READS if top.default == "read" else frozenset[CommandClass]()
    by = "the built-in default" if top.default == "read" else f"{_place(document, 'default')} (default: deny)"
    return Rules(tuple(rules), start, by, fingerprint=fingerprint(path))


def fingerprint(path: Path) -> str:
    """The file's SHA-256, for the audit."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refuse_writable(path: Path) -> None:
    """InputError when somebody else than the server's user or root can write the file."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"the policy {path} cannot be read: {error.strerror}", hint="Correct the path.") from None
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        raise InputError(f"the policy {path} can be written by others (mode {mode:04o})", hint=f"chmod go-w {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise InputError(
            f"the policy {path} belongs to another user (uid {found.st_uid})", hint="Own it yourself, or let root do."
        )


def raise_problems(problems: Iterable[Problem]) -> None:
    """InputError with the first ten, in the order of lines."""
    found = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    lines = [str(problem) for problem in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        lines.append(f"and {len(found) - MOST_PROBLEMS} more")
    count = "a problem" if len(found) == 1 else f"{len(found)} problems"
    raise InputError("\n".join((f"the policy has {count}:", *lines)), hint=_HINT)


def _top(document: Document, problems: list[Problem]) -> File | None:
    content = document.content
    if isinstance(content, dict) and "version" not in content:
        problems.append(Problem(document.path, 1, "version: is missing; begin the file with `version: 1`"))
        content = {**content, "version": 1}
    found = _checked(File, document, content, problems)
    return found if isinstance(found, File) else None


def _checked(
    model: type[_Strict], document: Document, content: object, problems: list[Problem], *where: object
) -> _Strict | None:
    """The content as `model`, or None and what is wrong with it in `problems`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            place = (*where, *each["loc"])
            named = ".".join(str(step) for step in place if step != "[key]" and not str(step).startswith("function"))
            text = _explained(each, model)
            problems.append(Problem(document.path, document.line(*place), f"{named}: {text}" if named else text))
    return None


def _explained(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        allowed = ", ".join(model.model_fields)
        return f"there is no such key; {did_you_mean(key, model.model_fields)} Keys: {allowed}"
    return explained(error, model)


def _rule(document: Document, number: int, spec: RuleFile, top: File, problems: list[Problem]) -> Rule:
    def entries(key: str, texts: list[str]) -> tuple[Entry, ...]:
        return tuple(Entry(text, _place(document, "rules", number, key, at)) for at, text in enumerate(texts))

    def spots(key: str, given: list[destinations.Spot] | None) -> tuple[destinations.Spot, ...] | None:
        if given is None:
            return None
        return tuple(replace(each, place=_place(document, "rules", number, key, at)) for at, each in enumerate(given))

    place = _place(document, "rules", number) + (f" ({spec.name})" if spec.name else "")
    return Rule(
        number=number,
        place=place,
        devices=spec.devices,
        classes=None if spec.classes is None else frozenset(spec.classes),
        allow=entries("allow", spec.allow),
        deny=entries("deny", spec.deny),
        deny_always=entries("deny_always", spec.deny_always),
        max_devices=spec.max_devices,
        max_commands=spec.max_commands,
        max_seconds=spec.max_seconds,
        rate=spec.rate,
        rate_total=spec.rate_total,
        hours=_hours(document, number, spec, top, problems),
        networks=None if spec.networks is None else tuple(spec.networks),
        destinations=None if spec.destinations is None else tuple(spec.destinations),
        forward_to=spots("forward_to", spec.forward_to),
        forward_here=spots("forward_here", spec.forward_here),
        forward_bind=spec.forward_bind,
        reveal=spec.reveal,
        secret_read={None: None, "allow": True, "deny": False}[spec.secret_read],
    )


def _hours(document: Document, number: int, spec: RuleFile, top: File, problems: list[Problem]) -> Hours | None:
    if spec.hours is None:
        return None
    zone = spec.timezone or top.timezone
    if zone is None:
        text = f"rules.{number}.hours: needs a `timezone`, here or at the top of the file, such as Europe/Berlin"
        problems.append(Problem(document.path, document.line("rules", number, "hours"), text))
        return None
    return Hours(tuple(spec.hours), zone, zone.key)


def _place(document: Document, *where: object) -> str:
    return f"{document.path.name}:{document.line(*where)}"
