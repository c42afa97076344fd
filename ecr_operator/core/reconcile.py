"""Reconcile: one pass, from a resource as last seen to its Secret.

In this order: a resource that is being deleted is left to the garbage collector; the last valid value of a
field that is not valid (kept_fields); registries that the cluster admin does not allow (tenancy_guard); a
suspended resource is left as it is; a namespace that is no longer served loses its Secret; may the Secret be
written (ownership), or adopted from v0.6.0 (legacy); gather Facts; logins to copy (included_logins); keep the
Secret, or leave it to another writer for a while (decisions); the admin's other limits; get its tokens
(logins) and write it (secret_writer); the outcome in words (outcomes).
Leaves out: when a pass runs, and how its outcome is reported (worker).
"""

from dataclasses import replace
from datetime import datetime
from functools import partial

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.errors import ForeignSecretError, OperatorError, StaleObjectError, TransientError
from ecr_operator.api.outcome import Reason, TokenTimes
from ecr_operator.api.text import base64_in, parse_time
from ecr_operator.api.token import RegistryToken
from ecr_operator.core import outcomes, overwritten_label
from ecr_operator.core.cache import Cache
from ecr_operator.core.decisions import (
    Facts,
    accepts,
    answers_request,
    contested,
    has_first_login_of_ours,
    keep,
    must_check_resource,
    partly_refreshed,
    reason_of_write,
    was_up_to_date,
    without_expired,
    without_token,
)
from ecr_operator.core.drift import is_as_applied, is_up_to_date
from ecr_operator.core.included_logins import IncludedLogins
from ecr_operator.core.kept_fields import KEPT_FIELDS, with_last_good
from ecr_operator.core.legacy import has_legacy_status
from ecr_operator.core.logins import Logins, held_tokens
from ecr_operator.core.manifest import generated_data
from ecr_operator.core.ownership import Claim, Ownership
from ecr_operator.core.ports import Clock, Resources, SecretStore
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.schedule import CONFLICT_RECHECK, REPAIR_LIMIT, expiry_if_alive
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.state import ResourceState, Result, spec_version
from ecr_operator.core.status import reported_ready
from ecr_operator.core.tenancy_guard import TenancyGuard
from ecr_operator.core.token_state import GatheredTokens
from ecr_operator.core.withdrawal import Withdrawal

_MOST_CLAIMS = 4


