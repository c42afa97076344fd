"""The SDK's chain of credential providers, corrected where it does not suit an operator.

- A credential_process that hangs is killed with all that it started: the SDK would leave it behind, two
  processes for each attempt, for as long as the operator runs.
- Double quotes around values in files are taken off, as v0.6.0's SDK did.
- The instance's role comes last, with one short attempt, and a failure is remembered.

Invariant: what a provider prints or answers enters no message.
Leaves out: which keys result, and how often they are asked for (aws.credentials).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from aiobotocore.credentials import create_credential_resolver
from aiobotocore.session import AioSession
from botocore.exceptions import ReadTimeoutError

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.credential_files import unquote
from ecr_operator.core.ports import Clock

# The SDK's names of providers.
_CONTAINER: Final = "container-role"
_PROCESS: Final = "custom-process"
_INSTANCE: Final = "iam-role"
# Whose credentials are in the environment or a file.
_STATIC: Final = ("env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config")
# Whose credentials are fetched when they are used; `load` only reads the configuration.
_DEFERRED: Final = ("assume-role-with-web-identity", "sso")

# Where keys come from, for a message; filled in with the paths of `CredentialFiles`.
ORIGINS: Final = {
    "env": "the environment variables (a change of them needs a restart of the operator)",
    "assume-role": "the role in {config_file}",
    "assume-role-with-web-identity": "the web identity token {web_identity_token_file}",
    "shared-credentials-file": "{credentials_file}",
    "config-file": "{config_file}",
    "sso": "the SSO login of the profile in {config_file}",
    _PROCESS: "the credential_process in {config_file}",
    _CONTAINER: "the container's credentials endpoint",
    _INSTANCE: "the instance's metadata service",
}


def build_chain(
    session: AioSession, instance_role: "InstanceRole", *, process_seconds: float
) -> tuple[Any, ...]:
    """The SDK's providers, in the order in which they are asked.

    Args:
        session: its files and variables count.
        instance_role: takes the place of the SDK's own last member.
        process_seconds: the longest that a credential_process may take.

    Raises:
        BotoCoreError: a file, a profile or a variable can't be read.
    """
    resolver = create_credential_resolver(session)
    instance_role.replace_provider(resolver)
    _unquote_settings(session.full_config)
    resolver.get_provider(_PROCESS)._popen = _bounded(process_seconds)  # noqa: SLF001 -- no public way
    return tuple(resolver.providers)


async def first_configured(chain: Iterable[Any]) -> tuple[str, Any] | None:
    """Find the first provider that has credentials, without asking anybody for them.

    The instance's role is left out: only asking shows whether there is one.

    Returns:
        The SDK's name of the provider, and its credentials where they are in the environment or a file.

    Raises:
        Exception: a file, a profile or a variable can't be read.
    """
    for provider in chain:
        if provider.METHOD in _STATIC:
            if found := await provider.load():
                return provider.METHOD, await found.get_frozen_credentials()
        elif await _is_configured(provider):
            return provider.METHOD, None
    return None


async def _is_configured(provider: Any) -> bool:  # noqa: ANN401 -- the SDK has no types
    match provider.METHOD:
        case method if method in _DEFERRED:
            return await provider.load() is not None
        case "custom-process":
            return provider._credential_process is not None  # noqa: SLF001 -- no public way
        case "container-role":
            return provider.ENV_VAR in os.environ or provider.ENV_VAR_FULL in os.environ
        case "assume-role":
            return bool(provider._has_assume_role_config_vars(_profile(provider)))  # noqa: SLF001 -- the same
        case "login":
            return "login_session" in _profile(provider)
    return False


def _profile(provider: Any) -> Mapping[str, Any]:  # noqa: ANN401 -- the SDK has no types
    profiles: Mapping[str, Any] = provider._load_config().get("profiles", {})  # noqa: SLF001 -- no public way
    found: Mapping[str, Any] = profiles.get(provider._profile_name, {})  # noqa: SLF001 -- the same
    return found


def explain(method: str, error: Exception, origin: str) -> OperatorError | None:
    """What it means that an agent or a process failed to give keys; None for what is explained elsewhere.

    Args:
        method: the SDK's name of the provider that failed.
        error: a RuntimeError is the SDK's for keys that have expired.
        origin: the provider, for the message.
    """
    if isinstance(error, OperatorError | RuntimeError):
        return None
    kind, what = type(error).__name__, f"No usable AWS credentials: {origin}"
    if method == _PROCESS:
        if isinstance(error, TimeoutError):
            return TransientError(Reason.CREDENTIALS_MISSING, f"{what} does not end in time. Retrying.")
        message = f"{what} fails or prints no keys ({kind}). Correct it there."
        return PermanentError(Reason.CREDENTIALS_MISSING, message)
    if method == _CONTAINER and not isinstance(error, OSError):
        message = (
            f"{what} returns none ({kind}). Check its agent, such as EKS Pod Identity's, "
            "AWS_CONTAINER_CREDENTIALS_FULL_URI and the token for it. Retrying."
        )
        return TransientError(Reason.CREDENTIALS_MISSING, message)
    return None


class _Ended(NamedTuple):
    """What the SDK uses of a process, once that has ended."""

    output: tuple[bytes, bytes]
    returncode: int | None

    async def communicate(self) -> tuple[bytes, bytes]:
        return self.output


def _bounded(seconds: float) -> Callable[..., Awaitable[_Ended]]:
    """Run a process to its end; it is killed when its time is up, or when nobody waits for it any more."""

    async def run(*command: str, **options: Any) -> _Ended:  # noqa: ANN401 -- the SDK has no types
        # On a terminal it may have to ask a person, which only the foreground group can.
        is_group = not (sys.stdin and sys.stdin.isatty())
        group = 0 if is_group else None
        process = await asyncio.create_subprocess_exec(*command, process_group=group, **options)
        try:
            async with asyncio.timeout(seconds):
                return _Ended(await process.communicate(), process.returncode)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    kill = os.killpg if is_group else os.kill
                    kill(process.pid, signal.SIGKILL)
                # A child that left the group would hold the pipes, and `wait` waits for those.
                process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 -- no public way
                await process.wait()

    return run


def _unquote_settings(settings: MutableMapping[str, Any]) -> None:
    """Take double quotes off all values, in place and at every depth."""
    for name, value in settings.items():
        if isinstance(value, MutableMapping):
            _unquote_settings(value)
        elif isinstance(value, str):
            settings[name] = unquote(value)


# The SDK's own attempt: 1 s for an IMDSv2 token, 1 s for the role. Behind a hop limit of 1 the first always
# fails and the second may not, so both get their time.
_INSTANCE_SECONDS: Final = 3.0
_FAILURE_SECONDS: Final = 300.0  # for which a failure is remembered
_TOKEN_METHOD: Final = "PUT"  # noqa: S105 -- of a request for an IMDSv2 token
_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED)
_NAME: Final = ORIGINS[_INSTANCE]
# The hop limit counts for the answer with the token: a pod does not get it.
_HOP_LIMIT: Final = (
    f"{_NAME}, which accepts connections but returns no session token: the usual cause is a hop limit of 1 "
    "for the EC2 instance, which keeps pods from it (use a web identity or EKS Pod Identity, or set the "
    "instance's http-put-response-hop-limit to 2)"
)
_REFUSED: Final = (
    f"{_NAME}, which refuses a session token (HTTP {{}}): it is turned off for the instance, or something on "
    "the node or a proxy keeps pods from it (use a web identity or EKS Pod Identity)"
)
_NO_ROLE: Final = f"{_NAME}, which has no role for the instance (give the instance a profile with a role)"


class InstanceRole:
    """The last provider of each chain, which remembers that the instance metadata service failed.

    Where there is no such service, asking costs the SDK's two timeouts each time; so a failure is remembered.
    `AWS_EC2_METADATA_DISABLED=true` turns it off, which the SDK does.

    Attributes:
        description: the service for a message that keys are missing: why it gave none, as far as its answers
            show.
    """

    METHOD: Final = _INSTANCE
    CANONICAL_NAME: Final = "Ec2InstanceMetadata"

    def __init__(self, clock: Clock) -> None:
        """Ask nothing yet; the clock's monotonic time limits how often."""
        self._clock = clock
        self._ask_again = float("-inf")
        self._plain: Any = None
        self.description = _NAME

    def replace_provider(self, resolver: Any) -> None:  # noqa: ANN401 -- the SDK has no types
        """Take the place of the SDK's own provider, at the end of the resolver's chain."""
        self._plain = resolver.get_provider(_INSTANCE)
        http = self._plain._role_fetcher._session  # noqa: SLF001 -- no public way
        http.send = self._observed(http.send)
        resolver.remove(_INSTANCE)
        resolver.providers.append(self)

    async def load(self) -> Any:  # noqa: ANN401 -- the SDK has no types
        """Ask the SDK's provider, unless it failed a short while ago; None without a role."""
        if self._clock.monotonic() < self._ask_again:
            return None
        found, self.description = None, _NAME
        with suppress(Exception):  # However it fails, an absent service is not an error.
            async with asyncio.timeout(_INSTANCE_SECONDS):
                found = await self._plain.load()
        if found is None:
            self._ask_again = self._clock.monotonic() + _FAILURE_SECONDS
        return found

    def _observed(self, send: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        """The SDK's `send`, whose outcomes are noted: the SDK writes them to its debug log only."""

        async def observed(request: Any) -> Any:  # noqa: ANN401 -- the SDK has no types
            opens_session = request.method == _TOKEN_METHOD
            try:
                response = await send(request)
            except ReadTimeoutError:
                # It accepted the connection. The request that follows without a token shows nothing more.
                if opens_session:
                    self.description = _HOP_LIMIT
                raise
            status = response.status_code
            if opens_session and status in _REFUSALS:
                self.description = _REFUSED.format(int(status))
            elif not opens_session and status == HTTPStatus.NOT_FOUND and self.description == _NAME:
                self.description = _NO_ROLE
            return response

        return observed
