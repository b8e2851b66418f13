"""What a command line means on a platform, before anything is sent: words, pipes, class, canonical form.

Pure text work on a `Profile`'s tables; fail closed: what is not in them has no meaning, and only `policy` turns a
meaning into a `Grant`. Built against the ways by which comparable filters were passed: newline, abbreviation, pipe,
URL, quotes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from netssh_mcp.errors import CommandDenied, InputError
from netssh_mcp.guard.programs import is_shell, refusable
from netssh_mcp.guard.tables import Grammar, risk, tables
from netssh_mcp.knowledge.near import near
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.model import READS, CommandClass

_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_SPACES = re.compile(r" +")
_FIRST = re.compile(r"[A-Za-z0-9][\w-]*")
# A scheme that makes a device fetch or send: it becomes the attacker's proxy, and may send its credentials along.
_URL = re.compile(
    r"[a-z][a-z0-9+.\-]{0,15}://"
    r"|(?:^|[\s\"'=,(])(?:tftp|ftp|ftps|sftp|scp|rcp|https?|smb|nfs|cns|rsync|xmodem|ymodem|ldaps?|gopher|tftps):",
    re.IGNORECASE,
)
_EXPANSION = re.compile(r"\$(?![ \"'|)]|$)")  # what a shell behind the device would expand
_LONE_WORD = re.compile(r"[\w.:/^\-]+[|\"]")  # the rest of a quoted alternation, which would be a harmless command
_MENU = re.compile(r"/?(?:[A-Za-z0-9-]+[ /]+)*[A-Za-z0-9-]+")
_QUOTED = re.compile(r"[\"']([^\"']*)[\"']")  # a line has one kind of quotes only
_LAST_QUOTED = re.compile(r"([^'\"]+) '([^']*)'")  # `vtysh -c 'show ...'`
_REMOTE = re.compile(r"[\w.\-]+@[\w.\-]+:[/\w]")  # user@host:path


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a line is, in full words. `canonical` is what is sent; `json_line` the same asking for JSON, "" if unknown.

    `typed` is the line before its argument words were spelled out, "" where none was: refusals are held against both.
    `why` and `hint` are what whoever may not use this class is told. `url`: it names one, so the device would connect.
    `also`: further readings that refusals are held against. `form`: see `actions`.
    """

    canonical: str
    command_class: CommandClass
    rule: str
    native_json: bool
    json_line: str
    text_first: bool = False  # JSON only when it is asked for by name: our template makes the same rows of less text
    why: str = ""
    hint: str = ""
    url: bool = False
    typed: str = ""
    also: tuple[str, ...] = ()
    form: str = "command"


def read(profile: Profile, command: str) -> Meaning:
    """The meaning of a command, whatever its class. CommandDenied when it has none, InputError when it is empty."""
    known = tables(profile)
    text = _plain(known, command)
    understood = _argv if profile.argv else _whole_line if known.whole else _menu_line if profile.menus else _verb_line
    meaning = understood(known, text)
    if len(meaning.canonical) > profile.max_line:
        raise denied(text, f"it is longer than {profile.max_line} characters when spelled out")
    if ":" in text and (_URL.search(text) or _REMOTE.search(text)):  # both have one
        if meaning.command_class in READS:
            raise denied(text, "it names a URL; the device would connect to it")
        return replace(meaning, url=True)
    return meaning


def plain(profile: Profile, command: str) -> str:
    """One printable line without anything that a device might take for more than one; CommandDenied, InputError."""
    return _plain(tables(profile), command)


def denied(command: str, reason: str, hint: str = "") -> CommandDenied:
    """The error for a command that is not sent."""
    shown = command if len(command) <= 80 else command[:77] + "..."
    return CommandDenied(f"{shown!r} is not sent: {reason}", hint=hint)


