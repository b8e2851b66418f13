"""Redaction measured on lines that a second author wrote from vendor documentation, without sight of the rules."""

from __future__ import annotations

import re

import pytest

from netssh_mcp.guard.redaction import Redactor
from netssh_mcp.knowledge.profiles import Profile
from netssh_mcp.knowledge.vault import Vault
from tests.recordings.loader import extra, ours
from tests.redaction import figures, forms

RECALL = 0.99
CHANGED = 0.0005  # of the lines of recorded outputs
SHARED = "Corr3ctHorseB4ttery"
NAMED = forms.platforms()


def known(platform: str) -> Profile:
    found = figures.profile(platform)
    assert found is not None, f"no profile for {platform}"
    return found


@pytest.fixture(scope="module")
def scores() -> dict[str, figures.Score]:
    return {platform: found for platform in NAMED if (found := figures.score(platform)) is not None}


@pytest.mark.parametrize("platform", NAMED)
def test_nearly_every_secret_of_a_platform_is_gone(platform: str, scores: dict[str, figures.Score]) -> None:
    found = scores[platform]
    assert found.lines >= forms.WANTED
    assert found.recall >= RECALL, found.missed[:20]


@pytest.mark.parametrize("platform", NAMED)
def test_known_formats_and_communities_are_always_gone(platform: str, scores: dict[str, figures.Score]) -> None:
    assert scores[platform].strict_missed == []


@pytest.mark.parametrize("platform", NAMED)
def test_names_and_numbers_beside_a_secret_stay(platform: str, scores: dict[str, figures.Score]) -> None:
    assert scores[platform].lost == []


@pytest.mark.parametrize("platform", sorted(forms.benign()))
def test_lines_that_only_look_near_stay_as_they_are(platform: str, scores: dict[str, figures.Score]) -> None:
    assert scores[platform].benign_changed == []


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert sum(len(forms.written(platform)) for platform in NAMED) >= 1500
    assert sum(len(texts) for texts in forms.benign().values()) >= 500
    first = (
        "cisco_ios",
        "cisco_xe",
        "cisco_nxos",
        "cisco_xr",
        "cisco_asa",
        "arista_eos",
        "juniper_junos",
        "fortinet",
        "linux",
    )
    assert all(len(forms.written(platform)) >= 45 for platform in first)
    assert all(len(forms.written(platform)) >= 25 for platform in NAMED)


@pytest.mark.parametrize("platform", NAMED)
def test_redacting_twice_is_redacting_once(platform: str) -> None:
    profile, engine = known(platform), figures.redactor()
    texts = [form.text for form in forms.written(platform)] + forms.benign().get(platform, [])
    once = [engine.text(text, profile) for text in texts]
    assert [engine.text(text, profile) for text in once] == once


@pytest.mark.parametrize("platform", NAMED)
def test_one_secret_has_one_tag_wherever_it_stands(platform: str) -> None:
    profile, engine = known(platform), figures.redactor()
    plain = [form for form in forms.written(platform) if form.kinds == ("plain",)]
    shown = [engine.text(form.text.replace(form.secrets[0], SHARED), profile) for form in plain]
    tags = {match for text in shown if SHARED not in text for match in forms.TAG.findall(text)}
    assert len(tags) == 1, tags
    other = Redactor(Vault(), key=b"another key").text(plain[0].text, profile)
    assert other != engine.text(plain[0].text, profile)


def test_tags_tell_kind_and_digest_only() -> None:
    profile, engine = known("cisco_ios"), figures.redactor()
    for form in forms.written("cisco_ios"):
        for tag in re.findall(r"<redacted[^>]*>", engine.text(form.text, profile)):
            assert forms.TAG.fullmatch(tag), tag


def test_recorded_outputs_stay_readable() -> None:
    """Ours always; a folder in ntc-templates' layout when NETSSH_EXTRA_RECORDINGS names one."""
    found = figures.captured([*ours(), *extra()])
    assert found.lines
    assert len(found.changed) <= CHANGED * found.lines, found.changed[:20]
