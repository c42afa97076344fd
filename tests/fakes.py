"""The world in memory: a clock that only tests move, and ports that record their calls."""

import asyncio
import copy
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import (
    ImmutableSecretError,
    OperatorError,
    PermanentError,
    StaleObjectError,
    TransientError,
)
from ecr_operator.api.identity import Identity, KeyDigest
from ecr_operator.api.outcome import Outcome, Reason, ResourceKey
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.ports import LONGEST_WRITE, KeySecret, NamespaceFacts, ServiceAccountFacts
from ecr_operator.core.secret_view import SecretView, view_secret
from ecr_operator.links.plan import Account, view_account
from tests.builders import NAMESPACE, NOW, TWELVE_HOURS, merge, service_account, stored_metadata, token

_MOST_PASSES = 10_000
_STARTED = 1000.0
_ROUNDING = 1e-9
Answer = TypeVar("Answer")


async def settle() -> None:
    """Let every task go on until it waits for time or for the network."""
    # A fixed number of passes would be too few for some and make hours of virtual time slow for all.
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # noqa: SLF001 - it has no other name
    for _ in range(_MOST_PASSES):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("the tasks never come to rest")


class FakeClock:
    """Time that passes only in `advance`; the wall clock can be stepped by itself."""

    def __init__(self, now: datetime = NOW) -> None:
        # From the monotonic time, so that no rounding adds up however many sleepers there are.
        self._epoch = now - timedelta(seconds=_STARTED)
        self._monotonic = _STARTED
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self.slept: list[float] = []  # the seconds of every sleep

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._monotonic)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._numbers), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Let time pass; sleepers wake one after another, each at its own time."""
        await settle()
        end = self._monotonic + seconds
        # Sums of seconds are never quite exact.
        while self._sleepers and self._sleepers[0][0] <= end + _ROUNDING:
            at, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self._monotonic = max(at, self._monotonic)
                wake.set_result(None)
                await settle()
        self._monotonic = max(end, self._monotonic)
        await settle()

    def skip(self, seconds: float) -> None:
        """Let time pass while nothing runs, as in a process that was paused."""
        self._monotonic += seconds

    def step_wall(self, delta: timedelta) -> None:
        """Set the wall clock to another time, as NTP or a person does."""
        self._epoch += delta


class FakeIssuer:
    """An AWS that hands out tokens, fails, or keeps everyone waiting; fulfils `TokenIssuer`."""

    def __init__(self, clock: FakeClock, life: timedelta = TWELVE_HOURS) -> None:
        self._clock = clock
        self._serials = itertools.count(1)
        self._answering = asyncio.Event()
        self._answering.set()
        self.life = life  # of the next tokens
        self.asked: list[TokenSource] = []  # every call
        self.failing: dict[str, Exception] = {}  # by region, in place of a token
        self.refused_regions: set[str] = set()
        self.unlisted: set[str] = set()
        # What permits an identity, and its long-lived keys; or what is raised in place of them.
        self.bases: dict[Identity, str | OperatorError] = {}
        self.keys: dict[Identity, KeyDigest | OperatorError] = {}
        # Whose basis and whose keys were read, and whose sessions were dropped.
        self.read: list[Identity] = []
        self.digested: list[Identity] = []
        self.released: list[Identity] = []

    async def issue(self, source: TokenSource) -> RegistryToken:
        self.asked.append(source)
        basis = self._basis(source.identity)
        await self._answering.wait()
        if source.region in self.failing:
            raise self.failing[source.region]
        made = token(f"token-{next(self._serials)}", issued_at=self._clock.now(), life=self.life)
        return replace(made, basis=basis, key_hash=self._keys(source.identity).id_hash)

    async def basis(self, identity: Identity) -> str:
        self.read.append(identity)
        return self._basis(identity)

    async def long_lived(self, identity: Identity) -> KeyDigest:
        self.digested.append(identity)
        return self._keys(identity)

    def release(self, identity: Identity) -> None:
        self.released.append(identity)

    def check(self, source: TokenSource) -> None:
        if source.region in self.refused_regions:
            raise PermanentError(Reason.INVALID_SPEC, f"{source.region} is not a valid AWS region.")

    def is_listed(self, region: str) -> bool:
        return region not in self.unlisted

    def _keys(self, identity: Identity) -> KeyDigest:
        return _found(self.keys.get(identity, KeyDigest()))

    def _basis(self, identity: Identity) -> str:
        return _found(self.bases.get(identity, ""))

    def hold(self) -> None:
        """Leave every call without an answer from now on."""
        self._answering.clear()

    def answer(self) -> None:
        """Answer again, waiting calls too."""
        self._answering.set()


def _found(answer: Answer | OperatorError) -> Answer:
    if isinstance(answer, OperatorError):
        raise answer
    return answer


class FakeSecrets:
    """Core Secrets with the API server's rules about versions; fulfils `SecretStore`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._versions = itertools.count(100)
        self.calls: list[str] = []  # each as `verb namespace/name`
        self.failures: list[Exception] = []  # raised one after another by applies
        self.lost: list[Exception] = []  # raised one after another in place of the answer to an apply
        self.failing: dict[str, OperatorError] = {}  # by namespace, raised by each write there
        self.delay = self.reading = 0.0  # seconds that each write, and each read, takes
        self.slow: dict[str, float] = {}  # by namespace, seconds that each write takes there
        self.unreadable: OperatorError | None = None  # raised by `read`
        self.manifests: dict[str, Mapping[str, Any]] = {}  # applied last, by name
        self.metadata: dict[tuple[str, str], dict[str, Any]] = {}
        self.data: dict[str, dict[str, Any]] = {}  # of Secrets that somebody else made, by name
        self.refused_type = ""  # of which an admission policy refuses every write
        self.labels: dict[str, str] = {}  # what an admission webhook sets on each applied Secret

    async def apply(
        self, manifest: Mapping[str, Any], present: SecretView | None, seconds: float = LONGEST_WRITE
    ) -> SecretView:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        self.calls.append(f"apply {namespace}/{name}")
        if self.delay > seconds:
            await self._clock.sleep(seconds)
            raise TransientError(Reason.KUBERNETES_UNAVAILABLE, "No answer in time.")
        await self._write(namespace)
        if self.failures:
            raise self.failures.pop(0)
        self._check(namespace, name, present)
        if present and self.manifests.get(name, manifest)["type"] != manifest["type"]:
            raise ImmutableSecretError(Reason.KUBERNETES_REFUSED, "type: field is immutable")
        if manifest["type"] == self.refused_type:
            raise PermanentError(Reason.KUBERNETES_REFUSED, "An admission policy refuses it.")
        self.manifests[name] = manifest
        uid = present.uid if present else f"uid-{next(self._versions)}"
        version = str(next(self._versions))
        made = stored_metadata(manifest, version=version, uid=uid, applied_at=self._clock.now())
        made["labels"] = made["labels"] | self.labels
        self.metadata[namespace, name] = made
        if self.lost:
            raise self.lost.pop(0)
        return view_secret(made)

    async def look(self, namespace: str, name: str) -> SecretView | None:
        self.calls.append(f"look {namespace}/{name}")
        found = self.metadata.get((namespace, name))
        return view_secret(found) if found else None

    async def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        self.calls.append(f"read {namespace}/{name}")
        if self.reading:
            await self._clock.sleep(self.reading)
        if self.unreadable:
            raise self.unreadable
        found = self.metadata.get((namespace, name))
        manifest = self.manifests.get(name, {})
        applied = {key: manifest[key] for key in ("type", "data") if key in manifest}
        return {"metadata": found, **applied, **self.data.get(name, {})} if found else None

    async def delete(self, view: SecretView) -> None:
        self.calls.append(f"delete {view.namespace}/{view.name}")
        await self._write(view.namespace)
        if (view.namespace, view.name) in self.metadata:
            self._check(view.namespace, view.name, view)
            del self.metadata[view.namespace, view.name]

    async def _write(self, namespace: str) -> None:
        if seconds := self.slow.get(namespace, self.delay):
            await self._clock.sleep(seconds)
        if namespace in self.failing:
            raise self.failing[namespace]

    def put(self, metadata: dict[str, Any]) -> None:
        """Have a Secret there that somebody else made."""
        self.metadata[metadata["namespace"], metadata["name"]] = metadata

    def _check(self, namespace: str, name: str, present: SecretView | None) -> None:
        there = self.metadata.get((namespace, name))
        seen = (present.uid, present.resource_version) if present else None
        if seen != ((there["uid"], there["resourceVersion"]) if there else None):
            raise StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")


