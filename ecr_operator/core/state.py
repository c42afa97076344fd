"""All that is remembered of one resource, in one record, and what one pass over it comes to.

Invariant: the cache creates the record with the resource and drops it with the resource. Elsewhere a resource
only stands in the queue, in indexes, among those that wait for a token, and in the limit of Events. Whatever
another leader may have made untrue is reset by `begin_term`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from ecr_operator.api.desired import Problem, Resource
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Outcome, Reason, ResourceKey, TokenTimes
from ecr_operator.api.token import TokenSource
from ecr_operator.core.schedule import Repairs
from ecr_operator.core.secret_view import AppliedEntry

SpecVersion = tuple[str, int]
"""A resource's uid and generation."""


def spec_version(resource: Resource) -> SpecVersion:
    """Which spec of which object a resource is."""
    return resource.uid, resource.generation


@dataclass(slots=True, eq=False)
class ResourceState:
    """What is remembered of a resource. Times are monotonic seconds where they are not datetimes.

    Attributes:
        resource: as last seen.
        sources: the token sources that it uses; kept by the token cache.
        removed: the resource is gone, and with it this record.
        reconciled: the spec that the last pass worked on; None before the first pass of a term.
        applied: our managedFields entry as our last apply left it: an apply under our manager's name by
            somebody else shows in nothing but its time.
        reread_secret: name of a Secret that the watch has shown wrongly: read before the next attempt.
        included: versions by name of the Secrets whose logins were last copied or compared; None before that.
        include_not_before: these Secrets are not read before.
        not_included: what could not be copied from them.
        repairs: of the Secret.
        label_repairs: attempts to set the label that an admission webhook overwrites.
        status_repairs: changes of its status by others.
        answered_request: the request for a fresh token that has shortened a backoff: each does so once.
        rotation_due: when changed keys make its token due, UTC.
        due: its deadline has passed, and no pass has settled it since.
        failures: passes in a row with a transient error of Kubernetes.
        refusals: those with a permanent one.
        not_before: no pass before.
        resting: the spec for which that counts, since the server requested it; None for any.
        fetch_began: when the call to AWS began that it waits for.
        reporting: its status is being written; an echo may come before the answer.
        refused_status: the spec whose status can't be written, which was reported once.
        logged: an outcome was logged: the status of v0.6.0's CRDs can't show it.
        failing: the reason of the last outcome, if that was a failure.
        gathering_since: of a ClusterSecret, since when it waits for the first pass of each part.
        part_status: of a ClusterSecret, the status of the part that reported last, which most share.
    """

    resource: Resource
    sources: set[TokenSource] = field(default_factory=set)
    removed: bool = False
    reconciled: SpecVersion | None = None
    applied: AppliedEntry | None = None
    reread_secret: str | None = None
    included: Mapping[str, str | None] | None = None
    include_not_before: float = 0.0
    not_included: Problem | None = None
    repairs: Repairs = ()
    label_repairs: Repairs = ()
    status_repairs: Repairs = ()
    answered_request: str | None = None
    rotation_due: datetime | None = None
    due: bool = False
    failures: int = 0
    refusals: int = 0
    not_before: float = 0.0
    resting: SpecVersion | None = None
    fetch_began: float | None = None
    reporting: bool = False
    refused_status: SpecVersion | None = None
    logged: bool = False
    failing: Reason | None = None
    gathering_since: float | None = None
    part_status: Mapping[str, Any] | None = None

    @property
    def key(self) -> ResourceKey:
        """The resource's."""
        return self.resource.key

    def rest(self, resource: Resource, until: float) -> None:
        """Make no pass over this spec before; a changed one does not wait."""
        version = spec_version(resource)
        self.not_before = max(until, self.not_before) if self.resting == version else until
        self.resting = version

    def begin_term(self) -> None:
        """Reset what another leader may have made untrue."""
        fresh = ResourceState(self.resource, sources=self.sources, removed=self.removed)
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one pass came to, and when the next is due.

    Attributes:
        outcome: what is reported; None where there is nothing new.
        pending: a call to AWS is under way; the key is enqueued when it ends.
        refresh_at: when the token is due next, UTC.
        requeue_after: seconds until another try.
        error: of Kubernetes, to be tried again with backoff.
        expires_at: when the present token expires, where a refresh is still to come.
        refreshed: the Secret was brought to what it should be; False where it was so already.
        replaced: the times of the token that a fresh one has replaced.
    """

    outcome: Outcome | None
    pending: bool = False
    refresh_at: datetime | None = None
    requeue_after: float | None = None
    error: OperatorError | None = None
    expires_at: datetime | None = None
    refreshed: bool = False
    replaced: TokenTimes | None = None
