"""The way to AWS: proxies and exceptions from them, certificate authorities, name lookups."""

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp.abc import ResolveResult

from ecr_operator.api.errors import TransientError
from ecr_operator.api.outcome import Reason
from ecr_operator.api.token import TokenSource
from ecr_operator.aws.ecr import EcrTokenIssuer
from ecr_operator.aws.network import NameResolver
from lab.aws import LocalAws
from lab.certificates import Authority
from lab.connect_proxy import ConnectProxy
from lab.waiting import wait_for
from tests.aws.asking import IRELAND, refusal

T = TypeVar("T")

# Of the SDK's own tables; each must be in the certificate of the local AWS.
ECR = "api.ecr.eu-west-1.amazonaws.com"
CHINA = "api.ecr.cn-north-1.amazonaws.com.cn"
PUBLIC = "api.ecr-public.us-east-1.amazonaws.com"
FIPS = "api.ecr-fips.us-east-2.amazonaws.com"
DUAL = "ecr.eu-west-1.api.aws"
PASSWORD = "pa55word"  # noqa: S105 -- made up

pytestmark = pytest.mark.usefixtures("user")


@pytest.fixture
def authority() -> Authority:
    """A certificate authority that nobody else knows."""
    return Authority()


@pytest.fixture
async def secure(authority: Authority, tmp_path: Path) -> AsyncIterator[LocalAws]:
    """A local AWS with AWS's names, reachable only through a proxy."""
    certificate, key = authority.serving(ECR, CHINA, PUBLIC, FIPS, DUAL)
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    async with LocalAws(tls=context) as local:
        yield local


@pytest.fixture
def bundle(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The authority's certificate, as AWS_CA_BUNDLE."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
    return path


@pytest.fixture
async def proxy(secure: LocalAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectProxy]:
    """The proxy, as HTTPS_PROXY."""
    async with ConnectProxy(int(secure.url.rsplit(":", 1)[1])) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url())
        yield running


