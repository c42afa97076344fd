"""THE STORY: one key from start to finish.

Look at the resource and at its Secret; do nothing if the Secret is well; else get a token, apply the
Secret, and say what came of it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import (
    ForeignSecretError,
    OperatorError,
    StaleObjectError,
    TransientError,
)
from ecr_operator.api.outcome import Reason, ResourceKey, TokenTimes
from ecr_operator.api.text import parse_time
from ecr_operator.api.token import RegistryToken
from ecr_operator.core import outcomes
from ecr_operator.core.cache import Cache
from ecr_operator.core.fitting import as_met, holds_target, trusted, usable_times
from ecr_operator.core.last_good import FIELDS, with_last_good
from ecr_operator.core.legacy import has_legacy_status
from ecr_operator.core.logins import Gathered, Logins
from ecr_operator.core.overwritten import OverwrittenLabels
from ecr_operator.core.ownership import Ownership
from ecr_operator.core.ports import Clock, SecretStore
from ecr_operator.core.repair_limit import RepairLimit
from ecr_operator.core.result import Result
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.schedule import (
    is_alive,
    minimum_interval,
    refresh_deadline,
    serves_renewal,
    spread_overdue,
)
from ecr_operator.core.secret import earliest, is_whole
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.status import reported_ready
from ecr_operator.core.tenancy_guard import TenancyGuard

_ATTEMPTS = 4
_CONFLICT_RECHECK = 30.0


class Reconciler:
    """Brings one resource's Secret to what the spec wants.

    Args:
        cache: what was last seen.
        secrets: to read what a Secret has of a field that is not valid.
        logins: gets the tokens.
        writer: writes the generated Secrets.
        ownership: tells whose a Secret is.
        guard: tells whether a resource may have what it wants.
        rotation: tells which tokens changed keys make due.
        clock: the time.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        cache: Cache,
        secrets: SecretStore,
        logins: Logins,
        writer: SecretWriter,
        ownership: Ownership,
        guard: TenancyGuard,
        rotation: Rotation,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._secrets = secrets
        self._logins = logins
        self._writer = writer
        self._ownership = ownership
        self._guard = guard
        self._rotation = rotation
        self._clock = clock
        self._repair_limit = RepairLimit(clock)
        self._overwritten = OverwrittenLabels(clock)
        # What each resource was when last looked at: what is overdue for one not met yet is spread out, and
        # what does not fit for one that was well is somebody's doing.
        self._met: dict[ResourceKey, _Wish] = {}

    async def refresh(self, resource: Resource, *, due: bool) -> Result:
        """Do what has to be done for a resource now.

        Args:
            resource: as last seen.
            due: its time has come, whatever the wall clock says now.
        """
        try:
            desired = await self._with_last_good(resource)
        except OperatorError as error:
            return self._unread(resource, error)
        if desired:
            desired, refused = self._guard.without_refused(desired)
            resource = resource.with_problems(refused)
        try:
            result = await self._attempt(resource, desired, due=due) if desired else self._invalid(resource)
        except OperatorError as error:
            result = self._failed(error, self._own_times(resource), error=error)
        finally:
            self._met[resource.key] = _wish(resource)
        fits = desired is not None and self._writer.holds_target(resource, desired)
        return self._complete(resource, desired, result, fits=fits)

    def remove(self, resource: Resource) -> None:
        """Drop what is kept of a resource that is gone."""
        self._logins.remove(resource)
        self._ownership.remove(resource)
        self._rotation.remove(resource.key)
        self._met.pop(resource.key, None)
        self._writer.forget(resource.key)
        self._repair_limit.forget(resource.key)

    async def _with_last_good(self, resource: Resource) -> Desired | None:
        """The spec, with what the Secret has for fields that are not valid; None: nothing may be written."""
        desired = resource.desired
        if desired and not desired.suspended and not desired.kept & FIELDS:
            return desired
        # Where nothing is written, what there is is reported all the same.
        known = await self._ownership.recall(resource)
        if desired is None or not desired.kept & FIELDS:
            return desired
        if known is None and not desired.suspended:
            known = await self._ownership.inherited(resource, desired)
        secret = await self._secrets.read(known.namespace, known.name) if known else None
        if known and secret and (view := view_secret(secret["metadata"])).owner == known.owner:
            return with_last_good(desired, view, secret)
        return desired if desired.suspended or await self._has_defaults(resource, desired) else None

    async def _has_defaults(self, resource: Resource, desired: Desired) -> bool:
        """Whether defaults may take the place of fields that are not valid, as there is nothing to keep."""
        if desired.may_create or not has_legacy_status(resource):
            return desired.may_create
        try:
            # A Secret of v0.6.0 has the defaults.
            return (await self._ownership.claim(resource, desired)).legacy is not None
        except ForeignSecretError:
            return False

    def _unread(self, resource: Resource, error: OperatorError) -> Result:
        """The Secret can't be read: whether it is as it should be is taken from the status of this spec."""
        result, status = self._failed(error, self._own_times(resource), error=error), resource.status
        is_known = status.get("observedGeneration", resource.generation) == resource.generation
        until = parse_time(status.get("expirationTime"))
        unsure = not is_known or self._cache.own_secret(resource) is None
        if unsure and until and until > self._clock.now() and isinstance(error, TransientError):
            # What was reported of another spec, or of a Secret that no watch shows, stands until that can be
            # read.
            return replace(result, outcome=None, expires_at=until)
        fits = is_known and (status.get("phase") == "Updated" or reported_ready(status) is True)
        return self._complete(resource, resource.desired, result, fits=fits)

    async def _attempt(self, resource: Resource, desired: Desired, *, due: bool) -> Result:
        if desired.suspended:
            told = outcomes.suspended(resource, None)
            return Result(outcome=told, expires_at=self._alive(self._own_times(resource)))
        if self._met.get(resource.key, _wish(resource)) != _wish(resource):
            self._repair_limit.forget(resource.key)
            self._writer.forget(resource.key)
        try:
            result = await self._bring_about(resource, desired, due=due)
            view = self._cache.secret(resource.key.namespace, desired.secret_name)
            return self._overwritten.report(resource.key, desired, view, result)
        except ForeignSecretError as error:
            # Of many that want one name the oldest two look again; the others when something happens to it.
            again = _CONFLICT_RECHECK if self._cache.is_contender(resource) else None
            return Result(outcome=outcomes.failed(error, None), requeue_after=again)

    def _complete(self, resource: Resource, desired: Desired | None, result: Result, *, fits: bool) -> Result:
        """The step, with what the resource's own Secret now is, by whatever spec it was made."""
        if result.outcome is None:
            return result
        view = self._cache.own_secret(resource)
        outcome = replace(
            result.outcome,
            fits=fits,
            times=view.times if view else None,
            secret=view.name if view else None,
            unusable=desired.unusable.message if desired and desired.unusable else "",
            hint=outcomes.hint(desired, self._cache.twin(resource)) if desired else "",
        )
        return replace(result, outcome=outcome)

    def _invalid(self, resource: Resource) -> Result:
        return Result(
            outcome=outcomes.invalid(resource, None), expires_at=self._alive(self._own_times(resource))
        )

    def _own_times(self, resource: Resource) -> TokenTimes | None:
        return self._times(self._cache.own_secret(resource))

    async def _bring_about(self, resource: Resource, desired: Desired, *, due: bool) -> Result:
        if refusal := self._guard.refuse_prefix(desired):
            # Argo CD would offer the login to hosts that are not the registry.
            await self._writer.delete_all(resource)
            raise refusal
        for _ in range(_ATTEMPTS):
            claim = await self._ownership.claim(resource, desired)
            try:
                if claim.legacy:
                    return await self._adopt(resource, desired, claim.legacy, claim.view)
                return await self._settle(resource, desired, claim.view, due=due)
            except StaleObjectError:
                self._ownership.mark_stale(resource, desired)
        raise TransientError(
            Reason.KUBERNETES_UNAVAILABLE,
            f"Secret {desired.secret_name} keeps changing while the operator writes it; trying again.",
        )

    async def _adopt(
        self, resource: Resource, desired: Desired, token: RegistryToken, view: SecretView | None
    ) -> Result:
        """Take over what v0.6.0 wrote, with its token, so that an upgrade asks AWS for nothing."""
        unasked = resource.with_status(resource.status, None)
        await self._writer.apply(unasked, desired, {desired.target: token}, view)
        if len(desired.logins) > 1:
            return Result(outcome=None, requeue_after=0.0)  # v0.6.0 knew one login only: now for the others
        result = replace(_settled(resource, desired, token.times, Reason.ADOPTED), applied=True)
        # A request for a fresh token is still open: now for that, within the rate bound.
        return replace(result, deadline=None, requeue_after=0.0) if resource.refresh_requested else result

    async def _settle(
        self, resource: Resource, desired: Desired, present: SecretView | None, *, due: bool
    ) -> Result:
        fitting = self._writer.fitting(resource, desired)
        times = self._times(fitting)
        relabel = self._overwritten.is_due(resource.key, fitting, met=resource.key in self._met)
        if resource.key not in self._met:
            self._rotation.compare(resource)
        if times and not due and not relabel and (result := self._leave(resource, desired, times)):
            await self._writer.delete_renamed(resource, desired)
            return result
        if not fitting:
            if result := self._contested(resource, desired, present):
                return result
            if self._was_ours(resource, desired, present) and not await self._ownership.is_active(resource):
                return Result(outcome=None, requeue_after=_CONFLICT_RECHECK)
        await self._guard.check(resource, desired)
        found = await self._logins.gather(
            resource,
            desired,
            # Renamed: what a source that fails has given stays, out of the Secret by its old name.
            trusted(present, resource) or trusted(self._cache.own_secret(resource), resource),
            self._acceptable(resource, desired, present, None if relabel else times),
        )
        gathered = self._without_expired(desired, found)
        if gathered.pending or gathered.rate_limited is not None or not gathered.tokens:
            # One that lacks another login holds the first one all the same.
            held = present.times if present and holds_target(present, resource, desired) else None
            return self._without_token(times or held, gathered)
        # One that lacks a token has been changed by nobody.
        untouched = self._writer.is_untouched(resource, desired)
        met = as_met(resource, present, gathered.fresh)
        await self._writer.apply(met, desired, gathered.tokens, present)
        await self._writer.delete_renamed(resource, desired)
        why = self._why(resource, present, untouched=untouched)
        if gathered.failures:
            # What changed keys made due stays due.
            return self._partly(resource, desired, gathered)
        self._rotation.remove(resource.key)
        settled = _settled(resource, desired, earliest(gathered.tokens.values()), why)
        result = replace(settled, applied=True, replaced=times)
        return result if met is resource else replace(result, deadline=None, requeue_after=0.0)

    def _leave(self, resource: Resource, desired: Desired, times: TokenTimes) -> Result | None:
        """What to say of a Secret that is well; None if its token is due."""
        if self._rotation.is_due(resource.key):
            return None
        now, deadline = self._clock.now(), _deadline(resource, desired, times)
        if self._unmet_request(resource, desired):
            # Not later than it was due anyway.
            allowed = min(deadline, times.issued_at + minimum_interval(times.expires_at - times.issued_at))
            if allowed <= now:
                return None
            return replace(_settled(resource, desired, times, Reason.REFRESHED), deadline=allowed)
        if now < deadline:
            return _settled(resource, desired, times, Reason.REFRESHED)
        if resource.key not in self._met and is_alive(times, now):
            # Overdue since before the start: nearest to expiry first, and not all at once.
            return Result(outcome=None, deadline=spread_overdue(times, now, resource.uid))
        return None

    def _contested(self, resource: Resource, desired: Desired, present: SecretView | None) -> Result | None:
        """What to say where others won back the Secret too often; None where it is to be written now."""
        wait, times = self._repair_limit.wait(resource.key), usable_times(present, resource, desired)
        if times:
            until_due = (_deadline(resource, desired, times) - self._clock.now()).total_seconds()
            wait = min(wait, max(until_due, 0.0))
        if not wait:
            return None
        told = outcomes.contested(desired, present, times)
        return Result(outcome=told, requeue_after=wait, expires_at=self._alive(times))

    def _acceptable(
        self, resource: Resource, desired: Desired, seen: SecretView | None, present: TokenTimes | None
    ) -> Callable[[RegistryToken], bool]:
        """Which tokens of the cache may serve, so that AWS need not be asked."""
        now = self._clock.now()
        if present is None and self._repair_limit.is_on(resource.key):
            # However long the fight lasts, the token in it is renewed in time.
            usable = usable_times(seen, resource, desired)
            present = usable if usable and now >= _deadline(resource, desired, usable) else None
        requested = self._unmet_request(resource, desired)
        partial = seen is not None and not is_whole(desired, seen.tokens)

        def acceptable(token: RegistryToken) -> bool:
            if present is None and partial:
                # For as long as a login is missing; that must not keep the others from their renewal.
                return is_alive(token.times, now) and now < _deadline(resource, desired, token.times)
            if present is None:
                # A repair takes what is there, so that it never waits for AWS; what is due stays due.
                return is_alive(token.times, now)
            if requested:
                return is_alive(token.times, now) and token.issued_at > present.issued_at
            return serves_renewal(token.times, present, now)

        return acceptable

    def _without_token(self, times: TokenTimes | None, gathered: Gathered) -> Result:
        if gathered.pending:
            told = None if self._alive(times) else outcomes.pending(times)
            return Result(outcome=told, pending=True, expires_at=self._alive(times))
        requeue_after = self._seconds_until(gathered.retry_at)
        if not gathered.failures:
            # AWS may not be asked yet: what the status says of the last attempt is still so.
            return Result(outcome=None, requeue_after=requeue_after, expires_at=self._alive(times))
        failure = next(iter(gathered.failures.values()))
        return self._failed(failure.error, times, requeue_after=requeue_after)

    def _partly(self, resource: Resource, desired: Desired, gathered: Gathered) -> Result:
        """Some logins are fresh, and some sources failed: whatever comes first, a retry or a renewal."""
        due = min((_deadline(resource, desired, token.times) for token in gathered.fresh), default=None)
        until_due = max((due - self._clock.now()).total_seconds(), 1.0) if due else math.inf
        times = earliest(gathered.tokens.values())
        errors = {key: failure.error for key, failure in gathered.failures.items()}
        return Result(
            outcome=outcomes.partly_refreshed(errors, times),
            requeue_after=min(self._seconds_until(gathered.retry_at), until_due),
            expires_at=self._alive(times),
        )

    def _without_expired(self, desired: Desired, gathered: Gathered) -> Gathered:
        """Without additional logins that have expired, so that the Secret's times are of those of use."""
        now = self._clock.now()
        tokens = {
            key: token
            for key, token in gathered.tokens.items()
            if key == desired.target or is_alive(token.times, now)
        }
        return replace(gathered, tokens=tokens)

    def _seconds_until(self, monotonic: float) -> float:
        return max(monotonic - self._clock.monotonic(), 0.0)

    def _failed(
        self,
        failure: OperatorError,
        times: TokenTimes | None,
        *,
        requeue_after: float | None = None,
        error: OperatorError | None = None,
    ) -> Result:
        outcome = outcomes.failed(failure, times)
        return Result(
            outcome=outcome, requeue_after=requeue_after, error=error, expires_at=self._alive(times)
        )

    def _alive(self, times: TokenTimes | None) -> datetime | None:
        """When the token dies; None if it is dead or there is none."""
        return times.expires_at if times and is_alive(times, self._clock.now()) else None

    def _unmet_request(self, resource: Resource, desired: Desired) -> bool:
        view = self._cache.secret(resource.key.namespace, desired.secret_name)
        return view is not None and resource.refresh_requested not in (None, view.refresh_requested)

    def _why(self, resource: Resource, present: SecretView | None, *, untouched: bool) -> Reason:
        if untouched:
            return Reason.REFRESHED
        if present and not (present.owner and present.owner.uid == resource.uid):
            return Reason.ADOPTED
        if not self._was_well(resource):
            return Reason.REFRESHED
        self._repair_limit.repaired(resource.key)
        return Reason.REPAIRED

    def _was_ours(self, resource: Resource, desired: Desired, present: SecretView | None) -> bool:
        """Whether somebody has changed, released or deleted the Secret: the garbage collector perhaps."""
        if self._was_well(resource):
            return True
        if present is None:
            return resource.status.get("secretName") == desired.secret_name
        return not desired.orphan and not (present.owner and present.owner.controller)

    def _was_well(self, resource: Resource) -> bool:
        """Whether the same spec was settled before: then somebody has changed or deleted the Secret."""
        if resource.status.get("observedGeneration", resource.generation) != resource.generation:
            return False
        if self._met.get(resource.key, _wish(resource)) != _wish(resource):
            return False
        return resource.status.get("phase") == "Updated" or self._repair_limit.is_on(resource.key)

    @staticmethod
    def _times(view: SecretView | None) -> TokenTimes | None:
        return view.times if view else None


_Wish = tuple[str, int]


def _wish(resource: Resource) -> _Wish:
    return resource.uid, resource.generation


def _deadline(resource: Resource, desired: Desired, times: TokenTimes) -> datetime:
    return refresh_deadline(times, desired.frequency, resource.uid)


def _settled(resource: Resource, desired: Desired, times: TokenTimes, reason: Reason) -> Result:
    return Result(
        outcome=outcomes.settled(resource, desired, times, reason),
        deadline=_deadline(resource, desired, times),
    )
