"""What is known of devices' credentials: one login at a time until they have worked, no try with refused ones."""

from __future__ import annotations

import copy
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from netssh_mcp.errors import AuthenticationFailed, CredentialStopped, NetsshError
from netssh_mcp.knowledge.inventory import Device
from netssh_mcp.sessions.lease import waited
from netssh_mcp.sessions.session import in_thread
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.sessions.pool import Closeable, OpenConnection

_REFUSED_FOR = 900.0  # seconds a refused credential is not tried again on the same device


@dataclass(slots=True)
class _Account:
    """What is known of one device's credentials. One login at a time until they have worked once."""

    device: Device
    trial: anyio.Lock = field(default_factory=anyio.Lock)
    accepted: bool = False
    refused: AuthenticationFailed | None = None
    refused_at: float = 0.0
    failed: NetsshError | None = None  # the last login to it as a jump host, and when
    failed_at: float = 0.0
    tried: bytes = b""  # which secrets were refused, as a keyed digest


class Accounts:
    """Of all devices of one process; on the event loop, but for `not_refused_since`."""

    def __init__(
        self, open_connection: OpenConnection, *, logins: anyio.CapacityLimiter, threads: anyio.CapacityLimiter
    ) -> None:
        self._open_connection, self._logins, self._threads = open_connection, logins, threads
        self._accounts: dict[str, _Account] = {}
        self._key = secrets.token_bytes(16)

    @asynccontextmanager
    async def admitted(self, hops: tuple[Device, ...], turn: Turn) -> AsyncIterator[None]:
        """May log in now: one at a time until the credentials of each hop have worked once, and none refused ones."""
        accounts = [self._account(hop) for hop in hops]
        async with AsyncExitStack() as held:
            for number, account in enumerate(accounts[:-1], 1):
                await self._refuse_again(account)
                if not account.accepted:
                    held.callback((await self._first_time(hops[:number], account, hops[-1], turn)).close)
            account = accounts[-1]
            if not account.accepted:
                await waited(account.trial.acquire, hops[-1], turn)
                held.callback(account.trial.release)
            await self._refuse_again(account)
            yield
        for account in accounts:
            account.accepted, account.refused = True, None

    async def _first_time(self, hops: tuple[Device, ...], account: _Account, device: Device, turn: Turn) -> Closeable:
        """Log in to a jump host that has not let us in yet, one caller at a time. Who waited gets the same error.

        What comes back keeps it open.
        """
        asked = time.monotonic()
        await waited(account.trial.acquire, device, turn)
        try:
            if account.failed is not None and account.failed_at >= asked:
                raise copy.copy(account.failed)
            await self._refuse_again(account)
            reached = await in_thread(
                lambda: self._open_connection.reach(hops, turn=turn),
                turn,
                self._logins,
                orphaned=lambda reached: reached.close(),
            )
            account.accepted = True
        except NetsshError as error:
            if not turn.cancelled:
                account.failed, account.failed_at = error, time.monotonic()
            if isinstance(error, AuthenticationFailed):
                await self.note(error, hops)
            raise
        finally:
            account.trial.release()
        return reached

    async def note(self, error: AuthenticationFailed, hops: Sequence[Device]) -> None:
        """The device that refused is not asked again with the same credentials."""
        account = next((self._account(hop) for hop in hops if hop.name == error.device), None)
        if account is not None and not error.retryable and not isinstance(error, CredentialStopped):
            account.accepted, account.refused, account.refused_at = False, error, time.monotonic()
            account.tried = await self._digest(account.device)

    def not_refused_since(self, began: float, hops: Sequence[Device]) -> None:
        """AuthenticationFailed where one of `hops` has refused since `began` (monotonic). From any thread."""
        for account in map(self._account, hops):
            if account.refused is not None and account.refused_at >= began:
                raise copy.copy(account.refused)

    def _account(self, device: Device) -> _Account:
        account = self._accounts.get(device.name)
        if account is None or account.device != device:
            account = self._accounts[device.name] = _Account(device)
        return account

    async def _refuse_again(self, account: _Account) -> None:
        """No second try with the same secrets; another entry, or another content of its references, lifts that."""
        error = account.refused
        if error is None:
            return
        left = _REFUSED_FOR - (time.monotonic() - account.refused_at)
        if left <= 0 or await self._digest(account.device) != account.tried:
            account.refused = None
            return
        raise AuthenticationFailed(
            f"not tried again: {error.message}",
            device=account.device.name,
            line=error.line,
            hint="The device refused these credentials once. Correct them in the inventory or where it refers to (that "
            f"lifts this at once), or wait {max(1, round(left / 60))} min; trying on would lock the account.",
        )

    async def _digest(self, device: Device) -> bytes:
        """Tells two contents of a device's secrets apart and says nothing else of them; b"" when one is not there."""

        def digest() -> bytes:
            try:
                values = [secret.reveal() for each in device.sets() for _, secret in sorted(each.secrets.items())]
            except NetsshError:
                return b""
            return hmac.digest(self._key, "\0".join(values).encode(), "sha256")

        return await anyio.to_thread.run_sync(digest, limiter=self._threads)
