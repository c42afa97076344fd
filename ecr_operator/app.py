"""The composition root: what is made of what, and the order of start and stop."""

import asyncio
import uuid
from collections.abc import Collection
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Final

import structlog

from ecr_operator import __version__, shutdown
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.endpoints import plain_http_warning
from ecr_operator.core.cache import Cache
from ecr_operator.core.cluster_secrets import GATHERING, ClusterSecrets
from ecr_operator.core.included_logins import IncludedLogins
from ecr_operator.core.logins import Logins
from ecr_operator.core.named_objects import NamedObjects
from ecr_operator.core.ownership import Ownership
from ecr_operator.core.ports import SystemClock, WakefulClock
from ecr_operator.core.queue import DeadlineQueue
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.report import Reporter
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.snapshot import failing, measure_loop_lag, snapshot
from ecr_operator.core.state import ResourceState
from ecr_operator.core.tenancy_guard import TenancyGuard
from ecr_operator.core.tokens import TokenCache
from ecr_operator.core.worker import Workers
from ecr_operator.election.elector import Elector, LeaderElection, NoElection
from ecr_operator.kube import connection
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.events import KubeEvents
from ecr_operator.kube.identity_objects import KubeIdentityObjects
from ecr_operator.kube.lease_store import KubeLeaseStore
from ecr_operator.kube.resources import KubeResources
from ecr_operator.kube.secrets import KubeSecrets
from ecr_operator.kube.service_accounts import KubeServiceAccounts
from ecr_operator.links.reconcile import LinkReconciler
from ecr_operator.own_credentials import OwnCredentials
from ecr_operator.settings import Settings
from ecr_operator.telemetry.metrics import Metrics, Snapshot
from ecr_operator.telemetry.probes import Probes
from ecr_operator.telemetry.server import Endpoints
from ecr_operator.watches import Watches

