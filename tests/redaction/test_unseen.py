"""The lines that no rule had seen when they were measured first: the engine never finds fewer secrets in them again."""

from __future__ import annotations

import pytest

from tests.redaction import figures, forms

FORMS, SECRETS = 344, 11_392  # as measured first: a line taken out or made easier would show here
FOUND = sum(figures.UNSEEN_FOUND.values())


@pytest.fixture(scope="module")
def scores() -> list[figures.Score]:
    return figures.unseen()


def test_the_set_is_the_one_that_was_measured(scores: list[figures.Score]) -> None:
    assert {found.platform for found in scores} == set(figures.UNSEEN_FOUND)
    assert sum(found.written for found in scores) == FORMS
    assert sum(found.secrets for found in scores) == SECRETS
    assert all(found.written >= 12 for found in scores)


def test_recall_is_never_below_the_first_measurement(scores: list[figures.Score]) -> None:
    missed = sum(len(found.missed) for found in scores)
    assert (SECRETS - missed) / SECRETS >= FOUND / SECRETS


def test_names_beside_these_secrets_stay(scores: list[figures.Score]) -> None:
    assert [lost for found in scores for lost in found.lost] == []


@pytest.mark.parametrize("platform", forms.platforms(forms.UNSEEN))
def test_every_line_holds_its_secrets_and_is_the_same_in_every_run(platform: str) -> None:
    first = list(forms.measured(platform, forms.UNSEEN))
    assert first == list(forms.measured(platform, forms.UNSEEN))
    for form in first:
        assert {secret for secret, _ in form.survivors(form.text)} == set(form.secrets)
        assert form.lost(form.text) == []
