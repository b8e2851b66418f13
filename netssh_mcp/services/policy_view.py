"""What the operator's policy says, as rows: of each device, or of one command on each device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from netssh_mcp.errors import InputError
from netssh_mcp.guard.rules import Network, Rules, Terms
from netssh_mcp.guard.wall import Wall, unknown_words
from netssh_mcp.knowledge.inventory import Device, Inventory, InventorySource
from netssh_mcp.knowledge.profiles import Profiles
from netssh_mcp.model import CLASSES

TERMS = ("device", "classes", "allow", "deny", "limits", "rules")
VERDICTS = ("device", "verdict", "class", "canonical", "why", "rule", "hint")

Cells = list[object]


def fitting(inventory: InventorySource, profiles: Profiles) -> Callable[[Rules], Sequence[tuple[str, str]]]:
    """What `PolicySource` asks of rules that have just been read: entries that no platform of their devices knows."""

    def doubts(rules: Rules) -> Sequence[tuple[str, str]]:
        try:
            return unknown_words(rules, inventory.current(), profiles.get)
        except InputError:  # no inventory yet, or a broken one: its own error is said where it is needed
            return ()

    return doubts


def terms_rows(wall: Wall, inventory: Inventory, devices: Sequence[Device]) -> list[Cells]:
    """One row of `TERMS` per device."""
    return [_terms(device, wall.terms(inventory, device)) for device in devices]


def verdict_rows(
    wall: Wall, profiles: Profiles, inventory: Inventory, devices: Sequence[Device], command: str
) -> list[Cells]:
    """One row of `VERDICTS` per device; nothing is sent and nothing is counted."""
    rows: list[Cells] = []
    for device in devices:
        found = wall.explain(inventory, device, profiles.get(device.platform), command)
        verdict = "allow" if found.allowed else "deny"
        kind = found.command_class
        rows.append([device.name, verdict, kind, found.canonical, found.why, found.place, found.hint])
    return rows


def _terms(device: Device, terms: Terms) -> Cells:
    never = [f"{entry.text} (always)" for entry in terms.never.entries]
    return [
        device.name,
        [kind for kind in CLASSES if kind in terms.classes and not (kind == "secret-read" and terms.secret_by)],
        [entry.text for entry in terms.allowed.entries],
        never + [entry.text for entry in terms.denied.entries],
        list(_limits(terms)),
        list(terms.places) or [terms.classes_by],
    ]


def _limits(terms: Terms) -> Iterator[str]:
    for counted in terms.rates:
        yield f"rate {counted.rate.text}{'' if counted.key[1] == 'device' else ' for all devices of its rule'}"
    if terms.max_seconds != float("inf"):
        yield f"max_seconds {terms.max_seconds:g}"
    yield from (f"hours {hours}" for hours, _ in terms.hours)
    yield from (f"networks {_joined(networks)}" for networks, _ in terms.networks)
    yield from (f"destinations {_joined(networks)}" for networks, _ in terms.destinations)
    for reach in (terms.forward_to, terms.forward_here):
        if reach.spots is not None:
            yield f"{reach.key} {' '.join(spot.text for spot in reach.spots) or 'nothing'}"
    if terms.forward_bind == "any":
        yield "forward_bind any"
    yield from (f"max_{what} {most} in a call" for what, most in terms.per_call)
    if terms.reveal:
        yield "reveal: a person at the command line may see what is hidden"


def _joined(networks: Sequence[Network]) -> str:
    return " ".join(str(network) for network in networks)
