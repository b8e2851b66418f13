"""Where the data files live that belong to the package: in the wheel, or at the top level of a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """The shipped file or folder `name`: `device_profiles`, `templates` or `inventory.example.yaml`."""
    in_wheel = _PACKAGE / "_data" / name
    return in_wheel if in_wheel.exists() else _PACKAGE.parent / name
