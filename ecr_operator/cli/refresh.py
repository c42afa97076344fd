"""`refresh`: asks for fresh tokens by an annotation, and waits until the statuses say that they came."""

import asyncio
import difflib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.api.kinds import KINDS, SHORT_NAMES
from ecr_operator.api.outcome import ResourceKey
from ecr_operator.cli import requests
from ecr_operator.cli.errors import CommandError
from ecr_operator.cli.reading import connected, list_all, namespace_of
from ecr_operator.cli.refusals import explain, is_unknown_kind
from ecr_operator.cli.spans import in_words
from ecr_operator.cli.terminal import Terminal
from ecr_operator.core.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.api_error import ApiError
from ecr_operator.kube.client import MERGE_PATCH, KubeClient
from ecr_operator.settings.commands import Refresh

_EVERY: Final = 0.5
_LIST_EVERY: Final = 2.0
_AT_ONCE: Final = 8
_PATIENCE: Final = timedelta(minutes=1)
_MANAGER: Final = "ecr-secret-operator-refresh"
_FOR_GOOD: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


async def run(command: Refresh, terminal: Terminal, clock: Clock) -> int:
    """Ask for all of them, and wait.

    Returns:
        0 if every token came, else 1.

    Raises:
        CommandError: there is no way to an API server, or one of them can't be found.
    """
    async with connected(command.place) as client:
        namespace = namespace_of(command.place, client)
        if not command.names:
            return await _refresh_all(command, client, namespace, terminal, clock)
        finder = _Finder(client, namespace)
        found = [await finder.find(kind, name) for kind, name in command.names]
        asking = [_Request(client, partial(_read, client), terminal, clock, key, raw) for key, raw in found]
        met = await asyncio.gather(*(request.run(command.timeout) for request in asking))
    return 0 if all(met) else 1


async def _refresh_all(
    command: Refresh, client: KubeClient, namespace: str, terminal: Terminal, clock: Clock
) -> int:
    found = await list_all(client, namespace, command.kinds)
    for words in found.lacking:
        terminal.complain(words)
    objects = [(_key(kind, raw), raw) for kind, raw in found.objects]
    served = [(key, raw) for key, raw in objects if not requests.is_suspended(raw)]
    if left_out := len(objects) - len(served):
        terminal.complain(f"Left out, because spec.suspend is true: {left_out}.")
    if not served and not found.lacking:
        terminal.complain(
            f"Nothing to refresh in {f'namespace {namespace}' if namespace else 'any namespace'}."
        )
    lists = _Lists(client, namespace, command.kinds, clock)
    turn = asyncio.Semaphore(_AT_ONCE)
    asking = [_Request(client, lists.read, terminal, clock, key, raw, turn) for key, raw in served]
    met = await asyncio.gather(*(request.run(command.timeout) for request in asking))
    return 0 if all(met) and not found.lacking else 1


class _Lists:
    """Reads resources for many requests, by one list of each kind in two seconds."""

    def __init__(self, client: KubeClient, namespace: str, kinds: Sequence[str], clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._kinds = kinds
        self._clock = clock
        self._turn = asyncio.Lock()
        self._listed_at = -math.inf
        self._found: Mapping[ResourceKey, Mapping[str, Any]] = {}
        # Why the last list failed: that holds as long as what one finds, so that a server in need is spared.
        self._failure: ApiError | None = None

    async def read(self, key: ResourceKey) -> Mapping[str, Any]:
        """A resource as it was at most two seconds ago.

        Raises:
            ApiError: it can't be listed, or is gone.
        """
        async with self._turn:
            if self._clock.monotonic() - self._listed_at >= _LIST_EVERY:
                await self._look()
        if self._failure:
            raise self._failure
        if key not in self._found:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"{key} is gone")
        return self._found[key]

    async def _look(self) -> None:
        try:
            self._found, self._failure = await self._list(), None
        except ApiError as failure:
            self._failure = failure
        self._listed_at = self._clock.monotonic()

    async def _list(self) -> Mapping[ResourceKey, Mapping[str, Any]]:
        found = {}
        for kind in self._kinds:
            answer = await self._client.request("GET", paths.resources(kind, self._namespace))
            found.update({_key(kind, raw): raw for raw in answer.get("items") or ()})
        return found


