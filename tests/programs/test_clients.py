"""skopeo and Helm log in to registries with what the generated Secrets hold, as a user runs them."""

import asyncio
import base64
import json
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from lab import programs
from lab.api import ARGO_SECRETS
from lab.aws import LocalAws, decode_token
from tests.cluster import reading
from tests.cluster.builders import argo_secret, ecr_secret, registry
from tests.cluster.scene import Scene
from tests.programs.conftest import Program

EAST, WEST, SOUTH = registry("us-east-1"), registry("eu-west-1"), registry("sa-east-1")

Verdict = Literal["accepted", "no login", "unknown"]


class Registries(ThreadingHTTPServer):
    """A proxy that is every registry: it accepts tokens of the host's region, and holds nothing.

    Attributes:
        verdicts: on the login of each request, in order.
    """

    def __init__(self, aws: LocalAws) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._aws = aws
        self.verdicts: list[Verdict] = []

    def judge(self, host: str, authorization: str | None) -> Verdict:
        """Judge a login as ECR does."""
        basic = (authorization or "").removeprefix("Basic ")
        user, _, password = base64.b64decode(basic).decode().partition(":")
        # skopeo without a login sends one with an empty name.
        if not user:
            return "no login"
        known = user == "AWS" and password in self._aws.services.passwords
        return "accepted" if known and decode_token(password).region == host.split(".")[3] else "unknown"


class _Handler(BaseHTTPRequestHandler):
    server: Registries
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        """Refuse TLS: without it the clients go on with plain HTTP, as their options let them."""
        self._answer(502)

    def do_GET(self) -> None:
        """Accept the login or ask for one; no image or chart is found."""
        verdict = self.server.judge(self.headers["Host"], self.headers.get("Authorization"))
        self.server.verdicts.append(verdict)
        if verdict != "accepted":
            self._answer(401, "UNAUTHORIZED")
        elif self.path.endswith("/v2/"):
            self._answer(200)
        else:
            self._answer(404, "MANIFEST_UNKNOWN")

    do_HEAD = do_GET  # noqa: N815 - its name in the base class

    def _answer(self, status: int, code: str = "") -> None:
        body = json.dumps({"errors": [{"code": code, "message": code}]} if code else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="ECR"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Print nothing."""


@asynccontextmanager
async def registries(aws: LocalAws) -> AsyncIterator[Registries]:
    """Run the registries for a while."""
    with Registries(aws) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield running
        finally:
            await asyncio.to_thread(running.shutdown)


class Client:
    """skopeo or Helm, with a home of its own and the registries as its proxy."""

    def __init__(self, program: Path, running: Registries, home: Path) -> None:
        self._program, self._running, self._home = program, running, home

    async def login_sent(self, *arguments: str | Path, stdin: str = "") -> Verdict:
        """Run it, at most a minute; return the verdict on the last login that it sent."""
        self._running.verdicts.clear()
        proxy = f"http://127.0.0.1:{self._running.server_port}"
        done = await asyncio.to_thread(
            subprocess.run,
            [self._program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            # No PATH: Helm would look there for a keychain of the user to put the login in.
            env={"HOME": str(self._home), "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy},
        )
        assert self._running.verdicts, done.stderr
        return self._running.verdicts[-1]


async def test_skopeo_and_helm_are_accepted_with_the_logins_of_the_generated_secrets(
    program: Program, scene: Scene, tmp_path: Path
) -> None:
    await scene.create(ecr_secret(region=None, additional_registries=[WEST]), argo_secret(region=None))
    async with scene.operator():
        await scene.ready("pull")
        await scene.ready("charts", kind=ARGO_SECRETS)
    authfile = tmp_path / "auth.json"
    authfile.write_text(reading.decoded(await scene.secret("pull-login"))[".dockerconfigjson"])
    chart = reading.decoded(await scene.secret("charts-login"))
    async with registries(scene.aws) as running:
        skopeo = Client(program(programs.SKOPEO), running, tmp_path)
        options = ("--insecure-policy", "inspect", "--raw", "--tls-verify=false", "--authfile", authfile)
        for host, verdict in ((EAST, "accepted"), (WEST, "accepted"), (SOUTH, "no login")):
            assert await skopeo.login_sent(*options, f"docker://{host}/app:1") == verdict
        helm = Client(program(programs.HELM), running, tmp_path)
        login = ("--username", chart["username"], "--password-stdin", "--plain-http")
        for password, verdict in (("guessed", "unknown"), (chart["password"], "accepted")):
            found = await helm.login_sent("registry", "login", chart["url"], *login, stdin=password)
            assert found == verdict
        chart_url = f"oci://{chart['url']}/charts/demo"
        assert await helm.login_sent("pull", chart_url, "--version", "0.1.0", "--plain-http") == "accepted"
