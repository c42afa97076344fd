"""Asks a registry for a manifest, as container runtimes do: without a login first, then as it answers.

Invariant: a login goes over HTTPS to the image's own registry and to no other host, whatever the registry
answers: not with a redirect, and not to a token service elsewhere. Every question ends in bounded time, reads
bounded answers, and ends in an Answer; nothing secret is in one.

Source: https://distribution.github.io/distribution/spec/auth/token/ for the token service;
https://github.com/opencontainers/distribution-spec/blob/main/spec.md for manifests, tags and errors.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from ecr_operator import __version__
from ecr_operator.api.text import mappings_in
from ecr_operator.cli.diagnosis import Answer, AnswerKind
from ecr_operator.cli.keyring import DOCKER_HUB, Image, Login
from ecr_operator.kube import response
from ecr_operator.kube.api_error import ApiError, from_exception, sanitize
from ecr_operator.settings.proxies import Proxies, proxy_flaw, proxy_for

_TOTAL_SECONDS: Final = 40.0
_CONNECT_SECONDS: Final = 10.0
_LARGEST_TOKEN: Final = 256 * 1024  # bytes
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MEDIA_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
# Docker Hub's hosts are known beforehand; no answer can add one.
_HUB: Final = "registry-1.docker.io"
_HUB_TOKENS: Final = (DOCKER_HUB, ("auth.docker.io", 443))
_CHALLENGE: Final = re.compile(r"\s*(basic|bearer)\b", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'([A-Za-z]+)="([^"]{0,2000})"')
_TOKEN: Final = re.compile("[!-~]+")

_KINDS: Final[Mapping[int, AnswerKind]] = {
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "denied",
    HTTPStatus.NOT_FOUND: "missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    status: int
    location: str
    challenges: list[str]
    body: bytes


class Registries:
    """Registries by their own host names; use it as an async context manager.

    Args:
        proxies: of the environment.
        authorities: for TLS; None for the system's, or those of SSL_CERT_FILE.
        seconds: the longest that one request takes.
    """

    def __init__(
        self, proxies: Proxies, authorities: ssl.SSLContext | None = None, seconds: float = 20.0
    ) -> None:
        self._proxies = proxies
        self._authorities = authorities
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._authorities or ssl.create_default_context()),
            headers={"User-Agent": f"ecr-secret-operator/{__version__}", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds, connect=_CONNECT_SECONDS),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, image: Image, login: Login | None) -> Answer:
        """Ask for the manifest, or the tags where any will do; with the login if the registry wants one."""
        host = _HUB if image.host == DOCKER_HUB else image.host
        rest = f"manifests/{image.reference}" if image.reference else "tags/list?n=1"
        try:
            url = URL(f"https://{host}/v2/{image.path}/{rest}")
            async with asyncio.timeout(_TOTAL_SECONDS):
                return await self._ask(url, image, login)
        except ApiError as failure:
            return Answer(kind="unreachable", message=failure.message)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Answer(kind="unreachable", message=from_exception(error).message)

    async def _ask(self, url: URL, image: Image, login: Login | None) -> Answer:
        # HEAD does not count as a pull where pulls are counted.
        first = await self._follow("HEAD", url)
        challenge = _challenge(first.challenges) if first.status == HTTPStatus.UNAUTHORIZED else None
        if challenge is None:
            return await self._answer(first, url, None)
        scheme, parameters = challenge
        if scheme == "basic":
            return await self._answer(None, url, _basic(login))
        realm = _realm(parameters)
        if login and _place(realm) != _place(url) and (image.host, _place(realm)) != _HUB_TOKENS:
            return Answer(kind="withheld", status=first.status, message=sanitize(str(realm.origin())))
        answered = await self._token(realm, parameters, image, login)
        if isinstance(answered, str):
            return await self._answer(None, url, f"Bearer {answered}")
        return _answered(answered)

    async def _answer(self, first: _Response | None, url: URL, authorization: str | None) -> Answer:
        """The answer to a question; errors are read by a GET, since HEAD has no body."""
        head = first or await self._follow("HEAD", url, authorization)
        if head.status < HTTPStatus.BAD_REQUEST:
            return _answered(head)
        return _answered(await self._follow("GET", url, authorization))

    async def _token(
        self, realm: URL, parameters: Mapping[str, str], image: Image, login: Login | None
    ) -> str | _Response:
        """Get a token for the registry; the token service's answer where it gives none."""
        query = {"scope": parameters.get("scope") or f"repository:{image.path}:pull"}
        if service := parameters.get("service"):
            query["service"] = service
        got = await self._send("GET", realm.update_query(query), _basic(login), whole=True)
        if got.status != HTTPStatus.OK:
            return got
        found = response.parse_object(got.body)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise ValueError("its token service answers without a token")
        return token

    async def _follow(self, method: str, url: URL, authorization: str | None = None) -> _Response:
        """Send a request, and follow redirects without the login."""
        for _ in range(_MOST_REDIRECTS):
            got = await self._send(method, url, authorization)
            if got.status not in _REDIRECTS or not got.location:
                return got
            url, authorization = url.join(URL(got.location)), None
            if url.scheme != "https" or not url.host:
                raise ValueError("it redirects to a server without HTTPS")
        raise ValueError("it redirects too often")

    async def _send(
        self, method: str, url: URL, authorization: str | None, *, whole: bool = False
    ) -> _Response:
        """Send one request; unless it is wanted whole, only the body of an error is read."""
        proxy = proxy_for(str(url), self._proxies)
        if proxy and (flaw := proxy_flaw(proxy)):
            raise ValueError(flaw)
        headers = {"Accept": _MEDIA_TYPES, **({"Authorization": authorization} if authorization else {})}
        async with self._session.request(
            method, url, headers=headers, allow_redirects=False, proxy=proxy
        ) as got:
            if got.status >= HTTPStatus.BAD_REQUEST:
                body = await response.read_error(got)
            else:
                body = await response.read(got, _LARGEST_TOKEN) if whole else b""
            challenges = got.headers.getall("WWW-Authenticate", [])
            location = got.headers.get("Location", "")
            return _Response(status=got.status, location=location, challenges=challenges, body=body)


