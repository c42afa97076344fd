"""One token per source: single flight, shared result, one stream of retries.

Guarantees:
- at most one call to AWS per source is under way, whatever asks;
- after a failure a source is left alone until its retry is due, and no other source is slowed;
- nobody waits in here: who asks in vain is named to `landed` when the call is over.

So a worker is never held up by a source that is slow. Rejected: awaiting the flight, which lets one
hanging region take every worker.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ecr_operator.control.ports import Clock, TokenIssuer
from ecr_operator.model.errors import OperatorError, TransientError
from ecr_operator.model.identities import Identity
from ecr_operator.model.outcome import Reason, ResourceKey
from ecr_operator.model.schedule import (
    FASTEST_RETRY,
    is_alive,
    longest_retry_delay,
    minimum_interval,
    retry_delay,
)
from ecr_operator.model.tokens import RegistryToken, TokenSource

_KEPT = 13 * 3600.0  # seconds
_LATELY = 3600.0  # seconds; retries come within half an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFailure:
    """The last call to a source failed.

    Attributes:
        error: what came of it.
        retry_at: monotonic seconds before which AWS is not asked again.
        failed_at: monotonic seconds at which it failed.
    """

    error: OperatorError
    retry_at: float
    failed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TooSoon:
    """The cached token will not do, and is too young to ask for another.

    Attributes:
        retry_at: monotonic seconds at which AWS may be asked again.
    """

    retry_at: float


@dataclass(slots=True)
class _Source:
    token: RegistryToken | None = None
    fetched_at: float = 0.0
    used_at: float = 0.0
    epoch: int = 0
    failure: TokenFailure | None = None
    failures: int = 0
    flight: "asyncio.Task[None] | None" = None
    waiting: dict[ResourceKey, datetime | None] = field(default_factory=dict)
    refused: set[ResourceKey] = field(default_factory=set)

    def is_idle_since(self, monotonic: float) -> bool:
        """Whether nobody has asked since then."""
        return self.flight is None and self.used_at < monotonic


class TokenCache:
    """Tokens by source.

    Args:
        issuer: makes the calls.
        clock: the time.
        landed: called with the keys that asked in vain, once a call is over.
        rng: the source of jitter.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        clock: Clock,
        landed: Callable[[Collection[ResourceKey]], None],
        rng: random.Random | None = None,
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._landed = landed
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._sources: dict[TokenSource, _Source] = {}

    def obtain(
        self,
        source: TokenSource,
        key: ResourceKey,
        expires_at: datetime | None,
        acceptable: Callable[[RegistryToken], bool],
    ) -> RegistryToken | TokenFailure | TooSoon | None:
        """A token, what stands in its way, or None while AWS is being asked.

        Args:
            source: whom to ask.
            key: who asks; named to `landed` if the answer is None.
            expires_at: when the asker's present token dies, if one lives; retries get denser towards it.
            acceptable: whether a cached token will do.
        """
        entry = self._sources.get(source) or self._begin(source)
        entry.used_at = self._clock.monotonic()
        if entry.token and acceptable(entry.token):
            return entry.token
        if entry.flight is None and entry.failure and self._clock.monotonic() < entry.failure.retry_at:
            entry.refused.add(key)
            self._hasten(entry, entry.failure, expires_at)
            return entry.failure
        if entry.flight is None and (soonest := self._soonest(entry)) > self._clock.monotonic():
            return TooSoon(retry_at=soonest)
        entry.waiting[key] = expires_at
        if entry.flight is None:
            entry.flight = asyncio.create_task(self._fly(source, entry), name=f"token {source}")
        return None

    def _begin(self, source: TokenSource) -> _Source:
        """A new source; with it the old ones go that nobody has asked for in longer than a token lives."""
        oldest = self._clock.monotonic() - _KEPT
        for known in [key for key, entry in self._sources.items() if entry.is_idle_since(oldest)]:
            del self._sources[known]
        entry = self._sources[source] = _Source()
        return entry

    def _hasten(self, entry: _Source, failure: TokenFailure, expires_at: datetime | None) -> None:
        """Bring the next try forward if who asks has less time left than those who asked before."""
        if expires_at is None or (remaining := expires_at - self._clock.now()) <= timedelta(0):
            return
        latest = self._clock.monotonic() + longest_retry_delay(remaining)
        if latest < failure.retry_at:
            entry.failure = replace(failure, retry_at=latest)

    def insist(self, source: TokenSource) -> None:
        """A person asks for a fresh token: the next try may come as soon as it ever may after a failure."""
        entry = self._sources.get(source)
        if entry and (failure := entry.failure) and not failure.error.retry_after:
            soonest = min(failure.retry_at, failure.failed_at + FASTEST_RETRY)
            entry.failure = replace(failure, retry_at=soonest)

    def failing(self) -> set[Identity]:
        """The identities whose last call failed, and that somebody still asks for."""
        since = self._clock.monotonic() - _LATELY
        return {
            source.identity
            for source, entry in self._sources.items()
            if entry.failure and entry.used_at > since
        }

    def forget_all(self) -> None:
        """Drop tokens and failures: the operator's credentials have changed."""
        for identity in {source.identity for source in self._sources}:
            self.forget(identity)

    def forget(self, identity: Identity) -> None:
        """Drop an identity's tokens and failures, and have those look again that were refused."""
        for source, entry in self._sources.items():
            if source.identity == identity:
                entry.token, entry.failure, entry.failures = None, None, 0
                entry.epoch += 1
                refused, entry.refused = entry.refused, set()
                self._landed(refused)

    def forget_asker(self, key: ResourceKey) -> None:
        """Drop what is kept of a resource that is gone."""
        for entry in self._sources.values():
            entry.refused.discard(key)

    def _soonest(self, entry: _Source) -> float:
        """When AWS may be asked again after a success, in monotonic seconds."""
        if entry.token is None or not is_alive(entry.token.times, self._clock.now()):
            return 0.0
        life = entry.token.expires_at - entry.token.issued_at
        return entry.fetched_at + minimum_interval(life).total_seconds()

    async def close(self) -> None:
        """Cancel what is under way."""
        flights = [entry.flight for entry in self._sources.values() if entry.flight]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(self, source: TokenSource, entry: _Source) -> None:
        epoch, refused = entry.epoch, set[ResourceKey]()
        try:
            token = await self._issuer.issue(source)
        except OperatorError as error:
            self._failed(entry, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not silence the source for ever
            self._failed(entry, _unforeseen(error))
        else:
            refused, entry.refused = entry.refused, set()
            entry.failure, entry.failures = None, 0
            entry.token, entry.fetched_at = token, self._clock.monotonic()
        if entry.epoch != epoch:
            # The credentials have changed meanwhile: what the old ones got or did not get is of no account.
            entry.token, entry.failure, entry.failures = None, None, 0
        waiting, entry.waiting, entry.flight = entry.waiting, {}, None
        # Those too that were sent away before: what they were refused for is over.
        self._landed([*waiting, *(refused - waiting.keys())])

    def _failed(self, entry: _Source, error: OperatorError) -> None:
        entry.failures += 1
        alive = [expiry for expiry in entry.waiting.values() if expiry and expiry > self._clock.now()]
        remaining = min(alive) - self._clock.now() if alive else None
        delay = retry_delay(error, entry.failures, remaining, self._rng)
        now = self._clock.monotonic()
        entry.failure = TokenFailure(error=error, retry_at=now + delay, failed_at=now)


def _unforeseen(error: Exception) -> TransientError:
    # Only the type: what an unknown exception says may hold a token.
    return TransientError(
        Reason.AWS_UNAVAILABLE,
        f"Asking AWS failed in a way not foreseen ({type(error).__name__}); trying again.",
    )
