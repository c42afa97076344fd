"""From what the parts of a ClusterSecret have come to, to the outcome of the whole.

Pure. Invariant: the same parts give the same outcome, also after a restart, when most parts have reported
nothing yet: what their Secrets show then counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.namespaces import NamespaceSelection
from ecr_operator.api.outcome import Coverage, Outcome, Reason, TokenTimes
from ecr_operator.api.statuses import MOST_FAILING
from ecr_operator.api.text import one_line
from ecr_operator.core import outcomes
from ecr_operator.core.drift import is_up_to_date
from ecr_operator.core.schedule import is_alive, refresh_deadline
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import Result
from ecr_operator.core.status import by_type

_LONGEST_MESSAGE: Final = 250  # characters, of one namespace
_LARGEST_MESSAGE: Final = 400  # bytes of it


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
    """What a ClusterSecret has come to in one namespace.

    Attributes:
        view: its Secret; None where there is none.
        is_served: False while the Secret is being deleted, since the namespace is no longer served.
    """

    namespace: str
    verdict: Verdict
    view: SecretView | None
    is_served: bool = True

    @property
    def times(self) -> TokenTimes | None:
        """Those of the token in its Secret."""
        return self.view.times if self.view else None


def unreported(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of a part before anything is reported of it, from the status of the ClusterSecret.

    It may have a Secret by that name, so that is looked at before another is created.
    """
    return {"secretName": status["secretName"]} if "secretName" in status else {}


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


def gather(
    resource: Resource, selection: NamespaceSelection | None, parts: Sequence[Part], now: datetime
) -> Result:
    """The outcome of a ClusterSecret; its `refresh_at` is when the first of the tokens is due.

    Args:
        resource: the ClusterSecret.
        selection: the last valid one.
        parts: in the order of their namespaces.
        now: UTC.
    """
    desired, served = resource.desired, [part for part in parts if part.is_served]
    live = sum(part.verdict.live for part in served)
    unusable = desired.unusable.message if desired and desired.unusable else ""
    coverage = replace(
        _coverage(served, ready=0 if unusable else live),
        **(_failing(parts) if _is_clear(resource) else {}),
        namespaces=selection.given if selection else {},
    )
    held = {part.times for part in served if part.times}
    times = TokenTimes.earliest(held) if held else None
    outcome = replace(
        _outcome(resource, coverage, parts, times),
        fits=live == len(served) and (bool(served) or _is_clear(resource)),
        times=times,
        secret=_secret_name(resource, served),
        unusable=unusable,
        hint=desired.hint if desired else "",
        coverage=coverage,
    )
    if desired is None or desired.suspended:
        return Result(outcome=outcome)
    fresh = {part.times for part in served if part.times and not part.verdict.failure}
    due = [refresh_deadline(each, desired.frequency, resource.uid) for each in fresh]
    return Result(outcome=outcome, refresh_at=min((at for at in due if at > now), default=None))


def _is_clear(resource: Resource) -> bool:
    """Whether the spec says what to write and where; else its own problem is all that there is to report."""
    return resource.desired is not None and resource.desired.namespaces is not None


def _coverage(served: Sequence[Part], *, ready: int) -> Coverage:
    first = next((part for part in served if part.verdict.not_ready), None)
    reason, message = (first.verdict.not_ready if first else None) or ("", "")
    return Coverage(
        served=len(served),
        ready=ready,
        not_ready=(reason, f"Namespace {first.namespace}: {message}") if first else None,
    )


def _failing(parts: Sequence[Part]) -> dict[str, Any]:
    failing = [(part.namespace, *part.verdict.failure) for part in parts if part.verdict.failure]
    return {"failing": tuple(failing[:MOST_FAILING]), "failing_count": len(failing)}


def _outcome(
    resource: Resource, coverage: Coverage, parts: Sequence[Part], times: TokenTimes | None
) -> Outcome:
    if resource.desired and resource.desired.suspended:
        return outcomes.suspended(resource, times)
    if resource.problem:
        return outcomes.invalid(resource, times)
    if coverage.failing:
        # First one that someone has to do something about.
        stalled = next((part for part in parts if part.verdict.failure and part.verdict.stalled), None)
        named = (stalled.namespace, *(stalled.verdict.failure or ())) if stalled else coverage.failing[0]
        return outcomes.failing_namespaces(coverage, named, permanent=stalled is not None)
    if coverage.ready < coverage.served:
        return outcomes.waiting_namespaces(coverage)
    return outcomes.covered(coverage)


def _secret_name(resource: Resource, served: Sequence[Part]) -> str | None:
    """The name of the generated Secrets: by the spec, once there is one, and else an earlier one."""
    names = {part.view.name for part in served if part.view}
    desired = resource.desired.secret_name if resource.desired else None
    return desired if desired in names else min(names, default=None)


def _in_short(condition: Mapping[str, Any]) -> tuple[str, str]:
    text = one_line(condition["message"], _LONGEST_MESSAGE)
    return condition["reason"], text.encode()[:_LARGEST_MESSAGE].decode(errors="ignore")
