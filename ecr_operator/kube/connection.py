"""Where the API server is: a kubeconfig, or the pod's own service account.

The order is controller-runtime's: `--kubeconfig`, KUBECONFIG, in the cluster, ~/.kube/config.
"""

import ssl
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from yaml import MarkedYAMLError, YAMLError

from ecr_operator.api.kinds import KINDS
from ecr_operator.api.text import excerpt
from ecr_operator.kube.client import KubeClient
from ecr_operator.kube.exec_plugin import keep_fresh
from ecr_operator.kube.failures import PROXY_REFUSED, ApiError
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
_WATCHES_OF_A_NAMESPACE: Final = len(KINDS) + 2


_PROXY_SOURCES: Final = (
    "Correct proxy-url in the kubeconfig, or HTTPS_PROXY; NO_PROXY lists servers that are reached directly."
)


class ConnectionSetupError(Exception):
    """There is no usable way to an API server; the message says what to do."""


async def connect(settings: Settings, metrics: Metrics | None = None, context: str = "") -> KubeClient:
    """Make a client of the API server that the settings and the surroundings name.

    Args:
        settings: the files, or that we are in a cluster.
        metrics: where its requests are noted.
        context: of the kubeconfig; its current one when empty.

    Raises:
        ConnectionSetupError: no kubeconfig, or one that can't be used.
    """
    configuration, namespace = Configuration(), ""
    try:
        if settings.in_cluster:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            loader = await load_kube_config(
                config_file=_kubeconfig(settings),
                context=context or None,
                client_configuration=configuration,
            )
            namespace = _context_namespace(loader.current_context)
            keep_fresh(configuration, loader)
        _check_certificates(configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, YAMLError) as error:
        raise ConnectionSetupError(_in_words(settings, context, error)) from error
    # As every client in Go: clusters' authorities often lack the extensions that Python 3.13 asks for.
    configuration.disable_strict_ssl_verification = True
    if not settings.in_cluster and not configuration.proxy:
        configuration.proxy = proxy_for(str(configuration.host), settings.proxies)
    if configuration.proxy and (flaw := proxy_flaw(str(configuration.proxy))):
        raise ConnectionSetupError(f"The proxy of the API server can't be used: {flaw}. {_PROXY_SOURCES}")
    _hide_proxy_login(configuration)
    # Beside the watches, so that these take none from requests, however many namespaces are served.
    configuration.connection_pool_maxsize += _WATCHES_OF_A_NAMESPACE * len(settings.namespaces)
    return KubeClient(configuration, namespace, metrics)


def _check_certificates(configuration: Configuration) -> None:
    """Load what the client will load, where a mistake is still reported in one line. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)


def _context_namespace(context: Any) -> str:  # noqa: ANN401 - whatever the file holds
    """The namespace of the current context; empty if it names none, or what can be none."""
    inner = context.get("context") if isinstance(context, Mapping) else None
    named = inner.get("namespace") if isinstance(inner, Mapping) else None
    try:
        return segment(named) if isinstance(named, str) else ""
    except ValueError:
        return ""


def _hide_proxy_login(configuration: Configuration) -> None:
    """Move a login from the proxy's URL into a header: errors name the URL."""
    parts = urlsplit(configuration.proxy or "")
    if parts.username is None:
        return
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    configuration.proxy = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    # aiohttp makes Proxy-Authorization of it, towards the proxy alone.
    configuration.proxy_headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}


async def check(client: KubeClient) -> None:
    """Ask the API server for its version.

    Raises:
        ConnectionSetupError: it was not reached, or it knows nothing of these credentials.
    """
    try:
        await client.request("GET", "/version")
    except ApiError as failure:
        if failure.code in (0, 401) or failure.code >= 500:  # noqa: PLR2004 - the range of HTTP
            message = f"The API server {client.host} can't be used: {failure.message}."
            raise ConnectionSetupError(f"{message} {_remedy(failure)}") from failure


def _remedy(failure: ApiError) -> str:
    if failure.reason == PROXY_REFUSED:
        return (
            "Allow the server's host and port in the proxy, put the login it wants into the proxy's URL, "
            "or add the host to NO_PROXY."
        )
    question = "Log in again." if failure.code == HTTPStatus.UNAUTHORIZED else "Is it running?"
    return f"{question} Check the kubeconfig and its current context."


def _kubeconfig(settings: Settings) -> str:
    files = settings.kubeconfig
    if not any(Path(file).expanduser().is_file() for file in files):
        is_folder = any(Path(file).expanduser().is_dir() for file in files)
        message = f"{'a folder, not a file' if is_folder else 'no such file'}: {':'.join(files)}"
        raise ConfigException(message)
    return ":".join(file for file in files if Path(file).expanduser().is_file())


def _in_words(settings: Settings, context: str, error: Exception) -> str:
    if settings.in_cluster:
        return f"The pod's service account can't be used: {error}"
    if isinstance(error, ConfigException) and context:
        return f"The kubeconfig has no usable context {excerpt(context, 100)} ({error})."
    if isinstance(error, ConfigException):
        return f"No usable kubeconfig ({error}). Set KUBECONFIG, or pass --kubeconfig FILE."
    return f"The kubeconfig {':'.join(settings.kubeconfig)} can't be read: {_flaw(error)}."


def _flaw(error: Exception) -> str:
    """What is wrong with the file, without a word of what it holds."""
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
