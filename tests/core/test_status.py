"""Status: phase, conditions and times after an outcome, and whether that is worth an Event."""

# ruff: noqa: S106 - names of Secrets

from datetime import timedelta
from typing import Any, Final

import pytest

from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.api.text import format_time
from ecr_operator.core.status import is_legacy_part, is_ready, next_status, outcome_changed, reported_ready
from tests.builders import HOUR, NOW, TWELVE_HOURS, outcome, resource, times

DEADLINE: Final = NOW + 10 * HOUR
DEAD: Final = times(issued_at=NOW - TWELVE_HOURS)
DENIED: Final = outcome(Reason.ACCESS_DENIED, message="You may not.", permanent=True)
NOTHING: Final = outcome(Reason.AWS_UNAVAILABLE, fits=False, times=None)


def status_after(
    *said: Outcome, old: dict[str, Any] | None = None, generation: int = 1, now: timedelta = timedelta(0)
) -> dict[str, Any]:
    """The status after outcomes a minute apart."""
    status: dict[str, Any] = old or {}
    for minute, each in enumerate(said):
        moment = NOW + now + minute * timedelta(minutes=1)
        deadline = DEADLINE if each.succeeded else None
        status = next_status(resource(status=status, generation=generation), each, moment, deadline)
    return status


def condition(status: dict[str, Any], kind: str) -> dict[str, Any] | None:
    return next((each for each in status["conditions"] if each["type"] == kind), None)


def reported(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_the_whole_status_after_the_first_token() -> None:
    assert status_after(outcome(secret="web-pull"), generation=2) == {
        "phase": "Updated",
        "lastUpdatedTime": "2026-03-01T12:00:00Z",
        "observedGeneration": 2,
        "secretName": "web-pull",
        "expirationTime": "2026-03-02T00:00:00Z",
        "nextRefreshTime": "2026-03-01T22:00:00Z",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 2,
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "reason": "Refreshed",
                "message": "The Secret has a token that expires at 2026-03-02T00:00:00Z.",
            },
            {
                "type": "Refreshed",
                "status": "True",
                "observedGeneration": 2,
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "reason": "Refreshed",
                "message": "The last refresh succeeded.",
            },
        ],
    }


@pytest.mark.parametrize(
    ("after", "phase", "conditions"),
    [
        pytest.param(
            outcome(),
            "Updated",
            {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "Refreshed")},
            id="a success",
        ),
        pytest.param(
            outcome(Reason.REPAIRED, succeeded=True),
            "Updated",
            {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "Refreshed")},
            id="a repair is reported as a success",
        ),
        pytest.param(
            DENIED,
            "Updated",
            {
                "Ready": ("True", "Refreshed"),
                "Refreshed": ("False", "AccessDenied"),
                "Stalled": ("True", "AccessDenied"),
            },
            id="a failure beside a live token",
        ),
        pytest.param(
            outcome(Reason.THROTTLED, times=DEAD),
            "Failed",
            {"Ready": ("False", "TokenExpired"), "Refreshed": ("False", "Throttled")},
            id="a failure beside an expired token",
        ),
        pytest.param(
            NOTHING,
            "Failed",
            {"Ready": ("False", "AWSUnavailable"), "Refreshed": ("False", "AWSUnavailable")},
            id="a failure without a token",
        ),
        pytest.param(
            outcome(Reason.SECRET_CONFLICT, fits=False, times=None, permanent=True),
            "Failed",
            {
                "Ready": ("False", "SecretConflict"),
                "Refreshed": ("False", "SecretConflict"),
                "Stalled": ("True", "SecretConflict"),
            },
            id="a conflict",
        ),
        pytest.param(
            outcome(Reason.PENDING, fits=False, times=None),
            "Pending",
            {"Ready": ("False", "Pending"), "Refreshed": ("Unknown", "Pending")},
            id="pending",
        ),
        pytest.param(
            outcome(Reason.SUSPENDED, fits=False, times=None),
            "Suspended",
            {"Ready": ("False", "Suspended"), "Refreshed": ("Unknown", "Suspended")},
            id="suspended",
        ),
        pytest.param(
            outcome(Reason.SUSPENDED),
            "Suspended",
            {"Ready": ("True", "Refreshed"), "Refreshed": ("Unknown", "Suspended")},
            id="suspended beside a live token",
        ),
        pytest.param(
            outcome(Reason.PARTLY_REFRESHED, succeeded=True),
            "Updated",
            {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "PartlyRefreshed")},
            id="a partial success",
        ),
        pytest.param(
            outcome(fits=False),
            "Failed",
            {"Ready": ("False", "Refreshed"), "Refreshed": ("True", "Refreshed")},
            id="a live token in a Secret of another spec",
        ),
    ],
)
def test_phase_and_conditions(after: Outcome, phase: str, conditions: dict[str, tuple[str, str]]) -> None:
    status = status_after(after)
    assert (status["phase"], reported(status)) == (phase, conditions)


