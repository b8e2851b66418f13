"""What a line means on a device: an answer, a refusal in the device's words, a built-in, or a line for the config."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netssh_mcp.lab.config import ConfigStore, difference
from netssh_mcp.lab.device import Answer, Device
from netssh_mcp.lab.faults import Script
from netssh_mcp.lab.grammar import Resolved, Unresolved
from netssh_mcp.lab.model import Command, Mode, PipeKind, fill

_PIPE = re.compile(r"\s*\|\s*(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)")  # a | outside quotes


@dataclass(slots=True)
class Context:
    """One session's place on the device."""

    mode: str
    user: str
    rows: int
    width: int
    path: str = ""  # the config block or edit path the session is in
    candidate: ConfigStore | None = None

    def values(self, device: Device) -> dict[str, str]:
        path = f" {self.path}" if self.path else ""
        return {**device.values, "user": self.user, "path": path}

    def filled(self, text: str, device: Device) -> str:
        return fill(text, self.values(device))

    def prompt(self, device: Device) -> str:
        """The text from which the line being typed follows."""
        return fill(device.platform.modes[self.mode].prompt, self.values(device))

    def lead(self, device: Device) -> str:
        return fill(device.platform.modes[self.mode].lead, self.values(device))


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` or `script` is what the device says; `command` is a built-in still to be done."""

    text: str = ""
    script: Script | None = None
    command: Command | None = None
    arguments: tuple[str, ...] = ()
    ok: bool = True


class Interpreter:
    def __init__(self, device: Device, context: Context) -> None:
        self._device = device
        self._context = context

    def _mode(self) -> Mode:
        return self._device.platform.modes[self._context.mode]

    def interpret(self, line: str) -> Outcome:
        mode = self._mode()
        line = self._unaliased(line)
        key = " ".join(line.split())
        if mode.kind == "exec" or self._device.platform.exec_in_config:
            known = self._device.answers.get(key)  # typed in full: no parsing
            if known is not None:
                return self._answer(known, key)
        if mode.kind == "config":
            return self._config_line(key, line, mode)
        return self._exec_line(line, self._context.mode)

    def _unaliased(self, line: str) -> str:
        word, blank, rest = line.strip().partition(" ")
        return self._device.platform.aliases.get(word, word) + blank + rest

    def help(self, typed: str) -> str:
        if typed.endswith("| "):
            return "".join(f"  {word:<12} Output modifier\n" for word in sorted(self._device.platform.pipes))
        words = self._device.grammar(self._context.mode).completions(typed)
        mode = self._mode()
        if mode.kind == "config" and " " not in typed:
            words = tuple(sorted({*words, *(word for word in mode.vocabulary if word.startswith(typed))}))
        return "".join(f"  {word}\n" for word in words) or "% Unrecognized command\n"

    def complete(self, typed: str) -> str:
        """What TAB adds to the line: the rest of the only word that fits."""
        words = self._device.grammar(self._context.mode).completions(typed)
        last = typed.rpartition(" ")[2]
        return f"{words[0][len(last) :]} " if len(words) == 1 and last else ""

    def _exec_line(self, line: str, mode: str) -> Outcome:
        base, *pipes = _PIPE.split(line)
        found = self._device.grammar(mode).resolve(base)
        if isinstance(found, Unresolved):
            return self._refused(found, line)
        if isinstance(found.leaf, Command):
            return self._built_in(found.leaf, found.arguments, pipes)
        return self._piped(found.leaf, found.canonical, pipes)

    def _built_in(self, command: Command, arguments: tuple[str, ...], pipes: list[str]) -> Outcome:
        text = self._store_text(command)
        if text is None:
            return Outcome(command=command, arguments=arguments)
        return self._filtered(text, command.syntax[0], pipes)

    def _store_text(self, command: Command) -> str | None:
        device = self._device
        if command.do == "show_running":
            return device.running.text()
        if command.do == "show_startup":
            return device.startup
        if command.do == "show_candidate":
            return (self._context.candidate or device.running).text()
        if command.do == "show_diff":
            return self._changes()
        return None

    def _changes(self) -> str:
        return difference(self._device.running, self._context.candidate or self._device.running)

    def _piped(self, answer: Answer, canonical: str, pipes: list[str]) -> Outcome:
        if not pipes or isinstance(answer, Script):
            return self._answer(answer, canonical)
        return self._filtered(fill(answer, self._context.values(self._device)), canonical, pipes)

    def _answer(self, answer: Answer, canonical: str) -> Outcome:
        if isinstance(answer, Script):
            return Outcome(script=answer)
        preamble = self._device.platform.preamble if self._device.spec.preamble else ""
        if not canonical.startswith("show"):
            preamble = ""
        return Outcome(text=fill(preamble + answer, self._context.values(self._device)))

    def _filtered(self, text: str, canonical: str, pipes: list[str]) -> Outcome:
        for pipe in pipes:
            kinds = self._device.platform.pipes
            name, argument = _pipe_named(pipe, tuple(kinds))
            if not name:
                return Outcome(text=fill(self._device.platform.refusals.pipe, {"word": pipe.split(" ")[0]}), ok=False)
            kind = kinds[name]
            if kind == "json":
                return self._as_json(canonical, name)
            if kind == "set":
                text = (self._context.candidate or self._device.running).flat()
            elif kind == "compare":
                text = self._changes()
            else:
                text = _filter(text, kind, argument.strip('"'))
        return Outcome(text=text)

    def _as_json(self, canonical: str, pipe: str) -> Outcome:
        known = self._device.answers.get(f"{canonical} | {pipe}")
        if known is None:
            return Outcome(text=self._device.platform.refusals.unconverted, ok=False)
        return self._answer(known, "")

    def _config_line(self, key: str, line: str, mode: Mode) -> Outcome:
        device = self._device
        prefix = device.platform.run_prefix
        word, _, rest = key.partition(" ")
        if prefix and word == prefix:
            return self._exec_line(rest, device.login_mode if device.spec.mode else _exec_mode(device))
        found = device.grammar(self._context.mode).resolve(_PIPE.split(line)[0])
        if isinstance(found, Resolved):
            if isinstance(found.leaf, Command):
                return self._built_in(found.leaf, found.arguments, _PIPE.split(line)[1:])
            return self._piped(found.leaf, found.canonical, _PIPE.split(line)[1:])
        if device.platform.config.style == "blocks" and self._store(key, mode):
            return Outcome()
        return self._refused(found, line)

    def _store(self, key: str, mode: Mode) -> bool:
        """Put a line into the config store and follow it into its sub-mode; False when its first word is unknown."""
        platform = self._device.platform
        negation, _, positive = key.partition(" ") if key.startswith(("no ", "default ")) else ("", "", key)
        word, _, rest = positive.partition(" ")
        level: Mode | None = mode
        while level is not None:
            full = _only(word, level.vocabulary)
            if full:
                break
            level = platform.modes[level.parent] if level.parent else None
        else:
            return False
        line = " ".join(part for part in (negation, full, rest) if part)
        top = level is not mode or not mode.parent
        store = self._context.candidate or self._device.running
        store.apply("" if top else self._context.path, line)
        if store is self._device.running:
            self._device.adopt(store)
        if level.opens.get(full) and not negation:
            self._context.mode, self._context.path = level.opens[full], store.named(line)
        elif level is not mode:
            parent = next(name for name, known in platform.modes.items() if known is level)
            self._context.mode, self._context.path = parent, ""
        return True

    def _refused(self, why: Unresolved, line: str) -> Outcome:
        refusals = self._device.platform.refusals
        text = {"unknown": refusals.unknown, "incomplete": refusals.incomplete, "ambiguous": refusals.ambiguous}[
            why.why
        ]
        lone = why.first and " " not in line.strip() and self._mode().kind == "exec"
        if why.why == "unknown" and lone and refusals.unknown_word:
            text = refusals.unknown_word
        caret = " " * (len(self._context.prompt(self._device)) + why.at) + "^"
        options = "".join(f"  {word}\n" for word in why.candidates)
        words = {"caret": caret, "line": line.strip(), "word": why.word, "options": options}
        return Outcome(text=fill(text, words), ok=False)


def _pipe_named(pipe: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The pipe that the words are short for, and what follows it; "" when none or several fit."""
    typed = pipe.split()
    fitting = []
    for name in names:
        words = name.split()
        if len(typed) >= len(words) and all(a.startswith(b) for a, b in zip(words, typed, strict=False)):
            fitting.append(name)
    exact = [name for name in fitting if typed[0] == name]
    found = exact or fitting
    return (found[0], " ".join(typed[len(found[0].split()) :])) if len(found) == 1 else ("", "")


def _exec_mode(device: Device) -> str:
    return device.platform.login_privileged or device.platform.login


def _only(word: str, vocabulary: tuple[str, ...]) -> str:
    if word in vocabulary:
        return word
    known = [other for other in vocabulary if word and other.startswith(word)]
    return known[0] if len(known) == 1 else ""


def _filter(text: str, kind: PipeKind, argument: str) -> str:
    lines = text.splitlines(keepends=True)
    try:
        wanted = re.compile(argument)
    except re.error:
        wanted = re.compile(re.escape(argument))
    hits = [bool(wanted.search(line)) for line in lines]
    if kind == "count":
        return f"Number of lines which match regexp = {sum(hits)}\n"
    if kind == "section":
        lines = _sections(lines, wanted)
    elif kind in ("include", "exclude"):
        lines = [line for line, hit in zip(lines, hits, strict=True) if hit is (kind == "include")]
    elif kind == "begin":
        lines = lines[hits.index(True) :] if any(hits) else []
    elif kind == "last":
        lines = lines[-int(argument) :] if argument.isdigit() else lines[-10:]
    return "".join(lines)


def _sections(lines: list[str], wanted: re.Pattern[str]) -> list[str]:
    kept: list[str] = []
    inside = False
    for line in lines:
        inside = bool(wanted.search(line)) or (inside and line.startswith(" "))
        if inside:
            kept.append(line)
    return kept