_WORKERS: Final = 16
_DEFAULT_NAMESPACE: Final = "default"

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        connection.ConnectionSetupError: with a kubeconfig, when the API server can't be used at the start.
        BindError: metrics or probes can't be served where they should be.
    """
    stop = shutdown.Stop()
    stop.listen()
    metrics, probes = Metrics(), Probes()
    client = await connection.connect(settings, metrics)
    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(Endpoints(settings, metrics, probes))
        leading = await _leading(settings, client, stack)
        client.guard_writes(leading.is_leader)
        await stack.enter_async_context(client)
        issuer = EcrTokenIssuer(
            SystemClock(),
            KubeIdentityObjects(client),
            settings.identities,
            metrics=metrics,
            regions=lambda: operator.regions(),  # noqa: PLW0108 - it is made below
        )
        await stack.enter_async_context(issuer)
        for warning in (*settings.warnings, plain_http_warning()):
            if warning:
                log.warning(warning)
        operator = Operator(settings, client, issuer, leading, metrics, probes)
        serving = asyncio.create_task(_serve(settings, client, operator, endpoints), name="serve")
        asked = asyncio.create_task(stop.requested.wait(), name="stop")
        await asyncio.wait((serving, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stop.requested.is_set():
            log.info("stopping")
            await operator.drain(shutdown.DRAIN_LIMIT)
        try:
            await shutdown.end(serving, shutdown.CANCEL_LIMIT)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(shutdown.RELEASE_LIMIT):
                    await leading.release()


async def _leading(settings: Settings, client: KubeClient, stack: AsyncExitStack) -> LeaderElection:
    if not settings.leader_elect:
        return NoElection()
    namespace = settings.namespace or client.namespace or _DEFAULT_NAMESPACE
    # Connections of its own: nothing may keep a renewal waiting.
    leases = KubeLeaseStore(await stack.enter_async_context(client.sibling()), namespace)
    return Elector(leases, WakefulClock(), f"{settings.pod_name}_{uuid.uuid4()}")


async def _serve(settings: Settings, client: KubeClient, operator: "Operator", endpoints: Endpoints) -> None:
    if not settings.in_cluster:
        await connection.check(client)
    await endpoints.open()
    log.info(
        "started",
        version=__version__,
        server=client.host,
        namespaces=",".join(settings.namespaces) or "all",
        leader_election=str(operator.leading),
    )
    try:
        await operator.run()
    finally:
        await operator.tokens.close()


class Operator:
    """The parts of the operator, put together.

    Attributes:
        leading: whether this replica may write now.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        settings: Settings,
        client: KubeClient,
        issuer: EcrTokenIssuer,
        leading: LeaderElection,
        metrics: Metrics,
        probes: Probes,
    ) -> None:
        self._settings = settings
        self._client = client
        self._issuer = issuer
        self.leading = leading
        self._probes = probes
        self._metrics = metrics
        self._clock = SystemClock()
        self._queue: DeadlineQueue[ResourceKey] = DeadlineQueue(
            self._clock, workers=_WORKERS, group=lambda key: key.group, expires_at=self._expires_at
        )
        self._named = NamedObjects(issuer.basis, settings.namespaces, self._named_changed)
        self._cache = Cache(
            self._enqueue,
            self._removed,
            self._named,
            orphan_gone=self._orphan_removed,
            identity_left=lambda state: self.tokens.release(state),  # noqa: PLW0108 - they are made below
        )
        self._clusters = ClusterSecrets(self._cache, self._enqueue, self._clock)
        self._rotation = Rotation(self._cache, self._named.keys, self._queue.schedule_at, self._clock)
        self.tokens = TokenCache(issuer, self._clock, self._named.basis, on_fetched=self._enqueue_all)
        self._events = KubeEvents(client, self._clock, settings.pod_name)
        self._tenants = KubeIdentityObjects(client)
        self._statuses = KubeResources(client)
        self._links = LinkReconciler(
            cache=self._cache,
            accounts=KubeServiceAccounts(client),
            resources=self._statuses,
            clock=self._clock,
            enqueue=self._queue.schedule_in,
            scopes=settings.namespaces,
        )
        self._workers = self._build_workers()
        metrics.add_snapshots(self._state, each_resource=settings.resource_metrics)
        self._watches = Watches(
            client=client,
            namespaces=settings.namespaces,
            cache=self._cache,
            clusters=self._clusters,
            links=self._links,
            named=self._named,
            clock=self._clock,
            metrics=metrics,
            probes=probes,
        )

    def _build_workers(self) -> Workers:
        secrets = KubeSecrets(self._client)
        reconciler = Reconciler(
            cache=self._cache,
            secrets=secrets,
            resources=self._statuses,
            logins=Logins(self.tokens, secrets, tag_sessions=self._settings.identities.session_tags),
            writer=SecretWriter(self._cache, secrets, self._links, self._statuses),
            ownership=Ownership(self._cache, secrets, self._statuses),
            guard=TenancyGuard(self._settings.tenancy, self._tenants),
            rotation=self._rotation,
            included=IncludedLogins(secrets, self._named, self._clock),
            clock=self._clock,
        )
        reporter = Reporter(
            cache=self._cache,
            statuses=self._statuses,
            events=self._events,
            metrics=self._metrics,
            enqueue=self._enqueue,
            clock=self._clock,
        )
        return Workers(
            queue=self._queue,
            cache=self._cache,
            reconciler=reconciler,
            clusters=self._clusters,
            links=self._links,
            reporter=reporter,
            resources=self._statuses,
            clock=self._clock,
        )

    async def run(self) -> None:
        """Watch, and work while leading, until cancelled."""
        own = OwnCredentials(self._issuer, self._rotation, self.tokens, self._clock)
        await own.log_origin()
        # Before the first pass, which compares these keys with those of each Secret.
        await own.read_keys()
        async with asyncio.TaskGroup() as group:
            group.create_task(own.warm(), name="warm")
            group.create_task(own.watch(), name="credentials")
            group.create_task(self._warn_of_missing_namespaces(), name="namespaces")
            group.create_task(self.leading.run(self._work), name="leading")
            group.create_task(measure_loop_lag(self._clock, self._metrics.loop_lagged), name="loop lag")
            group.create_task(self._watches.run(), name="watches")
            group.create_task(self._clusters.run(), name="parts of ClusterSecrets")
            keys = self._named.watch_keys(self._issuer.long_lived, self._rotation.keys_read, self._clock)
            group.create_task(keys, name="keys of Secrets")
            group.create_task(self._named.pass_on_later(self._clock), name="changes of Secrets")

    async def drain(self, limit: float) -> None:
        """Take no more work, and let what is in hand be finished for that many seconds."""
        self._probes.stopping()
        self._queue.close()
        self._links.queue.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._queue.idle()
                await self._links.queue.idle()
                if self.leading.is_leader():
                    await self._events.all_sent()

    async def _work(self) -> None:
        """Everything that writes or calls AWS."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._statuses.announce_old_crds(), name="old CRDs")
                group.create_task(self._events.run(), name="events")
                group.create_task(self._links.run(), name="linking")
                group.create_task(self._workers.run(_WORKERS), name="workers")
        finally:
            self.tokens.end_term()

    async def _warn_of_missing_namespaces(self) -> None:
        """Warn of names in WATCH_NAMESPACE that don't exist: nothing else would show a typing error."""
        for name in await self._tenants.missing_namespaces(filter(None, self._settings.namespaces)):
            log.warning(
                "WATCH_NAMESPACE names a namespace that does not exist; it is served once it is created",
                namespace=name,
            )

    def regions(self) -> list[str]:
        """The regions of the resources, those of the oldest first."""
        found = sorted(self._cache.resources(), key=lambda resource: resource.created_at)
        return list(
            dict.fromkeys(region for each in found if each.desired for region in each.desired.regions)
        )

    def _state(self) -> Snapshot:
        leading = self.leading.is_leader()
        return Snapshot(
            resources=snapshot(self._cache, self._clock.now()),
            # A standby gets nothing from the queue, and its old failures are another replica's concern.
            failing=failing(self._cache) if leading else {},
            queue_depth=self._queue.waiting() if leading else 0,
            leading=leading,
        )

    def _enqueue(self, key: ResourceKey) -> None:
        """Enqueue a resource now; a ClusterSecret once its parts may have got somewhere."""
        self._queue.schedule_in(key, GATHERING if key.is_cluster else 0.0)

    def _enqueue_all(self, keys: Collection[ResourceKey]) -> None:
        for key in keys:
            self._enqueue(key)

    def _expires_at(self, key: ResourceKey) -> datetime | None:
        """When the token in a resource's Secret expires."""
        resource = self._cache.resource(key)
        times = self._cache.own_times(resource) if resource else None
        return times.expires_at if times else None

    def _removed(self, state: ResourceState) -> None:
        self.tokens.release(state)
        self._queue.remove(state.key)
        self._links.unlink(state.key)

    def _orphan_removed(self, key: ResourceKey) -> None:
        self._links.unlink(key)

    def _named_changed(self, identities: Collection[Identity], keys: Collection[ResourceKey]) -> None:
        """A Secret or ServiceAccount that gives an identity has changed."""
        for identity in identities:
            self.tokens.drop(identity)
        self._enqueue_all(keys)