def _plain(known: Grammar, command: str) -> str:
    """One printable line without separators, shell characters, help key, comment or URL; spaces trimmed."""
    text = command.strip(" ")
    if not text:
        raise InputError("the command is empty", hint="Give one command, for example `show version`.")
    profile = known.profile
    if len(text) > profile.max_line:
        raise denied(text, f"it is longer than {profile.max_line} characters")
    if not _PRINTABLE.fullmatch(text):
        bad = next(char for char in text if not " " <= char <= "~")
        hint = "One command is one line; give several commands as a list." if bad in "\r\n" else ""
        raise denied(text, f"it has the character {bad!a}; only printable ASCII is sent", hint)
    if text[0] in "!#" or (profile.comment and text.startswith(profile.comment)):
        raise denied(text, "it is a comment")
    if _EXPANSION.search(text):
        hint = "Give the value itself: nothing expands a variable here."
        hint = f"{hint} {_AS_SHELL}" if profile.driver == "linux" else hint
        raise denied(text, "`$` may only end a word, as in a regular expression", hint)
    if "?" in text:
        raise denied(text, "`?` asks the device for help and leaves the line in its buffer")
    if not known.refused.isdisjoint(text):
        char = next(char for char in text if char in known.refused)
        raise denied(text, f"it has the character {char!r}", _char_hint(char, profile))
    _balanced(text)
    return text


_AS_SHELL = "`run(shell=true)` takes pipes, redirects and variables, where the policy allows class shell."


def _char_hint(char: str, profile: Profile) -> str:
    shell = f" {_AS_SHELL}" if profile.driver == "linux" else ""
    if char == "|":
        return f"Run the command alone; search or filter its output with `query`, `fields` or `read_output`.{shell}"
    if char in ";&":
        return f"Give several commands as a list.{shell}"
    if shell and char in "<>()`*{}~[]\\":
        return f"A command is a program and its arguments.{shell}"
    return f"On {profile.name} none of {' '.join(profile.refused_chars)} may be in a command."


def _balanced(text: str) -> None:
    if text.count('"') % 2:
        raise denied(text, "its quotes are not balanced")
    if "'" in text and '"' in text:  # which of them quotes the other differs between platforms
        raise denied(text, "it has both kinds of quotes")


def _whole_line(known: Grammar, text: str) -> Meaning:
    """Platforms whose verb does not come first: the whole line matches one pattern."""
    line = _SPACES.sub(" ", text)
    kind = next((kind for kind, pattern in known.whole if pattern.fullmatch(line)), None)
    if kind is None:
        raise denied(text, f"it is none of the commands known for {known.profile.name}")
    path = _SPACES.sub(" ", line.replace("/", " ")).strip(" ")  # `/ppp/secret print` is `ppp secret print`
    if _matches(known.refuse, line, path) or _matches(known.denied, line, path):
        raise denied(text, "a word of its path writes, runs or waits")
    kind = _raised(known, kind, line, path)
    why = "it is no read command"
    return Meaning(line, kind, f"whole-line pattern of class {kind}", native_json=False, json_line="", why=why)


def _menu_line(known: Grammar, text: str) -> Meaning:
    """A menu path and its verb, parted by slashes or spaces: read with spaces, sent as they were typed."""
    found = _MENU.match(text)
    path = found[0] if found else ""
    spaced = _SPACES.sub(" ", path.replace("/", " ")).strip(" ")
    meaning = _verb_line(known, spaced + text[len(path) :])
    words = meaning.canonical.split(" ")
    parted = re.findall(r"[ /]+", path.lstrip("/"))
    slashed = "".join(
        word + ("/" if at < len(parted) and "/" in parted[at] else " ") for at, word in enumerate(words)
    ).rstrip(" ")
    return replace(meaning, canonical=f"/{slashed}" if text.startswith("/") else slashed)


