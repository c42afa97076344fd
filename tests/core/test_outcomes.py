"""The words of an outcome, and what follows from it."""

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
def test_a_success_says_what_was_done(reason: Reason, message: str) -> None:
    told = outcomes.settled(OF, desired(OF), TIMES, reason)
    assert (told.message, told.reason, told.succeeded, told.fits, told.permanent) == (
        message,
        reason,
        True,
        True,
        False,
    )


def test_a_live_token_under_a_spec_that_is_not_understood_is_no_success() -> None:
    bad = resource(frequency="abc")
    told = outcomes.settled(bad, desired(bad), TIMES, Reason.REFRESHED)
    assert (told.reason, told.succeeded, told.fits, told.permanent) == (
        Reason.INVALID_SPEC,
        False,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("told", "reason", "fits", "lasting"),
    [
        pytest.param(
            outcomes.failed(transient(), TIMES),
            Reason.AWS_UNAVAILABLE,
            True,
            False,
            id="a failure that mends itself",
        ),
        pytest.param(
            outcomes.failed(permanent(), None), Reason.ACCESS_DENIED, False, True, id="one for a person"
        ),
        pytest.param(
            outcomes.failed(ForeignSecretError("Theirs."), None),
            Reason.SECRET_CONFLICT,
            False,
            True,
            id="a Secret of others",
        ),
        pytest.param(
            outcomes.invalid(resource(spec={}), None), Reason.INVALID_SPEC, False, True, id="a bad spec"
        ),
        pytest.param(
            outcomes.invalid(OF, TIMES), Reason.INVALID_SPEC, True, True, id="a spec that can't be read"
        ),
        pytest.param(outcomes.pending(None), Reason.PENDING, False, False, id="waiting for AWS"),
        pytest.param(outcomes.pending(TIMES), Reason.PENDING, True, False, id="waiting with a dead token"),
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
def test_whatever_is_no_success(told: Outcome, reason: Reason, fits: bool, lasting: bool) -> None:  # noqa: FBT001 - a table
    assert (told.succeeded, told.reason, told.fits, told.permanent) == (False, reason, fits, lasting)


def test_a_contest_names_the_other_writer() -> None:
    seen = view_secret(foreign_metadata())
    assert "by field manager kubectl-create" in outcomes.contested(desired(OF), seen, None).message
    assert "by another client" in outcomes.contested(desired(OF), None, None).message


def test_links_that_fail_leave_the_secret_as_good_as_it_is() -> None:
    done = outcomes.settled(OF, desired(OF), TIMES, Reason.REFRESHED)
    told = outcomes.link_failed(done, [transient(Reason.LINK_FAILED), transient(Reason.LINK_FAILED)])
    assert (told.reason, told.succeeded, told.fits, told.times, told.permanent) == (
        Reason.LINK_FAILED,
        False,
        True,
        TIMES,
        False,
    )
    assert told.message == "It did not work this time."


def test_of_several_failed_links_the_one_that_a_person_must_mend_names_the_reason() -> None:
    done = outcomes.settled(OF, desired(OF), TIMES, Reason.REFRESHED)
    errors = [transient(Reason.LINK_FAILED), permanent(Reason.KUBERNETES_FORBIDDEN)]
    told = outcomes.link_failed(done, errors)
    assert (told.reason, told.permanent) == (Reason.KUBERNETES_FORBIDDEN, True)
    assert told.message == "It did not work this time. You may not."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("It\nfailed\t(\x1b[31m\ud800).", "It failed (?[31m?).", id="one printable line"),
        pytest.param("x" * 1000, "x" * 1000, id="of just the limit"),
        pytest.param("x" * 1_000_000, "x" * 1000 + "…", id="of bounded length"),
        pytest.param(" \u00a0ü", "  ü", id="with any letters"),
    ],
)
def test_a_message_is_one_short_line_whatever_it_is_made_from(written: str, shown: str) -> None:
    error = permanent_with(written)
    assert (error.message, str(error)) == (shown, shown)
    assert outcomes.failed(error, None).message == shown
    assert outcome(message=written).message == shown


def permanent_with(message: str) -> PermanentError:
    return PermanentError(Reason.ACCESS_DENIED, message)


def test_a_status_is_small_however_many_registries_fail() -> None:
    errors = {f"host-{number}.example": permanent_with("x" * 5000) for number in range(100)}
    told = next_status(OF, outcomes.partly_refreshed(errors, TIMES), NOW, None)
    assert len(json.dumps(told)) < 10_000
