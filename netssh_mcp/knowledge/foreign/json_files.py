"""A JSON file as a document. Not by the YAML reader, which knows no surrogate pairs; its lines are not known."""

from __future__ import annotations

import json
from pathlib import Path

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.yaml_lines import Document, contents


def is_json(path: Path) -> bool:
    """Whether the file begins as an object of JSON does, and is not called YAML, which may begin so too."""
    return path.suffix not in (".yml", ".yaml") and contents(path)[0].lstrip()[:1] == b"{"


def read(path: Path) -> Document:
    """The document; numbers with a fraction stay text. InputError: it cannot be read, or is not JSON."""
    raw, mode, private = contents(path)
    try:
        content = json.loads(raw, parse_float=str)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
    else:
        return Document(path, content, None, mode, private, ())
    raise InputError(f"{path}:{line}: this is not JSON that can be read", hint="Export it again.")
