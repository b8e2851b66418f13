"""OpenSSH's client configuration, read as ssh reads it: the first value obtained for a keyword wins.

ssh_config(5) of OpenSSH 9; tests/unit/test_ssh_config.py puts the same files to `ssh -G`. Paramiko's own reader knows
no Include. A file is read once, `SshConfig.host` then says what it has for a host. What differs from ssh, on purpose:
`Match exec` and other criteria that depend on more than names are refused, unknown keywords are passed over.
"""

from __future__ import annotations

import getpass
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.ssh_words import SshSyntaxError, comma_list, first_word, hops, pattern, seconds, words

_DEEPEST: Final = 16  # files in files, as ssh
_CRITERIA: Final = ("all", "host", "originalhost", "user", "localuser")
# What would change who is trusted, what may go through the connection or how it is protected, and is not done here.
_UNSUPPORTED_NAMES: Final = """
    addkeystoagent addressfamily bindaddress bindinterface canonicaldomains canonicalizehostname
    casignaturealgorithms challengeresponseauthentication checkhostip ciphers controlmaster controlpath
    dynamicforward enablesshkeysign fingerprinthash forwardagent forwardx11 forwardx11trusted gatewayports
    globalknownhostsfile gssapiauthentication gssapidelegatecredentials hostbasedacceptedalgorithms
    hostbasedauthentication hostkeyalgorithms identityagent kbdinteractiveauthentication kexalgorithms
    knownhostscommand localcommand localforward macs nohostauthenticationforlocalhost numberofpasswordprompts
    passwordauthentication permitlocalcommand permitremoteopen pkcs11provider preferredauthentications
    proxyusefdpass pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection rekeylimit
    remotecommand remoteforward requesttty requiredrsasize revokedhostkeys securitykeyprovider sendenv sessiontype
    setenv tunnel updatehostkeys usekeychain verifyhostkeydns
"""
UNSUPPORTED: Final = frozenset(_UNSUPPORTED_NAMES.split())
_LISTS: Final = ("identityfile", "certificatefile")  # each line adds one
_TEXTS: Final = ("hostname", "user", "hostkeyalias", "port", "connecttimeout", "serveraliveinterval")
_TIMES: Final = ("connecttimeout", "serveraliveinterval")
_WORDS: Final = ("identitiesonly", "stricthostkeychecking")


@dataclass(frozen=True, slots=True)
class SshHost:
    """What the file has for one host. "" and None: nothing. Paths are as written, with `~` and tokens."""

    alias: str
    hostname: str
    port: int | None = None
    user: str = ""
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    proxy_jump: tuple[str, ...] = ()  # [user@]host[:port] each, in hop order
    proxy_command: str = ""
    known_hosts: tuple[str, ...] = ()
    strict: str = ""  # yes, no, ask, accept-new
    connect_timeout: int | None = None
    keepalive: int | None = None
    host_key_alias: str = ""
    unsupported: tuple[str, ...] = ()  # "ForwardAgent (config:12)": what is there and is not done


@dataclass(frozen=True, slots=True)
class _Line:
    keyword: str  # lower case
    written: str  # as in the file
    rest: str
    words: tuple[str, ...]
    where: str
    files: tuple[tuple[_Line, ...], ...] = ()  # of an Include


@dataclass(slots=True)
class _Found:
    """What has been obtained so far for one host."""

    alias: str
    user: str
    port: int | None
    jump: tuple[str, ...] | None = None  # () is "none"
    command: str | None = None
    once: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    unsupported: dict[str, None] = field(default_factory=dict)

    @property
    def hostname(self) -> str:
        written = self.once.get("hostname", ("",))[0]
        return filled(written, {"h": self.alias}) if written else self.alias


