"""The composition root: what is made of what, and the order of start and stop."""

import asyncio
import uuid
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog

from ecr_operator import __version__, shutdown
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.endpoints import plain_http_warning
from ecr_operator.core.ports import SystemClock, WakefulClock
from ecr_operator.core.snapshot import failing, measure_loop_lag, snapshot
from ecr_operator.election.elector import Elector, LeaderElection, NoElection
from ecr_operator.engine import Engine, Ports
from ecr_operator.kube import connection
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.events import KubeEvents
from ecr_operator.kube.identity_objects import KubeIdentityObjects
from ecr_operator.kube.lease_store import KubeLeaseStore
from ecr_operator.kube.resources import KubeResources
from ecr_operator.kube.secrets import KubeSecrets
from ecr_operator.kube.service_accounts import KubeServiceAccounts
from ecr_operator.own_credentials import OwnCredentials
from ecr_operator.settings import Settings
from ecr_operator.telemetry.metrics import Metrics, Snapshot
from ecr_operator.telemetry.probes import Probes
from ecr_operator.telemetry.server import Endpoints
from ecr_operator.watches import Watches

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
        await operator.engine.tokens.close()


class Operator:
    """The parts of the operator, put together.

    Attributes:
        leading: whether this replica may write now.
        engine: what it runs.
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
        self._issuer = issuer
        self.leading = leading
        self._probes = probes
        self._metrics = metrics
        self._clock = SystemClock()
        self._events = KubeEvents(client, self._clock, settings.pod_name)
        self._tenants = KubeIdentityObjects(client)
        self._resources = KubeResources(client)
        ports = Ports(
            issuer=issuer,
            secrets=KubeSecrets(client),
            resources=self._resources,
            accounts=KubeServiceAccounts(client),
            tenants=self._tenants,
            events=self._events,
        )
        self.engine = Engine(
            ports,
            policy=settings.tenancy,
            namespaces=settings.namespaces,
            metrics=metrics,
            clock=self._clock,
            tag_sessions=settings.identities.session_tags,
        )
        metrics.add_snapshots(self._state, each_resource=settings.resource_metrics)
        self._watches = Watches(client, settings.namespaces, self.engine, self._clock, metrics, probes)

    async def run(self) -> None:
        """Watch, and work while leading, until cancelled."""
        own = OwnCredentials(self._issuer, self.engine.rotation, self.engine.tokens, self._clock)
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
            for name, following in self.engine.following().items():
                group.create_task(following, name=name)

    async def drain(self, limit: float) -> None:
        """Take no more work, and let what is in hand be finished for that many seconds."""
        self._probes.stopping()
        self.engine.queue.close()
        self.engine.links.queue.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self.engine.queue.idle()
                await self.engine.links.queue.idle()
                if self.leading.is_leader():
                    await self._events.all_sent()

    async def _work(self) -> None:
        """Everything that writes or calls AWS."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._resources.announce_old_crds(), name="old CRDs")
                group.create_task(self._events.run(), name="events")
                for name, working in self.engine.working().items():
                    group.create_task(working, name=name)
        finally:
            self.engine.tokens.end_term()

    async def _warn_of_missing_namespaces(self) -> None:
        """Warn of names in WATCH_NAMESPACE that don't exist: nothing else would show a typing error."""
        for name in await self._tenants.missing_namespaces(filter(None, self._settings.namespaces)):
            log.warning(
                "WATCH_NAMESPACE names a namespace that does not exist; it is served once it is created",
                namespace=name,
            )

    def regions(self) -> list[str]:
        """The regions of the resources, those of the oldest first."""
        found = sorted(self.engine.cache.resources(), key=lambda resource: resource.created_at)
        return list(
            dict.fromkeys(region for each in found if each.desired for region in each.desired.regions)
        )

    def _state(self) -> Snapshot:
        leading = self.leading.is_leader()
        return Snapshot(
            resources=snapshot(self.engine.cache, self._clock.now()),
            # A standby gets nothing from the queue, and its old failures are another replica's concern.
            failing=failing(self.engine.cache) if leading else {},
            queue_depth=self.engine.queue.waiting() if leading else 0,
            leading=leading,
        )
