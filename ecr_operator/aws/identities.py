"""Who we are to AWS: the operator's own credentials, found as the SDK finds them.

The order is the SDK's: environment, web identity, shared files, container, and the instance's role last.
v0.6.0's `AWS_CONFIG_FILE` with a `[default]` section, of keys or of a role with a web identity token file,
is one of the shared files.

Invariants: a changed file counts from the next call on. Keys never show in a repr. The keys are found once
for all regions, and whoever asks meanwhile waits for the same attempt, which ends in bounded time.
Leaves out: where STS is asked (aws.first_hop), clients (aws.clients), and what a failure means (aws.errors).
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import (
    ConfigParseError,
    InvalidConfigError,
    InvalidIMDSEndpointError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.loaders import create_loader

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.identity import hash_key_id
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.chain import build_chain, explain, first_configured, origin_in_words
from ecr_operator.aws.files import CredentialFiles
from ecr_operator.aws.first_hop import FirstHop, OperatorSession
from ecr_operator.aws.metadata import InstanceRole
from ecr_operator.core.ports import Clock

T = TypeVar("T")

# What every region's client would load anyway.
_WARM_DATA: Final = ("endpoints", "partitions", "_retry", "sdk-default-configuration")
_WARM_MODELS: Final = ("service-2", "endpoint-rule-set-1")

# A region that is not enabled blames good keys too. Whoever names many of those must not have the keys of all
# forgotten again and again.
_BLAME_SECONDS: Final = 30.0

# It warns of a failing STS with a traceback, and in that stands AWS's reply. We say it ourselves.
logging.getLogger("aiobotocore.credentials").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """One set of AWS keys, good for the next call.

    Attributes:
        access_key: the access key id.
        secret_key: the secret access key.
        session_token: goes with temporary keys.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False, default=None)

    @property
    def id_hash(self) -> str:
        """A short hash of the access key id of long-lived keys; empty for temporary ones."""
        return "" if self.session_token else hash_key_id(self.access_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The credentials that are configured.

    Attributes:
        origin: where they come from, in words.
        keys: those that stand in the environment or a file; None where they have to be asked for.
    """

    origin: str
    keys: AwsKeys | None


class OperatorIdentity:
    """The operator's own identity. Belongs to one event loop."""

    def __init__(
        self,
        config: AioConfig,
        clock: Clock,
        *,
        seconds: float,
        regions: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Look at the files; nothing is asked yet.

        Args:
            config: timeouts and retries of every client, of STS too.
            clock: for how long a failure is remembered, and how often blame counts.
            seconds: the longest that finding the keys may take.
            regions: of the resources, oldest first: where STS is asked if no region is set.
        """
        self._config = config
        self._clock = clock
        self._seconds = seconds
        self._instance_role = InstanceRole(clock)
        self._hop = FirstHop(clock, regions, seconds=seconds)
        self._flight: asyncio.Task[AwsKeys] | None = None
        self._flights: set[asyncio.Task[AwsKeys]] = set()
        self._loader: Any = create_loader()
        self._origin = ""
        self._changes = 0
        self._generation = 0
        self._works = False
        self._blamed_at = -math.inf
        self.forget()

    @property
    def session(self) -> AioSession:
        """The SDK's session; another one after the credentials changed."""
        return self._session

    @property
    def generation(self) -> int:
        """Another number after the credentials changed, or were found wanting."""
        return self._generation

    @property
    def origin(self) -> str:
        """Where the last keys came from or were looked for, in words for the user."""
        return self._origin

    @property
    def role_arn(self) -> str:
        """The role that the keys are of, where the operator assumed one; else empty."""
        return self._hop.role_arn

    @property
    def failed_in(self) -> str:
        """The region whose STS failed, where the last attempt failed by it; else empty."""
        return self._hop.failed_in

    def preload(self) -> None:
        """Parse the data that every client needs, 30 to 60 ms; may run in a thread before the first call."""
        for name in _WARM_DATA:
            self._loader.load_data(name)
        for name in _WARM_MODELS:
            self._loader.load_service_model("ecr", name)

    def forget(self) -> None:
        """Read everything afresh from the next call on."""
        self._session = OperatorSession(self._hop)
        self._session.set_default_client_config(self._config)
        # With one loader and its parsed models for all, a new session costs 5 ms and leaves little garbage.
        self._session.register_component("data_loader", self._loader)
        self._generation += 1
        self._credentials: Any = None
        # Who waits for the attempt under way gets what it brings; who comes now gets another.
        self._flight = None
        self._hop.role_arn = ""
        self._files = CredentialFiles(self._session)

    def forget_if_changed(self) -> None:
        """Read everything afresh if a file that holds credentials has other contents than before."""
        # A renewed web identity token is the same identity, and is read when its session ends. It counts only
        # where the last one did not do.
        if self._files.changed() or (not self._works and self._files.token_changed()):
            self.forget()
            self._changes += 1
        elif self._files.bundle_changed():
            # Clients read it when they are made, and belong to a session.
            self.forget()

    def invalidate(self, generation: int) -> None:
        """Take note that AWS found fault with the keys of that generation; they are read afresh.

        It counts once in `_BLAME_SECONDS` at most; a changed file counts at once all the same.
        """
        now = self._clock.monotonic()
        if generation == self._generation and now - self._blamed_at >= _BLAME_SECONDS:
            self._blamed_at = now
            self._works = False
            self.forget()

    @property
    def changes(self) -> int:
        """How often other credentials came; counts up."""
        return self._changes

    async def keys(self) -> AwsKeys:
        """Find the keys for a call.

        Raises:
            OperatorError: `CredentialsMissing` or `CredentialsExpired`.
            TimeoutError: they were not found in time.
            Exception: what STS or another endpoint's failure comes as; aws.errors translates it.
        """
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="the operator's keys")
            self._flights.add(self._flight)
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    async def configured(self) -> Configured:
        """Find what is configured without asking anybody: no agent, no process, no metadata service, no AWS.

        Raises:
            PermanentError: `CredentialsMissing`: there is nothing, or it is not valid.
        """
        try:
            found = await self._walk_chain(first_configured)
        except (PermissionError, IsADirectoryError) as error:
            raise self._missing(f"{error.filename} is not readable") from None
        if found is None:
            raise self._missing(f"none in the environment or {self._files.describe()}")
        method, frozen = found
        keys = self._checked(frozen, self._name(method)) if frozen else None
        return Configured(origin=self._name(method), keys=keys)

    async def close(self) -> None:
        """Cancel what is under way."""
        for flight in self._flights:
            flight.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)

    def _landed(self, flight: "asyncio.Task[AwsKeys]") -> None:
        self._flights.discard(flight)
        if self._flight is flight:
            self._flight = None
        if not flight.cancelled():
            flight.exception()  # Where nobody waits any more, asyncio would print it.

    async def _fly(self) -> AwsKeys:
        generation, works = self._generation, False
        self._hop.failed_in = ""
        try:
            async with asyncio.timeout(self._seconds):
                keys = await self._load()
            works = True
        finally:
            if generation == self._generation:
                self._works = works
        return keys

    async def _load(self) -> AwsKeys:
        try:
            frozen = await self._freeze()
        except FileNotFoundError as error:
            raise self._missing(f"{error.filename} is absent") from None
        except (PermissionError, IsADirectoryError) as error:
            raise self._missing(f"{error.filename} is not readable") from None
        except (UnicodeDecodeError, ParamValidationError):
            raise self._missing(f"the role ARN or the token from {self._origin} is malformed") from None
        except RuntimeError:
            # The SDK says so when what it fetched had expired already.
            message = f"The AWS credentials from {self._origin} have expired. Renew them there."
            raise TransientError(Reason.CREDENTIALS_EXPIRED, message) from None
        return self._checked(frozen, self._origin)

    async def _freeze(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        generation = self._generation
        credentials = self._credentials or await self._find()
        if generation == self._generation:
            self._credentials = credentials
        try:
            return await credentials.get_frozen_credentials()
        except Exception as error:
            self._raise_explained(credentials.method, error)
            raise

    async def _find(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        self._origin = self._files.describe()
        credentials = await self._walk_chain(self._first)
        if credentials is None:
            raise self._missing(f"none in the environment, {self._origin} or {self._instance_role.words}")
        return credentials

    async def _walk_chain(self, look: Callable[[Iterable[Any]], Awaitable[T]]) -> T:
        files = self._files.describe()
        try:
            # A process has less time than all of it, so that what is late gets its own name.
            chain = build_chain(self._session, self._instance_role, process_seconds=self._seconds * 2 / 3)
            return await look(chain)
        except ConfigParseError as error:
            raise self._missing(
                f"{error.kwargs['path']} can't be parsed as an AWS configuration file"
            ) from None
        except PartialCredentialsError as error:
            provider, lacking = self._name(error.kwargs["provider"]), error.kwargs["cred_var"]
            raise self._missing(f"{provider} lacks {lacking}") from None
        except ProfileNotFound as error:
            raise self._missing(f"the profile {error.kwargs['profile']} is not in {files}") from None
        except InvalidConfigError:
            what = f"the profile in {files} is incomplete; a role needs role_arn and a source"
            raise self._missing(what) from None
        except InvalidIMDSEndpointError:
            raise self._missing("AWS_EC2_METADATA_SERVICE_ENDPOINT is not a valid URL") from None
        except ValueError:
            raise self._missing(f"a value in the environment or {files} can't be read") from None

    async def _first(self, chain: Iterable[Any]) -> Any:  # noqa: ANN401 -- the SDK has no types
        for provider in chain:
            try:
                found = await provider.load()
            except Exception as error:
                self._raise_explained(provider.METHOD, error)
                raise
            if found is not None:
                self._origin = self._name(found.method)
                return found
        return None

    def _raise_explained(self, method: str, error: Exception) -> None:
        """Say who failed, and in our own words if we have some."""
        self._origin = self._name(method)
        if explained := explain(method, error, self._origin):
            raise explained from None

    def _name(self, method: str) -> str:
        return origin_in_words(method, self._files.paths)

    def _checked(self, frozen: Any, origin: str) -> AwsKeys:  # noqa: ANN401 -- the SDK has no types
        """Refuse what no key can be, before AWS words it less well."""
        values = (frozen.access_key, frozen.secret_key)
        if not all(values) or any(quote in value for value in values for quote in "\"'"):
            raise self._missing(f"a key from {origin} is empty or quoted")
        return AwsKeys(access_key=frozen.access_key, secret_key=frozen.secret_key, session_token=frozen.token)

    def _missing(self, what: str) -> PermanentError:
        message = ". ".join([f"No usable AWS credentials: {what}", *self._files.flaws()])
        return PermanentError(
            Reason.CREDENTIALS_MISSING,
            f"{message}. Give the operator keys, a credentials file or a web identity.",
        )