class _Finder:
    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def find(self, kind: str | None, name: str) -> tuple[ResourceKey, Mapping[str, Any]]:
        found, refused = [], []
        for each in (kind,) if kind else KINDS:
            key = ResourceKey(kind=each, namespace=self._namespace, name=name)
            try:
                found.append((key, await _read(self._client, key)))
            except ApiError as failure:
                if failure.code != HTTPStatus.NOT_FOUND or is_unknown_kind(failure):
                    refused.append(explain(failure, "get", each, self._namespace))
        if len(found) > 1:
            ways = " or ".join(f"{SHORT_NAMES[key.kind]}/{name}" for key, _ in found)
            raise CommandError(f"There are two resources called {name}: write {ways}.")
        if not found and refused:
            raise refused[0]
        if not found:
            raise CommandError(await self._absent(kind, name))
        return found[0]

    async def _absent(self, kind: str | None, name: str) -> str:
        words = f"There is no {kind or 'resource'} called {name} in namespace {self._namespace}"
        try:
            there = await list_all(self._client, self._namespace, (kind,) if kind else KINDS)
        except CommandError:
            return f"{words}."
        names = [raw["metadata"]["name"] for _, raw in there.objects]
        near = difflib.get_close_matches(name, names, n=1)
        return f"{words}, did you mean {near[0]}?" if near else f"{words}; `status -A` shows all."


class _Request:
    """One request for a token, from the asking to its end."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it is made of
        self,
        client: KubeClient,
        read: Callable[[ResourceKey], Awaitable[Mapping[str, Any]]],
        terminal: Terminal,
        clock: Clock,
        key: ResourceKey,
        raw: Mapping[str, Any],
        turn: asyncio.Semaphore | None = None,
    ) -> None:
        self._client = client
        self._read = read
        self._turn = turn or asyncio.Semaphore()
        self._terminal = terminal
        self._clock = clock
        self._key = key
        self._raw = raw
        self._before = requests.seen(raw)

    async def run(self, limit: timedelta | None) -> bool:
        if requests.is_suspended(self._raw):
            return self._fail("spec.suspend is true, so nothing is refreshed. Take it out first.")
        async with self._turn:
            refusal = await self._ask()
        if refusal:
            return self._fail(refusal)
        now = self._clock.now()
        earliest = requests.earliest(self._before, now)
        if earliest > now:
            self._note(f"its token is fresh still, AWS is asked again in {in_words(earliest - now)}")
        return await self._wait(earliest, limit or earliest - now + _PATIENCE)

    async def _ask(self) -> str:
        """Annotate the resource; returns what stands in the way."""
        key = self._key
        try:
            await self._client.request(
                "PATCH",
                paths.resources(key.kind, key.namespace, key.name),
                query=(("fieldManager", _MANAGER),),
                body=requests.patch(self._clock.now()),
                content_type=MERGE_PATCH,
            )
        except ApiError as failure:
            return str(explain(failure, "patch", key.kind, key.namespace))
        return ""

    async def _wait(self, earliest: datetime, limit: timedelta) -> bool:
        start, said, present = self._clock.monotonic(), "", self._before
        while (waited := timedelta(seconds=self._clock.monotonic() - start)) < limit:
            await self._clock.sleep(_EVERY)
            try:
                raw = await self._read(self._key)
            except ApiError as failure:
                if failure.code in _FOR_GOOD:
                    return self._fail(_lost(failure))
                continue
            present = requests.seen(raw)
            judgement = requests.judge(self._before, present, waited)
            if judgement.state == "met":
                self._terminal.say(f"{self._key} {judgement.message}.")
                return True
            if judgement.state == "failed":
                return self._fail(judgement.message)
            if judgement.message and judgement.message != said:
                said = judgement.message
                self._note(f"{said} Waiting.")
        return self._fail(
            f"not within {in_words(limit)}: {requests.too_late(present, earliest, self._clock.now())}"
        )

    def _note(self, words: str) -> None:
        self._terminal.complain(f"{self._key}: {words}")

    def _fail(self, words: str) -> bool:
        self._note(words)
        return False


async def _read(client: KubeClient, key: ResourceKey) -> Mapping[str, Any]:
    raw: Mapping[str, Any] = await client.request("GET", paths.resources(key.kind, key.namespace, key.name))
    return raw


def _key(kind: str, raw: Mapping[str, Any]) -> ResourceKey:
    metadata = raw["metadata"]
    return ResourceKey(kind=kind, namespace=metadata["namespace"], name=metadata["name"])


def _lost(failure: ApiError) -> str:
    if failure.code == HTTPStatus.NOT_FOUND:
        return "it was deleted meanwhile."
    return f"its status can't be read any more: {failure.message}."
