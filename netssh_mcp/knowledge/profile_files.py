"""Reading a profile file: errors that name file, line, key and the allowed keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.yaml_lines import Document, Problem, read

ProfileFile = Document


def yaml_files(folder: Path) -> dict[str, Path]:
    """The folder's YAML files by their names without the ending."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in {".yaml", ".yml"}}


def read_profile(path: Path) -> tuple[dict[str, Any], ProfileFile]:
    """The mapping in a file, and the document, which knows the lines."""
    found = read(path)
    if found.doubled:
        raise InputError(str(found.doubled[0]), hint="Keep one of them.")
    if not isinstance(found.content, dict):
        raise InputError(str(Problem(path, 1, "this is not a mapping of keys")), hint="See docs/profiles.md.")
    return cast("dict[str, Any]", found.content), found


def explained(exc: ValidationError, model: type[BaseModel], found: ProfileFile) -> InputError:
    """The first schema error as a sentence with file, line and key; all allowed keys when one is unknown."""
    error = exc.errors(include_url=False)[0]
    where = error["loc"]
    key = ".".join(str(step) for step in where) or "profile"
    more = f" This file has {exc.error_count()} errors." if exc.error_count() > 1 else ""
    said = error["msg"].removeprefix("Value error, ")
    hint = f"docs/profiles.md describes every key.{more}"
    if error["type"] == "extra_forbidden":
        part: Any = model
        for step in where[:-1]:
            part = part.model_fields[step].annotation
        said, hint = "this key is unknown", f"Allowed keys: {', '.join(part.model_fields)}.{more}"
    return InputError(str(Problem(found.path, found.line(*where), f"{key}: {said}")), hint=hint)
