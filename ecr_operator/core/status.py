"""From the old status and an outcome to the new status, and whether an Event reports the difference.

Invariant: the same outcome gives the same status, so that nothing is written when nothing changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.outcome import Coverage, Outcome, Reason, TokenTimes
from ecr_operator.api.text import format_time
from ecr_operator.core.legacy import has_legacy_status
from ecr_operator.core.schedule import is_alive

SUCCEEDED: Final = "The last refresh succeeded."
_FIRST_SUCCESS = {"Ready": ("True", "Refreshed"), "Refreshed": ("True", "Refreshed")}
_SUCCESSES = (Reason.REFRESHED, Reason.REPAIRED, Reason.ADOPTED)
# What can come before it is known whether v0.6.0's Secret is there.
_BEFORE_ADOPTION: Final = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.INVALID_REGISTRY,
        Reason.REGION_MISMATCH,
        Reason.SUSPENDED,
        Reason.KUBERNETES_FORBIDDEN,
        Reason.KUBERNETES_REFUSED,
        Reason.KUBERNETES_UNAVAILABLE,
    }
)


def next_status(
    resource: Resource, outcome: Outcome, now: datetime, next_refresh: datetime | None
) -> dict[str, Any]:
    """The status that the resource should have.

    Args:
        resource: its present status gives the transition times.
        outcome: what the last attempt did.
        now: UTC.
        next_refresh: when the token is due next; None while that is not known.
    """
    times = outcome.times
    ready = is_ready(outcome, now)
    if _is_evidence(resource, outcome):
        return {**resource.status, "conditions": _conditions(resource, outcome, now, ready=ready)}
    status: dict[str, Any] = {
        "phase": _phase(outcome, live=_is_live(outcome, now)),
        "lastUpdatedTime": format_time(times.issued_at) if times else resource.status.get("lastUpdatedTime"),
        "observedGeneration": resource.generation,
        "secretName": outcome.secret,
        "expirationTime": format_time(times.expires_at) if times else None,
        "nextRefreshTime": format_time(next_refresh) if next_refresh else None,
        "conditions": _conditions(resource, outcome, now, ready=ready),
    }
    if outcome.coverage:
        status |= _of_all_namespaces(outcome.coverage)
    return {key: value for key, value in status.items() if value is not None}


def _of_all_namespaces(coverage: Coverage) -> dict[str, Any]:
    """What only the status of a ClusterSecret has."""
    failing = [
        {"namespace": namespace, "reason": reason, "message": message}
        for namespace, reason, message in coverage.failing
    ]
    return {
        "namespaces": {"served": coverage.served, "ready": coverage.ready},
        "observedNamespaces": coverage.namespaces or None,
        "readyNamespaces": f"{coverage.ready}/{coverage.served}",
        "failing": failing or None,
        "failingCount": coverage.failing_count or None,
    }


def _is_evidence(resource: Resource, outcome: Outcome) -> bool:
    """Whether v0.6.0's status is the only evidence that a Secret, not adopted yet, is the resource's."""
    return (
        has_legacy_status(resource)
        and outcome.times is None
        and not outcome.succeeded
        and outcome.reason in _BEFORE_ADOPTION
    )


def is_ready(outcome: Outcome, now: datetime) -> bool:
    """Whether the generated Secret has a live token for the spec, and some client can use it."""
    return not outcome.unusable and _is_live(outcome, now)


def _is_live(outcome: Outcome, now: datetime) -> bool:
    if outcome.coverage:
        return outcome.fits
    return outcome.fits and outcome.times is not None and is_alive(outcome.times, now)


def reported_ready(status: Mapping[str, Any]) -> bool | None:
    """Ready, as a status has it; from its phase where the CRD is v0.6.0's and has no conditions."""
    if (condition := by_type(status.get("conditions")).get("Ready")) is not None:
        return {"True": True, "False": False}.get(str(condition.get("status")))
    return {"Updated": True, "Failed": False}.get(str(status.get("phase")))


def as_event(outcome: Outcome, old: Mapping[str, Any], now: datetime) -> Outcome:
    """The outcome as an Event reports it: that the token has expired comes before the cause."""
    was_ready = by_type(old.get("conditions")).get("Ready", {}).get("status") == "True"
    if not (was_ready and outcome.fits and outcome.times and not is_alive(outcome.times, now)):
        return outcome
    return replace(outcome, reason=Reason.TOKEN_EXPIRED, message=_expired(outcome, outcome.times))


