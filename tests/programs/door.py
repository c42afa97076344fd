"""The door of a registry, as ECR's is: TLS, and Basic with a login that AWS gave out for the host's region.

Who is let in speaks with the real registry, which listens on a socket that only the door knows.
Invariant: every request gets a verdict, and every verdict is kept.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import aiohttp
from aiohttp import hdrs, web

from lab.aws import LocalAws, decode_token

Verdict = Literal["let in", "no login", "unknown", "expired", "denied"]

# The way from one side to the other is told anew, and the login is nobody's business behind the door.
_HOP_BY_HOP = {"connection", "content-length", "expect", "keep-alive", "transfer-encoding"}
_NOT_PASSED_ON = _HOP_BY_HOP | {"authorization"}
_LARGEST = 64 * 2**20
_WORDS: Mapping[Verdict, str] = {
    "no login": "Not Authorized",
    "unknown": "Your Authorization Token is invalid.",
    "expired": "Your authorization token has expired. Reauthenticate and try again.",
    "denied": "User: arn:aws:iam::123456789012:user/ecr is not authorized to perform: ecr:BatchGetImage",
}


class Door:
    """A reverse proxy on a port of its own; use it as an async context manager.

    Attributes:
        port: where it listens, on 127.0.0.1.
        verdicts: what became of every request, in order.
        denied: repositories whose policy denies everybody.
    """

    def __init__(self, aws: LocalAws, *, behind: Path, context: ssl.SSLContext) -> None:
        """Prepare a door; `behind` is the registry's socket."""
        self._aws = aws
        self._behind = behind
        self._context = context
        self.port = 0
        self.verdicts: list[Verdict] = []
        self.denied: set[str] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._behind)), auto_decompress=False
        )
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", ssl_context=self._context, port=0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        verdict = self._verdict(request)
        self.verdicts.append(verdict)
        return await self._pass_on(request) if verdict == "let in" else _refusal(request, verdict)

    def _verdict(self, request: web.Request) -> Verdict:
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            return "no login"
        try:
            login = aiohttp.BasicAuth.decode(header)
            token = decode_token(login.password)
        except ValueError:
            return "unknown"
        if login.login != "AWS" or login.password not in self._aws.services.passwords:
            return "unknown"
        if (token.service, token.region) != ("ecr", _region(request.host)):
            return "unknown"
        if token.expires_at <= self._aws.keys.now():
            return "expired"
        return "denied" if any(f"/{path}/" in request.path for path in self.denied) else "let in"

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        # A list, since skopeo says what it accepts in several headers of one name.
        asked = [item for item in request.headers.items() if item[0].lower() not in _NOT_PASSED_ON]
        async with self._session.request(
            request.method,
            f"http://{request.host}{request.path_qs}",
            data=await request.read(),
            headers=asked,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in {"connection", "transfer-encoding"}:
                    response.headers.add(key, value)
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await response.write(await answer.read())
            await response.write_eof()
            return response


def _region(host: str) -> str:
    """Return the region in ACCOUNT.dkr.ecr.REGION.amazonaws.com."""
    return host.split(".")[3]


def _refusal(request: web.Request, verdict: Verdict) -> web.Response:
    return web.json_response(
        {"errors": [{"code": "DENIED", "message": _WORDS[verdict]}]},
        # ECR's for an expired token, as users report it.
        status=403 if verdict in ("expired", "denied") else 401,
        headers={hdrs.WWW_AUTHENTICATE: f'Basic realm="https://{request.host}/",service="ecr.amazonaws.com"'},
    )
