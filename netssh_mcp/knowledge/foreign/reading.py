"""The inventory in a file of another tool, by its form; and what form a file of no form looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign import ansible, containerlab, netbox, netmiko_tools, nornir
from netssh_mcp.knowledge.foreign.draft import Draft, Foreign
from netssh_mcp.knowledge.foreign.forms import Form, FormName

_READERS: Final[Mapping[FormName, Callable[[Draft], None]]] = {
    "nornir": nornir.read,
    "ansible": ansible.read,
    "containerlab": containerlab.read,
    "netmiko": netmiko_tools.read,
    "netbox": netbox.read,
}


def read(form: Form, path: Path, known: Mapping[str, str]) -> Foreign:
    """The inventory in the file; `known` maps every name of a platform to its own. InputError names the file."""
    found = _read(form, path, known)
    if isinstance(found, InputError):
        raise InputError(found.message, hint=found.hint)  # here, where no local holds what a file has in plain text
    return found


def _read(form: Form, path: Path, known: Mapping[str, str]) -> Foreign | InputError:
    draft = Draft(form, path, known)
    try:
        _READERS[form.name](draft)
        return draft.done()
    except InputError as error:
        return error
