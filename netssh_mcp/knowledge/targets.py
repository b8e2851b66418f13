"""Targets written as `user@host`, `user@host:port`, `user@[v6]:port` or `platform/user@host`: listed ones, and others.

Where exactly one device of the inventory has that user, host and port, it is meant. Else a device is made on the fly,
if the operator allows that.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import InputError

if TYPE_CHECKING:
    from netssh_mcp.knowledge.inventory import Device, Inventory

_FORM: Final = re.compile(
    r"(?:(?P<platform>[a-z][a-z0-9_]*)/)?(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*)@"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*))(?::(?P<port>[0-9]+))?"
)
LINUX: Final = "linux"  # what a target is that names no platform
_HINT: Final = (
    "Only hosts of the inventory are reached, unless the operator allows others: --ad-hoc, or NETSSH_AD_HOC=on. "
    "`list_devices` shows those that there are."
)


@dataclass(frozen=True, slots=True)
class Target:
    """A target as written. `platform` "" and `port` 0 were not."""

    user: str
    host: str
    port: int = 0
    platform: str = ""

    @property
    def name(self) -> str:
        """The one spelling: `user@host`, with the port where it is not 22, and the platform where it is not linux."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port not in (0, 22) else ""
        platform = f"{self.platform}/" if self.platform not in ("", LINUX) else ""
        return f"{platform}{self.user}@{host}{port}"


def parse(text: str) -> Target | None:
    """The target, or None where the text has another form. InputError: a port or an address that cannot be."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"][:6]) if found["port"] else 0
    if found["port"] and not 1 <= port <= 65535:
        raise InputError(f"{text[:80]!r}: a port is a number from 1 to 65535", hint="Leave it out for 22.")
    return Target(found["user"], _host(found["v6"] or found["host"], text), port, found["platform"] or "")


def find(inventory: Inventory, text: str) -> Device | None:
    """The device that `user@host` means; None where the text has another form. InputError: none, or several."""
    target = parse(text)
    if target is None:
        return None
    listed = [device for device in inventory.devices.values() if _is(device, target)]
    if len(listed) == 1:
        return listed[0]
    if listed:
        names = ", ".join(device.name for device in listed[:6])
        raise InputError(f"{text[:80]!r} is several devices of the inventory: {names}", hint="Name the one you mean.")
    if inventory.ad_hoc is None:
        raise InputError(f"no device of the inventory is {text[:80]!r}", hint=_HINT)
    return inventory.ad_hoc(target)


def _host(written: str, text: str) -> str:
    if ":" in written:
        try:
            return str(IPv6Address(written))
        except ValueError:
            raise InputError(f"{text[:80]!r}: there is no IPv6 address in the brackets", hint="user@[::1]:22") from None
    return written.lower()


def _is(device: Device, target: Target) -> bool:
    if device.username != target.user or target.platform not in ("", device.platform):
        return False
    if device.name.lower() == target.host and target.port in (0, device.port):
        return True
    return device.port == (target.port or 22) and _same(device.hostname, target.host)


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(one) == ip_address(other)
    return one.lower() == other
