"""The interfaces of the API server, AWS and the time, and what watches there have to be.

They are implemented in kube and aws, and in memory by the tests.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from ecr_operator.api.desired import Resource
from ecr_operator.api.identity import Identity, KeyDigest
from ecr_operator.api.outcome import Outcome, ResourceKey
from ecr_operator.api.token import RegistryToken, TokenSource
from ecr_operator.core.secret_view import SecretView
from ecr_operator.core.state import Result


class Clock(Protocol):
    """The time, injected so that hours can be tested in milliseconds."""

    def now(self) -> datetime:
        """The wall clock, UTC; may step in either direction."""

    def monotonic(self) -> float:
        """Seconds that never step."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never step."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(seconds)


class WakefulClock(SystemClock):
    """The machine's clock, with a monotonic time that goes on while the machine is suspended (on Linux)."""

    _id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic(self) -> float:
        """Seconds that never step, and never stand still."""
        return time.clock_gettime(self._id)


class Demand:
    """Whether a watch is needed: one that not every installation has to run all the time.

    Attributes:
        on: set while it is.
        off: set while it is not.
    """

    def __init__(self) -> None:
        self.on, self.off = asyncio.Event(), asyncio.Event()
        self.change(needed=False)

    def change(self, *, needed: bool) -> None:
        """Note whether it is needed from now on."""
        (self.on.set if needed else self.on.clear)()
        (self.off.clear if needed else self.off.set)()


class TokenIssuer(Protocol):
    """Fetches tokens; implemented by `aws.ecr.EcrTokenIssuer`."""

    async def issue(self, source: TokenSource) -> RegistryToken:
        """Ask AWS once for a fresh token; its `basis` is that of what was used for this call.

        Raises:
            OperatorError: with the reason and words for the user. It returns or raises in bounded time.
        """

    async def basis(self, identity: Identity) -> str:
        """Digest what permits the identity now, read from the cluster without a call to AWS.

        The digest covers the key Secret's uid and keys, the ServiceAccount's uid and role, or, for a role of
        the operator's identity, the uid of the namespace whose annotation permits it. It is empty, and
        nothing is read, for the operator's identity without a role. Only digests of one process compare.

        Raises:
            OperatorError: as `issue` would for the same state of the cluster.
        """

    async def long_lived(self, identity: Identity) -> KeyDigest:
        """Digest the long-lived keys that an identity has now; without a call to AWS, an agent or a process.

        It is empty for other credentials, and where there are none or they are not valid.

        Raises:
            OperatorError: the named Secret can't be read.
        """

    def release(self, identity: Identity) -> None:
        """Drop the role sessions of an identity that no resource uses any more, in all regions."""

    def check(self, source: TokenSource) -> None:
        """Refuse a region that must not be called; without I/O.

        Raises:
            PermanentError: `InvalidSpec`.
        """

    def is_listed(self, region: str) -> bool:
        """Whether the SDK lists the region; `fips-` and `-fips` around it don't count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFacts:
    """The facts of a namespace that decide which identities it may use.

    Attributes:
        uid: changes when the namespace is recreated.
        labels: all of them.
        permitted_roles: the annotation `ecr.mobb.redhat.com/permitted-roles`; empty for none.
    """

    uid: str
    labels: Mapping[str, str]
    permitted_roles: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySecret:
    """A Secret with AWS keys.

    Attributes:
        uid: changes when the Secret is recreated.
        data: the decoded values of its keys that are `IAM_KEYS` in any case, and the names of keys that look
            like misspellings of these, without their values.
    """

    uid: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountFacts:
    """The facts of a ServiceAccount that decide its identity.

    Attributes:
        uid: changes when the ServiceAccount is recreated.
        role: the annotation `eks.amazonaws.com/role-arn`, if it has one.
    """

    uid: str
    role: str | None


class IdentityObjects(Protocol):
    """Reads, one by one and afresh, what a resource names in its namespace.

    Every method raises OperatorError: of the API server, or with words on what is missing.
    """

    async def iam_keys(self, namespace: str, name: str) -> KeySecret:
        """A Secret with AWS keys; never kept."""

    async def service_account(self, namespace: str, name: str) -> ServiceAccountFacts:
        """A ServiceAccount's uid and role, by its metadata alone."""

    async def service_account_token(self, namespace: str, name: str) -> str:
        """A fresh token of the ServiceAccount for the audience sts.amazonaws.com."""

    async def namespace(self, name: str) -> NamespaceFacts:
        """The uid, labels and permission of a namespace, by its metadata alone."""


LONGEST_WRITE: Final = 20.0
"""Seconds, from sending a Secret to the whole answer."""


class SecretStore(Protocol):
    """Reads and writes generated Secrets; implemented by `kube.secrets.KubeSecrets`."""

    async def apply(
        self, manifest: Mapping[str, Any], present: SecretView | None, seconds: float = LONGEST_WRITE
    ) -> SecretView:
        """Create the Secret, or change the one last seen, and return it as it is now; in so many seconds.

        Raises:
            StaleObjectError: something is there that we have not seen, or what we saw has changed.
            OperatorError: for all else.
        """

    async def look(self, namespace: str, name: str) -> SecretView | None:
        """Read one Secret's metadata; None if there is none."""

    async def read(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read one whole Secret, where its data must be compared; None if there is none."""

    async def delete(self, view: SecretView) -> None:
        """Delete that very Secret, in that very version; it may be deleted already.

        Raises:
            StaleObjectError: it has changed since.
            OperatorError: for all else.
        """


class Resources(Protocol):
    """Reads custom resources one by one, and writes their statuses; implemented by `kube.resources`."""

    async def uid_of(self, key: ResourceKey) -> str | None:
        """The uid of the resource that has this name now; None if there is none.

        Raises:
            OperatorError: from the API server.
        """

    async def is_active(self, key: ResourceKey, uid: str) -> bool:
        """Whether that very resource exists and is not being deleted.

        Raises:
            OperatorError: from the API server.
        """

    async def read(self, key: ResourceKey) -> Mapping[str, Any] | None:
        """The resource as the API server has it; None if there is none.

        Raises:
            OperatorError: from the API server.
        """

    async def write(self, resource: Resource, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace the status and return what the server keeps of it; a deleted resource is not an error.

        Raises:
            OperatorError: from the API server.
        """

    async def keeps_details(self, kind: str) -> bool:
        """Whether the CRD keeps more of a status than v0.6.0 wrote."""


class EventSink(Protocol):
    """Emits Events for changed outcomes; implemented by `kube.events.KubeEvents`."""

    def emit(self, resource: Resource, outcome: Outcome) -> None:
        """Queue an Event; never waits, never fails."""


class Links(Protocol):
    """Has service accounts name a resource's Secret; implemented by `links.reconcile`."""

    def report_links(self, resource: Resource, result: Result) -> Result:
        """Have the links of a resource made after its Secret, and report those that are known to fail."""

    def request_links(self, resource: Resource) -> bool:
        """Have the links of a resource made.

        Returns:
            Whether each is as it should be, or has failed. Otherwise the resource is enqueued when the last
            of them was tried.
        """
