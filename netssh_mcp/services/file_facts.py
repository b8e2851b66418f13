"""What the file tools take and say: paths, permissions, facts of files as fields."""

from __future__ import annotations

import re
import stat
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from netssh_mcp.errors import InputError
from netssh_mcp.services.file_text import name_shown

if TYPE_CHECKING:
    from netssh_mcp.wire.remote_files import Facts, Written

COLUMNS: Final = ("type", "size", "owner", "group", "mode", "mtime", "name", "target")
_LONGEST: Final = 4096  # bytes of a path (PATH_MAX)
_MODE: Final = re.compile(r"0?[0-7]{3,4}")


def checked_path(path: str) -> None:
    """InputError for what no path should be."""
    if not path:
        raise InputError("`path` is empty", hint="Give an absolute path, for example /etc/hosts.")
    if not path.isprintable():
        raise InputError(
            "`path` has control characters or unpaired surrogates", hint="Such names cannot be named here."
        )
    if len(path.encode()) > _LONGEST:
        raise InputError(f"`path` is longer than {_LONGEST} bytes", hint="Give a shorter path.")
    if ".." in path.split("/"):
        raise InputError("`path` has `..` in it", hint="Write the path without it: what it means depends on links.")


def octal(text: str) -> int | None:
    """Permissions as they are typed; None where there are none. InputError."""
    if not text:
        return None
    if not _MODE.fullmatch(text):
        raise InputError(f"`mode` {text[:20]!r} is not octal", hint="For example 0644, 755 or 4755.")
    return int(text, 8)


def described(path: str, facts: Facts) -> dict[str, Any]:
    """What `stat` tells."""
    found = {
        "path": name_shown(path),
        "type": facts.type,
        "size": facts.size,
        "owner": facts.owner,
        "group": facts.group,
        "mode": f"{facts.permissions:04o}",
        "permissions": stat.filemode(facts.mode),
        "mtime": _time(facts.mtime),
    }
    return {**found, "target": name_shown(facts.target)} if facts.target else found


def row(facts: Facts, target: str) -> list[Any]:
    """One line of a listing, as wide as COLUMNS. An odd name is shown with escapes."""
    told = described(facts.name, facts)
    return [*(told[column] for column in COLUMNS[:-2]), name_shown(facts.name), name_shown(target) or None]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def changed(path: str, written: Written) -> dict[str, Any]:
    """What a write or mkdir did."""
    facts = described(path, written.facts)
    if written.sha256:
        facts["sha256"] = written.sha256
    if written.verified:
        facts["verified"] = written.verified
    answer = {"changed": written.changed, "created": written.created, "file": facts}
    if written.made:
        answer["made"] = [name_shown(each) for each in written.made]
    if written.note:
        answer["note"] = written.note
    return answer
