"""Whether a request for a fresh token was met."""

from datetime import timedelta

import pytest

from ecr_operator.cli.requests import (
    earliest,
    is_suspended,
    judge,
    patch,
    seen,
    too_late,
)
from tests.cli.builders import NOW, READY, REFRESHED, Json, condition, resource, status

WELL = status(READY, REFRESHED, age=1)
FRESH = status(READY, REFRESHED, age=0)
DENIED = condition("Refreshed", "False", "AccessDenied", "AWS denies it.")
AWAY = condition("Refreshed", "False", "AWSUnavailable", "No answer.")
STALLED = condition("Stalled", "True", "AccessDenied", "AWS denies it.")
OF_OLD: Json = {"phase": "Updated", "lastUpdatedTime": "2026-11-24T11:00:00Z"}
SOON, LONG = timedelta(seconds=1), timedelta(seconds=6)


@pytest.mark.parametrize(
    ("before", "now", "waited", "state", "words"),
    [
        pytest.param(WELL, WELL, LONG, "waiting", "", id="nothing new"),
        pytest.param(WELL, FRESH, SOON, "met", "until 2026-11-25T00:00:00Z", id="a newer token"),
        pytest.param(FRESH, WELL, SOON, "waiting", "", id="an older one is none"),
        pytest.param(None, WELL, SOON, "met", "has a fresh token", id="the first token"),
        pytest.param(
            OF_OLD,
            {**OF_OLD, "lastUpdatedTime": "2026-11-24T12:00:00Z"},
            SOON,
            "met",
            "has a fresh token",
            id="a status of v0.6.0 tells it too",
        ),
        pytest.param(
            WELL,
            status(READY, DENIED, STALLED),
            SOON,
            "failed",
            "AccessDenied: AWS",
            id="a person has to mend",
        ),
        pytest.param(
            status(READY, DENIED, STALLED),
            status(READY, DENIED, STALLED),
            SOON,
            "waiting",
            "",
            id="an old failure may be over",
        ),
        pytest.param(
            status(READY, DENIED, STALLED),
            status(READY, DENIED, STALLED),
            LONG,
            "failed",
            "So it was before; the request stands",
            id="an old failure that stays",
        ),
        pytest.param(
            WELL, status(READY, AWAY), LONG, "waiting", "AWSUnavailable: No answer.", id="what mends itself"
        ),
        pytest.param(
            status(READY, AWAY),
            status(READY, AWAY),
            LONG,
            "waiting",
            "",
            id="what was known is not said again",
        ),
    ],
)
def test_a_request_is_judged_by_the_status(
    before: Json | None, now: Json, waited: timedelta, state: str, words: str
) -> None:
    found = judge(seen(resource(before)), seen(resource(now)), waited)
    assert found.state == state
    assert words in found.message
    assert bool(words) == bool(found.message)


@pytest.mark.parametrize("reason", ["InvalidSpec", "InvalidRegistry"])
@pytest.mark.parametrize(("phase", "state"), [("Updated", "waiting"), ("Failed", "failed")])
def test_a_slip_keeps_no_request_from_being_met_while_the_login_is_served(
    reason: str, phase: str, state: str
) -> None:
    slip = (condition("Refreshed", "False", reason, "Mind."), condition("Stalled", "True", reason, "Mind."))
    now = seen(resource(status(READY, *slip, phase=phase)))
    assert judge(now, now, LONG).state == state


@pytest.mark.parametrize(
    ("before", "minutes"),
    [
        pytest.param(None, 0, id="no token: at once"),
        pytest.param(WELL, 0, id="an old token: at once"),
        pytest.param(status(READY, age=1 / 60), 4, id="a young one: when it is five minutes old"),
        pytest.param({"lastUpdatedTime": "2026-11-24T11:59:00Z"}, 4, id="the same by v0.6.0's status"),
    ],
)
def test_aws_is_asked_again_within_its_rate(before: Json | None, minutes: int) -> None:
    assert earliest(seen(resource(before)), NOW) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("present", "hours", "words"),
    [
        pytest.param(WELL, 0, "Is the operator running", id="silence"),
        pytest.param(status(READY, AWAY), 0, "AWSUnavailable: No answer.", id="a failure"),
        pytest.param(WELL, 1, "not asked again before 2026-11-24T13:00:00Z", id="too soon"),
    ],
)
def test_when_the_time_is_up_the_likely_cause_is_named(present: Json, hours: int, words: str) -> None:
    assert words in too_late(seen(resource(present)), NOW + timedelta(hours=hours), NOW)


def test_each_request_is_another() -> None:
    first, second = patch(NOW), patch(NOW + timedelta(microseconds=1))
    assert first != second
    assert first == {
        "metadata": {
            "annotations": {"ecr.mobb.redhat.com/refresh-requested-at": "2026-11-24T12:00:00.000000Z"}
        }
    }


@pytest.mark.parametrize(
    ("suspend", "expected"), [(True, True), (False, False), (None, False), ("true", False)], ids=repr
)
def test_only_true_suspends(suspend: object, *, expected: bool) -> None:
    assert is_suspended(resource(suspend=suspend)) is expected
    assert not is_suspended({"spec": None})
