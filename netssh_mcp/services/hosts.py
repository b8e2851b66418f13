"""The `host` service: hosts that an agent may add where the operator lets it, and a login to see whether one works."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import anyio.to_thread

from netssh_mcp.errors import AuthenticationFailed, InputError, NetsshError, PolicyError
from netssh_mcp.knowledge.inventory import Device, Inventory
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.overlay import KEYS, MOST_BYTES, SECRET_KEYS, Overlay
from netssh_mcp.knowledge.overlay import Hosts as Entries
from netssh_mcp.knowledge.overrides import SECRETS, variable
from netssh_mcp.services.desk import Desk, Place
from netssh_mcp.sessions.trials import Trial, log_in
from netssh_mcp.wire.turn import Turn

Edit = Literal["add", "edit", "remove"]
_ALLOW: Final = "The operator allows it with --edit-hosts (NETSSH_EDIT_HOSTS=on), or adds the host to the inventory."
_DONE: Final = {"add": "added", "edit": "changed", "remove": "removed"}


class Hosts:
    """Edits the file of added hosts and nothing else; each edit is on record before it is done."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def act(self, action: str, name: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the `host` tool does. InputError, PolicyError; for `test` whatever a login raises."""
        given = dict(values or {})
        if action == "test":
            if given:
                raise InputError("`values` are for add and edit", hint="Edit the host first, then test it.")
            return await self._test(name)
        if action not in _DONE:
            raise InputError(f"no action {action!r}; {did_you_mean(action, (*_DONE, 'test'))}")
        edit: Edit = "add" if action == "add" else "edit" if action == "edit" else "remove"
        answer = await anyio.to_thread.run_sync(self._edit, edit, name, given, limiter=self._desk.pool.threads)
        if edit == "remove" and (left := self._desk.pool.forget(name)):
            answer["next"] = (
                f"{left} of its sessions are still open and end with their work; session(action='list') shows those "
                "that are kept, action='close' ends them."
            )
        return answer

    # -- the file ------------------------------------------------------------------------------------------------

    def _edit(self, action: Edit, name: str, values: dict[str, Any]) -> dict[str, Any]:
        desk, path = self._desk, self._desk.settings.edit_hosts
        line = f"host {action} {name[:128]} {_shown(values) if values else ''}".strip()
        decisions: list[str] = []
        try:
            if path is None:
                raise PolicyError("this server adds, edits and removes no hosts", hint=_ALLOW)
            overlay = Overlay(path)
            _sized(values)

            def change(hosts: Entries) -> None:
                _CHANGES[action](desk.inventory.current(), hosts, name, values)

            def check(new: Path) -> None:
                self._readable(new)
                decisions.append(self._allowed(name, line, path))

            overlay.edit(change, check)
        except NetsshError as error:
            if decisions:
                desk.audit.record_outcome(decisions[0], outcome="error", error=error.kind)
            else:
                desk.refused(name[:128], line, error)
            raise
        desk.audit.record_outcome(decisions[0], outcome="ok")
        return self._said(action, name, path)

    def _readable(self, new: Path) -> None:
        """The whole inventory as it would be, or InputError in the words of the file that is there now."""
        desk = self._desk
        try:
            desk.inventory.read(new)
        except InputError as error:
            text = re.sub(rf"{re.escape(str(new))}(?::[0-9]+: )?", "", error.message)
            kind = PolicyError if any(word in text for word in _FORBIDDEN) else InputError
            raise kind(
                f"nothing was changed: {text}", hint=f"Keys: {', '.join(KEYS)}. docs/inventory.md says what each takes."
            ) from error

    def _allowed(self, name: str, line: str, path: Path) -> str:
        return self._desk.audit.record_decision(
            device=name,
            command=self._desk.shown.line(line),
            command_class="change",
            verdict="allow",
            rule=f"edit_hosts: {path}",
        )

    def _said(self, action: Edit, name: str, path: Path) -> dict[str, Any]:
        inventory = self._desk.inventory.current()
        device = inventory.devices.get(name)
        answer: dict[str, Any] = {
            "device": name,
            "state": _DONE[action],
            "file": str(path),
            "problem": inventory.problem,
        }
        if device is None:
            return answer | {"next": ""}
        answer |= _facts(device)
        answer["next"] = _withheld(device) or f"host(action='test', name={name!r}) logs in and leaves."
        return answer

    # -- a login -------------------------------------------------------------------------------------------------

    async def _test(self, name: str) -> dict[str, Any]:
        desk = self._desk
        place = desk.place(name)
        grant = desk.permit(place, ("host", "test"), "read")
        async with desk.recorded(grant):
            try:
                trial = await log_in(desk.pool, place.hops, grant, Turn())
            except AuthenticationFailed as error:
                if why := _withheld(place.device):
                    error.hint = f"{why} {error.hint}"
                raise
        return _tested(place, trial)


