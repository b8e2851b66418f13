"""From inventory files to an `Inventory`: read, check everything, merge, inherit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from netssh_mcp.errors import InputError
from netssh_mcp.knowledge.foreign.forms import looks_like
from netssh_mcp.knowledge.inheritance import Entry, Inherited, Merged, Sources, given
from netssh_mcp.knowledge.inventory import Inventory
from netssh_mcp.knowledge.inventory_schema import (
    Defaults,
    File,
    Group,
    Host,
    Known,
    explained,
    misnamed,
)
from netssh_mcp.knowledge.yaml_lines import Document, Problem, read

MOST_PROBLEMS: Final = 10
_HINT: Final = "Correct the file; it is read again at the next call. `netssh-mcp inventory check` reads it now."

_Model = TypeVar("_Model", bound=BaseModel)


def load(paths: Sequence[Path], sources: Sources) -> Inventory:
    """The inventory of the files, later ones winning per host and group. InputError lists up to 10 problems."""
    problems: list[Problem] = []
    inventory = _loaded(paths, sources, problems)
    _raise(problems)  # here, where no local holds what a file has in plain text
    return inventory


def _loaded(paths: Sequence[Path], sources: Sources, problems: list[Problem]) -> Inventory:
    documents = [sources.foreign[path].document if path in sources.foreign else _ours(path) for path in paths]
    tops = [_Check(document, problems).top() for document in documents]
    added = read(sources.overlay) if sources.overlay is not None and sources.overlay.exists() else None
    theirs = _Check(added, problems).top() if added else File()
    groups = {name: None for top in tops for name in top.groups}  # a set that keeps the order
    hosts = {name: None for top in (*tops, theirs) for name in top.hosts}
    platforms, environment = sources.platforms, sources.environment
    merged = Merged(doubts=[note for path in paths if path in sources.foreign for note in sources.foreign[path].notes])
    for document, top in zip(documents, tops, strict=True):
        problems += document.doubled
        if top.allow_plaintext and not document.private:
            text = f"needs a file of your own with mode 0600; it is {document.mode:04o}. chmod 600 {document.path}"
            problems.append(Problem(document.path, document.line("allow_plaintext"), f"allow_plaintext: {text}"))
        known = Known(
            document.path.parent, top.allow_plaintext, platforms, groups, hosts, environment.vault, environment
        )
        _add(merged, top, _Check(document, problems, known))
    if added:
        known = Known(added.path.parent, False, platforms, groups, hosts, environment.vault, environment)
        _add_unlisted(merged, theirs, _Check(added, problems, known))
    if not hosts and not problems and sources.overlay is None and not sources.ad_hoc:
        notes = "; ".join(merged.doubts[:MOST_PROBLEMS])
        begin = notes or "begin with `hosts:`, see inventory.example.yaml"
        problems.append(Problem(paths[-1], 1, f"there are no hosts; {begin}"))
    return Inventory({}, {}) if problems else Inherited(merged, problems, sources).inventory()


def _ours(path: Path) -> Document:
    """A file of our own form; InputError with the prefix to write when it looks like another tool's."""
    if path.suffix != ".ini":  # which is no YAML
        document = read(path)
        form = looks_like(document.content)
        if not form:
            return document
    else:
        form = "ansible"
    raise InputError(
        f"{path} looks like an inventory of {form}, not of netssh-mcp",
        hint=f"If it is one, write --inventory {form}:{path}; docs/inventory.md says what is read of it.",
    )


@dataclass(frozen=True, slots=True)
class _Check:
    """Checks parts of one file against the schema and adds what is wrong to `problems`."""

    document: Document
    problems: list[Problem]
    known: Known | None = None

    def top(self) -> File:
        """The top level; what is wrong there is left out, so that the rest is checked too."""
        content = self.document.content
        if found := self.model(File, content):
            return found
        if not isinstance(content, dict):
            return File()
        alone = _Check(self.document, [])
        sound = {key: value for key, value in content.items() if alone.model(File, {key: value}) is not None}
        return File.model_validate(sound)

    def model(self, model: type[_Model], content: object, *where: str) -> _Model | None:
        """The content as `model`, or None when it is not one."""
        try:
            return model.model_validate(content, context=self.known)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                place = (*where, *each["loc"])
                named = ".".join(str(step) for step in place if step != "[key]")
                text = explained(each, model)
                line = self.document.line(*place)
                self.problems.append(Problem(self.document.path, line, f"{named}: {text}" if named else text))
        return None

    def entries(self, model: type[Group], section: str, written: Mapping[str, object]) -> Iterator[tuple[str, Entry]]:
        for name, content in written.items():
            if wrong := misnamed(name):
                line = self.document.line(section, name)
                self.problems.append(Problem(self.document.path, line, f"{section}.{name}: {wrong}"))
            spec = self.model(model, {} if content is None else content, section, name)
            if spec is not None:
                yield name, Entry(self.document, section, name, spec)


def _add(merged: Merged, top: File, check: _Check) -> None:
    merged.unlisted.update({key: tuple(getattr(top.unlisted, key)) for key in top.unlisted.model_fields_set})
    if defaults := check.model(Defaults, top.defaults, "defaults"):
        merged.defaults.update(given(defaults))
        merged.data.update(defaults.data)
    merged.groups.update(check.entries(Group, "groups", top.groups))
    merged.hosts.update(check.entries(Host, "hosts", top.hosts))


def _add_unlisted(merged: Merged, top: File, check: _Check) -> None:
    """The file of added hosts: hosts only, none in the place of the operator's, and within the allowance."""
    document, allowance = check.document, merged.allowance()
    problems = [
        Problem(document.path, document.line(key), f"{key}: only `hosts` may stand in a file of added hosts")
        for key in sorted(top.model_fields_set - {"hosts"})
    ]
    if not document.private:
        text = f"must be a file of your own with mode 0600; it is {document.mode:04o}. chmod 600 {document.path}"
        problems.append(Problem(document.path, 1, text))
    new = {name: content for name, content in top.hosts.items() if name not in merged.hosts}
    merged.doubts += [
        f"{name} in {document.path} is passed over: an inventory file has a host of that name"
        for name in top.hosts
        if name not in new
    ]
    for name, content in new.items():
        for key, why in allowance.refusals(content if isinstance(content, dict) else {}, document.path.parent):
            problems.append(Problem(document.path, document.line("hosts", name, key), f"hosts.{name}.{key}: {why}"))
    check.problems.extend((*document.doubled, *problems))
    merged.hosts.update({name: replace(entry, origin="added") for name, entry in check.entries(Host, "hosts", new)})


def _raise(problems: Iterable[Problem]) -> None:
    found = sorted(dict.fromkeys(problems), key=lambda problem: (str(problem.path), problem.line))
    if not found:
        return
    lines = [str(problem) for problem in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        lines.append(f"and {len(found) - MOST_PROBLEMS} more")
    count = "a problem" if len(found) == 1 else f"{len(found)} problems"
    raise InputError("\n".join((f"the inventory has {count}:", *lines)), hint=_HINT)
