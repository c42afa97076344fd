"""What `status` shows of a resource. Pure.

Invariant: every text is safe for a terminal, whatever the resource holds: no control characters, and no login
that somebody wrote into a registry key. Unlike the conditions, a row depends on the time: a token that has
expired is not Ready.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, Literal

from ecr_operator.api.kinds import CLUSTER, SPECS
from ecr_operator.api.outcome import Coverage, Reason, ResourceKey
from ecr_operator.api.parsing import status_of
from ecr_operator.api.statuses import MOST_FAILING
from ecr_operator.api.text import mapping_in, mappings_in, parse_time
from ecr_operator.cli.output import printable, rfc3339, seconds_left, without_login
from ecr_operator.core.status import SUCCEEDED, by_type

State = Literal["Not ready", "Failing", "Ready"]
STATES: Final[tuple[State, ...]] = ("Not ready", "Failing", "Ready")

# v0.6.0's status has the time when a token was fetched, but not its life.
PRESUMED_LIFE: Final = timedelta(hours=12)
# Spreading, jitter and retries take less.
_GRACE: Final = timedelta(minutes=5)
# Of a token's times; sums with others, which anybody with rights to the status can write, could overflow.
_YEARS: Final = range(1970, 2500)
_NO_OPERATOR: Final = "Is the operator running, and does it watch this namespace?"
_NO_CLUSTERS: Final = "Is the operator running, and does its log say that ClusterSecrets are not served?"
_MOST_NAMED: Final = 5  # namespaces in a message
_FAILING_FIELDS: Final = ("namespace", "reason", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One custom resource.

    Attributes:
        state: `Failing` is a live token whose last refresh failed, or a mistake in the spec.
        message: what is wrong and what to do, or a hint; empty for neither.
        registry: registry key or URL.
        secret: name of the generated Secret.
        refreshed_at: when the token was fetched.
        estimated: `expires_at` is derived from a status of v0.6.0.
        coverage: of a ClusterSecret, once it is known.
    """

    key: ResourceKey
    state: State
    reason: str
    message: str = ""
    registry: str = ""
    secret: str = ""
    refreshed_at: datetime | None = None
    expires_at: datetime | None = None
    estimated: bool = False
    next_refresh_at: datetime | None = None
    coverage: Coverage | None = None

    @property
    def ready(self) -> bool:
        """Whether the Secret holds a live token for the present spec, and some client can use it."""
        return self.state != "Not ready"

    def is_overdue(self, now: datetime) -> bool:
        """Whether the token was not renewed although that was due for minutes."""
        return self.next_refresh_at is not None and now > self.next_refresh_at + _GRACE


def key_of(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    """The key of a resource as the API server holds it."""
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata.get("namespace", ""), name=metadata["name"])


def row_of(kind: str, raw: Mapping[str, Any], now: datetime) -> Row:
    """Make the row of a resource as the API server holds it."""
    metadata, status, spec = raw["metadata"], status_of(raw), mapping_in(raw, "spec")
    refreshed_at = time_in(status, "lastUpdatedTime")
    expires_at = time_in(status, "expirationTime")
    estimated = expires_at is None and refreshed_at is not None and "observedGeneration" not in status
    if estimated and refreshed_at:
        expires_at = refreshed_at + PRESUMED_LIFE
    state, reason, message = _reported(kind, metadata.get("generation", 0), status)
    message, coverage = printable(message), coverage_in(status) if kind == CLUSTER else None
    if coverage and state != "Ready":
        message += _others(coverage, message)
    row = Row(
        key=key_of(kind, raw),
        state=state,
        reason=printable(reason),
        message=message,
        registry=printable(without_login(_text(spec, SPECS[kind].target_field))),
        secret=printable(_text(spec, "generated_secret_name")),
        refreshed_at=refreshed_at,
        expires_at=expires_at,
        estimated=estimated,
        next_refresh_at=time_in(status, "nextRefreshTime"),
        coverage=coverage,
    )
    return _at(row, now)


def coverage_in(status: Mapping[str, Any]) -> Coverage | None:
    """The namespaces in the status of a ClusterSecret; None where it has none."""
    numbers = mapping_in(status, "namespaces")
    served, ready = _count(numbers, "served"), _count(numbers, "ready")
    if served is None or ready is None:
        return None
    entries = islice(mappings_in(status, "failing"), MOST_FAILING)
    failing = tuple(
        (printable(namespace), printable(_text(each, "reason")), printable(_text(each, "message")))
        for each in entries
        if (namespace := _text(each, "namespace"))
    )
    count = _count(status, "failingCount") or 0
    return Coverage(served=served, ready=ready, failing=failing, failing_count=max(count, len(failing)))