@dataclass(frozen=True, slots=True)
class SshConfig:
    """One configuration with all that it includes. `files` are all that were read, for noticing changes."""

    lines: tuple[_Line, ...]
    files: tuple[Path, ...]
    local_user: str

    @classmethod
    def read(cls, path: Path, home: Path | None = None, user: str = "") -> SshConfig:
        """The file and its includes; InputError with file and line for what cannot be used.

        Relative includes start at `home`/.ssh, as ssh has it. A file that others may write is refused.
        """
        reading = _Reading(home or Path.home())
        lines = reading.file(path, 0)
        return cls(lines, tuple(reading.files), user or getpass.getuser())

    def host(self, alias: str, *, user: str = "", port: int | None = None) -> SshHost:
        """What `ssh [-l user] [-p port] alias` would use."""
        found = _Found(alias, user, port)
        self._evaluate(self.lines, found, active=True, never=False)
        once, lists = found.once, found.lists

        def text(name: str) -> str:
            return once.get(name, ("",))[0]

        return SshHost(
            alias,
            found.hostname,
            port or (int(text("port")) if text("port") else None),
            user or text("user"),
            tuple(lists.get("identityfile", ())),
            tuple(lists.get("certificatefile", ())),
            text("identitiesonly").lower() in ("yes", "true"),
            found.jump or (),
            "" if found.jump or found.command is None or found.command.lower() == "none" else found.command,
            once.get("userknownhostsfile", ()),
            {"true": "yes", "false": "no", "off": "no"}.get(
                text("stricthostkeychecking").lower(), text("stricthostkeychecking").lower()
            ),
            seconds(text("connecttimeout")),
            seconds(text("serveraliveinterval")),
            text("hostkeyalias"),
            tuple(found.unsupported),
        )

    def _evaluate(self, lines: Sequence[_Line], found: _Found, *, active: bool, never: bool) -> None:
        for line in lines:
            if line.keyword == "host":
                active = not never and _names(line.words, found.alias)
            elif line.keyword == "match":
                active = not never and self._matches(line, found)
            elif line.keyword == "include":
                for file in line.files:  # an inactive one still ends with what it began with: nothing
                    self._evaluate(file, found, active=active, never=never or not active)
            elif active:
                _obtain(line, found)

    def _matches(self, line: _Line, found: _Found) -> bool:
        """All criteria of a Match line hold."""
        told = list(line.words)
        result = True
        while told:
            negated, criterion = told[0].startswith("!"), told.pop(0).removeprefix("!").lower()
            if criterion == "all":
                return result and not negated
            wanted = told.pop(0)
            if criterion == "host":
                holds = comma_list(wanted.lower(), found.hostname.lower())
            elif criterion == "originalhost":
                holds = comma_list(wanted.lower(), found.alias.lower())
            elif criterion == "user":
                holds = comma_list(wanted, found.user or found.once.get("user", ("",))[0] or self.local_user)
            else:
                holds = comma_list(wanted, self.local_user)
            result = result and holds != negated
        return result


def _names(patterns: Sequence[str], alias: str) -> bool:
    """A Host line: one pattern matches, and no negated one does."""
    active = False
    for each in patterns:
        if pattern(each.removeprefix("!"), alias):
            if each.startswith("!"):
                return False
            active = True
    return active


def _obtain(line: _Line, found: _Found) -> None:
    name = line.keyword
    if name in _LISTS:
        held = found.lists.setdefault(name, [])
        if line.words[0] not in held:
            held.append(line.words[0])
    elif name == "proxyjump":
        if found.jump is None and found.command is None:  # whichever of the two comes first is used
            found.jump = hops(line.rest)
    elif name == "proxycommand":
        if found.command is None and not found.jump:  # `ProxyJump none` leaves room for it
            found.command = line.rest
    elif name in _TIMES and line.words[0].lower() == "none":
        return  # as if it were not there
    elif name in (*_TEXTS, *_WORDS):
        found.once.setdefault(name, line.words[:1])
    elif name == "userknownhostsfile":
        found.once.setdefault(name, line.words)
    elif name in UNSUPPORTED:
        found.unsupported[f"{line.written} ({line.where})"] = None


