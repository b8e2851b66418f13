"""What a command line means on a platform, before anything is sent: words, pipes, class, canonical form.

Pure text work on a `Profile`'s tables; fail closed. Only `policy` turns the result into a `Grant`. The classes diagnose
and secret-read exist already; the further ones (change, config,
shell) and the operator's rules come on top of `Meaning`.
Built against the ways by which comparable filters were passed: newline, abbreviation, pipe, URL, quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.knowledge.near import near
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import CommandClass

_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_SPACES = re.compile(r" +")
_FIRST = re.compile(r"[A-Za-z0-9][\w-]*")
# A scheme that makes a device fetch or send: it becomes the attacker's proxy, and may send its credentials along.
_URL = re.compile(
    r"[a-z][a-z0-9+.\-]{0,15}://"
    r"|(?:^|[\s\"'=,(])(?:tftp|ftp|ftps|sftp|scp|rcp|https?|smb|nfs|cns|rsync|xmodem|ymodem|ldaps?|gopher|tftps):",
    re.IGNORECASE,
)
_LONE_WORD = re.compile(r"[\w.:/^\-]+[|\"]")  # the rest of a quoted alternation, which would be a harmless command
_QUOTED = re.compile(r"[\"']([^\"']*)[\"']")  # a line has one kind of quotes only
_REMOTE = re.compile(r"[\w.\-]+@[\w.\-]+:[/\w]")  # user@host:path


@dataclass(frozen=True, slots=True)
class Meaning:
    """A line that may be sent. `canonical` is it; `json_line` the same asking for JSON, "" where none is known."""

    canonical: str
    command_class: CommandClass
    rule: str
    native_json: bool
    json_line: str
    text_first: bool = False  # JSON only when it is asked for by name: our template makes the same rows of less text


@dataclass(frozen=True, slots=True, repr=False)
class Grammar:
    """A profile's tables, made ready for look-ups by prefix."""

    profile: Profile
    verbs: Mapping[str, CommandClass]
    second: Mapping[str, frozenset[str]]  # first word -> second words that make it a verb ("admin" -> {"show"})
    words: Mapping[str, tuple[str, ...]]  # prefix -> vocabulary words
    pipes: Mapping[str, tuple[str, ...]]  # prefix -> pipe words
    unsafe_pipes: frozenset[str]  # every abbreviation of a pipe that is not safe
    refused: frozenset[str]
    denied: re.Pattern[str] | None
    refuse: re.Pattern[str] | None
    secret: re.Pattern[str] | None
    native: re.Pattern[str] | None
    json: re.Pattern[str] | None
    json_on_request: re.Pattern[str] | None
    whole: tuple[re.Pattern[str], ...]  # argv or lines
    forms: Mapping[str, re.Pattern[str]]
    pipe_args: Mapping[str, re.Pattern[str]]


@lru_cache(maxsize=256)
def grammar(profile: Profile) -> Grammar:
    """Compiled once per profile."""
    classes: dict[str, CommandClass] = {}
    second: dict[str, set[str]] = {}
    for entry in profile.read_only:
        verb, _, rest = entry.partition(" ")
        classes[verb] = "read"
        if rest:
            second.setdefault(verb, set()).add(rest)
    classes |= dict.fromkeys(profile.diagnose, "diagnose")
    unsafe = set(profile.pipes.all) - set(profile.pipes.safe)
    return Grammar(
        profile=profile,
        verbs=classes,
        second={verb: frozenset(rest) for verb, rest in second.items()},
        words=_by_prefix(profile.vocabulary) if profile.vocabulary else {verb: (verb,) for verb in classes},
        pipes=_by_prefix(profile.pipes.all),
        unsafe_pipes=frozenset(word[:end] for word in unsafe for end in range(1, len(word) + 1)),
        refused=frozenset(profile.refused_chars),
        denied=_either(profile.denied),
        refuse=_either(abbreviated(line) for line in profile.refuse),
        secret=_either(abbreviated(line) for line in profile.secret_read),
        native=_either(profile.json_output.native),
        json=_either(profile.json_output.commands),
        json_on_request=_either(profile.json_output.on_request),
        whole=tuple(re.compile(pattern) for pattern in profile.argv or profile.lines),
        forms={verb: re.compile(pattern) for verb, pattern in profile.forms.items()},
        pipe_args={word: re.compile(pattern) for word, pattern in profile.pipes.args.items()},
    )


