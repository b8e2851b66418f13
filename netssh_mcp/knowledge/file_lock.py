"""A lock between processes and threads, for files that are read, changed and replaced as a whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_AGAIN: Final = 0.005  # seconds between two tries


@contextlib.contextmanager
def alone(lock: Path, seconds: float) -> Iterator[None]:
    """The block runs while nobody else holds `lock`: no process, and no other thread of this one. Blocks.

    `lock` is an empty file beside the one it is for, which cannot carry it itself: what is replaced is another file
    afterwards. It is made with mode 0600 where it is missing and stays; who dies gives it back. Not reentrant.
    OSError: it cannot be opened (a symbolic link is refused), or others have held it for `seconds` (BlockingIOError).
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(_AGAIN)
        yield
    finally:
        os.close(handle)
