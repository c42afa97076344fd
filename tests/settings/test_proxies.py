"""Which proxy leads to the API server, as client-go chooses it; and which proxies before AWS are usable."""

import pytest

from ecr_operator.settings import SettingsError
from ecr_operator.settings.proxies import Proxies, check_proxies, proxy_for

PROXY = "http://proxy.example:3128"
SOCKS = "socks5://user:hunter2@127.0.0.1:1080"
PLAIN_ENDPOINT = {"AWS_ENDPOINT_URL": "http://aws.example:4566"}


# The server, NO_PROXY, and whether the server is reached through the proxy.
SERVERS = {
    "a server": ("https://api.example:6443", "", True),
    "a loopback address": ("https://127.0.0.1:6443", "", False),
    "localhost": ("https://localhost:6443", "", False),
    "the IPv6 loopback": ("https://[::1]:6443", "", False),
    "a network's address": ("https://10.0.0.1", "10.0.0.0/8", False),
    "another's": ("https://11.0.0.1", "10.0.0.0/8", True),
    "an IPv6 network's": ("https://[fd00::1]:6443", "fd00::/8", False),
    "an address": ("https://10.0.0.1", "10.0.0.1", False),
    "a domain's host": ("https://api.example", "example", False),
    "a domain's host, with a dot": ("https://api.example", ".example", False),
    "the domain itself, with a dot": ("https://example", ".example", True),
    "a name that ends alike": ("https://notexample", "example", True),
    "a domain's host, with a star": ("https://api.example", "*.example", False),
    "the server's port": ("https://api.example:6443", "api.example:6443", False),
    "another port": ("https://api.example:6443", "api.example:443", True),
    "a star alone": ("https://api.example", "x, *", False),
}


@pytest.mark.parametrize(("url", "exceptions", "proxied"), SERVERS.values(), ids=SERVERS)
def test_server_goes_through_the_proxy_unless_excepted(url: str, exceptions: str, *, proxied: bool) -> None:
    assert proxy_for(url, Proxies(https=PROXY, exceptions=exceptions)) == (PROXY if proxied else None)


def test_proxy_without_a_scheme_is_http_and_one_of_another_scheme_is_not_used() -> None:
    assert proxy_for("https://api.example", Proxies(https="proxy:3128")) == "http://proxy:3128"
    assert proxy_for("https://api.example", Proxies(http=PROXY)) is None


UNUSABLE = {
    "socks5": ({"HTTPS_PROXY": SOCKS}, "HTTPS_PROXY: a SOCKS proxy"),
    "socks5h": ({"HTTPS_PROXY": "socks5h://127.0.0.1:1080"}, '"socks5h://"'),
    "another scheme": ({"HTTPS_PROXY": "ftp://127.0.0.1:1080"}, "unknown scheme"),
    "a scheme in capitals": ({"HTTPS_PROXY": "HTTP://127.0.0.1:1080"}, '"HTTP://"'),
    "in small letters": ({"https_proxy": SOCKS}, "https_proxy: a SOCKS proxy"),
    "one of the two": ({"HTTPS_PROXY": PROXY, "https_proxy": SOCKS}, "https_proxy: "),
    "the other of the two": ({"HTTPS_PROXY": SOCKS, "https_proxy": PROXY}, "HTTPS_PROXY: "),
    "NO_PROXY for others": ({"HTTPS_PROXY": SOCKS, "NO_PROXY": ".svc,10.0.0.0/8"}, "HTTPS_PROXY: "),
    "for a plain endpoint": ({"HTTP_PROXY": SOCKS, **PLAIN_ENDPOINT}, "HTTP_PROXY: "),
    "for one service": ({"HTTP_PROXY": SOCKS, "AWS_ENDPOINT_URL_STS": "http://sts.example"}, "HTTP_PROXY: "),
    "no host": ({"HTTPS_PROXY": "http://"}, "not a valid proxy URL"),
    "a port that is none": ({"HTTPS_PROXY": "http://proxy:port"}, "not a valid proxy URL"),
    "a port too high": ({"HTTPS_PROXY": "proxy:99999"}, "not a valid proxy URL"),
    "a space": ({"HTTPS_PROXY": "http://my proxy:3128"}, "not a valid proxy URL"),
    "a password that is not encoded": ({"HTTPS_PROXY": "http://user:hunter2#x@proxy:1"}, "not a valid proxy"),
}


@pytest.mark.parametrize(("environment", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_proxy_is_refused_without_its_login(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_proxies(environment)
    said = str(caught.value)
    assert words in said
    assert "expected http://HOST:PORT or https://HOST:PORT" in said
    assert "\n" not in said
    assert "hunter2" not in said


USABLE: dict[str, dict[str, str]] = {
    "none": {},
    "http": {"HTTPS_PROXY": PROXY},
    "https": {"HTTPS_PROXY": "https://proxy.example"},
    "no scheme": {"HTTPS_PROXY": "proxy.example:3128"},
    "no scheme, but slashes": {"HTTPS_PROXY": "//proxy.example:3128"},
    "a login": {"HTTPS_PROXY": "http://user:p%40ss%2Fw@proxy.example:3128/"},
    "an address": {"HTTPS_PROXY": "http://[fd00::1]:3128"},
    "SOCKS that is not for AWS": {"HTTP_PROXY": SOCKS},
    "SOCKS in a variable that Go and the SDK ignore": {"ALL_PROXY": SOCKS, "all_proxy": SOCKS},
    "SOCKS, but not for anything": {"HTTPS_PROXY": SOCKS, "NO_PROXY": "*"},
    "SOCKS, but not for AWS": {"HTTPS_PROXY": SOCKS, "no_proxy": ".svc,.amazonaws.com"},
    "SOCKS, but not for some of AWS": {"HTTPS_PROXY": SOCKS, "NO_PROXY": "api.ecr.eu-west-1.amazonaws.com"},
    "SOCKS, but AWS is elsewhere": {"HTTPS_PROXY": SOCKS, **PLAIN_ENDPOINT},
    "SOCKS, but the endpoint is excepted": {"HTTP_PROXY": SOCKS, "NO_PROXY": "example", **PLAIN_ENDPOINT},
    "an endpoint that is no URL": {"HTTPS_PROXY": SOCKS, "AWS_ENDPOINT_URL": "https://["},
}


@pytest.mark.parametrize("environment", USABLE.values(), ids=USABLE)
def test_proxy_that_is_usable_or_not_used_is_accepted(environment: dict[str, str]) -> None:
    check_proxies(environment)