def _tested(place: Place, trial: Trial) -> dict[str, Any]:
    return {
        "device": place.device.name,
        "state": "works",
        **_facts(place.device),
        "address": trial.address,
        "host_key": trial.host_key,
        "host_key_verdict": trial.verdict,
        "login_by": trial.method,
        "mode": trial.mode,
        "prompt_line": trial.prompt,
        **{f"{phase}_ms": round(1000 * seconds, 2) for phase, seconds in trial.seconds.items()},
        "next": _withheld(place.device),
    }


def _facts(device: Device) -> dict[str, Any]:
    return {
        "hostname": device.hostname,
        "port": device.port,
        "platform": device.platform,
        "username": device.username,
        "via": list(device.jump),
        "overridden": list(device.overridden),
        "withheld": list(device.withheld),
    }


def _withheld(device: Device) -> str:
    """What a host that the caller named does not get, and how the operator gives it."""
    if not device.withheld:
        return ""
    what = ", ".join(device.withheld)
    return (
        f"Not used for this host: {what}. No secret goes to an address that the operator did not write: they set "
        f"{variable(device.name, 'HOST')} with {variable(device.name, SECRETS[0])} (SUDO, ENABLE), or lists references "
        "under `unlisted: secrets` in the inventory."
    )


# -- what an edit makes of the file --------------------------------------------------------------------------------


def _add(inventory: Inventory, hosts: Entries, name: str, values: dict[str, Any]) -> None:
    taken = "an added host" if name in hosts else "the operator's own" if name in inventory.devices else ""
    if not taken and name in inventory.hops:
        taken = "a jump host of the ssh configuration"
    if taken:
        edit = " host(action='edit') changes it." if name in hosts else ""
        raise InputError(f"there is a host {name[:80]!r} already: {taken}", hint=f"Choose another name.{edit}")
    hosts[name] = {key: value for key, value in values.items() if value is not None}


def _change(inventory: Inventory, hosts: Entries, name: str, values: dict[str, Any]) -> None:
    own = _own(inventory, hosts, name)
    if not values:
        raise InputError("there is nothing to change", hint="Give `values`; null takes a key away.")
    merged = {**own, **values}
    hosts[name] = {key: value for key, value in merged.items() if value is not None}


def _remove(inventory: Inventory, hosts: Entries, name: str, values: dict[str, Any]) -> None:
    _own(inventory, hosts, name)
    if values:
        raise InputError("`values` are for add and edit", hint="Leave them out to remove the host.")
    del hosts[name]


def _own(inventory: Inventory, hosts: Entries, name: str) -> dict[str, Any]:
    if name in hosts:
        return hosts[name]
    if name in inventory.devices:
        raise PolicyError(
            f"{name[:80]!r} is in the operator's own inventory, which no tool changes", hint="Ask the operator."
        )
    raise InputError(f"there is no added host {name[:80]!r}; {did_you_mean(name[:80], hosts)}", hint="Add it first.")


_CHANGES: Final = {"add": _add, "edit": _change, "remove": _remove}
_FORBIDDEN: Final = ("is not for added hosts", "clear text", "is not open to added hosts", "own files are jump hosts")


def _sized(values: Mapping[str, Any]) -> None:
    if len(json.dumps(values)) > MOST_BYTES:
        raise InputError(f"`values` are longer than {MOST_BYTES} bytes", hint="Keep only what the host needs.")


def _shown(values: Mapping[str, Any]) -> str:
    """For the record: what stands in place of a secret may be one, so it is shown only as far as its kind goes."""
    seen = {
        key: f"{str(value).partition(':')[0][:16]}:..." if key in SECRET_KEYS and ":" in str(value) else value
        for key, value in values.items()
    }
    seen |= {key: "..." for key in SECRET_KEYS if key in values and ":" not in str(values[key])}
    return json.dumps({key: seen[key] for key in seen if key in KEYS}, default=str)[:2000]
