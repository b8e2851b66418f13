"""Secrets that are known by their own look, and by the name of the field that holds them: no platform needed.

Every pattern runs in time linear in its text: no nested repeats, and whatever may be long begins at a fixed character.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from netssh_mcp.guard.pieces import finds
from netssh_mcp.knowledge.redaction_rules import is_encoding, words

Span = tuple[int, int, str]  # from, to, kind

MARK: Final = re.compile(r"(?:<|&lt;)redacted:[a-z-]+:[0-9a-f]{8}(?:>|&gt;)")

_MARKED: Final = re.compile(rf"[\\\"']*{MARK.pattern}(?![A-Za-z0-9])")

# What must stand in a lower-cased line for any of the patterns of this module to match it.
NEEDLES: Final = (
    *(
        "pass",
        "pwd",
        "secret",
        "key",
        "communit",
        "token",
        "psk",
        "auth",
        "md5",
        "sha",
        "cipher",
        "credential",
        "encrypt",
    ),
    *(
        "bearer",
        "://",
        "enc ",
        "$",
        "hash",
        "private",
        "cookie",
        "hooks.",
        "mail-server",
        "mail server",
        "identified",
        "bind_pw",
        "ascii-text",
        "cak",
        "pmk",
        "/bot",
        "scp ",
    ),
    *("eyj", "akia", "asia", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "aiza", "hvs."),
    *("aqbap", "-aq==", "%^%#", "%@%@", "@%@%", "%+%##"),
)

_FORMATS: Final = tuple(
    (kind, needle, re.compile(pattern))  # the needle stands in every lower-cased line that matches
    for kind, needle, pattern in (
        # crypt(3), Cisco 5 8 9 14, Junos $9$ $8$, Huawei $1a$, H3C $h$ $c$, SR Linux $aes1$, Apache $apr1$
        ("hash", "$", r"\$(?:\d[a-z]?|1[04]|g?y|[hc]|apr1|sha\d+|md5|aes\d?|pbkdf2[\w-]*|argon2\w+)\$[^\s\"';:<>]{4,}"),
        ("hash", "grub.pbkdf2", r"grub\.pbkdf2\.\S+"),
        ("hash", "}", r"\{(?:S?SHA\d{0,3}|S?MD5|CRYPT|PBKDF2[\w-]{0,12})\}[^\s\"',;<>]{8,}"),
        # Huawei's reversible forms: the same four characters before and after
        ("password", "%", r"(%\^%#|%@%@|@%@%|%\$%\$|%\+%##|%#%#).{8,400}?\1"),
        ("password", "enc", r"\bENC\s+([^\s\"']{4,})"),  # FortiOS
        ("password", "==", r"-A[A-Z]==[A-Za-z0-9+/=]{8,}"),  # PAN-OS
        ("password", "aqbap", r"\bAQBap[A-Za-z0-9+/=]{16,}"),  # AOS-CX
        ("token", "eyj", r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),  # JWT
        ("token", "ia", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("token", "", r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AIza[\w-]{30,}|hvs\.[\w-]{20,})"),
        ("token", "xox", r"\bxox[a-z]-[\w-]{8,}"),
        ("token", "", r"(?i:\b(?:bearer|basic))\s+([\w.~+/-]{12,}=*)"),
        ("token", "authorization", r"(?i:\bauthorization:?\s{1,4}\"?(?:bearer|basic|token))\s+([^\s\"'<>]{4,})"),
        ("token", "x-", r"\bX-(?:[\w-]{1,40}-)?(?:Token|Key|Secret|Password)\s*[:=]\s*([^\s\"'<>]+)"),
        ("key", "secret-data", r"\"([^\"]{1,4000})\"[;\]]?\s*## SECRET-DATA"),  # Junos says so itself
        ("password", " 0 ", r"(?:password|secret)\s+0\s+([^\s*<\"']+)\s*$"),  # whatever it is
        # SQL
        ("password", "identified", r"(?i:\bidentified\s+(?:with\s+\S{1,80}\s+)?(?:by|as)\s+(?:password\s+)?)'([^']+)'"),
        ("password", "'", r"(?i:\bpassword\s*\(\s*|\bpassword\s+)'([^']+)'"),
        ("token", "hooks.", r"hooks\.[\w.]+/services/(\S{6,})"),
        ("token", "cookie", r"(?i:cookie:.{0,400}?(?:sess|sid|token|auth|jwt)[\w.-]{0,40})=([^\s;]+)"),
        ("password", " 7", r"(?<=\s7\s)((?:[01][0-9])(?:[0-9A-F]{2}){3,})\b"),  # Cisco type 7
        ("password", "mail", r"mail[- ]server \"?[^\s:\"]{1,80}:([^\s@]+)@"),
        ("token", "/bot", r"/bot(\d{6,12}:[\w-]{20,})"),  # Telegram
        ("password", "scp ", r"\b(?:to|from) [\w.-]{1,80}:(\S{1,200})@(?=[\w.-]{1,80}:)"),  # PAN-OS
        ("password", ":", r":(?:global|local|set) \w{0,40}(?i:pass|passw\w{1,3}|pwd|secret|token|key) \\?\"([^\"\\]+)"),
        ("password", "://", r"://[^\s/:@\"'<>]*:([^\s/\"']+)@"),  # a URL's user:password@
    )
)  # fmt: skip

_PAIR_JSON: Final = re.compile(r'"([^"\\]{1,80})"\s*:\s*("(?:[^"\\]|\\.)*(?:"|\\?\Z)|-?\d[\d.eE+-]*)')
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)')  # one that does not end is passed over whole
_XML: Final = re.compile(r"<([\w:.-]{1,80})(?:\s[^<>]*)?>([^<>]+)(?=</)")
_XML_NAMED: Final = re.compile(
    r"\b(?:name|key|id)=[\"']([\w:.-]{1,80})[\"']\s+(?:value|content)=(?:\"([^\"<>]*)\"|'([^'<>]*)')"
)
_QUOTED_PAIR: Final = re.compile(
    r"'([\w.-]{1,80})'\s*(?:\]\s*=|=>|,|:)\s*(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
)  # PHP, Python
_XML_KEYED: Final = re.compile(r"<(?:name|pre-shared-key|md5|sha\d*|authentication|entry|hmac)\b")  # a key in it is one
_XML_ATTRIBUTE: Final = re.compile(r"(?<=\s)([\w:.-]{1,80})=(?:\"([^\"<>]*)\"|'([^'<>]*)')")
_PAIR: Final = re.compile(
    r"(?<![\w.-])(?<!//)([\w.-]{2,80})(?::\d(?=\s*[:+]?=))?(=(?:\\\n\s*)?|\s+=\s+|\s*:=\s*|\s*::?\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s\"',;&][^\s,;&]*)"
)

_SENSITIVE: Final = re.compile(
    r"(?:^|[-_. ])(?:\w*password\d?|\w*passwd\d?|\w*passphrase|sshpass|bind-pw|secret-id"
    r"|pass-phrase|passcode|pwd|(?:old|new)?pass|authtok|keytab"
    r"|secrets?|auth-string|psksecret|psk|token|apikey|community|community-string|community-name|rocommunity|rwcommunity|phash"
    r"|(?:pre-?shared|shared|secret|private|privacy|priv|auth|authentication|encryption|enc|api|access|session|server|md5"
    r"|wpa|wpa2|wep|master|signing|service|account|storage|hello|ike|radius|tacacs|snmp|string|client|license|security"
    r"|bind|subscription|encrypt|stream|activation|hash|ddns|ppk|sae|totp|vpn|ssh-?host|group|tsig|static|protection|secondary|tertiary|plain-?text|encrypted|cipher|ascii|raw|hex|lns|net"
    r"|controller|hmac|sha\d*|seed|recovery|unseal|gossip|consumer|fixed|enrollment|registration|provisioning|eab)-?key(?:-?\d)?"
    r"|key-string|cak|encrypted-?value)(?:[-_.](?:in|out|l[12]|hello|remote|local|base|hmac|current|old|new|confirm))?$"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WEAK_NAME: Final = re.compile(
    r"(?:^|[-_.])(?:\w*(?:secret|token|passw\w*|pwd|passphrase|psk|apikey)|key|credentials?)$"
)
_PUBLIC: Final = re.compile(r"publi[ck]|pub-?key|ssh-key|fingerprint|key-?id|chain|trusted|nopass")
_PLAIN: Final = re.compile(
    r"(?:\d{1,3}(?:\.\d{1,3}){3}(?:[/:]\d+)?|[0-9a-fA-F:]*::[0-9a-fA-F:.]*(?:/\d+)?|(?:[0-9a-fA-F]{2}[:.-]){5}[0-9a-fA-F]{2}"
    r"|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}|\d+(?:[.:/,-]\d+)*[a-zA-Z%]{0,3}|[A-Za-z]+-?(?:\d+/)*\d+(?:\.\d+)?|0x0+"
    r"|[a-zA-Z]+(?:[-_/.][a-zA-Z]+)*[.,:;()]*|(?:aes|sha|hmac|md|des|rsa|ecdsa|hmac-sha)[\w-]*|/[\w./-]*)"
)
# One or more plain names behind slashes. What holds `=`, `+` or ends in dots is base64 or a password that begins so.
_DIRECTORY: Final = re.compile(r"/|(?:/[\w.@~ -]{1,255}){1,64}/?")
ADDRESS: Final = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}(?:[/:]\d+)?|(?=.*::)[0-9a-fA-F:.]{3,45}(?:/\d+)?")
_OPEN: Final = re.compile(
    r"\w{2,12}://|AAAA[A-Z]3Nza|ssh-\w+$|ecdsa-sha2"
)  # a URL's password has a format; public keys
_HIDDEN: Final = re.compile(
    r"[*x•.\-_]+|<[^<>]{0,40}>|\((?:hidden|none|removed|null)\)|\[[^\]]{0,40}\]|\$\{?\w+\}?|0x0*", re.IGNORECASE
)

NO_COMMUNITY: Final = re.compile(
    r"\d+(?:[:.]\d+)+(?:/\d+)?|use-vrf|vrf|source-interface|filter-vrf|udp-port|version|traps?|informs?|community"
    r"|[a-f0-9:]*::[a-f0-9:]*|enable|poll|context|interface|prefix|host|list|ip|ipv6|address|no-\w+|internet"
)

_PEM: Final = re.compile(
    r"-{4,5} ?(BEGIN|END) (?:SSH2 )?(?:[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V1) ?-{4,5}"
)
_PUTTY: Final = re.compile(r"^Private-Lines: \d+\r?$", re.MULTILINE)
_BODY: Final = re.compile(r"[A-Za-z0-9+/=]*\\?")
_LONG: Final = 40  # characters of a line that is surely a body's
_HEADER: Final = re.compile(r"[A-Z][\w-]*: .*|")


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Private keys of several lines, whole or cut at either end."""
    done = 0
    if "PRIVATE KEY" in text or "OpenVPN Static key" in text:
        for edge in finds(_PEM, text):
            if edge.start() < done:
                continue
            begins = edge[1] == "BEGIN"
            span = (edge.start(), _body_end(text, edge.end())) if begins else (_body_start(text, edge), edge.end())
            done = span[1]
            yield span
    for found in finds(_PUTTY, text) if "Private-Lines:" in text else ():
        if (end := _body_end(text, found.end())) > found.end() + 1:
            yield found.end() + 1, end


