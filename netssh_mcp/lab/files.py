"""A simulated device's flash: what `dir`, the checksum command and `delete` print, in each platform's form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Literal

# off: SCP is not enabled. refuse: it says no to the path. cut: the connection ends in the middle. full: the flash is
# full in the middle. corrupt: what arrives is changed. size, name: the header lies. more: bytes behind the announced
# end. second: another file follows. freeze: nothing moves any more, in the middle.
ScpFault = Literal["", "off", "refuse", "cut", "full", "corrupt", "size", "name", "more", "second", "freeze"]

_SYSTEM = re.compile(r"(?:file:)?/?(?:[a-z][a-z0-9\-]*:|/mnt/flash|/var/tmp|mnt/flash)/*")
_TMP = "/var/tmp"  # noqa: S108 - a name on the simulated device
_IN = {"cisco_nxos": "bootflash:", "cisco_xr": "disk0:", "cisco_asa": "disk0:", "juniper_junos": _TMP}
_DATE = "Nov 20 2026 10:15:42"


@dataclass(slots=True)
class Flash:
    """The files of one device by name. `size` is the whole flash in bytes; the faults may be set while it runs."""

    platform: str
    contents: MutableMapping[str, bytes]
    size: int = 64 << 20
    scp: ScpFault = ""
    wrong_md5: bool = False
    deaf_delete: bool = False  # says nothing and deletes nothing
    kept: int = 0  # bytes that were ever stored by SCP

    @property
    def free(self) -> int:
        """Bytes left."""
        return self.size - sum(map(len, self.contents.values()))

    @property
    def system(self) -> str:
        """The file system, as the platform calls it."""
        return _IN.get(self.platform, "flash:")

    def name(self, path: str) -> str:
        """A path without its file system."""
        return _SYSTEM.sub("", path, count=1) if _SYSTEM.match(path) else path.lstrip("/")

    def dir(self, path: str) -> str:
        """What listing prints; "" is all of it."""
        name = self.name(path)
        listed = {name: self.contents[name]} if name in self.contents else {} if name else dict(self.contents)
        if name and not listed:
            return _MISSING.get(self.platform, "%Error opening {path} (No such file or directory)\n").format(path=path)
        return _DIRS.get(self.platform, _ios)(self, name, listed)

    def md5(self, path: str) -> str:
        """What the checksum command prints."""
        name = self.name(path)
        if name not in self.contents:
            return f"%Error opening {path} (No such file or directory)\n"
        digest = hashlib.md5(self.contents[name], usedforsecurity=False).hexdigest()
        digest = digest[::-1] if self.wrong_md5 else digest
        if self.platform in ("cisco_nxos", "cisco_xr"):
            return f"{digest}\n"
        if self.platform == "juniper_junos":
            return f"MD5 ({path}) = {digest}\n"
        return f"....MD5 of {path} Done!\nverify /md5 ({path}) = {digest}\n"

    def delete(self, path: str) -> str:
        """Without a question."""
        name = self.name(path)
        if name not in self.contents:
            return f"%Error deleting {path} (No such file or directory)\n"
        if not self.deaf_delete:
            del self.contents[name]
        return ""


def _ios(flash: Flash, name: str, listed: dict[str, bytes]) -> str:
    lines = [f"Directory of {flash.system}/{name}\n\n"]
    for number, (each, data) in enumerate(sorted(listed.items()), 1):
        lines.append(f"{number:5}  -rw-  {len(data):12}  {_DATE} +00:00  {each}\n")
    if not listed:
        lines.append("No files in directory\n")
    return "".join([*lines, f"\n{flash.size} bytes total ({flash.free} bytes free)\n"])


def _asa(flash: Flash, name: str, listed: dict[str, bytes]) -> str:
    lines = [f"Directory of {flash.system}/{name}\n\n"]
    for number, (each, data) in enumerate(sorted(listed.items()), 100):
        lines.append(f"{number}    -rwx  {len(data)}    10:15:42 Nov 20 2026  {each}\n")
    return "".join([*lines, f"\n{flash.size} bytes total ({flash.free} bytes free)\n"])


def _nxos(flash: Flash, _name: str, listed: dict[str, bytes]) -> str:
    lines = [f"{len(data):12}    Nov 20 10:15:42 2026  {each}\n" for each, data in sorted(listed.items())]
    usage = f"\nUsage for {flash.system}//sup-local\n{flash.size - flash.free:12} bytes used\n"
    return "".join([*lines, usage, f"{flash.free:12} bytes free\n{flash.size:12} bytes total\n"])


def _xr(flash: Flash, name: str, listed: dict[str, bytes]) -> str:
    lines = [f"\nDirectory of {flash.system}/{name}\n\n"]
    for number, (each, data) in enumerate(sorted(listed.items()), 1):
        lines.append(f"{number:5}. -rw-r--r-- 1 {len(data):9} Nov 20 10:15 {each}\n")
    return "".join([*lines, f"\n{flash.size // 1000} kbytes total ({flash.free // 1000} kbytes free)\n"])


def _eos(flash: Flash, name: str, listed: dict[str, bytes]) -> str:
    lines = [f"Directory of {flash.system}/{name}\n\n"]
    lines += [f"       -rw- {len(data):11}           Nov 20 10:15  {each}\n" for each, data in sorted(listed.items())]
    return "".join([*lines, f"\n{flash.size} bytes total ({flash.free} bytes free)\n"])


def _junos(_flash: Flash, name: str, listed: dict[str, bytes]) -> str:
    lines = [] if name else [f"{_TMP}:\n", "total blocks: 124\n"]
    for each, data in sorted(listed.items()):
        shown = f"{_TMP}/{each}" if name else each
        lines.append(f"-rw-r--r--  1 admin wheel {len(data):10} Nov 20 10:15 {shown}\n")
    return "".join([*lines, f"total files: {len(listed)}\n"])


def storage(flash: Flash) -> str:
    """Junos' `show system storage detail`."""
    used, free = (flash.size - flash.free) // 1024, flash.free // 1024
    return (
        "Filesystem              1024-blocks     Used    Avail Capacity  Mounted on\n"
        "/dev/gpt/junos              1264808    16376  1147248       1%  /.mount\n"
        f"/dev/gpt/var            {flash.size // 1024:11} {used:8} {free:8}       1%  /.mount/var\n"
    )


_DIRS: dict[str, Callable[[Flash, str, dict[str, bytes]], str]] = {
    "cisco_asa": _asa,
    "cisco_nxos": _nxos,
    "cisco_xr": _xr,
    "arista_eos": _eos,
    "juniper_junos": _junos,
}
_MISSING = {
    "cisco_nxos": "No such file or directory\n",
    "cisco_xr": "\n{path}: No such file or directory\n",
    "cisco_asa": "ERROR: %Error opening {path} (No such file or directory)\n",
    "arista_eos": "% Error listing directory {path} (No such file or directory)\n",
    "juniper_junos": "{path}: No such file or directory\n",
}
