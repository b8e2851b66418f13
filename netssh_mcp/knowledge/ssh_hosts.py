"""What ssh_config says about the hosts of the inventory and the jump hosts on the way to them.

Values of the inventory win. Nothing in ssh_config makes a check weaker than the server's; what it says in vain is kept
in `doubts`, for `netssh-mcp inventory check`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.inventory import ProxyCommand
from netssh_mcp.knowledge.ssh_config import SshConfig, SshHost, filled
from netssh_mcp.knowledge.ssh_words import hop, plain_words

_HINT: Final = "Correct the ssh configuration, or say it in the inventory, which wins."

Values = Mapping[str, object]


class SshHosts:
    """Completes the values of hosts, by the names of `Device`, from one ssh configuration."""

    def __init__(self, config: SshConfig, home: Path | None = None) -> None:
        self.config = config
        self._home = home or Path.home()
        self._doubts: dict[str, None] = {}

    @property
    def doubts(self) -> tuple[str, ...]:
        """What it says that is not done, one sentence each."""
        return tuple(self._doubts)

    def completed(self, alias: str, values: Values) -> dict[str, object]:
        """The values, and behind them what ssh_config has for `alias`. InputError for what cannot be used."""
        user, port = values.get("username"), values.get("port")
        found = self.config.host(
            alias, user=user if isinstance(user, str) else "", port=port if isinstance(port, int) else None
        )
        self._doubt(found)
        return {**dict(self._offered(found, values)), **values}

    def hops(self, known: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        """The jump hosts on the ways of `known` that are not hosts of the inventory themselves, by their names."""
        hidden: dict[str, dict[str, object]] = {}
        waiting = [name for values in known.values() for name in _jump(values)]
        while waiting:
            name = waiting.pop()
            if name not in known and name not in hidden:
                hidden[name] = self._hop(name, known)
                waiting += _jump(hidden[name])
        return hidden

    def _hop(self, written: str, known: Mapping[str, dict[str, object]]) -> dict[str, object]:
        """A hop that is a host of the inventory is that host, with the hop's own user and port."""
        user, host, port = hop(written)
        given: dict[str, object] = {}
        if user:
            given["username"] = user
        if port:
            given["port"] = port
        if host in known:
            return {**known[host], **given}
        completed = self.completed(host, given)
        return {"platform": "", "username": self.config.local_user, **completed}

    def _offered(self, found: SshHost, values: Values) -> Iterator[tuple[str, object]]:
        hostname = str(values.get("hostname") or found.hostname)
        port = values.get("port") or found.port or 22
        user = str(values.get("username") or found.user or self.config.local_user)
        tokens = {"h": hostname, "n": found.alias, "p": str(port), "r": user}
        _checked(found.alias, hostname, user)
        yield "hostname", hostname
        yield "port", port
        if found.user:
            yield "username", found.user
        if found.connect_timeout:
            yield "connect_timeout", float(found.connect_timeout)
        if found.keepalive is not None:
            yield "keepalive", float(found.keepalive)
        if found.host_key_alias:
            yield "host_key_alias", found.host_key_alias
        if found.strict == "yes":
            yield "host_keys", "strict"
        yield "known_hosts", self._paths(found.known_hosts, tokens)
        yield from self._login(found, values, tokens)
        if "jump" not in values:
            yield from self._way(found, tokens)

    def _login(self, found: SshHost, values: Values, tokens: Mapping[str, str]) -> Iterator[tuple[str, object]]:
        """Keys count where the inventory has no keys of its own; ssh asks the agent too, unless told not to."""
        if values.get("key_files") or values.get("credentials"):
            return
        keys = self._there("IdentityFile", found.identity_files, tokens)
        yield "key_files", keys
        yield "certificates", self._there("CertificateFile", found.certificate_files, tokens)
        if not values.get("password"):
            yield "agent", not found.identities_only

    def _way(self, found: SshHost, tokens: Mapping[str, str]) -> Iterator[tuple[str, object]]:
        if found.proxy_jump:
            yield "jump", tuple(each.removeprefix("ssh://").removesuffix("/") for each in found.proxy_jump)
        elif found.proxy_command:
            used = [value for letter, value in tokens.items() if f"%{letter}" in found.proxy_command]
            if not plain_words(used):
                raise InputError(
                    f"ssh_config: the ProxyCommand of {found.alias} would get words that mean something to a shell",
                    hint="Host name, alias and user may be letters, digits and _ . : @ + - (not first) there.",
                )
            yield "proxy_command", ProxyCommand(filled(found.proxy_command, dict(tokens)))

    def _there(self, keyword: str, written: Sequence[str], tokens: Mapping[str, str]) -> tuple[Path, ...]:
        paths = self._paths(written, tokens)
        for path in paths:
            if not path.exists():
                self._doubts[f"ssh_config: {keyword} {path} is not there; ssh passes it over, so does this"] = None
        return tuple(path for path in paths if path.exists())

    def _paths(self, written: Sequence[str], tokens: Mapping[str, str]) -> tuple[Path, ...]:
        known = {**tokens, "d": str(self._home), "u": self.config.local_user, "i": str(os.geteuid())}
        texts = [filled(text, known) for text in written if text.lower() != "none"]
        return tuple(self._home / text[2:] if text.startswith("~/") else Path.cwd() / text for text in texts)

    def _doubt(self, found: SshHost) -> None:
        if found.strict in ("no", "accept-new"):
            self._doubts[
                f"ssh_config: StrictHostKeyChecking {found.strict} is ignored; host keys are checked as the server and "
                "the inventory (`host_keys`) say"
            ] = None
        for each in found.unsupported:
            self._doubts[f"ssh_config: {each} is not done here"] = None


def _checked(alias: str, hostname: str, user: str) -> None:
    """The rules of the inventory for what is written there."""
    for what, value, signs in (("HostName", hostname, " @/"), ("User", user, " ")):
        if not value.isprintable() or value.startswith("-") or set(signs) & set(value):
            raise InputError(f"ssh_config: the {what} of {alias} is none: {value[:80]!r}", hint=_HINT)


def _jump(values: Values) -> tuple[str, ...]:
    jump = values.get("jump", ())
    return jump if isinstance(jump, tuple) else ()
