"""What is remembered of a token source, and what a resource gets from it: a token, a failure, or a limit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ecr_operator.api.errors import OperatorError, TransientError
from ecr_operator.api.outcome import Reason, ResourceKey, TokenTimes
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.schedule import minimum_interval

SLOW_RETRY: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFailure:
    """The last call to a source failed, or has not been answered for a while.

    Attributes:
        error: what came of it.
        retry_at: monotonic seconds before which AWS is not called again.
        failed_at: monotonic seconds at which it failed.
        unanswered: the call is still under way.
    """

    error: OperatorError
    retry_at: float
    failed_at: float
    unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited:
    """The cached token is not acceptable, and AWS may not be called for another yet.

    Attributes:
        retry_at: monotonic seconds at which AWS may be called again.
    """

    retry_at: float


@dataclass(frozen=True, slots=True)
class Waiter:
    """A resource that waits for a call.

    Attributes:
        expires_at: of its present token, if that is alive; UTC.
        since: when it began to wait, monotonic seconds.
    """

    expires_at: datetime | None
    since: float


@dataclass(slots=True)
class SourceState:
    """What is remembered of a token source.

    Attributes:
        basis: what permits its identity, as last read.
        token: the cached one.
        fetched_at: when that was fetched, monotonic seconds.
        called_at: when the last call began, monotonic seconds.
        epoch: counts drops: a call of an earlier one is ignored.
        failure: of the last call, if it failed.
        failures: how many in a row.
        users: how many resources use the source.
        waiting: the resources that wait for a call.
        refused: the resources that got the failure.
    """

    basis: str = ""
    token: RegistryToken | None = None
    fetched_at: float = 0.0
    called_at: float | None = None
    epoch: int = 0
    failure: TokenFailure | None = None
    failures: int = 0
    users: int = 0
    waiting: dict[ResourceKey, Waiter] = field(default_factory=dict)
    refused: set[ResourceKey] = field(default_factory=set)

    def clear(self) -> None:
        """Drop what was fetched; a call under way is ignored."""
        self.token, self.failure, self.failures = None, None, 0
        self.epoch += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredTokens:
    """What there is for the logins of one Secret.

    Attributes:
        tokens: by registry key; including those that stay because their source fails.
        failures: by registry key.
        rate_limited: monotonic seconds at which a rate-limited source may be called again.
        pending: a call is under way.
    """

    tokens: Mapping[str, RegistryToken]
    failures: Mapping[str, TokenFailure]
    rate_limited: float | None = None
    pending: bool = False

    @property
    def times(self) -> TokenTimes:
        """Those of the Secret that holds all of them."""
        return TokenTimes.earliest(token.times for token in self.tokens.values())

    @property
    def fresh(self) -> list[RegistryToken]:
        """Those of sources that did not fail."""
        return [token for key, token in self.tokens.items() if key not in self.failures]

    @property
    def retry_at(self) -> float:
        """Monotonic seconds of the earliest retry; only where a call failed or is rate-limited."""
        ends = [failure.retry_at for failure in self.failures.values()]
        return min(ends) if self.rate_limited is None else min([*ends, self.rate_limited])


def usual_interval(token: RegistryToken) -> float:
    """Seconds between two calls while the token is alive."""
    return minimum_interval(token.expires_at - token.issued_at).total_seconds()


def unanswered(source: TokenSource, known: TokenFailure | None, now: float) -> TokenFailure:
    """The failure of a call that has not been answered for a while."""
    words = f"AWS in {source.region} has not answered yet. Check the network and the region."
    # What is known of the last try holds during the next one, so that the status does not alternate.
    error = known.error if known else TransientError(Reason.AWS_UNAVAILABLE, words)
    return TokenFailure(error=error, retry_at=now + SLOW_RETRY, failed_at=now, unanswered=True)


def unexpected(error: BaseException) -> TransientError:
    """The error for an exception that no adapter translates."""
    # Only the type: the text of an unknown exception may contain a token.
    return TransientError(
        Reason.AWS_UNAVAILABLE,
        f"The call to AWS failed with an unexpected error ({type(error).__name__}); trying again.",
    )
