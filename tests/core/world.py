"""The whole of control over ports in memory, and what the API server would say back."""

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
from ecr_operator.core.logins import Logins
from ecr_operator.core.named_objects import NamedObjects
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
    """One operator's control, in virtual time."""

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
        """Begin as a new process does: with nothing in memory."""
        rng = random.Random(7)
        self.queue: DeadlineQueue[ResourceKey] = DeadlineQueue(self.clock, workers=1000)
        self.named = NamedObjects(self.aws.basis, self._scopes, self._named_changed)
        self.cache = Cache(
            self.queue.schedule_now,
            self._gone,
            self.named,
            most=self._most,
            orphan_gone=self._orphan_gone,
            identity_left=lambda state: self.tokens.release(state),  # noqa: PLW0108 - they are made below
        )
        self.rotation = Rotation(self.cache, self.named.keys, self.queue.schedule_at, self.clock)
        self.tokens = TokenCache(self.aws, self.clock, self.named.basis, self._landed, rng)
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

    def _gone(self, state: ResourceState) -> None:
        self.tokens.release(state)
        self.queue.remove(state.key)
        self.links.unlink(state.key)

    def _orphan_gone(self, key: ResourceKey) -> None:
        self.links.unlink(key)

    def _named_changed(self, identities: Iterable[Identity], keys: Iterable[ResourceKey]) -> None:
        for identity in identities:
            self.tokens.drop(identity)
        self._landed(keys)

    def _landed(self, keys: Any) -> None:
        for key in keys:
            self.queue.schedule_now(key)

    @asynccontextmanager
    async def working(self, workers: int = 2) -> AsyncIterator[None]:
        """Have workers at work for a while."""
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

    def show(self, kind: str = "Secret", **said: Any) -> dict[str, Any]:
        """Have the watch show a resource, and return it as it is; see `builders.raw_resource`."""
        raw = raw_resource(kind, **said)
        self._watched[kind].changed(raw)
        return raw

    def see(self, kind: str = "Secret", **said: Any) -> Resource:
        """Have a resource seen as the watch shows it; see `builders.raw_resource`."""
        raw = self.show(kind, **said)
        known = self.cache.resource(_key(kind, raw))
        assert known is not None
        self.resources.uids[known.key] = known.uid
        return known

    def see_gone(self, of: Resource) -> None:
        """Have a resource deleted."""
        del self.resources.uids[of.key]
        self._watched[of.key.kind].deleted({"metadata": {"namespace": of.key.namespace, "name": of.key.name}})

    def status(self, of: Resource) -> Mapping[str, Any]:
        """Return the status as the operator knows it."""
        known = self.cache.resource(of.key)
        assert known is not None
        return known.status

    def told(self, of: Resource, condition: str = "Ready") -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = {each["type"]: each for each in self.status(of).get("conditions", ())}
        return (found[condition]["status"], found[condition]["reason"]) if condition in found else ("", "")

    def has_secret(
        self, of: Resource, *, age: timedelta = timedelta(0), key_hash: str = "", **said: Any
    ) -> None:
        """Have the healthy Secret of a resource there, applied a while ago."""
        login = token("present", issued_at=self.clock.now() - age, life=self.aws.life)
        login = replace(login, key_hash=key_hash)
        metadata = secret_metadata(of, login, **said)
        self.secrets.put(metadata)
        self._watched_secrets.changed({"metadata": metadata})

    def show_secret(self, name: str = "web-pull") -> None:
        """Have the watch show a Secret as it is, as it does after a restart."""
        self._watched_secrets.changed({"metadata": self.secrets.metadata[NAMESPACE, name]})

    def has_foreign_secret(self, name: str = "web-pull", **said: Any) -> None:
        """Have somebody else's Secret there, which the watch does not show."""
        self.secrets.put(foreign_metadata(name, **said))

    def change(self, name: str = "web-pull", *, field: str = "f:data") -> None:
        """Have somebody write a field of a Secret, and the watch show it."""
        metadata = self.secrets.metadata[NAMESPACE, name]
        del metadata["managedFields"][0]["fieldsV1"][field]
        self._changed(metadata)

    def release(self, name: str = "web-pull") -> None:
        """Have the garbage collector take the owner off a Secret, and the watch show it."""
        metadata = self.secrets.metadata[NAMESPACE, name]
        del metadata["ownerReferences"]
        del metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:ownerReferences"]
        self._changed(metadata)

    def relabel(self, name: str = "web-pull") -> None:
        """Have somebody else give a Secret another value of our label, and the watch lose it."""
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
        """Return when the token in a Secret expires, by its annotation."""
        times = view_secret(self.secrets.metadata[NAMESPACE, name]).times
        assert times is not None
        return times.expires_at

    def delete(self, name: str = "web-pull") -> None:
        """Have somebody delete a Secret, and the watch show it."""
        metadata = self.secrets.metadata.pop((NAMESPACE, name))
        self._watched_secrets.deleted({"metadata": metadata})

    def show_accounts(self) -> None:
        """Have the watch of ServiceAccounts list what is there."""
        label = "ecr.mobb.redhat.com/linked"
        raws = self.accounts.objects.values()
        relist(self._watched_accounts, [raw for raw in raws if label in raw["metadata"].get("labels", {})])

    def show_account(self, raw: Mapping[str, Any], *, gone: bool = False) -> None:
        """Have the watch of ServiceAccounts show one that has changed or is gone."""
        (self._watched_accounts.deleted if gone else self._watched_accounts.changed)(raw)

    async def refresh(self, of: Resource, *, due: bool = False) -> Result:
        """Refresh a resource until AWS has answered."""
        state = self.state(of)
        result = await self.reconciler.reconcile(state, of, due=due)
        await settle()
        return await self.reconciler.reconcile(state, of, due=due) if result.pending else result

    def state(self, of: Resource) -> ResourceState:
        """Return what is remembered of a resource."""
        state = self.cache.get(of.key)
        assert state is not None
        return state


def _key(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])
