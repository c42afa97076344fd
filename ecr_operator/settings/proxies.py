"""Which proxy of the environment leads to a server, by client-go's rules, and which proxies are usable.

Python knows no networks in NO_PROXY, and aiohttp asks for proxies in a thread on every request; here it is
asked once, as there is one server.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ecr_operator.api.text import excerpt

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[^\s/@?#]+")
_EXPECTED: Final = "expected http://HOST:PORT or https://HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """What the environment says.

    Attributes:
        http: for http:// servers, or an empty string.
        https: for https:// servers, or an empty string.
        exceptions: NO_PROXY: hosts, domains, addresses and networks, separated by commas; `*` for all.
    """

    http: str = ""
    https: str = ""
    exceptions: str = ""


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
    """Say why a proxy can't be used; None where nothing is wrong with its URL.

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


def _is_local(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _matches(entry: str, host: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    network, address = _network(entry), _address(host)
    if network is not None:
        return address is not None and address in network
    name, _, its_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if its_port and its_port != str(port):
        return False
    name = name.removeprefix("*")
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
