"""Host certificates, and the known_hosts files that they meet. The same cases are put to OpenSSH's own client."""

from __future__ import annotations

from dataclasses import dataclass

HOST, PORT = "r1.example", 2201


@dataclass(frozen=True, slots=True)
class Signed:
    """How a certificate is made: the words for ssh-keygen, the key it is about, the authority."""

    words: tuple[str, ...]
    key: str = "ed25519"
    by: str = "ca"


def _host(*words: str, key: str = "ed25519", by: str = "ca") -> Signed:
    return Signed(("-h", *words), key, by)


_MINE = ("-n", HOST)
CERTIFICATES = {
    "good": _host(*_MINE),
    "several-principals": _host("-n", f"a.example,{HOST}"),
    "another-principal": _host("-n", "r2.example"),
    "no-principal": _host(),
    "wildcard-principal": _host("-n", "*.example"),
    "capital-principal": _host("-n", HOST.upper()),
    "principal-with-port": _host("-n", f"[{HOST}]:{PORT}"),
    "expired": _host(*_MINE, "-V", "20200101:20200102"),
    "not-yet": _host(*_MINE, "-V", "20400101:20500101"),
    "of-a-user": Signed(_MINE),
    "critical": _host(*_MINE, "-O", "critical:nonsense@example=1"),
    "extension": _host(*_MINE, "-O", "extension:nonsense@example=1"),
    "by-another": _host(*_MINE, by="another"),
    "by-ecdsa": _host(*_MINE, by="ca_ecdsa"),
    "by-rsa-512": _host(*_MINE, "-t", "rsa-sha2-512", by="ca_rsa"),
    "by-rsa-256": _host(*_MINE, "-t", "rsa-sha2-256", by="ca_rsa"),
    "by-rsa-sha1": _host(*_MINE, "-t", "ssh-rsa", by="ca_rsa"),
    "rsa": _host(*_MINE, key="rsa"),
    "ecdsa": _host(*_MINE, key="ecdsa"),
    "ecdsa384": _host(*_MINE, key="ecdsa384"),
    "ecdsa521": _host(*_MINE, key="ecdsa521"),
}

NEW_IN_10_3 = {"no-principal", "wildcard-principal"}  # ssh before 10.3 has another verdict: release notes

