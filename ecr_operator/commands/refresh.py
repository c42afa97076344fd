"""`refresh`: asks for fresh tokens by an annotation, and waits until the statuses say that they came."""

import asyncio
import difflib
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from ecr_operator.commands import requests
from ecr_operator.commands.errors import CommandError
from ecr_operator.commands.reading import connected, list_all, namespace_of
from ecr_operator.commands.refusals import explain, is_unknown_kind
from ecr_operator.commands.spans import in_words
from ecr_operator.commands.terminal import Terminal
from ecr_operator.control.ports import Clock
from ecr_operator.kube import paths
from ecr_operator.kube.client import MERGE_PATCH, KubeClient
from ecr_operator.kube.failures import ApiError
from ecr_operator.model.outcome import ResourceKey
from ecr_operator.model.resources import KINDS, SHORT_NAMES
from ecr_operator.settings.commands import Refresh

_EVERY: Final = 0.5
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
        finder = _Finder(client, namespace_of(command.place, client))
        found = [await finder.find(kind, name) for kind, name in command.names]
        asking = [_Request(client, terminal, clock, key, raw) for key, raw in found]
        met = await asyncio.gather(*(request.run(command.timeout) for request in asking))
    return 0 if all(met) else 1


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

    def __init__(
        self, client: KubeClient, terminal: Terminal, clock: Clock, key: ResourceKey, raw: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._clock = clock
        self._key = key
        self._raw = raw
        self._before = requests.seen(raw)

    async def run(self, limit: timedelta | None) -> bool:
        if requests.is_suspended(self._raw):
            return self._fail("spec.suspend is true, so nothing is refreshed. Take it out first.")
        if refusal := await self._ask():
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
                raw = await _read(self._client, self._key)
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


def _lost(failure: ApiError) -> str:
    if failure.code == HTTPStatus.NOT_FOUND:
        return "it was deleted meanwhile."
    return f"its status can't be read any more: {failure.message}."
