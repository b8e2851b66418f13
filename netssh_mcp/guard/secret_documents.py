"""Secrets whose name and value stand on different lines, or in different fields: JSON, XML, YAML.

What stands on one line is found by secret_formats; every pattern here is bounded or begins at a fixed character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from netssh_mcp.guard.pieces import finds
from netssh_mcp.guard.secret_formats import Span, decoded, is_directory, is_secret, kind_of

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_OPENED: Final = re.compile(r'"((?:[^"\\]|\\.){1,80})"\s{0,200}:\s{0,200}(?=([\[{"]))')
_SINGULAR: Final = re.compile(r"(snmp\w{0,40}communit)ies\Z", re.IGNORECASE)  # others are routes'
_VALUE: Final = re.compile(_STRING)
_FLAT: Final = re.compile(r"\[\s{0,200}\{[^\[\]{}]{0,20000}|[\[{][^\[\]{}]{0,20000}")
_FIELD: Final = re.compile(
    rf'"(?:value|data|_text|#text|text|\$t|_value|content|cleartext|plaintext|ciphertext|encrypted)"\s{{0,200}}:\s{{0,200}}({_STRING})'
)
_NAMED: Final = re.compile(
    rf'"(?:name|key|id|field|variable|property|path)"\s{{0,200}}:\s{{0,200}}({_STRING})\s{{0,200}},\s{{0,200}}'
    rf'"(?:value|data|content)"\s{{0,200}}:\s{{0,200}}({_STRING})',
    re.IGNORECASE,
)
_XML: Final = re.compile(
    r"<([\w:.-]{1,80})(?:\s[^<>]{0,400})?>(?:\s{0,200}<!\[CDATA\[)?([^<>]{1,20000})(?=</|\]\]>|\Z)"
)
_YAML: Final = re.compile(
    r"^([ \t]*)(?:- )?[\"']?([\w.-]{2,80})[\"']?:[ \t]*((?:[!&]\S{1,80}[ \t]*)?(?:[|>][+-]?\d?)?)[ \t]*$", re.MULTILINE
)
_TAGGED: Final = re.compile(
    r"^[ \t]*(?:- )?[\"']?([\w.-]{2,80})[\"']?:[ \t]+[!&]\w{1,40}[ \t]+([^\s|>].*)$", re.MULTILINE
)
_ITEM: Final = re.compile(r"[ \t]*-[ \t]+(\S.*)")
_QUOTED: Final = re.compile(r"^[ \t]*[\"']([\w.-]{2,80})[\"']:[ \t]+([^\s\"'\[{][^\n,]*)$", re.MULTILINE)


def apart(text: str) -> Iterator[Span]:
    """What a name on another line, or in another field, says to be a secret."""
    if '"' in text and ":" in text:
        yield from _json(text)
    if "<" in text and ">" in text:
        for found in finds(_XML, text):
            inner = found[2].strip()
            if (kind := kind_of(found[1])) and is_secret(inner, strong=True):
                start = found.start(2) + found[2].index(inner)
                yield start, start + len(inner), kind
    if ":" in text:
        yield from _yaml(text)


def _json(text: str) -> Iterator[Span]:
    for found in finds(_OPENED, text):
        name = decoded(f'"{found[1]}"') if "\\" in found[1] else found[1]
        if not name or not (kind := kind_of(name) or kind_of(_SINGULAR.sub(r"\1y", name).removesuffix("s"))):
            continue
        if found[2] == '"':
            values = [(found.end(), value.end()) if (value := _VALUE.match(text, found.end())) else (0, 0)]
        else:
            values = list(_inside(text, found.end()))
        for start, end in values:
            content = text[start + 1 : end - 1]
            if is_secret(content, strong=True) and not is_directory(name, content):
                yield start, end, kind
    for found in finds(_NAMED, text):
        if (kind := kind_of(found[1].strip('"').rsplit("/", 1)[-1])) and is_secret(found[2][1:-1], strong=True):
            yield found.start(2), found.end(2), kind


def _inside(text: str, at: int) -> Iterator[tuple[int, int]]:
    """The strings of a flat list, or the field of a flat object that holds the value."""
    flat = _FLAT.match(text, at)
    if flat is None:
        return
    if "{" in flat[0]:
        yield from (found.span(1) for found in _FIELD.finditer(text, at, flat.end()))
    else:
        yield from (found.span() for found in _VALUE.finditer(text, at, flat.end()))


def _yaml(text: str) -> Iterator[Span]:
    for pattern, signs in ((_TAGGED, (": !", ": &")), (_QUOTED, ("': ", '": '))):
        for found in finds(pattern, text) if any(sign in text for sign in signs) else ():
            if (kind := kind_of(found[1])) and is_secret(found[2].strip(), strong=True):
                yield found.start(2), found.end(2), kind
    for found in filter(None, (_YAML.match(text, at) for at in _openers(text))):
        kind = kind_of(found[2]) or kind_of(found[2].removesuffix("s"))
        if not kind or kind == "community":
            continue
        yield from _block(text, found, kind)


def _openers(text: str) -> list[int]:
    """Where the lines begin that a name ends, or a sign that more lines follow."""
    found = set()
    for sign in (":\n", ":\r", ": |", ": >", ": !", ": &"):
        at = text.find(sign)
        while at >= 0:
            found.add(text.rfind("\n", 0, at) + 1)
            following = text.find("\n", at)
            at = text.find(sign, following) if following >= 0 else -1
    return sorted(found)


def _block(text: str, name: re.Match[str], kind: str) -> Iterator[Span]:
    """The lines below a name that are indented more (a block), or the items of a list."""
    at = name.end() + 1
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        depth = len(line) - len(line.lstrip())
        item = _ITEM.fullmatch(line)
        if name[3].strip():
            if not line.strip() or depth <= len(name[1]):
                return
            yield at + depth, at + len(line.rstrip()), kind
        elif item and depth >= len(name[1]) and is_secret(item[1], strong=True) and ": " not in item[1]:
            yield at + item.start(1), at + item.end(1), kind
        else:
            return
        at = end + 1