class FakeResources:
    """The custom resources themselves; fulfils `Resources`."""

    def __init__(self) -> None:
        self.uids: dict[ResourceKey, str] = {}  # of those that exist
        self.deleting: set[ResourceKey] = set()
        self.stored: dict[ResourceKey, Mapping[str, Any]] = {}  # what `read` shows
        self.looked_for: list[str] = []  # names
        self.attempts = 0  # to write a status
        self.written: list[tuple[ResourceKey, Mapping[str, Any]]] = []
        self.refusing: OperatorError | None = None  # raised by `write`
        self.unreadable: OperatorError | None = None  # raised by `uid_of`
        self.kept: frozenset[str] | None = None  # the status fields of the CRD; None for all
        self.echo: Callable[[Mapping[str, Any]], object] = lambda _: None  # a watch faster than the answer

    async def uid_of(self, key: ResourceKey) -> str | None:
        self.looked_for.append(key.name)
        if self.unreadable:
            raise self.unreadable
        return self.uids.get(key.cluster if key.is_part else key)

    async def is_active(self, key: ResourceKey, uid: str) -> bool:
        return await self.uid_of(key) == uid and key not in self.deleting

    async def read(self, key: ResourceKey) -> Mapping[str, Any] | None:
        return self.stored.get(key)

    async def write(self, resource: Resource, status: Mapping[str, Any]) -> Mapping[str, Any]:
        self.attempts += 1
        if self.refusing:
            raise self.refusing
        self.written.append((resource.key, status))
        self.echo(status)
        return {key: value for key, value in status.items() if self.kept is None or key in self.kept}

    async def keeps_details(self, kind: str) -> bool:
        return kind != "" and self.kept is None


