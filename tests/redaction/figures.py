"""Redaction in figures: `python -m tests.redaction.figures [--misses FILE]` prints them as a markdown table.

Recall per platform on the corpus, what had to stay and was lost, near misses that changed, recall on the lines that no
rule had seen (unseen/README.md), changed lines on recorded outputs (ours, and those of NETSSH_EXTRA_RECORDINGS if it
names a folder), and speed on 10 MB of all of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netssh_mcp.errors import NetsshError
from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.knowledge.vault import Vault
from tests.recordings.loader import Recording, extra, ours
from tests.redaction import forms

KEY = b"the same in every run"
MIX_BYTES = 10_000_000
# Secrets found in the set `unseen`, platform by platform, when it was measured first: rules of commit f683285.
UNSEEN_FOUND = {
    "arista_eos": 522,
    "aruba_aoscx": 598,
    "cisco_asa": 458,
    "cisco_ios": 414,
    "cisco_nxos": 333,
    "cisco_xe": 488,
    "cisco_xr": 521,
    "dell_os10": 528,
    "fortinet": 455,
    "frr": 425,
    "hp_comware": 451,
    "huawei_vrp": 528,
    "juniper_junos": 520,
    "linux": 489,
    "mikrotik_routeros": 400,
    "nokia_srlinux": 467,
    "nokia_sros": 576,
    "paloalto_panos": 550,
    "vyos": 483,
}


@dataclass(slots=True)
class Score:
    """What one platform's lines gave. `missed` are (secret, class, text, redacted text)."""

    platform: str
    written: int = 0
    lines: int = 0
    secrets: int = 0
    strict: int = 0
    hand_secrets: int = 0
    hand_missed: int = 0
    missed: list[tuple[str, str, str, str]] = field(default_factory=list)
    lost: list[tuple[str, str, str]] = field(default_factory=list)
    benign: int = 0
    benign_changed: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / self.secrets

    @property
    def strict_missed(self) -> list[tuple[str, str, str, str]]:
        return [miss for miss in self.missed if miss[1] in forms.STRICT]


def redactor() -> Redactor:
    return Redactor(Vault(), key=KEY)


def profile(platform: str) -> Profile | None:
    """None where no profile is shipped."""
    try:
        return Profiles.load(None).get(platform)
    except NetsshError:
        return None


def score(platform: str, folder: Path = forms.FOLDER) -> Score | None:
    """None without a profile: nothing can be measured."""
    known = profile(platform)
    if known is None:
        return None
    engine, found = redactor(), Score(platform, len(forms.written(platform, folder)))
    for number, form in enumerate(forms.measured(platform, folder)):
        _measure(form, engine.text(form.text, known), found, by_hand=number < found.written)
    for text in forms.benign().get(platform, ()) if folder == forms.FOLDER else ():
        found.benign += len(text.splitlines())
        found.benign_changed += forms.changed_lines(text, engine.text(text, known))
    return found


def _measure(form: forms.Form, shown: str, found: Score, *, by_hand: bool) -> None:
    left = form.survivors(shown)
    found.lines += 1
    found.secrets += len(form.secrets)
    found.strict += sum(kind in forms.STRICT for kind in form.kinds)
    found.missed += [(secret, kind, form.text, shown) for secret, kind in left]
    found.lost += [(kept, form.text, shown) for kept in form.lost(shown)]
    if by_hand:
        found.hand_secrets += len(form.secrets)
        found.hand_missed += len(left)


@dataclass(slots=True)
class Captured:
    """Recorded outputs: lines in all, and those that redaction changed, with their recording."""

    lines: int = 0
    unknown: int = 0  # recordings of platforms without a profile
    changed: list[tuple[str, str]] = field(default_factory=list)


def captured(recordings: Iterable[Recording]) -> Captured:
    engine, known, found = redactor(), Profiles.load(None), Captured()
    for recording in recordings:
        if not known.knows(recording.platform):
            found.unknown += 1
            continue
        text = recording.path.read_text(encoding="utf-8", errors="replace")
        found.lines += len(text.splitlines())
        shown = engine.text(text, known.get(recording.platform))
        found.changed += [(str(recording), line) for line in forms.changed_lines(text, shown)]
    return found


