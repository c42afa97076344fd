"""One connection to the API server: requests and watches, over aiohttp.

Invariant: every call ends in bounded time and reads a bounded response; every failure is an ApiError.
Of the client library it uses the configuration: where the server is, and how to log in. Rejected: the
library's requests, models and watch (see ARCHITECTURE.md).
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp.connector import Connection

from ecr_operator import __version__
from ecr_operator.core.manifest import MANAGER
from ecr_operator.kube import paths, response
from ecr_operator.kube.api_error import (
    ADD_RULE,
    NOT_LEADING,
    ApiError,
    from_exception,
    from_response,
    translated,
)
from ecr_operator.kube.lazy_client import ConfigException, Configuration
from ecr_operator.telemetry.metrics import Metrics

METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
# The query of the operator's patches. Without a look for unknown fields, for which the API server would parse
# the body once more: a tenth of its work for a Secret.
PATCH_QUERY: Final = (("fieldManager", MANAGER), ("fieldValidation", "Ignore"))

_REQUEST_TIMEOUT: Final = 20.0
_CONNECT_TIMEOUT: Final = 10.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Query = Sequence[tuple[str, str]]
Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class _Request(NamedTuple):
    path: str
    query: Query
    accept: str
    method: str = "GET"
    body: Body | None = None
    content_type: str = JSON


class KubeClient:
    """The API server that a configuration names.

    Args:
        configuration: of the client library, loaded; a proxy in it is used, one of the environment is not.
        namespace: the one that the kubeconfig's context names; empty if none.
        metrics: where requests are counted.
    """

    def __init__(
        self, configuration: Configuration, namespace: str = "", metrics: Metrics | None = None
    ) -> None:
        self._configuration = configuration
        self._metrics = metrics or Metrics()
        self.namespace = namespace
        self._may_write: Callable[[], bool] = lambda: True

    def guard_writes(self, may_write: Callable[[], bool]) -> None:
        """Ask at the sending of every request but GET whether it may go out. To be called before entering."""
        self._may_write = may_write

    def sibling(self) -> "KubeClient":
        """A client of the same server with the same login, but with connections of its own and no guard."""
        return KubeClient(self._configuration, self.namespace, self._metrics)

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._configuration.host)

    async def __aenter__(self) -> Self:
        configuration = self._configuration
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=configuration.connection_pool_maxsize, ssl=_tls_context(configuration)
            ),
            headers={"User-Agent": f"ecr-secret-operator/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            request_class=_guarded(self._may_write),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: Body | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        seconds: float = _REQUEST_TIMEOUT,
    ) -> Mapping[str, Any]:
        """Make one request, of at most so many seconds, and return the parsed response.

        Paths come from `paths`, which checks every name. The body is sent as JSON, whatever its content type.

        Raises:
            ApiError: for every response but 2xx, for none, and for one over 16 MiB.
        """
        sent = _Request(
            method=method, path=path, query=query, body=body, content_type=content_type, accept=accept
        )
        return response.parse_object(await self._exchange(sent, seconds))

    async def get_or_none(
        self, path: str, action: str, *, accept: str = JSON, grant: str = ADD_RULE
    ) -> Mapping[str, Any] | None:
        """Read one object; None if there is none.

        Raises:
            OperatorError: for everything else that goes wrong; `action` and `grant` are those of `translate`.
        """
        with translated(action, grant):
            try:
                return await self.request("GET", path, accept=accept)
            except ApiError as error:
                if error.is_not_found:
                    return None
                raise

    async def page(
        self, path: str, *, query: Query, accept: str, seconds: float, max_bytes: int
    ) -> tuple[Mapping[str, Any], int]:
        """Read one page of a list; return it with its size in bytes.

        Raises:
            ApiError: as `request`; `TOO_LARGE` for more than `max_bytes`.
        """
        text = await self._exchange(_Request(path=path, query=query, accept=accept), seconds, max_bytes)
        return response.parse_object(text), len(text)

    async def _exchange(
        self, request: _Request, seconds: float, max_bytes: int = response.LARGEST_OBJECT
    ) -> bytes:
        limits = _limits(seconds)
        began, code = time.monotonic(), 0
        try:
            answer = await self._send(request, limits)
            async with answer:
                text = await (response.read(answer, max_bytes) if answer.ok else response.read_error(answer))
            code = answer.status
        finally:
            self._observe(request, code, began)
        if not answer.ok:
            raise from_response(answer, text)
        return text

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, accept: str, silence: float
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, Any], None]]:
        """Open a watch; after `silence` seconds without a byte the connection counts as dead.

        Raises:
            ApiError: from opening or from iterating over the events.
        """
        limits = aiohttp.ClientTimeout(
            connect=_CONNECT_TIMEOUT, sock_connect=_CONNECT_TIMEOUT, sock_read=silence
        )
        request = _Request(path=path, query=query, accept=accept)
        began, code = time.monotonic(), 0
        try:
            answer = await self._send(request, limits)
            code = answer.status
        finally:
            self._observe(request, code, began, watch=True)
        try:
            if not answer.ok:
                raise from_response(answer, await response.read_error(answer))
            yield response.events(answer)
        finally:
            # Not release(): a stream that is left early must not be read to its end.
            answer.close()

    def _observe(self, request: _Request, code: int, began: float, *, watch: bool = False) -> None:
        """Record how a request ended: by its HTTP status, 0 where there was no whole response."""
        verb, resource = paths.request_labels(request.method, request.path, watch=watch)
        self._metrics.kube_request(verb, resource, code, time.monotonic() - began)

    async def _send(self, request: _Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        configuration = self._configuration
        query = f"?{urlencode(request.query)}" if request.query else ""
        body = None if request.body is None else response.encode(request.body)
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        try:
            if token := await self._token():
                headers["Authorization"] = token
            answer = await self._session.request(
                request.method,
                f"{self.host}{request.path}{query}",
                data=body,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                proxy=configuration.proxy,
                proxy_headers=configuration.proxy_headers,
                server_hostname=configuration.tls_server_name,
            )
            _refuse_redirect(answer)
        except _NotLeadingError as error:
            raise ApiError(0, NOT_LEADING, "this replica does not lead") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ConfigException) as error:
            raise from_exception(error) from error
        return answer

    async def _token(self) -> str | None:
        """The Authorization header; the library renews what it is made of before it expires."""
        if "BearerToken" not in self._configuration.api_key:
            return None
        token: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return token


@lru_cache
def _limits(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_TIMEOUT)


class _NotLeadingError(aiohttp.ClientError):
    """A write that the guard stopped."""


def _guarded(may_write: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    class Guarded(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            # Here, not before: waiting for a connection may take seconds, and this process may be paused.
            if self.method != "GET" and not may_write():
                raise _NotLeadingError
            return await super().send(conn)

    return Guarded


def _refuse_redirect(answer: aiohttp.ClientResponse) -> None:
    """An API server does not redirect; following one would carry a Secret to another host."""
    if answer.status in _REDIRECTS:
        answer.close()
        raise aiohttp.ClientError(f"HTTP {answer.status}, a redirect: is a proxy in between?")


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.disable_strict_ssl_verification:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
