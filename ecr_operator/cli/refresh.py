"""`refresh`: requests new tokens by an annotation, and waits until the statuses report them.

Only the status is read: whoever may request a token need not have the right to read the Secret.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.kinds import CLUSTER, NAMESPACED_KINDS
from ecr_operator.api.outcome import Reason, ResourceKey
from ecr_operator.api.parsing import REFRESH_REQUESTED, status_of
from ecr_operator.api.text import format_time, mapping_in
from ecr_operator.cli.cluster import Object, connected, explain, list_all, namespace_of
from ecr_operator.cli.output import CommandError, Terminal, format_span, printable, short_name
from ecr_operator.cli.rows import PRESUMED_LIFE, coverage_in, key_of, no_operator, time_in
from ecr_operator.core.ports import Clock
from ecr_operator.core.schedule import minimum_interval
from ecr_operator.core.status import by_type
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import MERGE_PATCH, KubeClient
from ecr_operator.settings.commands import Refresh

_INTERVAL: Final = 0.5  # seconds
_LIST_INTERVAL: Final = 2.0
_CONCURRENCY: Final = 8
_PATIENCE: Final = timedelta(minutes=1)
_FIELD_MANAGER: Final = "ecr-secret-operator-refresh"
_FINAL: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
# A running operator has processed the request by then.
_PROCESSED: Final = timedelta(seconds=5)
_MISTAKES: Final = (Reason.INVALID_SPEC, Reason.INVALID_REGISTRY)

# Reads resources; those that do not exist are absent. Raises ApiError.
Read = Callable[[Sequence[ResourceKey]], Awaitable[Mapping[ResourceKey, Object]]]


async def run(command: Refresh, terminal: Terminal, clock: Clock) -> int:
    """Request tokens for all resources that the command names, and wait for them.

    Returns:
        0 if every token came, else 1.

    Raises:
        CommandError: the API server can't be reached, or a resource does not exist.
    """
    async with connected(command.place) as client:
        # A ClusterSecret is in none.
        namespace = "" if command.kinds == (CLUSTER,) else namespace_of(command.place, client)
        waiting = _Waiting(client, terminal, clock, command.timeout, asyncio.Semaphore(_CONCURRENCY))
        if command.names:
            found = [await _find(client, namespace, kind, name) for kind, name in command.names]
            return 0 if await waiting.run(found, partial(_get, client), _INTERVAL) else 1
        listing = await list_all(client, namespace, command.kinds)
        for message in (*listing.notes, *listing.errors):
            terminal.note(message)
        served = [(key_of(kind, raw), raw) for kind, raw in listing.objects if not why_idle(raw)]
        idle = Counter(why for _, raw in listing.objects if (why := why_idle(raw)))
        for why, number in idle.items():
            terminal.note(f"Skipped because {why}: {number}.")
        if not served and not listing.errors:
            terminal.note(
                f"Nothing to refresh in {f'namespace {namespace}' if namespace else 'any namespace'}."
            )
        read = partial(_list, client, namespace)
        return 0 if await waiting.run(served, read, _LIST_INTERVAL) and not listing.errors else 1


@dataclass(slots=True)
class _Request:
    """One request for a token that was made.

    Attributes:
        before: what the status said then.
        present: what it says now.
        start: monotonic seconds.
        earliest: when AWS can be asked again.
        limit: the longest wait.
        noted: what was last written about it.
    """

    key: ResourceKey
    before: "Seen"
    present: "Seen"
    start: float
    earliest: datetime
    limit: timedelta
    noted: str = ""


@dataclass(slots=True)
class _Waiting:
    client: KubeClient
    terminal: Terminal
    clock: Clock
    timeout: timedelta | None
    slots: asyncio.Semaphore

    async def run(self, found: Sequence[tuple[ResourceKey, Object]], read: Read, interval: float) -> bool:
        """Request tokens and wait; true if all came."""
        made = await asyncio.gather(*(self._request(key, raw) for key, raw in found))
        pending = [request for request in made if request]
        succeeded = len(pending) == len(found)
        while pending:
            await self.clock.sleep(interval)
            ends = await self._look(pending, read)
            succeeded = succeeded and False not in ends
            pending = [request for request, end in zip(pending, ends, strict=True) if end is None]
        return succeeded

    async def _request(self, key: ResourceKey, raw: Object) -> _Request | None:
        """Annotate the resource; None if that fails."""
        if why := why_idle(raw):
            self._note(key, f"{why}, so nothing is refreshed.")
            return None
        async with self.slots:
            try:
                await self.client.request(
                    "PATCH",
                    paths.resources(key.kind, key.namespace, key.name),
                    query=(("fieldManager", _FIELD_MANAGER),),
                    body=patch(self.clock.now()),
                    content_type=MERGE_PATCH,
                )
            except ApiError as failure:
                self._note(key, explain(failure, "patch", key.kind, key.namespace))
                return None
        before, now = seen(raw), self.clock.now()
        earliest = earliest_refresh(before, now)
        if earliest > now:
            self._note(key, f"the token is new; AWS can be asked again in {format_span(earliest - now)}")
        limit = self.timeout or earliest - now + _PATIENCE
        return _Request(key, before, before, self.clock.monotonic(), earliest, limit)

    async def _look(self, pending: Sequence[_Request], read: Read) -> list[bool | None]:
        """Whether each request succeeded; None while it is pending."""
        try:
            objects = await read([request.key for request in pending])
        except ApiError as failure:
            lost = f"can't read the status: {failure.message}." if failure.code in _FINAL else ""
            return [self._end(request, lost) for request in pending]
        return [self._judge(request, objects.get(request.key)) for request in pending]

    def _judge(self, request: _Request, raw: Object | None) -> bool | None:
        if raw is None:
            return self._end(request, "it was deleted meanwhile.")
        request.present = seen(raw)
        is_met, message = judge(request.before, request.present, self._waited(request))
        if is_met:
            self.terminal.write(f"{request.key} {message}.")
            return True
        if is_met is None and message not in ("", request.noted):
            request.noted = message
            self._note(request.key, f"{message} Waiting.")
        return self._end(request, message if is_met is False else "")

    def _end(self, request: _Request, failure: str) -> bool | None:
        """False with a note if the request failed or its time is up."""
        if not failure:
            if self._waited(request) < request.limit:
                return None
            cause = too_late(request.key.kind, request.present, request.earliest, self.clock.now())
            failure = f"no new token within {format_span(request.limit)}: {cause}"
        self._note(request.key, failure)
        return False

    def _waited(self, request: _Request) -> timedelta:
        return timedelta(seconds=self.clock.monotonic() - request.start)

    def _note(self, key: ResourceKey, message: str) -> None:
        self.terminal.note(f"{key}: {message}")


async def _get(client: KubeClient, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Object]:
    """One get for each: the right to list is not needed."""
    found = await asyncio.gather(*(_get_one(client, key) for key in keys))
    return {key: raw for key, raw in zip(keys, found, strict=True) if raw is not None}


async def _get_one(client: KubeClient, key: ResourceKey) -> Object | None:
    try:
        raw: Object = await client.request("GET", paths.resources(key.kind, key.namespace, key.name))
    except ApiError as failure:
        # Else the kind does not exist.
        if failure.is_not_found and "could not find the requested resource" not in failure.message:
            return None
        raise
    return raw


async def _list(client: KubeClient, namespace: str, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Object]:
    """One list for each kind among the keys, however many they are."""
    found = {}
    for kind in dict.fromkeys(key.kind for key in keys):
        answer = await client.request("GET", paths.resources(kind, namespace))
        found.update({key_of(kind, raw): raw for raw in answer.get("items") or ()})
    return found


async def _find(
    client: KubeClient, namespace: str, kind: str | None, name: str
) -> tuple[ResourceKey, Object]:
    found, errors = [], []
    for each in (kind,) if kind else NAMESPACED_KINDS:
        key = ResourceKey(kind=each, namespace="" if each == CLUSTER else namespace, name=name)
        try:
            if (raw := await _get_one(client, key)) is not None:
                found.append((key, raw))
        except ApiError as failure:
            errors.append(explain(failure, "get", each, key.namespace))
    if len(found) > 1:
        ways = " or ".join(short_name(key) for key, _ in found)
        raise CommandError(f"Two resources are named {name}; specify {ways}.")
    if not found and errors:
        raise CommandError(errors[0])
    if not found:
        where = "" if kind == CLUSTER else f" in namespace {namespace}"
        missing = f"{kind or 'resource'} named {name}{where}"
        raise CommandError(f"There is no {missing}; `status -A` lists all resources.")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a status says.

    Attributes:
        stalled: what a user has to correct before the token is renewed; empty for nothing.
        failing: why the last attempt failed; empty if it did not.
        lacking: in how many of its namespaces a ClusterSecret is ready, unless in all; empty for other kinds.
    """

    refreshed_at: datetime | None
    expires_at: datetime | None
    stalled: str
    failing: str
    lacking: str = ""