def _body_end(text: str, at: int) -> int:
    """Where a key ends whose body begins at `at`: behind its END line, or where the lines are no body any more."""
    end = _line_end(text, at)
    if closing := _PEM.search(text, at, end):
        return closing.end()
    if text[at:end].strip().startswith("\\n"):  # one line with escaped line breaks, cut
        return end
    sure, headers = end, True
    before, dashes, _ = text[text.rfind("\n", 0, at) + 1 : at].partition("----")
    prefixed = bool(dashes and before.strip(" \t+-"))
    while end < len(text):
        following = _line_end(text, end + 1)
        if closing := _PEM.search(text, end + 1, following):
            return closing.end() if closing[1] == "END" else sure
        line = text[end + 1 : following].strip()
        line = _behind(line) if prefixed else line
        headers = headers and bool(_HEADER.fullmatch(line))
        if not headers and not _BODY.fullmatch(line):
            break
        end = following
        if len(line) >= _LONG or end >= len(text):  # without its END, a short line may be the next command's
            sure = end
    return sure


def _behind(line: str) -> str:
    """A line without what a quotation, a list, grep or a log put around it."""
    return re.split(r"[\s:>|\"']", line.rstrip("\"',"))[-1]


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _body_start(text: str, edge: re.Match[str]) -> int:
    """Where a key begins whose END line this is and whose beginning was cut off."""
    start = text.rfind("\n", 0, edge.start()) + 1
    while start > 0:
        before = text.rfind("\n", 0, start - 1) + 1
        line = text[before : start - 1].strip()
        if not line or not _BODY.fullmatch(line):
            break
        start = before
    return start