def megabytes_a_second(*, secrets_too: bool = True) -> float:
    """Processor time on recordings, each eight times over; `secrets_too`: with one corpus line, of its platform."""
    known, engine = Profiles.load(None), redactor()
    texts = [
        (recording.path.read_text(encoding="utf-8", errors="replace"), known.get(recording.platform))
        for recording in (*ours(), *extra())
        if known.knows(recording.platform)
    ]
    secrets = [(form, have) for name in forms.platforms() if (have := profile(name)) for form in forms.written(name)]
    mix, size = [], 0
    while size < MIX_BYTES:
        for number, (text, have) in enumerate(texts):
            own = [form.text for form, its in secrets if its.name == have.name]
            mixed = text * 8 + (own[number % len(own)] if own and secrets_too else "")
            mix.append((mixed, have))
            size += len(mixed.encode())
    began = time.process_time()
    for text, have in mix:
        engine.text(text, have)
    return size / 1_000_000 / (time.process_time() - began)


def table(scores: Iterable[Score]) -> Iterator[str]:
    yield "| platform | forms by hand | lines measured | secrets | recall | found by hand | 5/7/8/9, ENC, $9$, PEM, "
    yield "communities | kept parts lost | near misses changed |\n|---|---|---|---|---|---|---|---|---|\n"
    for each in scores:
        hand = f"{each.hand_secrets - each.hand_missed}/{each.hand_secrets}"
        strict = f"{each.strict - len(each.strict_missed)}/{each.strict}"
        counts = f"{each.written} | {each.lines} | {each.secrets} | {each.recall:.2%}"
        near = f"{len(each.benign_changed)}/{each.benign}"
        yield f"| {each.platform} | {counts} | {hand} | {strict} | {len(each.lost)} | {near} |\n"


def unseen() -> list[Score]:
    """The set that was unseen when it was measured first, at commit f683285."""
    return [found for name in forms.platforms(forms.UNSEEN) if (found := score(name, forms.UNSEEN)) is not None]


def unseen_table(scores: Iterable[Score]) -> Iterator[str]:
    yield "| unseen when measured | forms | secrets | recall now | recall then |\n|---|---|---|---|---|\n"
    total, missed, then = 0, 0, 0
    for each in scores:
        total, missed, then = total + each.secrets, missed + len(each.missed), then + UNSEEN_FOUND[each.platform]
        share = f"{each.recall:.2%} | {UNSEEN_FOUND[each.platform] / each.secrets:.2%}"
        yield f"| {each.platform} | {each.written} | {each.secrets} | {share} |\n"
    yield f"| all | | {total} | {1 - missed / total:.2%} | {then / total:.2%} |\n"


def main() -> int:
    named = forms.platforms()
    scores = [found for found in map(score, named) if found is not None]
    print("".join(table(scores)))
    for name in sorted(set(named) - {each.platform for each in scores}):
        print(f"{name}: no profile, {len(forms.written(name))} forms not measured")
    missed, total = sum(len(each.missed) for each in scores), sum(each.secrets for each in scores)
    print(f"\nAll: {total - missed}/{total} secrets ({1 - missed / total:.2%}).")
    print("\n" + "".join(unseen_table(unseen())))
    for title, recordings in (("our recordings", list(ours())), ("NETSSH_EXTRA_RECORDINGS", list(extra()))):
        if recordings:
            found = captured(recordings)
            share = len(found.changed) / max(found.lines, 1)
            print(f"Changed lines, {title}: {len(found.changed)} of {found.lines} ({share:.3%}).")
            print(f"Recordings of platforms without a profile, not measured: {found.unknown}.")
    print(f"Speed: {megabytes_a_second():.1f} MB a second of processor time, on {MIX_BYTES / 1_000_000:.0f} MB.")
    if "--misses" in sys.argv[1:]:
        Path(sys.argv[sys.argv.index("--misses") + 1]).write_text(misses(scores), encoding="utf-8")
    return 0


def misses(scores: Iterable[Score]) -> str:
    """Everything that went wrong, for reading."""
    out = []
    for each in scores:
        out.append(f"##### {each.platform}: {len(each.missed)} missed of {each.secrets}\n")
        out += [
            f"MISSED {kind}: {secret}\n  in : {text!r}\n  out: {shown!r}\n" for secret, kind, text, shown in each.missed
        ]
        out += [f"LOST {kept}\n  in : {text!r}\n  out: {shown!r}\n" for kept, text, shown in each.lost]
        out += [f"BENIGN CHANGED {line!r}\n" for line in each.benign_changed]
    for title, recordings in (("ours", ours()), ("extra", extra())):
        out += [f"RECORDING {title} {name}: {line!r}\n" for name, line in captured(recordings).changed]
    return "".join(out)


if __name__ == "__main__":
    raise SystemExit(main())