def patch(now: datetime) -> dict[str, Any]:
    """The merge patch that requests a token; each has another value."""
    value = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {"metadata": {"annotations": {REFRESH_REQUESTED: value}}}


def why_idle(raw: Object) -> str:
    """Why nothing is refreshed for a resource; empty if something is."""
    if mapping_in(raw, "spec").get("suspend") is True:
        return "spec.suspend is true"
    status = status_of(raw)
    coverage = coverage_in(status)
    is_current = status.get("observedGeneration") == raw["metadata"].get("generation")
    return "no namespace is served" if coverage and not coverage.served and is_current else ""


def seen(raw: Object) -> Seen:
    """Read the status of a resource."""
    status = status_of(raw)
    conditions = by_type(status.get("conditions"))
    stalled = conditions.get("Stalled", {})
    coverage = coverage_in(status)
    # A login that no client can use is not ready, and is renewed.
    is_lacking = (
        coverage is not None and coverage.ready < coverage.served and status.get("phase") != "Updated"
    )
    # The token is renewed in spite of such a mistake.
    is_served = status.get("phase") == "Updated" and stalled.get("reason") in _MISTAKES
    return Seen(
        refreshed_at=time_in(status, "lastUpdatedTime"),
        expires_at=time_in(status, "expirationTime"),
        stalled="" if is_served else _message(stalled, "True"),
        failing=_message(conditions.get("Refreshed", {}), "False"),
        lacking=f"{coverage.ready} of {coverage.served}" if coverage and is_lacking else "",
    )