def formats(line: str) -> Iterator[Span]:
    """What any part of the line shows by its own look."""
    lowered = line.lower()
    for kind, needle, pattern in _FORMATS:
        if needle not in lowered:
            continue
        group = 1 if pattern.groups and "\\1" not in pattern.pattern else 0
        for found in finds(pattern, line):
            yield found.start(group), found.end(group), kind


def pairs(line: str, *, xml: bool) -> Iterator[Span]:
    """Values of fields whose name says secret: JSON, XML, `name=value`, `name: value`."""
    for found in finds(_PAIR_JSON, line) if '"' in line else ():
        kind = "" if is_directory(found[1], _unquoted(found[2])) else kind_of(found[1])
        if is_secret(_unquoted(found[2]), strong=bool(kind)) and (kind or found[1] == "auth" or is_weak_name(found[1])):
            yield found.start(2), found.end(2), kind or "token"
    for found in finds(_QUOTED_PAIR, line) if "'" in line else ():
        named, value = found[1], _unquoted(found[2])
        if not is_directory(named, value) and (kind := kind_of(named)) and is_secret(value, strong=True):
            yield found.start(2), found.end(2), kind
    for found in finds(_XML_NAMED, line) if "=" in line else ():
        group = 2 if found[2] is not None else 3
        if (kind := kind_of(found[1])) and is_secret(found[group], strong=True):
            yield found.start(group), found.end(group), kind
    if xml:
        keyed = _XML_KEYED.search(line) is not None
        for found in finds(_XML, line):
            kind = "key" if found[1] in ("ascii-text", "hexadecimal") else kind_of(found[1])
            kind = kind or ("key" if keyed and found[1] == "key" else "")
            if is_secret(found[2].strip(), strong=bool(kind)) and (kind or is_weak_name(found[1])):
                yield found.start(2), found.end(2), kind or "key"
        for found in finds(_XML_ATTRIBUTE, line):
            group = 2 if found[2] is not None else 3
            if (kind := kind_of(found[1])) and is_secret(found[group], strong=True):
                yield found.start(group), found.end(group), kind
    yield from _named(line)


