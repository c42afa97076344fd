"""Which proxy of the environment stands before the API server, by client-go's rules.

Python knows no networks in NO_PROXY, and aiohttp asks for proxies in a thread on every request; here it is
asked once, as there is one server.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


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
