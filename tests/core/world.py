"""All parts of `core` and `links` over ports in memory, with the API server's answers."""

# ruff: noqa: S311 - a seed that tests can repeat

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from ecr_operator.api.desired import Resource
from ecr_operator.api.kinds import CLUSTER, NAMESPACED_KINDS
from ecr_operator.api.outcome import Reason
from ecr_operator.api.tenancy import TenancyPolicy
from ecr_operator.api.text import format_time
from ecr_operator.core.cache import MOST_RESOURCES, key_of
from ecr_operator.core.secret_view import view_secret
from ecr_operator.core.snapshot import snapshot
from ecr_operator.core.state import ResourceState, Result
from ecr_operator.core.stores import ResourceStore, SecretViewStore
from ecr_operator.engine import Engine, Ports
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

# Short: virtual hours cost real time, since workers wake every few seconds.
LIFE: Final = timedelta(minutes=12)
# Seconds after which a token of that life is replaced by now, and those after which it has expired.
DUE: Final = 10 * 60
DEAD: Final = 13 * 60


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
        self.metrics = Metrics()
        ports = Ports(
            issuer=self.aws,
            secrets=self.secrets,
            resources=self.resources,
            accounts=self.accounts,
            tenants=FakeTenants(),
            events=self.events,
        )
        self.engine = Engine(
            ports,
            policy=self.policy,
            namespaces=self._scopes,
            metrics=self.metrics,
            clock=self.clock,
            rng=random.Random(7),
            most=self._most,
        )
        self.queue, self.cache, self.named = self.engine.queue, self.engine.cache, self.engine.named
        self.clusters, self.links, self.tokens = self.engine.clusters, self.engine.links, self.engine.tokens
        self.rotation, self.reconciler = self.engine.rotation, self.engine.reconciler
        self._watched: dict[str, Any] = {
            **{kind: ResourceStore(kind, "", self.cache) for kind in NAMESPACED_KINDS},
            CLUSTER: self.clusters,
        }
        self.watched_secrets = SecretViewStore("", self.cache)
        self._watched_accounts = self.links.store("")

    @asynccontextmanager
    async def working(self, workers: int = 2) -> AsyncIterator[None]:
        """Run workers for a while."""
        running = {**self.engine.following(), **self.engine.working(workers)}
        tasks = [asyncio.ensure_future(each) for each in running.values()]
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
        known = self.cache.resource(key_of(kind, raw))
        assert known is not None
        self.resources.uids[known.key] = known.uid
        return known

    async def apply(self, kind: str = "Secret", **fields: Any) -> Resource:
        """Create or change a resource, and let the workers act on it; return it as it was before that."""
        known = self.see(kind, **fields)
        await settle()
        return known

    async def change(self, of: Resource, **fields: Any) -> Resource:
        """Apply another spec with the next generation, beside the status that there is."""
        known = self.state(of).resource
        said = {"name": of.key.name, "generation": known.generation + 1, "status": known.status}
        return await self.apply(of.key.kind, **(said | fields))

    def see_deleted(self, of: Resource) -> None:
        """Delete a resource."""
        del self.resources.uids[of.key]
        self._watched[of.key.kind].deleted({"metadata": {"namespace": of.key.namespace, "name": of.key.name}})

    def status(self, of: Resource) -> Mapping[str, Any]:
        """The status in the cache."""
        return self.state(of).resource.status

    def condition(self, of: Resource, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition; empty strings if it is absent."""
        found = {each["type"]: each for each in self.status(of).get("conditions", ())}
        return (found[kind]["status"], found[kind]["reason"]) if kind in found else ("", "")

    def message(self, of: Resource, kind: str = "Refreshed") -> str:
        """The message of a condition."""
        found = {each["type"]: each for each in self.status(of)["conditions"]}
        return str(found[kind]["message"])

    def check_reported(
        self,
        of: Resource,
        reason: Reason,
        ready: tuple[str, str] = ("True", "Refreshed"),
        *,
        name: str = "web-pull",
    ) -> None:
        """Check that a field that is not valid is reported, and the Secret beside it."""
        assert self.condition(of) == ready
        assert self.condition(of, "Refreshed") == ("False", reason)
        assert self.condition(of, "Stalled") == ("True", reason)
        status = self.status(of)
        assert (status["phase"], status["secretName"]) == ("Updated", name)
        assert status["expirationTime"] == format_time(self.expiry(name))
        assert self.expiry_metric == self.expiry(name).timestamp()

    @property
    def expiry_metric(self) -> float | None:
        """The expiry time of the only resource in the metrics."""
        (state,) = snapshot(self.cache, self.clock.now())
        return state.expires_at

    def password(self, name: str = "web-pull") -> str:
        """The token in a Secret that the operator wrote; the first one of several."""
        data = self.secrets.manifests[name]["data"]
        if "password" in data:
            return base64.b64decode(data["password"]).decode()
        return str(next(iter(self.auths(name).values()))["password"])

    def auths(self, name: str = "web-pull") -> dict[str, Any]:
        """The logins in a docker config that the operator wrote, in either form."""
        (data,) = self.secrets.manifests[name]["data"].values()
        auths: dict[str, Any] = json.loads(base64.b64decode(data))["auths"]
        return auths

    def has_secret(
        self, of: Resource, *, age: timedelta = timedelta(0), key_hash: str = "", **fields: Any
    ) -> None:
        """Add the up-to-date Secret of a resource, applied `age` ago."""
        login = token("present", issued_at=self.clock.now() - age, life=self.aws.life)
        login = replace(login, key_hash=key_hash)
        metadata = secret_metadata(of, login, **fields)
        self.secrets.put(metadata)
        self.watched_secrets.changed({"metadata": metadata})

    def show_secret(self, name: str = "web-pull") -> None:
        """Show a Secret by its watch, as after a restart."""
        self.watched_secrets.changed({"metadata": self.secrets.metadata[NAMESPACE, name]})

    def has_foreign_secret(self, name: str = "web-pull", **fields: Any) -> None:
        """Add a foreign Secret, which the watch does not show."""
        self.secrets.put(foreign_metadata(name, **fields))

    def change_secret(self, *path: str) -> None:
        """Edit a field of the Secret as another client, and show it by the watch."""
        metadata = self.secrets.metadata[NAMESPACE, "web-pull"]
        *parents, last = path or ("f:data",)
        fields = metadata["managedFields"][0]["fieldsV1"]
        for part in parents:
            fields = fields[part]
        del fields[last]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 50)
        self.watched_secrets.changed({"metadata": metadata})

    def release(self) -> None:
        """Remove the owner of the Secret, as the garbage collector does, and show it by the watch."""
        del self.secrets.metadata[NAMESPACE, "web-pull"]["ownerReferences"]
        self.change_secret("f:metadata", "f:ownerReferences")

    def relabel(self, name: str = "web-pull") -> None:
        """Change our label on a Secret as another client, so that the watch reports a deletion."""
        label = "app.kubernetes.io/managed-by"
        metadata = self.secrets.metadata[NAMESPACE, name]
        metadata["labels"] = metadata["labels"] | {label: "Helm"}
        metadata["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"].pop(f"f:{label}", None)
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 50)
        self.watched_secrets.deleted({"metadata": metadata})

    def expiry(self, name: str = "web-pull") -> datetime:
        """When the token in a Secret expires, by its annotation."""
        times = view_secret(self.secrets.metadata[NAMESPACE, name]).times
        assert times is not None
        return times.expires_at

    def delete(self, name: str = "web-pull") -> None:
        """Delete a Secret as another client, and show it by the watch."""
        metadata = self.secrets.metadata.pop((NAMESPACE, name))
        self.watched_secrets.deleted({"metadata": metadata})

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