def _others(coverage: Coverage, message: str) -> str:
    """The failing namespaces that a message does not name."""
    unnamed = [each for each in coverage.failing if f" {each[0]}: " not in message]
    if not unnamed:
        return ""
    shown = ", ".join(f"{namespace} ({reason})" for namespace, reason, _ in unnamed[:_MOST_NAMED])
    more = coverage.failing_count - len(coverage.failing) + len(unnamed[_MOST_NAMED:])
    return f" Also failing: {shown}{f' and {more} more' if more else ''}."


def no_operator(kind: str) -> str:
    """What to look for where nothing has happened to a resource of this kind."""
    return _NO_CLUSTERS if kind == CLUSTER else _NO_OPERATOR


def _reported(kind: str, generation: int, status: Mapping[str, Any]) -> tuple[State, str, str]:
    """State, reason and message by the status, as far as it is about the present spec."""
    observed = status.get("observedGeneration")
    if not status or (isinstance(observed, int) and observed < generation):
        what = "changed spec" if status else "resource"
        return "Not ready", Reason.PENDING, f"No operator has processed the {what} yet. {no_operator(kind)}"
    conditions = by_type(status.get("conditions"))
    ready, refreshed = conditions.get("Ready"), conditions.get("Refreshed", {})
    reason, message = _text(refreshed, "reason"), _text(refreshed, "message")
    if ready is None:
        return _by_phase(_text(status, "phase"))
    if ready.get("status") != "True":
        return "Not ready", _text(ready, "reason"), _text(ready, "message")
    if refreshed.get("status") == "True":
        return "Ready", reason, message.removeprefix(SUCCEEDED).strip()
    return "Ready" if reason == Reason.SUSPENDED else "Failing", reason, message


def _by_phase(phase: str) -> tuple[State, str, str]:
    """A status that v0.6.0 wrote, or what its CRDs keep of ours."""
    if phase == "Updated":
        return "Ready", Reason.REFRESHED, ""
    message = "The status has no conditions; see the operator's log, and check that its CRDs are current."
    return "Not ready", phase or Reason.PENDING, message


def _at(row: Row, now: datetime) -> Row:
    """The row at this time: what happened since the status was written, or should have."""
    if not row.ready or row.expires_at is None:
        return row
    if now >= row.expires_at:
        cause = row.message if row.state == "Failing" else no_operator(row.key.kind)
        message = f"The token expired at {rfc3339(row.expires_at)}. {cause}"
        return replace(row, state="Not ready", reason=str(Reason.TOKEN_EXPIRED), message=message)
    if row.state == "Ready" and row.reason != Reason.SUSPENDED and row.is_overdue(now):
        message = f"The refresh was due at {rfc3339(row.next_refresh_at)}. {no_operator(row.key.kind)}"
        return replace(row, state="Failing", reason=str(Reason.PENDING), message=message)
    return row


def by_urgency(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by state, then by the time that their token has left."""
    return sorted(
        rows,
        key=lambda row: (
            STATES.index(row.state),
            row.expires_at.timestamp() if row.expires_at else 0.0,
            (row.key.namespace, row.key.name, row.key.kind),
        ),
    )


def changed(before: Iterable[Row], rows: Iterable[Row]) -> list[Row]:
    """The new and changed rows in their order, then those of deleted resources, with the reason `Deleted`."""
    old, present = {row.key: row for row in before}, {row.key: row for row in rows}
    deleted = [
        replace(row, state="Not ready", reason="Deleted", message="The resource was deleted.")
        for key, row in old.items()
        if key not in present
    ]
    return [*(row for key, row in present.items() if old.get(key) != row), *deleted]


def as_data(row: Row, now: datetime) -> dict[str, object]:
    """A row for programs: the fields that docs/commands.md promises, in its order."""
    found = row.coverage
    return {
        "kind": row.key.kind,
        "namespace": row.key.namespace,
        "name": row.key.name,
        "ready": row.ready,
        "reason": row.reason,
        "message": row.message,
        "registry": row.registry,
        "secret": row.secret,
        "lastUpdatedTime": rfc3339(row.refreshed_at),
        "expirationTime": rfc3339(row.expires_at),
        "expirationEstimated": row.estimated,
        "nextRefreshTime": rfc3339(row.next_refresh_at),
        "secondsLeft": seconds_left(row.expires_at, now),
        "namespaces": {"served": found.served, "ready": found.ready} if found else None,
        "failing": [dict(zip(_FAILING_FIELDS, each, strict=True)) for each in found.failing] if found else [],
        "failingCount": found.failing_count if found else 0,
    }


def time_in(status: Mapping[str, Any], field: str) -> datetime | None:
    """A time in a status; None without a valid one that can be of a token."""
    time = parse_time(status.get(field))
    return time if time and time.year in _YEARS else None


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return str(value) if isinstance(value, str) else ""


def _count(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
