"""What the built-in commands do to the session and its device. Each returns what the device says about it."""

from __future__ import annotations

from collections.abc import Callable

from netssh_mcp.lab.config import difference
from netssh_mcp.lab.device import Device
from netssh_mcp.lab.files import storage
from netssh_mcp.lab.interpreter import Context
from netssh_mcp.lab.model import Command, fill

_Act = Callable[[Device, Context, tuple[str, ...]], str]


def act(command: Command, device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    """Do it, move to the mode the command leads to, and give the text to print."""
    said = _ACTIONS[command.do](device, context, arguments) if command.do in _ACTIONS else ""
    if command.enter and device.platform.modes[command.enter].kind == "config":
        if device.platform.config.candidate and context.candidate is None:
            context.candidate = device.candidate()
        if context.mode != command.enter:
            context.path = ""
    elif command.enter:
        context.candidate, context.path = None, ""
    context.mode = command.enter or context.mode
    numbers = {"rows": str(context.rows), "columns": str(context.width)}
    argument = arguments[-1] if arguments else ""
    return fill(command.say, {**device.values, **numbers, "argument": argument}) + said


def dirty(device: Device, context: Context) -> bool:
    """The session holds lines that are not committed."""
    return context.candidate is not None and difference(device.running, context.candidate) != ""


def _page_length(_device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    context.rows = int(arguments[0]) if arguments else 0
    return ""


def _page_default(device: Device, context: Context, _arguments: tuple[str, ...]) -> str:
    context.rows = device.platform.pager.rows
    return ""


def _page_width(_device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    context.width = int(arguments[0]) if arguments else 0
    return ""


def _save(device: Device, _context: Context, _arguments: tuple[str, ...]) -> str:
    device.save()
    return ""


def _erase(device: Device, _context: Context, _arguments: tuple[str, ...]) -> str:
    device.startup = ""
    return ""


def _write_file(device: Device, _context: Context, arguments: tuple[str, ...]) -> str:
    device.flash.contents[arguments[-1]] = device.running.flat().encode()
    return ""


def _delete_file(device: Device, _context: Context, arguments: tuple[str, ...]) -> str:
    name = arguments[-1]
    if name not in device.flash.contents:
        return f"%Error deleting flash:/{name} (No such file or directory)\n\n"
    del device.flash.contents[name]
    return ""


def _dir(device: Device, _context: Context, arguments: tuple[str, ...]) -> str:
    return device.flash.dir(arguments[-1] if arguments else device.flash.system)


def _md5(device: Device, _context: Context, arguments: tuple[str, ...]) -> str:
    return device.flash.md5(arguments[-1])


def _delete_quietly(device: Device, _context: Context, arguments: tuple[str, ...]) -> str:
    return device.flash.delete(arguments[-1])


def _storage(device: Device, _context: Context, _arguments: tuple[str, ...]) -> str:
    return storage(device.flash)


def _set_line(device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    store = context.candidate or device.running
    store.apply(context.path, arguments[-1])
    return ""


def _delete_line(device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    return _set_line(device, context, (f"delete {arguments[-1]}",))


def _add_line(device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    return _set_line(device, context, (f"set {arguments[-1]}",))


def _edit(_device: Device, context: Context, arguments: tuple[str, ...]) -> str:
    context.path = f"{context.path} {arguments[-1]}".strip()
    return ""


def _up(_device: Device, context: Context, _arguments: tuple[str, ...]) -> str:
    context.path = context.path.rpartition(" ")[0]
    return ""


def _top(_device: Device, context: Context, _arguments: tuple[str, ...]) -> str:
    context.path = ""
    return ""


def _commit(device: Device, context: Context, _arguments: tuple[str, ...]) -> str:
    if context.candidate is not None:
        device.adopt(context.candidate)
        device.save()
        context.candidate = device.candidate()
    return device.platform.config.committed


def _discard(device: Device, context: Context, _arguments: tuple[str, ...]) -> str:
    context.candidate = device.candidate()
    return ""


_ACTIONS: dict[str, _Act] = {
    "page_length": _page_length,
    "page_default": _page_default,
    "page_width": _page_width,
    "save": _save,
    "erase": _erase,
    "write_file": _write_file,
    "dir": _dir,
    "md5": _md5,
    "delete_quietly": _delete_quietly,
    "storage": _storage,
    "delete_file": _delete_file,
    "set_line": _add_line,
    "delete_line": _delete_line,
    "edit": _edit,
    "up": _up,
    "top": _top,
    "commit": _commit,
    "discard": _discard,
}
