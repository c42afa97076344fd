"""One test's scene: a namespace, a local AWS, operators that watch the namespace, and their results."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import audit, rights
from lab.api import ARGO_SECRETS, ECR_SECRETS, EVENTS, SECRETS, Api, Json, Resource
from lab.audit import Mark, Request
from lab.aws import IssuedToken, LocalAws
from lab.control_plane import ControlPlane
from lab.operator import OperatorProcess
from lab.secrecy import shows
from lab.waiting import LONG, wait_for
from tests.cluster import reading

SECRET_WRITE = Request("patch", "secrets", "")
STATUS_WRITE = Request("patch", "secrets.ecr.mobb.redhat.com", "status")

_READING = {"get", "list", "watch"}
_AT_A_TIME = 8
_TALKATIVE = "--zap-log-level=debug"
# An absence can't be waited for: where nothing should happen, nothing may happen this long.
QUIET = 1.0


@dataclass(slots=True, kw_only=True)
class Scene:
    """What a test runs on; names are those of objects in its namespace.

    Attributes:
        plane: the control plane.
        api: a client of it with all rights.
        aws: the AWS that the operator talks to.
        namespace: the test's own.
        since: the moment from which requests count.
        kubeconfig: of the operators; they have the rights that an installation has, and no other.
        begun: when this scene was set up.
        show: gets the end of the log of each operator that has run.
    """

    plane: ControlPlane
    api: Api
    aws: LocalAws
    namespace: str
    since: Mark = field(init=False)
    kubeconfig: Path = field(init=False)
    begun: Mark = field(init=False)
    show: Callable[[str], object] = print

    def __post_init__(self) -> None:
        self.kubeconfig = self.plane.write_kubeconfig(self.user, groups=(rights.OPERATORS,))
        self.since = self.begun = audit.mark(self.plane.audit_log)

    @property
    def user(self) -> str:
        """The name under which this scene's operators are known to the API server."""
        return f"operator-of-{self.namespace}"

    @asynccontextmanager
    async def operator(
        self,
        *arguments: str,
        watch: str | None = None,
        env: Mapping[str, str | None] | None = None,
        forked: bool = True,
    ) -> AsyncIterator[OperatorProcess]:
        """Run an operator for the namespace, or those in `watch`; its log is shown if the test fails.

        It logs at DEBUG, and whatever the test is about, no token may be in its log.
        """
        environment = {"WATCH_NAMESPACE": self.namespace if watch is None else watch, **(env or {})}
        async with OperatorProcess(
            _TALKATIVE,
            *arguments,
            kubeconfig=self.kubeconfig,
            aws_endpoint=self.aws.url,
            env=environment,
            forked=forked,
        ) as process:
            try:
                yield process
            finally:
                self.show(process.tail(60))
            said = process.log.read_text(errors="replace")
            assert shows(said, self.aws.services.passwords) == []

    async def create(self, *manifests: Json) -> None:
        """Create objects in the namespace, several at a time."""
        turn = asyncio.Semaphore(_AT_A_TIME)

        async def create(manifest: Json) -> None:
            async with turn:
                await self.api.create(manifest, self.namespace)

        await asyncio.gather(*map(create, manifests))

    async def change(self, name: str, spec: Mapping[str, Any], kind: Resource = ECR_SECRETS) -> None:
        """Change fields of a resource's spec."""
        await self.api.merge_patch(kind, name, {"spec": spec}, self.namespace)

    async def patch_secret(self, name: str, patch: Json) -> Json:
        """Change a core Secret by a merge patch, and return it."""
        return await self.api.merge_patch(SECRETS, name, patch, self.namespace)

    async def clear(self, namespace: str = "") -> None:
        """Delete what an operator for all namespaces would see in the namespace, or in another one."""
        for kind in (ECR_SECRETS, ARGO_SECRETS, SECRETS):
            await self.api.delete_all(kind, namespace or self.namespace)

    async def delete(self, name: str, kind: Resource = SECRETS) -> None:
        """Delete an object, a core Secret unless `kind` says otherwise."""
        await self.api.delete(kind, name, self.namespace)

    async def resource(self, name: str, kind: Resource = ECR_SECRETS) -> Json:
        """Return a custom resource."""
        return await self.api.get(kind, name, self.namespace)

    async def secret(self, name: str) -> Json:
        """Return a core Secret."""
        return await self.api.get(SECRETS, name, self.namespace)

    async def find_secret(self, name: str) -> Json | None:
        """Return a core Secret, or None."""
        return await self.api.find(SECRETS, name, self.namespace)

    async def secrets(self, *names: str) -> list[Json]:
        """Return core Secrets, whole."""
        return [await self.secret(name) for name in names]

    async def appears(self, name: str, within: float = LONG) -> Json:
        """Wait for a core Secret, and return it."""
        return await wait_for(lambda: self.find_secret(name), within, f"the Secret {name}")

    async def gone(self, *names: str, within: float = LONG) -> None:
        """Wait until core Secrets are gone."""

        async def look() -> bool:
            return not any([await self.find_secret(name) for name in names])

        await wait_for(look, within, f"{names} gone")

    async def renewed(self, name: str, serial: int, within: float = LONG) -> None:
        """Wait until a generated Secret holds the token of that number, counted by the local AWS."""

        async def look() -> bool:
            secret = await self.find_secret(name)
            try:
                return secret is not None and reading.token(secret).serial == serial
            except ValueError:  # a login that the local AWS didn't make
                return False

        await wait_for(look, within, f"token {serial} in {name}")

    async def token(self, name: str) -> IssuedToken:
        """Return the token in a generated Secret."""
        return reading.token(await self.secret(name))

    async def ready(self, *names: str, kind: Resource = ECR_SECRETS, within: float = LONG) -> list[Json]:
        """Wait until resources are Ready and refreshed in their present generation, and return them."""
        return [await self.told(name, "True", "Refreshed", kind=kind, within=within) for name in names]

    async def told(
        self, name: str, status: str, reason: str, *, kind: Resource = ECR_SECRETS, within: float = LONG
    ) -> Json:
        """Wait until the condition Refreshed is that for the present generation, and return the resource."""

        async def look() -> Json | None:
            resource = await self.resource(name, kind)
            said = reading.verdict(resource, "Refreshed") == (status, reason)
            return resource if said and reading.is_current(resource) else None

        return await wait_for(look, within, f"{name}: Refreshed {status} {reason}")

    def intervals(self, region: str) -> list[float]:
        """Return the seconds between calls to AWS in a region."""
        times = [call.at for call in self.aws.select(region=region)]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    async def events(self, name: str) -> list[str]:
        """Return the reasons of the Events about an object, in order of their time."""
        found = await self.api.list(EVENTS, self.namespace)
        about = [each for each in found if each["involvedObject"]["name"] == name]
        return [each["reason"] for each in sorted(about, key=lambda each: str(each["eventTime"]))]

    def requests(self) -> Counter[Request]:
        """Count the operator's requests since `mark`."""
        return audit.count_requests(self.plane.audit_log, user=self.user, since=self.since)

    def requests_for(self, name: str) -> int:
        """Count the operator's requests for objects of one name since `mark`."""
        found = audit.count_requests(self.plane.audit_log, user=self.user, name=name, since=self.since)
        return found.total()

    def refusals(self) -> list[str]:
        """Return what an operator asked for that the installation's rights don't allow."""
        return rights.beyond(self.plane, self.user, self.begun)

    def writes(self, name: str | None = None) -> Counter[Request]:
        """Count the operator's writes since `mark`, or those to objects of one name; Events don't count."""
        found = audit.count_requests(self.plane.audit_log, user=self.user, name=name, since=self.since)
        return Counter(
            {
                request: count
                for request, count in found.items()
                if request.verb not in _READING and not request.resource.startswith("events")
            }
        )

    async def writes_are(self, expected: Mapping[Request, int], name: str | None = None) -> None:
        """Check that these writes come, and no other for a while after."""
        await wait_for(lambda: self.writes(name) == expected, what=f"the writes {expected}")
        await asyncio.sleep(QUIET)
        assert self.writes(name) == expected

    def mark(self) -> None:
        """Count requests from now on."""
        self.since = audit.mark(self.plane.audit_log)

    async def watching(self, count: int = 3) -> None:
        """Wait until the operator has opened that many watches since `mark`."""

        def watches() -> bool:
            return (
                sum(number for request, number in self.requests().items() if request.verb == "watch") >= count
            )

        await wait_for(watches, what="the operator's watches")
