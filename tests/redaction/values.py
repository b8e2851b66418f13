"""Invented secret values by class, always the same ones for the same seed: what a corpus line is measured with.

A class is named by the corpus (`as:`). `plain`, `word` and `community` come in several lengths and alphabets;
all others keep the shape that the platform prints (a salt of eight, 86 characters of digest, an even number of
hex digits).
"""

from __future__ import annotations

import base64
import random
import re
import string
from collections.abc import Callable

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = LOWER + UPPER + DIGITS
CRYPT = ALNUM + "./"
B64 = ALNUM + "+/"
SYMBOLS = "!@#%^*_+-=.~"
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "garnet", "heron", "iris", "juniper", "kelp", "larch")
AES6 = ALNUM[:26] + UPPER + "^_`\\[]"  # what IOS prints for type 6: base 41 and its neighbours
Draw = Callable[[random.Random], str]


def value(kind: str, sample: str, seed: str, turn: int) -> str:
    """A new value of a class, shaped after `sample` for `like`. KeyError for a class nobody described."""
    rng = random.Random(f"{seed}/{kind}/{turn}")  # noqa: S311 (the same in every run, and no secret of anyone)
    if kind == "like":
        return _like(sample, rng)
    if kind in STYLES:
        styles = STYLES[kind]
        return styles[turn % len(styles)](rng)
    name, _, size = kind.partition("-")
    return SIZED[name](rng, int(size)) if size else SHAPES[name](rng)


def spaced(seed: str, turn: int) -> str:
    """Several words, for places where the platform quotes a value."""
    rng = random.Random(f"{seed}/spaced/{turn}")  # noqa: S311
    return f"{_word(rng)} {_word(rng)} {rng.randrange(10, 99)}!"


def take(rng: random.Random, alphabet: str, size: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(size))


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS)


def _like(sample: str, rng: random.Random) -> str:
    """The sample with every letter and digit after its first mark drawn again; marks such as $1$ or ENC stay."""
    kept = re.match(r"(?:\$[0-9a-z]{1,2}\$|%[\^@]%[#@]|\{[A-Za-z0-9]+\}|-?[A-Za-z]{2,4}[-_:])*", sample)
    start = kept.end() if kept else 0
    return sample[:start] + "".join(_same_kind(char, rng) for char in sample[start:])


def _same_kind(char: str, rng: random.Random) -> str:
    for alphabet in ("0123456789", "abcdef", "ABCDEF", LOWER, UPPER):
        if char in alphabet:
            return rng.choice(alphabet)
    return char


def _mixed(rng: random.Random, size: int, extra: str) -> str:
    """A letter first, then anything: no platform takes a leading mark for granted."""
    return rng.choice(LOWER + UPPER) + rng.choice(UPPER) + take(rng, ALNUM + extra * 3, size - 3) + rng.choice(DIGITS)


def _type7(rng: random.Random) -> str:
    return f"{rng.randrange(16):02d}" + take(rng, "0123456789ABCDEF", 2 * rng.randrange(5, 14))


def _b64(rng: random.Random, size: int) -> str:
    return base64.b64encode(bytes(rng.randrange(256) for _ in range(size))).decode()


def _jwt(rng: random.Random) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(f'{{"sub":"{take(rng, DIGITS, 8)}"}}'.encode()).decode().rstrip("=")
    return f"{head}.{body}.{take(rng, ALNUM + '-_', 43)}"


def _uuid(rng: random.Random) -> str:
    return "-".join(take(rng, "0123456789abcdef", size) for size in (8, 4, 4, 4, 12))


def _enc(rng: random.Random) -> str:
    return _b64(rng, rng.choice((24, 36, 64, 100)))


def _juniper9(rng: random.Random) -> str:
    return "$9$" + take(rng, ALNUM + "./-", rng.choice((12, 17, 26, 42, 60)))


def _juniper8(rng: random.Random) -> str:
    tail = "$".join(_b64(rng, size) for size in (8, 12, 16, 11))
    return f"$8$aes256-gcm$hmac-sha2-256$100${tail}"


