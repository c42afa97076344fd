"""What one pass does with a Secret, decided from what it has gathered.

Pure functions, most of `Facts`: keep the Secret as it is, leave it to another writer for a while, or write
it; then with which tokens, and what that write is called.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from ecr_operator.api.desired import Desired, Resource
from ecr_operator.api.outcome import Reason, TokenTimes
from ecr_operator.api.token import RegistryToken
from ecr_operator.core import outcomes
from ecr_operator.core.drift import has_first_login, is_intact, times_if_whole
from ecr_operator.core.manifest import has_all_tokens
from ecr_operator.core.schedule import (
    REPAIR_LIMIT,
    Repairs,
    expiry_if_alive,
    is_alive,
    minimum_interval,
    refresh_deadline,
    serves_renewal,
    spread_overdue,
)
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import ResourceState, Result, spec_version
from ecr_operator.core.token_state import GatheredTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a pass has gathered about a resource and the Secret that it may write.

    Attributes:
        resource: as last seen.
        desired: what it asks for.
        present: the Secret by that name; None where there is none.
        own: the resource's own Secret, by an earlier name perhaps.
        up_to_date_times: those of the tokens in `present`; None unless that is up to date.
        as_applied: `present` is as we wrote it, though it may lack tokens.
        due: the deadline has passed, whatever the wall clock shows now.
        first_pass: the first one of this term.
        was_up_to_date: this very spec was reconciled before, so that another client caused the drift.
        rotation_due: the keys that fetched the token have changed.
        label_check_due: whether the label stays is to be tried now.
        include_due: logins of other Secrets are to be copied again, or compared.
        repairs: of the Secret until now.
        now: UTC.
        monotonic: seconds.
    """

    resource: Resource
    desired: Desired
    present: SecretView | None
    own: SecretView | None
    up_to_date_times: TokenTimes | None
    as_applied: bool
    due: bool
    first_pass: bool
    was_up_to_date: bool
    rotation_due: bool
    label_check_due: bool
    include_due: bool
    repairs: Repairs
    now: datetime
    monotonic: float

    @property
    def request_open(self) -> bool:
        """Whether a fresh token was requested that the Secret does not have."""
        answered = self.present.refresh_requested if self.present else None
        return self.present is not None and self.desired.refresh_requested not in (None, answered)

    @property
    def intact(self) -> SecretView | None:
        """The Secret whose logins may stay: by its new name, or by the one before a rename."""
        uid = self.desired.uid
        return next((view for view in (self.present, self.own) if view and is_intact(view, uid)), None)

    @property
    def own_or_predecessor(self) -> SecretView | None:
        """The Secret that the operator wrote, edited or not, for this resource or one that it replaces."""
        return self.present if self.present and self.present.managed else self.own

    def deadline(self, times: TokenTimes) -> datetime:
        """When a token of these times is to be replaced."""
        return refresh_deadline(times, self.desired.frequency, self.desired.uid)

    def settled(self, times: TokenTimes, reason: Reason) -> Result:
        """The result of a Secret that is as it should be."""
        outcome = outcomes.settled(self.resource, self.desired, times, reason)
        return Result(outcome=outcome, refresh_at=self.deadline(times))


def was_up_to_date(state: ResourceState, resource: Resource, monotonic: float) -> bool:
    """Whether this very spec was settled before: then another client has changed or deleted the Secret."""
    if resource.status.get("observedGeneration", resource.generation) != resource.generation:
        return False
    if state.reconciled not in (None, spec_version(resource)):
        return False
    return resource.status.get("phase") == "Updated" or REPAIR_LIMIT.is_contested(state.repairs, monotonic)


def has_first_login_of_ours(state: ResourceState, desired: Desired, view: SecretView | None) -> bool:
    """Whether the Secret has the spec's first login as we wrote it, of whatever age."""
    if view is None or view.entry is None or not has_first_login(view, desired):
        return False
    # Others who take fields out of our entry leave its time; an apply in our name does not.
    return state.applied is None or state.applied.time == view.entry.time


def keep(facts: Facts) -> Result | None:
    """The result where the Secret stays as it is; None where it has drifted or its token is due."""
    times = facts.up_to_date_times
    if times is None or facts.due or facts.label_check_due or facts.rotation_due:
        return None
    deadline = facts.deadline(times)
    if facts.request_open:
        # Not later than it was due anyway.
        allowed = min(deadline, times.issued_at + minimum_interval(times.expires_at - times.issued_at))
        if allowed <= facts.now:
            return None
        return replace(facts.settled(times, Reason.REFRESHED), refresh_at=allowed)
    if facts.now < deadline:
        return facts.settled(times, Reason.REFRESHED)
    if facts.first_pass and is_alive(times, facts.now):
        # Overdue since before the start: nearest to expiry first, and not all at once.
        return Result(outcome=None, refresh_at=spread_overdue(times, facts.now, facts.desired.uid))
    return None


