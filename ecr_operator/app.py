"""The composition root: what is made of what, and the order of start and stop."""

import asyncio
import contextlib
import signal
from collections.abc import Collection
from typing import Final

import structlog

from ecr_operator import __version__
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.control.admission import Admission
from ecr_operator.control.deadlines import DeadlineQueue
from ecr_operator.control.inventory import Inventory, ResourceStore, SecretViewStore
from ecr_operator.control.linking import Linking
from ecr_operator.control.logins import Logins
from ecr_operator.control.named_keys import NamedKeys
from ecr_operator.control.ownership import Claims
from ecr_operator.control.ports import SystemClock
from ecr_operator.control.refresh import Refresher
from ecr_operator.control.tending import Tending
from ecr_operator.control.token_cache import TokenCache
from ecr_operator.control.workers import Workers
from ecr_operator.control.writing import SecretWriter
from ecr_operator.kube import connection, paths
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.events import KubeEvents
from ecr_operator.kube.informer import Informer
from ecr_operator.kube.secrets import KubeSecrets
from ecr_operator.kube.service_accounts import KubeServiceAccounts
from ecr_operator.kube.statuses import KubeStatuses
from ecr_operator.kube.tenants import KubeTenants
from ecr_operator.model.links import SELECTOR
from ecr_operator.model.manifests import MANAGED_BY, MANAGER
from ecr_operator.model.outcome import ResourceKey
from ecr_operator.model.resources import KINDS
from ecr_operator.settings import Settings

_WORKERS: Final = 16
_STOP_LIMIT: Final = 5.0
_CREDENTIALS_CHECK: Final = 2.0
_INSTALL_CRDS: Final = "install the CRDs: kubectl apply -k config/crd"

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        connection.ConnectionSetupError: with a kubeconfig, when the API server can't be used at the start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        await connection.connect(settings) as client,
        EcrTokenIssuer(SystemClock(), KubeTenants(client), settings.identities) as issuer,
    ):
        serving = asyncio.create_task(_serve(settings, client, issuer), name="serve")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()
        if stop.is_set():
            log.info("stopping")
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(_STOP_LIMIT):
                await serving


async def _serve(settings: Settings, client: KubeClient, issuer: EcrTokenIssuer) -> None:
    if not settings.in_cluster:
        await connection.check(client)
    namespaces = ",".join(settings.namespaces) or "all"
    log.info("started", version=__version__, server=client.host, namespaces=namespaces)
    operator = Operator(settings, client, issuer)
    try:
        await operator.run()
    finally:
        await operator.tokens.close()


class Operator:
    """The parts of the operator, put together."""

    def __init__(self, settings: Settings, client: KubeClient, issuer: EcrTokenIssuer) -> None:
        self._settings = settings
        self._client = client
        self._issuer = issuer
        self._clock = SystemClock()
        self._deadlines: DeadlineQueue[ResourceKey] = DeadlineQueue(self._clock)
        self._inventory = Inventory(look_at=self._deadlines.schedule_now, forget=self._forget)
        self.tokens = TokenCache(issuer, self._clock, landed=self._look_at_all)
        self._events = KubeEvents(client, self._clock, settings.pod_name)
        secrets, statuses, tenants = KubeSecrets(client), KubeStatuses(client), KubeTenants(client)
        accounts = KubeServiceAccounts(client)
        self._linking = Linking(
            tending=Tending(self._inventory, accounts, statuses, self._clock),
            accounts=accounts,
            clock=self._clock,
            look_at=self._look_at_all,
            scopes=settings.namespaces,
        )
        claims = Claims(self._inventory, secrets, statuses)
        refresher = Refresher(
            inventory=self._inventory,
            logins=Logins(self.tokens, secrets, tag_sessions=settings.identities.session_tags),
            writer=SecretWriter(self._inventory, secrets, self._linking),
            claims=claims,
            admission=Admission(settings.tenancy, tenants),
            clock=self._clock,
        )
        self._named_keys = NamedKeys(self.tokens, tenants, self._clock)
        self._workers = Workers(
            deadlines=self._deadlines,
            inventory=self._inventory,
            refresher=refresher,
            linking=self._linking,
            statuses=statuses,
            events=self._events,
            clock=self._clock,
        )

    async def run(self) -> None:
        """Watch and work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._warm(), name="warm")
            group.create_task(self._events.run(), name="events")
            group.create_task(self._watch_credentials(), name="credentials")
            group.create_task(self._named_keys.run(), name="named keys")
            group.create_task(self._workers.run(_WORKERS), name="workers")
            group.create_task(self._linking.run(), name="linking")
            for namespace in self._settings.namespaces:
                group.create_task(self._watch(namespace), name=f"watch {namespace or 'all'}")

    async def _watch_credentials(self) -> None:
        """Let go of tokens and failures when the operator becomes somebody else, or gets valid keys."""
        changes = self._credential_changes(0)
        while True:
            await self._clock.sleep(_CREDENTIALS_CHECK)
            latest = self._credential_changes(changes)
            if latest != changes:
                changes = latest
                log.info("the AWS credential files have changed")
                self.tokens.forget_all()

    async def _warm(self) -> None:
        try:
            await self._issuer.warm()
        except Exception as error:  # noqa: BLE001 - the first call then does it, or says what is wrong
            log.debug("not warmed up", error=type(error).__name__)

    def _credential_changes(self, known: int) -> int:
        try:
            return self._issuer.changes()
        except Exception as error:  # noqa: BLE001 - a file in no state to be read may not end the operator
            log.debug("credential files not looked at", error=type(error).__name__)
            return known

    async def _watch(self, namespace: str) -> None:
        """Secrets first: with them known, a resource whose Secret is well costs nothing."""
        async with asyncio.TaskGroup() as group:
            secrets = self._secrets_informer(namespace)
            group.create_task(secrets.run(), name=f"secrets {namespace}")
            await secrets.synced.wait()
            for kind in KINDS:
                resources = self._resources_informer(kind, namespace)
                group.create_task(resources.run(), name=f"{kind} {namespace}")
                if kind == "Secret":
                    group.create_task(self._watch_accounts(namespace, resources), name=f"links {namespace}")

    async def _watch_accounts(self, namespace: str, resources: Informer) -> None:
        """Only where links are or have been; and after the resources, so that no link looks like nobody's."""
        await resources.synced.wait()
        await self._linking.used.wait()
        await Informer(
            self._client,
            paths.service_accounts(namespace),
            self._linking.store(namespace),
            self._clock,
            label_selector=SELECTOR,
        ).run()

    def _secrets_informer(self, namespace: str) -> Informer:
        return Informer(
            self._client,
            paths.secrets(namespace),
            SecretViewStore(namespace, self._inventory),
            self._clock,
            label_selector=f"{MANAGED_BY}={MANAGER}",
            metadata_only=True,
        )

    def _resources_informer(self, kind: str, namespace: str) -> Informer:
        return Informer(
            self._client,
            paths.resources(kind, namespace),
            ResourceStore(kind, namespace, self._inventory),
            self._clock,
            when_missing=_INSTALL_CRDS,
        )

    def _look_at_all(self, keys: Collection[ResourceKey]) -> None:
        for key in keys:
            self._deadlines.schedule_now(key)

    def _forget(self, key: ResourceKey) -> None:
        self._workers.forget(key)
        self._linking.forget(key)
