"""Secrets that only a whole line, or several, show: files without field names, replies of device APIs, listings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from netssh_mcp.guard.pieces import finds
from netssh_mcp.guard.secret_formats import Span, is_secret

_WG: Final = "[A-Za-z0-9+/]{43}="
_WHOLE: Final = tuple(
    (kind, needle, re.compile(pattern, re.MULTILINE))
    for kind, needle, pattern in (
        # files of a Linux host whose fields have no names: .pgpass, ntp.keys, htdigest, pppd's chap-secrets, Postfix
        ("password", "", r"^[\w.*-]{1,80}:(?:\d{1,5}|\*):[\w.*-]{1,80}:[\w.*-]{1,80}:([^\s:]+)$"),
        ("key", "", r"^\d{1,5}[ \t]+M[ \t]+(\S+)$"),
        ("hash", "", r"^[\w.-]{1,80}:[^:\n]{1,60}:([0-9a-f]{32})$"),
        ("password", "", r"^[\w@.\"-]{1,80}[ \t]+\*[ \t]+\"([^\"\n]+)\""),
        ("password", "", r"^\[?[\w.-]{1,80}\]?(?::\d{1,5})?[ \t]+[\w.+-]{1,80}@[\w.-]{1,80}:(\S+)$"),
        (
            "password",
            "",
            r"^\"?[\w@.\\-]{1,80}\"?[ \t]+(?:\*|l2tpd|pptpd|pppd)[ \t]+\"?([^\s\"]+)\"?[ \t]+(?:\*|\d[\d.]+)$",
        ),
        # `wg show all dump`: private key, public key, port; a peer's public key, preshared key, endpoint
        ("key", "=\t", rf"^(?:[\w.-]{{1,15}}\t)?({_WG})\t{_WG}\t\d{{1,5}}\t\S{{1,20}}\r?$"),
        ("key", "=\t", rf"^(?:[\w.-]{{1,15}}\t)?{_WG}\t({_WG})\t[^\t\n]{{0,80}}\t[^\t\n]{{0,2000}}\t\d"),
        ("key", ".psk\n", r"\bcat \S{1,200}\.psk\n([0-9a-fA-F]{32,512})\s*$"),  # a file that holds nothing else
        ("password", "password]", r"\bget\b[^\]\n]{0,80} password\]\r?\n(\S+)\r?$"),  # RouterOS
        # APIs: EOS answers a prompt; a key beside the field that says how it is written (NX-OS, IOS XE)
        ("password", '"input"', r'"cmd"\s?:\s?"enable\b[^"\n]{0,20}"\s?,\s{0,80}"input"\s?:\s?"((?:[^"\\\n]|\\.)+)"'),
        ("password", '"input"', r'"input"\s?:\s?"((?:[^"\\\n]|\\.)+)"\s?,\s{0,80}"cmd"\s?:\s?"enable\b'),
        ("key", '"keyEnc"', r'"key"\s?:\s?"([^"\n]+)"\s?,\s{0,80}"keyEnc"'),
        ("key", '"encryption"', r'"encryption"\s?:\s?"?\d\"?\s?,\s{0,80}"key"\s?:\s?"([^"\n]+)"'),
        ("key", "<keyEnc>", r"<key>([^<\n]+)</key>\s{0,80}<keyEnc>"),
        ("password", "<enctype>", r"<enctype>[^<\n]{0,20}</enctype>\s{0,80}<text>([^<\n]+)</text>"),
        # SNMP communities: EOS and OS10, Comware and VRP (whose group is named as the community), FortiOS, Junos
        ("community", '"communities"', r'"([^"\n]{1,80})"\s?:\s?\{\s{0,80}"access"\s?:\s?"r[ow]"'),
        ("community", "Community", r"^Community[ \t]*:[ \t]*(\S+)[ \t]*\r?\nAccess"),
        ("community", "Community name:", r"^[ \t]*Community name:(\S+)[ \t]*\r?\n[ \t]*(?:Group|Storage)"),
        (
            "community",
            "Group name:",
            r"Community name:[ \t]*(\S{1,200})[ \t]*\r?\n[ \t]*Group name:[ \t]*(?P<value>\1)(?!\S)",
        ),
        ("community", "system.snmp.community", r'cfgpath="system\.snmp\.community".{0,200}cfgattr="name\[([^\]\n]+)\]'),
        ("community", "(community) #", r"\(community\) # edit \S+\r?\n[^#\n]{0,80}# set name \"?([^\s\"]+)"),
        ("community", "inherited from", r"^[ \t]*## '([^'\n]+)' was inherited .*\n[ \t]*##\r?\n[ \t]*community "),
        ("password", "ENC ", r"\bENC [A-Za-z0-9+/=]{4,}\r?\n[ \t]*([A-Za-z0-9+/=]{8,})[ \t\r]*$"),
        # an environment as YAML
        (
            "password",
            "value:",
            r"name:[ \t]*\"?\w{0,60}(?:PASSWORD|PASSWD|PASS|PWD|SECRET|TOKEN|_KEY)\"?[ \t]*\n[ \t]*value:\s*(\S+)",
        ),
        (
            "community",
            "community ",
            r"^[-+ \t]*(?:\w{1,20}:[ \t])?community \"?([^\s\"{]+)\"? \{[-+\s]{0,80}(?:auth|client|view|network)",
        ),
        # Junos as XML and JSON: the name of a community is a line further on; those of routes have members
        (
            "community",
            "ommunity",
            r"<[Cc]ommunity(?:-config)?(?:\s[^<>\n]{0,200})?>\s{0,80}<[Nn]ame>([^<\n]+)</[Nn]ame>(?!\s{0,80}<members>)",
        ),
        (
            "community",
            '"community"',
            r'"community"\s?:\s?\[\s{0,80}\{\s{0,80}"name"\s?:\s?"([^"\n]+)"(?!,\s{0,80}"members")',
        ),
    )
)


def documents(text: str, *, linux: bool) -> Iterator[Span]:
    """What only a whole line, or several, show."""
    for kind, needle, pattern in _WHOLE:
        if needle in text and (needle or linux):
            for found in finds(pattern, text):
                group = "value" if pattern.groupindex else 1
                if is_secret(found[group], strong=True):
                    yield found.start(group), found.end(group), kind
