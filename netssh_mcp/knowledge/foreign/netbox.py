"""NetBox's devices or virtual machines, as `/api/dcim/devices/` gives them, from a file. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping

from netssh_mcp.knowledge.foreign import json_files
from netssh_mcp.knowledge.foreign.draft import Draft, mapping, text
from netssh_mcp.knowledge.foreign.platforms import MAKERS

_PLACES = ("site", "location", "rack", "tenant", "cluster", "region")


def read(draft: Draft) -> None:
    """Every device that has a name, a primary address and a platform."""
    content = draft.read(draft.path, json_files.read).content
    devices = content.get("results") if isinstance(content, Mapping) else content
    if not isinstance(devices, list):
        raise draft.wrong("this is no list of devices as NetBox's /api/dcim/devices/ gives it")
    if isinstance(content, Mapping) and content.get("next"):
        draft.note(
            f"it has {len(devices)} of {content.get('count')} devices; export the others too (?limit=0&offset=...)"
        )
    seen: set[str] = set()
    for each in devices:
        device = mapping(each)
        name = text(device.get("name"))
        if name is None:
            draft.note("devices without a name are left out")
        elif name in seen:
            draft.note("left out: the name is there already, at another device", name)
        else:
            seen.add(name)
            _host(draft, name, device)


def _host(draft: Draft, name: str, device: Mapping[str, object]) -> None:
    address = next(
        (found for key in ("primary_ip", "primary_ip4", "primary_ip6") if (found := _address(device, key))), ""
    )
    if not address:
        draft.note("left out: NetBox has no primary address for it", name)
        return
    kind = mapping(device.get("device_type"))
    maker = _slug(kind.get("manufacturer"))
    platform = draft.platform(_slug(device.get("platform")) or MAKERS.get(maker or ""), name)
    if platform:
        data = _data(draft, device, maker, _slug(kind, "model"))
        draft.host(name, {"hostname": address, "platform": platform, "data": data})


def _data(draft: Draft, device: Mapping[str, object], maker: str | None, model: str | None) -> dict[str, object]:
    tags = device.get("tags")
    found: dict[str, object] = {
        **{key: _slug(device.get(key)) for key in _PLACES},
        "role": _slug(device.get("role")) or _slug(device.get("device_role")),  # device_role: until NetBox 3.6
        "status": _slug(device.get("status")),
        "manufacturer": maker,
        "model": model,
        "tags": [slug for tag in tags if (slug := _slug(tag))] if isinstance(tags, list) else None,
    }
    own = {key: value for key, value in found.items() if value}
    return {**draft.facts(device.get("custom_fields")), **own}


def _slug(value: object, *first: str) -> str | None:
    """An object of NetBox's by its slug, a choice by its value; both may be plain text in other exports."""
    if isinstance(value, Mapping):
        return next((found for key in (*first, "slug", "value", "name") if (found := text(value.get(key)))), None)
    return text(value)


def _address(device: Mapping[str, object], key: str) -> str:
    value = device.get(key)
    written = value.get("address") if isinstance(value, Mapping) else value
    return written.partition("/")[0] if isinstance(written, str) else ""
