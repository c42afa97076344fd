"""The Secrets and ServiceAccounts that resources name as their AWS identity, or to copy logins from: a watch.

Guarantees: of metadata only; there is a watch only while a resource names one; nothing is kept of other
objects; while it is watched, that a named object gives no credentials is remembered until it changes; a
Secret with keys is read once when it is first seen and once for each change, one Secret at a time, to notice
other keys; of an object that changes all the time one change in a second is passed on, and no other object
waits for that.
Leaves out: reading them (kube.identity_objects), what permits an identity (aws), and what other keys mean
(rotation).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.identity import Identity, KeyDigest
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.text import intern_text
from ecr_operator.core.indexes import count_down
from ecr_operator.core.ports import Clock, Demand

# Of an Identity: those that name an object.
SOURCES: Final = ("iam_secret", "service_account")
_UNKNOWN: Final = ""
_READ_AGAIN: Final = 5.0  # seconds after the API server did not answer
_MOST_INCLUDED: Final = 5000  # Secrets to copy logins from, that are watched in one namespace
_TOGETHER: Final = 1.0  # seconds in which further changes of an object are passed on as one

log = structlog.get_logger(__name__)

_Name = tuple[str, str, str]
"""Source, namespace and name."""


@dataclass(slots=True)
class _Named:
    """One object: the resources that name it, its uid and version (None if absent), its failures and keys.

    Attributes:
        since: the list that had begun last when it was named: it may have passed the object by.
    """

    since: int
    users: dict[ResourceKey, Identity] = field(default_factory=dict)
    included_by: set[ResourceKey] = field(default_factory=set)
    version: str | None = _UNKNOWN
    failures: dict[Identity, OperatorError] = field(default_factory=dict)
    keys: KeyDigest | None = None


class NamedObjects:
    """The objects that resources name.

    Args:
        read_basis: reads what permits an identity.
        scopes: the namespaces that are watched; an empty string for all.
        changed: called with the identities that a changed object stands for, and the resources that name it.
    """

    def __init__(
        self,
        read_basis: Callable[[Identity], Awaitable[str]],
        scopes: Sequence[str],
        changed: Callable[[Collection[Identity], Collection[ResourceKey]], None],
    ) -> None:
        self._read_basis = read_basis
        self._changed = changed
        self._unread: dict[_Name, None] = {}
        self._any_unread = asyncio.Event()
        # What was passed on within the last second, and whether it has changed again since.
        self._passed_on: dict[_Name, bool] = {}
        self._any_passed_on = asyncio.Event()
        self._named: dict[_Name, _Named] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._included: Counter[str] = Counter()
        self._lists = 0
        self._synced: set[tuple[str, str]] = set()
        self._demands = {(source, scope): Demand() for source in SOURCES for scope in scopes}

    def demand(self, source: str, scope: str) -> Demand:
        """Whether the objects of a kind and scope have to be watched."""
        return self._demands[source, scope]

    def store(self, source: str, scope: str) -> "NamedObjectStore":
        """Where the informer of a kind and scope puts what it sees."""
        return NamedObjectStore(source, scope, self)

    def name(self, key: ResourceKey, identity: Identity) -> None:
        """A resource has this identity, and names an object with it perhaps."""
        if identity.source not in SOURCES:
            return
        name = _name_of(identity)
        if not self._add(name).users and (name[0], self._scope(name[1])) in self._synced:
            # The list was before it was named.
            self._read_later(name)
        self._named[name].users[key] = identity

    def unname(self, key: ResourceKey, identity: Identity) -> None:
        """A resource no longer has this identity."""
        name = _name_of(identity)
        named = self._named.get(name)
        if named is None or named.users.get(key) != identity:
            return
        del named.users[key]
        self._remove_unused(name, named)

    def include(self, key: ResourceKey, secret: str) -> None:
        """A resource copies logins from a Secret of its namespace."""
        name = _secret_name(key.namespace, secret)
        if name not in self._named and self._included[key.namespace] >= _MOST_INCLUDED:
            return  # its changes are copied when the token is refreshed
        named = self._add(name)
        self._included[key.namespace] += not named.included_by
        named.included_by.add(key)

    def exclude(self, key: ResourceKey, secret: str) -> None:
        """A resource no longer copies logins from a Secret."""
        name = _secret_name(key.namespace, secret)
        named = self._named.get(name)
        if named is None or key not in named.included_by:
            return
        named.included_by.discard(key)
        if not named.included_by:
            count_down(self._included, key.namespace)
        self._remove_unused(name, named)

    def have_changed(self, namespace: str, known: Mapping[str, str | None]) -> bool:
        """Whether one of some Secrets has another version than the one known; None for an absent one."""
        found = ((self._named.get(_secret_name(namespace, name)), version) for name, version in known.items())
        return any(named and named.version not in (_UNKNOWN, version) for named, version in found)

    def _add(self, name: _Name) -> _Named:
        if name not in self._named:
            self._named[name] = _Named(since=self._lists)
            self._count(name, 1)
        return self._named[name]

    def _remove_unused(self, name: _Name, named: _Named) -> None:
        if not named.users and not named.included_by:
            del self._named[name]
            self._count(name, -1)
        if not named.users:
            self._unread.pop(name, None)
            named.keys = None

    async def basis(self, identity: Identity) -> str:
        """What permits an identity, read now; that its object is missing holds until that changes.

        Raises:
            OperatorError: nothing permits it, or it can't be read.
        """
        named = self._named.get(_name_of(identity))
        if named and (failure := named.failures.get(identity)):
            raise failure.with_traceback(None)
        before = named.version if named else None
        try:
            return await self._read_basis(identity)
        except PermanentError as error:
            is_watched = (identity.source, self._scope(identity.namespace)) in self._synced
            if (
                named
                and named.version == before
                and is_watched
                and error.reason is Reason.CREDENTIALS_MISSING
            ):
                named.failures[identity] = error
            raise

    def keys(self, identity: Identity) -> KeyDigest | None:
        """The keys of an identity's Secret as last read; None if they have not been."""
        named = self._named.get(_name_of(identity))
        return named.keys if named else None

    async def watch_keys(
        self,
        read: Callable[[Identity], Awaitable[KeyDigest]],
        keys_read: Callable[[KeyDigest | None, KeyDigest, Collection[ResourceKey]], object],
        clock: Clock,
    ) -> None:
        """Read the keys of Secrets that are new or have changed, until cancelled.

        Args:
            read: digests the keys in a Secret.
            keys_read: called with the digests of the last read (None if there was none) and of this one, and
                the resources that name the Secret.
            clock: the time.
        """
        while True:
            await self._any_unread.wait()
            while self._unread:
                name = next(iter(self._unread))
                del self._unread[name]
                known = self._named.get(name)
                if known is None or known.failures:
                    continue  # not named any more, or known to have no keys
                keys = await self._read_keys(name, read, clock)
                if keys is not None and (named := self._named.get(name)):
                    before, named.keys = named.keys, keys
                    keys_read(before, keys, list(named.users))
            self._any_unread.clear()

    async def _read_keys(
        self, name: _Name, read: Callable[[Identity], Awaitable[KeyDigest]], clock: Clock
    ) -> KeyDigest | None:
        """The keys in a Secret; None where that fails."""
        _, namespace, secret = name
        try:
            return await read(Identity(source="iam_secret", namespace=namespace, name=secret))
        except TransientError:
            await clock.sleep(_READ_AGAIN)
            if name in self._named:
                self._read_later(name)
        except PermanentError:
            pass  # reported by the refreshes that need them
        except Exception as error:  # noqa: BLE001 - must not keep other Secrets from being read
            # The type alone: the text of an unknown exception may contain a key.
            log.error("unexpected error", error=type(error).__name__, namespace=namespace, name=secret)  # noqa: TRY400
        return None

    def _read_later(self, name: _Name) -> None:
        if name[0] == "iam_secret":
            self._unread[name] = None
            self._any_unread.set()

    def is_named(self, name: _Name) -> bool:
        """Whether any resource names it."""
        return name in self._named

    def saw(self, name: _Name, version: str | None) -> None:
        """The object has this version now, or is absent (None)."""
        named = self._named.get(name)
        if named is None or named.version == version:
            return
        is_news = named.version != _UNKNOWN or named.keys is not None
        named.version = version
        if version is not None and named.users:
            self._read_later(name)
        if is_news or named.failures:
            named.failures.clear()
            self._pass_on(name, named)
        elif named.included_by:
            # It may have changed since it was read; that is no reason to ask AWS again.
            self._changed((), list(named.included_by))

    def _pass_on(self, name: _Name, named: _Named) -> None:
        """Pass a change on: at once, or with all others of the same second where one has been in it."""
        if name in self._passed_on:
            self._passed_on[name] = True
            return
        self._passed_on[name] = False
        self._any_passed_on.set()
        self._changed(set(named.users.values()), [*named.users, *named.included_by])

    async def pass_on_later(self, clock: Clock) -> None:
        """Pass on what has changed again within a second, at its end, until cancelled."""
        while True:
            await self._any_passed_on.wait()
            await clock.sleep(_TOGETHER)
            self._any_passed_on.clear()
            passed_on, self._passed_on = self._passed_on, {}
            for name, again in passed_on.items():
                if again and (named := self._named.get(name)):
                    self._pass_on(name, named)

    def begin_list(self) -> int:
        """The number of a list that begins now."""
        self._lists += 1
        return self._lists

    def saw_all(self, source: str, scope: str, versions: Mapping[_Name, str], began: int) -> None:
        """All objects that there are of a kind in a scope, of those that were named when the list began."""
        self._synced.add((source, scope))
        known = [name for name in self._named if name[0] == source and scope in ("", name[1])]
        for name in known:
            if name in versions or self._named[name].since < began:
                self.saw(name, versions.get(name))

    def ended(self, source: str, scope: str) -> None:
        """The watch has ended: what it showed may be no longer so."""
        self._synced.discard((source, scope))
        for name, named in self._named.items():
            if name[0] == source and scope in ("", name[1]):
                named.failures.clear()
                named.version = _UNKNOWN

    def _scope(self, namespace: str) -> str:
        return "" if (SOURCES[0], "") in self._demands else namespace

    def _count(self, name: _Name, change: int) -> None:
        place = (name[0], self._scope(name[1]))
        self._numbers[place] += change
        self._demands[place].change(needed=self._numbers[place] > 0)


