"""Whether a request for a fresh token was met, by what the resource's status says. Pure.

The status alone is looked at: who may ask for a token need not have the right to read the Secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from ecr_operator.api.outcome import Reason
from ecr_operator.api.parsing import REFRESH_REQUESTED, status_of
from ecr_operator.api.text import format_time, parse_time
from ecr_operator.cli.rows import printable
from ecr_operator.core.schedule import minimum_interval
from ecr_operator.core.status import by_type

_PRESUMED_LIFE: Final = timedelta(hours=12)
# An operator that is at work has looked at the request by then.
_LOOKED_AT: Final = timedelta(seconds=5)
_AS_BEFORE: Final = "So it was before; the request stands, and is met with the operator's next attempt."
_SLIPS: Final = (Reason.INVALID_SPEC, Reason.INVALID_REGISTRY)
_SILENCE: Final = "nothing has happened. Is the operator running, and does it watch this namespace?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a status said at one time.

    Attributes:
        refreshed_at: when the token was fetched.
        expires_at: when it dies.
        stalled: what keeps the token from being renewed until a person corrects it, in words; empty for
            nothing.
        failing: what the last attempt failed with, in words; empty for nothing.
    """

    refreshed_at: datetime | None
    expires_at: datetime | None
    stalled: str
    failing: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where a request stands, and what to say of it; nothing where there is nothing to say."""

    state: Literal["met", "failed", "waiting"]
    message: str = ""


def patch(now: datetime) -> dict[str, Any]:
    """The merge patch that asks for a fresh token.

    Args:
        now: makes the request another than all before, UTC.
    """
    value = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {"metadata": {"annotations": {REFRESH_REQUESTED: value}}}


def seen(raw: Mapping[str, Any]) -> Seen:
    """Read the status of a resource."""
    status = status_of(raw)
    conditions = by_type(status.get("conditions"))
    stalled = conditions.get("Stalled", {})
    # A slip, with which the login goes on.
    is_served = status.get("phase") == "Updated" and stalled.get("reason") in _SLIPS
    return Seen(
        refreshed_at=parse_time(status.get("lastUpdatedTime")),
        expires_at=parse_time(status.get("expirationTime")),
        stalled="" if is_served else _words(stalled, "True"),
        failing=_words(conditions.get("Refreshed"), "False"),
    )


def is_suspended(raw: Mapping[str, Any]) -> bool:
    """Whether nothing is refreshed for this resource."""
    spec = raw.get("spec")
    return isinstance(spec, Mapping) and spec.get("suspend") is True


def earliest(before: Seen, now: datetime) -> datetime:
    """When AWS may be asked again: now, unless the present token is too young."""
    if before.refreshed_at is None:
        return now
    life = before.expires_at - before.refreshed_at if before.expires_at else _PRESUMED_LIFE
    return max(now, before.refreshed_at + minimum_interval(life))


def judge(before: Seen, present: Seen, waited: timedelta) -> Judgement:
    """Compare what the status said before the request, and says now.

    Args:
        before: before.
        present: now.
        waited: since the request.
    """
    if present.refreshed_at and (before.refreshed_at is None or present.refreshed_at > before.refreshed_at):
        until = f" that lives until {format_time(present.expires_at)}" if present.expires_at else ""
        return Judgement("met", f"has a fresh token{until}")
    if present.stalled and present.stalled != before.stalled:
        return Judgement("failed", present.stalled)
    if present.stalled and waited >= _LOOKED_AT:
        return Judgement("failed", f"{present.stalled} {_AS_BEFORE}")
    return Judgement("waiting", present.failing if present.failing != before.failing else "")


def too_late(present: Seen, earliest_at: datetime, now: datetime) -> str:
    """What to say when the time is up.

    Args:
        present: what the status says.
        earliest_at: when AWS may be asked again.
        now: UTC.
    """
    if now < earliest_at:
        return (
            f"AWS is not asked again before {format_time(earliest_at)}; the request stands, and is met then."
        )
    return present.failing or _SILENCE


def _words(condition: Mapping[str, Any] | None, status: str) -> str:
    if condition is None or condition.get("status") != status:
        return ""
    return printable(f"{condition.get('reason')}: {condition.get('message')}")
