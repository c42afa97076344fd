"""All parts of `core` and `links` over ports in memory, with the API server's answers."""

# ruff: noqa: S311 - a seed that tests can repeat

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import Identity
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.core.cache import MOST_RESOURCES, Cache
from ecr_operator.core.identity_watch import IdentityWatch
from ecr_operator.core.logins import Logins
from ecr_operator.core.ownership import Ownership
from ecr_operator.core.queue import DeadlineQueue
from ecr_operator.core.reconcile import Reconciler
from ecr_operator.core.rotation import Rotation
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.secret_writer import SecretWriter
from ecr_operator.core.state import ResourceState, Result
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from ecr_operator.core.tenancy_guard import TenancyGuard
from ecr_operator.core.tokens import TokenCache
from ecr_operator.core.worker import Workers
from ecr_operator.links.reconcile import LinkReconciler
from ecr_operator.telemetry.metrics import Metrics
from tests.builders import (
    NAMESPACE,
    TWELVE_HOURS,
    foreign_metadata,
    raw_resource,
    relist,
    secret_metadata,
    token,
)
from tests.fakes import (
    FakeAccounts,
    FakeClock,
    FakeEvents,
    FakeIssuer,
    FakeResources,
    FakeSecrets,
    FakeTenants,
    settle,
)


