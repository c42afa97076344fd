"""The local AWS: ECR, ECR Public and STS on one port, with every fault that the real one can show.

    async with LocalAws() as aws:
        ...  # with AWS_ENDPOINT_URL=aws.url
        aws.fail("AccessDeniedException", region="eu-west-1")
        assert aws.count("GetAuthorizationToken") == 1

Invariant: every request is recorded on arrival; leaving the context ends all requests.
"""

import asyncio
import ssl
from typing import Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from lab.aws_calls import Call, read_call, refuse
from lab.aws_faults import AwsFaults, Fault, reset
from lab.aws_keys import KeyRing, Refusal
from lab.aws_services import TWELVE_HOURS, Services, Trust
from lab.aws_tokens import IssuedToken, decode_token, read_claims, token_in

__all__ = ["Call", "Fault", "IssuedToken", "LocalAws", "Trust", "decode_token", "read_claims", "token_in"]


class LocalAws(AwsFaults):
    """An AWS of one account on this machine.

    Attributes:
        url: the value of AWS_ENDPOINT_URL.
        delay: seconds before every answer.
        keys: the keys that it accepts.
        services: makes the answers; holds `token_life`, `account`, `passwords`, and the roles' `trust`.
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
        call = read_call(request, body, self.keys.now())
        self.calls.append(call)
        try:
            await asyncio.sleep(self.delay)
            return await self._respond(request, body, call)
        except asyncio.CancelledError:
            call.outcome = "gone"
            raise

    async def _respond(self, request: web.Request, body: bytes, call: Call) -> web.Response:
        fault = self.find_fault(call)
        if fault and fault.kind == "hang":
            await self.released()
        if self._stopping or (fault and fault.kind == "reset"):
            call.outcome = "reset"
            return reset(request)
        if fault and fault.kind == "error":
            response = refuse(call, fault.code, fault.status, fault.message)
            if fault.retry_after is not None:
                response.headers["Retry-After"] = f"{fault.retry_after:g}"
            return response
        try:
            if call.operation != "AssumeRoleWithWebIdentity":
                self.keys.check(call.signature, request.headers, body)
        except Refusal as refusal:
            sts = call.service == "sts"
            return refuse(call, refusal.codes[sts], 403 if sts else 400, refusal.message)
        return self.services.respond(call, fault.body if fault else "")
