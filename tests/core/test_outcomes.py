"""Outcomes: the message, reason and permanence of each."""

import json

from ecr_operator.api.errors import PermanentError
from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.core import outcomes
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.status import next_status
from tests.builders import (
    NOW,
    cases,
    desired,
    foreign_metadata,
    outcome,
    permanent,
    resource,
    times,
    transient,
)

OF = resource()
BAD = resource(frequency="abc")
TIMES = times()
UNTIL = "has a token that expires at 2026-03-02T00:00:00Z."
DONE = outcomes.settled(OF, desired(OF), TIMES, Reason.REFRESHED)
LINK_FAILED = transient(Reason.LINK_FAILED)


@cases(
    "reason, message",
    {
        "a refresh": (Reason.REFRESHED, f"Secret web-pull {UNTIL}"),
        "a repair": (Reason.REPAIRED, f"Secret web-pull was restored and {UNTIL}"),
        "an adoption": (Reason.ADOPTED, f"Secret web-pull was adopted and {UNTIL}"),
    },
)
def test_a_success_says_what_was_done(reason: Reason, message: str) -> None:
    assert outcomes.settled(OF, desired(OF), TIMES, reason) == Outcome(
        reason=reason, message=message, succeeded=True, fits=True, times=TIMES
    )


def test_contested_names_the_other_writer() -> None:
    seen = view_secret(foreign_metadata())
    assert "by field manager kubectl-create" in outcomes.contested(desired(OF), seen, None).message
    assert "by another client" in outcomes.contested(desired(OF), None, None).message


def test_a_success_for_a_spec_that_is_not_valid_in_part_reports_the_spec() -> None:
    found = outcomes.settled(BAD, desired(BAD), TIMES, Reason.REFRESHED)
    assert found == outcomes.invalid(BAD, TIMES)
    assert (found.reason, found.succeeded, found.permanent) == (Reason.INVALID_SPEC, False, True)


def test_link_failed_keeps_the_token_and_says_each_message_once() -> None:
    found = outcomes.link_failed(DONE, [LINK_FAILED, LINK_FAILED, permanent()])
    assert (found.times, found.message) == (TIMES, "It did not work this time. You may not.")
    assert (found.reason, found.succeeded, found.permanent) == (Reason.ACCESS_DENIED, False, True)


def test_a_message_is_one_printable_line() -> None:
    assert outcome(message="It\nfailed\t(\x1b[31m\ud800).").message == "It failed (?[31m?)."


def test_a_status_with_a_hundred_failed_registries_is_small() -> None:
    error = PermanentError(Reason.ACCESS_DENIED, "x" * 5000)
    errors = {f"host-{number}.example": error for number in range(100)}
    found = next_status(OF, outcomes.partly_refreshed(errors, TIMES), NOW, None)
    assert len(json.dumps(found)) < 10_000
