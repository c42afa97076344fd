"""The logins that `include_logins_from` copies from other Secrets of the namespace.

Invariant: they are held only while one Secret is written or compared, and reach no message. Of a login only
what clients read is copied, so that no entry can make the others unreadable. A resource's Secrets are read at
most every 5 s, whoever changes them. Leaves out: the write (secret_writer).
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ecr_operator.api.desired import Desired, Problem, all_in_one
from ecr_operator.api.errors import OperatorError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.registry import host_in
from ecr_operator.api.text import LONGEST_TEXT, base64_in, mapping_in
from ecr_operator.core import outcomes
from ecr_operator.core.identity_watch import IdentityWatch, version_of
from ecr_operator.core.manifest import DOCKER_KEY, DOCKER_TYPE, MANAGED_BY, MANAGER, docker_key
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
_GENERATED: Final = "the operator generates it; use additional_registries for its registries"
# Of an entry of `auths`; a client that can't read one of them may refuse the whole file.
_FIELDS: Final = ("username", "password", "auth", "email", "identitytoken", "registrytoken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """What there is to copy.

    Attributes:
        logins: entries of `auths`, by registry key.
        versions: of the Secrets, in the order of the spec; None for one that is absent, `UNREAD` for one that
            could not be read this time.
        problem: what could not be copied.
    """

    logins: Mapping[str, Any] = field(repr=False)
    versions: tuple[str | None, ...] = ()
    problem: Problem | None = None


class IncludedLogins:
    """Reads the Secrets that a resource includes, and knows when to read them again.

    Args:
        secrets: reads them one by one.
        watch: knows their versions.
        clock: monotonic time.
    """

    def __init__(self, secrets: SecretStore, watch: IdentityWatch, clock: Clock) -> None:
        self._secrets = secrets
        self._watch = watch
        self._clock = clock

    def wait(self, state: ResourceState, desired: Desired) -> float | None:
        """Seconds until they have to be read, to copy or compare; None if what was copied is current."""
        if not desired.includes:
            return None
        names, known = desired.includes, state.included
        # A spec that has changed is written anyway, with another number of them perhaps.
        is_known = known is not None and UNREAD not in known and len(known) == len(names)
        if is_known and not self._watch.have_changed(desired.key.namespace, names, known or ()):
            return None
        return max(state.include_not_before - self._clock.monotonic(), 0.0)

    def report(self, state: ResourceState, desired: Desired, result: Result) -> Result:
        """The result, with what could not be copied, and when it is tried again."""
        if not desired.includes or result.outcome is None or result.pending:
            return result
        if state.not_included and result.outcome.succeeded:
            result = replace(result, outcome=outcomes.not_included(result.outcome, state.not_included))
        wait = self.wait(state, desired)
        return replace(result, requeue_after=wait) if wait and result.requeue_after is None else result

    async def read(
        self, state: ResourceState, desired: Desired, present: SecretView | None
    ) -> Included | None:
        """Read what to copy; where a Secret fails, what the present one has stays. None if there is nothing.

        Args:
            state: notes what could not be copied.
            desired: what the resource asks for.
            present: its Secret.

        Raises:
            OperatorError: the present Secret can't be read.
        """
        if desired.includes == ():
            return None
        included = await self._read_all(desired, present)
        pause = _UNREAD_AGAIN if UNREAD in included.versions else _INTERVAL
        state.include_not_before = self._clock.monotonic() + pause
        state.not_included = included.problem
        return included

    async def _read_all(self, desired: Desired, present: SecretView | None) -> Included:
        sources = [await self._read(desired.key.namespace, name) for name in desired.includes or ()]
        logins: dict[str, Any] = {}
        problems, left = [], _LARGEST_TOTAL
        for source in sources:
            problem = source.problem
            left -= source.size
            if left < 0:
                words = f"its logins make more than {_LARGEST_TOTAL // 1024} KiB with those before it"
                problem = _problem(source.name, f"{words}; they are not copied")
            else:
                logins = {**source.logins, **logins}
            problems += [problem] if problem else []
        if (problems or desired.includes is None) and present:
            secret = await self._secrets.read(present.namespace, present.name)
            logins = {**auths_in(secret, docker_key(desired)), **logins}
        ours = {host_in(login.key) for login in desired.logins}
        return Included(
            logins={key: login for key, login in logins.items() if host_in(key) not in ours},
            versions=tuple(source.version for source in sources),
            problem=all_in_one(problems),
        )

    async def _read(self, namespace: str, name: str) -> "_Source":
        try:
            secret = await self._secrets.read(namespace, name)
        except OperatorError as error:
            problem = _problem(name, f"it can't be read: {error.message}")
            return _Source(name=name, version=UNREAD, problem=problem)
        if secret is None:
            return _Source(
                name=name, problem=_problem(name, "it does not exist; create it or remove the entry")
            )
        return _parse(name, secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One Secret that is included: what can be copied from it, and what is wrong with it."""

    name: str
    version: str | None = None
    size: int = 0
    logins: Mapping[str, Any] = field(default_factory=dict, repr=False)
    problem: Problem | None = None


def _parse(name: str, secret: Mapping[str, Any]) -> _Source:
    version, found = version_of(secret["metadata"]), _entries(secret)
    if isinstance(found, str):
        reason = Reason.INVALID_SPEC if found is _GENERATED else Reason.PARTLY_REFRESHED
        return _Source(name=name, version=version, problem=_problem(name, found, reason))
    logins = {key: login for key, entry in found.items() if (login := _login(key, entry))}
    left_out = len(found) - len(logins)
    problem = _problem(name, f"{left_out} of its logins are not valid and are left out") if left_out else None
    size = sum(len(key) + sum(map(len, login.values())) for key, login in logins.items())
    return _Source(name=name, version=version, size=size, logins=logins, problem=problem)


def _entries(secret: Mapping[str, Any]) -> dict[str, Any] | str:
    """The entries of a docker config of either form, or why there are none."""
    if mapping_in(secret["metadata"], "labels").get(MANAGED_BY) == MANAGER:
        return _GENERATED
    key = {DOCKER_TYPE: DOCKER_KEY, _OLD_DOCKER_TYPE: _OLD_DOCKER_KEY}.get(str(secret.get("type")))
    if key is None:
        return f"its type is neither {DOCKER_TYPE} nor {_OLD_DOCKER_TYPE}"
    value = mapping_in(secret, "data").get(key)
    if isinstance(value, str) and len(value) > _LARGEST * 4 // 3 + 4:
        return f"its logins are larger than {_LARGEST // 1024} KiB"
    found = _auths(base64_in(value), key)
    return f"its {key} can't be read" if found is None else found


def auths_in(secret: Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """The logins in a Secret of ours, by registry key; whatever can't be read is left out."""
    return _auths(base64_in(mapping_in(secret or {}, "data").get(key)), DOCKER_KEY) or {}


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
