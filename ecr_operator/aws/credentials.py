"""The operator's own credentials, found as the SDK finds them.

The order is the SDK's: environment, web identity, shared files, container, and the instance's role last.
v0.6.0's `AWS_CONFIG_FILE` with a `[default]` section, of keys or of a role with a web identity token file,
is one of the shared files.

Invariants: a changed file counts from the next call on. The keys are fetched once for all regions, and
whoever asks meanwhile waits for the same fetch, which ends in bounded time.
Leaves out: where STS is asked (aws.sts), and what a failed call means (aws.call_errors).
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from aiobotocore.session import AioSession
from botocore.exceptions import (
    ConfigParseError,
    InvalidConfigError,
    InvalidIMDSEndpointError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from ecr_operator.api.errors import PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.chain import ORIGINS, InstanceRole, build_chain, explain, first_configured
from ecr_operator.aws.credential_files import BUNDLE, SHARED, TOKEN, CredentialFiles, unquote
from ecr_operator.aws.endpoints import SDK_DATA
from ecr_operator.aws.keys import AwsKeys
from ecr_operator.aws.network import client_config
from ecr_operator.aws.sts import FirstHop, OperatorSession
from ecr_operator.core.ports import Clock

T = TypeVar("T")

# AWS refuses good keys too in a region that is not enabled. Resources in many such regions must not have
# everybody's keys fetched again and again.
_INVALIDATION_SECONDS: Final = 30.0

# It warns of a failing STS with a traceback that holds AWS's reply. We report it ourselves.
logging.getLogger("aiobotocore.credentials").setLevel(logging.ERROR)


class OperatorCredentials:
    """The operator's own credentials. Belongs to one event loop.

    Attributes:
        session: the SDK's session; another one after the credentials changed.
        generation: another number after the credentials changed or were invalidated.
        changes: how often other credentials came; counts up.
        origin: where the last keys came from or were looked for, for a message.
        first_hop: assumes the operator's own role, where it has one.
    """

    session: AioSession

    def __init__(self, clock: Clock, *, seconds: float, regions: Callable[[], Sequence[str]] = tuple) -> None:
        """Look at the files; nothing is asked yet.

        Args:
            clock: limits how long a failure is remembered, and how often `invalidate` counts.
            seconds: the longest that a fetch may take.
            regions: of the resources, oldest first: where STS is asked if no region is set.
        """
        self._config = client_config()
        self._clock = clock
        self._seconds = seconds
        self._instance_role = InstanceRole(clock)
        self.first_hop = FirstHop(clock, regions, seconds=seconds)
        self._fetching: asyncio.Task[AwsKeys] | None = None
        self._fetches: set[asyncio.Task[AwsKeys]] = set()
        self.origin = ""
        self.changes = 0
        self.generation = 0
        self._works = False
        self._invalidated_at = -math.inf
        self._reset()

    def reload_if_changed(self) -> None:
        """Read everything afresh if a file with credentials or authorities has other contents than before."""
        # A renewed web identity token is the same identity, and is read when its session ends. It counts only
        # where the last one failed.
        if self._files.changed(SHARED) or (not self._works and self._files.changed(TOKEN)):
            self._reset()
            self.changes += 1
        elif self._files.changed(BUNDLE):
            # Clients read it when they are made, and belong to a session.
            self._reset()

    def invalidate(self, generation: int) -> None:
        """Read everything afresh because AWS refused the keys of that generation.

        It counts once in `_INVALIDATION_SECONDS` at most; a changed file counts at once all the same.
        """
        now = self._clock.monotonic()
        if generation == self.generation and now - self._invalidated_at >= _INVALIDATION_SECONDS:
            self._invalidated_at = now
            self._works = False
            self._reset()

    async def keys(self) -> AwsKeys:
        """The keys for a call.

        Raises:
            OperatorError: `CredentialsMissing` or `CredentialsExpired`.
            TimeoutError: they were not found in time.
            Exception: the failure of STS or another endpoint; aws.call_errors translates it.
        """
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name="the operator's keys")
            self._fetches.add(self._fetching)
            self._fetching.add_done_callback(self._on_fetched)
        return await asyncio.shield(self._fetching)

    async def configured(self) -> tuple[str, AwsKeys | None]:
        """Find what is configured without asking anybody: no agent, no process, no metadata service, no AWS.

        Returns:
            Where the keys come from, for a message; and those that are in the environment or a file.

        Raises:
            PermanentError: `CredentialsMissing`: there is nothing, or it is not valid.
        """
        try:
            found = await self._walk_chain(first_configured)
        except Exception as error:  # noqa: BLE001 -- raised again where it is not one of ours
            raise self._as_missing(error) from None
        if found is None:
            raise self._missing(f"none in the environment or {self._files.describe()}")
        method, frozen = found
        origin = self._describe(method)
        return origin, self._checked(frozen, origin) if frozen else None

    async def close(self) -> None:
        """Cancel what is under way."""
        for fetch in self._fetches:
            fetch.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _reset(self) -> None:
        self.session = OperatorSession(self.first_hop)
        self.session.set_default_client_config(self._config)
        # With the parsed models of the last one, a new session costs 5 ms and leaves little garbage.
        self.session.register_component("data_loader", SDK_DATA)
        self.generation += 1
        self._credentials: Any = None
        # Whoever waits for the present fetch gets its result; the next caller starts another.
        self._fetching = None
        self.first_hop.role_arn = ""
        self._files = CredentialFiles(self.session)

    def _on_fetched(self, fetch: "asyncio.Task[AwsKeys]") -> None:
        self._fetches.discard(fetch)
        if self._fetching is fetch:
            self._fetching = None  # a failure holds the SDK's frames
        if not fetch.cancelled():
            fetch.exception()  # Where nobody waits any more, asyncio would print it.

    async def _fetch(self) -> AwsKeys:
        generation, works = self.generation, False
        self.first_hop.failed_in = ""
        try:
            async with asyncio.timeout(self._seconds):
                frozen = await self._freeze()
            keys = self._checked(frozen, self.origin)
            works = True
        except RuntimeError:
            # The SDK raises it when what it fetched had expired already.
            message = f"The AWS credentials from {self.origin} have expired. Renew them there."
            raise TransientError(Reason.CREDENTIALS_EXPIRED, message) from None
        except Exception as error:  # noqa: BLE001 -- raised again where it is not one of ours
            raise self._as_missing(error) from None
        finally:
            if generation == self.generation:
                self._works = works
        return keys

    async def _freeze(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        generation, credentials = self.generation, self._credentials
        if credentials is None:
            self.origin = self._files.describe()
            credentials = await self._walk_chain(self._first)
            if generation == self.generation:
                self._credentials = credentials
        try:
            return await credentials.get_frozen_credentials()
        except Exception as error:
            self._raise_explained(credentials.method, error)
            raise

    async def _walk_chain(self, look: Callable[[Iterable[Any]], Awaitable[T]]) -> T:
        try:
            # A process has less time than the whole fetch, so that its delay is reported as such.
            chain = build_chain(self.session, self._instance_role, process_seconds=self._seconds * 2 / 3)
            return await look(chain)
        except ValueError:
            what = f"a value in the environment or {self._files.describe()} can't be read"
            raise self._missing(what) from None

    async def _first(self, chain: Iterable[Any]) -> Any:  # noqa: ANN401 -- the SDK has no types
        for provider in chain:
            try:
                found = await provider.load()
            except Exception as error:
                self._raise_explained(provider.METHOD, error)
                raise
            if found is not None:
                self.origin = self._describe(found.method)
                return found
        where = f"{self._files.describe()} or {self._instance_role.description}"
        raise self._missing(f"none in the environment, {where}")

    def _raise_explained(self, method: str, error: Exception) -> None:
        """Note which provider failed, and report it in our own words where there are some."""
        self.origin = self._describe(method)
        if explained := explain(method, error, self.origin):
            raise explained from None

    def _describe(self, method: str) -> str:
        return ORIGINS.get(method, f"{method} in {{config_file}}").format_map(self._files.paths)

    def _checked(self, frozen: Any, origin: str) -> AwsKeys:  # noqa: ANN401 -- the SDK has no types
        """Refuse what can't be a key, before AWS does so in worse words."""
        # Quotes of whichever source: the SDK's providers leave them. A process may print null for a key.
        access_key, secret_key = unquote(frozen.access_key or ""), unquote(frozen.secret_key or "")
        if not (access_key and secret_key) or {*access_key, *secret_key} & {*"\"'"}:
            raise self._missing(f"a key from {origin} is empty or quoted")
        token = unquote(frozen.token) if frozen.token else None
        return AwsKeys(access_key=access_key, secret_key=secret_key, session_token=token)

    def _as_missing(self, error: Exception) -> Exception:
        """The error to raise: `CredentialsMissing` where it shows what is wrong with the configuration."""
        files = self._files.describe()
        match error:
            case FileNotFoundError():
                what = f"{error.filename} is absent"
            case PermissionError() | IsADirectoryError():
                what = f"{error.filename} is not readable"
            case UnicodeDecodeError() | ParamValidationError():
                what = f"the role ARN or the token from {self.origin} is malformed"
            case ConfigParseError():
                what = f"{error.kwargs['path']} can't be parsed as an AWS configuration file"
            case PartialCredentialsError():
                what = f"{self._describe(error.kwargs['provider'])} lacks {error.kwargs['cred_var']}"
            case ProfileNotFound():
                what = f"the profile {error.kwargs['profile']} is not in {files}"
            case InvalidConfigError():
                what = f"the profile in {files} is incomplete; a role needs role_arn and a source"
            case InvalidIMDSEndpointError():
                what = "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a valid URL"
            case _:
                return error
        return self._missing(what)

    def _missing(self, what: str) -> PermanentError:
        message = ". ".join([f"No usable AWS credentials: {what}", *self._files.flaws()])
        return PermanentError(
            Reason.CREDENTIALS_MISSING,
            f"{message}. Give the operator keys, a credentials file or a web identity.",
        )
