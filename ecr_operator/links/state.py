"""What is known of each ServiceAccount: one record each, what the watch shows, and the facts of a pass.

Invariant: a record exists while its ServiceAccount has our label, or something of it is pending; it is
created and dropped here only.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from ecr_operator.api.desired import Resource
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.names import ALL_ACCOUNTS
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.core.cache import Cache
from ecr_operator.core.indexes import AccountName
from ecr_operator.core.ports import Resources
from ecr_operator.core.schedule import REPAIR_LIMIT, Repairs
from ecr_operator.links.plan import (
    LARGEST_RECORD,
    Account,
    Facts,
    Place,
    recorded_key,
    recorded_name,
    unseen,
    view_account,
)

# Large ServiceAccounts rest after each pass in proportion: their share of the processor does not grow.
_SMALL: Final = 50
_REST_PER_LINK: Final = 0.002
# Of one namespace that are linked to by `name: "*"`: whoever may create ServiceAccounts may create many.
MOST_NAMES: Final = 2000
# Recorded links of one namespace, and as many for each ServiceAccount as its own places take memory: anybody
# may put our label and a record on one.
_MOST_LINKS: Final = 60_000
_PER_ACCOUNT: Final = 20
# Whoever may write a ServiceAccount may fill its record with names.
_MOST_LOOKUPS: Final = 5

log = structlog.get_logger(__name__)


class ServiceAccounts(Protocol):
    """Reads ServiceAccounts and changes their links; implemented by `kube.service_accounts`.

    Each raises OperatorError: of the API server, or `KubernetesForbidden` naming the component to apply.
    """

    async def read(self, namespace: str, name: str) -> Account | None:
        """One ServiceAccount as it is now; None if there is none."""
        ...

    async def patch(self, account: Account, patch: Mapping[str, Any]) -> Account:
        """Change that very version and return the new one; StaleObjectError if it has changed or is gone."""
        ...

    async def any_linked(self, namespace: str) -> bool:
        """Whether any has our label, in a namespace, or in all of them (an empty one)."""
        ...


@dataclass(slots=True)
class LinkState:
    """What is remembered of one ServiceAccount; times are monotonic seconds.

    Attributes:
        account: as last seen; one without our label is unseen.
        desired: the links that the last pass found desired.
        size: how much that pass went through.
        error: what failed last, if the last pass failed.
        failures: how many in a row.
        stale_writes: how many writes in a row met a newer version.
        requested_at: when a resource or a timer wants a pass; an earlier one is caused by others.
        not_before: no pass before.
        waiting: resources to enqueue after the next pass.
        repairs: when changes by others were undone.
        record_reported: the log says that its record is ignored.
    """

    account: Account
    desired: AbstractSet[Place] = frozenset()
    size: int = 0
    error: OperatorError | None = None
    failures: int = 0
    stale_writes: int = 0
    requested_at: float = math.inf
    not_before: float = 0.0
    waiting: frozenset[ResourceKey] = frozenset()
    repairs: Repairs = ()
    record_reported: bool = False

    def rest(self) -> float:
        """Seconds to wait after a pass."""
        return self.size * _REST_PER_LINK if self.size > _SMALL else 0.0

    def expires_at(self) -> float:
        """When nothing of it is worth remembering."""
        if self.account.labelled or self.error or self.waiting or self.requested_at < math.inf:
            return math.inf
        last_repair = self.repairs[-1] + REPAIR_LIMIT.window if self.repairs else 0.0
        return max(self.not_before, last_repair)


class LinkStates:
    """The records by ServiceAccount, and which of them record links for a resource.

    Attributes:
        failing: how many ServiceAccounts of a namespace fail.
    """

    def __init__(self) -> None:
        self._states: dict[AccountName, LinkState] = {}
        self._recorded: defaultdict[tuple[str, str], set[AccountName]] = defaultdict(set)
        self._sizes: Counter[str] = Counter()
        self._links: Counter[str] = Counter()
        self.failing: Counter[str] = Counter()

    def names(self, scope: str = "") -> list[AccountName]:
        """The ServiceAccounts of a namespace, or of all."""
        return [name for name in self._states if scope in ("", name[0])]

    def peek(self, name: AccountName) -> LinkState:
        """The record of a ServiceAccount; an empty one, which is not kept, where there is none."""
        return self._states.get(name) or LinkState(unseen(*name))

    def get(self, name: AccountName) -> LinkState:
        """The record of a ServiceAccount; created where there is none."""
        if name not in self._states:
            self._states[name] = LinkState(unseen(*name))
            self._sizes[name[0]] += 1
        return self._states[name]

    def has_room(self, name: AccountName) -> bool:
        """Whether what the watch shows of it is kept; of those that no resource names up to a bound."""
        held = self._links[name[0]] + self._sizes[name[0]] * _PER_ACCOUNT
        return name in self._states or held < _MOST_LINKS

    def recorded_for(self, key: ResourceKey) -> AbstractSet[AccountName]:
        """The ServiceAccounts whose record names a resource."""
        return self._recorded.get((key.namespace, recorded_name(key)), frozenset())

    def set_error(self, name: AccountName, error: OperatorError | None) -> None:
        """Note what failed in the last pass, None for nothing."""
        state = self.get(name)
        self.failing[name[0]] += bool(error) - bool(state.error)
        state.error = error

    def see(self, account: Account) -> None:
        """Store what was read, written or watched of a ServiceAccount."""
        name = (account.namespace, account.name)
        state = self.get(name)
        if account.record_ignored and not state.record_reported:
            state.record_reported = True
            log.warning(
                "a record of links is too long and is ignored",
                limit=LARGEST_RECORD,
                namespace=account.namespace,
                service_account=account.name,
            )
        before = state.account
        state.account = account.abridged(state.desired) if account.labelled else unseen(*name)
        self._links[name[0]] += len(state.account.record) - len(before.record)
        for resource in before.recorded_for.keys() - state.account.recorded_for.keys():
            self._recorded[name[0], resource].discard(name)
            if not self._recorded[name[0], resource]:
                del self._recorded[name[0], resource]
        for resource in state.account.recorded_for:
            self._recorded[name[0], resource].add(name)

    def prune(self, name: AccountName, now: float) -> float:
        """Drop a record that has expired; returns seconds until one expires, inf where that is not known."""
        left = self._states[name].expires_at() - now if name in self._states else math.inf
        if left > 0:
            return left
        del self._states[name]
        self._sizes[name[0]] -= 1
        if not self._sizes[name[0]]:
            del self._sizes[name[0]], self._links[name[0]], self.failing[name[0]]
        return math.inf

    def begin_term(self) -> None:
        """Keep what was seen, and nothing of what failed or was contested: others have written since."""
        seen = [state for state in self._states.values() if state.account.labelled]
        self._states.clear()
        self._sizes.clear()
        self.failing.clear()
        for state in seen:
            fresh = self.get((state.account.namespace, state.account.name))
            fresh.account, fresh.record_reported = state.account, state.record_reported


class ServiceAccountStore:
    """The labelled ServiceAccounts of one scope (a namespace, or all), as their informer sees them.

    Args:
        scope: a namespace, or an empty string for all.
        changed: called with each that may need a pass, and whether a new list shows it.
    """

    def __init__(self, scope: str, states: LinkStates, changed: Callable[[AccountName, bool], None]) -> None:
        self._scope = scope
        self._states = states
        self._changed = changed

    def read(self, raw: Mapping[str, Any]) -> Account:
        """An object of a list."""
        return view_account(raw)

    def replaced(self, listed: Sequence[Account]) -> None:
        """A list: what is not in it is gone, and versions may have gone back with a restored etcd."""
        present = {(account.namespace, account.name) for account in listed}
        gone = [unseen(*name) for name in self._states.names(self._scope) if name not in present]
        for account in (*gone, *listed):
            self._see(account, relisted=True)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        account = view_account(raw)
        if self._is_later(account):
            self._see(account)

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that is gone, or has lost our label."""
        account = view_account(raw)
        if self._is_later(account):
            self._see(unseen(account.namespace, account.name))

    def _see(self, account: Account, *, relisted: bool = False) -> None:
        name = (account.namespace, account.name)
        if self._states.has_room(name):
            self._states.see(account)
            self._changed(name, relisted)

    def _is_later(self, account: Account) -> bool:
        """Whether it is neither the echo of an own write nor older."""
        known = self._states.peek((account.namespace, account.name)).account
        return known.uid != account.uid or account.is_newer_than(known)


