"""Outcomes: the message, reason and permanence of each."""

import json

import pytest

from ecr_operator.api.errors import ForeignSecretError, PermanentError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core import outcomes
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.status import next_status
from tests.builders import NOW, desired, foreign_metadata, outcome, permanent, resource, times, transient

OF = resource()
TIMES = times()
UNTIL = "has a token that expires at 2026-03-02T00:00:00Z."


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (Reason.REFRESHED, f"Secret web-pull {UNTIL}"),
        (Reason.REPAIRED, f"Secret web-pull was restored and {UNTIL}"),
        (Reason.ADOPTED, f"Secret web-pull was adopted and {UNTIL}"),
    ],
)
def test_settled_says_what_was_done(reason: Reason, message: str) -> None:
    found = outcomes.settled(OF, desired(OF), TIMES, reason)
    assert (found.message, found.reason, found.succeeded, found.fits, found.permanent) == (
        message,
        reason,
        True,
        True,
        False,
    )


def test_settled_under_a_slip_is_not_a_success() -> None:
    bad = resource(frequency="abc")
    found = outcomes.settled(bad, desired(bad), TIMES, Reason.REFRESHED)
    assert (found.reason, found.succeeded, found.fits, found.permanent) == (
        Reason.INVALID_SPEC,
        False,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("found", "reason", "fits", "lasting"),
    [
        pytest.param(
            outcomes.failed(transient(), TIMES),
            Reason.AWS_UNAVAILABLE,
            True,
            False,
            id="a transient failure",
        ),
        pytest.param(
            outcomes.failed(permanent(), None), Reason.ACCESS_DENIED, False, True, id="a permanent failure"
        ),
        pytest.param(
            outcomes.failed(ForeignSecretError("Theirs."), None),
            Reason.SECRET_CONFLICT,
            False,
            True,
            id="a foreign Secret",
        ),
        pytest.param(
            outcomes.invalid(resource(spec={}), None), Reason.INVALID_SPEC, False, True, id="an invalid spec"
        ),
        pytest.param(
            outcomes.invalid(OF, TIMES), Reason.INVALID_SPEC, True, True, id="a spec that can't be read"
        ),
        pytest.param(outcomes.pending(None), Reason.PENDING, False, False, id="pending"),
        pytest.param(outcomes.pending(TIMES), Reason.PENDING, True, False, id="pending beside a token"),
        pytest.param(outcomes.suspended(OF, TIMES), Reason.SUSPENDED, True, False, id="suspended"),
        pytest.param(
            outcomes.contested(desired(OF), None, None), Reason.FIELDS_CONTESTED, False, False, id="contested"
        ),
        pytest.param(
            outcomes.contested(desired(OF), None, TIMES),
            Reason.FIELDS_CONTESTED,
            True,
            False,
            id="contested beside an intact login",
        ),
        pytest.param(
            outcomes.label_contested(desired(OF), TIMES),
            Reason.FIELDS_CONTESTED,
            True,
            False,
            id="a label that is overwritten",
        ),
    ],
)
def test_outcomes_other_than_success(found: Outcome, reason: Reason, fits: bool, lasting: bool) -> None:  # noqa: FBT001 - a table
    assert (found.succeeded, found.reason, found.fits, found.permanent) == (False, reason, fits, lasting)


def test_contested_names_the_other_writer() -> None:
    seen = view_secret(foreign_metadata())
    assert "by field manager kubectl-create" in outcomes.contested(desired(OF), seen, None).message
    assert "by another client" in outcomes.contested(desired(OF), None, None).message


def test_link_failed_leaves_the_secret_ready() -> None:
    done = outcomes.settled(OF, desired(OF), TIMES, Reason.REFRESHED)
    found = outcomes.link_failed(done, [transient(Reason.LINK_FAILED), transient(Reason.LINK_FAILED)])
    assert (found.reason, found.succeeded, found.fits, found.times, found.permanent) == (
        Reason.LINK_FAILED,
        False,
        True,
        TIMES,
        False,
    )
    assert found.message == "It did not work this time."


def test_link_failed_has_the_reason_of_a_permanent_error_first() -> None:
    done = outcomes.settled(OF, desired(OF), TIMES, Reason.REFRESHED)
    errors = [transient(Reason.LINK_FAILED), permanent(Reason.KUBERNETES_FORBIDDEN)]
    found = outcomes.link_failed(done, errors)
    assert (found.reason, found.permanent) == (Reason.KUBERNETES_FORBIDDEN, True)
    assert found.message == "It did not work this time. You may not."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("It\nfailed\t(\x1b[31m\ud800).", "It failed (?[31m?).", id="one printable line"),
        pytest.param("x" * 1000, "x" * 1000, id="of just the limit"),
        pytest.param("x" * 1_000_000, "x" * 1000 + "…", id="of bounded length"),
        pytest.param(" \u00a0ü", "  ü", id="with any letters"),
    ],
)
def test_a_message_is_one_short_printable_line(written: str, shown: str) -> None:
    error = permanent_with(written)
    assert (error.message, str(error)) == (shown, shown)
    assert outcomes.failed(error, None).message == shown
    assert outcome(message=written).message == shown


def permanent_with(message: str) -> PermanentError:
    return PermanentError(Reason.ACCESS_DENIED, message)


def test_a_status_with_a_hundred_failed_registries_is_small() -> None:
    errors = {f"host-{number}.example": permanent_with("x" * 5000) for number in range(100)}
    found = next_status(OF, outcomes.partly_refreshed(errors, TIMES), NOW, None)
    assert len(json.dumps(found)) < 10_000