def test_a_failure_says_when_the_present_token_expires() -> None:
    message = (condition(status_after(DENIED), "Refreshed") or {})["message"]
    assert message == "You may not. The present token expires at 2026-03-02T00:00:00Z."


def test_a_failure_says_when_the_present_token_expired() -> None:
    status = status_after(outcome(Reason.THROTTLED, times=DEAD, message="Too many."))
    assert (condition(status, "Ready") or {})[
        "message"
    ] == "The token in the Secret expired at 2026-03-01T12:00:00Z. Too many."
    assert (condition(status, "Refreshed") or {})[
        "message"
    ] == "Too many. The present token expired at 2026-03-01T12:00:00Z."


def test_a_failure_without_a_token_mentions_none() -> None:
    assert (condition(status_after(NOTHING), "Refreshed") or {})["message"] == "What happened."


@pytest.mark.parametrize("repeated", [outcome(), DENIED, NOTHING], ids=["a success", "a failure", "no token"])
def test_the_same_outcome_gives_the_same_status(repeated: Outcome) -> None:
    assert status_after(repeated, repeated, repeated) == status_after(repeated)


def test_a_transition_time_moves_only_when_the_status_does() -> None:
    status = status_after(outcome(), DENIED, DENIED)
    assert (condition(status, "Ready") or {})["lastTransitionTime"] == format_time(NOW)
    assert (condition(status, "Refreshed") or {})["lastTransitionTime"] == "2026-03-01T12:01:00Z"


def test_a_new_reason_does_not_move_the_transition_time() -> None:
    status = status_after(DENIED, outcome(Reason.THROTTLED))
    refreshed = condition(status, "Refreshed") or {}
    assert (refreshed["reason"], refreshed["lastTransitionTime"]) == ("Throttled", format_time(NOW))


def test_stalled_is_absent_after_a_success() -> None:
    assert condition(status_after(DENIED), "Stalled") is not None
    assert condition(status_after(DENIED, outcome()), "Stalled") is None


def test_the_new_generation_is_in_every_condition() -> None:
    status = status_after(DENIED, old=status_after(outcome()), generation=5)
    assert status["observedGeneration"] == 5
    assert {each["observedGeneration"] for each in status["conditions"]} == {5}


def test_last_updated_time_stays_without_a_secret() -> None:
    status = status_after(outcome(), NOTHING)
    assert status["lastUpdatedTime"] == format_time(NOW)
    assert not {"expirationTime", "nextRefreshTime", "secretName"} & status.keys()


@pytest.mark.parametrize(
    "conditions",
    [
        "Ready",
        7,
        {"type": "Ready"},
        [7, None, "Ready", {}],
        [{"type": "Ready"}],
        [{"type": []}],
        [{"type": {"a": 1}, "status": "True"}],
    ],
    ids=repr,
)
def test_an_old_status_of_any_form_is_tolerated(conditions: object) -> None:
    status = status_after(outcome(), old={"conditions": conditions})
    assert reported(status)["Ready"] == ("True", "Refreshed")
    outcome_changed({"conditions": conditions}, status)


