"""The proxy before the API server, as client-go chooses it."""

import pytest

from ecr_operator.settings.proxies import Proxies, proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "exceptions", "proxied"),
    [
        pytest.param("https://api.example:6443", "", True, id="a server goes through the proxy"),
        pytest.param("https://127.0.0.1:6443", "", False, id="a loopback address never does"),
        pytest.param("https://localhost:6443", "", False, id="localhost never does"),
        pytest.param("https://[::1]:6443", "", False, id="nor does the IPv6 loopback"),
        pytest.param("https://10.0.0.1", "10.0.0.0/8", False, id="a network covers its addresses"),
        pytest.param("https://11.0.0.1", "10.0.0.0/8", True, id="and no others"),
        pytest.param("https://[fd00::1]:6443", "fd00::/8", False, id="an IPv6 network too"),
        pytest.param("https://10.0.0.1", "10.0.0.1", False, id="an address is excepted"),
        pytest.param("https://api.example", "example", False, id="a domain covers its hosts"),
        pytest.param("https://api.example", ".example", False, id="so does one with a dot before it"),
        pytest.param("https://example", ".example", True, id="but leaves the domain itself out"),
        pytest.param("https://notexample", "example", True, id="another name that ends alike is not covered"),
        pytest.param("https://api.example", "*.example", False, id="a star reads as a dot"),
        pytest.param("https://api.example:6443", "api.example:6443", False, id="a port must be the server's"),
        pytest.param("https://api.example:6443", "api.example:443", True, id="or the entry does not count"),
        pytest.param("https://api.example", "x, *", False, id="a star excepts all"),
    ],
)
def test_which_servers_go_through_the_proxy(url: str, exceptions: str, *, proxied: bool) -> None:
    found = proxy_for(url, Proxies(https=PROXY, exceptions=exceptions))
    assert found == (PROXY if proxied else None)


def test_a_proxy_without_scheme_is_taken_for_http() -> None:
    assert proxy_for("https://api.example", Proxies(https="proxy:3128")) == "http://proxy:3128"


def test_no_proxy_is_none() -> None:
    assert proxy_for("https://api.example", Proxies(http=PROXY)) is None
