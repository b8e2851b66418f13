"""No account gets locked by us: a credential that two devices in a row have refused is tried on no third one.
And no device is worn out by logins: so many may begin in a minute.

A credential is what it is worth, not where it comes from: two references with the same value are one. It counts as
wrong until a device has taken it, so no more devices try it at once than may still refuse it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from netssh_mcp.errors import AuthenticationFailed, ConnectError, CredentialStopped
from netssh_mcp.guard.limits import Clock, Counters, Rate
from netssh_mcp.knowledge.inventory import Device

MOST_REFUSALS = 2
_STOPPED = 900.0  # seconds; lockout windows of AAA servers are 5 to 30 minutes
_SURE = 60.0  # seconds for which a device that took it vouches for it to all: passwords are changed behind our back
_DOUBTED = 60.0  # seconds for one that had worked: then these devices are the odd ones
_LOOK = 0.1  # seconds between looks whether the login was given up; a turn that comes free wakes at once


@dataclass(slots=True)
class _Known:
    """What the devices of this process have said to one credential."""

    proven: bool = False
    sure_until: float = 0.0
    refused_by: list[str] = field(default_factory=list)  # in a row: emptied by a device that takes it
    trying: int = 0
    stopped_until: float = 0.0
    taken_by: set[str] = field(default_factory=set)
    refused_at: dict[Device, float] = field(default_factory=dict)

    def stopped(self, now: float) -> bool:
        return len(self.refused_by) >= MOST_REFUSALS and now < self.stopped_until

    def refused_here(self, device: Device, now: float) -> bool:
        return device in self.refused_at and now - self.refused_at[device] < _STOPPED

    def free(self, device: str, now: float) -> bool:
        """Whether this device may try it now. One that had taken it may in any case, but alone."""
        sure = now < self.sure_until and not self.refused_by
        again = device in self.taken_by and not self.trying
        return sure or again or self.trying + len(self.refused_by) < MOST_REFUSALS


@dataclass(slots=True)
class Trial:
    """One try. `taken` stays None where the device said neither yes nor no."""

    taken: bool | None = None


class Breaker:
    """One for all logins of a process; every method may be called from any thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._logins = Counters(clock or Clock())
        self._key = secrets.token_bytes(32)
        self._changed = threading.Condition()
        self._known: dict[bytes, _Known] = {}
        self._preferred: dict[str, Device] = {}

    def identity(self, *parts: str | bytes) -> bytes:
        """Tells two credentials apart and says nothing else of them."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return digest.digest()

    def admit(self, device: Device) -> None:
        """One more login to this device begins now. ConnectError where its `login_rate` is used up."""
        rate = Rate(device.login_rate, 60.0)
        # The operator's hosts by name. Of the others the address counts, whatever they are called and whoever logs in:
        # names cost a caller nothing. Behind another jump host an address is another host.
        key = (device.jump, device.hostname, device.port) if device.unlisted else (device.name,)
        with self._changed:
            wait = self._logins.wait(key, rate)
            if not wait:
                self._logins.count([key])
                return
        raise ConnectError(
            f"no login was tried: {rate.count} have begun within a minute, which is this host's `login_rate`; the next "
            f"may in {math.ceil(wait)} s",
            device=device.name,
            retryable=True,
            hint="Use open sessions: several commands in one call, run(session=...) for what belongs together. Only "
            "the operator raises `login_rate`.",
        )

    def in_order(self, device: Device) -> tuple[Device, ...]:
        """The device's credential sets, the one that it has taken before first."""
        sets = device.sets()
        taken = self._preferred.get(device.name)
        return (taken, *(each for each in sets if each != taken)) if taken in sets else sets

    def prefer(self, device: Device, taken: Device) -> None:
        """The device has taken this one of its sets."""
        self._preferred[device.name] = taken

    def refuse_stopped(self, device: Device, identity: bytes, what: str) -> None:
        """CredentialStopped if it is not to be tried there now."""
        with self._changed:
            known = self._known.get(identity)
            if known is not None:
                _refuse(device, known, what, time.monotonic())

    def may_refuse(self, device: Device) -> bool:
        """Whether it is worth asking `refuse_stopped`, which needs the credential's value."""
        with self._changed:
            now = time.monotonic()
            return any(known.stopped(now) or known.refused_here(device, now) for known in self._known.values())

    @contextlib.contextmanager
    def trial(
        self, device: Device, identity: bytes, what: str, *, deadline: float, given_up: Callable[[], bool]
    ) -> Iterator[Trial]:
        """Around one try, whose `taken` says what the device made of it.

        Waits until this device may try; CredentialStopped when it may not, ConnectError when there is no time left.
        """
        known = self._enter(device, identity, what, deadline, given_up)
        trial = Trial()
        try:
            yield trial
        finally:
            self._leave(device, known, trial.taken)

    def _enter(
        self, device: Device, identity: bytes, what: str, deadline: float, given_up: Callable[[], bool]
    ) -> _Known:
        with self._changed:
            known = self._known.setdefault(identity, _Known())
            while True:
                now = time.monotonic()
                _refuse(device, known, what, now)
                if len(known.refused_by) >= MOST_REFUSALS and not known.stopped(now):
                    known.refused_by = known.refused_by[-1:]  # the time is over: one may try, and one refusal stops it
                if known.free(device.name, now):
                    known.trying += 1
                    return known
                if given_up() or now >= deadline:
                    raise ConnectError(
                        f"not tried yet: other devices have not answered to {what} so far",
                        device=device.name,
                        retryable=True,
                        hint="A credential that has not worked yet is tried on two devices at a time. Try again.",
                    )
                self._changed.wait(min(_LOOK, deadline - now))

    def _leave(self, device: Device, known: _Known, taken: bool | None) -> None:
        with self._changed:
            known.trying -= 1
            if taken:
                known.proven, known.refused_by = True, []
                known.sure_until = time.monotonic() + _SURE
                known.taken_by.add(device.name)
                known.refused_at.pop(device, None)
            elif taken is False:
                if device.name in known.taken_by:
                    known.taken_by.clear()  # it was changed, then: nobody's yes of before counts any longer
                known.refused_at[device] = time.monotonic()
                known.refused_by = [name for name in known.refused_by if name != device.name] + [device.name]
                if len(known.refused_by) >= MOST_REFUSALS:
                    known.stopped_until = time.monotonic() + (_DOUBTED if known.proven else _STOPPED)
                    known.proven = False
            self._changed.notify_all()


def _refuse(device: Device, known: _Known, what: str, now: float) -> None:
    if known.refused_here(device, now):
        since = known.refused_at[device]
        raise AuthenticationFailed(
            f"{what} was not tried again: it was refused {max(1, round((now - since) / 60))} min ago",
            device=device.name,
            hint="Correct the credentials in the inventory or where they refer to (that lifts this at once), or wait "
            f"{max(1, round((_STOPPED - now + since) / 60))} min; trying on would lock the account.",
        )
    if device.name not in known.taken_by and known.stopped(now):
        raise _stopped(device, known, what)


def _stopped(device: Device, known: _Known, what: str) -> CredentialStopped:
    names = " and ".join(known.refused_by[-MOST_REFUSALS:])
    left = max(1, round((known.stopped_until - time.monotonic()) / 60))
    return CredentialStopped(
        f"{what} was not tried here: {names} refused the same one, and trying on would lock the account",
        device=device.name,
        hint="Correct it in the inventory or where it refers to (that lifts this at once), give hosts that differ "
        f"their own `credentials`, or wait {left} min.",
    )