def abbreviated(line: str) -> str:
    """A regex for `line` with every word abbreviated at will and anything after it; `*` a word, `...` any number."""
    if line.startswith("... "):
        return r"(?:\S+ )*" + abbreviated(line[4:])
    parts: list[str] = []
    for word in line.split():
        if word == "...":
            parts.append(r"(?: \S+)*")
        elif word == "*":
            parts.append(r" \S+")
        else:
            parts.append(" (?:" + "|".join(re.escape(word[:end]) for end in range(len(word), 0, -1)) + ")")
    return "".join(parts).removeprefix(" ") + "(?: .*)?"


def read(profile: Profile, command: str) -> Meaning:
    """The meaning of a command of the read and diagnose classes. CommandDenied, InputError when it has none."""
    tables = grammar(profile)
    text = _plain(tables, command)
    understood = _argv if profile.argv else _whole_line if tables.whole else _verb_line
    meaning = understood(tables, text)
    if len(meaning.canonical) > profile.max_line:
        raise _denied(text, f"it is longer than {profile.max_line} characters when spelled out")
    return meaning


def _denied(command: str, reason: str, hint: str = "") -> CommandDenied:
    shown = command if len(command) <= 80 else command[:77] + "..."
    return CommandDenied(f"{shown!r} is not sent: {reason}", hint=hint)


def _plain(tables: Grammar, command: str) -> str:
    """One printable line without separators, shell characters, help key, comment or URL; spaces trimmed."""
    text = command.strip(" ")
    if not text:
        raise InputError("the command is empty", hint="Give one command, for example `show version`.")
    profile = tables.profile
    if len(text) > profile.max_line:
        raise _denied(text, f"it is longer than {profile.max_line} characters")
    if not _PRINTABLE.fullmatch(text):
        bad = next(char for char in text if not " " <= char <= "~")
        hint = "One command is one line; give several commands as a list." if bad in "\r\n" else ""
        raise _denied(text, f"it has the character {bad!a}; only printable ASCII is sent", hint)
    if text[0] in "!#" or (profile.comment and text.startswith(profile.comment)):
        raise _denied(text, "it is a comment")
    if "?" in text:
        raise _denied(text, "`?` asks the device for help and leaves the line in its buffer")
    for char in text:
        if char in tables.refused:
            raise _denied(text, f"it has the character {char!r}", _char_hint(char, profile))
    if _URL.search(text) or _REMOTE.search(text):
        raise _denied(text, "it names a URL; the device would connect to it")
    _balanced(text)
    return text


def _char_hint(char: str, profile: Profile) -> str:
    if char == "|":
        return "Run the command alone; search or filter its output with `query`, `fields` or `read_output`."
    if char in ";&":
        return "Give several commands as a list."
    return f"On {profile.name} none of {' '.join(profile.refused_chars)} may be in a command."


def _balanced(text: str) -> None:
    if text.count('"') % 2:
        raise _denied(text, "its quotes are not balanced")
    if "'" in text and '"' in text:  # which of them quotes the other differs between platforms
        raise _denied(text, "it has both kinds of quotes")


def _whole_line(tables: Grammar, text: str) -> Meaning:
    """Platforms whose verb does not come first: the whole line matches one pattern."""
    line = _SPACES.sub(" ", text)
    if not any(pattern.fullmatch(line) for pattern in tables.whole):
        raise _denied(text, f"it is none of the read commands known for {tables.profile.name}")
    path = _SPACES.sub(" ", line.replace("/", " ")).strip(" ")  # `/ppp/secret print` is `ppp secret print`
    if _matches(tables.refuse, line, path) or _matches(tables.denied, line, path):
        raise _denied(text, "a word of its path writes, runs or waits")
    secret = _matches(tables.secret, line, path)
    return Meaning(line, "secret-read" if secret else "read", "whole-line pattern", native_json=False, json_line="")


