"""Where the API server is: a kubeconfig, or the pod's own service account.

The order is controller-runtime's: `--kubeconfig`, KUBECONFIG, in the cluster, ~/.kube/config.

A login that an exec plug-in of the kubeconfig gives, such as `aws eks get-token`, is renewed before it
expires; the client library runs the plug-in only once. While the plug-in fails, the last login stays in use,
and the plug-in is not run in a hot loop.
"""

import asyncio
import logging
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from yaml import MarkedYAMLError, YAMLError

from ecr_operator.api.kinds import KINDS
from ecr_operator.api.text import excerpt
from ecr_operator.kube.api_error import PROXY_REFUSED, ApiError
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.lazy_client import (
    ConfigException,
    Configuration,
    load_incluster_config,
    load_kube_config,
)
from ecr_operator.kube.paths import segment
from ecr_operator.settings import Settings
from ecr_operator.settings.proxies import proxy_flaw, proxy_for
from ecr_operator.telemetry.metrics import Metrics

# Each holds a connection for good: of our kinds, of Secrets, of ServiceAccounts.
_WATCHES_PER_NAMESPACE: Final = len(KINDS) + 2
_PLUGIN_TIMEOUT: Final = 10.0
_PLUGIN_INTERVAL: Final = 10.0
_PROXY_SOURCES: Final = (
    "Correct proxy-url in the kubeconfig, or HTTPS_PROXY; NO_PROXY lists servers that are reached directly."
)

# Not structlog, which the commands do without: it takes rich along.
log = logging.getLogger(__name__)


class ConnectionSetupError(Exception):
    """There is no usable way to an API server; the message says what to do."""


async def connect(settings: Settings, metrics: Metrics | None = None, context: str = "") -> KubeClient:
    """Make a client of the API server that the settings and the environment name.

    An empty `context` is the kubeconfig's current one.

    Raises:
        ConnectionSetupError: no kubeconfig, or one that can't be used.
    """
    configuration, namespace = Configuration(), ""
    try:
        if settings.in_cluster:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            namespace = await _load_kubeconfig(configuration, settings, context)
        _check_certificates(configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError) as error:
        raise ConnectionSetupError(_explain(settings, context, error)) from error
    # As every client in Go: clusters' authorities often lack the extensions that Python 3.13 asks for.
    configuration.disable_strict_ssl_verification = True
    _set_proxy(configuration, settings)
    # Beside the watches, so that these take none from requests, however many namespaces are served.
    configuration.connection_pool_maxsize += _WATCHES_PER_NAMESPACE * len(settings.namespaces)
    return KubeClient(configuration, namespace, metrics)


async def _load_kubeconfig(configuration: Configuration, settings: Settings, context: str) -> str:
    """Load the files into the configuration, and return the context's namespace; empty if it names none."""
    loader = await load_kube_config(
        config_file=_kubeconfig(settings), context=context or None, client_configuration=configuration
    )
    if hasattr(loader, "exec_plugin_expiry"):
        configuration.refresh_api_key_hook = _ExecPlugin(loader).refresh
    current: Any = loader.current_context
    inner = current.get("context") if isinstance(current, Mapping) else None
    namespace = inner.get("namespace") if isinstance(inner, Mapping) else None
    try:
        return segment(namespace) if isinstance(namespace, str) else ""
    except ValueError:
        return ""


def _kubeconfig(settings: Settings) -> str:
    files = settings.kubeconfig
    found = [file for file in files if Path(file).expanduser().is_file()]
    if not found:
        is_folder = any(Path(file).expanduser().is_dir() for file in files)
        message = f"{'a folder, not a file' if is_folder else 'no such file'}: {':'.join(files)}"
        raise ConfigException(message)
    return ":".join(found)


class _ExecPlugin:
    def __init__(self, loader: Any) -> None:  # noqa: ANN401 - the library has no type for it
        self._loader = loader
        self._lock = asyncio.Lock()
        self._not_before = 0.0

    async def refresh(self, configuration: Configuration) -> None:
        """Run before each request by the library."""
        async with self._lock:
            if time.monotonic() < self._not_before:
                return
            try:
                async with asyncio.timeout(_PLUGIN_TIMEOUT):
                    # Returns at once while the login has some minutes left.
                    await self._loader.load_from_exec_plugin()
            except (ConfigException, OSError, RuntimeError, ValueError) as error:
                log.warning(
                    "the kubeconfig's exec plug-in returned no new credentials (%s)", type(error).__name__
                )
            configuration.api_key["BearerToken"] = self._loader.token
            self._not_before = time.monotonic() + _PLUGIN_INTERVAL


def _check_certificates(configuration: Configuration) -> None:
    """Load what the client will load, where a mistake is still reported in one line. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)


def _set_proxy(configuration: Configuration, settings: Settings) -> None:
    if not settings.in_cluster and not configuration.proxy:
        configuration.proxy = proxy_for(str(configuration.host), settings.proxies)
    if not configuration.proxy:
        return
    if flaw := proxy_flaw(str(configuration.proxy)):
        raise ConnectionSetupError(f"The proxy of the API server can't be used: {flaw}. {_PROXY_SOURCES}")
    parts = urlsplit(configuration.proxy)
    if parts.username is not None:
        # The login moves from the URL, which errors name, into a header; aiohttp makes Proxy-Authorization of
        # it, towards the proxy alone.
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        configuration.proxy = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        configuration.proxy_headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


def _explain(settings: Settings, context: str, error: Exception) -> str:
    if settings.in_cluster:
        return f"The pod's service account can't be used: {error}"
    if isinstance(error, ConfigException) and context:
        return f"The kubeconfig has no usable context {excerpt(context, 100)} ({error})."
    if isinstance(error, ConfigException):
        return f"No usable kubeconfig ({error}). Set KUBECONFIG, or pass --kubeconfig FILE."
    return f"The kubeconfig {':'.join(settings.kubeconfig)} can't be read: {_flaw(error)}."


def _flaw(error: Exception) -> str:
    """What is wrong with the file, without a word of its contents."""
    match error:
        case MarkedYAMLError(problem_mark=mark) if mark:
            return f"it is not valid YAML (line {mark.line + 1})"
        case YAMLError():
            return "it is not valid YAML"
        case ssl.SSLError():
            return "a certificate or key that it names is invalid, or they don't match"
        case OSError():
            return error.strerror or type(error).__name__
        case ValueError():
            return "a value in it can't be decoded"
        case _:
            return "it is not a kubeconfig"


async def check(client: KubeClient) -> None:
    """Ask the API server for its version.

    Raises:
        ConnectionSetupError: it was not reached, or does not accept the credentials.
    """
    try:
        await client.request("GET", "/version")
    except ApiError as error:
        if error.code in (0, HTTPStatus.UNAUTHORIZED) or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            message = f"The API server {client.host} can't be used: {error.message}."
            raise ConnectionSetupError(f"{message} {_remedy(error)}") from error


def _remedy(error: ApiError) -> str:
    if error.reason == PROXY_REFUSED:
        return (
            "Allow the server's host and port in the proxy, put the login it wants into the proxy's URL, "
            "or add the host to NO_PROXY."
        )
    question = "Log in again." if error.code == HTTPStatus.UNAUTHORIZED else "Is it running?"
    return f"{question} Check the kubeconfig and its current context."