def _verb_line(known: Grammar, text: str) -> Meaning:
    head, *pipes = _segments(known, text)
    verb, arguments, kind = _verb(known, text, _spaced(head))
    _quoting(text, arguments)
    profile = known.profile
    form = known.forms.get(verb)
    if (kind == "diagnose" and not arguments) or (form is not None and not form.fullmatch(arguments)):
        why = "without arguments it is a dialogue" if not arguments else "not in this form"
        raise denied(text, f"{verb}: {why}", profile.advice.get(verb, ""))
    command = f"{verb} {arguments}" if arguments else verb
    piped = [_pipe(known, text, pipe) for pipe in pipes]
    canonical, judged = _judged(known, verb, kind, command, piped)
    typed = ""
    if kind in READS and (full := _in_full(known, command)) != command:
        in_full, other = _judged(known, verb, kind, full, piped)
        if other == judged:  # else two readings: it stays as typed
            canonical, typed = in_full, canonical
    kind = judged
    append = profile.json_output.append
    at_once = _matches(known.json, canonical)
    return Meaning(
        canonical=canonical,
        command_class=kind,
        rule=f"{verb!r} is of class {kind} on {profile.name}",
        native_json=_matches(known.native, canonical),
        json_line=canonical + append
        if append and not pipes and (at_once or _matches(known.json_on_request, canonical))
        else "",
        text_first=not at_once,
        why=f"{verb!r} is no read command on {profile.name}" + (f" (class {kind})" if kind not in READS else ""),
        hint=profile.advice.get(verb, "") or ("" if kind in READS else _allowed(known)),
        typed=typed,
    )


def _judged(known: Grammar, verb: str, kind: CommandClass, command: str, pipes: list[str]) -> tuple[str, CommandClass]:
    """The whole line and its class; CommandDenied where the tables of lines refuse it."""
    line = " | ".join((command, *pipes)) if pipes else command
    forms = (*_unquoted(command), line)
    if _matches(known.denied, *forms) or _matches(known.refuse, *forms):
        raise denied(line, f"{verb} reads by name, but this form writes, runs or fetches something")
    return line, _raised(known, kind, *forms)


def _in_full(known: Grammar, command: str) -> str:
    words = command.split(" ")
    full = known.places.spelled(words)
    return command if full is words else " ".join(full)


def _raised(known: Grammar, kind: CommandClass, *forms: str) -> CommandClass:
    """The class of a line whose longer form is riskier than its first words."""
    for higher, pattern in known.raised:
        if risk(higher) <= risk(kind):
            break
        if _matches(pattern, *forms):
            return higher
    return kind


def _quoting(text: str, arguments: str) -> None:
    """Quotes around nothing, around spaces or around the word that says what is shown dodge the tables of lines."""
    if '"' not in arguments and "'" not in arguments:
        return
    if re.match(r"\S*[\"']", arguments):
        raise denied(text, "quotes may only stand from the third word on")
    if any(part != part.strip(" ") or not part for part in _QUOTED.findall(arguments)):
        raise denied(text, "quoted text may not be empty, nor begin or end with a space")


def _unquoted(command: str) -> tuple[str, ...]:
    """`command` without quotes: as many words as are read there, and with each quoted text as the one word it is."""
    if '"' not in command and "'" not in command:
        return () if "|" not in command else (command.replace("|", "_"),)
    solid = re.sub(r"\"[^\"]*\"|'[^']*'", lambda found: found[0].replace(" ", "_"), command)
    loose, solid = (re.sub(r"[\"']", "", form).replace("|", "_") for form in (command, solid))
    return _SPACES.sub(" ", loose).strip(" "), _SPACES.sub(" ", solid).strip(" ")


def _matches(pattern: re.Pattern[str] | None, *forms: str) -> bool:
    if pattern is not None:
        for form in forms:
            if pattern.fullmatch(form):
                return True
    return False


