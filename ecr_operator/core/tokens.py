"""One token per source: single flight, shared result, one stream of retries.

Guarantees:
- at most one call to AWS per source is under way, and namespaces share the calls fairly;
- a token is handed out only on the basis on which it was fetched: what permits its identity is read from the
  cluster before, and another basis drops the token;
- what a namespace's identity got goes with the last resource that uses it, and calls after such a drop are
  limited (flow_control.DropLimit);
- after a failure a source is not called until its retry is due, and no other source is slowed;
- no caller waits for AWS: the key of one that gets no token is passed to `on_fetched` when the call ends.

So a worker is never held up by a source that is slow. Rejected: awaiting the flight, which lets one
hanging region take every worker.
"""

import asyncio
import random
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.identity import OPERATOR, Identity
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.flow_control import SLOW, DropLimit, FlowControl
from ecr_operator.core.ports import Clock, TokenIssuer
from ecr_operator.core.schedule import (
    FASTEST_RETRY,
    is_alive,
    longest_retry_delay,
    retry_delay,
)
from ecr_operator.core.shared_reads import SharedReads
from ecr_operator.core.state import ResourceState
from ecr_operator.core.token_state import (
    SLOW_RETRY,
    RateLimited,
    SourceState,
    TokenFailure,
    Waiter,
    unanswered,
    unexpected,
    usual_interval,
)

_MOST_UNUSED: Final = 256
_PUMP_INTERVAL: Final = 0.5


