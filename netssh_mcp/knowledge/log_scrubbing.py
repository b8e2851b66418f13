"""No log line holds a secret that this process has used: every handler's records go through the vault."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from netssh_mcp.knowledge.vault import Vault


class Scrubbing(logging.Filter):
    """On a handler, so that records of every logger pass it: message, traceback and stack, in every spelling."""

    def __init__(self, vault: Vault) -> None:
        super().__init__()
        self._vault = vault
        self._tracebacks = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record through, without the secrets."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler would print all of them
            said = str(record.msg)
            record.args = ()
        hidden = self._vault.hidden(said)
        if hidden != said or not record.args:
            record.msg, record.args = hidden, ()
        if record.exc_info and not record.exc_text and record.exc_info[0] is not None:
            record.exc_text = self._tracebacks.formatException(record.exc_info)  # what a formatter would cache there
        if record.exc_text:
            record.exc_text = self._vault.hidden(record.exc_text)
        if record.stack_info:
            record.stack_info = self._vault.hidden(record.stack_info)
        return True


@contextmanager
def scrubbed_logs(vault: Vault) -> Iterator[None]:
    """While it lasts, the handlers that there are now write no value of the vault."""
    handlers = [*logging.getLogger().handlers, *([logging.lastResort] if logging.lastResort else [])]
    scrubbing = Scrubbing(vault)
    for handler in handlers:
        handler.addFilter(scrubbing)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(scrubbing)
