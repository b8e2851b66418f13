"""What a device may have written and nobody would see: shown, so that reader and model read the same.

Hidden are the controls (C0 but tab and newline, DEL, C1), all that Unicode calls default ignorable (what a display
leaves out: soft hyphen, zero width, fillers, variation selectors of emojis too, directions, tags), line separators,
interlinear annotation and the joiners of hieroglyphs (Unicode TR36, TR39, UAX 44; CVE-2021-42574 is the directions;
tags and variation selectors carry whole texts that only a model reads). A lone surrogate, which JSON can bring, cannot
be encoded at all. `visible` itself is on the lowest floor, with the errors.
"""

from __future__ import annotations

from netssh_mcp.errors import visible

__all__ = ["visible", "visible_all"]


def visible_all(value: object) -> object:
    """The same in every string of JSON-like data, keys included; tuples stay tuples."""
    match value:
        case str():
            return visible(value)
        case dict():
            return {visible_all(key): visible_all(inner) for key, inner in value.items()}
        case list():
            return [visible_all(inner) for inner in value]
        case tuple():
            return tuple([visible_all(inner) for inner in value])
        case _:
            return value
