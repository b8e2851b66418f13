"""Who we are to a device: keys with their certificates, then the agent's, then the password, each tried once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import paramiko

from netssh_mcp.errors import AuthenticationFailed, CredentialStopped
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.wire.breaker import Breaker
from netssh_mcp.wire.keys import MOST_KEYS, Unusable, agent_keys, file_keys

_METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "none")
_GSSAPI = re.compile(r"gssapi-(?:with-mic|keyex)")
_DENIED = "Authentication failed."  # Paramiko's own words for a plain refusal
_LONGEST_WORDS = 200  # characters of an error of Paramiko's, which may quote the peer
_LONGEST_QUESTION = 80
_MOST_QUESTIONS = 4
# What a question for the password says, and what asks for something else that is typed unseen.
_PASSWORD = re.compile(
    r"(?i)pass\s?wor[dt]|\bpass(?:phrase)?\s*:|mot de passe|contrase|\bsenha\b|парол|密码|パスワード"
)
_ANOTHER = re.compile(
    r"(?i)one.?time|\botp\b|token|\bnew\b|verif|\bcode\b|passcode|duo\b|yubi|second|factor|again|retype"
)


@dataclass(slots=True)
class _Offer:
    """What one login has to show."""

    keys: list[tuple[str, paramiko.PKey]] = field(repr=False)
    password: str | None = field(repr=False)
    agent: paramiko.Agent | None = field(default=None, repr=False)

    def close(self) -> None:
        if self.agent is not None:
            self.agent.close()

    def parts(self) -> list[str | bytes]:
        """What makes it this credential and no other."""
        blobs = [getattr(key.public_blob, "key_blob", None) or key.asbytes() for _, key in self.keys]
        return [self.password or "", *blobs]


@dataclass(slots=True)
class _Outcome:
    """What the device made of an offer."""

    tried: list[str] = field(default_factory=list)
    entered: bool = False
    refused: str = ""  # in our words
    said: str = ""  # in the device's
    weighed: bool = False  # the device looked at a credential, and did not only refuse the method
    silent: bool = False

    def note(self, error: paramiko.AuthenticationException) -> None:
        """A refusal. A login that only got no answer in time is no reason to give the credential up."""
        if isinstance(error, paramiko.BadAuthenticationType):
            self.refused = f"the device only takes {_methods(error.allowed_types)}"
        elif "timeout" in str(error).lower():
            self.silent = True
        else:
            self.weighed, self.refused = True, "permission denied"
            text = plain(str(error))
            self.said = "" if text == _DENIED else text


def authenticate(
    device: Device,
    transport: paramiko.Transport,
    breaker: Breaker,
    *,
    deadline: float,
    given_up: Callable[[], bool],
) -> str:
    """Keys, then the agent's, then the password: each once. A password is typed into one hidden question only.

    Returns what was taken, such as "password" or a key's name.

    Raises AuthenticationFailed; CredentialStopped when other devices have refused the same credentials; ConnectError
    when it was not this device's turn to try them until `deadline`, or until `given_up`.
    """
    offer = _offered(device)
    if isinstance(offer, Unusable):
        raise _not_usable(device, offer)
    try:
        if not offer.keys and offer.password is None:
            _none(device, transport)
            return "none"
        identity = breaker.identity("login", device.username, *offer.parts())
        with breaker.trial(device, identity, _what(device), deadline=deadline, given_up=given_up) as trial:
            transport.auth_timeout = max(0.1, deadline - time.monotonic())
            outcome = _tried(device, transport, offer)
            outcome.silent = outcome.silent or (given_up() and not outcome.entered)  # our own end of it is no verdict
            trial.taken = True if outcome.entered else False if outcome.weighed and not outcome.silent else None
    finally:
        offer.close()
    if outcome.silent:
        raise TimeoutError("no answer to the login")
    if not outcome.entered:
        raise AuthenticationFailed(
            f"login as {device.username!r} refused ({', '.join(outcome.tried)}: "
            f"{outcome.refused or 'permission denied'})",
            device=device.name,
            line=outcome.said,
            hint="Check this host's username and credential references. Each was tried once, and none is tried again "
            "for a while, so that no account gets locked.",
        )
    return outcome.tried[-1]


def refuse_stopped(device: Device, breaker: Breaker) -> None:
    """CredentialStopped if `authenticate` would raise it: no connection is needed to know that."""
    if not breaker.may_refuse(device):
        return
    offer = _offered(device)
    if isinstance(offer, Unusable):
        raise _not_usable(device, offer)
    offer.close()
    breaker.refuse_stopped(device, breaker.identity("login", device.username, *offer.parts()), _what(device))


def none_taken(refused: Sequence[AuthenticationFailed]) -> AuthenticationFailed:
    """What to say when a device has taken none of its credential sets."""
    if len(refused) == 1:
        return refused[0]
    stopped = next((error for error in refused if isinstance(error, CredentialStopped)), None)
    kind, hint = (CredentialStopped, stopped.hint) if stopped is not None else (AuthenticationFailed, refused[-1].hint)
    return kind(
        f"none of {len(refused)} credential sets was taken: {'; '.join(error.message for error in refused)}",
        device=refused[0].device,
        line="; ".join(dict.fromkeys(error.line for error in refused if error.line)),
        hint=hint,
    )


def _what(device: Device) -> str:
    return f"the login as {device.username!r}"


def _not_usable(device: Device, why: Unusable) -> AuthenticationFailed:
    # Retryable: the device has not seen it.
    return AuthenticationFailed(why.message, device=device.name, retryable=True, hint=why.hint)


def _offered(device: Device) -> _Offer | Unusable:
    passphrase = device.key_passphrase.reveal() if device.key_passphrase is not None else None
    keys = file_keys(device.key_files, device.certificates, passphrase, agent=device.agent)
    if isinstance(keys, Unusable):
        return keys
    agent = paramiko.Agent() if device.agent else None
    found = [*keys, *(agent_keys(agent, device.certificates) if agent else ())]
    return _Offer(found[:MOST_KEYS], device.password.reveal() if device.password is not None else None, agent)


def _tried(device: Device, transport: paramiko.Transport, offer: _Offer) -> _Outcome:
    outcome = _Outcome()
    for name, key in offer.keys:
        outcome.tried.append(name)
        try:
            outcome.entered = not transport.auth_publickey(device.username, key)
        except paramiko.AuthenticationException as error:
            outcome.note(error)
            if outcome.silent or isinstance(error, paramiko.BadAuthenticationType):
                break
            continue
        if outcome.entered:
            return outcome
        outcome.refused = "the device wants a second factor after the key"
        break
    if offer.password is not None and not outcome.silent:
        outcome.tried.append("password")
        _password(device, transport, offer.password, outcome)
    return outcome


def _password(device: Device, transport: paramiko.Transport, secret: str, outcome: _Outcome) -> None:
    """Try the password once, by the method that there is."""
    try:
        remaining = transport.auth_password(device.username, secret, fallback=False)
    except paramiko.BadAuthenticationType as error:
        if "keyboard-interactive" in error.allowed_types:
            _interactive(device, transport, secret, outcome)
        else:
            outcome.note(error)
    except paramiko.AuthenticationException as error:
        outcome.note(error)
    else:
        outcome.entered = not remaining
        outcome.refused = "the device wants a second factor after the password" if remaining else ""


def _interactive(device: Device, transport: paramiko.Transport, secret: str, outcome: _Outcome) -> None:
    asked: list[str] = []
    answered = False

    def answer(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        nonlocal answered
        asked.extend(prompt for prompt, _ in prompts)
        if len(prompts) == len(asked) == 1 and not prompts[0][1] and asks_for_password(prompts[0][0]):
            answered = True
            return [secret]
        return ["" for _ in prompts]

    try:
        remaining = transport.auth_interactive(device.username, answer)
    except paramiko.AuthenticationException as error:
        outcome.note(error)
        if asked and (len(asked) > 1 or not answered):
            outcome.refused += "; it asked for something else"
            outcome.said = f"it asked {_questions(asked, secret)}"
        outcome.weighed = outcome.weighed and answered
    else:
        outcome.entered = not remaining
        outcome.refused = "the device wants a second factor" if remaining else ""


def asks_for_password(question: str) -> bool:
    """Whether a hidden question asks for the account's password, and not for a code or a new one."""
    return bool(_PASSWORD.search(question)) and not _ANOTHER.search(question)


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


def _none(device: Device, transport: paramiko.Transport) -> None:
    try:
        transport.auth_none(device.username)
    except paramiko.AuthenticationException as error:
        raise AuthenticationFailed(
            f"login as {device.username!r} refused: this host has no key, agent or password in the inventory",
            device=device.name,
            hint="Give the host a `password` reference, a `key_file`, or `agent: true`.",
        ) from error
