"""The `forward` service: port forwards through Linux hosts, with limits, counters and a record of each."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

from netssh_mcp.errors import CommandDenied, InputError, NetsshError, Unreachable
from netssh_mcp.guard.addresses import literal
from netssh_mcp.guard.destinations import ANY, Destination, destination
from netssh_mcp.guard.policy import Grant
from netssh_mcp.services.desk import Desk, Place
from netssh_mcp.services.given import fitting
from netssh_mcp.sessions import forwards as floor
from netssh_mcp.wire.forward_plan import Judge, Kind, Plan

if TYPE_CHECKING:
    from netssh_mcp.wire.forwarding import Forward

_log = logging.getLogger(__name__)

MOST_OF_A_DEVICE: Final = 16
MOST: Final = 64
LONGEST: Final = 86_400.0  # seconds
KEPT: Final = 600.0  # seconds that an ended one is still listed
_MOST_ENDED: Final = 50
_REMEMBERED: Final = 1_000  # destinations of one forward that are on record already
COLUMNS: Final = (
    *("forward_id", "device", "kind", "listen", "destination", "state", "age", "expires_in", "idle"),
    *("open", "connections", "refused", "bytes_sent", "bytes_received", "last_error", "reason"),
)


@dataclass(slots=True)
class _Seen:
    """What of one forward's destinations is on record, so that a client that insists does not fill the file."""

    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def first(self, known: set[str], where: str) -> bool:
        if where in known:
            return False
        if len(known) < _REMEMBERED:
            known.add(where)
        return True


