"""Where the value of a secret comes from: one function for each kind of reference.

Each returns the value, or `Missing`, which says why there is none. They do not raise: whoever renders a traceback with
its locals must not find the value in a frame. What is optional or slow to load is imported inside the function that
needs it.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netssh_mcp.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS: Final = "netssh_mcp.secrets"  # scheme -> callable(reference) -> str, of any installed distribution
NETMIKO_PREFIX: Final = "__encrypt__"
NETMIKO_KEY: Final = "NETMIKO_TOOLS_KEY"
CMD_SECONDS: Final = 20.0
_MOST_BYTES: Final = 65_536  # a private mistake such as file:/var/log/syslog must not fill memory


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no value, and what to do. Never holds a part of one."""

    message: str
    hint: str


Fetched = str | Missing


def checked(value: str, reference: str) -> Fetched:
    """A secret is typed at a prompt: a line end would type a second line, another control character would edit it."""
    if any(character in value for character in "\n\r\0"):
        return Missing(f"{reference} gives more than one line", "A secret is one line; print or store only that.")
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        return Missing(
            f"{reference} gives a control character", "A secret is one line of text; print or store only that."
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        return Missing(f"{reference} is not UTF-8 text", "Store the secret as one line of text.")
    return value


def _text(raw: bytes, reference: str) -> Fetched:
    if len(raw) > _MOST_BYTES:
        return Missing(f"{reference} gives more than {_MOST_BYTES} bytes", "A secret is one short line.")
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        return Missing(f"{reference} is not UTF-8 text", "Store the secret as one line of text.")
    value = value[:-2] if value.endswith("\r\n") else value.removesuffix("\n")
    return value or Missing(f"{reference} is empty", "Store the secret there, as one line.")


def from_env(name: str, reference: str, look_up: Callable[[str], str | None] = os.environ.get) -> Fetched:
    """The value of a variable, of this process's environment unless `look_up` knows better."""
    try:
        value = look_up(name)
    except InputError as error:  # the env file; its errors hold none of its values
        return Missing(f"{reference}: {error.message}", error.hint)
    if value:
        return value
    state = "not set" if value is None else "empty"
    return Missing(
        f"{reference} is {state}", f"Set {name} in the environment that starts the server, or in its env file."
    )


def open_private(path: Path, reference: str) -> int | Missing:
    """A file descriptor of a regular file that only we can read; checked on the descriptor, so no race."""
    try:
        # O_NONBLOCK: a FIFO must not hang the open; it is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return Missing(
            f"{reference} cannot be opened: {error.strerror}", "Correct the path, or create the file with mode 0600."
        )
    found = os.fstat(descriptor)
    wrong = ""
    if not stat.S_ISREG(found.st_mode):
        wrong = "is not a regular file"
    elif found.st_uid != os.geteuid():
        wrong = "belongs to another user"
    elif found.st_mode & 0o077:
        wrong = f"is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
    if wrong:
        os.close(descriptor)
        return Missing(f"{reference} {wrong}", f"Make it a file of your own: chmod 600 {path}")
    return descriptor


def from_file(path: Path, reference: str) -> Fetched:
    """The one line of a private file."""
    descriptor = open_private(path, reference)
    if isinstance(descriptor, Missing):
        return descriptor
    with os.fdopen(descriptor, "rb") as opened:
        return _text(opened.read(_MOST_BYTES + 1), reference)


def from_command(argv: tuple[str, ...], reference: str, withheld: frozenset[str]) -> Fetched:
    """What a program prints: no shell, no input, no sight of the variables that hold other secrets."""
    environment = {name: value for name, value in os.environ.items() if name not in withheld | {NETMIKO_KEY}}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,  # ours is the MCP stream
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # tools print parts of secrets there
            env=environment,
            start_new_session=True,  # so that its children end with it
        )
    except OSError as error:
        return Missing(
            f"{reference} cannot be started: {error.strerror}", "Install the program, or write its full path."
        )
    with process:
        printed = _printed(process)
        if printed is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if printed is None:
        return Missing(
            f"{reference} gave no answer within {CMD_SECONDS:.0f} s, or far too long a one",
            "Unlock the store first: nobody can answer a question that the program asks here.",
        )
    if process.returncode != 0:
        return Missing(
            f"{reference} failed with exit status {process.returncode}",
            "Run the command by hand; its messages are not shown here, they may hold parts of the secret.",
        )
    return _text(printed, reference)