class FakeEvents:
    """Records Events; fulfils `EventSink`."""

    def __init__(self) -> None:
        self.emitted: list[tuple[ResourceKey, Reason]] = []

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        self.emitted.append((resource.key, outcome.reason))


class FakeTenants:
    """What resources may name in their namespaces; fulfils `IdentityObjects`."""

    def __init__(self) -> None:
        self.labels: dict[str, dict[str, str]] = {}  # of namespaces

    async def iam_keys(self, namespace: str, name: str) -> KeySecret:
        raise AssertionError(f"nobody reads {namespace}/{name} here")

    async def service_account(self, namespace: str, name: str) -> ServiceAccountFacts:
        raise AssertionError(f"nobody reads {namespace}/{name} here")

    async def service_account_token(self, namespace: str, name: str) -> str:
        raise AssertionError(f"nobody reads {namespace}/{name} here")

    async def namespace(self, name: str) -> NamespaceFacts:
        return NamespaceFacts(uid=f"uid-{name}", labels=self.labels.get(name, {}))


class FakeAccounts:
    """ServiceAccounts with the API server's rules about versions; fulfils `ServiceAccounts`."""

    def __init__(self) -> None:
        self._versions = itertools.count(100)
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []  # each as `verb namespace/name`
        self.failing: OperatorError | None = None  # raised in place of any answer
        self.meanwhile: list[Callable[[], object]] = []  # run, each once, between a read and a write
        self.silent: dict[str, asyncio.Event] = {}  # namespaces without answers
        self.unanswered: Counter[str] = Counter()  # reads that wait for one now

    def hold(self, namespace: str = NAMESPACE) -> None:
        """Leave every read of a namespace without an answer from now on."""
        self.silent[namespace] = asyncio.Event()

    def release(self, namespace: str = NAMESPACE) -> None:
        """Answer again, waiting calls too."""
        self.silent.pop(namespace).set()

    def put(self, name: str = "builder", **said: Any) -> dict[str, Any]:
        """Have somebody write a ServiceAccount; see `builders.service_account`."""
        raw = service_account(name, version=str(next(self._versions)), **said)
        self.objects[raw["metadata"]["namespace"], name] = raw
        return raw

    def change(self, name: str = "builder", **fields: Any) -> dict[str, Any]:
        """Have somebody replace fields of one."""
        raw = copy.deepcopy(self.objects[NAMESPACE, name]) | fields
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[NAMESPACE, name] = raw
        return raw

    async def read(self, namespace: str, name: str) -> Account | None:
        self._note(f"read {namespace}/{name}")
        if namespace in self.silent:
            self.unanswered[namespace] += 1
            await self.silent[namespace].wait()
            self.unanswered[namespace] -= 1
        raw = self.objects.get((namespace, name))
        account = view_account(raw) if raw else None
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return account

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        self._note(f"patch {account.namespace}/{account.name}")
        raw = self.objects.get((account.namespace, account.name))
        if raw is None or raw["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"]:
            raise StaleObjectError(Reason.KUBERNETES_UNAVAILABLE, "Conflict; trying again.")
        merged = merge(raw, patch)
        merged["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[account.namespace, account.name] = merged
        return view_account(merged)

    async def any_linked(self, namespace: str) -> bool:
        self._note(f"list {namespace}")
        return any(view_account(raw).labelled for raw in self.objects.values())

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.failing:
            raise self.failing
