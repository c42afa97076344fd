"""Decisions: what a pass decides from the facts that it has gathered."""

from datetime import datetime, timedelta
from typing import Any, Final

from ecr_operator.api.outcome import Reason
from ecr_operator.core.decisions import (
    Facts,
    accepts,
    answers_request,
    contested,
    has_first_login_of_ours,
    keep,
    must_check_resource,
    reason_of_write,
    was_up_to_date,
)
from ecr_operator.core.schedule import Repairs, refresh_deadline, spread_overdue
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.state import ResourceState, spec_version
from tests.builders import (
    HOST,
    HOUR,
    NOW,
    cases,
    desired,
    foreign_metadata,
    host,
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


@cases(
    "known, reported, refresh_at",
    {
        "a young token": (facts(age=HOUR), True, deadline(HOUR)),
        "overdue at the start: spread, without a report": (
            facts(age=11 * HOUR, first_pass=True),
            False,
            spread_overdue(times(issued_at=NOW - 11 * HOUR), NOW, OF.uid),
        ),
        "a request within the rate bound: when the bound allows": (
            facts(age=100 * timedelta(seconds=1), resource=REQUESTED),
            True,
            NOW + timedelta(seconds=200),
        ),
    },
)
def test_an_up_to_date_secret_is_kept_until(known: Facts, *, reported: bool, refresh_at: datetime) -> None:
    result = keep(known)
    assert result is not None
    assert (result.outcome is not None, result.refresh_at) == (reported, refresh_at)


@cases(
    "known",
    {
        "drift": facts(drifted=True),
        "no Secret": facts(present=None),
        "a deadline that a wall clock step hides": facts(due=True),
        "a label to try": facts(label_check_due=True),
        "changed keys": facts(rotation_due=True),
        "a deadline that has passed": facts(age=11 * HOUR),
        "expired before the start": facts(age=13 * HOUR, first_pass=True),
        "a request beyond the rate bound": facts(age=6 * MINUTE, resource=REQUESTED),
    },
)
def test_the_secret_is_not_kept_for(known: Facts) -> None:
    assert keep(known) is None


@cases(
    "known, wait",
    {
        "no drift": (facts(), None),
        "five repairs within a minute": (facts(drifted=True, repairs=SIX_REPAIRS[1:]), None),
        "six repairs within a minute": (facts(drifted=True, repairs=SIX_REPAIRS), 10.0),
        "six deletions within a minute": (facts(present=None, repairs=SIX_REPAIRS), 10.0),
        "six repairs and a token due": (facts(age=11 * HOUR, drifted=True, repairs=SIX_REPAIRS), None),
    },
)
def test_repairs_are_limited_but_no_renewal(known: Facts, wait: float | None) -> None:
    result = contested(known)
    assert (result and result.requeue_after) == wait
    assert result is None or (result.outcome and result.outcome.reason) is Reason.FIELDS_CONTESTED


@cases(
    "known, garbage",
    {
        "no drift": (facts(), False),
        "drift of a reconciled spec": (facts(drifted=True, was_up_to_date=True), True),
        "never created": (facts(present=None), False),
        "deleted, by the status": (
            facts(present=None, resource=resource(status={"secretName": "web-pull"})),
            True,
        ),
        "a new spec": (facts(drifted=True), False),
        "without a controller": (facts(drifted=True, present=released()), True),
        "Orphan: never has a controller": (facts(drifted=True, present=released(), resource=ORPHAN), False),
    },
)
def test_the_api_server_is_asked_first_about(known: Facts, *, garbage: bool) -> None:
    assert must_check_resource(known) is garbage


@cases(
    "known, age, accepted",
    {
        "a repair takes an overdue one": (facts(present=None), 11 * HOUR, True),
        "but no expired one": (facts(present=None), 13 * HOUR, False),
        "a renewal takes a young one": (facts(age=10 * HOUR, due=True), HOUR, True),
        "but not after a tenth of its life": (facts(age=10 * HOUR, due=True), 2 * HOUR, False),
        "a request takes a later one": (facts(age=HOUR, resource=REQUESTED), MINUTE, True),
        "but not the present one": (facts(age=HOUR, resource=REQUESTED), HOUR, False),
        "a partial Secret renews": (facts(resource=PAIR, present=aged(HOUR), drifted=True), 11 * HOUR, False),
        "in time, and no earlier": (facts(resource=PAIR, present=aged(HOUR), drifted=True), HOUR, True),
        "a label to try takes any": (facts(age=HOUR, label_check_due=True), 5 * HOUR, True),
        "contested and due": (facts(age=11 * HOUR, drifted=True, repairs=SIX_REPAIRS), 11 * HOUR, False),
        "contested, not due": (facts(age=HOUR, drifted=True, repairs=SIX_REPAIRS), 5 * HOUR, True),
    },
)
def test_accepts_a_cached_token_where_it_serves(known: Facts, age: timedelta, *, accepted: bool) -> None:
    assert accepts(known, token(issued_at=NOW - age)) is accepted


@cases(
    "known, ages, answered",
    {
        "no request": (facts(), [2 * HOUR], True),
        "a new Secret": (facts(present=None, resource=REQUESTED), [HOUR], True),
        "a later token": (facts(resource=REQUESTED), [MINUTE], True),
        "a repair with the present token": (facts(resource=REQUESTED), [HOUR], False),
        "only one of two is later": (facts(resource=REQUESTED), [MINUTE, HOUR], False),
    },
)
def test_a_request_is_answered_by(known: Facts, ages: list[timedelta], *, answered: bool) -> None:
    assert answers_request(known, [token(issued_at=NOW - age) for age in ages]) is answered


@cases(
    "known, reason",
    {
        "a renewal": (facts(as_applied=True, was_up_to_date=True), Reason.REFRESHED),
        "drift": (facts(drifted=True, was_up_to_date=True), Reason.REPAIRED),
        "a deletion": (facts(present=None, was_up_to_date=True), Reason.REPAIRED),
        "a new spec": (facts(drifted=True), Reason.REFRESHED),
        "a new Secret": (facts(present=None), Reason.REFRESHED),
        "a foreign Secret": (facts(drifted=True, present=view_secret(foreign_metadata())), Reason.ADOPTED),
        "that of a deleted one": (facts(drifted=True, present=view(resource(uid="u"))), Reason.ADOPTED),
    },
)
def test_a_write_is_reported_by_its_cause(known: Facts, reason: Reason) -> None:
    assert reason_of_write(known) is reason


SETTLED: Final = {"phase": "Updated", "observedGeneration": 1}


@cases(
    "status, remembered, well",
    {
        "by its status": (SETTLED, {}, True),
        "by the status that v0.6.0's CRD keeps": ({"phase": "Updated"}, {}, True),
        "not by that of an earlier spec": (SETTLED | {"observedGeneration": 0}, {}, False),
        "in this term": (SETTLED, {"reconciled": spec_version(OF)}, True),
        "not another object": (SETTLED, {"reconciled": ("other", 1)}, False),
        "not after a failure": ({"phase": "Failed"}, {}, False),
        "but while it is contested": ({"phase": "Failed"}, {"repairs": SIX_REPAIRS}, True),
    },
)
def test_a_spec_counts_as_reconciled(
    status: dict[str, Any], remembered: dict[str, Any], *, well: bool
) -> None:
    of = resource(status=status)
    assert was_up_to_date(ResourceState(of, **remembered), of, MONOTONIC) is well


@cases(
    "present, applied, expected",
    {
        "not where there is none": (None, None, False),
        "as we applied it": (view(OF), None, True),
        "not that of another spec": (view(resource(ecr_registry=HOST.upper())), None, False),
        "not one that was edited": (view_secret(without(secret_metadata(OF), "f:data")), None, False),
        "not one applied in our name": (view(OF), view(OF, applied_at=NOW - HOUR).entry, False),
    },
)
def test_the_first_login_is_ours(present: SecretView | None, applied: Any, *, expected: bool) -> None:
    state = ResourceState(OF, applied=applied)
    assert has_first_login_of_ours(state, desired(OF), present) is expected
