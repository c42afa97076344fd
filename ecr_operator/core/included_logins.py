"""The logins that `include_logins_from` copies from other Secrets of the namespace.

Invariant: they are held only while one Secret is written or compared, and reach no message. Of a login only
what clients read is copied, so that no entry can make the others unreadable. Changes of a resource's Secrets
cause a read at most every 5 s, whoever makes them; a changed list and each write of the generated Secret read
them too. Leaves out: the write (secret_writer).
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from ecr_operator.api.desired import CONFIG_JSON, Desired, Problem, all_in_one
from ecr_operator.api.errors import OperatorError, PermanentError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import host_in
from ecr_operator.api.text import LONGEST_TEXT, base64_in, mapping_in, one_line
from ecr_operator.core import outcomes
from ecr_operator.core.manifest import DOCKER_KEY, DOCKER_TYPE, MANAGED_BY, MANAGER
from ecr_operator.core.named_objects import NamedObjects, version_of
from ecr_operator.core.ports import Clock, SecretStore
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import ResourceState, Result

UNREAD: Final = ""
_OLD_DOCKER_TYPE: Final = "kubernetes.io/dockercfg"
_OLD_DOCKER_KEY: Final = ".dockercfg"
_INTERVAL: Final = 5.0  # seconds at least between two reads
_UNREAD_AGAIN: Final = 30.0  # the same where one could not be read
_LARGEST: Final = 64 * 1024  # bytes of one Secret's logins
_LARGEST_TOTAL: Final = 512 * 1024
_TOO_MUCH: Final = (
    f"its logins make more than {_LARGEST_TOTAL // 1024} KiB with those before it; they are not copied"
)
_GENERATED: Final = "the operator generates it; use additional_registries for its registries"
# Of an entry of `auths`; a client that can't read one of them may refuse the whole file.
_FIELDS: Final = ("username", "password", "auth", "email", "identitytoken", "registrytoken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """What there is to copy.

    Attributes:
        logins: entries of `auths`, by registry key.
        versions: of the Secrets by name; None for one that is absent, `UNREAD` for one that could not be read
            this time.
        problem: what could not be copied.
    """

    logins: Mapping[str, Any] = field(repr=False)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    problem: Problem | None = None


class IncludedLogins:
    """Reads the Secrets that a resource includes, and knows when to read them again.

    Args:
        secrets: reads them one by one.
        watch: knows their versions.
        clock: monotonic time.
    """

    def __init__(self, secrets: SecretStore, watch: NamedObjects, clock: Clock) -> None:
        self._secrets = secrets
        self._watch = watch
        self._clock = clock

    def wait(self, state: ResourceState, desired: Desired) -> float | None:
        """Seconds until they have to be read, to copy or compare; None if what was copied is current."""
        if not desired.includes:
            return None
        known = state.included
        if known is not None and tuple(known) != desired.includes:
            return 0.0  # a spec change is acted on at once
        is_known = known and UNREAD not in known.values()
        if is_known and not self._watch.have_changed(desired.key.namespace, known or {}):
            return None
        return max(state.include_not_before - self._clock.monotonic(), 0.0)

    def report(self, state: ResourceState, desired: Desired, result: Result) -> Result:
        """The result, with what could not be copied, and when it is tried again."""
        if not desired.includes or desired.suspended or result.pending:
            return result
        if state.not_included and result.outcome and result.outcome.succeeded:
            result = replace(result, outcome=outcomes.not_included(result.outcome, state.not_included))
        wait = self.wait(state, desired)
        if not wait or result.error:  # which is retried in its own time
            return result
        again = wait if result.requeue_after is None else min(result.requeue_after, wait)
        return replace(result, requeue_after=again)

    async def read(
        self, state: ResourceState, desired: Desired, present: SecretView | None
    ) -> Included | None:
        """Read what to copy; where a Secret fails, what the present one has stays. None if there is nothing.

        Args:
            state: notes what could not be copied.
            desired: what the resource asks for.
            present: its Secret, by an earlier name perhaps.

        Raises:
            TransientError: the present Secret can't be read.
        """
        if desired.includes == ():
            return None
        included = await self._read_all(desired, present)
        pause = _UNREAD_AGAIN if UNREAD in included.versions.values() else _INTERVAL
        state.include_not_before = self._clock.monotonic() + pause
        state.not_included = included.problem
        return included

    async def read_own(self, present: SecretView) -> Mapping[str, Any] | None:
        """The resource's own Secret; None where it is gone or may not be read: nothing is copied then.

        Raises:
            TransientError: it can't be read now.
        """
        try:
            return await self._secrets.read(present.namespace, present.name)
        except PermanentError:
            return None

    async def _read_all(self, desired: Desired, present: SecretView | None) -> Included:
        logins = _Collected({host_in(login.key) for login in desired.logins})
        versions: dict[str, str | None] = {}
        problems = []
        for name in desired.includes or ():
            source = await self._read(desired.key.namespace, name, logins.left)
            versions[name], problem = source.version, source.problem
            if not logins.add(source.logins, source.size):
                problem = _problem(name, _TOO_MUCH)
            problems += [problem] if problem else []
        if (problems or desired.includes is None) and present:
            kept = _valid(auths_in(await self.read_own(present)))
            # As far as there is room: what is kept must not grow with each change of the others.
            while kept and not logins.add(kept, 0):
                kept = dict(islice(kept.items(), len(kept) // 2))
        problem = all_in_one(problems)
        short = problem and replace(problem, message=one_line(problem.message))  # it is kept in memory
        return Included(logins=logins.in_order(), versions=versions, problem=short)

    async def _read(self, namespace: str, name: str, left: int) -> "_Source":
        try:
            secret = await self._secrets.read(namespace, name)
        except OperatorError as error:
            return _Source(version=UNREAD, problem=_problem(name, f"it can't be read: {error.message}"))
        if secret is None:
            return _Source(problem=_problem(name, "it does not exist; create it or remove the entry"))
        return _parse(name, secret, left)


class _Collected:
    """Logins from several Secrets, of which the first for a registry wins; none for the resource's own hosts.

    Invariant: as JSON they are no larger than `_LARGEST_TOTAL`, which leaves room for the resource's own.

    Attributes:
        left: bytes that there is room for.
    """

    def __init__(self, own_hosts: AbstractSet[str]) -> None:
        self._own_hosts = own_hosts
        self._logins: dict[str, Any] = {}
        self.left = _LARGEST_TOTAL

    def add(self, logins: Mapping[str, Any], size: int) -> bool:
        """Add all of them, which were read from so many bytes; False, and none is, where that is too much."""
        new = {
            key: login
            for key, login in logins.items()
            if key not in self._logins and host_in(key) not in self._own_hosts
        }
        size = max(size, len(json.dumps(new, separators=(",", ":"))))
        if size > self.left:
            return False
        self.left -= size
        self._logins |= new
        return True

    def in_order(self) -> Mapping[str, Any]:
        """In the same order whichever Secret they are from, so that nothing is written for the order."""
        return dict(sorted(self._logins.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One Secret that is included: what can be copied from it, and what is wrong with it."""

    version: str | None = None
    size: int = 0
    logins: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: Problem | None = None