class Forwards:
    """All port forwards of one process. They end with their connection, their lifetime, or the App."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = itertools.count(1)
        self._forwards: dict[str, Forward] = {}  # ended ones, too, for a while; in the order they were opened
        self._opening: dict[str, str] = {}  # name and device of those that are being opened
        self._closing = False

    async def act(
        self,
        action: str,
        *,
        device: str = "",
        kind: str = "local",
        host: str = "",
        port: int = 0,
        listen: int = 0,
        bind: str = "127.0.0.1",
        lifetime: float = 3600.0,
        forward_id: str = "",
    ) -> dict[str, Any]:
        """What the `forward` tool does."""
        to_where = {"kind": kind, "host": host, "port": port, "listen": listen, "bind": bind, "lifetime": lifetime}
        fitting("forward", action, device=device, forward_id=forward_id, **to_where)
        if action == "list":
            return self._listed(device)
        if action == "close":
            return await self._close(forward_id)
        if action != "open" or kind not in ("local", "remote", "dynamic"):
            raise InputError(f"there is no {action} {kind}", hint="Actions: open, list, close.")
        place = self._place(device)
        if not 1.0 <= lifetime <= LONGEST:
            raise InputError(f"a lifetime of {lifetime:g} s", hint=f"Give `lifetime` from 1 to {LONGEST:.0f} seconds.")
        way = cast("Kind", kind)
        to = _destination(way, host, port)
        grant = self._desk.permit(place, ("forward", kind, str(to) if to else ANY), "change")
        address = self._bound(place, bind, grant)
        return await self._open(place, grant, kind=way, to=to, bind=address, listen=listen, lifetime=lifetime)

    def count(self, device: str) -> int:
        """Forwards of this device that are open."""
        return sum(each.alive and each.device == device for each in self._forwards.values())

    def rows(self, device: str = "") -> list[dict[str, Any]]:
        """One per forward, those that ended by themselves in the last ten minutes included; keys are COLUMNS."""
        self._forget()
        return [_row(each) for each in self._forwards.values() if device in ("", each.device)]

    async def close_all(self, device: str = "", reason: str = "closed") -> int:
        """End all forwards, or all of one device. How many were open."""
        found = [each for each in self._forwards.values() if each.alive and device in ("", each.device)]
        await floor.closed(found, reason)
        for each in found:
            self._forwards.pop(each.plan.name, None)
        return len(found)

    async def aclose(self) -> None:
        """At the App's end."""
        self._closing = True
        await floor.closed(list(self._forwards.values()), "the server ended")

    # -- open ------------------------------------------------------------------------------------------------------

    def _place(self, device: str) -> Place:
        if not device:
            raise InputError("no device is given", hint="Give `device`, a Linux host; `list_devices` has the names.")
        place = self._desk.place(device)
        if not place.linux:
            raise InputError(
                f"{device} is a {place.profile.name} device; forwards go through Linux hosts only, over the connection "
                "that their sessions share, and network devices forward nothing",
                device=device,
                hint="Take a Linux host that reaches the destination, for example the device's jump host.",
            )
        return place

    def _bound(self, place: Place, bind: str, grant: Grant) -> str:
        """The address to listen on. InputError, CommandDenied."""
        found = literal("127.0.0.1" if bind == "localhost" else bind)
        if found is None:
            raise InputError(f"{bind[:60]!r} is no address", hint="Give `bind` as an address: 127.0.0.1, ::1, 0.0.0.0.")
        terms = self._desk.wall.terms(place.inventory, place.device)
        if not found.is_loopback and terms.forward_bind != "any":
            error = CommandDenied(
                f"a forward that listens on {found} is open to others than this machine's users, and no rule allows it",
                device=place.device.name,
                hint="Leave `bind` at 127.0.0.1, or the operator's policy has to say `forward_bind: any`.",
            )
            self._desk.refused(place.device.name, f"{grant.line} bind {found}", error)
            raise error
        return str(found)

    def _room(self, device: str) -> None:
        opening = list(self._opening.values())
        here = self.count(device) + opening.count(device)
        every = sum(each.alive for each in self._forwards.values()) + len(opening)
        if self._closing:
            raise InputError("the server is closing")
        if here >= MOST_OF_A_DEVICE or every >= MOST:
            which = f"{MOST_OF_A_DEVICE} forwards of one device" if here >= MOST_OF_A_DEVICE else f"{MOST} forwards"
            raise InputError(f"{which} are the most", device=device, hint="Close one: forward(action='list') has them.")

    async def _open(
        self,
        place: Place,
        grant: Grant,
        *,
        kind: Kind,
        to: Destination | None,
        bind: str,
        listen: int,
        lifetime: float,
    ) -> dict[str, Any]:
        device = place.device.name
        self._room(device)
        name = f"f{next(self._numbers)}"
        self._opening[name] = device
        try:
            async with self._desk.recorded(grant, forward=name, listen=_joined(bind, listen)):
                reach = await self._reach(place, to) if kind == "remote" and to else ()
                host, port = (to.host, to.port) if to else ("", 0)
                plan = Plan(name, kind, bind, listen, host, port, lifetime, reach)
                judge = self._judge(place, kind)
                forward = await floor.opened(
                    grant, self._desk.pool, place.hops, plan=plan, judge=judge, ended=self._ended
                )
                self._forwards[name] = forward
        finally:
            del self._opening[name]
        if self._closing:
            await floor.closed([forward], "the server ended")
        self._event("forward_opened", forward)
        return _opened(forward)

    async def _reach(self, place: Place, to: Destination) -> tuple[tuple[str, int], ...]:
        """Where a remote forward connects here. A name is resolved once, so that no later answer leads elsewhere."""
        if to.address is not None:
            return ((to.host, to.port),)
        found = await floor.resolved(to.host, to.port, self._desk.pool)
        if not found:
            raise Unreachable(
                f"the name {to.host} does not resolve on this machine",
                device=place.device.name,
                hint="A remote forward leads from the host to here: give a name or address that this machine knows.",
            )
        terms = self._desk.wall.terms(place.inventory, place.device)
        for host, port in found:
            address = destination(host, port)
            refused = terms.forward_here.refusal(str(address)) if address.kind not in ("", to.kind) else None
            if refused:
                error = CommandDenied(f"{to.host}: {refused[0]}", device=place.device.name, hint=refused[2])
                self._desk.refused(place.device.name, f"forward remote {to} to {address}", error)
                raise error
        return found

    def _judge(self, place: Place, kind: Kind) -> Judge:
        """Asked in the forward's thread for each connection, by the policy as it is then."""
        desk, seen = self._desk, _Seen()

        def judge(host: str, port: int) -> str:
            where = f"{host[:80]}:{port}"
            try:
                to = destination(host, port)
                words = ("forward", kind, str(to))
                grant = desk.wall.decide_action(place.inventory, place.device, place.profile, words, "change")
                if kind == "dynamic" and seen.first(seen.allowed, str(to)):
                    desk.allowed(grant)
            except NetsshError as error:
                if seen.first(seen.denied, where):
                    desk.refused(place.device.name, f"forward {kind} {where}", error)
                raise
            return to.host

        return judge

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _close(self, forward_id: str) -> dict[str, Any]:
        forward = self._forwards.get(forward_id)
        if forward is None:
            names = [name for name, each in self._forwards.items() if each.alive]
            raise InputError(
                f"there is no forward {forward_id[:40]!r}",
                hint=f"Open: {', '.join(names) or 'none'}.",
            )
        await floor.closed([forward], "closed")
        self._forwards.pop(forward_id, None)  # who closes it has its figures here
        return {"action": "close", **_row(forward)}

    def _ended(self, forward: Forward) -> None:
        """In the forward's thread."""
        self._event("forward_closed", forward)

    def _event(self, event: str, forward: Forward) -> None:
        facts = {key: str(value) for key, value in _row(forward).items() if key in _ON_RECORD}
        try:
            self._desk.audit.record_event(event, **facts)
        except NetsshError as error:  # it is open, or has ended, whatever the file says
            _log.warning("%s", error)

    def _listed(self, device: str) -> dict[str, Any]:
        if device:
            self._desk.place(device)
        rows = self.rows(device)
        answer: dict[str, Any] = {
            "action": "list",
            "columns": list(COLUMNS),
            "rows": [[row.get(column, "") for column in COLUMNS] for row in rows],
        }
        if not rows:
            answer["next"] = "None is open. forward(action='open', device=..., host=..., port=...) opens one."
        return answer

    def _forget(self) -> None:
        """Ended ones that were listed for long enough."""
        ended = [name for name, each in self._forwards.items() if each.ended_at]
        now = time.monotonic()
        for number, name in enumerate(ended):
            if now - self._forwards[name].ended_at > KEPT or number < len(ended) - _MOST_ENDED:
                del self._forwards[name]


