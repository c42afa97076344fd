"""One connection to the API server: requests and streams, over the client library's transport.

Invariant: every call ends in bounded time and reads a bounded answer, and what goes wrong is an ApiError,
whose text is short and holds nothing of a Secret.
Rejected: the library's models and its own watch (see ARCHITECTURE.md).
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from aiohttp.connector import Connection

from ecr_operator import __version__
from ecr_operator.kube import decoding, paths
from ecr_operator.kube.failures import NOT_LEADING, TOO_LARGE, ApiError, failure_of, unreached
from ecr_operator.kube.lazy_client import ApiClient, ConfigException, Configuration
from ecr_operator.kube.pages import LARGEST_OBJECT
from ecr_operator.telemetry.metrics import Metrics

METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

_REQUEST_LIMIT: Final = 20.0
_CONNECT_LIMIT: Final = 10.0
_LARGEST_FAILURE: Final = 2**20
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Query = Sequence[tuple[str, str]]


@dataclass(slots=True)
class _Answered:
    """How a request ended: the HTTP status, 0 while there is no whole answer."""

    code: int = 0


class KubeClient:
    """The API server that a configuration names.

    Args:
        configuration: of the client library, loaded; a proxy in it is used, one of the environment is not.
        namespace: the one that the kubeconfig's context names; empty if none.
        metrics: where requests are noted.
    """

    def __init__(
        self, configuration: Configuration, namespace: str = "", metrics: Metrics | None = None
    ) -> None:
        self._configuration = configuration
        self._metrics = metrics or Metrics()
        self.namespace = namespace
        self._may_write: Callable[[], bool] = _always

    def guard_writes(self, may_write: Callable[[], bool]) -> None:
        """Have every request that is no GET ask for leave at the moment of its sending.

        To be called before the client is entered.
        """
        self._may_write = may_write

    def sibling(self) -> "KubeClient":
        """A client of the same server with the same login, but with connections of its own and no guard."""
        return KubeClient(self._configuration, self.namespace, self._metrics)

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._configuration.host)

    async def __aenter__(self) -> Self:
        self._api = ApiClient(self._configuration)
        self._api.user_agent = f"ecr-secret-operator/{__version__}"
        pool = self._api.rest_client.pool_manager
        self._api.rest_client.pool_manager = aiohttp.ClientSession(
            connector=pool.connector,
            trust_env=False,
            middlewares=(_refuse_redirect,),
            request_class=_guarded(self._may_write),
        )
        pool.detach()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    async def request(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        limit: float = _REQUEST_LIMIT,
    ) -> Any:  # noqa: ANN401 - whatever JSON the server sends
        """Make one request and return the parsed answer.

        Args:
            method: GET, PATCH, POST, PUT or DELETE.
            path: with every name in it checked.
            query: names and values.
            body: sent as JSON, whatever the content type.
            content_type: of the body; never left to the library, whose default for a patch is refused.
            accept: the form of the answer.
            limit: seconds for all of it.

        Raises:
            ApiError: for every answer but 2xx, for none, and for one that is too large.
        """
        text = await self._exchange(
            method, path, query=query, body=body, content_type=content_type, accept=accept, limit=limit
        )
        return _parse(text)

    async def page(
        self, path: str, *, query: Query, accept: str, limit: float, most_bytes: int
    ) -> tuple[Mapping[str, Any], int]:
        """Ask for one page of a list, and return it with its size in bytes.

        Args:
            path: of the collection.
            query: names and values.
            accept: the form of the answer.
            limit: seconds for all of it.
            most_bytes: where reading ends.

        Raises:
            ApiError: as `request`; `TOO_LARGE` for a larger page.
        """
        text = await self._exchange("GET", path, query=query, accept=accept, limit=limit, most=most_bytes)
        return _parse(text), len(text)

    async def _exchange(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        query: Query,
        accept: str,
        limit: float,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = JSON,
        most: int = LARGEST_OBJECT,
    ) -> bytes:
        with self._noted(*paths.request_labels(method, path)) as answered:
            response = await self._send(
                method,
                path,
                query=query,
                accept=accept,
                limits=aiohttp.ClientTimeout(total=limit, connect=_CONNECT_LIMIT),
                body=body,
                content_type=content_type,
            )
            async with response:
                text = await (_read(response, most) if response.ok else _read_failure(response))
            answered.code = response.status
        if not response.ok:
            raise failure_of(response, text)
        return text

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, accept: str, silence: float
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, Any], None]]:
        """Open a watch and iterate over its events.

        Args:
            path: of the collection.
            query: names and values.
            accept: the form of the events.
            silence: seconds without a byte after which the connection counts as dead.

        Raises:
            ApiError: from opening or from iterating.
        """
        limits = aiohttp.ClientTimeout(connect=_CONNECT_LIMIT, sock_connect=_CONNECT_LIMIT, sock_read=silence)
        with self._noted(*paths.request_labels("GET", path, watch=True)) as answered:
            response = await self._send("GET", path, query=query, accept=accept, limits=limits)
            answered.code = response.status
        try:
            if not response.ok:
                raise failure_of(response, await _read_failure(response))
            yield _events(response)
        finally:
            # Not release(): a stream that is left early must not be read to its end.
            response.close()

    @contextmanager
    def _noted(self, verb: str, resource: str) -> Iterator[_Answered]:
        answered, began = _Answered(), time.monotonic()
        try:
            yield answered
        finally:
            self._metrics.kube_request(verb, resource, answered.code, time.monotonic() - began)

    async def _send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        query: Query,
        accept: str,
        limits: aiohttp.ClientTimeout,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = JSON,
    ) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._api.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": accept, "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=limits,
            )
        except _NotLeadingError as error:
            raise ApiError(0, NOT_LEADING, "this replica does not lead") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ConfigException) as error:
            raise unreached(error) from error
        return response


def _always() -> bool:
    return True


class _NotLeadingError(aiohttp.ClientError):
    """A write that this replica may not do."""


def _guarded(may_write: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    class Guarded(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            # Here, not before: waiting for a connection may take seconds, and this process may be paused.
            if self.method != "GET" and not may_write():
                raise _NotLeadingError
            return await super().send(conn)

    return Guarded


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """An API server does not redirect; following one would carry a Secret to another host."""
    response = await handler(request)
    if response.status in _REDIRECTS:
        response.close()
        raise aiohttp.ClientError(f"HTTP {response.status}, a redirect: is a proxy in between?")
    return response


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[Mapping[str, Any], None]:
    """The lines of a watch, parsed. Half a line at the end is a cut connection and is dropped."""
    lines = _Lines()
    try:
        async for chunk in response.content.iter_any():
            for line in lines.ended_by(chunk):
                if line.strip():
                    yield _parse(line)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        failure = unreached(error)
        raise ApiError(0, "Cut", failure.message) from error


class _Lines:
    """Puts lines together; each is joined once, however small the pieces are that it comes in."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._size = 0

    def ended_by(self, chunk: bytes) -> Iterator[bytes]:
        """Take in the next piece, and give each line that ends in it."""
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            line = b"".join((*self._begun, end))
            self._begun, self._size = [], 0
            yield line
        self._begun.append(rest)
        self._size += len(rest)
        if self._size > LARGEST_OBJECT:
            raise _too_large(LARGEST_OBJECT)


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    try:
        async for chunk in response.content.iter_any():
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                # Not read to its end, so the connection serves nothing else any more.
                response.close()
                raise _too_large(most)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreached(error) from error
    return b"".join(parts)


async def _read_failure(response: aiohttp.ClientResponse) -> bytes:
    """What stands in an answer that is no success; nothing of one that is too large to be reported."""
    try:
        return await _read(response, _LARGEST_FAILURE)
    except ApiError as failure:
        if failure.reason == TOO_LARGE:
            return b""
        raise


def _too_large(most: int) -> ApiError:
    return ApiError(0, TOO_LARGE, f"the answer is larger than {most // 2**20} MiB")


def _parse(text: bytes) -> Any:  # noqa: ANN401 - whatever JSON the server sends
    try:
        parsed = decoding.parse(text)
    except ValueError as error:
        raise ApiError(0, "NotJSON", "the answer is not JSON: is a proxy in between?") from error
    if not isinstance(parsed, Mapping):
        raise ApiError(0, "NotJSON", "the answer is not an object: is a proxy in between?")
    return parsed
