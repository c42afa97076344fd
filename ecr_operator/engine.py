"""The engine: what turns what is watched into what is written, put together over the ports.

It is the same in the operator, over kube and aws, and in tests, over ports in memory. Leaves out: where the
ports lead, leadership, and what is watched (app, watches).
"""

import random
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.core.cache import MOST_RESOURCES, Cache
from ecr_operator.core.cluster_secrets import GATHERING, ClusterSecrets
from ecr_operator.core.included_logins import IncludedLogins
from ecr_operator.core.logins import Logins
from ecr_operator.core.named_objects import NamedObjects
from ecr_operator.core.ownership import Ownership
from ecr_operator.core.ports import (
    Clock,
    EventSink,
    IdentityObjects,
    Resources,
    SecretStore,
    TokenIssuer,
)
from ecr_operator.core.queue import DeadlineQueue
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.report import Reporter
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.schedule import REPAIR_LIMIT
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.state import ResourceState
from ecr_operator.core.tenancy_guard import TenancyGuard
from ecr_operator.core.tokens import TokenCache
from ecr_operator.core.worker import Workers
from ecr_operator.links.reconcile import LinkReconciler
from ecr_operator.links.state import ServiceAccounts
from ecr_operator.telemetry.metrics import Metrics

_WORKERS: Final = 16
# Seconds until a status that others have changed is written anew: not for an echo of our own that came late.
_STATUS_REPAIR: Final = 1.0

Running = dict[str, Coroutine[Any, Any, None]]
"""What is to run, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the engine reads, writes and asks."""

    issuer: TokenIssuer
    secrets: SecretStore
    resources: Resources
    accounts: ServiceAccounts
    tenants: IdentityObjects
    events: EventSink


class Engine:
    """The parts of one process, for one or more terms of leadership.

    Args:
        ports: where it all leads to.
        policy: the cluster admin's limits.
        namespaces: that are served; a single empty string means all.
        metrics: count what happens.
        clock: both times.
        rng: the source of jitter.
        tag_sessions: see `Logins`.
        most: resources of one namespace that are kept.
    """

    def __init__(  # noqa: PLR0913 - what differs between the operator and tests
        self,
        ports: Ports,
        *,
        policy: TenancyPolicy,
        namespaces: Sequence[str],
        metrics: Metrics,
        clock: Clock,
        rng: random.Random | None = None,
        tag_sessions: bool = False,
        most: int = MOST_RESOURCES,
    ) -> None:
        self._ports = ports
        self._clock = clock
        self.queue: DeadlineQueue[ResourceKey] = DeadlineQueue(
            clock, workers=_WORKERS, group=lambda key: key.group, expires_at=self._expires_at
        )
        self.named = NamedObjects(ports.issuer.basis, namespaces, self._named_changed)
        self.cache = Cache(
            self.enqueue,
            self._removed,
            self.named,
            most=most,
            orphan_gone=lambda key: self.links.unlink(key),  # noqa: PLW0108 - they are made below
            identity_left=lambda state: self.tokens.release(state),  # noqa: PLW0108 - the same
            status_changed=self._repair_status,
        )
        self.clusters = ClusterSecrets(self.cache, self.enqueue, clock)
        self.rotation = Rotation(self.cache, self.named.keys, self.queue.schedule_at, clock)
        self.tokens = TokenCache(ports.issuer, clock, self.named.basis, self._enqueue_all, rng)
        self.links = LinkReconciler(
            cache=self.cache,
            accounts=ports.accounts,
            resources=ports.resources,
            clock=clock,
            enqueue=self.queue.schedule_in,
            scopes=namespaces,
            rng=rng,
        )
        self.reconciler = self._build_reconciler(policy, tag_sessions=tag_sessions)
        self._workers = self._build_workers(metrics, rng)

    def _build_reconciler(self, policy: TenancyPolicy, *, tag_sessions: bool) -> Reconciler:
        secrets, resources = self._ports.secrets, self._ports.resources
        return Reconciler(
            cache=self.cache,
            secrets=secrets,
            resources=resources,
            logins=Logins(self.tokens, secrets, tag_sessions=tag_sessions),
            writer=SecretWriter(self.cache, secrets, self.links, resources, self._clock),
            ownership=Ownership(self.cache, secrets, resources),
            guard=TenancyGuard(policy, self._ports.tenants),
            rotation=self.rotation,
            included=IncludedLogins(secrets, self.named, self._clock),
            clock=self._clock,
        )

    def _build_workers(self, metrics: Metrics, rng: random.Random | None) -> Workers:
        reporter = Reporter(
            cache=self.cache,
            resources=self._ports.resources,
            events=self._ports.events,
            metrics=metrics,
            enqueue=self.enqueue,
            clock=self._clock,
        )
        return Workers(
            queue=self.queue,
            cache=self.cache,
            reconciler=self.reconciler,
            clusters=self.clusters,
            links=self.links,
            reporter=reporter,
            resources=self._ports.resources,
            clock=self._clock,
            rng=rng,
        )

    def following(self) -> Running:
        """What is to run all the time, also while another replica leads."""
        keys = self.named.watch_keys(self._ports.issuer.long_lived, self.rotation.keys_read, self._clock)
        return {
            "parts of ClusterSecrets": self.clusters.run(),
            "keys of Secrets": keys,
            "changes of Secrets": self.named.pass_on_later(self._clock),
        }

    def working(self, workers: int = _WORKERS) -> Running:
        """What is to run while this replica leads: it writes and calls AWS."""
        return {"linking": self.links.run(), "workers": self._workers.run(workers)}

    def enqueue(self, key: ResourceKey) -> None:
        """Enqueue a resource now; a ClusterSecret once its parts may have got somewhere."""
        self.queue.schedule_in(key, GATHERING if key.is_cluster else 0.0)

    def _enqueue_all(self, keys: Collection[ResourceKey]) -> None:
        for key in keys:
            self.enqueue(key)

    def _expires_at(self, key: ResourceKey) -> datetime | None:
        """When the token in a resource's Secret expires."""
        resource = self.cache.resource(key)
        times = self.cache.own_times(resource) if resource else None
        return times.expires_at if times else None

    def _repair_status(self, state: ResourceState) -> None:
        """Have the status written anew; as seldom as a Secret if another writer changes it each time."""
        now = self._clock.monotonic()
        wait = REPAIR_LIMIT.wait(state.status_repairs, now)
        state.status_repairs = REPAIR_LIMIT.note(state.status_repairs, now)
        self.queue.schedule_in(state.key, max(wait, _STATUS_REPAIR))

    def _removed(self, state: ResourceState) -> None:
        self.tokens.release(state)
        self.queue.remove(state.key)
        self.links.unlink(state.key)

    def _named_changed(self, identities: Collection[Identity], keys: Collection[ResourceKey]) -> None:
        """A Secret or ServiceAccount that gives an identity has changed."""
        for identity in identities:
            self.tokens.drop(identity)
        self._enqueue_all(keys)
