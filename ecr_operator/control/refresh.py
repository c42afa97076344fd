"""THE STORY: one key from start to finish.

Look at the resource and at its Secret; do nothing if the Secret is well; else get a token, apply the
Secret, and say what came of it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from ecr_operator.control.admission import Admission
from ecr_operator.control.contests import Contests
from ecr_operator.control.inventory import Inventory
from ecr_operator.control.logins import Gathered, Logins
from ecr_operator.control.overwritten import OverwrittenLabels
from ecr_operator.control.ownership import Claims
from ecr_operator.control.ports import Clock, SecretStore
from ecr_operator.control.rotation import Rotation
from ecr_operator.control.step import Step
from ecr_operator.control.writing import SecretWriter
from ecr_operator.model import outcomes
from ecr_operator.model.conditions import said_ready
from ecr_operator.model.desired import Resource, Wanted
from ecr_operator.model.errors import (
    ForeignSecretError,
    OperatorError,
    StaleObjectError,
    TransientError,
)
from ecr_operator.model.fitting import as_met, holds_target, trusted, usable_times
from ecr_operator.model.last_good import FIELDS, with_last_good
from ecr_operator.model.legacy import has_legacy_status
from ecr_operator.model.manifests import earliest, is_whole
from ecr_operator.model.outcome import Reason, ResourceKey, TokenTimes
from ecr_operator.model.ownership import SecretView, view_secret
from ecr_operator.model.schedule import (
    is_alive,
    minimum_interval,
    refresh_deadline,
    serves_renewal,
    spread_overdue,
)
from ecr_operator.model.times import parse_time
from ecr_operator.model.tokens import RegistryToken

_ATTEMPTS = 4
_CONFLICT_RECHECK = 30.0


class Refresher:
    """Brings one resource's Secret to what the spec wants.

    Args:
        inventory: what was last seen.
        secrets: to read what a Secret has of a field that is not valid.
        logins: gets the tokens.
        writer: writes the generated Secrets.
        claims: tells whose a Secret is.
        admission: tells whether a resource may have what it wants.
        rotation: tells which tokens changed keys make due.
        clock: the time.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        *,
        inventory: Inventory,
        secrets: SecretStore,
        logins: Logins,
        writer: SecretWriter,
        claims: Claims,
        admission: Admission,
        rotation: Rotation,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._secrets = secrets
        self._logins = logins
        self._writer = writer
        self._claims = claims
        self._admission = admission
        self._rotation = rotation
        self._clock = clock
        self._contests = Contests(clock)
        self._overwritten = OverwrittenLabels(clock)
        # What each resource was when last looked at: what is overdue for one not met yet is spread out, and
        # what does not fit for one that was well is somebody's doing.
        self._met: dict[ResourceKey, _Wish] = {}

    async def refresh(self, resource: Resource, *, due: bool) -> Step:
        """Do what has to be done for a resource now.

        Args:
            resource: as last seen.
            due: its time has come, whatever the wall clock says now.
        """
        try:
            wanted = await self._with_last_good(resource)
        except OperatorError as error:
            return self._unread(resource, error)
        if wanted:
            wanted, refused = self._admission.without_refused(wanted)
            resource = resource.with_problems(refused)
        try:
            step = await self._attempt(resource, wanted, due=due) if wanted else self._invalid(resource)
        except OperatorError as error:
            step = self._failed(error, self._own_times(resource), error=error)
        finally:
            self._met[resource.key] = _wish(resource)
        fits = wanted is not None and self._writer.holds_target(resource, wanted)
        return self._complete(resource, wanted, step, fits=fits)

    def remove(self, resource: Resource) -> None:
        """Drop what is kept of a resource that is gone."""
        self._logins.remove(resource)
        self._claims.remove(resource)
        self._rotation.remove(resource.key)
        self._met.pop(resource.key, None)
        self._writer.forget(resource.key)
        self._contests.forget(resource.key)

    async def _with_last_good(self, resource: Resource) -> Wanted | None:
        """The spec, with what the Secret has for fields that are not valid; None: nothing may be written."""
        wanted = resource.wanted
        if wanted and not wanted.suspended and not wanted.kept & FIELDS:
            return wanted
        # Where nothing is written, what there is is reported all the same.
        known = await self._claims.recall(resource)
        if wanted is None or not wanted.kept & FIELDS:
            return wanted
        if known is None and not wanted.suspended:
            known = await self._claims.inherited(resource, wanted)
        secret = await self._secrets.read(known.namespace, known.name) if known else None
        if known and secret and (view := view_secret(secret["metadata"])).owner == known.owner:
            return with_last_good(wanted, view, secret)
        return wanted if wanted.suspended or await self._has_defaults(resource, wanted) else None

    async def _has_defaults(self, resource: Resource, wanted: Wanted) -> bool:
        """Whether defaults may take the place of fields that are not valid, as there is nothing to keep."""
        if wanted.may_create or not has_legacy_status(resource):
            return wanted.may_create
        try:
            # A Secret of v0.6.0 has the defaults.
            return (await self._claims.stake(resource, wanted)).legacy is not None
        except ForeignSecretError:
            return False

    def _unread(self, resource: Resource, error: OperatorError) -> Step:
        """The Secret can't be read: whether it is as it should be is taken from the status of this spec."""
        step, status = self._failed(error, self._own_times(resource), error=error), resource.status
        is_known = status.get("observedGeneration", resource.generation) == resource.generation
        until = parse_time(status.get("expirationTime"))
        unsure = not is_known or self._inventory.own_secret(resource) is None
        if unsure and until and until > self._clock.now() and isinstance(error, TransientError):
            # What was reported of another spec, or of a Secret that no watch shows, stands until that can be
            # read.
            return replace(step, outcome=None, expires_at=until)
        fits = is_known and (status.get("phase") == "Updated" or said_ready(status) is True)
        return self._complete(resource, resource.wanted, step, fits=fits)

    async def _attempt(self, resource: Resource, wanted: Wanted, *, due: bool) -> Step:
        if wanted.suspended:
            told = outcomes.suspended(resource, None)
            return Step(outcome=told, expires_at=self._alive(self._own_times(resource)))
        if self._met.get(resource.key, _wish(resource)) != _wish(resource):
            self._contests.forget(resource.key)
            self._writer.forget(resource.key)
        try:
            step = await self._bring_about(resource, wanted, due=due)
            view = self._inventory.secret(resource.key.namespace, wanted.secret_name)
            return self._overwritten.report(resource.key, wanted, view, step)
        except ForeignSecretError as error:
            # Of many that want one name the oldest two look again; the others when something happens to it.
            again = _CONFLICT_RECHECK if self._inventory.is_contender(resource) else None
            return Step(outcome=outcomes.failed(error, None), retry_in=again)

    def _complete(self, resource: Resource, wanted: Wanted | None, step: Step, *, fits: bool) -> Step:
        """The step, with what the resource's own Secret now is, by whatever spec it was made."""
        if step.outcome is None:
            return step
        view = self._inventory.own_secret(resource)
        outcome = replace(
            step.outcome,
            fits=fits,
            times=view.times if view else None,
            secret=view.name if view else None,
            unusable=wanted.unusable.message if wanted and wanted.unusable else "",
            hint=outcomes.hint(wanted, self._inventory.twin(resource)) if wanted else "",
        )
        return replace(step, outcome=outcome)

    def _invalid(self, resource: Resource) -> Step:
        return Step(
            outcome=outcomes.invalid(resource, None), expires_at=self._alive(self._own_times(resource))
        )

    def _own_times(self, resource: Resource) -> TokenTimes | None:
        return self._times(self._inventory.own_secret(resource))

    async def _bring_about(self, resource: Resource, wanted: Wanted, *, due: bool) -> Step:
        if refusal := self._admission.refuse_prefix(wanted):
            # Argo CD would offer the login to hosts that are not the registry.
            await self._writer.delete_all(resource)
            raise refusal
        for _ in range(_ATTEMPTS):
            stake = await self._claims.stake(resource, wanted)
            try:
                if stake.legacy:
                    return await self._adopt(resource, wanted, stake.legacy, stake.view)
                return await self._settle(resource, wanted, stake.view, due=due)
            except StaleObjectError:
                self._claims.doubt(resource, wanted)
        raise TransientError(
            Reason.KUBERNETES_UNAVAILABLE,
            f"Secret {wanted.secret_name} keeps changing while the operator writes it; trying again.",
        )

    async def _adopt(
        self, resource: Resource, wanted: Wanted, token: RegistryToken, view: SecretView | None
    ) -> Step:
        """Take over what v0.6.0 wrote, with its token, so that an upgrade asks AWS for nothing."""
        unasked = resource.with_status(resource.status, None)
        await self._writer.apply(unasked, wanted, {wanted.target: token}, view)
        if len(wanted.logins) > 1:
            return Step(outcome=None, retry_in=0.0)  # v0.6.0 knew one login only: now for the others
        step = replace(_settled(resource, wanted, token.times, Reason.ADOPTED), applied=True)
        # A request for a fresh token is still open: now for that, within the rate bound.
        return replace(step, deadline=None, retry_in=0.0) if resource.refresh_requested else step

    async def _settle(
        self, resource: Resource, wanted: Wanted, present: SecretView | None, *, due: bool
    ) -> Step:
        fitting = self._writer.fitting(resource, wanted)
        times = self._times(fitting)
        relabel = self._overwritten.is_due(resource.key, fitting, met=resource.key in self._met)
        if resource.key not in self._met:
            self._rotation.compare(resource)
        if times and not due and not relabel and (step := self._leave(resource, wanted, times)):
            await self._writer.sweep(resource, wanted)
            return step
        if not fitting:
            if step := self._contested(resource, wanted, present):
                return step
            if self._was_ours(resource, wanted, present) and not await self._claims.is_active(resource):
                return Step(outcome=None, retry_in=_CONFLICT_RECHECK)
        await self._admission.check(resource, wanted)
        found = await self._logins.gather(
            resource,
            wanted,
            # Renamed: what a source that fails has given stays, out of the Secret by its old name.
            trusted(present, resource) or trusted(self._inventory.own_secret(resource), resource),
            self._acceptable(resource, wanted, present, None if relabel else times),
        )
        gathered = self._without_expired(wanted, found)
        if gathered.pending or gathered.rate_limited is not None or not gathered.tokens:
            # One that lacks another login holds the first one all the same.
            held = present.times if present and holds_target(present, resource, wanted) else None
            return self._without_token(times or held, gathered)
        # One that lacks a token has been changed by nobody.
        untouched = self._writer.is_untouched(resource, wanted)
        met = as_met(resource, present, gathered.fresh)
        await self._writer.apply(met, wanted, gathered.tokens, present)
        await self._writer.sweep(resource, wanted)
        why = self._why(resource, present, untouched=untouched)
        if gathered.failures:
            # What changed keys made due stays due.
            return self._partly(resource, wanted, gathered)
        self._rotation.remove(resource.key)
        settled = _settled(resource, wanted, earliest(gathered.tokens.values()), why)
        step = replace(settled, applied=True, replaced=times)
        return step if met is resource else replace(step, deadline=None, retry_in=0.0)

    def _leave(self, resource: Resource, wanted: Wanted, times: TokenTimes) -> Step | None:
        """What to say of a Secret that is well; None if its token is due."""
        if self._rotation.is_due(resource.key):
            return None
        now, deadline = self._clock.now(), _deadline(resource, wanted, times)
        if self._unmet_request(resource, wanted):
            # Not later than it was due anyway.
            allowed = min(deadline, times.issued_at + minimum_interval(times.expires_at - times.issued_at))
            if allowed <= now:
                return None
            return replace(_settled(resource, wanted, times, Reason.REFRESHED), deadline=allowed)
        if now < deadline:
            return _settled(resource, wanted, times, Reason.REFRESHED)
        if resource.key not in self._met and is_alive(times, now):
            # Overdue since before the start: nearest to expiry first, and not all at once.
            return Step(outcome=None, deadline=spread_overdue(times, now, resource.uid))
        return None

    def _contested(self, resource: Resource, wanted: Wanted, present: SecretView | None) -> Step | None:
        """What to say where others won back the Secret too often; None where it is to be written now."""
        wait, times = self._contests.wait(resource.key), usable_times(present, resource, wanted)
        if times:
            until_due = (_deadline(resource, wanted, times) - self._clock.now()).total_seconds()
            wait = min(wait, max(until_due, 0.0))
        if not wait:
            return None
        told = outcomes.contested(wanted, present, times)
        return Step(outcome=told, retry_in=wait, expires_at=self._alive(times))

    def _acceptable(
        self, resource: Resource, wanted: Wanted, seen: SecretView | None, present: TokenTimes | None
    ) -> Callable[[RegistryToken], bool]:
        """Which tokens of the cache may serve, so that AWS need not be asked."""
        now = self._clock.now()
        if present is None and self._contests.is_on(resource.key):
            # However long the fight lasts, the token in it is renewed in time.
            usable = usable_times(seen, resource, wanted)
            present = usable if usable and now >= _deadline(resource, wanted, usable) else None
        requested = self._unmet_request(resource, wanted)
        partial = seen is not None and not is_whole(wanted, seen.tokens)

        def acceptable(token: RegistryToken) -> bool:
            if present is None and partial:
                # For as long as a login is missing; that must not keep the others from their renewal.
                return is_alive(token.times, now) and now < _deadline(resource, wanted, token.times)
            if present is None:
                # A repair takes what is there, so that it never waits for AWS; what is due stays due.
                return is_alive(token.times, now)
            if requested:
                return is_alive(token.times, now) and token.issued_at > present.issued_at
            return serves_renewal(token.times, present, now)

        return acceptable

    def _without_token(self, times: TokenTimes | None, gathered: Gathered) -> Step:
        if gathered.pending:
            told = None if self._alive(times) else outcomes.pending(times)
            return Step(outcome=told, pending=True, expires_at=self._alive(times))
        retry_in = self._seconds_until(gathered.retry_at)
        if not gathered.failures:
            # AWS may not be asked yet: what the status says of the last attempt is still so.
            return Step(outcome=None, retry_in=retry_in, expires_at=self._alive(times))
        failure = next(iter(gathered.failures.values()))
        return self._failed(failure.error, times, retry_in=retry_in)

    def _partly(self, resource: Resource, wanted: Wanted, gathered: Gathered) -> Step:
        """Some logins are fresh, and some sources failed: whatever comes first, a retry or a renewal."""
        due = min((_deadline(resource, wanted, token.times) for token in gathered.fresh), default=None)
        until_due = max((due - self._clock.now()).total_seconds(), 1.0) if due else math.inf
        times = earliest(gathered.tokens.values())
        errors = {key: failure.error for key, failure in gathered.failures.items()}
        return Step(
            outcome=outcomes.partly_refreshed(errors, times),
            retry_in=min(self._seconds_until(gathered.retry_at), until_due),
            expires_at=self._alive(times),
        )

    def _without_expired(self, wanted: Wanted, gathered: Gathered) -> Gathered:
        """Without additional logins that have expired, so that the Secret's times are of those of use."""
        now = self._clock.now()
        tokens = {
            key: token
            for key, token in gathered.tokens.items()
            if key == wanted.target or is_alive(token.times, now)
        }
        return replace(gathered, tokens=tokens)

    def _seconds_until(self, monotonic: float) -> float:
        return max(monotonic - self._clock.monotonic(), 0.0)

    def _failed(
        self,
        failure: OperatorError,
        times: TokenTimes | None,
        *,
        retry_in: float | None = None,
        error: OperatorError | None = None,
    ) -> Step:
        outcome = outcomes.failed(failure, times)
        return Step(outcome=outcome, retry_in=retry_in, error=error, expires_at=self._alive(times))

    def _alive(self, times: TokenTimes | None) -> datetime | None:
        """When the token dies; None if it is dead or there is none."""
        return times.expires_at if times and is_alive(times, self._clock.now()) else None

    def _unmet_request(self, resource: Resource, wanted: Wanted) -> bool:
        view = self._inventory.secret(resource.key.namespace, wanted.secret_name)
        return view is not None and resource.refresh_requested not in (None, view.refresh_requested)

    def _why(self, resource: Resource, present: SecretView | None, *, untouched: bool) -> Reason:
        if untouched:
            return Reason.REFRESHED
        if present and not (present.owner and present.owner.uid == resource.uid):
            return Reason.ADOPTED
        if not self._was_well(resource):
            return Reason.REFRESHED
        self._contests.repaired(resource.key)
        return Reason.REPAIRED

    def _was_ours(self, resource: Resource, wanted: Wanted, present: SecretView | None) -> bool:
        """Whether somebody has changed, released or deleted the Secret: the garbage collector perhaps."""
        if self._was_well(resource):
            return True
        if present is None:
            return resource.status.get("secretName") == wanted.secret_name
        return not wanted.orphan and not (present.owner and present.owner.controller)

    def _was_well(self, resource: Resource) -> bool:
        """Whether the same spec was settled before: then somebody has changed or deleted the Secret."""
        if resource.status.get("observedGeneration", resource.generation) != resource.generation:
            return False
        if self._met.get(resource.key, _wish(resource)) != _wish(resource):
            return False
        return resource.status.get("phase") == "Updated" or self._contests.is_on(resource.key)

    @staticmethod
    def _times(view: SecretView | None) -> TokenTimes | None:
        return view.times if view else None


_Wish = tuple[str, int]


def _wish(resource: Resource) -> _Wish:
    return resource.uid, resource.generation


def _deadline(resource: Resource, wanted: Wanted, times: TokenTimes) -> datetime:
    return refresh_deadline(times, wanted.frequency, resource.uid)


def _settled(resource: Resource, wanted: Wanted, times: TokenTimes, reason: Reason) -> Step:
    return Step(
        outcome=outcomes.settled(resource, wanted, times, reason),
        deadline=_deadline(resource, wanted, times),
    )