def _segments(known: Grammar, text: str) -> list[str]:
    """The command and its pipes, split at every `|` that the device reads as a pipe.

    A `|` that we leave alone (quoted, or glued as a regexp "or") must be harmless if the device reads it as a pipe
    after all: what follows it may not abbreviate an unsafe pipe.
    """
    if "|" not in text:
        return [text]
    parts: list[str] = []
    start, quoted = 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        if char != "|":
            continue
        glued = bool(parts) and known.profile.pipes.alternation and text[at - 1] != " " and text[at + 1 : at + 2] != " "
        if quoted or glued:
            following = re.match(r"[\s\"|]*([\w-]*)", text[at + 1 :])
            if following is not None and following[1].lower() in known.unsafe_pipes:
                raise denied(text, f"`|{following[1]}` may be read as a pipe that writes or runs something")
            if known.profile.pipes.any_program and not _LONE_WORD.match(text, at + 1):
                raise denied(text, "a quoted bar may only stand between two words without spaces")
            continue
        parts.append(text[start:at].strip(" "))
        start = at + 1
    parts.append(text[start:].strip(" "))
    if "" in parts:
        raise denied(text, "a pipe is empty")
    if len(parts) > 2 and not known.profile.pipes.several:
        raise denied(text, "only one pipe is understood on this platform")
    return parts


def _verb(known: Grammar, text: str, head: str) -> tuple[str, str, CommandClass]:
    """The canonical verb (the phrase that gives the class), its arguments and the class."""
    first, _, rest = head.partition(" ")
    word = first.lower()
    profile = known.profile
    if not _FIRST.fullmatch(first):
        raise denied(text, f"{first!r} is not a word", _allowed(known))
    found = (profile.shorthand[word],) if word in profile.shorthand else known.words.get(word, ())
    if found and word == found[0]:
        found = (word,)  # the full word wins over longer ones that begin with it
    if not found:
        hint = profile.advice.get(word, "") or _allowed(known, word)
        raise denied(text, f"{first!r} is not a known first word on {profile.name}", hint)
    if len(found) > 1:
        raise denied(text, *_ambiguous(known, first, found))
    return _phrase(known, text, found[0], rest)


def _ambiguous(known: Grammar, first: str, found: tuple[str, ...]) -> tuple[str, str]:
    """Why an abbreviation of several words is not sent; the ones that are no reads are named."""
    wrong = [word for word in found if known.tree.next[word].kind not in READS]
    if not wrong:
        return f"{first!r} is ambiguous: {', '.join(found)}", ""
    hint = known.profile.advice.get(wrong[0], "") or _allowed(known)
    return f"{first!r} may be {', '.join(wrong[:4])} on {known.profile.name}", hint


def _phrase(known: Grammar, text: str, first: str, rest: str) -> tuple[str, str, CommandClass]:
    """Down the tree as far as the words lead beyond doubt: in full, or by two letters that fit one word only."""
    node = known.tree.next[first]
    words, verb, kind, arguments = [first], first, node.kind, rest
    while node.next and rest:
        word, _, rest = rest.partition(" ")
        lower = word.lower()
        fits = [lower] if lower in node.next else [other for other in node.next if other.startswith(lower)]
        if len(fits) != 1 or len(lower) < min(2, len(fits[0])):
            break
        node = node.next[fits[0]]
        words.append(fits[0])
        if node.kind:
            verb, kind, arguments = " ".join(words), node.kind, rest
    if not kind:
        listed = ", ".join(f"{first} {word}" for word in sorted(known.tree.next[first].next))
        raise denied(text, f"only {listed} is a read command")
    if len(words) > len(verb.split()):  # words that led to nothing listed are sent in full all the same
        given = arguments.split(" ")
        extra = words[len(verb.split()) :]
        arguments = " ".join([*extra, *given[len(extra) :]])
    return verb, arguments, kind


def _pipe(known: Grammar, text: str, pipe: str) -> str:
    first, _, arguments = pipe.partition(" ")
    word, arguments = first.lower(), arguments.strip(" ")
    safe = known.profile.pipes.safe
    found = known.pipes.get(word, ())
    if found and word == found[0]:
        found = (word,)
    allowed = (
        f"Allowed after `|`: {', '.join(safe)}." if safe else "No pipe is allowed here; use `query` or `read_output`."
    )
    if not found:
        raise denied(text, f"`| {first}` is not a known pipe on {known.profile.name}", allowed)
    if wrong := [candidate for candidate in found if candidate not in safe]:
        raise denied(text, f"`| {first}` may be {', '.join(wrong[:4])}, which writes, runs or waits", allowed)
    if len(found) > 1:
        raise denied(text, f"`| {first}` is ambiguous: {', '.join(found)}", allowed)
    form = known.pipe_args.get(found[0])
    if form is not None and not form.fullmatch(arguments):
        raise denied(text, f"`| {found[0]}` takes no {arguments!r} here", allowed)
    return f"{found[0]} {arguments}" if arguments else found[0]


