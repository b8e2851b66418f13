"""The ruler itself: what counts as a secret that survived, and that the lines are the same in every run."""

from __future__ import annotations

import pytest

from tests.redaction import forms
from tests.redaction.forms import Form

SECRET = "Corr3ctHorseB4ttery"
FORM = Form("cisco_ios", f"username bob secret {SECRET}", (SECRET,), ("plain",), ("bob",), "seed")


def test_a_whole_secret_and_half_of_one_both_survived() -> None:
    assert FORM.survivors(FORM.text) == [(SECRET, "plain")]
    assert FORM.survivors(f"username bob secret <redacted:password:ab12cd34>{SECRET[11:]}") == []
    assert FORM.survivors(f"username bob secret <redacted:password:ab12cd34>{SECRET[10:]}") == [(SECRET, "plain")]
    assert FORM.survivors("username bob secret <redacted:password:ab12cd34>") == []


def test_what_stands_only_inside_a_tag_is_lost() -> None:
    assert FORM.lost("username <redacted:password:bob> secret x") == ["bob"]
    assert FORM.lost("username bob secret x") == []


@pytest.mark.parametrize("platform", forms.platforms())
def test_every_measured_line_holds_its_secrets_and_is_the_same_in_every_run(platform: str) -> None:
    first, second = list(forms.measured(platform)), list(forms.measured(platform))
    assert first == second
    assert len({form.text for form in first}) > 0.95 * len(first)
    for form in first:
        assert {secret for secret, _ in form.survivors(form.text)} == set(form.secrets)
        assert form.lost(form.text) == []