def _expired(outcome: Outcome, times: TokenTimes) -> str:
    return f"The token in the Secret expired at {format_time(times.expires_at)}. {outcome.message}"


def is_legacy_part(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the old status is what v0.6.0's CRDs keep of the new one."""
    return dict(old) == {key: new[key] for key in ("phase", "lastUpdatedTime") if key in new}


def outcome_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two statuses have different outcomes, which is when an Event is emitted.

    A first success has none: it would cost a third write per resource in every mass start.
    """
    before, after = _reasons(old), _reasons(new)
    return before != after and (bool(before) or after != _FIRST_SUCCESS)


def _reasons(status: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        condition_type: (condition.get("status"), condition.get("reason"))
        for condition_type, condition in by_type(status.get("conditions")).items()
    }


def _phase(outcome: Outcome, *, live: bool) -> str:
    # A login that no client can use is Updated too, as in v0.6.0.
    if outcome.reason is Reason.SUSPENDED:
        return "Suspended"
    if live:
        return "Updated"
    return "Pending" if outcome.reason is Reason.PENDING else "Failed"


def _conditions(resource: Resource, outcome: Outcome, now: datetime, *, ready: bool) -> list[dict[str, Any]]:
    entries = [_ready(outcome, now, ready=ready), _refreshed(outcome, now)]
    if outcome.permanent:
        entries.append(("Stalled", "True", outcome.reason, outcome.message))
    old = by_type(resource.status.get("conditions"))
    return [_condition(old.get(entry[0]), entry, resource.generation, now) for entry in entries]


_Entry = tuple[str, str, Reason, str]


def _ready(outcome: Outcome, now: datetime, *, ready: bool) -> _Entry:
    if outcome.coverage and not outcome.unusable:
        return _all_ready(outcome, outcome.coverage, ready=ready)
    if ready and outcome.times:
        message = f"The Secret has a token that expires at {format_time(outcome.times.expires_at)}."
        return "Ready", "True", Reason.REFRESHED, message
    if outcome.fits and outcome.times and not is_alive(outcome.times, now):
        return "Ready", "False", Reason.TOKEN_EXPIRED, _expired(outcome, outcome.times)
    if outcome.fits and outcome.times:
        return "Ready", "False", Reason.INVALID_REGISTRY, outcome.unusable
    return "Ready", "False", outcome.reason, outcome.message


def _all_ready(outcome: Outcome, coverage: Coverage, *, ready: bool) -> _Entry:
    if not ready:
        reason, message = coverage.not_ready or (outcome.reason, outcome.message)
        return "Ready", "False", Reason(reason), message
    if outcome.times is None:
        return "Ready", "True", Reason.REFRESHED, "No namespace is served: none matches spec.namespaces."
    first = f"the first expires at {format_time(outcome.times.expires_at)}"
    return (
        "Ready",
        "True",
        Reason.REFRESHED,
        f"All namespaces served ({coverage.served}) have a live token; {first}.",
    )


def _refreshed(outcome: Outcome, now: datetime) -> _Entry:
    if outcome.succeeded:
        # A repair has an Event; here it would cost a write of the status and add nothing.
        reason = Reason.REFRESHED if outcome.reason in _SUCCESSES else outcome.reason
        return "Refreshed", "True", reason, f"{SUCCEEDED} {outcome.hint}".rstrip()
    status = "Unknown" if outcome.reason in (Reason.PENDING, Reason.SUSPENDED) else "False"
    return "Refreshed", status, outcome.reason, f"{outcome.message}{_left(outcome, now)}"


def _left(outcome: Outcome, now: datetime) -> str:
    if outcome.times is None:
        return ""
    verb = "expires at" if is_alive(outcome.times, now) else "expired at"
    return f" The present token {verb} {format_time(outcome.times.expires_at)}."


def _condition(
    old: Mapping[str, Any] | None, entry: _Entry, generation: int, now: datetime
) -> dict[str, Any]:
    condition_type, status, reason, message = entry
    same = old is not None and old.get("status") == status and "lastTransitionTime" in old
    return {
        "type": condition_type,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if same and old else format_time(now),
        "reason": str(reason),
        "message": message,
    }


def by_type(conditions: object) -> dict[str, Mapping[str, Any]]:
    """The valid conditions of a status, by their type."""
    if not isinstance(conditions, Sequence) or isinstance(conditions, str):
        return {}
    entries = (entry for entry in conditions if isinstance(entry, Mapping))
    return {entry["type"]: entry for entry in entries if isinstance(entry.get("type"), str)}