def _named(line: str) -> Iterator[Span]:
    for found in finds(_PAIR, line):
        name, value = found[1], _unquoted(found[3])
        if is_public(line, found.start()) or is_directory(name, value):
            continue
        kind = kind_of(name)
        certain = "=" in found[2] or name.islower() or name.isupper() or found[3][0] in "\"'"
        if name.lower() == "key" and "=" in found[2]:  # tac_plus, RouterOS
            kind = "key" if found[3][0] in "\"'" or (line.startswith("/") and not value.isupper()) else ""
        certain = certain or (kind == "password" and found.end() == len(line.rstrip()))
        if kind == "community" and (
            not certain or NO_COMMUNITY.fullmatch(value) or (value.isdigit() and "=" not in found[2])
        ):
            continue  # of routes
        if kind and is_secret(value, strong=certain):
            yield found.start(3), found.end(3), kind
        elif not kind and is_weak_name(name) and is_secret(value, strong=False):
            yield found.start(3), found.end(3), "key"


def is_directory(name: str, value: str) -> bool:
    """Whether these are a shell's PWD or OLDPWD, which hold absolute paths; no other field called pwd is one."""
    return name in ("PWD", "OLDPWD") and bool(_DIRECTORY.fullmatch(value))


@functools.lru_cache(maxsize=4096)
def is_weak_name(name: str) -> bool:
    """Whether what follows is a secret if it looks random."""
    return bool(_WEAK_NAME.search(name.lower())) and not _PUBLIC.search(name.lower())


def is_public(line: str, at: int) -> bool:
    """Whether the word at `at` is the key of `public key`."""
    return line[max(0, at - 8) : at].lower().endswith(("public ", "host ", "pub "))


@functools.lru_cache(maxsize=4096)  # the words of outputs come again and again
def kind_of(name: str) -> str:
    """The kind of secret that a field of this name holds; "" when the name says none."""
    plain = _CAMEL.sub("-", name).lower().replace("_", "-") if not name.isupper() else name.lower().replace("_", "-")
    plain = plain.rsplit(":", 1)[-1]
    if plain in (known := words().keywords):
        return known[plain]
    if not _SENSITIVE.search(plain) or _PUBLIC.search(plain):
        return ""
    for part, kind in (("communit", "community"), ("token", "token"), ("hash", "hash"), ("key", "key"), ("psk", "key")):
        if part in plain:
            return kind
    return "password"


def is_secret(value: str, *, strong: bool) -> bool:
    """Whether a value behind a secret's name is one. `strong`: the name and its place leave no doubt."""
    if not value or _MARKED.match(value) or _HIDDEN.fullmatch(value) or is_encoding(value):
        return False
    if ADDRESS.fullmatch(value) or _OPEN.match(value):
        return False
    word = value.rstrip(".,;:)").lower()
    if word in words().never or word.startswith(("minimum-", "maximum-", "min-", "max-")):
        return False
    if strong:
        return not re.fullmatch(r"[\W_]{1,2}", value)
    return len(value) >= 6 and value[0] != "(" and not _PLAIN.fullmatch(value) and _entropy(value) >= 2.3


def _entropy(value: str) -> float:
    """Bits per character of what stands in the value."""
    value = value[:200]
    counts, total = Counter(value).values(), len(value)
    return -sum(count / total * math.log2(count / total) for count in counts)


def strings(line: str) -> Iterable[re.Match[str]]:
    """The JSON strings of a line that may hold more than a word: commands, whole outputs."""
    return (found for found in _STRING.finditer(line) if " " in found[0] or "\\n" in found[0] or "=" in found[0])


def decoded(literal: str) -> str | None:
    """A JSON string's text; None when it is none."""
    try:
        text = json.loads(literal, strict=False)
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] else value.strip("\"'")