def _verb_line(tables: Grammar, text: str) -> Meaning:
    head, *pipes = _segments(tables, text)
    verb, arguments = _verb(tables, text, _spaced(head))
    _quoting(text, arguments)
    found = tables.verbs[verb.partition(" ")[0]]
    form = tables.forms.get(verb)
    if (found == "diagnose" and not arguments) or (form is not None and not form.fullmatch(arguments)):
        why = "without arguments it is a dialogue" if not arguments else "not in this form"
        raise _denied(text, f"{verb}: {why}", tables.profile.advice.get(verb, ""))
    command = f"{verb} {arguments}" if arguments else verb
    canonical = " | ".join((command, *(_pipe(tables, text, pipe) for pipe in pipes)))
    forms = (*_unquoted(command), canonical)
    if _matches(tables.denied, *forms) or _matches(tables.refuse, *forms):
        raise _denied(text, f"{verb} reads by name, but this form writes, runs or fetches something")
    if found == "read" and _matches(tables.secret, *forms):
        found = "secret-read"
    append = tables.profile.json_output.append
    at_once, on_request = (
        pattern is not None and pattern.fullmatch(canonical) is not None
        for pattern in (tables.json, tables.json_on_request)
    )
    return Meaning(
        canonical=canonical,
        command_class=found,
        rule=f"{verb!r} is a {'diagnose' if found == 'diagnose' else 'read'} verb of {tables.profile.name}",
        native_json=tables.native is not None and tables.native.fullmatch(canonical) is not None,
        json_line=canonical + append if append and not pipes and (at_once or on_request) else "",
        text_first=not at_once,
    )


def _quoting(text: str, arguments: str) -> None:
    """Quotes around nothing, around spaces or around the word that says what is shown dodge the tables of lines."""
    if re.match(r"\S*[\"']", arguments):
        raise _denied(text, "quotes may only stand from the third word on")
    if any(part != part.strip(" ") or not part for part in _QUOTED.findall(arguments)):
        raise _denied(text, "quoted text may not be empty, nor begin or end with a space")


def _unquoted(command: str) -> tuple[str, str]:
    """`command` without quotes: as many words as are read there, and with each quoted text as the one word it is."""
    solid = re.sub(r"\"[^\"]*\"|'[^']*'", lambda found: found[0].replace(" ", "_"), command)
    loose, solid = (re.sub(r"[\"']", "", form).replace("|", "_") for form in (command, solid))
    return _SPACES.sub(" ", loose).strip(" "), _SPACES.sub(" ", solid).strip(" ")


def _matches(pattern: re.Pattern[str] | None, *forms: str) -> bool:
    return pattern is not None and any(pattern.fullmatch(form) for form in forms)


def _segments(tables: Grammar, text: str) -> list[str]:
    """The command and its pipes, split at every `|` that the device reads as a pipe.

    A `|` that we leave alone (quoted, or glued as a regexp "or") must be harmless if the device reads it as a pipe
    after all: what follows it may not abbreviate an unsafe pipe.
    """
    parts: list[str] = []
    start, quoted = 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        if char != "|":
            continue
        glued = (
            bool(parts) and tables.profile.pipes.alternation and text[at - 1] != " " and text[at + 1 : at + 2] != " "
        )
        if quoted or glued:
            following = re.match(r"[\s\"|]*([\w-]*)", text[at + 1 :])
            if following is not None and following[1].lower() in tables.unsafe_pipes:
                raise _denied(text, f"`|{following[1]}` may be read as a pipe that writes or runs something")
            if tables.profile.pipes.any_program and not _LONE_WORD.match(text, at + 1):
                raise _denied(text, "a quoted bar may only stand between two words without spaces")
            continue
        parts.append(text[start:at].strip(" "))
        start = at + 1
    parts.append(text[start:].strip(" "))
    if "" in parts:
        raise _denied(text, "a pipe is empty")
    if len(parts) > 2 and not tables.profile.pipes.several:
        raise _denied(text, "only one pipe is understood on this platform")
    return parts


def _verb(tables: Grammar, text: str, head: str) -> tuple[str, str]:
    """The canonical verb (one or two words) and its arguments."""
    first, _, rest = head.partition(" ")
    word = first.lower()
    profile = tables.profile
    if not _FIRST.fullmatch(first):
        raise _denied(text, f"{first!r} is not a word", _allowed(tables))
    found = (profile.shorthand[word],) if word in profile.shorthand else tables.words.get(word, ())
    if found and word == found[0]:
        found = (word,)  # the full word wins over longer ones that begin with it
    if not found:
        hint = profile.advice.get(word, "") or _allowed(tables, word)
        raise _denied(text, f"{first!r} is not a known first word on {profile.name}", hint)
    wrong = [candidate for candidate in found if candidate not in tables.verbs]
    if wrong:
        reason = f"{first!r} may be {', '.join(wrong[:4])}" if wrong != [word] else f"{first!r} is no read command"
        raise _denied(text, f"{reason} on {profile.name}", profile.advice.get(wrong[0], "") or _allowed(tables))
    if len(found) > 1:
        raise _denied(text, f"{first!r} is ambiguous: {', '.join(found)}")
    return _second(tables, text, found[0], rest)