@dataclass(slots=True)
class _Reading:
    """Files in files; every line is checked, whether it will count or not."""

    home: Path
    files: list[Path] = field(default_factory=list)

    def file(self, path: Path, depth: int) -> tuple[_Line, ...]:
        if depth > _DEEPEST:
            raise InputError(f"{path}: more than {_DEEPEST} files include each other", hint="Look for a loop.")
        self.files.append(path)
        try:
            text = _own(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise InputError(
                f"the ssh configuration {path} cannot be read ({error.strerror or type(error).__name__})",
                hint="Make it a file that this server may read, or start without --ssh-config.",
            ) from error
        return tuple(self._lines(text, path, depth))

    def _lines(self, text: str, path: Path, depth: int) -> Iterator[_Line]:
        for number, raw in enumerate(text.split("\n"), 1):
            where = f"{path}:{number}"
            written, rest = first_word(raw)
            if not written or written.startswith("#"):
                continue
            try:
                yield self._line(written, rest, where, depth)
            except SshSyntaxError as error:
                raise InputError(
                    f"{where}: {written}: {error}", hint="Correct the line; `ssh -G` reads the file too."
                ) from None

    def _line(self, written: str, rest: str, where: str, depth: int) -> _Line:
        keyword = written.lower()
        if keyword == "match":
            told = words(rest, quotes='"', blanks=" \t=")
            _check_match(told)
            return _Line(keyword, written, rest, tuple(told), where)
        if keyword in ("proxycommand", "proxyjump"):
            rest = rest.lstrip(" \t=")
            if keyword == "proxyjump":
                hops(rest)
            return _Line(keyword, written, rest, (), where)
        if keyword not in (*_LISTS, *_TEXTS, *_WORDS, "host", "include", "userknownhostsfile"):
            return _Line(keyword, written, rest, (), where)
        told = words(rest)
        _check(keyword, told)
        files = tuple(self._included(told, depth)) if keyword == "include" else ()
        return _Line(keyword, written, rest, tuple(told), where, files)

    def _included(self, told: Sequence[str], depth: int) -> Iterator[tuple[_Line, ...]]:
        for each in told:
            if each == "~" or each.startswith("~/"):
                path = f"{self.home}{each[1:]}"
            elif each.startswith("~"):
                path = os.path.expanduser(each)  # noqa: PTH111 - of a pattern
            else:
                path = os.path.join(self.home, ".ssh", each)  # noqa: PTH118 - an absolute one stays itself
            for found in sorted(glob.glob(path)):  # noqa: PTH207 - a whole path is the pattern
                if not Path(found).is_dir():
                    yield self.file(Path(found), depth + 1)


def _own(path: Path) -> bytes:
    """The content of a file that only we or root may write, as ssh asks of it: it names programs that are run."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path} is not a regular file", hint="Give --ssh-config another path.")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            raise InputError(
                f"{path} may be written by others (mode {stat.S_IMODE(found.st_mode):04o}); it names programs to run",
                hint="chmod go-w it, and make it yours.",
            )
        return file.read()


def _check(keyword: str, told: Sequence[str]) -> None:
    if not told or not all(told):
        raise SshSyntaxError("a value is missing")
    if keyword not in ("host", "include", "userknownhostsfile") and len(told) > 1:
        raise SshSyntaxError("there is more than one value")
    value = told[0]
    if keyword == "port" and not (re.fullmatch("[0-9]+", value) and 0 < int(value) < 65536):
        raise SshSyntaxError("must be a number from 1 to 65535")
    if keyword in _TIMES:
        seconds(value)
    if keyword == "identitiesonly" and value.lower() not in ("yes", "no", "true", "false"):
        raise SshSyntaxError("must be yes or no")
    modes = ("yes", "no", "true", "false", "off", "ask", "accept-new")
    if keyword == "stricthostkeychecking" and value.lower() not in modes:
        raise SshSyntaxError("must be yes, no, ask or accept-new")


def _check_match(told: Sequence[str]) -> None:
    if not told:
        raise SshSyntaxError("criteria are missing")
    left, several = list(told), False
    while left:
        criterion = left.pop(0).removeprefix("!").lower()
        if criterion == "exec":
            raise SshSyntaxError(
                "`exec` is refused: reading a file runs no program. Take the block out, or use a Host line"
            )
        if criterion not in _CRITERIA:
            raise SshSyntaxError(f"there is no criterion {criterion!r} here, only {', '.join(_CRITERIA)}")
        if criterion == "all":
            if several or left:
                raise SshSyntaxError("`all` stands alone")
        elif not left or not left.pop(0):
            raise SshSyntaxError(f"a value for {criterion} is missing")
        several = True


def filled(text: str, tokens: dict[str, str]) -> str:
    """The text with %x replaced; InputError for a token that is not one of `tokens` (%% is always one)."""

    def value(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter not in tokens:
            raise InputError(
                f"%{letter} has no meaning here, only {', '.join('%' + each for each in ('%', *tokens))}",
                hint="Correct it in the ssh configuration.",
            )
        return tokens[letter]

    return re.sub("%(.?)", value, text)
