"""What may stand in an inventory file, and how a value that may not is explained."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    model_validator,
)
from typing_extensions import Self

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.env_file import Environment
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.selectors import OPERATORS
from netssh_mcp.knowledge.ssh_words import plain_words
from netssh_mcp.knowledge.vault import Vault

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+-]{0,127}")  # what needs no quotes in a selector
_HOST: Final = re.compile(
    r"[^\s\-@/\x00-\x1f\x7f][^\s@/\x00-\x1f\x7f]*"
)  # no leading "-": never an option of a program
_USER: Final = re.compile(r"[^\s\-\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_PIN: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?|(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]+=*(?: .*)?")
_FRACTION: Final = re.compile(r"[0-9]+\.[0-9]*|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Known:
    """What the rest of the inventory says, for checking one entry."""

    folder: Path  # what relative paths start from: the file's own
    allow_plain: bool
    platforms: Mapping[str, str]
    groups: Collection[str]
    hosts: Collection[str]
    vault: Vault
    environment: Environment


def _known(info: ValidationInfo) -> Known:
    assert isinstance(info.context, Known)
    return info.context


def _platform(value: str, info: ValidationInfo) -> str:
    platforms = _known(info).platforms
    if value not in platforms:
        raise ValueError(f"there is no platform {value!r}; {did_you_mean(value, platforms)}")
    return platforms[value]


def _group(value: str, info: ValidationInfo) -> str:
    groups = _known(info).groups
    if value not in groups:
        raise ValueError(f"there is no group {value!r}; {did_you_mean(value, groups)}")
    return value


def _hop(value: str, info: ValidationInfo) -> str:
    hosts = _known(info).hosts
    if value not in hosts:
        raise ValueError(f"there is no host {value!r} to jump through; {did_you_mean(value, hosts)}")
    return value


def _secret(value: object, info: ValidationInfo) -> Secret | None:
    if value == "":
        return None
    known = _known(info)
    try:
        return Secret.parse(
            value,
            folder=known.folder,
            allow_plain=known.allow_plain,
            vault=known.vault,
            environment=known.environment,
        )
    except InputError as error:
        text = f"{error.message}. {error.hint}"
    raise ValueError(text)


def _key_file(value: str, info: ValidationInfo) -> Path:
    return _known(info).folder / os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises without a home


def _pin(value: str) -> str:
    if not _PIN.fullmatch(value):
        raise ValueError(
            "must be a public key as in known_hosts (ssh-ed25519 AAAA...) or SHA256:... with 43 characters"
        )
    return value


def _not_for_many(value: str) -> str:
    if value == "accept_any":
        raise ValueError("accept_any checks nothing, so it is for single hosts: give it at the host")
    return value


def address(value: str) -> str:
    """The name or address of a host. ValueError says what it must be."""
    if not _HOST.fullmatch(value):
        raise ValueError("must be a host name or an address: no spaces, no @ or /, no leading -")
    return value


def _alias(value: str) -> str:
    if value and not plain_words([value]):
        raise ValueError('must be a name as ssh takes it on its command line, or "" to leave ssh_config out')
    return value


def user(value: str) -> str:
    """A login name. ValueError says what it must be."""
    if not _USER.fullmatch(value):
        raise ValueError("must be a login name: one line, no leading -")
    return value


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _fraction(value: object) -> object:
    """`yaml_lines` leaves 0.5 as text, so that a version 17.10 stays itself; seconds are numbers."""
    return float(value) if isinstance(value, str) and _FRACTION.fullmatch(value) else value


def _nothing(value: object) -> object:
    return {} if value is None else value


HostKeyMode = Literal["strict", "tofu", "pinned", "accept_any"]
Transport = Literal["ssh", "telnet"]
_Seconds = Annotated[float, BeforeValidator(_fraction), Field(gt=0, le=604_800)]
_SecondsOrOff = Annotated[float, BeforeValidator(_fraction), Field(ge=0, le=604_800)]
_Secret = Annotated[Secret | None, PlainValidator(_secret)]
_Hop = Annotated[str, AfterValidator(_hop)]
_Group = Annotated[str, AfterValidator(_group)]
_KeyFile = Annotated[str, Field(min_length=1), AfterValidator(_key_file)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class CredentialSet(_Strict):
    """One of the ways to log in that are tried in order."""

    username: Annotated[str, AfterValidator(user)] = ""
    password: _Secret = None
    enable: _Secret = None
    key_passphrase: _Secret = None
    key_file: Annotated[list[_KeyFile], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    certificate: Annotated[list[_KeyFile], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    agent: bool = False

    @model_validator(mode="after")
    def _logs_in(self) -> Self:
        if self.password is None and not self.key_file and not self.agent:
            raise ValueError("needs a password, a key_file or agent: true, or it cannot log in")
        return self


class Defaults(_Strict):
    """What every host may inherit. Only keys that are given count (`model_fields_set`): no value here is a default."""

    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=0)
    platform: Annotated[str, AfterValidator(_platform)] = ""
    username: Annotated[str, AfterValidator(user)] = ""
    data: dict[str, object] = Field(default_factory=dict)
    password: _Secret = None
    enable: _Secret = None
    sudo: _Secret = None
    key_passphrase: _Secret = None
    key_file: Annotated[list[_KeyFile], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    certificate: Annotated[list[_KeyFile], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    agent: bool = False
    credentials: Annotated[list[CredentialSet], Field(max_length=8)] = Field(default_factory=list)
    jump: Annotated[list[_Hop], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    connect_timeout: _Seconds = 0.0
    timeout: _Seconds = 0.0
    keepalive: _SecondsOrOff = 0.0
    idle_timeout: _Seconds = 0.0
    max_sessions: Annotated[int, Field(ge=1, le=64)] = 0
    login_rate: Annotated[int, Field(ge=1, le=6000)] = 0
    host_keys: Annotated[HostKeyMode, AfterValidator(_not_for_many)] = "strict"


class Group(Defaults):
    """A group: what its hosts inherit, and the groups that it inherits from itself."""

    groups: list[_Group] = Field(default_factory=list)
    transport: Transport = "ssh"


class Host(Group):
    """A host."""

    hostname: Annotated[str, AfterValidator(address)] = ""
    host_keys: HostKeyMode = "strict"
    legacy: bool = False
    host_key: Annotated[str, AfterValidator(_pin)] = ""
    ssh_config: Annotated[str, AfterValidator(_alias)] = ""


class Unlisted(_Strict):
    """What hosts may use that are in no file of the operator: those that the `host` tool added, and user@host."""

    secrets: list[str] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list)


class File(_Strict):
    """The top level of a file; the entries are checked one by one."""

    allow_plaintext: bool = False
    unlisted: Annotated[Unlisted, BeforeValidator(_nothing)] = Field(default_factory=Unlisted)
    defaults: Annotated[dict[str, object], BeforeValidator(_nothing)] = Field(default_factory=dict)
    groups: Annotated[dict[str, object], BeforeValidator(_nothing)] = Field(default_factory=dict)
    hosts: Annotated[dict[str, object], BeforeValidator(_nothing)] = Field(default_factory=dict)


_MUST: Final = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, one `name: value` per line",
    "model_type": "must be a mapping, one `name: value` per line",
}


def explained(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One of pydantic's errors as a sentence. Never quotes the value: it may be a secret."""
    kind, where, value = error["type"], error["loc"], error["input"]
    must = _MUST.get(kind, re.sub(r"^\w+ should", "must", str(error["msg"])))
    if kind == "invalid_key" or (where and where[-1] == "[key]"):
        must = "a key must be text; put it in quotes"
    elif kind == "extra_forbidden":
        must = _misplaced(str(where[-1]), CredentialSet if "credentials" in where[:-1] else model)
    elif kind == "value_error":
        must = str(error["ctx"]["error"])
    elif kind == "literal_error" and isinstance(value, str):
        allowed = re.findall(r"'(.+?)'", error["ctx"]["expected"])
        must = f"{must}; {did_you_mean(value, allowed)}"
    elif value is None:
        must = f"has no value; it {must}, or leave it out"
    return must


def _misplaced(key: str, model: type[BaseModel]) -> str:
    if key in Group.model_fields and model is Defaults:
        return "belongs to a host or a group, not here"
    if key in Host.model_fields and model is not File:
        return "belongs to a host, not here"
    return f"there is no such key; {did_you_mean(key, model.model_fields)}"


def misnamed(name: str) -> str:
    """Why a host or group cannot be called `name`, or ""."""
    if name.lower() in OPERATORS:
        return "and, or and not are words of the selector language: choose another name"
    if not NAME.fullmatch(name):
        return "a name is letters, digits and any of _ . : / @ + - (not first), at most 128: choose another name"
    return ""