class World:
    """One operator in virtual time."""

    def __init__(
        self,
        *,
        life: timedelta = TWELVE_HOURS,
        policy: TenancyPolicy | None = None,
        scopes: Sequence[str] = ("",),
        most: int = MOST_RESOURCES,
    ) -> None:
        self._scopes = scopes
        self._most = most
        self.clock = FakeClock()
        self.aws = FakeIssuer(self.clock, life)
        self.secrets = FakeSecrets(self.clock)
        self.resources = FakeResources()
        self.events = FakeEvents()
        self.accounts = FakeAccounts()
        self.policy = policy or TenancyPolicy()
        self.restart()

    def restart(self) -> None:
        """Start as a new process does, with nothing in memory."""
        rng = random.Random(7)
        self.queue: DeadlineQueue[ResourceKey] = DeadlineQueue(self.clock, workers=1000)
        self.named = IdentityWatch(self.aws.basis, self._scopes, self._named_changed)
        self.cache = Cache(
            self.queue.schedule_now,
            self._removed,
            self.named,
            most=self._most,
            orphan_gone=self._orphan_removed,
            identity_left=lambda state: self.tokens.release(state),  # noqa: PLW0108 - they are made below
        )
        self.rotation = Rotation(self.cache, self.named.keys, self.queue.schedule_at, self.clock)
        self.tokens = TokenCache(self.aws, self.clock, self.named.basis, self._enqueue, rng)
        self.links = LinkReconciler(
            cache=self.cache,
            accounts=self.accounts,
            resources=self.resources,
            clock=self.clock,
            enqueue=self.queue.schedule_in,
            scopes=self._scopes,
            rng=rng,
        )
        self.metrics = Metrics()
        self._build_workers(rng)
        self._watched = {
            kind: ResourceStore(kind, "", self.cache) for kind in ("Secret", "ArgoHelmRepoSecret")
        }
        self._watched_secrets = SecretViewStore("", self.cache)
        self._watched_accounts = self.links.store("")

    def _build_workers(self, rng: random.Random) -> None:
        self.reconciler = Reconciler(
            cache=self.cache,
            secrets=self.secrets,
            resources=self.resources,
            logins=Logins(self.tokens, self.secrets),
            writer=SecretWriter(self.cache, self.secrets, self.links, self.resources),
            ownership=Ownership(self.cache, self.secrets, self.resources),
            guard=TenancyGuard(self.policy, FakeTenants()),
            rotation=self.rotation,
            clock=self.clock,
        )
        self.workers = Workers(
            queue=self.queue,
            cache=self.cache,
            reconciler=self.reconciler,
            links=self.links,
            statuses=self.resources,
            resources=self.resources,
            events=self.events,
            metrics=self.metrics,
            clock=self.clock,
            rng=rng,
        )

    def _removed(self, state: ResourceState) -> None:
        self.tokens.release(state)
        self.queue.remove(state.key)
        self.links.unlink(state.key)

    def _orphan_removed(self, key: ResourceKey) -> None:
        self.links.unlink(key)

    def _named_changed(self, identities: Iterable[Identity], keys: Iterable[ResourceKey]) -> None:
        for identity in identities:
            self.tokens.drop(identity)
        self._enqueue(keys)

    def _enqueue(self, keys: Any) -> None:
        for key in keys:
            self.queue.schedule_now(key)

    @asynccontextmanager
    async def working(self, workers: int = 2) -> AsyncIterator[None]:
        """Run workers for a while."""
        keys = self.named.watch_keys(self.aws.long_lived, self.rotation.keys_read, self.clock)
        changes = self.named.pass_on_later(self.clock)
        running = (self.workers.run(workers), self.links.run(), keys, changes)
        tasks = [asyncio.create_task(each) for each in running]
        try:
            await settle()
            yield
            assert not any(task.done() for task in tasks), "the workers have ended"
        finally:
            for task in tasks:
                task.cancel()
            await self.tokens.close()
            await settle()

    def show(self, kind: str = "Secret", **fields: Any) -> dict[str, Any]:
        """Show a resource by its watch, and return it raw; see `builders.raw_resource`."""
        raw = raw_resource(kind, **fields)
        self._watched[kind].changed(raw)
        return raw

    def see(self, kind: str = "Secret", **fields: Any) -> Resource:
        """Create or change a resource, and return it as the watch shows it; see `builders.raw_resource`."""
        raw = self.show(kind, **fields)
        known = self.cache.resource(_key(kind, raw))
        assert known is not None
        self.resources.uids[known.key] = known.uid
        return known

    async def apply(self, kind: str = "Secret", **fields: Any) -> Resource:
        """Create or change a resource, and let the workers act on it; return it as it was before that."""
        known = self.see(kind, **fields)
        await settle()
        return known

    def see_deleted(self, of: Resource) -> None:
        """Delete a resource."""
        del self.resources.uids[of.key]
        self._watched[of.key.kind].deleted({"metadata": {"namespace": of.key.namespace, "name": of.key.name}})

    def status(self, of: Resource) -> Mapping[str, Any]:
        """The status in the cache."""
        known = self.cache.resource(of.key)
        assert known is not None
        return known.status

    def condition(self, of: Resource, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition; empty strings if it is absent."""
        found = {each["type"]: each for each in self.status(of).get("conditions", ())}
        return (found[kind]["status"], found[kind]["reason"]) if kind in found else ("", "")

    def has_secret(
        self, of: Resource, *, age: timedelta = timedelta(0), key_hash: str = "", **fields: Any
    ) -> None:
        """Add the up-to-date Secret of a resource, applied `age` ago."""
        login = token("present", issued_at=self.clock.now() - age, life=self.aws.life)
        login = replace(login, key_hash=key_hash)
        metadata = secret_metadata(of, login, **fields)
        self.secrets.put(metadata)
        self._watched_secrets.changed({"metadata": metadata})

    def show_secret(self, name: str = "web-pull") -> None:
        """Show a Secret by its watch, as after a restart."""
        self._watched_secrets.changed({"metadata": self.secrets.metadata[NAMESPACE, name]})

    def has_foreign_secret(self, name: str = "web-pull", **fields: Any) -> None:
        """Add a foreign Secret, which the watch does not show."""
        self.secrets.put(foreign_metadata(name, **fields))

    def change(self, name: str = "web-pull", *, field: str = "f:data") -> None:
        """Edit a field of a Secret as another client, and show it by the watch."""
        metadata = self.secrets.metadata[NAMESPACE, name]
        del metadata["managedFields"][0]["fieldsV1"][field]
        self._changed(metadata)

    def release(self, name: str = "web-pull") -> None:
        """Remove the owner of a Secret, as the garbage collector does, and show it by the watch."""
        metadata = self.secrets.metadata[NAMESPACE, name]
        del metadata["ownerReferences"]
        del metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:ownerReferences"]
        self._changed(metadata)

    def relabel(self, name: str = "web-pull") -> None:
        """Change our label on a Secret as another client, so that the watch reports a deletion."""
        label = "app.kubernetes.io/managed-by"
        metadata = self.secrets.metadata[NAMESPACE, name]
        metadata["labels"] = metadata["labels"] | {label: "Helm"}
        metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"].pop(f"f:{label}", None)
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 50)
        self._watched_secrets.deleted({"metadata": metadata})

    def _changed(self, metadata: dict[str, Any]) -> None:
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 50)
        self._watched_secrets.changed({"metadata": metadata})

    def expiry(self, name: str = "web-pull") -> datetime:
        """When the token in a Secret expires, by its annotation."""
        times = view_secret(self.secrets.metadata[NAMESPACE, name]).times
        assert times is not None
        return times.expires_at

    def delete(self, name: str = "web-pull") -> None:
        """Delete a Secret as another client, and show it by the watch."""
        metadata = self.secrets.metadata.pop((NAMESPACE, name))
        self._watched_secrets.deleted({"metadata": metadata})

    def show_accounts(self) -> None:
        """List the ServiceAccounts by their watch."""
        label = "ecr.mobb.redhat.com/linked"
        raws = self.accounts.objects.values()
        relist(self._watched_accounts, [raw for raw in raws if label in raw["metadata"].get("labels", {})])

    def show_account(self, raw: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Show by the watch a ServiceAccount that was changed or deleted."""
        (self._watched_accounts.deleted if deleted else self._watched_accounts.changed)(raw)

    async def refresh(self, of: Resource, *, due: bool = False) -> Result:
        """Reconcile a resource until AWS has answered."""
        state = self.state(of)
        result = await self.reconciler.reconcile(state, of, due=due)
        await settle()
        return await self.reconciler.reconcile(state, of, due=due) if result.pending else result

    def state(self, of: Resource) -> ResourceState:
        """What is remembered of a resource."""
        state = self.cache.get(of.key)
        assert state is not None
        return state


def _key(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])
