"""The outcomes that a pass can have, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecr_operator.api.desired import Desired, Problem, Resource
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import Coverage, Outcome, Reason, ResourceKey, TokenTimes
from ecr_operator.api.registry import parse_registry
from ecr_operator.api.text import excerpt, format_time
from ecr_operator.core.manifest import MANAGED_BY, MANAGER
from ecr_operator.core.secret_view import SecretView


def settled(resource: Resource, desired: Desired, times: TokenTimes, reason: Reason) -> Outcome:
    """The Secret is as it should be, as far as the spec is valid."""
    if resource.problem:
        return invalid(resource, times)
    done = f"Secret {desired.secret_name}{_DONE[reason]}"
    message = f"{done} has a token that expires at {format_time(times.expires_at)}."
    return Outcome(reason=reason, message=message, succeeded=True, fits=True, times=times)


def failed(error: OperatorError, times: TokenTimes | None) -> Outcome:
    """The attempt failed; `times` are those of the Secret that stays, if it fits."""
    return _unsettled(error.reason, error.message, times, permanent=isinstance(error, PermanentError))


def partly_refreshed(errors: Mapping[str, OperatorError], times: TokenTimes | None) -> Outcome:
    """Some logins of the Secret are fresh and some are not; `times` where each has a token at least."""
    failed_ones = "; ".join(
        f"{excerpt(parse_registry(key).host, 80)}: {error.message}" for key, error in errors.items()
    )
    message = f"These registries failed; all others are up to date. {failed_ones}"
    return _unsettled(Reason.PARTLY_REFRESHED, message, times)


def invalid(resource: Resource, times: TokenTimes | None) -> Outcome:
    """The spec is not valid, or not all of it."""
    problem = resource.problem or Problem(reason=Reason.INVALID_SPEC, message="The spec can't be read.")
    return _unsettled(problem.reason, problem.message, times, permanent=True)


def hint(desired: Desired, twin: ResourceKey | None) -> str:
    """What the author of a valid spec should know."""
    same = "has the same url, credential_scope and project; Argo CD uses one of the two"
    other = f"{twin.kind} {twin.name} {same}." if twin else ""
    return " ".join(part for part in (desired.hint, other) if part)


def pending(times: TokenTimes | None) -> Outcome:
    """A call to AWS is under way."""
    return _unsettled(Reason.PENDING, "Waiting for AWS to return a token.", times)


def suspended(resource: Resource, times: TokenTimes | None) -> Outcome:
    """spec.suspend is true."""
    message = "spec.suspend is true: nothing is refreshed or repaired."
    if resource.problem:
        message = f"{message} {resource.problem.message}"
    return _unsettled(Reason.SUSPENDED, message, times)


def covered(coverage: Coverage) -> Outcome:
    """Each namespace that a ClusterSecret serves has its Secret."""
    message = f"The Secrets in all namespaces served ({coverage.served}) have a token."
    if not coverage.served:
        message = "No namespace is served: none matches spec.namespaces."
    return Outcome(reason=Reason.REFRESHED, message=message, succeeded=True, fits=True)


def waiting_namespaces(coverage: Coverage) -> Outcome:
    """Some Secrets of a ClusterSecret are still to be written."""
    message = f"Waiting for {coverage.served - coverage.ready} of {coverage.served} namespaces."
    return Outcome(reason=Reason.PENDING, message=message, succeeded=False, fits=False)


def failing_namespaces(coverage: Coverage, named: tuple[str, str, str], *, permanent: bool) -> Outcome:
    """In some of its namespaces the last attempt of a ClusterSecret failed; one of them is named."""
    namespace, reason, message = named
    return Outcome(
        reason=Reason(reason),
        message=f"{coverage.failing_count} of {coverage.served} namespaces failed. {namespace}: {message}",
        succeeded=False,
        fits=False,
        permanent=permanent,
    )


def link_failed(done: Outcome, errors: Sequence[OperatorError]) -> Outcome:
    """The Secret is as it should be, but not linked to each service account that it should be linked to."""
    messages = dict.fromkeys(error.message for error in errors)
    worst = next((error for error in errors if isinstance(error, PermanentError)), errors[0])
    return _lacking(done, worst.reason, " ".join(messages), permanent=isinstance(worst, PermanentError))


def not_included(done: Outcome, problem: Problem) -> Outcome:
    """The Secret is as it should be, but lacks logins of other Secrets."""
    is_invalid = problem.reason is Reason.INVALID_SPEC
    return _lacking(done, problem.reason, problem.message, permanent=is_invalid)


def label_contested(desired: Desired, times: TokenTimes | None) -> Outcome:
    """An admission webhook or policy overwrites our label whenever the Secret is written."""
    message = (
        f"Secret {desired.secret_name} does not keep the label {MANAGED_BY}: {MANAGER}; an admission webhook "
        "or policy overwrites it. The token is still renewed, but a change by others is noticed only every "
        "30 s. Exclude the Secret from that webhook or policy."
    )
    return _unsettled(Reason.FIELDS_CONTESTED, message, times)


def contested(desired: Desired, view: SecretView | None, times: TokenTimes | None) -> Outcome:
    """Another client keeps changing or deleting the Secret; `times` are those of a login that is intact."""
    who = f"by field manager {', '.join(view.writers)}" if view and view.writers else "by another client"
    message = (
        f"Secret {desired.secret_name} keeps being changed {who}. It is restored at a limited rate; stop the "
        "other writer."
    )
    return _unsettled(Reason.FIELDS_CONTESTED, message, times)


def _unsettled(reason: Reason, message: str, times: TokenTimes | None, *, permanent: bool = False) -> Outcome:
    """The Secret is not as it should be; `times` are those of the one that stays, if it fits."""
    fits = times is not None
    return Outcome(
        reason=reason, message=message, succeeded=False, fits=fits, permanent=permanent, times=times
    )


def _lacking(done: Outcome, reason: Reason, message: str, *, permanent: bool) -> Outcome:
    """The Secret is as it should be, and something beside it is not."""
    return replace(done, reason=reason, message=message, succeeded=False, permanent=permanent)


_DONE = {Reason.REFRESHED: "", Reason.REPAIRED: " was restored and", Reason.ADOPTED: " was adopted and"}