class NamedObjectStore:
    """The named objects of one kind in one scope, as their informer sees them.

    Args:
        source: `iam_secret` or `service_account`.
        scope: a namespace, or an empty string for all.
        objects: where they are kept.
    """

    def __init__(self, source: str, scope: str, objects: NamedObjects) -> None:
        self._source = source
        self._scope = scope
        self._objects = objects
        self._began: int | None = None

    def read(self, raw: Mapping[str, Any]) -> tuple[_Name, str] | None:
        """An object of a list; None if no resource names it."""
        self._began = self._began or self._objects.begin_list()
        name = self._name(raw)
        return (name, version_of(raw["metadata"])) if self._objects.is_named(name) else None

    def replaced(self, listed: Sequence[tuple[_Name, str] | None]) -> None:
        """A list: what is not in it is absent."""
        began, self._began = self._began or self._objects.begin_list(), None
        versions = dict(found for found in listed if found)
        self._objects.saw_all(self._source, self._scope, versions, began)

    def changed(self, raw: Mapping[str, Any]) -> None:
        """An object that was added or modified."""
        self._objects.saw(self._name(raw), version_of(raw["metadata"]))

    def deleted(self, raw: Mapping[str, Any]) -> None:
        """An object that was deleted."""
        self._objects.saw(self._name(raw), None)

    def _name(self, raw: Mapping[str, Any]) -> _Name:
        return self._source, raw["metadata"]["namespace"], raw["metadata"]["name"]


def _secret_name(namespace: str, name: str) -> _Name:
    """A Secret to copy logins from: the same watch as of those with AWS keys shows it."""
    return "iam_secret", namespace, name


def _name_of(identity: Identity) -> _Name:
    return identity.source, identity.namespace, identity.name


def version_of(metadata: Mapping[str, Any]) -> str:
    """The uid and version of an object: which one it is, and as of when."""
    return intern_text(f"{metadata['uid']}/{metadata['resourceVersion']}")