def contested(facts: Facts) -> Result | None:
    """The result where others have undone our repairs too often; None where the Secret is written now."""
    if facts.up_to_date_times:
        return None
    wait = REPAIR_LIMIT.wait(facts.repairs, facts.monotonic)
    if times := times_if_whole(facts.present, facts.desired):
        wait = min(wait, max((facts.deadline(times) - facts.now).total_seconds(), 0.0))
    if not wait:
        return None
    outcome = outcomes.contested(facts.desired, facts.present, times)
    return Result(outcome=outcome, requeue_after=wait, expires_at=expiry_if_alive(times, facts.now))


def must_check_resource(facts: Facts) -> bool:
    """Whether to ask the API server first if the resource still exists: its watch may lag.

    So where a Secret that was well is edited, released or deleted: the garbage collector does that too.
    """
    if facts.up_to_date_times:
        return False
    if facts.was_up_to_date:
        return True
    if facts.present is None:
        return facts.resource.status.get("secretName") == facts.desired.secret_name
    owner = facts.present.owner
    return not facts.desired.orphan and not (owner and owner.controller)


def accepts(facts: Facts, token: RegistryToken) -> bool:
    """Whether a cached token serves, so that AWS need not be called."""
    present = None if facts.label_check_due else facts.up_to_date_times
    if present is None and REPAIR_LIMIT.is_contested(facts.repairs, facts.monotonic):
        # However long the fight lasts, the token in it is renewed in time.
        usable = times_if_whole(facts.present, facts.desired)
        present = usable if usable and facts.now >= facts.deadline(usable) else None
    if not is_alive(token.times, facts.now):
        return False
    if present is None:
        # A repair takes what is there, so that it never waits for AWS; what is due stays due. While a login
        # is missing that lasts, and must not keep the others from their renewal.
        partial = facts.present is not None and not has_all_tokens(facts.desired, facts.present.tokens)
        return not partial or facts.now < facts.deadline(token.times)
    if facts.request_open:
        return token.issued_at > present.issued_at
    return serves_renewal(token.times, present, facts.now)


def answers_request(facts: Facts, fresh: list[RegistryToken]) -> bool:
    """Whether a write with these tokens answers the request for a fresh one.

    A repair or a changed spec that takes a cached token leaves the request open.
    """
    times = facts.present.times if facts.present else None
    if times is None or not facts.request_open:
        return True
    return all(token.issued_at > times.issued_at for token in fresh)


def reason_of_write(facts: Facts) -> Reason:
    """What a write of the Secret is called."""
    if facts.as_applied:
        return Reason.REFRESHED
    owner = facts.present.owner if facts.present else None
    if facts.present and not (owner and owner.uid == facts.desired.uid):
        return Reason.ADOPTED
    return Reason.REPAIRED if facts.was_up_to_date else Reason.REFRESHED


def without_expired(facts: Facts, gathered: GatheredTokens) -> GatheredTokens:
    """Without additional logins that have expired, so that the Secret's times are those of usable ones."""
    tokens = {
        key: token
        for key, token in gathered.tokens.items()
        if key == facts.desired.target or is_alive(token.times, facts.now)
    }
    return gathered if tokens == gathered.tokens else replace(gathered, tokens=tokens)


def without_token(facts: Facts, gathered: GatheredTokens) -> Result:
    """The result where nothing is written: AWS is being called, has failed, or may not be called yet."""
    # A Secret that lacks another login still has the first one.
    present = facts.present
    held = present.times if present and has_first_login(present, facts.desired) else None
    times = facts.up_to_date_times or held
    expires_at = expiry_if_alive(times, facts.now)
    if gathered.pending:
        outcome = None if expires_at else outcomes.pending(times)
        return Result(outcome=outcome, pending=True, expires_at=expires_at)
    requeue_after = max(gathered.retry_at - facts.monotonic, 0.0)
    failure = next(iter(gathered.failures.values()), None)
    # While AWS may not be called yet, what the status reports of the last attempt still holds.
    outcome = outcomes.failed(failure.error, times) if failure else None
    return Result(outcome=outcome, requeue_after=requeue_after, expires_at=expires_at)


def partly_refreshed(facts: Facts, gathered: GatheredTokens) -> Result:
    """Some logins are fresh, and some sources failed: whatever comes first, a retry or a renewal."""
    due = min((facts.deadline(token.times) for token in gathered.fresh), default=None)
    until_due = max((due - facts.now).total_seconds(), 1.0) if due else math.inf
    times = gathered.times
    errors = {key: failure.error for key, failure in gathered.failures.items()}
    return Result(
        outcome=outcomes.partly_refreshed(errors, times),
        requeue_after=min(max(gathered.retry_at - facts.monotonic, 0.0), until_due),
        expires_at=expiry_if_alive(times, facts.now),
    )
