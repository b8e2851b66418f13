"""A device that answers with captured outputs, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

from netssh_mcp.lab.device import DeviceSpec
from netssh_mcp.lab.faults import Script


def replay(platform: str, outputs: Mapping[str, str], *, name: str = "replay") -> DeviceSpec:
    """`outputs` is command -> text as captured; nothing is filled in, no clock line is added."""
    scripts = {" ".join(command.split()): Script.of(text) for command, text in outputs.items()}
    return DeviceSpec(name=name, platform=platform, outputs=scripts, preamble=False)
