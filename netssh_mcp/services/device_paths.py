"""Paths of network devices: `flash:name`, `/var/tmp/name`. Which may be named, which are no files like others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.guard.protected_paths import protected
from netssh_mcp.knowledge.profiles import Profile

_PART: Final = re.compile(r"(?!-)[A-Za-z0-9._\-]+")
_CONFIGURATIONS: Final = re.compile(r"(?i)(?:nvram|system|startup-config|running-config|running|startup)\b.*")
_LONGEST: Final = 255  # characters


@dataclass(frozen=True, slots=True)
class DevicePath:
    """`system` is where it is ("flash:", "/var/tmp"), `name` what it is called below, "" for the place itself."""

    system: str
    name: str
    scp: str
    profile: Profile

    def __str__(self) -> str:
        return f"{self.system}/{self.name}" if self.name else self.system

    @property
    def base(self) -> str:
        """The last part."""
        return self.name.rpartition("/")[2]

    def line(self, form: str) -> str:
        """A profile's command for it."""
        values = {"system": self.system, "name": self.name, "path": str(self), "scp": self.scp}
        return re.sub(r"\{(system|name|path|scp)\}", lambda match: values[match[1]], form)

    def private(self, *, writing: bool) -> bool:
        """Whether its contents are keys or run at the next boot: class shell."""
        guarded = self.scp.startswith("/") and protected(self.scp, writing=writing)
        return guarded or _matches(self.profile.files.private, str(self))

    @property
    def writable(self) -> bool:
        """Whether it is a file like others, and no configuration."""
        files = self.profile.files
        return self.system in files.systems and not _matches(files.configuration, str(self))


def device_path(profile: Profile, text: str, *, writing: bool, place: bool = False) -> DevicePath:
    """The path in `text`. InputError for what may not be named; `place`: the file system alone is meant, too."""
    files = profile.files
    if not files.systems:
        raise InputError(
            f"no file transfer is known for {profile.name}",
            hint="Known are Cisco IOS, IOS XE, NX-OS, IOS XR and ASA, Arista EOS, Junos and Dell OS10; `files` in a "
            "profile adds others (docs/profiles.md).",
        )
    if writing and _CONFIGURATIONS.fullmatch(text):
        raise _configuration(text)
    systems = {**files.systems, **({} if writing else files.readable)}
    known = sorted(systems, key=len, reverse=True)
    system = next((each for each in known if _below(text, each)), "")
    if not system:
        raise InputError(f"{text[:100]!r} is in no place for files that is known here", hint=_open(known))
    parts = [part for part in text[len(system) :].split("/") if part not in ("", ".")]
    if len(text) > _LONGEST or any(part == ".." or not _PART.fullmatch(part) for part in parts):
        raise InputError(
            f"the path {text[:100]!r} cannot be named", hint="Letters, digits and . _ - in each part, no `..`."
        )
    if not parts and not place:
        raise InputError(f"{text!r} is a place for files, not a file", hint="list shows what is there.")
    name = "/".join(parts)
    folder = systems[system]
    found = DevicePath(system, name, f"{folder}/{name}" if folder else name, profile)
    if writing and not found.writable:
        raise _configuration(str(found))
    return found


def _below(text: str, system: str) -> bool:
    rest = text[len(system) :]
    return text.startswith(system) and (system.endswith(":") or rest[:1] in ("", "/"))


def _matches(patterns: Iterable[str], path: str) -> bool:
    return any(re.fullmatch(pattern, path, re.IGNORECASE) for pattern in patterns)


def _open(systems: Iterable[str]) -> str:
    first = min(systems)
    example = f"{first}name" if first.endswith(":") else f"{first}/name"
    return f"Files are in {', '.join(sorted(systems))}: for example {example}."


def _configuration(path: str) -> InputError:
    return InputError(
        f"{path[:100]!r} is a configuration, and is not written as a file",
        hint="Changes of the configuration are commands in config mode: `run` with configure, or the change tools.",
    )
