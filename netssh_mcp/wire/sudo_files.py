"""A host's files by scripts of ours under sudo, for what its login user may not, or where there is no SFTP.

The scripts want a POSIX shell, GNU find and GNU coreutils. Each looks again, before anything else, whether its path
(of what is deleted or looked at: the folder that it is in) has no link in it. Who may move folders there at that very
moment can still lead it elsewhere: a shell cannot hold a folder open. Contents go over stdin and stdout only.
"""

from __future__ import annotations

import hashlib
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from netssh_mcp.errors import FileRefused, NetsshError, TransferBroken
from netssh_mcp.knowledge.secrets import Secret
from netssh_mcp.wire.following import SHA256, Afterwards, Follower, spelled
from netssh_mcp.wire.piped import Piped, Ran, Sink
from netssh_mcp.wire.remote_files import (
    MOST_NAMES,
    SYNCED,
    Facts,
    Hashing,
    NoPermission,
    Source,
    Write,
    Written,
    exists,
    inside,
    no_room,
    not_empty,
    not_there,
    only_regular,
    parent,
    sound,
    user_name,
)
from netssh_mcp.wire.sftp import Meter
from netssh_mcp.wire.sftp_files import HASHED_AFTER
from netssh_mcp.wire.sftp_messages import Buffer
from netssh_mcp.wire.shared import Shared
from netssh_mcp.wire.turn import Turn

# One line each: see `script`. Exit statuses above 90 are ours.
_MISSING, _EXISTS, _CUT, _MOVED, _NO_FOLDER, _FULL = range(91, 97)