def _printed(process: subprocess.Popen[bytes]) -> bytes | None:
    """All that the process prints until it ends; None when it takes too long or prints more than a secret may have."""
    deadline = time.monotonic() + CMD_SECONDS
    assert process.stdout is not None
    descriptor, printed = process.stdout.fileno(), b""
    ready = select.poll()  # not select(): a server with many sessions has descriptors over 1,023
    ready.register(descriptor, select.POLLIN)
    while ready.poll(max(deadline - time.monotonic(), 0) * 1000):
        piece = os.read(descriptor, _MOST_BYTES)
        printed += piece
        if len(printed) > _MOST_BYTES:
            return None
        if not piece:
            try:
                process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                return None
            return printed
    return None


def no_keyring() -> Missing | None:
    """Why no keyring can be asked, or None."""
    try:
        import keyring  # noqa: F401
    except ImportError:
        return Missing("`keyring:` needs the keyring package", "Install it: pip install 'netssh-mcp[keyring]'")
    return None


def from_keyring(service: str, user: str, reference: str) -> Fetched:
    """The password that the system's keyring has for a service and a user."""
    if missing := no_keyring():
        return missing
    import keyring
    import keyring.errors

    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        return Missing(
            f"{reference}: the keyring cannot be read ({type(error).__name__})", "Unlock or configure the keyring."
        )
    if not value:
        return Missing(f"{reference} is not in the keyring", "Store it: keyring set SERVICE USER")
    return str(value)


# -- values that Netmiko's tools encrypted -------------------------------------------------------------------------


def from_netmiko(encrypted: str, reference: str) -> Fetched:
    """A value as `netmiko-encrypt` writes it, opened with the key in NETMIKO_TOOLS_KEY.

    `__encrypt__`, the salt, a colon and the ciphertext, both as base64; the key is PBKDF2 (SHA-256, 100,000 rounds) of
    the variable. A Fernet token says what it is by its first bytes; the other kind is AES-128-CBC behind its IV.
    (netmiko 4.8, encryption_handling.py; read here anew because only `wire` imports Netmiko.)
    """
    import base64
    import binascii

    from cryptography.fernet import InvalidToken

    key = os.environ.get(NETMIKO_KEY)
    if not key:
        return Missing(
            f"{reference}: {NETMIKO_KEY} is not set", f"Set {NETMIKO_KEY} in the environment that starts the server."
        )
    salt, _, ciphertext = encrypted.removeprefix(NETMIKO_PREFIX).partition(":")
    try:
        value = _opened(base64.b64decode(salt, validate=True), base64.b64decode(ciphertext, validate=True), key)
    except (binascii.Error, InvalidToken, ValueError):
        return Missing(
            f"{reference} cannot be opened with the key in {NETMIKO_KEY}",
            "Correct the key, or encrypt the value again with Netmiko's netmiko-encrypt.",
        )
    return value or Missing(f"{reference} is empty", "Encrypt the value again with Netmiko's netmiko-encrypt.")


def _opened(salt: bytes, ciphertext: bytes, key: str) -> str:
    """ValueError or InvalidToken when it is not of this key."""
    import base64

    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives import hashes, padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    derived = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=100_000).derive(key.encode())
    if ciphertext.startswith(b"gAAAA"):  # version 0x80 and a time stamp before the year 2106, in base64
        return Fernet(base64.urlsafe_b64encode(derived)).decrypt(ciphertext).decode()
    decryptor = Cipher(algorithms.AES(derived[:16]), modes.CBC(ciphertext[:16])).decryptor()
    padded = decryptor.update(ciphertext[16:]) + decryptor.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


# -- other people's stores -----------------------------------------------------------------------------------------


def other(scheme: str) -> EntryPoint | None:
    """The entry point of an installed distribution that resolves `scheme:`, or None."""
    return _others(tuple(sys.path)).get(scheme)


@functools.lru_cache(maxsize=4)
def _others(_path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Scanning what is installed takes milliseconds, and an inventory may ask for each of its hosts."""
    from importlib.metadata import entry_points

    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def from_other(scheme: str, rest: str, reference: str) -> Fetched:
    """What the entry point's callable returns for the reference."""
    found = other(scheme)
    if found is None:
        return Missing(f"{reference}: nothing that is installed resolves {scheme}:", f"Install what offers {scheme}:.")
    # The kinds of error that a look-up, a network or a missing module raise. Their texts are not ours to show.
    try:
        resolve: Callable[[str], object] = found.load()
        value = resolve(rest)
    except (LookupError, OSError, RuntimeError, ValueError, TypeError, AttributeError, ImportError) as error:
        return Missing(
            f"{reference}: {found.value} failed ({type(error).__name__})",
            "Its message is not shown here, it may hold parts of the secret; try it by hand.",
        )
    if not isinstance(value, str) or not value:
        return Missing(f"{reference}: {found.value} gave no text", "It has to return the secret as text.")
    return value