def _message(condition: Mapping[str, Any], status: str) -> str:
    if condition.get("status") != status:
        return ""
    return printable(f"{condition.get('reason')}: {condition.get('message')}")


def earliest_refresh(before: Seen, now: datetime) -> datetime:
    """When AWS can be asked again: now, unless the present token is too new."""
    if before.refreshed_at is None:
        return now
    life = before.expires_at - before.refreshed_at if before.expires_at else PRESUMED_LIFE
    return max(now, before.refreshed_at + minimum_interval(life))


def judge(before: Seen, present: Seen, waited: timedelta) -> tuple[bool | None, str]:
    """Compare what the status said before the request with what it says after this wait.

    Returns:
        Whether the request is met, None while that is open; and what to tell the user, empty for nothing.
    """
    part = ""
    if present.refreshed_at and (before.refreshed_at is None or present.refreshed_at > before.refreshed_at):
        expiry = f" that expires at {format_time(present.expires_at)}" if present.expires_at else ""
        if not present.lacking:
            return True, f"has a new token{expiry}"
        part = f"a new token{expiry} is in {present.lacking} namespaces. "
    if present.stalled and present.stalled != before.stalled:
        return False, f"{part}{present.stalled}"
    if present.stalled and waited >= _PROCESSED:
        unchanged = "The failure is not new; the request stays in place for the operator's next attempt."
        return False, f"{part}{present.stalled} {unchanged}"
    return None, present.failing if present.failing != before.failing else ""


def too_late(kind: str, present: Seen, earliest: datetime, now: datetime) -> str:
    """The likely cause when the time is up."""
    if now < earliest:
        return f"AWS is not asked before {format_time(earliest)}; the request stays in place until then."
    return present.failing or f"nothing happened. {no_operator(kind)}"