def _second(tables: Grammar, text: str, verb: str, rest: str) -> tuple[str, str]:
    """Verbs whose second word decides (`admin show`): at least two of its letters, and the full word is sent."""
    if verb not in tables.second:
        return verb, rest
    word, _, arguments = rest.partition(" ")
    for wanted in tables.second[verb]:
        if len(word) >= 2 and wanted.startswith(word.lower()):
            return f"{verb} {wanted}", arguments
    raise _denied(text, f"only {', '.join(f'{verb} {w}' for w in sorted(tables.second[verb]))} is a read command")


def _pipe(tables: Grammar, text: str, pipe: str) -> str:
    first, _, arguments = pipe.partition(" ")
    word, arguments = first.lower(), arguments.strip(" ")
    safe = tables.profile.pipes.safe
    found = tables.pipes.get(word, ())
    if found and word == found[0]:
        found = (word,)
    allowed = (
        f"Allowed after `|`: {', '.join(safe)}." if safe else "No pipe is allowed here; use `query` or `read_output`."
    )
    if not found:
        raise _denied(text, f"`| {first}` is not a known pipe on {tables.profile.name}", allowed)
    if wrong := [candidate for candidate in found if candidate not in safe]:
        raise _denied(text, f"`| {first}` may be {', '.join(wrong[:4])}, which writes, runs or waits", allowed)
    if len(found) > 1:
        raise _denied(text, f"`| {first}` is ambiguous: {', '.join(found)}", allowed)
    form = tables.pipe_args.get(found[0])
    if form is not None and not form.fullmatch(arguments):
        raise _denied(text, f"`| {found[0]}` takes no {arguments!r} here", allowed)
    return f"{found[0]} {arguments}" if arguments else found[0]


def _argv(tables: Grammar, text: str) -> Meaning:
    """A POSIX command: split as a shell would, matched as a whole argv, quoted again."""
    try:
        argv = shlex.split(text)
    except ValueError as exc:
        raise _denied(text, "its quotes are not balanced") from exc
    advice = tables.profile.advice.get(argv[0], "") if argv else ""
    if argv and (inner := tables.profile.inner.get(argv[0])) and isinstance(inner, Profile):
        return _inner(tables, text, argv, inner)
    line = shlex.join(argv)
    if not any(pattern.fullmatch(line) for pattern in tables.whole):
        raise _denied(text, "it is none of the read commands in the profile's argv patterns", advice)
    secret = tables.secret is not None and tables.secret.fullmatch(line)
    native = tables.native is not None and tables.native.fullmatch(line) is not None
    rule = f"argv pattern of {tables.profile.name} for {argv[0]!r}"
    return Meaning(line, "secret-read" if secret else "read", rule, native, json_line="")


def _inner(tables: Grammar, text: str, argv: list[str], profile: Profile) -> Meaning:
    """`vtysh -c 'show ...'`: the program's own command line, judged by its own profile."""
    if len(argv) != 3 or argv[1] != "-c":
        raise _denied(text, f"only `{argv[0]} -c '...'` with one command", tables.profile.advice.get(argv[0], ""))
    within = read(profile, argv[2])
    line, asking = (shlex.join([argv[0], "-c", part]) if part else "" for part in (within.canonical, within.json_line))
    rule = f"{argv[0]} -c: {within.rule}"
    return Meaning(line, within.command_class, rule, within.native_json, asking, within.text_first)


def _allowed(tables: Grammar, word: str = "") -> str:
    """The nearest allowed form, for the hint."""
    verbs = sorted(tables.verbs)
    if not verbs:
        return "No command grammar is known for this platform; write a profile (docs/profiles.md)."
    nearest = near(word, verbs, n=2) if len(word) > 2 else []
    return f"Did you mean {' or '.join(nearest)}?" if nearest else f"Allowed first words: {', '.join(verbs)}."


def _spaced(head: str) -> str:
    """Runs of spaces as one, outside quotes."""
    if "  " not in head:
        return head
    return '"'.join(part if odd % 2 else _SPACES.sub(" ", part) for odd, part in enumerate(head.split('"')))


def _either(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One case-insensitive pattern for all: devices do not mind the case of their words."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined, re.IGNORECASE) if joined else None


def _by_prefix(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Every abbreviation -> the words it may stand for; the word itself, when full, comes first."""
    found: dict[str, list[str]] = {}
    for word in sorted(words, key=len):
        for end in range(1, len(word) + 1):
            found.setdefault(word[:end], []).append(word)
    return {prefix: tuple(candidates) for prefix, candidates in found.items()}