PLAIN: tuple[Draw, ...] = (
    lambda rng: _mixed(rng, rng.randrange(8, 13), ""),
    lambda rng: _mixed(rng, rng.randrange(9, 17), SYMBOLS),
    lambda rng: f"{_word(rng)}{rng.randrange(10, 9999)}",
    lambda rng: f"{_word(rng)}-{_word(rng)}-{_word(rng)}-{rng.randrange(10, 99)}",
    lambda rng: _mixed(rng, rng.randrange(20, 33), ""),
    lambda rng: take(rng, LOWER, rng.randrange(5, 8)),
    lambda rng: take(rng, DIGITS, 8),
    lambda rng: take(rng, "0123456789abcdef", 16),
    lambda rng: "-".join(take(rng, UPPER + DIGITS, 4) for _ in range(3)),
    lambda rng: f"{_word(rng).title()}!{rng.randrange(1990, 2040)}",
)
WORD: tuple[Draw, ...] = (*(PLAIN[index] for index in (0, 2, 3, 4, 5, 6, 7, 8)), lambda rng: _mixed(rng, 12, "_-"))
COMMUNITY: tuple[Draw, ...] = (
    *(PLAIN[index] for index in (0, 2, 3, 5, 8)),
    lambda rng: f"{_word(rng)}@{take(rng, DIGITS, 3)}",
    lambda rng: f"{_word(rng)}_ro{rng.randrange(10)}",
)
STYLES: dict[str, tuple[Draw, ...]] = {"plain": PLAIN, "word": WORD, "community": COMMUNITY}
SIZED: dict[str, Callable[[random.Random, int], str]] = {
    "hex": lambda rng, size: take(rng, "0123456789abcdef", size),
    "HEX": lambda rng, size: take(rng, "0123456789ABCDEF", size),
    "0x": lambda rng, size: "0x" + take(rng, "0123456789abcdef", size),
    "digits": lambda rng, size: rng.choice("123456789") + take(rng, DIGITS, size - 1),
    "b64": _b64,
    "token": lambda rng, size: take(rng, ALNUM, size),
    "colon": lambda rng, size: ":".join(take(rng, "0123456789abcdef", 2) for _ in range(size)),
    "psk": lambda rng, size: _mixed(rng, size, ""),
}
SHAPES: dict[str, Draw] = {
    "type4": lambda rng: take(rng, CRYPT, 43),
    "type5": lambda rng: f"$1${take(rng, CRYPT, rng.choice((4, 8)))}${take(rng, CRYPT, 22)}",
    "type6": lambda rng: take(rng, AES6, rng.choice((25, 33, 41))),
    "type7": _type7,
    "type8": lambda rng: f"$8${take(rng, CRYPT, 14)}${take(rng, CRYPT, 43)}",
    "type9": lambda rng: f"$9${take(rng, CRYPT, 14)}${take(rng, CRYPT, 43)}",
    "nxos5": lambda rng: f"$5${take(rng, CRYPT, 6)}${take(rng, CRYPT, 43)}",
    "sha256": lambda rng: f"$5${take(rng, CRYPT, 16)}${take(rng, CRYPT, 43)}",
    "sha512": lambda rng: f"$6${take(rng, CRYPT, rng.choice((8, 16)))}${take(rng, CRYPT, 86)}",
    "sha512r": lambda rng: f"$6$rounds=656000${take(rng, CRYPT, 16)}${take(rng, CRYPT, 86)}",
    "yescrypt": lambda rng: f"$y$j9T${take(rng, CRYPT, 22)}${take(rng, CRYPT, 43)}",
    "bcrypt": lambda rng: f"$2y$05${take(rng, CRYPT, 53)}",
    "apr1": lambda rng: f"$apr1${take(rng, CRYPT, 8)}${take(rng, CRYPT, 22)}",
    "pbkdf2": lambda rng: f"$sha512$5000${_b64(rng, 16)}${_b64(rng, 16)}",
    "asa": lambda rng: take(rng, CRYPT, 16),
    "juniper9": _juniper9,
    "juniper8": _juniper8,
    "enc": _enc,
    "sh2": lambda rng: "SH2" + _b64(rng, 45),
    "jwt": _jwt,
    "uuid": _uuid,
    "pem": lambda rng: take(rng, B64, 64),
    "eos8a": lambda rng: f"$1c${_b64(rng, 24)}",
    "vrp": lambda rng: f"%^%#{take(rng, ALNUM + SYMBOLS[:2] + '{}|,;<', 48)}%^%#",
    "vrpold": lambda rng: f"%@%@{take(rng, ALNUM + '!*,.;|~', 32)}%@%@",
    "vrphash": lambda rng: f"$1a${take(rng, ALNUM + '!*,.;|~', 10)}${take(rng, ALNUM + '!*,.;|~', 44)}$",
    "comware3": lambda rng: f"$c$3${_b64(rng, rng.choice((24, 36)))}",
    "comware6": lambda rng: f"$h$6${_b64(rng, 12)}${_b64(rng, 64)}",
    "srlaes": lambda rng: f"$aes1${_b64(rng, 12)}${_b64(rng, 15)}",
    "srlhash": lambda rng: f"$ar${take(rng, CRYPT, 12)}${take(rng, CRYPT, 43)}",
    "hash2": lambda rng: take(rng, ALNUM + "./", rng.choice((22, 32, 43))),
    "cx": lambda rng: "AQBap" + _b64(rng, rng.choice((36, 48))),
    "panos": lambda rng: f"-AQ=={_b64(rng, 20)}{_b64(rng, 16)}",
}
