"""Who we are to a device: keys, then the agent, then the password, each tried once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import paramiko

from netssh_mcp.errors import AuthenticationFailed
from netssh_mcp.knowledge.inventory import Device

_METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "none")
_GSSAPI = re.compile(r"gssapi-(?:with-mic|keyex)")
_LONGEST_WORDS = 200  # characters of an error of Paramiko's, which may quote the peer
_LONGEST_QUESTION = 80
_MOST_QUESTIONS = 4


def authenticate(device: Device, transport: paramiko.Transport) -> None:
    """Keys, then the agent, then the password: each once. A password is typed into one hidden question only."""
    tried: list[str] = []
    refused = ""
    for name, key in _keys(device):
        tried.append(name)
        try:
            if not transport.auth_publickey(device.username, key):
                return
            refused = "the device wants a second factor after the key"
        except paramiko.BadAuthenticationType as error:
            refused = _refused(error)
            break
        except paramiko.AuthenticationException as error:
            refused = _refused(error)
    if device.password is not None:
        tried.append("password")
        refused = _password(device, transport)
        if not refused:
            return
    if not tried:
        _none(device, transport)
        return
    raise AuthenticationFailed(
        f"login as {device.username!r} refused ({', '.join(tried)}: {refused or 'permission denied'})",
        device=device.name,
        hint="Check this host's username and credential references. Each was tried once, and none is tried again for "
        "a while, so that no account gets locked.",
    )


def _password(device: Device, transport: paramiko.Transport) -> str:
    """Try the password once. "" when logged in, else the reason."""
    assert device.password is not None
    secret = device.password.reveal()
    try:
        remaining = transport.auth_password(device.username, secret, fallback=False)
    except paramiko.BadAuthenticationType as error:
        if "keyboard-interactive" not in error.allowed_types:
            return _refused(error)
        return _interactive(device, transport, secret)
    except paramiko.AuthenticationException as error:
        return _refused(error)
    return "the device wants a second factor after the password" if remaining else ""


def _refused(error: paramiko.AuthenticationException) -> str:
    """Why, if it was a refusal; a login that only got no answer in time is no reason to give the credential up."""
    if isinstance(error, paramiko.BadAuthenticationType):
        return f"the device only takes {_methods(error.allowed_types)}"
    if "timeout" in str(error).lower():
        raise TimeoutError("no answer to the login") from error
    return plain(str(error))


def _methods(offered: Sequence[str]) -> str:
    """The names of methods that there are; whoever has not proven who they are gets no other word in."""
    known = [name for name in dict.fromkeys(offered) if name in _METHODS or _GSSAPI.fullmatch(name)]
    return ", ".join(known if len(known) == len(set(offered)) else [*known, "others"]) or "no method at all"


def plain(text: str) -> str:
    """Text that may be the peer's, on one line: what does not print is escaped, what is long is cut."""
    return (text if text.isprintable() else repr(text)[1:-1])[:_LONGEST_WORDS]


def _questions(asked: Sequence[str], secret: str) -> str:
    shown = [prompt.replace(secret, "[hidden]") if secret else prompt for prompt in asked[:_MOST_QUESTIONS]]
    more = f" and {len(asked) - _MOST_QUESTIONS} more" if len(asked) > _MOST_QUESTIONS else ""
    return ", ".join(repr(prompt[:_LONGEST_QUESTION]) for prompt in shown) + more


def _interactive(device: Device, transport: paramiko.Transport, secret: str) -> str:
    asked: list[str] = []

    def answer(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        asked.extend(prompt for prompt, _ in prompts)
        hidden = len(prompts) == 1 and not prompts[0][1] and len(asked) == 1
        return [secret] if hidden else ["" for _ in prompts]

    try:
        remaining = transport.auth_interactive(device.username, answer)
    except paramiko.AuthenticationException as error:
        return f"{_refused(error)}; it asked {_questions(asked, secret)}" if len(asked) > 1 else _refused(error)
    return "the device wants a second factor" if remaining else ""


def _none(device: Device, transport: paramiko.Transport) -> None:
    try:
        transport.auth_none(device.username)
    except paramiko.AuthenticationException as error:
        raise AuthenticationFailed(
            f"login as {device.username!r} refused: this host has no key, agent or password in the inventory",
            device=device.name,
            hint="Give the host a `password` reference, a `key_file`, or `agent: true`.",
        ) from error


def _keys(device: Device) -> Iterator[tuple[str, paramiko.PKey]]:
    for path in device.key_files:
        passphrase = device.key_passphrase.reveal() if device.key_passphrase is not None else None
        try:
            key = paramiko.PKey.from_path(path, passphrase.encode() if passphrase else None)  # type: ignore[arg-type]  # bytes
        except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
            raise AuthenticationFailed(
                f"the key file {path} cannot be used ({type(error).__name__})",
                device=device.name,
                retryable=True,  # the device has not seen it
                hint="Check that the file exists and is a private key, and its `key_passphrase` reference.",
            ) from error
        yield f"key {path.name}", key
    if device.agent:
        agent = paramiko.Agent()
        try:
            for number, agent_key in enumerate(agent.get_keys()[:3], 1):
                yield f"agent key {number}", agent_key
        finally:
            agent.close()
