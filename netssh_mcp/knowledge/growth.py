"""How much larger than its data a JMESPath result can be: queries come from outside, and `[@,@,@][]|[@,@,@][]` grows.

JMESPath has no variables and no way back to the root, so a bound follows from the query alone: steps in a row
multiply, the parts of a multiselect add up, a selection never makes more of anything. Sizes are those of the result
written out: a list that holds the same object eight times is small in memory and eight times as long as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_FIELDS_PER_FACTOR: Final = 4  # distinct fields share the data; a place for each of them costs all the same
_TO_STRING: Final = 6  # JSON in JSON: one character of it becomes up to `\u00e9`
_INSIDE: Final = ("subexpression", "index_expression", "projection", "filter_projection", "value_projection")

Node = Mapping[str, Any]  # jmespath's own: type, children, value


@dataclass(frozen=True, slots=True)
class Growth:
    """Factors on the size of the data: of the result, and of the largest thing on the way to it."""

    result: float
    peak: float


_SAME: Final = Growth(1, 1)


def growth(node: Node) -> Growth:
    """The bound of a parsed query. Raises ValueError for the one function whose growth the query does not show."""
    kind: str = node["type"]
    if kind in ("literal", "current", "identity", "field", "index", "slice"):
        return _SAME
    parts = [growth(child) for child in node["children"]]
    peak = max(part.peak for part in parts) if parts else 1
    if kind in ("comparator", "not_expression"):
        return Growth(1, peak)
    if kind in ("or_expression", "and_expression", "multi_select_list", "multi_select_dict"):
        either = kind in ("or_expression", "and_expression")
        total = max(part.result for part in parts) if either else _shared(node["children"], parts)
        return Growth(total, max(total, peak))
    if kind == "filter_projection":
        base, right, condition = parts
        return Growth(base.result * right.result, max(base.peak, base.result * max(right.peak, condition.peak)))
    if kind == "function_expression":
        return _function(node, parts)
    return _in_a_row(parts)


def _in_a_row(parts: list[Growth]) -> Growth:
    """pipe, subexpression, projection and what else hands its result to the next."""
    size, peak = 1.0, 1.0
    for part in parts:
        peak = max(peak, size * part.peak)
        size *= part.result
    return Growth(size, peak)


def _shared(children: list[Node], parts: list[Growth]) -> float:
    """Different fields are different parts of the data, so the largest factor holds; everything else adds up."""
    fields: dict[str, float] = {}
    rest = 0.0
    for child, part in zip(children, parts, strict=True):
        name = _first_field(child)
        if name is None:
            rest += part.result
        else:
            fields[name] = fields.get(name, 0.0) + part.result
    return max(1.0, rest + max(fields.values(), default=0.0), len(children) / _FIELDS_PER_FACTOR)


def _first_field(node: Node) -> str | None:
    while node["type"] == "key_val_pair" or node["type"] in _INSIDE:
        node = node["children"][0]
    return node["value"] if node["type"] == "field" else None


def _function(node: Node, parts: list[Growth]) -> Growth:
    name, children = node["value"], node["children"]
    if name == "join" and children and children[0]["type"] != "literal":
        raise ValueError("the separator of join must be a literal, e.g. join(', ', names)")
    if any(child["type"] == "expref" for child in children):  # map, sort_by, ...: for each item of the array
        return _in_a_row(parts)
    factor = {"to_string": _TO_STRING, "join": 1 + len(str(children[0]["value"])) if name == "join" else 1}.get(name, 1)
    size = factor * sum(part.result for part in parts)
    return Growth(max(1.0, size), max([size, *(part.peak for part in parts)]))


def weight(data: object) -> int:
    """About the bytes of JSON-like data: its characters, and eight for each value in it."""
    total, todo = 0, [data]
    while todo:
        value = todo.pop()
        total += 8
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            todo += value
    return total
