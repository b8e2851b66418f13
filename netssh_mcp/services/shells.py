"""The `shell` service: terminals that stay open on hosts and network devices, typed into and read by cursor."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread

from netssh_mcp.errors import AuditError, InputError, SessionLost
from netssh_mcp.guard.policy import Grant
from netssh_mcp.knowledge.near import did_you_mean
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.services.desk import Desk, Place
from netssh_mcp.services.given import fitting
from netssh_mcp.services.linear import searcher
from netssh_mcp.services.shell_text import ANSWERED, SETTLED, Answered, Reading, Watch
from netssh_mcp.sessions import terminals
from netssh_mcp.wire.turn import Turn

if TYPE_CHECKING:
    from netssh_mcp.wire.terminal import Terminal

T = TypeVar("T")

SIZE: Final = (120, 40)  # columns and rows: wide enough for tables, and most programs fill what they get
ON: Final = -1  # as a cursor: go on where the last answer ended
PER_DEVICE, PER_SERVER = 4, 50
ACTIONS: Final = ("open", "send", "key", "read", "screen", "wait", "close")
_KEPT: Final = 600.0  # seconds that an ended shell can still be read
_SWEEP: Final = 5.0
_FIRST: Final = 5.0  # seconds that a first prompt may take
_ECHO: Final = 1.0  # seconds that send and key stay for what the program makes of it
_GOODBYE: Final = 0.3  # seconds that all shells have at the end of the server
# A question for something that is not to be seen, also in other languages than the device's own questions are in.
_SECRET: Final = re.compile(
    r"(?i)(?<![a-z])(?:pass(?:word|wd|wort|code|phrase)|pwd|pin|secret|token|otp|(?:verification|one-time|access) ?code"
    r"|kennwort|mot de passe|contraseña|senha|wachtwoord|hasło|пароль|密码|密碼|パスワード|암호)(?![a-z])"
    r"[^\n]{0,80}[:：]\s*[*•_.]*\s*$"
)
_UNSAID: Final = "(not recorded: it was typed at a question for a secret)"


@dataclass(slots=True, eq=False)
class Shell:
    """An open terminal, or one that has ended and can still be read."""

    shell_id: str
    place: Place
    grant: Grant
    terminal: Terminal
    reading: Reading
    release: Callable[[], None]
    opened_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    last_line: str = ""
    given: int = 0  # where the last answer ended
    freed: bool = False  # what it held on the device was given back
    expired: bool = False

    @property
    def state(self) -> str:
        """open or ended."""
        return "ended" if self.terminal.ended is not None or self.freed else "open"


class Shells:
    """All terminals of this process. `sweep` runs beside them; `aclose` ends them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shells: dict[str, Shell] = {}
        self._opening: list[str] = []  # devices, so that calls at the same time cannot pass a cap together
        self._numbers = 0
        self._closed = False

    async def act(
        self,
        action: str,
        *,
        device: str = "",
        shell_id: str = "",
        text: str = "",
        enter: bool = True,
        keys: Sequence[str] = (),
        cursor: int = ON,
        pattern: str = "",
        quiet: float = 0.0,
        wait: float = 10.0,
    ) -> dict[str, Any]:
        """What the `shell` tool does. InputError, CommandDenied, AuditError; errors of a login; SessionLost."""
        if action not in ACTIONS:
            raise InputError(f"no action {action[:30]!r}; {did_you_mean(action, ACTIONS)}")
        if (named := self._shells.get(shell_id)) is not None and named.place.device.name == device:
            device = ""  # said twice, and the same
        fitting("shell", action, device=device, shell_id=shell_id, text=text, enter=enter, keys=list(keys))
        fitting("shell", action, cursor=cursor, pattern=pattern, quiet=quiet, wait=wait)
        found = searcher(pattern) if pattern else None
        if action == "open":
            shell = await self._open(device)
            await self._until(shell, Watch(shell.reading, 0, None, SETTLED * 2), min(wait, _FIRST))
            return await self._answer(shell, 0, half=True)
        shell = self._find(shell_id)
        shell.used_at = time.monotonic()
        cursor = shell.given if cursor == ON else cursor
        if action == "close":
            return await self._close(shell)
        if action == "screen":
            return await self._screen(shell)
        if action == "read":
            await self._until(shell, Watch(shell.reading, cursor, None, SETTLED), min(wait, SETTLED * 1.5))
            return await self._answer(shell, cursor, half=shell.terminal.quiet() >= SETTLED)
        if action in ("send", "key"):
            cursor = await self._press(shell, action, text, enter=enter, keys=keys)
            if found is None and not quiet:
                quiet, wait = SETTLED, min(wait, _ECHO)
        return await self._wait(shell, cursor, found, quiet, wait)

    def rows(self) -> list[dict[str, Any]]:
        """For the list of sessions: every terminal, with what was typed last (redacted)."""
        now = time.monotonic()
        return [
            {
                "id": shell.shell_id,
                "device": shell.place.device.name,
                "user": shell.place.device.username,
                "platform": shell.place.profile.name,
                "uptime": round(now - shell.opened_at, 1),
                "idle": round(now - max(shell.used_at, shell.terminal.last_data), 1),
                "last": shell.last_line,
                "state": shell.state,
            }
            for shell in self._shells.values()
        ]

    def recordable(self, shell_id: str) -> tuple[Profile, int, int]:
        """What a transcript of it needs: how its text is redacted, width and height. InputError."""
        shell = self._find(shell_id)
        return shell.place.profile, shell.terminal.width, shell.terminal.height

    # -- open ----------------------------------------------------------------------------------------------------

    async def _open(self, name: str) -> Shell:
        if not name:
            raise InputError("which device? `device` is empty", hint="list_devices shows the names.")
        place = self._desk.place(name)
        self._room(place.device.name)
        grant = self._desk.permit(place, ("shell", "open"), "shell")
        self._numbers += 1
        shell_id = f"shell-{self._numbers}"
        self._opening.append(place.device.name)
        try:
            async with self._desk.recorded(grant, shell=shell_id):
                shell = await (self._on_host if place.linux else self._on_device)(shell_id, place, grant)
        finally:
            self._opening.remove(place.device.name)
        self._shells[shell_id] = shell
        if self._closed:
            await self._free(shell, 0.0)
        return shell

    def _room(self, device: str) -> None:
        open_on = [shell.place.device.name for shell in self._shells.values() if shell.state == "open"]
        open_on += self._opening
        for count, most, where in (
            (open_on.count(device), PER_DEVICE, "on this device"),
            (len(open_on), PER_SERVER, "in this server"),
        ):
            if count >= most:
                raise InputError(
                    f"{count} shells are open {where}, more are not allowed",
                    device=device,
                    hint="Close one: shell(action='close', shell_id=...); session(action='list') shows them.",
                )

    async def _on_host(self, shell_id: str, place: Place, grant: Grant) -> Shell:
        pool, turn = self._desk.pool, Turn()
        shared = await pool.share(place.hops, turn)
        try:
            terminal = await terminals.on_host(
                grant, shared, size=SIZE, note=self._noting(shell_id), turn=turn, limiter=pool.threads
            )
        except BaseException:
            shared.close()
            raise
        return self._made(shell_id, place, grant, terminal, shared.close)

    async def _on_device(self, shell_id: str, place: Place, grant: Grant) -> Shell:
        pool, turn = self._desk.pool, Turn()
        session = await pool.hold(place.hops, place.profile, turn, holder=shell_id)
        try:
            terminal = await terminals.on_device(
                grant, session, size=SIZE, note=self._noting(shell_id), turn=turn, limiter=pool.threads
            )
        except BaseException:
            pool.release(session)
            raise
        return self._made(shell_id, place, grant, terminal, lambda: pool.release(session))

    def _made(
        self, shell_id: str, place: Place, grant: Grant, terminal: Terminal, release: Callable[[], None]
    ) -> Shell:
        reading = Reading(terminal, self._desk.redactor, place.profile, self._desk.inventory.vault)
        return Shell(shell_id, place, grant, terminal, reading, release)

    def _noting(self, shell_id: str) -> Callable[[Any, bytes, float], None]:
        """The one place where bytes pass: a transcript of this shell gets them while one is running."""
        transcripts = self._desk.transcripts
        return lambda direction, data, at: transcripts.note(shell_id, direction, data, at)

    # -- type ----------------------------------------------------------------------------------------------------

    async def _press(self, shell: Shell, action: str, text: str, *, enter: bool, keys: Sequence[str]) -> int:
        self._alive(shell)
        data, said = self._typed(shell, action, text, enter=enter, keys=keys)
        await self._until(shell, Answered(shell.terminal), ANSWERED)
        hidden = await self._thread(lambda: self._asks(shell)) in ("password", "passphrase")
        line = _UNSAID if hidden else self._desk.shown.line(said, shell.place.profile)[:500]
        grant = self._desk.permit(shell.place, ("shell", action), "shell")
        async with self._desk.recorded(grant, shell=shell.shell_id, typed=line):
            before = await terminals.press(
                grant, shell.terminal, data, hidden=hidden, turn=Turn(), limiter=self._desk.pool.threads
            )
        shell.last_line = line
        return before

    def _typed(self, shell: Shell, action: str, text: str, *, enter: bool, keys: Sequence[str]) -> tuple[bytes, str]:
        from netssh_mcp.wire.terminal_keys import key, literal  # noqa: PLC0415  (with the wire)

        if action == "send":
            return literal(text, enter=enter), text
        if not keys:
            raise InputError("which key? `keys` is empty", hint="keys=['ctrl-c'], or several in order.")
        application = shell.terminal.application_cursor
        return b"".join(key(name, application=application) for name in keys), " ".join(keys)

    def _alive(self, shell: Shell) -> None:
        if shell.state == "ended":
            raise SessionLost(
                f"{shell.shell_id} has ended: {_reason(shell)}; nothing was typed",
                device=shell.place.device.name,
                effect="none",
                retryable=False,
                hint=f"shell(action='open', device={shell.place.device.name!r}) opens a new one; what this one sent "
                "can still be read.",
            )

    # -- read ----------------------------------------------------------------------------------------------------

    async def _wait(
        self, shell: Shell, cursor: int, found: Callable[[str], bool] | None, quiet: float, wait: float
    ) -> dict[str, Any]:
        watch = Watch(shell.reading, cursor, found, quiet)
        why = await self._until(shell, watch, wait) or "time"
        half = why != "time" or shell.terminal.quiet() >= SETTLED
        answer = await self._answer(shell, cursor, half=half)
        return {**answer, "why": why, **({"line": watch.line} if why == "pattern" else {})}

    async def _until(self, shell: Shell, look: Watch | Answered, seconds: float) -> str | None:
        return await terminals.until(shell.terminal, look.look, seconds, self._desk.pool.threads)

    async def _thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._desk.pool.threads)

    async def _answer(self, shell: Shell, cursor: int, *, half: bool) -> dict[str, Any]:
        over = shell.terminal.ended is not None
        piece = await self._thread(lambda: shell.reading.piece(cursor, half=half or over))
        shell.given = piece.cursor
        answer = {
            **await self._facts(shell),
            "text": piece.text,
            "cursor": piece.cursor,
            "more": piece.more,
            "dropped": piece.dropped,
        }
        call = f"shell(action='read', shell_id='{shell.shell_id}', cursor={piece.cursor})"
        if piece.more:
            answer["next"] = f"{call} gives the rest."
        elif answer.get("alternate"):
            answer["next"] = f"A program has the whole screen: shell(action='screen', shell_id='{shell.shell_id}')."
        elif not over:
            answer["next"] = f"{call} gives what comes next, action='wait' stays for it; action='send' types."
        return answer

    async def _screen(self, shell: Shell) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            picture = shell.terminal.picture()
            return {
                "screen": shell.reading.screen(picture),
                "cursor_row": picture.row + 1,
                "cursor_column": picture.column + 1,
                "cursor_hidden": picture.hidden,
                "title": shell.reading.line(picture.title),
                "width": picture.width,
                "height": picture.height,
            }

        return {**await self._facts(shell), **await self._thread(work)}

    async def _facts(self, shell: Shell) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "shell_id": shell.shell_id,
            "device": shell.place.device.name,
            "state": shell.state,
        }
        ended = shell.terminal.ended
        if ended is not None:
            facts["reason"] = _reason(shell)
            if ended.exit_status is not None:
                facts["exit_status"] = ended.exit_status
            left = max(0, round(_KEPT - (time.monotonic() - ended.at)))
            facts["next"] = f"It can be read for {left} s more; shell(action='open') opens a new one."
            return facts
        asked = await self._thread(lambda: self._asks(shell))
        return {**facts, "alternate": shell.terminal.alternate, **({"waiting_for": asked} if asked else {})}

    def _asks(self, shell: Shell) -> str:
        """What the line in front of the cursor asks for, if anything that is known."""
        from netssh_mcp.wire.questions import question  # noqa: PLC0415  (with the wire)

        before = shell.terminal.picture().before
        asked = question(shell.place.profile, before)
        asked = "password" if asked in ("", "other") and _SECRET.search(before) else asked
        return "" if asked == "other" else asked

    def _find(self, shell_id: str) -> Shell:
        shell = self._shells.get(shell_id)
        if shell is None:
            raise InputError(
                f"there is no shell {shell_id[:60]!r}; {did_you_mean(shell_id[:60], self._shells)}",
                hint="shell(action='open', device=...) opens one; session(action='list') shows them.",
            )
        return shell

    # -- the end -------------------------------------------------------------------------------------------------

    async def _close(self, shell: Shell) -> dict[str, Any]:
        gone = await self._free(shell)
        self._shells.pop(shell.shell_id, None)
        self._tell("shell_closed", shell)
        ended = shell.terminal.ended
        return {
            "shell_id": shell.shell_id,
            "device": shell.place.device.name,
            "state": "closed",
            "remote_closed": gone,
            **({"exit_status": ended.exit_status} if ended and ended.exit_status is not None else {}),
            "note": "The far side has confirmed that it is closed."
            if gone
            else "Closed from here; the far side has not confirmed that its programs ended, so they may still run.",
            "next": "",
        }

    async def _free(self, shell: Shell, patience: float = 1.0) -> bool:
        """Give back what it holds on the device, once."""
        if shell.freed:
            return True
        shell.freed = True
        try:
            return await terminals.hang_up(shell.grant, shell.terminal, self._desk.pool.threads, patience=patience)
        finally:
            shell.release()
            self._desk.transcripts.ended(shell.shell_id)

    async def sweep(self) -> None:
        """Give back what ended shells hold, close those that nobody uses, forget old ones; runs until cancelled."""
        while True:
            await anyio.sleep(_SWEEP)
            await self.expire(time.monotonic())

    async def expire(self, now: float) -> None:
        """What `sweep` does at `now` (monotonic)."""
        for shell in list(self._shells.values()):
            ended = shell.terminal.ended
            if ended is None and now - shell.used_at > shell.place.device.idle_timeout:
                shell.expired = True
            if (ended is not None or shell.expired) and not shell.freed:
                await self._free(shell)
                self._tell("shell_ended", shell)
            if ended is not None and now - ended.at > _KEPT:
                self._shells.pop(shell.shell_id, None)

    def _tell(self, event: str, shell: Shell) -> None:
        """On record, if it can be: nothing is sent because of it, and what is sent next says that it cannot."""
        with contextlib.suppress(AuditError):
            self._desk.audit.record_event(
                event, device=shell.place.device.name, shell=shell.shell_id, reason=_reason(shell)
            )

    async def aclose(self) -> None:
        """Hang up all of them, side by side, in a moment."""
        self._closed = True
        async with anyio.create_task_group() as tasks:
            for shell in self._shells.values():
                tasks.start_soon(self._free, shell, _GOODBYE)
        self._shells.clear()


def _reason(shell: Shell) -> str:
    if shell.expired:
        return f"nobody used it for {shell.place.device.idle_timeout:.0f} s, so it was closed"
    return shell.terminal.ended.reason if shell.terminal.ended is not None else "it was closed"