# Of each file, all behind NULs: name, size, type, mode, owner and group as numbers and as names, time, target.
_FIND: Final = '-printf "%f\\\\0%s\\\\0%y\\\\0%m\\\\0%U\\\\0%G\\\\0%u\\\\0%g\\\\0%T@\\\\0%l\\\\0"'
_FIELDS: Final = 10
# Nothing on the way to the path has become a link; of `_SAME`, itself neither. -m: what is to be made is not there yet.
_SAME: Final = f'[ "$(readlink -m -- "$1")" = "$1" ] || exit {_MOVED}; '
_SAME_FOLDER: Final = f'd=$(dirname -- "$1"); [ "$(readlink -m -- "$d")" = "$d" ] || exit {_MOVED}; '
_STAT: Final = _SAME_FOLDER + f'[ -e "$1" ] || [ -L "$1" ] || exit {_MISSING}; LC_ALL=C find "$1" -maxdepth 0 {_FIND}'
_LIST: Final = (
    _SAME + f'[ -d "$1" ] || exit {_MISSING}; LC_ALL=C find "$1/" -mindepth 1 -maxdepth 1 $2 {_FIND} '
    f"| head -z -n {MOST_NAMES * _FIELDS}"
)
_REAL: Final = f'readlink -f -- "$1" || exit {_MISSING}'
_READ: Final = (
    _SAME + f'[ -f "$1" ] || exit {_MISSING}; [ "$2" = 0 ] && {{ head -c "$3" -- "$1"; exit; }}; '
    'tail -c +"$(($2 + 1))" -- "$1" | head -c "$3"'
)
# $1 path, $2 make parents, $3 size, $4 mode or "", $5 overwrite, $6 the name of the file beside it
_REPLACE: Final = (
    _SAME + 'd=$(dirname -- "$1"); [ "$2" = 1 ] && { mkdir -p -- "$d" || exit 1; }; '
    f'[ -d "$d" ] || exit {_NO_FOLDER}; ' + _SAME + 'trap "exit 1" HUP INT TERM PIPE; umask 077; '
    't=$6; set -C; : > "$t" || exit 1; set +C; trap "rm -f -- \\"\\$t\\"" EXIT; '
    'if [ -e "$1" ]; then chown --reference="$1" -- "$t" && chmod --reference="$1" -- "$t" || exit 1; '
    'cp --attributes-only --preserve=mode,ownership,xattr -- "$1" "$t" 2>/dev/null || echo unkept >&2; '
    'else chmod 0644 -- "$t"; fi; '
    f'cat > "$t" || {{ [ "$(df -kP -- "$d" | tail -n 1 | tr -s " " | cut -d " " -f 4)" -lt 1024 ] && exit {_FULL}; '
    "exit 1; }; "
    f'[ "$(stat -c %s -- "$t")" = "$3" ] || exit {_CUT}; if [ -n "$4" ]; then chmod -- "$4" "$t" || exit 1; fi; '
    f'[ "$3" -gt {SYNCED} ] || sync -- "$t" 2>/dev/null || sync; '
    'if [ "$5" = 1 ]; then mv -fT -- "$t" "$1"; else ln -T -- "$t" "$1" || '
    f'{{ [ -e "$1" ] && exit {_EXISTS}; exit 1; }}; fi'
)
# $1 path, $2 make parents, $3 size, $4 mode or "". The input is whole before the file is touched.
_APPEND: Final = (
    _SAME + 'd=$(dirname -- "$1"); [ "$2" = 1 ] && { mkdir -p -- "$d" || exit 1; }; '
    f'[ -d "$d" ] || exit {_NO_FOLDER}; ' + _SAME + 'trap "exit 1" HUP INT TERM PIPE; u=$(umask); umask 077; '
    't=$(mktemp) || exit 1; trap "rm -f -- \\"\\$t\\"" EXIT; cat > "$t" || exit 1; '
    f'[ "$(stat -c %s -- "$t")" = "$3" ] || exit {_CUT}; umask "$u"; '
    '[ -e "$1" ] || { : > "$1" && chmod 0644 -- "$1"; } || exit 1; cat -- "$t" >> "$1" || exit 1; '
    'if [ -n "$4" ]; then chmod -- "$4" "$1" || exit 1; fi; '
    f'[ "$3" -gt {SYNCED} ] || sync -- "$1" 2>/dev/null || sync'
)
_MKDIR: Final = (
    _SAME + f'd=$(dirname -- "$1"); [ "$2" = 1 ] || [ -d "$d" ] || exit {_NO_FOLDER}; '
    'if [ "$2" = 1 ]; then mkdir -p -- "$1"; elif [ ! -d "$1" ]; then mkdir -- "$1"; fi || exit 1; '
    'if [ -n "$3" ]; then chmod -- "$3" "$1"; fi'
)
_DELETE: Final = (
    _SAME_FOLDER + 'if [ -d "$1" ] && [ ! -L "$1" ]; then [ -z "$(ls -A -- "$1")" ] || '
    f'exit {_EXISTS}; rmdir -- "$1"; elif [ -e "$1" ] || [ -L "$1" ]; then rm -f -- "$1"; else exit {_MISSING}; fi'
)
_KEPT_NOT: Final = "owner, group and mode were kept; ACLs and extended attributes, if it had any, were not"


