"""Status: phase, conditions and times after an outcome, and whether an Event reports the change."""

# ruff: noqa: S106 - names of Secrets

from datetime import timedelta
from typing import Any, Final

from ecr_operator.api.outcome import Outcome, Reason
from ecr_operator.api.text import format_time
from ecr_operator.core.status import is_legacy_part, next_status, outcome_changed, reported_ready
from tests.builders import HOUR, NOW, TWELVE_HOURS, cases, outcome, resource, times

DEADLINE: Final = NOW + 10 * HOUR
DEAD: Final = times(issued_at=NOW - TWELVE_HOURS)
DENIED: Final = outcome(Reason.ACCESS_DENIED, message="You may not.", permanent=True)
THROTTLED: Final = outcome(Reason.THROTTLED, times=DEAD, message="Too many.")
NOTHING: Final = outcome(Reason.AWS_UNAVAILABLE, fits=False, times=None)
LEGACY: Final = {"phase": "Updated", "lastUpdatedTime": format_time(NOW)}
EXPIRED: Final = outcome(Reason.ACCESS_DENIED, permanent=True, times=DEAD)


def status_after(*said: Outcome, old: dict[str, Any] | None = None, generation: int = 1) -> dict[str, Any]:
    """The status after outcomes a minute apart."""
    status: dict[str, Any] = old or {}
    for minute, each in enumerate(said):
        now = NOW + minute * timedelta(minutes=1)
        deadline = DEADLINE if each.succeeded else None
        status = next_status(resource(status=status, generation=generation), each, now, deadline)
    return status


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((each for each in status["conditions"] if each["type"] == kind), {})


def test_the_whole_status_after_the_first_token() -> None:
    same = {"status": "True", "observedGeneration": 2, "reason": "Refreshed"}
    same |= {"lastTransitionTime": "2026-03-01T12:00:00Z"}
    ready = "The Secret has a token that expires at 2026-03-02T00:00:00Z."
    assert status_after(outcome(secret="web-pull"), generation=2) == {
        "phase": "Updated",
        "lastUpdatedTime": "2026-03-01T12:00:00Z",
        "observedGeneration": 2,
        "secretName": "web-pull",
        "expirationTime": "2026-03-02T00:00:00Z",
        "nextRefreshTime": "2026-03-01T22:00:00Z",
        "conditions": [
            {"type": "Ready", "message": ready, **same},
            {"type": "Refreshed", "message": "The last refresh succeeded.", **same},
        ],
    }


def no_token(reason: Reason, **fields: Any) -> Outcome:
    return outcome(reason, fits=False, times=None, **fields)


CONFLICT: Final = no_token(Reason.SECRET_CONFLICT, permanent=True)
SUSPENDED: Final = outcome(Reason.SUSPENDED)
PARTLY: Final = outcome(Reason.PARTLY_REFRESHED, succeeded=True)


@cases(
    "after, phase, ready, refreshed",
    {
        "a success": (outcome(), "Updated", "True Refreshed", "True Refreshed"),
        "a repair": (outcome(Reason.REPAIRED, succeeded=True), "Updated", "True Refreshed", "True Refreshed"),
        "a failure, a live token": (DENIED, "Updated", "True Refreshed", "False AccessDenied"),
        "a failure, an expired token": (THROTTLED, "Failed", "False TokenExpired", "False Throttled"),
        "a failure, no token": (NOTHING, "Failed", "False AWSUnavailable", "False AWSUnavailable"),
        "a conflict": (CONFLICT, "Failed", "False SecretConflict", "False SecretConflict"),
        "pending": (no_token(Reason.PENDING), "Pending", "False Pending", "Unknown Pending"),
        "suspended": (no_token(Reason.SUSPENDED), "Suspended", "False Suspended", "Unknown Suspended"),
        "suspended, a live token": (SUSPENDED, "Suspended", "True Refreshed", "Unknown Suspended"),
        "a partial success": (PARTLY, "Updated", "True Refreshed", "True PartlyRefreshed"),
        "a live token of another spec": (outcome(fits=False), "Failed", "False Refreshed", "True Refreshed"),
    },
)
def test_phase_and_conditions_after(after: Outcome, phase: str, ready: str, refreshed: str) -> None:
    status = status_after(after)
    found = {each["type"]: f"{each['status']} {each['reason']}" for each in status["conditions"]}
    stalled = {"Stalled": f"True {after.reason}"} if after in (DENIED, CONFLICT) else {}
    assert (status["phase"], found) == (phase, {"Ready": ready, "Refreshed": refreshed} | stalled)


UNTIL: Final = "You may not. The present token expires at 2026-03-02T00:00:00Z."
SINCE: Final = "Too many. The present token expired at 2026-03-01T12:00:00Z."
CAUSE: Final = "The token in the Secret expired at 2026-03-01T12:00:00Z. Too many."


