"""Policies: what a pass decides from the facts that it has gathered."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.outcome import Reason
from ecr_operator.core.decisions import (
    LABEL_RECHECK,
    Facts,
    accepts,
    answers_request,
    contested,
    has_first_login_of_ours,
    keep,
    must_check_resource,
    reason_of_write,
    report_label,
    was_up_to_date,
)
from ecr_operator.core.schedule import Repairs, refresh_deadline, spread_overdue
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.state import ResourceState, Result, spec_version
from tests.builders import (
    HOST,
    HOUR,
    NOW,
    desired,
    foreign_metadata,
    host,
    outcome,
    resource,
    secret_metadata,
    times,
    token,
    view,
    without,
)

OF: Final = resource()
ORPHAN: Final = resource(deletion_policy="Orphan")
REQUESTED: Final = resource(annotations={"ecr.mobb.redhat.com/refresh-requested-at": "now"})
PAIR: Final = resource(additional_registries=[host("eu-west-1")])
MINUTE: Final = timedelta(minutes=1)
MONOTONIC: Final = 1000.0
SIX_REPAIRS: Final[Repairs] = tuple(MONOTONIC - seconds for seconds in (50, 40, 30, 20, 10, 0))


def aged(age: timedelta) -> SecretView:
    """The Secret of OF with a token of that age."""
    return view(OF, token(issued_at=NOW - age))


def released() -> SecretView:
    """The Secret of OF after the garbage collector has removed its owner."""
    metadata = secret_metadata(OF)
    del metadata["ownerReferences"]
    return view_secret(metadata)


def facts(*, age: timedelta = HOUR, drifted: bool = False, **known: Any) -> Facts:
    """The facts of a later pass over OF, whose Secret has a token of that age."""
    of = known.get("resource", OF)
    present = known.get("present", aged(age))
    usual: dict[str, Any] = {
        "resource": of,
        "desired": desired(of),
        "present": present,
        "own": present,
        "up_to_date_times": None if drifted or present is None else present.times,
        "as_applied": False,
        "due": False,
        "first_pass": False,
        "was_up_to_date": False,
        "rotation_due": False,
        "include_due": False,
        "label_check_due": False,
        "repairs": (),
        "now": NOW,
        "monotonic": MONOTONIC,
    }
    return Facts(**(usual | known))


def deadline(age: timedelta) -> datetime:
    return refresh_deadline(times(issued_at=NOW - age), None, OF.uid)


@pytest.mark.parametrize(
    ("known", "reported", "refresh_at"),
    [
        pytest.param(facts(age=HOUR), True, deadline(HOUR), id="a young token"),
        pytest.param(
            facts(age=11 * HOUR, first_pass=True),
            False,
            spread_overdue(times(issued_at=NOW - 11 * HOUR), NOW, OF.uid),
            id="overdue at the start: spread, without a report",
        ),
        pytest.param(
            facts(age=100 * timedelta(seconds=1), resource=REQUESTED),
            True,
            NOW + timedelta(seconds=200),
            id="a request within the rate bound: when the bound allows",
        ),
    ],
)
def test_keep_leaves_an_up_to_date_secret_until_its_deadline(
    known: Facts, *, reported: bool, refresh_at: datetime
) -> None:
    result = keep(known)
    assert result is not None
    assert (result.outcome is not None, result.refresh_at) == (reported, refresh_at)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(facts(drifted=True), id="drift"),
        pytest.param(facts(present=None), id="no Secret"),
        pytest.param(facts(due=True), id="a deadline that a wall clock step hides"),
        pytest.param(facts(label_check_due=True), id="a label to try"),
        pytest.param(facts(rotation_due=True), id="changed keys"),
        pytest.param(facts(age=11 * HOUR), id="a deadline that has passed"),
        pytest.param(facts(age=13 * HOUR, first_pass=True), id="expired before the start"),
        pytest.param(facts(age=6 * MINUTE, resource=REQUESTED), id="a request beyond the rate bound"),
    ],
)
def test_keep_has_the_secret_written_for(known: Facts) -> None:
    assert keep(known) is None


@pytest.mark.parametrize(
    ("known", "wait"),
    [
        pytest.param(facts(), None, id="no drift"),
        pytest.param(facts(drifted=True, repairs=SIX_REPAIRS[1:]), None, id="five repairs within a minute"),
        pytest.param(facts(drifted=True, repairs=SIX_REPAIRS), 10.0, id="six repairs within a minute"),
        pytest.param(facts(present=None, repairs=SIX_REPAIRS), 10.0, id="six deletions within a minute"),
        pytest.param(
            facts(age=11 * HOUR, drifted=True, repairs=SIX_REPAIRS), None, id="six repairs and a token due"
        ),
    ],
)
def test_contested_limits_repairs_but_no_renewal(known: Facts, wait: float | None) -> None:
    result = contested(known)
    assert (result and result.requeue_after) == wait
    assert result is None or (result.outcome and result.outcome.reason) is Reason.FIELDS_CONTESTED


@pytest.mark.parametrize(
    ("known", "garbage"),
    [
        pytest.param(facts(), False, id="no drift"),
        pytest.param(facts(drifted=True, was_up_to_date=True), True, id="drift of a reconciled spec"),
        pytest.param(facts(present=None), False, id="never created"),
        pytest.param(
            facts(present=None, resource=resource(status={"secretName": "web-pull"})),
            True,
            id="deleted, by the status",
        ),
        pytest.param(facts(drifted=True), False, id="a new spec"),
        pytest.param(facts(drifted=True, present=released()), True, id="without a controller"),
        pytest.param(
            facts(drifted=True, present=released(), resource=ORPHAN),
            False,
            id="Orphan: never has a controller",
        ),
    ],
)
def test_may_be_garbage_after_what_the_garbage_collector_does(known: Facts, *, garbage: bool) -> None:
    assert must_check_resource(known) is garbage


@pytest.mark.parametrize(
    ("known", "age", "accepted"),
    [
        pytest.param(facts(present=None), 11 * HOUR, True, id="a repair takes an overdue one"),
        pytest.param(facts(present=None), 13 * HOUR, False, id="but no expired one"),
        pytest.param(facts(age=10 * HOUR, due=True), HOUR, True, id="a renewal takes a young one"),
        pytest.param(facts(age=10 * HOUR, due=True), 2 * HOUR, False, id="but not after a tenth of its life"),
        pytest.param(facts(age=HOUR, resource=REQUESTED), MINUTE, True, id="a request takes a later one"),
        pytest.param(facts(age=HOUR, resource=REQUESTED), HOUR, False, id="but not the present one"),
        pytest.param(
            facts(resource=PAIR, present=aged(HOUR), drifted=True),
            11 * HOUR,
            False,
            id="a partial Secret renews",
        ),
        pytest.param(
            facts(resource=PAIR, present=aged(HOUR), drifted=True), HOUR, True, id="in time, and no earlier"
        ),
        pytest.param(facts(age=HOUR, label_check_due=True), 5 * HOUR, True, id="a label to try takes any"),
        pytest.param(
            facts(age=11 * HOUR, drifted=True, repairs=SIX_REPAIRS), 11 * HOUR, False, id="contested and due"
        ),
        pytest.param(
            facts(age=HOUR, drifted=True, repairs=SIX_REPAIRS), 5 * HOUR, True, id="contested, not due"
        ),
    ],
)
def test_accepts_a_cached_token_where_it_serves(known: Facts, age: timedelta, *, accepted: bool) -> None:
    assert accepts(known, token(issued_at=NOW - age)) is accepted


@pytest.mark.parametrize(
    ("known", "ages", "answered"),
    [
        pytest.param(facts(), [2 * HOUR], True, id="no request"),
        pytest.param(facts(present=None, resource=REQUESTED), [HOUR], True, id="a new Secret"),
        pytest.param(facts(resource=REQUESTED), [MINUTE], True, id="a later token"),
        pytest.param(facts(resource=REQUESTED), [HOUR], False, id="a repair with the present token"),
        pytest.param(facts(resource=REQUESTED), [MINUTE, HOUR], False, id="only one of two is later"),
    ],
)
def test_a_request_is_answered_by_later_tokens_only(
    known: Facts, ages: list[timedelta], *, answered: bool
) -> None:
    assert answers_request(known, [token(issued_at=NOW - age) for age in ages]) is answered


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        pytest.param(facts(as_applied=True, was_up_to_date=True), Reason.REFRESHED, id="a renewal"),
        pytest.param(facts(drifted=True, was_up_to_date=True), Reason.REPAIRED, id="drift"),
        pytest.param(facts(present=None, was_up_to_date=True), Reason.REPAIRED, id="a deletion"),
        pytest.param(facts(drifted=True), Reason.REFRESHED, id="a new spec"),
        pytest.param(facts(present=None), Reason.REFRESHED, id="a new Secret"),
        pytest.param(
            facts(drifted=True, present=view_secret(foreign_metadata())),
            Reason.ADOPTED,
            id="a foreign Secret",
        ),
    ],
)
def test_a_write_is_reported_by_its_cause(known: Facts, reason: Reason) -> None:
    assert reason_of_write(known) is reason


SETTLED: Final = {"phase": "Updated", "observedGeneration": 1}


@pytest.mark.parametrize(
    ("status", "remembered", "well"),
    [
        pytest.param(SETTLED, {}, True, id="by its status"),
        pytest.param({"phase": "Updated"}, {}, True, id="by the status that v0.6.0's CRD keeps"),
        pytest.param(SETTLED | {"observedGeneration": 0}, {}, False, id="not by that of an earlier spec"),
        pytest.param(SETTLED, {"reconciled": spec_version(OF)}, True, id="in this term"),
        pytest.param(SETTLED, {"reconciled": ("other", 1)}, False, id="not another object"),
        pytest.param({"phase": "Failed"}, {}, False, id="not after a failure"),
        pytest.param({"phase": "Failed"}, {"repairs": SIX_REPAIRS}, True, id="but while it is contested"),
    ],
)
def test_a_spec_was_up_to_date(status: dict[str, Any], remembered: dict[str, Any], *, well: bool) -> None:
    of = resource(status=status)
    assert was_up_to_date(ResourceState(of, **remembered), of, MONOTONIC) is well


@pytest.mark.parametrize(
    ("present", "applied", "expected"),
    [
        pytest.param(None, None, False, id="not where there is none"),
        pytest.param(view(OF), None, True, id="as we applied it"),
        pytest.param(view(resource(ecr_registry=HOST.upper())), None, False, id="not that of another spec"),
        pytest.param(
            view_secret(without(secret_metadata(OF), "f:data")), None, False, id="not one that was edited"
        ),
        pytest.param(
            view(OF), view(OF, applied_at=NOW - HOUR).entry, False, id="not one applied in our name"
        ),
    ],
)
def test_a_secret_has_its_login(present: SecretView | None, applied: Any, *, expected: bool) -> None:
    state = ResourceState(OF, applied=applied)
    assert has_first_login_of_ours(state, desired(OF), present) is expected


def test_report_label_replaces_a_success_and_leaves_a_failure() -> None:
    settled = Result(outcome=outcome(), refresh_at=NOW + HOUR)
    assert settled.outcome is not None
    reported = report_label(desired(OF), view(OF), settled, settled.outcome)
    assert reported.outcome is not None
    assert reported.outcome.reason is Reason.FIELDS_CONTESTED
    assert (reported.requeue_after, reported.refresh_at) == (LABEL_RECHECK, NOW + HOUR)
    failed = outcome(Reason.ACCESS_DENIED)
    for after, expected in ((None, LABEL_RECHECK), (5.0, 5.0), (300.0, LABEL_RECHECK)):
        result = replace(settled, outcome=failed, requeue_after=after)
        assert report_label(desired(OF), view(OF), result, failed) == replace(result, requeue_after=expected)
