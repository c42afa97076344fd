"""Which proxy of the environment leads to a server, by client-go's rules, and which proxies are usable.

Python knows no networks in NO_PROXY, and aiohttp looks for proxies in a thread on every request; here it is
done once, as there is one server.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from ecr_operator.api.text import excerpt
from ecr_operator.settings.values import SettingsError

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[^\s/@?#]+")
_EXPECTED: Final = "expected http://HOST:PORT or https://HOST:PORT"
_ENDPOINTS: Final = tuple(f"AWS_ENDPOINT_URL{suffix}" for suffix in ("", "_ECR", "_ECR_PUBLIC", "_STS"))
_ECR: Final = "https://api.ecr.us-east-1.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies of the environment; each may be an empty string.

    Attributes:
        http: for http:// servers.
        https: for https:// servers.
        exceptions: NO_PROXY: hosts, domains, addresses and networks, separated by commas; `*` for all.
    """

    http: str = ""
    https: str = ""
    exceptions: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables, in capitals or small letters."""
        http, https, exceptions = (
            either(environment, name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
        )
        return cls(http=http, https=https, exceptions=exceptions)


def either(environment: Mapping[str, str], name: str) -> str:
    """A variable's value in capitals, or else in small letters; empty if neither is set."""
    return environment.get(name) or environment.get(name.lower(), "")


def proxy_for(url: str, proxies: Proxies) -> str | None:
    """The proxy to go through for a server; None to reach it directly.

    Source: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
    proxy = {"http": proxies.http, "https": proxies.https}.get(parts.scheme, "")
    if not proxy or _is_local(host):
        return None
    if any(_matches(entry.strip().lower(), host, port) for entry in proxies.exceptions.split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_flaw(proxy: str) -> str | None:
    """Say why a proxy can't be used; None where nothing is wrong with it.

    Args:
        proxy: as in the environment: a URL, or host and port alone. It may hold a login and is not shown.
    """
    scheme, separator, rest = proxy.partition("://")
    # In small letters, as the AWS SDK compares it.
    if separator and scheme not in _PORTS:
        kind = "a SOCKS proxy" if scheme.lower().startswith("socks") else "a proxy of an unknown scheme"
        return f"{kind} ({excerpt(f'{scheme}://', 20)}) is not supported; {_EXPECTED}"
    try:
        parts = urlsplit(f"//{rest if separator else proxy.removeprefix('//')}")
        valid = bool(parts.hostname) and parts.port != 0 and _HOST.fullmatch(parts.hostname or "")
    except ValueError:
        valid = False
    return None if valid else f"this is not a valid proxy URL; {_EXPECTED}"


def check_proxies(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a proxy that AWS would be reached through and that can't be used, such as `socks5://`.

    Raises:
        SettingsError: naming the variable, and nothing of its value but the scheme.
    """
    exceptions = either(environment, "NO_PROXY")
    for url in _aws_urls(environment, exceptions):
        scheme = urlsplit(url).scheme
        # Go and the SDK disagree on which of the two counts, so both must be right.
        for name in (f"{scheme}_proxy".upper(), f"{scheme}_proxy"):
            proxy = environment.get(name, "")
            if proxy_for(url, Proxies(http=proxy, https=proxy, exceptions=exceptions)) is None:
                continue
            if flaw := proxy_flaw(proxy):
                raise SettingsError(f"{name}: {flaw}.")


def _aws_urls(environment: Mapping[str, str], exceptions: str) -> Iterator[str]:
    """URLs of AWS that are known from the environment; no host of AWS that NO_PROXY may name."""
    for name in _ENDPOINTS:
        url = environment.get(name, "")
        if url.startswith(("http://", "https://")) and _is_url(url):
            yield url
    if not environment.get(_ENDPOINTS[0]) and "aws" not in exceptions.lower():
        yield _ECR


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False  # reported when it is used


def _is_local(host: str) -> bool:
    own = _network(host)
    return host == "localhost" or (own is not None and own.is_loopback)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    network, own = _network(entry), _network(host)
    if network is not None:
        return own is not None and own.network_address in network
    name, _, its_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if its_port and its_port != str(port):
        return False
    name = name.removeprefix("*")
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A network, or that of one address; None for a name."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