class Reconciler:
    """Brings the Secret of one resource to what its spec asks for.

    Args:
        cache: resources and Secrets as last seen.
        secrets: reads what a Secret has of a field that is not valid.
        resources: finds out whether a resource still exists.
        logins: gets the tokens.
        writer: writes the Secrets.
        ownership: decides whether the Secret may be written.
        guard: the cluster admin's limits.
        rotation: which tokens changed keys make due.
        included: reads the Secrets whose logins are copied.
        clock: both times.
    """

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        *,
        cache: Cache,
        secrets: SecretStore,
        resources: Resources,
        logins: Logins,
        writer: SecretWriter,
        ownership: Ownership,
        guard: TenancyGuard,
        rotation: Rotation,
        included: IncludedLogins,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._secrets = secrets
        self._resources = resources
        self._logins = logins
        self._writer = writer
        self._ownership = ownership
        self._guard = guard
        self._withdrawal = Withdrawal(cache, writer)
        self._rotation = rotation
        self._included = included
        self._clock = clock

    async def reconcile(self, state: ResourceState, resource: Resource, *, due: bool) -> Result:
        """Do what is due for a resource now.

        Args:
            state: what is remembered of it.
            resource: as last seen, and whole where the cache keeps a part of a large spec only.
            due: its deadline has passed, whatever the wall clock shows now.
        """
        if resource.deleting:
            return Result(outcome=None)
        try:
            desired = await self._desired(state, resource)
        except OperatorError as error:
            return self._secret_unreadable(resource, error)
        if desired:
            desired, refused = self._guard.without_refused(desired)
            resource = resource.with_problems(refused)
        try:
            result = await self._attempt(state, resource, desired, due=due)
        except OperatorError as error:
            result = self._failed(error, self._cache.own_times(resource))
        finally:
            state.reconciled = spec_version(resource)
            if state.removed:
                self._logins.release(state)
        if desired:
            result = self._included.report(state, desired, result)
        fits = desired is not None and has_first_login_of_ours(state, desired, self._named_secret(desired))
        return self._describe_own_secret(resource, desired, result, fits=fits)

    async def _desired(self, state: ResourceState, resource: Resource) -> Desired | None:
        """What the spec asks for, with what the Secret has for fields that are not valid.

        None where nothing may be written.
        """
        desired = resource.desired
        if desired and desired.refresh_requested != resource.refresh_requested:
            desired = replace(desired, refresh_requested=resource.refresh_requested)
        if desired and not desired.suspended and not desired.invalid_fields & KEPT_FIELDS:
            return desired
        # Where nothing is written, the Secret that exists is reported all the same.
        known = await self._ownership.find_own_secret(resource)
        if desired is None or not desired.invalid_fields & KEPT_FIELDS:
            return desired
        if known is None and not desired.suspended:
            known = await self._ownership.find_predecessor_secret(state, desired)
        secret = await self._secrets.read(known.namespace, known.name) if known else None
        if known and secret and (view := view_secret(secret["metadata"])).owner == known.owner:
            return with_last_good(desired, view, secret)
        return desired if desired.suspended or await self._may_use_defaults(state, desired) else None

    async def _may_use_defaults(self, state: ResourceState, desired: Desired) -> bool:
        """Whether defaults may replace fields that are not valid, since there is nothing to keep."""
        if desired.may_use_defaults or not has_legacy_status(state.resource):
            return desired.may_use_defaults
        try:
            # A Secret of v0.6.0 has the defaults.
            return (await self._ownership.claim(state, desired)).legacy_token is not None
        except ForeignSecretError:
            return False

    async def _attempt(
        self, state: ResourceState, resource: Resource, desired: Desired | None, *, due: bool
    ) -> Result:
        """The outcome where the spec alone decides it; else of the Secret, if it may be written."""
        if desired is None:
            outcome = outcomes.invalid(resource, None)
            return Result(outcome=outcome, expires_at=self._expiry_if_alive(self._cache.own_times(resource)))
        if desired.suspended:
            outcome = outcomes.suspended(resource, None)
            return Result(outcome=outcome, expires_at=self._expiry_if_alive(self._cache.own_times(resource)))
        if desired.withdrawn and not self._withdrawal.is_to_be_released(desired):
            return await self._withdrawal.withdraw(desired)
        if state.reconciled not in (None, spec_version(resource)):
            state.repairs, state.applied = (), None
        if refusal := self._guard.refuse_prefix(desired):
            # Argo CD would offer the login to hosts that are not the registry.
            await self._writer.delete_all(desired)
            raise refusal
        try:
            result = await self._claim_and_settle(state, resource, desired, due=due)
        except ForeignSecretError as error:
            # Of many resources that name one Secret the oldest two look again; the others when it changes.
            again = CONFLICT_RECHECK if self._cache.is_contender(resource) else None
            return Result(outcome=outcomes.failed(error, None), requeue_after=again)
        if desired.withdrawn:
            return replace(result, outcome=None, requeue_after=result.requeue_after or 0.0)
        view = self._named_secret(desired)
        return overwritten_label.report(state, desired, view, result, self._clock.monotonic())

    async def _claim_and_settle(
        self, state: ResourceState, resource: Resource, desired: Desired, *, due: bool
    ) -> Result:
        """Claim the Secret and settle it; from the start again if it changed meanwhile."""
        for _ in range(_MOST_CLAIMS):
            claim = await self._ownership.claim(state, desired)
            try:
                if claim.legacy_token:
                    return await self._adopt_legacy(state, resource, desired, claim.legacy_token, claim)
                return await self._settle(state, self._gather(state, resource, desired, claim.view, due=due))
            except StaleObjectError:
                state.reread_secret = desired.secret_name
        raise TransientError(
            Reason.KUBERNETES_UNAVAILABLE,
            f"Secret {desired.secret_name} keeps changing while the operator writes it; trying again.",
        )

    async def _adopt_legacy(
        self, state: ResourceState, resource: Resource, desired: Desired, token: RegistryToken, claim: Claim
    ) -> Result:
        """Adopt what v0.6.0 wrote, with its token, so that an upgrade makes no call to AWS."""
        without_request = replace(desired, refresh_requested=None)
        await self._writer.apply(state, without_request, {desired.target: token}, claim.view)
        if len(desired.logins) > 1 or desired.includes:
            return Result(outcome=None, requeue_after=0.0)  # v0.6.0 wrote one login: next the others
        facts = self._gather(state, resource, desired, claim.view, due=False)
        result = replace(facts.settled(token.times, Reason.ADOPTED), refreshed=True)
        # A request for a fresh token is still open: answered next, within the rate bound.
        return replace(result, refresh_at=None, requeue_after=0.0) if desired.refresh_requested else result

    def _gather(
        self,
        state: ResourceState,
        resource: Resource,
        desired: Desired,
        present: SecretView | None,
        *,
        due: bool,
    ) -> Facts:
        """All that the decisions of this pass depend on."""
        first_pass = state.reconciled is None
        if first_pass:
            self._rotation.compare(state)
        up_to_date = present is not None and is_up_to_date(present, desired, state.applied)
        return Facts(
            resource=resource,
            desired=desired,
            present=present,
            own=self._cache.own_secret(resource),
            up_to_date_times=present.times if present and up_to_date else None,
            as_applied=present is not None and is_as_applied(present, desired, state.applied),
            due=due,
            first_pass=first_pass,
            was_up_to_date=was_up_to_date(state, resource, self._clock.monotonic()),
            rotation_due=self._rotation.is_due(state),
            label_check_due=present is not None
            and up_to_date
            and overwritten_label.note_attempt(state, present, self._clock.monotonic()),
            include_due=self._included.wait(state, desired) == 0,
            repairs=state.repairs,
            now=self._clock.now(),
            monotonic=self._clock.monotonic(),
        )

    async def _settle(self, state: ResourceState, facts: Facts) -> Result:
        """Keep the Secret, or get its tokens and write it."""
        desired = facts.desired
        if facts.include_due and facts.up_to_date_times and await self._copy_logins(state, facts):
            return Result(outcome=None, requeue_after=0.0)  # with the Secret as it is now
        if result := keep(facts):
            await self._writer.delete_renamed(state, desired)
            return result
        if result := contested(facts):
            return result
        if must_check_resource(facts) and not await self._resources.is_active(desired.key, desired.uid):
            # The watch of resources may lag behind that of Secrets, which the garbage collector changes.
            return Result(outcome=None, requeue_after=CONFLICT_RECHECK)
        await self._guard.check(desired)
        found = await self._logins.gather(state, desired, facts.intact, partial(accepts, facts))
        gathered = without_expired(facts, found)
        if gathered.pending or gathered.rate_limited is not None or not gathered.tokens:
            return without_token(facts, gathered)
        return await self._write(state, facts, gathered)

    async def _write(self, state: ResourceState, facts: Facts, gathered: GatheredTokens) -> Result:
        """Write the Secret with these tokens, and delete those of earlier names."""
        desired = facts.desired
        answered = answers_request(facts, gathered.fresh)
        if not answered and facts.present:
            desired = replace(desired, refresh_requested=facts.present.refresh_requested)
        included = await self._included.read(state, desired, facts.own_or_predecessor)
        await self._writer.apply(state, desired, gathered.tokens, facts.present, included)
        await self._writer.delete_renamed(state, desired)
        reason = reason_of_write(facts)
        if reason is Reason.REPAIRED:
            state.repairs = REPAIR_LIMIT.note(state.repairs, facts.monotonic)
        if gathered.failures:
            # What changed keys made due stays due.
            return partly_refreshed(facts, gathered)
        state.rotation_due = None
        settled = facts.settled(gathered.times, reason)
        result = replace(settled, refreshed=True, replaced=facts.up_to_date_times)
        return result if answered else replace(result, refresh_at=None, requeue_after=0.0)

    async def _copy_logins(self, state: ResourceState, facts: Facts) -> bool:
        """Write the logins of other Secrets beside the tokens that the Secret has; False if it has them."""
        desired, present = facts.desired, facts.present
        included = await self._included.read(state, desired, facts.present)
        secret = await self._included.read_own(present) if present else None
        tokens = held_tokens(desired, present, secret) if present else {}
        if included is None or present is None or secret is None or desired.target not in tokens:
            return False
        data = generated_data(desired, tokens, included.logins)
        if {key: base64_in(value) for key, value in secret["data"].items() if key in data} == data:
            state.included = included.versions
            return False
        desired = replace(desired, refresh_requested=present.refresh_requested)
        await self._writer.apply(state, desired, tokens, present, included)
        return True

    def _failed(self, error: OperatorError, times: TokenTimes | None) -> Result:
        """The result of an error of Kubernetes, of the identity, or of the cluster admin's limits."""
        outcome = outcomes.failed(error, times)
        return Result(outcome=outcome, error=error, expires_at=self._expiry_if_alive(times))

    def _secret_unreadable(self, resource: Resource, error: OperatorError) -> Result:
        """The result where the Secret can't be read: what the status last reported stands."""
        status = resource.status
        result = self._failed(error, self._cache.own_times(resource))
        is_known = status.get("observedGeneration", resource.generation) == resource.generation
        until = parse_time(status.get("expirationTime"))
        unsure = not is_known or self._cache.own_secret(resource) is None
        if unsure and until and until > self._clock.now() and isinstance(error, TransientError):
            # What was reported of another spec, or of a Secret that no watch shows, stands until it can be
            # read.
            return replace(result, outcome=None, expires_at=until)
        fits = is_known and (status.get("phase") == "Updated" or reported_ready(status) is True)
        return self._describe_own_secret(resource, resource.desired, result, fits=fits)

    def _describe_own_secret(
        self, resource: Resource, desired: Desired | None, result: Result, *, fits: bool
    ) -> Result:
        """The result with the resource's own Secret as it is now, even if an earlier spec made it."""
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

    def _named_secret(self, desired: Desired) -> SecretView | None:
        return self._cache.secret(desired.key.namespace, desired.secret_name)

    def _expiry_if_alive(self, times: TokenTimes | None) -> datetime | None:
        return expiry_if_alive(times, self._clock.now())