def _place(url: URL) -> tuple[str | None, int | None]:
    return url.host, url.port


def _basic(login: Login | None) -> str | None:
    if login is None:
        return None
    return f"Basic {b64encode(f'{login.username}:{login.password}'.encode()).decode()}"


def _challenge(headers: list[str]) -> tuple[str, Mapping[str, str]] | None:
    """Scheme and parameters of the first challenge that clients know."""
    for header in headers:
        if found := _CHALLENGE.match(header):
            return found[1].lower(), {name.lower(): value for name, value in _PARAMETER.findall(header)}
    return None


def _realm(parameters: Mapping[str, str]) -> URL:
    realm = URL(parameters.get("realm", ""))
    if realm.scheme != "https" or not realm.host or realm.user is not None:
        raise ValueError("it names no token service with HTTPS")
    return realm


def _answered(got: _Response) -> Answer:
    if got.status < HTTPStatus.BAD_REQUEST:
        return Answer(kind="found", status=got.status)
    code, message = _error(got.body)
    kind = _KINDS.get(got.status, "failed")
    return Answer(kind=kind, status=got.status, code=code, message=message)


def _error(body: bytes) -> tuple[str, str]:
    """Code and message of a registry's error; empty where it has none."""
    errors: Iterator[Mapping[str, Any]] = iter(())
    with suppress(ApiError):
        errors = mappings_in(response.parse_object(body), "errors")
    first = next(errors, {})
    code, message = first.get("code"), first.get("message")
    return sanitize(code if isinstance(code, str) else ""), sanitize(
        message if isinstance(message, str) else ""
    )
