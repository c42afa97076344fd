"""A label that is overwritten: what is reported, and when it is written again."""

from dataclasses import replace
from typing import Any

from ecr_operator.api.outcome import Reason
from ecr_operator.core.overwritten_label import RECHECK, note_attempt, report
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.state import ResourceState, Result, spec_version
from tests.builders import HOUR, NOW, desired, outcome, resource, secret_metadata

OF = resource()


def view(**labels: Any) -> SecretView:
    return replace(view_secret(secret_metadata(OF)), labelled=False, **labels)


def test_it_replaces_a_success_and_leaves_a_failure() -> None:
    settled = Result(outcome=outcome(), refresh_at=NOW + HOUR)
    reported = report(ResourceState(OF), desired(OF), view(), settled, 0)
    assert reported.outcome is not None
    assert reported.outcome.reason is Reason.FIELDS_CONTESTED
    assert (reported.requeue_after, reported.refresh_at) == (RECHECK, NOW + HOUR)
    failed = replace(settled, outcome=outcome(Reason.ACCESS_DENIED))
    for after, expected in ((None, RECHECK), (5.0, 5.0), (300.0, RECHECK)):
        result = replace(failed, requeue_after=after)
        assert report(ResourceState(OF), desired(OF), view(), result, 0) == replace(
            result, requeue_after=expected
        )
    for untouched in (None, view_secret(secret_metadata(OF))):
        assert report(ResourceState(OF), desired(OF), untouched, settled, 0) is settled


def test_the_label_is_tried_every_ten_minutes_and_not_in_the_first_pass_of_a_term() -> None:
    state = ResourceState(OF)
    assert not note_attempt(state, view(), 0)
    state.reconciled = spec_version(OF)
    assert [note_attempt(state, view(), now) for now in (1, 599, 600, 601, 1200)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    # A write of the Secret is an attempt too.
    report(state, desired(OF), view(), Result(outcome=outcome(), refreshed=True), 1500)
    assert [note_attempt(state, view(), now) for now in (1800, 2100)] == [False, True]
