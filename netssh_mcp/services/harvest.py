"""Compare a platform's table of commands with what a live device's own `?` lists. For the operator, never a tool.

The tables decide what an abbreviation may mean, so a word that a device knows and we do not is worth a look. Harvested
words have no class yet: the proposal puts them under `change`, which no reading tool may send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from netssh_mcp.errors import InputError
from netssh_mcp.guard.audit import Audit
from netssh_mcp.knowledge.inventory import InventorySource
from netssh_mcp.knowledge.profiles import Profile, Profiles
from netssh_mcp.model import READS, CommandClass
from netssh_mcp.sessions.pool import Pool
from netssh_mcp.wire.turn import Turn

# "  show   Show information", "> show  ...", "show ..." and a word alone; not arguments such as <1-9>, WORD, A.B.C.D.
_ENTRY = re.compile(r"(?:[>+*] | {0,6})([a-z0-9][a-z0-9_\-]{0,47})(?:[ \t]{1,}\S.*)?")
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One list of words: what the device has and the table lacks, and the other way round."""

    typed: str
    device: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one device's help said, beside its platform's table."""

    device: str
    platform: str
    lists: tuple[Compared, ...] = ()
    profile: Profile | None = field(default=None, repr=False)

    @property
    def agrees(self) -> bool:
        """Nothing is missing; words that this one device does not have may be another release's."""
        return not any(found.missing for found in self.lists)

    def report(self) -> str:
        """For people: counts, the differences, and the fragment of YAML that adds what is missing."""
        out = [f"{self.device} ({self.platform})"]
        for found in self.lists:
            what = found.typed.strip() or "first words"
            if not found.device:
                out.append(f"  {what}: the device's help lists nothing")
                continue
            known = "" if found.missing or found.extra else f": {', '.join(found.device)}"
            out.append(f"  {what}: the device lists {len(found.device)}{known}")
            out += [f"    missing in the table: {', '.join(found.missing)}"] if found.missing else []
            out += [f"    not on this device:   {', '.join(found.extra)}"] if found.extra else []
        return "\n".join([*out, self.proposal()]).rstrip()

    def facts(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "device": self.device,
            "platform": self.platform,
            "agrees": self.agrees,
            "lists": [asdict(found) for found in self.lists],
            "proposal": self.proposal(),
        }

    def proposal(self) -> str:
        """YAML for a profile of one's own; "" when nothing is missing."""
        assert self.profile is not None
        lines: list[str] = []
        first = next((found for found in self.lists if not found.typed), None)
        if first is not None and first.missing:
            commands = {kind: list(words) for kind, words in self.profile.commands.items()}
            commands.setdefault("change", []).extend(first.missing)
            lines += ["commands:  # the new words stand under `change` until you have looked at each"]
            lines += [f"  {kind}: [{_listed(words)}]" for kind, words in commands.items()]
        for found in self.lists:
            if found.typed.endswith("| ") and found.missing:
                lines.append("pipes:  # the new words are not in `safe` until you have looked at each")
                lines.append(f"  all: [{_listed(sorted({*self.profile.pipes.all, *found.missing}))}]")
        if not lines:
            return ""
        return "\n".join(
            [f"\n# For your own {self.platform}.yaml (--profiles DIR), copied from the shipped file:", *lines]
        )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(
        f'"{word}"' if word in {"no", "yes", "on", "off", "y", "n"} or word[0].isdigit() else word for word in words
    )


def words(text: str) -> tuple[str, ...]:
    """The keywords of a help text, in its order."""
    found = (_ENTRY.fullmatch(line.rstrip()) for line in text.splitlines() if not line.rstrip().endswith(":"))
    return tuple(dict.fromkeys(entry[1] for entry in found if entry))


def compared(profile: Profile, typed: str, text: str) -> Compared:
    """One help text beside the table that it should agree with."""
    device = words(text)
    table = _table(profile, typed)
    missing = tuple(word for word in device if word not in table) if table or not typed else ()
    extra = tuple(sorted(table - set(device))) if device else ()  # an empty answer says nothing of the words
    return Compared(typed, device, missing, extra)


def _table(profile: Profile, typed: str) -> set[str]:
    if typed.endswith("| "):
        return set(profile.pipes.all)
    above = typed.split()
    phrases = [phrase.split() for known in profile.commands.values() for phrase in known]
    return {words[len(above)] for words in phrases if words[: len(above)] == above and len(words) > len(above)}


class Harvester:
    """Asks devices for their help over the pool's sessions."""

    def __init__(self, *, inventory: InventorySource, profiles: Profiles, pool: Pool, audit: Audit) -> None:
        self._inventory = inventory
        self._profiles = profiles
        self._pool = pool
        self._audit = audit

    async def harvest(self, name: str, *, under: Sequence[str] = (), pipes: str = "show version") -> Harvest:
        """First words, the pipes behind `pipes` ("" for none), and the words behind each of `under`."""
        inventory = self._inventory.current()
        device = inventory.device(name)
        profile = self._profiles.get(device.platform)
        if profile.driver != "network":
            raise InputError(
                f"{profile.name} has no `?` to ask", device=name, hint="Its grammar is a list of argv patterns."
            )
        asked = ["", *(f"{' '.join(phrase.split())} " for phrase in under)]
        if pipes and profile.pipes.all:
            asked.append(f"{' '.join(pipes.split())} | ")
        for typed in asked:
            self._checked(profile, typed)
        hops = (*(inventory.device(hop) for hop in device.jump), device)
        turn, found = Turn(), []
        async with self._pool.lease(hops, profile, turn) as lease:
            for typed in asked:
                kind: CommandClass = "read"  # nothing is executed
                decision = self._audit.record_decision(
                    device=name,
                    command=f"{typed}?",
                    command_class=kind,
                    verdict="allow",
                    rule="harvest by the operator",
                )
                text = await lease.session.help(typed, timeout=_TIMEOUT, turn=turn, limiter=self._pool.threads)
                self._audit.record_outcome(decision, outcome="ok", received=len(text))
                found.append(compared(profile, typed, text))
        return Harvest(name, profile.name, tuple(found), profile)

    def _checked(self, profile: Profile, typed: str) -> None:
        """What stands in the device's line buffer is a read even if the line were ended by a broken link's editor."""
        first = typed.split()[:1]
        risky = {words.split()[0] for kind, known in profile.commands.items() if kind not in READS for words in known}
        if "|" in typed and first and first[0] in risky:
            raise InputError(f"pipes are asked for behind a read command, not behind {first[0]!r}")
