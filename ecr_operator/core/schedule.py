"""When a token is due, when a younger one may serve, and how long to wait after a failure or a repair.

Invariant: a deadline leaves a margin before expiry for several attempts, and is never sooner than the
minimum interval after the last fetch, whatever people write into `frequency`.
"""

import random
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import TokenTimes

_MARGIN_CAP = timedelta(hours=2)
_INTERVAL_CAP = timedelta(minutes=5)
_JITTER = 0.05
_LONGEST_SPREAD = timedelta(minutes=2)
# Of the two minutes within which changed keys are tried: the rest is for noticing them, and for the calls.
_LONGEST_ROTATION = timedelta(seconds=100)

# Where a watch shows a change, and this is for what it does not show.
CONFLICT_RECHECK: Final = 30.0
FASTEST_RETRY = 1.0
_TRANSIENT = (1.0, 60.0)
# Somebody waits: an outage that outlasts a token should not outlast itself by much.
_TRANSIENT_WITHOUT_TOKEN = (1.0, 15.0)
_PERMANENT = (300.0, 1800.0)
_PERMANENT_WITHOUT_TOKEN = (5.0, 300.0)
_KUBERNETES_TRANSIENT = (0.5, 8.0)
# Soon at first: an API server that has just started refuses what its roles allow, until it has read them.
_KUBERNETES_PERMANENT = (2.0, 300.0)
_LONGEST_LINK_RETRY = 30.0
_SHARE_OF_REMAINING_LIFE = 8


Repairs = tuple[float, ...]
"""The latest repairs of one object, in monotonic seconds, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairLimit:
    """At most `at_once` repairs within `window` seconds."""

    window: float
    at_once: int

    def note(self, repairs: Repairs, now: float) -> Repairs:
        """The repairs with one more."""
        return (*repairs, now)[-self.at_once :]

    def wait(self, repairs: Repairs, now: float) -> float:
        """Seconds until the next repair is allowed; 0 for at once."""
        if len(repairs) < self.at_once:
            return 0.0
        return max(repairs[0] + self.window - now, 0.0)

    def is_contested(self, repairs: Repairs, now: float) -> bool:
        """Whether the object was repaired within the last two windows."""
        return bool(repairs) and repairs[-1] + 2 * self.window > now


REPAIR_LIMIT: Final = RepairLimit(window=60.0, at_once=6)


def refresh_deadline(times: TokenTimes, frequency: timedelta | None, seed: str) -> datetime:
    """When a generated Secret should get its next token.

    Args:
        times: of the token that it holds.
        frequency: the user's longest time between refreshes; None: by expiry only.
        seed: spreads resources; the same seed and token give the same deadline, so a restart moves nothing.

    Returns:
        The earlier of `issued_at + frequency` and the safe point before expiry, less up to 5%, UTC.
    """
    life = times.expires_at - times.issued_at
    interval = life - min(_MARGIN_CAP, life / 3)
    if frequency is not None:
        interval = min(interval, frequency)
    interval *= 1 - _JITTER * _fraction(f"{seed}/{times.issued_at.timestamp()}")
    return times.issued_at + max(interval, minimum_interval(life))


def minimum_interval(life: timedelta) -> timedelta:
    """How long a fetched token is reused at least: the rate bound towards AWS."""
    return min(_INTERVAL_CAP, life / 4)


def serves_renewal(candidate: TokenTimes, present: TokenTimes | None, now: datetime) -> bool:
    """Whether a cached token may replace one that is due, without a call to AWS.

    It may while AWS may not be called again, and where it is newer than the present one and
    fetched within the last tenth of its life: so resources that are due together share one call.
    """
    life = candidate.expires_at - candidate.issued_at
    age = now - candidate.issued_at
    if not is_alive(candidate, now):
        return False
    if age < minimum_interval(life):
        return True
    return age <= life / 10 and (present is None or candidate.issued_at > present.issued_at)


def spread_overdue(times: TokenTimes, now: datetime, seed: str) -> datetime:
    """When to refresh what fell due while the operator was down: nearest to expiry first, not all at once."""
    remaining = times.expires_at - now
    return now + min(remaining / 60, _LONGEST_SPREAD) * (0.8 + _fraction(seed) / 5)


def rotation_deadline(times: TokenTimes, now: datetime, seed: str) -> datetime:
    """When to renew a token because the keys behind it have changed: spread by the seed, within 2 minutes.

    Sooner for a token with less than two hours left, so that this leaves time for further attempts.
    """
    remaining = max(times.expires_at - now, timedelta(0))
    return now + min(remaining / 60, _LONGEST_ROTATION) * _fraction(seed)


def is_alive(times: TokenTimes, now: datetime) -> bool:
    """Whether the token is still valid."""
    return now < times.expires_at


def expiry_if_alive(times: TokenTimes | None, now: datetime) -> datetime | None:
    """When a token expires; None if it has expired or there is none."""
    return times.expires_at if times and is_alive(times, now) else None


def retry_delay(
    error: OperatorError, failures: int, remaining: timedelta | None, rng: random.Random
) -> float:
    """Seconds to wait after a failed call to AWS: full jitter, exponential, more often as expiry nears.

    Args:
        error: what came of the last attempt.
        failures: how many came in a row, 1 or more.
        remaining: how long the present token is still valid; None if there is none.
        rng: the source of jitter.
    """
    base, cap = _backoff_range(error, remaining)
    ceiling = min(cap, base * 2.0 ** min(failures, 30))
    delay = rng.uniform(base, ceiling)
    if remaining is not None:
        delay = min(delay, longest_retry_delay(remaining))
    return max(delay, error.retry_after or 0.0, FASTEST_RETRY)


def longest_retry_delay(remaining: timedelta) -> float:
    """The longest delay for a token that is valid for so long: it leaves room for several attempts."""
    return max(remaining.total_seconds() / _SHARE_OF_REMAINING_LIFE, FASTEST_RETRY)


def kubernetes_retry_delay(error: OperatorError, failures: int, rng: random.Random) -> float:
    """Seconds to wait after Kubernetes refused or failed one resource's write: full jitter, exponential."""
    base, cap = _KUBERNETES_PERMANENT if isinstance(error, PermanentError) else _KUBERNETES_TRANSIENT
    delay = rng.uniform(base / 2, min(cap, base * 2.0 ** min(failures - 1, 30)))
    return max(delay, error.retry_after or 0.0)


def link_retry_delay(error: OperatorError, failures: int, rng: random.Random) -> float:
    """Seconds to wait after a link failed: soon at first, as a ServiceAccount often comes a moment later."""
    if isinstance(error, PermanentError):
        return kubernetes_retry_delay(error, failures, rng)
    delay = min(_LONGEST_LINK_RETRY, 2.0 ** min(failures - 1, 30)) * rng.uniform(0.8, 1.0)
    return max(delay, error.retry_after or 0.0)


def _backoff_range(error: OperatorError, remaining: timedelta | None) -> tuple[float, float]:
    if not isinstance(error, PermanentError):
        return _TRANSIENT_WITHOUT_TOKEN if remaining is None else _TRANSIENT
    return _PERMANENT_WITHOUT_TOKEN if remaining is None else _PERMANENT


def _fraction(seed: str) -> float:
    """A number from 0 up to 1 that depends on the seed alone."""
    return zlib.crc32(seed.encode()) / 2**32