_CA = "@cert-authority * {ca}\n"
ACCEPTED, REFUSED, REVOKED = "accepted", "refused", "revoked"
# name -> certificate, file, verdict. {at} is [r1.example]:2201; {hashed_*} a hashed name with its key.
CASES: dict[str, tuple[str, str, str]] = {
    **{
        f"certificate-{name}": (name, _CA, ACCEPTED)
        for name in ("good", "several-principals", "wildcard-principal", "extension")
    },
    **{
        f"certificate-{name}": (name, _CA, REFUSED)
        for name in (
            *("another-principal", "no-principal", "capital-principal", "principal-with-port", "expired", "not-yet"),
            *("of-a-user", "critical", "by-another"),
        )
    },
    **{f"certificate-{name}": (name, _CA, ACCEPTED) for name in ("rsa", "ecdsa", "ecdsa384", "ecdsa521")},
    "by-ecdsa": ("by-ecdsa", "@cert-authority * {ca_ecdsa}\n", ACCEPTED),
    "by-rsa-512": ("by-rsa-512", "@cert-authority * {ca_rsa}\n", ACCEPTED),
    "by-rsa-256": ("by-rsa-256", "@cert-authority * {ca_rsa}\n", ACCEPTED),
    "by-rsa-sha1": ("by-rsa-sha1", "@cert-authority * {ca_rsa}\n", REFUSED),
    "by-rsa-sha1-key-known": ("by-rsa-sha1", "@cert-authority * {ca_rsa}\n{at} {key}\n", ACCEPTED),
    "at-the-port": ("good", "@cert-authority {at} {ca}\n", ACCEPTED),
    "at-the-host-alone": ("good", "@cert-authority r1.example {ca}\n", ACCEPTED),
    "at-the-host-alone-another-key-at-the-port": ("good", "@cert-authority r1.example {ca}\n{at} {other}\n", ACCEPTED),
    "at-the-host-alone-another-authority-at-the-port": (
        "good",
        "@cert-authority {at} {another}\n@cert-authority r1.example {ca}\n",
        ACCEPTED,
    ),
    "at-another-port": ("good", "@cert-authority [r1.example]:1 {ca}\n", REFUSED),
    "at-another-host": ("good", "@cert-authority r2.example {ca}\n", REFUSED),
    "domain": ("good", "@cert-authority *.example {ca}\n", ACCEPTED),
    "domain-with-port": ("good", "@cert-authority [*.example]:2201 {ca}\n", ACCEPTED),
    "negated": ("good", "@cert-authority *.example,!r1.example {ca}\n", REFUSED),
    "negated-with-port": ("good", "@cert-authority *,!{at} {ca}\n", ACCEPTED),
    "negated-both": ("good", "@cert-authority *,!{at},!r1.example {ca}\n", REFUSED),
    "hashed": ("good", "@cert-authority {hashed_ca}", ACCEPTED),
    "hashed-another-authority": ("good", "@cert-authority {hashed_another}", REFUSED),
    "second-of-two": ("good", "@cert-authority * {another}\n@cert-authority * {ca}\n", ACCEPTED),
    "without-the-marker": ("good", "* {ca}\n", REFUSED),
    "broken-line": ("good", "@cert-authority *\n@cert-authority {ca}\n", REFUSED),
    "authority-and-another-key": ("good", "{at} {other}\n" + _CA, ACCEPTED),
    "authority-is-the-hosts-own-key": ("good", "@cert-authority * {key}\n", REFUSED),
    "key-known": ("good", "{at} {key}\n", ACCEPTED),
    "key-known-another-authority": ("good", "@cert-authority * {another}\n{at} {key}\n", ACCEPTED),
    "key-known-at-the-host-alone": ("good", "@cert-authority * {another}\nr1.example {key}\n", ACCEPTED),
    "another-key-another-authority": ("good", "@cert-authority * {another}\n{at} {other}\n", REFUSED),
    "expired-key-known": ("expired", _CA + "{at} {key}\n", ACCEPTED),
    "another-principal-key-known": ("another-principal", _CA + "{at} {key}\n", ACCEPTED),
    "of-a-user-key-known": ("of-a-user", _CA + "{at} {key}\n", ACCEPTED),
    "revoked-authority": ("good", _CA + "@revoked * {ca}\n", REVOKED),
    "revoked-authority-first": ("good", "@revoked * {ca}\n" + _CA, REVOKED),
    "revoked-authority-key-known": ("good", _CA + "@revoked * {ca}\n{at} {key}\n", REVOKED),
    "revoked-authority-alone-key-known": ("good", "@revoked * {ca}\n{at} {key}\n", REVOKED),
    "revoked-authority-elsewhere": ("good", _CA + "@revoked r2.example {ca}\n", ACCEPTED),
    "revoked-authority-hashed": ("good", _CA + "@revoked {hashed_ca}", REVOKED),
    "revoked-another-authority": ("good", _CA + "@revoked * {another}\n", ACCEPTED),
    "revoked-key": ("good", _CA + "@revoked * {key}\n", REVOKED),
    "revoked-key-at-the-port": ("good", _CA + "@revoked {at} {key}\n", REVOKED),
    "revoked-certificate": ("good", _CA + "@revoked * {certificate}\n", REVOKED),
    "revoked-another-key": ("good", _CA + "@revoked * {other}\n", ACCEPTED),
    "expired-and-revoked-authority": ("expired", _CA + "@revoked * {ca}\n{at} {key}\n", REVOKED),
    "authority-given-as-certificate": ("good", "@cert-authority * {ca_certificate}\n", ACCEPTED),
    "certificate-as-a-key": ("good", "{at} {certificate}\n", REFUSED),
    "no-certificate-but-authority": ("", _CA, REFUSED),
    "no-certificate-key-known": ("", _CA + "{at} {key}\n", ACCEPTED),
    "no-certificate-the-key-is-an-authority": ("", "@cert-authority * {key}\n", REFUSED),
    "no-certificate-authority-revoked": ("", "@revoked * {ca}\n{at} {key}\n", ACCEPTED),
}
