"""A simulated device: how it is described, what it remembers, and what a test can see and do while it runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from netssh_mcp.lab.config import ConfigStore, hostname_of, new_store
from netssh_mcp.lab.faults import NO_FAULTS, BreakKind, Faults, Script
from netssh_mcp.lab.files import Flash
from netssh_mcp.lab.grammar import Grammar
from netssh_mcp.lab.model import Command, LabError, Platform, fill, load_platform

Auth = Literal["password", "publickey", "keyboard-interactive"]
Answer = str | Script
Target = Command | Answer  # what a line may resolve to
_KEPT_WRITES = 100_000


@dataclass(frozen=True, slots=True)
class Algorithms:
    """What the SSH server offers, in asyncssh's spelling; empty = its defaults."""

    kex: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    host_key: tuple[str, ...] = ()  # "ssh-rsa" alone makes a SHA-1 device


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device. Without an `enable` secret the login is privileged at once, where the platform has levels.

    `outputs` go over the platform's own; a `str` may hold `{hostname}` and `{variables}`, a `Script` is literal.
    """

    name: str
    platform: str
    hostname: str = ""  # empty = name
    username: str = "admin"
    password: str = field(default="admin", repr=False)
    enable: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Answer] = field(default_factory=dict)
    faults: Faults = NO_FAULTS
    config: str = ""  # the running-config at start; empty = the platform's
    mode: str = ""  # the mode after login, whatever the rule above says
    preamble: bool = True  # the platform's line before each show (XR's clock)
    banner: str | None = None  # before authentication; None = the platform's
    motd: str | None = None  # after login
    auth: tuple[Auth, ...] = ("publickey", "password", "keyboard-interactive")
    authorized_keys: tuple[str, ...] = ()  # OpenSSH public key lines
    host_key: str = field(default="", repr=False)  # OpenSSH private key; empty = the network's shared one
    algorithms: Algorithms = Algorithms()
    sftp: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)  # path below the SFTP root -> content
    flash_size: int = 64 << 20  # bytes that `files` and what comes by SCP have
    max_sessions: int = 0  # sessions beyond it are refused; 0 = no limit
    telnet: Literal["", "user", "line", "open"] = ""  # instead of SSH: user and password, a password only, no login
    telnet_echo: bool = False  # shows the password as it is typed
    port: int = 0  # 0 = from the network's base port, or any


class OpenSession(Protocol):
    """What a device knows of each of its open shells."""

    def unsolicited(self, text: str, *, redraw: bool = False) -> None: ...

    def faults_changed(self) -> None: ...

    def break_off(self, kind: BreakKind) -> None: ...


class Device:
    """The running device. All counters may be read from any thread; the controls too."""

    def __init__(self, spec: DeviceSpec, call: Callable[[Callable[[], None]], object] = lambda work: work()) -> None:
        self.spec = spec
        self.platform: Platform = load_platform(spec.platform)
        if spec.mode and spec.mode not in self.platform.modes:
            raise LabError(f"{spec.name}: no mode {spec.mode!r}; {spec.platform} has {', '.join(self.platform.modes)}")
        self.faults = spec.faults
        self.received: list[str] = []  # every line executed, raw
        self.writes: deque[tuple[float, bytes]] = deque(maxlen=_KEPT_WRITES)  # (monotonic, bytes) as they came in
        self.early: list[bytes] = []  # what came in while a command was running, Ctrl-C excepted
        self.interrupts = 0
        self.reloads = 0
        self.negotiated: list[bytes] = []  # Telnet commands that came, without their IAC
        self.flash = Flash(spec.platform, dict(spec.files), spec.flash_size)
        self.links = 0  # TCP connections open now
        self.logins = 0
        self.auth_failures = 0
        self.connections = 0  # TCP connections ever accepted
        self._call = call
        self._sessions: set[OpenSession] = set()
        self._grammars: dict[str, Grammar[Target]] = {}
        self.values = {**self.platform.variables, **spec.variables, "hostname": spec.hostname or spec.name}
        self.answers: dict[str, Answer] = {**self.platform.outputs, **spec.outputs}
        self.running = new_store(fill(spec.config or self.platform.config.text, self.values), self.platform.config)
        self.startup = self.running.flat()
        self.adopt(self.running)

    @property
    def hostname(self) -> str:
        return self.values["hostname"]

    @property
    def sessions_open(self) -> int:
        return len(self._sessions)

    @property
    def login_mode(self) -> str:
        privileged = self.platform.login_privileged if not self.spec.enable else ""
        return self.spec.mode or privileged or self.platform.login

    def adopt(self, store: ConfigStore) -> None:
        """`store` becomes the running-config; a changed hostname is in the very next prompt."""
        self.running = store
        self.values["hostname"] = hostname_of(store, self.platform.config) or self.values["hostname"]

    def candidate(self) -> ConfigStore:
        return new_store(self.running.flat(), self.platform.config)

    def save(self) -> None:
        self.startup = self.running.flat()

    def set_faults(self, faults: Faults) -> None:
        """From now on, open sessions included."""
        self.faults = faults
        self._each(lambda session: session.faults_changed())

    def emit(self, text: str, *, redraw: bool = False) -> None:
        """A line that nobody asked for, to all open sessions."""
        self._each(lambda session: session.unsolicited(text, redraw=redraw))

    def break_sessions(self, kind: BreakKind) -> None:
        """Every open session breaks now."""
        self._each(lambda session: session.break_off(kind))

    def _each(self, work: Callable[[OpenSession], None]) -> None:
        def on_the_loop() -> None:
            for session in tuple(self._sessions):
                work(session)

        self._call(on_the_loop)

    def reload(self) -> None:
        """The startup-config is the running one again, and every session is gone."""
        self.reloads += 1
        self.adopt(new_store(self.startup, self.platform.config))
        self.break_sessions("disconnect")

    def opened(self, session: OpenSession) -> None:
        self._sessions.add(session)

    def closed(self, session: OpenSession) -> None:
        self._sessions.discard(session)

    def heard(self, data: bytes, *, busy: bool) -> None:
        self.writes.append((time.monotonic(), data))
        if busy and (typed := data.replace(b"\x03", b"")):
            self.early.append(typed)

    def set_answer(self, command: str, answer: Answer) -> None:
        """The text for a command, from its next run on."""
        self.answers[command] = answer
        self._grammars.clear()

    def grammar(self, mode: str) -> Grammar[Target]:
        """The words known in a mode, built at first use: a fleet of idle devices costs nothing."""
        known = self._grammars.get(mode)
        if known is None:
            known = self._grammars[mode] = self._new_grammar(mode)
        return known

    def _new_grammar(self, name: str) -> Grammar[Target]:
        mode = self.platform.modes[name]
        grammar: Grammar[Target] = Grammar(mode.vocabulary if mode.kind == "exec" else ())
        if mode.kind == "exec" or self.platform.exec_in_config:
            for key, answer in self.answers.items():
                if "|" not in key:
                    grammar.add(key, answer)
        for command in self.platform.commands:
            here = name in command.modes or (not command.modes and mode.kind == "exec")
            for syntax in command.syntax if here else ():
                # a text of the device's own for the same words wins over the built-in
                if syntax not in self.spec.outputs:
                    grammar.add(syntax, command)
        return grammar
