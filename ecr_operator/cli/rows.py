"""From a custom resource, as the API server holds it, to what `status` shows of it. Pure.

Invariant: what stands here is fit for a terminal, whatever stands in the resource: no control characters, and
no login that somebody wrote into a registry key.
Unlike the status itself it knows the time: a token that has died is not Ready, though nobody has said so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from ecr_operator.api.kinds import SPECS
from ecr_operator.api.outcome import Reason
from ecr_operator.api.parsing import status_of
from ecr_operator.api.text import format_time, parse_time
from ecr_operator.core.status import SUCCEEDED, by_type

State = Literal["Ready", "Failing", "Not ready"]

DELETED: Final = "Deleted"

# v0.6.0's status tells when a token was fetched, and no more.
_PRESUMED_LIFE: Final = timedelta(hours=12)
# Spreading, jitter and retries are well within it.
_GRACE: Final = timedelta(minutes=5)
_LOGIN: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*@")
_ABSENT: Final = "Is the operator running, and does it watch this namespace?"
_RANKS: Final[Mapping[State, int]] = {"Not ready": 0, "Failing": 1, "Ready": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One custom resource.

    Attributes:
        state: `Ready`; `Failing`: a live token, but the last refresh failed, or the spec has a mistake;
            `Not ready`.
        reason: the one word for that.
        message: a sentence for it, with what to do; empty where there is nothing to say.
        registry: registry key or URL.
        secret: name of the generated Secret.
        refreshed_at: when the token was fetched, UTC.
        expires_at: when it dies, UTC.
        estimated: `expires_at` is not told but reckoned, from v0.6.0's status.
        next_refresh_at: when it is renewed, UTC.
    """

    kind: str
    namespace: str
    name: str
    state: State
    reason: str
    message: str = ""
    registry: str = ""
    secret: str = ""
    refreshed_at: datetime | None = None
    expires_at: datetime | None = None
    estimated: bool = False
    next_refresh_at: datetime | None = None

    @property
    def ready(self) -> bool:
        """Whether the generated Secret holds a live token that fits the spec, and some client can use it."""
        return self.state != "Not ready"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.namespace, self.name, self.kind

    def is_overdue(self, now: datetime) -> bool:
        """Whether nobody has renewed the token when it was due."""
        return self.next_refresh_at is not None and now > self.next_refresh_at + _GRACE


@dataclass(frozen=True, slots=True)
class _Told:
    state: State
    reason: str
    message: str = ""


def row_of(kind: str, raw: Mapping[str, Any], now: datetime) -> Row:
    """Make a row of an object of ours.

    Args:
        kind: which of `KINDS` it is.
        raw: the object.
        now: the present, UTC.
    """
    metadata, status, spec = raw["metadata"], status_of(raw), _mapping(raw.get("spec"))
    refreshed_at, expires_at = (
        parse_time(status.get("lastUpdatedTime")),
        parse_time(status.get("expirationTime")),
    )
    estimated = expires_at is None and refreshed_at is not None and "observedGeneration" not in status
    if estimated and refreshed_at:
        expires_at = refreshed_at + _PRESUMED_LIFE
    told = _told(metadata.get("generation", 0), status)
    row = Row(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        state=told.state,
        reason=printable(told.reason),
        message=printable(told.message),
        registry=printable(_LOGIN.sub(r"\1", _text(spec, SPECS[kind].target_field))),
        secret=printable(_text(spec, "generated_secret_name")),
        refreshed_at=refreshed_at,
        expires_at=expires_at,
        estimated=estimated,
        next_refresh_at=parse_time(status.get("nextRefreshTime")),
    )
    return _at(row, now)


def by_urgency(rows: Iterable[Row]) -> list[Row]:
    """Sort: what is not ready first, then what fails, then the rest; in each, who has the least time left."""
    return sorted(
        rows,
        key=lambda row: (
            _RANKS[row.state],
            row.expires_at.timestamp() if row.expires_at else 0.0,
            row.identity,
        ),
    )


def changed(before: Mapping[tuple[str, str, str], Row], rows: Iterable[Row]) -> list[Row]:
    """The rows that are new or say something new, in their order; then those that are gone, as `Deleted`."""
    present = {row.identity: row for row in rows}
    gone = [row for identity, row in before.items() if identity not in present]
    return [
        *(row for identity, row in present.items() if before.get(identity) != row),
        *(replace(row, state="Not ready", reason=DELETED, message="The resource is gone.") for row in gone),
    ]


def as_data(row: Row, now: datetime) -> dict[str, object]:
    """A row for programs: the fields that docs/commands.md promises, in its order."""
    left = max(int((row.expires_at - now).total_seconds()), 0) if row.expires_at else None
    return {
        "kind": row.kind,
        "namespace": row.namespace,
        "name": row.name,
        "ready": row.ready,
        "reason": row.reason,
        "message": row.message,
        "registry": row.registry,
        "secret": row.secret,
        "lastUpdatedTime": _format(row.refreshed_at),
        "expirationTime": _format(row.expires_at),
        "expirationEstimated": row.estimated,
        "nextRefreshTime": _format(row.next_refresh_at),
        "secondsLeft": left,
    }


def printable(text: str) -> str:
    """Text for a terminal: what could steer it shows as `?`."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _told(generation: int, status: Mapping[str, Any]) -> _Told:
    """What the status says, if it speaks of the present spec."""
    if not status:
        return _Told("Not ready", Reason.PENDING, f"No operator has looked at this resource yet. {_ABSENT}")
    observed = status.get("observedGeneration")
    if isinstance(observed, int) and observed < generation:
        return _Told(
            "Not ready", Reason.PENDING, f"No operator has looked at the changed spec yet. {_ABSENT}"
        )
    conditions = by_type(status.get("conditions"))
    ready, refreshed = conditions.get("Ready"), conditions.get("Refreshed", {})
    if ready is None:
        return _told_by_phase(_text(status, "phase"))
    if ready.get("status") != "True":
        return _Told("Not ready", _text(ready, "reason"), _text(ready, "message"))
    if refreshed.get("status") == "True":
        hint = _text(refreshed, "message").removeprefix(SUCCEEDED).strip()
        return _Told("Ready", _text(refreshed, "reason"), hint)
    if refreshed.get("reason") == Reason.SUSPENDED:
        return _Told("Ready", Reason.SUSPENDED, _text(refreshed, "message"))
    return _Told("Failing", _text(refreshed, "reason"), _text(refreshed, "message"))


def _told_by_phase(phase: str) -> _Told:
    """What v0.6.0 leaves behind, and what its CRDs keep of our own status."""
    if phase == "Updated":
        return _Told("Ready", Reason.REFRESHED)
    return _Told(
        "Not ready",
        phase or Reason.PENDING,
        "The status has no conditions: see the operator's log, and its CRDs.",
    )


def _at(row: Row, now: datetime) -> Row:
    """The row at this time: what has happened since the status was written, or should have."""
    if not row.ready or row.expires_at is None:
        return row
    if now >= row.expires_at:
        why = row.message if row.state == "Failing" else "Is the operator running?"
        message = f"The token expired at {format_time(row.expires_at)}. {why}"
        return replace(row, state="Not ready", reason=str(Reason.TOKEN_EXPIRED), message=message)
    if row.state == "Ready" and row.reason != Reason.SUSPENDED and row.is_overdue(now):
        message = f"The token was due at {_format(row.next_refresh_at)}. {_ABSENT}"
        return replace(row, state="Failing", reason=str(Reason.PENDING), message=message)
    return row


def _format(time: datetime | None) -> str | None:
    return format_time(time) if time else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return str(value) if isinstance(value, str) else ""
