"""What is watched, and in which order: an informer for each collection of each namespace served."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog

from ecr_operator.api.kinds import CLUSTER, NAMESPACED_KINDS
from ecr_operator.core.cluster_secrets import NamespaceStore
from ecr_operator.core.manifest import MANAGED_BY, MANAGER
from ecr_operator.core.named_objects import SOURCES
from ecr_operator.core.ports import Clock
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from ecr_operator.engine import Engine
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import METADATA_LIST, KubeClient
from ecr_operator.kube.informer import Informer, Store
from ecr_operator.links.plan import SELECTOR
from ecr_operator.telemetry.metrics import Metrics
from ecr_operator.telemetry.probes import Heartbeat, Probes

log = structlog.get_logger(__name__)

_LINGER: Final = 30.0  # seconds
_LOOK_AGAIN: Final = 180.0
_SERVE_CLUSTERS: Final = "apply this version's CRDs and RBAC; they are looked for every 3 minutes"
_INSTALL_CRDS: Final = "install the CRDs: kubectl apply -k config/crd"


class Watches:
    """All watches, into the cache, the links and the named objects.

    Args:
        client: the API server.
        namespaces: to watch; a single empty string means all.
        engine: gets what is seen.
        clock: the time.
        metrics: where restarts of watches are counted.
        probes: know when each watch was attempted, and when all are synced.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        client: KubeClient,
        namespaces: Sequence[str],
        engine: Engine,
        clock: Clock,
        metrics: Metrics,
        probes: Probes,
    ) -> None:
        self._client = client
        self._namespaces = namespaces
        self._cache = engine.cache
        self._clusters = engine.clusters
        self._links = engine.links
        self._named = engine.named
        self._clock = clock
        self._metrics = metrics
        self._probes = probes
        # Of all watches from the start: ready once all are synced.
        self._heartbeats = {
            path: self._heartbeat(path)
            for namespace in namespaces
            for path in (
                paths.secrets(namespace),
                *(paths.resources(kind, namespace) for kind in NAMESPACED_KINDS),
            )
        }

    async def run(self) -> None:
        """Watch until cancelled."""
        if "" not in self._namespaces:
            log.info("ClusterSecrets are not served", error="the operator serves selected namespaces only")
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(self._watch(namespace), name=f"watch {namespace or 'all'}")
                for source in SOURCES:
                    name = f"watch {source} {namespace or 'all'}"
                    group.create_task(self._watch_named(source, namespace), name=name)

    async def _watch(self, namespace: str) -> None:
        """Secrets first: with them known, a resource whose Secret is up to date costs nothing."""
        async with asyncio.TaskGroup() as group:
            secrets = self._secrets(namespace)
            group.create_task(secrets.run(), name=f"secrets {namespace}")
            await secrets.synced.wait()
            if not namespace:
                group.create_task(self._watch_clusters(), name="ClusterSecrets")
            for kind in NAMESPACED_KINDS:
                resources = self._resources(kind, namespace)
                group.create_task(resources.run(), name=f"{kind} {namespace}")
                if kind == "Secret":
                    group.create_task(self._watch_accounts(namespace, resources), name=f"links {namespace}")
                    group.create_task(self._watch_all_accounts(namespace), name=f"all links {namespace}")

    async def _watch_clusters(self) -> None:
        """Once their CRD and the rights are there, which not every installation has."""
        path = paths.resources(CLUSTER, "")
        heartbeat = self._heartbeat(path, needed=False)
        reported = False
        while missing := await self._missing_for_clusters():
            if not reported:
                log.info("ClusterSecrets are not served", error=missing, next=_SERVE_CLUSTERS)
            reported = True
            await self._clock.sleep(_LOOK_AGAIN)
        async with asyncio.TaskGroup() as group:
            informer = Informer(self._client, path, self._clusters, self._clock, heartbeat=heartbeat)
            group.create_task(informer.run(), name=CLUSTER)
            group.create_task(self._watch_namespaces(), name="namespaces")

    async def _missing_for_clusters(self) -> str:
        """What is missing for ClusterSecrets, in words; empty for nothing."""
        for path in (paths.resources(CLUSTER, ""), paths.namespaces()):
            try:
                await self._client.request("GET", path, query=(("limit", "1"),), accept=METADATA_LIST)
            except ApiError as error:
                if error.is_not_found:
                    return f"there is no CRD {paths.resource_of(path)}"
                if error.code == HTTPStatus.FORBIDDEN:
                    return error.message
                return ""  # the watch reports what else is wrong
        return ""

    async def _watch_namespaces(self) -> None:
        """While there is a ClusterSecret, as metadata."""
        needed, path = self._clusters.needed, paths.namespaces()
        heartbeat = self._heartbeat(path, needed=False)
        while True:
            await needed.on.wait()
            async with self._watching(path, NamespaceStore(self._clusters), heartbeat):
                while needed.on.is_set():
                    await needed.off.wait()
                    await self._clock.sleep(_LINGER)
            self._clusters.forget_namespaces()

    async def _watch_accounts(self, namespace: str, resources: Informer) -> None:
        """Only where there are or were links; after the resources, so that each link has its resource."""
        await resources.synced.wait()
        await self._links.scopes[namespace].linked.wait()
        await Informer(
            self._client,
            paths.service_accounts(namespace),
            self._links.store(namespace),
            self._clock,
            label_selector=SELECTOR,
            heartbeat=self._heartbeat(paths.service_accounts(namespace), needed=False),
        ).run()

    async def _watch_all_accounts(self, namespace: str) -> None:
        """While a resource links to all: their names, as metadata."""
        scope, path = self._links.scopes[namespace], paths.service_accounts(namespace)
        heartbeat = self._heartbeat(f"{path} for links to all", path, needed=False)
        while True:
            await scope.all.wait()
            async with self._watching(path, scope, heartbeat):
                while scope.is_all_wanted():
                    await self._clock.sleep(_LINGER)
            scope.all_ended()

    async def _watch_named(self, source: str, namespace: str) -> None:
        """While a resource names such an object, watch all of the kind as metadata; few are kept."""
        demand = self._named.demand(source, namespace)
        path = (paths.secrets if source == "iam_secret" else paths.service_accounts)(namespace)
        heartbeat = self._heartbeat(f"{path} for identities", path, needed=False)
        while True:
            await demand.on.wait()
            try:
                async with self._watching(path, self._named.store(source, namespace), heartbeat):
                    while demand.on.is_set():
                        await demand.off.wait()
                        # A resource may come and go: a list of all objects is not for each of its turns.
                        await self._clock.sleep(_LINGER)
            finally:
                self._named.ended(source, namespace)

    @asynccontextmanager
    async def _watching(self, path: str, store: Store[Any], heartbeat: Heartbeat) -> AsyncIterator[None]:
        """Watch metadata meanwhile."""
        informer = Informer(self._client, path, store, self._clock, metadata_only=True, heartbeat=heartbeat)
        watching = asyncio.create_task(informer.run(), name=f"{path} as metadata")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait((watching,))
            heartbeat.rest()

    def _secrets(self, namespace: str) -> Informer:
        return Informer(
            self._client,
            paths.secrets(namespace),
            SecretViewStore(namespace, self._cache),
            self._clock,
            label_selector=f"{MANAGED_BY}={MANAGER}",
            metadata_only=True,
            heartbeat=self._heartbeats[paths.secrets(namespace)],
        )

    def _resources(self, kind: str, namespace: str) -> Informer:
        return Informer(
            self._client,
            paths.resources(kind, namespace),
            ResourceStore(kind, namespace, self._cache),
            self._clock,
            when_missing=_INSTALL_CRDS,
            heartbeat=self._heartbeats[paths.resources(kind, namespace)],
        )

    def _heartbeat(self, name: str, path: str = "", *, needed: bool = True) -> Heartbeat:
        restarted = partial(self._metrics.watch_restarted, paths.resource_of(path or name))
        return self._probes.watch(name, restarted, needed=needed)
