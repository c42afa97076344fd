"""STS: where the operator assumes its own role, and the kept sessions of the roles that resources name.

The operator's own role (the first hop) is assumed in one region of the role's partition: AWS_REGION,
AWS_DEFAULT_REGION or the profile's region; else the region of the oldest resource that names one which the
SDK lists in the partition. Where STS refuses there or can't be reached the next such region is asked, and
last the partition's default.

Invariants: whatever resources name, a web identity token or a signed AssumeRole never reaches another
partition or a host that is not AWS's. A session's keys serve only the identity that they were made for, and
are not used once what they were made from has changed.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from aiobotocore.session import AioSession
from aiobotocore.utils import create_nested_client
from botocore.exceptions import BotoCoreError

from ecr_operator.api.identity import Identity
from ecr_operator.api.registry import is_region
from ecr_operator.api.token import plain_region
from ecr_operator.aws.credential_files import EXTRA_VARIABLES
from ecr_operator.aws.endpoints import Partition, partition_of, partition_of_arn, partitions
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.core.ports import Clock

_ASSUME: Final = ("assume_role", "assume_role_with_web_identity")
# Regions that one attempt asks; they share its time.
_TRIES: Final = 3
_FAILURE_SECONDS: Final = 900.0  # for which a region that failed is asked last

# Asks STS for a session, and returns its answer.
Assume = Callable[[], Awaitable[Mapping[str, Any]]]

# Each takes 3 KiB.
MAX_SESSIONS: Final = 1024
# The most that AWS gives to a role that is assumed from a role.
SESSION_SECONDS: Final = 3600
_MARGIN: Final = 900.0


class FirstHop:
    """Assumes the operator's own role. Belongs to one event loop.

    Attributes:
        role_arn: the role that was last asked for; empty for none.
        failed_in: the first region whose STS failed in the last attempt; empty for none.
    """

    def __init__(self, clock: Clock, regions: Callable[[], Sequence[str]], *, seconds: float) -> None:
        """Ask nothing yet; see `OperatorCredentials`. An attempt may take so many seconds."""
        self._clock = clock
        self._regions = regions
        self._seconds = seconds
        self._failed_until: dict[str, float] = {}
        self.role_arn = ""
        self.failed_in = ""

    async def assume(
        self,
        session: AioSession,
        options: Mapping[str, Any],
        operation: str,
        **arguments: Any,  # noqa: ANN401 -- the SDK has no types
    ) -> Any:  # noqa: ANN401 -- the same
        """Ask one region after another.

        Args:
            session: makes the clients.
            options: of the client, the keys to sign with among them.
            operation: one of `_ASSUME`.
            arguments: of the operation.

        Raises:
            Exception: what the SDK raises in the first region, if none answers.
        """
        self.role_arn, self.failed_in = str(arguments["RoleArn"]), ""
        failure: Exception | None = None
        for region in self._order(session):
            try:
                async with (
                    asyncio.timeout(self._seconds / _TRIES),
                    create_nested_client(session, "sts", region_name=region, **options) as client,
                ):
                    answer = await getattr(client, operation)(**arguments)
            except Exception as error:  # noqa: BLE001 -- whatever it is, another region may do better
                self._failed_until[region] = self._clock.monotonic() + _FAILURE_SECONDS
                failure, self.failed_in = failure or error, self.failed_in or region
            else:
                self.failed_in = ""
                return answer
        assert failure  # noqa: S101 -- there is always a region
        raise failure

    def _order(self, session: AioSession) -> list[str]:
        """The regions of this attempt: those that have not failed lately come first."""
        candidates = self._candidates(session, partition_of_arn(self.role_arn) or partitions()[0])
        now = self._clock.monotonic()
        failed = {region for region in candidates if self._failed_until.get(region, now) > now}
        if len(failed) == len(candidates):
            self._failed_until.clear()
        return sorted(candidates, key=failed.__contains__)[:_TRIES]

    def _candidates(self, session: AioSession, partition: Partition) -> list[str]:
        configured = _configured(session)
        named = [plain_region(region) for region in self._regions()]
        return list(
            dict.fromkeys(
                [
                    # One that no partition knows is the admin's own.
                    *(region for region in configured if partition_of(region) in (partition, None)),
                    *(region for region in named if region in partition.regions),
                    partition.default_region,
                ]
            )
        )


def _configured(session: AioSession) -> list[str]:
    found = [os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION")]
    with suppress(BotoCoreError):
        found.append(session.get_scoped_config().get("region"))
    return [region for region in found if region and is_region(region)]


class OperatorSession(AioSession):  # type: ignore[misc] # the SDK has no types
    """The SDK's session, whose credential chain asks STS by way of the first hop."""

    def __init__(self, hop: FirstHop) -> None:
        super().__init__(EXTRA_VARIABLES)
        self._hop = hop

    def create_client(self, service_name: str, region_name: str | None = None, **options: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
        """As of the SDK. Only its chain names no region for STS, and it only assumes roles there."""
        if service_name == "sts" and region_name is None:
            calls = {name: partial(self._hop.assume, self, options, name) for name in _ASSUME}
            return nullcontext(SimpleNamespace(**calls))
        return super().create_client(service_name, region_name=region_name, **options)


@dataclass(slots=True)
class _RoleSession:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: AwsKeys | None = None
    made_from: object = None
    good_until: float = 0.0

    def is_stale(self, now: float) -> bool:
        """Whether nobody uses it or could."""
        return not self.lock.locked() and (self.keys is None or self.good_until <= now)


class RoleSessions:
    """Keeps the keys of assumed roles, one set per identity and region of STS, and renews them in time.

    The least recently used go first. Belongs to one event loop.
    """

    def __init__(self, clock: Clock, max_sessions: int = MAX_SESSIONS) -> None:
        self._clock = clock
        self._max_sessions = max_sessions
        self._sessions: OrderedDict[tuple[Identity, str], _RoleSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    async def keys(self, identity: Identity, region: str, made_from: object, assume: Assume) -> AwsKeys:
        """The identity's keys, from the last session while it is good.

        Args:
            identity: as the resource names it.
            region: of STS.
            made_from: what permits the session and signs for it; a session made from anything else is not
                used.
            assume: called where a new session is needed.
        """
        session = self._session((identity, region))
        async with session.lock:
            now = self._clock.monotonic()
            if session.keys and session.made_from == made_from and now < session.good_until:
                return session.keys
            session.keys, life = _read(await assume(), self._clock.now())
            session.made_from = made_from
            session.good_until = self._clock.monotonic() + life - min(_MARGIN, life / 4)
            return session.keys

    def invalidate(self, identity: Identity, region: str, keys: AwsKeys) -> None:
        """Drop these keys, unless others have replaced them meanwhile."""
        session = self._sessions.get((identity, region))
        if session and session.keys == keys:
            session.keys = None

    def release(self, identity: Identity) -> None:
        """Drop an identity's keys of all regions."""
        for key in [key for key in self._sessions if key[0] == identity]:
            del self._sessions[key]

    def _session(self, key: tuple[Identity, str]) -> _RoleSession:
        session = self._sessions.setdefault(key, _RoleSession())
        self._sessions.move_to_end(key)
        # Those longest unused go, when they are stale or too many; one in use is only unlinked.
        while (oldest := next(iter(self._sessions.values()))) is not session:
            if len(self._sessions) <= self._max_sessions and not oldest.is_stale(self._clock.monotonic()):
                break
            self._sessions.popitem(last=False)
        return session


def _read(answer: Mapping[str, Any], now: datetime) -> tuple[AwsKeys, float]:
    """The keys in an answer of STS, and the seconds until they expire. ValueError or the like for garbage."""
    found = answer["Credentials"]
    expires_at: datetime = found["Expiration"]
    values = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    if not all(isinstance(value, str) and value for value in values):
        message = "an answer of STS without keys"
        raise ValueError(message)
    access_key, secret_key, session_token = values
    keys = AwsKeys(access_key=access_key, secret_key=secret_key, session_token=session_token)
    return keys, (expires_at.astimezone(UTC) - now).total_seconds()