class SudoFiles:
    """See `remote_files.RemoteFiles`."""

    def __init__(self, shared: Shared, turn: Turn, password: Secret | None, *, patience: float) -> None:
        self.left = ""
        self._shared, self._turn, self._password, self._patience = shared, turn, password, patience
        self._device = shared.device.name

    def close(self) -> None:
        """Each script has its own channel, which is closed by now."""

    def login_folder(self) -> str:
        """Of the login user, who asks without sudo."""
        out = bytearray()
        ran = Piped(self._shared, self._turn, patience=self._patience).run("pwd -P", (), sink=out.extend)
        folder = _text(out).rstrip("\n")
        if ran.status or not folder.startswith("/"):
            raise FileRefused("the login folder is not known", device=self._device, hint="Give an absolute path.")
        return folder

    def real(self, path: str) -> str:
        """See `RemoteFiles`."""
        return sound(_text(self._asked(_REAL, path)).removesuffix("\n"), path, self._device)

    def facts(self, path: str) -> Facts:
        """See `RemoteFiles`."""
        found = _parsed(self._asked(_STAT, path), self._device)
        if not found:
            raise not_there(path, self._device)
        return found[0]

    def names(self, path: str, *, hidden: bool) -> list[Facts]:
        """See `RemoteFiles`."""
        script = _LIST.replace("$2", "" if hidden else '-not -name ".*"')
        return sorted(_parsed(self._asked(script, path), self._device), key=lambda facts: facts.name)

    def targets(self, folder: str, links: list[str]) -> list[str]:
        """`names` has told them already."""
        del folder
        return [""] * len(links)

    def read(self, path: str, start: int, end: int, sink: Callable[[Buffer], object], meter: Meter) -> int:
        """See `RemoteFiles`."""
        only_regular(self.facts(path), path, self._device)
        came = 0

        def counted(data: bytes) -> None:
            nonlocal came
            sink(data)
            came += len(data)
            meter.done += len(data)

        self._checked(self._ran(_READ, (path, str(start), str(end - start)), sink=counted), path)
        return start + came

    def follow(self, path: str, size: int) -> Follower:
        """See `RemoteFiles`: asked for at the end."""
        del size
        return Afterwards(lambda end: self._sha256(path, end))

    def _sha256(self, path: str, size: int) -> str:
        if digest := spelled(self._asked(_SAME + SHA256, path, str(size))):
            return digest
        hashed = hashlib.sha256()
        self.read(path, 0, size, hashed.update, Meter())
        return hashed.hexdigest()

    def write(self, path: str, source: Source, how: Write, meter: Meter) -> Written:
        """See `RemoteFiles`."""
        old = self._there(path)
        if old is not None:
            only_regular(old, path, self._device)
        mode = "" if how.mode is None else f"{how.mode:04o}"
        changed, note, sent = True, "", Hashing(source)
        if how.append:
            changed = source.size > 0 or old is None or how.mode not in (None, old.permissions)
            self._fill(_APPEND, (path, _flag(how.make_dirs), str(source.size), mode), sent, meter)
        elif old is not None and not how.overwrite:
            raise exists(path, self._device)
        elif old is not None and old.size == source.size and self._sha256(path, old.size) == source.digest():
            changed = how.mode not in (None, old.permissions)
            if changed:
                self._asked(_SAME + 'chmod -- "$2" "$1"', path, mode)
        else:
            aside = inside(parent(path), f".netssh-{secrets.token_hex(8)}")
            words = (path, _flag(how.make_dirs), str(source.size), mode, _flag(how.overwrite), aside)
            note = _KEPT_NOT if "unkept" in self._fill(_REPLACE, words, sent, meter).stderr.split("\n") else ""
        try:
            now = self.facts(path)
            told = self._sha256(path, now.size) if not how.append or now.size <= HASHED_AFTER else ""
            written = Written(now, told, changed=changed, created=old is None, note=note)
        except NetsshError as error:
            error.effect = "done" if changed else "none"
            error.message += f"; {path} is written, but could not be looked at again"
            raise

        if how.append:
            return written
        if told != (sent.digest() if sent.size else source.digest()):
            raise TransferBroken(
                f"{path} was written and has another checksum now than what was sent",
                device=self._device,
                effect="done",
                hint="Somebody else may have written it since: stat and read it.",
            )
        return replace(written, verified="sha256")

    def _fill(self, script: str, words: Sequence[str], source: Hashing, meter: Meter) -> Ran:
        path = words[0]

        def counted(size: int) -> bytes:
            data = source.read(size)
            meter.done += len(data)
            return data

        try:
            ran = self._ran(script, words, source=counted, sink=_nowhere)
            self._checked(ran, path)
        except NetsshError as error:
            if isinstance(error, FileRefused):
                error.message += f"; {path} is as it was" if script is _REPLACE else ""
            else:  # cancelled, or the link is gone: the script removes its temporary file when its input is cut
                error.effect = "possible"
                self.left = words[5] if script is _REPLACE else ""
                error.message += f"; {path} is as it was, unless all of it had been sent"
            raise
        return ran

    def mkdir(self, path: str, mode: int | None, *, parents: bool) -> Written:
        """See `RemoteFiles`."""
        there = self._there(path)
        if there is not None and there.type != "folder":
            raise FileRefused(f"{path} is a {there.type} already", device=self._device, hint="stat shows what it is.")
        self._asked(_MKDIR, path, _flag(parents), "" if mode is None else f"{mode:04o}")
        now = self.facts(path)
        changed = there is None or there.permissions != now.permissions
        return Written(now, "", changed=changed, created=there is None)

    def delete(self, path: str, facts: Facts) -> None:
        """See `RemoteFiles`."""
        del facts
        ran = self._ran(_DELETE, (path,), sink=_nowhere)
        if ran.status == _EXISTS:
            raise not_empty(path, self._device)
        self._checked(ran, path)

    # -- scripts -------------------------------------------------------------------------------------------------------

    def _there(self, path: str) -> Facts | None:
        out = bytearray()
        ran = self._ran(_STAT, (path,), sink=out.extend)
        if ran.status == _MISSING:
            return None
        self._checked(ran, path)
        return _parsed(bytes(out), self._device)[0]

    def _asked(self, script: str, path: str, *more: str) -> bytes:
        out = bytearray()
        self._checked(self._ran(script, (path, *more), sink=out.extend), path)
        return bytes(out)

    def _ran(
        self, script: str, words: Sequence[str], *, sink: Sink, source: Callable[[int], bytes] | None = None
    ) -> Ran:
        piped = Piped(self._shared, self._turn, sudo=True, password=self._password, patience=self._patience)
        return piped.run(script, words, sink=sink, **({} if source is None else {"source": source}))

    def _checked(self, ran: Ran, path: str) -> None:
        """FileRefused for a status other than 0; the host's own last line in `line`."""
        last = ran.stderr.splitlines()[-1:]
        line = last[0] if last else ""
        if not ran.started:
            raise NoPermission(
                "sudo ran nothing for this user, or no command may run on this host",
                device=self._device,
                line=line,
                hint="The user needs sudo rights for /bin/sh; a password comes from the host's `sudo` reference.",
            )
        if ran.status == _MISSING:
            raise not_there(path, self._device)
        if ran.status == _NO_FOLDER:
            raise not_there(parent(path), self._device)
        if ran.status == _EXISTS:
            raise exists(path, self._device)
        if ran.status == _FULL:
            raise no_room(path, 0, self._device)
        if ran.status == _MOVED:
            raise FileRefused(
                f"{path} leads elsewhere now than when it was looked at", device=self._device, hint="Try again."
            )
        if ran.status == _CUT:
            raise FileRefused(f"not all of {path} arrived", device=self._device, hint="Try again.", retryable=True)
        if ran.status:
            raise FileRefused(
                f"the host did not do it with {path} (exit status {ran.status})",
                device=self._device,
                line=line,
                hint="Its own words are in `line`.",
            )


