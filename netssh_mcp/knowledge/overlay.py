"""Hosts that no file of the operator names: what they may use, and the file where the `host` tool keeps added ones.

The file is an inventory with nothing but `hosts`, mode 0600, replaced in one step. Who edits it holds its lock, so what
several processes do at the same time is all there afterwards.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.file_lock import alone
from netssh_mcp.knowledge.secrets import Secret

Hosts = dict[str, dict[str, Any]]

MOST_HOSTS: Final = 1000
MOST_BYTES: Final = 16_384  # of one host's values, as JSON
SECRET_KEYS: Final = ("password", "enable", "sudo", "key_passphrase")
SENT: Final = ("password", "enable", "sudo")  # what a host gets to see; a passphrase stays here
KEYS: Final = (
    *("hostname", "port", "platform", "username", "groups", "data", *SECRET_KEYS, "key_file", "certificate", "agent"),
    *("jump", "connect_timeout", "timeout", "keepalive", "idle_timeout", "max_sessions"),
)
_NEVER: Final = {
    "host_key": "a person who has compared the fingerprint vouches for a host's key, in known_hosts or the inventory",
    "host_keys": "how host keys are checked is the operator's to say",
    "legacy": "old algorithms are the operator's to allow",
    "login_rate": "how often a device may be logged in to is the operator's to say",
    "transport": "Telnet shows passwords to everybody on the way, so it is the operator's to allow",
    "credentials": "give one way to log in",
    "ssh_config": "the host is looked up in ssh_config by its own name only",
}
_KINDS: Final = ("env:", "stored:", "keyring:")
_LOCK_SECONDS: Final = 20.0  # a writer holds the lock for as long as the inventory takes to be read
_HEAD: Final = "# Written by netssh-mcp: hosts that were added with the `host` tool. It is read as an inventory.\n"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What such hosts may use, as the operator's files say: patterns of references, groups; key files named there."""

    secrets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    key_files: frozenset[Path] = frozenset()

    def permits(self, secret: Secret) -> bool:
        """Whether the value may be sent to an address that the operator did not write."""
        if secret.kind in ("cmd", "plain", "netmiko"):  # their reference does not say which of several it is
            return False
        return self._listed(secret.reference)

    def _listed(self, reference: str) -> bool:
        return any(fnmatchcase(reference, pattern) for pattern in self.secrets)

    def refusals(self, values: Mapping[str, object], folder: Path) -> Iterator[tuple[str, str]]:
        """Keys of an added host that may not stand there, each with why; no value is quoted that may be a secret."""
        for key, value in values.items():
            if key in _NEVER and not (key == "host_keys" and value == "strict"):
                yield key, f"is not for added hosts: {_NEVER[key]}"
            elif key in SECRET_KEYS and value not in ("", None):
                if why := self._refused(value):
                    yield key, why
            elif key in ("key_file", "certificate"):
                if any(not self._named(path, folder) for path in (value if isinstance(value, list) else [value])):
                    yield key, "only files that the operator's inventory names may be given, or NETSSH_<ALIAS>_KEY set"
            elif key == "groups" and isinstance(value, list):
                wrong = [str(group) for group in value if group not in self.groups]
                if wrong:
                    allowed = ", ".join(self.groups) or "none"
                    yield key, f"{wrong[0][:80]!r} is not open to added hosts; `unlisted: groups` allows: {allowed}"

    def _refused(self, value: object) -> str:
        if not isinstance(value, str) or not value.startswith(_KINDS):
            return (
                "must be a reference env:NAME, stored:NAME or keyring:service/user; clear text, files and programs are "
                "refused here"
            )
        if not self._listed(value):
            return (
                "this reference is not open to added hosts: the operator lists it under `unlisted: secrets` in the "
                "inventory, or sets NETSSH_<ALIAS>_HOST together with NETSSH_<ALIAS>_PASSWORD (SUDO, ENABLE)"
            )
        return ""

    def _named(self, written: object, folder: Path) -> bool:
        return isinstance(written, str) and folder / os.path.expanduser(written) in self.key_files  # noqa: PTH111


class Overlay:
    """The file. Everything here blocks."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # a link stays one

    def hosts(self) -> Hosts:
        """What it has now; {} where it is not there. InputError: it cannot be read."""
        if not self.path.exists():
            return {}
        from netssh_mcp.knowledge.yaml_lines import read  # noqa: PLC0415 - yaml is not needed before

        content = read(self.path).content
        hosts = content.get("hosts") if isinstance(content, dict) else None
        if content is not None and not isinstance(hosts, dict | None):
            raise InputError(f"{self.path} is no file of added hosts", hint="Correct it, or move it away.")
        return {str(name): dict(values or {}) for name, values in (hosts or {}).items()}

    def edit(self, change: Callable[[Hosts], None], check: Callable[[Path], None]) -> None:
        """Change the hosts in place, nobody else writing meanwhile. `check` gets the new file before it is the file.

        What either raises leaves everything as it was. InputError: it cannot be written.
        """
        try:
            with alone(self.path.with_name(f".{self.path.name}.lock"), _LOCK_SECONDS):
                hosts = self.hosts()
                change(hosts)
                if len(hosts) > MOST_HOSTS:
                    raise InputError(f"{MOST_HOSTS} hosts can be added, not more", hint="Remove some first.")
                self._replace(hosts, check)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror or type(error).__name__}); nothing was changed",
                hint="The operator makes its folder one that the server may write, or gives another --edit-hosts=FILE.",
            ) from error

    def _replace(self, hosts: Hosts, check: Callable[[Path], None]) -> None:
        import yaml  # noqa: PLC0415 - as above

        text = _HEAD + yaml.safe_dump({"hosts": hosts}, sort_keys=False, allow_unicode=True)
        new = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            check(new)
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
