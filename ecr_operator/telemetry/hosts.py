"""Which `Host` headers are answered: those that no stranger can point to this process.

A web page may have a name of its own that its author's DNS points to the pod's address; the browser of
somebody inside then reads the metrics for it (DNS rebinding). Such a request bears that name.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

# Of config/rbac/auth_proxy_service.yaml, as v0.6.0's.
SERVICE: Final = "ecr-secret-operator-controller-manager-metrics-service"
_HEADER: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")


def service_names(namespace: str, resolv_conf: str) -> frozenset[str]:
    """The names by which pods find the Service of the metrics.

    Args:
        namespace: the operator's own; empty outside a cluster, where there is no Service.
        resolv_conf: the text of /etc/resolv.conf, whose search list names the cluster's domain.
    """
    if not namespace:
        return frozenset()
    inside = f"{SERVICE}.{namespace}.svc"
    domains = (each for each in _search_list(resolv_conf) if each.startswith("svc."))
    return frozenset(
        {SERVICE, f"{SERVICE}.{namespace}", inside, *(f"{SERVICE}.{namespace}.{each}" for each in domains)}
    )


def _search_list(resolv_conf: str) -> Iterator[str]:
    for line in resolv_conf.splitlines():
        keyword, *domains = line.split() or [""]
        if keyword == "search":
            yield from (each.rstrip(".").lower() for each in domains)


def is_ours(header: str, names: frozenset[str]) -> bool:
    """Whether a request with this `Host` header is meant for this server: an address, localhost, or a name.

    Args:
        header: its value, with or without a port.
        names: those that are answered too, in lower case.
    """
    found = _HEADER.fullmatch(header)
    if found is None:
        return False
    name = found["name"] or ""
    return _is_address(found["v6"] or name) or name.removesuffix(".").lower() in names | {"localhost"}


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