class FactsReader:
    """Gathers the facts of a pass.

    Args:
        resources: looks up resources that the watch doesn't show.
        all_names: the ServiceAccounts of a namespace, for those that link to all.
        rng: picks which names of a long record are looked up.
    """

    def __init__(
        self,
        cache: Cache,
        resources: Resources,
        all_names: Callable[[str], AbstractSet[str]],
        rng: random.Random,
    ) -> None:
        self._cache = cache
        self._resources = resources
        self._all_names = all_names
        self._rng = rng

    def facts(self, account: Account, assumed: Collection[str] = ()) -> Facts:
        """What is known of an account and of the resources that concern it; see `Facts`."""
        namespace = account.namespace
        recorded = (self._cache.resource(recorded_key(namespace, name)) for name in account.recorded_for)
        linking = self._cache.linking((namespace, account.name))
        if account.name in self._all_names(namespace):
            linking += self._cache.linking((namespace, ALL_ACCOUNTS))
        resources = {recorded_name(each.key): each for each in (*linking, *recorded) if each}
        return Facts(
            account=account,
            resources=resources,
            with_secret={name for name, resource in resources.items() if self.has_secret(resource)},
            orphaned={
                secret
                for (secret, _), by in account.record.items()
                if by not in resources and self._is_orphaned(namespace, secret, by)
            },
            assumed=assumed,
        )

    async def look_up(self, account: Account) -> tuple[set[str], set[str]]:
        """Look up recorded resources that the watch doesn't show: it may lag behind.

        Returns:
            The names of those that exist, and of those that have to wait for a later pass.

        Raises:
            OperatorError: from the API server.
        """
        keys = {name: recorded_key(account.namespace, name) for name in account.recorded_for}
        unknown = sorted(name for name, key in keys.items() if not self._is_known(key))
        checked = sorted(self._rng.sample(unknown, min(_MOST_LOOKUPS, len(unknown))))
        existing = {name for name in checked if await self._resources.uid_of(keys[name]) is not None}
        return existing, set(unknown).difference(checked)

    def _is_known(self, key: ResourceKey) -> bool:
        """Whether the watch shows a resource, or that a ClusterSecret does not serve the namespace."""
        return any(self._cache.resource(each) for each in ((key, key.cluster) if key.is_part else (key,)))

    def has_secret(self, resource: Resource) -> bool:
        """Whether the Secret that a resource names exists and is its own."""
        name = resource.desired.secret_name if resource.desired else ""
        view = self._cache.secret(resource.key.namespace, name)
        return bool(view and view.owner and view.owner.uid == resource.uid)

    def _is_orphaned(self, namespace: str, secret: str, resource: str) -> bool:
        view = self._cache.secret(namespace, secret)
        owner = view.owner if view else None
        return bool(owner and not owner.controller and recorded_name(owner.key(namespace)) == resource)
