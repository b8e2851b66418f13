"""`--inventory FORM:FILE`: which formats there are, and what lies beside such a file. Cheap: the settings import it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

FormName = Literal["nornir", "ansible", "containerlab", "netmiko", "netbox"]
NAMES: Final[tuple[FormName, ...]] = get_args(FormName)
PLAIN: Final = "+plaintext"
FOLDERS: Final = ("nornir",)  # where the path may be a folder


@dataclass(frozen=True, slots=True)
class Form:
    """What a file is written for, and whether the operator takes passwords that stand there in clear text."""

    name: FormName
    plaintext: bool = False

    def __str__(self) -> str:
        return self.name + (PLAIN if self.plaintext else "")


_PREFIXES: Final = {str(form): form for name in NAMES for form in (Form(name), Form(name, plaintext=True))}


def parts(texts: Iterable[str], separator: str) -> Iterator[str]:
    """Each text split at `separator`, but for the colon behind a form's name: a file may be called so as `./netbox`."""
    for text in texts:
        waiting = ""
        for part in text.split(separator):
            if part.strip() in _PREFIXES and not waiting:
                waiting = f"{part.strip()}:"
            elif part.strip():
                yield waiting + part.strip()
                waiting = ""
        if waiting:
            yield waiting.rstrip(":")


def taken_apart(text: str) -> tuple[Form | None, str]:
    """The form of a file, None for our own, and its path."""
    prefix, colon, rest = text.partition(":")
    return (_PREFIXES[prefix], rest) if colon and rest and prefix in _PREFIXES else (None, text)


def beside(form: Form, path: Path) -> Sequence[Path]:
    """What is read with the file and decides like it, whether it is there or not."""
    if form.name == "ansible":
        return (path.parent / "group_vars", path.parent / "host_vars")
    if form.name == "nornir":
        return (path if path.is_dir() else path.parent,)
    if form.name == "containerlab":
        return tuple(path.parent.glob("clab-*"))
    return ()


def looks_like(content: object) -> FormName | Literal[""]:
    """The form that a file given without a prefix seems to have; "" for ours and for what is nothing known."""
    if isinstance(content, list):
        devices = any(isinstance(each, Mapping) and "primary_ip4" in each for each in content)
        return "netbox" if devices else ""
    if not isinstance(content, Mapping):
        return ""
    top = next((form for key, (form, kind) in _TOPS.items() if isinstance(content.get(key), kind)), None)
    if top or _OURS & set(content):
        return top or ""
    return next((form for form in map(_entry_of, content.values()) if form), "")


_TOPS: Final[Mapping[str, tuple[FormName, type]]] = {
    "results": ("netbox", list),
    "topology": ("containerlab", Mapping),
    "inventory": ("nornir", Mapping),
    "__meta__": ("netmiko", Mapping),
    "_meta": ("ansible", Mapping),
}
_OURS: Final = {"hosts", "groups", "defaults", "allow_plaintext", "unlisted"}


def _entry_of(value: object) -> FormName | Literal[""]:
    keys = set(value) if isinstance(value, Mapping) else set()
    if "device_type" in keys:
        return "netmiko"
    if keys and keys <= {"hosts", "vars", "children"}:
        return "ansible"
    return "nornir" if keys & {"hostname", "platform", "connection_options"} else ""
