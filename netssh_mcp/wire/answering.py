"""What the caller has said beforehand that is to be typed: each once, and only behind the line it was meant for."""

from __future__ import annotations

from netssh_mcp.wire.order import Answer


class Answering:
    """The answers of one command that are left."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self._left = list(answers)

    def to(self, line: str) -> bytes | None:
        """What to type behind this last line, which has no end yet; None when no answer is for it. Used up by this."""
        for answer in self._left:
            if answer.expect.search(line):
                self._left.remove(answer)
                return answer.send
        return None