NAMES = {
    "ecr": (IRELAND, {}, ECR),
    "ecr in China": (TokenSource(region="cn-north-1"), {}, CHINA),
    "ecr public": (TokenSource(region="us-east-1", service="ecr-public"), {}, PUBLIC),
    "fips": (TokenSource(region="us-east-2"), {"AWS_USE_FIPS_ENDPOINT": "true"}, FIPS),
    "dual stack": (IRELAND, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, DUAL),
}


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(("source", "variables", "name"), NAMES.values(), ids=NAMES)
async def test_aws_is_asked_by_its_name_through_the_proxy(
    proxy: ConnectProxy,
    monkeypatch: pytest.MonkeyPatch,
    source: TokenSource,
    variables: dict[str, str],
    name: str,
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com,amazonaws.com.cn.example,127.0.0.2")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(source)
    assert proxy.targets == [f"{name}:443"]


@pytest.mark.usefixtures("bundle")
async def test_a_proxy_s_login_is_sent(proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"user:{PASSWORD}"))
    async with EcrTokenIssuer() as issuer:
        await issuer.issue(IRELAND)
    assert proxy.logins == [f"Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}"]


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "refuses to connect"),
        (407, "requires a login"),
        (429, "refuses to connect"),
        (502, "can't connect"),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_login(
    proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url(f"user:{PASSWORD}"))
    proxy.refuse = status
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
        assert isinstance(error, TransientError)
        assert error.reason is Reason.AWS_UNAVAILABLE
        assert "proxy" in error.message
        assert words in error.message
        assert f"HTTP {status}" in error.message
        assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"
        proxy.refuse = None
        assert await issuer.issue(IRELAND)


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("socks5://{login}@127.0.0.1:1080", "SOCKS is not supported"),
        ("http://", "SOCKS is not supported"),
        ("http://proxy:port", "SOCKS is not supported"),
        ("http://{login}@127.0.0.1:{closed}", "proxy"),
    ],
    ids=["SOCKS", "no host", "no port", "unreachable"],
)
async def test_a_proxy_that_cant_be_used_is_named_without_its_login(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = url.format(login=f"user:{PASSWORD}", closed=unused.getsockname()[1])
        monkeypatch.setenv("HTTPS_PROXY", where)
        async with EcrTokenIssuer() as issuer:
            error = await refusal(issuer)
    assert (type(error), error.reason) == (TransientError, Reason.AWS_UNAVAILABLE)
    assert "HTTPS_PROXY" in error.message
    assert words in error.message
    assert PASSWORD not in f"{error.message}{error!r}{error.__cause__!r}"


@pytest.mark.usefixtures("bundle")
@pytest.mark.parametrize("exceptions", ["*", "localhost,127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy_bypasses_the_proxy(
    secure: LocalAws, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", secure.url)
    monkeypatch.setenv("NO_PROXY", exceptions.format(port=secure.url.rsplit(":", 1)[1]))
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(IRELAND)
    assert (proxy.targets, secure.count()) == ([], 1)


async def test_an_unknown_authority_is_reported(secure: LocalAws, proxy: ConnectProxy) -> None:
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "AWS_CA_BUNDLE" in error.message
    assert proxy.targets
    assert not secure.calls


async def test_a_certificate_for_another_name_is_reported(
    bundle: Path, secure: LocalAws, proxy: ConnectProxy
) -> None:
    assert bundle.exists()
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer, TokenSource(region="eu-west-3"))
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "TLS" in error.message
    assert proxy.targets == ["api.ecr.eu-west-3.amazonaws.com:443"]
    assert not secure.calls


async def test_a_bundle_that_changed_is_read_again(
    bundle: Path, secure: LocalAws, proxy: ConnectProxy
) -> None:
    right = bundle.read_bytes()
    bundle.write_bytes(Authority().certificate)
    async with EcrTokenIssuer() as issuer:
        assert "TLS" in (await refusal(issuer)).message
        changes = issuer.changes()
        bundle.write_bytes(right)
        assert await issuer.issue(IRELAND)
        bundle.write_bytes(Authority().certificate)
        assert "TLS" in (await refusal(issuer)).message
        # The identity is the same, so nothing else is renewed.
        assert issuer.changes() == changes
    assert proxy.targets
    assert secure.count() == 1


# Name lookups.


class Names:
    """A name server in memory, which is silent for names that begin with `slow`.

    Attributes:
        asked: every name, in order.
        answering: set it, and the slow ones are answered.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answering = threading.Event()

    def __call__(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """Look one up."""
        self.asked.append(host)
        if host.startswith("slow"):
            self.answering.wait(10)
        if host.endswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        found = ResolveResult(hostname=host, host="192.0.2.1", port=port, family=family, proto=0, flags=0)
        return [found]


@pytest.fixture
def names() -> Iterator[Names]:
    """The name server; it answers all in the end."""
    made = Names()
    yield made
    made.answering.set()


async def test_a_name_is_looked_up_as_the_machine_does() -> None:
    found = await NameResolver(1).resolve("localhost", 443, socket.AF_INET)
    assert [(each["hostname"], each["host"], each["port"]) for each in found] == [
        ("localhost", "127.0.0.1", 443)
    ]


async def test_a_name_is_looked_up_once_for_all_who_wait(names: Names) -> None:
    resolver = NameResolver(4, names)
    waiting = [asyncio.create_task(resolver.resolve("slow", 443)) for _ in range(20)]
    await wait_for(lambda: bool(names.asked))
    names.answering.set()
    assert len({tuple(found[0].items()) for found in await asyncio.gather(*waiting)}) == 1
    assert names.asked == ["slow"]


async def test_lookups_are_bounded_and_a_cancelled_wait_leaves_none_queued(
    names: Names,
) -> None:
    resolver = NameResolver(2, names)
    waiting = [asyncio.create_task(resolver.resolve(f"slow-{number}", 443)) for number in range(50)]
    await wait_for(lambda: len(names.asked) == 2)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    names.answering.set()
    assert await resolver.resolve("quick", 443)
    assert names.asked == ["slow-0", "slow-1", "quick"]


async def test_an_unknown_name_is_an_error_and_looked_up_again(names: Names) -> None:
    resolver = NameResolver(1, names)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("unknown", 443)
    assert len(names.asked) == 2


class Recording(ThreadPoolExecutor):
    """The loop's own threads, which note what they are given.

    Attributes:
        given: the functions.
    """

    def __init__(self) -> None:
        super().__init__(2)
        self.given: list[object] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Note a function and run it."""
        self.given.append(fn)
        return super().submit(fn, *args, **kwargs)


@pytest.mark.parametrize("region", ["eu-west-1", "eu-lab-1"])
async def test_the_loops_own_threads_look_up_no_name_of_aws(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url.replace("127.0.0.1", "localhost"))
    threads = Recording()
    asyncio.get_running_loop().set_default_executor(threads)
    async with EcrTokenIssuer() as issuer:
        assert await issuer.issue(TokenSource(region=region))
    assert threads.given
    assert socket.getaddrinfo not in threads.given


async def test_an_endpoint_without_an_address_is_reported_as_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.invalid")
    async with EcrTokenIssuer() as issuer:
        error = await refusal(issuer)
    assert error.reason is Reason.AWS_UNAVAILABLE
    assert "can't be reached" in error.message
