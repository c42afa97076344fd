"""From what the parts of a ClusterSecret have come to, to the outcome of the whole.

Pure. Invariant: the same parts give the same outcome, also after a restart, when most parts have reported
nothing yet: what their Secrets show then counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import MOST_FAILING
from ecr_operator.api.namespaces import NamespaceSelection
from ecr_operator.api.outcome import Coverage, Outcome, Reason, TokenTimes
from ecr_operator.api.text import one_line
from ecr_operator.core import outcomes
from ecr_operator.core.drift import is_up_to_date
from ecr_operator.core.schedule import is_alive, refresh_deadline
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import Result
from ecr_operator.core.status import by_type

_LONGEST_MESSAGE: Final = 250  # characters, of one namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a part's status says.

    Attributes:
        live: its Secret has a live token for the spec.
        not_ready: reason and message of its condition Ready, unless that is True.
        failure: reason and message of the last attempt, if that failed.
        stalled: someone has to change something.
    """

    live: bool
    not_ready: tuple[str, str] | None = None
    failure: tuple[str, str] | None = None
    stalled: bool = False


_LIVE: Final = Verdict(live=True)
_WAITING: Final = Verdict(
    live=False, not_ready=(str(Reason.PENDING), "Waiting for the Secret to be written.")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a ClusterSecret has come to in one namespace; `times` are those of the token in its Secret."""

    namespace: str
    verdict: Verdict
    times: TokenTimes | None


def judge(status: Mapping[str, Any]) -> Verdict:
    """What the status of a part says."""
    conditions = by_type(status["conditions"])
    ready, refreshed = conditions["Ready"], conditions["Refreshed"]
    is_ready = ready["status"] == "True"
    return Verdict(
        live=is_ready or (ready["reason"] == Reason.INVALID_REGISTRY and status["phase"] == "Updated"),
        not_ready=None if is_ready else _in_short(ready),
        failure=_in_short(refreshed) if refreshed["status"] == "False" else None,
        stalled="Stalled" in conditions,
    )


def judge_unreported(part: Resource, view: SecretView | None, now: datetime) -> Verdict:
    """What a part's Secret shows, before anything was reported of the part."""
    desired, times = part.desired, view.times if view else None
    if desired is None or view is None or times is None or not is_alive(times, now):
        return _WAITING
    return _LIVE if is_up_to_date(view, desired, None) else _WAITING


def gather(resource: Resource, selection: NamespaceSelection | None, parts: Sequence[Part]) -> Result:
    """The outcome of a ClusterSecret; its `refresh_at` is when the first of the tokens is due.

    Args:
        resource: the ClusterSecret.
        selection: the last valid one.
        parts: in the order of their namespaces.
    """
    desired = resource.desired
    live = sum(part.verdict.live for part in parts)
    unusable = desired.unusable.message if desired and desired.unusable else ""
    coverage = replace(
        _coverage(parts, ready=0 if unusable else live, list_failing=_is_clear(resource)),
        namespaces=selection.given if selection else {},
    )
    held = {part.times for part in parts if part.times}
    times = _earliest(held) if held else None
    outcome = replace(
        _outcome(resource, coverage, times, stalled=any(part.verdict.stalled for part in parts)),
        fits=live == len(parts) and (bool(parts) or _is_clear(resource)),
        times=times,
        secret=desired.secret_name if desired and times else None,
        unusable=unusable,
        hint=desired.hint if desired else "",
        coverage=coverage,
    )
    if desired is None or desired.suspended:
        return Result(outcome=outcome)
    due = [refresh_deadline(each, desired.frequency, resource.uid) for each in held]
    return Result(outcome=outcome, refresh_at=min(due, default=None))


def _is_clear(resource: Resource) -> bool:
    """Whether the spec says what to write and where; else its own problem is all that there is to report."""
    return resource.desired is not None and resource.desired.namespaces is not None


def _coverage(parts: Sequence[Part], *, ready: int, list_failing: bool) -> Coverage:
    failing = [
        (part.namespace, *part.verdict.failure) for part in parts if part.verdict.failure and list_failing
    ]
    not_ready = [(part.namespace, *part.verdict.not_ready) for part in parts if part.verdict.not_ready]
    first = (not_ready[0][1], f"Namespace {not_ready[0][0]}: {not_ready[0][2]}") if not_ready else None
    return Coverage(
        served=len(parts),
        ready=ready,
        failing=tuple(failing[:MOST_FAILING]),
        failing_count=len(failing),
        not_ready=first,
    )


def _outcome(resource: Resource, coverage: Coverage, times: TokenTimes | None, *, stalled: bool) -> Outcome:
    if resource.desired and resource.desired.suspended:
        return outcomes.suspended(resource, times)
    if resource.problem:
        return outcomes.invalid(resource, times)
    if coverage.failing:
        return outcomes.failing_namespaces(coverage, permanent=stalled)
    if coverage.ready < coverage.served:
        return outcomes.waiting_namespaces(coverage)
    return outcomes.covered(coverage)


def _earliest(held: set[TokenTimes]) -> TokenTimes:
    return TokenTimes(
        issued_at=min(each.issued_at for each in held), expires_at=min(each.expires_at for each in held)
    )


def _in_short(condition: Mapping[str, Any]) -> tuple[str, str]:
    return condition["reason"], one_line(condition["message"], _LONGEST_MESSAGE)
