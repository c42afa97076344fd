"""Where AWS keys come from: instance metadata, a container's agent, a mounted volume.

    async with KeyEndpoints(aws.keys) as endpoints:
        endpoints.role = "node"
        ...  # with AWS_EC2_METADATA_SERVICE_ENDPOINT=endpoints.url
        assert endpoints.asked == ["PUT /latest/api/token", ...]

Invariants: every request is recorded before it is answered; keys that are handed out are accepted by the
local AWS. The metadata service speaks version 2 alone: without its session token it answers 401.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from lab.aws_keys import KeyRing, TemporaryKeys, iso_time

# Of the metadata service's documentation.
_SESSION, _LIFE = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
_ROLES = "/latest/meta-data/iam/security-credentials"


class KeyEndpoints:
    """Both endpoints on one port.

    Attributes:
        url, agent: the address of both, and the value of AWS_CONTAINER_CREDENTIALS_FULL_URI.
        role: of the instance; None where it has none.
        key_life: seconds until the next keys expire.
        agent_token: what the container's agent requires as Authorization; None for nothing.
        silent: answer nothing.
        lost_sessions: answer no request for a session, as an instance whose hop limit a pod exceeds.
        refused_sessions: answer such requests with this status, and require no session.
        garbage: answer this in place of keys.
        asked, handed_out: method and path of each request, and access key ids, in order.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._sessions: set[str] = set()
        self.role: str | None = None
        self.key_life = 6 * 3600.0
        self.agent_token: str | None = None
        self.silent = False
        self.lost_sessions = False
        self.refused_sessions: int | None = None
        self.garbage: str | None = None
        self.asked: list[str] = []
        self.handed_out: list[str] = []

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._note])
        app.router.add_put("/latest/api/token", self._open_session)
        app.router.add_get(_ROLES + "/{role:.*}", self._instance)
        app.router.add_get("/v1/credentials", self._container)
        self._server = TestServer(app)
        await self._server.start_server(access_log=None, shutdown_timeout=1)
        self.url = str(self._server.make_url("")).rstrip("/")
        self.agent = f"{self.url}/v1/credentials"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.silent:
            await asyncio.Event().wait()
        return await handler(request)

    async def _open_session(self, request: web.Request) -> web.Response:
        if self.lost_sessions:
            await asyncio.Event().wait()
        if self.refused_sessions:
            return web.Response(status=self.refused_sessions)
        if not request.headers.get(_LIFE, "").isdigit():
            return web.Response(status=400)
        token = secrets.token_urlsafe(20)
        self._sessions.add(token)
        return web.Response(text=token)

    async def _instance(self, request: web.Request) -> web.Response:
        if not self.refused_sessions and request.headers.get(_SESSION) not in self._sessions:
            return web.Response(status=401)
        asked = request.match_info["role"]
        if self.role is None or asked not in ("", self.role):
            return web.Response(status=404)
        return self._answer("instance") if asked else web.Response(text=self.role)

    async def _container(self, request: web.Request) -> web.Response:
        if self.agent_token not in (None, request.headers.get("Authorization")):
            return web.Response(status=403, text="this agent's own words")
        return self._answer("pod")

    def _issue(self, holder: str) -> TemporaryKeys:
        role = f"arn:aws:iam::123456789012:role/{self.role or holder}"
        keys = self._keys.issue(role, holder, self.key_life)
        self.handed_out.append(keys.access_key)
        return keys

    def _answer(self, holder: str) -> web.Response:
        keys = self._issue(holder)
        if self.garbage is not None:
            return web.Response(text=self.garbage)
        content = {
            "Code": "Success",
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "Token": keys.session_token,
            "Expiration": iso_time(keys.expires_at),
        }
        return web.json_response(content)


def mount(volume: Path, version: str, content: str) -> None:
    """Write the file `credentials` as the kubelet does: into another folder, then one swap of a link."""
    (volume / version).mkdir()
    (volume / version / "credentials").write_text(content)
    (volume / "..new").symlink_to(version)
    (volume / "..new").rename(volume / "..data")
    if not (volume / "credentials").is_symlink():
        (volume / "credentials").symlink_to("..data/credentials")
