"""Outcomes: the message, reason and permanence of each."""

import json

from ecr_operator.api.errors import ForeignSecretError, PermanentError
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


SETTLED_BAD = outcomes.settled(BAD, desired(BAD), TIMES, Reason.REFRESHED)
FOREIGN = outcomes.failed(ForeignSecretError("Theirs."), None)
CONTESTED = outcomes.contested(desired(OF), None, None)
CONTESTED_INTACT = outcomes.contested(desired(OF), None, TIMES)
LABEL = outcomes.label_contested(desired(OF), TIMES)
FORBIDDEN = outcomes.link_failed(DONE, [LINK_FAILED, permanent(Reason.KUBERNETES_FORBIDDEN)])


@cases(
    "found, reason, fits, lasting",
    {
        "settled, a spec not valid in part": (SETTLED_BAD, Reason.INVALID_SPEC, True, True),
        "a transient failure": (outcomes.failed(transient(), TIMES), Reason.AWS_UNAVAILABLE, True, False),
        "a permanent failure": (outcomes.failed(permanent(), None), Reason.ACCESS_DENIED, False, True),
        "a foreign Secret": (FOREIGN, Reason.SECRET_CONFLICT, False, True),
        "an invalid spec": (outcomes.invalid(resource(spec={}), None), Reason.INVALID_SPEC, False, True),
        "a spec that can't be read": (outcomes.invalid(OF, TIMES), Reason.INVALID_SPEC, True, True),
        "pending": (outcomes.pending(None), Reason.PENDING, False, False),
        "pending beside a token": (outcomes.pending(TIMES), Reason.PENDING, True, False),
        "suspended": (outcomes.suspended(OF, TIMES), Reason.SUSPENDED, True, False),
        "contested": (CONTESTED, Reason.FIELDS_CONTESTED, False, False),
        "contested beside an intact login": (CONTESTED_INTACT, Reason.FIELDS_CONTESTED, True, False),
        "a label that is overwritten": (LABEL, Reason.FIELDS_CONTESTED, True, False),
        "a failed link": (outcomes.link_failed(DONE, [LINK_FAILED]), Reason.LINK_FAILED, True, False),
        "a failed and a forbidden link": (FORBIDDEN, Reason.KUBERNETES_FORBIDDEN, True, True),
    },
)
def test_an_outcome_other_than_success(found: Outcome, reason: Reason, *, fits: bool, lasting: bool) -> None:
    assert (found.succeeded, found.reason, found.fits, found.permanent) == (False, reason, fits, lasting)


def test_contested_names_the_other_writer() -> None:
    seen = view_secret(foreign_metadata())
    assert "by field manager kubectl-create" in outcomes.contested(desired(OF), seen, None).message
    assert "by another client" in outcomes.contested(desired(OF), None, None).message


def test_link_failed_keeps_the_token_and_says_each_message_once() -> None:
    found = outcomes.link_failed(DONE, [LINK_FAILED, LINK_FAILED, permanent()])
    assert (found.times, found.message) == (TIMES, "It did not work this time. You may not.")


@cases(
    "written, shown",
    {
        "one printable line": ("It\nfailed\t(\x1b[31m\ud800).", "It failed (?[31m?)."),
        "just the limit": ("x" * 1000, "x" * 1000),
        "bounded length": ("x" * 1_000_000, "x" * 1000 + "…"),
        "any letters": (" \u00a0ü", "  ü"),
    },
)
def test_a_message_is_one_short_printable_line(written: str, shown: str) -> None:
    error = PermanentError(Reason.ACCESS_DENIED, written)
    assert (error.message, str(error), outcomes.failed(error, None).message) == (shown,) * 3
    assert outcome(message=written).message == shown


def test_a_status_with_a_hundred_failed_registries_is_small() -> None:
    error = PermanentError(Reason.ACCESS_DENIED, "x" * 5000)
    errors = {f"host-{number}.example": error for number in range(100)}
    found = next_status(OF, outcomes.partly_refreshed(errors, TIMES), NOW, None)
    assert len(json.dumps(found)) < 10_000