def _parse(name: str, secret: Mapping[str, Any], left: int) -> _Source:
    version = version_of(secret["metadata"])
    if mapping_in(secret["metadata"], "labels").get(MANAGED_BY) == MANAGER:
        return _Source(version=version, problem=_problem(name, _GENERATED, Reason.INVALID_SPEC))
    key = {DOCKER_TYPE: DOCKER_KEY, _OLD_DOCKER_TYPE: _OLD_DOCKER_KEY}.get(str(secret.get("type")), "")
    value = mapping_in(secret, "data").get(key)
    size = len(value) * 3 // 4 - value[-2:].count("=") if isinstance(value, str) else 0
    found = _entries(key, value, size, left)
    if isinstance(found, str):
        return _Source(version=version, problem=_problem(name, found))
    logins = _valid(found)
    left_out = len(found) - len(logins)
    problem = _problem(name, f"{left_out} of its logins are not valid and are left out") if left_out else None
    return _Source(version=version, size=size, logins=logins, problem=problem)


def _entries(key: str, value: object, size: int, left: int) -> dict[str, Any] | str:
    """The entries of a docker config of either form, or why there are none; read only if there is room."""
    if not key:
        return f"its type is neither {DOCKER_TYPE} nor {_OLD_DOCKER_TYPE}"
    if size > _LARGEST:
        return f"its logins are larger than {_LARGEST // 1024} KiB"
    if size > left:
        return _TOO_MUCH
    found = _auths(base64_in(value), key)
    return f"its {key} can't be read" if found is None else found


def auths_in(secret: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entries in a Secret of ours, of whichever form, by registry key; empty if they can't be read."""
    key = DOCKER_KEY if (secret or {}).get("type") == DOCKER_TYPE else CONFIG_JSON
    return _auths(base64_in(mapping_in(secret, "data").get(key)), DOCKER_KEY) or {}


def _auths(text: str | None, key: str) -> dict[str, Any] | None:
    """The entries of a docker config of either form; None where it is not one."""
    try:
        config = json.loads(text or "", parse_constant=_refuse)
        auths = config.get("auths") if key == DOCKER_KEY else config
    except (ValueError, AttributeError, RecursionError):
        return None
    return auths if isinstance(auths, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _valid(entries: Mapping[str, Any]) -> dict[str, Any]:
    """What is copied of all entries that clients can read."""
    return {key: login for key, entry in entries.items() if (login := _login(key, entry))}


def _login(key: str, entry: object) -> dict[str, str] | None:
    """What is copied of an entry; None where a client could not read it."""
    if not isinstance(entry, dict) or not 0 < len(key) <= LONGEST_TEXT:
        return None
    login = {name: entry[name] for name in _FIELDS if entry.get(name) not in (None, "")}
    if not login or not all(isinstance(value, str) for value in login.values()):
        return None
    try:
        is_pair = b":" in b64decode(login.get("auth", "Og=="), validate=True)
    except ValueError:
        return None
    return login if is_pair else None


def _problem(name: str, words: str, reason: Reason = Reason.PARTLY_REFRESHED) -> Problem:
    return Problem(reason=reason, message=f"spec.include_logins_from: Secret {name}: {words.rstrip('.')}.")