@cases(
    "after, kind, message",
    {
        "when the token expires": (DENIED, "Refreshed", UNTIL),
        "when it expired": (THROTTLED, "Refreshed", SINCE),
        "that it expired, before the cause": (THROTTLED, "Ready", CAUSE),
        "nothing of a token that is not there": (NOTHING, "Refreshed", "What happened."),
    },
)
def test_the_message_of_a_failure_says(after: Outcome, kind: str, message: str) -> None:
    assert condition(status_after(after), kind)["message"] == message


@cases("repeated", {"a success": outcome(), "a failure": DENIED, "no token": NOTHING})
def test_the_same_outcome_gives_the_same_status(repeated: Outcome) -> None:
    assert status_after(repeated, repeated, repeated) == status_after(repeated)


def test_a_transition_time_moves_only_when_the_status_of_its_condition_does() -> None:
    status = status_after(outcome(), DENIED, DENIED)
    assert condition(status, "Ready")["lastTransitionTime"] == format_time(NOW)
    assert condition(status, "Refreshed")["lastTransitionTime"] == "2026-03-01T12:01:00Z"
    refreshed = condition(status_after(DENIED, outcome(Reason.THROTTLED)), "Refreshed")
    assert (refreshed["reason"], refreshed["lastTransitionTime"]) == ("Throttled", format_time(NOW))


def test_the_new_generation_is_in_every_condition() -> None:
    status = status_after(DENIED, old=status_after(outcome()), generation=5)
    assert {status["observedGeneration"], *(each["observedGeneration"] for each in status["conditions"])} == {
        5
    }


def test_last_updated_time_stays_without_a_secret() -> None:
    status = status_after(outcome(), NOTHING)
    assert status["lastUpdatedTime"] == format_time(NOW)
    assert not {"expirationTime", "nextRefreshTime", "secretName"} & status.keys()


FORMS: Final[list[object]] = ["Ready", 7, {"type": "Ready"}, [7, None, "Ready", {}], [{"type": "Ready"}]]
FORMS.extend([[{"type": "Ready", "status": "True"}], [{"type": []}], [{"type": {"a": 1}, "status": "True"}]])


@cases("conditions", {repr(form): form for form in FORMS})
def test_an_old_status_of_any_form_is_tolerated(conditions: object) -> None:
    status = status_after(outcome(), old={"conditions": conditions})
    assert condition(status, "Ready")["status"] == "True"
    outcome_changed({"conditions": conditions}, status)


@cases(
    "first, second, changed",
    {
        "the same": (outcome(), outcome(), False),
        "a refresh": (outcome(), outcome(times=times(issued_at=NOW + HOUR)), False),
        "a failure": (outcome(), DENIED, True),
        "another failure": (DENIED, outcome(Reason.THROTTLED), True),
        "a recovery": (DENIED, outcome(), True),
        "the expiry of the token": (DENIED, EXPIRED, True),
        "a first success: an Event would be a third write": (None, outcome(), False),
        "a first failure": (None, DENIED, True),
    },
)
def test_an_event_reports(first: Outcome | None, second: Outcome, *, changed: bool) -> None:
    assert outcome_changed(status_after(first) if first else {}, status_after(second)) is changed


@cases(
    "old, part",
    {
        "the two fields": (LEGACY, True),
        "another phase": (LEGACY | {"phase": "Failed"}, False),
        "nothing": ({}, False),
        "all of it": (status_after(outcome()), False),
    },
)
def test_what_the_crds_of_v0_6_0_keep_of_a_status_is(old: dict[str, Any], *, part: bool) -> None:
    assert is_legacy_part(old, status_after(outcome())) is part


def ready_condition(status: object) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status}]}


@cases(
    "status, said",
    {
        "empty": ({}, None),
        "by phase, as v0.6.0's CRD has it": ({"phase": "Updated"}, True),
        "by phase, failed": ({"phase": "Failed"}, False),
        "by phase, suspended": ({"phase": "Suspended"}, None),
        "by condition": (ready_condition("True"), True),
        "the condition before the phase": ({"phase": "Updated", **ready_condition("False")}, False),
        "garbage": (ready_condition(["x"]), None),
        "more garbage": ({"conditions": "x", "phase": {}}, None),
    },
)
def test_reported_ready_of_a_status(status: dict[str, Any], *, said: bool | None) -> None:
    assert reported_ready(status) is said


@cases(
    "reason, phase",
    {
        "Kubernetes": (Reason.KUBERNETES_UNAVAILABLE, "Updated"),
        "suspended": (Reason.SUSPENDED, "Updated"),
        "AWS": (Reason.AWS_UNAVAILABLE, "Failed"),
        "pending": (Reason.PENDING, "Pending"),
        "a conflict": (Reason.SECRET_CONFLICT, "Failed"),
    },
)
def test_a_status_of_v0_6_0_stays_until_its_secret_is_known(reason: Reason, phase: str) -> None:
    status = status_after(no_token(reason), old=LEGACY)
    assert (status["phase"], "observedGeneration" in status) == (phase, phase != "Updated")