def _parsed(out: bytes, device: str) -> list[Facts]:
    fields = out.split(b"\0")[:-1]
    if len(fields) % _FIELDS:
        raise FileRefused(
            "this host's `find` has no -printf, which is needed under sudo",
            device=device,
            hint="Install findutils (GNU) there, or ask without sudo.",
        )
    try:
        return [_facts(list(map(_text, fields[at : at + _FIELDS]))) for at in range(0, len(fields), _FIELDS)]
    except ValueError as error:  # a number that is none
        raise FileRefused(
            "this host's `find` does not print what it was asked for",
            device=device,
            hint="Install findutils (GNU) there, or ask without sudo.",
        ) from error


def _facts(fields: list[str]) -> Facts:
    name, size, kind, mode, uid, gid, owner, group, mtime, target = fields
    bits = _KINDS.get(kind, 0) | stat.S_IMODE(int(mode, 8))
    user, of = user_name(owner, int(uid)), user_name(group, int(gid))
    seconds = min(int(mtime.partition(".")[0]), _LATEST)
    return Facts(name, int(size), bits, int(uid), int(gid), user, of, seconds, target)


_LATEST: Final = 1 << 37  # seconds since 1970: a year that calendars still have
_KINDS: Final = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
}


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _text(raw: bytes | bytearray) -> str:
    return bytes(raw).decode("utf-8", "surrogateescape")


def _nowhere(_data: bytes) -> None:
    """What the script prints."""
