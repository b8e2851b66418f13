"""An error that leaves the wire takes no local variable along: passwords were in some of them."""

from __future__ import annotations

import traceback


def forget_locals(error: BaseException) -> None:
    """Clear the frames of the error and of all that it came from; its lines stay in the traceback.

    Whoever renders a traceback with its locals (crash reporters do) finds none of ours, Paramiko's or Netmiko's.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback.clear_frames(each.__traceback__)
        waiting += [each.__cause__, each.__context__]