_ON_RECORD: Final = frozenset(
    {"forward_id", "device", "kind", "listen", "destination", "connections", "refused", "reason", "age"}
    | {"bytes_sent", "bytes_received"}
)


def _destination(kind: Kind, host: str, port: int) -> Destination | None:
    if kind != "dynamic":
        if not host:
            raise InputError("no host is given", hint="Give `host` and `port`: where the forward leads to.")
        return destination(host, port)
    if host or port:
        raise InputError(
            "a dynamic forward has no destination", hint="Leave `host` and `port` out: each SOCKS client names its own."
        )
    return None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _row(forward: Forward) -> dict[str, Any]:
    """What is known of it now; seconds and bytes."""
    now = forward.ended_at or time.monotonic()
    plan, counters = forward.plan, forward.counters
    alive = forward.alive
    return {
        "forward_id": plan.name,
        "device": forward.device,
        "kind": plan.kind,
        "listen": _joined(plan.bind, forward.listen),
        "destination": _joined(plan.host, plan.port) if plan.host else "SOCKS",
        "state": "open" if alive else "ended",
        "age": round(now - forward.opened_at),
        "expires_in": max(0, round(forward.expires_at - now)) if alive else 0,
        "idle": round(now - counters.used_at),
        "open": counters.open if alive else 0,
        "connections": counters.total,
        "refused": counters.refused,
        "bytes_sent": counters.sent,
        "bytes_received": counters.received,
        "last_error": counters.last_error,
        "reason": forward.why,
    }


def _opened(forward: Forward) -> dict[str, Any]:
    row = _row(forward)
    plan = forward.plan
    facts = ("forward_id", "device", "kind", "listen", "destination", "state", "expires_in")
    answer: dict[str, Any] = {"action": "open", **{key: row[key] for key in facts}}
    here, there = row["listen"], row["destination"]
    if plan.kind == "remote":
        answer["note"] = (
            f"Where sshd_config on {forward.device} has GatewayPorts `yes`, it listens on all addresses there, "
            "whatever is asked for; with `no` on loopback."
        )
        use = f"Clients on {forward.device} connect to {here} and reach {there} from this machine."
    elif plan.kind == "dynamic":
        use = f"Use {here} on this machine as SOCKS5 proxy that resolves names itself (curl --socks5-hostname)."
    else:
        use = f"Connect to {here} on this machine to reach {there} from {forward.device}."
    answer["next"] = f"{use} forward(action='close', forward_id='{plan.name}') ends it."
    if not ip_address(plan.bind).is_loopback and plan.kind != "remote":
        answer["note"] = f"It listens on {plan.bind}: others than this machine's users can use it."
    return answer