@pytest.mark.parametrize(
    ("first", "second", "changed"),
    [
        pytest.param(outcome(), outcome(), False, id="the same"),
        pytest.param(outcome(), outcome(times=times(issued_at=NOW + HOUR)), False, id="a refresh"),
        pytest.param(outcome(), DENIED, True, id="a failure"),
        pytest.param(DENIED, outcome(Reason.THROTTLED), True, id="another failure"),
        pytest.param(DENIED, outcome(), True, id="a recovery"),
        pytest.param(
            DENIED,
            outcome(Reason.ACCESS_DENIED, permanent=True, times=DEAD),
            True,
            id="the token's expiry",
        ),
    ],
)
def test_outcome_changed_between(first: Outcome, second: Outcome, changed: bool) -> None:  # noqa: FBT001 - a table
    assert outcome_changed(status_after(first), status_after(second)) is changed


@pytest.mark.parametrize(
    ("of", "seconds", "ready"),
    [
        pytest.param(outcome(), 0, True, id="a live token of this spec"),
        pytest.param(outcome(), 12 * 3600 - 1, True, id="in its last second"),
        pytest.param(outcome(), 12 * 3600, False, id="at its expiry"),
        pytest.param(outcome(fits=False), 0, False, id="a live token of another spec"),
        pytest.param(outcome(times=None), 0, False, id="no token"),
    ],
)
def test_is_ready(of: Outcome, seconds: int, ready: bool) -> None:  # noqa: FBT001 - a table
    assert is_ready(of, NOW + timedelta(seconds=seconds)) is ready


@pytest.mark.parametrize(
    ("first", "an_event"),
    [
        pytest.param(outcome(), False, id="a success: an Event would be a third write"),
        pytest.param(DENIED, True, id="a failure"),
    ],
)
def test_outcome_changed_for_the_first_outcome(first: Outcome, an_event: bool) -> None:  # noqa: FBT001 - a table
    assert outcome_changed({}, status_after(first)) is an_event


@pytest.mark.parametrize(
    ("old", "part"),
    [
        pytest.param(
            {"phase": "Updated", "lastUpdatedTime": "2026-03-01T12:00:00Z"}, True, id="the two fields"
        ),
        pytest.param(
            {"phase": "Failed", "lastUpdatedTime": "2026-03-01T12:00:00Z"}, False, id="another phase"
        ),
        pytest.param({}, False, id="nothing"),
        pytest.param(status_after(outcome()), False, id="all of it"),
    ],
)
def test_is_legacy_part(old: dict[str, Any], part: bool) -> None:  # noqa: FBT001 - a table
    assert is_legacy_part(old, status_after(outcome())) is part


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param({}, None, id="empty"),
        pytest.param({"phase": "Updated"}, True, id="by phase, as v0.6.0's CRD has it"),
        pytest.param({"phase": "Failed"}, False, id="by phase, failed"),
        pytest.param({"phase": "Suspended"}, None, id="by phase, suspended"),
        pytest.param({"conditions": [{"type": "Ready", "status": "True"}]}, True, id="by condition"),
        pytest.param(
            {"phase": "Updated", "conditions": [{"type": "Ready", "status": "False"}]},
            False,
            id="the condition before the phase",
        ),
        pytest.param({"conditions": [{"type": "Ready", "status": ["x"]}]}, None, id="garbage"),
        pytest.param({"conditions": "x", "phase": {}}, None, id="more garbage"),
    ],
)
def test_reported_ready(status: dict[str, Any], said: bool | None) -> None:  # noqa: FBT001 - a table
    assert reported_ready(status) is said


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        (Reason.KUBERNETES_UNAVAILABLE, "Updated"),
        (Reason.SUSPENDED, "Updated"),
        (Reason.AWS_UNAVAILABLE, "Failed"),
        (Reason.PENDING, "Pending"),
        (Reason.SECRET_CONFLICT, "Failed"),
    ],
)
def test_a_status_of_v0_6_0_stays_until_its_secret_is_known(reason: Reason, phase: str) -> None:
    old = {"phase": "Updated", "lastUpdatedTime": format_time(NOW)}
    status = status_after(outcome(reason, fits=False, times=None), old=old)
    assert (status["phase"], "observedGeneration" in status) == (phase, phase != "Updated")
