"""The redaction corpus: hand-written lines with their secrets, and the same lines with other values in their place."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from tests.redaction import values

# Another folder of the same layout gives the figures of lines that no rule was ever tuned on.
FOLDER = Path(os.environ.get("NETSSH_REDACTION_CORPUS", Path(__file__).parent / "corpus"))
BENIGN = FOLDER / "benign.yaml"
UNSEEN = Path(__file__).parent / "unseen"  # measured once before anyone could tune a rule on them: its README
WANTED = 400  # lines per platform that are measured
FEWEST_TURNS = 4  # a form is measured with its own values and at least three others
STRICT = {"type5", "type7", "type8", "type9", "enc", "sh2", "juniper9", "pem", "community"}  # none may be missed
QUOTES = dict.fromkeys(("juniper_junos", "fortinet", "mikrotik_routeros", "paloalto_panos", "nokia_sros"), '"')
QUOTES["vyos"] = "'"
TAG = re.compile(r"<redacted:[a-z0-9_-]+:([A-Za-z0-9_-]+)>")
LONG = 12  # characters: of a secret this long, half is as bad as all of it


class Entry(BaseModel):
    """One entry of a corpus file: `line` or `text`; `as` names the class of each secret, all plain without it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    line: str = ""
    text: str = ""
    secrets: tuple[str, ...]
    keep: tuple[str, ...] = ()
    source: str
    kinds: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _as(cls, data: Any) -> Any:
        """`as` is a keyword of Python, so the field has another name."""
        return {"kinds" if key == "as" else key: value for key, value in data.items()}


@dataclass(frozen=True, slots=True)
class Form:
    """A text, the substrings that must not survive in it with their classes, and those that must."""

    platform: str
    text: str
    secrets: tuple[str, ...]
    kinds: tuple[str, ...]
    keep: tuple[str, ...]
    seed: str

    def turn(self, number: int) -> Form:
        """The same form with its secrets drawn anew; turn 0 is the hand-written one."""
        if number == 0:
            return self
        marked, drawn = self.text, []
        for index in sorted(range(len(self.secrets)), key=lambda each: -len(self.secrets[each])):
            marked = marked.replace(self.secrets[index], f"\0{index}\0")
        for index, (secret, kind) in enumerate(zip(self.secrets, self.kinds, strict=True)):
            new, shown = self._drawn(f"\0{index}\0", marked, (secret, kind, f"{self.seed}/{index}"), number)
            marked = marked.replace(f"\0{index}\0", shown)
            drawn.append(new)
        return Form(self.platform, marked, tuple(drawn), self.kinds, self.keep, self.seed)

    def _drawn(self, mark: str, text: str, what: tuple[str, str, str], number: int) -> tuple[str, str]:
        """The new value, and how it stands in the line: quoted now and then where the platform quotes values."""
        secret, kind, seed = what
        if kind == "plain":
            if re.search(rf"(?<=\"){mark}(?=\")", text) and number % 3 == 0:
                return (new := values.spaced(seed, number)), new
            quote = QUOTES.get(self.platform)
            if quote and number % 4 == 3 and re.search(rf"(?<=[ =]){mark}(?=[ ;\n]|$)", text):
                new = values.value("plain", secret, seed, number)
                return new, f"{quote}{new}{quote}"
        # Neighbouring forms begin at different alphabets, so that few turns see them all.
        new = values.value(kind, secret, seed, number + sum(map(ord, seed)))
        return new, new

    def survivors(self, shown: str) -> list[tuple[str, str]]:
        """Secret and class of all that can still be read in a redacted text, whole or in good part."""
        rest = TAG.sub("\0", shown)
        return [(secret, kind) for secret, kind in zip(self.secrets, self.kinds, strict=True) if _reads(secret, rest)]

    def lost(self, shown: str) -> list[str]:
        """What had to stay and did not."""
        rest = TAG.sub("\0", shown)
        return [kept for kept in self.keep if kept not in rest]


def _reads(secret: str, text: str) -> bool:
    if secret in text:
        return True
    half = len(secret) // 2
    return len(secret) >= LONG and any(secret[at : at + half] in text for at in range(len(secret) - half + 1))


def platforms(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml") if path != BENIGN)


def written(platform: str, folder: Path = FOLDER) -> list[Form]:
    """The hand-written forms of a platform, checked: every secret and every kept substring stands in its text."""
    data = yaml.safe_load((folder / f"{platform}.yaml").read_text(encoding="utf-8"))
    if data["platform"] != platform:
        raise ValueError(f"{platform}.yaml names the platform {data['platform']}")
    return [_form(platform, number, Entry.model_validate(entry)) for number, entry in enumerate(data["forms"])]


def _form(platform: str, number: int, entry: Entry) -> Form:
    text = entry.line or entry.text
    missing = [part for part in (*entry.secrets, *entry.keep) if part not in text]
    kinds = entry.kinds or ("plain",) * len(entry.secrets)
    if missing or not entry.secrets or len(kinds) != len(entry.secrets) or bool(entry.line) == bool(entry.text):
        raise ValueError(f"{platform}.yaml, form {number} does not hold together: {missing or entry}")
    return Form(platform, text, entry.secrets, kinds, entry.keep, f"{platform}/{text}")


def turns(forms: list[Form]) -> int:
    """How often each form is measured, so that WANTED lines come together."""
    return max(FEWEST_TURNS, ceil(WANTED / len(forms)))


def measured(platform: str, folder: Path = FOLDER) -> Iterator[Form]:
    """Every form of a platform with its own values and then with others."""
    forms = written(platform, folder)
    for number in range(turns(forms)):
        for form in forms:
            yield form.turn(number)


def benign() -> dict[str, list[str]]:
    """Texts that redaction must not touch, by platform; none where the folder has none."""
    if not BENIGN.exists():
        return {}
    found: dict[str, list[str]] = yaml.safe_load(BENIGN.read_text(encoding="utf-8"))
    return found


def changed_lines(before: str, after: str) -> list[str]:
    """The lines of a text that are not in its redacted form any more."""
    gone = Counter(before.splitlines())
    gone.subtract(after.splitlines())
    return [line for line, times in gone.items() for _ in range(times)]
