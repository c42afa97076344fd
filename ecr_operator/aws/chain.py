"""The SDK's chain of credential providers, put right where it does not suit an operator.

Invariants: a process that is asked for keys does not outlive its time. What a member of the chain prints or
answers enters no message.
Leaves out: the instance's role (aws.metadata), and what comes of the keys (aws.identities).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiobotocore.credentials import create_credential_resolver
from aiobotocore.session import AioSession

from ecr_operator.api.errors import OperatorError, PermanentError, TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.aws.ini import unquote
from ecr_operator.aws.metadata import InstanceRole

_CONTAINER: Final = "container-role"
_PROCESS: Final = "custom-process"
# Whose credentials stand in the environment or a file.
_AT_HAND: Final = ("env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config")
# Whose credentials are fetched when they are used; `load` only reads the configuration.
_DEFERRED: Final = ("assume-role-with-web-identity", "sso")

# By the SDK's name of a provider.
_ORIGINS: Final = {
    "env": "the environment variables (a change of them needs a restart of the operator)",
    "assume-role": "the role in {config_file}",
    "assume-role-with-web-identity": "the web identity token {web_identity_token_file}",
    "shared-credentials-file": "{credentials_file}",
    "config-file": "{config_file}",
    "sso": "the SSO login of the profile in {config_file}",
    _PROCESS: "the credential_process in {config_file}",
    _CONTAINER: "the container's credentials endpoint",
    "iam-role": "the instance's metadata service",
}


def build_chain(
    session: AioSession, instance_role: InstanceRole, *, process_seconds: float
) -> tuple[Any, ...]:
    """Make the providers, in the order in which they are to be asked.

    Args:
        session: of the SDK.
        instance_role: what is known of the metadata service.
        process_seconds: the longest that a credential_process may take.

    Raises:
        BotoCoreError: a file, a profile or a variable can't be read.
    """
    resolver = create_credential_resolver(session)
    instance_role.watch_over(resolver)
    _take_quotes_off(session, resolver)
    resolver.get_provider(_PROCESS)._popen = _bounded(process_seconds)  # noqa: SLF001 -- it has no other door
    return tuple(resolver.providers)


async def first_configured(chain: Iterable[Any]) -> tuple[str, Any] | None:
    """Find the first provider that has credentials, without asking anybody for them.

    The instance's role is left out: only asking tells whether there is one.

    Returns:
        The SDK's name of the provider, and its credentials where they are at hand.

    Raises:
        Exception: a file, a profile or a variable can't be read.
    """
    for provider in chain:
        if provider.METHOD in _AT_HAND:
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
            return provider._credential_process is not None  # noqa: SLF001 -- it has no other door
        case "container-role":
            return provider.ENV_VAR in os.environ or provider.ENV_VAR_FULL in os.environ
        case "assume-role":
            return bool(provider._has_assume_role_config_vars(_profile(provider)))  # noqa: SLF001 -- the same
        case "login":
            return "login_session" in _profile(provider)
    return False


def _profile(provider: Any) -> Mapping[str, Any]:  # noqa: ANN401 -- the SDK has no types
    profiles: Mapping[str, Any] = provider._load_config().get("profiles", {})  # noqa: SLF001 -- it has no other door
    found: Mapping[str, Any] = profiles.get(provider._profile_name, {})  # noqa: SLF001 -- the same
    return found


def origin_in_words(method: str, paths: Mapping[str, str]) -> str:
    """Say where keys come from.

    Args:
        method: the SDK's name of a provider.
        paths: of the files, by the SDK's names of them.
    """
    return _ORIGINS.get(method, f"{method} in {{config_file}}").format_map(paths)


def explain(method: str, error: Exception, origin: str) -> OperatorError | None:
    """Say what it means that an agent or a process failed to give keys; None for what is explained elsewhere.

    Args:
        method: the SDK's name of the provider that failed.
        error: how it did; with a RuntimeError the SDK says that what it got has expired.
        origin: that provider, in words.
    """
    if isinstance(error, OperatorError | RuntimeError):
        return None
    kind = type(error).__name__
    if method == _PROCESS:
        return _explain_process(error, kind, origin)
    if method == _CONTAINER and not isinstance(error, OSError):
        return TransientError(
            Reason.CREDENTIALS_MISSING,
            f"No usable AWS credentials: {origin} returns none ({kind}). Check its agent, such as EKS Pod "
            "Identity's, AWS_CONTAINER_CREDENTIALS_FULL_URI and the token for it. Retrying.",
        )
    return None


def _explain_process(error: Exception, kind: str, origin: str) -> OperatorError:
    if isinstance(error, TimeoutError):
        message = f"No usable AWS credentials: {origin} does not end in time. Retrying."
        return TransientError(Reason.CREDENTIALS_MISSING, message)
    return PermanentError(
        Reason.CREDENTIALS_MISSING,
        f"No usable AWS credentials: {origin} fails or prints no keys ({kind}). Correct it there.",
    )


class _Bounded:
    """A process that ends when its time is up, or when nobody waits for it any more."""

    def __init__(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        self._process = process
        self._seconds = seconds

    @property
    def returncode(self) -> int | None:
        """As of the process."""
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end and return what it printed. Raises TimeoutError."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._process.communicate()
        finally:
            if self._process.returncode is None:
                self._end()
                await self._process.wait()

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            if os.getpgid(self._process.pid) == self._process.pid:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        # Else one that it has started, and that lives on, holds the pipes and with them whoever waits.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 -- it has no other door


def _bounded(seconds: float) -> Callable[..., Any]:
    async def start(*command: str, **options: Any) -> _Bounded:  # noqa: ANN401 -- the SDK has no types
        # With what it starts it is a group, to be ended as one; on a terminal it may have to ask a person.
        group = None if sys.stdin and sys.stdin.isatty() else 0
        process = await asyncio.create_subprocess_exec(*command, process_group=group, **options)
        return _Bounded(process, seconds)

    return start


def _take_quotes_off(session: AioSession, resolver: Any) -> None:  # noqa: ANN401 -- the SDK has no types
    """Let the SDK see values without their double quotes, as v0.6.0's SDK saw them."""
    unquote(session.full_config)
    for method, parser in (("shared-credentials-file", "_ini_parser"), ("config-file", "_config_parser")):
        provider = resolver.get_provider(method)
        setattr(provider, parser, _unquoted(getattr(provider, parser)))


def _unquoted(parse: Callable[[str], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    def parsed(path: str) -> dict[str, Any]:
        settings = parse(path)
        unquote(settings)
        return settings

    return parsed
