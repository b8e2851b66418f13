"""known_hosts files, and what strict checking makes of them. The same cases are put to OpenSSH's own client."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal

Verdict = Literal["accepted", "unknown", "changed", "revoked"]


def hashed(name: str, key: str) -> str:
    """A line as `HashKnownHosts yes` writes it."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()} {key}\n"


def written(case: str, host: str, *, key: str, other: str, kind: str) -> str:
    """The case's file: `host` as known_hosts names it, its key, another one, and one of another type."""
    return CASES[case][0].format(
        host=host,
        key=key,
        other=other,
        kind=kind,
        blob=key.split()[1],
        wild=host.replace("127.0.0.1", "127.*"),
        question=host.replace("0.1", "0.?"),
        hashed_key=hashed(host, key),
        hashed_other=hashed(host, other),
        hashed_list=hashed(host, key).replace(" ", f",{host} ", 1),
        hashed_elsewhere=hashed("192.0.2.1", key),
    )


CASES: dict[str, tuple[str, Verdict]] = {
    "plain": ("{host} {key}\n", "accepted"),
    "comment-behind-the-key": ("{host} {key} ops@example\n", "accepted"),
    "blanks-and-tabs": ("  \t{host}\t{key}\n", "accepted"),
    "in-a-list": ("r1,r1.example,{host} {key}\n", "accepted"),
    "empty": ("", "unknown"),
    "another-host": ("192.0.2.1 {key}\n", "unknown"),
    "another-port": ("[127.0.0.1]:1 {key}\n", "unknown"),
    "without-the-port": ("127.0.0.1 {key}\n", "accepted"),
    "without-the-port-another-key": ("127.0.0.1 {other}\n", "unknown"),
    "without-the-port-revoked": ("127.0.0.1 {key}\n@revoked 127.0.0.1 {key}\n", "revoked"),
    "another-key": ("{host} {other}\n", "changed"),
    "another-type": ("{host} {kind}\n", "changed"),
    "both-types": ("{host} {kind}\n{host} {key}\n", "accepted"),
    "old-and-new": ("{host} {other}\n{host} {key}\n", "accepted"),
    "hashed": ("{hashed_key}", "accepted"),
    "hashed-another-host": ("{hashed_elsewhere}", "unknown"),
    "hashed-broken": ("|1|!!|?? {key}\n", "unknown"),
    "hashed-another-key": ("{hashed_other}", "changed"),
    "star": ("* {key}\n", "accepted"),
    "wildcard": ("{wild} {key}\n", "accepted"),
    "question-mark": ("{question} {key}\n", "accepted"),
    "wildcard-without-the-port": ("127.* {key}\n", "accepted"),
    "negated": ("{wild},!{host} {key}\n", "unknown"),
    "negated-first": ("!{host},{wild} {key}\n", "unknown"),
    "another-negated": ("!192.0.2.1,{host} {key}\n", "accepted"),
    "only-negated": ("!192.0.2.1 {key}\n", "unknown"),
    "revoked": ("{host} {key}\n@revoked * {key}\n", "revoked"),
    "revoked-first": ("@revoked {host} {key}\n{host} {key}\n", "revoked"),
    "revoked-another-key": ("@revoked * {other}\n{host} {key}\n", "accepted"),
    "revoked-elsewhere": ("@revoked 192.0.2.1 {key}\n{host} {key}\n", "accepted"),
    "authority": ("@cert-authority * {other}\n{host} {key}\n", "accepted"),
    "authority-alone": ("@cert-authority * {key}\n", "unknown"),
    "comments": ("# {host} {other}\n\n{host} {key}\n", "accepted"),
    "broken-lines": ("nonsense\n{host} ssh-ed25519 ???\n{host} {key}\n", "accepted"),
    "broken-lines-alone": ("{host}\n{host} ssh-ed25519 ???\n", "unknown"),
    "revoke-is-no-marker": ("@revoke * {key}\n", "unknown"),
    "markers-are-in-small-letters": ("@Revoked * {key}\n", "unknown"),
    "unknown-marker": ("@trusted {host} {key}\n", "unknown"),
    "unknown-marker-first": ("@trusted {host} {other}\n{host} {key}\n", "accepted"),
    "two-markers": ("@revoked @revoked * {key}\n{host} {key}\n", "accepted"),
    "marker-alone": ("@\n@revoked\n@ {host} {key}\n", "unknown"),
    "cr-ends-no-line": ("# a comment\r{host} {key}\n", "unknown"),
    "vt-ends-no-line": ("# a comment\v{host} {key}\n", "unknown"),
    "ff-ends-no-line": ("# a comment\f{host} {key}\n", "unknown"),
    "fs-ends-no-line": ("# a comment\x1c{host} {key}\n", "unknown"),
    "nel-ends-no-line": ("# a comment\x85{host} {key}\n", "unknown"),
    "line-separator-ends-no-line": ("# a comment\u2028{host} {key}\n", "unknown"),
    "revoked-behind-a-line-separator": ("# a\u2028@revoked * {key}\n{host} {key}\n", "accepted"),
    "ff-parts-no-words": ("{host}\f{key}\n", "unknown"),
    "wide-blank-parts-no-words": ("{host}\u3000{key}\n", "unknown"),
    "wrong-type-word": ("{host} ssh-rsa {blob}\n", "unknown"),
    "no-such-type": ("{host} ssh-nonsense {blob}\n", "unknown"),
    "wrong-type-word-revoked": ("@revoked * ssh-rsa {blob}\n{host} {key}\n", "accepted"),
    "short-type-word": ("{host} ED25519 {blob}\n", "unknown"),
    "short-type-word-revoked": ("@revoked * ed25519 {blob}\n{host} {key}\n", "accepted"),
    "key-cut-short": ("{host} ssh-ed25519 AAAA\n", "unknown"),
    "more-equal-signs-than-there-can-be": ("{host} {key}=\n", "unknown"),
    "hashed-and-a-list-behind-it": ("{hashed_list}", "unknown"),
    "cr-first": ("\r{host} {key}\n", "unknown"),
    "cr-first-revoked": ("\r@revoked * {key}\n{host} {key}\n", "accepted"),
    "nul-behind-the-key-revoked": ("{host} {key}\n@revoked * {key}\0junk\n", "revoked"),
    "nul-behind-the-host-revoked": ("{host} {key}\n@revoked *\0 {key}\n", "revoked"),
    "nul-behind-the-key": ("{host} {key}\0junk\n", "accepted"),
    "cr-lf": ("{host} {key}\r\n", "accepted"),
}