class TokenCache:
    """Tokens by source.

    Args:
        issuer: makes the calls.
        clock: both times.
        read_basis: reads what permits an identity from the cluster.
        on_fetched: called with the keys that got no token, when a call ends.
        rng: the source of jitter.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        clock: Clock,
        read_basis: Callable[[Identity], Awaitable[str]],
        on_fetched: Callable[[Collection[ResourceKey]], None],
        rng: random.Random | None = None,
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._on_fetched = on_fetched
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._sources: dict[TokenSource, SourceState] = {}
        self._of_identity: defaultdict[Identity, set[TokenSource]] = defaultdict(set)
        # The operator's own that no resource uses at present.
        self._unused: OrderedDict[TokenSource, None] = OrderedDict()
        self._drop_limit = DropLimit()
        self._calls = FlowControl(issuer.is_listed, clock.monotonic, self._start)
        self._flights: dict[TokenSource, asyncio.Task[RegistryToken]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._bases = SharedReads(read_basis)

    async def basis(self, identity: Identity) -> str:
        """What permits an identity, read from the cluster after this was called.

        Raises:
            OperatorError: nothing does, or it can't be read.
        """
        if identity == OPERATOR:
            return ""
        try:
            return await self._bases.read(identity)
        except PermanentError:
            for source in self._of_identity.get(identity, ()):
                self._drop(source)
            raise

    def get(
        self,
        source: TokenSource,
        user: ResourceState,
        basis: str,
        expires_at: datetime | None,
        acceptable: Callable[[RegistryToken], bool],
    ) -> RegistryToken | TokenFailure | RateLimited | None:
        """A token, why there is none, or None while a call to AWS is under way.

        Args:
            source: identity, region and service.
            user: uses the source until `release`; `on_fetched` gets its key if there is no token.
            basis: what permits the source's identity, as `basis` has just read it.
            expires_at: when the user's present token expires; retries get more frequent towards it.
            acceptable: whether a cached token is acceptable.
        """
        try:
            self._issuer.check(source)
        except OperatorError as error:
            now = self._clock.monotonic()
            return TokenFailure(error=error, retry_at=now + SLOW_RETRY, failed_at=now)
        entry, key = self._use(source, user, basis), user.key
        if entry.token and acceptable(entry.token):
            return entry.token
        now = self._clock.monotonic()
        if source not in self._flights:
            if entry.failure and now < entry.failure.retry_at:
                entry.refused.add(key)
                self._shorten_backoff(entry, entry.failure, expires_at)
                return entry.failure
            if (soonest := self._soonest(source, entry)) > now:
                return RateLimited(retry_at=soonest)
        since = entry.waiting[key].since if key in entry.waiting else now
        entry.waiting[key] = Waiter(expires_at, since)
        self._request(source, key.group)
        return unanswered(source, entry.failure, now) if now - since >= SLOW else None

    def release(self, user: ResourceState, keep: Collection[TokenSource] = ()) -> None:
        """Have a resource use no source but these, and drop what no resource uses.

        A token of the operator's own identity stays, since its use is checked at each hand-out.
        """
        for source in user.sources.difference(keep):
            user.sources.discard(source)
            self._release(source, user.key)

    def _release(self, source: TokenSource, key: ResourceKey) -> None:
        entry = self._sources[source]
        entry.users -= 1
        entry.refused.discard(key)
        entry.waiting.pop(key, None)
        self._calls.withdraw(source, key.group)
        if entry.users:
            self._request_for_waiting(source, entry)
        elif source.identity == OPERATOR and entry.token:
            self._keep_unused(source)
        else:
            self._remove(source)

    def reset_backoff(self, source: TokenSource) -> None:
        """A fresh token was requested: the next call may come as soon as any after a failure."""
        entry = self._sources.get(source)
        if entry and (failure := entry.failure) and not failure.error.retry_after:
            soonest = min(failure.retry_at, failure.failed_at + FASTEST_RETRY)
            entry.failure = replace(failure, retry_at=soonest)

    def drop_operator(self) -> None:
        """Drop what the operator's credentials got: they have changed."""
        for identity in [identity for identity in self._of_identity if identity.source == "operator"]:
            self.drop(identity)

    def drop(self, identity: Identity) -> None:
        """Drop an identity's tokens and failures, and enqueue the resources that were refused."""
        for source in list(self._of_identity.get(identity, ())):
            self._drop(source)
            entry = self._sources[source]
            refused, entry.refused = entry.refused, set()
            self._on_fetched(refused)

    def end_term(self) -> None:
        """Start no more calls: this replica no longer leads, or stops."""
        for entry in self._sources.values():
            entry.waiting.clear()

    async def close(self) -> None:
        """Cancel what is under way."""
        self.end_term()
        tasks: list[asyncio.Task[Any]] = [*self._flights.values(), *([self._pump] if self._pump else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._bases.close()

    def _use(self, source: TokenSource, user: ResourceState, basis: str) -> SourceState:
        entry = self._sources.get(source)
        if entry is None:
            entry = self._sources[source] = SourceState(basis=basis)
            self._of_identity[source.identity].add(source)
        if (entry.token.basis if entry.token else entry.basis) != basis:
            self._drop(source)
        entry.basis = basis
        if source not in user.sources:
            user.sources.add(source)
            entry.users += 1
            self._unused.pop(source, None)
        return entry

    def _shorten_backoff(
        self, entry: SourceState, failure: TokenFailure, expires_at: datetime | None
    ) -> None:
        """Bring the next call forward if this user has less time left than those before."""
        if expires_at is None or (remaining := expires_at - self._clock.now()) <= timedelta(0):
            return
        latest = self._clock.monotonic() + longest_retry_delay(remaining)
        if latest < failure.retry_at:
            entry.failure = replace(failure, retry_at=latest)

    def _soonest(self, source: TokenSource, entry: SourceState) -> float:
        """When AWS may be called, in monotonic seconds, unless the last call failed."""
        if entry.token and is_alive(entry.token.times, self._clock.now()):
            return entry.fetched_at + usual_interval(entry.token)
        return self._drop_limit.soonest(source, self._clock.monotonic())

    def _drop(self, source: TokenSource) -> None:
        """Drop what a source gave, and bound its next calls."""
        entry = self._sources[source]
        if entry.called_at is not None:
            interval = usual_interval(entry.token) if entry.token else None
            self._drop_limit.dropped(source, self._clock.monotonic(), entry.called_at, interval)
        entry.clear()

    def _remove(self, source: TokenSource) -> None:
        self._drop(source)
        del self._sources[source]
        self._unused.pop(source, None)
        if flight := self._flights.get(source):
            flight.cancel()
        sources = self._of_identity[source.identity]
        sources.discard(source)
        if not sources:
            del self._of_identity[source.identity]
            self._issuer.release(source.identity)

    def _keep_unused(self, source: TokenSource) -> None:
        self._unused[source] = None
        if len(self._unused) > _MOST_UNUSED:
            self._remove(next(iter(self._unused)))

    def _request(self, source: TokenSource, group: str) -> None:
        self._calls.request(source, group)
        if self._calls.any_waiting and self._pump is None:
            self._pump = asyncio.create_task(self._start_waiting(), name="calls that wait")

    def _request_for_waiting(self, source: TokenSource, entry: SourceState) -> None:
        for group in {key.group for key in entry.waiting}:
            self._request(source, group)

    async def _start_waiting(self) -> None:
        """Start calls as slots come free by time alone, for as long as any wait."""
        while self._calls.any_waiting:
            await self._clock.sleep(_PUMP_INTERVAL)
            self._calls.start_waiting()
        self._pump = None

    def _start(self, source: TokenSource) -> bool:
        """Begin a call, if a resource still waits for it."""
        entry = self._sources.get(source)
        if entry is None or not entry.waiting or source in self._flights:
            return False
        entry.called_at = self._clock.monotonic()
        self._drop_limit.called(source, entry.called_at)
        flight = asyncio.create_task(self._issuer.issue(source), name=f"token {source}")
        flight.add_done_callback(partial(self._ended, source, entry, entry.epoch))
        self._flights[source] = flight
        return True

    def _ended(
        self, source: TokenSource, entry: SourceState, epoch: int, flight: "asyncio.Task[RegistryToken]"
    ) -> None:
        # A callback, not the end of the task: one that is cancelled before its first step never runs.
        del self._flights[source]
        known = self._sources.get(source)
        waiting_since: list[ResourceKey] = []
        if known is entry and not flight.cancelled():
            self._take_in(entry, flight, is_current=entry.epoch == epoch)
        elif known and known is not entry:
            # The source was dropped and is used again: the old call is ignored. Waiting resources are
            # enqueued, and meet the limit after a drop.
            waiting_since, known.waiting = list(known.waiting), {}
        self._calls.ended(source, cancelled=flight.cancelled())
        if waiting_since:
            self._on_fetched(waiting_since)

    def _take_in(
        self, entry: SourceState, flight: "asyncio.Task[RegistryToken]", *, is_current: bool
    ) -> None:
        error = flight.exception()
        waiting, refused = list(entry.waiting), set[ResourceKey]()
        if not is_current:
            pass  # dropped meanwhile: the result of the old credentials is ignored
        elif error:
            self._failed(entry, error if isinstance(error, OperatorError) else unexpected(error))
        else:
            # Also those that were refused before: the failure is over.
            refused, entry.refused = entry.refused, set()
            entry.failure, entry.failures = None, 0
            entry.token, entry.fetched_at = flight.result(), self._clock.monotonic()
        entry.waiting = {}
        self._on_fetched([*waiting, *(refused - set(waiting))])

    def _failed(self, entry: SourceState, error: OperatorError) -> None:
        entry.failures += 1
        expiries = [waiter.expires_at for waiter in entry.waiting.values() if waiter.expires_at]
        alive = [expiry for expiry in expiries if expiry > self._clock.now()]
        remaining = min(alive) - self._clock.now() if alive else None
        delay = retry_delay(error, entry.failures, remaining, self._rng)
        now = self._clock.monotonic()
        entry.failure = TokenFailure(error=error, retry_at=now + delay, failed_at=now)
