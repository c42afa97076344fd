"""The local AWS: ECR, ECR Public and STS on one port, with every fault that the real one can show.

    async with LocalAws() as aws:
        ...  # with AWS_ENDPOINT_URL=aws.url
        aws.fail("AccessDeniedException", region="eu-west-1")
        assert aws.count("GetAuthorizationToken") == 1

Invariant: every request is recorded, whatever becomes of it; leaving the context ends every request.
"""

import asyncio
import socket
import ssl
import struct
from typing import Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from lab.aws_calls import Asked, Call, read_request, refuse
from lab.aws_faults import Fault, Faults
from lab.aws_keys import KeyRing, Refusal
from lab.aws_services import TWELVE_HOURS, IssuedToken, Services, Trust, decode_token, read_claims, token_in

__all__ = ["Call", "Fault", "IssuedToken", "LocalAws", "Trust", "decode_token", "read_claims", "token_in"]

# By kind of refusal: error code and HTTP status, first of ECR, then of STS.
_REFUSED = {
    "unsigned": (("MissingAuthenticationTokenException", 400), ("MissingAuthenticationToken", 403)),
    "unknown": (("UnrecognizedClientException", 400), ("InvalidClientTokenId", 403)),
    "expired": (("ExpiredTokenException", 400), ("ExpiredToken", 403)),
    "clock": (("InvalidSignatureException", 400), ("SignatureDoesNotMatch", 403)),
    "signature": (("InvalidSignatureException", 400), ("SignatureDoesNotMatch", 403)),
}


class LocalAws(Faults):
    """An AWS of one account on this machine.

    Attributes:
        url: the value of AWS_ENDPOINT_URL.
        delay: seconds that every answer takes.
        keys: which are accepted.
        services: what is answered; holds `token_life`, `credential_life`, `account`, and the roles' `trust`.
        calls: every request so far, in order.
    """

    def __init__(self, *, token_life: float = TWELVE_HOURS, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self.delay = 0.0
        self.keys = KeyRing()
        self.services = Services(self.keys, token_life)
        self.calls: list[Call] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/", self._serve)
        self._server = TestServer(app)
        await self._server.start_server(ssl=self._tls, access_log=None, shutdown_timeout=1)
        self.url = str(self._server.make_url("")).rstrip("/")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        self.release()
        await self._server.close()

    @property
    def token_life(self) -> float:
        """Seconds until the next ECR tokens expire."""
        return self.services.token_life

    @token_life.setter
    def token_life(self, seconds: float) -> None:
        self.services.token_life = seconds

    def select(
        self, operation: str | None = None, *, region: str | None = None, outcome: str | None = None
    ) -> list[Call]:
        """Choose calls by operation, region and outcome; None is any."""
        return [
            call
            for call in self.calls
            if operation in (None, call.operation)
            and region in (None, call.region)
            and outcome in (None, call.outcome)
        ]

    def count(self, operation: str | None = None, **match: str | None) -> int:
        """Count calls, chosen as by `select`."""
        return len(self.select(operation, **match))

    def role_of(self, token: IssuedToken) -> str:
        """Return the role whose session got a token; empty for keys of a user."""
        holder = self.keys.holder(token.access_key)
        return holder.role_arn if holder else ""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = read_request(request, body, self.keys.now())
        self.calls.append(asked.call)
        try:
            await asyncio.sleep(self.delay)
            return await self._respond(request, body, asked)
        except asyncio.CancelledError:
            asked.call.outcome = "gone"
            raise

    async def _respond(self, request: web.Request, body: bytes, asked: Asked) -> web.Response:
        call = asked.call
        fault = self.strike(call.operation, call.region, call.access_key)
        if fault and fault.kind == "hang":
            await self.released()
        if self._stopping or (fault and fault.kind == "reset"):
            call.outcome = "reset"
            return _reset(request)
        if fault and fault.kind == "error":
            return refuse(call, fault.code, fault.status, fault.message, fault.retry_after)
        try:
            if call.operation != "AssumeRoleWithWebIdentity":
                self.keys.check(asked.signature, request.path, request.headers, body)
        except Refusal as refusal:
            return refuse(call, *_REFUSED[refusal.kind][call.service == "sts"], refusal.message)
        return self.services.answer(asked, fault.body if fault and fault.kind == "garbage" else None)


def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    if transport is not None:
        # A linger of 0 s makes the kernel send RST in place of FIN.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        transport.abort()
    return web.Response()
