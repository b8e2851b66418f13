"""25 canary credentials: in no local of a frame that an error brings along, and in no form of a Secret."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, ConfigDict

from netssh_mcp.errors import AuthenticationFailed, NetsshError
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.knowledge.vault import Vault
from netssh_mcp.wire.sudo import SudoPrompt
from tests.devices.direct import Bench, on
from tests.secrets.canaries import CANARIES, hits
from tests.secrets.canary_devices import secrets_of, spec

# -- errors with the locals of their frames ------------------------------------------------------------------------


def rendered(error: BaseException) -> str:
    """The traceback of the error and of all that it came from, with locals; without the frames of the tests."""
    made = traceback.TracebackException.from_exception(error, capture_locals=True)
    waiting: list[traceback.TracebackException | None] = [made]
    while waiting:
        if each := waiting.pop():
            kept = [frame for frame in each.stack if "/tests/" not in frame.filename]
            each.stack = traceback.StackSummary.from_list(kept)
            waiting += [each.__cause__, each.__context__]
    return "".join(made.format())


FAILURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "wrong password": ({"password": "other"}, {}),
    "wrong password, asked for": ({"password": "other", "auth": ("keyboard-interactive",)}, {}),
    "no password taken": ({"auth": ("publickey",)}, {}),
    "wrong password by telnet": ({"password": "other", "telnet": "user"}, {"transport": "telnet"}),
    "a password that telnet shows": ({"telnet": "user", "telnet_echo": True}, {"transport": "telnet"}),
    "wrong enable by telnet": ({"enable": "other", "telnet": "line"}, {"transport": "telnet"}),
    "wrong enable": ({"enable": "other"}, {}),
    "wrong platform": ({}, {"platform": "juniper_junos", "connect_timeout": 1}),
    "closed port": ({}, {"port": 1}),
    "no name": ({}, {"hostname": "no-such-host.invalid"}),
    "pinned to another key": ({}, {"host_key": "SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_no_local_of_a_frame_that_an_error_brings_along_is_a_secret(name: str, tmp_path: Path) -> None:
    device, entry = FAILURES[name]
    entries: dict[str, Any] = secrets_of(tmp_path)
    errors: list[NetsshError] = []

    async def work(bench: Bench) -> None:
        async def fails(name: str) -> None:
            async with limit:
                with pytest.raises(NetsshError) as caught:
                    await bench.run(name=name)
                errors.append(caught.value)

        limit = anyio.CapacityLimiter(8)
        async with anyio.create_task_group() as tasks:
            for one in specs:
                tasks.start_soon(fails, one.name)

    chosen = CANARIES[::8] if entry.get("connect_timeout") else CANARIES
    specs = [spec(canary, **device) for canary in chosen]
    keys: dict[str, Any] = {one.name: {**entries[one.name], **entry} for one in specs}
    on(specs, tmp_path, work, **keys)
    assert len(errors) == len(specs)
    for error in errors:
        text = rendered(error)
        assert "netssh_mcp/wire" in text
        assert hits(text) == []
        assert hits(f"{error!r} {error.args} {error.facts()} {error.partial} {vars(error)}") == []


def test_a_secret_that_cannot_be_had_is_in_no_local(tmp_path: Path) -> None:
    for canary in CANARIES:
        path = tmp_path / "two-lines"
        path.write_text(f"{canary.of('password')}\nmore\n")
        path.chmod(0o600)
        program = f"import sys; print({canary.of('password')!r}); sys.exit(3)"
        plain = f"{canary.of('password')}\n2"
        for make in (
            lambda: Secret.parse(f"file:{path}").reveal(),  # noqa: B023
            lambda: Secret.parse({"cmd": [sys.executable, "-c", program]}).reveal(),  # noqa: B023
            lambda: Secret.parse(plain, allow_plain=True),  # noqa: B023
            lambda: Secret.parse(plain),  # noqa: B023
        ):
            with pytest.raises(NetsshError) as caught:
                make()
            assert hits(rendered(caught.value)) == []


def test_sudo_asked_twice_keeps_nothing() -> None:
    for canary in CANARIES:
        dialogue = SudoPrompt("h1")
        prompt = dialogue.argv[4].encode()
        with pytest.raises(AuthenticationFailed) as caught:
            dialogue.feed(prompt + prompt, lambda: canary.of("sudo"), lambda _data: None)  # noqa: B023
        assert hits(rendered(caught.value) + repr(vars(dialogue)) + " ".join(dialogue.argv)) == []


# -- a Secret in any form ------------------------------------------------------------------------------------------


class Holder(BaseModel):
    """pydantic's view of something that holds a secret."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    secret: Secret


@dataclasses.dataclass
class Kept:
    """A dataclass's view of one."""

    secret: Secret


def test_a_secret_shows_itself_in_no_form() -> None:
    for canary in CANARIES:
        secret = Secret.parse(f"plain:{canary.of('password')}", allow_plain=True, vault=Vault())
        holder = Holder(secret=secret)
        shown = [
            repr(secret),
            str(secret),
            f"{secret} {secret!r} {secret!a} {secret:>90}",
            "%s %r" % (secret, secret),  # noqa: UP031
            "{0} {0!r}".format(secret),  # noqa: UP032
            repr(holder),
            repr(holder.model_dump()),
            repr(dataclasses.asdict(Kept(secret))),
            repr(copy.deepcopy([secret, copy.copy(secret)])),
            json.dumps([secret], default=str),
            json.dumps([secret], default=repr),
            repr(hash(secret)),
            repr(dir(secret)),
        ]
        for refused in (
            lambda: json.dumps(secret),  # noqa: B023
            lambda: pickle.dumps(secret),  # noqa: B023
            lambda: vars(secret),  # noqa: B023
            holder.model_dump_json,
        ):
            with pytest.raises((TypeError, ValueError)) as caught:
                refused()
            shown.append(str(caught.value))
        assert hits("\n".join(shown)) == []
        assert secret.reveal() == canary.of("password")