def _argv(known: Grammar, text: str) -> Meaning:
    """A POSIX command: split as a shell would, matched as a whole argv, quoted again."""
    try:
        argv = arguments_of(text)
    except ValueError as exc:
        raise denied(text, "its quotes are not balanced") from exc
    advice = known.profile.advice.get(argv[0], "") if argv else ""
    if argv and (inner := known.profile.inner.get(argv[0])) and isinstance(inner, Profile):
        return _inner(known, text, argv, inner)
    line = shlex.join(argv)
    if not any(pattern.fullmatch(line) for _, pattern in known.whole):
        return _other_program(known, argv, line, advice)
    native = known.native is not None and known.native.fullmatch(line) is not None
    rule = f"argv pattern of {known.profile.name} for {argv[0]!r}"
    kind: CommandClass = "diagnose" if argv[0] in known.profile.commands.get("diagnose", ()) else "read"
    return Meaning(line, _raised(known, kind, line), rule, native, json_line="")


def arguments_of(line: str) -> list[str]:
    """As a POSIX shell splits it, no backslashes in it; ValueError when its quotes are not balanced."""
    if "'" not in line and '"' not in line:
        return line.split()  # a tenth of what `shlex` takes
    if found := _LAST_QUOTED.fullmatch(line):
        return [*found[1].split(), found[2]]
    return shlex.split(line)


def _other_program(known: Grammar, argv: list[str], line: str, advice: str) -> Meaning:
    """A program that no pattern knows as a read: one that runs others is a shell, any other may change something."""
    name = argv[0].rpartition("/")[2].lower() if argv else ""
    kind: CommandClass = "shell" if is_shell(argv, known.profile.commands.get("shell", ())) else "change"
    why = "it is none of the read commands in the profile's argv patterns"
    if kind == "shell" and name:
        why += f", and {name!r} runs other programs, which is of class shell"
    rule = f"{name!r} is of class {kind}"
    return Meaning(line, kind, rule, False, json_line="", why=why, hint=advice, also=refusable(argv))


def _inner(known: Grammar, text: str, argv: list[str], profile: Profile) -> Meaning:
    """`vtysh -c 'show ...'`: the program's own command line, judged by its own profile."""
    if len(argv) != 3 or argv[1] != "-c":
        raise denied(text, f"only `{argv[0]} -c '...'` with one command", known.profile.advice.get(argv[0], ""))
    within = read(profile, argv[2])
    head = f"{shlex.quote(argv[0])} -c "
    line, asking, typed = (
        head + shlex.quote(part) if part else "" for part in (within.canonical, within.json_line, within.typed)
    )
    rule = f"{argv[0]} -c: {within.rule}"
    return replace(within, canonical=line, rule=rule, json_line=asking, typed=typed)


def _allowed(known: Grammar, word: str = "") -> str:
    """The nearest allowed form, for the hint."""
    verbs = sorted({*(word for word, node in known.tree.next.items() if node.kind in READS), *known.profile.reads})
    if not verbs:
        return "No command grammar is known for this platform; write a profile (docs/profiles.md)."
    nearest = near(word, verbs, n=2) if len(word) > 2 else []
    return f"Did you mean {' or '.join(nearest)}?" if nearest else f"Allowed first words: {', '.join(verbs)}."


def _spaced(head: str) -> str:
    """Runs of spaces as one, outside quotes."""
    if "  " not in head:
        return head
    return '"'.join(part if odd % 2 else _SPACES.sub(" ", part) for odd, part in enumerate(head.split('"')))
